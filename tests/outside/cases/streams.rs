//! The three standard streams as a way out, and what mydocker itself writes: nothing of it may wait where no signal is heard,
//! follow what others have put there, or make a terminal do something.

use crate::probes::own_mounts::in_own_mounts;
use crate::support::folder::Folder;
use crate::support::harness::{
    Run, mydocker, mydocker_at, mydocker_file, pass_as, probe, probe_file, run, unique_name,
};
use crate::support::host::{host, tool};
use crate::support::needs::Needs;
use crate::support::outcome::Outcome;
use crate::support::processes::{children, status_field, timeout, wait_until};
use crate::support::roots::Root;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;

fn open_with(path: &str, flags: i32) -> OwnedFd {
    // std would take O_PATH away on musl, where it is one of the bits of O_ACCMODE.
    let flags = OFlags::CLOEXEC | OFlags::from_bits_retain(flags as u32);
    rustix::fs::open(path, flags, Mode::empty()).expect("open")
}

/// Runs it with this descriptor as one of its three streams.
fn on_stream(run: Run, number: i32, stream: OwnedFd) -> Outcome {
    run.before(move || pass_as(stream.as_raw_fd(), number)).finish()
}

probe!("reopen-stdin", |_| reopen_stdin());
/// What becomes of opening stdin again for reading, and for writing; of changing its mode; and its next line.
fn reopen_stdin() {
    let open = |options: &mut OpenOptions| answer(options.open("/proc/self/fd/0").map(drop));
    print!("{} ", open(OpenOptions::new().read(true)));
    print!("{} ", open(OpenOptions::new().write(true)));
    print!("{} ", open(OpenOptions::new().read(true).append(true)));
    // SAFETY: fchmod takes two integers
    let changed = unsafe { libc::fchmod(0, 0o604) };
    print!("{} ", answer(if changed < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }));
    print_line();
}

fn answer(result: io::Result<()>) -> &'static str {
    match result.as_ref().map_err(io::Error::raw_os_error) {
        Ok(()) => "works",
        Err(Some(libc::EROFS)) => "EROFS",
        Err(Some(libc::EACCES)) => "EACCES",
        Err(_) => "another error",
    }
}

probe!("read-line", |_| print_line());
/// Prints the next line of stdin, of which it reads no more.
fn print_line() {
    // SAFETY: nobody else owns the descriptor, which is not closed here
    let mut stdin = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(0) });
    let mut byte = [0];
    while stdin.read(&mut byte).expect("read") == 1 {
        print!("{}", char::from(byte[0]));
        if byte == *b"\n" {
            return;
        }
    }
    println!("end");
}

/// The last word says whether it is in a root of its own.
const WAYS: [&[&str]; 5] = [
    &["--rootfs"],
    &["--read-only", "--rootfs"],
    &["--ephemeral", "--rootfs"],
    &["--init", "--rootfs"],
    &["--read-only"],
];

fn probe_way(root: &Root, way: &[&str], words: &[&str]) -> Run {
    match way {
        [options @ .., "--rootfs"] => root.probe(options, words),
        options => probe(options, words),
    }
}

/// A file that everybody may write to.
fn input(folder: &Folder) -> String {
    let file = folder.write("in", b"one\ntwo\nthree\n");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).expect("chmod");
    file
}

case!(a_file_as_stdin, Needs::NAMESPACES | Needs::OVERLAY);
/// It was opened for reading; what its mode would allow does not count.
fn a_file_as_stdin() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = input(&folder);
    for way in WAYS {
        let outcome = on_stream(probe_way(&root, way, &["reopen-stdin"]), 0, open_with(&file, 0));
        assert_eq!(outcome.success(), "works EROFS EROFS EROFS one\n", "{way:?}");
    }
    assert_eq!(fs::metadata(&file).expect("status").permissions().mode() & 0o7777, 0o666);
    // Who has opened it for both means both.
    let both = OpenOptions::new().read(true).write(true).open(&file).expect("open").into();
    assert_eq!(on_stream(root.probe(&[], &["reopen-stdin"]), 0, both).success(), "works works works works one\n");
}

