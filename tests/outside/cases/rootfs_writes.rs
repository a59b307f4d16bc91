//! Where writes go: nowhere, or to memory; over a directory and over the host's own files.

use crate::probes::own_mounts::{in_own_mounts, mount_tmpfs};
use crate::support::folder::Folder;
use crate::support::harness::{Run, mydocker_at, mydocker_file, probe, probe_file};
use crate::support::host::{host, tool};
use crate::support::needs::Needs;
use crate::support::processes::{children, wait_until};
use crate::support::roots::{Root, has_option, mount_at, probe_in};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_move, unmount};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

case!(a_read_only_root, Needs::NAMESPACES);
fn a_read_only_root() {
    let root = Root::with_directories();
    let seen = root.probe_output(&["--read-only"], &["write", "/x", "/etc/x", "/dev/shm/x", "/dev/x"]);
    assert_eq!(seen, "EROFS\nEROFS\nok\nok\n");
    assert_eq!(root.names(), ["dev", "etc", "proc", "sys"]);
    let files = ["/etc/hosts", "/etc/hostname"];
    let write = [&["write"], &files[..]].concat();
    assert_eq!(root.probe_output(&["--read-only"], &write), "EROFS\nEROFS\n");
    assert_eq!(root.probe_output(&[], &write), "ok\nok\n");
}

case!(read_only_host_files, Needs::NAMESPACES);
fn read_only_host_files() {
    let folder = Folder::new();
    let file = folder.text("x");
    assert_eq!(probe(&["--read-only"], &["write", &file, "/dev/null"]).finish().success(), "EROFS\nok\n");
    assert!(!folder.path("x").exists());
    fs::write(&file, "the host can still write").expect("write");
}

case!(writes_to_memory, Needs::ROOT | Needs::OVERLAY);
fn writes_to_memory() {
    let root = Root::with_directories();
    root.0.write("kept", b"as it was\n");
    fs::set_permissions(root.0.as_path(), fs::Permissions::from_mode(0o751)).expect("chmod");
    chown(root.0.as_path(), Some(3), Some(4)).expect("chown");
    let seen = root.probe_output(&["--ephemeral"], &["write", "/kept", "/new", "/etc/new"]);
    assert_eq!(seen, "ok\nok\nok\n");
    assert_eq!(fs::read(root.0.path("kept")).expect("read"), b"as it was\n");
    assert!(!root.0.path("new").exists() && !root.0.path("etc/new").exists());
    assert_eq!(root.probe_output(&["--ephemeral"], &["file", "/kept"]), "as it was\n");
    // The top directory has the mode and owner of the directory below it.
    assert_eq!(root.probe_output(&["--ephemeral"], &["see", "/"]), "folder 751\n");
    // Missing directories are made there too, and do not stay.
    let root = Root::new();
    root.probe_output(&["--ephemeral"], &["status", "0"]);
    assert!(root.names().is_empty());
}

case!(files_keep_their_identity, Needs::ROOT | Needs::OVERLAY);
/// What goes by the device and the number of a file, such as `du -x` and `find -xdev`, sees one filesystem; and a file that is
/// written to is the same as before.
fn files_keep_their_identity() {
    let root = Root::with_directories();
    let linked = root.0.write("linked", b"x");
    fs::hard_link(&linked, root.0.path("etc/linked")).expect("link");
    fs::create_dir(root.0.path("folder")).expect("mkdir");
    root.0.write("folder/file", b"x");
    let paths = ["identity", "/", "/folder", "/folder/file", "/etc", "/linked"];
    let seen = root.probe_output(&["--ephemeral"], &paths);
    let device = seen.split(' ').next().expect("a device");
    assert!(seen.lines().all(|line| line.split(' ').next() == Some(device)), "{seen}");
    let [one, other] = ["/linked", "/etc/linked"].map(|name| root.probe_output(&["--ephemeral"], &["identity", name]));
    let number = |line: &str| line.split(' ').nth(1).map(String::from);
    assert_eq!(number(&one), number(&other), "{one}{other}");
}

