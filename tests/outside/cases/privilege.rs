//! What the command may do: capabilities, the filter, and every known way out, each shown to fail; and that the same
//! way works with `--privileged`, because a test of something that never works shows nothing.

use crate::support::folder::Folder;
use crate::support::harness::{mydocker_at, mydocker_file, probe, probe_file, probe_words, run, waiting_container};
use crate::support::host::{host, tool};
use crate::support::needs::Needs;
use std::fs;

const DEFAULT: u64 = 0xa004_25fb;

/// Our own capabilities, those of the user who runs this.
fn own_set(key: &str) -> u64 {
    set(&fs::read_to_string("/proc/self/status").expect("status"), key)
}

fn field(status: &str, key: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {key} in {status}")).trim().to_string()
}

fn set(status: &str, key: &str) -> u64 {
    u64::from_str_radix(&field(status, key), 16).expect("hexadecimal")
}

/// The most that a container can have: all capabilities in a user namespace, otherwise ours.
fn at_most() -> u64 {
    if host().root { own_set("CapPrm") } else { (1 << 41) - 1 }
}

fn status(options: &[&str]) -> String {
    probe(options, &["file", "/proc/self/status"]).finish().success()
}

case!(dropped_from_every_set, Needs::NAMESPACES);
fn dropped_from_every_set() {
    for options in [&[][..], &["--init"], &["-t"], &["--pid", "host"], &["--no-limits"]] {
        let status = status(options).replace('\r', "");
        for key in ["CapEff", "CapPrm", "CapBnd"] {
            assert_eq!(set(&status, key), DEFAULT & at_most(), "{options:?}: {key}");
        }
        assert_eq!((set(&status, "CapInh"), set(&status, "CapAmb")), (0, 0), "{options:?}");
        assert_eq!(field(&status, "NoNewPrivs"), "1", "{options:?}");
        assert_eq!(field(&status, "Seccomp"), "2", "{options:?}");
    }
}

case!(privileged_drops_nothing, Needs::ROOT);
fn privileged_drops_nothing() {
    let status = status(&["--privileged"]);
    for key in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(set(&status, key), own_set(key), "{key}");
    }
    assert_eq!(field(&status, "NoNewPrivs"), "0");
    assert_eq!(field(&status, "Seccomp"), "0");
}

case!(added_and_dropped, Needs::NAMESPACES);
fn added_and_dropped() {
    const CHOWN: u64 = 1;
    const NET_ADMIN: u64 = 1 << 12;
    let all = at_most();
    for (options, expected) in [
        (&["--cap-add", "NET_ADMIN"][..], DEFAULT | NET_ADMIN),
        (&["--cap-add=cap_net_admin", "--cap-drop", "CAP_CHOWN"], (DEFAULT | NET_ADMIN) & !CHOWN),
        (&["--cap-drop", "ALL"], 0),
        (&["--cap-drop=all", "--cap-add=chown"], CHOWN),
        (&["--cap-add", "ALL"], all),
        (&["--cap-add", "ALL", "--cap-drop", "CHOWN"], all & !CHOWN),
        (&["--privileged", "--cap-drop", "CHOWN"], all & !CHOWN),
    ] {
        let status = status(options);
        for key in ["CapEff", "CapBnd"] {
            assert_eq!(set(&status, key), expected & all, "{options:?}: {key}");
        }
    }
}

case!(one_thing_lifted, Needs::NAMESPACES);
fn one_thing_lifted() {
    let of = |options: &[&str]| {
        let status = status(options);
        (field(&status, "NoNewPrivs"), field(&status, "Seccomp"), set(&status, "CapBnd") == DEFAULT & at_most())
    };
    let expected = |privs: &str, seccomp: &str| (privs.to_string(), seccomp.to_string(), true);
    assert_eq!(of(&["--security-opt", "seccomp=unconfined"]), expected("1", "0"));
    assert_eq!(of(&["--security-opt=no-new-privileges=false"]), expected("0", "2"));
    assert_eq!(of(&["--security-opt", "no-new-privileges:false"]), expected("0", "2"));
    assert_eq!(of(&["--security-opt", "no-new-privileges"]), expected("1", "2"));
    let both = ["--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges=false"];
    assert_eq!(of(&both), expected("0", "0"));
}

