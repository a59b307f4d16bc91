//! Limits as the command experiences them, and limits that cannot be applied.

use crate::support::folder::Folder;
use crate::support::harness::probe;
use crate::support::needs::{Needs, on_v2};

case!(the_files_read_from_inside, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU | Needs::MOUNTED);
fn the_files_read_from_inside() {
    let options = ["-m", "100m", "--cpu-shares", "1024"];
    let memory = if on_v2("memory") { "memory.max" } else { "memory.limit_in_bytes" };
    assert_eq!(probe(&options, &["limit", "memory", memory]).finish().success(), "104857600\n");
    let (cpu, value) = if on_v2("cpu") { ("cpu.weight", "100\n") } else { ("cpu.shares", "1024\n") };
    assert_eq!(probe(&options, &["limit", "cpu", cpu]).finish().success(), value);
}

case!(the_command_runs_on_its_cpus, Needs::NAMESPACES | Needs::CPUSET | Needs::TWO_CPUS);
fn the_command_runs_on_its_cpus() {
    assert_eq!(probe(&["--cpuset-cpus", "1"], &["cpus"]).finish().success(), "1\n");
    assert_eq!(probe(&["--cpuset-cpus=0,1"], &["cpus"]).finish().success(), "0,1\n");
}

case!(no_more_processes_than_allowed, Needs::NAMESPACES | Needs::PIDS);
fn no_more_processes_than_allowed() {
    // The probe itself is one of the ten processes.
    assert_eq!(probe(&["--pids-limit", "10"], &["fork", "30"]).finish().success(), "9\n");
}

case!(more_processes_where_allowed, Needs::NAMESPACES | Needs::PIDS);
fn more_processes_where_allowed() {
    for options in [["--pids-limit", "40"].as_slice(), &[], &["--pids-limit", "max"]] {
        assert_eq!(probe(options, &["fork", "30"]).finish().success(), "30\n", "{options:?}");
    }
}

/// The run is refused with 125 and all of `words`, before the command did anything; `finish` checks the directories.
#[track_caller]
fn not_applied(options: &[&str], words: &[&str]) {
    let folder = Folder::new();
    let trace = folder.text("trace");
    probe(options, &["touch", &trace]).finish().refused(125, words);
    assert!(!folder.path("trace").exists(), "{options:?}: the command ran nevertheless");
}

case!(shares_that_the_kernel_clamps, Needs::NAMESPACES | Needs::CPU_ON_V1);
fn shares_that_the_kernel_clamps() {
    not_applied(&["--cpu-shares", "1"], &["cpu.shares", "1", "2"]);
    not_applied(&["--cpu-shares=300000"], &["cpu.shares", "300000", "262144"]);
}

case!(a_cpu_that_is_not_there, Needs::NAMESPACES | Needs::CPUSET);
fn a_cpu_that_is_not_there() {
    not_applied(&["--cpu-set", "999"], &["cpus", "999"]);
    not_applied(&["--cpuset-cpus=0-999"], &["cpus", "0-999"]);
    not_applied(&["-m", "100m", "--cpu-set", "0,60000"], &["cpus"]);
}

case!(a_memory_node_that_is_not_there, Needs::NAMESPACES | Needs::CPUSET);
fn a_memory_node_that_is_not_there() {
    not_applied(&["--cpu-mems", "63"], &["mems", "63"]);
}
