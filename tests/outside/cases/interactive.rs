//! What people do at a terminal, with the host's own tools, so that it also runs where there is no tmux: a shell with
//! job control, a window that changes its size, an editor, a pager. And the host's console as the terminal, if the
//! tests run on it.
//!
//! The input contains `$((..))` or `$?` where its answer contains a number: an echo of the input cannot be taken for
//! the answer.

use crate::support::folder::Folder;
use crate::support::harness::run;
use crate::support::needs::Needs;
use crate::support::notes::note;
use crate::support::processes::{is_in_foreground, send, sleep_processes, state, wait_until};
use crate::support::user_terminal::{InTerminal, UserTerminal, in_terminal, settings_of};
use libc::{SIGCONT, SIGKILL, SIGTERM, SIGTSTP};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

const NEEDS: Needs = Needs::ROOT.and(Needs::TERMINAL);

const BOTH: [&[&str]; 2] = [&["-t"], &["-t", "--init"]];

fn shell(options: &[&str]) -> InTerminal {
    let tool = crate::support::host::tool("sh").expect("sh");
    let command = [tool.to_str().expect("UTF-8"), "-i"];
    let shell = run(options, &command).with(|command| command.env("PS1", "in> ").env_remove("ENV"));
    let mut inside = in_terminal(shell);
    inside.await_screen("in> ");
    inside
}

/// Types a line whose answer is `text`.
fn ask(inside: &mut InTerminal, line: &str, text: &str) {
    inside.press(line.as_bytes());
    inside.press(b"\n");
    inside.await_screen(text);
}

case!(a_shell_with_job_control, NEEDS | Needs::SH | Needs::SLEEP);
fn a_shell_with_job_control() {
    for options in BOTH {
        let mut inside = shell(options);
        assert!(!inside.terminal.screen().contains("job control"), "{}", inside.terminal.screen());
        inside.press(b"sleep 100000\n");
        wait_until("a job", || sleep_processes(inside.running.pid).len() == 1);
        let job = sleep_processes(inside.running.pid)[0];
        // In its own process group, in the foreground.
        wait_until("sleep runs inside", || state(job) == Some('S') && is_in_foreground(job));
        inside.press(b"\x1a");
        wait_until("it stops", || state(job) == Some('T'));
        ask(&mut inside, "jobs; echo jobs$((1+1))", "jobs2");
        assert!(inside.terminal.screen().contains("Stopped"), "{}", inside.terminal.screen());
        ask(&mut inside, "bg; echo bg$((1+1))", "bg2");
        wait_until("the job continues", || state(job) == Some('S'));
        inside.press(b"fg\n");
        wait_until("the prompt is back", || is_in_foreground(job));
        inside.press(b"\x03");
        wait_until("it ends", || sleep_processes(inside.running.pid).is_empty());
        ask(&mut inside, "echo status$?.", "status130.");
        inside.press(b"exit 7\n");
        assert_eq!(inside.running.finish_with_stdin_open().code(), 7, "{options:?}");
    }
}

case!(a_window_that_changes, NEEDS | Needs::SH | Needs::STTY);
fn a_window_that_changes() {
    for options in BOTH {
        let mut inside = shell(options);
        ask(&mut inside, "echo size $(stty size).", "size 24 80.");
        for (rows, columns) in [(30, 100), (17, 61)] {
            inside.terminal.resize(rows, columns);
            // The settings of the user's terminal and of the container's change one after the other.
            let script = format!("until [ \"$(stty size)\" = '{rows} {columns}' ]; do :; done; echo size{rows} $?.");
            ask(&mut inside, &script, &format!("size{rows} 0."));
        }
        // Between two lines, a shell with line editing has the terminal in another mode, in which a Ctrl-D has no
        // effect.
        inside.press(b"exit\n");
        assert_eq!(inside.running.finish_with_stdin_open().code(), 0, "{options:?}");
    }
}

