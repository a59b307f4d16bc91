//! The programs that are measured, and how each is asked for the same thing.

use crate::Result;
use std::env::consts::ARCH;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, fs};

/// The four limits, as `mydocker` takes them.
const LIMITS: [&str; 9] = ["run", "-m", "100m", "--cpu-shares", "2048", "--cpu-set", "0", "--cpu-mems", "0"];

/// An installed program does not do what it did before. That ends its row, and not the bench.
#[derive(Debug)]
pub struct PeerFails(String);

impl fmt::Display for PeerFails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for PeerFails {}

/// The value, or the reason why a peer has none. Any other error stays one.
pub fn unless_peer_fails<T>(result: Result<T>) -> Result<std::result::Result<T, String>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.is::<PeerFails>() => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// One way to run `true` in a container.
#[derive(Clone)]
pub struct Contender {
    pub name: String,
    /// The command line without the command.
    pub command: Vec<String>,
    /// The words that follow it: a static `true`.
    pub truth: Vec<String>,
    /// The same for a command that prints "." and waits for the end of its input.
    pub waiting: Vec<String>,
    /// How it differs from mydocker.
    pub differences: &'static str,
}

impl Contender {
    /// One that is a command line, and nothing else.
    pub fn plain(name: &str, command: Vec<String>) -> Contender {
        Contender { name: name.into(), command, truth: Vec::new(), waiting: Vec::new(), differences: "" }
    }

    /// The whole command line.
    pub fn words(&self, waiting: bool) -> impl Iterator<Item = &String> {
        self.command.iter().chain(if waiting { &self.waiting } else { &self.truth })
    }

    pub fn start(&self, waiting: bool) -> Command {
        let mut words = self.words(waiting);
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words);
        command
    }

    /// One run of `true`. (std starts it with posix_spawn, which copies none of this process's memory.)
    pub fn time(&self) -> Result<Duration> {
        let said = target_dir().join("tmp/bench/stderr");
        let mut command = self.start(false);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&said)?);
        let start = Instant::now();
        let status = command.status()?;
        let time = start.elapsed();
        match status.success() {
            true => Ok(time),
            false => Err(self.fails(&format!("worked before and now ends with {status}"), &fs::read(&said)?)),
        }
    }

    /// The error for a failure, with the last line that the contender said.
    pub fn fails(&self, how: &str, said: &[u8]) -> Box<dyn Error> {
        let text = format!("{} {how}: {}", self.name, last_line(said));
        // The floor and mydocker itself are named by their paths.
        match self.command[0].contains('/') {
            true => text.into(),
            false => Box::new(PeerFails(text)),
        }
    }

    /// Why the contender does not work here.
    pub fn refusal(&self) -> Option<String> {
        let program = &self.command[0];
        if !program.contains('/') && which(program).is_none() {
            return Some("not installed".into());
        }
        let output = match self.start(false).stdin(Stdio::null()).output() {
            Ok(output) => output,
            Err(error) => return Some(error.to_string()),
        };
        (!output.status.success()).then(|| format!("{}: {}", output.status, last_line(&output.stderr)))
    }
}

fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no error message").trim().into()
}

/// The file that runs when `program` is the first word of a command.
pub fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into());
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// What this benchmark measures with.
pub struct Setting {
    pub mydocker: Contender,
    /// Where the mydocker file comes from.
    origin: String,
    /// The floor, which is also the static `true`.
    pub floor: String,
    /// The first words of the floor's command line, or why there is no floor on this host.
    floor_groups: std::result::Result<Vec<String>, String>,
}

