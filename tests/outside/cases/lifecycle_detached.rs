//! Containers in the background: `run -d`, `logs`, `wait`, `stop`, `kill`.

use crate::cases::lifecycle::Records;
use crate::support::folder::Folder;
use crate::support::harness::{mydocker, mydocker_at, mydocker_file, run, unique_name};
use crate::support::host::{host, tool};
use crate::support::needs::{Needs, is_virtual_host, on_v2};
use crate::support::notes::note;
use crate::support::processes::{
    anonymous_kib, children, is_in_call, send, state, status_field, wait_for_end, wait_until,
};
use crate::support::roots::Root;
use rustix::fs::{CWD, FileType, mknodat};
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// Waits until the log of a container holds `text`.
fn await_log(records: &Records, name: &str, text: &str) {
    wait_until("the log has it", || records.call("logs", &[name]).stdout_text().contains(text));
}

/// The parent of a process.
pub fn keeper_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok()).expect("a parent")
}

case!(it_goes_on_in_the_background, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn it_goes_on_in_the_background() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "echo out; echo err >&2; exec sleep 1000");
    let pid = records.pid(&name);
    await_log(&records, &name, "err\n");
    assert_eq!(records.call("logs", &[&name]).success(), "out\nerr\n");
    assert_eq!(records.names(&[]), [name.as_str()]);
    // The keeper: a session of its own, none of the caller's streams.
    let keeper = keeper_of(pid);
    assert_eq!(children(keeper), [pid]);
    let stat = fs::read_to_string(format!("/proc/{keeper}/stat")).expect("stat");
    assert_eq!(stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3)), Some(keeper.to_string().as_str()));
    assert_eq!(fs::read_link(format!("/proc/{keeper}/fd/2")).expect("fd"), std::path::Path::new("/dev/null"));
    // It holds what a mydocker in the foreground holds; how much that is, depends on how it was built.
    let foreground = records.waiting("lc-foreground");
    // It notes the container before it waits, and grows until then.
    wait_until("the keeper is at most 24 KiB larger than a mydocker in the foreground", || {
        anonymous_kib(keeper) <= anonymous_kib(foreground.pid) + 24
    });
    foreground.finish().success();
    assert_eq!(records.call("stop", &[&name]).success(), format!("{name}\n"));
    assert!(wait_for_end(keeper));
    let table = records.call("ps", &["-a"]).success();
    assert!(table.contains("exited (143) "), "{table}");
    assert_eq!(records.call("wait", &[&name]).success(), "143\n");
    assert_eq!(records.call("logs", &[&name]).success(), "out\nerr\n");
    records.remove(&name);
}

