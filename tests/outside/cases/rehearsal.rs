//! `--dry-run` for every option of `run`: its calls are those that strace sees of the run, and it changes nothing.

use crate::probes::own_mounts::in_own_mounts;
use crate::probes::own_network::{in_own_network, interfaces};
use crate::support::folder::Folder;
use crate::support::harness::{FORK_LOCK, mydocker, mydocker_file, probe_file, run, unique_name};
use crate::support::host::{host, tool};
use crate::support::needs::{Needs, every, root_is_initramfs};
use crate::support::notes::note;
use crate::support::processes::wait_until;
use crate::support::roots::{Root, make_image};
use crate::support::strace::{Call, Process, Value, parse_call, processes};
use crate::support::table::parse_table;
use crate::support::user_terminal::UserTerminal;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::cell::OnceCell;
use std::fs;
use std::iter::Peekable;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The options of `run` that have no set below, because they say how to look at a run and not what it is.
const WAYS_TO_LOOK: [&str; 2] = ["--dry-run", "--step"];

/// Options that have no set, because a dry run shows the steps as without `-d`.
const DETACHED: [&str; 4] = ["--detach", "--log", "--log-size", "--restart"];

/// Options that are compared together. `ROOT`, `IMAGE`, `FOLDER` and `PARENT` stand for paths of the case; with `SEARCH` the
/// command is a word without a slash, with `TERMINAL` mydocker has a terminal, with `STDIN` a file as stdin, with `PASSED` the
/// descriptors 3 and 4.
const SETS: &[&str] = &[
    "",
    "--privileged",
    "--no-limits --privileged --rm -i",
    "-m 100m --memory-swap 150m -c 512 --cpu-set 0 --cpu-mems 0 --cpus 0.5 --pids-limit 50",
    "-m 100m --memory-reservation 50m --cpu-quota 20000 --cpu-period 50000",
    "--no-limits --hostname h -w / -e A=b --env-file FOLDER/env",
    "SEARCH --no-limits --init",
    "--cgroup-parent PARENT -m 100m --name rehearsed",
    "--no-limits --name rehearsed --state FOLDER/full",
    "--pid-file FOLDER/pid --stats=FOLDER/stats.json",
    "--stats --trace=FOLDER/trace",
    "--network host --pid host --ipc host --uts host --userns host",
    "--cap-add NET_ADMIN --cap-drop CHOWN --security-opt seccomp=unconfined",
    "--security-opt no-new-privileges=false -u daemon:tty",
    "-u daemon --ulimit nofile=100:200 --ulimit core=0",
    "-t --no-limits",
    "TERMINAL -t --no-limits",
    "TERMINAL --rootfs ROOT -t --init --pid host",
    "-t --init -u root --ulimit nofile=100",
    "--init",
    "--read-only --no-limits",
    "--tmpfs FOLDER/empty:size=1m -v FOLDER/file:FOLDER/other:ro -v FOLDER/full:FOLDER/empty2",
    "--ephemeral=50m --no-limits",
    "--rootfs ROOT",
    "STDIN --rootfs ROOT --no-limits",
    "PASSED --no-limits --preserve-fds 2",
    "--cidfile FOLDER/cid --name rehearsed --state FOLDER/full --timeout 1000 --stop-signal QUIT --no-limits",
    "--rootfs ROOT --tz UTC --no-limits",
    "--rootfs ROOT --ephemeral --hostname h -u user:users -w /work",
    "--rootfs ROOT --read-only -v FOLDER/full:/data:ro -v FOLDER/full:/data/deep --tmpfs /tmp:size=1m,mode=700",
    "--rootfs ROOT --device /dev/null --device /dev/zero --shm-size 1m --init -t -u user",
    "--rootfs ROOT --mount type=tmpfs,dst=/tmp,tmpfs-size=1m --device /dev/null:/dev/zero",
    "--no-limits --entrypoint /bin/env --oom-score-adj 5 --umask 027 --unsetenv HOME --add-host a:1.2.3.4",
    "--rootfs ROOT --sysctl net.ipv4.ip_forward=1 --dns 192.0.2.1 --group-add 5 --group-add users",
    "--rootfs ROOT --privileged --network host --pid host --ipc host --uts host",
    "--rootfs IMAGE -t --no-limits",
    "--rootfs IMAGE --read-only --init",
];

/// Options that are compared in a network of the test's own, which forwards nothing before each run. `HOLDER` stands for a
/// container that is there. The addresses are given: a run begins its search for a free one at its own pid.
const SETS_OF_A_NETWORK: &[&str] = &[
    "--no-limits --network bridge,forward --ip 10.88.3.4 --mac-address 02:00:5e:00:53:0f",
    "--no-limits --network bridge:other --subnet 10.99.0.0/24 --ip 10.99.0.9",
    "--no-limits -p 8080:80 --publish 127.0.0.1:5300:53/udp",
    "--no-limits --network bridge,forward --ip 10.88.3.4 -p [::1]:8080:80",
    "--no-limits --network ns:/proc/self/ns/net",
    "--no-limits --state FOLDER/records --network container:HOLDER -p 8081:81",
    "--no-limits --state FOLDER/records --pid container:HOLDER -p 8082:82 --pid-file FOLDER/pid",
    "--rootfs ROOT --read-only --state FOLDER/records --pid container:HOLDER -t --name beside",
];

