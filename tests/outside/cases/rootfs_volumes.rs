//! What is mounted in the root: directories and files of the host, memory, devices.

use crate::probes::own_mounts::in_own_mounts;
use crate::probes::own_mounts::mount_tmpfs;
use crate::support::folder::Folder;
use crate::support::harness::{mydocker_at, mydocker_file, probe, run};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::roots::Root;
use rustix::mount::{UnmountFlags, unmount};
use std::fs;
use std::os::unix::fs::PermissionsExt;

case!(a_folder_and_a_file, Needs::NAMESPACES);
fn a_folder_and_a_file() {
    let (root, host) = (Root::with_directories(), Folder::new());
    let file = host.write("file", b"the host's\n");
    let volume = format!("{}:/data", host.text("."));
    assert_eq!(root.probe_output(&["-v", &volume], &["file", "/data/file"]), "the host's\n");
    assert_eq!(root.probe_output(&["--volume", &volume], &["write", "/data/new"]), "ok\n");
    assert_eq!(fs::read(host.path("new")).expect("what the command wrote"), b"written");
    assert_eq!(root.probe_output(&["-v", &format!("{file}:/one")], &["file", "/one"]), "the host's\n");
    // A path of the host may be relative.
    let run = root.probe(&["-v", "file:/one"], &["file", "/one"]).with(|command| command.current_dir(host.as_path()));
    assert_eq!(run.finish().success(), "the host's\n");
}

case!(read_only, Needs::NAMESPACES);
fn read_only() {
    let (root, host) = (Root::with_directories(), Folder::new());
    let file = host.write("file", b"");
    let (folder, one) = (format!("{}:/data:ro", host.text(".")), format!("{file}:/one:ro"));
    let seen = root.probe_output(&["-v", &folder, "-v", &one], &["write", "/data/new", "/data/file", "/one", "/else"]);
    assert_eq!(seen, "EROFS\nEROFS\nEROFS\nok\n");
    let seen =
        root.probe_output(&["--read-only", "-v", &folder.replace(":ro", ":rw")], &["write", "/data/new", "/new"]);
    assert_eq!(seen, "ok\nEROFS\n");
}

case!(odd_paths, Needs::NAMESPACES);
fn odd_paths() {
    let (root, host) = (Root::with_directories(), Folder::new());
    for name in ["a,b", "a\\b", "a b", "a\nb", "a\tb", "a=b", "ä"] {
        fs::create_dir(host.path(name)).expect("mkdir");
        fs::write(host.path(name).join("file"), name).expect("write");
        let volume = format!("{}:/to/{name}:ro", host.text(name));
        assert_eq!(root.probe_output(&["-v", &volume], &["file", &format!("/to/{name}/file")]), name, "{name:?}");
    }
}

case!(targets_are_made, Needs::NAMESPACES);
fn targets_are_made() {
    let (root, host) = (Root::with_directories(), Folder::new());
    let file = host.write("file", b"x\n");
    let folder = format!("{}:/a/b/c", host.text("."));
    root.probe_output(&["-v", &folder, "-v", &format!("{file}:/a/file")], &["status", "0"]);
    assert!(root.0.path("a/b/c").is_dir());
    assert_eq!(fs::read(root.0.path("a/file")).expect("a file"), b"");
    assert_eq!(fs::read_dir(root.0.path("a/b/c")).expect("readdir").count(), 0);
}

case!(hundreds_of_targets, Needs::NAMESPACES);
/// Each new directory is reported to the parent. More reports than a socket holds do not stop the run, at whatever the parent
/// waits for; and they are all undone if the command is not executed.
fn hundreds_of_targets() {
    let host = Folder::new();
    let source = host.text(".");
    let many: Vec<String> = (0..300).flat_map(|n| ["-v".into(), format!("{source}:/to/{n}")]).collect();
    let memory: Vec<String> = (0..300).flat_map(|n| ["--tmpfs".into(), format!("/to/{n}")]).collect();
    let deep = vec!["-v".into(), format!("{source}:/to{}", "/x".repeat(400))];
    let workdir = vec!["-w".into(), format!("/to{}", "/x".repeat(400))];
    // A command that is larger than a pipe, which the child reads when it has made its mounts.
    let long = "x".repeat(100_000);
    for options in [many, memory, deep, workdir] {
        let root = Root::with_directories();
        let mut words: Vec<&str> = options.iter().map(String::as_str).collect();
        let before = root.names();
        run(&[&["--rootfs", &root.path()], &words[..]].concat(), &["/none"]).finish().refused(127, &["not found"]);
        assert_eq!(root.names(), before);
        root.probe(&words, &["status", "3"]).finish().silent(3);
        fs::remove_dir_all(root.0.path("to")).expect("what was made stays after a command that ran");
        root.probe(&words, &["status", "3", &long]).finish().silent(3);
        fs::remove_dir_all(root.0.path("to")).expect("likewise");
        words.push("-t");
        root.probe(&words, &["status", "3"]).finish().silent(3);
    }
}