case!(nothing_of_the_callers_stays_open, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// Neither a lock that it holds, nor a pipe that somebody reads to its end, nor the directory that it is in.
fn nothing_of_the_callers_stays_open() {
    let (records, folder) = (Records::new(), Folder::new());
    for more in
        [&[][..], &["--preserve-fds", "1"], &["--restart", "always"], &["-p", "127.0.0.1::80"], &["--cidfile", "cid"]]
    {
        let name = unique_name();
        let (files, place) = (folder.write("held", b""), folder.as_path().to_path_buf());
        let run = records.run(&[&["-d", "--name", &name], more].concat(), &["sleep", "1000"]);
        let run = run.with(move |command| command.current_dir(&place));
        let path = crate::probes::c_string(&files);
        // SAFETY: the calls take a string that ends with a NUL, and numbers
        let run = run.before(move || unsafe {
            let fd = libc::open(path.as_ptr(), libc::O_RDONLY);
            for number in [3, 40] {
                libc::dup2(fd, number);
            }
            Ok(())
        });
        assert_eq!(run.start().reap().success(), format!("{name}\n"));
        let keeper = keeper_of(records.pid(&name));
        // A run of one that is started again has a keeper above it, which stays in the directory.
        let restarts = more.contains(&"--restart");
        let above = restarts.then(|| keeper_of(keeper));
        for pid in [Some(keeper), above].into_iter().flatten() {
            wait_until("it has let go", || {
                let links = fs::read_dir(format!("/proc/{pid}/fd")).expect("fd").flatten();
                let mut links = links.filter_map(|entry| fs::read_link(entry.path()).ok());
                !links.any(|to| to == std::path::Path::new(&files) || to == folder.as_path())
            });
        }
        // Among the children is the command, which stays where it was started.
        let command = records.pid(&name);
        for pid in children(keeper).into_iter().filter(|pid| *pid != command).chain([keeper]) {
            match fs::read_link(format!("/proc/{pid}/cwd")) {
                // An ordinary user may not look into a relay.
                Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied && !host().root => {}
                cwd => assert_eq!(cwd.expect("cwd"), std::path::Path::new("/")),
            }
        }
        records.remove(&name);
    }
}

case!(options_that_name_descriptors, Needs::NAMESPACES | Needs::SH);
/// They stay open until all that the options name is open; none of mydocker's own has their numbers meanwhile.
fn options_that_name_descriptors() {
    let (records, folder, name) = (Records::new(), Folder::new(), unique_name());
    let files = [folder.write("variables", b"A=of the file\n"), folder.write("out", b""), folder.write("pid", b"")];
    let paths: Vec<_> = files.iter().map(|file| crate::probes::c_string(file)).collect();
    let options = ["-d", "--name", &name, "--env-file", "/dev/fd/40", "--log", "/dev/fd/5", "--stats=/dev/fd/6"];
    let run = records.run(&options, &["sh", "-c", "echo \"$A\""]).before(move || {
        for (path, number) in paths.iter().zip([40, 5, 6]) {
            // SAFETY: the calls take a string that ends with a NUL, and numbers
            unsafe { libc::dup2(libc::open(path.as_ptr(), libc::O_RDWR), number) };
        }
        Ok(())
    });
    assert_eq!(run.start().reap().success(), format!("{name}\n"));
    assert_eq!(records.call("wait", &[&name]).success(), "0\n");
    assert_eq!(fs::read_to_string(&files[1]).expect("read"), "of the file\n");
    wait_until("the record of --stats is there", || fs::read(&files[2]).is_ok_and(|text| !text.is_empty()));
    records.remove(&name);
    // A later run opens them, too.
    let (paths, name) = ([&files[0], &files[1]].map(|file| crate::probes::c_string(file)), unique_name());
    let options =
        ["-d", "--name", &name, "--env-file", "/dev/fd/40", "--log", "/dev/fd/5", "--restart", "on-failure:1"];
    let run = records.run(&options, &["sh", "-c", "echo \"$A\"; exit 3"]).before(move || {
        for (path, number) in paths.iter().zip([40, 5]) {
            // SAFETY: the calls take a string that ends with a NUL, and numbers
            unsafe { libc::dup2(libc::open(path.as_ptr(), libc::O_RDWR | libc::O_APPEND), number) };
        }
        Ok(())
    });
    assert_eq!(run.start().reap().success(), format!("{name}\n"));
    assert_eq!(records.call("wait", &[&name]).success(), "3\n");
    assert_eq!(fs::read_to_string(&files[1]).expect("read"), "of the file\n".repeat(3));
    records.remove(&name);
}

/// A file as stdout.
fn stdout_to(file: &std::ffi::CStr) -> std::io::Result<()> {
    // SAFETY: the calls take a string that ends with a NUL, and numbers
    let done = unsafe { libc::dup2(libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_APPEND), 1) };
    if done == 1 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

case!(a_name_that_cannot_be_printed, Needs::NAMESPACES | Needs::SLEEP);
/// It runs: so its status is 0, and the name is in the message.
fn a_name_that_cannot_be_printed() {
    let (records, name) = (Records::new(), unique_name());
    let run = records.run(&["-d", "--name", &name], &["sleep", "1000"]);
    let outcome = run.before(|| stdout_to(c"/dev/full")).start().reap();
    assert_eq!(outcome.code(), 0);
    assert!(outcome.stderr_text().contains("ENOSPC") && outcome.stderr_text().contains(&name), "{outcome:?}");
    assert_eq!(records.names(&[]), [name.as_str()]);
    records.remove(&name);
}

case!(all_are_asked_to_end_at_once, Needs::NAMESPACES | Needs::SH);
/// The first one ends only when the second one has been asked, too.
fn all_are_asked_to_end_at_once() {
    let (records, folder) = (Records::new(), Folder::new());
    let (file, names) = (folder.text("asked"), [unique_name(), unique_name()]);
    for (name, action) in names.iter().zip(["while [ ! -e FILE ]; do sleep 0.01; done", ": >FILE"]) {
        let action = action.replace("FILE", &file);
        records.detached(name, &[], &format!("trap '{action}; exit 6' TERM; echo up; while :; do sleep 0.01; done"));
        await_log(&records, name, "up");
    }
    let stopped = records.call("stop", &["-t", "-1", &names[0], &names[1]]).success();
    assert_eq!(stopped, format!("{}\n{}\n", names[0], names[1]));
    for name in &names {
        assert_eq!(records.call("wait", &[name]).success(), "6\n");
        records.remove(name);
    }
}

case!(a_reader_that_is_slower_than_the_log, Needs::NAMESPACES | Needs::SH);
/// It says that lines are missing, and shows all that is still kept, and no line that was never written.
fn a_reader_that_is_slower_than_the_log() {
    let (records, folder, name) = (Records::new(), Folder::new(), unique_name());
    let (go, shown) = (folder.text("go"), folder.text("shown"));
    let count = 8000;
    let script = format!(
        "echo 0; while [ ! -e {go} ]; do sleep 0.01; done; i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo $i; done; \
         echo the end; while :; do sleep 0.1; done"
    );
    records.detached(&name, &["--log-size", "32k"], &script);
    fs::write(&shown, "").expect("create");
    let out = crate::probes::c_string(&shown);
    let reader = records.verb("logs", &["-f", &name]).before(move || stdout_to(&out)).start();
    wait_until("it follows", || fs::read_to_string(&shown).is_ok_and(|text| text == "0\n"));
    send(reader.pid, libc::SIGSTOP);
    wait_until("it is stopped", || state(reader.pid) == Some('T'));
    folder.write("go", b"");
    await_log(&records, &name, "the end\n");
    let kept = records.call("logs", &[&name]).success();
    send(reader.pid, libc::SIGCONT);
    wait_until("it goes on", || fs::read_to_string(&shown).is_ok_and(|text| text.ends_with("the end\n")));
    send(reader.pid, libc::SIGTERM);
    let outcome = reader.reap();
    assert!(outcome.stderr_text().contains("may be missing"), "{outcome:?}");
    let text = fs::read_to_string(&shown).expect("read");
    // The oldest line that is kept may be a part of one.
    let (_, whole) = kept.split_once('\n').expect("lines");
    assert!(text.ends_with(whole), "{} bytes of {}", text.len(), whole.len());
    records.remove(&name);
}

case!(its_first_status_is_true, Needs::NAMESPACES);
fn its_first_status_is_true() {
    let records = Records::new();
    let name = unique_name();
    let start = |options: &[&str], command: &str| {
        records.run(&[&["-d", "--name", &name], options].concat(), &[command]).finish()
    };
    start(&[], "/no/such").refused(127, &["/no/such"]);
    // Whatever its caller ignores.
    let deaf = records.run(&["-d", "--name", &name], &["/no/such"]).before(|| {
        // SAFETY: SIG_IGN is no handler, so signal stores two integers
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        Ok(())
    });
    deaf.finish().refused(127, &["/no/such"]);
    start(&[], "/").refused(126, &["/"]);
    start(&["--rootfs", "/no/root"], "true").refused(125, &["/no/root"]);
    records.run(&["-d", "--step"], &["true"]).finish().usage_error(&["--step"]);
    records.run(&["-d", "--stats"], &["true"]).finish().usage_error(&["--stats"]);
    assert_eq!(records.left(), [""; 0]);
}

case!(a_child_that_is_killed_before_execve, Needs::NAMESPACES | Needs::SLEEP | Needs::STRACE);
/// Its end closes the pipe that execve would have closed.
fn a_child_that_is_killed_before_execve() {
    let (records, folder) = (Records::new(), Folder::new());
    let sleep = fs::canonicalize(tool("sleep").expect("sleep")).expect("a path");
    let sleep = sleep.to_str().expect("UTF-8");
    let (log, stats) = (folder.text("strace"), folder.text("stats.json"));
    let run = |options: &[&str]| {
        let mut words = ["-f", "-o", &log, "-P", sleep, "-e", "inject=execve:signal=KILL"].map(OsString::from).to_vec();
        words.push(mydocker_file().into());
        words.extend(["run", "--state", &records.state()].map(OsString::from));
        words.extend(options.iter().chain(&[sleep, "1000"]).map(OsString::from));
        mydocker_at(&tool("strace").expect("strace"), &words).start().reap()
    };
    let name = unique_name();
    let file = format!("--stats={stats}");
    for options in [&[][..], &["-d", "--name", &name], &["-d", "--name", &name, "--restart", "always"], &[&file]] {
        let outcome = run(options);
        outcome.silent(137);
        assert_eq!(outcome.stdout_text(), "", "{options:?}");
        // As one that could not be executed.
        assert_eq!(records.left(), [""; 0], "{options:?}");
    }
    let record: serde_json::Value = serde_json::from_slice(&fs::read(&stats).expect("the record")).expect("JSON");
    assert_eq!((&record["status"], &record["signal"]), (&137.into(), &9.into()), "{record}");
    assert_eq!(record["exec_seconds"], serde_json::Value::Null, "{record}");
}

case!(a_name_is_made_up, Needs::NAMESPACES | Needs::SH);
fn a_name_is_made_up() {
    let records = Records::new();
    let start = || records.run(&["-d"], &["sh", "-c", "hostname 2>/dev/null || cat /proc/sys/kernel/hostname"]);
    let names: Vec<String> = (0..5).map(|_| start().start().reap().success().trim_end().to_string()).collect();
    for name in &names {
        assert!(name.len() == 6 && name.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
        assert_eq!(records.call("wait", &[name]).success(), "0\n");
        // It is the hostname, as any name is.
        assert_eq!(records.call("logs", &[name]).success(), format!("{name}\n"));
    }
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(records.names(&["-a"]), sorted);
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(records.call("rm", &words).success(), names.join("\n") + "\n");
    assert_eq!(records.left(), [""; 0]);
}

case!(how_it_has_ended, Needs::NAMESPACES | Needs::SH);
fn how_it_has_ended() {
    let records = Records::new();
    for (script, status) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$; exit 4", 4)] {
        let name = unique_name();
        records.detached(&name, &[], script);
        assert_eq!(records.call("wait", &[&name]).success(), format!("{status}\n"), "{script}");
        assert_eq!(records.names(&["-f", "status=exited"]), [name.as_str()]);
        let json = records.call("ps", &["-a", "--json"]).success();
        assert!(json.contains(&format!("\"status\":{status},\"ended\":1")), "{json}");
        // The name is taken until its record is removed.
        records.run(&["--name", &name], &["true"]).start().reap().refused(125, &["has run", &name, "mydocker rm"]);
        records.call("kill", &[&name]).refused(125, &["it has ended", &name]);
        assert_eq!(records.call("stop", &[&name]).success(), format!("{name}\n"));
        assert_eq!(records.call("rm", &[&name]).success(), format!("{name}\n"));
    }
    for verb in ["logs", "wait", "stop", "kill", "rm"] {
        records.call(verb, &["lc-nobody"]).refused(125, &["no such container", "lc-nobody"]);
    }
}

case!(out_of_memory_is_told, Needs::NAMESPACES | Needs::MEMORY | Needs::SWAP);
fn out_of_memory_is_told() {
    let records = Records::new();
    let name = unique_name();
    let started = records.probe(&["-d", "--name", &name, "-m", "20m"], &["eat", "100000000"]).start().reap();
    assert_eq!(started.success(), format!("{name}\n"));
    assert_eq!(records.call("wait", &[&name]).success(), "137\n");
    let table = records.call("ps", &["-a"]).success();
    assert!(table.contains("exited (137) ") && table.contains(" ago, out of memory"), "{table}");
    assert!(table.lines().all(|line| line.len() <= 110), "{table}");
    records.remove(&name);
}

case!(a_time_limit_is_told, Needs::NAMESPACES | Needs::SLEEP);
fn a_time_limit_is_told() {
    let records = Records::new();
    let name = unique_name();
    records.run(&["-d", "--name", &name, "--timeout", "1"], &["sleep", "1000"]).start().reap().success();
    assert_eq!(records.call("wait", &[&name]).success(), "137\n");
    let table = records.call("ps", &["-a"]).success();
    assert!(table.contains("exited (137) ") && table.contains(" ago, by --timeout"), "{table}");
    let json = records.call("ps", &["-a", "--json"]).success();
    assert!(json.contains("\"out_of_memory\":false,\"timed_out\":true}"), "{json}");
    records.remove(&name);
}

case!(rm_leaves_no_record, Needs::NAMESPACES | Needs::SH);
fn rm_leaves_no_record() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["--rm", "-i"], "read line; exit 7");
    let waiting = records.verb("wait", &[&name]).start();
    let fifo = format!("{}/{name}/stdin", records.state());
    fs::OpenOptions::new().write(true).open(fifo).expect("its standard input").write_all(b"go\n").expect("write");
    // Whoever waits gets the status even so.
    let outcome = waiting.reap();
    if outcome.code() == 0 {
        assert_eq!(outcome.success(), "7\n");
    } else {
        outcome.refused(125, &["no such container"]);
    }
    wait_until("the record is gone", || records.left().is_empty());
}

case!(any_number_may_wait, Needs::NAMESPACES | Needs::SH);
fn any_number_may_wait() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["-i", "--rm"], "read line; exit 9");
    let keeper = keeper_of(records.pid(&name));
    let waiters: Vec<_> = (0..10).map(|_| records.verb("wait", &[&name]).start()).collect();
    for waiter in &waiters {
        wait_until("it waits", || is_in_call(waiter.pid, libc::SYS_flock));
    }
    let fifo = format!("{}/{name}/stdin", records.state());
    fs::OpenOptions::new().write(true).open(fifo).expect("its standard input").write_all(b"go\n").expect("write");
    for waiter in waiters {
        assert_eq!(waiter.reap().success(), "9\n");
    }
    assert!(wait_for_end(keeper));
    assert_eq!(records.left(), [""; 0]);
}