impl Setting {
    pub fn find() -> Result<Setting> {
        let target = format!("{ARCH}-unknown-linux-musl");
        let (floor, linked) = match build(&["--example", "floor", "--target", &target]) {
            Ok(()) => (format!("{target}/release/examples/floor"), "musl"),
            Err(_no_such_target) => {
                build(&["--example", "floor"])?;
                (format!("{ARCH}-unknown-linux-gnu/release/examples/floor"), "glibc")
            }
        };
        let floor = target_dir().join(floor).display().to_string();
        let (file, origin) = match std::env::var("MYDOCKER") {
            Ok(file) => (file, "set by MYDOCKER".to_string()),
            Err(_) if linked == "musl" && build(&["--bin", "mydocker", "--target", &target]).is_ok() => {
                (target_dir().join(&target).join("release/mydocker").display().to_string(), "musl, built now".into())
            }
            Err(_) => (
                env!("CARGO_BIN_EXE_mydocker").to_string(),
                format!("built by cargo bench with glibc; `rustup target add {target}` gives the musl file"),
            ),
        };
        let origin = format!("{origin}; the floor and `true` are static with {linked}");
        let mydocker = Contender {
            name: "mydocker".into(),
            command: [file.as_str()].iter().chain(&LIMITS).map(|word| word.to_string()).collect(),
            truth: vec![floor.clone()],
            waiting: vec![floor.clone(), "wait".into()],
            differences: "",
        };
        let floor_groups = floor_groups();
        Ok(Setting { mydocker, origin, floor, floor_groups })
    }

    pub fn description(&self) -> String {
        let version = self.mydocker.command.first().and_then(|file| Command::new(file).arg("--version").output().ok());
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
        format!("{}\n{} ({})", version.unwrap_or_default(), self.mydocker.command[0], self.origin)
    }

    /// The floors that give up what a run with all defaults gives up: without, and with what it mounts beside that; and with the calls,
    /// too, by which it finds out and makes sure. Where one cgroup2 directory carries all limits the last one does not exist.
    pub fn hardened_floors(floor: &Contender) -> [Contender; 3] {
        let hardened = |name: &str, differences| Contender {
            name: name.into(),
            command: [&floor.command[..1], &[name.to_string()], &floor.command[1..]].concat(),
            truth: floor.truth.clone(),
            waiting: floor.waiting.clone(),
            differences,
        };
        [
            hardened(
                "hardened",
                "the floor with the same bounding set, capabilities, cgroup namespace, read-only /sys, \
                    no_new_privs and filter: all defaults are to be at most 1.10 of it",
            ),
            hardened("shown", "the same, with the same mounts of its own cgroups and the same /dev/shm"),
            hardened(
                "asking",
                "the same, and every other call that mydocker makes: it looks up, locks, reads back, waits for execve, \
                    looks for leftovers, and makes nothing of what it is told",
            ),
        ]
    }

    /// The floor that makes and mounts what a run with --privileged makes and mounts.
    pub fn own_floor(floor: &Contender) -> Result<Contender> {
        let mut command = floor.command.clone();
        command.insert(1, "own".into());
        let (own, mounts) = (fs::read_to_string("/proc/self/cgroup")?, fs::read_to_string("/proc/self/mountinfo")?);
        let name = format!("mydocker-floor-{}", std::process::id());
        let controllers = own.lines().filter_map(|line| line.split(':').nth(1)?.split(',').next());
        for controller in controllers {
            let controller = Some(controller).filter(|name| !name.is_empty());
            let group = own_group(&own, &mounts, controller).map(|group| format!("{group}/{name}"));
            let is_new = |group: &String| !command.contains(group);
            if let Some(group) = group.filter(is_new).filter(|_| floor.command[1] == "v1") {
                command.push(group);
            }
        }
        command.push("--".into());
        let differences = "the floor with a group in each hierarchy, a mount of each in place of the host's, and the same \
            /dev/shm: what a run with --privileged has";
        Ok(Contender { name: "own".into(), command, differences, ..floor.clone() })
    }

    /// The floor, if it knows the cgroup layout of this host.
    pub fn floor(&self) -> Result<Contender> {
        let groups = self.floor_groups.clone()?;
        let first = vec![self.floor.clone()];
        Ok(Contender {
            name: "floor".into(),
            command: first.into_iter().chain(groups).collect(),
            truth: vec![self.floor.clone()],
            waiting: vec![self.floor.clone(), "wait".into()],
            differences: "the same namespaces, mounts and limits in one straight line, with nothing looked up, read \
                back, locked, swept or said, no memsw file, no signals, no errors",
        })
    }