case!(a_filter_without_no_new_privs, Needs::NAMESPACES);
/// The kernel requires CAP_SYS_ADMIN to load such a filter, and that capability is dropped too.
fn a_filter_without_no_new_privs() {
    let options = ["--security-opt", "no-new-privileges=false", "--cap-drop", "ALL", "--init"];
    let status = status(&options);
    assert_eq!((field(&status, "Seccomp").as_str(), set(&status, "CapEff")), ("2", 0));
}

case!(a_capability_that_mydocker_has_not, Needs::ROOT);
fn a_capability_that_mydocker_has_not() {
    // A capability outside the bounding set is lost by root at execve (capabilities(7)). Nothing here needs
    // CAP_WAKE_ALARM.
    const CAP_WAKE_ALARM: i32 = 35;
    // SAFETY: prctl takes integers here and no pointer
    let drop = || unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_WAKE_ALARM, 0, 0, 0) };
    let lacks = move || if drop() == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    let says = |name| probe(&["--cap-add", name], &["status", "0"]).before(lacks).finish();
    says("WAKE_ALARM").refused(125, &["capset", "EPERM"]);
    // As part of ALL, the capability was not asked for by name.
    says("ALL").silent(0);
}

case!(words_that_are_none, Needs::NOTHING);
fn words_that_are_none() {
    for (options, words) in [
        (&["--cap-add", "SYS_ADMINS"][..], &["unknown capability", "SYS_ADMINS"][..]),
        (&["--cap-drop", "CAP_"], &["unknown capability", "CAP_"]),
        (&["--cap-drop=21"], &["unknown capability", "21"]),
        (&["--security-opt", "seccomp=/a/file"], &["--security-opt", "seccomp=/a/file"]),
        (&["--security-opt", "no-new-privileges=maybe"], &["--security-opt", "maybe"]),
        (&["--security-opt=apparmor"], &["--security-opt", "apparmor"]),
        (&["--userns", "keep"], &["--userns", "keep"]),
        (&["--privileged=perhaps"], &["switch"]),
    ] {
        run(options, &["true"]).finish().usage_error(words);
    }
}

/// The answer to each call in the probe's table, by name.
fn answers(options: &[&str]) -> impl Fn(&str) -> String {
    let text = probe(options, &["calls"]).finish().success();
    move |name| {
        let answer = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        answer.unwrap_or_else(|| panic!("no {name} in {text}")).to_string()
    }
}

case!(what_every_call_answers, Needs::NAMESPACES);
fn what_every_call_answers() {
    let answer = answers(&[]);
    for name in ["getppid", "socket", "personality", "personality_8", "unshare_nothing", "unshare_files"] {
        assert_eq!(answer(name), "0", "{name}");
    }
    // These calls are allowed, so the answer comes from the kernel's own check of the arguments.
    for name in ["read", "ioctl", "fcntl"] {
        assert_eq!(answer(name), "EBADF", "{name}");
    }
    assert_eq!(answer("openat"), "EFAULT");
    assert_eq!(answer("clone_signal"), "EINVAL");
    assert_eq!(answer("process_vm_readv"), "0");
    for name in [
        "socket_alg",
        "socket_vsock",
        "file_setattr",
        "unshare_later",
        "personality_no_random",
        "clone_newuser",
        "clone_newns",
        "unshare_newuser",
        "unshare_newtime",
        "setns",
        "fcntl_setlease",
        "fcntl_setlease_high",
        "ioctl_tiocsti",
        "ioctl_tiocsti_high",
        "ioctl_tioclinux",
        "mount",
        "umount2",
        "pivot_root",
        "open_tree",
        "move_mount",
        "fsopen",
        "mount_setattr",
        "bpf",
        "perf_event_open",
        "keyctl",
        "add_key",
        "io_uring_setup",
        "userfaultfd",
        "init_module",
        "kexec_load",
        "reboot",
        "swapon",
        "syslog",
        "settimeofday",
        "open_by_handle_at",
        "pidfd_getfd",
        "acct",
        "quotactl",
    ] {
        assert_eq!(answer(name), "EPERM", "{name}");
    }
    assert_eq!((answer("clone3"), answer("not_there")), ("ENOSYS".into(), "ENOSYS".into()));
    assert_eq!(answer("minus_one"), "ENOSYS");
    if cfg!(target_arch = "x86_64") {
        assert_eq!(answer("getppid_x32"), "ENOSYS");
        // Linux 6.18 asks no filter about uprobe, and answers ENXIO to all but its own trampoline.
        assert!(["EPERM", "errno 6"].contains(&answer("uprobe").as_str()));
    }
}