case!(stop_and_kill, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn stop_and_kill() {
    let records = Records::new();
    let scripts = [
        // What neither catches nor ignores SIGTERM ends at once; what ignores it, by SIGKILL.
        (&["stop"][..], "echo up; exec sleep 1000", "143\n"),
        (&["stop", "-t", "0"], "trap '' TERM; echo up; sleep 1000", "137\n"),
        (&["stop", "-t", "600"], "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done", "5\n"),
        (&["stop", "--timeout", "0"], "trap '' TERM; echo up; sleep 1000", "137\n"),
        (&["stop", "-t", "-1"], "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done", "5\n"),
        (&["kill"], "echo up; exec sleep 1000", "137\n"),
        (&["kill", "-s", "USR1"], "trap 'exit 6' USR1; echo up; while :; do sleep 0.01; done", "6\n"),
        (&["kill", "--signal=sigusr2"], "trap 'exit 7' USR2; echo up; while :; do sleep 0.01; done", "7\n"),
        (&["kill", "-s12"], "trap 'exit 8' USR2; echo up; while :; do sleep 0.01; done", "8\n"),
    ];
    for (words, script, status) in scripts {
        let name = unique_name();
        records.detached(&name, &[], script);
        await_log(&records, &name, "up\n");
        let sent = records.call(words[0], &[&words[1..], &[&name]].concat());
        assert_eq!(sent.success(), format!("{name}\n"), "{words:?}");
        assert_eq!(records.call("wait", &[&name]).success(), status, "{words:?} {script}");
        records.remove(&name);
    }
    records.call("kill", &["-s", "NOPE", "x"]).usage_error(&["no such signal", "NOPE"]);
    records.call("kill", &["-s", "65", "x"]).usage_error(&["no such signal", "65"]);
    records.call("stop", &["-t", "soon", "x"]).usage_error(&["not a number", "soon"]);
    // As milliseconds it would begin again at 0, and kill at once.
    for long in ["4294968", "4294967296", "18446744073709551615"] {
        records.call("stop", &["-t", long, "x"]).usage_error(&["too many seconds", long]);
    }
    records.call("stop", &["-t", "4294967", "x"]).refused(125, &["no such container"]);
}

case!(nothing_runs_when_kill_has_ended, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// docker's users go on with rm. A keeper that is stopped would clean up only when somebody lets it go on.
fn nothing_runs_when_kill_has_ended() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "exec sleep 1000");
    let keeper = keeper_of(records.pid(&name));
    send(keeper, libc::SIGSTOP);
    wait_until("the keeper is stopped", || state(keeper) == Some('T'));
    assert_eq!(records.call("kill", &[&name]).success(), format!("{name}\n"));
    assert_eq!(records.call("rm", &["-v", &name]).success(), format!("{name}\n"));
    assert_eq!(records.left(), [""; 0]);
}

case!(a_host_without_run_and_tmp, Needs::ROOT);
/// An initramfs may have neither; the message says what helps.
fn a_host_without_run_and_tmp() {
    let root = Root::new();
    let file = format!("{}:/mydocker:ro", mydocker_file().display());
    let options = ["--privileged", "--no-limits", "--rootfs", &root.path(), "-v", &file];
    let inside = ["/mydocker", "run", "-d", "--no-limits", "/mydocker", "version"];
    run(&options, &inside).finish().refused(125, &["/tmp/mydocker-0", "ENOENT", "mkdir /run"]);
    fs::create_dir(format!("{}/run", root.path())).expect("mkdir");
    assert_eq!(run(&options, &inside).finish().code(), 0);
}

case!(stop_by_another_signal, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn stop_by_another_signal() {
    let records = Records::new();
    for (signal, script, status) in [
        ("QUIT", "trap 'exit 6' QUIT; trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done", "6\n"),
        ("sigrtmin+3", "trap 'exit 8' 37; echo up; while :; do sleep 0.01; done", "8\n"),
        ("RTMAX-27", "trap 'exit 8' 37; echo up; while :; do sleep 0.01; done", "8\n"),
        ("2", "echo up; exec sleep 1000", "130\n"),
        // The keeper is not what it ends.
        ("KILL", "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done", "137\n"),
    ] {
        let name = unique_name();
        records.detached(&name, &["--stop-signal", signal], script);
        await_log(&records, &name, "up\n");
        assert_eq!(records.call("stop", &["-t", "600", &name]).success(), format!("{name}\n"), "{signal}");
        assert_eq!(records.call("wait", &[&name]).success(), status, "{signal}");
        records.remove(&name);
    }
    for bad in ["NOPE", "0", "65", "RTMIN+31", "RTMAX-99999999999999999999", "RTMIN+", "-1"] {
        run(&["--stop-signal", bad], &["true"]).finish().usage_error(&["no such signal", bad]);
    }
    for bad in ["CHLD", "PIPE", "URG", "STOP", "TSTP", "TTIN", "TTOU"] {
        run(&["--stop-signal", bad], &["true"]).finish().usage_error(&["reaches no command", bad]);
    }
    run(&["--stop-signal="], &["true"]).finish().usage_error(&["empty value"]);
    run(&["--stop-signal=x", "--stop-signal=9"], &["true"]).finish().silent(0);
    for good in ["RTMIN", "SIGRTMAX", "rtmin+30"] {
        run(&["--stop-signal", good], &["true"]).finish().silent(0);
    }
}

case!(a_keeper_that_is_killed, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn a_keeper_that_is_killed() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "sleep 1000");
    let pid = records.pid(&name);
    send(keeper_of(pid), libc::SIGKILL);
    assert!(wait_for_end(pid));
    let outcome = records.call("wait", &[&name]);
    assert_eq!((outcome.code(), outcome.stdout_text()), (125, "137\n".into()), "{outcome:?}");
    assert!(outcome.stderr_text().contains("its keeper was killed"), "{outcome:?}");
    assert_eq!(records.names(&["-f", "status=lost"]), [name.as_str()]);
    // Nobody removes it but rm.
    records.run(&["--name", &unique_name()], &["true"]).start().reap().silent(0);
    records.run(&["--name", &name], &["true"]).start().reap().refused(125, &["has run", &name]);
    assert_eq!(records.call("rm", &[&name]).success(), format!("{name}\n"));
}

/// A process with this pid, which waits. None: the pid is still another's.
fn process_with_pid(pid: i32) -> Option<i32> {
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        before: [u64; 4],
        exit_signal: u64,
        after: [u64; 3],
        set_tid: u64,
        set_tid_size: u64,
    }
    let args = CloneArgs {
        exit_signal: libc::SIGCHLD as u64,
        set_tid: &raw const pid as u64,
        set_tid_size: 1,
        ..Default::default()
    };
    // SAFETY: a fork, for clone_args as Linux 5.5 has them; the child calls nothing but pause
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) } {
        0 => loop {
            // SAFETY: pause takes no arguments
            unsafe { libc::pause() };
        },
        -1 => {
            let error = std::io::Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::EEXIST), "clone3: {error}");
            None
        }
        made => Some(made as i32),
    }
}

case!(a_pid_that_somebody_else_has_now, Needs::ROOT | Needs::SLEEP);
/// Its keeper is killed, somebody else locks its folder, and its pid is that of another process.
fn a_pid_that_somebody_else_has_now() {
    let records = Records::new();
    let name = unique_name();
    records.detached_in(&name, &["--no-limits"], &["sleep", "1000"]);
    let pid = records.pid(&name);
    send(keeper_of(pid), libc::SIGKILL);
    assert!(wait_for_end(pid));
    let folder = fs::File::open(records.folder_of(&name)).expect("open");
    folder.lock().expect("flock");
    wait_until("the pid is free, and another process has it", || process_with_pid(pid).is_some());
    let table = records.call("ps", &[]).success();
    assert!(table.contains(&name) && !table.split_whitespace().any(|word| word == pid.to_string()), "{table}");
    let exec = [name.as_str(), "true"];
    for (verb, words) in [("kill", &exec[..1]), ("stop", &exec[..1]), ("exec", &exec[..]), ("stats", &exec[..1])] {
        records.call(verb, words).refused(125, &["it is ending", &name]);
    }
    // It is still there, and nothing was sent to it.
    assert_eq!(status_field(pid, "SigPnd:"), Some(0));
    assert_eq!(status_field(pid, "ShdPnd:"), Some(0));
    send(pid, libc::SIGKILL);
    // SAFETY: waitpid may be given no place for the status
    assert_eq!(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }, pid);
    drop(folder);
    records.remove(&name);
}

