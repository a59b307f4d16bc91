//! `--publish`, `--network bridge` and `--network ns:PATH`. Each case is in a network namespace that it makes.

use crate::cases::lifecycle::Records;
use crate::cases::lifecycle_detached::keeper_of;
use crate::cases::streams::{full_pipe, null};
use crate::probes::own_network::{
    add_address_to_lo, add_bridge, ask, enter, in_own_network, interfaces, remove_bridge,
};
use crate::support::folder::Folder;
use crate::support::harness::{
    Run, Running, mydocker, mydocker_at, mydocker_file, probe, probe_file, probe_words, run, unique_name,
};
use crate::support::host::{host, tool};
use crate::support::needs::Needs;
use crate::support::processes::{anonymous_kib, children, is_in_call, send, state, status_field, wait_until};
use crate::support::roots::Root;
use crate::support::user_terminal::in_terminal;
use rustix::fs::{CWD, FileType, mknodat};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

/// Registers a case that is a probe in its own network.
macro_rules! network_case {
    ($name:ident, $needs:expr, $probe:literal) => {
        case!($name, $needs);
        fn $name() {
            in_own_network($probe);
        }
    };
}

/// A container with `options` that serves TCP on port 80, so many times.
fn server(options: &[&str], count: &str) -> Running {
    probe(options, &["serve-tcp", "80", count]).start_ready()
}

/// The kernel takes the interfaces of a namespace down a moment after its last process.
fn only_lo() {
    wait_until("no interface but lo is left", || interfaces() == ["lo"]);
}

fn refused_beside(run: Run, message: &str) {
    let outcome = run.finish();
    assert_eq!(outcome.code(), 125, "{}", outcome.stderr_text());
    assert!(outcome.stderr_text().contains(message), "{message}: {}", outcome.stderr_text());
}

/// Nothing is left, either.
fn refused(run: Run, message: &str) {
    refused_beside(run, message);
    only_lo();
}

network_case!(a_relay_beside_the_hosts_processes, Needs::ROOT, "check-relay-host-pid");
probe!("check-relay-host-pid", |_| {
    // There mydocker ends what the command has left behind; the relay is not part of that.
    let container = server(&["--pid", "host", "-p", "8080:80"], "1");
    assert_eq!(ask("127.0.0.1:8080", 3_000_000).expect("an answer"), "3000000!");
    container.finish().silent(0);
    probe(&["--pid", "host", "-p", "8080:80"], &["status", "0"]).finish().silent(0);
    only_lo();
});

network_case!(a_relay_among_the_processes_of_another, Needs::ROOT, "check-relay-pid");
probe!("check-relay-pid", |_| {
    // The relay ends with the command, and not with the process that prepares for it.
    let folder = Folder::new();
    let (state, name) = (folder.text("records"), unique_name());
    let first = probe(&["--state", &state, "--name", &name], &["hold"]).start_ready();
    let running = ["ps", "-q", "--filter", "status=running", "--state", &state];
    wait_until("it runs", || mydocker(&running).finish().stdout_text().contains(&name));
    let container = server(&["--state", &state, "--pid", &format!("container:{name}"), "-p", "8080:80"], "1");
    assert_eq!(ask("127.0.0.1:8080", 3_000_000).expect("an answer"), "3000000!");
    container.finish().silent(0);
    first.finish().success();
    only_lo();
});

network_case!(a_port_leads_inside, Needs::ROOT, "check-port");
probe!("check-port", |_| {
    for mode in
        ["none", "bridge,forward"].into_iter().filter(|mode| *mode == "none" || Needs::BRIDGE.missing().is_none())
    {
        let container =
            server(&["--network", mode, "-p", "8080:80", "-p", "127.0.0.1:8081:80/tcp", "-p", "[::1]:8082:80"], "5");
        for address in ["127.0.0.1:8080", "[::1]:8080", "127.0.0.1:8081", "[::1]:8082"] {
            assert_eq!(ask(address, 3_000_000).expect(address), "3000000!", "{mode}");
        }
        assert!(ask("[::1]:8081", 1).is_err() && ask("127.0.0.1:8082", 1).is_err());
        assert_eq!(ask("127.0.0.1:8080", 0).expect("an empty request"), "0!");
        container.finish().success();
        assert!(ask("127.0.0.1:8080", 1).is_err(), "nobody listens any more");
        only_lo();
    }
});

network_case!(datagrams_and_their_answers, Needs::ROOT, "check-datagrams");
probe!("check-datagrams", |_| {
    let ports = ["-p", "5300-5301:53-54/udp", "-p", "0.0.0.0:5302:53/udp"];
    let container = probe(&ports, &["serve-udp", "53", "10"]).start_ready();
    let callers: Vec<UdpSocket> = (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").expect("bind")).collect();
    for round in 0..3 {
        for (at, caller) in callers.iter().enumerate() {
            caller.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
            caller.send_to(format!("{round}{at}").as_bytes(), "127.0.0.1:5300").expect("send");
            let mut buffer = [0; 64];
            let (n, from) = caller.recv_from(&mut buffer).expect("an answer");
            assert_eq!(std::str::from_utf8(&buffer[..n]), Ok(format!("{round}{at}{round}{at}").as_str()));
            assert_eq!(from.to_string(), "127.0.0.1:5300");
        }
    }
    // One caller, and several addresses of the host: the answer comes from that which was asked.
    add_address_to_lo([192, 0, 2, 1]);
    for address in ["192.0.2.1:5300", "127.0.0.2:5300", "192.0.2.1:5302", "127.0.0.2:5302"] {
        callers[0].send_to(b"x", address).expect("send");
        let (n, from) = callers[0].recv_from(&mut [0; 64]).expect("an answer");
        assert_eq!((n, from.to_string().as_str()), (2, address));
    }
    container.finish().success();
});

network_case!(ports_that_cannot_be_published, Needs::ROOT, "check-refused");
probe!("check-refused", |_| {
    let _other = TcpListener::bind("127.0.0.1:8080").expect("bind");
    refused(run(&["-p", "8080:80"], &["true"]), "EADDRINUSE");
    refused(run(&["-p", "203.0.113.5:8080:80"], &["true"]), "EADDRNOTAVAIL");
    for (word, message) in [
        ("0", "numbers from 1 to 65535"),
        ("80/tpc", "tcp or udp"),
        ("localhost:80:80", "in numbers"),
        ("::1:80:80", "in brackets"),
        ("80:", "--publish takes"),
        ("65536", "--publish takes"),
        ("1:2:3:4", "--publish takes"),
        ("80-70", "--publish takes"),
        ("[::1:80", "--publish takes"),
        ("8000:80-81", "differ in length"),
        ("8000-8001:80-82", "differ in length"),
    ] {
        refused(run(&["-p", word], &["true"]), message);
    }
    refused(run(&["-p", "[fe80::1]:8090:80"], &["true"]), "an address of one link");
    refused(run(&["-p", "81:80", "-p", "81:90"], &["true"]), "published twice");
    refused(run(&["-p", "81:80", "-p", "127.0.0.1:81:90"], &["true"]), "another -p of this run has this port");
    let _others = TcpListener::bind("127.0.0.2:9001").expect("bind");
    let of_others = run(&["-p", "127.0.0.1:9001:80", "-p", "127.0.0.2:9001:80"], &["true"]);
    refused(of_others, "another program has this port");
    refused(run(&["--network", "host", "-p", "81:80"], &["true"]), "leave out -p");
    let limit = || {
        let few = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
        Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, few)?)
    };
    // The last two are for the sockets of the port alone, and not for a connection to it.
    for ports in ["9001-9099", "9080:80", "9080:80/udp"] {
        refused(run(&["-p", ports], &["true"]).before(limit), "ulimit -n");
    }
});

network_case!(a_caller_that_is_gone, Needs::ROOT, "check-keepalive");
probe!("check-keepalive", |_| {
    // It holds its connection no longer than the kernel asks for it: the timer of the relay's end is that of keepalive.
    let container = server(&["-p", "8080:80", "-p", "0.0.0.0:8081:80"], "2");
    let callers = ["127.0.0.1:8080", "127.0.0.1:8081"].map(|address| TcpStream::connect(address).expect("connect"));
    let timer = |file: &str, port: &str| {
        let sockets = std::fs::read_to_string(file).expect(file);
        let fields = |line: &str| line.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        let is_it = |fields: &Vec<String>| fields[1].ends_with(port) && fields[3] == "01";
        sockets.lines().skip(1).map(fields).find(is_it).map(|fields| fields[5][..2].to_string())
    };
    for (file, port) in [("/proc/thread-self/net/tcp6", ":1F90"), ("/proc/thread-self/net/tcp", ":1F91")] {
        assert_eq!(timer(file, port).as_deref(), Some("02"), "{file} {port}");
    }
    drop(callers);
    container.finish().success();
});

