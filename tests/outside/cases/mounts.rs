//! Mounts: the container's own `/proc`, no mounts that propagate to the host, and those that still propagate from it.
//!
//! Where a case needs a shared `/`, it starts this file as a probe in a new mount namespace, so that no mistake reaches
//! the host; and that probe runs mydocker.

use crate::probes::own_mounts::{in_own_mounts, mount_tmpfs};
use crate::support::folder::Folder;
use crate::support::harness::{probe, run, waiting_container};
use crate::support::needs::Needs;
use crate::support::notes::note;
use crate::support::processes::wait_until;
use rustix::mount::{UnmountFlags, unmount};
use std::fs;

case!(shared_memory_of_its_own, Needs::NAMESPACES);
/// With an IPC namespace of its own, what is written to /dev/shm is not the host's, and does not stay.
fn shared_memory_of_its_own() {
    if !std::path::Path::new("/dev/shm").is_dir() {
        return note("not seen here: there is no /dev/shm");
    }
    let file = format!("/dev/shm/{}", crate::support::harness::unique_name());
    let writes = |options: &[&str]| probe(options, &["write", &file]).finish().success();
    assert_eq!(writes(&[]), "ok\n");
    assert_eq!(writes(&["--privileged", "--name", &crate::support::harness::unique_name()]), "ok\n");
    assert!(!std::path::Path::new(&file).exists());
    assert_eq!(probe(&["--name", "n"], &["list", "/dev/shm"]).finish().success(), "");
    let filled = probe(&["--shm-size", "1m"], &["fill", &file]).finish().success();
    assert_eq!(filled, format!("ENOSPC {}\n", 1 << 20));
    assert_eq!(writes(&["--ipc", "host"]), "ok\n");
    std::fs::remove_file(&file).expect("with the host's IPC it is the host's");
}

case!(its_name_resolves, Needs::NAMESPACES);
/// Java and sudo want to resolve the hostname.
fn its_name_resolves() {
    let Ok(hosts) = std::fs::read_to_string("/etc/hosts") else {
        return note("not seen here: there is no /etc/hosts");
    };
    for (options, line) in [(["--name", "case-n"], "case-n"), (["--hostname", "a.b.c"], "a.b.c a")] {
        let seen = probe(&options, &["file", "/etc/hosts"]).finish().success();
        assert!(seen.starts_with(&hosts) && seen.ends_with(&format!("\n127.0.0.1\t{line}\n")), "{seen}");
    }
    assert_eq!(std::fs::read_to_string("/etc/hosts").expect("read"), hosts);
    assert_eq!(probe(&[], &["file", "/etc/hosts"]).finish().success(), hosts);
    assert_eq!(probe(&["--name", "case-n", "--uts", "host"], &["file", "/etc/hosts"]).finish().success(), hosts);
}

case!(proc_is_mounted_with_its_flags, Needs::NAMESPACES);
fn proc_is_mounted_with_its_flags() {
    let text = probe(&[], &["file", "/proc/self/mountinfo"]).finish().success();
    let last = text.lines().rfind(|line| line.split(' ').nth(4) == Some("/proc")).expect("a mount on /proc");
    let fields: Vec<&str> = last.split(' ').collect();
    let flags: Vec<&str> = fields[5].split(',').collect();
    for flag in ["rw", "nosuid", "nodev", "noexec"] {
        assert!(flags.contains(&flag), "{flag} is not in {last}");
    }
    let dash = fields.iter().position(|field| *field == "-").expect("a dash");
    assert_eq!(fields[dash + 1], "proc", "{last}");
    assert_eq!(fields[3], "/", "{last}");
}

case!(the_command_sees_the_hosts_files, Needs::NAMESPACES);
fn the_command_sees_the_hosts_files() {
    let folder = Folder::new();
    let file = folder.write("from-the-host", b"some bytes\n");
    assert_eq!(probe(&[], &["file", &file]).finish().success(), "some bytes\n");
    let made = folder.text("from-inside");
    probe(&[], &["touch", &made]).finish().success();
    assert_eq!(fs::read(made).expect("the file that the command made"), b"was here");
}

case!(every_mount_inside_is_a_slave, Needs::ROOT);
/// Slave, not private: an unmount on the host must propagate into the container, or the device stays busy.
fn every_mount_inside_is_a_slave() {
    in_own_mounts("shared", "mounts-slaves");
}

