//! The caller's process group and session: nothing inside can signal them, and yet a run is a job of the caller's shell, with
//! its keys, its stops and its background.
//!
//! The input contains `$((..))` or `$?` where its answer contains a number: an echo of the input cannot be taken for
//! the answer.

use crate::cases::rootless::SharedFiles;
use crate::support::folder::Folder;
use crate::support::harness::{Run, mydocker_at, mydocker_file, probe, probe_file, run, unique_name};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::processes::{children, send, sleep_processes, state, wait_for_end, wait_until};
use crate::support::user_terminal::{InTerminal, in_terminal};
use libc::{SIGINT, SIGKILL, SIGTERM, SIGWINCH};
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;

const BOTH: [&str; 2] = ["", "--init"];

/// A shell of the caller's that runs `script`, in a process group of its own: it is that one which could be hit.
fn caller(mydocker: &Path, probe: &Path, script: &str) -> Run {
    let sh = tool("sh").expect("sh");
    mydocker_at(&sh, &["-c", script])
        .with(|command| command.process_group(0).current_dir("/").env("M", mydocker).env("P", probe))
}

/// A script that runs `command`, and then says how that has ended, and whether its other job has lived on.
fn with_another_job(command: &str) -> String {
    format!("sleep 100000 & other=$!; {command}; echo status$?; kill $other; wait $other; echo other$?")
}

