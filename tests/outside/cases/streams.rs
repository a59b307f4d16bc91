//! The three standard streams as a way out, and what mydocker itself writes: nothing of it may wait where no signal is heard,
//! follow what others have put there, or make a terminal do something.

use crate::probes::own_mounts::in_own_mounts;
use crate::support::folder::Folder;
use crate::support::harness::{Run, mydocker_at, mydocker_file, probe, probe_file};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::outcome::Outcome;
use crate::support::roots::Root;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;

fn open_with(path: &str, flags: i32) -> OwnedFd {
    OpenOptions::new().read(true).custom_flags(flags).open(path).expect("open").into()
}

/// Runs it with this descriptor as one of its three streams.
fn on_stream(run: Run, number: i32, stream: OwnedFd) -> Outcome {
    run.before(move || {
        // SAFETY: dup2 takes two integers
        if unsafe { libc::dup2(stream.as_raw_fd(), number) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    })
    .finish()
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
    let fifo = folder.text("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
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
                match name {
                    "stderr" => assert_eq!(outcome.code(), 125, "{outcome:?}"),
                    _ => outcome.refused(125, &[name, "directory", "O_PATH", "/dev/null"]),
                }
                assert!(!folder.path("x").exists() && !root.0.path("x").exists(), "it ran: {outcome:?}");
            }
        }
    }
}