case!(a_file_as_stdin_of_a_user, Needs::ROOT | Needs::USER_NAMESPACES);
fn a_file_as_stdin_of_a_user() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = input(&folder);
    let mydocker = folder.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
    fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    for option in ["--rootfs", "--read-only"] {
        let (path, inside) = (root.path(), root.0.text("probe"));
        let command = if option == "--rootfs" { "/probe" } else { &inside };
        let mut words = vec!["run", option];
        words.extend((option == "--rootfs").then_some(path.as_str()));
        words.extend([command, "--probe", "reopen-stdin"]);
        let run = mydocker_at(mydocker.as_ref(), &words).with(|command| command.uid(65534).gid(65534).current_dir("/"));
        assert_eq!(on_stream(run, 0, open_with(&file, 0)).success(), "works EROFS EROFS EROFS one\n", "{option}");
    }
}

/// `exec` of a probe with a file as stdin, as the user `uid`, in containers whose root is not to be written to.
fn exec_with_a_file(uid: u32) {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = input(&folder);
    let program = folder.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
    let state = folder.text("records");
    fs::create_dir(&state).expect("mkdir");
    fs::set_permissions(&state, PermissionsExt::from_mode(0o700)).expect("chmod");
    fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    // SAFETY: geteuid takes nothing
    if uid != unsafe { libc::geteuid() } {
        std::os::unix::fs::chown(&state, Some(uid), Some(uid)).expect("chown");
    }
    let mydocker = |words: &[&str]| {
        mydocker_at(program.as_ref(), words).with(|command| match uid {
            65534 => command.uid(uid).gid(uid).current_dir("/"),
            _ => command,
        })
    };
    let (path, inside) = (root.path(), root.0.text("probe"));
    for (options, probe) in [(&["--rootfs", path.as_str()][..], "/probe"), (&["--read-only"], inside.as_str())] {
        let name = unique_name();
        let words = ["run", "-d", "-i", "--name", &name, "--state", &state];
        let hold = [probe, "--probe", "hold"];
        assert_eq!(mydocker(&[&words, options, &hold].concat()).start().reap().success(), format!("{name}\n"));
        let exec = ["exec", "--state", &state, &name, probe, "--probe"];
        let stdin = open_with(&file, 0);
        let mut caller = File::from(stdin.try_clone().expect("dup"));
        let outcome = on_stream(mydocker(&[&exec[..], &["reopen-stdin"]].concat()), 0, stdin);
        assert_eq!(outcome.success(), "works EROFS EROFS EROFS one\n", "{options:?}");
        // The caller goes on where the command has stopped.
        let mut rest = String::new();
        caller.read_to_string(&mut rest).expect("read");
        assert_eq!(rest, "two\nthree\n", "{options:?}");
        mydocker(&["rm", "-f", "--state", &state, &name]).finish().success();
    }
    assert_eq!(fs::metadata(&file).expect("status").permissions().mode() & 0o7777, 0o666);
}

case!(a_file_as_stdin_of_exec, Needs::NAMESPACES);
fn a_file_as_stdin_of_exec() {
    // SAFETY: geteuid takes nothing
    exec_with_a_file(unsafe { libc::geteuid() });
}

case!(a_file_as_stdin_of_a_users_exec, Needs::ROOT | Needs::USER_NAMESPACES);
fn a_file_as_stdin_of_a_users_exec() {
    exec_with_a_file(65534);
}

case!(how_far_a_file_as_stdin_is_read, Needs::NAMESPACES | Needs::SH);
/// What a loop of a shell reads beside the runs in it comes from where the last run has stopped.
fn how_far_a_file_as_stdin_is_read() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = input(&folder);
    let script = r#"
        mydocker=$1; shift
        "$mydocker" "$@" --probe read-line
        while read -r line; do echo "outside $line"; "$mydocker" "$@" --probe read-line; done
        "$mydocker" "$@" --probe status 0
        echo "outside $(cat)""#;
    for (content, expected) in [
        ("1\n2\n3\n", "1\noutside 2\n3\noutside \n"),
        ("1\n2\n3\n4\n", "1\noutside 2\n3\noutside 4\nend\noutside \n"),
        ("", "end\noutside \n"),
    ] {
        fs::write(&file, content).expect("write");
        for way in [&["--rootfs", &root.path(), "/probe"][..], &["--read-only", probe_file().to_str().expect("UTF-8")]]
        {
            let file_under_test = mydocker_file();
            let mut words = vec!["-c", script, "sh", file_under_test.to_str().expect("UTF-8"), "run", "--no-limits"];
            words.extend(way);
            let outcome = on_stream(mydocker_at(&tool("sh").expect("sh"), &words), 0, open_with(&file, 0));
            assert_eq!(outcome.success(), expected, "{way:?}");
        }
    }
}