network_case!(the_relay_may_do_nothing_else, Needs::ROOT, "check-relay");
probe!("check-relay", |_| {
    let container = server(&["-p", "8080:80"], "1");
    // In the order in which they were made: the command, and the relay.
    let [_, relay] = children(container.pid)[..] else { panic!("two children") };
    for (field, value) in [("CapEff:", 0), ("CapPrm:", 0), ("NoNewPrivs:", 1), ("Seccomp:", 2)] {
        assert_eq!(status_field(relay, field), Some(value), "{field}");
    }
    let filter = filter_of(relay);
    let allowed: Vec<i64> = (0..1000).filter(|call| is_allowed(&filter, *call, libc::AF_INET)).collect();
    let mut relays = vec![
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_ctl,
        libc::SYS_accept4,
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_getsockopt,
        libc::SYS_shutdown,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_splice,
        libc::SYS_pipe2,
        libc::SYS_write,
        libc::SYS_close,
        libc::SYS_ppoll,
        libc::SYS_nanosleep,
        libc::SYS_clock_gettime,
        libc::SYS_mmap,
        libc::SYS_rt_sigprocmask,
        libc::SYS_exit_group,
    ];
    relays.sort_unstable();
    assert_eq!(allowed, relays);
    // It keeps the host's root: sockets with a path would be reached.
    for (domain, may) in [(libc::AF_INET6, true), (libc::AF_UNIX, false), (libc::AF_NETLINK, false)] {
        assert_eq!(is_allowed(&filter, libc::SYS_socket, domain), may, "{domain}");
    }
    for (option, may) in [(libc::TCP_NODELAY, true), (libc::SO_LINGER, true), (libc::SO_ATTACH_FILTER, false)] {
        assert_eq!(is_allowed(&filter, libc::SYS_setsockopt, option), may, "{option}");
    }
    assert_ne!(
        std::fs::read_link(format!("/proc/{relay}/ns/net")).expect("readlink"),
        std::fs::read_link("/proc/self/ns/net").expect("readlink")
    );
    // Nothing wakes it up while nobody connects.
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{relay}/status")).expect("status");
        status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:").map(String::from))
            .expect("a count")
    };
    wait_until("it waits", || is_in_call(relay, libc::SYS_epoll_pwait));
    let before = switches();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(switches(), before, "the relay has woken up");
    assert_eq!(ask("127.0.0.1:8080", 1).expect("an answer"), "1!");
    container.finish().success();
    assert!(!std::path::Path::new(&format!("/proc/{relay}")).exists());
});

/// The filter of system calls that a process has loaded last: ptrace(2).
fn filter_of(pid: i32) -> Vec<libc::sock_filter> {
    const PTRACE_SECCOMP_GET_FILTER: u32 = 0x420c;
    let none = std::ptr::null_mut::<libc::sock_filter>();
    // SAFETY: the requests take a pid; the last but one fills as many instructions as the one before it has counted
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0), 0, "{}", std::io::Error::last_os_error());
        assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0), 0);
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, libc::__WALL), pid);
        let count = libc::ptrace(PTRACE_SECCOMP_GET_FILTER as _, pid, 0, none);
        assert!(count > 0, "{}", std::io::Error::last_os_error());
        let mut filter = Vec::with_capacity(count as usize);
        assert_eq!(libc::ptrace(PTRACE_SECCOMP_GET_FILTER as _, pid, 0, filter.as_mut_ptr()), count);
        filter.set_len(count as usize);
        assert_eq!(libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0), 0);
        filter
    }
}

/// Whether the filter lets a native call with this first and this third argument through: the instructions that the relay's has.
fn is_allowed(filter: &[libc::sock_filter], call: i64, argument: i32) -> bool {
    let machine = if cfg!(target_arch = "x86_64") { 0xc000_003e_u32 } else { 0xc000_00b7 };
    let (mut at, mut value) = (0, 0);
    loop {
        let libc::sock_filter { code, jt, jf, k } = filter[at];
        at += 1;
        match (code, k) {
            (0x20, 0) => value = call as u32,
            (0x20, 4) => value = machine,
            (0x20, 16 | 32) => value = argument as u32,
            (0x15, k) => at += usize::from(if value == k { jt } else { jf }),
            (0x06, k) => return k == 0x7fff_0000,
            other => panic!("{other:?} is no instruction of the relay's filter"),
        }
    }
}

network_case!(what_fails_costs_the_relay_no_memory, Needs::ROOT, "check-relay-memory");
probe!("check-relay-memory", |_| {
    let container = server(&["-p", "8080:81", "-p", "5300:81/udp", "-p", "8081:80"], "1");
    let [_, relay] = children(container.pid)[..] else { panic!("two children") };
    let caller = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let fail = |times: u32| {
        for _ in 0..times {
            // Nobody serves either port inside.
            drop(ask("127.0.0.1:8080", 1));
            caller.send_to(b"x", "127.0.0.1:5300").expect("send");
        }
    };
    fail(100);
    let before = anonymous_kib(relay);
    fail(3000);
    let after = anonymous_kib(relay);
    assert!(after <= before + 16, "{before} KiB, then {after} KiB");
    assert_eq!(ask("127.0.0.1:8081", 1).expect("an answer"), "1!");
    container.finish().success();
});

network_case!(nobody_looks_into_a_relay, Needs::ROOT, "check-relay-privacy");
probe!("check-relay-privacy", |_| {
    // In a user namespace the container's privileges reach as far as its own; and it has the host's root.
    let root = Root::with_directories();
    let run = root.probe(&["--pid", "host", "-p", "8080:80"], &["serve-tcp", "80", "1"]);
    let container = run.with(|command| command.uid(65534).gid(65534)).start_ready();
    let mut owners = Vec::new();
    for pid in children(container.pid) {
        let about = std::fs::metadata(format!("/proc/{pid}/environ")).expect("stat");
        owners.push(std::os::unix::fs::MetadataExt::uid(&about));
    }
    // Of a process that is not dumpable they are root's: the command's are not.
    assert_eq!(owners, [65534, 0]);
    assert_eq!(ask("127.0.0.1:8080", 1).expect("an answer"), "1!");
    container.finish().success();
});

network_case!(a_server_on_its_own_address, Needs::ROOT | Needs::BRIDGE, "check-own-address");
probe!("check-own-address", |_| {
    let options = ["--network", "bridge,forward", "--ip", "10.88.0.9", "-p", "8080:80", "-p", "5300:53/udp"];
    let container = probe(&options, &["serve-on", "10.88.0.9", "80", "53"]).start_ready();
    for _ in 0..2 {
        assert_eq!(ask("127.0.0.1:8080", 3).expect("an answer"), "3!");
        let caller = UdpSocket::bind("127.0.0.1:0").expect("bind");
        caller.set_read_timeout(Some(Duration::from_secs(1))).expect("timeout");
        // Before Linux 6.4 the refusal of the first address may come late, and the first query is lost. A resolver asks again.
        let mut buffer = [0; 64];
        let answer = (0..20).find_map(|_| {
            caller.send_to(b"ab", "127.0.0.1:5300").expect("send");
            caller.recv(&mut buffer).ok()
        });
        assert_eq!(answer, Some(4));
    }
    container.finish().success();
    only_lo();
});

network_case!(a_server_that_moves, Needs::ROOT | Needs::BRIDGE, "check-moving");
probe!("check-moving", |_| {
    let container =
        probe(&["--network", "bridge,forward", "--ip", "10.88.0.9", "-p", "5300:53/udp"], &["serve-moving"])
            .start_ready();
    let caller = UdpSocket::bind("127.0.0.1:0").expect("bind");
    caller.set_read_timeout(Some(Duration::from_millis(500))).expect("timeout");
    // A caller that keeps its port, and asks until it has an answer. What comes to the old address is refused, and lost.
    for expected in ["first", "other", "first"] {
        let mut buffer = [0; 64];
        let answer = (0..20).find_map(|_| {
            caller.send_to(b"x", "127.0.0.1:5300").expect("send");
            caller.recv(&mut buffer).ok()
        });
        let answer = answer.map(|len| String::from_utf8_lossy(&buffer[..len]).into_owned());
        assert_eq!(answer.as_deref(), Some(expected));
    }
    container.finish().success();
    only_lo();
});

