//! `--trace`: it shows the same calls that strace sees of the same run.

use crate::support::folder::Folder;
use crate::support::harness::{mydocker_file, probe, probe_file, run, unique_name};
use crate::support::host::{host, tool};
use crate::support::needs::Needs;
use crate::support::table::parse_table;
use crate::support::user_terminal::in_terminal;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A call, reduced to what can be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    name: String,
    /// The text between quotes, as bytes.
    strings: Vec<Vec<u8>>,
    /// A number, or the name of an errno; none for a call that does not return.
    result: Option<String>,
    /// The names of flags.
    flags: Vec<String>,
}

/// Parses `name(arguments) = result`, as strace and mydocker print it.
fn parse_call(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return None;
    }
    let mut strings = Vec::new();
    let mut plain = String::new();
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'"' {
            plain.push(char::from(bytes[at]));
            at += 1;
            continue;
        }
        at += 1;
        let mut string = Vec::new();
        while bytes[at] != b'"' {
            if bytes[at] != b'\\' {
                string.push(bytes[at]);
                at += 1;
                continue;
            }
            at += 1;
            let digits = bytes[at..].iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            if digits > 0 {
                let octal = std::str::from_utf8(&bytes[at..at + digits]).expect("digits");
                string.push(u8::from_str_radix(octal, 8).expect("octal"));
                at += digits;
            } else {
                string.push(match bytes[at] {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'v' => 11,
                    b'f' => 12,
                    other => other,
                });
                at += 1;
            }
        }
        at += 1;
        strings.push(string);
    }
    let result = plain.rsplit_once(" = ").map(|(_, result)| {
        let words: Vec<&str> = result.split_whitespace().collect();
        match words.as_slice() {
            ["-1", errno, ..] => errno.to_string(),
            // strace prints the mode of umask with leading zeros.
            ["0" | "00" | "000", ..] => "0".to_string(),
            [value, ..] => value.to_string(),
            [] => String::new(),
        }
    });
    let arguments = plain.rsplit_once(" = ").map_or(plain.as_str(), |(arguments, _)| arguments);
    let is = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let flags =
        arguments.split(|c| !is(c)).filter(|word| word.len() > 3 && word.contains('_')).map(String::from).collect();
    Some(Call { name: name.to_string(), strings, result, flags })
}

/// The calls of mydocker's own trace, each with its process. Each has its result, but for the one that does not return.
fn own_calls(trace: &str) -> Vec<(String, Call)> {
    let mut calls: Vec<(String, Call)> = Vec::new();
    for line in trace.lines() {
        let words: Vec<&str> = line.splitn(2, ' ').collect();
        let rest = words[1].trim_start();
        let (_phase, rest) = rest.split_once(' ').expect("a phase");
        let (_time, rest) = rest.trim_start().split_once(' ').expect("a time");
        if rest.starts_with('#') {
            continue;
        }
        let call = parse_call(rest).unwrap_or_else(|| panic!("no call: {line}"));
        assert!(call.result.is_some() || call.name == "exit_group", "no result: {line}");
        calls.push((words[0].to_string(), call));
    }
    calls
}

