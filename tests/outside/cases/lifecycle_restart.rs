//! `run -d --restart`: what starts a container again, and what ends that for good.

use crate::cases::lifecycle::Records;
use crate::probes::own_mounts::in_own_mounts;
use crate::support::folder::Folder;
use crate::support::harness::{Run, mydocker_at, mydocker_file, probe_file, run, unique_name};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::processes::{
    anonymous_kib, children, is_in_call, send, state, status_field, wait_for_end, wait_until,
};
use rustix::fs::{CWD, FileType, mknodat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How the line ends that mydocker writes into the log before it starts it again.
const AGAIN: &str = ", and is started again";

/// Prints a line, and fails.
const FAILS: &str = "echo run; exit 3";

/// A number in the state file of a container.
pub fn number(records: &Records, name: &str, key: &str) -> i32 {
    let state = fs::read_to_string(format!("{}/{name}/state", records.state())).expect("state");
    let line = state.lines().find_map(|line| line.strip_prefix(&format!("{key} "))).expect("the line");
    line.trim().parse().expect("a number")
}

fn runs(records: &Records, name: &str) -> usize {
    records.call("logs", &[name]).success().matches("run\n").count()
}

/// Stops its keeper in the middle of a pause, so that the pause does not end by itself.
pub fn stop_in_pause(records: &Records, name: &str, keeper: i32) {
    wait_until("its keeper is stopped in a pause", || {
        let is_restarting = || records.names(&["-f", "status=restarting"]) == [name];
        wait_until("it is restarting", is_restarting);
        send(keeper, libc::SIGSTOP);
        wait_until("it is stopped", || state(keeper) == Some('T'));
        // It may just have begun the next run.
        let is_there = children(keeper).is_empty() && is_restarting();
        if !is_there {
            send(keeper, libc::SIGCONT);
        }
        is_there
    });
}

case!(it_is_started_again_after_it_has_failed, Needs::NAMESPACES | Needs::SH);
fn it_is_started_again_after_it_has_failed() {
    let records = Records::new();
    for (options, script, all, status) in [
        (&["--restart", "on-failure:2"][..], FAILS, 3, "3\n"),
        (&["--restart=on-failure:1", "-i"], FAILS, 2, "3\n"),
        (&["--restart", "on-failure"], "echo run; [ ! -e $MARK ] || exit 0; : >$MARK; exit 9", 2, "0\n"),
        (&["--restart", "on-failure"], "echo run", 1, "0\n"),
        (&["--restart", "no"], FAILS, 1, "3\n"),
    ] {
        let name = unique_name();
        let mark = format!("MARK={}/mark-{name}", records.state());
        records.detached(&name, &[options, &["-e", &mark]].concat(), script);
        assert_eq!(records.call("wait", &[&name]).success(), status, "{options:?} {script}");
        assert_eq!(runs(&records, &name), all, "{options:?} {script}");
        assert_eq!(records.names(&["-a", "-f", "status=exited"]), [name.as_str()]);
        records.remove(&name);
        let _ = fs::remove_file(mark.trim_start_matches("MARK="));
    }
}

case!(why_it_was_killed, Needs::NAMESPACES | Needs::SH | Needs::MEMORY);
/// What a restart hides from `ps` is in the log, of the first run too.
fn why_it_was_killed() {
    let records = Records::new();
    let name = unique_name();
    let eat = format!("{} --probe eat {}; exit 3", probe_file().display(), 100 << 20);
    records.detached(&name, &["-m", "20m", "--restart", "on-failure:1"], &eat);
    records.call("wait", &[&name]).success();
    let log = records.call("logs", &[&name]).success();
    let told =
        log.lines().filter(|line| line.starts_with("mydocker: out of memory: 1 process was killed; limit 20971520"));
    assert_eq!(told.count(), 2, "{log}");
    records.remove(&name);
}

case!(why_it_is_not_started_again, Needs::NAMESPACES | Needs::SH);
/// Nobody reads the streams of its keeper: so the log says it, or the file that stands for it.
fn why_it_is_not_started_again() {
    let records = Records::new();
    let folder = Folder::new();
    let (source, target) = (folder.text("source"), folder.text("target"));
    fs::create_dir(&target).expect("mkdir");
    let volume = format!("{source}:{target}");
    let script = format!(
        "#!/bin/sh\necho run\nif [ -d {source} ]; then rmdir {source}; else rm {}; fi\nexit 3\n",
        folder.text("script")
    );
    for (volumes, status, reason) in
        [(&[][..], "127\n", "execve \"/"), (&["-v", &volume], "125\n", "source\": ENOENT (No such file or directory)")]
    {
        for to_file in [false, true] {
            let name = unique_name();
            let command = folder.write_program("script", script.as_bytes());
            if !volumes.is_empty() {
                fs::create_dir(&source).expect("mkdir");
            }
            let log = folder.text(&name);
            let to_log: &[&str] = if to_file { &["--log", &log] } else { &[] };
            let options = [&["--restart", "on-failure:2"][..], volumes, to_log].concat();
            records.detached_in(&name, &options, &[&command]);
            assert_eq!(records.call("wait", &[&name]).success(), status, "{options:?}");
            let text = match to_file {
                true => fs::read_to_string(&log).expect("the file"),
                false => records.call("logs", &[&name]).success(),
            };
            let lines: Vec<&str> = text.lines().filter(|line| !line.ends_with(AGAIN)).collect();
            let is_reason = |line: &&str| line.starts_with("mydocker: ") && line.contains(reason);
            assert_eq!((lines.len(), lines[0]), (3, "run"), "{text}");
            assert!(lines[1..].iter().all(is_reason), "{text}");
            records.remove(&name);
        }
    }
}

case!(its_name_is_written_once, Needs::NAMESPACES | Needs::SH);
/// `--cidfile` refuses a file that exists; a restart is no second start of that kind.
fn its_name_is_written_once() {
    let records = Records::new();
    let (name, file) = (unique_name(), format!("{}/cid", records.state()));
    records.detached(&name, &["--restart", "on-failure:2", "--cidfile", &file], FAILS);
    assert_eq!(records.call("wait", &[&name]).success(), "3\n");
    assert_eq!(runs(&records, &name), 3);
    assert_eq!(fs::read_to_string(&file).expect("the file"), name);
    fs::remove_file(file).expect("unlink");
    records.remove(&name);
}

case!(its_restarts_end_for_good, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// In the pause, and while it runs.
fn its_restarts_end_for_good() {
    let records = Records::new();
    let sleeps = "trap 'exit 143' TERM; echo run; while :; do sleep 0.01; done";
    for (policy, script) in [("always", FAILS), ("unless-stopped", sleeps)] {
        for verb in [&["stop"][..], &["kill"], &["kill", "-s", "TERM"], &["rm", "-f"]] {
            let name = unique_name();
            records.detached(&name, &["--restart", policy], script);
            let keeper = number(&records, &name, "keeper");
            wait_until("it has run", || runs(&records, &name) > 0);
            if script == FAILS {
                wait_until("it has run three times", || runs(&records, &name) > 2);
                stop_in_pause(&records, &name, keeper);
                records.call("exec", &[&name, "true"]).refused(125, &["it is restarting", &name]);
                records.call("rm", &[&name]).refused(125, &["it runs", &name]);
            }
            let outcome = records.call(verb[0], &[&verb[1..], &[&name]].concat());
            assert_eq!(outcome.success(), format!("{name}\n"), "{verb:?} {script}");
            assert!(wait_for_end(keeper));
            if verb[0] != "rm" {
                let status = match (script, verb) {
                    (FAILS, _) => "3\n",
                    (_, ["kill"]) => "137\n",
                    _ => "143\n",
                };
                assert_eq!(records.call("wait", &[&name]).success(), status, "{verb:?} {script}");
                assert_eq!(records.names(&["-a", "-f", "status=exited"]), [name.as_str()]);
                records.remove(&name);
            }
            assert_eq!(records.left(), [""; 0]);
        }
    }
}

case!(other_signals_end_no_restarts, Needs::NAMESPACES | Needs::SH);
fn other_signals_end_no_restarts() {
    let records = Records::new();
    let name = unique_name();
    let script = "trap 'exit 4' USR1; echo run; while :; do read line; done";
    records.detached(&name, &["--restart", "always", "-i"], script);
    wait_until("it has run", || runs(&records, &name) == 1);
    records.call("kill", &["-s", "USR1", &name]).success();
    wait_until("it has run again", || runs(&records, &name) == 2);
    // What ends its keeper ends it, too.
    let (keeper, pid) = (number(&records, &name, "keeper"), records.pid(&name));
    send(keeper, libc::SIGTERM);
    assert!(wait_for_end(keeper) && wait_for_end(pid));
    assert_eq!(records.call("wait", &[&name]).success(), "143\n");
    records.remove(&name);
}

case!(a_run_that_is_killed_is_started_again, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn a_run_that_is_killed_is_started_again() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["--restart", "on-failure"], "echo run; exec sleep 1000");
    wait_until("it has run", || runs(&records, &name) == 1);
    let (keeper, pid) = (number(&records, &name, "keeper"), records.pid(&name));
    send(children(keeper)[0], libc::SIGKILL);
    assert!(wait_for_end(pid));
    wait_until("it has run again", || runs(&records, &name) == 2);
    wait_until("it runs", || records.names(&["-f", "status=running"]) == [name.as_str()]);
    assert_eq!(number(&records, &name, "keeper"), keeper);
    // With the keeper all of it ends.
    let pid = records.pid(&name);
    send(keeper, libc::SIGKILL);
    assert!(wait_for_end(pid));
    wait_until("it is lost", || records.names(&["-f", "status=lost"]) == [name.as_str()]);
    assert_eq!(records.call("rm", &[&name]).success(), format!("{name}\n"));
    // The next run of its name sweeps what is left of its groups.
    records.detached(&name, &[], "exit 0");
    records.call("wait", &[&name]).success();
    records.remove(&name);
}

case!(a_run_that_is_killed_for_good, Needs::NAMESPACES | Needs::SLEEP | Needs::MOUNTED);
/// Its status is that of the signal.
fn a_run_that_is_killed_for_good() {
    let records = Records::new();
    let name = unique_name();
    records.detached_in(&name, &["--restart", "on-failure:1"], &["sleep", "1000"]);
    let keeper = number(&records, &name, "keeper");
    for _ in 0..2 {
        wait_until("it runs", || records.names(&["-f", "status=running"]) == [name.as_str()]);
        let pid = records.pid(&name);
        send(children(keeper)[0], libc::SIGKILL);
        assert!(wait_for_end(pid));
    }
    assert_eq!(records.call("wait", &[&name]).success(), "137\n");
    records.remove(&name);
}

case!(a_restart_does_not_read_the_log, Needs::NAMESPACES | Needs::SH | Needs::STRACE);
/// It goes on where the file ends, however long that is.
fn a_restart_does_not_read_the_log() {
    let (records, folder) = (Records::new(), Folder::new());
    let (name, seen) = (unique_name(), folder.text("strace"));
    let log = records.folder_of(&name).join("log").into_os_string().into_string().expect("UTF-8");
    let mut words: Vec<OsString> = ["-f", "-o", &seen, "-P", &log].map(OsString::from).into();
    words.push(mydocker_file().into());
    words.extend(["run", "--state", &records.state(), "-d", "--name", &name].map(OsString::from));
    words.extend(["--restart", "on-failure:3", "sh", "-c", FAILS].map(OsString::from));
    mydocker_at(&tool("strace").expect("strace"), &words).start().reap().success();
    let again = "mydocker: it ended with status 3, and is started again\n";
    assert_eq!(records.call("logs", &[&name]).success(), format!("run\n{}", format!("{again}run\n").repeat(3)));
    let trace = fs::read_to_string(&seen).expect("a trace");
    let calls = |name: &str| trace.lines().filter(|line| line.contains(&format!(" {name}("))).count();
    // Whoever opens it reads its last byte, so that a line of mydocker's own begins a line.
    assert_eq!((calls("pwrite64"), calls("pread64"), calls("read")), (7, 6, 0), "{trace}");
    assert_eq!(trace.matches(", 1, ").count(), 6, "{trace}");
    records.remove(&name);
}

case!(what_a_killed_run_has_not_written_in_whole, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn what_a_killed_run_has_not_written_in_whole() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["--restart", "on-failure"], "echo run; exec sleep 1000");
    wait_until("it has run", || runs(&records, &name) == 1);
    let keeper = number(&records, &name, "keeper");
    let run = children(keeper)[0];
    let log = records.folder_of(&name).join("log");
    let whole = fs::metadata(&log).expect("the log").len();
    send(keeper, libc::SIGSTOP);
    send(run, libc::SIGKILL);
    wait_until("it is killed", || state(run) == Some('Z'));
    let rest = [&b"1795728294000 1000\n"[..], &[b'x'; 900]].concat();
    fs::OpenOptions::new().append(true).open(&log).expect("the log").write_all(&rest).expect("write");
    let follower = records.verb("logs", &["-f", &name]).start();
    follower.await_output("run\n");
    send(keeper, libc::SIGCONT);
    wait_until("it has run again", || runs(&records, &name) == 2);
    let line = "mydocker: it ended with status 137, and is started again\n";
    let text = format!("run\n{line}run\n");
    assert_eq!(records.call("logs", &[&name]).success(), text);
    let again = fs::metadata(&log).expect("the log").len() - 2 * whole;
    assert_eq!(again as usize, "1795728294000 57\n".len() + line.len());
    records.remove(&name);
    // What it had seen was cut off: for it, too, the file is the same.
    assert_eq!(follower.reap().success(), text);
}