network_case!(rm_removes_what_a_killed_keeper_left, Needs::ROOT | Needs::BRIDGE, "check-rm-of-lost");
probe!("check-rm-of-lost", |_| {
    let records = Records::new();
    let names = [unique_name(), unique_name()];
    let options = ["--network", "bridge,forward", "-m", "50m", "--name"];
    let start = |name: &String| records.probe(&[&options[..], &[name]].concat(), &["hold"]).start_ready();
    let keepers = names.each_ref().map(start);
    // After its start each looks for records that nobody keeps, and would remove that of the other one.
    let waits = |keeper: &Running| is_in_call(keeper.pid, libc::SYS_read) && state(keeper.pid) == Some('S');
    wait_until("both wait", || keepers.iter().all(waits));
    // The bridge of the other one stays.
    for ((keeper, name), left) in keepers.into_iter().zip(&names).zip([3, 1]) {
        send(keeper.pid, libc::SIGKILL);
        drop(keeper.reap());
        wait_until("nobody keeps it", || records.names(&["-a", "-f", "status=lost"]) == [name.as_str()]);
        records.call("rm", &[name]).success();
        let groups = host().directories(&format!("mydocker-{name}"));
        assert!(groups.is_empty(), "{groups:?}");
        wait_until("its interfaces are gone", || interfaces().len() == left);
    }
});

network_case!(answers_before_the_end, Needs::ROOT, "check-last-answers");
probe!("check-last-answers", |_| {
    // More than the relay takes in one turn, all of them there when the container ends.
    let container = probe(&["-p", "5300:53/udp"], &["serve-and-end", "100"]).start_ready();
    let [command, relay] = children(container.pid)[..] else { panic!("two children") };
    let caller = UdpSocket::bind("127.0.0.1:0").expect("bind");
    caller.set_read_timeout(Some(Duration::from_secs(2))).expect("timeout");
    caller.send_to(b"x", "127.0.0.1:5300").expect("send");
    let mut buffer = [0; 64];
    caller.recv(&mut buffer).expect("the first answer");
    send(relay, libc::SIGSTOP);
    wait_until("the container has ended", || state(command).is_none_or(|state| state == 'Z'));
    send(relay, libc::SIGCONT);
    let count = std::iter::repeat_with(|| caller.recv(&mut buffer)).take_while(Result::is_ok).count();
    assert_eq!(count, 100);
    container.finish().success();
});

network_case!(more_senders_than_the_relay_keeps, Needs::ROOT, "check-senders");
probe!("check-senders", |_| {
    // As a resolver asks: each query from a port of its own.
    let container = probe(&["-p", "5300:53/udp"], &["serve-udp", "53", "1200"]).start_ready();
    for at in 0..1200 {
        let caller = UdpSocket::bind("127.0.0.1:0").expect("bind");
        caller.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
        caller.send_to(b"x", "127.0.0.1:5300").expect("send");
        let mut buffer = [0; 64];
        assert_eq!(caller.recv(&mut buffer).unwrap_or_else(|error| panic!("{at}: {error}")), 2);
    }
    container.finish().silent(0);
});

network_case!(what_is_not_its_own_stays, Needs::ROOT, "check-others");
probe!("check-others", |_| {
    let port = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("read");
    let before = port();
    run(&["--network", "ns:/proc/self/ns/net", "-u", "1000"], &["true"]).finish().success();
    assert_eq!(port(), before);
    let set = ["--network", "ns:/proc/self/ns/net", "--sysctl", "net.ipv4.ip_forward=1"];
    refused(run(&set, &["true"]), "--sysctl");
});

network_case!(one_family_each, Needs::ROOT, "check-families");
probe!("check-families", |_| {
    let container = server(&["-p", "0.0.0.0:8080:80", "-p", "[::]:8080:80", "-p", "[::]:8081:80"], "2");
    assert_eq!(ask("127.0.0.1:8080", 1).expect("of IPv4"), "1!");
    assert_eq!(ask("[::1]:8080", 2).expect("of IPv6"), "2!");
    assert!(ask("127.0.0.1:8081", 1).is_err());
    container.finish().success();
});

network_case!(no_answer_of_a_missing_subsystem, Needs::ROOT | Needs::BRIDGE | Needs::STRACE, "check-subsystem");
probe!("check-subsystem", |_| {
    // The kernel answers a batch once, whatever is in it. nfgenmsg ends with the subsystem: here one that is not there, and
    // the second time neither.
    let folder = Folder::new();
    let seen = folder.text("strace");
    let poke = "inject=sendto:poke_enter=@arg2=140000001000010000000000000000000000000c:when=NUMBER..NEXT";
    drop(beside_strace(&seen, "inject=sendto:delay_enter=0").reap());
    let calls = std::fs::read_to_string(&seen).expect("strace");
    let batch = calls.lines().position(|line| line.contains("NETFILTER") || line.contains("nlmsg_type=0x10"));
    let number = batch.expect("a batch") + 1;
    let poke = poke.replace("NUMBER", &number.to_string()).replace("NEXT", &(number + 1).to_string());
    let outcome = beside_strace(&seen, &poke).reap();
    assert_eq!(outcome.code(), 125, "{outcome:?}");
    assert!(outcome.stderr_text().contains("modprobe nf_tables"), "{outcome:?}");
    only_lo();
});

network_case!(what_the_kernel_has_not, Needs::ROOT | Needs::BRIDGE | Needs::STRACE, "check-missing-kinds");
probe!("check-missing-kinds", |_| {
    // As a kernel answers that has neither the driver of such an interface nor a module of it.
    let folder = Folder::new();
    let seen = folder.text("strace");
    drop(beside_strace(&seen, "inject=sendto:delay_enter=0").reap());
    let calls = std::fs::read_to_string(&seen).expect("strace");
    for (kind, module) in [("\"bridge\"", "modprobe bridge"), ("\"veth\"", "modprobe veth")] {
        let number = calls.lines().filter(|line| line.contains("sendto(")).position(|line| line.contains(kind));
        let number = number.unwrap_or_else(|| panic!("no {kind} in {calls}")) + 1;
        let outcome = beside_strace(&seen, &format!("inject=sendto:error=EOPNOTSUPP:when={number}+")).reap();
        assert_eq!(outcome.code(), 125, "{kind} {outcome:?}");
        assert!(outcome.stderr_text().contains(module), "{kind} {outcome:?}");
    }
    // Nor could it remove the bridge: the next one does.
    run(&["--network", "bridge,forward"], &["true"]).finish().success();
    only_lo();
});

network_case!(no_way_out_by_a_container, Needs::ROOT | Needs::BRIDGE, "check-routers");
probe!("check-routers", |_| {
    // A router of IPv6 announces itself; the host is to take none from there: CVE-2020-13401.
    let container = server(&["--network", "bridge,forward"], "1");
    let file = "/proc/sys/net/ipv6/conf/mydocker0/disable_ipv6";
    if let Ok(off) = std::fs::read_to_string(file) {
        assert_eq!(off, "1\n");
    }
    send(container.pid, libc::SIGTERM);
    drop(container.finish());
    only_lo();
});

network_case!(the_same_address_again, Needs::ROOT | Needs::BRIDGE, "check-again");
probe!("check-again", |_| {
    // The network of the one before goes a moment after it.
    let other = server(&["--network", "bridge,forward"], "1");
    for _ in 0..10 {
        run(&["--network", "bridge,forward", "--ip", "10.88.0.9"], &probe_words(&["status", "0"])).finish().silent(0);
    }
    send(other.pid, libc::SIGTERM);
    drop(other.finish());
    only_lo();
});

