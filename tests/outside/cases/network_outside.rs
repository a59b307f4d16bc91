//! What a network leaves behind when one of its processes is killed, and what passes between a container and the outside: another
//! namespace that a pair of interfaces connects to the one that stands for the host.

use crate::probes::own_network::{ask, in_own_network, interfaces};
use crate::support::folder::Folder;
use crate::support::harness::{Run, Running, mydocker, probe, probe_file, run, unique_name};
use crate::support::needs::Needs;
use crate::support::processes::{children, send, state, wait_until};
use rustix::mount::MountPropagationFlags;
use std::io::{BufRead, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const NEEDS: Needs =
    Needs::ROOT.and(Needs::SH).and(Needs::BRIDGE).and(Needs::SCRIPT_TOOLS).and(Needs::BRIDGE_TOOLS).and(Needs::NFT);

/// The words of a tool, which must work. Returns what it prints.
fn tool(words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().expect(words[0]);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// It may still be a zombie: who is orphaned is reaped by PID 1 of the host, and not every one does so at once.
fn has_ended(pid: i32) -> bool {
    state(pid).is_none_or(|state| state == 'Z')
}

case!(whoever_is_killed_leaves_nothing, NEEDS);
/// mydocker itself, what guards the bridge, PID 1 or the relay, at a random moment, every second time with an open connection; with MYDOCKER_KILLED so often,
/// and then nothing is left after 200 ms.
fn whoever_is_killed_leaves_nothing() {
    in_own_network("check-whoever-is-killed");
}
probe!("check-whoever-is-killed", |_| {
    let folder = Folder::in_memory();
    let records = folder.path("records");
    let state = ["--state", records.to_str().expect("a path")];
    let by_hand: Option<usize> = std::env::var("MYDOCKER_KILLED").ok().and_then(|text| text.parse().ok());
    let rounds = by_hand.unwrap_or(15);
    let (mut longest, mut longest_plain) = (Duration::ZERO, Duration::ZERO);
    let mut killed = [0; 4];
    let mut round = 0;
    while round < rounds {
        let options = ["--no-limits", "--network", "bridge,forward", "-p", "8080:80"];
        let container = probe(&[&state, &options[..]].concat(), &["echo-tcp"]).start();
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").subsec_nanos();
        std::thread::sleep(Duration::from_micros(u64::from(nanoseconds / 1000 % 40_000)));
        let connection = (round % 2 == 0).then(|| TcpStream::connect("127.0.0.1:8080"));
        let all = [&[container.pid][..], &children(container.pid)].concat();
        // Of those that are there by now.
        let victim = round % 4;
        let begin = Instant::now();
        if let Some(pid) = all.get(victim) {
            killed[victim] += 1;
            send(*pid, libc::SIGKILL);
        }
        round += 1;
        if victim != 0 {
            container.send(libc::SIGTERM);
        }
        drop(container.reap());
        wait_until("the port is free", || TcpListener::bind("0.0.0.0:8080").is_ok());
        wait_until("its interfaces are gone", || {
            !interfaces().iter().any(|name| name.starts_with('v') || name == "mydocker0")
        });
        wait_until("its rules are gone", || tool("nft list ruleset").is_empty());
        wait_until("its names are gone", || std::fs::read_dir(&records).map_or(0, Iterator::count) == 0);
        wait_until("its processes are gone", || all[1..].iter().all(|&pid| has_ended(pid)));
        longest = longest.max(begin.elapsed());
        drop(connection);
        if by_hand.is_some() {
            // How long the kernel takes for a pair of interfaces to anybody's namespace, in the same moment.
            let outside = Outside::new();
            let begin = Instant::now();
            drop(outside);
            wait_until("the pair is gone", || !interfaces().contains(&"up0".to_string()));
            longest_plain = longest_plain.max(begin.elapsed());
        }
    }
    assert!(killed[0] > 0, "{killed:?}");
    // On a busy host the kernel alone may take as long.
    let bound = Duration::from_millis(200).max(2 * longest_plain);
    assert!(
        by_hand.is_none() || longest <= bound,
        "something was left for {longest:?}; a plain pair {longest_plain:?}"
    );
    probe(&[&state, &["--network", "bridge,forward"][..]].concat(), &["status", "0"]).finish().silent(0);
    assert_eq!(std::fs::read_dir(&records).map_or(0, Iterator::count), 0);
    assert_eq!(interfaces(), ["lo"]);
});

case!(
    pasta_leads_outside,
    Needs::ROOT.and(Needs::SCRIPT_TOOLS).and(Needs::BRIDGE_TOOLS).and(Needs::BRIDGE).and(Needs::PASTA)
);
/// For an ordinary user and for root. It ends with mydocker, however that ends.
fn pasta_leads_outside() {
    in_own_network("check-pasta");
}
probe!("check-pasta", |_| {
    // SAFETY: unshare with CLONE_NEWNS leaves the address space and the descriptor table alone
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.expect("unshare");
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("private");
    // Where udev does not do it, an ordinary user may not open it.
    let folder = Folder::in_memory();
    let device = folder.text("tun");
    tool(&format!("mknod -m 600 {device} c 10 200"));
    tool(&format!("mount --bind {device} /dev/net/tun"));
    let outside = Outside::new();
    let network = ["--network", "pasta"];
    let as_user = run(&network, &["true"]).with(|command| command.uid(65534).gid(65534)).finish();
    as_user.refused(125, &["\"/dev/net/tun\"", "EACCES", "chmod 666 /dev/net/tun"]);
    tool(&format!("chmod 666 {device}"));
    let refused = run(&network, &["true"]).finish();
    assert_eq!(refused.code(), 125, "{refused:?}");
    assert!(refused.stderr_text().contains("a default route"), "{refused:?}");
    tool("ip route add default via 192.0.2.2");
    for user in [65534, 0] {
        let by_user = |run: Run| run.with(move |command| command.uid(user).gid(user));
        // Its own 127.0.0.1 is not the host's.
        let own = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = own.local_addr().expect("getsockname").to_string();
        // pasta looks for new ports of the host once in a second.
        let script = format!("sleep 2; exec \"$0\" --probe connects {address}");
        let file = probe_file();
        let words = ["sh", "-c", &script, file.to_str().expect("UTF-8")];
        assert_eq!(by_user(run(&network, &words)).finish().success(), "false\n");
        let asked = by_user(probe(&network, &["ask-peer", "192.0.2.2:80"])).finish();
        assert_eq!(asked.success(), "192.0.2.1\n", "of user {user}");
        let options = [&network[..], &["-p", "8080:80"]].concat();
        let container = by_user(probe(&options, &["serve-tcp", "80", "2"])).start_ready();
        assert_eq!(ask("127.0.0.1:8080", 7).expect("an answer"), "7!");
        let [_, guard, _] = children(container.pid)[..] else { panic!("the command, what ends pasta, the relay") };
        let [pasta] = children(guard)[..] else { panic!("pasta") };
        send(container.pid, libc::SIGKILL);
        drop(container.reap());
        for pid in [guard, pasta] {
            wait_until("pasta has ended", || has_ended(pid));
        }
    }
    let container = probe(&network, &["hold"]).start_ready();
    let [_, guard] = children(container.pid)[..] else { panic!("the command, and what ends pasta") };
    send(children(guard)[0], libc::SIGKILL);
    wait_until("it is missed", || container.errors_so_far().contains("slirp4netns or pasta has ended"));
    assert_eq!(container.finish().code(), 0);
    let script = run(&["--network", "pasta", "--dry-run=sh"], &["true"]).finish().success();
    assert!(script.contains("leave out --network pasta"), "{script}");
    let calls = run(&["--network", "pasta", "--dry-run"], &["true"]).finish().success();
    assert!(calls.contains("execve(\"/usr/bin/pasta\""), "{calls}");
    drop(outside);
});

probe!("tell-peers", |_| {
    let listener = TcpListener::bind("0.0.0.0:80").expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    for stream in listener.incoming() {
        let mut stream = stream.expect("accept");
        let peer = stream.peer_addr().expect("getpeername");
        drop(write!(stream, "{}", peer.ip()));
    }
});

probe!("ask-peer", |words| {
    let stream = TcpStream::connect(words.text(0)).expect("connect");
    println!("{}", std::io::read_to_string(stream).expect("an answer"));
});

probe!("ask-for-each-line", |_| {
    println!("ready");
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let address: SocketAddr = line.expect("a line").parse().expect("an address");
        let answer = TcpStream::connect_timeout(&address, Duration::from_millis(500))
            .and_then(std::io::read_to_string)
            .unwrap_or_else(|error| format!("{:?}", error.kind()));
        println!("answer {number} {answer}\nend {number}");
        std::io::stdout().flush().expect("flush");
    }
});

/// The outside: a namespace with 192.0.2.2, in which a server tells whoever connects their own address. The host is 192.0.2.1.
struct Outside {
    server: Child,
}

impl Outside {
    fn new() -> Outside {
        let mut server = Command::new("unshare")
            .arg("--net")
            .arg(probe_file())
            .args(["--probe", "tell-peers"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        std::io::BufReader::new(server.stdout.as_mut().expect("stdout")).read_line(&mut line).expect("read");
        assert_eq!(line, "ready\n");
        let outside = Outside { server };
        tool(&format!("ip link add up0 type veth peer name up1 netns {}", outside.server.id()));
        tool("ip addr add 192.0.2.1/24 dev up0");
        tool("ip link set up0 up");
        outside.tool("ip addr add 192.0.2.2/24 dev up1");
        outside.tool("ip link set up1 up");
        outside
    }

    fn tool(&self, words: &str) -> String {
        tool(&format!("nsenter --net=/proc/{}/ns/net {words}", self.server.id()))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.server.kill().and_then(|()| self.server.wait()).expect("the end of the outside");
    }
}

/// What the container is answered from the outside, when it asks for the time `number`.
fn answer(container: &mut Running, number: usize) -> String {
    container.write_stdin(b"192.0.2.2:80\n");
    let all = container.await_output(&format!("end {number}\n"));
    let line = all.lines().find_map(|line| line.strip_prefix(&format!("answer {number} ")));
    line.expect("an answer").to_string()
}

case!(the_way_out, NEEDS);
/// The outside sees the host's address. Whoever flushes the rules does not change that; a firewall that forwards nothing does,
/// but published ports work even then.
fn the_way_out() {
    in_own_network("check-way-out");
}
probe!("check-way-out", |_| {
    let outside = Outside::new();
    let mut container = probe(&["-i", "--network", "bridge,forward"], &["ask-for-each-line"]).start_ready();
    assert_eq!(answer(&mut container, 0), "192.0.2.1");
    tool("nft flush ruleset");
    assert!(tool("nft list ruleset").contains("masquerade"), "the table is its socket's own");
    assert_eq!(answer(&mut container, 1), "192.0.2.1");
    // As docker and firewalls have it.
    tool("nft add table ip firewall");
    tool("nft add chain ip firewall forward { type filter hook forward priority 0 ; policy drop ; }");
    tool("nft add rule ip firewall forward ip daddr 192.0.2.2 counter");
    assert_eq!(answer(&mut container, 2), "TimedOut");
    let rules = tool("nft list chain ip firewall forward");
    assert!(rules.contains("counter packets") && !rules.contains("packets 0 "), "{rules}");
    // Published ports do: from the outside over IPv4 and IPv6, from the host, from a container, and from within itself.
    tool("ip addr add fd00:2::1/64 dev up0 nodad");
    outside.tool("ip addr add fd00:2::2/64 dev up1 nodad");
    let (records, name) = (Folder::new(), unique_name());
    let state = records.text("records");
    let base = ["--state", &state, "--no-limits"];
    let published = [&base[..], &["--name", &name, "--network", "bridge,forward", "-p", "8080:80"]].concat();
    let server = probe(&published, &["serve-tcp", "80", "6"]).start_ready();
    let running = ["ps", "-q", "--filter", "status=running", "--state", &state];
    wait_until("it is noted", || mydocker(&running).finish().stdout_text().contains(&name));
    let probe_path = probe_file().into_os_string().into_string().expect("UTF-8");
    for address in ["192.0.2.1", "[fd00:2::1]"] {
        assert_eq!(outside.tool(&format!("{probe_path} --probe ask-tcp {address}:8080 7")), "7!\n", "{address}");
    }
    for address in ["127.0.0.1", "192.0.2.1"] {
        assert_eq!(ask(&format!("{address}:8080"), 8).expect("from the host"), "8!", "{address}");
    }
    for network in ["bridge,forward".into(), format!("container:{name}")] {
        let asks = probe(&[&base[..], &["--network", &network]].concat(), &["ask-tcp", "10.88.0.1:8080", "9"]);
        assert_eq!(asks.start().reap().success(), "9!\n", "{network}");
    }
    server.finish().success();
    tool("nft delete table ip firewall");
    assert_eq!(answer(&mut container, 3), "192.0.2.1");
    container.finish().success();
    drop(outside);
    wait_until("no interface but lo is left", || interfaces() == ["lo"]);
    assert_eq!(tool("nft list ruleset"), "");
});

case!(a_bridge_that_is_down, NEEDS);
/// Somebody has taken it down: a container on it would reach nobody, and nobody would say so.
fn a_bridge_that_is_down() {
    in_own_network("check-bridge-down");
}
probe!("check-bridge-down", |_| {
    let first = probe(&["--network", "bridge,forward"], &["hold"]).start_ready();
    tool("ip link set mydocker0 down");
    let refused = probe(&["--network", "bridge,forward"], &["status", "0"]).finish();
    refused.refused(125, &["the bridge is down", "mydocker0", "ip link set NAME up"]);
    tool("ip link set mydocker0 up");
    probe(&["--network", "bridge,forward"], &["status", "0"]).finish().silent(0);
    first.finish().success();
});