/// What strace sees of each process, from where the trace begins, without the calls that the trace itself needs.
fn strace(options: &[&str], words: &[&str]) -> (Vec<Vec<Call>>, String) {
    let folder = Folder::new();
    let (seen, own) = (folder.text("strace"), folder.text("own"));
    let output = Command::new(tool("strace").expect("strace"))
        .args(["-f", "-qq", "-s", "32", "-o", &seen])
        .arg(mydocker_file())
        .arg("run")
        .arg(format!("--trace={own}"))
        .args(options)
        .arg(probe_file())
        .arg("--probe")
        .args(words)
        .output()
        .expect("strace");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut processes: Vec<(String, Vec<Call>)> = Vec::new();
    let mut unfinished: Vec<(String, String)> = Vec::new();
    let mut file = None;
    let mut begun = false;
    for line in fs::read_to_string(&seen).expect("strace's file").lines() {
        let (pid, rest) = line.split_once(' ').expect("a pid");
        let mut rest = rest.trim_start().to_string();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.push((pid.to_string(), start.to_string()));
            continue;
        }
        if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            let at = unfinished.iter().position(|(other, _)| other == pid).expect("a call that has begun");
            rest = unfinished.remove(at).1 + end;
        }
        let Some(call) = parse_call(&rest) else { continue };
        if call.name == "fcntl" && file.is_none() {
            file = call.result.clone();
        }
        if !begun {
            begun = file.is_some() && call.name == "clock_gettime";
            continue;
        }
        let own_write =
            call.name == "write" && file.as_ref().is_some_and(|fd| rest.starts_with(&format!("write({fd}, ")));
        if call.name == "clock_gettime" || own_write {
            continue;
        }
        match processes.iter_mut().find(|(other, _)| other == pid) {
            Some((_, calls)) => calls.push(call),
            None => processes.push((pid.to_string(), vec![call])),
        }
    }
    for (_, calls) in &mut processes {
        // The calls of the command itself come after execve.
        if let Some(at) = calls.iter().position(|call| call.name == "execve" && call.result.as_deref() == Some("0")) {
            calls.truncate(at + 1);
        }
    }
    (processes.into_iter().map(|(_, calls)| calls).collect(), fs::read_to_string(&own).expect("the trace"))
}

/// Compares two lists, call by call.
fn compare(ours: &[Call], theirs: &[Call], told: &str) {
    // If there is a C library, it makes the parent's last call.
    let end = |calls: &[Call]| calls.last().is_some_and(|call| call.name == "exit_group");
    let ours = if end(ours) { &ours[..ours.len() - 1] } else { ours };
    let theirs = if end(theirs) { &theirs[..theirs.len() - 1] } else { theirs };
    for (at, (own, seen)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(own.name, seen.name, "{told}: call {at}\n{own:?}\n{seen:?}");
        assert_eq!(own.result, seen.result, "{told}: call {at}\n{own:?}\n{seen:?}");
        // strace shows more of some structures; everything that mydocker shows must be there. For a directory, mydocker
        // shows the number of entries.
        for string in own.strings.iter().filter(|string| own.name != "getdents64" && !string.is_empty()) {
            let is = |other: &Vec<u8>| other == string || other.len() >= 32 && string.starts_with(other);
            assert!(seen.strings.iter().any(is), "{told}: call {at}\n{own:?}\n{seen:?}");
        }
        for flag in own.flags.iter().filter(|_| !["signalfd4", "ioctl"].contains(&own.name.as_str())) {
            assert!(seen.flags.contains(flag), "{told}: call {at}: {flag}\n{own:?}\n{seen:?}");
        }
    }
    assert_eq!(ours.len(), theirs.len(), "{told}:\n{:?}\n{:?}", ours.last(), theirs.last());
}

case!(call_by_call_with_strace, Needs::ROOT | Needs::STRACE);
fn call_by_call_with_strace() {
    for options in [
        &[][..],
        &["-m", "100m", "--cpu-set", "0", "--pids-limit", "50", "--hostname", "a\tb", "-w", "/"],
        &["--privileged", "--no-limits", "--network", "host", "--pid", "host"],
        &["-t"],
        &["--ephemeral", "--no-limits"],
        &["--tmpfs", "/mnt", "--ulimit", "nofile=100:200", "-u", "1:1"],
    ] {
        let (processes, trace) = strace(options, &["status", "0"]);
        let calls = own_calls(&trace);
        for (who, theirs) in ["parent", "child"].iter().zip(&processes) {
            let ours: Vec<Call> =
                calls.iter().filter(|(whose, _)| whose == who).map(|(_, call)| call.clone()).collect();
            assert!(ours.len() > 8, "{trace}");
            compare(&ours, theirs, &format!("{options:?} {who}"));
        }
    }
}