network_case!(a_name_keeps_its_address, Needs::ROOT | Needs::BRIDGE | Needs::SH, "check-address-of-name");
probe!("check-address-of-name", |_| {
    // Whoever has looked up a name keeps the address: it is the same after a restart, and in the next run, unless another one has it.
    let (records, on_bridge) = (Records::new(), ["--network", "bridge,forward"]);
    // While it runs the bridge stays.
    let other = server(&on_bridge, "1");
    let command = format!("{} --probe address; exit 1", probe_file().display());
    records.detached("web", &[&on_bridge[..], &["--restart", "on-failure:3"]].concat(), &command);
    records.call("wait", &["web"]).success();
    let log = records.call("logs", &["web"]).success();
    let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with("mydocker: ")).collect();
    let addresses: BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!((lines.len(), addresses.len()), (4, 1), "{log}");
    records.remove("web");
    let address = addresses.first().expect("an address").to_string();
    let named = |name| records.probe(&[&on_bridge[..], &["--name", name]].concat(), &["address"]).finish().success();
    assert_eq!(named("web").trim(), address);
    assert_ne!(named("db").trim(), address);
    let holder = server(&[&on_bridge[..], &["--ip", &address]].concat(), "1");
    assert_ne!(named("web").trim(), address);
    assert_eq!(ask(&format!("{address}:80"), 3).expect("an answer"), "3!");
    holder.finish().success();
    send(other.pid, libc::SIGTERM);
    drop(other.finish());
    only_lo();
});

network_case!(an_address_that_a_connection_holds, Needs::ROOT | Needs::BRIDGE, "check-held-address");
probe!("check-held-address", |_| {
    // The server closes its side when its client is gone: nobody acknowledges that, and the kernel asks for some 100 seconds.
    let on_bridge = ["--network", "bridge,forward"];
    let with_address = [&on_bridge[..], &["--ip", "10.88.0.9"]].concat();
    let other = server(&on_bridge, "1");
    let hold = || {
        let mut held = probe(&[&["-i"], &with_address[..]].concat(), &["serve-last", "80"]).start_ready();
        let before = interfaces();
        probe(&on_bridge, &["tell-tcp", "10.88.0.9:80"]).finish().success();
        held.await_output("heard");
        wait_until("the client is gone", || interfaces() == before);
        held.write_stdin(b"\n");
        held.finish().success();
    };
    hold();
    // Nobody has it any more, whether the interface is still there or not.
    probe(&with_address, &["status", "0"]).finish().silent(0);
    // Of one that runs it is not taken away.
    let holder = server(&with_address, "1");
    refused_beside(run(&with_address, &["true"]), "another container on the bridge has this address");
    assert_eq!(ask("10.88.0.9:80", 3).expect("an answer"), "3!");
    holder.finish().success();
    // The last one takes it along.
    hold();
    send(other.pid, libc::SIGTERM);
    drop(other.finish());
    let ended = Instant::now();
    only_lo();
    assert!(ended.elapsed() < Duration::from_secs(60), "it went by itself");
});

network_case!(a_killed_relay_is_missed, Needs::ROOT, "check-killed-relay");
probe!("check-killed-relay", |_| {
    for options in [&["-p", "8080:80"][..], &["--pid", "host", "-p", "8080:80"]] {
        let container = probe(options, &["hold"]).start_ready();
        let [_, relay] = children(container.pid)[..] else { panic!("two children") };
        send(relay, libc::SIGKILL);
        wait_until("it says so", || container.errors_so_far().contains("its ports are closed"));
        assert!(TcpStream::connect("127.0.0.1:8080").is_err());
        assert!(!container.has_ended());
        assert_eq!(container.finish().code(), 0);
    }
    // One that ends with its container is not.
    probe(&["-p", "8080:80"], &["status", "0"]).finish().silent(0);
});

network_case!(more_connections_than_there_may_be, Needs::ROOT, "check-full-relay");
probe!("check-full-relay", |_| {
    const FULL: &str = "published ports: no more than 8 connections at once: others wait";
    let limit = || {
        let few = rustix::process::Rlimit { current: Some(128), maximum: Some(128) };
        Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, few)?)
    };
    // SAFETY: setrlimit is one system call
    let few = |run: Run| run.with(|command| unsafe { command.pre_exec(limit) });
    let callers = || -> Vec<_> { (0..12).map(|_| TcpStream::connect("127.0.0.1:8080").expect("connect")).collect() };
    let container = few(probe(&["-p", "8080:80"], &["serve-tcp", "80", "13"])).start_ready();
    let waiting = callers();
    wait_until("it says so", || container.errors_so_far().contains(FULL));
    drop(waiting);
    assert_eq!(ask("127.0.0.1:8080", 1).expect("an answer"), "1!");
    assert_eq!(container.finish().code(), 0);

    // Where nobody reads what it says, its ports are open all the same.
    let (pipe, _read) = full_pipe();
    let container = few(probe(&["-p", "8080:80"], &["serve-tcp", "80", "1000"])).start_on([null(), null(), pipe]);
    wait_until("it serves", || ask("127.0.0.1:8080", 1).is_ok());
    let [_, relay] = children(container.pid)[..] else { panic!("two children") };
    let sockets = || {
        let files = std::fs::read_dir(format!("/proc/{relay}/fd")).expect("its descriptors");
        let target = |file: std::io::Result<std::fs::DirEntry>| std::fs::read_link(file.ok()?.path()).ok();
        files.filter_map(target).filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    };
    let waiting = callers();
    // One listens, and each connection has two.
    wait_until("no more are taken", || sockets() == 17);
    std::thread::sleep(Duration::from_millis(100));
    drop(waiting);
    assert_eq!(ask("127.0.0.1:8080", 1).expect("an answer"), "1!");
    send(container.pid, libc::SIGTERM);
    drop(container.reap());

    // Of one in the background the log has it; and that its relay has been killed.
    let (records, name) = (Records::new(), unique_name());
    let detached = records.probe(&["-d", "--name", &name, "-p", "8080:80"], &["serve-tcp", "80", "1000"]);
    few(detached).start().reap().success();
    wait_until("it serves", || ask("127.0.0.1:8080", 1).is_ok());
    let log = || records.call("logs", &[&name]).success();
    let waiting = callers();
    wait_until("the log says so", || log().contains(FULL));
    drop(waiting);
    let command = records.pid(&name);
    let others = children(keeper_of(command));
    let relay = *others.iter().find(|child| **child != command).expect("a relay");
    send(relay, libc::SIGKILL);
    wait_until("the log says so", || log().contains("mydocker: the relay was killed: its ports are closed\n"));
    records.remove(&name);
    only_lo();
});

network_case!(a_killed_mydocker_leaves_no_port, Needs::ROOT | Needs::BRIDGE, "check-killed");
probe!("check-killed", |_| {
    let container = server(&["--network", "bridge,forward", "-p", "8080:80"], "1");
    let others = children(container.pid);
    assert_eq!(others.len(), 3, "PID 1, what removes the bridge, and the relay");
    send(container.pid, libc::SIGKILL);
    wait_until("the port is free", || TcpListener::bind("0.0.0.0:8080").is_ok());
    drop(container.reap());
    wait_until("nothing of it is left", || interfaces() == ["lo"]);
    wait_until("nobody is", || others.iter().all(|pid| state(*pid).is_none_or(|state| state == 'Z')));
    // Two at once; and one whose group is killed with it.
    let both = [1, 2].map(|_| server(&["--network", "bridge,forward"], "1"));
    both.iter().for_each(|container| send(container.pid, libc::SIGKILL));
    drop(both.map(|container| container.reap()));
    wait_until("nothing of them is left", || interfaces() == ["lo"]);
    // What removes their bridge may still be at work.
    enter();
    let leads =
        probe(&["--network", "bridge,forward"], &["hold"]).with(|command| command.process_group(0)).start_ready();
    send(-leads.pid, libc::SIGKILL);
    drop(leads.reap());
    wait_until("nothing of that is left", || interfaces() == ["lo"]);
});

network_case!(what_guards_the_bridge_is_killed, Needs::ROOT | Needs::BRIDGE, "check-killed-guard");
probe!("check-killed-guard", |_| {
    // Then mydocker itself removes it, as ever; --pid host, where it waits for any child.
    for options in [&[][..], &["--pid", "host"]] {
        let container = probe(&[&["--network", "bridge,forward"], options].concat(), &["hold"]).start_ready();
        let [guard, _] = children(container.pid)[..] else { panic!("what removes the bridge, and PID 1") };
        for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
            send(guard, signal);
        }
        // One that is stopped is no reason to wait.
        send(guard, if options.is_empty() { libc::SIGSTOP } else { libc::SIGKILL });
        container.finish().success();
        only_lo();
        assert!(state(guard).is_none());
    }
});

