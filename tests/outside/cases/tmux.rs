//! In a real terminal: tmux is the user, with bash as the shell. The cases send keys and read the screen.
//!
//! The input contains `$((..))` or `$?` where its answer contains a number: an echo of the input cannot be taken for
//! the answer.

use crate::support::folder::Folder;
use crate::support::harness::{FORK_LOCK, mydocker_file};
use crate::support::needs::Needs;
use crate::support::processes::{
    children, is_in_foreground, send, sleep_processes, state, timeout, wait_for_end, wait_until,
};
use libc::{SIGKILL, SIGTERM, SIGTSTP};
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SHELL: Needs = Needs::ROOT.and(Needs::SH).and(Needs::TERMINAL).and(Needs::TMUX).and(Needs::BASH);

/// A tmux server of its own with one window, in which a bash runs on the host.
struct Window {
    folder: Folder,
}

impl Window {
    fn open() -> Window {
        let window = Window { folder: Folder::new() };
        let shell = "exec env PS1='out> ' bash --norc --noprofile";
        window.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", shell]);
        window.await_screen("out> ");
        window
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.folder.path("socket")).args(words).stdin(Stdio::null());
        command.env_remove("TMUX").env("M", mydocker_file()).env("F", self.folder.as_path()).env("LC_ALL", "C.UTF-8");
        let child = {
            let _forks_allowed = FORK_LOCK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start of tmux")
        };
        let output = child.wait_with_output().expect("tmux");
        assert!(output.status.success(), "tmux {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn key(&self, name: &str) {
        self.tmux(&["send-keys", name]);
    }

    fn line(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.key("Enter");
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J"])
    }

    #[track_caller]
    fn await_that(&self, what: &str, good: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if good(&screen) {
                return screen;
            }
            assert!(start.elapsed() < timeout(), "timed out waiting for {what}; the screen:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn await_screen(&self, text: &str) -> String {
        self.await_that(text, |screen| screen.contains(text))
    }

    /// Waits until the last line that is not empty ends with `prompt`.
    #[track_caller]
    fn await_prompt(&self, prompt: &str) {
        self.await_that(prompt, |screen| {
            screen.trim_end().lines().last().is_some_and(|line| line.trim_end().ends_with(prompt))
        });
    }

    /// Whether a key that interrupts is an ordinary byte: then mydocker controls the terminal, because a shell leaves
    /// ISIG on.
    fn is_raw(&self) -> bool {
        let terminal = self.tmux(&["display-message", "-p", "#{pane_tty}"]);
        let mut command = Command::new("stty");
        let output = command.arg("-F").arg(terminal.trim()).arg("-a").stdin(Stdio::null()).output().expect("stty");
        String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == "-isig")
    }

    /// Whether any process below `pid` is stopped.
    fn has_stopped(&self, pid: i32) -> bool {
        children(pid).into_iter().any(|child| state(child) == Some('T') || self.has_stopped(child))
    }

    /// Makes the shell send SIGTERM to its one job, and waits until it reports how that ended, at its next prompt.
    /// (With `set -b` the shell would report at once; but on a busy machine bash then lost the end of a stopped job
    /// three times in a hundred, whether the job was mydocker or not.)
    fn ends_by_term(&self, mydocker: i32) {
        self.line("clear; kill %1");
        assert!(wait_for_end(mydocker), "the job continues; the screen:\n{}", self.screen());
        // Not an empty line: bash only looks for ended jobs after a child has ended.
        self.line("clear");
        self.await_screen("Exit 143");
    }

    /// The mydocker that the shell of this window has started.
    fn mydocker(&self) -> i32 {
        let shell: i32 = self.tmux(&["display-message", "-p", "#{pane_pid}"]).trim().parse().expect("a pid");
        let mut found = Vec::new();
        let file = mydocker_file().canonicalize().expect("the file under test");
        wait_until("one mydocker below the shell", || {
            found = children(shell);
            found.retain(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == file));
            found.len() == 1
        });
        found[0]
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let socket = self.folder.path("socket");
        command.arg("-S").arg(socket).arg("kill-server").stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
    }
}

const BASH: &str = "bash --norc --noprofile";

