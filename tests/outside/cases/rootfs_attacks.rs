//! Malicious roots, and commands that try to escape.

use crate::support::folder::Folder;
use crate::support::harness::{FORK_LOCK, Run, await_no_writer, mydocker_at, mydocker_file, pass_as, run};
use crate::support::needs::Needs;
use crate::support::roots::Root;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;

fn nothing_in(folder: &Folder) {
    assert_eq!(fs::read_dir(folder.as_path()).expect("readdir").count(), 0, "{}", folder.text(""));
}

case!(a_target_that_is_a_link_to_the_host, Needs::NAMESPACES);
fn a_target_that_is_a_link_to_the_host() {
    let (root, outside, source) = (Root::with_directories(), Folder::new(), Folder::new());
    source.write("file", b"source\n");
    symlink(outside.as_path(), root.0.path("link")).expect("symlink");
    let volume = |target: &str| format!("{}:{target}", source.text("."));
    // Inside, this directory does not exist: the link dangles, and its target is made inside, not on the host.
    let inside = root.0.as_path().join(outside.as_path().strip_prefix("/").expect("absolute"));
    let there = outside.text("below");
    for options in [["-v", &volume("/link")], ["--tmpfs", "/link/below"], ["-w", "/link/below"]] {
        let before = root.names();
        run(&[&["--rootfs", &root.path()], &options[..]].concat(), &["/none"]).finish().refused(127, &["not found"]);
        assert_eq!(root.names(), before);
        root.probe(&options, &["see", &there]).finish().silent(0);
        assert!(inside.is_dir());
        nothing_in(&outside);
        let made = inside.ancestors().find(|path| path.parent() == Some(root.0.as_path())).expect("in the root");
        fs::remove_dir_all(made).expect("what was made stays after a command that ran");
    }
    // If the link has a target inside, the mount is made there.
    fs::create_dir_all(&inside).expect("mkdir");
    let deep = outside.text("below/file");
    assert_eq!(root.probe_output(&["-v", &volume("/link/below")], &["file", &deep]), "source\n");
    assert!(inside.join("below").is_dir());
    nothing_in(&outside);
}

case!(a_target_with_dots, Needs::NAMESPACES);
fn a_target_with_dots() {
    let (root, source) = (Root::with_directories(), Folder::new());
    source.write("file", b"source\n");
    symlink("../../../../../../../..", root.0.path("up")).expect("symlink");
    let name = format!("made-{}", crate::support::harness::unique_name());
    for target in [format!("/../../../{name}"), format!("/up/{name}"), format!("/etc/../../{name}")] {
        let volume = format!("{}:{target}", source.text("."));
        assert_eq!(root.probe_output(&["-v", &volume], &["file", &format!("/{name}/file")]), "source\n", "{target}");
        assert!(root.0.path(&name).is_dir() && !Path::new("/").join(&name).exists());
        fs::remove_dir(root.0.path(&name)).expect("rmdir");
    }
}

/// A mydocker that has inherited a directory of the host as descriptor 9.
fn with_leak(run: Run, folder: &Folder) -> Run {
    let leak = fs::File::open(folder.as_path()).expect("open");
    run.before(move || pass_as(leak.as_raw_fd(), 9))
}

case!(a_target_that_is_a_magic_link, Needs::NAMESPACES);
fn a_target_that_is_a_magic_link() {
    let (root, outside, source) = (Root::with_directories(), Folder::new(), Folder::new());
    symlink("/proc/self/fd/9", root.0.path("link")).expect("symlink");
    for target in ["/link", "/link/below", "/link/below/more"] {
        let volume = format!("{}:{target}", source.text("."));
        for options in [["-v", &volume], ["--tmpfs", target], ["-w", target]] {
            let run = with_leak(root.probe(&options, &["status", "0"]), &outside);
            run.finish().refused(125, &["/link", "ELOOP"]);
            nothing_in(&outside);
        }
    }
}

case!(a_target_that_leads_to_proc, Needs::NAMESPACES);
fn a_target_that_leads_to_proc() {
    let (root, source) = (Root::with_directories(), Folder::new());
    let file = source.write("file", b"1\n");
    symlink("/proc/sys", root.0.path("link")).expect("symlink");
    symlink("/proc", root.0.path("proc-itself")).expect("symlink");
    root.refuses(&["-v", &format!("{file}:/link/kernel/hostname")], &["/proc"]);
    root.refuses(&["-v", &format!("{}:/proc-itself", source.text("."))], &["/proc"]);
    root.refuses(&["--tmpfs", "/link"], &["/proc"]);
}