case!(the_reaper_too, Needs::NAMESPACES | Needs::STRACE);
/// With a reaper the child becomes two processes: together they have made the calls that the trace shows of both.
fn the_reaper_too() {
    let (processes, trace) = strace(&["--init"], &["status", "0"]);
    let calls = own_calls(&trace);
    let names = |calls: Vec<&Call>| {
        let mut names: Vec<(String, Option<String>)> = calls
            .into_iter()
            .map(|call| (call.name.clone(), call.result.clone().filter(|r| r != "0" && r != "?")))
            .collect();
        names.sort();
        names
    };
    let ours = names(calls.iter().filter(|(who, _)| who != "parent").map(|(_, call)| call).collect());
    // The second process begins where clone returns, which is a call of the first one.
    let theirs = names(processes[1..].iter().flatten().collect());
    assert_eq!(ours, theirs);
    assert!(trace.contains("\nreaper "), "{trace}");
}

/// The lines of one process.
fn lines_of<'a>(trace: &'a str, who: &str) -> Vec<&'a str> {
    trace.lines().filter(|line| line.starts_with(who)).collect()
}

case!(a_failing_mount, Needs::ROOT);
fn a_failing_mount() {
    let name = unique_name();
    let no_dev = || {
        crate::cases::check::own_mounts()?;
        use rustix::mount::{MountFlags, mount};
        Ok(mount(c"tmpfs", c"/dev", c"tmpfs", MountFlags::empty(), None)?)
    };
    let outcome = probe(&["--trace", "-t", "--name", &name], &["status", "0"]).before(no_dev).finish();
    assert_eq!(outcome.code(), 125);
    let text = outcome.stderr_text();
    let child = lines_of(&text, "child");
    let at = child.iter().position(|line| line.contains("mount(\"devpts\"")).expect("the mount");
    assert!(child[at].ends_with("= -1 ENOENT (No such file or directory)"), "{}", child[at]);
    // After it there is only the report, and the end.
    let rest: Vec<&str> =
        child[at + 1..].iter().filter_map(|line| line.split(' ').find(|word| word.contains('('))).collect();
    assert!(rest.iter().all(|call| call.starts_with("write(") || call.starts_with("exit_group(")), "{rest:?}");
    let (failed, removed) = (text.find(child[at]).expect("it"), text.rfind("unlinkat(").expect("the clean-up"));
    assert!(failed < removed && lines_of(&text, "parent end").iter().any(|line| line.contains("unlinkat(")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("mydocker: mount \"/dev/pts\": ENOENT")), "{text}");
}

case!(lines_are_marked, Needs::ROOT);
fn lines_are_marked() {
    let outcome = probe(&["--trace"], &["status", "5"]).finish();
    assert_eq!(outcome.code(), 5);
    let text = outcome.stderr_text();
    let mut phases = Vec::new();
    for who in ["parent", "child "] {
        let mut last = 0.0;
        for line in lines_of(&text, who) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let time: f64 = words[2].parse().unwrap_or_else(|_| panic!("no time: {line}"));
            assert!(time >= last && words[2].split('.').nth(1).is_some_and(|part| part.len() == 6), "{line}");
            last = time;
            phases.push(format!("{} {}", words[0], words[1]));
        }
        assert!(last > 0.0);
    }
    phases.dedup();
    assert_eq!(phases, ["parent plan", "parent start", "parent wait", "parent end", "child start"]);
    // Each step is announced by its process, once and in order, with the purpose that --dry-run prints for it.
    let plan = parse_table(&probe(&["--dry-run"], &["status", "5"]).finish().success());
    for (who, child) in [("parent", false), ("child ", true)] {
        let announced: Vec<&str> =
            lines_of(&text, who).iter().filter_map(|line| line.split_once(" # ")).map(|(_, purpose)| purpose).collect();
        let expected: Vec<&str> =
            plan.iter().filter(|step| step.child == child).map(|step| step.purpose.as_str()).collect();
        assert_eq!(announced, expected, "{text}");
    }
}