case!(what_calls_answer_with_a_capability, Needs::NAMESPACES);
fn what_calls_answer_with_a_capability() {
    let answer = answers(&["--cap-add", "SYS_ADMIN"]);
    for (name, expected) in [("setns", "EBADF"), ("unshare_nothing", "0"), ("mount", "EFAULT"), ("clone3", "EINVAL")] {
        assert_eq!(answer(name), expected, "{name}");
    }
    for name in ["reboot", "init_module", "ioctl_tiocsti", "keyctl", "open_by_handle_at"] {
        assert_eq!(answer(name), "EPERM", "{name}");
    }
    assert_eq!(answers(&["--cap-add=LEASE"])("fcntl_setlease"), "EBADF");
    let answer = answers(&["--cap-add=SYS_PTRACE"]);
    assert_eq!((answer("pidfd_getfd").as_str(), answer("setns").as_str()), ("EBADF", "EPERM"));
}

case!(what_calls_answer_without_the_filter, Needs::ROOT);
/// These answers show that the filter refused the call.
fn what_calls_answer_without_the_filter() {
    let answer = answers(&["--security-opt", "seccomp=unconfined"]);
    for (name, expected) in [
        ("ioctl_tiocsti", "EBADF"),
        ("ioctl_tioclinux", "EBADF"),
        ("fcntl_setlease", "EBADF"),
        ("clone3", "EINVAL"),
        ("personality_no_random", "0"),
        ("setns", "EBADF"),
        ("pidfd_getfd", "EBADF"),
    ] {
        assert_eq!(answer(name), expected, "{name}");
    }
}

case!(another_machines_calls_kill, Needs::NAMESPACES);
/// 32-bit calls on x86_64: the same numbers mean other calls, so the filter kills the process instead of answering.
fn another_machines_calls_kill() {
    let outcome = probe(&[], &["foreign-call"]).finish();
    // Machines other than x86_64 have no such instruction.
    let expected = if cfg!(target_arch = "x86_64") { 128 + libc::SIGSYS } else { 77 };
    assert_eq!(outcome.code(), expected, "{outcome:?}");
}

/// What the attempt answers by default, and what it answers with `--privileged`.
#[track_caller]
fn escape(options: &[&str], way: &str, refused: &[&str]) {
    let folder = Folder::new();
    let answer = |more: &[&str]| {
        let options: Vec<&str> = options.iter().chain(more).copied().collect();
        probe(&options, &["way-out", way, &folder.text(".")]).finish().success()
    };
    let answered = answer(&[]);
    assert!(refused.contains(&answered.trim()), "{way}: {answered}");
    assert_eq!(answer(&["--privileged"]), "0\n", "{way} does not work with --privileged, so its failure shows nothing");
}

case!(no_disk_and_no_memory_device, Needs::ROOT);
fn no_disk_and_no_memory_device() {
    escape(&[], "disk", &["EPERM"]);
    escape(&[], "memory", &["EPERM"]);
    // Without the filter, the missing capability refuses the call.
    escape(&["--security-opt", "seccomp=unconfined"], "disk", &["EPERM"]);
}

case!(no_mount_no_remount_no_unmount, Needs::ROOT);
fn no_mount_no_remount_no_unmount() {
    for way in ["mount", "remount", "unmount"] {
        escape(&[], way, &["EPERM"]);
        escape(&["--security-opt", "seccomp=unconfined"], way, &["EPERM"]);
    }
}

case!(no_namespace_of_the_hosts, Needs::ROOT);
fn no_namespace_of_the_hosts() {
    // Only a process that may trace another one can see its namespaces and its root.
    escape(&["--pid", "host"], "namespace", &["EACCES", "EPERM"]);
    escape(&["--pid", "host"], "root-of-parent", &["EACCES", "EPERM"]);
    // The host's PID 1 may have more capabilities than we have, so there is nothing to compare with.
    for way in ["namespace-of-1", "root-of-1"] {
        let answer = probe(&["--pid", "host"], &["way-out", way, "/"]).finish().success();
        assert!(["EACCES\n", "EPERM\n"].contains(&answer.as_str()), "{way}: {answer}");
    }
}