/// What some words of a set need of the host.
const NEEDS: [(&str, Needs); 10] = [
    ("--tz", Needs::ZONES),
    ("--cpu-quota", Needs::CPU),
    ("IMAGE", Needs::SQUASHFS_IMAGE.and(Needs::LOOP)),
    ("PARENT", Needs::GROUP_BELOW),
    ("-m", Needs::MEMORY),
    ("--memory-swap", Needs::SWAP),
    ("--cpus", Needs::CPU),
    ("--cpu-set", Needs::CPUSET),
    ("--pids-limit", Needs::PIDS),
    ("-t", Needs::TERMINAL),
];

/// What an ordinary user can have. All without limits: what of the defaults cannot be applied here is left out, and only the
/// run finds out.
const SETS_OF_A_USER: &[&str] = &[
    "",
    "--privileged",
    "--hostname h -w / -e A=b -t",
    "--pid-file FOLDER/user/pid --stats=FOLDER/user/stats --ulimit nofile=100:200",
    "--network host --pid host --ipc host --uts host",
    "--init -t -u 0",
    "--read-only --tmpfs FOLDER/empty:size=1m -v FOLDER/file:FOLDER/other:ro",
    "--rootfs ROOT",
    "STDIN --read-only",
    "--rootfs ROOT --ephemeral --hostname h -w /work -u 0:0",
    "--rootfs ROOT --read-only -v FOLDER/full:/data:ro --tmpfs /tmp:size=1m --init -t",
    "--rootfs ROOT --privileged --network host --pid host --ipc host --uts host",
    "--userns keep-id",
    "--rootfs ROOT --userns keep-id -t",
];

/// The files that the sets refer to.
struct Place {
    folder: Folder,
    root: Root,
    mydocker: String,
    probe: String,
    as_user: bool,
    /// The terminal that mydocker has, the same one in the dry run and in the run.
    terminal: OnceCell<UserTerminal>,
    /// The name of the cgroups for `--cgroup-parent`, and those that have been made.
    parent: String,
    groups: Vec<PathBuf>,
}

impl Drop for Place {
    fn drop(&mut self) {
        for group in &self.groups {
            fs::remove_dir(group).unwrap_or_else(|error| note(format!("{} stays: {error}", group.display())));
        }
    }
}

const USER: u32 = 65534;

impl Place {
    fn new(as_user: bool) -> Place {
        let folder = Folder::new();
        let root = Root::with_directories();
        for directory in ["data", "data/deep", "tmp", "work"] {
            fs::create_dir(root.0.path(directory)).expect("mkdir");
        }
        fs::write(root.0.path("etc/passwd"), "user:x:1000:1000::/work:/bin/sh\n").expect("write");
        fs::write(root.0.path("etc/group"), "users:x:100:user\nuser:x:1000:\n").expect("write");
        for directory in ["empty", "empty2", "full", "full/deep", "user"] {
            fs::create_dir(folder.path(directory)).expect("mkdir");
        }
        for (name, content) in [("env", "B=c\n"), ("file", "f\n"), ("other", "o\n")] {
            folder.write(name, content.as_bytes());
        }
        let (mut mydocker, mut probe) = (mydocker_file(), probe_file());
        if as_user {
            mydocker = folder.write_program("mydocker", &fs::read(&mydocker).expect("the file under test")).into();
            probe = folder.write_program("probe", &fs::read(&probe).expect("this file")).into();
            if host().root {
                for path in [folder.path("user"), folder.path("empty"), root.0.as_path().to_path_buf()] {
                    std::os::unix::fs::chown(&path, Some(USER), Some(USER)).expect("chown");
                }
            }
        }
        let text = |path: PathBuf| path.into_os_string().into_string().expect("UTF-8");
        folder.link_to_probe("linked");
        Place {
            root,
            mydocker: text(mydocker),
            probe: text(probe),
            as_user,
            folder,
            terminal: OnceCell::new(),
            parent: unique_name(),
            groups: Vec::new(),
        }
    }

    /// The words of a set; none if it needs an image that cannot be here.
    fn words(&mut self, set: &str) -> Option<Vec<String>> {
        let needs = NEEDS.iter().filter(|(word, _)| set.split_whitespace().any(|other| other == *word));
        if let Some(reason) = needs.fold(Needs::NOTHING, |all, (_, need)| all | *need).missing() {
            note(format!("not compared: {set}: {reason}"));
            return None;
        }
        if set.contains("IMAGE") && !self.folder.path("image").exists() {
            make_image("squashfs", &self.root, &self.folder.text("image"));
        }
        let parent = self.parent.clone();
        if set.contains("PARENT") && self.groups.is_empty() {
            for controller in ["memory", "cpu"].into_iter().filter(|name| host().carrier(name).is_some()) {
                let group = host().group(controller, std::process::id() as i32).join(&parent);
                if !self.groups.contains(&group) {
                    fs::create_dir(&group).expect("a cgroup");
                    self.groups.push(group);
                }
            }
        }
        let replaced = set
            .replace("PARENT", &parent)
            .replace("ROOT", &self.root.path())
            .replace("HOLDER", &self.parent)
            .replace("IMAGE", &self.folder.text("image"))
            .replace("FOLDER", self.folder.text("").trim_end_matches('/'));
        Some(replaced.split_whitespace().map(String::from).collect())
    }