case!(targets_in_an_overlay, Needs::NAMESPACES | Needs::OVERLAY);
fn targets_in_an_overlay() {
    let (root, host) = (Root::with_directories(), Folder::new());
    host.write("file", b"x\n");
    let folder = format!("{}:/a/b/c", host.text("."));
    assert_eq!(root.probe_output(&["--ephemeral", "-v", &folder], &["file", "/a/b/c/file"]), "x\n");
    assert_eq!(root.names(), ["dev", "etc", "proc", "sys"]);
}

case!(targets_in_a_read_only_root, Needs::NAMESPACES);
fn targets_in_a_read_only_root() {
    let (root, host) = (Root::with_directories(), Folder::new());
    root.refuses(&["--read-only", "-v", &format!("{}:/new", host.text("."))], &["/new", "EROFS"]);
    root.refuses(&["--read-only", "--tmpfs", "/new"], &["/new", "EROFS"]);
    assert_eq!(root.probe_output(&["--read-only", "--tmpfs", "/etc"], &["write", "/etc/new"]), "ok\n");
}

case!(a_file_where_mknod_makes_none, Needs::ROOT | Needs::STRACE);
/// As on some FUSE filesystems. The first six calls of mknod make the nodes of /dev.
fn a_file_where_mknod_makes_none() {
    let (root, host) = (Root::with_directories(), Folder::new());
    let volume = format!("{}:/missing/file", host.write("file", b"the host's\n"));
    let (seen, file) = (host.text("strace"), mydocker_file());
    let words = ["-f", "-o", &seen, "-e", "trace=mknodat", "-e", "inject=mknodat:error=ENOSYS:when=7+"];
    let options = ["run", "--rootfs", &root.path(), "-v", &volume, "/probe", "--probe", "file", "/missing/file"];
    let all = [&words[..], &[file.to_str().expect("UTF-8")], &options].concat();
    assert_eq!(mydocker_at(&tool("strace").expect("strace"), &all).finish().success(), "the host's\n");
}

case!(one_below_another, Needs::NAMESPACES);
fn one_below_another() {
    let (root, host) = (Root::with_directories(), Folder::new());
    let file = host.write("file", b"x\n");
    let below = format!("{file}:/a/b/file");
    let memory = "/a/b";
    let seen = root.probe_output(&["-v", &below, "--tmpfs", memory], &["list", "/a/b"]);
    assert_eq!(seen, "file\n");
    assert_eq!(fs::read_dir(root.0.path("a/b")).expect("readdir").count(), 0, "the mount point was made in memory");
}

case!(what_is_mounted_below_comes_along, Needs::ROOT);
fn what_is_mounted_below_comes_along() {
    in_own_mounts("shared", "volume-below");
}

probe!("volume-below", |_| volume_below());
/// A volume with a mount below it.
fn volume_below() {
    let (root, host) = (Root::with_directories(), Folder::new());
    fs::create_dir(host.path("below")).expect("mkdir");
    mount_tmpfs(&host.text("below"));
    fs::write(host.path("below/file"), "deep\n").expect("write");
    let volume = format!("{}:/data", host.text("."));
    assert_eq!(root.probe_output(&["-v", &volume], &["file", "/data/below/file"]), "deep\n");
    let seen = root.probe_output(&["-v", &format!("{volume}:ro")], &["write", "/data/new", "/data/below/file"]);
    assert_eq!(seen, "EROFS\nEROFS\n");
    // Read-only inside does not mean read-only outside; and a mount made inside does not propagate.
    fs::write(host.path("below/file"), "deep\n").expect("the host can still write");
    let running = root.probe(&["--privileged", "-v", &volume], &["mount", "/data/below"]).start_ready();
    assert_eq!(fs::read(host.path("below/file")).expect("read"), b"deep\n");
    running.finish().success();
    unmount(host.text("below").as_str(), UnmountFlags::empty()).expect("no process keeps it busy");
}

