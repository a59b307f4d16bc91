//! A directory as the root: what is in it, what is not, and what a command expects to find.

use crate::probes::own_mounts::mount_tmpfs;
use crate::support::folder::Folder;
use crate::support::harness::{probe, run, unique_name};
use crate::support::needs::Needs;
use crate::support::notes::note;
use crate::support::roots::{Root, has_option, mount_at, probe_in, start_with_pid};
use rustix::mount::{MountFlags, mount};
use std::fs;
use std::os::unix::fs::symlink;

case!(the_folder_is_the_root, Needs::NAMESPACES);
fn the_folder_is_the_root() {
    let root = Root::with_directories();
    root.0.write("mark", b"inside\n");
    assert_eq!(root.probe_output(&[], &["list", "/"]), "dev\netc\nmark\nprobe\nproc\nsys\n");
    assert_eq!(root.probe_output(&[], &["file", "/mark"]), "inside\n");
    assert_eq!(root.probe_output(&[], &["folder"]), "/\n");
    assert_eq!(root.probe_output(&[], &["pids"]), "1 0\n");
    root.probe_output(&[], &["touch", "/made"]);
    assert_eq!(fs::read(root.0.path("made")).expect("what the command made"), b"was here");
}

case!(a_relative_folder, Needs::NAMESPACES);
fn a_relative_folder() {
    let root = Root::with_directories();
    let run = probe_in(".", &[], &["list", "/etc"]).with(|command| command.current_dir(root.0.as_path()));
    assert_eq!(run.finish().success(), "hostname\nhosts\nresolv.conf\n");
}

case!(nothing_of_the_hosts_mounts_is_left, Needs::NAMESPACES);
fn nothing_of_the_hosts_mounts_is_left() {
    let root = Root::with_directories();
    let mounts = root.probe_output(&[], &["file", "/proc/self/mountinfo"]);
    for line in mounts.lines() {
        let point = line.split(' ').nth(4).expect("a mount point");
        let known = ["/", "/proc", "/sys", "/dev", "/etc"].contains(&point)
            || ["/proc/", "/sys/", "/dev/", "/etc/"].iter().any(|own| point.starts_with(own));
        assert!(known, "{line}");
    }
    // Not above the root either, where only another process can see it.
    let (running, pid) = start_with_pid(root.probe(&[], &["hold"]));
    let seen = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("mountinfo");
    assert_eq!(seen.lines().count(), mounts.lines().count(), "{seen}");
    running.finish().success();
}

case!(mounts_below_the_folder_come_along, Needs::ROOT);
fn mounts_below_the_folder_come_along() {
    crate::probes::own_mounts::in_own_mounts("shared", "below-root");
}

probe!("below-root", |_| below_root());
/// A mount below the root is present, writes reach it, and it is a slave.
fn below_root() {
    let root = Root::with_directories();
    fs::create_dir(root.0.path("below")).expect("mkdir");
    crate::probes::own_mounts::mount_tmpfs(&root.0.text("below"));
    fs::write(root.0.path("below/file"), "there\n").expect("write");
    assert_eq!(root.probe_output(&[], &["file", "/below/file"]), "there\n");
    let mounts = root.probe_output(&[], &["file", "/proc/self/mountinfo"]);
    assert!(mount_at(&mounts, "/below").contains(" master:"), "{mounts}");
    assert!(mount_at(&mounts, "/").contains(" master:"), "{mounts}");
    assert_eq!(root.probe_output(&[], &["write", "/below/new"]), "ok\n");
    assert_eq!(root.probe_output(&["--read-only"], &["write", "/below/other", "/x"]), "EROFS\nEROFS\n");
    if crate::support::needs::Needs::OVERLAY.missing().is_none() {
        assert_eq!(root.probe_output(&["--ephemeral"], &["write", "/below/other", "/below/file"]), "ok\nok\n");
        assert_eq!(fs::read(root.0.path("below/file")).expect("read"), b"there\n");
    }
    assert!(!root.0.path("below/other").exists() && root.0.path("below/new").exists());
    rustix::mount::unmount(root.0.text("below"), rustix::mount::UnmountFlags::empty())
        .expect("no process keeps it busy");
}

