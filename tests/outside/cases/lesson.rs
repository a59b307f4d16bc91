//! The lesson and the session of the README: their commands print what they show.

use crate::probes::own_network::in_own_network;
use crate::support::folder::Folder;
use crate::support::harness::mydocker_file;
use crate::support::needs::Needs;
use std::process::{Command, Stdio};

/// The README, as it was when this was compiled: a virtual host has no source.
const README: &str = include_str!("../../../README.md");
const CHINESE: &str = include_str!("../../../README.zh-CN.md");
const LESSON: &str = include_str!("../../lesson.md");

/// Each command in a part of a document, with the output that follows it.
fn commands(section: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in section.lines() {
        let Some(line) = line.strip_prefix("    ") else { continue };
        match (line.strip_prefix("# "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_string(), String::new())),
            (None, Some((_, output))) => *output += &format!("{line}\n"),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    commands
}

/// Whether `seen` equals `expected`, where `...` stands for anything within a line.
fn matches_expected(seen: &str, expected: &str) -> bool {
    let line = |seen: &str, expected: &str| {
        let mut rest = seen;
        for (at, part) in expected.split("...").enumerate() {
            match rest.find(part) {
                Some(found) if at > 0 || found == 0 => rest = &rest[found + part.len()..],
                _ => return false,
            }
        }
        rest.is_empty() || expected.ends_with("...")
    };
    seen.lines().count() == expected.lines().count() && seen.lines().zip(expected.lines()).all(|(s, e)| line(s, e))
}

case!(
    the_first_parts_print_what_the_lesson_says,
    Needs::ROOT
        | Needs::STRACE
        | Needs::SLEEP
        | Needs::SH
        | Needs::SCRIPT_TOOLS
        | Needs::BUSYBOX
        | Needs::OVERLAY
        | Needs::NO_INITRAMFS
        | Needs::MEMORY
        | Needs::SWAP
        | Needs::CPUSET
);
fn the_first_parts_print_what_the_lesson_says() {
    let commands = commands(LESSON.split(TALK).next().expect("the first parts"));
    assert_eq!(commands.len(), 17);
    print_what_is_shown(commands);
}

/// Runs each command in one new folder, with a folder of records of its own, and compares what it prints.
fn print_what_is_shown(commands: Vec<(String, String)>) {
    let folder = Folder::new();
    let tools = Folder::new();
    std::os::unix::fs::symlink(mydocker_file(), tools.path("mydocker")).expect("a link");
    let path = format!("{}:{}", tools.text(""), std::env::var("PATH").expect("PATH"));
    // All are run, also after one that is wrong: the last ones remove what the first ones made.
    let mut wrong = String::new();
    for (command, expected) in commands {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 2>&1; {command}")]).current_dir(folder.as_path());
        shell.env("PATH", &path).env("LC_ALL", "C").env("MYDOCKER_STATE", tools.path("records"));
        // A pipe ends when nobody in the background has kept it: neither the container, nor its keeper, nor the relay of its port.
        let printed = shell.stdin(Stdio::null()).output().expect("sh").stdout;
        let seen = String::from_utf8(printed).expect("UTF-8");
        if !matches_expected(&seen, &expected) {
            wrong += &format!("{command}\nprints\n{seen}\nand not\n{expected}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The heading of the last part.
const TALK: &str = "\n## Two that talk\n";

case!(
    two_that_talk_print_what_the_lesson_says,
    Needs::ROOT | Needs::SH | Needs::BUSYBOX | Needs::NO_INITRAMFS | Needs::BRIDGE
);
fn two_that_talk_print_what_the_lesson_says() {
    in_own_network("lesson-talk");
}
probe!("lesson-talk", |_| {
    let commands = commands(LESSON.split(TALK).nth(1).expect("the last part"));
    assert_eq!(commands.len(), 7);
    print_what_is_shown(commands);
});

case!(
    the_session_of_the_readme_prints_what_it_shows,
    Needs::ROOT | Needs::SH | Needs::BUSYBOX | Needs::NO_INITRAMFS | Needs::MEMORY | Needs::SWAP
);
fn the_session_of_the_readme_prints_what_it_shows() {
    in_own_network("first-visit");
}
probe!("first-visit", |_| {
    let session = |document: &str, heading: &str| {
        commands(document.split(heading).nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a session"))
    };
    let commands = session(README, "\n## A session\n");
    assert_eq!(commands.len(), 8);
    assert_eq!(session(CHINESE, "\n## 一次会话\n"), commands);
    print_what_is_shown(commands);
});