case!(whoever_starts_it_is_killed, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn whoever_starts_it_is_killed() {
    let records = Records::new();
    for _ in 0..20 {
        let name = unique_name();
        let front = records.run(&["-d", "--name", &name], &["sleep", "1000"]).start();
        front.send(libc::SIGKILL);
        front.reap_with_stdin_open();
        // It runs, and is listed; or it does not, and there is nothing.
        wait_until("it has come or gone", || {
            let left = records.left();
            left.is_empty() || records.names(&["-f", "status=running"]) == [name.as_str()]
        });
        records.call("rm", &["-f", &name]);
        wait_until("it has gone", || records.left().is_empty());
    }
}

case!(logs_of_all_kinds, Needs::NAMESPACES | Needs::SH);
fn logs_of_all_kinds() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "printf 'one\\ntwo\\n'; printf 'thr\\000\\377ee\\nend'");
    records.call("wait", &[&name]).success();
    let bytes = b"one\ntwo\nthr\0\xffee\nend";
    records.call("logs", &[&name]).silent_bytes(bytes);
    records.call("logs", &["-n", "2", &name]).silent_bytes(b"thr\0\xffee\nend");
    records.call("logs", &["-n", "0", &name]).silent_bytes(b"");
    records.call("logs", &["--tail", "all", &name]).silent_bytes(bytes);
    records.call("logs", &["-n", "100", &name]).silent_bytes(bytes);
    records.call("logs", &["-f", &name]).silent_bytes(bytes);
    records.call("logs", &["--since", "1d", &name]).silent_bytes(bytes);
    records.call("logs", &["--since", "99999999999", &name]).silent_bytes(b"");
    records.call("logs", &["--since", "1h30m", &name]).silent_bytes(bytes);
    records.call("logs", &["--since", "2026-11-27T09:30:00Z", &name]).silent_bytes(bytes);
    records.call("logs", &["--since", "9999-12-31", &name]).silent_bytes(b"");
    records.call("logs", &["-n", "-1", &name]).silent_bytes(bytes);
    for bad in ["27 November", "s", "1x", "2026-13-01"] {
        records.call("logs", &["--since", bad, &name]).usage_error(&["--since", bad]);
    }
    let timed = records.call("logs", &["-t", "-n", "2", &name]).stdout;
    let lines: Vec<&[u8]> = timed.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        // 2026-11-26T21:09:03.042Z
        let (time, rest) = line.split_at(24);
        assert!(time.starts_with(b"20") && time[10] == b'T' && time.ends_with(b"Z") && rest[0] == b' ', "{timed:?}");
    }
    records.remove(&name);
    let foreground = records.waiting("lc-no-log");
    records.call("logs", &["lc-no-log"]).refused(125, &["it keeps no log", "run -d"]);
    foreground.finish().success();
}

case!(a_log_is_followed_to_the_end, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn a_log_is_followed_to_the_end() {
    let records = Records::new();
    let name = unique_name();
    // Long enough to be cut: the follower sees all of it even so.
    let script = "read go; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); \
        case $i in *00) sleep 0.1 ;; esac; done; exit 3";
    records.detached(&name, &["-i", "--log-size", "16k"], script);
    let follower = records.verb("logs", &["-f", &name]).start();
    let fifo = format!("{}/{name}/stdin", records.state());
    fs::OpenOptions::new().write(true).open(fifo).expect("its standard input").write_all(b"go\n").expect("write");
    let followed = follower.reap().success();
    let expected: Vec<String> = (0..2000).map(|i| format!("line {i}\n")).collect();
    assert_eq!(followed, expected.concat());
    assert_eq!(records.call("wait", &[&name]).success(), "3\n");
    let kept = records.call("logs", &[&name]).success();
    assert!(kept.len() < 16 << 10 && kept.len() > 2000 && expected.concat().ends_with(&kept), "{} bytes", kept.len());
    records.remove(&name);
}

case!(short_lines_are_read_together, Needs::NAMESPACES | Needs::STRACE | Needs::SH);
fn short_lines_are_read_together() {
    let (records, folder) = (Records::new(), Folder::new());
    let name = unique_name();
    records.detached(&name, &[], ":");
    records.call("wait", &[&name]).success();
    let (mut log, mut text) = (String::new(), String::new());
    for at in 0..5000 {
        let line = format!("line {at}\n");
        log += &format!("1795728294000 {}\n{line}", line.len());
        text += &line;
    }
    fs::write(records.folder_of(&name).join("log"), log).expect("write");
    assert_eq!(records.call("logs", &[&name]).success(), text);
    let seen = folder.text("strace");
    let mut words: Vec<OsString> = ["-o", &seen, "-e", "trace=pread64"].map(OsString::from).into();
    words.push(mydocker_file().into());
    words.extend(["logs", "--state", &records.state(), "-n", "2", &name].map(OsString::from));
    let last = mydocker_at(&tool("strace").expect("strace"), &words).finish();
    assert_eq!(last.success(), "line 4998\nline 4999\n");
    let calls = fs::read_to_string(&seen).expect("a trace").lines().count();
    assert!(calls < 100, "{calls}");
    records.remove(&name);
}

case!(a_log_between_two_names, Needs::NAMESPACES | Needs::SH);
/// The file of a log gets its other name before the next one is there: others see that, and for good if the keeper is killed then.
fn a_log_between_two_names() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "echo one; echo two");
    assert_eq!(records.call("wait", &[&name]).success(), "0\n");
    let file = |name: &str, file| format!("{}/{name}/{file}", records.state());
    fs::rename(file(&name, "log"), file(&name, "log.old")).expect("rename");
    for options in [&[][..], &["-f"]] {
        assert_eq!(records.call("logs", &[options, &[&name]].concat()).success(), "one\ntwo\n", "{options:?}");
    }
    assert_eq!(records.call("logs", &["-n", "1", &name]).success(), "two\n");
    fs::remove_file(file(&name, "log.old")).expect("unlink");
    records.call("logs", &[&name]).refused(125, &["it keeps no log", &name]);
    records.remove(&name);
}

case!(a_log_is_bounded_and_blocks_nobody, Needs::NAMESPACES | Needs::SH);
fn a_log_is_bounded_and_blocks_nobody() {
    let records = Records::new();
    let name = unique_name();
    let started = records
        .run(
            &["-d", "--name", &name, "--log-size", "100k"],
            &["sh", "-c", "i=0; while [ $i -lt 30000 ]; do echo $i; i=$((i+1)); done"],
        )
        .start()
        .reap();
    started.success();
    assert_eq!(records.call("wait", &[&name]).success(), "0\n");
    let sizes = ["log", "log.old"]
        .map(|file| fs::metadata(format!("{}/{name}/{file}", records.state())).map_or(0, |metadata| metadata.len()));
    assert!(sizes.iter().all(|size| *size <= 50 << 10) && sizes[1] > 0, "{sizes:?}");
    assert!(records.call("logs", &[&name]).success().ends_with("\n29999\n"));
    records.remove(&name);
}

case!(a_full_disk_loses_log_lines_and_says_so, Needs::ROOT | Needs::SH | Needs::SLEEP);
fn a_full_disk_loses_log_lines_and_says_so() {
    let folder = Folder::new();
    let _mounted = Tmpfs::mount(&folder, "size=200k,mode=700");
    let state = folder.text("");
    let call =
        |verb: &str, words: &[&str]| mydocker(&[&[verb, "--state", state.as_str()], words].concat()).start().reap();
    let name = unique_name();
    let mark = Folder::new();
    let script = format!(
        "echo first; read a; i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done; : >{}; read b; echo last; exit 4",
        mark.text("mark")
    );
    call("run", &["-d", "-i", "--name", &name, "sh", "-c", &script]).success();
    let fifo = folder.path(&format!("{name}/stdin"));
    let write =
        |text: &[u8]| fs::OpenOptions::new().write(true).open(&fifo).expect("fifo").write_all(text).expect("write");
    let keeper = {
        let text = fs::read_to_string(folder.path(&format!("{name}/state"))).expect("state");
        let line = text.lines().find_map(|line| line.strip_prefix("pid ")).expect("pid");
        keeper_of(line.trim().parse().expect("a number"))
    };
    // Up to there it sweeps, and grows.
    let log = folder.path(&format!("{name}/log"));
    // Its log has a page, of which most is free.
    wait_until("it has said a word", || fs::metadata(&log).is_ok_and(|log| log.len() > 0));
    wait_until("it waits for the end", || is_in_call(keeper, libc::SYS_ppoll));
    let before = anonymous_kib(keeper);
    write(b"a\n");
    let filler = folder.path("filler");
    fs::write(&filler, vec![0; 400 << 10]).expect_err("the disk is full");
    // It goes on, although its log cannot.
    wait_until("it waits for b", || mark.path("mark").exists());
    // No part of a piece stays at the end, where a container that is started again goes on.
    wait_until("its log ends with a whole piece", || is_whole(&fs::read(&log).expect("the log")));
    // Nor does a loss cost memory: the heap never gives back.
    let after = anonymous_kib(keeper);
    assert!(after <= before + 32, "{before} KiB, then {after} KiB");
    fs::remove_file(&filler).expect("room");
    write(b"b\n");
    assert_eq!(call("wait", &[&name]).success(), "4\n");
    let log = call("logs", &[&name]).success();
    assert!(log.contains("mydocker: the log has lost ") && log.ends_with("last\n"), "{} bytes", log.len());
    call("rm", &[&name]).success();
}