case!(a_link_in_the_way_to_a_mount, Needs::ROOT | Needs::OVERLAY | Needs::STRACE);
/// Whoever may write to the root exchanges a directory above a mount for a link, after mydocker has read where the mounts are, and
/// before it uses that.
fn a_link_in_the_way_to_a_mount() {
    in_own_mounts("private", "link-to-layer");
}

probe!("link-to-layer", |_| {
    let (root, folder) = (Root::with_directories(), Folder::new());
    for name in ["data", "elsewhere", "elsewhere/b"] {
        fs::create_dir(folder.path(name)).expect("mkdir");
    }
    folder.write("elsewhere/b/secret", b"of the host\n");
    fs::create_dir_all(root.0.path("a/b")).expect("mkdir");
    rustix::mount::mount_bind(folder.text("data"), root.0.text("a/b")).expect("bind");
    // The first layer is that of the root; mydocker pauses before it.
    let seen = folder.text("strace");
    let delay = "inject=chdir:delay_enter=3000000:when=1";
    let mut words: Vec<std::ffi::OsString> =
        ["-f", "-o", &seen, "-e", "trace=chdir", "-e", delay].map(Into::into).into();
    words.push(mydocker_file().into());
    let run =
        ["run", "--no-limits", "--rootfs", &root.path(), "--ephemeral", "/probe", "--probe", "file", "/a/b/secret"];
    words.extend(run.map(Into::into));
    let running = mydocker_at(&tool("strace").expect("strace"), &words).start();
    wait_until("the upper layer is prepared", || {
        let child = children(running.pid).first().and_then(|pid| children(*pid).first().copied());
        let mounts = child.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok());
        mounts.is_some_and(|mounts| mounts.lines().any(|line| line.contains(" /proc rw") && line.contains(" - tmpfs ")))
    });
    fs::rename(root.0.path("a"), root.0.path("was")).expect("rename");
    std::os::unix::fs::symlink(folder.path("elsewhere"), root.0.path("a")).expect("symlink");
    let outcome = running.reap();
    rustix::mount::unmount(root.0.text("was/b"), UnmountFlags::DETACH).expect("unmount");
    assert_eq!((outcome.code(), outcome.stdout_text().as_str()), (125, ""), "{outcome:?}");
    assert!(outcome.stderr_text().contains("ELOOP"), "{outcome:?}");
    0
});

case!(what_cannot_be_a_layer, Needs::ROOT | Needs::OVERLAY);
/// Such a mount is read-only, or left out and named.
fn what_cannot_be_a_layer() {
    in_own_mounts("private", "no-layer");
}