case!(kill_0_stays_inside, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn kill_0_stays_inside() {
    // PID 1 gets no SIGKILL from its own namespace; every other process ends itself too.
    for (options, status) in
        [("", 7), ("--init", 137), ("--pid host", 137), ("--init --pid host", 137), ("-t", 7), ("-t --init", 137)]
    {
        let script = with_another_job(&format!("\"$M\" run {options} \"$P\" --probe kill-group 9 >&2"));
        let outcome = caller(&mydocker_file(), &probe_file(), &script).finish();
        assert_eq!(outcome.code(), 0, "{options}: {outcome:?}");
        assert_eq!(outcome.stdout_text(), format!("status{status}\nother143\n"), "{options}: {outcome:?}");
    }
}

case!(kill_0_stays_inside_as_an_ordinary_user, Needs::USER_NAMESPACES | Needs::SH | Needs::SLEEP);
fn kill_0_stays_inside_as_an_ordinary_user() {
    let shared_files = SharedFiles::new();
    for (options, status) in [("", 7), ("--init", 137), ("--pid host", 137)] {
        let script = with_another_job(&format!("\"$M\" run {options} \"$P\" --probe kill-group 9 >&2"));
        let run = caller(shared_files.mydocker.as_ref(), shared_files.probe.as_ref(), &script);
        let outcome = shared_files.become_user(run).finish();
        assert_eq!(outcome.stdout_text(), format!("status{status}\nother143\n"), "{options}: {outcome:?}");
    }
}

case!(an_honest_kill_0_at_the_end, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// As in scripts that end what they have started.
fn an_honest_kill_0_at_the_end() {
    for (options, status) in [("", 3), ("--init", 143), ("--pid host", 143)] {
        let line = format!("\"$M\" run {options} sh -c 'trap \"kill 0\" EXIT; sleep 100000 & exit 3'");
        let outcome = caller(&mydocker_file(), &probe_file(), &with_another_job(&line)).finish();
        assert_eq!(outcome.stdout_text(), format!("status{status}\nother143\n"), "{options}: {outcome:?}");
    }
}

/// A container whose command no longer ends with mydocker, and the host's pid of that command.
fn start_undying(options: &[&str], folder: &Folder) -> (crate::support::harness::Running, i32) {
    let null = || File::options().read(true).write(true).open("/dev/null").expect("/dev/null").into();
    let mark = folder.text("mark");
    let running = probe(options, &["undying", &mark]).start_on([null(), null(), null()]);
    wait_until("it has cleared its death signal", || Path::new(&mark).exists());
    let first = running.command_pid();
    let command = children(first).first().copied().filter(|_| options.contains(&"--init")).unwrap_or(first);
    (running, command)
}

case!(with_init_nothing_outlives_mydocker, Needs::NAMESPACES);
/// Whatever the command does: here both it and its child clear their death signals, and ignore what can be ignored.
fn with_init_nothing_outlives_mydocker() {
    // Without a cgroup no other run can end them either.
    for options in [&["--init", "--no-limits"][..], &["--init", "-t", "--no-limits"]] {
        let folder = Folder::new();
        let (running, command) = start_undying(options, &folder);
        let its_child = children(command)[0];
        running.send(SIGKILL);
        assert_eq!(running.reap_with_stdin_open().status.signal(), Some(SIGKILL));
        assert!(wait_for_end(command) && wait_for_end(its_child), "{options:?}");
    }
}

/// A command and its child that have outlived their mydocker, which was killed.
fn outlive(more: &[&str]) -> Option<(i32, i32)> {
    let folder = Folder::new();
    let name = unique_name();
    let options = [&["-m", "100m", "--name", &name], more].concat();
    let (running, command) = start_undying(&options, &folder);
    let its_child = children(command)[0];
    running.send(SIGKILL);
    assert_eq!(running.reap_with_stdin_open().status.signal(), Some(SIGKILL));
    state(command).is_some_and(|state| state != 'Z').then_some((command, its_child))
}

case!(a_later_run_ends_what_has_outlived_mydocker, Needs::NAMESPACES | Needs::MEMORY);
fn a_later_run_ends_what_has_outlived_mydocker() {
    for more in [&[][..], &["--pid", "host"]] {
        // A run of another case may have swept it already.
        let (command, its_child) =
            (0..20).find_map(|_| outlive(more)).expect("it ends with mydocker: this case shows nothing");
        // A run sweeps at most eight candidates, in one hierarchy at a time, and other cases leave directories too.
        let is_gone = |pid| state(pid).is_none_or(|state| state == 'Z');
        let swept = (0..100).any(|_| {
            probe(&[], &["status", "0"]).finish().silent(0);
            is_gone(command) && is_gone(its_child)
        });
        assert!(swept, "after 100 runs {command} or {its_child} still lives");
    }
}

/// An interactive bash of the caller's, at a terminal.
fn shell_at_a_terminal() -> InTerminal {
    let bash = tool("bash").expect("bash");
    let shell = mydocker_at(&bash, &["--norc", "--noprofile", "-i"]).with(|command| {
        command.env("PS1", "out> ").env("TERM", "dumb").env("M", mydocker_file()).env_remove("PROMPT_COMMAND")
    });
    let mut shell = in_terminal(shell);
    shell.await_screen("out> ");
    shell
}

/// Types a line.
fn line(shell: &InTerminal, text: &str) {
    shell.press(text.as_bytes());
    shell.press(b"\n");
}

/// Types a line whose answer is `text`.
#[track_caller]
fn ask(shell: &mut InTerminal, question: &str, text: &str) {
    line(shell, question);
    shell.await_screen(text);
}

/// Ends the shell.
fn leave(shell: InTerminal) {
    line(&shell, "exit 0");
    assert_eq!(shell.running.finish_with_stdin_open().code(), 0);
}

const AT_A_TERMINAL: Needs = Needs::NAMESPACES.and(Needs::TERMINAL).and(Needs::BASH).and(Needs::SLEEP);

/// All processes below `pid`.
fn descendants(pid: i32) -> Vec<i32> {
    let own = children(pid);
    own.iter().copied().chain(own.iter().flat_map(|child| descendants(*child))).collect()
}

case!(a_pipeline_of_two_runs_is_interrupted, AT_A_TERMINAL);
fn a_pipeline_of_two_runs_is_interrupted() {
    for options in BOTH {
        let mut shell = shell_at_a_terminal();
        line(&shell, &format!("\"$M\" run {options} sleep 100000 | \"$M\" run {options} sleep 100000"));
        wait_until("both run", || sleep_processes(shell.running.pid).len() == 2);
        shell.press(b"\x03");
        wait_until("both have ended", || children(shell.running.pid).is_empty());
        ask(&mut shell, "echo end${PIPESTATUS[*]}.", "end130 130.");
        leave(shell);
    }
}

/// The processes below `pid` that are a `sh` or a `cat`. With `--init` the reapers run on: they read no terminal.
fn commands(pid: i32) -> Vec<i32> {
    let mut all = descendants(pid);
    all.retain(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(b"sh\0") || words == b"cat\0"
    });
    all
}

case!(a_pipeline_of_two_runs_stops_and_goes_on, AT_A_TERMINAL | Needs::SH);
/// Every process of both containers stops, not only the first.
fn a_pipeline_of_two_runs_stops_and_goes_on() {
    for options in BOTH {
        let mut shell = shell_at_a_terminal();
        let pid = shell.running.pid;
        let first = "sh -c 'echo up$((1+1)) >&2; cat; :'";
        line(&shell, &format!("\"$M\" run {options} {first} | \"$M\" run {options} cat"));
        shell.await_screen("up2");
        line(&shell, "one");
        assert!(shell.terminal.await_count("one\r\n", 2));
        for round in 0..2 {
            shell.press(b"\x1a");
            assert!(shell.terminal.await_count("Stopped", 1 + round));
            assert_eq!(commands(pid).len(), 3, "{options}");
            wait_until("every command has stopped", || {
                commands(pid).into_iter().all(|command| state(command) == Some('T'))
            });
            ask(&mut shell, &format!("echo back$((7+{round}))"), &format!("back{}", 7 + round));
            line(&shell, "fg");
            wait_until("they go on", || commands(pid).into_iter().all(|command| state(command) == Some('S')));
            line(&shell, &format!("two{round}"));
            assert!(shell.terminal.await_count(&format!("two{round}\r\n"), 2));
        }
        shell.press(b"\x04");
        wait_until("both have ended", || children(shell.running.pid).is_empty());
        ask(&mut shell, "echo end$?.", "end0.");
        leave(shell);
    }
}

case!(a_pipeline_into_a_pager, AT_A_TERMINAL | Needs::LESS);
/// The pager reads its keys from the terminal: the run must leave it in the foreground.
fn a_pipeline_into_a_pager() {
    for options in BOTH {
        let mut shell = shell_at_a_terminal();
        line(&shell, &format!("seq 500 | \"$M\" run {options} cat | TERM=vt100 less"));
        shell.await_screen("\r\n23");
        shell.press(b"G");
        shell.await_screen("\r\n500");
        shell.press(b"q");
        wait_until("all have ended", || children(shell.running.pid).is_empty());
        ask(&mut shell, "echo end${PIPESTATUS[*]}.", "end0 0 0.");
        leave(shell);
    }
}

case!(a_job_in_the_background, AT_A_TERMINAL | Needs::SH);
fn a_job_in_the_background() {
    for options in BOTH {
        // In a script, before and after the command has started.
        for pause in [":", "until [ -e \"$F\" ]; do :; done"] {
            let folder = Folder::new();
            let start = format!("\"$M\" run {options} sh -c ': >\"$F\"; exec sleep 100000' & job=$!");
            let script = format!("{start}; {pause}; kill $job; wait $job; echo status$?");
            let run = caller(&mydocker_file(), &probe_file(), &script);
            let outcome = run.with(|command| command.env("F", folder.path("mark"))).finish();
            assert_eq!(outcome.stdout_text(), "status143\n", "{options}: {outcome:?}");
        }
        let start = format!("\"$M\" run {options} sleep 100000 & job=$!");
        // At a terminal, as a job.
        let mut shell = shell_at_a_terminal();
        line(&shell, &start);
        wait_until("it runs", || sleep_processes(shell.running.pid).len() == 1);
        ask(&mut shell, "kill %1; wait $job; echo end$?.", "end143.");
        // And to the foreground.
        line(&shell, &start);
        wait_until("it runs", || sleep_processes(shell.running.pid).len() == 1);
        line(&shell, "fg");
        shell.await_screen("run");
        wait_until("it has the keys", || {
            children(shell.running.pid).first().is_some_and(|pid| crate::support::processes::is_in_foreground(*pid))
        });
        shell.press(b"\x03");
        wait_until("it has ended", || children(shell.running.pid).is_empty());
        ask(&mut shell, "echo fore$?.", "fore130.");
        leave(shell);
    }
}

case!(what_ignores_the_hangup_lives_on, AT_A_TERMINAL);
/// `nohup mydocker run .. &`, and the window is closed.
fn what_ignores_the_hangup_lives_on() {
    for options in BOTH {
        let shell = shell_at_a_terminal();
        let start = format!("\"$M\" run {options} sleep 100000 </dev/null >/dev/null 2>&1");
        line(&shell, &format!("(trap '' HUP; exec {start}) & {start} &"));
        let all = || sleep_processes(shell.running.pid);
        wait_until("both run", || all().len() == 2);
        let runs = children(shell.running.pid);
        let [immune, mortal] = [runs[0], runs[1]].map(|run| (run, sleep_processes(run)[0]));
        let InTerminal { terminal, running } = shell;
        drop(terminal);
        running.reap_with_stdin_open();
        assert!(wait_for_end(mortal.1), "{options}: the hangup reached no job: this case shows nothing");
        assert_eq!(state(immune.1), Some('S'), "{options}");
        send(immune.0, SIGTERM);
        assert!(wait_for_end(immune.1) && wait_for_end(immune.0));
    }
}

case!(a_shell_without_a_terminal_of_its_own, Needs::NAMESPACES | Needs::TERMINAL | Needs::SH | Needs::SLEEP);
/// It reads and writes the caller's terminal, and is interrupted by its keys; but /dev/tty, where anybody in the caller's
/// session finds the terminal, is not there.
fn a_shell_without_a_terminal_of_its_own() {
    for options in [&[][..], &["--init"], &["--pid", "host"]] {
        let shell = run(options, &["sh", "-i"]);
        let mut shell = in_terminal(shell.with(|command| command.env("PS1", "in> ").env_remove("ENV")));
        shell.await_screen("in> ");
        ask(&mut shell, "echo up$((1+1))", "up2");
        ask(&mut shell, "(: </dev/tty) 2>/dev/null || echo none$((1+1))", "none2");
        line(&shell, "sleep 100000");
        wait_until("it sleeps", || sleep_processes(shell.running.pid).len() == 1);
        shell.press(b"\x03");
        wait_until("it is interrupted", || sleep_processes(shell.running.pid).is_empty());
        ask(&mut shell, "echo status$?.", "status130.");
        line(&shell, "exit 7");
        assert_eq!(shell.running.finish_with_stdin_open().code(), 7, "{options:?}");
    }
}

case!(a_key_is_for_the_whole_group, Needs::NAMESPACES | Needs::TERMINAL | Needs::SH | Needs::SLEEP);
/// As at any terminal; and a signal from elsewhere is for the command alone.
fn a_key_is_for_the_whole_group() {
    let script = "trap 'echo got$((1+1))' INT; sleep 100000; echo after$?.; exit 5";
    for options in [&[][..], &["--init"], &["--pid", "host"]] {
        for is_key in [true, false] {
            let mut inside = in_terminal(run(options, &["sh", "-c", script]));
            wait_until("it sleeps", || sleep_processes(inside.running.pid).len() == 1);
            if is_key {
                inside.press(b"\x03");
            } else {
                for signal in [SIGINT, SIGWINCH] {
                    inside.running.send(signal);
                    inside.running.await_delivery(signal);
                }
                send(sleep_processes(inside.running.pid)[0], SIGTERM);
            }
            inside.await_screen("got2");
            inside.await_screen(if is_key { "after130." } else { "after143." });
            assert_eq!(inside.running.finish_with_stdin_open().code(), 5, "{options:?} {is_key}");
        }
    }
}
