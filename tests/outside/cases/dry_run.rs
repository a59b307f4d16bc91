//! `--dry-run`: the plan that is printed is the plan that is carried out, as a table and as a script; and it changes
//! nothing.

use crate::support::folder::Folder;
use crate::support::harness::{mydocker_file, probe, probe_file, run, unique_name};
use crate::support::host::{Host, host, tool};
use crate::support::needs::{Needs, root_is_initramfs};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const OPTIONS: [&[&str]; 6] = [
    &[],
    &["--privileged"],
    &["-m", "100m", "--cpu-set", "0", "--cpus", "1", "--pids-limit", "50", "--hostname", "h"],
    &["-t", "--init", "-w", "/", "--ulimit", "nofile=100:200"],
    &["--no-limits", "--network", "host", "--pid", "host"],
    &["--ephemeral", "--no-limits", "-u", "root"],
];

case!(nothing_is_touched, Needs::NAMESPACES);
fn nothing_is_touched() {
    let folder = Folder::new();
    let (pid, stats, mark) = (folder.text("pid"), folder.text("stats"), folder.text("mark"));
    for form in ["--dry-run", "--dry-run=sh"] {
        for options in OPTIONS {
            let name = unique_name();
            let stats = format!("--stats={stats}");
            let own = [form, "--pid-file", &pid, &stats, "--name", &name];
            let text = probe(&[options, &own].concat(), &["touch", &mark]).finish().success();
            assert!(text.lines().count() > 5, "{text}");
            assert_eq!(host().directories(&format!("mydocker-{name}")), Vec::<PathBuf>::new());
            assert_eq!(fs::read_dir(folder.as_path()).expect("the folder").count(), 0, "{form} {options:?}");
        }
    }
}

