//! Of the peers' suites: limits as a command finds them where docker shows them, and parameters of the kernel.

use crate::cases::peers::{Row, assert_rows};
use crate::support::harness::{run, unique_name};
use crate::support::host::host;
use crate::support::needs::{Needs, on_v2};
use crate::support::roots::Root;

/// Where docker shows a file of a controller: below the name of its hierarchy, or of v2 alone at the top. (Where one hierarchy
/// carries several controllers docker has a link for each as well, and mydocker has none.)
fn file(controller: &str, v1: &str, v2: &str) -> String {
    let hierarchy = host().carrier(controller).expect("a case that needs this controller");
    let all_on_v2 = ["memory", "cpu", "cpuset", "pids"].iter().all(|name| on_v2(name));
    match (hierarchy.v2, all_on_v2) {
        (true, true) => format!("/sys/fs/cgroup/{v2}"),
        (true, false) => format!("/sys/fs/cgroup/unified/{v2}"),
        (false, _) => {
            // A cpuset may be mounted with `noprefix`.
            let own = host().control_file(&host().group(controller, std::process::id() as i32), v1);
            let name = if own.exists() { own.file_name().expect("a name").to_string_lossy() } else { v1.into() };
            format!("/sys/fs/cgroup/{}/{name}", hierarchy.controllers.join(","))
        }
    }
}

case!(where_docker_shows_them, Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::PIDS);
fn where_docker_shows_them() {
    let read = |controller, v1, v2| format!("read {}", file(controller, v1, v2));
    let memory = read("memory", "memory.limit_in_bytes", "memory.max");
    let reservation = read("memory", "memory.soft_limit_in_bytes", "memory.low");
    let quota = read("cpu", "cpu.cfs_quota_us", "cpu.max");
    let period = read("cpu", "cpu.cfs_period_us", "cpu.max");
    let weight = read("cpu", "cpu.shares", "cpu.weight");
    let cpus = read("cpuset", "cpuset.cpus", "cpuset.cpus");
    let nodes = read("cpuset", "cpuset.mems", "cpuset.mems");
    let pids = read("pids", "pids.max", "pids.max");
    let group = format!("mkdir {}", file("memory", "group", "group"));
    let limit = format!("write {}", file("memory", "memory.limit_in_bytes", "memory.max"));
    let procs = format!("write {}", file("memory", "cgroup.procs", "cgroup.procs"));
    let rows: &[Row] = &[
        ("the memory limit", &memory, "33554432"),
        ("the reservation", &reservation, "25165824"),
        ("the quota", &quota, if on_v2("cpu") { "8000 100000" } else { "8000" }),
        ("without a period that is 100 ms", &period, if on_v2("cpu") { "8000 100000" } else { "100000" }),
        ("the shares", &weight, if on_v2("cpu") { "99" } else { "1000" }),
        ("the CPUs", &cpus, "0"),
        ("the memory nodes", &nodes, "0"),
        ("the number of processes", &pids, "1024"),
        ("no group can be made below", &group, "EROFS"),
        ("the limit cannot be written to", &limit, "EROFS"),
        ("nothing can be moved", &procs, "EROFS"),
        ("where it is on the host is not told", "contains /proc/self/cgroup mydocker", "no"),
        ("nor by the mounts", "contains /proc/self/mountinfo mydocker-peers", "no"),
    ];
    let options = "-m 32M --memory-reservation 24M --cpu-quota 8000 --cpu-shares 1000 --cpuset-cpus 0 --cpuset-mems 0 \
        --pids-limit 1024";
    let root = Root::with_directories();
    let name = format!("peers-{}", unique_name());
    let options: Vec<&str> = options.split_whitespace().chain(["--name", &name]).collect();
    assert_rows(|words| root.probe(&options, words), rows);
}

case!(a_quota_that_is_lifted, Needs::ROOT | Needs::CPU);
fn a_quota_that_is_lifted() {
    let quota = format!("read {}", file("cpu", "cpu.cfs_quota_us", "cpu.max"));
    let none = if on_v2("cpu") { "max 100000" } else { "-1" };
    let rows: &[Row] = &[("-1 is no quota", &quota, none)];
    let root = Root::with_directories();
    assert_rows(|words| root.probe(&["--cpu-quota", "-1"], words), rows);
}

case!(limits_of_every_resource, Needs::ROOT);
/// But for nice and rtprio, of which the usual hard limit is 0: only CAP_SYS_RESOURCE raises it.
fn limits_of_every_resource() {
    const ROWS: &[Row] = &[
        ("sigpending", "limit Max pending signals", "100 200"),
        ("nproc", "limit Max processes", "50 100"),
        ("nofile", "limit Max open files", "512 512"),
        ("cpu", "limit Max cpu time", "1000 2000"),
        ("core", "limit Max core file size", "0 0"),
        ("data", "limit Max data size", "1073741824 2147483648"),
        ("fsize", "limit Max file size", "1048576 2097152"),
        ("locks", "limit Max file locks", "10 20"),
        ("memlock", "limit Max locked memory", "65536 131072"),
        ("msgqueue", "limit Max msgqueue size", "4096 8192"),
        ("rss", "limit Max resident set", "1048576 1048576"),
        ("rttime", "limit Max realtime timeout", "1000 2000"),
        ("stack", "limit Max stack size", "4194304 8388608"),
    ];
    const OPTIONS: &str = "sigpending=100:200 nproc=50:100 nofile=512 cpu=1000:2000 core=0 data=1073741824:2147483648 \
        fsize=1048576:2097152 locks=10:20 memlock=65536:131072 msgqueue=4096:8192 rss=1048576 \
        rttime=1000:2000 stack=4194304:8388608";
    let root = Root::with_directories();
    let options: Vec<&str> = OPTIONS.split_whitespace().flat_map(|limit| ["--ulimit", limit]).collect();
    assert_rows(|words| root.probe(&options, words), ROWS);
    const LIFTED: &[Row] = &[
        ("-1 is no limit", "limit Max core file size", "unlimited unlimited"),
        ("a soft one below none", "limit Max data size", "1073741824 unlimited"),
    ];
    let options = "core=-1 data=1073741824:-1";
    let options: Vec<&str> = options.split(' ').flat_map(|limit| ["--ulimit", limit]).collect();
    assert_rows(|words| root.probe(&options, words), LIFTED);
    // The kernel takes no more files than fs.nr_open, as root too.
    run(&["--ulimit", "nofile=-1"], &["true"]).finish().refused(125, &["nofile", "EPERM", "fs.nr_open"]);
}