case!(a_job_that_reads_nothing, Needs::NAMESPACES);
/// The offset is the caller's own where the command has read nothing: others may have read on meanwhile.
fn a_job_that_reads_nothing() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = input(&folder);
    let mut stdin = File::open(&file).expect("open");
    let output = || File::create(folder.path("out")).expect("create").into();
    let fifo = fifo(&folder);
    let volume = format!("{fifo}:/fifo");
    let running = root.probe(&["-v", &volume], &["file", "/fifo"]).start_on([
        stdin.try_clone().expect("dup").into(),
        output(),
        output(),
    ]);
    // Once the other side is open the command runs.
    let writer = OpenOptions::new().write(true).open(&fifo).expect("open of a FIFO");
    let mut line = [0; 4];
    stdin.read_exact(&mut line).expect("read");
    drop(writer);
    assert_eq!(running.finish().code(), 0);
    let mut rest = String::new();
    stdin.read_to_string(&mut rest).expect("read");
    assert_eq!((&line, rest.as_str()), (b"one\n", "two\nthree\n"));
}

case!(a_file_without_a_name_as_stdin, Needs::NAMESPACES);
/// A shell's here-document, a memfd: it has no path, and stays as it is.
fn a_file_without_a_name_as_stdin() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = input(&folder);
    let stdin = open_with(&file, 0);
    fs::remove_file(file).expect("unlink");
    assert!(on_stream(root.probe(&[], &["reopen-stdin"]), 0, stdin).success().ends_with(" one\n"));
}

case!(a_device_as_stdin, Needs::ROOT | Needs::LOOP);
/// A block device that was opened for reading cannot be opened again at all.
fn a_device_as_stdin() {
    let root = Root::with_directories();
    let device = "/dev/loop0";
    let outcome = on_stream(root.probe(&[], &["reopen-stdin"]), 0, open_with(device, 0));
    assert!(outcome.success().starts_with("EACCES EACCES EACCES EROFS "), "{outcome:?}");
}

case!(a_stdin_that_cannot_become_read_only, Needs::ROOT | Needs::STRACE);
fn a_stdin_that_cannot_become_read_only() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = input(&folder);
    let injected = |what: &str| {
        let mut words: Vec<OsString> =
            ["-f", "-o", "/dev/null", "-e", "signal=none", "-e", what].map(OsString::from).into();
        let file = mydocker_file();
        words.extend([file.into(), "run".into(), "--no-limits".into(), "--rootfs".into(), root.path().into()]);
        words.extend(["/probe", "--probe", "reopen-stdin"].map(OsString::from));
        on_stream(mydocker_at(&tool("strace").expect("strace"), &words), 0, open_with(&folder.text("in"), 0))
    };
    // As before Linux 5.12 and 5.2.
    assert_eq!(injected("inject=mount_setattr:error=ENOSYS").success(), "works EROFS EROFS EROFS one\n");
    injected("inject=open_tree:error=ENOSYS").refused(125, &[&file, "ENOSYS", "stdin", "cat FILE | mydocker run"]);
    in_own_mounts("private", "hidden-stdin");
}

probe!("hidden-stdin", |_| {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let (file, other) = (input(&folder), folder.write("other", b"other\n"));
    let stdin = open_with(&file, 0);
    mount_bind(other.as_str(), file.as_str()).expect("bind");
    on_stream(root.probe(&[], &["reopen-stdin"]), 0, stdin).refused(125, &[&file, "cat FILE | mydocker run"]);
    unmount(file.as_str(), UnmountFlags::empty()).expect("umount");
});

