//! The lesson and the session of the README: their commands print what they show.

use crate::probes::own_network::in_own_network;
use crate::support::folder::Folder;
use crate::support::harness::{mydocker_at, mydocker_file, run, unique_name};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::processes::{children, wait_until};
use crate::support::roots::Root;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
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
        match (line.strip_prefix("# ").or_else(|| line.strip_prefix("$ ")), commands.last_mut()) {
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
    print_what_is_shown_to(0, &["sh"], commands);
}

/// The same as another user, or in another shell.
fn print_what_is_shown_to(user: u32, shell: &[&str], commands: Vec<(String, String)>) {
    let folder = Folder::new();
    let tools = Folder::new();
    match user {
        0 => std::os::unix::fs::symlink(mydocker_file(), tools.path("mydocker")).expect("a link"),
        user => {
            // Where that user may read it.
            tools.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
            for folder in [&folder, &tools] {
                chown(folder.as_path(), Some(user), Some(user)).expect("chown");
            }
        }
    }
    let path = format!("{}:{}", tools.text(""), std::env::var("PATH").expect("PATH"));
    // All are run, also after one that is wrong: the last ones remove what the first ones made.
    let mut wrong = String::new();
    for (command, expected) in commands {
        let mut run = Command::new(shell[0]);
        run.args(&shell[1..]).args(["-c", &format!("exec 2>&1; {command}")]).current_dir(folder.as_path());
        run.uid(user).gid(user);
        run.env("PATH", &path).env("LC_ALL", "C").env("MYDOCKER_STATE", tools.path("records"));
        // A pipe ends when nobody in the background has kept it: neither the container, nor its keeper, nor the relay of its port.
        let printed = run.stdin(Stdio::null()).output().expect("sh").stdout;
        let seen = String::from_utf8(printed).expect("UTF-8");
        if !matches_expected(&seen, &expected) {
            wrong += &format!("{command}\nprints\n{seen}\nand not\n{expected}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

case!(
    what_is_to_be_seen_in_a_second_shell,
    Needs::ROOT
        | Needs::SLEEP
        | Needs::SH
        | Needs::BUSYBOX
        | Needs::NO_INITRAMFS
        | Needs::MEMORY
        | Needs::MOUNTED
        | Needs::PGREP
        | Needs::PSTREE
);
/// While the command runs beside which the lesson says so.
fn what_is_to_be_seen_in_a_second_shell() {
    let looks: Vec<&str> = LESSON.split("\n\n").filter(|part| part.starts_with("*In a second shell*")).collect();
    let [number, groups, root, kept] = looks[..] else { panic!("{} looks", looks.len()) };
    let (folder, records) = (Folder::new(), Folder::new());
    fs::create_dir_all(folder.path("lesson/bin")).expect("mkdir");
    folder.write_program("lesson/bin/busybox", &fs::read(tool("busybox").expect("busybox")).expect("busybox"));
    let sees = |command: &str| {
        let looked = Command::new("sh").args(["-c", command]).output().expect("sh");
        assert!(looked.status.success(), "{command}: {looked:?}");
        String::from_utf8(looked.stdout).expect("UTF-8")
    };
    // Starts the first of these commands; gives the others the number of its process.
    let beside = |text: &'static str, shown: &[&str]| {
        let commands = quoted(text);
        let words: Vec<&str> = commands[0].strip_prefix("mydocker ").expect("a run").split(' ').collect();
        let running = mydocker_at(&mydocker_file(), &words).with(|run| run.current_dir(folder.as_path())).start();
        wait_until("it runs", || {
            let child = children(running.pid).first().copied().unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            words.iter().any(|word| word.ends_with(name.trim_end()) && !name.is_empty())
        });
        assert_eq!(commands.len() - 1, shown.len(), "{text}");
        let pid = running.command_pid().to_string();
        for (look, shown) in commands[1..].iter().zip(shown) {
            let seen = sees(&look.replace("PID", &pid));
            assert!(seen.contains(&shown.replace("PID", &pid)), "{look}: {seen}");
        }
        running.send(libc::SIGTERM);
        drop(running.finish());
    };
    beside(number, &["PID sleep 100\n"]);
    beside(groups, &["/mydocker-"]);
    beside(root, &["PID\n", "bin\ndev\netc\n", "lesson / "]);
    // It is the first command of its part that starts what is kept, here with a name and a folder of records of its own.
    let part = LESSON.split("\n## One that stays\n").nth(1).expect("the part");
    assert!(commands(part)[0].0.starts_with("mydocker run -d --name clock "));
    let (name, state) = (unique_name(), records.text(""));
    let call = |words: &[&str]| {
        mydocker_at(&mydocker_file(), words).with(|call| call.env("MYDOCKER_STATE", &state)).start().reap().success()
    };
    call(&["run", "-d", "--name", &name, "sleep", "1000"]);
    let [tree, record] = quoted(kept)[..] else { panic!("{kept}") };
    let record = record.replace("/run/mydocker/clock", &format!("{state}/{name}"));
    let (seen, record) = (sees(tree), sees(&record));
    call(&["rm", "-f", &name]);
    assert!(seen.contains("-mydocker(") && seen.contains("---sleep("), "{seen}");
    assert!(record.contains("state\n") && record.contains("status\n"), "{record}");
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
    print_what_is_shown(commands.clone());
    // busybox's shell takes its own programs first, and has no path for them.
    print_what_is_shown_to(0, &["busybox", "sh"], commands);
});

case!(a_released_file_is_put_where_it_belongs, Needs::ROOT | Needs::SH | Needs::BUSYBOX);
/// By the line of the README, on a host that has busybox alone: its shell, and its programs.
fn a_released_file_is_put_where_it_belongs() {
    let root = Root::with_directories().with_busybox();
    let line = |document: &'static str| document.lines().map(str::trim).find(|line| line.contains("SHA256SUMS |"));
    assert_eq!(line(README), line(CHINESE));
    let (line, check) = line(README).and_then(|line| line.rsplit_once(" && ")).expect("the line");
    assert_eq!(check, "mydocker check");
    for applet in ["grep", "sha256sum", "cp", "chmod", "test"] {
        std::os::unix::fs::symlink("busybox", root.0.path("bin").join(applet)).expect("symlink");
    }
    root.0.write_program("mydocker-x86_64", &std::fs::read(mydocker_file()).expect("the file under test"));
    let sum = "sha256sum mydocker-x86_64 >SHA256SUMS && ";
    let path = root.path();
    let script = format!("{sum}{line} && test -x /bin/mydocker && mydocker --version");
    let said = run(&["--rootfs", &path], &["sh", "-c", &script]).finish().success();
    assert!(said.starts_with("mydocker-x86_64: OK\nmydocker "), "{said}");
}

const TASKS: &str = include_str!("../../manual/tasks.md");

/// The commands of a chapter by task, which are so many, print what they show.
fn chapter(user: u32, name: &str, count: usize) {
    let heading = format!("\n## {name}\n");
    let chapter = TASKS.split(&heading).nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the chapter");
    let commands = commands(chapter);
    assert_eq!(commands.len(), count, "{name}");
    print_what_is_shown_to(user, &["sh"], commands);
}

const BASE: Needs = Needs::ROOT.and(Needs::SH).and(Needs::SCRIPT_TOOLS).and(Needs::BUSYBOX).and(Needs::NO_INITRAMFS);

case!(what_waits_ends, Needs::NOTHING);
/// A reader may have no server to wait for.
fn what_waits_ends() {
    let machines = include_str!("../../manual/machines.md");
    let mut bounded = 0;
    for document in [README, CHINESE, LESSON, TASKS, machines] {
        for line in document.lines().filter(|line| line.starts_with("    # ") || line.starts_with("    $ ")) {
            for wait in ["until ", "while grep ", "while squeue "] {
                for (at, _) in line.match_indices(wait) {
                    assert!(line[..at].ends_with("timeout 60 sh -c '"), "{line}");
                    bounded += 1;
                }
            }
        }
    }
    assert!(bounded > 10, "{bounded}");
}

case!(by_task_limits, BASE | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::PIDS);
fn by_task_limits() {
    chapter(0, "Limits", 6);
}

case!(by_task_roots, BASE | Needs::OVERLAY);
fn by_task_roots() {
    chapter(0, "Roots", 6);
}

case!(by_task_files, BASE);
fn by_task_files() {
    chapter(0, "Files", 6);
}

case!(by_task_terminal, BASE | Needs::TERMINAL);
fn by_task_terminal() {
    chapter(0, "Terminal", 4);
}

case!(by_task_background, BASE | Needs::SLEEP);
fn by_task_background() {
    chapter(0, "Background", 8);
}

case!(by_task_network, BASE);
fn by_task_network() {
    in_own_network("chapter-of-networks");
}
probe!("chapter-of-networks", |_| chapter(0, "Network", 5));

case!(by_task_ordinary_users, BASE | Needs::USER_NAMESPACES);
fn by_task_ordinary_users() {
    chapter(65534, "Ordinary users", 3);
}

case!(by_task_machines, BASE);
fn by_task_machines() {
    chapter(0, "More than one machine", 2);
}
