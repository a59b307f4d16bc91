//! `--dry-run=sh`: the script does the same as the run, or it stops with 125 and says why.
//!
//! Each set of options is carried out twice from the same beginning, as a run and as the printed script, and everything
//! that the command sees is compared, what is then on the host too.

use super::boundary::{have_what_is_the_callers, make_node, session_keyring};
use crate::probes::own_mounts::in_own_mounts;
use crate::support::folder::Folder;
use crate::support::harness::{mydocker_at, mydocker_file, probe_file, run, unique_name};
use crate::support::host::{host, tool};
use crate::support::needs::{Needs, debian_root, every, is_virtual_host};
use crate::support::notes::note;
use crate::support::roots::{Root, loops_of, make_image};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

probe!("everything", |words| everything(words.rest));
/// Prints all that a command can see of what a run has made for it. The words: the namespaces of the host, and a file to
/// write, the folder of the scene, and words that only are there.
fn everything(words: &[OsString]) -> i32 {
    let hosts = words[0].to_str().expect("UTF-8");
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let of_status = ["Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp:", "Cap", "SigBlk", "Umask"];
    status
        .lines()
        .filter(|line| of_status.iter().any(|name| line.starts_with(name)))
        .for_each(|line| println!("{line}"));
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).expect("SigIgn");
    // 32 and 33 belong to the C library, and no tool changes them.
    println!("ignored {:x}", u64::from_str_radix(ignored, 16).expect("hex") & !(3 << 31));
    print!("{}", fs::read_to_string("/proc/self/limits").expect("limits"));
    print!("{}", fs::read_to_string("/proc/self/uid_map").expect("uid_map"));
    print!("{}", fs::read_to_string("/proc/self/gid_map").expect("gid_map"));
    println!("oom {:?}", fs::read_to_string("/proc/self/oom_score_adj").ok());
    println!("hostname {:?}", rustix::system::uname().nodename());
    println!("directory {:?}", std::env::current_dir());
    println!("words {:?}", std::env::args_os().skip(5).collect::<Vec<_>>());
    for (name, value) in std::env::vars_os().collect::<BTreeMap<_, _>>() {
        println!("env {name:?}={value:?}");
    }
    for namespace in NAMESPACES {
        let own = fs::read_link(format!("/proc/self/ns/{namespace}")).expect("a namespace");
        println!("{namespace} is new: {}", !hosts.contains(own.to_str().expect("UTF-8")));
    }
    if std::process::id() == 1 {
        let all = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.file_name());
        println!("processes {:?}", all.filter(|name| name.as_bytes()[0].is_ascii_digit()).collect::<Vec<_>>());
    }
    see_mounts(words[2].to_str().expect("UTF-8"));
    for file in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"] {
        println!("{file} {:?}", fs::read_to_string(file).map_err(|error| error.kind()));
    }
    // Others on this host may mount a hierarchy of some other controller meanwhile.
    for line in fs::read_to_string("/proc/self/cgroup").unwrap_or_default().lines() {
        let list = line.split(':').nth(1).unwrap_or_default();
        if list.is_empty() || ["memory", "cpu", "cpuset", "pids"].iter().any(|name| list.split(',').any(|c| c == *name))
        {
            println!("group {}", line.split_once(':').unwrap_or_default().1);
        }
    }
    for file in ["/proc/timer_list", "/proc/interrupts", "/sys/firmware"] {
        println!("{file} is empty: {:?}", fs::read(file).map(|text| text.is_empty()).map_err(|error| error.kind()));
    }
    for path in
        ["/", "/dev", "/dev/shm", "/dev/null", "/dev/ptmx", "/proc", "/sys", "/etc/hosts", "/seen", "/seen/below"]
    {
        println!("{path} {}", describe(Path::new(path)));
    }
    for network in ["/proc/self/net/dev", "/proc/self/net/route"] {
        let text = fs::read_to_string(network).expect("net");
        println!("{network} {:?}", text.lines().map(|line| line.split(':').next().unwrap().trim()).collect::<Vec<_>>());
    }
    let talks = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.connect(("127.0.0.1", 9)));
    println!("talks to itself: {}", talks.is_ok());
    for node in ["/node", "/mnt/node"] {
        println!("{node} opens: {:?}", fs::File::open(node).map(drop).map_err(|error| error.raw_os_error()));
    }
    // Not its owner: with -u, keyctl(1) makes it before the ids are given up.
    let keyring = session_keyring();
    println!("keyring {:?}", keyring.split(';').skip(3).collect::<Vec<_>>());
    // SAFETY: F_GETFD takes no pointer
    let open = (0..64).filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0).collect::<Vec<_>>();
    println!("descriptors {open:?}");
    if let Some(file) = words.get(1).filter(|file| !file.is_empty()) {
        println!("writes {:?}", fs::write(file, "written\n").map_err(|error| error.raw_os_error()));
    }
    7
}

const NAMESPACES: [&str; 7] = ["uts", "pid", "mnt", "net", "ipc", "user", "cgroup"];

