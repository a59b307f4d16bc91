//! `--dry-run`: the plan that is printed is the plan that is carried out, as a table and as a script; and it changes
//! nothing.

use crate::support::folder::Folder;
use crate::support::harness::{probe, run, unique_name};
use crate::support::host::host;
use crate::support::needs::Needs;
use crate::support::table::{Step, parse_table};
use std::fs;
use std::path::PathBuf;

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

case!(steps_are_numbered_and_told_apart, Needs::NOTHING);
fn steps_are_numbered_and_told_apart() {
    for options in OPTIONS {
        let steps = parse_table(&run(&[options, &["--dry-run"]].concat(), &["x"]).finish().success());
        for (at, step) in steps.iter().enumerate() {
            assert_eq!(step.number, at + 1);
        }
        // A step may have nothing to do in one run (what the child is born with it need not join), most have something.
        let idle: Vec<&str> =
            steps.iter().filter(|step| step.calls.is_empty()).map(|step| step.purpose.as_str()).collect();
        assert!(idle.iter().all(|purpose| purpose.starts_with("Joins its cgroup")), "{idle:?}");
        let makes =
            |step: &Step| step.calls.iter().any(|call| call.starts_with("clone") && call.contains("CLONE_NEWNS"));
        let clone = steps.iter().position(makes).expect("clone");
        let first = steps.iter().position(|step| step.child).expect("a step of the child");
        assert!(clone < first, "the child makes no calls before clone");
        let last = steps.last().expect("a step");
        assert!(last.child && last.calls.len() == 1, "{last:?}");
        assert!(last.calls[0].starts_with("execve(\"x\", [\"x\"], ..."), "{last:?}");
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