case!(over_the_files_of_etc, Needs::NAMESPACES);
fn over_the_files_of_etc() {
    let (root, host) = (Root::with_directories(), Folder::new());
    let file = host.write("file", b"mine\n");
    assert_eq!(root.probe_output(&["-v", &format!("{file}:/etc/hosts")], &["file", "/etc/hosts"]), "mine\n");
    assert_eq!(root.probe_output(&["-v", &format!("{}:/etc", host.text("."))], &["list", "/etc"]), "file\n");
    assert_eq!(fs::read_dir(host.as_path()).expect("readdir").count(), 1);
}

case!(memory, Needs::NAMESPACES);
fn memory() {
    let root = Root::with_directories();
    // One that is new is for everybody, today and when the same root is used again.
    for _ in 0..2 {
        assert_eq!(root.probe_output(&["--tmpfs", "/t"], &["see", "/t"]), "folder 1777\n");
    }
    // Else it has the mode of what it covers.
    fs::create_dir(root.0.path("secret")).expect("mkdir");
    fs::set_permissions(root.0.path("secret"), fs::Permissions::from_mode(0o750)).expect("chmod");
    assert_eq!(root.probe_output(&["--tmpfs", "/secret:size=1m"], &["see", "/secret"]), "folder 750\n");
    let plan = root.probe(&["--dry-run", "--tmpfs", "/secret", "--tmpfs", "/n"], &["status", "0"]).finish().success();
    assert!(plan.contains("mode=0750\"") && plan.contains("mode=01777\""), "{plan}");
    assert_eq!(root.probe_output(&["--tmpfs", "/t:size=1m,mode=700,relatime,sync"], &["see", "/t"]), "folder 700\n");
    assert_eq!(root.probe_output(&["--tmpfs", "/t:size=1m"], &["fill", "/t/x"]), format!("ENOSPC {}\n", 1 << 20));
    assert_eq!(root.probe_output(&["--tmpfs", "/t:ro"], &["write", "/t/x"]), "EROFS\n");
    assert_eq!(fs::read_dir(root.0.path("t")).expect("readdir").count(), 0);
    let mounts = root.probe_output(&["--tmpfs", "/t:exec"], &["file", "/proc/self/mountinfo"]);
    let line = crate::support::roots::mount_at(&mounts, "/t");
    for (option, there) in [("nosuid", true), ("nodev", true), ("noexec", false)] {
        assert_eq!(crate::support::roots::has_option(line, option), there, "{line}");
    }
}

case!(devices, Needs::NAMESPACES);
fn devices() {
    let root = Root::with_directories();
    assert_eq!(root.probe_output(&[], &["see", "/dev/kmsg"]), "ENOENT\n");
    let host = probe(&[], &["see", "/dev/kmsg"]).finish().success();
    assert_eq!(root.probe_output(&["--device", "/dev/kmsg"], &["see", "/dev/kmsg"]), host);
    assert_eq!(root.probe_output(&["--device", "/dev/zero"], &["write", "/dev/zero"]), "ok\n");
    for none in ["/etc/passwd", "/etc", "/dev"] {
        root.refuses(&["--device", none], &[none, "no device"]);
    }
    // All that are in a directory.
    let inside = root.probe_output(&["--device", "/dev/pts:/dev/here"], &["see", "/dev/here/ptmx"]);
    assert!(inside.starts_with("char 5:2 "), "{inside}");
    root.refuses(&["--device", "/dev/no-such-thing"], &["/dev/no-such-thing", "ENOENT"]);
}

case!(on_the_hosts_own_files, Needs::NAMESPACES);
fn on_the_hosts_own_files() {
    let (host, place) = (Folder::new(), Folder::new());
    host.write("file", b"x\n");
    let volume = format!("{}:{}", host.text("."), place.text("").trim_end_matches('/'));
    assert_eq!(probe(&["-v", &volume], &["file", &place.text("file")]).finish().success(), "x\n");
    assert_eq!(fs::read_dir(place.as_path()).expect("readdir").count(), 0);
    // Nothing is made there.
    let missing = format!("{}:{}", host.text("."), place.text("missing"));
    let words = ["missing", "ENOENT", "--ephemeral", "--rootfs"];
    probe(&["-v", &missing], &["status", "0"]).finish().refused(125, &words);
    probe(&["-w", &place.text("missing")], &["status", "0"]).finish().refused(125, &words);
    assert!(!place.path("missing").exists());
}