case!(a_disk_that_stays_full, Needs::ROOT | Needs::SH | Needs::SLEEP);
fn a_disk_that_stays_full() {
    // A log that has begun has a page, with room for the line that tells of the loss. The other one has none.
    for (first, told_in_log) in [("first\n", true), ("", false)] {
        let folder = Folder::new();
        let _mounted = Tmpfs::mount(&folder, "size=200k,mode=700");
        let state = folder.text("");
        let call = |verb: &str, words: &[&str]| mydocker(&[&[verb, "--state", &state], words].concat()).start().reap();
        let name = unique_name();
        let long = "l=; while [ ${#l} -lt 9000 ]; do l=$l........................................; done; echo $l";
        let script = format!("printf '{first}'; read a; {long}; exit 4");
        call("run", &["-d", "-i", "--name", &name, "sh", "-c", &script]).success();
        let log = folder.path(&format!("{name}/log"));
        wait_until("it has said a word", || fs::metadata(&log).is_ok_and(|log| log.len() > 0 || first.is_empty()));
        fs::write(folder.path("filler"), vec![0; 400 << 10]).expect_err("the disk is full");
        let mut fifo = fs::OpenOptions::new().write(true).open(folder.path(&format!("{name}/stdin"))).expect("fifo");
        fifo.write_all(b"a\n").expect("write");
        assert_eq!(call("wait", &[&name]).success(), "4\n");
        let outcome = call("logs", &[&name]);
        let (log, errors) = (outcome.stdout_text(), outcome.stderr_text());
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        assert!(log.starts_with(first), "{log}");
        assert_eq!(log.contains("mydocker: the log has lost "), told_in_log, "{log}{errors}");
        assert_eq!(errors.contains("the disk was full") && errors.contains(&name), !told_in_log, "{log}{errors}");
        call("rm", &[&name]).success();
    }
}

case!(a_log_that_grows_has_an_end, Needs::NAMESPACES | Needs::SH);
/// Whoever asks for the last lines gets no more, however fast the command writes.
fn a_log_that_grows_has_an_end() {
    let (records, name) = (Records::new(), unique_name());
    records.detached(&name, &["--log-size", "64k"], "while :; do echo 12345678; done");
    wait_until("it writes", || !records.call("logs", &[&name]).stdout_text().is_empty());
    for _ in 0..20 {
        let outcome = records.call("logs", &["-n", "3", &name]);
        let log = outcome.success();
        assert!(log.lines().count() <= 3, "{log}");
        assert!(records.call("logs", &[&name]).success().len() <= 64 << 10);
    }
    records.remove(&name);
}

case!(a_loss_outlasts_a_restart, Needs::ROOT | Needs::SH | Needs::SLEEP);
fn a_loss_outlasts_a_restart() {
    let (folder, mark) = (Folder::new(), Folder::new());
    let _mounted = Tmpfs::mount(&folder, "size=200k,mode=700");
    let state = folder.text("");
    let call = |verb: &str, words: &[&str]| mydocker(&[&[verb, "--state", &state], words].concat()).start().reap();
    let (name, mark) = (unique_name(), mark.text("mark"));
    let long = "l=; while [ ${#l} -lt 9000 ]; do l=$l........................................; done; echo $l";
    let script = format!("[ ! -e {mark} ] || {{ echo again; read b; exit 0; }}; : >{mark}; read a; {long}; exit 4");
    call("run", &["-d", "-i", "--restart", "on-failure", "--name", &name, "sh", "-c", &script]).success();
    fs::write(folder.path("filler"), vec![0; 400 << 10]).expect_err("the disk is full");
    let mut fifo = fs::OpenOptions::new().write(true).open(folder.path(&format!("{name}/stdin"))).expect("fifo");
    fifo.write_all(b"a\n").expect("write");
    let status = folder.path(&format!("{name}/status"));
    wait_until("its end is noted", || fs::read_to_string(&status).expect("status").contains("lost"));
    // Up to here it cannot be started again.
    fs::remove_file(folder.path("filler")).expect("room");
    let is_said = || {
        let outcome = call("logs", &[&name]);
        let (log, errors) = (outcome.stdout_text(), outcome.stderr_text());
        assert!(outcome.code() == 0 && errors.contains("the disk was full") && errors.contains(&name), "{outcome:?}");
        log == "mydocker: it ended with status 4, and is started again\nagain\n"
    };
    wait_until("it has said a word", is_said);
    assert!(call("ps", &[]).success().contains(" running "));
    fifo.write_all(b"b\n").expect("write");
    assert_eq!(call("wait", &[&name]).success(), "0\n");
    assert!(is_said());
    call("rm", &[&name]).success();
}

/// Whether a log is pieces, each with its length before it, and nothing else.
fn is_whole(log: &[u8]) -> bool {
    let Some(end) = log.iter().position(|byte| *byte == b'\n') else { return log.is_empty() };
    let header = std::str::from_utf8(&log[..end]).expect("a header");
    let len: usize = header.split_once(' ').expect("a time and a length").1.parse().expect("a length");
    log.get(end + 1 + len..).is_some_and(is_whole)
}

/// A tmpfs on a folder of a case.
struct Tmpfs(std::ffi::CString);

impl Tmpfs {
    fn mount(folder: &Folder, options: &str) -> Tmpfs {
        let c = |text: &str| std::ffi::CString::new(text).expect("no NUL");
        let (path, options) = (c(&folder.text("")), c(options));
        // SAFETY: the strings end with a NUL and outlive the call
        let done =
            unsafe { libc::mount(c"none".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, options.as_ptr().cast()) };
        assert_eq!(done, 0, "mount: {}", std::io::Error::last_os_error());
        Tmpfs(path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // SAFETY: the string ends with a NUL and outlives the call
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}

case!(other_places_for_the_output, Needs::NAMESPACES | Needs::SH);
fn other_places_for_the_output() {
    let records = Records::new();
    let folder = Folder::new();
    let file = folder.write("log", b"before\n");
    let script = "echo out; echo err >&2";
    let [to_file, to_none, to_caller] = [unique_name(), unique_name(), unique_name()];
    records.detached(&to_file, &["--log", &file], script);
    records.call("wait", &[&to_file]).success();
    assert_eq!(fs::read_to_string(&file).expect("log"), "before\nout\nerr\n");
    records.detached(&to_none, &["--log", "none"], script);
    let outcome = records.run(&["-d", "--name", &to_caller, "--log", "-"], &["sh", "-c", script]).start().reap();
    assert_eq!(outcome.stderr_text(), "err\n");
    let mut lines: Vec<&str> = Vec::new();
    let text = outcome.stdout_text();
    lines.extend(text.lines());
    lines.sort_unstable();
    assert_eq!(lines, [to_caller.as_str(), "out"].map(String::from).iter().map(String::as_str).collect::<Vec<_>>());
    for name in [&to_file, &to_none, &to_caller] {
        records.call("wait", &[name]).success();
        records.call("logs", &[name]).refused(125, &["it keeps no log", name]);
        records.remove(name);
    }
    // Nobody waits for the reader of a FIFO; with one, the command writes as it does to any other.
    let (fifo, to_fifo) = (folder.text("fifo"), unique_name());
    mknodat(CWD, &fifo, FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
    let options = ["-d", "--name", &to_fifo, "--log", &fifo];
    records.run(&options, &["sh", "-c", script]).start().reap().refused(125, &[&fifo, "nobody reads this FIFO"]);
    let mut reader = fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).expect("open");
    let flags = "while read -r key value; do [ $key != flags: ] || echo $value; done </proc/self/fdinfo/1";
    records.detached(&to_fifo, &["--log", &fifo], flags);
    records.call("wait", &[&to_fifo]).success();
    let mut buffer = [0; 64];
    let n = reader.read(&mut buffer).expect("read");
    let flags = std::str::from_utf8(&buffer[..n]).expect("UTF-8");
    let flags = i32::from_str_radix(flags.trim(), 8).expect("octal");
    assert_eq!(flags & (libc::O_NONBLOCK | libc::O_APPEND), libc::O_APPEND, "{flags:o}");
    records.remove(&to_fifo);
}

case!(a_terminal_in_the_background, Needs::NAMESPACES | Needs::SH | Needs::TERMINAL);
fn a_terminal_in_the_background() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["-t"], "echo up; read line; echo got $line; exit 2");
    await_log(&records, &name, "up\r\n");
    let fifo = format!("{}/{name}/stdin", records.state());
    fs::OpenOptions::new().write(true).open(fifo).expect("its standard input").write_all(b"hey\n").expect("write");
    assert_eq!(records.call("wait", &[&name]).success(), "2\n");
    assert_eq!(records.call("logs", &[&name]).success(), "up\r\nhey\r\ngot hey\r\n");
    records.remove(&name);
}