    /// `mydocker run WORDS probe status 0`, behind `before`.
    fn output(&self, before: &[&str], options: &[String], more: &[&str]) -> std::process::Output {
        let has_root = options.iter().any(|word| word == "--rootfs");
        let mut words: Vec<&str> = before.to_vec();
        words.extend([self.mydocker.as_str(), "run"]);
        let searches = options.iter().any(|word| word == "SEARCH");
        words.extend(
            options.iter().map(String::as_str).filter(|word| !["SEARCH", "TERMINAL", "STDIN", "PASSED"].contains(word)),
        );
        words.extend(more);
        words.extend([
            match (has_root, searches) {
                (true, _) => "/probe",
                (false, true) => "linked",
                (false, false) => &self.probe,
            },
            "--probe",
            "status",
            "0",
        ]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
        if options.iter().any(|word| word == "TERMINAL") {
            command.stdin(self.terminal.get_or_init(UserTerminal::new).stream());
            // SAFETY: it only makes two system calls
            unsafe { command.pre_exec(UserTerminal::lead_session(0)) };
        }
        if options.iter().any(|word| word == "STDIN") {
            command.stdin(fs::File::open(self.folder.path("file")).expect("open"));
        }
        if options.iter().any(|word| word == "PASSED") {
            // SAFETY: dup2 takes two integers, in the new process's own descriptor table
            unsafe {
                command.pre_exec(|| {
                    libc::dup2(0, 3);
                    libc::dup2(0, 4);
                    Ok(())
                })
            };
        }
        if searches {
            command.env("PATH", format!("/nonexistent:/proc:{}", self.folder.text("")));
        }
        if self.as_user && host().root {
            command.uid(USER).gid(USER);
        }
        // A run writes it, and refuses one that is there.
        fs::remove_file(self.folder.path("cid")).ok();
        let started = {
            let _forks_allowed = FORK_LOCK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the start of a program")
        };
        let output = started.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
        if options.iter().any(|word| word.starts_with("bridge")) {
            // The address is free again a moment after the end.
            wait_until("no interface but lo is left", || interfaces() == ["lo"]);
            forward_nothing();
        }
        output
    }

    /// What strace sees of a run.
    fn strace(&self, options: &[String], more: &[&str]) -> String {
        let file = self.folder.text("user/strace");
        let strace = tool("strace").expect("strace");
        self.output(&[strace.to_str().expect("UTF-8"), "-f", "-qq", "-y", "-s", "4096", "-o", &file], options, more);
        fs::read_to_string(file).expect("the trace")
    }
}

case!(every_option_has_a_set, Needs::NOTHING);
fn every_option_has_a_set() {
    let help = mydocker(&["run", "--help"]).finish().success();
    let mut count = 0;
    for line in help.lines() {
        // `  -m, --memory-limit, --memory BYTES  memory limit`: the names are at most six columns from the edge.
        let indent = line.len() - line.trim_start().len();
        if !(2..=6).contains(&indent) || !line.trim_start().starts_with('-') {
            continue;
        }
        let mut names: Vec<&str> = Vec::new();
        for word in line.split_whitespace().take_while(|word| word.starts_with('-')) {
            names.push(word.trim_end_matches(',').split(['=', '[']).next().expect("a name"));
        }
        count += 1;
        let is_left = |name: &&str| WAYS_TO_LOOK.contains(name) || DETACHED.contains(name);
        if names.iter().any(is_left) {
            continue;
        }
        let given =
            |set: &&str| set.split_whitespace().any(|word| names.contains(&word.split('=').next().unwrap_or(word)));
        assert!(SETS.iter().chain(SETS_OF_A_NETWORK).any(given), "no set has {names:?}");
    }
    assert!(count > 40, "{count} options in {help}");
}

/// The names of flags that the headers of mydocker and those of strace call differently.
const SAME: [(&str, &str); 7] = [
    ("AT_STATX_SYNC_AS_STAT", ""),
    ("SFD_CLOEXEC", "O_CLOEXEC"),
    ("O_RDONLY", ""),
    ("PROT_NONE", ""),
    ("IPPROTO_IP", ""),
    ("NULL", ""),
    ("0x0", ""),
];

/// The names of the flags in a word, without order.
fn flags(word: &str) -> Vec<String> {
    let mut flags: Vec<String> = word
        .split('|')
        .map(|flag| SAME.iter().find(|(name, _)| *name == flag).map_or(flag, |(_, same)| same).to_string())
        .filter(|flag| !flag.trim_matches('0').is_empty())
        .collect();
    flags.sort();
    flags
}

/// Whether `real` is `dry`, where `PID`, `N` and the pid in the name of a cgroup are what only the run knows.
fn same_text(dry: &[u8], real: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let (mut d, mut r) = (dry, real);
    while let Some((byte, after)) = d.split_first() {
        if d.starts_with(b"mydocker-") && r.starts_with(b"mydocker-") {
            (d, r) = (&d[9..], &r[9..]);
            (d, r) = (&d[digits(d)..], &r[digits(r)..]);
            continue;
        }
        let unknown = if d.starts_with(b"PID") { 3 } else { usize::from(*byte == b'N' && digits(r) > 0) };
        if unknown > 0 && digits(r) > 0 {
            (d, r) = (&d[unknown..], &r[digits(r)..]);
            continue;
        }
        match r.split_first() {
            Some((other, rest)) if other == byte => (d, r) = (after, rest),
            _ => return false,
        }
    }
    r.is_empty()
}

/// Whether what the dry run shows is what strace shows: `...` is an address, or what the kernel fills in.
fn same(dry: &Value, real: &Value) -> bool {
    match (dry, real) {
        (Value::Word(word, _), _) if word == "..." => true,
        (Value::Text(dry, cut), Value::Text(real, _)) => {
            if *cut {
                real.len() > dry.len() && same_text(dry, &real[..dry.len()])
            } else {
                same_text(dry, real)
            }
        }
        (Value::List(dry), Value::List(real)) => {
            dry.len() == real.len() && dry.iter().zip(real).all(|(dry, real)| same(dry, real))
        }
        // strace knows more of some structures.
        (Value::Fields(dry), Value::Fields(real)) => {
            dry.iter().all(|(name, value)| real.iter().any(|(other, real)| other == name && same(value, real)))
        }
        (Value::Word(dry, file), Value::Word(real, real_file)) => {
            let same_file = match (file, real_file) {
                (Some(file), Some(real)) => same_file(file, real),
                _ => true,
            };
            // strace names the capabilities of a set, mydocker shows its bits.
            let is_set = real.starts_with("1<<CAP_") && capabilities(real) == number(dry);
            // Some ioctls share a number with one of another kind of device.
            let is_one_of = real.split(" or ").any(|name| name == dry);
            let same_number = number(dry).is_some() && number(dry) == number(real);
            same_file
                && (same_text(dry.as_bytes(), real.as_bytes())
                    || flags(dry) == flags(real)
                    || same_number
                    || is_set
                    || is_one_of)
        }
        _ => false,
    }
}

/// A number as C writes it, or the names of bits that only one side knows.
fn number(word: &str) -> Option<u64> {
    // strace names no flags of open(2) in the argument of an ioctl, and mydocker no types of mknod(2).
    // The first signals behind the usual ones belong to the C library, and whoever starts the tests may ignore them.
    const BITS: [(&str, u32); 7] = [
        ("SIGRTMIN", 32),
        ("SIGRT_1", 33),
        ("O_RDWR", libc::O_RDWR as u32),
        ("O_NOCTTY", libc::O_NOCTTY as u32),
        ("O_CLOEXEC", libc::O_CLOEXEC as u32),
        ("S_IFCHR", libc::S_IFCHR),
        ("S_IFREG", libc::S_IFREG),
    ];
    if word.contains('|') {
        return word.split('|').try_fold(0, |set, word| Some(set | number(word)?));
    }
    if let Some((_, bits)) = BITS.iter().find(|(name, _)| *name == word) {
        return Some(u64::from(*bits));
    }
    if let Some((major, minor)) =
        word.strip_prefix("makedev(").and_then(|rest| rest.strip_suffix(')')?.split_once(", "))
    {
        return Some(rustix::fs::makedev(number(major)? as u32, number(minor)? as u32));
    }
    match (word.strip_prefix("0x"), word.strip_prefix('0')) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok(),
        _ if word == "NULL" => Some(0),
        _ => word.parse().ok(),
    }
}