case!(a_working_directory_that_is_a_magic_link, Needs::NAMESPACES);
fn a_working_directory_that_is_a_magic_link() {
    let (root, outside) = (Root::with_directories(), Folder::new());
    for dir in ["/proc/self/fd/9", "/proc/self/fd/9/..", "/proc/self/cwd", "/proc/thread-self/root", "/proc/1/cwd"] {
        let run = with_leak(root.probe(&["-w", dir], &["status", "0"]), &outside);
        run.finish().refused(125, &[dir, "ELOOP"]);
        let run = with_leak(crate::support::harness::probe(&["-w", dir], &["status", "0"]), &outside);
        run.finish().refused(125, &[dir, "ELOOP"]);
    }
}

case!(files_of_etc_that_are_links, Needs::NAMESPACES);
fn files_of_etc_that_are_links() {
    let (root, outside) = (Root::with_directories(), Folder::new());
    fs::remove_dir_all(root.0.path("etc")).expect("remove");
    symlink("/proc/self/fd/9", root.0.path("etc")).expect("symlink");
    with_leak(root.probe(&[], &["status", "0"]), &outside).finish().silent(0);
    nothing_in(&outside);
    outside.write("hosts", b"the host's\n");
    with_leak(root.probe(&[], &["status", "0"]), &outside).finish().silent(0);
    assert_eq!(fs::read(outside.path("hosts")).expect("read"), b"the host's\n");
    assert_eq!(fs::read_dir(outside.as_path()).expect("readdir").count(), 1);
}

case!(a_leaked_directory, Needs::ROOT);
fn a_leaked_directory() {
    let (root, outside) = (Root::with_directories(), Folder::new());
    outside.write("secret", b"secret\n");
    let seen = with_leak(root.probe(&[], &["see", "/proc/self/fd/9", "/proc/self/fd/9/secret"]), &outside).finish();
    assert_eq!(seen.success(), "ENOENT\nENOENT\n");
    let seen = with_leak(root.probe(&["--init"], &["see", "/proc/1/fd/9", "/proc/self/fd/9"]), &outside).finish();
    assert_eq!(seen.success(), "ENOENT\nENOENT\n");
}

/// With every capability, too.
const POWERS: [&[&str]; 3] = [&[], &["--privileged"], &["--privileged", "--init"]];

case!(out_of_the_root_by_chroot, Needs::NAMESPACES);
fn out_of_the_root_by_chroot() {
    let root = Root::with_directories();
    for options in POWERS {
        assert_eq!(root.probe_output(options, &["escape"]), "dev\netc\nprobe\nproc\nsys\nx\n", "{options:?}");
    }
}

case!(out_of_the_root_by_dots_and_links, Needs::ROOT);
fn out_of_the_root_by_dots_and_links() {
    let root = Root::with_directories();
    let names = root.probe_output(&[], &["list", "/"]);
    for path in ["/..", "/../../..", "/proc/1/root", "/proc/1/cwd", "/proc/1/root/..", "/proc/self/cwd/.."] {
        for options in POWERS {
            assert_eq!(root.probe_output(options, &["list", path]), names, "{options:?} {path}");
        }
    }
}

case!(the_program_itself_is_overwritten, Needs::NAMESPACES);
/// CVE-2019-5736: the running file is reached through /proc and written to.
fn the_program_itself_is_overwritten() {
    let (root, place) = (Root::with_directories(), Folder::new());
    let file = place.path("mydocker");
    {
        let _no_forks = FORK_LOCK.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        fs::copy(mydocker_file(), &file).expect("copy of mydocker");
        await_no_writer(&file);
    }
    let before = fs::read(&file).expect("read");
    let intact = || assert!(fs::read(&file).expect("read") == before, "mydocker's own file has changed");
    // As the command: a link, and the interpreter of a script. It runs the container's own file, inside, and nothing
    // else.
    symlink("/proc/self/exe", root.0.path("link")).expect("symlink");
    root.0.write_program("script", b"#!/proc/self/exe --version\n");
    let path = root.path();
    for command in ["/link", "/script"] {
        mydocker_at(&file, &["run", "--rootfs", &path, command]).finish();
        intact();
    }
    // From another process inside: PID 1 is mydocker's reaper.
    let words = ["run", "--privileged", "--rootfs", &path, "--init", "/probe", "--probe", "overwrite", "/proc/1/exe"];
    let outcome = mydocker_at(&file, &words).finish();
    assert!(!outcome.stdout_text().contains("ok"), "{outcome:?}");
    intact();
}
