//! The five namespaces, their contents, and the options that keep the host's.

use crate::probes::facts::NAMESPACES;
use crate::support::harness::{probe, probe_file, run, unique_name};
use crate::support::needs::Needs;
use crate::support::processes::{children, wait_for_end};
use std::fs;

fn hosts() -> Vec<String> {
    let link = |name| fs::read_link(format!("/proc/self/ns/{name}")).expect("readlink").display().to_string();
    NAMESPACES.map(link).to_vec()
}

/// The namespaces that a container with `options` shares with the host.
fn shared(options: &[&str]) -> Vec<&'static str> {
    let text = probe(options, &["namespaces"]).finish().success();
    let inside: Vec<&str> = text.lines().collect();
    assert_eq!(inside.len(), NAMESPACES.len(), "{text}");
    let hosts = hosts();
    (0..NAMESPACES.len()).filter(|&at| inside[at] == hosts[at]).map(|at| NAMESPACES[at]).collect()
}

case!(all_five_differ_from_the_hosts, Needs::NAMESPACES);
fn all_five_differ_from_the_hosts() {
    assert_eq!(shared(&[]), [""; 0]);
    assert_eq!(shared(&["-t"]), [""; 0]);
}

case!(the_hosts_are_kept_where_asked, Needs::NAMESPACES);
fn the_hosts_are_kept_where_asked() {
    assert_eq!(shared(&["--network", "host"]), ["net"]);
    assert_eq!(shared(&["--net=host"]), ["net"]);
    assert_eq!(shared(&["--pid=host"]), ["pid"]);
    assert_eq!(shared(&["--ipc", "host"]), ["ipc"]);
    assert_eq!(shared(&["--uts=host"]), ["uts"]);
    assert_eq!(shared(&["--uts=host", "--ipc=host", "--pid", "host", "--network=host"]), ["uts", "pid", "net", "ipc"]);
}

case!(pid_1_and_parent_0, Needs::NAMESPACES);
fn pid_1_and_parent_0() {
    assert_eq!(probe(&[], &["pids"]).finish().success(), "1 0\n");
}

case!(proc_shows_the_container, Needs::NAMESPACES);
fn proc_shows_the_container() {
    let text = probe(&[], &["list", "/proc"]).finish().success();
    let pids: Vec<&str> = text.lines().filter(|name| name.parse::<u32>().is_ok()).collect();
    assert_eq!(pids, ["1"], "processes in the container's /proc");
}

case!(proc_shows_the_host_where_asked, Needs::NAMESPACES);
fn proc_shows_the_host_where_asked() {
    let text = probe(&["--pid", "host"], &["list", "/proc"]).finish().success();
    let own = std::process::id().to_string();
    assert!(text.lines().any(|name| name == own), "this test's pid is not in /proc: {text}");
    let pids = probe(&["--pid", "host"], &["pids"]).finish().success();
    assert!(!pids.starts_with("1 ") && !pids.ends_with(" 0\n"), "pids of the host: {pids}");
}

case!(loopback_is_up, Needs::NAMESPACES);
/// Not only the interface flag: a byte over 127.0.0.1 arrives.
fn loopback_is_up() {
    let names = probe(&[], &["interfaces"]).finish().success();
    // Some kernels put tunnel devices, which are down, into every new namespace.
    assert!(names.split_whitespace().any(|name| name == "lo"), "{names}");
}

case!(network_none_is_the_default, Needs::NAMESPACES);
fn network_none_is_the_default() {
    assert_eq!(shared(&["--network", "none"]), [""; 0]);
    probe(&["--network=none"], &["interfaces"]).finish().success();
}

case!(the_hosts_uts_keeps_its_name, Needs::ROOT);
/// In a new UTS namespace, so that a mistake does not rename the host.
fn the_hosts_uts_keeps_its_name() {
    let name = unique_name();
    let unshare = || rustix_unshare_uts();
    let before = std::process::Command::new(probe_file()).args(["--probe", "hostname"]).output().expect("a probe");
    let seen = probe(&["--uts", "host", "--name", &name], &["hostname"]).before(unshare).finish();
    assert_eq!(seen.stdout, before.stdout, "{seen:?}");
    assert_eq!(seen.success().lines().count(), 1);
}

fn rustix_unshare_uts() -> std::io::Result<()> {
    // SAFETY: unshare with CLONE_NEWUTS leaves the address space and the descriptor table alone
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWUTS) }.map_err(Into::into)
}

case!(processes_end_with_pid_1, Needs::NAMESPACES);
/// The kernel kills the rest with PID 1: no process that it left keeps our pipes open, or runs on.
fn processes_end_with_pid_1() {
    let name = unique_name();
    let outcome = probe(&["--name", &name], &["leave-child"]).finish();
    assert_eq!(outcome.success(), "2\n");
}

case!(no_process_outlives_a_run_in_the_hosts_pids, Needs::NAMESPACES | Needs::MEMORY);
/// In the host's PID namespace the kernel does not kill the rest; a session and streams of its own do not save it from
/// mydocker.
fn no_process_outlives_a_run_in_the_hosts_pids() {
    for options in [&["--pid", "host"][..], &["--pid=host", "--no-limits"], &["--pid=host", "-m100m"]] {
        let left = probe(options, &["leave-child"]).finish().success();
        let pid: i32 = left.trim().parse().expect("a pid");
        // The process that adopted it may need a moment to reap it; but it must not be alive.
        let alive = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        if alive {
            // SAFETY: kill takes two integers; the probe printed this pid
            unsafe { libc::kill(pid, libc::SIGKILL) };
            wait_for_end(pid);
        }
        assert!(!alive, "{options:?}: process {pid} is still there");
    }
}

case!(the_hosts_own_namespaces_are_as_before, Needs::NAMESPACES);
fn the_hosts_own_namespaces_are_as_before() {
    let before = hosts();
    let running = run(&[], &crate::support::harness::probe_words(&["hold"])).start_ready();
    // mydocker itself stays in the host's namespaces; only the command is in new ones.
    for (at, name) in NAMESPACES.iter().enumerate() {
        let link = |pid| fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("readlink").display().to_string();
        assert_eq!(link(running.pid), before[at]);
        assert_ne!(link(children(running.pid)[0]), before[at]);
    }
    running.finish().success();
    assert_eq!(hosts(), before);
}
