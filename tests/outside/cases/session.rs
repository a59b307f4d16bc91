//! The session of the exercise, replayed in one shell, with a check from outside between the steps.

use crate::support::folder::Folder;
use crate::support::harness::{probe_file, run};
use crate::support::host::host;
use crate::support::needs::{Needs, on_v2};
use std::fs;

case!(one_shell_under_100m, Needs::NAMESPACES | Needs::SH | Needs::MEMORY | Needs::CPU | Needs::CPUSET);
/// The input contains `$((..))` or `$?` where its answer contains a number: an echo of the input cannot be taken for
/// the answer.
fn one_shell_under_100m() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let options = "-t -m 100m --cpu-mems 0 --cpu-set 0 --cpu-shares 2048";
    let shell = run(&options.split(' ').collect::<Vec<_>>(), &["/bin/sh"]);
    let mut shell = shell.with(|command| command.env("PROBE", probe_file())).start();

    shell.write_stdin(b"echo first: pid $$, hostname \"$(uname -n)\", $((1+1))\n");
    let first = shell.await_output(", 2");
    assert!(first.contains("first: pid 1,"), "{first}");

    shell.write_stdin(b"\"$PROBE\" --probe eat 209715200 </dev/null; echo large: $?.\n");
    shell.await_output("large: 137.");

    // The shell runs. From outside, its limits and its pid are where they should be.
    let pid = shell.command_pid();
    let directories = host().directories(&shell.directory_name());
    for (controller, v1, v2, value, weight) in [
        ("memory", "memory.limit_in_bytes", "memory.max", "104857600", "104857600"),
        ("cpu", "cpu.shares", "cpu.weight", "2048", "174"),
        ("cpuset", "cpuset.cpus", "cpuset.cpus", "0", "0"),
        ("cpuset", "cpuset.mems", "cpuset.mems", "0", "0"),
    ] {
        let group = host().group(controller, pid);
        assert!(directories.contains(&group), "{} is not one of {directories:?}", group.display());
        let (file, expected) = if on_v2(controller) { (v2, weight) } else { (v1, value) };
        assert_eq!(fs::read_to_string(host().control_file(&group, file)).expect(file).trim(), expected, "{file}");
        let members = fs::read_to_string(group.join("cgroup.procs")).expect("cgroup.procs");
        assert_eq!(members.trim(), pid.to_string(), "in {}", group.display());
    }

    shell.write_stdin(b"\"$PROBE\" --probe eat 94371840 </dev/null; echo small: $?.\n");
    shell.await_output("small: 0.");

    shell.write_stdin(b"exit\n");
    let outcome = shell.finish_with_stdin_open();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    let text = outcome.stderr_text();
    let said: Vec<&str> = text.lines().filter(|line| line.starts_with("mydocker: ")).collect();
    assert_eq!(said.len(), 1, "one line about the kill: {outcome:?}");
    assert!(said[0].contains("memory") && said[0].contains("104857600"), "{outcome:?}");
    let stat = fs::read_to_string("/proc/self/stat").expect("the host's /proc is intact");
    assert!(stat.starts_with(&format!("{} ", std::process::id())), "{stat}");
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"), mounts);
}

case!(ls_from_another_folder, Needs::NAMESPACES | Needs::LS);
fn ls_from_another_folder() {
    let folder = Folder::new();
    for name in ["one", "two"] {
        folder.write(name, b"");
    }
    let ls = crate::support::host::tool("ls").expect("ls");
    for options in [&["-t"][..], &["-t", "-m", "100m", "--cpu-mems", "0", "--cpu-set", "0", "--cpu-shares", "2048"]] {
        let options = if Needs::CPUSET.missing().is_some() { &options[..1] } else { options };
        let list = run(options, &[&ls]).with(|command| command.current_dir(folder.as_path())).finish().success();
        let names: Vec<&str> = list.split_whitespace().collect();
        assert_eq!(names, ["one", "two"], "{options:?}");
    }
}