/// The file and the result of every execve in the trace of a run, which must end with `status`.
fn executed(options: &[&str], words: &[&str], status: i32) -> Vec<(String, String)> {
    let folder = Folder::new();
    let file = format!("--trace={}", folder.text("trace"));
    let outcome = run(&[options, &[&file]].concat(), words).finish();
    assert_eq!(outcome.code(), status, "{outcome:?}");
    let text = fs::read_to_string(folder.path("trace")).expect("the trace");
    let lines = text.lines().enumerate().filter(|(_, line)| line.contains(" execve("));
    let calls = lines.map(|(at, line)| {
        assert!(line.starts_with("child  start "), "{text}");
        let (_, rest) = line.split_once(" execve(\"").expect("a file");
        let (file, rest) = rest.split_once('"').expect("its end");
        let (_, result) = rest.rsplit_once(") = ").unwrap_or_else(|| panic!("no result: {line}"));
        // One that works is the last call of its process.
        let later = text.lines().skip(at + 1).filter(|line| line.starts_with("child "));
        assert!(result != "0" || later.count() == 0, "{text}");
        (file.to_string(), result.to_string())
    });
    calls.collect()
}

case!(each_execve_once_with_its_result, Needs::NAMESPACES | Needs::TERMINAL);
/// One that fails is shown with its errno, one that works with 0; with a PID 1 between, with a terminal, and in a search.
fn each_execve_once_with_its_result() {
    const MISSING: &str = "-1 ENOENT (No such file or directory)";
    let folder = Folder::new();
    folder.link_to_probe("linked");
    let plain = folder.write("plain", b"#!/bin/sh\n");
    let empty = folder.write_program("empty", b"");
    let directory = folder.text("").trim_end_matches('/').to_string();
    let (linked, path) = (format!("{directory}/linked"), format!("PATH=/no/such:{directory}"));
    let probe = probe_file().into_os_string().into_string().expect("UTF-8");
    for options in
        [&["--no-limits"][..], &["--no-limits", "--init"], &["--no-limits", "-t"], &["--no-limits", "-t", "--init"]]
    {
        let options = [options, &["-e", &path]].concat();
        for (words, status, expected) in [
            (&[probe.as_str(), "--probe", "status", "3"][..], 3, vec![(probe.as_str(), "0")]),
            (&["/no/such"], 127, vec![("/no/such", MISSING)]),
            (&[&plain], 126, vec![(&plain, "-1 EACCES (Permission denied)")]),
            (&[&empty], 126, vec![(&empty, "-1 ENOEXEC (Exec format error)")]),
            (&["linked", "--probe", "status", "3"], 3, vec![("/no/such/linked", MISSING), (&linked, "0")]),
            (
                &["unlinked", "x"],
                127,
                vec![("/no/such/unlinked", MISSING), (&format!("{directory}/unlinked"), MISSING)],
            ),
        ] {
            let seen = executed(&options, words, status);
            let seen: Vec<(&str, &str)> = seen.iter().map(|(file, result)| (file.as_str(), result.as_str())).collect();
            assert_eq!(seen, expected, "{options:?}");
        }
    }
}

case!(into_a_file, Needs::NAMESPACES);
fn into_a_file() {
    let folder = Folder::new();
    let file = folder.write("trace", &[b'x'; 100_000]);
    probe(&[&format!("--trace={file}")], &["status", "3"]).finish().silent(3);
    let text = fs::read_to_string(&file).expect("the file");
    assert!(text.starts_with("parent plan ") && text.contains(" execve(") && !text.contains("xx"), "{text}");
    assert!(!text.contains('\x1b'));
}