network_case!(an_address_on_the_bridge, Needs::ROOT | Needs::BRIDGE, "check-bridge");
probe!("check-bridge", |_| {
    let own = ["--network", "bridge,forward", "--ip", "10.88.7.7", "--hostname", "seven"];
    let one = server(&own, "3");
    assert_eq!(interfaces(), ["lo", "mydocker0", "v10.88.7.7"]);
    assert_eq!(ask("10.88.7.7:80", 5).expect("from the host"), "5!");
    assert_eq!(probe(&["--network", "bridge,forward"], &["ask-tcp", "10.88.7.7:80", "9"]).finish().success(), "9!\n");
    refused_beside(
        run(&["--network", "bridge,forward", "--ip", "10.88.7.7"], &["true"]),
        "another container on the bridge has this address: seven",
    );
    assert_eq!(ask("10.88.7.7:80", 0).expect("it is still there"), "0!");
    // One without a name is known by its interface.
    let nameless = server(&["--network", "bridge,forward", "--ip", "10.88.7.8"], "1");
    refused_beside(
        run(&["--network", "bridge,forward", "--ip", "10.88.7.8"], &["true"]),
        "another container on the bridge has this address: v10.88.7.8",
    );
    // An interface of somebody else's stays, whatever its name.
    add_bridge("v10.88.7.9");
    refused_beside(
        run(&["--network", "bridge,forward", "--ip", "10.88.7.9"], &["true"]),
        "another container on the bridge has this address: v10.88.7.9",
    );
    remove_bridge("v10.88.7.9");
    refused_beside(
        run(&["--network", "bridge,forward", "--mac-address", "02:42:0a:58:00:01"], &["true"]),
        "the bridge itself has this one",
    );
    send(nameless.pid, libc::SIGTERM);
    drop(nameless.finish());
    one.finish().success();
    only_lo();
});

network_case!(the_last_one_of_all_leaves_no_bridge, Needs::ROOT | Needs::BRIDGE, "check-two-bridges");
probe!("check-two-bridges", |_| {
    let on = |bridge: &str, subnet: &str| server(&["--network", bridge, "--subnet", subnet], "1");
    let first = on("bridge:ba,forward", "10.97.0.0/16");
    let second = on("bridge:bb,forward", "10.98.0.0/16");
    let killed = on("bridge:bc,forward", "10.99.0.0/16");
    send(killed.pid, libc::SIGKILL);
    drop(killed.reap());
    // One that is in use stays, whoever ends meanwhile.
    send(first.pid, libc::SIGTERM);
    drop(first.finish());
    wait_until("the pairs are gone", || interfaces().iter().filter(|name| name.starts_with('v')).count() == 1);
    assert!(interfaces().contains(&"bb".to_string()));
    let address = interfaces().iter().find_map(|name| name.strip_prefix('v').map(str::to_string)).expect("a pair");
    assert_eq!(ask(&format!("{address}:80"), 5).expect("from the host"), "5!");
    second.finish().success();
    only_lo();
});

network_case!(slirp4netns_leads_outside, Needs::ROOT | Needs::SLIRP4NETNS, "check-slirp");
probe!("check-slirp", |_| {
    // An address of the host that is not 127.0.0.1 stands for the outside. All of 127/8 is refused.
    add_address_to_lo([192, 0, 2, 1]);
    let outside = TcpListener::bind("192.0.2.1:0").expect("bind");
    let address = outside.local_addr().expect("getsockname").to_string();
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        for _ in 0..2 {
            let (mut stream, _) = outside.accept().expect("accept");
            let mut received = Vec::new();
            stream.read_to_end(&mut received).expect("read");
            write!(stream, "{}!", received.len()).expect("write");
        }
    });
    let options = ["--network", "slirp4netns"];
    for _ in 0..2 {
        assert_eq!(probe(&options, &["ask-tcp", &address, "7"]).finish().success(), "7!\n");
    }
    answering.join().expect("the server");
    // What listens on the host's own 127.0.0.1 is not reached by the address that stands for the host.
    let own = TcpListener::bind("127.0.0.1:0").expect("bind");
    let by_host = format!("10.0.2.2:{}", own.local_addr().expect("getsockname").port());
    assert_eq!(probe(&options, &["connects", &by_host]).finish().success(), "false\n");
    // A port leads into it as into any other; and what was killed leaves no process.
    let container = server(&["--network", "slirp4netns", "-p", "8080:80"], "2");
    assert_eq!(ask("127.0.0.1:8080", 3).expect("an answer"), "3!");
    let [_, slirp, _] = children(container.pid)[..] else { panic!("the command, slirp4netns, the relay") };
    // It confines itself.
    assert_eq!(status_field(slirp, "Seccomp:"), Some(2));
    assert_ne!(
        std::fs::read_link(format!("/proc/{slirp}/ns/mnt")).expect("readlink"),
        std::fs::read_link("/proc/self/ns/mnt").expect("readlink")
    );
    send(container.pid, libc::SIGKILL);
    drop(container.reap());
    wait_until("slirp4netns has ended", || !std::path::Path::new(&format!("/proc/{slirp}")).exists());
    // One that is killed is missed.
    let container = probe(&["--network", "slirp4netns"], &["hold"]).start_ready();
    let [_, slirp] = children(container.pid)[..] else { panic!("the command, and slirp4netns") };
    send(slirp, libc::SIGKILL);
    wait_until("it is missed", || container.errors_so_far().contains("slirp4netns or pasta has ended"));
    assert_eq!(container.finish().code(), 0);
    let script = run(&["--network", "slirp4netns", "--dry-run=sh"], &["true"]).finish().success();
    assert!(script.contains("leave out --network slirp4netns"), "{script}");
    only_lo();
});

network_case!(a_hardware_address, Needs::ROOT | Needs::BRIDGE, "check-hardware");
probe!("check-hardware", |_| {
    let options = ["--network", "bridge,forward", "--mac-address", "02:00:5e:00:53:0F"];
    let root = Root::with_directories();
    assert_eq!(root.probe_output(&options, &["file", "/sys/class/net/eth0/address"]), "02:00:5e:00:53:0f\n");
    for word in [
        "",
        "02:00:5e:00:53",
        "02:00:5e:00:53:0f:00",
        "02:00:5e:00:53:0g",
        "02:00:5e:00:530:f",
        "02005e00530f",
        // Of a group, of all, and of none.
        "01:00:5e:00:53:0f",
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
    ] {
        refused(run(&["--network", "bridge,forward", "--mac-address", word], &["true"]), "--mac-address");
    }
    refused(run(&["--mac-address", "02:00:5e:00:53:0f"], &["true"]), "--network bridge");
});