/// The mounts without their ids, and the limits in those of cgroups. The order is that of the mount points, not
/// that of time: the script mounts its volumes first, in memory, and its root last.
/// Other tests, which mount beside this one, are skipped: `folder` is that of this one.
fn see_mounts(folder: &str) {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let mut mounts: Vec<(&str, String)> = Vec::new();
    for line in mountinfo.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if fields[4].contains("/mydocker-test-") && !fields[4].contains(folder) {
            continue;
        }
        let dash = fields.iter().position(|field| *field == "-").expect("a dash");
        let slave = fields[6..dash].iter().any(|field| field.starts_with("master:"));
        let mut source = fields[dash + 1..].join(" ");
        // Which loop device is free differs; and so does the place where writes are put together, which the root hides.
        if let Some((before, after)) = source.split_once("/dev/loop") {
            source = format!("{before}/dev/loop {}", after.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        for place in ["=/sys/stage/", "=/sys/"] {
            source = source.replace(place, "=/proc/");
        }
        mounts.push((fields[4], format!("{} {} slave={slave} {source}", fields[3], fields[5])));
        if fields[dash + 1].starts_with("cgroup") {
            for name in LIMITS {
                if let Ok(value) = fs::read_to_string(Path::new(fields[4]).join(name)) {
                    println!("limit {} {name} {value:?}", fields[4]);
                }
            }
        }
    }
    mounts.sort_by_key(|(point, _)| *point);
    // Of the mounts on one point only the last can be seen. mount_setattr(2) changes those that it hides too.
    mounts.reverse();
    mounts.dedup_by_key(|(point, _)| *point);
    mounts.reverse();
    mounts.iter().for_each(|(point, what)| println!("mount {point} {what}"));
}

const LIMITS: [&str; 14] = [
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.max",
    "memory.swap.max",
    "cpu.shares",
    "cpu.weight",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.max",
    "cpuset.cpus",
    "cpuset.mems",
    "pids.max",
    "cgroup.type",
    "cgroup.controllers",
];

/// Kind, mode, owner and content of what is at `path`.
fn describe(path: &Path) -> String {
    let Ok(status) = fs::symlink_metadata(path) else { return "none".into() };
    let target = fs::read_link(path).ok();
    let size = if status.is_file() { status.len() } else { 0 };
    format!("{:o} {}:{} {:x} {size} {target:?}", status.mode(), status.uid(), status.gid(), status.rdev())
}

/// What lies below `directory`.
fn listing(directory: &Path, found: &mut Vec<String>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        found.push(format!("{} {}", path.display(), describe(&path)));
        if !path.is_symlink() {
            listing(&path, found);
        }
    }
}

/// How a set of options ends as a script.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Ends {
    /// The command sees the same.
    Same,
    /// The script stops, and the message contains this; without the line that stops it, all but what that line is about is
    /// the same.
    Stops(&'static str),
}
use Ends::{Same, Stops};

/// The filter is what no shell can do, and all sets but a few are without it.
const UNFILTERED: &str = "--security-opt seccomp=unconfined";

/// FOLDER is a directory with `data` (a file and a directory in it), `file`, `variables` and `root`. A `~` is a blank in
/// a word.
const SETS: &[(&str, Ends)] = &[
    ("", Stops(UNFILTERED)),
    ("--security-opt seccomp=unconfined", Same),
    ("--privileged", Same),
    ("--privileged --no-limits", Same),
    ("--no-limits UNFILTERED", Same),
    ("UNFILTERED --security-opt no-new-privileges=false", Same),
    ("UNFILTERED --cap-add ALL", Same),
    ("UNFILTERED --cap-drop ALL", Same),
    ("UNFILTERED --cap-add NET_ADMIN --cap-add SYS_TIME --cap-drop CHOWN", Same),
    ("UNFILTERED -m 100m", Same),
    ("UNFILTERED -m 100m --memory-swap 150m", Same),
    ("UNFILTERED -m max --cpu-shares 512", Same),
    ("UNFILTERED --cpus 0.5", Same),
    ("UNFILTERED --cpu-set 0 --cpu-mems 0", Same),
    ("UNFILTERED --pids-limit 77", Same),
    ("UNFILTERED --cgroup-parent /PARENT", Same),
    ("UNFILTERED --hostname other", Same),
    // Debian's hostname(1) does not take it.
    ("UNFILTERED --hostname an_other", Same),
    ("UNFILTERED --rootfs / --ephemeral", Same),
    ("UNFILTERED --rootfs /", Stops("leave out --rootfs /")),
    ("UNFILTERED --uts host", Same),
    ("UNFILTERED --ipc host", Same),
    ("UNFILTERED --network host", Same),
    ("--privileged --network host --ipc host --uts host", Same),
    ("UNFILTERED --pid host", Stops("--pid host")),
    ("UNFILTERED --userns host", Same),
    ("UNFILTERED -u 1000", Same),
    ("UNFILTERED -u 1000:1001", Same),
    ("UNFILTERED -u nobody", Same),
    ("UNFILTERED -u root:nogroup", Same),
    ("--privileged -u 1000:1001 --no-limits", Same),
    ("UNFILTERED --ulimit nofile=100:200 --ulimit core=0 --ulimit nproc=4000", Same),
    ("UNFILTERED --ulimit stack=1000000:2000000 --ulimit cpu=50", Same),
    ("UNFILTERED -w /", Same),
    ("UNFILTERED -w /usr -e A=b -e EMPTY= -e HOME", Same),
    ("UNFILTERED -e A=it's~'quoted'~\"$HOME\"~`id`~\\n~%s~* -e -x=1 -e A.B=c", Same),
    ("UNFILTERED --env-file FOLDER/variables -e PATH=/nowhere", Same),
    ("UNFILTERED -v FOLDER/data:/mnt", Same),
    ("UNFILTERED -v FOLDER/data:/mnt:ro", Same),
    ("UNFILTERED -v FOLDER/file:/etc/passwd:ro", Same),
    ("UNFILTERED -v FOLDER/a~b%41\\:/mnt:ro", Same),
    ("UNFILTERED -v FOLDER/data:/mnt -v /mnt:FOLDER/empty", Same),
    ("UNFILTERED -v FOLDER/file:FOLDER/link:ro", Same),
    ("UNFILTERED -v FOLDER/data:/mnt -v FOLDER/empty:/mnt/below", Same),
    ("UNFILTERED -v FOLDER/empty:/mnt/below -v FOLDER/data:/mnt", Same),
    ("UNFILTERED --tmpfs /mnt:size=1m,mode=1777,exec", Same),
    ("UNFILTERED --tmpfs /mnt:uid=5,gid=6,nr_inodes=100,ro", Same),
    ("UNFILTERED --tmpfs /mnt -v FOLDER/data:/mnt/a/data -v FOLDER/file:/mnt/file:ro --tmpfs /mnt/b", Same),
    ("UNFILTERED --tmpfs /mnt -w /mnt/work/here", Same),
    ("UNFILTERED --read-only", Same),
    ("UNFILTERED --stats", Stops("--stats")),
    ("UNFILTERED --stats=FOLDER/stats", Stops("--stats")),
    ("UNFILTERED --pid-file FOLDER/pid", Stops("--pid-file")),
    ("UNFILTERED --init", Stops("--init")),
    ("UNFILTERED -t", Stops("-t")),
    ("UNFILTERED -i --rm", Same),
    ("UNFILTERED --rootfs FOLDER/root", Same),
    ("--rootfs FOLDER/root", Stops(UNFILTERED)),
    ("--privileged --rootfs FOLDER/root", Same),
    ("--privileged --rootfs FOLDER/root -u 1000 --network host --uts host --ipc host", Same),
    ("UNFILTERED --rootfs FOLDER/root --no-limits --hostname h", Same),
    ("UNFILTERED --rootfs FOLDER/root --read-only", Same),
    ("UNFILTERED --rootfs FOLDER/root --read-only -v FOLDER/data:/mnt --tmpfs /tmp", Same),
    ("UNFILTERED --rootfs FOLDER/root -v FOLDER/data:/new/place --tmpfs /other/place", Same),
    ("UNFILTERED --rootfs FOLDER/root -v FOLDER/file:/new/file:ro -v FOLDER/data:/new", Same),
    ("UNFILTERED --rootfs FOLDER/root -v FOLDER:/seen", Same),
    ("UNFILTERED --rootfs FOLDER/root -v FOLDER/root:/seen:ro --read-only", Same),
    ("UNFILTERED --rootfs FOLDER/root -v FOLDER/data:/out/of/it", Stops("-v")),
    ("UNFILTERED --rootfs FOLDER/root -v /sys/kernel:/seen", Stops("-v")),
    ("UNFILTERED --rootfs FOLDER/root -w /work/here -e A=1", Same),
    ("UNFILTERED --rootfs FOLDER/root -w /tmp -u 1000:1001", Same),
    ("UNFILTERED --rootfs FOLDER/root -u someone", Same),
    ("UNFILTERED --rootfs FOLDER/root -u someone -w /tmp", Stops("-w")),
    ("UNFILTERED --rootfs FOLDER/root -u someone --cap-drop SETUID", Stops("--cap-add")),
    ("UNFILTERED --rootfs FOLDER/root --cap-drop ALL", Stops("--cap-add")),
    ("UNFILTERED --rootfs FOLDER/root --cap-drop ALL --cap-add SYS_CHROOT", Same),
    ("UNFILTERED --rootfs FOLDER/root --device /dev/loop-control --shm-size 1m", Same),
    ("UNFILTERED --rootfs FOLDER/root --ephemeral", Same),
    ("UNFILTERED --rootfs FOLDER/theirs --ephemeral", Same),
    ("UNFILTERED --rootfs FOLDER/root --ephemeral=10m -v FOLDER/data:/mnt -v FOLDER:/seen:ro -u 1000", Same),
    ("UNFILTERED --rootfs FOLDER/root --ephemeral --read-only -e PATH=/bin:/nowhere", Same),
    ("UNFILTERED --rootfs FOLDER/root --ulimit nofile=64 --ulimit memlock=1000 -m 50m --pids-limit 20", Same),
    ("UNFILTERED --ephemeral -w /tmp", Same),
    ("--privileged --ephemeral --network host", Same),
    ("UNFILTERED --rootfs FOLDER/squashfs", Same),
    ("UNFILTERED --rootfs FOLDER/squashfs --read-only", Same),
    ("UNFILTERED --rootfs FOLDER/erofs -w /new", Same),
    ("UNFILTERED --rootfs FOLDER/ext4 --ephemeral=1m", Same),
];