case!(a_keeper_stays_as_small_as_it_was, Needs::NAMESPACES | Needs::SH);
fn a_keeper_stays_as_small_as_it_was() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["--restart", "always"], FAILS);
    let keeper = number(&records, &name, "keeper");
    let facts = || {
        stop_in_pause(&records, &name, keeper);
        let facts = (anonymous_kib(keeper), fs::read_dir(format!("/proc/{keeper}/fd")).expect("fd").count());
        send(keeper, libc::SIGCONT);
        facts
    };
    let before = facts();
    wait_until("it has run five times", || runs(&records, &name) > 4);
    assert_eq!(facts(), before);
    records.remove(&name);
}

case!(a_start_that_hangs, Needs::ROOT | Needs::SH);
/// The second run waits for a writer of a FIFO, and SIGTERM ends it; or it is stopped besides, so that SIGTERM does not reach it, and
/// its keeper ends with it.
fn a_start_that_hangs() {
    let (records, folder) = (Records::new(), Folder::new());
    let path = folder.text("variables");
    for (is_stopped, verb, status) in [
        (false, &["stop", "-t", "1"][..], "3\n"),
        (false, &["kill"], "3\n"),
        (true, &["stop", "-t", "1"], "3\n"),
        (true, &["rm", "-f"], ""),
    ] {
        let name = unique_name();
        fs::write(&path, "").expect("write");
        records.detached(&name, &["--restart", "always", "--env-file", &path], FAILS);
        let keeper = number(&records, &name, "keeper");
        stop_in_pause(&records, &name, keeper);
        fs::remove_file(&path).expect("unlink");
        mknodat(CWD, &path, FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
        send(keeper, libc::SIGCONT);
        let waiting = || children(keeper).into_iter().find(|run| is_in_call(*run, libc::SYS_openat));
        wait_until("it waits for a writer", || waiting().is_some());
        if let Some(run) = waiting().filter(|_| is_stopped) {
            send(run, libc::SIGSTOP);
        }
        let began = Instant::now();
        assert_eq!(records.call(verb[0], &[&verb[1..], &[&name]].concat()).success(), format!("{name}\n"));
        assert!(began.elapsed() < Duration::from_secs(10), "{verb:?} took {:?}", began.elapsed());
        assert!(wait_for_end(keeper));
        if verb[0] != "rm" {
            assert_eq!(records.call("wait", &[&name]).success(), status, "{verb:?}");
            assert_eq!(records.names(&["-a", "-f", "status=exited"]), [name.as_str()]);
            records.remove(&name);
        }
        assert_eq!(records.left(), [""; 0]);
        fs::remove_file(&path).expect("unlink");
    }
}

/// Mounts a filesystem there whose server never answers: who asks it waits until it is killed. It is there as long as the file.
fn hanging_mount(folder: &Folder) -> (String, fs::File) {
    let point = folder.text("");
    let server = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("open");
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
    let options = crate::probes::c_string(&options);
    mount("fuse", &point, "fuse", MountFlags::empty(), Some(options.as_c_str())).expect("mount");
    (point, server)
}

case!(a_start_whose_end_is_seen_first, Needs::ROOT | Needs::FUSE | Needs::STRACE);
/// SIGCHLD overtakes a signal of a higher number that the keeper is about to take: then it knows the end of its child before that of the
/// pipe which says that the command is executed.
fn a_start_whose_end_is_seen_first() {
    in_own_mounts("private", "end-seen-first");
}

probe!("end-seen-first", |_| {
    let (records, folder, notes) = (Records::new(), Folder::new(), Folder::new());
    let (point, _server) = hanging_mount(&folder);
    let volume = format!("{point}file:/mnt");
    let front = records.run(&["-d", "--no-limits", "-v", &volume], &["true"]).start();
    let only = |pid: i32| children(pid).first().copied();
    let hangs = |keeper| only(keeper).is_some_and(|child| is_in_call(child, libc::SYS_open_tree));
    wait_until("the child hangs", || only(front.pid).is_some_and(hangs));
    let keeper = only(front.pid).expect("a keeper");
    // Between poll, which has seen a signal, and the read that takes it, there is time for the child to end.
    let mut strace = std::process::Command::new("strace")
        .args(["-qq", "-o", &notes.text("trace"), "-e", "trace=read", "-e", "inject=read:delay_enter=300000"])
        .args(["-p", &keeper.to_string()])
        .spawn()
        .expect("strace");
    wait_until("it is traced", || status_field(keeper, "TracerPid:").is_some_and(|tracer| tracer != 0));
    send(keeper, libc::SIGTERM);
    send(keeper, libc::SIGWINCH);
    let outcome = front.reap();
    assert_eq!((outcome.code(), outcome.stdout_text()), (143, String::new()), "{outcome:?}");
    strace.wait().expect("wait for strace");
    assert_eq!(records.left(), [""; 0]);
    unmount(point.as_str(), UnmountFlags::DETACH).expect("umount");
});

/// `run -d OPTIONS sleep 1000` under strace, whose words are `inject`.
fn injected(records: &Records, inject: &str, name: &str, options: &[&str]) -> Run {
    let state = records.state();
    let mut words: Vec<OsString> = ["-f", "-qq", "-o", "/dev/null", "-e", inject].map(OsString::from).into();
    words.push(mydocker_file().into());
    words.extend(["run", "--state", &state, "-d", "--name", name, "--no-limits"].map(OsString::from));
    words.extend(options.iter().map(OsString::from));
    words.extend(["sleep", "1000"].map(OsString::from));
    mydocker_at(&tool("strace").expect("strace"), &words)
}

case!(whoever_starts_it_ends_before_it_hears, Needs::ROOT | Needs::STRACE | Needs::SLEEP);
/// The command is executed, and nobody knows of it: it is ended, and not started again. The file with its name is removed from the
/// directory that it was named in.
fn whoever_starts_it_ends_before_it_hears() {
    let (records, folder) = (Records::new(), Folder::new());
    for options in [&[][..], &["--restart", "always"], &["--restart", "on-failure:1"]] {
        let name = unique_name();
        // It leaves the caller's directory right before it tells.
        let options = [options, &["--cidfile", "cid"]].concat();
        let strace = injected(&records, "inject=chdir:signal=STOP:when=1", &name, &options);
        let strace = strace.with(|call| call.current_dir(folder.as_path())).start();
        wait_until("the command is executed", || {
            fs::exists(format!("{}/{name}/state", records.state())).expect("stat")
        });
        let front = children(strace.pid)[0];
        // Those that keep it, down to the one that has the command as its child.
        let chain: Vec<i32> = std::iter::successors(Some(front), |pid| children(*pid).first().copied()).collect();
        let run = chain[chain.len() - 2];
        wait_until("it is about to tell", || state(run).is_some_and(|state| "tT".contains(state)));
        send(front, libc::SIGKILL);
        wait_until("nobody is in front", || state(front).is_none_or(|state| state == 'Z'));
        send(run, libc::SIGCONT);
        wait_until("nothing is left", || records.left().is_empty());
        // strace ends with the last of those that it follows.
        drop(strace.reap());
        assert_eq!(records.left(), [""; 0], "{options:?}");
        assert!(!folder.path("cid").exists(), "{options:?}");
    }
}

case!(a_run_that_is_killed_before_it_tells, Needs::ROOT | Needs::STRACE | Needs::SLEEP);
/// The command has been executed, and is so again: that is told.
fn a_run_that_is_killed_before_it_tells() {
    let records = Records::new();
    let (name, folder) = (unique_name(), Folder::new());
    let out = || fs::File::options().create(true).append(true).open(folder.path("out")).expect("open");
    let run = injected(&records, "inject=chdir:signal=KILL:when=1", &name, &["--restart", "always"]);
    let strace = run.start_on([out().into(), out().into(), out().into()]);
    wait_until("it has told", || fs::read(folder.path("out")).expect("read") == format!("{name}\n").as_bytes());
    wait_until("it runs again", || records.names(&["-f", "status=running"]) == [name.as_str()]);
    records.call("rm", &["-f", &name]).success();
    assert_eq!(strace.finish().code(), 0);
    assert_eq!(records.left(), [""; 0]);
}

case!(a_record_that_is_removed_twice, Needs::ROOT | Needs::STRACE | Needs::SLEEP);
/// While `rm` removes it, another one does, and the name is taken again: that record stays, and is no failure of the first.
fn a_record_that_is_removed_twice() {
    let records = Records::new();
    let name = unique_name();
    records.detached_in(&name, &["--no-limits"], &["true"]);
    records.call("wait", &[&name]).success();
    // A record has seven files; the folder comes last.
    let words = ["-qq", "-o", "/dev/null", "-e", "inject=unlinkat:delay_enter=1000000:when=8"].map(OsString::from);
    let own = ["rm", "--state", &records.state(), &name].map(OsString::from);
    let words = [&words[..], &[mydocker_file().into()], &own].concat();
    let removing = mydocker_at(&tool("strace").expect("strace"), &words).start();
    let folder = format!("{}/{name}", records.state());
    wait_until("its files are gone", || fs::read_dir(&folder).expect("list").count() == 0);
    fs::remove_dir(&folder).expect("rmdir");
    records.detached_in(&name, &["--no-limits"], &["sleep", "1000"]);
    assert_eq!(removing.reap().success(), format!("{name}\n"));
    assert_eq!(records.names(&[]), [name.as_str()]);
    records.call("rm", &["-f", &name]).success();
}

case!(a_first_start_that_hangs, Needs::ROOT | Needs::FUSE | Needs::SH);
/// A filesystem may never answer. Its record names its keeper from the start, so that it can be ended by its name.
fn a_first_start_that_hangs() {
    in_own_mounts("private", "hanging-first-start");
}

probe!("hanging-first-start", |_| {
    let (records, folder) = (Records::new(), Folder::new());
    let (point, _server) = hanging_mount(&folder);
    let volume = format!("{point}file:/mnt");
    for (options, stopped, verb, status) in [
        (&["-d"][..], None, &["kill"][..], 143),
        (&["-d"], Some(0), &["stop", "-t", "1"], 143),
        (&[], None, &["rm", "-f"], 143),
        (&["-d", "--restart", "always"], None, &["stop", "-t", "1"], 143),
        // SIGTERM does not reach the run itself: its keeper ends it with itself.
        (&["-d", "--restart", "always"], Some(1), &["rm", "-f"], 125),
    ] {
        let name = unique_name();
        let all = [options, &["--name", &name, "--no-limits", "-v", &volume]].concat();
        let front = records.run(&all, &["true"]).start();
        // Those that wait for one another, from the one in front down to the child that hangs.
        let mut chain = Vec::new();
        wait_until(&format!("the child hangs: {options:?}"), || {
            chain = std::iter::successors(Some(front.pid), |pid| children(*pid).first().copied()).collect();
            chain.last().is_some_and(|child| is_in_call(*child, libc::SYS_open_tree))
        });
        let keeper = if options.is_empty() { 0 } else { 1 };
        if let Some(below) = stopped {
            send(chain[keeper + below], libc::SIGSTOP);
        }
        assert_eq!(records.names(&["-f", "status=starting"]), [name.as_str()]);
        let began = Instant::now();
        let ended = records.call(verb[0], &[&verb[1..], &[&name]].concat());
        assert_eq!(ended.success(), format!("{name}\n"), "{options:?} {verb:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{options:?} {verb:?} took {:?}", began.elapsed());
        let outcome = front.reap();
        assert_eq!((outcome.code(), outcome.stdout_text()), (status, String::new()), "{options:?}: {outcome:?}");
        assert!(chain.iter().all(|pid| wait_for_end(*pid)), "{options:?} {verb:?}");
        assert_eq!(records.left(), [""; 0], "{options:?} {verb:?}");
    }
    unmount(point.as_str(), UnmountFlags::DETACH).expect("umount");
});

case!(ports_in_the_pause, Needs::ROOT | Needs::SH);
/// Nobody listens there.
fn ports_in_the_pause() {
    let records = Records::new();
    let name = unique_name();
    let script = "echo run; [ -e $MARK ] && read line; exit 3";
    let mark = format!("{}/mark-{name}", records.state());
    let options = ["--restart", "always", "-i", "-p", "127.0.0.1::80", "-e", &format!("MARK={mark}")];
    records.detached(&name, &options, script);
    let keeper = number(&records, &name, "keeper");
    stop_in_pause(&records, &name, keeper);
    let shown = || records.call("ps", &[]).success() + &records.call("ps", &["--json"]).success();
    let text = shown();
    assert!(text.contains(" restarting (3) ") && !text.contains("127.0.0.1:"), "{text}");
    fs::write(&mark, "").expect("write");
    send(keeper, libc::SIGCONT);
    wait_until("it runs", || records.names(&["-f", "status=running"]) == [name.as_str()]);
    let text = shown();
    assert_eq!(text.matches("->80/tcp").count(), 2, "{text}");
    records.remove(&name);
    fs::remove_file(mark).expect("unlink");
}

case!(a_first_start_that_fails, Needs::NAMESPACES);
fn a_first_start_that_fails() {
    let records = Records::new();
    let name = unique_name();
    let options = ["-d", "--restart", "always", "--name", &name];
    records.run(&options, &["/no/such"]).start().reap().refused(127, &["/no/such"]);
    records.run(&options, &["/"]).start().reap().refused(126, &["/"]);
    assert_eq!(records.left(), [""; 0]);
}

case!(wrong_policies, Needs::NOTHING);
fn wrong_policies() {
    for policy in ["", "never", "always:3", "on-failure:", "on-failure:x", "on-failure:-1"] {
        run(&["-d", "--restart", policy], &["true"]).finish().usage_error(&["--restart", policy]);
    }
    for options in [&["--restart", "always"][..], &["-d", "--rm", "--restart", "on-failure"]] {
        run(options, &["true"]).finish().usage_error(&["--restart needs -d, and no --rm"]);
    }
}

case!(a_run_that_is_stopped_when_its_container_ends, Needs::NAMESPACES | Needs::SH);
/// It goes on, and notes how that has ended.
fn a_run_that_is_stopped_when_its_container_ends() {
    let records = Records::new();
    let name = unique_name();
    let script = "trap 'exit 3' USR1; echo ready; while :; do sleep 0.01; done";
    records.detached(&name, &["--restart", "on-failure:1"], script);
    wait_until("it is ready", || records.call("logs", &[&name]).stdout_text().contains("ready"));
    let process = records.pid(&name);
    let run = crate::cases::lifecycle_detached::keeper_of(process);
    send(run, libc::SIGSTOP);
    send(process, libc::SIGUSR1);
    wait_until("it has ended", || state(process).is_none_or(|state| state == 'Z'));
    records.call("stop", &[&name]).success();
    assert_eq!(records.call("wait", &[&name]).success(), "3\n");
    records.remove(&name);
}