network_case!(names_on_the_bridge, Needs::ROOT | Needs::BRIDGE, "check-names");
probe!("check-names", |_| {
    let records = Folder::new();
    let (state, root, name) = (records.text(""), Root::with_directories(), unique_name());
    let beside = |more: &[&str], words: &[&str]| {
        root.probe(&[&["--state", &state, "--network", "bridge,forward"], more].concat(), words)
    };
    let hosts = |container: &Running| {
        let first = children(container.pid)[1];
        std::fs::read_to_string(format!("/proc/{first}/root/etc/hosts")).expect("/etc/hosts")
    };
    let web = beside(&["--hostname", "web.example", "--add-host", "own:192.0.2.7"], &["serve-tcp", "80", "2"]);
    let web = web.start_ready();
    // Whoever is in it may read it.
    let as_user = beside(&["-u", "1000"], &["file", "/etc/hosts"]).finish().success();
    assert!(as_user.contains("web.example"), "{as_user}");
    let other = beside(&["--name", &name], &["hold"]).start_ready();
    let seen = beside(&[], &["file", "/etc/hosts"]).finish().success();
    let address = |name: &str| seen.lines().find_map(|line| line.strip_suffix(name)).expect(name).to_string();
    assert_eq!(ask(&format!("{}:80", address("\tweb.example web")), 5).expect("an answer"), "5!");
    assert_ne!(address(&format!("\t{name}")), address("\tweb.example web"));
    assert!(!seen.contains("192.0.2.7"), "{seen}");
    // Those with the same lines of their own have one file.
    let file = |container: &Running| {
        let path = format!("/proc/{}/root/etc/hosts", children(container.pid)[1]);
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).expect("stat"))
    };
    let same = beside(&["--hostname", "same"], &["hold"]).start_ready();
    assert!(file(&same) == file(&other) && file(&same) != file(&web));
    same.finish().success();
    // Those that were there before know it, too, and keep their own lines.
    let with_other = hosts(&web);
    assert!(with_other.contains(&format!("\t{name}\n")) && with_other.contains("192.0.2.7\town\n"), "{with_other}");
    let is_read_only = beside(&[], &["write", "/etc/hosts"]).finish();
    assert!(format!("{is_read_only:?}").contains("EROFS"), "{is_read_only:?}");
    // Of one that was killed nothing stays when the next one comes after its interface is gone.
    send(other.pid, libc::SIGKILL);
    drop(other.reap());
    wait_until("its interface is gone", || interfaces().len() == 3);
    let third = beside(&["--name", "third"], &["hold"]).start_ready();
    let without = hosts(&web);
    assert!(without.contains("\tthird\n") && !without.contains(&name), "{without}");
    assert!(without.contains("192.0.2.7\town\n"), "{without}");
    third.finish().success();
    assert!(!hosts(&web).contains("third"));
    assert!(mydocker(&["ps", "-a", "-q", "--state", &state]).finish().success().is_empty());
    send(web.pid, libc::SIGTERM);
    drop(web.finish());
    let left = || std::fs::read_dir(records.as_path()).expect("readdir").flatten().collect::<Vec<_>>();
    assert!(left().is_empty(), "{:?}", left());
    only_lo();
    // Where all were killed, and their network is gone, the last one of another bridge removes what they had. What cleans up behind
    // the one that was killed above may still be at work, and has another folder.
    let records = Folder::new();
    let state = records.text("");
    let beside = |words: &[&str]| root.probe(&["--state", &state, "--network", "bridge,forward"], words);
    let left = || std::fs::read_dir(records.as_path()).expect("readdir").flatten().collect::<Vec<_>>();
    let killed = beside(&["hold"]).start_ready();
    send(killed.pid, libc::SIGSTOP);
    wait_until("it has stopped", || crate::support::processes::state(killed.pid) == Some('T'));
    // Among them the process that would remove it otherwise.
    children(killed.pid).into_iter().for_each(|pid| send(pid, libc::SIGKILL));
    send(killed.pid, libc::SIGKILL);
    drop(killed.reap());
    assert_eq!(left().len(), 1);
    enter();
    beside(&["status", "0"]).finish().success();
    assert!(left().is_empty(), "{:?}", left());
});

network_case!(this_host_by_a_name, Needs::ROOT | Needs::BRIDGE, "check-host-gateway");
probe!("check-host-gateway", |_| {
    let records = Folder::new();
    let (state, root) = (records.text(""), Root::with_directories());
    let options = ["--state", &state, "--network", "bridge,forward", "--subnet", "10.97.0.0/16"];
    let hosts = ["--add-host", "up:host-gateway", "--add-host=six=::1"];
    let seen = root.probe_output(&[&options[..], &hosts].concat(), &["file", "/etc/hosts"]);
    assert!(seen.contains("\n10.97.0.1\tup\n::1\tsix\n"), "{seen}");
    let named = [&options[..], &["--hostname", "some.where"]].concat();
    assert_eq!(root.probe_output(&named, &["file", "/etc/hostname"]), "some.where\n");
    if std::fs::exists("/etc/hosts").is_ok_and(|there| there) {
        let seen = probe(&[&options[..], &hosts].concat(), &["file", "/etc/hosts"]).finish().success();
        assert!(seen.contains("\n10.97.0.1\tup\n::1\tsix\n"), "{seen}");
    }
    only_lo();
});

network_case!(a_name_that_several_have, Needs::ROOT | Needs::BRIDGE, "check-same-names");
probe!("check-same-names", |_| {
    let records = Folder::new();
    let (state, root) = (records.text(""), Root::with_directories());
    let with = |more: &[&str], words: &[&str]| {
        root.probe(&[&["--state", &state, "--network", "bridge,forward", "--hostname", "same"], more].concat(), words)
    };
    // Each finds itself by its own name, the first line of which counts, and the others by theirs.
    let names = ["one", "two", "three"];
    let all: Vec<Running> = names.iter().map(|name| with(&["--name", name], &["hold"]).start_ready()).collect();
    let hosts = |container: &Running| {
        let path = format!("/proc/{}/root/etc/hosts", children(container.pid)[1]);
        std::fs::read_to_string(path).expect("/etc/hosts")
    };
    for (container, own) in all.iter().zip(names) {
        let text = hosts(container);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
        let of = |name: &str| lines.iter().find(|words| words[1..].contains(&name)).map(|words| words[0]);
        assert_eq!(of("same"), of(own), "{text}");
        let json = mydocker(&["ps", "--json", "--state", &state, "-f", &format!("name={own}")]).finish().success();
        assert!(json.contains(&format!(",\"address\":\"{}\",", of(own).expect("an address"))), "{json}");
        assert_eq!(names.iter().filter_map(|name| of(name)).collect::<BTreeSet<_>>().len(), 3, "{text}");
    }
    for container in all {
        container.finish().success();
    }
    let left = std::fs::read_dir(records.as_path()).expect("readdir").count();
    assert_eq!(left, 0);
    only_lo();
});

network_case!(what_a_network_of_its_own_allows, Needs::ROOT | Needs::BRIDGE, "check-sysctls");
probe!("check-sysctls", |_| {
    let options = ["--network", "bridge,forward"];
    let read = |more: &[&str], file: &str| {
        probe(&[&options[..], more].concat(), &["file", &format!("/proc/sys/net/{file}")]).finish().success()
    };
    // As docker has it, whoever a server becomes.
    assert_eq!(read(&["--cap-drop", "ALL"], "ipv4/ip_unprivileged_port_start"), "0\n");
    assert_eq!(read(&[], "ipv4/ping_group_range"), "0\t2147483647\n");
    // Its interface is there.
    let set = ["--sysctl", "net.ipv4.conf.eth0.rp_filter=2"];
    assert_eq!(read(&set, "ipv4/conf/eth0/rp_filter"), "2\n");
    only_lo();
});

network_case!(ports_of_the_hosts_own_network, Needs::ROOT, "check-own-ports");
probe!("check-own-ports", |_| {
    let run = run(&["--network", "ns:/proc/self/ns/net", "-p", "8080:80"], &["true"]);
    refused(run, "its ports are this host's: leave out -p");
    // Of several ports, it says which one is taken.
    let taken = TcpListener::bind("0.0.0.0:8081").expect("bind");
    let range = crate::support::harness::run(&["-p", "8080-8082:8080-8082"], &["true"]);
    refused(range, "\"8080-8082:8080-8082, port 8081\": EADDRINUSE");
    drop(taken);
});

network_case!(the_name_of_who_has_the_address_now, Needs::ROOT | Needs::BRIDGE, "check-names-again");
probe!("check-names-again", |_| {
    let records = Folder::new();
    let (state, root) = (records.text(""), Root::with_directories());
    let beside = |more: &[&str]| {
        root.probe(&[&["--state", &state, "--network", "bridge,forward"], more].concat(), &["hold"]).start_ready()
    };
    let own = ["--ip", "10.88.7.7", "--hostname", "same"];
    let other = beside(&[]);
    let first = beside(&own);
    let hosts = || {
        let path = format!("/proc/{}/root/etc/hosts", children(other.pid)[1]);
        std::fs::read_to_string(path).expect("/etc/hosts")
    };
    // Its container has ended, and another one has the address before mydocker takes the name back.
    let container = children(first.pid)[1];
    send(first.pid, libc::SIGSTOP);
    send(container, libc::SIGKILL);
    wait_until("its interface is gone", || interfaces().len() == 3);
    let second = beside(&own);
    send(first.pid, libc::SIGCONT);
    drop(first.reap());
    assert!(hosts().contains("10.88.7.7\tsame\n"), "{}", hosts());
    second.finish().success();
    assert!(!hosts().contains("10.88.7.7"), "{}", hosts());
    other.finish().success();
    only_lo();
});

network_case!(a_host_that_forwards_nothing, Needs::ROOT | Needs::BRIDGE, "check-forwarding");
probe!("check-forwarding", |_| {
    let outcome = run(&["--network", "bridge"], &["true"]).finish();
    assert_eq!(outcome.code(), 0);
    assert!(outcome.stderr_text().contains("--network bridge,forward"), "{outcome:?}");
    run(&["--network", "bridge,forward"], &["true"]).finish().success();
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("ip_forward"), "1\n");
    run(&["--network", "bridge"], &["true"]).finish().success();
});

