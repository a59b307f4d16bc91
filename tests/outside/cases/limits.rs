//! Limits, read from outside while the command runs: explicit ones, defaults, and lifted ones.

use crate::support::harness::{Running, mydocker, probe, probe_words, unique_name, waiting_container};
use crate::support::host::host;
use crate::support::needs::{Needs, on_v2};
use crate::support::roots::Root;
use std::ffi::OsString;
use std::fs;

const MIB: u64 = 1 << 20;

/// The command's file for `controller`: `v1` or `v2`, depending on the hierarchy that carries it here.
fn file(running: &Running, controller: &str, v1: &str, v2: &str) -> String {
    let name = if on_v2(controller) { v2 } else { v1 };
    let path = host().control_file(&host().group(controller, running.command_pid()), name);
    assert!(
        path.components().any(|part| part.as_os_str() == running.directory_name().as_str()),
        "the command is not in a group of its own for {controller}: {}",
        path.display()
    );
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_string()
}

/// The memory limit, in bytes.
fn memory_limit(running: &Running) -> u64 {
    file(running, "memory", "memory.limit_in_bytes", "memory.max").parse().expect("a number of bytes")
}

case!(memory, Needs::NAMESPACES | Needs::MEMORY);
fn memory() {
    for (options, bytes) in [
        (&["-m", "100m"][..], 100 * MIB),
        (&["-m100m"], 100 * MIB),
        (&["-m=100m"], 100 * MIB),
        (&["--memory=100m"], 100 * MIB),
        (&["--memory", "100M"], 100 * MIB),
        (&["--memory-limit", "100m"], 100 * MIB),
        (&["--memory-limit=102400k"], 100 * MIB),
        (&["-itm", "64m"], 64 * MIB),
        (&["-itm64m"], 64 * MIB),
        (&["-m", "104857600"], 100 * MIB),
        (&["-m", "104857600b"], 100 * MIB),
        (&["-m", "1g"], 1024 * MIB),
        (&["-m", "1T"], 1024 * 1024 * MIB),
    ] {
        let running = waiting_container(options);
        assert_eq!(memory_limit(&running), bytes, "{options:?}");
        running.finish().success();
    }
}

case!(memory_is_rounded_to_pages_in_peace, Needs::NAMESPACES | Needs::MEMORY);
fn memory_is_rounded_to_pages_in_peace() {
    // SAFETY: sysconf takes and returns an integer
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    let running = waiting_container(&["-m", &(100 * MIB + 1).to_string()]);
    assert!(memory_limit(&running).abs_diff(100 * MIB) <= page);
    running.finish().success();
}