/// The bits of `1<<CAP_CHOWN|1<<CAP_KILL`.
fn capabilities(word: &str) -> Option<u64> {
    let mut bits = word.split('|').map(|word| {
        let name = word.strip_prefix("1<<CAP_")?;
        Some(1 << CAPABILITIES.iter().position(|known| *known == name)?)
    });
    bits.try_fold(0, |set, bit: Option<u64>| Some(set | bit?))
}

/// By number, as capability.h has them.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Only a container in a network of this test's own is told to forward.
fn forward_nothing() {
    fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("ip_forward");
}

fn same_file(dry: &str, real: &str) -> bool {
    let kind = |prefix: &str| real.starts_with(prefix);
    match dry {
        // One that was open before the first step.
        _ if dry.starts_with("socket:[") => kind("socket:["),
        // A stream of the run, which is another pipe in each.
        _ if dry.starts_with("pipe:[") => kind("pipe:["),
        "pipe" => kind("pipe:["),
        "socket" => kind("socket:[") || kind("UNIX"),
        _ if dry.ends_with("/ns/net") => kind("net:["),
        _ if dry.ends_with("/ns/mnt") => kind("mnt:["),
        _ if dry.ends_with("/ns/pid") => kind("pid:["),
        // The working directory of these runs.
        "." => real == "/",
        "signals" => kind("anon_inode:[signalfd]"),
        "terminal" => kind("/dev/pts/"),
        _ => same_text(dry.as_bytes(), real.as_bytes()),
    }
}