probe!("no-layer", |_| {
    // The upper directories of an overlay cannot be on one.
    let (root, folder) = (Root::with_directories(), Folder::in_memory());
    let bind = |source: &str, target: &str| rustix::mount::mount_bind(source, target).expect("bind");
    let overlay = |lower: &str, target: &str| {
        for name in ["upper", "work"] {
            fs::create_dir(folder.path(&format!("{name}-{target}"))).expect("mkdir");
        }
        let [upper, work] = ["upper", "work"].map(|name| folder.text(&format!("{name}-{target}")));
        let target = folder.text(target);
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let options = crate::probes::c_string(&options);
        mount("overlay", &target, "overlay", MountFlags::empty(), Some(options.as_c_str())).expect("mount");
    };
    for name in ["folder", "fuse", "two"] {
        fs::create_dir(root.0.path(name)).expect("mkdir");
    }
    for name in ["first", "second"] {
        fs::create_dir(folder.path(name)).expect("mkdir");
    }
    let file = root.0.write("file", b"covered\n");
    let replaced = folder.write("replaced", b"mounted\n");
    bind(&replaced, &file);
    fs::remove_file(&replaced).expect("unlink");
    fs::create_dir(folder.path("removed")).expect("mkdir");
    bind(&folder.text("removed"), &root.0.text("folder"));
    fs::remove_dir(folder.path("removed")).expect("rmdir");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert_eq!(mounts.matches("//deleted ").count(), 2, "{mounts}");
    overlay(&root.path(), "first");
    overlay(&folder.text("first"), "second");
    bind(&folder.text("second"), &root.0.text("two"));

    let outcome = root.probe(&["--ephemeral"], &["write", "/file", "/folder/new", "/two/new", "/new"]).finish();
    assert_eq!((outcome.code(), outcome.stdout_text().as_str()), (0, "ok\nok\nEROFS\nok\n"), "{outcome:?}");
    let said = outcome.stderr_text();
    assert!(said.lines().count() == 1 && said.contains("left out") && said.contains(file.as_str()), "{said}");
    assert_eq!(fs::read(&file).expect("read"), b"mounted\n");
    assert_eq!(root.probe(&["--ephemeral"], &["file", "/file"]).finish().stdout_text(), "covered\n");
    // A third overlay is one too many: for the root itself that is an error.
    let second = folder.text("second");
    let outcome = probe_in(&second, &["--ephemeral"], &["status", "0"]).finish();
    outcome.refused(125, &["EINVAL", second.as_str(), "two overlays"]);
    assert!(!outcome.stderr_text().contains("chroot"), "{outcome:?}");
    if Needs::FUSE.missing().is_none() {
        // Nobody but this user may enter it, and nobody answers.
        let server = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("open");
        let options =
            format!("fd={},rootmode=40000,user_id=1000,group_id=1000", std::os::fd::AsRawFd::as_raw_fd(&server));
        let options = crate::probes::c_string(&options);
        let point = root.0.text("fuse");
        mount("fuse", &point, "fuse", MountFlags::empty(), Some(options.as_c_str())).expect("mount");
        let outcome = root.probe(&["--ephemeral"], &["file", "/proc/self/mountinfo"]).finish();
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        assert!(has_option(mount_at(&outcome.stdout_text(), "/fuse"), "ro"), "{outcome:?}");
        unmount(&point, UnmountFlags::DETACH).expect("unmount");
    }
    for point in [&file, &root.0.text("folder"), &root.0.text("two"), &second, &folder.text("first"), &folder.text(".")]
    {
        unmount(point, UnmountFlags::DETACH).expect("unmount");
    }
    0
});

fn bytes_written(run: Run) -> u64 {
    let text = run.finish().success();
    text.trim_end().strip_prefix("ENOSPC ").unwrap_or_else(|| panic!("{text}")).parse().expect("a number")
}

case!(memory_is_bounded, Needs::NAMESPACES | Needs::OVERLAY);
fn memory_is_bounded() {
    let root = Root::with_directories();
    let within =
        |written: u64, bytes: u64| assert!(written > bytes / 10 * 9 && written <= bytes, "{written} of {bytes}");
    within(bytes_written(root.probe(&["--ephemeral=8m"], &["fill", "/big"])), 8 << 20);
    // All combinations.
    within(bytes_written(root.probe(&["--ephemeral=8m"], &["fill", "/etc/big"])), 8 << 20);
}

case!(a_full_root_is_no_oom_kill, Needs::NAMESPACES.and(Needs::OVERLAY).and(Needs::MEMORY));
fn a_full_root_is_no_oom_kill() {
    let root = Root::with_directories();
    let written = bytes_written(root.probe(&["-m", "64m", "--ephemeral"], &["fill", "/big"]));
    assert!(written > 30 << 20 && written <= 32 << 20, "{written}: half of 64m");
}

case!(ephemeral_and_read_only, Needs::NAMESPACES | Needs::OVERLAY);
fn ephemeral_and_read_only() {
    let root = Root::with_directories();
    assert_eq!(root.probe_output(&["--ephemeral", "--read-only"], &["write", "/x"]), "EROFS\n");
}