case!(no_tracing_of_the_parent, Needs::ROOT);
fn no_tracing_of_the_parent() {
    escape(&["--pid", "host"], "trace-parent", &["EPERM"]);
}

/// All answers except the last line, which says how many files were tried.
fn answers_of(options: &[&str], way: &str) -> Vec<String> {
    let text = probe(options, &["way-out", way, "/"]).finish().success();
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let last = lines.pop().expect("a last line");
    assert_eq!(last, format!("tried {}", lines.len()));
    lines
}

case!(no_limit_is_raised_from_inside, Needs::ROOT | Needs::MEMORY | Needs::MOUNTED);
fn no_limit_is_raised_from_inside() {
    let limit = ["-m", "100m", "--memory-swap", "max"];
    let answers = answers_of(&limit, "raise-limit");
    assert!(!answers.is_empty(), "the command does not find its own limit");
    assert!(answers.iter().all(|answer| answer == "EROFS"), "{answers:?}");
}

case!(no_group_is_left_from_inside, Needs::ROOT | Needs::MEMORY | Needs::MOUNTED);
fn no_group_is_left_from_inside() {
    let answers = answers_of(&["-m", "100m", "--cpu-shares", "512"], "leave-group");
    assert!(!answers.is_empty(), "there is no group to leave");
    assert!(answers.iter().all(|answer| answer == "EROFS"), "{answers:?}");
    let privileged = answers_of(&["-m", "100m", "--privileged"], "leave-group");
    assert!(privileged.iter().any(|answer| answer != "EROFS"), "read-only for other reasons: {privileged:?}");
}

case!(a_cgroup_namespace_of_its_own, Needs::ROOT | Needs::MEMORY);
fn a_cgroup_namespace_of_its_own() {
    let own = fs::read_link("/proc/self/ns/cgroup").expect("readlink").display().to_string();
    let running = waiting_container(&["-m", "100m"]);
    let inside = fs::read_link(format!("/proc/{}/ns/cgroup", running.command_pid())).expect("readlink");
    assert_ne!(inside.display().to_string(), own);
    running.finish().success();
    // The cgroup namespace is made after joining: the container's cgroup is its root.
    let text = probe(&["-m", "100m"], &["file", "/proc/self/cgroup"]).finish().success();
    let line = text.lines().find(|line| match crate::support::needs::on_v2("memory") {
        true => line.starts_with("0::"),
        false => line.split(':').nth(1).is_some_and(|list| list.split(',').any(|name| name == "memory")),
    });
    assert!(line.is_some_and(|line| line.ends_with(":/")), "{text}");
}

case!(sys_is_read_only, Needs::NAMESPACES);
fn sys_is_read_only() {
    let text = probe(&[], &["file", "/proc/self/mountinfo"]).finish().success();
    let mut seen = 0;
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let below_sys = fields[4] == "/sys" || fields[4].starts_with("/sys/");
        if below_sys || line.contains(" - cgroup") {
            seen += 1;
            assert!(fields[5].split(',').any(|option| option == "ro"), "{line}");
        }
    }
    let ours = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert_eq!(seen > 0, ours.lines().any(|line| line.split(' ').nth(4) == Some("/sys")), "{text}");
    // Nothing has changed outside.
    assert_eq!(ours, fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"));
}

/// A copy of the file under test, so that a failing test damages nothing.
fn copy_of_mydocker(folder: &Folder) -> std::path::PathBuf {
    folder.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
    folder.path("mydocker")
}

case!(the_reaper_keeps_its_file, Needs::NAMESPACES);
/// The known attack (CVE-2019-5736) on the reaper, which runs mydocker's own file: no process inside gets a descriptor
/// of it.
fn the_reaper_keeps_its_file() {
    let folder = Folder::new();
    let file = copy_of_mydocker(&folder);
    let before = fs::read(&file).expect("read");
    let words: Vec<std::ffi::OsString> =
        ["run", "--init"].into_iter().map(Into::into).chain(probe_words(&["overwrite-exe", "1"])).collect();
    let text = mydocker_at(&file, &words).finish().success();
    assert_eq!(text, "write EACCES\nread EACCES\n");
    assert!(fs::read(&file).expect("read") == before, "mydocker's file has changed");
}