case!(a_directory_as_a_stream, Needs::NAMESPACES);
/// Through /proc/self/fd/0/.. it would lead to all files of this host.
fn a_directory_as_a_stream() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let (directory, file) = (folder.text(""), input(&folder));
    for (number, name) in [(0, "stdin"), (1, "stdout"), (2, "stderr")] {
        for (path, flags) in [(&directory, libc::O_DIRECTORY), (&directory, libc::O_PATH), (&file, libc::O_PATH)] {
            for run in [root.probe(&[], &["touch", "/x"]), probe(&[], &["touch", &folder.text("x")])] {
                let outcome = on_stream(run, number, open_with(path, flags));
                assert_eq!(outcome.code(), 125, "{name} is {path}, with {flags:#o}: {outcome:?}");
                match name {
                    "stderr" => {}
                    _ => outcome.refused(125, &[name, "directory", "O_PATH", "/dev/null"]),
                }
                assert!(!folder.path("x").exists() && !root.0.path("x").exists(), "it ran: {outcome:?}");
            }
        }
    }
}

/// A pipe that is full, and that nobody reads: its end to write to, and the other one, which keeps it open.
/// A pipe that nobody reads, with the end that somebody could read from.
pub fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("pipe");
    fill(&write);
    (write, read)
}

fn fill(pipe: &OwnedFd) {
    // A description of its own: O_NONBLOCK is not to reach the run.
    let name = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let again = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(name).expect("open again");
    while rustix::io::write(&again, &[b'x'; 4096]).is_ok() {}
    while rustix::io::write(&again, b"x").is_ok() {}
}

pub fn null() -> OwnedFd {
    OpenOptions::new().read(true).write(true).open("/dev/null").expect("open").into()
}

/// Whether `pid` waits in a write(2), or in the ppoll(2) of one descriptor before one.
fn waits_to_write(pid: i32) -> bool {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let words: Vec<&str> = call.split(' ').collect();
    let is = |number: libc::c_long| words[0] == number.to_string();
    is(libc::SYS_write) || is(libc::SYS_ppoll) && words[2] == "0x1"
}