case!(its_input_is_empty, Needs::NAMESPACES | Needs::SH);
fn its_input_is_empty() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "read line; echo $?");
    records.call("wait", &[&name]).success();
    assert_eq!(records.call("logs", &[&name]).success(), "1\n");
    records.remove(&name);
}

case!(many_at_once, Needs::NAMESPACES | Needs::SLEEP);
fn many_at_once() {
    let records = Records::new();
    // On an emulated processor that many take long.
    let names: Vec<String> = (0..if is_virtual_host() { 50 } else { 200 }).map(|_| unique_name()).collect();
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    let started: Vec<_> =
        names.iter().map(|name| records.run(&["-d", "--name", name], &["sleep", "1000"]).start()).collect();
    for (running, name) in started.into_iter().zip(&names) {
        assert_eq!(running.reap().success(), format!("{name}\n"));
    }
    assert_eq!(records.names(&[]).len(), names.len());
    assert_eq!(records.call("stop", &words).success(), names.join("\n") + "\n");
    assert_eq!(records.call("rm", &words).success(), names.join("\n") + "\n");
    assert_eq!(records.left(), [""; 0]);
}

case!(paused_and_not, Needs::ROOT | Needs::MEMORY | Needs::FREEZER | Needs::SH | Needs::SLEEP);
fn paused_and_not() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["-m", "50m"], "i=0; while :; do echo $((i=i+1)); sleep 0.01; done");
    records.call("unpause", &[&name]).refused(125, &["it is not paused", &name]);
    assert_eq!(records.call("pause", &[&name]).success(), format!("{name}\n"));
    assert_eq!(records.names(&["-f", "status=paused"]), [name.as_str()]);
    records.call("pause", &[&name]).refused(125, &["it is paused", &name]);
    records.call("exec", &[&name, "true"]).refused(125, &["it is paused", "unpause"]);
    wait_until("it writes no more", || {
        let before = records.call("logs", &[&name]).success();
        std::thread::sleep(std::time::Duration::from_millis(100));
        records.call("logs", &[&name]).success() == before
    });
    assert_eq!(records.call("unpause", &[&name]).success(), format!("{name}\n"));
    let before = records.call("logs", &[&name]).success();
    wait_until("it writes again", || records.call("logs", &[&name]).success() != before);
    // One that is paused ends all the same.
    for words in [&["stop", "-t", "0"][..], &["kill"], &["rm", "-f"]] {
        records.call("pause", &[&name]).success();
        assert_eq!(records.call(words[0], &[&words[1..], &[&name]].concat()).success(), format!("{name}\n"));
        if words[0] != "rm" {
            records.call("wait", &[&name]).success();
            records.remove(&name);
            records.detached(&name, &["-m", "50m"], "exec sleep 1000");
        }
    }
    assert_eq!(records.left(), [""; 0]);
    assert!(host().directories(&format!("mydocker-{name}")).is_empty());
}

case!(
    paused_below_a_named_parent,
    Needs::ROOT | Needs::MEMORY_ON_V1 | Needs::CPU | Needs::FREEZER | Needs::SH | Needs::SLEEP
);
/// The cgroup that `--cgroup-parent` names has to be in the hierarchy of the freezer, too; a run does not need that.
fn paused_below_a_named_parent() {
    let parent = format!("outside-{}", unique_name());
    let make = |controller: &str| {
        let group = host().carrier(controller).expect("a hierarchy").directory(&format!("/{parent}"));
        if !group.exists() {
            std::fs::create_dir(&group).expect("a group of the test's own");
        }
        group
    };
    let mut made = vec![make("memory"), make("cpu")];
    let records = Records::new();
    let options = ["--cgroup-parent", &format!("/{parent}"), "-m", "50m"];
    let start = || {
        let name = unique_name();
        records.detached(&name, &options, "exec sleep 1000");
        name
    };
    let without = start();
    records.call("pause", &[&without]).refused(125, &["cannot be paused", "--cgroup-parent"]);
    // A privileged container has a group in each hierarchy all the same: what it makes there does not stay.
    let words = ["mkdir", "/sys/fs/cgroup/freezer/made-inside"];
    let freezer = host().carrier("freezer").expect("a hierarchy").directory("/made-inside");
    let own = unique_name();
    let privileged = [&options[..], &["--privileged", "--name", &own]].concat();
    crate::support::harness::run(&privileged, &words).finish();
    assert!(!freezer.exists(), "it is in the host's own group");
    made.push(make("freezer"));
    let with = start();
    let paused = records.call("pause", &[&with]);
    for name in [&without, &with] {
        records.call("rm", &["-f", name]).success();
    }
    made.dedup();
    made.iter().for_each(|group| std::fs::remove_dir(group).expect("nothing is left in it"));
    assert_eq!(paused.success(), format!("{with}\n"));
}

case!(paused_with_the_one_above, Needs::ROOT | Needs::MEMORY_ON_V1 | Needs::FREEZER | Needs::SH | Needs::SLEEP);
/// A container below the cgroup of another one is paused with it, and goes on with it.
fn paused_with_the_one_above() {
    let records = Records::new();
    let (outer, inner) = (unique_name(), unique_name());
    records.detached(&outer, &["-m", "50m"], "exec sleep 1000");
    let parent = format!("mydocker-{outer}");
    records.detached(&inner, &["-m", "20m", "--cgroup-parent", &parent], "exec sleep 1000");
    records.call("pause", &[&outer]).success();
    records.call("unpause", &[&inner]).refused(125, &["a cgroup above it is paused", &inner]);
    records.call("unpause", &[&outer]).success();
    for name in [&inner, &outer] {
        records.call("rm", &["-f", name]).success();
    }
    assert!(host().directories(&parent).is_empty());
}

case!(the_end_of_what_is_paused, Needs::ROOT | Needs::MEMORY | Needs::FREEZER | Needs::SH | Needs::SLEEP);
/// On v1 no signal reaches it: whoever ends it lets it go on.
fn the_end_of_what_is_paused() {
    let records = Records::new();
    let start = |options: &[&str]| {
        let name = unique_name();
        records.detached(&name, &[&["-m", "100m"], options].concat(), "trap '' TERM; sleep 1000 & wait; wait");
        name
    };
    let limited = start(&["--timeout", "4"]);
    records.call("pause", &[&limited]).success();
    assert_eq!(records.call("wait", &[&limited]).success(), "137\n");
    let stopped = start(&[]);
    let stop = records.verb("stop", &["-t", "4", &stopped]).start();
    wait_until("it has been asked to end", || is_in_call(stop.pid, libc::SYS_ppoll));
    records.call("pause", &[&stopped]).success();
    assert_eq!(stop.finish().success(), format!("{stopped}\n"));
    for name in [&limited, &stopped] {
        records.remove(name);
    }
}

case!(a_time_that_is_over_with_an_exec_stopped, Needs::ROOT | Needs::SLEEP);
/// A PID namespace ends when all in it have been waited for: also what an exec has started that is stopped itself.
fn a_time_that_is_over_with_an_exec_stopped() {
    let records = Records::new();
    let name = unique_name();
    records.detached_in(&name, &["--no-limits", "--timeout", "4"], &["sleep", "1000"]);
    let exec = records.verb("exec", &[&name, "sleep", "1000"]).start();
    wait_until("it is in there", || !children(exec.pid).is_empty());
    send(exec.pid, libc::SIGSTOP);
    assert_eq!(records.call("wait", &[&name]).success(), "137\n");
    exec.finish().refused(137, &["has ended", &name]);
    records.remove(&name);
}

case!(paused_and_its_keeper_killed, Needs::ROOT | Needs::MEMORY | Needs::FREEZER | Needs::SH | Needs::SLEEP);
/// v1: SIGKILL does not reach what is frozen, so a later run has to thaw it.
fn paused_and_its_keeper_killed() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["-m", "50m"], "exec sleep 1000");
    let pid = records.pid(&name);
    records.call("pause", &[&name]).success();
    send(keeper_of(pid), libc::SIGKILL);
    wait_until("later runs have removed what it has left", || {
        records.run(&["--name", &unique_name()], &["true"]).finish().silent(0);
        host().directories(&format!("mydocker-{name}")).is_empty()
    });
    assert!(wait_for_end(pid));
    records.call("rm", &[&name]).success();
}

case!(
    paused_and_its_keeper_killed_ends_by_name,
    Needs::ROOT | Needs::MEMORY | Needs::FREEZER | Needs::MOUNTED | Needs::SH | Needs::SLEEP
);
/// Nor do the verbs leave it to a later run, where the paths of its cgroups still lead to them.
fn paused_and_its_keeper_killed_ends_by_name() {
    let records = Records::new();
    for words in [&["stop"][..], &["kill"], &["rm", "-f"]] {
        let ended_by_this_one = (0..5).any(|_| ends_what_its_killed_keeper_left(&records, words));
        assert!(ended_by_this_one, "{words:?} says each time that it had ended before");
    }
}