    pub fn peers(&self) -> Result<Vec<Contender>> {
        let host_files = |name: &str, command: &[&str], differences| Contender {
            name: name.into(),
            command: command.iter().map(|word| word.to_string()).collect(),
            truth: vec![self.floor.clone()],
            waiting: vec![self.floor.clone(), "wait".into()],
            differences,
        };
        // mydocker itself, with no privilege dropped: the difference is the price of the defaults.
        let mut privileged: Vec<&str> = self.mydocker.command.iter().map(String::as_str).collect();
        privileged.push("--privileged");
        let mut peers = vec![
            host_files(
                "privileged",
                &privileged,
                "mydocker itself, with --privileged: nothing dropped, filtered, hidden",
            ),
            host_files(
                "unshare",
                &["unshare", "-muinp", "--fork", "--mount-proc"],
                "sets no limits, joins no cgroup, leaves lo down",
            ),
            host_files(
                "bwrap",
                &[
                    "bwrap",
                    "--unshare-uts",
                    "--unshare-ipc",
                    "--unshare-net",
                    "--unshare-pid",
                    "--as-pid-1",
                    "--dev-bind",
                    "/",
                    "/",
                    "--proc",
                    "/proc",
                ],
                "sets no limits; pivots into a root of its own, made of the host's files; drops capabilities",
            ),
        ];
        peers.extend(self.own_roots()?);
        for name in ["runc", "crun"] {
            let [truth, waiting] = [self.bundle(name, &["/true"])?, self.bundle(name, &["/true", "wait"])?];
            let state = target_dir().join("tmp/bench").join(format!("{name}-state")).display().to_string();
            peers.push(Contender {
                name: name.into(),
                command: [name, "--root", &state, "run", "--bundle"].map(String::from).to_vec(),
                truth: vec![truth, format!("mydocker-bench-{name}")],
                waiting: vec![waiting, format!("mydocker-bench-{name}")],
                differences: "the same four limits, in every hierarchy it finds; a root that holds `true` and /proc; \
                    keeps its state in a directory; no capabilities",
            });
        }
        match self.floor() {
            Ok(floor) if floor_holds(&floor) => {
                let v1 = floor.command.iter().any(|word| word == "v1");
                let is_here = |hardened: &Contender| v1 || hardened.name != "asking";
                for hardened in Self::hardened_floors(&floor).into_iter().rev().filter(is_here) {
                    match is_hardened(&hardened, v1) {
                        true => peers.insert(0, hardened),
                        false => println!("the floor {:?} is not what it should be here, and left out", hardened.name),
                    }
                }
                let own = Self::own_floor(&floor)?;
                match is_own(&own) {
                    true => peers.insert(0, own),
                    false => println!("the floor {:?} is not what it should be here, and left out", own.name),
                }
                peers.insert(0, floor);
            }
            Ok(_) => println!("the floor does not apply its limits on this host and is left out"),
            Err(reason) => println!("no floor on this host: {reason}"),
        }
        Ok(peers)
    }

    /// mydocker itself with its own root, which may take 1.3 and 1.4 times as long as without; and bwrap in the same
    /// root with the same mounts.
    fn own_roots(&self) -> Result<Vec<Contender>> {
        let root = target_dir().join("tmp/bench/root");
        for name in ["proc", "sys", "dev", "etc"] {
            fs::create_dir_all(root.join(name))?;
        }
        for name in ["hosts", "hostname", "resolv.conf"] {
            fs::write(root.join("etc").join(name), "")?;
        }
        fs::copy(&self.floor, root.join("true"))?;
        let root = root.display().to_string();
        let in_root = |name: &str, command: Vec<String>, differences| Contender {
            name: name.into(),
            command,
            truth: vec!["/true".into()],
            waiting: vec!["/true".into(), "wait".into()],
            differences,
        };
        let mydocker = |more: &[&str]| {
            let more = more.iter().map(|word| word.to_string());
            self.mydocker.command.iter().cloned().chain(["--rootfs".into(), root.clone()]).chain(more).collect()
        };
        let bwrap = [
            "bwrap --unshare-uts --unshare-ipc --unshare-net --unshare-pid --as-pid-1 --bind",
            &root,
            "/ --proc /proc --dev /dev --mqueue /dev/mqueue --ro-bind /etc/hosts /etc/hosts",
            "--ro-bind /etc/hostname /etc/hostname --ro-bind /etc/resolv.conf /etc/resolv.conf",
        ];
        Ok(vec![
            in_root("rootfs", mydocker(&[]), "mydocker with a root of its own"),
            in_root("ephemeral", mydocker(&["--ephemeral"]), "mydocker with a root of its own, its writes in memory"),
            in_root(
                "bwrap-root",
                bwrap.join(" ").split(' ').map(String::from).collect(),
                "in the same root; sets no limits, masks nothing, has no /sys",
            ),
        ])
    }