case!(an_editor, NEEDS | Needs::VI);
fn an_editor() {
    for options in BOTH {
        let folder = Folder::new();
        let file = folder.write("text", b"first\n");
        let mut inside = in_terminal(run(options, &["vi", &file]).with(|command| command.env("TERM", "vt100")));
        inside.await_screen("first");
        inside.await_screen("~");
        inside.press(b"osecond line");
        inside.await_screen("second line");
        inside.press(b"\x1b");
        // An editor waits a moment for further bytes of a key sequence.
        thread::sleep(Duration::from_millis(1500));
        inside.press(b":wq\r");
        let before = UserTerminal::new().settings();
        assert_eq!(inside.running.finish_with_stdin_open().code(), 0, "{options:?}: {}", inside.terminal.screen());
        assert_eq!(fs::read_to_string(&file).expect("text"), "first\nsecond line\n");
        assert_eq!(inside.terminal.settings(), before);
    }
}

case!(a_pager, NEEDS | Needs::LESS);
fn a_pager() {
    let folder = Folder::new();
    let text: String = (1..=500).map(|n| format!("line number {n}.\n")).collect();
    let file = folder.write("text", text.as_bytes());
    for options in BOTH {
        let mut inside = in_terminal(run(options, &["less", &file]).with(|command| command.env("TERM", "vt100")));
        // As many lines as fit on the screen, without the pager's own line.
        inside.await_screen("line number 23.");
        assert_eq!(inside.count("line number 24."), 0);
        inside.press(b"G");
        inside.await_screen("line number 500.");
        assert_eq!(inside.count("line number 400."), 0);
        inside.press(b"q");
        let before = UserTerminal::new().settings();
        assert_eq!(inside.running.finish_with_stdin_open().code(), 0, "{options:?}: {}", inside.terminal.screen());
        assert_eq!(inside.terminal.settings(), before);
    }
}

case!(the_console, Needs::ROOT | Needs::CONSOLE | Needs::SLEEP);
/// The console is a serial line, or a screen with a keyboard, and no pseudo-terminal: raw mode and back, and a key that
/// ends the command. The case writes nothing to it, because other programs write there at the same time.
fn the_console() {
    let console = File::options().read(true).write(true).open("/dev/console").expect("/dev/console");
    let settings = || settings_of(&console);
    let before = settings();
    let is_raw = || settings().0[3] & (libc::ICANON | libc::ECHO | libc::ISIG) == 0;
    assert!(!is_raw());
    let start = |options: &[&str], silent: bool| {
        let null = File::options().write(true).open("/dev/null").expect("/dev/null");
        let streams =
            [&console, if silent { &null } else { &console }, &null].map(|file| file.try_clone().expect("dup").into());
        let running = run(options, &["sleep", "100000"]).before(UserTerminal::lead_session(0)).start_on(streams);
        wait_until("raw", is_raw);
        wait_until("the command runs", || sleep_processes(running.pid).len() == 1);
        running
    };
    for options in BOTH {
        let running = start(options, false);
        running.send(SIGTSTP);
        wait_until("it stops", || state(running.pid) == Some('T'));
        assert_eq!(settings(), before, "{options:?}: stopped");
        running.send(SIGCONT);
        wait_until("raw again", is_raw);
        running.send(SIGTERM);
        assert_eq!(running.finish_with_stdin_open().code(), 128 + SIGTERM, "{options:?}");
        assert_eq!(settings(), before, "{options:?}");
        let running = start(options, false);
        send(running.command_pid(), SIGKILL);
        assert_eq!(running.finish_with_stdin_open().code(), 128 + SIGKILL, "{options:?}");
        assert_eq!(settings(), before, "{options:?}");
        // Pushes a key, because nobody sits at the keyboard; the container's terminal echoes it.
        let running = start(options, true);
        // SAFETY: the ioctl reads one byte, which lives in this frame
        let typed = unsafe { libc::ioctl(console.as_raw_fd(), libc::TIOCSTI as _, b"\x03") } == 0;
        if !typed {
            note("this kernel has no TIOCSTI");
            running.send(libc::SIGINT);
        }
        assert_eq!(running.finish_with_stdin_open().code(), 128 + libc::SIGINT, "{options:?}");
        assert_eq!(settings(), before, "{options:?}");
    }
}
