//! `mydocker check`: its report on this host is true, and nothing stays behind.

use crate::probes::own_network::in_own_network;
use crate::support::harness::{Run, mydocker, mydocker_at, mydocker_file, probe, run};
use crate::support::host::host;
use crate::support::needs::Needs;
use crate::support::notes::note;
use crate::support::outcome::Outcome;
use crate::support::roots::Root;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, unmount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde_json::Value;
use std::fs;
use std::io;
use std::process::Command;

/// What a line of the report says, and whether the feature works.
struct Line {
    works: bool,
    says: String,
}

fn line(outcome: &Outcome, name: &str) -> Line {
    let report: Value = serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    let lines = report["checks"].as_array().expect("the checks");
    let line = lines.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("no {name}: {outcome:?}"));
    Line { works: line["works"].as_bool().expect("works"), says: line["says"].as_str().expect("says").to_string() }
}

fn json() -> Run {
    mydocker(&["check", "--json"])
}

case!(a_host_that_can, Needs::ROOT);
fn a_host_that_can() {
    let outcome = json().finish();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    for name in
        ["kernel", "mount namespace", "uts namespace", "ipc namespace", "pid namespace", "network namespace", "run"]
    {
        assert!(line(&outcome, name).works, "{name}: {outcome:?}");
    }
    let uname = rustix::system::uname();
    assert_eq!(line(&outcome, "kernel").says, uname.release().to_str().expect("UTF-8"));
    assert_eq!(line(&outcome, "architecture").says, uname.machine().to_str().expect("UTF-8"));
    // What the report says of an option must agree with a run that uses the option.
    for (name, options) in [
        ("-m", &["-m", "200m", "--memory-swap", "max"][..]),
        ("--memory-swap", &["-m", "200m"]),
        ("--cpus", &["--cpus", "1", "-m", "max"]),
        ("--pids-limit", &["--pids-limit", "100"]),
        ("--ephemeral", &["--ephemeral", "--no-limits"]),
        ("devpts", &["-t"]),
    ] {
        let works = probe(options, &["status", "0"]).finish().code() == 0;
        assert_eq!(line(&outcome, name).works, works || name == "--memory-swap" && Needs::SWAP.missing().is_some());
    }
}

case!(text_and_json_say_the_same, Needs::ROOT);
fn text_and_json_say_the_same() {
    let outcome = json().finish();
    let text = mydocker(&["check"]).finish();
    assert_eq!(text.code(), outcome.code());
    let report: Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    let lines: Vec<String> = report["checks"]
        .as_array()
        .expect("the checks")
        .iter()
        .map(|line| {
            let works = if line["works"] == true { "yes" } else { "no" };
            format!("{:20}{works:5}{}", line["name"].as_str().expect("name"), line["says"].as_str().expect("says"))
        })
        .collect();
    assert!(lines.len() > 20);
    assert_eq!(text.stdout_text().lines().collect::<Vec<_>>(), lines);
    assert_eq!(text.stderr_text(), "");
    assert_eq!(report["works"], outcome.code() == 0);
}

case!(what_is_forwarded, Needs::ROOT | Needs::BRIDGE | Needs::NFT);
fn what_is_forwarded() {
    in_own_network("check-forwarded");
}
probe!("check-forwarded", |_| {
    let forwarding = |value: &str| {
        fs::write("/proc/sys/net/ipv4/ip_forward", value).expect("ip_forward");
        line(&json().finish(), "forwarding")
    };
    let off = forwarding("0");
    assert!(!off.works && off.says.contains("--network bridge,forward"), "{}", off.says);
    let nft = |command: &str| assert!(Command::new("nft").arg(command).status().expect("nft").success(), "{command}");
    // Neither another hook, nor another family, nor another policy stands in the way.
    nft("add table ip filter; add chain ip filter INPUT { type filter hook input priority 0; policy drop; }");
    nft("add table ip6 filter; add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }");
    nft("add chain ip filter FORWARD { type filter hook forward priority 0; policy accept; }");
    let on = forwarding("1");
    assert!(on.works && on.says.starts_with("on"), "{}", on.says);
    nft("chain ip filter FORWARD { policy drop; }");
    let dropped = forwarding("1");
    assert!(!dropped.works && dropped.says.contains("\"filter FORWARD\""), "{}", dropped.says);
    let as_user = line(&json().before(become_nobody).finish(), "forwarding");
    assert!(!as_user.works && as_user.says.contains("slirp4netns"), "{}", as_user.says);
});

case!(the_status_tells_whether_run_works, Needs::NOTHING);
fn the_status_tells_whether_run_works() {
    let works = probe(&[], &["status", "0"]).finish().code() == 0;
    assert_eq!(json().finish().code(), i32::from(!works));
}