fn same_call(dry: &Call, real: &Call) -> bool {
    let (mut dry_arguments, mut real_arguments) = (dry.arguments.clone(), real.arguments.clone());
    if dry.name == "clone" && real.name == "clone" {
        // strace shows the arguments of clone in another order, and the stack besides.
        real_arguments.retain(|(name, _)| name == "flags");
        return real_arguments.iter().zip(&dry_arguments).all(|((_, real), (_, dry))| same(dry, real));
    }
    if dry.name == "mount"
        && let Some((_, kind @ Value::Text(..))) = dry_arguments.get_mut(2)
        && *kind == Value::Text(Vec::new(), false)
        && let Some((_, Value::Word(address, _))) = real_arguments.get(2)
        && address.starts_with("0x")
    {
        // Where the flags make the kernel ignore the type, strace shows its address.
        *kind = Value::Word(address.clone(), None);
    }
    if let (
        "move_mount" | "mount_setattr" | "close" | "fchdir",
        Some((_, Value::Word(_, file))),
        Some((_, Value::Word(_, Some(real)))),
    ) = (dry.name.as_str(), dry_arguments.first_mut(), real_arguments.first())
        && (real == "/" || !["move_mount", "fchdir"].contains(&dry.name.as_str()))
    {
        // A mount that is not attached yet, or not any more, has no path but its own top, and one that is has that of its place.
        *file = None;
    }
    if dry.name == "sendto" && !matches!(real_arguments[1].1, Value::Text(..)) {
        // strace decodes the requests of netlink(7), each with its length, and mydocker shows the bytes, the first of which are
        // that length and the type. What they make is compared in network_script.rs.
        let Value::Text(bytes, _) = &dry_arguments[1].1 else { return false };
        let word =
            |at: usize, len: usize| bytes[at..at + len].iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte));
        if !real.line.contains(&format!("nlmsg_len={}, nlmsg_type=", word(0, 4))) {
            return false;
        }
        dry_arguments.remove(1);
        real_arguments.remove(1);
    }
    // strace shows the last argument of mknod only of a device.
    if dry.name == "mknodat"
        && real_arguments.len() == 3
        && matches!(&dry_arguments[3].1, Value::Word(word, _) if word == "0")
    {
        dry_arguments.pop();
    }
    if dry.name == "write" && matches!(&dry_arguments[1].1, Value::Text(text, _) if text.starts_with(b"PID")) {
        // How long a pid is, only the run knows.
        dry_arguments[2].1 = real_arguments[2].1.clone();
    }
    dry.name == real.name
        && dry_arguments.len() == real_arguments.len()
        && dry_arguments.iter().zip(&real_arguments).all(|((_, dry), (_, real))| same(dry, real))
}

/// Compares the calls of one process, up to the call whose name is `last`: what comes after the steps.
fn compare(dry: &[Call], real: &[Call], last: &str) -> Result<(), String> {
    let mut real = real.iter().peekable();
    let mut dry = dry.iter().enumerate().peekable();
    let mut hidden = false;
    while let Some((number, expected)) = dry.next() {
        // pivot_root cannot move the initramfs: the new root is moved over it, and nothing is unmounted.
        if expected.name == "umount2" && core::mem::take(&mut hidden) {
            continue;
        }
        let Some(seen) = real.next() else { return Err(format!("nothing for {}", expected.line)) };
        if expected.name == "execve" && is_search(expected, seen, &mut real) {
            continue;
        }
        if !same_call(expected, seen) {
            return Err(format!("call {number}\n  dry run {}\n  run     {}", expected.line, seen.line));
        }
        if expected.name == "pivot_root"
            && root_is_initramfs()
            && seen.result.as_deref().is_some_and(|result| result.starts_with("-1 EINVAL"))
        {
            let instead: Vec<&str> = real.by_ref().take(2).map(|call| call.name.as_str()).collect();
            if instead != ["mount", "chroot"] {
                return Err(format!("{instead:?} instead of pivot_root"));
            }
            hidden = true;
        }
        // What this kernel has not got in /proc or /sys need not be masked: nothing more is done about it.
        if expected.name == "mount"
            && seen.result.as_deref().is_some_and(|result| result.starts_with("-1 ENOENT"))
            && matches!(&expected.arguments[1].1, Value::Text(point, _) if !point.starts_with(b"/"))
        {
            let same_point = |call: &Call| call.name == "mount" && call.arguments[1] == expected.arguments[1];
            while dry.next_if(|(_, call)| same_point(call)).is_some() {}
        }
        // In a user namespace /dev is an empty tmpfs, and a host may have no /etc/hosts: what is bound there is created first.
        let missing =
            seen.name == "openat2" && seen.result.as_deref().is_some_and(|result| result.starts_with("-1 ENOENT"));
        let may_be_missing = |path: &[u8]| path.starts_with(b"/dev/") || path.starts_with(b"/etc/");
        if missing && matches!(&seen.arguments[1].1, Value::Text(path, _) if may_be_missing(path)) {
            let creates = ["openat2", "openat", "mkdirat", "sendmsg", "close"];
            let mut created = Vec::new();
            while let Some(call) = real.next_if(|call| creates.contains(&call.name.as_str())) {
                created.push(call);
            }
            let last = created.last().filter(|last| last.arguments == seen.arguments);
            let made = created.iter().any(|call| call.name == "mkdirat" || call.line.contains("O_CREAT|O_EXCL"));
            if !made || last.and_then(|last| last.result.as_ref()).is_none_or(|result| result.starts_with('-')) {
                let lines: Vec<&str> = created.iter().map(|call| call.line.as_str()).collect();
                return Err(format!("what is missing is not created: {}, then {lines:?}", seen.line));
            }
        }
        // What is in a file of the container, and how many reads it takes, only the run knows.
        if seen.name == "read" {
            while real.next_if(|more| more.name == "read" && more.arguments[0] == seen.arguments[0]).is_some() {}
        }
    }
    match real.next().map_or("", |call| call.name.as_str()) {
        next if next == last => Ok(()),
        next => Err(format!("{next:?} comes after its last step, and not {last:?}")),
    }
}

