//! Cgroups: where mydocker makes the directories, how it names them, and that the command is in them from its first
//! instruction.

use crate::support::harness::{mydocker_at, mydocker_file, probe, run, unique_name, waiting_container};
use crate::support::host::{host, tool};
use crate::support::needs::{Needs, is_virtual_host, on_v2};
use crate::support::roots::Root;
use std::fs;
use std::path::{Path, PathBuf};

fn own_path(controller: &str) -> String {
    host().path_of_group(controller, std::process::id() as i32)
}

case!(below_the_callers_own, Needs::NAMESPACES | Needs::MEMORY | Needs::GROUP_BELOW);
fn below_the_callers_own() {
    let name = unique_name();
    let running = waiting_container(&["-m", "100m", "--name", &name]);
    let expected = format!("{}/mydocker-{name}", own_path("memory").trim_end_matches('/'));
    assert_eq!(host().path_of_group("memory", running.command_pid()), expected);
    running.finish().success();
}

case!(named_after_mydockers_pid, Needs::NAMESPACES | Needs::MEMORY);
fn named_after_mydockers_pid() {
    let running = waiting_container(&["-m", "100m"]);
    let path = host().path_of_group("memory", running.command_pid());
    assert!(path.ends_with(&format!("/mydocker-{}", running.pid)), "{path}");
    running.finish().success();
}

case!(
    in_its_groups_at_its_first_instruction,
    Needs::NAMESPACES | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::PIDS | Needs::MOUNTED
);
/// The probe reads the limits of its cgroups before it does anything else. One late run in two hundred is one too many; each
/// virtual host makes fifty.
fn in_its_groups_at_its_first_instruction() {
    let options = "-m 100m --cpu-shares 512 --cpu-set 0 --pids-limit 50".split(' ').collect::<Vec<_>>();
    let of = |controller: &'static str, v1: &'static str, v2: &'static str| {
        [controller, if on_v2(controller) { v2 } else { v1 }]
    };
    let noprefix = host().carrier("cpuset").is_some_and(|cpuset| cpuset.directory("/").join("cpus").exists());
    let files = [
        of("memory", "memory.limit_in_bytes", "memory.max"),
        of("cpu", "cpu.shares", "cpu.weight"),
        of("cpuset", if noprefix { "cpus" } else { "cpuset.cpus" }, "cpuset.cpus"),
        of("pids", "pids.max", "pids.max"),
    ];
    let words: Vec<&str> = ["group-limits"].into_iter().chain(files.into_iter().flatten()).collect();
    let shares = if on_v2("cpu") { "59" } else { "512" };
    for round in 0..if is_virtual_host() { 50 } else { 200 } {
        let text = probe(&options, &words).finish().success();
        assert_eq!(text, format!("104857600\n{shares}\n0\n50\n"), "run {round}");
    }
}

/// What a privileged container with 100 MiB prints, on the host's files and in a root of its own. `$B` is its busybox.
fn privileged_prints(script: &str, expected: &str) {
    let root = Root::with_directories().with_busybox();
    let path = root.0.text("");
    for more in [
        &["-e", "B="][..],
        &["-e", "B=", "--init"],
        &["-e", "B=", "--ephemeral"],
        &["-e", "B=busybox", "--rootfs", &path],
        &["-e", "B=", "--network", "host", "--ipc", "host"],
    ] {
        let options = [&["--privileged", "-m", "100m"], more].concat();
        assert_eq!(run(&options, &["sh", "-c", script]).finish().success(), expected, "{more:?}");
    }
}

case!(
    a_privileged_container_has_groups_of_its_own,
    Needs::ROOT | Needs::MEMORY_ON_V2 | Needs::MOUNTED | Needs::SH | Needs::OVERLAY | Needs::BUSYBOX
);
/// It is the top of what it sees, may make groups below its own, and cannot move to one above. Nothing of it is left.
fn a_privileged_container_has_groups_of_its_own() {
    let script = "top=$($B sed -n '/ - cgroup2/{s/^[^ ]* [^ ]* [^ ]* \\([^ ]*\\) \\([^ ]*\\) .*/\\1 \\2/p;q;}' /proc/self/mountinfo)
        echo \"${top% *}\"; top=${top#* }
        $B cat $top/memory.max; $B mkdir -p $top/some/where && echo 0 >$top/some/where/cgroup.procs && echo made
        $B grep -c some/where /proc/self/cgroup; echo 0 >$top/cgroup.procs; $B grep -c some/where /proc/self/cgroup; true";
    let expected = "/\n104857600\nmade\n1\n0\n";
    privileged_prints(script, expected);
    // What exec starts sees the same.
    let running = waiting_container(&["--privileged", "-m", "100m"]);
    let inside = fs::read_link(format!("/proc/{}/ns/cgroup", running.command_pid())).expect("readlink");
    assert_ne!(inside, fs::read_link("/proc/self/ns/cgroup").expect("readlink"));
    running.finish().success();
}