case!(what_is_missing_is_made_and_stays, Needs::NAMESPACES);
fn what_is_missing_is_made_and_stays() {
    let root = Root::new();
    root.probe_output(&[], &["status", "0"]);
    assert_eq!(root.names(), ["dev", "etc", "proc", "sys"]);
    // A run that fails before its command removes it again.
    let root = Root::new();
    root.refuses(&["-u", "nobody-of-that-name"], &["nobody-of-that-name"]);
    root.refuses(&["-w", "/proc/self/cwd"], &["openat2", "/proc/self/cwd"]);
    root.refuses(&["-v", &format!("{}:/probe", root.path())], &["/probe"]);
    root.refuses(&["--read-only"], &["EROFS"]);
}

case!(proc_and_sys, Needs::NAMESPACES);
fn proc_and_sys() {
    let root = Root::with_directories();
    let mounts = root.probe_output(&[], &["file", "/proc/self/mountinfo"]);
    for (point, kind, wanted) in [("/proc", "proc", "rw"), ("/sys", "sysfs", "ro")] {
        let line = mount_at(&mounts, point);
        assert!(line.contains(&format!(" - {kind} ")), "{line}");
        for option in [wanted, "nosuid", "nodev", "noexec"] {
            assert!(has_option(line, option), "{option}: {line}");
        }
    }
    // The /sys of its own network namespace.
    assert_eq!(root.probe_output(&[], &["list", "/sys/class/net"]), "lo\n");
    assert_eq!(root.probe_output(&[], &["write", "/sys/kernel/profiling"]), "EROFS\n");
}

case!(the_usual_devices, Needs::NAMESPACES);
fn the_usual_devices() {
    let root = Root::with_directories();
    let seen = root.probe_output(
        &[],
        &[
            "see",
            "/dev/null",
            "/dev/zero",
            "/dev/full",
            "/dev/random",
            "/dev/urandom",
            "/dev/tty",
            "/dev/fd",
            "/dev/stdin",
            "/dev/stdout",
            "/dev/stderr",
            "/dev/ptmx",
            "/dev/pts",
            "/dev/shm",
            "/dev/mqueue",
        ],
    );
    let expected = "char 1:3 666\nchar 1:5 666\nchar 1:7 666\nchar 1:8 666\nchar 1:9 666\nchar 5:0 666\n\
        link /proc/self/fd\nlink /proc/self/fd/0\nlink /proc/self/fd/1\nlink /proc/self/fd/2\nlink pts/ptmx\n\
        folder 755\nfolder 1777\nfolder 1777\n";
    assert_eq!(seen, expected);
    let listed = root.probe_output(&[], &["list", "/dev"]);
    assert_eq!(listed.lines().count(), 14, "{listed}");
    assert_eq!(root.probe_output(&[], &["see", "/dev/pts/ptmx"]), "char 5:2 666\n");
    // The umask of the caller has no effect on it, and the command has the usual umask.
    use std::os::unix::process::CommandExt;
    let run = root.probe(&[], &["see", "/dev/null"]).with(|command| {
        // SAFETY: umask takes an integer and is async-signal-safe
        unsafe {
            command.pre_exec(|| {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
                Ok(())
            })
        }
    });
    assert_eq!(run.finish().success(), "char 1:3 666\n");
    assert!(root.probe_output(&[], &["limits"]).ends_with(" 22\n"));
}

case!(devices_work, Needs::NAMESPACES);
fn devices_work() {
    let root = Root::with_directories();
    assert_eq!(
        root.probe_output(&[], &["write", "/dev/null", "/dev/full", "/dev/stdout", "/dev/tty"]),
        "ok\nENOSPC\nwrittenok\nENXIO\n"
    );
}