    /// An OCI bundle with the nearest equivalent, for runc and crun. Their group is not called mydocker-..: a sweep would look at it.
    pub fn bundle(&self, name: &str, words: &[&str]) -> Result<String> {
        let dir = target_dir().join("tmp/bench").join(format!("{name}-{}", words.len()));
        fs::create_dir_all(dir.join("rootfs/proc"))?;
        fs::copy(&self.floor, dir.join("rootfs/true"))?;
        let config = format!(
            r#"{{
  "ociVersion": "1.0.2",
  "process": {{ "terminal": false, "user": {{ "uid": 0, "gid": 0 }}, "args": {words:?}, "env": ["PATH=/"], "cwd": "/" }},
  "root": {{ "path": "rootfs" }},
  "mounts": [
    {{ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "nodev", "noexec"] }}
  ],
  "linux": {{
    "cgroupsPath": "bench-{name}",
    "namespaces": [
      {{ "type": "uts" }}, {{ "type": "pid" }}, {{ "type": "mount" }}, {{ "type": "network" }}, {{ "type": "ipc" }}
    ],
    "resources": {{
      "memory": {{ "limit": 104857600 }},
      "cpu": {{ "shares": 2048, "cpus": "0", "mems": "0" }}
    }}
  }}
}}
"#
        );
        fs::write(dir.join("config.json"), config)?;
        Ok(dir.display().to_string())
    }
}

/// The directory that cargo builds into. If a target is named, cargo's scratch directory lies one level deeper.
pub fn target_dir() -> PathBuf {
    let above = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("."));
    match above.ends_with(env!("MYDOCKER_TARGET")) {
        true => above.parent().unwrap_or(above).into(),
        false => above.into(),
    }
}

fn build(what: &[&str]) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "--target-dir"]).arg(target_dir()).args(what);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().into()),
    }
}

/// The cgroups in which the floor makes its own: the cgroup of this process, as mydocker does.
fn floor_groups() -> std::result::Result<Vec<String>, String> {
    let read = |file: &str| fs::read_to_string(file).map_err(|e| format!("{file}: {e}"));
    let (own, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
    let name = format!("mydocker-floor-{}", std::process::id());
    let v1: Vec<String> = ["memory", "cpu", "cpuset"]
        .iter()
        .filter_map(|controller| own_group(&own, &mounts, Some(controller)))
        .map(|group| format!("{group}/{name}"))
        .collect();
    if v1.len() == 3 {
        return Ok([vec!["v1".into()], v1].concat());
    }
    if !v1.is_empty() {
        return Err("memory, cpu and cpuset are mixed v1 and v2".into());
    }
    let own = own_group(&own, &mounts, None).ok_or("no cgroup is mounted")?;
    // A cgroup that already enables the controllers for its children may have other children too.
    let parent = Path::new(&own).ancestors().find(|dir| {
        let enabled = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
        ["memory", "cpu", "cpuset"].iter().all(|controller| enabled.split_whitespace().any(|word| word == *controller))
    });
    let parent = parent.ok_or("no cgroup above this one has memory, cpu and cpuset in cgroup.subtree_control")?;
    Ok(vec!["v2".into(), parent.join(name).display().to_string()])
}

/// This process's directory in the v1 hierarchy of a controller, or in the v2 hierarchy. Only plain layouts are
/// understood.
fn own_group(own: &str, mounts: &str, controller: Option<&str>) -> Option<String> {
    let has = |list: &str| controller.is_none_or(|controller| list.split(',').any(|word| word == controller));
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (list, path) = (fields.next()?, fields.next()?);
        (list.is_empty() == controller.is_none() && has(list)).then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1)?);
        let wanted = if controller.is_some() { "cgroup" } else { "cgroup2" };
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        if kind != wanted || !has(options) && controller.is_some() {
            return None;
        }
        let below = path.strip_prefix(root.trim_end_matches('/'))?;
        Some(format!("{point}{}", below.trim_end_matches('/')))
    })
}