case!(
    a_privileged_container_has_groups_in_each_hierarchy,
    Needs::ROOT | Needs::MEMORY_ON_V1 | Needs::MOUNTED | Needs::SH | Needs::OVERLAY | Needs::BUSYBOX
);
/// It is the top of all that it sees, whether it holds a limit there or not, and nothing of what it makes is left. In a cpuset nobody
/// can be before it has a CPU.
fn a_privileged_container_has_groups_in_each_hierarchy() {
    let script = "for top in $($B sed -n '/ - cgroup/s/^[^ ]* [^ ]* [^ ]* \\([^ ]*\\) \\([^ ]*\\) .*/\\1:\\2/p' /proc/self/mountinfo); do
            # A blank is written as \\040 there.
            [ ${top%%:*} = / ] || echo $top; top=$($B printf %b \"${top#*:}\")
            [ -e \"$top/cgroup.procs\" ] || { echo \"$top\"; continue; }
            $B mkdir -p \"$top/some/where\" || echo \"$top\"
            case $top in *cpuset*) ;; *) echo 0 >\"$top/some/where/cgroup.procs\" || echo \"$top\";; esac
            [ ! -e \"$top/memory.limit_in_bytes\" ] || $B cat \"$top/memory.limit_in_bytes\"
        done
        $B grep -vc -e some/where -e cpuset /proc/self/cgroup; true";
    privileged_prints(script, "104857600\n0\n");
    let of_all: Vec<PathBuf> = host().hierarchies.iter().map(|hierarchy| hierarchy.point.join("some")).collect();
    assert!(!of_all.is_empty() && of_all.iter().all(|path| !path.exists()), "{of_all:?}");
}

case!(without_limits_the_callers_is_seen, Needs::ROOT | Needs::NAMESPACES | Needs::MEMORY | Needs::MOUNTED | Needs::SH);
/// On the host's files: the JVM fails where the root of a mount, "/..", is above the cgroup that it is in.
fn without_limits_the_callers_is_seen() {
    let own = host().group("memory", std::process::id() as i32);
    let group = own.join(unique_name());
    fs::create_dir(&group).expect("mkdir");
    let (file, directory) = (mydocker_file(), group.display().to_string());
    let mut words = vec!["-c", "echo 0 >\"$0/cgroup.procs\" && exec \"$@\"", &directory];
    words.extend([file.to_str().expect("UTF-8"), "run", "--no-limits", "cat", "/proc/self/mountinfo"]);
    let outcome = mydocker_at(&tool("sh").expect("sh"), &words).finish();
    fs::remove_dir(&group).expect("nothing is left in it");
    let carrier = host().carrier("memory").expect("memory");
    let is_of_memory = |line: &&str| match carrier.v2 {
        true => line.contains(" - cgroup2 "),
        false => line.contains(" - cgroup ") && line.contains("memory"),
    };
    let mountinfo = outcome.success();
    let roots: Vec<_> = mountinfo.lines().filter(is_of_memory).map(|line| line.split(' ').nth(3)).collect();
    assert_eq!(roots, [Some("/")], "{mountinfo}");
}

fn processes(group: &Path) -> Vec<i32> {
    let file = fs::read_to_string(group.join("cgroup.procs")).expect("cgroup.procs");
    file.lines().map(|line| line.parse().expect("a pid")).collect()
}

case!(only_the_command_is_in_them, Needs::NAMESPACES | Needs::MEMORY);
fn only_the_command_is_in_them() {
    let running = waiting_container(&["-m", "100m", "--cpu-shares", "512"]);
    let directories = host().directories(&running.directory_name());
    assert!(!directories.is_empty());
    for directory in directories {
        assert_eq!(processes(&directory), [running.command_pid()], "{}", directory.display());
    }
    running.finish().success();
}

case!(children_are_in_them_too, Needs::NAMESPACES | Needs::MEMORY | Needs::SH);
fn children_are_in_them_too() {
    let mut running = crate::support::harness::run(&["-m", "100m"], &["sh"]).start();
    running.write_stdin(b"sleep 100000 & echo read$((1+1))\n");
    running.await_output("read2");
    let group = host().group("memory", running.command_pid());
    assert_eq!(processes(&group).len(), 2, "the shell and its child");
    running.send(libc::SIGTERM);
    assert_eq!(running.finish_with_stdin_open().code(), 128 + libc::SIGTERM);
}

/// Directories that a case makes in the memory and cpu hierarchies, removed when this is dropped. Their names do not
/// begin with `mydocker-`, so no run takes them for leftovers.
struct Parents(Vec<PathBuf>);

impl Parents {
    /// Makes `path` in both hierarchies, with the missing directories above it.
    fn make(path: &dyn Fn(&str) -> String) -> Parents {
        let mut made = Parents(Vec::new());
        for controller in ["memory", "cpu"] {
            let hierarchy = host().carrier(controller).expect("a hierarchy");
            let target = hierarchy.directory(&path(controller));
            let missing: Vec<&Path> = target.ancestors().take_while(|folder| !folder.exists()).collect();
            for folder in missing.into_iter().rev() {
                fs::create_dir(folder).expect("a group of the test's own");
                made.0.push(folder.to_path_buf());
            }
        }
        made
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            fs::remove_dir(folder).ok();
        }
    }
}