/// mydocker, or its child.
#[track_caller]
fn wait_until_it_waits_to_write(pid: i32) {
    let call = || fs::read_to_string(format!("/proc/{pid}/syscall"));
    let start = std::time::Instant::now();
    while !waits_to_write(pid) && !children(pid).into_iter().any(waits_to_write) {
        assert!(start.elapsed() < timeout(), "it does not wait to write, but {:?}, {:?}", call(), children(pid));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// TERM ends a mydocker that waits for a reader of what it writes.
fn term_ends_a_writer(run: Run, streams: [OwnedFd; 3], status: i32) {
    let running = run.start_on(streams);
    wait_until("mydocker has no child any more", || {
        children(running.pid).is_empty() && host().directories(&running.directory_name()).is_empty()
    });
    wait_until_it_waits_to_write(running.pid);
    running.send(libc::SIGTERM);
    let outcome = running.reap();
    assert_eq!(outcome.status.code().unwrap_or(128 + libc::SIGTERM), status, "{outcome:?}");
}

case!(a_message_that_nobody_reads, Needs::NAMESPACES);
fn a_message_that_nobody_reads() {
    let ((pipe, _read), folder) = (full_pipe(), Folder::new());
    let stream = || pipe.try_clone().expect("dup");
    term_ends_a_writer(run(&[], &["/not/there"]), [null(), null(), stream()], 143);
    for option in ["--stats", "--stats=json"] {
        term_ends_a_writer(probe(&[option], &["status", "0"]), [null(), null(), stream()], 143);
    }
    term_ends_a_writer(mydocker(&["check"]), [null(), stream(), null()], 143);
    let fifo = fifo(&folder);
    let reader = OpenOptions::new().read(true).write(true).open(&fifo).expect("open of a FIFO").into();
    fill(&reader);
    term_ends_a_writer(probe(&[&format!("--stats={fifo}")], &["status", "0"]), [null(), null(), null()], 143);
}

case!(a_check_is_ended_at_any_moment, Needs::NAMESPACES);
/// A signal that comes while one of its runs waits for signals ends all of it, and not that run alone.
fn a_check_is_ended_at_any_moment() {
    let (pipe, _read) = full_pipe();
    for trial in 0..24 {
        let running = mydocker(&["check"]).start_on([null(), pipe.try_clone().expect("dup"), null()]);
        std::thread::sleep(std::time::Duration::from_millis(trial * 10));
        running.send(libc::SIGTERM);
        let outcome = running.reap();
        assert_eq!(outcome.status.code().unwrap_or(128 + libc::SIGTERM), 143, "{outcome:?}");
    }
}

fn fifo(folder: &Folder) -> String {
    let fifo = folder.text("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
    fifo
}

case!(a_long_record_for_a_slow_reader, Needs::NAMESPACES);
/// What does not fit into a FIFO at once is not lost.
fn a_long_record_for_a_slow_reader() {
    let folder = Folder::new();
    let fifo = fifo(&folder);
    let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).expect("open of a FIFO");
    let word = "w".repeat(100_000);
    let running = probe(&[&format!("--stats={fifo}")], &["status", "0", &word]).start();
    wait_until("it waits to write", || children(running.pid).is_empty() && waits_to_write(running.pid));
    let mut record = Vec::new();
    wait_until("the record has come", || {
        let mut part = [0; 65536];
        let n = reader.read(&mut part).unwrap_or(0);
        record.extend_from_slice(&part[..n]);
        record.len() > 100_000 && record.ends_with(b"]\n")
    });
    running.finish().silent(0);
}

case!(a_trace_that_nobody_reads, Needs::NAMESPACES);
/// The trace fills the pipe while mydocker's signals are blocked: TERM still ends it, and nothing is left.
fn a_trace_that_nobody_reads() {
    let folder = Folder::new();
    for to_stderr in [true, false] {
        let fifo = fifo(&folder);
        let pipe: OwnedFd = OpenOptions::new().read(true).write(true).open(&fifo).expect("open of a FIFO").into();
        rustix::pipe::fcntl_setpipe_size(&pipe, 4096).expect("F_SETPIPE_SZ");
        let trace = if to_stderr { "--trace".to_string() } else { format!("--trace={fifo}") };
        let stderr = if to_stderr { pipe.try_clone().expect("dup") } else { null() };
        let running = probe(&[&trace], &["hold"]).start_on([null(), null(), stderr]);
        let mut reader = File::open(&fifo).expect("open of a FIFO");
        wait_until_it_waits_to_write(running.pid);
        // If it has not blocked signals yet, the first lines have filled the pipe.
        while status_field(running.pid, "SigBlk:") == Some(0) {
            reader.read_exact(&mut [0; 4096]).expect("read");
            wait_until_it_waits_to_write(running.pid);
        }
        running.send(libc::SIGTERM);
        assert_eq!(running.finish().code(), 143, "{trace}");
        fs::remove_file(fifo).expect("unlink");
    }
}

case!(a_child_that_hangs, Needs::ROOT | Needs::FUSE);
/// A filesystem may never answer. Wherever mydocker waits for its child then, TERM ends both.
fn a_child_that_hangs() {
    in_own_mounts("private", "hanging-child");
}

probe!("hanging-child", |_| {
    let (folder, root) = (Folder::new(), Root::with_directories());
    let (path, point) = (root.path(), folder.text(""));
    // Nobody reads the requests, so that each of them waits until its process is killed.
    let server = OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("open");
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
    let options = crate::probes::c_string(&options);
    mount("fuse", &point, "fuse", MountFlags::empty(), Some(options.as_c_str())).expect("mount");
    let volume = format!("{point}file:/mnt");
    let long = "w".repeat(100_000);
    for (options, word, status) in [
        (&["--no-limits"][..], "", 143),
        (&["--no-limits"], &long, 143),
        (&["--no-limits", "-t"], "", 143),
        (&["--no-limits", "--rootfs", &path], &long, 143),
        // These fail when the child is there.
        (&["--cpu-mems", "77"], "", 125),
        (&["--cpu-mems", "77", "--rootfs", &path], "", 125),
    ] {
        let running = probe(&[options, &["-v", &volume]].concat(), &["status", "0", word]).start();
        let is_in = |pid: i32, calls: &[libc::c_long]| {
            let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
            call.split(' ').next().and_then(|number| number.parse().ok()).is_some_and(|number| calls.contains(&number))
        };
        wait_until(&format!("the child hangs: {options:?}"), || {
            let child = children(running.pid).first().copied().unwrap_or_default();
            is_in(child, &[libc::SYS_open_tree]) || running.has_ended()
        });
        // Wherever it waits for the child.
        wait_until("mydocker waits", || {
            is_in(running.pid, &[libc::SYS_ppoll, libc::SYS_write, libc::SYS_recvmsg, libc::SYS_wait4])
                || running.has_ended()
        });
        if !running.has_ended() {
            running.send(libc::SIGTERM);
        }
        let outcome = running.finish();
        assert_eq!(outcome.code(), status, "{options:?}: {outcome:?}");
    }
    unmount(point.as_str(), UnmountFlags::DETACH).expect("umount");
});

/// The options that name a file of mydocker's own.
const FILES: [&str; 3] = ["--pid-file", "--stats", "--trace"];

case!(files_that_are_there_already, Needs::NAMESPACES);
/// Of an earlier run, whose mode was another one; with a second name; or of somebody else.
fn files_that_are_there_already() {
    let folder = Folder::new();
    for option in FILES {
        let file = folder.write("earlier", &[b'x'; 100_000]);
        fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("chmod");
        let named = format!("{option}={file}");
        assert_eq!(probe(&[&named], &["status", "0"]).finish().code(), 0, "{option}");
        assert_eq!(fs::metadata(&file).expect("status").permissions().mode() & 0o7777, 0o600, "{option}");
        assert!(!fs::read(&file).expect("read").contains(&b'\0') && fs::read(&file).expect("read").len() < 50_000);

        fs::hard_link(&file, folder.path("second")).expect("link");
        fs::write(&file, "victim\n").expect("write");
        let refused = || {
            probe(&[&named], &["status", "0"]).finish().refused(125, &[&file, "another", "remove it"]);
            assert_eq!(fs::read(&file).expect("read"), b"victim\n", "{option}");
        };
        refused();
        fs::remove_file(folder.path("second")).expect("unlink");
        if host().root {
            std::os::unix::fs::chown(&file, Some(65534), None).expect("chown");
            refused();
        }
        fs::remove_file(&file).expect("unlink");
    }
}

case!(names_of_descriptors, Needs::NAMESPACES);
/// `--trace=/dev/fd/3 3>>FILE`: the descriptor itself, not a new one of the file that it refers to.
fn names_of_descriptors() {
    let folder = Folder::new();
    for option in FILES {
        for (name, number) in [("/dev/stdout", 1), ("/dev/stderr", 2), ("/dev/fd/7", 7), ("/proc/self/fd/7", 7)] {
            let file = folder.write("log", b"earlier\n");
            let log = OpenOptions::new().append(true).open(&file).expect("open").into();
            let named = format!("{option}={name}");
            assert_eq!(on_stream(probe(&[&named], &["status", "0"]), number, log).code(), 0, "{named}");
            let text = fs::read_to_string(&file).expect("read");
            assert!(text.starts_with("earlier\n") && text.len() > 9, "{named}: {text}");
        }
        probe(&[&format!("{option}=/dev/fd/7")], &["status", "0"]).finish().refused(125, &["/dev/fd/7", "EBADF"]);
        assert_eq!(probe(&[&format!("{option}=/dev/null")], &["status", "0"]).finish().success(), "", "{option}");
    }
}

/// What would make a terminal do something, or turn the order of letters around; and bytes that are no text.
const COMMANDS: [&[u8]; 7] = [
    "\u{9b}31m".as_bytes(),
    "\u{85}\u{90}\u{9d}".as_bytes(),
    "\u{202a}\u{202e}\u{2066}\u{2069}".as_bytes(),
    "\u{200e}\u{200f}\u{61c}".as_bytes(),
    b"\x1b[31m\x07\x7f\r",
    b"\x9b31m",
    b"\xc2(\xff\xe2\x80",
];

/// Asserts that neither stream has any of them.
#[track_caller]
fn is_harmless(outcome: &Outcome) {
    for output in [&outcome.stdout, &outcome.stderr] {
        let text = String::from_utf8(output.clone()).unwrap_or_else(|_| panic!("not UTF-8: {outcome:?}"));
        let obeyed = |c: char| {
            c.is_control() && c != '\n' && c != '\t'
                || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!text.contains(obeyed), "{text:?}: {outcome:?}");
    }
}

case!(nothing_that_a_terminal_obeys, Needs::NAMESPACES);
/// Wherever mydocker shows a word that somebody else has chosen.
fn nothing_that_a_terminal_obeys() {
    let folder = Folder::new();
    for commands in COMMANDS {
        let word = |before: &str| OsString::from_vec([before.as_bytes(), commands].concat());
        let file = folder.path("").join(word("file"));
        fs::create_dir(&file).expect("mkdir");
        let command = [probe_file().into(), "--probe".into(), "status".into(), "0".into(), word("")];
        for look in ["--dry-run", "--trace", "--stats", "--stats=json", "--trace=/dev/stdout"] {
            let outcome = run(&["--no-limits", look], &command).finish();
            assert_eq!(outcome.code(), 0, "{outcome:?}");
            is_harmless(&outcome);
        }
        is_harmless(&run(&["--stats"], &[word("/nowhere/")]).finish());
        for option in
            ["-w", "--rootfs", "--env-file", "-v", "-u", "-m", "--name", "--hostname", "-e", "--pid-file", "-q"]
        {
            let words: [OsString; 5] = ["run".into(), option.into(), word("/nowhere/"), "--".into(), "/".into()];
            is_harmless(&mydocker(&words).finish());
        }
        let words: [OsString; 5] = ["run".into(), "--rootfs".into(), file.into(), "--dry-run".into(), "/".into()];
        is_harmless(&mydocker(&words).finish());
        is_harmless(&mydocker(&[word("")]).finish());
        is_harmless(&mydocker(&["run".into(), word("--")]).finish());
    }
}

case!(a_cgroup_that_a_terminal_would_obey, Needs::ROOT | Needs::MEMORY | Needs::GROUP_BELOW);
/// `check` shows in which cgroup it runs: its name is somebody else's.
fn a_cgroup_that_a_terminal_would_obey() {
    for commands in [COMMANDS[0], COMMANDS[2], COMMANDS[5]] {
        let name = [unique_name().as_bytes(), commands].concat();
        let group = host().group("memory", std::process::id() as i32).join(OsString::from_vec(name));
        fs::create_dir(&group).expect("a cgroup");
        let procs = std::ffi::CString::new(group.join("cgroup.procs").as_os_str().as_bytes()).expect("no NUL");
        let outcome = mydocker(&["check"])
            .before(move || {
                // SAFETY: the string ends with a NUL; `0` is the process that writes
                match unsafe { libc::write(libc::open(procs.as_ptr(), libc::O_WRONLY), c"0".as_ptr().cast(), 1) } {
                    1 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            })
            .finish();
        wait_until("the cgroup is empty", || fs::remove_dir(&group).is_ok());
        assert!(outcome.stdout_text().contains("own group"), "{outcome:?}");
        is_harmless(&outcome);
    }
}

case!(a_newuidmap_that_hangs, Needs::ROOT | Needs::USER_NAMESPACES | Needs::NEWUIDMAP);
/// It may wait for a directory service, such as LDAP.
fn a_newuidmap_that_hangs() {
    in_own_mounts("private", "hanging-newuidmap");
}

probe!("hanging-newuidmap", |_| {
    let folder = Folder::new();
    let mydocker = folder.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
    let program = folder.write_program("newuidmap", b"#!/bin/sh\nexec sleep 1000\n");
    let ranges = folder.write("ranges", b"65534:100000:65536\n");
    for (source, target) in [(&program, "/usr/bin/newuidmap"), (&ranges, "/etc/subuid"), (&ranges, "/etc/subgid")] {
        mount_bind(source.as_str(), target).expect("bind");
    }
    let running = mydocker_at(mydocker.as_ref(), &["run", "--no-limits", "true"])
        .with(|command| command.uid(65534).gid(65534).current_dir("/"))
        .start();
    wait_until("newuidmap hangs", || {
        let command = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        children(running.pid).iter().any(|pid| command(pid) == b"sleep\x001000\0")
    });
    running.send(libc::SIGTERM);
    assert_eq!(running.finish().code(), 143);
});