fn host_has_shm() -> bool {
    std::path::Path::new("/dev/shm").is_dir()
}

case!(below_memory_of_its_own, Needs::NAMESPACES);
/// On the host's own files a mount point is made where it is in memory of the container's own, and only there.
fn below_memory_of_its_own() {
    let (host, place) = (Folder::new(), Folder::new());
    host.write("file", b"x\n");
    let (point, source) = (place.text("").trim_end_matches('/').to_string(), host.text("."));
    let below = format!("{source}:{point}/a/b");
    assert_eq!(
        probe(&["-v", &below, "--tmpfs", &point], &["file", &format!("{point}/a/b/file")]).finish().success(),
        "x\n"
    );
    assert_eq!(fs::read_dir(place.as_path()).expect("readdir").count(), 0);
    // So is the memory that is shared.
    let shared = format!("{source}:/dev/shm/made/here");
    if host_has_shm() {
        assert_eq!(probe(&["-v", &shared], &["file", "/dev/shm/made/here/file"]).finish().success(), "x\n");
    }
    probe(&["-v", &shared, "--ipc", "host"], &["status", "0"]).finish().refused(125, &["/dev/shm/made/here", "ENOENT"]);
    assert!(!std::path::Path::new("/dev/shm/made").exists());
    let deeper = format!("{source}:{point}/a/b/c");
    probe(&["-v", &below, "--tmpfs", &point, "-v", &deeper], &["status", "0"])
        .finish()
        .refused(125, &["/a/b/c", "ENOENT"]);
    assert_eq!(fs::read_dir(host.as_path()).expect("readdir").count(), 1);
}

case!(over_the_hosts_own_root, Needs::ROOT | Needs::OVERLAY);
fn over_the_hosts_own_root() {
    let host = Folder::new();
    let volume = format!("{}:/made-for-this/one", host.text("."));
    assert_eq!(probe(&["--ephemeral", "-v", &volume], &["write", "/made-for-this/one/x"]).finish().success(), "ok\n");
    assert!(host.path("x").exists() && !std::path::Path::new("/made-for-this").exists());
}

case!(what_is_no_volume, Needs::NOTHING);
fn what_is_no_volume() {
    for (volume, words) in [
        ("/a", "SRC:DST"),
        (":/b", "SRC:DST"),
        ("/a:b", "absolute"),
        ("/a:", "absolute"),
        ("/a:/", "root"),
        ("/a:/b/..", "root"),
        ("/a:/proc", "/proc"),
        ("/a:/proc/sys", "/proc"),
        ("/a:/b/../proc/sys", "/proc"),
        ("/a:/b:x", "SRC:DST"),
        ("/a:/b:ro:ro", "SRC:DST"),
    ] {
        probe(&["--rootfs", "/tmp", "-v", volume], &["status", "0"]).finish().usage_error(&[words]);
    }
    for (memory, words) in [
        ("t", "absolute"),
        ("/", "root"),
        ("/proc/x", "/proc"),
        ("/t:what=1", "what=1"),
        ("/t:size=123bogus", "123bogus"),
        ("/t:size=18446744073709551616", "18446744073709551616"),
    ] {
        probe(&["--rootfs", "/tmp", "--tmpfs", memory], &["status", "0"]).finish().usage_error(&[words]);
    }
}

case!(what_cannot_be_mounted, Needs::NAMESPACES);
fn what_cannot_be_mounted() {
    let (root, host) = (Root::with_directories(), Folder::new());
    let file = host.write("file", b"");
    root.refuses(
        &["-v", &format!("{}:/x", host.text("missing"))],
        &["open_tree", "missing", "ENOENT", "make it before the run"],
    );
    root.refuses(&["-v", &format!("{file}:/etc")], &["/etc", "a file onto a file"]);
    root.refuses(&["-v", &format!("{}:/probe", host.text("."))], &["/probe"]);
    root.refuses(&["-v", &format!("{file}:/probe/below")], &["/probe/below", "ENOTDIR"]);
    root.refuses(&["--tmpfs", "/probe"], &["/probe", "ENOTDIR", "only onto a directory"]);
}