case!(a_shell_with_job_control, SHELL | Needs::SLEEP);
fn a_shell_with_job_control() {
    for options in ["-t", "-t --init"] {
        let window = Window::open();
        window.line(&format!("PS1='in> ' \"$M\" run {options} {BASH}"));
        window.await_prompt("in>");
        assert!(!window.screen().contains("job control"), "{}", window.screen());
        window.line("echo up$((1+1)); sleep 100000");
        window.await_screen("up2");
        let mydocker = window.mydocker();
        wait_until("sleep runs in the foreground", || sleep_processes(mydocker).into_iter().any(is_in_foreground));
        window.key("C-z");
        window.await_screen("Stopped");
        window.await_prompt("in>");
        window.line("clear; jobs; echo jobs$((1+1))");
        assert!(window.await_screen("jobs2").contains("Stopped"));
        window.line("sleep 100000 & echo bg$((1+1))");
        window.await_screen("bg2");
        window.line("kill %2; wait %2; echo gone$?");
        window.await_screen("gone143");
        window.line("fg %1");
        wait_until("the job continues", || !window.has_stopped(mydocker));
        window.key("C-c");
        window.await_prompt("in>");
        window.line("echo status$?");
        window.await_screen("status130");
        window.line("exit 7");
        window.await_prompt("out>");
        window.line("echo end$?");
        window.await_screen("end7");
    }
}

case!(the_callers_shell_stops_and_continues_it, SHELL);
/// Without `-t`: mydocker and the command are one job of the caller's shell.
fn the_callers_shell_stops_and_continues_it() {
    for options in ["", "--init"] {
        let window = Window::open();
        window.line(&format!("\"$M\" run {options} sh -c 'echo up$((1+1)); exec cat'"));
        window.await_screen("up2");
        window.line("one");
        window.await_that("one, twice", |screen| screen.matches("\none").count() == 2);
        for round in 0..2 {
            window.key("C-z");
            window.await_screen("Stopped");
            window.await_prompt("out>");
            window.line(&format!("clear; echo back$((7+{round})); fg"));
            window.await_screen(&format!("back{}", 7 + round));
            window.line("two");
            window.await_that("two, twice", |screen| screen.matches("\ntwo").count() == 2);
        }
        window.key("C-d");
        window.await_prompt("out>");
        window.line("echo end$?");
        window.await_screen("end0");
    }
}

case!(the_callers_shell_stops_one_with_a_terminal, SHELL);
/// With `-t`, Ctrl-Z goes to the container; a signal from another window stops the whole job.
fn the_callers_shell_stops_one_with_a_terminal() {
    for options in ["-t", "-t --init"] {
        let window = Window::open();
        window.line("stty -g >\"$F/before\" 2>&1");
        window.line(&format!("\"$M\" run {options} sh -c 'echo up$((1+1)); exec cat'"));
        window.await_screen("up2");
        window.line("one");
        window.await_that("one, twice", |screen| screen.matches("\none").count() == 2);
        let mydocker = window.mydocker();
        let first = children(mydocker)[0];
        let command = children(first).first().copied().unwrap_or(first);
        send(mydocker, SIGTSTP);
        window.await_screen("Stopped");
        window.await_prompt("out>");
        wait_until("the command stops too", || state(command) == Some('T'));
        window.line("stty -g >\"$F/stopped\" 2>&1; clear; echo back$((1+1)); fg");
        window.await_screen("back2");
        wait_until("the job continues", || state(command) == Some('S'));
        window.line("two");
        window.await_that("two, twice", |screen| screen.matches("\ntwo").count() == 2);
        window.key("C-d");
        window.await_prompt("out>");
        window.line("stty -g >\"$F/after\" 2>&1; echo end$?");
        window.await_screen("end0");
        let read = |name| fs::read_to_string(window.folder.path(name)).expect("settings");
        assert_eq!(read("stopped"), read("before"), "{options}");
        assert_eq!(read("after"), read("before"), "{options}");
    }
}