/// Runs in `parent`, which is `path` in the hierarchy of each controller.
fn below(parent: &str, path: &dyn Fn(&str) -> String) {
    let parents = Parents::make(path);
    let name = unique_name();
    let running = waiting_container(&["--cgroup-parent", parent, "-m", "100m", "--cpu-shares=512", "--name", &name]);
    for controller in ["memory", "cpu"] {
        let found = host().path_of_group(controller, running.command_pid());
        assert_eq!(found, format!("{}/mydocker-{name}", path(controller)), "{controller}");
    }
    running.finish().success();
    for folder in &parents.0 {
        assert!(folder.exists(), "mydocker removed {}, which is not its own", folder.display());
    }
}

case!(a_relative_parent, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU | Needs::GROUP_BELOW);
fn a_relative_parent() {
    let parent = format!("outside-{}", unique_name());
    let path = |controller: &str| format!("{}/{parent}", own_path(controller).trim_end_matches('/'));
    below(&parent, &path);
}

case!(an_absolute_parent, Needs::ROOT | Needs::MEMORY | Needs::CPU);
/// As a child of our own memory cgroup, the only one in which this test may make cgroups; in the other hierarchies at
/// the same path.
fn an_absolute_parent() {
    let own = if on_v2("memory") { String::new() } else { own_path("memory").trim_end_matches('/').to_string() };
    let parent = format!("{own}/outside-{}", unique_name());
    below(&parent, &|_| parent.clone());
}

case!(a_cpu_that_the_parent_has_not, Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::TWO_CPUS);
/// v1 refuses the value. v2 accepts and keeps it; another file shows which CPUs are in force (cgroup-v2.rst).
fn a_cpu_that_the_parent_has_not() {
    let own = if on_v2("memory") { String::new() } else { own_path("memory").trim_end_matches('/').to_string() };
    let parent = format!("{own}/outside-{}", unique_name());
    let hierarchy = host().carrier("cpuset").expect("a hierarchy");
    if hierarchy.v2 {
        fs::write(hierarchy.directory("/cgroup.subtree_control"), "+cpuset").expect("its controller");
    }
    let mut made = Parents::make(&|_| parent.clone());
    let group = hierarchy.directory(&parent);
    let above: Vec<&Path> = group.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in above.into_iter().rev() {
        fs::create_dir(folder).expect("a group of the test's own");
        made.0.push(folder.to_path_buf());
        fs::write(host().control_file(folder, "cpuset.mems"), "0").expect("one node");
        fs::write(host().control_file(folder, "cpuset.cpus"), "0").expect("one CPU");
    }
    fs::write(host().control_file(&group, "cpuset.cpus"), "0").expect("one CPU");
    let run = |cpus| probe(&["--cgroup-parent", &parent, "--cpu-set", cpus], &["status", "3"]).finish();
    let file = if hierarchy.v2 { "cpuset.cpus.effective" } else { "cpus" };
    run("1").refused(125, &[file]);
    run("0-1").refused(125, &[file]);
    run("0").silent(3);
}