/// Memory and swap together on v1, swap alone on v2.
fn swap_limit(running: &Running) -> String {
    file(running, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
}

case!(swap, Needs::NAMESPACES | Needs::MEMORY | Needs::SWAP);
fn swap() {
    let (both, alone) = (150 * MIB, 50 * MIB);
    let expected = if on_v2("memory") { alone } else { both };
    for options in [["-m", "100m", "--memory-swap", "150m"].as_slice(), &["--memory-swap=150m", "-m100m"]] {
        let running = waiting_container(options);
        assert_eq!(swap_limit(&running), expected.to_string(), "{options:?}");
        assert_eq!(memory_limit(&running), 100 * MIB, "{options:?}");
        running.finish().success();
    }
    for value in ["-1", "max"] {
        let running = waiting_container(&["-m", "100m", "--memory-swap", value]);
        assert!(is_unlimited(&swap_limit(&running)), "{value}: {}", swap_limit(&running));
        assert_eq!(memory_limit(&running), 100 * MIB);
        running.finish().success();
    }
}

case!(no_swap_on_top_of_memory, Needs::NAMESPACES | Needs::MEMORY | Needs::SWAP);
fn no_swap_on_top_of_memory() {
    let expected = if on_v2("memory") { 0 } else { 100 * MIB };
    let running = waiting_container(&["-m", "100m"]);
    assert_eq!(swap_limit(&running), expected.to_string());
    running.finish().success();
}

/// `max` on v2; on v1 the largest number of whole pages, which exceeds any real size.
fn is_unlimited(value: &str) -> bool {
    value == "max" || value.parse::<u64>().is_ok_and(|bytes| bytes > 1 << 60)
}

case!(cpu_shares, Needs::NAMESPACES | Needs::CPU);
/// Shares as they are on v1; on v2 the weight that runc and crun derive from them.
fn cpu_shares() {
    for (shares, weight) in
        [("2", "1"), ("100", "17"), ("512", "59"), ("1024", "100"), ("2048", "174"), ("262144", "10000")]
    {
        let running = waiting_container(&["--cpu-shares", shares]);
        let expected = if on_v2("cpu") { weight } else { shares };
        assert_eq!(file(&running, "cpu", "cpu.shares", "cpu.weight"), expected, "{shares} shares");
        running.finish().success();
    }
}

fn own_list(v1: &str, v2: &str) -> String {
    let own = host().group("cpuset", std::process::id() as i32);
    let name = if on_v2("cpuset") { v2 } else { v1 };
    std::fs::read_to_string(host().control_file(&own, name)).expect("our own list").trim().to_string()
}

case!(cpu_set, Needs::NAMESPACES | Needs::CPUSET);
fn cpu_set() {
    for options in [["--cpu-set", "0"], ["--cpuset-cpus", "0"]] {
        let running = waiting_container(&options);
        assert_eq!(file(&running, "cpuset", "cpuset.cpus", "cpuset.cpus.effective"), "0", "{options:?}");
        // The other list is the caller's own: on v1, no process can join a cpuset that has an empty list.
        let own = own_list("cpuset.mems", "cpuset.mems.effective");
        assert_eq!(file(&running, "cpuset", "cpuset.mems", "cpuset.mems.effective"), own);
        running.finish().success();
    }
}

case!(cpu_set_of_two, Needs::NAMESPACES | Needs::CPUSET | Needs::TWO_CPUS);
/// The kernel rewrites each of these as `0-1`: compared as text, they would differ from the request.
fn cpu_set_of_two() {
    for list in ["0-1", "0,1", "1,0", "1,0-1"] {
        let running = waiting_container(&["--cpuset-cpus", list]);
        assert_eq!(file(&running, "cpuset", "cpuset.cpus", "cpuset.cpus.effective"), "0-1", "{list}");
        running.finish().success();
    }
}

case!(the_callers_affinity_does_not_count, Needs::NAMESPACES | Needs::CPUSET | Needs::TWO_CPUS);
/// `taskset -c 0 mydocker run --cpu-set 0-1`: what was asked for holds.
fn the_callers_affinity_does_not_count() {
    let to_cpu_0 = || {
        // SAFETY: a set of zeros is an empty one, and lives in this frame
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(0, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
        }
        Ok(())
    };
    let status = |options: &[&str]| probe(options, &["file", "/proc/self/status"]).before(to_cpu_0).finish().success();
    assert!(status(&["--cpu-set", "0-1"]).contains("Cpus_allowed_list:\t0-1\n"));
    assert!(status(&["--cpu-set", "1"]).contains("Cpus_allowed_list:\t1\n"));
    // Nor does that of whoever calls exec.
    let (records, name) = (crate::cases::lifecycle::Records::new(), unique_name());
    records.probe(&["-d", "-i", "--name", &name, "--cpu-set", "0-1"], &["hold"]).start().reap().success();
    let words =
        [&["exec", "--state", &records.state(), &name].map(OsString::from)[..], &probe_words(&["cpus"])].concat();
    assert_eq!(mydocker(&words).before(to_cpu_0).finish().success(), "0,1\n");
    records.remove(&name);
}

case!(memory_nodes, Needs::NAMESPACES | Needs::CPUSET);
fn memory_nodes() {
    for options in [["--cpu-mems", "0"], ["--cpuset-mems", "0"]] {
        let running = waiting_container(&options);
        assert_eq!(file(&running, "cpuset", "cpuset.mems", "cpuset.mems.effective"), "0", "{options:?}");
        let own = own_list("cpuset.cpus", "cpuset.cpus.effective");
        assert_eq!(file(&running, "cpuset", "cpuset.cpus", "cpuset.cpus.effective"), own);
        running.finish().success();
    }
}

case!(cpus, Needs::NAMESPACES | Needs::CPU);
fn cpus() {
    for (value, share) in [("0.5", 0.5), ("1", 1.0), ("1.5", 1.5), ("0.01", 0.01), ("2.0", 2.0), (".25", 0.25)] {
        let running = waiting_container(&["--cpus", value]);
        let quota_and_period = if on_v2("cpu") {
            file(&running, "cpu", "", "cpu.max")
        } else {
            let quota = file(&running, "cpu", "cpu.cfs_quota_us", "");
            format!("{quota} {}", file(&running, "cpu", "cpu.cfs_period_us", ""))
        };
        let numbers: Vec<f64> = quota_and_period.split(' ').map(|word| word.parse().expect("a number")).collect();
        assert!((numbers[0] / numbers[1] - share).abs() < 1e-6, "--cpus {value}: {quota_and_period}");
        running.finish().success();
    }
}

case!(a_reservation, Needs::NAMESPACES | Needs::MEMORY);
fn a_reservation() {
    let running = waiting_container(&["-m", "100m", "--memory-reservation", "50m"]);
    assert_eq!(file(&running, "memory", "memory.soft_limit_in_bytes", "memory.low"), "52428800");
    running.finish().success();
    let refused = |options: &[&str], words| probe(options, &["status", "0"]).finish().usage_error(&[words]);
    refused(&["-m", "100m", "--memory-reservation", "101m"], "more than the memory limit");
    refused(&["--memory-reservation", "x"], "not a size");
}

case!(a_quota_in_microseconds, Needs::NAMESPACES | Needs::CPU);
fn a_quota_in_microseconds() {
    let running = waiting_container(&["--cpu-quota", "20000", "--cpu-period", "50000"]);
    assert_eq!(file(&running, "cpu", "cpu.cfs_quota_us", "cpu.max").split(' ').next(), Some("20000"));
    assert_eq!(file(&running, "cpu", "cpu.cfs_period_us", "cpu.max").split(' ').next_back(), Some("50000"));
    running.finish().success();
    for (options, words) in [
        (&["--cpus", "1", "--cpu-quota", "20000"][..], "not both"),
        (&["--cpu-period", "50000"], "needs --cpu-quota"),
        (&["--cpu-quota", "999"], "less than 1000"),
        (&["--cpu-quota", "x"], "not a number"),
        (&["--cpu-quota", "5000", "--cpu-period", "1000001"], "too large"),
    ] {
        probe(options, &["status", "0"]).finish().usage_error(&[words]);
    }
}

case!(pids, Needs::NAMESPACES | Needs::PIDS);
fn pids() {
    for options in [["--pids-limit", "77"].as_slice(), &["--pids-limit=77"]] {
        let running = waiting_container(options);
        assert_eq!(file(&running, "pids", "pids.max", "pids.max"), "77", "{options:?}");
        running.finish().success();
    }
}

case!(all_at_once, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::PIDS);
fn all_at_once() {
    let name = unique_name();
    let options = "-t -m 100m --cpu-mems 0 --cpu-set 0 --cpu-shares 512 --cpus 0.5 --pids-limit 50 --name";
    let options: Vec<&str> = options.split(' ').chain([name.as_str()]).collect();
    let running = waiting_container(&options);
    assert_eq!(running.directory_name(), format!("mydocker-{name}"));
    assert_eq!(memory_limit(&running), 100 * MIB);
    assert_eq!(file(&running, "cpu", "cpu.shares", "cpu.weight"), if on_v2("cpu") { "59" } else { "512" });
    assert_eq!(file(&running, "cpuset", "cpuset.cpus", "cpuset.cpus.effective"), "0");
    assert_eq!(file(&running, "cpuset", "cpuset.mems", "cpuset.mems.effective"), "0");
    assert_eq!(file(&running, "pids", "pids.max", "pids.max"), "50");
    running.finish().success();
}

case!(the_defaults, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU);
fn the_defaults() {
    let running = waiting_container(&[]);
    assert_eq!(memory_limit(&running), 200 * MIB);
    assert_eq!(file(&running, "cpu", "cpu.shares", "cpu.weight"), if on_v2("cpu") { "174" } else { "2048" });
    // A controller without a limit gets no directory, so only these two exist.
    let expected = if on_v2("memory") && on_v2("cpu") { 1 } else { 2 };
    let found = host().directories(&running.directory_name());
    assert_eq!(found.len(), expected, "{found:?}");
    running.finish().success();
}

case!(a_lifted_limit, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU | Needs::PIDS);
fn a_lifted_limit() {
    let lists = ["--cpu-set", "all", "--cpu-mems", "all", "--cpus", "max", "--memory-swap", "max"];
    for limit in [&["-m", "max", "--pids-limit", "max"][..], &["--memory=max", "--pids-limit=-1"]] {
        let options: Vec<&str> = limit.iter().chain(&lists).copied().collect();
        let running = waiting_container(&options);
        // The only limit left is the default for CPU shares: one directory, which does not belong to the memory
        // hierarchy on v1.
        let found = host().directories(&running.directory_name());
        assert_eq!(found.len(), 1, "{options:?}: {found:?}");
        let path = host().path_of_group("memory", running.command_pid());
        if on_v2("memory") {
            assert_eq!(file(&running, "memory", "", "memory.max"), "max");
        } else {
            assert!(!path.ends_with(&running.directory_name()), "{options:?}: {path}");
        }
        running.finish().success();
    }
}

case!(no_limits_at_all, Needs::NAMESPACES);
fn no_limits_at_all() {
    let running = waiting_container(&["--no-limits", "--name", &unique_name()]);
    let found = host().directories(&running.directory_name());
    assert!(found.is_empty(), "{found:?}");
    running.finish().success();
}

case!(a_later_option_wins, Needs::NAMESPACES | Needs::MEMORY);
fn a_later_option_wins() {
    let running = waiting_container(&["-m", "50m", "--memory-limit=70m", "--memory", "90m"]);
    assert_eq!(memory_limit(&running), 90 * MIB);
    running.finish().success();
}

const MEMORY_SEEN: [&str; 4] = ["limit-seen", "memory", "memory.limit_in_bytes", "memory.max"];
const CPU_SEEN: [&str; 4] = ["limit-seen", "cpu", "cpu.cfs_quota_us", "cpu.max"];

/// What the probe prints of half a CPU.
fn half_a_cpu() -> &'static str {
    if on_v2("cpu") { "1 ro / 50000 100000\n" } else { "1 ro / 50000\n" }
}

