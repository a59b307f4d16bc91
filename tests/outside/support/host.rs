//! What this host offers: our privileges, the cgroups, the tools. Written to be obviously right: the cases use it to
//! check what mydocker found out for itself.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One cgroup hierarchy whose files can be read.
pub struct Hierarchy {
    pub v2: bool,
    /// Its controllers; empty for a named hierarchy.
    pub controllers: Vec<String>,
    /// Its mount point.
    pub point: PathBuf,
    /// The directory of the hierarchy that is mounted there.
    pub root: String,
    /// The descriptor through which a hierarchy that is mounted nowhere is read.
    _detached: Option<OwnedFd>,
}

pub struct Host {
    pub hierarchies: Vec<Hierarchy>,
    /// Every mount point of a cgroup filesystem, in the order of mountinfo.
    pub points: Vec<String>,
    /// Whether any cgroup hierarchy is mounted, so that a command inside can see its own cgroup.
    pub mounted: bool,
    /// Whether this process may make namespaces and cgroups.
    pub root: bool,
    /// Whether an ordinary user may make a user namespace, and mount in it.
    pub user_namespaces: bool,
    /// The directories of other mydockers that existed before, with their inode numbers: those of a killed mydocker
    /// whose parent cgroup nobody has swept since. A run of this test may get a pid that one of them is named after.
    preexisting: Vec<(PathBuf, u64)>,
}

/// This host, inspected once, before the first case.
pub fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(Host::inspect)
}

impl Host {
    pub fn inspect() -> Host {
        let (mut hierarchies, points) = mounted_hierarchies();
        let mounted = !hierarchies.is_empty();
        let root = rustix::process::geteuid().is_root() && has_sys_admin();
        if !mounted && root {
            hierarchies.extend(detached_hierarchy());
        }
        let user_namespaces = user_namespaces();
        let mut host = Host { hierarchies, points, mounted, root, user_namespaces, preexisting: Vec::new() };
        let found = host.containers();
        host.preexisting = found.into_iter().filter_map(|path| inode(&path).map(|number| (path, number))).collect();
        host
    }

    /// The hierarchy that carries `controller`: a v1 mount of it, or v2 if cgroup.controllers lists it.
    pub fn carrier(&self, controller: &str) -> Option<&Hierarchy> {
        let mut carriers: Vec<&Hierarchy> =
            self.hierarchies.iter().filter(|h| h.controllers.iter().any(|name| name == controller)).collect();
        carriers.sort_by_key(|h| h.v2);
        carriers.first().copied()
    }

    /// Whether the cgroup of this process, or its parent, is writable.
    pub fn may_make_groups(&self, controller: &str) -> bool {
        let own = self.group(controller, std::process::id() as i32);
        [Some(own.as_path()), own.parent()]
            .into_iter()
            .flatten()
            .any(|group| rustix::fs::access(group, rustix::fs::Access::WRITE_OK).is_ok())
    }

    /// A control file in a cgroup's directory. A cpuset that is mounted with `noprefix` has it without `cpuset.`.
    pub fn control_file(&self, group: &Path, name: &str) -> PathBuf {
        let plain = group.join(name.strip_prefix("cpuset.").unwrap_or(name));
        if plain.exists() { plain } else { group.join(name) }
    }

    /// The directory of process `pid`'s cgroup for `controller`.
    pub fn group(&self, controller: &str, pid: i32) -> PathBuf {
        let hierarchy = self.carrier(controller).expect("a case that needs this controller");
        hierarchy.directory(&self.path_of_group(controller, pid))
    }

    /// The path, in its hierarchy, of process `pid`'s cgroup for `controller`.
    pub fn path_of_group(&self, controller: &str, pid: i32) -> String {
        let hierarchy = self.carrier(controller).expect("a case that needs this controller");
        let file = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("/proc/PID/cgroup");
        for line in file.lines() {
            let mut fields = line.splitn(3, ':');
            let (number, list, path) = (fields.next(), fields.next(), fields.next());
            let own = if hierarchy.v2 {
                number == Some("0")
            } else {
                list.is_some_and(|list| list.split(',').any(|name| name == controller))
            };
            if own {
                return path.expect("a path in /proc/PID/cgroup").to_string();
            }
        }
        panic!("/proc/{pid}/cgroup has no line for {controller}:\n{file}");
    }