case!(shared_memory_has_a_size, Needs::NAMESPACES);
fn shared_memory_has_a_size() {
    let root = Root::with_directories();
    assert_eq!(root.probe_output(&[], &["fill", "/dev/shm/x"]), format!("ENOSPC {}\n", 64 << 20));
    assert_eq!(root.probe_output(&["--shm-size", "1m"], &["fill", "/dev/shm/x"]), format!("ENOSPC {}\n", 1 << 20));
}

case!(a_terminal_in_a_root, Needs::NAMESPACES | Needs::TERMINAL);
fn a_terminal_in_a_root() {
    let root = Root::with_directories();
    let outcome = root.probe(&["-t"], &["see", "/dev/pts/0", "/dev/pts/1"]).finish();
    assert_eq!(outcome.success(), "char 136:0 620\r\nENOENT\r\n");
    // The console is the same terminal.
    assert_eq!(root.probe(&["-t"], &["see", "/dev/console"]).finish().success(), "char 136:0 620\r\n");
    may_write_to_its_console(&root, "0");
    assert_eq!(root.probe_output(&[], &["see", "/dev/console"]), "ENOENT\n");
    let variables = root.probe(&["-t"], &["env"]).finish().success();
    assert!(variables.contains("TERM=xterm\r\n"), "{variables}");
}

fn may_write_to_its_console(root: &Root, user: &str) {
    let said = root.probe(&["-t", "-u", user], &["write", "/dev/console", "/dev/stdout"]).finish().success();
    assert_eq!(said, "writtenok\r\nwrittenok\r\n");
}

case!(another_users_terminal_in_a_root, Needs::ROOT | Needs::TERMINAL);
fn another_users_terminal_in_a_root() {
    may_write_to_its_console(&Root::with_directories(), "5");
}

case!(files_of_etc, Needs::NAMESPACES);
fn files_of_etc() {
    let root = Root::with_directories();
    let name = unique_name();
    assert_eq!(root.probe_output(&["--name", &name], &["file", "/etc/hostname"]), format!("{name}\n"));
    let hosts = root.probe_output(&["--hostname", "some.where"], &["file", "/etc/hosts"]);
    assert!(hosts.starts_with("127.0.0.1\tlocalhost\n::1\t"), "{hosts}");
    // The full name comes first: hostname -f.
    assert!(hosts.ends_with("\n127.0.0.1\tsome.where some\n"), "{hosts}");
    let expected = fs::read_to_string("/etc/resolv.conf").unwrap_or("the root's own\n".into());
    assert_eq!(root.probe_output(&[], &["file", "/etc/resolv.conf"]), expected);
    assert_eq!(root.probe_output(&[], &["write", "/etc/hosts"]), "ok\n");
    for file in ["hosts", "hostname", "resolv.conf"] {
        assert_eq!(fs::read(root.0.path("etc").join(file)).expect("read"), b"the root's own\n", "{file} is unchanged");
    }
    // A read-only root that has these files gets ours over them; one without them gets none.
    let hosts = root.probe_output(&["--read-only", "--hostname", "h"], &["file", "/etc/hosts"]);
    assert!(hosts.ends_with("\n127.0.0.1\th\n"), "{hosts}");
    fs::remove_file(root.0.path("etc/hosts")).expect("remove");
    assert_eq!(root.probe_output(&["--read-only"], &["see", "/etc/hosts"]), "ENOENT\n");
}