/// Returns whether it was this verb that ended it: a run of another case may have swept it away before, and then `kill` says that
/// it has ended.
fn ends_what_its_killed_keeper_left(records: &Records, words: &[&str]) -> bool {
    let name = unique_name();
    records.detached(&name, &["-m", "50m"], "exec sleep 1000");
    let pid = records.pid(&name);
    records.call("pause", &[&name]).success();
    let keeper = keeper_of(pid);
    send(keeper, libc::SIGKILL);
    assert!(wait_for_end(keeper));
    // Other signals do not end it.
    records.call("kill", &["-s", "USR1", &name]).refused(125, &["it has ended", &name]);
    // On v2 SIGKILL reaches what is frozen, too: it has ended with its keeper.
    let has_ended = on_v2("memory");
    assert!(!has_ended || wait_for_end(pid));
    let outcome = records.call(words[0], &[&words[1..], &[&name]].concat());
    let is_refused = words[0] == "kill" && (has_ended || outcome.code() == 125);
    match is_refused {
        true => outcome.refused(125, &["it has ended", &name]),
        false => assert_eq!(outcome.success(), format!("{name}\n")),
    }
    assert!(state(pid).is_none_or(|state| state == 'Z'), "{words:?} leaves it");
    let left = host().directories(&format!("mydocker-{name}"));
    assert!(left.is_empty() || has_ended && words[0] == "kill", "{words:?} leaves {left:?}");
    if words[0] != "rm" {
        records.call("kill", &[&name]).refused(125, &["it has ended", &name]);
        records.remove(&name);
    }
    has_ended || !is_refused
}

case!(what_cannot_be_paused, Needs::NAMESPACES | Needs::SLEEP);
fn what_cannot_be_paused() {
    let records = Records::new();
    let name = unique_name();
    records.detached_in(&name, &["--no-limits"], &["sleep", "1000"]);
    records.call("pause", &[&name]).refused(125, &["it cannot be paused", "--no-limits"]);
    records.remove(&name);
    records.call("pause", &[&name]).refused(125, &["no such container", &name]);
}

case!(a_thousand_processes, Needs::NAMESPACES | Needs::MEMORY | Needs::MOUNTED);
/// Their pids are more than fits into one page.
fn a_thousand_processes() {
    let records = Records::new();
    let name = unique_name();
    let options = ["-d", "-i", "--name", &name, "-m", "400m", "--pids-limit", "-1"];
    records.probe(&options, &["fork-then-hold", "999"]).start().reap().success();
    await_log(&records, &name, "ready");
    let once = records.call("stats", &["--no-stream", &name]).success();
    assert!(once.contains(" / 400M ") && once.ends_with("  1000\n"), "{once}");
    records.remove(&name);
}

case!(what_it_uses, Needs::NAMESPACES | Needs::MEMORY | Needs::MOUNTED);
fn what_it_uses() {
    let records = Records::new();
    let name = unique_name();
    let started =
        records.probe(&["-d", "-i", "--name", &name, "-m", "50m"], &["eat-then-hold", "20000000"]).start().reap();
    started.success();
    await_log(&records, &name, "ready");
    let once = records.call("stats", &["--no-stream", &name]).success();
    let lines: Vec<Vec<&str>> = once.lines().map(|line| line.split_whitespace().collect()).collect();
    let [heading, cells] = &lines[..] else { panic!("{once}") };
    assert_eq!(heading[..], ["NAME", "CPU", "SECONDS", "MEMORY", "PROCESSES"]);
    let [own, cpu, used, "/", "50M", "1"] = cells[..] else { panic!("{once}") };
    assert_eq!(own, name);
    let used = used.strip_suffix('M').and_then(|number| number.parse::<u32>().ok()).expect("a size");
    assert!((19..50).contains(&used), "{once}");
    // A group of its own counts it; on cgroup v1 that of cpuacct may be apart.
    assert!(cpu == "-" || cpu.parse::<f64>().is_ok(), "{once}");
    let json = records.call("stats", &["--no-stream", "--json", &name]).success();
    assert!(json.contains("\"memory_limit\":52428800,\"processes\":1,"), "{json}");
    // Every second, until the end.
    let streaming = records.verb("stats", &[&name]).start();
    streaming.await_output("50M");
    records.call("kill", &[&name]).success();
    let streamed = streaming.reap().success();
    assert_eq!(streamed.matches("PROCESSES").count(), 1, "{streamed}");
    assert!(streamed.lines().nth(1).is_some_and(|line| line.starts_with(&name)), "{streamed}");
    assert_eq!(records.call("wait", &[&name]).success(), "137\n");
    records.call("stats", &["--no-stream", &name]).refused(125, &["it has ended", &name]);
    records.remove(&name);
}

case!(what_is_not_counted, Needs::NAMESPACES);
/// Without a cgroup there are no numbers, and no later ones to wait for.
fn what_is_not_counted() {
    let records = Records::new();
    let name = unique_name();
    records.probe(&["-d", "-i", "--no-limits", "--name", &name], &["hold"]).start().reap().success();
    let once = records.call("stats", &[&name]);
    assert!(once.code() == 0 && once.stderr_text().contains("nothing is counted"), "{once:?}");
    let text = once.stdout_text();
    let cells: Vec<&str> = text.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(cells, [&name, "-", "-", "-"]);
    records.remove(&name);
}

case!(one_of_a_name_at_a_time, Needs::NAMESPACES | Needs::MEMORY | Needs::SLEEP);
fn one_of_a_name_at_a_time() {
    let records = Records::new();
    for options in [&["-m", "50m"][..], &["--no-limits"]] {
        let name = unique_name();
        let all = [&["-d", "--name", name.as_str()], options].concat();
        let started: Vec<_> = (0..20).map(|_| records.run(&all, &["sleep", "1000"]).start()).collect();
        let mut successes = 0;
        for running in started {
            let outcome = running.reap();
            if outcome.code() == 0 {
                successes += 1;
            } else {
                outcome.refused(125, &["a container of this name", &name]);
            }
        }
        assert_eq!(successes, 1);
        assert_eq!(records.names(&[]), [name.as_str()]);
        // And while it ends.
        let ending = records.verb("stop", &[&name]).start();
        let outcome = records.run(&all, &["sleep", "1000"]).start().reap();
        outcome.refused(125, &["a container of this name", &name]);
        ending.reap().success();
        records.remove(&name);
    }
}

case!(programs_beside_it_that_do_not_end, Needs::ROOT | Needs::SH | Needs::SLEEP | Needs::SLIRP4NETNS);
/// The relay, and slirp4netns: here they are stopped.
fn programs_beside_it_that_do_not_end() {
    let records = Records::new();
    for options in [["-p", "127.0.0.1::80"], ["--network", "slirp4netns"]] {
        let name = unique_name();
        records.detached(&name, &options, "exec sleep 1000");
        let pid = records.pid(&name);
        let [beside] = children(keeper_of(pid)).into_iter().filter(|child| *child != pid).collect::<Vec<_>>()[..]
        else {
            panic!("one program beside it: {options:?}")
        };
        send(beside, libc::SIGSTOP);
        wait_until("it is stopped", || state(beside) == Some('T'));
        let began = Instant::now();
        assert_eq!(records.call("kill", &[&name]).success(), format!("{name}\n"));
        assert!(began.elapsed() < Duration::from_secs(10), "{options:?} took {:?}", began.elapsed());
        assert!(wait_for_end(beside));
        assert_eq!(records.call("wait", &[&name]).success(), "137\n");
        records.remove(&name);
    }
}

case!(a_keeper_that_is_stopped, Needs::NAMESPACES | Needs::SLEEP);
fn a_keeper_that_is_stopped() {
    let records = Records::new();
    for words in [&["stop"][..], &["rm", "-f"]] {
        let name = unique_name();
        records.detached_in(&name, &[], &["sleep", "1000"]);
        let keeper = keeper_of(records.pid(&name));
        send(keeper, libc::SIGSTOP);
        let ended = records.call(words[0], &[&words[1..], &[&name]].concat());
        assert_eq!(ended.success(), format!("{name}\n"));
        assert!(wait_for_end(keeper));
        if words == ["stop"] {
            records.remove(&name);
        }
    }
    // Its container has ended, and it has not cleaned up yet: it does.
    for words in [&["stop"][..], &["rm", "-f"]] {
        let name = unique_name();
        records.detached_in(&name, &[], &["sleep", "1000"]);
        let pid = records.pid(&name);
        let keeper = keeper_of(pid);
        send(keeper, libc::SIGSTOP);
        wait_until("the keeper is stopped", || state(keeper) == Some('T'));
        send(pid, libc::SIGKILL);
        wait_until("the container has ended", || state(pid) == Some('Z'));
        records.call("exec", &[&name, "true"]).refused(125, &["it is ending", &name]);
        let table = records.call("ps", &[]).success();
        assert!(table.contains(" ending ") && !table.contains("running"), "{table}");
        assert!(records.call("ps", &["--json"]).success().contains("\"state\":\"ending\""));
        assert_eq!(records.names(&["-f", "status=ending"]), [name.as_str()]);
        assert_eq!(records.names(&["-f", "status=running"]), [""; 0]);
        let ended = records.call(words[0], &[&words[1..], &[&name]].concat());
        assert_eq!(ended.success(), format!("{name}\n"));
        assert!(wait_for_end(keeper));
        if words == ["stop"] {
            assert_eq!(records.call("wait", &[&name]).success(), "137\n");
            records.remove(&name);
        }
    }
    assert_eq!(records.left(), [""; 0]);
}