network_case!(forty_at_once, Needs::ROOT | Needs::BRIDGE, "check-forty");
probe!("check-forty", |_| {
    let all: Vec<Running> = (0..40)
        .map(|_| run(&["--network", "bridge,forward", "--subnet", "10.88.0.0/16"], &probe_words(&["address"])).start())
        .collect();
    let addresses: BTreeSet<String> = all.into_iter().map(|one| one.finish().success()).collect();
    assert_eq!(addresses.len(), 40, "{addresses:?}");
    only_lo();
});

network_case!(a_bridge_that_another_one_makes, Needs::ROOT | Needs::BRIDGE | Needs::STRACE, "check-bridge-made");
probe!("check-bridge-made", |_| {
    // Between the question for the bridge and that for its network somebody else has made it: that is no other network.
    let folder = Folder::new();
    let seen = folder.text("strace");
    let late = beside_strace(&seen, "inject=sendto:signal=STOP:when=1");
    wait_until("it has asked, and is stopped", || {
        std::fs::read_to_string(&seen).is_ok_and(|calls| calls.contains("stopped by SIGSTOP"))
    });
    let first = server(&["--network", "bridge,forward"], "1");
    send(children(late.pid)[0], libc::SIGCONT);
    let outcome = late.reap();
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr_text());
    send(first.pid, libc::SIGTERM);
    drop(first.finish());
    only_lo();
    // The one that makes it is killed before it has an address, and what would remove it then, too: the next one gives it that.
    let made = folder.text("made");
    let early = beside_strace(&made, "inject=sendto:signal=STOP:when=4");
    wait_until("it has made it, and is stopped", || {
        std::fs::read_to_string(&made).is_ok_and(|calls| calls.contains("stopped by SIGSTOP"))
    });
    let keeper = children(early.pid)[0];
    let [guard, _] = children(keeper)[..] else { panic!("what removes the bridge, and PID 1") };
    send(guard, libc::SIGKILL);
    send(keeper, libc::SIGKILL);
    drop(early.reap());
    assert_eq!(interfaces(), ["lo", "mydocker0"]);
    let next = server(&["--network", "bridge,forward", "--ip", "10.88.7.7"], "1");
    assert_eq!(ask("10.88.7.7:80", 5).expect("from the host"), "5!");
    next.finish().success();
    only_lo();
});

/// A run on the bridge, with a fault in its calls of sendto(2).
fn beside_strace(seen: &str, fault: &str) -> Running {
    let mut words: Vec<OsString> = ["-o", seen, "-e", "trace=sendto", "-e", fault].map(OsString::from).into();
    words.extend([mydocker_file().into(), "run".into(), "--network".into(), "bridge,forward".into()]);
    words.extend(probe_words(&["status", "0"]));
    mydocker_at(&tool("strace").expect("strace"), &words).start()
}

network_case!(a_lock_that_somebody_else_holds, Needs::ROOT | Needs::BRIDGE, "check-lock");
probe!("check-lock", |_| {
    // Any user can hold a lock on the file of the network namespace: nobody waits for that for ever.
    let file = std::fs::File::open("/proc/self/ns/net").expect("open");
    file.lock().expect("flock");
    refused(run(&["--network", "bridge,forward"], &["true"]), "another process holds \"/proc/self/ns/net\"");
    file.unlock().expect("flock");
    run(&["--network", "bridge,forward"], &probe_words(&["status", "0"])).finish().silent(0);
    only_lo();
});

network_case!(bridges_that_are_refused, Needs::ROOT | Needs::BRIDGE, "check-bridges");
probe!("check-bridges", |_| {
    refused(run(&["--network", "bridge,forward", "--subnet", "127.0.0.0/8"], &["true"]), "");
    refused(run(&["--network", "bridge,forward", "--subnet", "224.0.0.0/16"], &["true"]), "--subnet");
    refused(run(&["--network", "bridge:lo"], &["true"]), "somebody else's");
    refused(run(&["--network", "bridge:all"], &["true"]), "a name for an interface");
    refused(run(&["--network", "bridge,forward", "--ip", "10.99.0.1"], &["true"]), "--ip");
    refused(run(&["--network", "bridge,forward", "--ip", "10.88.0.1"], &["true"]), "--ip");
    refused(run(&["--network", "bridge,forward", "--ip", "10.88.255.255"], &["true"]), "--ip");
    refused(run(&["--network", "bridge,forward", "--ip", "10.88.0.0"], &["true"]), "--ip");
    refused(run(&["--network", "bridge:too-long-a-name-"], &["true"]), "15 bytes");
    refused(run(&["--network", "bridge:br%d"], &["true"]), "15 bytes");
    add_address_to_lo([10, 88, 0, 20]);
    refused(run(&["--network", "bridge,forward", "--ip", "10.88.0.20"], &["true"]), "has");
    add_address_to_lo([192, 0, 2, 1]);
    refused(run(&["--network", "bridges"], &["true"]), "--network takes");
    refused(run(&["--ip", "10.88.0.2"], &["true"]), "--network bridge");
    refused(run(&["--network", "bridge,forward", "--subnet", "10.88.0.0/30"], &["true"]), "--subnet");
    let first = server(&["--network", "bridge,forward"], "1");
    // Another network under the same name, and the same network under another name.
    for options in [
        ["--network", "bridge,forward", "--subnet", "10.99.0.0/16"],
        ["--network", "bridge,forward", "--subnet", "10.88.0.0/24"],
        ["--network", "bridge:b2", "--subnet", "10.88.128.0/17"],
    ] {
        refused_beside(run(&options, &["true"]), "--subnet");
    }
    send(first.pid, libc::SIGTERM);
    drop(first.finish());
    only_lo();
});