case!(files_of_etc_are_made, Needs::NAMESPACES);
fn files_of_etc_are_made() {
    let root = Root::new();
    assert!(root.probe_output(&[], &["file", "/etc/hosts"]).contains("localhost"));
    assert_eq!(fs::read(root.0.path("etc/hosts")).expect("a mount point"), b"");
    // What a dangling link leads to is made inside, as every root with systemd-resolved needs it.
    let root = Root::with_directories();
    for (name, to) in [("hosts", "/run/deep/hosts"), ("hostname", "../run/name"), ("resolv.conf", "link")] {
        fs::remove_file(root.0.path("etc").join(name)).expect("remove");
        symlink(to, root.0.path("etc").join(name)).expect("symlink");
    }
    symlink("../run/systemd/resolve/stub-resolv.conf", root.0.path("etc/link")).expect("symlink");
    let before = root.names();
    run(&["--rootfs", &root.path()], &["/none"]).finish().refused(127, &["not found"]);
    assert_eq!(root.names(), before, "what was made is removed if the command is not executed");
    assert!(root.probe_output(&[], &["file", "/etc/hosts"]).contains("localhost"));
    assert_eq!(root.probe_output(&["--hostname", "h"], &["file", "/run/name"]), "h\n");
    if let Ok(expected) = fs::read_to_string("/etc/resolv.conf") {
        assert_eq!(root.probe_output(&[], &["file", "/etc/resolv.conf"]), expected);
        assert_eq!(fs::read(root.0.path("run/systemd/resolve/stub-resolv.conf")).expect("a mount point"), b"");
    }
    assert_eq!(root.probe_output(&["--read-only"], &["see", "/etc/hosts"]), "link /run/deep/hosts\n");
}

case!(the_servers_behind_systemd_resolved, Needs::ROOT | Needs::RESOLV_CONF);
fn the_servers_behind_systemd_resolved() {
    crate::probes::own_mounts::in_own_mounts("private", "resolved");
}

probe!("resolved", |_| resolved());
/// A host whose resolv.conf names systemd-resolved, on an address that exists in its own network namespace.
fn resolved() {
    let folder = Folder::new();
    let file = folder.write("resolv.conf", b"# stub\nnameserver 127.0.0.53\noptions edns0\n");
    mount(file.as_str(), "/etc/resolv.conf", "", MountFlags::BIND, None).expect("bind");
    let root = Root::with_directories();
    let seen = || root.probe_output(&["--network", "host"], &["file", "/etc/resolv.conf"]);
    mount_tmpfs("/run");
    assert!(seen().contains("127.0.0.53"), "there are no others");
    fs::create_dir_all("/run/systemd/resolve").expect("mkdir");
    fs::write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.1\n").expect("write");
    assert_eq!(seen(), "nameserver 192.0.2.1\n");
    // With the host's own files, too, in a network that leads outside; in others the stub is of no less use than they.
    let of_host = |options: &[&str]| probe(options, &["file", "/etc/resolv.conf"]).finish().success();
    assert!(of_host(&[]).contains("127.0.0.53") && of_host(&["--network", "host"]).contains("127.0.0.53"));
    let has_shm = std::path::Path::new("/dev/shm").is_dir();
    if has_shm {
        let joined = format!("ns:/proc/{}/ns/net", std::process::id());
        assert_eq!(of_host(&["--network", &joined]), "nameserver 192.0.2.1\n");
    }
    if Needs::BRIDGE.missing().is_none() && has_shm {
        crate::probes::own_network::enter();
        assert_eq!(of_host(&["--network", "bridge,forward"]), "nameserver 192.0.2.1\n");
        assert_eq!(
            of_host(&["--network", "bridge,forward", "--dns", "192.0.2.7"]),
            "nameserver 192.0.2.7\noptions edns0\n"
        );
    }
    // In which domains a name is looked for, and how, is still the host's matter; and every form that a resolver takes is known.
    for text in ["  nameserver\t127.0.0.53 # stub\n", "nameserver 127.0.0.53\nnameserver 127.0.0.54\n"] {
        fs::write(&file, format!("search example\n{text}")).expect("write");
        assert_eq!(seen(), "nameserver 192.0.2.1\n", "{text:?}");
        let chosen = root.probe_output(&["--network", "host", "--dns", "192.0.2.7"], &["file", "/etc/resolv.conf"]);
        assert_eq!(chosen, "nameserver 192.0.2.7\nsearch example\n");
    }
    // Where others are named too, they are meant.
    fs::write(&file, "nameserver 127.0.0.53\nnameserver 192.0.2.2\n").expect("write");
    assert!(seen().contains("192.0.2.2"));
}