case!(the_binary_is_not_overwritten, Needs::NAMESPACES);
/// In the host's PID namespace the parent can be looked at; it runs until the last process of the container has ended.
fn the_binary_is_not_overwritten() {
    let folder = Folder::new();
    let file = copy_of_mydocker(&folder);
    let before = fs::read(&file).expect("read");
    for options in
        [&["run", "--pid", "host"][..], &["run", "--pid", "host", "--init"], &["run", "--pid=host", "--privileged"]]
    {
        let words: Vec<std::ffi::OsString> =
            options.iter().map(|word| (*word).into()).chain(probe_words(&["overwrite-exe", "parent"])).collect();
        let text = mydocker_at(&file, &words).finish().success();
        assert!(!text.contains("write 0") && !text.contains("again 0"), "{options:?}: {text}");
        assert!(fs::read(&file).expect("read") == before, "{options:?}: mydocker's file has changed");
    }
}

case!(the_reaper_is_confined_too, Needs::NAMESPACES);
fn the_reaper_is_confined_too() {
    let running = waiting_container(&["--init"]);
    let reaper = crate::support::processes::children(running.pid)[0];
    let status = fs::read_to_string(format!("/proc/{reaper}/status")).expect("status");
    assert_eq!((set(&status, "CapEff"), set(&status, "CapBnd")), (DEFAULT & at_most(), DEFAULT & at_most()));
    assert_eq!((field(&status, "NoNewPrivs").as_str(), field(&status, "Seccomp").as_str()), ("1", "2"));
    running.finish().success();
}

case!(set_user_id_programs_give_nothing, Needs::ROOT | Needs::SH);
/// A set-user-ID program, started by a user who is not root inside.
fn set_user_id_programs_give_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.write_program("probe", &fs::read(probe_file()).expect("this file"));
    fs::set_permissions(folder.path("probe"), fs::Permissions::from_mode(0o4755)).expect("chmod");
    let ids = |options: &[&str]| {
        let words = ["as-user", "65534", &folder.text("probe"), "--probe", "file", "/proc/self/status"];
        let status = probe(options, &words).finish().success();
        let uids = field(&status, "Uid");
        uids.split_whitespace().nth(1).expect("an effective uid").to_string()
    };
    assert_eq!(ids(&[]), "65534");
    assert_eq!(ids(&["--security-opt", "no-new-privileges=false"]), "0", "the set-user-ID bit has no effect anywhere");
}

case!(twenty_threads, Needs::NAMESPACES);
fn twenty_threads() {
    assert_eq!(probe(&[], &["threads", "20"]).finish().success(), "2470\n");
}

case!(python_works, Needs::NAMESPACES | Needs::PYTHON);
fn python_works() {
    let script = "import threading, subprocess, socket, tempfile, os\n\
                  t = [threading.Thread(target=lambda: None) for _ in range(20)]\n\
                  [x.start() for x in t]; [x.join() for x in t]\n\
                  s = socket.socketpair(); s[0].send(b'x')\n\
                  print(subprocess.check_output(['/bin/sh', '-c', 'echo out']).decode().strip(), s[1].recv(1).decode())";
    assert_eq!(
        run(&[], &[tool("python3").expect("python3").to_str().expect("UTF-8"), "-c", script]).finish().success(),
        "out x\n"
    );
}

case!(perl_works, Needs::NAMESPACES | Needs::PERL);
fn perl_works() {
    let script = "print `echo out`; my $pid = fork; if (!$pid) { exit 3 } waitpid $pid, 0; print $? >> 8, \"\\n\"";
    assert_eq!(
        run(&[], &[tool("perl").expect("perl").to_str().expect("UTF-8"), "-e", script]).finish().success(),
        "out\n3\n"
    );
}

case!(a_compiler_works, Needs::NAMESPACES | Needs::CC);
fn a_compiler_works() {
    let folder = Folder::new();
    let source = folder.write("hello.c", b"#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n");
    let program = folder.text("hello");
    run(&[], &[tool("cc").expect("cc").to_str().expect("UTF-8"), "-o", &program, &source]).finish().success();
    assert_eq!(run(&[], &[program.as_str()]).finish().success(), "hello\n");
}

case!(with_everything_at_once, Needs::NAMESPACES);
fn with_everything_at_once() {
    let options = ["--init", "-t", "--cap-add", "NET_ADMIN", "--cap-drop", "KILL", "--hostname", "priv"];
    let text = probe(&options, &["hostname"]).finish();
    assert_eq!((text.code(), text.stdout_text().trim()), (0, "priv"), "{text:?}");
}