case!(the_hosts_proc_and_mounts_stay, Needs::ROOT);
fn the_hosts_proc_and_mounts_stay() {
    in_own_mounts("private", "mounts-unchanged");
}

case!(the_same_where_root_is_shared, Needs::ROOT);
fn the_same_where_root_is_shared() {
    in_own_mounts("shared", "mounts-unchanged");
}

case!(a_mount_inside_stays_inside, Needs::ROOT);
fn a_mount_inside_stays_inside() {
    in_own_mounts("shared", "mounts-out");
}

case!(the_hosts_mounts_still_come_in, Needs::ROOT);
fn the_hosts_mounts_still_come_in() {
    in_own_mounts("shared", "mounts-in");
}

fn mounts_of(pid: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("mountinfo: the host's /proc is intact")
}

fn has_mount(pid: i32, folder: &str) -> bool {
    mounts_of(&pid.to_string()).lines().any(|line| line.split(' ').nth(4) == Some(folder))
}

probe!("mounts-unchanged", |_| unchanged());
fn unchanged() {
    let before = mounts_of("self");
    for options in [&[][..], &["-t", "-m", "100m"], &["--pid", "host"], &["--no-limits"]] {
        probe(options, &["pids"]).finish().success();
        let running = waiting_container(options);
        assert_eq!(mounts_of("self"), before, "while {options:?} runs");
        fs::read_link("/proc/self/exe").expect("the host's /proc while a container runs");
        running.finish().success();
        assert_eq!(mounts_of("self"), before, "after {options:?}");
        let stat = fs::read_to_string("/proc/self/stat").expect("the host's /proc after a run");
        assert!(stat.starts_with(&format!("{} ", std::process::id())), "{stat}");
    }
}

probe!("mounts-slaves", |_| slaves());
fn slaves() {
    let running = waiting_container(&[]);
    let inside = mounts_of(&running.command_pid().to_string());
    for line in inside.lines() {
        let options: Vec<&str> = line.split(' ').skip(6).take_while(|field| *field != "-").collect();
        assert!(!options.iter().any(|option| option.starts_with("shared:")), "propagates to the host: {line}");
        // The container's own /proc, /dev/shm and cgroups have no master.
        let fields: Vec<&str> = line.split(' ').collect();
        let own =
            (["/proc", "/dev/shm"].contains(&fields[4]) || fields[3].contains("/mydocker-")) && options.is_empty();
        assert!(own || options.iter().any(|option| option.starts_with("master:")), "not a slave: {line}");
    }
    running.finish().success();
}

probe!("mounts-out", |_| out());
fn out() {
    let folder = Folder::new();
    mount_tmpfs(&folder.text("."));
    fs::create_dir(folder.path("inside")).expect("mkdir");
    let before = mounts_of("self");
    // The command can only mount with CAP_SYS_ADMIN.
    let running = probe(&["--cap-add", "SYS_ADMIN"], &["mount", &folder.text("inside")]).start_ready();
    assert!(has_mount(running.command_pid(), &folder.text("inside")), "the mount is visible inside");
    assert_eq!(mounts_of("self"), before, "the mount is not visible outside");
    running.finish().success();
    assert_eq!(mounts_of("self"), before);
    unmount(folder.text(".").as_str(), UnmountFlags::empty()).expect("unmount: no process keeps it busy");
}

probe!("mounts-in", |_| come_in());
fn come_in() {
    let folder = Folder::new();
    mount_tmpfs(&folder.text("."));
    for name in ["before", "during"] {
        fs::create_dir(folder.path(name)).expect("mkdir");
    }
    let (before, during) = (folder.text("before"), folder.text("during"));
    mount_tmpfs(&before);
    let running = run(&[], &crate::support::harness::probe_words(&["hold"])).start_ready();
    let inside = running.command_pid();
    assert!(has_mount(inside, &before) && !has_mount(inside, &during));
    mount_tmpfs(&during);
    wait_until("a mount on the host propagates into the container", || has_mount(inside, &during));
    for name in [&before, &during] {
        unmount(name.as_str(), UnmountFlags::empty()).expect("unmount on the host");
        wait_until("an unmount on the host propagates into the container", || !has_mount(inside, name));
    }
    running.finish().success();
    unmount(folder.text(".").as_str(), UnmountFlags::empty()).expect("unmount: no process keeps it busy");
}