case!(masked_paths, Needs::NAMESPACES);
fn masked_paths() {
    let root = Root::with_directories();
    for file in ["interrupts", "kcore", "keys", "latency_stats", "sched_debug", "timer_list"] {
        let path = format!("/proc/{file}");
        if std::path::Path::new(&path).exists() {
            assert_eq!(root.probe_output(&[], &["file", &path]), "", "{path}");
            assert!(root.probe_output(&[], &["see", &path]).starts_with("char 1:3 "), "{path}");
        }
    }
    for folder in ["/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"] {
        if std::path::Path::new(folder).exists() {
            assert_eq!(root.probe_output(&[], &["list", folder]), "", "{folder}");
            assert_eq!(root.probe_output(&[], &["write", &format!("{folder}/x")]), "EROFS\n", "{folder}");
        } else {
            note(format!("not seen here: there is no {folder}"));
        }
    }
}

case!(read_only_kernel_paths, Needs::ROOT);
fn read_only_kernel_paths() {
    let root = Root::with_directories();
    assert_eq!(root.probe_output(&[], &["write", "/proc/sys/kernel/domainname"]), "EROFS\n");
    let mounts = root.probe_output(&[], &["file", "/proc/self/mountinfo"]);
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        if std::path::Path::new(path).exists() {
            assert!(has_option(mount_at(&mounts, path), "ro"), "{path}");
        } else {
            note(format!("not seen here: there is no {path}"));
        }
    }
}

case!(the_environment, Needs::NAMESPACES);
fn the_environment() {
    let root = Root::with_directories();
    let variables = |options: &[&str]| {
        let run = root.probe(options, &["env"]).with(|command| command.env("OWN", "caller's").env("PATH", "/host"));
        let mut lines: Vec<String> = run.finish().success().lines().map(String::from).collect();
        lines.sort();
        lines
    };
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(variables(&["--hostname", "h"]), ["HOME=/root", "HOSTNAME=h", path]);
    let file = root.0.write("variables", b"A=file\nHOME=/file\n");
    assert_eq!(
        variables(&["--hostname", "h", "--env-file", &file, "-e", "A=line", "-e", "OWN"]),
        ["A=line", "HOME=/file", "HOSTNAME=h", "OWN=caller's", path]
    );
}

case!(the_command_is_looked_for_inside, Needs::NAMESPACES);
fn the_command_is_looked_for_inside() {
    let root = Root::with_directories();
    fs::create_dir(root.0.path("bin")).expect("mkdir");
    fs::rename(root.0.path("probe"), root.0.path("bin/only-inside")).expect("rename");
    let run = |options: &[&str], command: &[&str]| {
        let path = root.path();
        crate::support::harness::run(&[&["--rootfs", &path], options].concat(), command).finish()
    };
    run(&[], &["only-inside", "--probe", "status", "5"]).silent(5);
    run(&["-e", "PATH=/nowhere"], &["only-inside"]).refused(127, &["only-inside"]);
    // The host's own path of the same file does not exist inside.
    run(&[], &[&root.0.text("bin/only-inside")]).refused(127, &["only-inside"]);
}

case!(what_is_no_root, Needs::NAMESPACES);
fn what_is_no_root() {
    let folder = Folder::new();
    let refused = |path: &str, words: &[&str]| probe_in(path, &[], &["status", "0"]).finish().refused(125, words);
    refused(&folder.text("missing"), &["missing", "ENOENT"]);
    refused("/dev/null", &["/dev/null", "no root"]);
    let _listener = std::os::unix::net::UnixListener::bind(folder.path("socket")).expect("bind");
    refused(&folder.text("socket"), &["socket", "no root"]);
}