case!(it_only_looks, Needs::NAMESPACES | Needs::STRACE);
/// None of its calls changes anything: it opens files only for reading, and writes only to standard output.
fn it_only_looks() {
    for form in ["--dry-run", "--dry-run=sh"] {
        for options in OPTIONS {
            let trace = strace(&[options, &[form]].concat());
            for line in trace.lines() {
                let call = line.split_once(' ').expect("a pid").1.trim_start();
                let harmless = [
                    "execve",
                    "arch_prctl",
                    "brk",
                    "mmap",
                    "set_tid_address",
                    "rt_sig",
                    "get",
                    "read",
                    "pread",
                    "close",
                    "faccessat",
                    "readlink",
                    "statx",
                    "fstat",
                    "uname",
                    "write(1, ",
                    "exit",
                    "lseek",
                    "poll",
                    "prctl(PR_GET",
                    "fsopen",
                    "fsconfig",
                    "fsmount",
                    "sigaltstack",
                    "prlimit64(0, RLIMIT_STACK, NULL",
                    "+++",
                    "mprotect",
                    "clock_gettime",
                    "rseq",
                    "set_robust_list",
                    "sched_getaffinity",
                    "fcntl",
                    "ioctl(0, TCGETS",
                ];
                let opens = call.starts_with("openat")
                    && !["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag));
                assert!(opens || harmless.iter().any(|name| call.starts_with(name)), "{options:?}: {line}");
            }
        }
    }
}

/// The number, process, reason and calls of every line.
fn rows(text: &str) -> Vec<(usize, bool, String, String)> {
    let rows = text.lines().map(|line| {
        let (number, rest) = line.trim_start().split_once("  ").unwrap_or_else(|| panic!("no number: {line}"));
        let child = rest.trim_start().starts_with("child");
        assert!(child || rest.starts_with("parent"), "{line}");
        let rest = rest.trim_start().split_once(' ').expect("a reason").1.trim_start();
        let (why, calls) = rest.split_once("  ").unwrap_or_else(|| panic!("no two columns: {line}"));
        (number.parse().expect("a number"), child, why.to_string(), calls.trim().to_string())
    });
    rows.collect()
}

case!(steps_are_numbered_and_told_apart, Needs::NOTHING);
fn steps_are_numbered_and_told_apart() {
    for options in OPTIONS {
        let rows = rows(&run(&[options, &["--dry-run"]].concat(), &["x"]).finish().success());
        for (at, (number, _, why, calls)) in rows.iter().enumerate() {
            assert_eq!(*number, at + 1);
            assert!(!why.is_empty() && calls.contains('(') && calls.ends_with(')'), "{why}: {calls}");
        }
        let clone = rows.iter().position(|row| row.3.starts_with("clone(CLONE_NEWNS")).expect("clone");
        let first = rows.iter().position(|row| row.1).expect("a step of the child");
        assert!(clone < first, "the child makes no calls before clone");
        assert_eq!(rows.last().expect("a step").3, "execve(\"x\")");
    }
}

/// The names of the calls in one line of the table.
fn names(calls: &str) -> impl Iterator<Item = &str> {
    calls.split('(').filter_map(|part| {
        let name = part.rsplit([' ', ',']).next()?;
        (!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
            .then_some(name)
    })
}

/// strace's own output of a run.
fn strace(options: &[&str]) -> String {
    let folder = Folder::new();
    let output = Command::new(tool("strace").expect("strace"))
        .args(["-f", "-qq", "-o", &folder.text("trace")])
        .arg(mydocker_file())
        .arg("run")
        .args(options)
        .arg(probe_file())
        .args(["--probe", "status", "0"])
        .output()
        .expect("strace");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    fs::read_to_string(folder.text("trace")).expect("the trace")
}

/// The names of the calls of each process.
fn traced(options: &[&str]) -> Vec<Vec<String>> {
    let mut processes: Vec<(String, Vec<String>)> = Vec::new();
    for line in strace(options).lines() {
        let (pid, rest) = line.split_once(' ').expect("a pid");
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        if name.starts_with('<') {
            continue;
        }
        match processes.iter_mut().find(|(other, _)| other == pid) {
            Some((_, names)) => names.push(name.to_string()),
            None => processes.push((pid.to_string(), vec![name.to_string()])),
        }
    }
    processes.into_iter().map(|(_, names)| names).collect()
}

case!(its_calls_are_those_of_the_run, Needs::ROOT | Needs::STRACE);
/// The process that the table names makes every call of the table, in the table's order.
fn its_calls_are_those_of_the_run() {
    for options in OPTIONS {
        // A run leaves controllers enabled: after one such run the plan does not change any more.
        probe(options, &["status", "0"]).finish().success();
        let rows = rows(&probe(&[options, &["--dry-run"]].concat(), &["status", "0"]).finish().success());
        let processes = traced(options);
        for child in [false, true] {
            let mut made: &[String] = &processes[usize::from(child)];
            for (_, _, why, calls) in rows.iter().filter(|row| row.1 == child) {
                // With a reaper, the rest of the child's steps are made under another pid.
                if why.contains("the other goes on") {
                    made = &processes[2];
                    continue;
                }
                for name in names(calls) {
                    let is = |call: &String| call == name || name == "clone" && call == "clone3";
                    let at = made.iter().position(is);
                    // pivot_root cannot move the initramfs: the new root is moved over it, and nothing is unmounted.
                    if at.is_none() && name == "umount2" && root_is_initramfs() {
                        assert_eq!(made.get(..2), Some(&["mount".to_string(), "chroot".to_string()][..]), "{made:?}");
                        continue;
                    }
                    // On v2 the child is born in its cgroup, so it does not use the pipe that a v1 host needs.
                    if at.is_none() && why.starts_with("joins") {
                        continue;
                    }
                    let at = at.unwrap_or_else(|| panic!("{options:?}: no {name} for {why:?} ({calls}) in {made:?}"));
                    made = &made[at + 1..];
                }
            }
        }
    }
}

probe!("surroundings", |words| surroundings(words.rest));
/// What a probe sees of its surroundings, without the mount ids, which differ between runs.
pub fn surroundings(files: &[OsString]) {
    println!("hostname {:?}", rustix::system::uname().nodename());
    for line in fs::read_to_string("/proc/self/mountinfo").expect("mountinfo").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let dash = fields.iter().position(|field| *field == "-").expect("a dash");
        let slave = fields[6..dash].iter().any(|field| field.starts_with("master:"));
        println!("mount {} {} {} slave={slave} {}", fields[3], fields[4], fields[5], fields[dash + 1..].join(" "));
    }
    print!("{}", fs::read_to_string("/proc/self/cgroup").expect("cgroup"));
    for file in files {
        let (controller, name) = file.to_str().expect("UTF-8").split_once(':').expect("CONTROLLER:FILE");
        let path = Host::inspect().group(controller, std::process::id() as i32).join(name);
        println!("{name} {:?}", fs::read_to_string(path).ok());
    }
    for namespace in crate::probes::facts::NAMESPACES {
        let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{namespace}")).ok();
        println!("{namespace} {}", link("self").is_some());
    }
    let interfaces = fs::read_to_string("/proc/self/net/dev").expect("net/dev");
    println!("{} interfaces, pid {}", interfaces.lines().count() - 2, std::process::id());
    println!("{:?}", std::env::vars_os().collect::<BTreeMap<_, _>>());
    println!("{:?}", std::env::current_dir());
}

fn script(options: &[&str], command: &[OsString]) -> String {
    run(&[options, &["--dry-run=sh"]].concat(), command).finish().success()
}

/// Uses a shell that takes unshare from PATH: busybox's shell prefers its own.
fn run_script(script: &str) -> std::process::Output {
    let shell = tool("dash").unwrap_or_else(|| "sh".into());
    Command::new(shell).arg("-c").arg(script).output().expect("a shell")
}

case!(the_script_does_the_same, Needs::ROOT | Needs::SH | Needs::MOUNTED | Needs::SCRIPT_TOOLS);
fn the_script_does_the_same() {
    let name = unique_name();
    let name_options = ["--name", name.as_str()];
    let files: Vec<&str> = if crate::support::needs::on_v2("memory") {
        vec!["memory:memory.max", "memory:memory.swap.max", "cpu:cpu.weight", "cpu:cpu.max", "pids:pids.max"]
    } else {
        vec![
            "memory:memory.limit_in_bytes",
            "cpu:cpu.shares",
            "cpu:cpu.cfs_quota_us",
            "cpuset:cpuset.cpus",
            "pids:pids.max",
        ]
    };
    let files: Vec<&str> =
        files.into_iter().filter(|file| host().carrier(file.split(':').next().expect("a name")).is_some()).collect();
    for options in [
        &[][..],
        &["--hostname", "elsewhere", "-w", "/"],
        &["-m", "100m", "--cpu-shares", "512", "--pids-limit", "77", "--cpus", "0.5", "-e", "A=it's \"quoted\" $HOME"],
        &["--network", "host", "--ipc", "host"],
    ] {
        // A shell cannot drop most privileges.
        let options = [options, &name_options, &["--privileged"]].concat();
        let mut words: Vec<OsString> = vec![probe_file().into(), "--probe".into(), "surroundings".into()];
        words.extend(files.iter().map(OsString::from));
        let real = run(&options, &words).finish().success();
        let script = script(&options, &words);
        assert!(!script.contains("a shell cannot"), "{script}");
        let output = run_script(&script);
        let seen = String::from_utf8_lossy(&output.stdout);
        assert_eq!(seen, real, "{options:?}: {}\n{script}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(host().directories(&format!("mydocker-{name}")), Vec::<PathBuf>::new(), "{script}");
    }
}

case!(the_script_ends_like_the_command, Needs::ROOT | Needs::SH | Needs::SCRIPT_TOOLS);
fn the_script_ends_like_the_command() {
    for status in [0, 1, 77] {
        let script = script(&[], &crate::support::harness::probe_words(&["status", &status.to_string()]));
        let output = run_script(&script);
        assert_eq!(output.status.code(), Some(status), "{output:?}\n{script}");
    }
}

case!(the_script_keeps_every_word, Needs::NAMESPACES | Needs::SH | Needs::SCRIPT_TOOLS);
fn the_script_keeps_every_word() {
    let mut words = crate::support::harness::probe_words(&["argv"]);
    words.extend(["", "it's", "$(touch /x)", "`id`", "a\nb", "*", "\\", "'\\''", "-e", "%1"].map(OsString::from));
    let script = script(&["--no-limits", "--privileged"], &words);
    let output = run_script(&script);
    assert_eq!(crate::probes::facts::words_of(&String::from_utf8_lossy(&output.stdout)), words, "{output:?}\n{script}");
}

case!(what_a_shell_cannot_is_a_comment, Needs::NAMESPACES);
fn what_a_shell_cannot_is_a_comment() {
    let text = script(&["-t", "--init", "--no-limits"], &["x".into()]);
    for call in ["TIOCGPTPEER", "dup3", "clone(SIGCHLD)"] {
        let line = text.lines().find(|line| line.contains(call)).unwrap_or_else(|| panic!("no {call}:\n{text}"));
        assert!(line.contains("# a shell cannot: "), "{line}");
    }
}

case!(another_form_is_refused, Needs::NOTHING);
fn another_form_is_refused() {
    run(&["--dry-run=python"], &["x"]).finish().usage_error(&["--dry-run", "python"]);
}

case!(what_would_fail_fails, Needs::NOTHING);
/// A run that cannot be planned ends as it does without the option.
fn what_would_fail_fails() {
    run(&["--dry-run", "--rootfs", "/nonexistent"], &["x"]).finish().refused(125, &["/nonexistent"]);
    run(&["--dry-run", "-m", "1"], &["x"]).finish().usage_error(&["--memory-limit"]);
}