case!(a_file_that_cannot_be_written_ends_it_at_once, Needs::NAMESPACES);
fn a_file_that_cannot_be_written_ends_it_at_once() {
    let folder = Folder::new();
    let (file, mark) = (folder.text("no/trace"), folder.text("mark"));
    probe(&[&format!("--trace={file}")], &["touch", &mark]).finish().refused(125, &["openat", &file, "ENOENT"]);
    assert!(!folder.path("mark").exists(), "the command must not run");
}

case!(the_commands_descriptors_are_as_they_were, Needs::NAMESPACES);
fn the_commands_descriptors_are_as_they_were() {
    let folder = Folder::new();
    let (file, list) = (format!("--trace={}", folder.text("trace")), folder.text("list"));
    let seen = |options: &[&str]| {
        assert_eq!(probe(options, &["descriptors", &list]).finish().code(), 0);
        let numbers: Vec<String> = fs::read_to_string(&list)
            .expect("the list")
            .lines()
            .map(|line| line.split(' ').next().expect("a number").to_string())
            .collect();
        numbers
    };
    let without = seen(&[]);
    for options in [&["--trace"][..], &[&file], &["--trace", "--init"], &["--trace", "-t"]] {
        assert_eq!(seen(options), without, "{options:?}");
    }
}

case!(it_stays_where_stderr_was, Needs::NAMESPACES);
/// With `-t` the command has another stderr; the trace stays on mydocker's.
fn it_stays_where_stderr_was() {
    let outcome = probe(&["-t", "--trace"], &["status", "0"]).finish();
    assert_eq!(outcome.stdout_text(), "");
    let text = outcome.stderr_text();
    let dup = text.find("dup3(").expect("the streams become the terminal");
    assert!(text[dup..].contains(" execve("), "{text}");
}

case!(colours_on_a_terminal_alone, Needs::NAMESPACES | Needs::TERMINAL);
fn colours_on_a_terminal_alone() {
    for (no_colour, coloured) in [(None, true), (Some("1"), false), (Some(""), true)] {
        let run = probe(&["--trace"], &["status", "0"]).with(|command| match no_colour {
            Some(value) => command.env("NO_COLOR", value),
            None => command.env_remove("NO_COLOR"),
        });
        let mut inside = in_terminal(run);
        inside.await_screen(" execve(");
        let screen = inside.terminal.screen();
        assert_eq!(inside.running.finish_with_stdin_open().code(), 0);
        assert_eq!(screen.contains("\x1b[32mparent") && screen.contains("\x1b[36mchild"), coloured, "{screen}");
        assert_eq!(screen.contains('\x1b'), coloured, "{screen}");
    }
    let outcome = probe(&["--trace"], &["status", "0"]).finish();
    assert!(!outcome.stderr_text().contains('\x1b'));
}

case!(a_closed_stderr_takes_no_trace, Needs::NOTHING);
fn a_closed_stderr_takes_no_trace() {
    let folder = Folder::new();
    let mark = folder.text("mark");
    // SAFETY: close takes an integer, in the new process's own descriptor table
    let close = || if unsafe { libc::close(2) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    let outcome = probe(&["--trace"], &["touch", &mark]).before(close).finish();
    assert_eq!(outcome.code(), 125, "{outcome:?}");
    assert!(!folder.path("mark").exists());
    assert_eq!(host().directories(&format!("mydocker-{}", outcome.status.code().unwrap_or(0))), Vec::<PathBuf>::new());
}

case!(long_words_are_cut, Needs::NAMESPACES);
/// A line is complete, with all its words, however long those of the command are.
fn long_words_are_cut() {
    let long = "x".repeat(100_000);
    let outcome = probe(&["--trace"], &["status", "0", &long]).finish();
    assert_eq!(outcome.code(), 0);
    let text = outcome.stderr_text();
    assert!(text.lines().all(|line| line.len() <= 1024 && (line.starts_with("parent") || line.starts_with("child"))));
    assert!(text.lines().any(|line| line.contains(" execve(")));
}