case!(a_job_in_the_background, SHELL | Needs::STTY);
/// A background job that uses the terminal stops, like any job: it can be killed there, and continues in the
/// foreground.
fn a_job_in_the_background() {
    for options in ["-t", "-t --init"] {
        let window = Window::open();
        window.line("stty -g >\"$F/before\"; echo told$((1+1))");
        window.await_screen("told2");
        let line = format!("\"$M\" run {options} sh -c 'echo up$((1+1)); exec cat' &");
        window.line(&line);
        let mydocker = window.mydocker();
        wait_until("it stops", || state(mydocker) == Some('T'));
        window.ends_by_term(mydocker);
        window.line(&format!("clear; {line}"));
        for round in 0..2 {
            let mydocker = window.mydocker();
            wait_until("it stops", || state(mydocker) == Some('T'));
            window.line(&format!("clear; bg; echo back$((7+{round}))"));
            window.await_screen(&format!("back{}", 7 + round));
            wait_until("the job stops again", || state(mydocker) == Some('T'));
            // The shell's own settings are neither raw nor line mode: it is about to read a line.
            window.line("clear; stty -g >\"$F/meanwhile\"; fg");
            wait_until("raw", || window.is_raw());
            window.line(&format!("line$((3+{round}))"));
            window.await_that("a line, twice", |screen| screen.matches(&format!("\nline$((3+{round}))")).count() == 2);
            send(mydocker, SIGTSTP);
        }
        window.await_prompt("out>");
        // The cat under test catches no signal.
        window.ends_by_term(window.mydocker());
        window.line("stty -g >\"$F/after\"; echo end$((1+1))");
        window.await_screen("end2");
        let read = |name| fs::read_to_string(window.folder.path(name)).expect("settings");
        assert_eq!(read("meanwhile"), read("before"), "{options}");
        assert_eq!(read("after"), read("before"), "{options}");
    }
}

case!(a_window_that_changes, SHELL | Needs::STTY);
fn a_window_that_changes() {
    let window = Window::open();
    window.line(&format!("PS1='in> ' \"$M\" run -t {BASH}"));
    window.await_prompt("in>");
    window.line("while :; do echo size $(stty size).; sleep 0.05; done");
    window.await_screen("size 24 80.");
    for (columns, rows) in [("100", "30"), ("61", "17")] {
        window.tmux(&["resize-window", "-x", columns, "-y", rows]);
        window.await_screen(&format!("size {rows} {columns}."));
    }
    // A key between two commands of the loop goes to the shell; a key that stty should read is lost.
    let start = Instant::now();
    while !window.screen().trim_end().ends_with("in>") {
        assert!(start.elapsed() < timeout(), "the loop continues: {}", window.screen());
        window.key("C-c");
        thread::sleep(Duration::from_millis(300));
    }
    window.line("exit");
    window.await_prompt("out>");
}

case!(a_window_that_changes_meanwhile, SHELL | Needs::STTY);
/// While mydocker is stopped, it is not in the foreground, and the kernel does not signal a new size to it.
fn a_window_that_changes_meanwhile() {
    let window = Window::open();
    window.line("\"$M\" run -t sh -c 'while :; do echo size $(stty size).; sleep 0.05; done'");
    window.await_screen("size 24 80.");
    send(window.mydocker(), SIGTSTP);
    window.await_screen("Stopped");
    window.await_prompt("out>");
    window.tmux(&["resize-window", "-x", "70", "-y", "20"]);
    window.line("clear; echo back$((1+1))");
    window.await_screen("back2");
    window.line("fg");
    window.await_screen("size 20 70.");
    window.key("C-c");
    window.await_prompt("out>");
}

case!(the_hosts_settings_come_back, SHELL | Needs::STTY);
fn the_hosts_settings_come_back() {
    for (round, options) in ["-t", "-t --init"].into_iter().enumerate() {
        for signal in [0, SIGTERM, SIGKILL] {
            let window = Window::open();
            window.line("stty -ixon erase '^H'; stty -g >\"$F/before\"");
            window.line(&format!("PS1='in> ' \"$M\" run {options} {BASH}"));
            window.await_prompt("in>");
            let first = children(window.mydocker())[0];
            let command = children(first).first().copied().unwrap_or(first);
            match signal {
                0 => window.line("exit 0"),
                // An interactive shell ignores TERM: a process that does not is used instead.
                SIGTERM => {
                    window.line("echo up$((1+1)); exec sleep 100000");
                    window.await_screen("up2");
                    wait_until("sleep runs", || {
                        let comm = fs::read_to_string(format!("/proc/{command}/comm")).unwrap_or_default();
                        comm.trim() == "sleep"
                    });
                    // The kernel does not deliver it to PID 1; mydocker ends the container.
                    send(if round == 0 { window.mydocker() } else { command }, SIGTERM);
                }
                signal => send(command, signal),
            }
            window.await_prompt("out>");
            window.line("echo end$?; stty -g >\"$F/after\"; echo done$((1+1))");
            let screen = window.await_screen("done2");
            let status = if signal == 0 { 0 } else { 128 + signal };
            assert!(screen.contains(&format!("end{status}\n")), "{screen}");
            let read = |name| fs::read_to_string(window.folder.path(name)).expect("settings");
            assert_eq!(read("after"), read("before"), "{options} {signal}");
        }
    }
}