/// What both forms of a set find on the host, made anew for each.
struct Scene {
    folder: Folder,
    mydocker: String,
    probe: String,
    /// Who runs it.
    user: u32,
    /// With this PATH, and this shell.
    path: Option<PathBuf>,
    shell: Vec<OsString>,
    /// What stands for UNFILTERED in the sets.
    unfiltered: &'static str,
    /// The caller has things of its own that a container does not get.
    has_things: bool,
    variables: BTreeMap<&'static str, &'static str>,
}

impl Scene {
    fn new(user: u32) -> Scene {
        let folder = Folder::new();
        let mydocker = folder.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
        let probe = folder.write_program("probe", &fs::read(probe_file()).expect("this file"));
        fs::create_dir(folder.path("changes")).expect("mkdir");
        let shell = vec![tool("dash").unwrap_or_else(|| "sh".into()).into_os_string()];
        let variables = BTreeMap::from([
            ("OLDPWD", "/old"),
            ("PWD", "/"),
            ("ODD.NAME", "odd"),
            ("child", "mine"),
            ("root", "mine"),
        ]);
        Scene { folder, mydocker, probe, user, path: None, shell, unfiltered: UNFILTERED, has_things: false, variables }
    }

    fn changes(&self) -> PathBuf {
        self.folder.path("changes")
    }

    /// Makes `changes` what it is before every run.
    fn reset(&self) {
        let changes = self.changes();
        fs::remove_dir_all(&changes).expect("rmdir");
        for name in [
            "",
            "data",
            "data/below",
            "empty",
            "a b%41\\",
            "root",
            "root/etc",
            "root/tmp",
            "root/seen",
            "theirs",
            "theirs/seen",
        ] {
            let path = changes.join(name);
            fs::create_dir(&path).expect("mkdir");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("chmod");
        }
        fs::write(changes.join("file"), "root:x:0:0::/:\nsomeone:x:77:78::/home/someone:\n").expect("write");
        fs::write(changes.join("data/inside"), "").expect("write");
        std::os::unix::fs::symlink("variables", changes.join("link")).expect("symlink");
        fs::write(changes.join("variables"), "# a comment\nFROM_FILE=a b\nHOME\n").expect("write");
        fs::write(changes.join("root/etc/passwd"), "root:x:0:0::/:\nsomeone:x:77:78::/home/someone:\n").expect("write");
        fs::write(changes.join("root/etc/group"), "one:x:81:someone\ntwo:x:82:root,someone\n").expect("write");
        symlink(self.changes().join("empty"), changes.join("root/out")).expect("symlink");
        if host().root {
            ["root/node", "data/node"].iter().for_each(|node| make_node(&changes.join(node)));
        }
        for root in ["root", "theirs"] {
            fs::hard_link(&self.probe, changes.join(root).join("probe")).expect("the probe in a root");
        }
        if self.user != 0 {
            for entry in fs::read_dir(&changes).expect("readdir").flatten() {
                own(&entry.path(), self.user);
            }
        }
        own(&changes, self.user);
        // A root that belongs to somebody else.
        if self.user == 0 {
            own(&changes.join("theirs"), 77);
        }
    }

