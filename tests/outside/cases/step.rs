//! `--step`: mydocker stops before each step of the plan, prints what comes and where to look, and continues, to the
//! end or back.

use crate::cases::rootless::{SharedFiles, USER};
use crate::support::folder::Folder;
use crate::support::harness::{Run, probe, probe_words, run, unique_name};
use crate::support::host::host;
use crate::support::needs::Needs;
use crate::support::processes::{children, wait_for_end};
use crate::support::table::{Step, parse_table};
use crate::support::user_terminal::{InTerminal, in_terminal};
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

const PROMPT: &str = "q: undo and quit] ";

/// Presses these keys at every stop; gives the number of stops.
fn press_through(inside: &mut InTerminal, keys: &[u8]) -> usize {
    let mut stops = 0;
    while !has_ended(inside) {
        // mydocker reads a key only after it has printed its question.
        if inside.terminal.screen().matches(PROMPT).count() > stops {
            stops += 1;
            inside.press(keys);
        }
    }
    inside.terminal.screen().matches(PROMPT).count()
}

fn has_ended(inside: &InTerminal) -> bool {
    crate::support::processes::state(inside.running.pid).is_none_or(|state| state == 'Z')
}

/// The steps of the plan, as `--dry-run` shows them; after one run, which leaves controllers enabled that other cases may
/// need, too.
fn planned(options: &[&str], words: &[&str]) -> Vec<Step> {
    probe(options, &["status", "0"]).finish().success();
    // Started as a case in a terminal starts it, by fork and exec: posix_spawn makes it ignore other signals.
    let run = probe(&[options, &["--dry-run"]].concat(), words).before(|| Ok(()));
    parse_table(&run.finish().success())
}

/// What stands on the screen before each question: the line that says which step comes, and its calls.
fn stops_on(screen: &str) -> Vec<(String, Vec<String>)> {
    let screen = screen.replace('\r', "");
    let mut stops: Vec<(String, Vec<String>)> = Vec::new();
    for line in screen.lines() {
        if line.starts_with("parent ") || line.starts_with("child ") {
            stops.push((line.to_string(), Vec::new()));
        } else if let Some(call) = line.strip_prefix("  ").filter(|line| !line.starts_with("look: ")) {
            stops.last_mut().expect("a step before its calls").1.push(without_numbers(call));
        }
    }
    stops
}

/// A call without the numbers of its descriptors, which show what they refer to: those that `--step` itself has open make
/// the others larger.
fn without_numbers(call: &str) -> String {
    // The paths of descriptors in /proc.
    let mut of_proc = call.split("/proc/self/fd/");
    let call = of_proc.next().unwrap_or_default().to_string();
    let call = of_proc.fold(call, |text, part| {
        format!("{text}/proc/self/fd/{}", part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'))
    });
    let mut parts = call.split('<');
    let first = parts.next().unwrap_or_default().to_string();
    let trimmed = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_digit()).to_string();
    parts.fold(first, |text, part| match text.strip_suffix('}') {
        // The last field of struct clone_args.
        Some(fields) => format!("{}}}<{part}", trimmed(fields)),
        None => format!("{}<{part}", trimmed(&text)),
    })
}