case!(sizes_that_are_none, Needs::NOTHING);
fn sizes_that_are_none() {
    for option in ["--ephemeral=x", "--ephemeral=0", "--ephemeral=-1", "--shm-size=x"] {
        probe(&[option], &["status", "0"]).finish().usage_error(&[]);
    }
}

case!(the_hosts_own_root, Needs::ROOT | Needs::OVERLAY);
fn the_hosts_own_root() {
    let folder = Folder::new();
    let file = folder.write("file", b"the host's\n");
    let new = folder.text("new");
    assert_eq!(probe(&["--ephemeral"], &["file", &file]).finish().success(), "the host's\n");
    assert_eq!(probe(&["--ephemeral"], &["write", &file, &new, "/new-at-the-top"]).finish().success(), "ok\nok\nok\n");
    assert_eq!(fs::read(&file).expect("read"), b"the host's\n");
    assert!(!folder.path("new").exists() && !std::path::Path::new("/new-at-the-top").exists());
}

case!(the_hosts_own_root_is_a_root_of_its_own, Needs::ROOT | Needs::OVERLAY);
fn the_hosts_own_root_is_a_root_of_its_own() {
    let run = probe(&["--ephemeral", "--hostname", "h"], &["env"]).with(|command| command.env("OWN", "1"));
    let mut lines: Vec<String> = run.finish().success().lines().map(String::from).collect();
    lines.sort();
    assert_eq!(lines[..2], ["HOME=/root", "HOSTNAME=h"], "{lines:?}");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(probe(&["--ephemeral"], &["folder"]).finish().success(), "/\n");
    assert_eq!(probe(&["--ephemeral"], &["list", "/dev"]).finish().success().lines().count(), 14);
    assert_eq!(probe(&["--ephemeral"], &["list", "/sys/class/net"]).finish().success(), "lo\n");
}

case!(mounts_that_stand_before_the_root, Needs::ROOT | Needs::OVERLAY | Needs::MEMORY | Needs::MOUNTED);
fn mounts_that_stand_before_the_root() {
    in_own_mounts("private", "moved-root");
}

probe!("moved-root", |_| moved_root());
/// A host whose initramfs has mounted something that it moves into the root, as Debian's does with /run and dracut with the
/// cgroups: in mountinfo they stand before the root.
fn moved_root() {
    // In memory: from the new root nothing could remove them.
    mount_tmpfs("/mnt");
    let (early, root) = ("/mnt/early", "/mnt/root");
    fs::create_dir(early).expect("mkdir");
    fs::create_dir(root).expect("mkdir");
    mount_tmpfs(early);
    fs::write("/mnt/early/file", "early\n").expect("write");
    mount("/", root, "", MountFlags::BIND | MountFlags::REC, None).expect("bind");
    mount_move(early, format!("{root}/run").as_str()).expect("move");
    // As switch_root(8) does it.
    rustix::process::chdir(root).expect("chdir");
    mount_move(".", "/").expect("move");
    rustix::process::chroot(".").expect("chroot");
    rustix::process::chdir("/").expect("chdir");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let at = |point: &str| mounts.lines().position(|line| line.split(' ').nth(4) == Some(point)).expect("mounted");
    assert!(at("/run") < at("/"), "{mounts}");
    assert_eq!(probe(&["--ephemeral"], &["file", "/run/file"]).finish().success(), "early\n");
    probe(&["-m", "50m"], &["status", "3"]).finish().silent(3);
}

case!(the_hosts_other_mounts, Needs::ROOT | Needs::OVERLAY);
fn the_hosts_other_mounts() {
    in_own_mounts("private", "layers");
}

