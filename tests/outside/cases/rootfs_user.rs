//! The user and groups of the command, its working directory, and its resource limits.

use crate::support::folder::Folder;
use crate::support::harness::probe;
use crate::support::needs::Needs;
use crate::support::roots::Root;
use std::fs;

fn root_with_users() -> Root {
    let root = Root::with_directories();
    let passwd = "root:x:0:0:root:/root:/bin/sh\n# none\nbad line\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\n\
        bob:x:1002:1002::/home/bob:/bin/sh\n1002:x:7:7::/seven:\nnohome:x:8:8:::/bin/sh";
    fs::write(root.0.path("etc/passwd"), passwd).expect("write");
    let many: Vec<String> = (0..600).map(|n| format!("user{n}")).collect();
    let group = format!(
        "root:x:0:\nalice:x:1001:\naudio:x:29:alice,bob\nlong:x:30:{},alice\nvideo:x:44:bob,alic\nlast:x:50:alice",
        many.join(",")
    );
    fs::write(root.0.path("etc/group"), group).expect("write");
    root
}

case!(the_streams_of_a_user, Needs::ROOT);
/// nginx and php open /dev/stdout, as users who have not made the pipe that it is.
fn the_streams_of_a_user() {
    let root = Root::with_directories();
    let run = root.probe(&["-u", "5:6"], &["write", "/dev/stdout", "/dev/stderr"]);
    let outcome = run.finish();
    assert_eq!((outcome.stdout_text(), outcome.stderr_text()), ("writtenok\nok\n".into(), "written".into()));
    assert_eq!(root.probe(&["-u", "5:6"], &["open", "/dev/stdin"]).finish().success(), "open\n");
    // A file of the caller's is the caller's.
    let folder = crate::support::folder::Folder::new();
    let file = fs::File::create(folder.path("out")).expect("create");
    fs::set_permissions(folder.path("out"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    let null =
        || std::os::fd::OwnedFd::from(fs::File::options().read(true).write(true).open("/dev/null").expect("null"));
    let running = root.probe(&["-u", "5:6"], &["write", "/dev/stdout"]).start_on([null(), file.into(), null()]);
    assert_eq!(running.finish().code(), 0);
    assert_eq!(fs::read_to_string(folder.path("out")).expect("read"), "EACCES\n");
}

case!(a_workdir_that_only_the_user_may_enter, Needs::ROOT);
/// On FUSE and NFS root may be refused what the user may do; here root lacks the capabilities for it.
fn a_workdir_that_only_the_user_may_enter() {
    let root = Root::with_directories();
    fs::create_dir(root.0.path("home")).expect("mkdir");
    fs::set_permissions(root.0.path("home"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("chmod");
    std::os::unix::fs::chown(root.0.path("home"), Some(5), Some(5)).expect("chown");
    let drop_capabilities = || {
        for capability in [1, 2] {
            // SAFETY: PR_CAPBSET_DROP takes a number: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability) } != 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    let options = ["-w", "/home", "--no-limits"];
    let as_user = root.probe(&[&options[..], &["-u", "5:5"]].concat(), &["folder"]).before(drop_capabilities);
    assert_eq!(as_user.finish().success(), "/home\n");
    for user in [&[][..], &["-u", "6:6"]] {
        let other = root.probe(&[&options[..], user].concat(), &["folder"]).before(drop_capabilities);
        other.finish().refused(125, &["/home", "EACCES"]);
    }
}

case!(a_root_that_the_caller_may_not_enter, Needs::ROOT | Needs::NAMESPACES);
fn a_root_that_the_caller_may_not_enter() {
    let root = Root::with_directories();
    fs::set_permissions(root.0.as_path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("chmod");
    let run = root.probe(&["--no-limits"], &["status", "0"]);
    let outcome = run.with(|command| std::os::unix::process::CommandExt::uid(command, 65534)).finish();
    outcome.refused(125, &["EACCES", "may not enter the directory that --rootfs names"]);
}

case!(numbers, Needs::ROOT);
fn numbers() {
    let root = Root::with_directories();
    assert_eq!(root.probe_output(&["-u", "1000"], &["ids"]), "1000 0 \n");
    assert_eq!(root.probe_output(&["--user", "1000:7"], &["ids"]), "1000 7 \n");
    assert_eq!(root.probe_output(&["-u", "0"], &["ids"]), "0 0 \n");
    assert_eq!(root.probe_output(&["-u", "4294967294:4294967294"], &["ids"]), "4294967294 4294967294 \n");
    // The command has no capabilities: it may not write to root's files.
    assert_eq!(root.probe_output(&["-u", "1000"], &["write", "/etc/passwd", "/dev/null"]), "EACCES\nok\n");
}

case!(names, Needs::ROOT);
fn names() {
    let root = root_with_users();
    assert_eq!(root.probe_output(&["-u", "alice"], &["ids"]), "1000 1001 29,30,50\n");
    assert_eq!(root.probe_output(&["-u", "1000"], &["ids"]), "1000 1001 29,30,50\n");
    assert_eq!(root.probe_output(&["-u", "bob"], &["ids"]), "1002 1002 29,44\n");
    // A name that looks like a number is a name, if passwd lists it first.
    assert_eq!(root.probe_output(&["-u", "7"], &["ids"]), "7 7 \n");
    assert_eq!(root.probe_output(&["-u", "nohome"], &["ids"]), "8 8 \n");
}

case!(groups, Needs::ROOT);
fn groups() {
    let root = root_with_users();
    assert_eq!(root.probe_output(&["-u", "alice:audio"], &["ids"]), "1000 29 \n");
    assert_eq!(root.probe_output(&["-u", "alice:5"], &["ids"]), "1000 5 \n");
    assert_eq!(root.probe_output(&["-u", "9:last"], &["ids"]), "9 50 \n");
}

case!(home, Needs::ROOT);
fn home() {
    let root = root_with_users();
    let home = |options: &[&str]| {
        let text = root.probe_output(options, &["env"]);
        text.lines().filter_map(|line| line.strip_prefix("HOME=")).map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(home(&[]), ["/root"]);
    assert_eq!(home(&["-u", "alice"]), ["/home/alice"]);
    assert_eq!(home(&["-u", "1000"]), ["/home/alice"]);
    assert_eq!(home(&["-u", "4000"]), ["/"]);
    assert_eq!(home(&["-u", "nohome"]), ["/"]);
    assert_eq!(home(&["-u", "alice", "-e", "HOME=/else"]), ["/else"]);
}

case!(unknown, Needs::NAMESPACES);
fn unknown() {
    let root = root_with_users();
    root.refuses(&["-u", "carol"], &["unknown user", "carol"]);
    root.refuses(&["-u", "alice:carols"], &["unknown group", "carols"]);
    Root::new().refuses(&["-u", "alice"], &["unknown user", "alice"]);
}

case!(odd_files, Needs::ROOT);
fn odd_files() {
    let root = Root::with_directories();
    // A FIFO must not block mydocker.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.0.path("etc/passwd"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("mkfifo");
    assert_eq!(root.probe_output(&["-u", "5"], &["ids"]), "5 0 \n");
    fs::remove_file(root.0.path("etc/passwd")).expect("remove");
    std::os::unix::fs::symlink("/proc/self/fd/0", root.0.path("etc/passwd")).expect("symlink");
    assert_eq!(root.probe_output(&["-u", "5"], &["ids"]), "5 0 \n");
    fs::remove_file(root.0.path("etc/passwd")).expect("remove");
    fs::create_dir(root.0.path("etc/passwd")).expect("mkdir");
    // What is no regular file names no users.
    assert_eq!(root.probe_output(&["-u", "5"], &["ids"]), "5 0 \n");
    fs::remove_dir(root.0.path("etc/passwd")).expect("remove");
    // Nor does a file that is larger than any list of users.
    let file = fs::File::create(root.0.path("etc/passwd")).expect("create");
    file.set_len(1 << 40).expect("ftruncate");
    assert_eq!(root.probe_output(&["-u", "5"], &["ids"]), "5 0 \n");
    // A line may be of any length.
    let line = format!("five:x:5:6:{}:/:/bin/sh\n", "x".repeat(40_000));
    fs::write(root.0.path("etc/passwd"), line).expect("write");
    assert_eq!(root.probe_output(&["-u", "5"], &["ids"]), "5 6 \n");
}

case!(a_terminal_is_the_users, Needs::ROOT | Needs::TERMINAL);
fn a_terminal_is_the_users() {
    let root = root_with_users();
    let seen = root.probe(&["-t", "-u", "alice"], &["write", "/dev/pts/0", "/dev/stdout"]).finish();
    assert_eq!(seen.success(), "writtenok\r\nwrittenok\r\n");
}

case!(with_a_reaper, Needs::ROOT);
fn with_a_reaper() {
    let root = root_with_users();
    root.probe(&["--init", "-u", "alice"], &["status", "3"]).finish().silent(3);
    assert_eq!(root.probe_output(&["--init", "-u", "alice"], &["ids"]), "1000 1001 29,30,50\n");
}

case!(on_the_hosts_own_files, Needs::ROOT);
fn on_the_hosts_own_files() {
    assert_eq!(probe(&["-u", "65534:65534"], &["ids"]).finish().success(), "65534 65534 \n");
    probe(&["-u", "nobody-of-that-name"], &["ids"]).finish().refused(125, &["unknown user"]);
}

case!(the_user_dies_with_mydocker, Needs::ROOT);
/// A change of credentials clears the parent-death signal, which ends a container with its mydocker: mydocker sets it
/// afterwards.
fn the_user_dies_with_mydocker() {
    let root = root_with_users();
    // Without a cgroup: a run that sweeps there would kill it as well.
    for options in [&["--no-limits", "-u", "alice"][..], &["--no-limits", "-u", "alice", "--init"]] {
        let (running, pid) = crate::support::roots::start_with_pid(root.probe(options, &["hold"]));
        running.send(libc::SIGKILL);
        assert!(crate::support::processes::wait_for_end(pid), "{options:?}");
        running.reap();
    }
}

case!(working_directory, Needs::NAMESPACES);
fn working_directory() {
    let root = Root::with_directories();
    assert_eq!(root.probe_output(&["-w", "/etc"], &["folder"]), "/etc\n");
    assert_eq!(root.probe_output(&["-w", "/made/for/it"], &["folder"]), "/made/for/it\n");
    assert!(root.0.path("made/for/it").is_dir());
    assert_eq!(root.probe_output(&["-w", "/dev/shm/x"], &["folder"]), "/dev/shm/x\n");
    root.refuses(&["--read-only", "-w", "/missing"], &["/missing", "EROFS"]);
    root.refuses(&["-w", "/probe"], &["/probe", "ENOTDIR"]);
    root.probe(&["-w", "relative"], &["status", "0"]).finish().usage_error(&["relative"]);
}

case!(working_directory_of_the_host, Needs::NAMESPACES);
fn working_directory_of_the_host() {
    let folder = Folder::new();
    probe(&["-w", &folder.text("missing")], &["status", "0"]).finish().refused(125, &["missing", "ENOENT"]);
    assert!(!folder.path("missing").exists());
}

case!(limits_of_resources, Needs::ROOT);
fn limits_of_resources() {
    let root = Root::with_directories();
    for run in
        [root.probe(&["--ulimit", "nofile=100:200"], &["limits"]), probe(&["--ulimit", "nofile=100:200"], &["limits"])]
    {
        let text = run.finish().success();
        assert!(text.starts_with("100 200 "), "{text}");
    }
    let text = root.probe_output(&["--ulimit", "nofile=64", "-u", "1000"], &["limits"]);
    assert!(text.starts_with("64 64 "), "{text}");
    // The last of a name counts: the first one would not let it be raised again.
    let text =
        root.probe_output(&["--ulimit", "nofile=64", "--ulimit", "core=0", "--ulimit", "nofile=99"], &["limits"]);
    assert!(text.starts_with("99 99 "), "{text}");
    // More files than the kernel accepts.
    root.refuses(&["--ulimit", "nofile=unlimited"], &["prlimit64", "nofile", "EPERM"]);
}

case!(bad_words, Needs::NOTHING);
fn bad_words() {
    for options in
        [["--ulimit", "what=1"], ["--ulimit", "nofile"], ["--ulimit", "nofile=2:1"], ["-u", ":1"], ["-u", "1:"]]
    {
        probe(&options, &["status", "0"]).finish().usage_error(&[]);
    }
}