/// Only in the copy of this process: drops every capability and takes an id that no user has.
fn become_nobody() -> io::Result<()> {
    // SAFETY: the calls take integers, and setgroups an empty list
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(65534, 65534, 65534) == 0
            && libc::setresuid(65534, 65534, 65534) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

case!(an_ordinary_user_is_told_what_is_missing, Needs::ROOT);
fn an_ordinary_user_is_told_what_is_missing() {
    let outcome = json().before(become_nobody).finish();
    // A directory cannot be executed: a run that fails on that has set up the whole container.
    let works = run(&[], &["/"]).before(become_nobody).finish().code() == 126;
    assert_eq!(outcome.code(), i32::from(!works), "{outcome:?}");
    let pid = line(&outcome, "pid namespace");
    assert!(pid.works || pid.says.contains("EPERM") && pid.says.contains("root"), "{}", pid.says);
    let memory = line(&outcome, "-m");
    assert!(!memory.works && memory.says.contains('E'), "the user owns no cgroup: {}", memory.says);
}

case!(an_ordinary_user_is_told_what_a_run_would_do, Needs::USER_NAMESPACES);
/// A user's run has a user namespace, in which other things are possible.
fn an_ordinary_user_is_told_what_a_run_would_do() {
    let outcome = if host().root { json().before(become_nobody) } else { json() }.finish();
    for name in ["cgroup namespace", "pivot_root"] {
        assert!(line(&outcome, name).works, "{name}: {}", line(&outcome, name).says);
    }
    // Over a folder, and not over the host's own files.
    assert_eq!(line(&outcome, "overlay").works, Needs::OVERLAY.missing().is_none(), "{outcome:?}");
    let over_host = line(&outcome, "--ephemeral");
    assert!(!over_host.works && over_host.says.contains("mounts of the host"), "{}", over_host.says);
    // Packets are forwarded from a bridge.
    let forwarding = line(&outcome, "forwarding");
    assert!(!forwarding.works && forwarding.says.contains("slirp4netns and pasta do not"), "{}", forwarding.says);
    for name in ["squashfs", "erofs", "ext4"] {
        let image = line(&outcome, name);
        assert!(!image.works && image.says.contains("only root of the host can"), "{name}: {}", image.says);
    }
}

case!(a_chroot_is_told_what_it_lacks, Needs::ROOT | Needs::OVERLAY);
/// A chroot lacks a mount point, or a /proc: no kernel, module or option of the boot would help.
fn a_chroot_is_told_what_it_lacks() {
    let root = crate::support::roots::Root::with_directories();
    fs::create_dir(root.0.path("bin")).expect("mkdir");
    root.0.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
    // What is there: neither, both, only the mount point.
    for (has_proc, is_mount) in [(false, false), (true, false), (true, true), (false, true)] {
        let (path, proc) = (crate::probes::c_string(&root.path()), crate::probes::c_string(&root.0.text("proc")));
        let run = mydocker_at("/mydocker".as_ref(), &["check", "--json"]).before(move || {
            own_mounts()?;
            if is_mount {
                mount_bind_recursive(&path, &path)?;
            }
            if has_proc {
                mount(c"proc", &proc, c"proc", MountFlags::empty(), None)?;
            }
            rustix::process::chroot(&path)?;
            Ok(rustix::process::chdir(c"/")?)
        });
        let outcome = run.finish();
        let case = format!("/proc {has_proc}, mount point {is_mount}: {outcome:?}");
        for name in ["-m", "--memory-swap", "--cpus", "overlay", "--ephemeral", "pivot_root", "user namespace"] {
            let says = line(&outcome, name).says;
            for fix in ["boot with", "a kernel with", "modprobe"] {
                assert!(!says.contains(fix), "{name}: {says}: {case}");
            }
        }
        let memory = line(&outcome, "-m").says;
        assert_eq!(memory.contains("is /proc mounted?"), !has_proc, "{case}");
        let in_namespace = line(&outcome, "mount namespace");
        assert_eq!(in_namespace.works, is_mount, "{case}");
        assert!(is_mount || in_namespace.says.contains("bind the root onto itself"), "{case}");
        assert_eq!(line(&outcome, "pivot_root").works, is_mount, "{case}");
        for name in ["overlay", "--ephemeral"] {
            assert_eq!(line(&outcome, name).works, has_proc && is_mount, "{name}: {case}");
        }
    }
}

case!(a_hierarchy_that_is_mounted_nowhere, Needs::ROOT);
/// Where a container is the host, and has no mounts of cgroups.
fn a_hierarchy_that_is_mounted_nowhere() {
    let root = Root::with_directories();
    let file = format!("{}:/mydocker:ro", mydocker_file().display());
    let options = ["--privileged", "--rootfs", &root.path(), "-v", &file];
    let outcome = run(&options, &["/mydocker", "check", "--json"]).finish();
    for controller in ["memory", "cpu", "cpuset", "pids"] {
        let line = line(&outcome, &format!("cgroup {controller}"));
        let place = line.says.split(", ").nth(1).unwrap_or_default();
        assert!(!line.works || place.starts_with('/') || place == "mounted nowhere", "{controller}: {}", line.says);
    }
}

case!(where_each_controller_is, Needs::ROOT | Needs::MOUNTED);
fn where_each_controller_is() {
    let outcome = json().finish();
    for controller in ["memory", "cpu", "cpuset", "pids"] {
        let line = line(&outcome, &format!("cgroup {controller}"));
        match host().carrier(controller) {
            None => assert!(!line.works, "{controller}: {}", line.says),
            Some(hierarchy) => {
                let expected =
                    format!("{}, {}, own group ", if hierarchy.v2 { "v2" } else { "v1" }, hierarchy.point.display());
                assert!(line.works && line.says.starts_with(&expected), "{controller}: {}", line.says);
                let own = host().path_of_group(controller, std::process::id() as i32);
                assert!(line.says.ends_with(own.trim_end_matches('/')), "{controller}: {}", line.says);
            }
        }
    }
}

/// Enters a mount namespace of its own, from which no mount propagates to the host.
pub fn own_mounts() -> io::Result<()> {
    // SAFETY: unshare with CLONE_NEWNS leaves the address space and the descriptor table alone
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    Ok(mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
}

case!(no_dev, Needs::ROOT);
fn no_dev() {
    let outcome = json()
        .before(|| {
            own_mounts()?;
            Ok(mount(c"tmpfs", c"/dev", c"tmpfs", MountFlags::empty(), None)?)
        })
        .finish();
    let (terminal, image) = (line(&outcome, "devpts"), line(&outcome, "loop"));
    assert!(!terminal.works && terminal.says.contains("-t needs /dev/pts"), "{}", terminal.says);
    // A run makes the nodes that it needs.
    assert!(image.works || Needs::LOOP.missing().is_some() && image.says.contains("modprobe loop"), "{}", image.says);
    assert_eq!(outcome.code(), 0, "run works without both: {outcome:?}");
}

case!(no_cgroups, Needs::ROOT | Needs::MOUNTED);
fn no_cgroups() {
    let points: Vec<_> = host().points.iter().map(|point| crate::probes::c_string(point)).collect();
    let outcome = json()
        .before(move || {
            own_mounts()?;
            // /proc/self/cgroup still names the cgroups, so mydocker would find them through a detached mount: here
            // that fails too.
            points.iter().rev().try_for_each(|point| Ok(unmount(point.as_c_str(), UnmountFlags::DETACH)?))
        })
        .finish();
    let memory = line(&outcome, "cgroup memory");
    assert!(!memory.says.contains("/sys/fs/cgroup"), "{}", memory.says);
    assert_eq!(line(&outcome, "-m").works, memory.works, "{}", line(&outcome, "-m").says);
    assert_eq!(outcome.code(), 0, "the defaults work without it: {outcome:?}");
}

case!(no_more_of_one_namespace, Needs::ROOT);
/// A new user namespace has limits of its own, and here one of them is 0.
fn no_more_of_one_namespace() {
    if fs::read_to_string("/proc/sys/user/max_user_namespaces").map_or(true, |most| most.trim() == "0") {
        note("this host has no user namespaces");
        return;
    }
    for (file, name) in [
        (c"/proc/sys/user/max_net_namespaces", "network namespace"),
        (c"/proc/sys/user/max_uts_namespaces", "uts namespace"),
    ] {
        let outcome = json()
            .before(move || {
                // SAFETY: this process has just been forked and has one thread
                unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }?;
                for (file, content) in [
                    (c"/proc/self/uid_map", &b"0 0 1"[..]),
                    (c"/proc/self/setgroups", b"deny"),
                    (c"/proc/self/gid_map", b"0 0 1"),
                ]
                .into_iter()
                .chain([(file, &b"0"[..])])
                {
                    let file = rustix::fs::open(file, rustix::fs::OFlags::WRONLY, rustix::fs::Mode::empty())?;
                    rustix::io::write(&file, content)?;
                }
                Ok(())
            })
            .finish();
        let other = if name == "uts namespace" { "network namespace" } else { "uts namespace" };
        let missing = line(&outcome, name);
        assert!(!missing.works && missing.says.contains("ENOSPC"), "{name}: {} {outcome:?}", missing.says);
        assert!(missing.says.contains("/proc/sys/user"), "the line says how to fix it: {}", missing.says);
        assert!(line(&outcome, other).works, "{other}: {}", line(&outcome, other).says);
        assert_eq!(outcome.code(), 1, "run needs it: {outcome:?}");
        assert!(line(&outcome, "run").says.contains("ENOSPC"));
    }
}

case!(nothing_is_left, Needs::ROOT);
fn nothing_is_left() {
    let mounts = || fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let before = mounts();
    let running = json().start();
    let directory = format!("mydocker-{}", running.pid);
    running.reap();
    assert_eq!(host().directories(&directory), Vec::<std::path::PathBuf>::new());
    assert_eq!(mounts(), before);
}

case!(other_words_are_refused, Needs::NOTHING);
fn other_words_are_refused() {
    mydocker(&["check", "--yaml"]).finish().usage_error(&["--yaml"]);
    mydocker(&["check", "--json", "x"]).finish().usage_error(&["not: \"x\""]);
}
