//! The lesson: its ten commands print what it shows.

use crate::support::folder::Folder;
use crate::support::harness::mydocker_file;
use crate::support::needs::Needs;
use std::process::Command;

/// Each command with the output that follows it.
fn lesson() -> Vec<(String, String)> {
    let readme = include_str!("../../manual/reference.md");
    let section = readme.split("\n## A lesson\n").nth(1).expect("the lesson").split("\n## ").next().expect("it");
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
    all_ten_print_what_the_readme_says,
    Needs::ROOT
        | Needs::SH
        | Needs::SCRIPT_TOOLS
        | Needs::BUSYBOX
        | Needs::OVERLAY
        | Needs::NO_INITRAMFS
        | Needs::MEMORY
        | Needs::SWAP
        | Needs::CPUSET
);
fn all_ten_print_what_the_readme_says() {
    let commands = lesson();
    assert_eq!(commands.len(), 10);
    let folder = Folder::new();
    let tools = Folder::new();
    std::os::unix::fs::symlink(mydocker_file(), tools.path("mydocker")).expect("a link");
    let path = format!("{}:{}", tools.text(""), std::env::var("PATH").expect("PATH"));
    for (command, expected) in commands {
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(folder.as_path())
            .env("PATH", &path)
            .env("LC_ALL", "C")
            .output()
            .expect("sh");
        let seen = String::from_utf8_lossy(&output.stdout);
        assert!(matches_expected(&seen, &expected), "{command}\nprints\n{seen}\nand not\n{expected}");
    }
}