/// Whether `seen` and what follows it is the search for a word without a slash in PATH. Where the command is, only the run
/// finds out.
fn is_search<'a>(expected: &Call, seen: &'a Call, real: &mut Peekable<impl Iterator<Item = &'a Call>>) -> bool {
    let Value::Text(word, _) = &expected.arguments[0].1 else { return false };
    let is_candidate = |call: &Call| {
        let file = matches!(&call.arguments[0].1, Value::Text(path, _)
            if path.strip_suffix(word.as_slice()).is_some_and(|directory| directory.ends_with(b"/")));
        call.name == "execve" && file && same(&expected.arguments[1].1, &call.arguments[1].1)
    };
    let mut last = seen;
    while last.result.as_deref().is_some_and(|result| result.starts_with("-1 ENOENT")) && is_candidate(last) {
        let Some(next) = real.next() else { return false };
        last = next;
    }
    !word.contains(&b'/') && is_candidate(last) && last.result.as_deref() == Some("0")
}

/// The calls of the table of one process.
fn planned(table: &str, child: bool) -> Vec<Call> {
    let steps = parse_table(table).into_iter().filter(|step| step.child == child);
    let calls = steps.flat_map(|step| step.calls);
    calls.map(|line| parse_call(&line).unwrap_or_else(|| panic!("no call: {line}"))).collect()
}

/// Compares a run with its dry run; returns the differences.
fn compare_with_strace(place: &mut Place, set: &str) -> Vec<String> {
    let mut differences = Vec::new();
    for _ in 0..5 {
        let was_swept;
        (differences, was_swept) = compare_once(place, set);
        if differences.is_empty() || !was_swept {
            break;
        }
    }
    differences
}

/// Whether a sweep of another case's run has met a directory of this one between mkdirat and flock: it is created again.
fn creates_again(parent: &Process) -> bool {
    let mut made = std::collections::BTreeSet::new();
    let calls = parent.calls.iter().filter(|call| call.name == "mkdirat");
    calls.map(|call| call.line.split(" = ").next().map(str::trim_end)).any(|call| !made.insert(call))
}