probe!("layers", |_| layers());
/// Every other mount shows its files, and none of them can be written to.
fn layers() {
    let folder = Folder::new();
    let point = |name: &str| {
        fs::create_dir(folder.path(name)).expect("mkdir");
        folder.text(name)
    };
    // A mount with a mode and an owner of its own, one below it, a read-only one, and one with an odd path.
    let outer = point("outer");
    mount(
        "t",
        &outer,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        Some(c"mode=1770,uid=7,gid=8"),
    )
    .expect("mount");
    fs::write(folder.path("outer/file"), "outer\n").expect("write");
    let inner = point("outer/inner");
    mount_tmpfs(&inner);
    fs::write(folder.path("outer/inner/file"), "inner\n").expect("write");
    let odd = point("odd ,:\\\n");
    mount_tmpfs(&odd);
    fs::write(folder.path("odd ,:\\\n/file"), "odd\n").expect("write");
    // A file can be a mount point, but an overlay cannot be mounted on it.
    let file = folder.write("file", b"below\n");
    let other = folder.write("other", b"above\n");
    mount(other.as_str(), file.as_str(), "", MountFlags::BIND, None).expect("bind");
    // A /proc at another path would lead to every file of the host.
    let proc = point("proc");
    mount("proc", &proc, "proc", MountFlags::empty(), None).expect("mount of proc");
    // A mount that is hidden by another one is not visible, and does no harm.
    let hidden = point("hidden");
    fs::create_dir(folder.path("hidden/below")).expect("mkdir");
    mount_tmpfs(&folder.text("hidden/below"));
    mount_tmpfs(&hidden);

    let seen = |words: &[&str]| probe(&["--ephemeral"], words).finish().success();
    let files = [format!("{outer}/file"), format!("{inner}/file"), format!("{odd}/file"), file.clone()];
    for (path, content) in files.iter().zip(["outer\n", "inner\n", "odd\n", "above\n"]) {
        assert_eq!(seen(&["file", path]), content, "{path}");
    }
    assert_eq!(seen(&["see", &outer]), "folder 1770\n");
    assert_eq!(seen(&["list", &proc]), "");
    assert_eq!(seen(&["list", &hidden]), "");
    let all: Vec<&str> = files.iter().map(String::as_str).collect();
    assert_eq!(seen(&[&["write"], &all[..]].concat()), "ok\nok\nok\nEROFS\n");
    let mounts = seen(&["file", "/proc/self/mountinfo"]);
    let line = mount_at(&mounts, &outer);
    assert!(line.contains(" - overlay "), "{line}");
    for option in ["nosuid", "nodev", "noexec"] {
        assert!(has_option(line, option), "{option}: {line}");
    }
    for (path, content) in files.iter().zip(["outer\n", "inner\n", "odd\n", "above\n"]) {
        assert_eq!(fs::read_to_string(path).expect("read"), content, "{path} is unchanged");
    }
    // The same over a directory that has mounts below it.
    let root = folder.text(".");
    fs::copy(probe_file(), folder.path("probe")).expect("the probe in a root");
    let written = probe_in(&root, &["--ephemeral"], &["write", "/outer/inner/file", "/new"]).finish().success();
    assert_eq!(written, "ok\nok\n");
    assert_eq!(fs::read_to_string(&files[1]).expect("read"), "inner\n");
    for path in [&hidden, &folder.text("hidden/below"), &proc, &file, &odd, &inner, &outer] {
        unmount(path.as_str(), UnmountFlags::empty()).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

case!(everything_removed_and_everything_there, Needs::ROOT | Needs::OVERLAY | Needs::NO_INITRAMFS);
fn everything_removed_and_everything_there() {
    in_own_mounts("shared", "remove-host-files");
}

probe!("remove-host-files", |_| remove_everything());
/// In a mount namespace whose root is small: a tmpfs with a few files, and another filesystem below it.
fn remove_everything() {
    let folder = Folder::new();
    let top = folder.text(".");
    mount_tmpfs(&top);
    for name in ["proc", "sys", "dev", "bin", "home", "put-old"] {
        fs::create_dir(folder.path(name)).expect("mkdir");
    }
    fs::copy(probe_file(), folder.path("bin/probe")).expect("copy");
    fs::copy(crate::support::harness::mydocker_file(), folder.path("bin/mydocker")).expect("copy");
    mount_tmpfs(&folder.text("home"));
    fs::write(folder.path("home/file"), "kept\n").expect("write");
    fs::create_dir(folder.path("home/folder")).expect("mkdir");
    for (kind, name) in [("proc", "proc"), ("sysfs", "sys")] {
        mount(kind, folder.text(name).as_str(), kind, MountFlags::empty(), None).expect("mount");
    }
    mount("/dev", folder.text("dev").as_str(), "", MountFlags::BIND | MountFlags::REC, None).expect("bind");
    let before = listing(folder.as_path());
    rustix::process::chdir(folder.as_path()).expect("chdir");
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC,
    )
    .expect("propagation");
    // The check afterwards runs in a process of its own: this process has another root from now on.
    rustix::process::pivot_root(".", "put-old").expect("pivot_root");
    rustix::process::chdir("/").expect("chdir");
    let output = std::process::Command::new("/bin/mydocker")
        .args(["run", "--no-limits", "--ephemeral", "/bin/probe", "--probe", "remove-everything"])
        .output()
        .expect("start of mydocker");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    rustix::process::pivot_root("put-old", format!("put-old{top}").as_str()).expect("pivot_root back");
    rustix::process::chdir("/").expect("chdir");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.trim_end().parse::<u32>().expect("a number") >= 6, "{text}");
    assert_eq!(listing(folder.as_path()), before);
    unmount(top.as_str(), UnmountFlags::DETACH).expect("unmount");
}