case!(it_stops_before_every_step_of_the_plan, Needs::ROOT | Needs::TERMINAL);
/// Each stop has the number, the purpose and the calls that `--dry-run` shows, and each process keeps its order.
fn it_stops_before_every_step_of_the_plan() {
    let name = unique_name();
    for options in [&["--name", name.as_str()][..], &["--name", &name, "-m", "100m", "--cpus", "1", "-w", "/"]] {
        let plan = planned(options, &["status", "7"]);
        let mut inside = in_terminal(probe(&[options, &["--step"]].concat(), &["status", "7"]));
        let stops = press_through(&mut inside, b"\n");
        let screen = inside.terminal.screen();
        assert_eq!(inside.running.finish_with_stdin_open().code(), 7, "{screen}");
        assert_eq!(stops, plan.len(), "{screen}");
        let shown = stops_on(&screen);
        assert_eq!(shown.len(), plan.len(), "{screen}");
        assert!(!screen.contains("\"/proc/self/fd/1") && screen.contains("\"/proc/self/fd/...\""), "{screen}");
        for (who, child) in [("parent", false), ("child", true)] {
            let expected = plan.iter().filter(|step| step.child == child).map(|step| {
                let calls: Vec<String> = step.calls.iter().map(|call| without_numbers(call)).collect();
                (format!("{who} {} of {}: {}", step.number, plan.len(), step.purpose), calls)
            });
            let shown = shown.iter().filter(|(line, _)| line.starts_with(&format!("{who} ")));
            assert_eq!(shown.cloned().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
    }
}

case!(what_is_no_answer_does_nothing, Needs::NAMESPACES | Needs::TERMINAL);
/// It says so, asks again, and does not carry the step out.
fn what_is_no_answer_does_nothing() {
    let mut inside = in_terminal(probe(&["--step"], &["status", "7"]));
    for (stop, keys) in [&b"?\n"[..], b"help\n", b"\n", b"c\n"].into_iter().enumerate() {
        assert!(inside.terminal.await_count(PROMPT, stop + 1));
        inside.press(keys);
    }
    assert_eq!(inside.running.finish_with_stdin_open().code(), 7);
    let screen = inside.terminal.screen();
    let stops = stops_on(&screen);
    let numbers: Vec<&str> = stops.iter().filter_map(|(line, _)| line.split(" of ").next()).collect();
    assert_eq!(numbers, ["parent 1", "parent 2"]);
    assert_eq!(screen.matches("Not understood.").count(), 2);
}

case!(the_parent_goes_on_until_it_waits, Needs::ROOT | Needs::USER_NAMESPACES | Needs::TERMINAL);
/// The order is the same each time, in a user namespace too, where the parent takes long to map the ids.
fn the_parent_goes_on_until_it_waits() {
    let (shared_files, options) = (SharedFiles::new(), ["--no-limits", "--step"]);
    for round in 0..6 {
        let run = match round % 2 {
            0 => shared_files.as_user(&options, &["status", "0"]),
            _ => probe(&options, &["status", "0"]),
        };
        let mut inside = in_terminal(run);
        press_through(&mut inside, b"\n");
        let screen = inside.terminal.screen();
        assert_eq!(inside.running.finish_with_stdin_open().code(), 0, "{screen}");
        let stops = stops_on(&screen);
        let of_child: Vec<bool> = stops.iter().map(|(line, _)| line.starts_with("child ")).collect();
        assert!(of_child.is_sorted() && of_child.contains(&true), "{screen}");
    }
}

case!(c_goes_on_to_the_end, Needs::NAMESPACES | Needs::TERMINAL);
fn c_goes_on_to_the_end() {
    for before in [0, 1, 6] {
        let mut inside = in_terminal(probe(&["--step"], &["status", "7"]));
        for stop in 0..before {
            assert!(inside.terminal.await_count(PROMPT, stop + 1));
            inside.press(b"\n");
        }
        assert!(inside.terminal.await_count(PROMPT, before + 1));
        inside.press(b"c\n");
        assert_eq!(inside.running.finish_with_stdin_open().code(), 7);
        assert_eq!(inside.terminal.screen().matches(PROMPT).count(), before + 1);
    }
}

case!(q_undoes_wherever_it_is_pressed, Needs::ROOT | Needs::TERMINAL);
fn q_undoes_wherever_it_is_pressed() {
    let folder = Folder::new();
    let mark = folder.text("mark");
    let name = unique_name();
    let options = ["--name", name.as_str(), "-m", "100m", "--step"];
    let all = planned(&options[..4], &["touch", &mark]).len();
    for stops in 0..all {
        let mut inside = in_terminal(probe(&options, &["touch", &mark]));
        for stop in 0..stops {
            assert!(inside.terminal.await_count(PROMPT, stop + 1));
            inside.press(b"\n");
        }
        assert!(inside.terminal.await_count(PROMPT, stops + 1));
        let child = children(inside.running.pid);
        inside.press(b"q\n");
        let outcome = inside.running.finish_with_stdin_open();
        assert_eq!(outcome.code(), 125, "after {stops}: {outcome:?}");
        assert!(child.iter().all(|pid| wait_for_end(*pid)));
        let screen = inside.terminal.screen();
        assert!(screen.contains("mydocker: --step: stopped before ") && screen.contains("nothing was run"), "{screen}");
        assert!(!folder.path("mark").exists(), "after {stops} it was run");
    }
}

case!(a_signal_or_the_end_is_a_q, Needs::NAMESPACES | Needs::TERMINAL);
fn a_signal_or_the_end_is_a_q() {
    for stops in [0, 2, 8] {
        for end in ["\x04", "a signal"] {
            let mut inside = in_terminal(probe(&["--step"], &["status", "0"]));
            for stop in 0..stops {
                assert!(inside.terminal.await_count(PROMPT, stop + 1));
                inside.press(b"\n");
            }
            assert!(inside.terminal.await_count(PROMPT, stops + 1));
            if end == "a signal" {
                inside.running.send(libc::SIGINT);
            } else {
                inside.press(end.as_bytes());
            }
            // A signal ends a command that has not been executed yet; if the parent takes the signal, as it ends one
            // that has.
            let code = inside.running.finish_with_stdin_open().code();
            assert!(code == 125 || end != "\x04" && code == 128 + libc::SIGINT, "{stops} {end:?}: {code}");
        }
    }
}

case!(what_it_points_at_is_there, Needs::NAMESPACES | Needs::TERMINAL | Needs::MEMORY | Needs::MOUNTED);
fn what_it_points_at_is_there() {
    let name = unique_name();
    let run = probe(&["--name", &name, "-m", "100m", "--step"], &["status", "0"]);
    let (namespaces, groups) = look_around(run, &name, None);
    assert!(namespaces > 5 && groups > 5, "{namespaces} and {groups}");
}

case!(what_it_points_at_can_be_entered, Needs::ROOT | Needs::USER_NAMESPACES | Needs::TERMINAL | Needs::NSENTER);
/// A user may not enter what is the host's, such as its cgroup namespace, or its network.
fn what_it_points_at_can_be_entered() {
    let (shared_files, name) = (SharedFiles::new(), unique_name());
    for network in ["none", "host"] {
        let options = ["--no-limits", "--hostname", &name, "--network", network, "--step"];
        for (user, run) in
            [(0, probe(&options, &["status", "0"])), (USER, shared_files.as_user(&options, &["status", "0"]))]
        {
            let (namespaces, _) = look_around(run, &name, Some(user));
            assert!(namespaces > 5, "{namespaces}");
        }
    }
}

/// Follows what each stop points at, and enters its namespaces as `user`: how many namespaces and groups there were.
fn look_around(run: Run, name: &str, user: Option<u32>) -> (usize, usize) {
    let mut inside = in_terminal(run);
    let mut stops = 0;
    let (mut namespaces, mut groups) = (0, 0);
    while !has_ended(&inside) {
        let screen = inside.terminal.screen();
        if screen.matches(PROMPT).count() > stops {
            stops += 1;
            let screen = screen.replace('\r', "");
            let stop = screen.rsplit("\n\n").next().expect("a stop");
            if let Some(look) = stop.lines().find_map(|line| line.trim().strip_prefix("look: ")) {
                for command in look.split("; ") {
                    let path = command.rsplit(' ').next().expect("a word");
                    if command.starts_with("ls -l") {
                        let theirs = fs::read_link(format!("{path}/mnt")).expect("its namespaces");
                        assert_ne!(theirs, fs::read_link("/proc/self/ns/mnt").expect("ours"));
                        namespaces += 1;
                    } else if let Some(user) = user.filter(|_| command.starts_with("nsenter")) {
                        let entered =
                            Command::new("sh").args(["-c", &format!("{command} true")]).uid(user).gid(user).output();
                        let entered = entered.expect("sh");
                        assert!(entered.status.success(), "{command}: {entered:?}");
                    } else if let Some(word) = command.strip_prefix("ls ") {
                        // A path that contains a blank is still one word of a shell.
                        let path = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')).expect("quotes");
                        assert!(fs::metadata(path).expect("its group").is_dir());
                        assert!(host().directories(&format!("mydocker-{name}")).contains(&path.into()));
                        groups += 1;
                    }
                }
            }
            inside.press(b"\n");
        }
    }
    assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
    (namespaces, groups)
}

case!(with_a_terminal_of_its_own, Needs::NAMESPACES | Needs::TERMINAL);
fn with_a_terminal_of_its_own() {
    let mut inside = in_terminal(probe(&["--step", "-t"], &["terminal"]));
    // In the middle of the plan the user's terminal is raw: there Enter is a carriage return.
    press_through(&mut inside, b"\r");
    let screen = inside.terminal.screen();
    assert_eq!(inside.running.finish_with_stdin_open().code(), 0, "{screen}");
    assert!(screen.contains("streams /dev/pts/0 /dev/pts/0 /dev/pts/0"), "{screen}");
}

case!(without_a_terminal_one_clear_line, Needs::NAMESPACES);
fn without_a_terminal_one_clear_line() {
    let folder = Folder::new();
    let mark = folder.text("mark");
    let alone = || {
        // SAFETY: setsid takes no arguments
        if unsafe { libc::setsid() } >= 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    let outcome = probe(&["--step"], &["touch", &mark]).before(alone).finish();
    outcome.refused(125, &["/dev/tty", "ENXIO", "--step needs a terminal"]);
    assert!(!folder.path("mark").exists());
}

case!(a_kill_takes_the_child_along, Needs::NAMESPACES | Needs::TERMINAL);
fn a_kill_takes_the_child_along() {
    let mut inside = in_terminal(probe(&["--step", "--no-limits"], &["status", "0"]));
    for stop in 0..4 {
        assert!(inside.terminal.await_count(PROMPT, stop + 1));
        inside.press(b"\n");
    }
    assert!(inside.terminal.await_count(PROMPT, 5));
    let child = inside.running.command_pid();
    inside.running.send(libc::SIGKILL);
    drop(inside.running.reap());
    assert!(wait_for_end(child), "the child has outlived mydocker");
}

case!(the_commands_input_is_not_touched, Needs::NAMESPACES | Needs::TERMINAL);
/// The keys are read from the terminal, not from standard input.
fn the_commands_input_is_not_touched() {
    let mut terminal = crate::support::user_terminal::UserTerminal::new();
    let (read, write) = std::io::pipe().expect("a pipe");
    let (out, out_write) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut &write, b"c\nq\n").expect("write");
    drop(write);
    let words = probe_words(&["echo"]);
    let run = run(&["--step"], &words).before(crate::support::user_terminal::UserTerminal::lead_session(2));
    let running = run.start_on([read.into(), out_write.into(), terminal.stream()]);
    assert!(terminal.await_count(PROMPT, 1));
    terminal.press(b"c\n");
    assert_eq!(running.finish_with_stdin_open().code(), 0);
    assert_eq!(std::io::read_to_string(out).expect("output"), "c\nq\n");
}