case!(programs_find_them, Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::MOUNTED);
/// One read-only mount for each hierarchy, whose root is the container's own group, leads a runtime to its limits.
fn programs_find_them() {
    let limits = ["-m", "300m", "--cpus", "0.5"];
    assert_eq!(probe(&limits, &MEMORY_SEEN).finish().success(), "1 ro / 314572800\n");
    assert_eq!(probe(&limits, &CPU_SEEN).finish().success(), half_a_cpu());
}

case!(programs_find_them_in_a_root, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU);
fn programs_find_them_in_a_root() {
    let root = Root::new();
    let limits = ["-m", "300m", "--cpus", "0.5"];
    assert_eq!(root.probe_output(&limits, &MEMORY_SEEN), "1 ro / 314572800\n");
    assert_eq!(root.probe_output(&limits, &CPU_SEEN), half_a_cpu());
    // Nothing is mounted there for a run without a group, and what the user mounts there is not covered.
    assert_eq!(root.probe_output(&["--no-limits"], &MEMORY_SEEN), "0\n");
    let own = [&limits[..], &["--tmpfs", "/sys/fs/cgroup"]].concat();
    assert_eq!(root.probe_output(&own, &MEMORY_SEEN), "0\n");
}

case!(the_jvm_finds_them_in_a_root, Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::MEMORY_ON_V1 | Needs::CPU_ON_V1);
/// The JVM reads no limit of v1 unless memory, cpu, cpuacct and cpuset are all in mountinfo. Of those two that hold no limit
/// nothing else can be seen: they show the host's cgroups.
fn the_jvm_finds_them_in_a_root() {
    let root = Root::new();
    let own = fs::read_to_string("/proc/self/cgroup").expect("cgroup");
    let is_alone = |name: &str| own.lines().any(|line| line.split(':').nth(1) == Some(name));
    let folders = root.probe_output(&[], &["list", "/sys/fs/cgroup"]);
    for name in ["cpuset", "cpuacct"].into_iter().filter(|name| is_alone(name)) {
        let seen = root.probe_output(&[], &["limit-seen", name, "tasks", "tasks"]);
        assert!(seen.starts_with("1 ro / /sys/fs/cgroup/tasks: No such file"), "{name}: {seen}");
        assert!(!folders.lines().any(|folder| folder == name), "{folders}");
    }
}

case!(programs_find_them_on_a_copy_of_the_host, Needs::ROOT | Needs::OVERLAY | Needs::MEMORY | Needs::CPU);
fn programs_find_them_on_a_copy_of_the_host() {
    let limits = ["-m", "300m", "--cpus", "0.5", "--ephemeral"];
    assert_eq!(probe(&limits, &MEMORY_SEEN).finish().success(), "1 ro / 314572800\n");
    assert_eq!(probe(&limits, &CPU_SEEN).finish().success(), half_a_cpu());
}