case!(everything_of_a_virtual_host, Needs::ROOT | Needs::OVERLAY | Needs::VIRTUAL_HOST | Needs::BUSYBOX);
/// `rm -rf --no-preserve-root /` on a host that may be lost, with a second filesystem mounted below its root.
fn everything_of_a_virtual_host() {
    mount_tmpfs("/media");
    fs::create_dir("/media/folder").expect("mkdir");
    fs::write("/media/folder/file", "kept\n").expect("write");
    fs::write("/media/file", "kept\n").expect("write");
    let files = || -> Vec<_> {
        let all = listing(std::path::Path::new("/"));
        // Other cases create and remove files there.
        all.into_iter().filter(|path| !path.starts_with("/tmp")).collect()
    };
    let before = files();
    // The container's own /etc/hosts and similar files are mounts, and stay.
    let script =
        "rm -rf /media/* /etc/pass* /usr /root /lib /sbin; rm -rf /*; echo left: /media/* /usr* /init* /etc/pass*";
    let outcome = crate::support::harness::run(&["--ephemeral"], &["/bin/busybox", "sh", "-c", script]).finish();
    let removed = probe(&["--ephemeral"], &["remove-everything"]).finish();
    let (after, kept) = (files(), fs::read("/media/folder/file").expect("read"));
    unmount("/media", UnmountFlags::empty()).expect("no process keeps it busy");
    assert!(
        outcome.stdout_text().contains("left: /media/* /usr* /init* /etc/pass*"),
        "all was gone inside: {outcome:?}"
    );
    assert!(removed.success().trim_end().parse::<usize>().expect("a number") > 100, "{removed:?}");
    let gone: Vec<_> = before.iter().filter(|path| !after.contains(path)).collect();
    assert_eq!((gone.len(), after.len()), (0, before.len()), "{gone:?}");
    assert_eq!(kept, b"kept\n");
}

/// Every path below, without the filesystems of the kernel.
fn listing(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("readdir").flatten() {
            // These entries are no files, and change all the time.
            let kernel = ["proc", "sys", "dev"].iter().any(|name| entry.file_name() == *name)
                || host().points.iter().any(|point| entry.path() == std::path::Path::new(point));
            if !kernel && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