    fn start(&self, words: &[OsString]) -> Output {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir("/").stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(&self.variables);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        if self.user != 0 && host().root {
            command.uid(self.user).gid(self.user);
        }
        without_high_descriptors(&mut command);
        if self.has_things {
            // SAFETY: it makes system calls, and nothing else
            unsafe { command.pre_exec(have_what_is_the_callers) };
        }
        command.output().expect("start of a set")
    }

    /// The two forms of a set; what they printed, and what is on the host after each.
    fn compare(&self, options: &str, name: &str) -> Compared {
        let hosts: Vec<String> = NAMESPACES
            .iter()
            .map(|namespace| fs::read_link(format!("/proc/self/ns/{namespace}")).expect("ns").display().to_string())
            .collect();
        let changes = self.changes().into_os_string().into_string().expect("UTF-8");
        let options = options.replace("UNFILTERED", self.unfiltered).replace("PARENT", name);
        let own_root = options.contains("--rootfs");
        let command = if own_root { "/probe" } else { &self.probe };
        let written = if own_root { "/tmp/written".to_string() } else { format!("{changes}/data/written") };
        let words = |form: &[&str]| {
            let own = options.split_whitespace().map(|word| word.replace('~', " ").replace("FOLDER", &changes));
            let mut words: Vec<String> = vec![self.mydocker.clone(), "run".into(), "--name".into(), name.into()];
            words.extend(form.iter().map(|word| word.to_string()));
            words.extend(own);
            words.extend([command, "--probe", "everything"].map(String::from));
            words.extend([
                hosts.join(" "),
                written.clone(),
                self.folder.text(""),
                "-e".into(),
                "it's\n$HOME \\ * %s".into(),
            ]);
            words.into_iter().map(OsString::from).collect::<Vec<_>>()
        };
        let look = |output: &Output| {
            let mut found = Vec::new();
            listing(&self.changes(), &mut found);
            let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
            let left: Vec<&str> = mounts.lines().filter(|line| line.contains(&changes)).collect();
            assert!(left.is_empty(), "{options}: left mounts: {left:?}");
            let left = host().directories(&format!("mydocker-{name}"));
            assert!(left.is_empty(), "{options}: left {left:?}\n{output:?}");
            for kind in ["squashfs", "erofs", "ext4"] {
                let file = self.changes().join(kind).into_os_string().into_string().expect("UTF-8");
                crate::support::processes::wait_until("the loop device is free", || loops_of(&file).is_empty());
            }
            found
        };
        self.reset();
        self.images(&options);
        let script = self.start(&words(&["--dry-run=sh"]));
        let real = self.start(&words(&[]));
        let real_files = look(&real);
        self.reset();
        self.images(&options);
        let text = String::from_utf8(script.stdout.clone()).expect("UTF-8");
        let (output, files) = match script.status.success() {
            true => (self.run_text(&text), ()),
            // What cannot be planned fails in the same way.
            false => (script.clone(), ()),
        };
        let files = (look(&output), files).0;
        Compared { options, text, real, real_files, output, files }
    }

    /// Whoever wants the rest of the script deletes the line that stops it: all is the same, but for the filter.
    fn without_stops(&self, mut compared: Compared, name: &str) -> String {
        self.reset();
        let lines: Vec<&str> = compared.text.lines().filter(|line| !line.starts_with("stop '")).collect();
        assert_eq!(lines.len() + 1, compared.text.lines().count(), "one line stops it");
        compared.output = self.run_text(&(lines.join("\n") + "\n"));
        compared.files.clear();
        listing(&self.changes(), &mut compared.files);
        assert_eq!(host().directories(&format!("mydocker-{name}")), Vec::<PathBuf>::new());
        for output in [&mut compared.real, &mut compared.output] {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            // The filter allows no keyctl(2) either.
            let others = |line: &&str| !line.starts_with("Seccomp:") && !line.starts_with("keyring ");
            output.stdout = text.lines().filter(others).collect::<Vec<_>>().join("\n").into();
        }
        judge(&compared, Same)
    }

    /// Runs the text of a script.
    fn run_text(&self, text: &str) -> Output {
        let file = self.folder.write("script", text.as_bytes());
        let mut syntax = self.shell.clone();
        syntax.extend(["-n".into(), file.clone().into()]);
        assert!(self.start(&syntax).status.success(), "not a script: {text}");
        let mut words = self.shell.clone();
        words.push(file.into());
        self.start(&words)
    }

    fn images(&self, options: &str) {
        for kind in ["squashfs", "erofs", "ext4"] {
            if !options.contains(&format!("/{kind}")) {
                continue;
            }
            let kept = self.folder.text(kind);
            if !Path::new(&kept).exists() {
                let root = Root::with_directories();
                fs::create_dir(root.0.path("tmp")).expect("mkdir");
                make_image(kind, &root, &kept);
            }
            fs::hard_link(&kept, self.changes().join(kind)).expect("an image");
        }
    }
}

fn own(path: &Path, user: u32) {
    if host().root {
        std::os::unix::fs::lchown(path, Some(user), Some(user)).expect("chown");
        if path.is_dir() && !path.is_symlink() {
            fs::read_dir(path).expect("readdir").flatten().for_each(|entry| {
                if entry.file_name() != "probe" {
                    own(&entry.path(), user);
                }
            });
        }
    }
}

/// A shell can close no descriptor above 9, so a script stops where one is open: whoever runs the tests may have some.
fn without_high_descriptors(command: &mut Command) -> &mut Command {
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC only sets flags
    unsafe {
        command.pre_exec(|| {
            libc::syscall(libc::SYS_close_range, 10, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            Ok(())
        })
    }
}

/// What came of a set.
struct Compared {
    options: String,
    text: String,
    real: Output,
    real_files: Vec<String>,
    output: Output,
    files: Vec<String>,
}

impl Compared {
    /// In what the two differ.
    fn difference(&self) -> Option<String> {
        let lines = |output: &Output| -> Vec<String> {
            String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect()
        };
        if self.output.stdout.is_empty() && !self.real.stdout.is_empty() {
            return Some(format!("nothing seen, status {:?}\n", self.output.status.code()));
        }
        let mut difference = String::new();
        for (real, script) in [(lines(&self.real), lines(&self.output)), (self.real_files.clone(), self.files.clone())]
        {
            let missing = real.iter().filter(|line| !script.contains(line));
            missing.for_each(|line| difference += &format!("only in the run:    {line}\n"));
            let new = script.iter().filter(|line| !real.contains(line));
            new.for_each(|line| difference += &format!("only in the script: {line}\n"));
            if difference.is_empty() && real != script {
                difference += "in another order\n";
            }
        }
        if self.real.status.code() != self.output.status.code() {
            difference += &format!("status {:?} and {:?}\n", self.real.status.code(), self.output.status.code());
        }
        (!difference.is_empty()).then_some(difference)
    }

    /// The message, if the script has stopped.
    fn stopped(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.output.stderr).into_owned();
        (self.output.status.code() == Some(125) && self.output.stdout.is_empty()).then_some(text)
    }
}