case!(parameters_of_the_kernel, Needs::ROOT);
fn parameters_of_the_kernel() {
    const ROWS: &[Row] = &[
        ("forwarding", "read /proc/sys/net/ipv4/ip_forward", "1"),
        ("the backlog of sockets", "read /proc/sys/net/core/somaxconn", "65535"),
        ("who may ping", "read /proc/sys/net/ipv4/ping_group_range", "0 0"),
        ("the size of a message", "read /proc/sys/kernel/msgmax", "8192"),
        ("of a queue", "read /proc/sys/kernel/msgmnb", "32768"),
        ("the number of queues", "read /proc/sys/kernel/msgmni", "99"),
        ("the semaphores", "read /proc/sys/kernel/sem", "250 32000 32 128"),
        ("shared memory", "read /proc/sys/kernel/shmall", "1048576"),
        ("one piece of it", "read /proc/sys/kernel/shmmax", "16777216"),
        ("whether it goes with its last user", "read /proc/sys/kernel/shm_rmid_forced", "1"),
        ("the number of POSIX queues", "read /proc/sys/fs/mqueue/queues_max", "100"),
        ("of messages in one", "read /proc/sys/fs/mqueue/msg_max", "20"),
        ("the size of such a message", "read /proc/sys/fs/mqueue/msgsize_max", "4096"),
    ];
    const SET: &[&str] = &[
        "net.ipv4.ip_forward=1",
        "net.core.somaxconn=65535",
        "net.ipv4.ping_group_range=0 0",
        "kernel.msgmax=8192",
        "kernel.msgmnb=32768",
        "kernel.msgmni=99",
        "kernel.sem=250 32000 32 128",
        "kernel.shmall=1048576",
        "kernel.shmmax=16777216",
        "kernel.shm_rmid_forced=1",
        "fs.mqueue.queues_max=100",
        "fs.mqueue.msg_max=20",
        "fs.mqueue.msgsize_max=4096",
    ];
    let root = Root::with_directories();
    let options: Vec<&str> = SET.iter().flat_map(|sysctl| ["--sysctl", sysctl]).collect();
    assert_rows(|words| root.probe(&options, words), ROWS);
    const OFF: &[Row] = &[("forwarding can be off", "read /proc/sys/net/ipv4/ip_forward", "0")];
    assert_rows(|words| root.probe(&["--sysctl", "net.ipv4.ip_forward=0"], words), OFF);
}

case!(what_is_refused, Needs::NOTHING);
/// Each is a row: what is asserted, the options, and a word of the message.
fn what_is_refused() {
    const ROWS: &[Row] = &[
        ("a period that is too short", "--cpu-quota 8000 --cpu-period 900", "900"),
        ("one that is below nothing", "--cpu-quota 8000 --cpu-period -3", "-3"),
        ("a parameter that is nobody's", "--sysctl kernel.foobar=1", "kernel.foobar"),
        ("nor this", "--sysctl bar.baz=1", "bar.baz"),
        ("nor this", "--sysctl fs.baz=1", "fs.baz"),
        ("the name has an option of its own", "--sysctl kernel.hostname=foo", "kernel.hostname"),
        ("POSIX queues of the host", "--sysctl fs.mqueue.queues_max=100 --ipc host", "would change the host"),
        ("messages of the host", "--sysctl kernel.msgmax=8192 --ipc host", "would change the host"),
        ("two volumes at one place", "--rootfs /tmp -v /a:/x -v /b:/x", "/x"),
        ("at the same place by another name", "--rootfs /tmp -v /a:/x/y -v /b:/x//z/../y/", "/x/y"),
        ("memory and a volume", "--rootfs /tmp --tmpfs /run -v /run:/run", "/run"),
        ("a volume and a mount", "--rootfs /tmp -v /a:/x --mount type=bind,src=/b,dst=/x", "/x"),
        ("memory twice", "--rootfs /tmp --tmpfs /x --tmpfs /x:size=1m", "/x"),
        ("two devices", "--rootfs /tmp --device /dev/null:/x --device /dev/zero:/x", "/x"),
        ("a device and a volume", "--rootfs /tmp --device /dev/null:/x -v /a:/x", "/x"),
        ("a mount that is nowhere", "--rootfs /tmp --mount type=bind,src=/etc", "target=DST"),
    ];
    for (assertion, options, word) in ROWS {
        let options: Vec<&str> = options.split(' ').collect();
        let outcome = run(&options, &["true"]).finish();
        assert_eq!(outcome.code(), 125, "{assertion}: {outcome:?}");
        outcome.usage_error(&[word]);
    }
}