case!(a_limit_above_is_met_first, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU | Needs::GROUP_BELOW);
/// The message does not blame the container's own limit.
fn a_limit_above_is_met_first() {
    let parent = format!("outside-{}", unique_name());
    let parents = Parents::make(&|controller| format!("{}/{parent}", own_path(controller).trim_end_matches('/')));
    let files: &[&str] = match host().carrier("memory").expect("a hierarchy").v2 {
        true => &["memory.max", "memory.swap.max"],
        false => &["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
    };
    for (file, bytes) in files.iter().zip([60 << 20, if files[0] == "memory.max" { 0 } else { 60 << 20 }]) {
        let file = parents.0[0].join(file);
        // A kernel may count no swap.
        if file.exists() {
            fs::write(file, u64::to_string(&bytes)).expect("a limit on it");
        }
    }
    let outcome = probe(&["--cgroup-parent", &parent, "-m", "200m"], &["eat", &(100 << 20).to_string()]).finish();
    outcome.refused(137, &["209715200", "that limit was not reached: a cgroup above"]);
    let outcome = probe(&["--cgroup-parent", &parent, "-m", "40m"], &["eat", &(100 << 20).to_string()]).finish();
    outcome.refused(137, &["41943040"]);
    assert!(!outcome.stderr_text().contains("not reached"), "{outcome:?}");
    // A reservation is no limit.
    let words = ["--cgroup-parent", &parent, "-m", "max", "--memory-reservation", "30m"];
    let outcome = probe(&words, &["eat", &(100 << 20).to_string()]).finish();
    outcome.refused(137, &["no limit, peak", "a cgroup above"]);
}

case!(the_callers_own_is_seen, Needs::ROOT | Needs::MEMORY | Needs::MOUNTED | Needs::PIDS_ON_V1);
/// On the host's files, where the container has no group of its own. The JVM fails where the root of a mount is above its cgroup.
fn the_callers_own_is_seen() {
    let path = format!("{}/outside-{}", own_path("pids").trim_end_matches('/'), unique_name());
    let group = host().carrier("pids").expect("a hierarchy").directory(&path);
    fs::create_dir(&group).expect("a group of the test's own");
    let made = Parents(vec![group.clone()]);
    fs::write(group.join("pids.max"), "1234").expect("a limit on it");
    let procs = fs::OpenOptions::new().write(true).open(group.join("cgroup.procs")).expect("cgroup.procs");
    let join = move || rustix::io::write(&procs, b"0").map(drop).map_err(Into::into);
    let seen = probe(&["-m", "100m"], &["limit-seen", "pids", "pids.max", "pids.max"]).before(join).finish();
    assert_eq!(seen.success(), "1 ro / 1234\n");
    drop(made);
    assert!(!group.exists(), "the group is empty again");
}

case!(a_limit_on_processes_comes_along, Needs::ROOT | Needs::MEMORY_ON_V2 | Needs::MOUNTED);
/// systemd gives one to each service and each scope, and mydocker's own processes are in there: the container's group is beside it, and
/// has the same limit.
fn a_limit_on_processes_comes_along() {
    let root = &host().carrier("memory").expect("a hierarchy").point;
    let group = root.join(format!("outside-{}", unique_name()));
    fs::write(root.join("cgroup.subtree_control"), "+memory +pids").expect("the controllers of the root");
    fs::create_dir(&group).expect("a group of the test's own");
    let made = Parents(vec![group.clone()]);
    fs::write(group.join("pids.max"), "77").expect("a limit on it");
    let seen = |options: &[&str]| {
        let procs = fs::OpenOptions::new().write(true).open(group.join("cgroup.procs")).expect("cgroup.procs");
        let join = move || rustix::io::write(&procs, b"0").map(drop).map_err(Into::into);
        probe(options, &["limit", "pids", "pids.max"]).before(join).finish().success()
    };
    assert_eq!(seen(&["-m", "100m"]), "77\n");
    assert_eq!(seen(&[]), "77\n");
    assert_eq!(seen(&["--pids-limit", "20"]), "20\n");
    // As below it, where the smaller one would be met first.
    assert_eq!(seen(&["--pids-limit", "100"]), "77\n");
    drop(made);
    assert!(!group.exists(), "the group is empty again");
}

case!(a_limited_group_is_not_left, Needs::ROOT | Needs::MEMORY_ON_V2);
/// A v2 cgroup that holds processes cannot have children with controllers. A cgroup higher up would escape the caller's
/// limit, so mydocker refuses, and names the way out.
fn a_limited_group_is_not_left() {
    let root = &host().carrier("memory").expect("a hierarchy").point;
    let group = root.join(format!("outside-{}", unique_name()));
    fs::write(root.join("cgroup.subtree_control"), "+memory").ok();
    fs::create_dir(&group).expect("a group of the test's own");
    let made = Parents(vec![group.clone()]);
    fs::write(group.join("memory.max"), "500m").expect("a limit on it");
    let procs = fs::OpenOptions::new().write(true).open(group.join("cgroup.procs")).expect("cgroup.procs");
    let join = move || rustix::io::write(&procs, b"0").map(drop).map_err(Into::into);
    probe(&["-m", "100m"], &["status", "0"]).before(join).finish().refused(125, &["--cgroup-parent"]);
    drop(made);
    assert!(!group.exists(), "the group is empty again");
}