/// The floor checks nothing, so this function checks once: a `cat` under the floor must see itself in the cgroups, and
/// the limits.
fn floor_holds(floor: &Contender) -> bool {
    let groups = &floor.command[2..];
    let v1 = floor.command[1] == "v1";
    let files = match groups {
        [memory, cpu, cpuset] => [
            (memory, "memory.limit_in_bytes", "104857600"),
            (cpu, "cpu.shares", "2048"),
            (cpuset, "cpuset.cpus", "0"),
            (cpuset, "cpuset.mems", "0"),
        ],
        [group] => [
            (group, "memory.max", "104857600"),
            (group, "cpu.weight", "174"),
            (group, "cpuset.cpus", "0"),
            (group, "cpuset.mems", "0"),
        ],
        _ => return false,
    };
    let Some(cat) = which("cat") else { return false };
    let mut command = Command::new(&floor.command[0]);
    command.args(&floor.command[1..]).arg(cat).args(files.iter().map(|(group, file, _)| format!("{group}/{file}")));
    let Ok(output) = command.arg("/proc/self/cgroup").stdin(Stdio::null()).output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let limits = text.lines().zip(&files).all(|(line, (_, _, value))| line == *value);
    limits && text.lines().filter(|line| line.contains("/mydocker-floor-")).count() == if v1 { 3 } else { 1 }
}

/// The floor checks nothing: its command must have the capabilities, the filter, the cgroups and the /sys of a run, and but for
/// `hardened` no mounts of cgroups but its own.
fn is_hardened(hardened: &Contender, v1: bool) -> bool {
    let Some(cat) = which("cat") else { return false };
    let mut command = Command::new(&hardened.command[0]);
    let limit = if v1 { "/sys/fs/cgroup/memory/memory.limit_in_bytes" } else { "/sys/fs/cgroup/memory.max" };
    command.args(&hardened.command[1..]).arg(cat).args([
        limit,
        "/proc/self/status",
        "/proc/self/cgroup",
        "/proc/self/mountinfo",
    ]);
    let Ok(output) = command.stdin(Stdio::null()).output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let has = |line: &str| text.lines().any(|other| other == line);
    let sys = text.lines().find(|line| line.contains(" / /sys "));
    let shown = hardened.name == "hardened"
        || text.starts_with("104857600\n") && {
            let shm = text.lines().rev().find(|line| line.contains(" /dev/shm "));
            let of_limits =
                |line: &&str| ["memory", "cpu", "cpuset"].iter().any(|name| line.ends_with(&format!(",{name}")));
            let mut groups =
                text.lines().filter(|line| line.contains(" - cgroup")).filter(|line| !v1 || of_limits(line));
            groups.clone().count() == if v1 { 3 } else { 1 }
                && groups.all(|line| line.contains(" / /sys/fs/cgroup") && line.contains(" ro,"))
                && shm.is_some_and(|line| line.contains(" - tmpfs shm "))
        };
    ["CapBnd:\t00000000a00425fb", "CapEff:\t00000000a00425fb", "NoNewPrivs:\t1", "Seccomp:\t2"].into_iter().all(has)
        && !text.contains("/mydocker-floor-")
        && sys.is_some_and(|line| line.contains(" / /sys ro"))
        && shown
}

/// The floor checks nothing: its command must see its own groups alone, and the limit there.
fn is_own(own: &Contender) -> bool {
    let Some(cat) = which("cat") else { return false };
    let v1 = own.command[2] == "v1";
    let limit = if v1 { "/sys/fs/cgroup/memory/memory.limit_in_bytes" } else { "/sys/fs/cgroup/memory.max" };
    let mut command = Command::new(&own.command[0]);
    command.args(&own.command[1..]).arg(cat).args([limit, "/proc/self/cgroup", "/proc/self/mountinfo"]);
    let Ok(output) = command.stdin(Stdio::null()).output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    // Between the file's name, `own` and `v1` before the groups, and the dashes behind them.
    let groups = own.command.len() - 4;
    let mut mounts = text.lines().filter(|line| line.contains(" - cgroup"));
    text.starts_with("104857600\n")
        && mounts.clone().count() == groups
        && mounts.all(|line| line.contains(" / /sys/fs/cgroup") && line.contains(" rw,"))
        && text.lines().filter(|line| line.ends_with(":/")).count() >= groups
        && !text.contains("/mydocker-floor-")
}