/// The sets that this host can carry out.
fn sets() -> Vec<(&'static str, Ends)> {
    let possible = |options: &str| {
        let needs = [
            ("-m ", Needs::MEMORY),
            ("--memory-swap", Needs::SWAP),
            ("--cpus", Needs::CPU),
            ("--cpu-s", Needs::CPUSET),
            ("--pids-limit", Needs::PIDS),
            ("--cgroup-parent", Needs::MEMORY_ON_V1),
            ("--ephemeral", Needs::OVERLAY),
            ("squashfs", Needs::SQUASHFS_IMAGE | Needs::LOOP | Needs::OVERLAY),
            ("erofs", Needs::EROFS_IMAGE | Needs::LOOP | Needs::OVERLAY),
            ("ext4", Needs::EXT4_IMAGE | Needs::LOOP | Needs::OVERLAY),
            ("-t", Needs::TERMINAL),
        ];
        needs.iter().all(|(word, needs)| !options.contains(word) || needs.missing().is_none())
    };
    let all: Vec<_> = SETS.iter().copied().filter(|(options, _)| possible(options)).collect();
    every(24, &all)
}

case!(as_root, Needs::ROOT | Needs::SH | Needs::MOUNTED | Needs::SCRIPT_TOOLS);
/// Each set ends as the table says.
fn as_root() {
    let scene = Scene::new(0);
    let mut wrong = String::new();
    let mut ended = [0; 2];
    for (options, ends) in sets() {
        let name = unique_name();
        let parents = Parents::of(options, &name);
        let compared = scene.compare(options, &name);
        drop(parents);
        // A virtual host has the chroot of busybox, which takes no ids: such a script says so and stops.
        if is_virtual_host()
            && compared.stopped().is_some_and(|message| message.contains("chroot --userspec is missing"))
        {
            ended[1] += 1;
            continue;
        }
        wrong += &judge(&compared, ends);
        if ends == Stops(UNFILTERED) {
            wrong += &scene.without_stops(compared, &name);
        }
        ended[usize::from(ends != Same)] += 1;
    }
    assert!(ended[0] + ended[1] >= if is_virtual_host() { 1 } else { 40 }, "{ended:?}");
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is wrong with the end of a set.
fn judge(compared: &Compared, ends: Ends) -> String {
    let options = &compared.options;
    let errors = String::from_utf8_lossy(&compared.output.stderr);
    match (ends, compared.stopped()) {
        (Same, _) => compared.difference().map(|d| format!("== {options}\n{d}{errors}\n")).unwrap_or_default(),
        (Stops(word), Some(message)) if message.contains(word) && message.lines().count() == 1 => String::new(),
        (Stops(word), _) => format!("== {options}: does not stop with {word:?}: {:?}\n", compared.output),
    }
}

/// The cgroup that `--cgroup-parent` names, in every hierarchy of a controller.
struct Parents(Vec<PathBuf>);

impl Parents {
    fn of(options: &str, name: &str) -> Parents {
        let mut made = Vec::new();
        if options.contains("PARENT") {
            for controller in ["memory", "cpu", "cpuset", "pids"] {
                let Some(hierarchy) = host().carrier(controller) else { continue };
                let path = hierarchy.directory(&format!("/{name}"));
                if fs::create_dir(&path).is_ok() {
                    made.push(path);
                }
            }
        }
        Parents(made)
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        self.0.iter().for_each(|path| fs::remove_dir(path).expect("rmdir of a parent cgroup"));
    }
}

/// Elsewhere than in the table's own surroundings a set does the same, or it stops and names what is missing.
fn same_or_stops(scene: &Scene, sets: &[(&'static str, Ends)], words: &[&str]) {
    let mut wrong = String::new();
    let mut ended = [0; 3];
    let mut reasons = BTreeMap::new();
    for (options, _) in sets {
        let name = unique_name();
        let parents = Parents::of(options, &name);
        let compared = scene.compare(options, &name);
        drop(parents);
        let refused = compared.real.status.code() == Some(125);
        match (compared.difference(), compared.stopped()) {
            (None, _) if refused => ended[2] += 1,
            (None, _) => ended[0] += 1,
            // What the run refuses, the script does not do either.
            (_, Some(_)) if refused => ended[2] += 1,
            (_, Some(message)) if words.iter().any(|word| message.contains(word)) => {
                let reason = message.split_once("/script: ").map_or(message.as_str(), |(_, reason)| reason);
                *reasons.entry(reason.trim_end().to_string()).or_insert(0) += 1;
                ended[1] += 1;
            }
            (difference, _) => {
                let errors = String::from_utf8_lossy(&compared.output.stderr);
                wrong += &format!("== {options}\n{}{errors}\n", difference.unwrap_or_default());
            }
        }
    }
    note(format!("scripts: {} do what the run does, {} stop, {} of neither", ended[0], ended[1], ended[2]));
    for (reason, count) in reasons {
        note(format!("    {count} stop, as they are to: {reason}"));
    }
    assert!(wrong.is_empty(), "{wrong}");
    // The few sets of a virtual host may all be such that busybox alone cannot do.
    assert!(ended[0] > 0 || is_virtual_host());
}

case!(what_is_the_callers, Needs::ROOT | Needs::SH | Needs::MOUNTED | Needs::SCRIPT_TOOLS);
/// Groups, keys and inheritable capabilities of the caller stay outside, or come in, as in the run.
fn what_is_the_callers() {
    let mut scene = Scene::new(0);
    scene.has_things = true;
    let mut wrong = String::new();
    for (options, groups, inherits) in [
        ("UNFILTERED", "", false),
        ("UNFILTERED --cap-add ALL", "", false),
        ("UNFILTERED --cap-drop ALL", "", false),
        ("UNFILTERED -u 1000:1001", "", false),
        ("UNFILTERED --rootfs FOLDER/root", "", false),
        ("--privileged --no-limits", "4 24 27", true),
    ] {
        let compared = scene.compare(options, &unique_name());
        wrong += &judge(&compared, Same);
        let seen = String::from_utf8_lossy(&compared.output.stdout);
        let field = |name: &str| seen.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none").trim();
        assert_eq!(field("Groups:"), groups, "{options}");
        assert_eq!(field("CapInh:") != "0000000000000000", inherits, "{options}");
        assert_eq!(field("keyring").contains("callers"), inherits, "{options}");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

case!(a_node_in_the_root, Needs::ROOT | Needs::OVERLAY | Needs::SH | Needs::MOUNTED | Needs::SCRIPT_TOOLS);
/// A device node that the root or a volume brings cannot be opened from a script either.
fn a_node_in_the_root() {
    let scene = Scene::new(0);
    for (options, ends) in [
        ("UNFILTERED --rootfs FOLDER/root -v FOLDER/data:/mnt", "Err(Some(13))"),
        ("UNFILTERED --rootfs FOLDER/root --ephemeral -v FOLDER/data:/mnt:ro", "Err(Some(13))"),
        ("--privileged --rootfs FOLDER/root -v FOLDER/data:/mnt", "Ok(())"),
    ] {
        let compared = scene.compare(options, &unique_name());
        assert_eq!(judge(&compared, Same), "");
        let seen = String::from_utf8_lossy(&compared.output.stdout);
        for node in ["/node", "/mnt/node"] {
            assert!(seen.contains(&format!("\n{node} opens: {ends}\n")), "{options} {node}: {seen}");
        }
    }
}

case!(a_script_in_a_chroot, Needs::ROOT | Needs::SH | Needs::SCRIPT_TOOLS | Needs::NO_INITRAMFS);
/// What is mounted above a chroot would lie above the new root too, and a shell cannot climb there first, as a run does.
fn a_script_in_a_chroot() {
    in_own_mounts("private", "a-script-in-a-chroot");
}

probe!("a-script-in-a-chroot", |_| {
    let (place, root) = (Folder::new(), Root::with_directories());
    let options = ["run", "--dry-run=sh", "--privileged", "--no-limits", "--rootfs", &root.path()];
    let words = [&options[..], &["/probe", "--probe", "status", "7"]].concat();
    let text = mydocker_at(&mydocker_file(), &words).finish().success();
    mount("/", place.as_path(), "", MountFlags::BIND | MountFlags::REC, None).expect("bind");
    let start = |command: &str, place: &str| {
        let mut script = Command::new(command);
        without_high_descriptors(script.args([place, "sh", "-c", &text])).output().expect("a script")
    };
    let inside = start("chroot", &place.text("."));
    let outside = start("env", "A=b");
    unmount(place.as_path(), UnmountFlags::DETACH).expect("umount");
    assert_eq!(inside.status.code(), Some(125), "{inside:?}");
    assert!(String::from_utf8_lossy(&inside.stderr).contains("chroot"), "{inside:?}");
    assert_eq!(outside.status.code(), Some(7), "{outside:?}");
});

case!(
    beside_a_mounted_file,
    Needs::ROOT | Needs::SH | Needs::SCRIPT_TOOLS | Needs::OVERLAY | Needs::MOUNTED | Needs::NO_INITRAMFS
);
/// The same of a single file that is mounted somewhere, on which no overlay can be.
fn beside_a_mounted_file() {
    in_own_mounts("private", "a-script-beside-a-mounted-file");
}

probe!("a-script-beside-a-mounted-file", |_| {
    let folder = Folder::new();
    let (file, point) = (folder.write("file", b"content\n"), folder.write("point", b""));
    let command = format!("cat {point}; echo changed 2>/dev/null >{point} || exit 7");
    let options = ["run", "--dry-run=sh", "--privileged", "--no-limits", "--ephemeral"];
    mount(&file, &point, "", MountFlags::BIND, None).expect("bind");
    let text = mydocker_at(&mydocker_file(), &[&options[..], &["sh", "-c", &command]].concat()).finish().success();
    let output = without_high_descriptors(Command::new("sh").args(["-c", &text])).output().expect("a script");
    unmount(&point, UnmountFlags::DETACH).expect("umount");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(7), &b"content\n"[..]), "{output:?}");
});

case!(as_an_ordinary_user, Needs::USER_NAMESPACES | Needs::SH | Needs::SCRIPT_TOOLS);
fn as_an_ordinary_user() {
    let user = if host().root { 65534 } else { rustix::process::geteuid().as_raw() };
    same_or_stops(&Scene::new(user), &sets(), &["leave out", "does without", "lift"]);
}

case!(with_busybox_alone, Needs::ROOT | Needs::BUSYBOX | Needs::MOUNTED);
/// A host whose shell and whose only tools are those of busybox.
fn with_busybox_alone() {
    let mut scene = Scene::new(0);
    let busybox = tool("busybox").expect("busybox");
    let tools = scene.folder.path("tools");
    fs::create_dir(&tools).expect("mkdir");
    let list = Command::new(&busybox).arg("--list").output().expect("busybox");
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|applet| *applet != "busybox") {
        symlink(&busybox, tools.join(applet)).expect("symlink");
    }
    scene.path = Some(tools);
    scene.shell = vec![busybox.into_os_string(), "sh".into()];
    same_or_stops(&scene, &sets(), &["leave out", "does without", "lift"]);
    // What is missing is named, and the advice is about what was given.
    for (options, says, says_not) in [
        ("--ulimit nofile=9", "prlimit is missing here: leave out --ulimit", "above"),
        ("--cap-drop NET_RAW", "leave out --cap-drop", "--privileged does"),
    ] {
        let compared = scene.compare(&format!("--privileged --no-limits {options}"), &unique_name());
        let said = String::from_utf8_lossy(&compared.output.stderr).into_owned();
        assert!(said.contains(says) && !said.contains(says_not), "{options}: {said}");
    }
    // busybox has no tool for what a confined container needs: most of the sets only say something without that.
    scene.unfiltered = "--privileged";
    same_or_stops(&scene, &sets(), &["leave out", "does without", "lift"]);
}

case!(
    in_a_debian_root,
    Needs::ROOT | Needs::OVERLAY | Needs::DEBIAN | Needs::SH | Needs::MOUNTED | Needs::SCRIPT_TOOLS
);
/// A root with links, users and mount points as people have them.
fn in_a_debian_root() {
    super::rootfs_real::make_debian_root();
    in_a_root(
        &debian_root(),
        &["", "-u www-data", "-u nobody -w /", "-v FOLDER/data:/srv/new:ro", "-w /usr/lib"],
        true,
    );
}

case!(
    in_a_busybox_root,
    Needs::ROOT | Needs::OVERLAY | Needs::BUSYBOX | Needs::SH | Needs::MOUNTED | Needs::SCRIPT_TOOLS
);
fn in_a_busybox_root() {
    let root = Root::with_directories().with_busybox();
    let mut sets = every(4, &["", "--read-only", "-w /new/directory", "--tmpfs /a/b"]);
    // The chroot of busybox, which is that of a virtual host, takes no ids.
    if !is_virtual_host() {
        sets.push("-u 5:6");
    }
    in_a_root(root.0.as_path(), &sets, false);
}

/// The sets in another root, with its writes in memory, with a shell of its own that looks around too.
fn in_a_root(root: &Path, sets: &[&str], is_debian: bool) {
    let scene = Scene::new(0);
    let mut wrong = String::new();
    for options in sets {
        let name = unique_name();
        let root = root.to_str().expect("UTF-8").trim_end_matches('/');
        let options = format!("UNFILTERED --rootfs {root} --ephemeral -v {}:/probe {options}", scene.probe);
        wrong += &judge(&scene.compare(&options, &name), Same);
        let look: &[&str] = match is_debian {
            true => &[
                "sh",
                "-c",
                "id; ls -la / /etc /dev; cat /etc/hosts /etc/passwd; mount | wc -l; echo $PATH $HOME; exit 3",
            ],
            false => &["sh", "-c", "ls -la / /etc /dev; cat /etc/hosts; echo $PATH $HOME; exit 3"],
        };
        let seen = |output: Output| {
            // What was made now has other times, and /proc has as many links as the host has processes.
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let words =
                |line: &str| line.split_whitespace().filter(|word| !word.contains(':')).collect::<Vec<_>>().join(" ");
            (
                output.status.code(),
                text.lines().filter(|line| !line.ends_with(" proc")).map(words).collect::<Vec<_>>(),
                output.stderr,
            )
        };
        let words = |form: &[&str]| {
            let options =
                options.replace("UNFILTERED", UNFILTERED).replace("FOLDER", &scene.changes().display().to_string());
            let all = [scene.mydocker.as_str(), "run", "--name", &name].into_iter().chain(form.iter().copied());
            all.map(String::from)
                .chain(options.split_whitespace().map(String::from))
                .chain(look.iter().map(|word| word.to_string()))
                .map(OsString::from)
                .collect::<Vec<_>>()
        };
        let real = seen(scene.start(&words(&[])));
        let script = scene.start(&words(&["--dry-run=sh"]));
        let script = seen(scene.run_text(&String::from_utf8(script.stdout).expect("UTF-8")));
        assert_eq!(real.0, Some(3), "{options}: {real:?}");
        if real != script {
            wrong += &format!("== {options}\n{real:?}\n{script:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
fn script(options: &[&str], command: &[OsString]) -> String {
    run(&[options, &["--dry-run=sh"]].concat(), command).finish().success()
}

/// Where no cgroup is mounted, a script stops before it makes one.
fn without_pathless_groups() -> &'static [&'static str] {
    if host().mounted { &[] } else { &["--no-limits"] }
}

/// Uses a shell that takes unshare from PATH: busybox's shell prefers its own.
fn run_script(script: &str) -> std::process::Output {
    let shell = tool("dash").unwrap_or_else(|| "sh".into());
    without_high_descriptors(Command::new(shell).arg("-c").arg(script)).output().expect("a shell")
}

case!(the_script_ends_like_the_command, Needs::ROOT | Needs::SH | Needs::SCRIPT_TOOLS);
fn the_script_ends_like_the_command() {
    for status in [0, 1, 77] {
        let script = script(
            &[&["--security-opt", "seccomp=unconfined"], without_pathless_groups()].concat(),
            &crate::support::harness::probe_words(&["status", &status.to_string()]),
        );
        let output = run_script(&script);
        assert_eq!(output.status.code(), Some(status), "{output:?}\n{script}");
    }
}

case!(a_path_without_sbin, Needs::ROOT | Needs::SH | Needs::SCRIPT_TOOLS | Needs::NO_INITRAMFS);
/// As Debian gives it to ordinary users; chroot is there.
fn a_path_without_sbin() {
    let root = Root::with_directories();
    let text = script(
        &["--privileged", "--no-limits", "--rootfs", &root.path()],
        &["/probe", "--probe", "status", "3"].map(OsString::from),
    );
    let shell = tool("dash").unwrap_or_else(|| "sh".into());
    let mut command = Command::new(shell);
    command.arg("-c").arg(text).env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let output = without_high_descriptors(&mut command).output().expect("a shell");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

case!(one_word_with_blanks, Needs::ROOT | Needs::SH | Needs::SCRIPT_TOOLS);
/// A run divides it, if no program has that name: a shell does not.
fn one_word_with_blanks() {
    let folder = Folder::new();
    let file = folder.write("a program", b"#!/bin/sh\nexit 4\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("chmod");
    for (word, status) in [("exit 3", 125), ("/bin/sh -c", 125), (file.as_str(), 4)] {
        let output = run_script(&script(&["--privileged", "--no-limits"], &[word.into()]));
        assert_eq!(output.status.code(), Some(status), "{word} {output:?}");
        let is_told = String::from_utf8_lossy(&output.stderr).contains("write the words apart");
        assert_eq!(is_told, status == 125, "{word} {output:?}");
    }
}

case!(a_relative_path, Needs::ROOT | Needs::SH | Needs::SCRIPT_TOOLS);
/// It is that of whoever prints the script, wherever that runs.
fn a_relative_path() {
    let (folder, root) = (Folder::new(), Root::with_directories());
    folder.write("file", b"x\n");
    let name = |path: &Path| path.file_name().expect("a name").to_str().expect("UTF-8").to_string();
    let (above, root) = (folder.as_path().parent().expect("a folder"), name(root.0.as_path()));
    let volume = format!("./{}:/data", name(folder.as_path()));
    let links = Folder::new();
    let link = links.text("link");
    symlink(above.join(&root), &link).expect("symlink");
    for root in [root.clone(), format!("./{root}"), format!("{root}/../{root}/."), format!("{root}/"), link] {
        // These steps write a 0, as one that joins a cgroup does; so does that of `-u`, whose tool busybox has not.
        let privileged: &[&str] = &["--privileged"];
        let steps = [&[][..], &["--oom-score-adj", "0"], &["--sysctl", "net.ipv4.ip_forward=0"]];
        let confined: [&[&str]; 2] =
            [&["--security-opt", "seccomp=unconfined"], &["--read-only", "--security-opt=seccomp=unconfined"]];
        for more in steps.map(|more| [privileged, more].concat()).into_iter().chain(confined.map(<[_]>::to_vec)) {
            let options = ["--dry-run=sh", "--no-limits", "--rootfs", &root, "-v", &volume];
            let options = [&options[..], &more].concat();
            let script = run(&options, &["/probe", "--probe", "file", "/data/file"]).with(|run| run.current_dir(above));
            let output = run_script(&script.finish().success());
            assert_eq!(String::from_utf8_lossy(&output.stdout), "x\n", "{root} {more:?}: {output:?}");
        }
    }
}

case!(no_command, Needs::ROOT | Needs::SH | Needs::SCRIPT_TOOLS);
/// What cannot be executed ends a script as it ends a run.
fn no_command() {
    let root = Root::with_directories();
    let file = root.0.write("file", b"no program");
    let path = root.path();
    for own_root in [&[][..], &["--rootfs", path.as_str(), "--ephemeral"]] {
        let inside = if own_root.is_empty() { file.as_str() } else { "/file" };
        for (command, status) in [("/nonexistent", 127), (inside, 126), ("missing-in-PATH", 127)] {
            for options in [&["--privileged"][..], &["--security-opt", "seccomp=unconfined"]] {
                let options = [options, own_root, without_pathless_groups()].concat();
                assert_eq!(run(&options, &[command]).finish().code(), status, "{options:?} {command}");
                let output = run_script(&script(&options, &[command.into()]));
                assert_eq!(output.status.code(), Some(status), "{options:?} {command}: {output:?}");
            }
        }
    }
}

case!(a_cgroup_that_is_there, Needs::ROOT | Needs::SH | Needs::MEMORY | Needs::MOUNTED | Needs::SCRIPT_TOOLS);
/// A step of the parent that fails ends the script with 125, and it removes what it has made, and nothing else. That of a default
/// limit belongs to somebody, too.
fn a_cgroup_that_is_there() {
    for limit in [&["-m", "100m"][..], &[]] {
        a_cgroup_that_is_there_with(limit);
    }
}

fn a_cgroup_that_is_there_with(limit: &[&str]) {
    let name = unique_name();
    let text = script(&[&["--privileged", "--name", &name], limit].concat(), &["true".into()]);
    // The path is in quotes where a shell needs them.
    let makes = |line: &&str| line.contains("mkdir /") || line.contains("mkdir '/");
    let of_memory = |line: &&str| makes(line) && line.contains("memory");
    let line = text.lines().find(of_memory).or_else(|| text.lines().find(makes)).expect("mkdir");
    let word = line.split("mkdir ").nth(1).expect("a path");
    let path = match word.strip_prefix('\'') {
        Some(quoted) => quoted.split('\'').next(),
        None => word.split(' ').next(),
    };
    let path = path.expect("a path");
    fs::create_dir(path).expect("mkdir of a cgroup");
    let output = run_script(&text);
    let is_left = Path::new(path).exists();
    fs::remove_dir(path).expect("rmdir of a cgroup");
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(is_left);
    assert_eq!(host().directories(&format!("mydocker-{name}")), Vec::<PathBuf>::new());
}

case!(the_script_keeps_every_word, Needs::NAMESPACES | Needs::SH | Needs::SCRIPT_TOOLS);
fn the_script_keeps_every_word() {
    let mut words = crate::support::harness::probe_words(&["argv"]);
    words.extend(["", "it's", "$(touch /x)", "`id`", "a\nb", "*", "\\", "'\\''", "-e", "%1"].map(OsString::from));
    let script = script(&["--no-limits", "--privileged", "-e", "A=a line that ends a here-document:\nEND\n'"], &words);
    let output = run_script(&script);
    assert_eq!(crate::probes::facts::words_of(&String::from_utf8_lossy(&output.stdout)), words, "{output:?}\n{script}");
}

case!(what_a_shell_cannot_stops_at_its_place, Needs::NAMESPACES);
/// A line of its own, after the commands of the steps before it: whoever wants the rest deletes it.
fn what_a_shell_cannot_stops_at_its_place() {
    for (options, before, what, after) in [
        ("-t --no-limits", "mount -t devpts", "leave out -t", "exec \"$setsid\" \"$env\""),
        ("--init --no-limits", "ifconfig lo up", "leave out --init", "exec \"$setsid\" \"$env\""),
        (
            "--no-limits",
            "ifconfig lo up",
            "--security-opt seccomp=unconfined does without",
            "exec \"$setsid\" \"$env\"",
        ),
    ] {
        let options: Vec<&str> = options.split(' ').collect();
        let text = script(&options, &["x".into()]);
        let line = text.lines().position(|line| line.starts_with("stop '") && line.contains(what));
        let line = line.unwrap_or_else(|| panic!("no {what:?} in {text}"));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[..line].iter().any(|line| line.contains(before)), "{text}");
        assert!(lines[line..].iter().any(|line| line.starts_with(after)), "{text}");
        let output = run_script(&text);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(125), &b""[..]), "{output:?}");
    }
}