network_case!(the_network_namespace_of_a_file, Needs::ROOT, "check-namespace");
probe!("check-namespace", |_| {
    let own = format!("{}\n", std::fs::read_link("/proc/self/ns/net").expect("readlink").display());
    let holder = server(&["--network", "none", "-p", "8080:80"], "1");
    let inside = format!("ns:/proc/{}/ns/net", children(holder.pid)[0]);
    let joined = probe(&["--network", &inside], &["namespaces"]).finish().success();
    assert!(!joined.contains(&own));
    assert_eq!(probe(&["--network", &inside], &["ask-tcp", "127.0.0.1:80", "3"]).finish().success(), "3!\n");
    holder.finish().success();
    let folder = Folder::new();
    mknodat(CWD, folder.path("fifo"), FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
    let fifo = format!("ns:{}", folder.text("fifo"));
    // Nobody writes to it.
    refused(run(&["--network", &fifo, "-p", "80"], &["true"]), "/fifo");
    for (path, message) in [
        (fifo.as_str(), "no network namespace"),
        ("ns:/proc/self/ns/uts", "no network namespace"),
        ("ns:/nowhere/at-all", "ENOENT"),
        ("ns:nobodys", "/run/netns/nobodys"),
    ] {
        refused(run(&["--network", path], &["true"]), message);
    }
});

network_case!(the_network_of_another_container, Needs::ROOT | Needs::SLEEP, "check-container");
probe!("check-container", |_| {
    let records = Folder::new();
    let state = records.text("records");
    let name = unique_name();
    let web = server(&["--state", &state, "--name", &name, "-p", "8080:80"], "3");
    // Its record says that it runs a moment after its command has begun.
    let await_running = |name: &str| {
        wait_until("it runs", || {
            mydocker(&["ps", "-q", "--filter", "status=running", "--state", &state])
                .finish()
                .stdout_text()
                .contains(name)
        });
    };
    await_running(&name);
    let network = format!("container:{name}");
    let beside = |network: &str, words: &[&str]| probe(&["--state", &state, "--network", network], words);
    assert_eq!(beside(&network, &["ask-tcp", "127.0.0.1:80", "3"]).finish().success(), "3!\n");
    // It publishes what it serves itself, in that network.
    let second =
        probe(&["--state", &state, "--network", &network, "-p", "8081:81"], &["serve-tcp", "81", "1"]).start_ready();
    assert_eq!(ask("127.0.0.1:8081", 4).expect("of the second"), "4!");
    second.finish().success();
    // What is executed in one that has joined a network is in that network too.
    let third = unique_name();
    let joined = run(&["--state", &state, "--name", &third, "--network", &network], &["sleep", "1000"]).start();
    await_running(&third);
    let words = [
        &["exec".into(), "--state".into(), (&state).into(), (&third).into()][..],
        &probe_words(&["ask-tcp", "127.0.0.1:80", "5"]),
    ];
    assert_eq!(mydocker(&words.concat()).finish().success(), "5!\n");
    joined.send(libc::SIGTERM);
    drop(joined.finish());
    assert_eq!(ask("127.0.0.1:8080", 6).expect("of the first"), "6!");
    web.finish().success();
    refused(beside(&network, &["status", "0"]), "no such container");
    refused(beside("container:", &["status", "0"]), "--network takes");
});

network_case!(messages_name_the_other_container, Needs::ROOT | Needs::STRACE, "check-names-container");
probe!("check-names-container", |_| {
    let records = Folder::new();
    let (state, name, strace) = (records.text("records"), unique_name(), tool("strace").expect("strace"));
    let other = probe(&["--state", &state, "--name", &name], &["hold"]).start_ready();
    wait_until("its record says that it runs", || {
        mydocker(&["ps", "-q", "--filter", "status=running", "--state", &state]).finish().stdout_text().contains(&name)
    });
    let seen = records.text("strace");
    let of = format!("container:{name}");
    for option in ["--pid", "--ipc", "--network"] {
        let mut words: Vec<OsString> =
            ["-f", "-o", &seen, "-e", "trace=setns", "-e", "inject=setns:error=EPERM"].map(OsString::from).into();
        words.extend([mydocker_file().into(), "run".into(), "--no-limits".into()]);
        words.extend(["--state", &state, option, &of].map(OsString::from));
        words.extend(probe_words(&["status", "0"]));
        let outcome = mydocker_at(&strace, &words).start().reap();
        let message = format!("setns \"{name}\": EPERM");
        assert_eq!(outcome.code(), 125, "{option} {outcome:?}");
        assert!(outcome.stderr_text().contains(&message), "{option} {}", outcome.stderr_text());
    }
    other.finish().success();
});

network_case!(an_ordinary_user_joins_no_other_container, Needs::ROOT | Needs::USER_NAMESPACES, "check-names-as-user");
probe!("check-names-as-user", |_| {
    let records = Folder::new();
    std::os::unix::fs::chown(records.as_path(), Some(65534), Some(65534)).expect("chown");
    let (state, name) = (records.text("records"), unique_name());
    let as_user = |run: Run| run.with(|command| command.uid(65534).gid(65534));
    let base = ["--no-limits", "--state", &state];
    let other = as_user(probe(&[&base[..], &["--name", &name]].concat(), &["hold"])).start_ready();
    let running = || as_user(mydocker(&["ps", "-q", "--filter", "status=running", "--state", &state])).finish();
    wait_until("its record says that it runs", || running().stdout_text().contains(&name));
    let of = format!("container:{name}");
    for option in ["--pid", "--ipc", "--network"] {
        let outcome = as_user(probe(&[&base[..], &[option, &of]].concat(), &["status", "0"])).start().reap();
        assert_eq!(outcome.code(), 125, "{option} {outcome:?}");
        for part in [format!("\"{name}\": "), "without root no other container may join it".into()] {
            assert!(outcome.stderr_text().contains(&part), "{option} {}", outcome.stderr_text());
        }
    }
    other.finish().success();
});

network_case!(ports_are_listed, Needs::ROOT, "check-listed");
probe!("check-listed", |_| {
    let records = Folder::new();
    let (state, name) = (records.text("records"), unique_name());
    let ports = ["-p", "80", "-p", "127.0.0.1:5300-5301:53-54/udp", "-p", "[::1]:8082:80"];
    let options = [&["--state", &state, "--name", &name, "--stats=json"][..], &ports].concat();
    let web = server(&options, "1");
    let list = |words: &[&str]| mydocker(&[&["ps", "--state", &state], words].concat()).finish().success();
    wait_until("it runs", || list(&["-q", "--filter", "status=running"]).contains(&name));
    let table = list(&[]);
    let listed = table.find("0.0.0.0:").map(|at| table[at..].trim_end()).expect("ports");
    let chosen = listed.strip_prefix("0.0.0.0:").and_then(|rest| rest.split_once("->")).expect("a port").0;
    let all =
        format!("0.0.0.0:{chosen}->80/tcp, [::]:{chosen}->80/tcp, 127.0.0.1:5300-5301->53-54/udp, [::1]:8082->80/tcp");
    assert_eq!(listed, all);
    let json = list(&["--json"]);
    assert!(json.contains(&format!(",\"ports\":\"{all}\",")), "{json}");
    assert_eq!(ask(&format!("127.0.0.1:{chosen}"), 3).expect("the chosen port"), "3!");
    let outcome = web.finish();
    assert!(outcome.stderr_text().contains(&format!(",\"ports\":\"{all}\",")), "{outcome:?}");
    // Hundreds are not too many for a record.
    let options = ["--state", &state, "--name", &name, "-p", "1-900"];
    let web = probe(&options, &["hold"]).start_ready();
    wait_until("it runs", || list(&["-q", "--filter", "status=running"]).contains(&name));
    assert!(list(&[]).trim_end().ends_with("/tcp, .."), "{}", list(&[]));
    web.finish().success();
});

network_case!(the_first_port_that_is_free, Needs::ROOT, "check-first-port");
probe!("check-first-port", |_| {
    let _taken = TcpListener::bind("127.0.0.1:8090").expect("bind");
    let records = Folder::new();
    let state = records.text("records");
    let name = unique_name();
    let options = ["--state", &state, "--name", &name, "-p", "8090-8092:80", "-p", "8090-8092:80"];
    let web = server(&options, "2");
    let list = || mydocker(&["ps", "--state", &state]).finish().success();
    wait_until("it is listed", || list().contains("->80/tcp"));
    let expected = "0.0.0.0:8091->80/tcp, [::]:8091->80/tcp, 0.0.0.0:8092->80/tcp, [::]:8092->80/tcp";
    assert!(list().trim_end().ends_with(expected), "{}", list());
    run(&["-p", "8090-8092:80"], &["true"]).finish().refused(125, &["8090-8092:80", "EADDRINUSE"]);
    for port in ["127.0.0.1:8091", "127.0.0.1:8092"] {
        assert_eq!(ask(port, 3).expect("an answer"), "3!");
    }
    web.finish().success();
});

network_case!(an_ordinary_users_port, Needs::ROOT | Needs::NAMESPACES, "check-users-port");
probe!("check-users-port", |_| {
    use std::os::unix::process::CommandExt;
    let words = ["-p", "8080:80"];
    let container =
        probe(&words, &["serve-tcp", "80", "1"]).with(|command| command.uid(65534).gid(65534)).start_ready();
    assert_eq!(ask("127.0.0.1:8080", 100).expect("an answer"), "100!");
    container.finish().success();
    refused(run(&["-p", "80:80"], &["true"]).with(|command| command.uid(65534).gid(65534)), "EACCES");
});

network_case!(a_trace_on_a_bridge_goes_on, Needs::ROOT | Needs::BRIDGE, "check-trace-bridge");
probe!("check-trace-bridge", |_| {
    let folder = Folder::new();
    let file = folder.text("trace");
    let option = format!("--trace={file}");
    run(&[&option, "--network", "bridge,forward"], &["true"]).finish().success();
    let trace = std::fs::read_to_string(&file).expect("trace");
    // A look at the host, while the plan is made, was the last that it showed.
    for phase in ["parent plan ", "parent start", "child  start", "parent wait ", "parent end  "] {
        assert!(trace.lines().any(|line| line.starts_with(phase) && line.contains(" = ")), "{phase}: {trace}");
    }
    only_lo();
});

network_case!(a_bridge_goes_after_each_step_too, Needs::ROOT | Needs::BRIDGE | Needs::TERMINAL, "check-step-bridge");
probe!("check-step-bridge", |_| {
    let folder = Folder::new();
    let file = folder.text("trace");
    let option = format!("--trace={file}");
    for (keys, status) in [(b"c\n", 0), (b"q\n", 125)] {
        let mut inside = in_terminal(probe(&["--step", &option, "--network", "bridge,forward"], &["status", "0"]));
        inside.await_screen("q: undo and quit] ");
        inside.press(keys);
        assert_eq!(inside.running.reap().code(), status);
        only_lo();
    }
    // The rehearsal before the first step is not the end of it.
    let trace = std::fs::read_to_string(&file).expect("trace");
    assert!(trace.lines().any(|line| line.starts_with("parent end  ") && line.contains(" = ")), "{trace}");
});