    /// Every directory called `name` in every hierarchy.
    pub fn directories(&self, name: &str) -> Vec<PathBuf> {
        self.containers().into_iter().filter(|path| path.ends_with(name)).collect()
    }

    /// Every directory of a mydocker in every hierarchy, except those that existed before this test.
    pub fn containers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for hierarchy in &self.hierarchies {
            collect_directories("mydocker-", &hierarchy.point, &mut found);
        }
        found.retain(|path| {
            !self.preexisting.iter().any(|(known, number)| known == path && inode(path) == Some(*number))
        });
        found
    }
}

/// Tried by a child process, as a user who is not root.
fn user_namespaces() -> bool {
    // SAFETY: the child only makes system calls, and exits
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            if libc::geteuid() == 0 && (libc::setgid(65534) != 0 || libc::setuid(65534) != 0) {
                libc::_exit(1);
            }
            let made = libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) == 0;
            let (none, root) = (c"none".as_ptr(), c"/".as_ptr());
            let flags = libc::MS_REC | libc::MS_SLAVE;
            libc::_exit(i32::from(!(made && libc::mount(none, root, none, flags, std::ptr::null()) == 0)));
        }
        let mut status = -1;
        pid > 0 && libc::waitpid(pid, &mut status, 0) == pid && status == 0
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

impl Hierarchy {
    /// The directory of the cgroup that has this path in the hierarchy.
    pub fn directory(&self, path: &str) -> PathBuf {
        let below = path.strip_prefix(self.root.trim_end_matches('/')).expect("a group below the mount's root");
        self.point.join(below.trim_start_matches('/'))
    }
}

fn collect_directories(prefix: &str, directory: &Path, found: &mut Vec<PathBuf>) {
    // Other runs make and remove directories meanwhile: those that have disappeared are skipped.
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
                found.push(entry.path());
            }
            collect_directories(prefix, &entry.path(), found);
        }
    }
}

fn mounted_hierarchies() -> (Vec<Hierarchy>, Vec<String>) {
    let file = fs::read_to_string("/proc/self/mountinfo").expect("/proc/self/mountinfo");
    // The options of a v1 mount include words that are not controllers; /proc/self/cgroup lists the controllers.
    let own = fs::read_to_string("/proc/self/cgroup").expect("/proc/self/cgroup");
    let known: Vec<&str> = own.lines().filter_map(|line| line.split(':').nth(1)).flat_map(|l| l.split(',')).collect();
    let mut hierarchies: Vec<Hierarchy> = Vec::new();
    let mut points = Vec::new();
    for line in file.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let dash = fields.iter().position(|field| *field == "-").expect("a dash in every line");
        let (root, point) = (decode_escapes(fields[3]), PathBuf::from(decode_escapes(fields[4])));
        let controllers = match fields[dash + 1] {
            "cgroup" => {
                let words = fields[dash + 3].split(',');
                words.filter(|word| known.contains(word) && !word.starts_with("name=")).map(String::from).collect()
            }
            "cgroup2" => listed_controllers(&point),
            _ => continue,
        };
        let v2 = fields[dash + 1] == "cgroup2";
        points.push(decode_escapes(fields[4]));
        if !hierarchies.iter().any(|h| h.v2 == v2 && h.controllers == controllers) && !root.starts_with("/..") {
            hierarchies.push(Hierarchy { v2, controllers, point, root, _detached: None });
        }
    }
    (hierarchies, points)
}

/// The v2 hierarchy on a host where no cgroup is mounted: a detached mount.
fn detached_hierarchy() -> Option<Hierarchy> {
    use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC).ok()?;
    fsconfig_create(&context).ok()?;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).ok()?;
    let point = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
    Some(Hierarchy {
        v2: true,
        controllers: listed_controllers(&point),
        point,
        root: "/".into(),
        _detached: Some(mount),
    })
}

fn listed_controllers(point: &Path) -> Vec<String> {
    let file = fs::read_to_string(point.join("cgroup.controllers")).unwrap_or_default();
    file.split_whitespace().map(String::from).collect()
}

/// Decodes the escapes of a field of mountinfo.
fn decode_escapes(field: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(field.to_string(), |text, (escape, plain)| text.replace(escape, plain))
}

fn has_sys_admin() -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|set| set >> CAP_SYS_ADMIN & 1 == 1)
}

/// The path of the tool `name`, if PATH has it.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