/// The differences, and whether the run was swept.
fn compare_once(place: &mut Place, set: &str) -> (Vec<String>, bool) {
    let Some(options) = place.words(set) else { return (Vec::new(), false) };
    // A run leaves controllers enabled: after one such run the plan does not change any more.
    place.output(&[], &options, &[]);
    let table = String::from_utf8(place.output(&[], &options, &["--dry-run"]).stdout).expect("UTF-8");
    // strace resolves /proc/self, which is the process that reads or writes a file there.
    let mut trace = place.strace(&options, &[]).replace("</proc/1/", "</proc/self/");
    if let Some((parent, _)) = trace.split_once(' ') {
        trace = trace.replace(&format!("</proc/{parent}/stat>"), "</proc/self/stat>");
    }
    let mut processes: Vec<Process> = processes(&trace);
    let was_swept = creates_again(&processes[0]);
    // What --trace needs itself does not go through the gate: the time, and the writes to its file.
    let trace = place.folder.text("trace");
    let is_own = |call: &Call| {
        let file = call.arguments.first().map(|(_, value)| value);
        call.name == "write" && matches!(file, Some(Value::Word(_, Some(path))) if *path == trace)
    };
    if set.contains("--trace") {
        processes
            .iter_mut()
            .for_each(|process| process.calls.retain(|call| call.name != "clock_gettime" && !is_own(call)));
    }
    let (mut parent, child) = (planned(&table, false), planned(&table, true));
    if set.contains("bridge") {
        // What the kernel answers about the bridge is large: the heap may grow, which a dry run does not note.
        let is_heap = |call: &Call| call.name == "mmap" && !call.line.contains("MAP_STACK");
        // While another process changes interfaces, the kernel begins a write to ip_forward again: strace shows it twice.
        let is_restarted = |call: &Call| call.line.contains("ERESTARTNOINTR");
        processes[0].calls.retain(|call| !is_heap(call) && !is_restarted(call));
    }
    let begin = processes[0].calls.iter().position(|call| same_call(&parent[0], call)).expect("the first step");
    let mut differences = Vec::new();
    // Before its first step it only looks.
    let changing = processes[0].calls[..begin].iter().find(|call| !only_looks(call) && !call.line.contains(&trace));
    differences.extend(changing.map(|call| format!("{set:?} parent before its first step {}", call.line)));
    let mut note = |who: &str, result: Result<(), String>| {
        differences.extend(result.err().map(|difference| format!("{set:?} {who} {difference}")));
    };
    // What removes the bridge if mydocker is killed is another process, whose calls the table shows where the parent makes it.
    let is_guard =
        |calls: &[Call]| calls.windows(2).position(|pair| pair[0].name == "chdir" && pair[1].name == "close_range");
    let guard = processes.iter().skip(1).position(|process| {
        is_guard(&process.calls).is_some()
            && !process.calls.iter().any(|call| ["execve", "epoll_create1"].contains(&call.name.as_str()))
    });
    if let Some(guard) = guard.filter(|_| set.contains("bridge")) {
        let begin = is_guard(&parent).expect("a chdir");
        let end = begin + parent[begin..].iter().position(|call| call.name == "read").expect("a read") + 1;
        let planned: Vec<Call> = parent.drain(begin..end).collect();
        let real = processes.remove(guard + 1).calls;
        let real = &real[is_guard(&real).expect("a chdir")..];
        // It is killed where it waits: the last call does not return.
        let (last, before) = planned.split_last().expect("a read");
        note("guard", compare(before, &real[..before.len().min(real.len())], ""));
        assert_eq!(real.get(before.len()).map(|call| &call.name), Some(&last.name), "{set:?}");
    }
    // The relay is a third process: how it is confined before it serves, the table shows where the parent makes it.
    let is_relay = |process: &Process| process.calls.iter().any(|call| call.name == "epoll_create1");
    if let Some(relay) = processes.iter().position(is_relay) {
        // Before it enters a network, it sees to it that nobody looks into it.
        let begin = parent.iter().position(|call| call.name == "setns").expect("a setns") - 1;
        let end = begin + parent[begin..].iter().position(|call| call.name == "close").expect("a close");
        let planned: Vec<Call> = parent.drain(begin..end).collect();
        let real = processes.remove(relay).calls;
        let real = &real[real.iter().position(|call| call.name == planned[0].name).expect("the first of them")..];
        note("relay", compare(&planned, &real[..planned.len().min(real.len())], ""));
    }
    note("parent", compare(&parent, &processes[0].calls[begin..], "ppoll"));
    let mut real = std::mem::take(&mut processes[1].calls);
    if let Some(fork) = real.iter().position(|call| call.name == "clone") {
        real.truncate(fork + 1);
        real.append(&mut processes[2].calls);
    }
    // What the command itself calls is not mydocker's.
    let has_become = |call: &Call| call.name == "execve" && call.result.as_deref() == Some("0");
    let end = real.iter().position(has_become).expect("an execve that works");
    real.truncate(end + 1);
    note("child", compare(&child, &real, ""));
    (differences, was_swept)
}