case!(a_root_with_links_for_directories, Needs::NAMESPACES);
fn a_root_with_links_for_directories() {
    for name in ["dev", "proc", "sys"] {
        let root = Root::with_directories();
        let outside = Folder::new();
        fs::remove_dir(root.0.path(name)).expect("rmdir");
        symlink(outside.as_path(), root.0.path(name)).expect("symlink");
        root.refuses(&[], &[&format!("/{name}"), "a link or a file"]);
        assert_eq!(fs::read_dir(outside.as_path()).expect("readdir").count(), 0);
        // Before anything is made in the root.
        let root = Root::new();
        symlink("/", root.0.path(name)).expect("symlink");
        root.refuses(&[], &[&format!("/{name}")]);
        let root = Root::new();
        fs::write(root.0.path(name), "").expect("write");
        root.refuses(&[], &[&format!("/{name}")]);
    }
}

case!(with_the_hosts_namespaces, Needs::ROOT);
fn with_the_hosts_namespaces() {
    let root = Root::with_directories();
    let (running, pid) = start_with_pid(root.probe(&["--pid", "host"], &["hold"]));
    assert!(std::path::Path::new(&format!("/proc/{pid}/root/probe")).exists(), "it has the root");
    running.finish().success();
    let seen = root.probe_output(&["--pid", "host"], &["see", &format!("/proc/{}", std::process::id())]);
    assert!(seen.starts_with("folder"), "{seen}");
    // With the host's IPC namespace, its shared memory is mounted too.
    let name = format!("mydocker-{}", unique_name());
    let shared = format!("/dev/shm/{name}");
    fs::write(&shared, "shared\n").expect("write");
    let seen = root.probe(&["--ipc", "host"], &["file", &shared]).finish();
    fs::remove_file(&shared).expect("remove");
    assert_eq!(seen.success(), "shared\n");
    assert_eq!(root.probe_output(&[], &["see", &shared]), "ENOENT\n");
    let host = probe(&["--network", "host"], &["list", "/sys/class/net"]).finish().success();
    assert_eq!(root.probe_output(&["--network", "host"], &["list", "/sys/class/net"]), host);
}

case!(with_a_reaper, Needs::NAMESPACES);
fn with_a_reaper() {
    let root = Root::with_directories();
    root.probe(&["--init"], &["status", "9"]).finish().silent(9);
    assert_eq!(root.probe_output(&["--init"], &["pids"]), "2 1\n");
}

case!(odd_names, Needs::NAMESPACES);
fn odd_names() {
    let root = Root::with_directories();
    for name in ["a,b", "a:b", "a\\b", "a b", "a\nb", "a=b", "ä\u{1f333}"] {
        let path = root.0.path("..").join(format!("mydocker-{}-{name}", unique_name()));
        std::os::unix::fs::symlink(root.0.as_path(), &path).expect("symlink");
        let outcome = probe_in(path.to_str().expect("UTF-8"), &[], &["list", "/etc"]).finish();
        fs::remove_file(&path).expect("remove");
        assert_eq!(outcome.success(), "hostname\nhosts\nresolv.conf\n", "{name:?}");
    }
    let root = Root(Folder::with_suffix("-,:\\ \n"));
    fs::hard_link(crate::support::harness::probe_file(), root.0.path("probe"))
        .or_else(|_| fs::copy(crate::support::harness::probe_file(), root.0.path("probe")).map(drop))
        .expect("the probe");
    let expected = if std::path::Path::new("/etc/resolv.conf").exists() {
        "hostname\nhosts\nresolv.conf\n"
    } else {
        "hostname\nhosts\n"
    };
    assert_eq!(root.probe_output(&[], &["list", "/etc"]), expected);
    if Needs::OVERLAY.missing().is_none() {
        assert_eq!(root.probe_output(&["--ephemeral"], &["write", "/new"]), "ok\n");
        assert!(!root.0.path("new").exists());
    }
}