case!(it_is_ended_while_it_starts, Needs::NAMESPACES | Needs::SLEEP);
/// As docker's verbs wait for the container's lock, these wait until it runs.
fn it_is_ended_while_it_starts() {
    let records = Records::new();
    for words in [&["rm", "-f"][..], &["stop", "-t", "0"], &["kill"]].repeat(5) {
        let name = unique_name();
        let starting = records.run(&["-d", "--name", &name], &["sleep", "1000"]).start();
        let mut ended = None;
        // Its folder is no record before its keeper has locked it.
        wait_until("it has a record", || {
            let outcome = records.call(words[0], &[&words[1..], &[&name]].concat());
            ended = Some(outcome).filter(|outcome| !outcome.stderr_text().contains("no such container"));
            ended.is_some()
        });
        assert_eq!(ended.expect("an outcome").success(), format!("{name}\n"), "{words:?}");
        // Whether its start is still told depends on who is faster.
        drop(starting.reap());
        if words[0] != "rm" {
            // 143: before the command was executed.
            let status = records.call("wait", &[&name]).success();
            assert!(["137\n", "143\n"].contains(&status.as_str()), "{words:?}: {status}");
            records.remove(&name);
        }
    }
    assert_eq!(records.left(), [""; 0]);
}

case!(a_log_that_is_damaged, Needs::NAMESPACES | Needs::SH);
/// What comes before that place is shown, and what follows is missed aloud.
fn a_log_that_is_damaged() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "for n in 1 2 3; do echo line$n; done");
    records.call("wait", &[&name]).success();
    let file = records.folder_of(&name).join("log");
    let mut log = fs::read(&file).expect("read");
    log.extend_from_slice(format!("{}\n", "no header ".repeat(5)).as_bytes());
    fs::write(&file, log).expect("write");
    records.call("logs", &[&name]).refused_after("line1\nline2\nline3\n", 125, &["damaged"]);
    // The newer half is shown all the same.
    fs::rename(&file, records.folder_of(&name).join("log.old")).expect("rename");
    fs::write(&file, "1 6\nnewer\n").expect("write");
    for words in [&[&name][..], &[&"-n".to_string(), &"9".to_string(), &name]] {
        let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
        records.call("logs", &words).refused_after("line1\nline2\nline3\nnewer\n", 125, &["damaged"]);
    }
    records.remove(&name);
}

case!(a_log_that_is_longer_than_a_file_may_be, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// RLIMIT_FSIZE is the keeper's, too: the log loses what comes then, and the command goes on.
fn a_log_that_is_longer_than_a_file_may_be() {
    let records = Records::new();
    let name = unique_name();
    let script = "n=0; while [ $n -lt 2000 ]; do echo 0123456789; n=$((n+1)); done; sleep 0.5; exit 7";
    let run = records.run(&["-d", "--name", &name], &["sh", "-c", script]).before(|| {
        let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
        // SAFETY: the call reads the limit
        match unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    });
    run.start().reap().success();
    assert_eq!(records.call("wait", &[&name]).success(), "7\n");
    records.remove(&name);
}

case!(a_pause_while_it_is_killed, Needs::ROOT | Needs::STRACE | Needs::SLEEP | Needs::MEMORY | Needs::MOUNTED);
/// v1: no signal reaches what is paused, and whoever sends one has looked before.
fn a_pause_while_it_is_killed() {
    let records = Records::new();
    for verb in [&["rm", "-f"][..], &["kill"]] {
        let name = unique_name();
        records.detached_in(&name, &["-m", "30m"], &["sleep", "1000"]);
        let inject = "inject=pidfd_send_signal:delay_enter=1000000:when=1";
        let mut words: Vec<OsString> = ["-f", "-qq", "-o", "/dev/null", "-e", inject].map(OsString::from).into();
        words.push(mydocker_file().into());
        words.extend([verb[0], "--state", &records.state()].map(OsString::from));
        words.extend(verb[1..].iter().chain([&name.as_str()]).map(OsString::from));
        let killer = mydocker_at(&tool("strace").expect("strace"), &words).start();
        // The first signal goes to the keeper, or to the container, and comes late.
        wait_until("it is about to send", || {
            children(killer.pid).first().is_some_and(|&pid| is_in_call(pid, libc::SYS_pidfd_send_signal))
        });
        let paused = records.call("pause", &[&name]);
        // On a slow host it may come too late.
        assert!([0, 125].contains(&paused.code()), "{paused:?}");
        if paused.code() != 0 {
            note(format!("not seen here: a pause while {} is at work", verb[0]));
        }
        killer.finish().success();
        records.call("rm", &["-f", &name]);
        assert_eq!(records.left(), [""; 0]);
    }
}

case!(a_start_that_takes_long, Needs::ROOT | Needs::STRACE | Needs::SLEEP);
/// Another container of the name takes its folder for a leftover, and keeps what it has.
fn a_start_that_takes_long() {
    let records = Records::new();
    let name = unique_name();
    let inject = "inject=mkdirat:delay_exit=1500000";
    let mut words: Vec<OsString> = ["-f", "-qq", "-o", "/dev/null", "-e", inject].map(OsString::from).into();
    words.push(mydocker_file().into());
    let options = ["run", "--state", &records.state(), "-d", "--no-limits", "--name", &name, "sleep", "1000"];
    words.extend(options.map(OsString::from));
    let folder = records.folder_of(&name);
    fs::create_dir_all(records.state()).expect("mkdir");
    let slow = mydocker_at(&tool("strace").expect("strace"), &words).start();
    wait_until("its folder is there", || folder.exists());
    records.detached_in(&name, &["--no-limits"], &["sleep", "1000"]);
    slow.reap().refused(125, &["a container of this name is already running", &name]);
    assert_eq!(records.names(&["-f", "status=running"]), [name.as_str()]);
    records.remove(&name);
}

case!(from_another_pid_namespace, Needs::ROOT | Needs::SCRIPT_TOOLS | Needs::SLEEP);
/// There its processes have other pids, or none: nobody waits for their end, or takes others for them.
fn from_another_pid_namespace() {
    let records = Records::new();
    let name = unique_name();
    records.detached_in(&name, &["--no-limits"], &["sleep", "1000"]);
    for verb in [&["stop"][..], &["kill"], &["rm", "-f"], &["exec"], &["pause"]] {
        let mut words: Vec<OsString> = ["-p", "--fork", "--kill-child", "--mount-proc"].map(OsString::from).into();
        words.push(mydocker_file().into());
        words.extend([verb[0], "--state", &records.state()].map(OsString::from));
        words.extend(verb[1..].iter().chain([&name.as_str()]).map(OsString::from));
        words.extend((verb[0] == "exec").then(|| "true".into()));
        let there = mydocker_at(&tool("unshare").expect("unshare"), &words).finish();
        there.refused(125, &["its processes are in another PID namespace", &name]);
    }
    // Where /proc is that of another one, nobody could say who keeps a record.
    let words = ["-p", "--fork", "--kill-child"].map(OsString::from);
    let run = ["run", "--state", &records.state(), "-d", "--name", "elsewhere", "sleep", "1000"].map(OsString::from);
    let words = [&words[..], &[mydocker_file().into()], &run].concat();
    mydocker_at(&tool("unshare").expect("unshare"), &words).finish().refused(125, &["no record can be kept", "/proc"]);
    assert_eq!(records.names(&["-f", "status=running"]), [name.as_str()]);
    records.remove(&name);
}

case!(what_is_asked_for_nothing, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// The defaults: ten seconds to stop in, and a log of ten million bytes.
fn what_is_asked_for_nothing() {
    let records = Records::new();
    let name = unique_name();
    let script = "trap 'sleep 2; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    records.detached(&name, &[], script);
    await_log(&records, &name, "ready");
    records.call("stop", &[&name]).success();
    assert_eq!(records.call("wait", &[&name]).success(), "5\n");
    records.remove(&name);
    let name = unique_name();
    let line = "0123456789".repeat(100);
    records.detached(&name, &[], &format!("n=0; while [ $n -lt 3000 ]; do echo {line}; n=$((n+1)); done"));
    records.call("wait", &[&name]).success();
    assert_eq!(records.call("logs", &[&name]).success().len(), 3000 * 1001);
    records.remove(&name);
}

case!(lines_since_a_moment, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// Between the first line and the second, and together with `--tail`, which counts what is left.
fn lines_since_a_moment() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "echo one; sleep 1.2; echo two; echo three");
    records.call("wait", &[&name]).success();
    let times = records.call("logs", &["-t", &name]).success();
    let of_two = times.lines().nth(1).and_then(|line| line.split(' ').next()).expect("a time").to_string();
    assert_eq!(records.call("logs", &["--since", &of_two, &name]).success(), "two\nthree\n");
    assert_eq!(records.call("logs", &["--since", &of_two, "-n", "1", &name]).success(), "three\n");
    records.remove(&name);
}