case!(call_by_call, Needs::ROOT | Needs::STRACE | Needs::OVERLAY);
fn call_by_call() {
    let mut place = Place::new(false);
    let differences: Vec<String> =
        every(3, SETS).into_iter().flat_map(|set| compare_with_strace(&mut place, set)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

case!(call_by_call_beside_a_mounted_file, Needs::ROOT | Needs::STRACE | Needs::OVERLAY | Needs::NO_INITRAMFS);
/// No overlay can be on a single file that is mounted somewhere, as `ip netns add` and docker do it: it is read-only.
fn call_by_call_beside_a_mounted_file() {
    in_own_mounts("private", "check-a-mounted-file");
}
probe!("check-a-mounted-file", |_| {
    let mut place = Place::new(false);
    let (file, point) = (place.folder.write("file", b"content\n"), place.folder.write("point", b""));
    mount(&file, &point, "", MountFlags::BIND, None).expect("bind");
    let differences = compare_with_strace(&mut place, "--ephemeral=50m --no-limits");
    unmount(&point, UnmountFlags::DETACH).expect("umount");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
});

case!(call_by_call_in_a_network, Needs::ROOT | Needs::STRACE | Needs::BRIDGE | Needs::SLEEP);
fn call_by_call_in_a_network() {
    in_own_network("check-rehearsal");
}
probe!("check-rehearsal", |_| {
    let mut place = Place::new(false);
    let records = place.folder.text("records");
    let (name, state) = (place.parent.clone(), ["--state", &records]);
    let holder = run(&[&state[..], &["--no-limits", "--name", &name]].concat(), &["sleep", "1000"]).start();
    let running = [&["ps", "-q", "--filter", "status=running"][..], &state].concat();
    wait_until("it runs", || mydocker(&running).finish().stdout_text().contains(&name));
    let mut differences = Vec::new();
    for set in SETS_OF_A_NETWORK {
        differences.extend(compare_with_strace(&mut place, set));
        let options = place.words(set).expect("words");
        for process in ["--dry-run", "--dry-run=sh"].iter().flat_map(|form| processes(&place.strace(&options, &[form])))
        {
            let changing = process.calls.iter().filter(|call| !only_looks(call));
            differences.extend(changing.map(|call| format!("{set:?} its dry run makes {}", call.line)));
        }
    }
    holder.send(libc::SIGTERM);
    drop(holder.finish());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
});

case!(call_by_call_as_an_ordinary_user, Needs::USER_NAMESPACES | Needs::STRACE | Needs::OVERLAY);
fn call_by_call_as_an_ordinary_user() {
    let mut place = Place::new(true);
    if crate::support::needs::has_range_of_ids() {
        // newuidmap is set-user-ID, which execve ignores for a program that is traced by an ordinary user.
        note("not compared: this user has a range of ids");
        return;
    }
    let differences: Vec<String> = every(3, SETS_OF_A_USER)
        .into_iter()
        .flat_map(|set| compare_with_strace(&mut place, &format!("--no-limits {set}")))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Whether a call changes nothing: it only looks, or is about memory and files of the process itself.
fn only_looks(call: &Call) -> bool {
    const LOOKS: [&str; 35] = [
        "arch_prctl",
        "brk",
        "clock_gettime",
        "close",
        "execve",
        "exit_group",
        "faccessat",
        "fcntl",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fstatfs",
        "getdents64",
        "getegid",
        "geteuid",
        "getpgid",
        "getpid",
        "getrandom",
        "getrusage",
        "lseek",
        // A copy of itself, in memory.
        "memfd_create",
        "mmap",
        "mprotect",
        "poll",
        "pread64",
        "read",
        "readlink",
        "readlinkat",
        "rseq",
        "sendfile",
        "sched_getaffinity",
        "set_robust_list",
        "set_tid_address",
        "statx",
        "uname",
    ];
    let word = |at: usize| match call.arguments.get(at) {
        Some((_, Value::Word(word, _))) => word.as_str(),
        _ => "",
    };
    match call.name.as_str() {
        // To standard output.
        "write" => word(0) == "1",
        "openat" | "openat2" => {
            !["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.line.contains(flag))
        }
        "prctl" => word(0).starts_with("PR_GET") || ["PR_CAPBSET_READ", "PR_SET_NAME"].contains(&word(0)),
        // Of a stream: whether it is a terminal, how large, and whose.
        "ioctl" => ["0", "1", "2"].contains(&word(0)) && ["TCGETS", "TIOCGWINSZ", "TIOCGPGRP"].contains(&word(1)),
        "prlimit64" => word(2) == "NULL",
        "rt_sigaction" => call.line.contains(", NULL, {"),
        // Questions about interfaces and routes; old versions of strace know RTM_GETLINK by its number. The lock is on the
        // network namespace, which another one shares.
        "socket" => word(0) == "AF_NETLINK",
        "sendto" => ["RTM_GETROUTE,", "RTM_GETLINK,", "0x12 "]
            .iter()
            .any(|kind| call.line.contains(&format!("nlmsg_type={kind}"))),
        "flock" => word(1).starts_with("LOCK_SH"),
        // Whether a process is there.
        "pidfd_open" => true,
        "ppoll" => call.line.contains("tv_sec=0, tv_nsec=0"),
        name => LOOKS.contains(&name),
    }
}

/// None of its calls changes anything: it opens files only for reading, and writes only to standard output.
fn dry_runs_only_look(as_user: bool, sets: &[&str], always: &str) {
    let mut place = Place::new(as_user);
    for form in ["--dry-run", "--dry-run=sh"] {
        for set in sets {
            let Some(options) = place.words(&format!("{always} {set}")) else { continue };
            // The file of a trace is that of the dry run, too: its calls are shown.
            let file = place.folder.text("trace");
            for process in processes(&place.strace(&options, &[form])) {
                for call in &process.calls {
                    assert!(only_looks(call) || call.line.contains(&file), "{form} {set}: {}", call.line);
                }
            }
            assert!(!place.folder.path("pid").exists() && !place.folder.path("stats.json").exists());
            assert_eq!(fs::read_dir(place.folder.path("user")).expect("a folder").count(), 1, "{form} {set}");
        }
    }
}

case!(it_only_looks, Needs::ROOT | Needs::STRACE);
fn it_only_looks() {
    dry_runs_only_look(false, &every(3, SETS), "");
}

case!(it_only_looks_as_an_ordinary_user, Needs::USER_NAMESPACES | Needs::STRACE);
fn it_only_looks_as_an_ordinary_user() {
    dry_runs_only_look(true, &every(3, SETS_OF_A_USER), "--no-limits");
}
