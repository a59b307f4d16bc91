//! Neighbours that change what mydocker works on while it does.

use crate::probes::own_mounts::{in_own_mounts, mount_tmpfs};
use crate::probes::races::SWAPPED;
use crate::support::folder::Folder;
use crate::support::harness::{
    FORK_LOCK, Run, await_no_writer, mydocker, mydocker_at, mydocker_file, probe, probe_file, run,
};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::notes::note;
use crate::support::roots::Root;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_move, unmount};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that exchanges /proc, /sys and /dev of a root, as long as this lives.
struct Neighbour(Child);

impl Neighbour {
    fn of(root: &Root) -> Neighbour {
        let _no_writes = FORK_LOCK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let words = ["--probe", "swap", &root.path()];
        let mut child = Command::new(probe_file())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the neighbour");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Neighbour(child)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

/// `RACES=1000` asks for more runs than the usual number of each kind.
fn runs() -> usize {
    std::env::var("RACES").ok().and_then(|number| number.parse().ok()).unwrap_or(60)
}

/// Every run beside the neighbour fails with a message, or finds what it must. `start` starts mydocker with these words.
fn race(root: &Root, options: &[&str], start: &dyn Fn(&[&str]) -> Run) {
    let neighbour = Neighbour::of(root);
    let (mut refused, mut right, mut wrong) = (0, 0, Vec::new());
    let path = root.path();
    let words = [&["run", "--rootfs", path.as_str()], options, &["/probe", "--probe", "after-swaps"]].concat();
    for _ in 0..runs() {
        let outcome = start(&words).finish();
        match outcome.code() {
            125 => {
                outcome.refused(125, &[]);
                refused += 1;
            }
            _ if outcome.success() == "right\n" => right += 1,
            _ => wrong.push(outcome.stdout_text()),
        }
    }
    drop(neighbour);
    note(format!("{options:?}: {refused} refused, {right} right"));
    assert_eq!(wrong, Vec::<String>::new(), "{options:?}: of {} runs", runs());
    assert!(right > 0, "{options:?}: no run has come to its end");
}

fn root_with(make: impl Fn(&std::path::Path)) -> Root {
    let root = Root::with_directories();
    for (_, other) in SWAPPED {
        make(&root.0.path(other));
    }
    root
}

/// Directories in which some of what is mounted has a place, too.
fn root_with_directories() -> Root {
    root_with(|path| {
        for below in ["sys", "irq", "bus", "fs", "pts", "shm", "mqueue", "firmware", "self/fd"] {
            std::fs::create_dir_all(path.join(below)).expect("mkdir");
        }
    })
}

case!(other_directories, Needs::ROOT);
/// The neighbour exchanges them with other directories.
fn other_directories() {
    let root = root_with_directories();
    for options in [&[][..], &["--init", "--read-only"], &["--ephemeral"]] {
        race(&root, options, &|words| mydocker(words));
    }
}

case!(before_linux_5_12, Needs::ROOT | Needs::STRACE);
/// The same where mount_setattr(2) does not exist.
fn before_linux_5_12() {
    let (root, seen, file) = (root_with_directories(), Folder::new(), mydocker_file());
    let strace = tool("strace").expect("strace");
    let (seen, file) = (seen.text("strace"), file.to_str().expect("UTF-8"));
    let inject = "inject=mount_setattr:error=ENOSYS";
    race(&root, &[], &|words| {
        let before = ["-f", "-o", &seen, "-e", "trace=mount_setattr", "-e", inject, file];
        mydocker_at(&strace, &[&before, words].concat())
    });
}

case!(as_an_ordinary_user, Needs::ROOT | Needs::USER_NAMESPACES);
/// In a user namespace, where some of it is bound from the host.
fn as_an_ordinary_user() {
    let (root, place) = (root_with_directories(), Folder::new());
    for path in [root.0.as_path(), place.as_path()] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("chown");
    }
    let file = place.write_program("mydocker", &std::fs::read(mydocker_file()).expect("the file under test"));
    for options in [&[][..], &["--network", "host", "--pid", "host", "--ipc", "host"]] {
        race(&root, options, &|words| {
            mydocker_at(Path::new(&file), words).with(|command| command.uid(65534).gid(65534).current_dir("/"))
        });
    }
}

case!(links, Needs::ROOT);
/// The neighbour exchanges them with links to elsewhere in the root.
fn links() {
    let root = root_with(|path| std::os::unix::fs::symlink("/etc", path).expect("symlink"));
    race(&root, &[], &|words| mydocker(words));
}

case!(mounts_that_come_later, Needs::ROOT);
/// What the host mounts in a tree while the container runs would come in as it is: writable, and with device nodes.
fn mounts_that_come_later() {
    in_own_mounts("shared", "mounts-that-come-later");
}

probe!("mounts-that-come-later", |_| {
    let place = Folder::new();
    let place_path = place.text(".");
    mount_tmpfs(&place_path);
    for name in ["volume", "volume/later", "filled", "filled/before", "filled/before/later"] {
        std::fs::create_dir(place.path(name)).expect("mkdir");
    }
    let file = place.write("file", b"");
    let root = Root::with_directories();
    for name in ["later", "volume", "filled"] {
        std::fs::create_dir(root.0.path(name)).expect("mkdir");
    }
    root.0.write("file", b"");
    let root_path = root.path();
    for (mode, more) in [(":ro", &["--read-only"][..]), ("", &[])] {
        mount_tmpfs(&place.text("filled/before"));
        std::fs::create_dir(place.path("filled/before/later")).expect("mkdir");
        let [volume, one, filled] =
            ["volume:/volume", "file:/file", "filled:/filled"].map(|word| format!("{}{mode}", place.text(word)));
        let options = [&["--rootfs", &root_path, "-v", &volume, "-v", &one, "-v", &filled], more].concat();
        let running = run(&options, &["/probe", "--probe", "hold"]).start_ready();
        let pid = running.command_pid();
        let has = |point: &str| {
            let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("mountinfo");
            mounts.lines().any(|line| line.split(' ').nth(4) == Some(point))
        };
        for point in ["/", "/volume", "/file", "/filled", "/filled/before"] {
            assert!(has(point), "{point}");
        }
        let later = [place.text("volume/later"), root.0.text("later")];
        for path in &later {
            mount_tmpfs(path);
        }
        assert!(!has("/volume/later") && !has("/later"), "{more:?}");
        // What was there before is unmounted inside, too: its device would stay busy.
        unmount(place.path("filled/before"), UnmountFlags::empty()).expect("umount");
        assert!(!has("/filled/before"), "{more:?}");
        running.finish().success();
        for path in &later {
            unmount(path.as_str(), UnmountFlags::empty()).expect("umount");
        }
    }
    std::fs::remove_file(file).expect("unlink");
    unmount(place_path.as_str(), UnmountFlags::DETACH).expect("umount");
});

/// A mydocker whose root is `top`.
fn in_chroot(top: &Folder, words: &[&str]) -> Run {
    {
        let _no_forks = FORK_LOCK.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        std::fs::copy(mydocker_file(), top.path("mydocker")).expect("copy");
        await_no_writer(&top.path("mydocker"));
    }
    let top = crate::probes::c_string(&top.text("."));
    mydocker_at(Path::new("/mydocker"), words).before(move || {
        // SAFETY: chroot and chdir take a string that a NUL ends
        match unsafe { libc::chroot(top.as_ptr()) | libc::chdir(c"/".as_ptr()) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    })
}

case!(a_faked_proc, Needs::ROOT);
/// Ordinary files that tell of a cgroup; and one of those that mydocker would write to is a link.
fn a_faked_proc() {
    let place = Folder::new();
    for name in ["proc/self", "cgroups"] {
        std::fs::create_dir_all(place.path(name)).expect("mkdir");
    }
    place.write("proc/self/mountinfo", b"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / /cgroups rw - cgroup2 cgroup2 rw\n");
    place.write("proc/self/cgroup", b"0::/\n");
    place.write("proc/self/status", b"SigIgn:\t0\n");
    place.write("cgroups/cgroup.controllers", b"cpuset cpu io memory pids\n");
    place.write("cgroups/cgroup.procs", b"");
    place.write("victim", b"the victim's own bytes\n");
    std::os::unix::fs::symlink("/victim", place.path("cgroups/cgroup.subtree_control")).expect("symlink");
    for options in [&["-m", "100m"][..], &["--cpus", "0.5"], &["--pids-limit", "9"]] {
        let words = [&["run"][..], options, &["/mydocker", "--version"]].concat();
        in_chroot(&place, &words).finish().refused(125, &["/proc/self/", "is /proc mounted?"]);
        assert_eq!(std::fs::read(place.path("victim")).expect("read"), b"the victim's own bytes\n", "{options:?}");
    }
}

case!(a_covered_cgroup, Needs::ROOT | Needs::MEMORY);
/// What mountinfo lists as a cgroup is not what is at that path: another mount covers it, which is older and so listed before. The
/// limit is set in the kernel's cgroup all the same, and not in the files of the other mount.
fn a_covered_cgroup() {
    in_own_mounts("private", "covered-cgroup");
}

probe!("covered-cgroup", |_| {
    let (place, fake) = (Folder::new(), Folder::new());
    let own = std::fs::read_to_string("/proc/self/cgroup").expect("cgroup");
    let line = |name: &str| own.lines().find(|line| line.split(':').nth(1) == Some(name));
    let (kind, options, line) = match line("memory") {
        Some(line) => ("cgroup", "memory", line),
        None => ("cgroup2", "", line("").expect("v2")),
    };
    let own = line.splitn(3, ':').nth(2).expect("a path");
    mount_tmpfs(&fake.text("."));
    std::fs::create_dir_all(fake.path(own.trim_start_matches('/'))).expect("mkdir");
    for name in ["cgroup.controllers", "cgroup.subtree_control"] {
        fake.write(name, b"cpuset cpu io memory pids\n");
    }
    for mounted in std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo").lines().rev() {
        let words: Vec<&str> = mounted.split(' ').collect();
        if words.contains(&"cgroup") || words.contains(&"cgroup2") {
            unmount(words[4], UnmountFlags::DETACH).expect("umount");
        }
    }
    let data = crate::probes::c_string(options);
    mount(kind, place.as_path(), kind, MountFlags::empty(), Some(data.as_c_str())).expect("mount of cgroups");
    mount_move(fake.as_path(), place.as_path()).expect("move");
    let report = probe(&["--stats=json", "-m", "100m"], &["status", "0"]).finish();
    assert_eq!(report.code(), 0, "{report:?}");
    assert!(String::from_utf8_lossy(&report.stderr).contains("\"in_force\":\"104857600\""), "{report:?}");
    unmount(place.as_path(), UnmountFlags::DETACH).expect("umount");
    unmount(place.as_path(), UnmountFlags::DETACH).expect("umount");
});