case!(less_in_it, SHELL | Needs::LESS);
fn less_in_it() {
    let window = Window::open();
    let text: String = (1..=500).map(|n| format!("line number {n}.\n")).collect();
    window.folder.write("text", text.as_bytes());
    window.line("\"$M\" run -t less \"$F/text\"");
    window.await_screen("line number 23.");
    window.tmux(&["resize-window", "-x", "80", "-y", "40"]);
    window.await_screen("line number 39.");
    window.key("G");
    window.await_screen("line number 500.");
    window.line("?number 77\\.");
    window.await_screen("line number 78.");
    window.key("q");
    window.await_prompt("out>");
}

case!(vi_in_it, SHELL | Needs::VI);
fn vi_in_it() {
    let window = Window::open();
    window.folder.write("text", b"first\n");
    window.line("\"$M\" run -t vi -u NONE \"$F/text\"");
    window.await_screen("first");
    window.await_screen("~");
    window.key("o");
    window.tmux(&["send-keys", "-l", "second line"]);
    window.await_screen("second line");
    window.key("C-c");
    window.key("Escape");
    thread::sleep(Duration::from_millis(300));
    window.line(":wq");
    window.await_prompt("out>");
    assert_eq!(fs::read_to_string(window.folder.path("text")).expect("text"), "first\nsecond line\n");
}

case!(top_in_it, SHELL | Needs::TOP);
/// The processes inside, in as many lines as the window has, and again when it has more; and a key that top reads
/// itself.
fn top_in_it() {
    for options in ["-t", "-t --init"] {
        let window = Window::open();
        window.line(&format!("\"$M\" run {options} top -d 1"));
        let is_there = |screen: &str| {
            let lines = screen.lines().skip_while(|line| !line.trim_start().starts_with("PID "));
            let mut own = lines.skip(1).filter(|line| line.ends_with(" top") || line.contains(" top "));
            own.next().is_some_and(|line| ["1", "2"].contains(&line.split_whitespace().next().unwrap_or_default()))
        };
        window.await_that("top", is_there);
        window.tmux(&["resize-window", "-x", "100", "-y", "30"]);
        window.key("h");
        window.await_screen("Help for Interactive Commands");
        window.key("q");
        window.await_that("top again", is_there);
        window.key("q");
        window.await_prompt("out>");
        window.line("clear; echo end$?");
        window.await_screen("end0");
    }
}

case!(a_reader_that_goes_first, SHELL);
fn a_reader_that_goes_first() {
    let window = Window::open();
    for (options, expected) in [("-t", "129"), ("", "1"), ("--init", "141")] {
        window.line(&format!("clear; \"$M\" run {options} yes | head -n 1; echo end${{PIPESTATUS[0]}}"));
        let screen = window.await_screen(&format!("end{expected}"));
        assert!(screen.lines().any(|line| line == "y"), "{screen}");
        assert!(!screen.contains("mydocker:"), "{screen}");
        window.await_prompt("out>");
    }
    window.line("clear; stty -a | tr ' ' '\\n' | grep -c '^icanon'");
    window.await_that("1", |screen| screen.lines().any(|line| line == "1"));
}

case!(a_pipeline_with_keys, SHELL);
/// `mydocker run cat | head -1`, with typed input: the first line ends the reader, the second one the writer.
fn a_pipeline_with_keys() {
    let window = Window::open();
    window.line(
        "\"$M\" run sh -c 'echo up$((1+1)) >&2; exec cat' | (head -n 1; exec <&-; echo gone$((1+1))); echo end$((1+1))",
    );
    window.await_screen("up2");
    window.line("one");
    // The reader prints this when it has closed its end of the pipe.
    window.await_screen("gone2");
    window.await_that("one, twice", |screen| screen.matches("\none").count() == 2);
    window.line("two");
    let screen = window.await_screen("end2");
    assert!(!screen.contains("mydocker:"), "{screen}");
}
