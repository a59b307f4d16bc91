//! As an ordinary user: a user namespace is used automatically. If root runs the tests, each of these cases first
//! becomes an ordinary user.

use crate::probes::c_string;
use crate::support::folder::Folder;
use crate::support::harness::{Run, mydocker, mydocker_at, mydocker_file, pass_as, probe, probe_file};
use crate::support::host::host;
use crate::support::needs::{Needs, on_v2};
use crate::support::notes::note;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

pub const USER: u32 = 65534;

/// mydocker and the probe at paths that every user can read.
pub struct SharedFiles {
    folder: Folder,
    pub mydocker: String,
    pub probe: String,
}

impl SharedFiles {
    pub fn new() -> SharedFiles {
        let folder = Folder::new();
        fs::set_permissions(folder.path("."), fs::Permissions::from_mode(0o755)).expect("chmod");
        let mydocker = folder.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
        let probe = folder.write_program("probe", &fs::read(probe_file()).expect("this file"));
        SharedFiles { folder, mydocker, probe }
    }

    /// `mydocker run OPTIONS probe WORDS`, as the user who runs the tests.
    fn probe(&self, options: &[&str], words: &[&str]) -> Run {
        let command = [self.probe.as_str(), "--probe"];
        let words: Vec<&str> = ["run"].iter().chain(options).chain(&command).chain(words).copied().collect();
        mydocker_at(self.mydocker.as_ref(), &words).with(|command| command.current_dir("/"))
    }

    /// The same, as an ordinary user.
    pub fn as_user(&self, options: &[&str], words: &[&str]) -> Run {
        self.become_user(self.probe(options, words))
    }

    /// Makes it a run as an ordinary user.
    pub fn become_user(&self, run: Run) -> Run {
        if host().root { run.with(|command| command.uid(USER).gid(USER)) } else { run }
    }
}

/// The uid of a run as an ordinary user.
fn user() -> (u32, u32) {
    match host().root {
        true => (USER, USER),
        false => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

case!(own_id_is_root_inside, Needs::USER_NAMESPACES);
fn own_id_is_root_inside() {
    let shared_files = SharedFiles::new();
    let (uid, gid) = user();
    let file = |name: &str| shared_files.as_user(&[], &["file", name]).finish().success();
    let status = file("/proc/self/status");
    assert!(status.contains("Uid:\t0\t0\t0\t0") && status.contains("Gid:\t0\t0\t0\t0"), "{status}");
    // With a range of subuid there are further lines.
    assert_eq!(words(&file("/proc/self/uid_map"))[..3], ["0", &uid.to_string(), "1"]);
    assert_eq!(words(&file("/proc/self/gid_map"))[..3], ["0", &gid.to_string(), "1"]);
    if words(&file("/proc/self/gid_map")).len() == 3 {
        assert_eq!(file("/proc/self/setgroups"), "deny\n");
    }
}

case!(in_namespaces_of_its_own, Needs::USER_NAMESPACES);
fn in_namespaces_of_its_own() {
    let shared_files = SharedFiles::new();
    let text = shared_files.as_user(&[], &["namespaces"]).finish().success();
    for (name, inside) in crate::probes::facts::NAMESPACES.iter().zip(text.lines()) {
        let ours = fs::read_link(format!("/proc/self/ns/{name}")).expect("readlink").display().to_string();
        assert_ne!(inside, ours);
    }
    assert_eq!(shared_files.as_user(&[], &["pids"]).finish().success(), "1 0\n");
    assert_eq!(shared_files.as_user(&["--hostname", "mine"], &["hostname"]).finish().success(), "mine\n");
    let pids =
        shared_files.as_user(&["--pid", "host", "--network", "host", "--ipc=host", "--uts=host"], &["pids"]).finish();
    assert!(!pids.success().starts_with("1 "));
}

case!(as_confined_as_roots, Needs::USER_NAMESPACES);
fn as_confined_as_roots() {
    let shared_files = SharedFiles::new();
    let status = shared_files.as_user(&[], &["file", "/proc/self/status"]).finish().success();
    for line in ["CapEff:\t00000000a00425fb", "CapBnd:\t00000000a00425fb", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "no {line:?} in {status}");
    }
    for way in ["mount", "unmount", "memory"] {
        let answer = shared_files.as_user(&[], &["way-out", way, "/tmp"]).finish().success();
        assert_eq!(answer, "EPERM\n", "{way}");
    }
}

case!(privileged_inside_only, Needs::USER_NAMESPACES);
fn privileged_inside_only() {
    let shared_files = SharedFiles::new();
    let status = shared_files.as_user(&["--privileged"], &["file", "/proc/self/status"]).finish().success();
    assert!(status.contains("Seccomp:\t0") && status.contains("NoNewPrivs:\t0"), "{status}");
    assert_eq!(shared_files.as_user(&["--privileged"], &["way-out", "mount", "/tmp"]).finish().success(), "0\n");
    // A device node is the host's.
    assert_eq!(shared_files.as_user(&["--privileged"], &["way-out", "memory", "/tmp"]).finish().success(), "EPERM\n");
}

case!(loopback_terminal_and_reaper, Needs::USER_NAMESPACES | Needs::TERMINAL);
fn loopback_terminal_and_reaper() {
    let shared_files = SharedFiles::new();
    let names = shared_files.as_user(&[], &["interfaces"]).finish().success();
    assert!(names.split_whitespace().any(|name| name == "lo"), "{names}");
    let outcome = shared_files.as_user(&["-t", "--init"], &["hostname"]).finish();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert_eq!(shared_files.as_user(&["--init"], &["status", "7"]).finish().code(), 7);
}

case!(files_of_others_stay_theirs, Needs::USER_NAMESPACES);
fn files_of_others_stay_theirs() {
    let shared_files = SharedFiles::new();
    let secret = shared_files.folder.write("secret", b"of root");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("chmod");
    let outcome = shared_files.as_user(&["--privileged"], &["file", &secret]).finish();
    // If an ordinary user runs the tests, they own the file.
    assert_eq!(outcome.code(), if host().root { 99 } else { 0 }, "{outcome:?}");
}

case!(an_id_that_is_not_there, Needs::USER_NAMESPACES);
/// If only the user's own id is mapped, root is the only user inside.
fn an_id_that_is_not_there() {
    let shared_files = SharedFiles::new();
    if words(&shared_files.as_user(&[], &["file", "/proc/self/gid_map"]).finish().success()).len() > 3 {
        note("this user has a range of ids");
        return;
    }
    shared_files.as_user(&["-u", "0"], &["status", "5"]).finish().silent(5);
    shared_files.as_user(&["-u", "0:0", "-t"], &["status", "6"]).finish().silent(6);
    for user in ["1000", "0:1000", "1000:0"] {
        let outcome = shared_files.as_user(&["-u", user], &["status", "0"]).finish();
        outcome.refused(125, &["EINVAL", "/etc/subuid"]);
    }
}

/// A root that the user owns: the probe, and nothing else.
fn own_root() -> (SharedFiles, Folder) {
    let (shared_files, root) = (SharedFiles::new(), Folder::new());
    root.write_program("probe", &fs::read(probe_file()).expect("this file"));
    if host().root {
        std::os::unix::fs::chown(root.as_path(), Some(USER), Some(USER)).expect("chown");
    }
    (shared_files, root)
}

impl SharedFiles {
    fn in_root(&self, root: &Folder, options: &[&str], words: &[&str]) -> Run {
        let root = root.text(".");
        let own = ["run", "--rootfs", &root].into_iter().chain(options.iter().copied());
        let words: Vec<&str> = own.chain(["/probe", "--probe"]).chain(words.iter().copied()).collect();
        let run = mydocker_at(self.mydocker.as_ref(), &words).with(|command| command.current_dir("/"));
        if host().root { run.with(|command| command.uid(USER).gid(USER)) } else { run }
    }
}

case!(a_file_of_ones_own_as_stdin, Needs::ROOT | Needs::USER_NAMESPACES);
/// Its mode forbids to write to it, and its owner can change that; where it cannot be opened again, it is refused. One of somebody
/// else's stays as it is.
fn a_file_of_ones_own_as_stdin() {
    let (shared_files, root) = own_root();
    let hidden = Folder::new();
    fs::set_permissions(hidden.as_path(), fs::Permissions::from_mode(0o700)).expect("chmod");
    let file = hidden.write("file", b"of root's\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("chmod");
    let read = || {
        let stdin = fs::File::open(&file).expect("open");
        let run = shared_files.in_root(&root, &[], &["reopen-stdin"]);
        run.before(move || pass_as(stdin.as_raw_fd(), 0)).finish()
    };
    for (owner, works) in [(0, true), (USER, false)] {
        // The user namespace has no id for group 50, so its CAP_DAC_OVERRIDE does not apply to the file: capabilities(7).
        std::os::unix::fs::chown(&file, Some(owner), Some(50)).expect("chown");
        match works {
            true => assert!(read().success().ends_with(" of root's\n")),
            false => read().refused(125, &[&file, "cat FILE | mydocker run"]),
        }
    }
}

case!(a_root_of_its_own, Needs::USER_NAMESPACES);
fn a_root_of_its_own() {
    let (shared_files, root) = own_root();
    let says = |options: &[&str], words: &[&str]| shared_files.in_root(&root, options, words).finish().success();
    assert_eq!(says(&[], &["list", "/"]), "dev\netc\nprobe\nproc\nsys\n");
    // The host's root is unmounted, and no path leads back to it.
    assert_eq!(says(&[], &["list", "/../.."]), "dev\netc\nprobe\nproc\nsys\n");
    let dev = says(&[], &["list", "/dev"]);
    for name in ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"] {
        assert!(dev.lines().any(|line| line == name), "no {name}: {dev}");
    }
    says(&[], &["touch", "/dev/null"]);
    let mounts = says(&["-t"], &["file", "/proc/self/mountinfo"]);
    for point in ["/proc", "/sys", "/dev", "/dev/pts", "/proc/sys"] {
        assert!(mounts.lines().any(|line| line.split(' ').nth(4) == Some(point)), "no mount on {point}: {mounts}");
    }
    // Volumes and memory.
    let source = Folder::new();
    fs::set_permissions(source.as_path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let file = source.write("file", b"of the host\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("chmod");
    let volume = format!("{}:/data", source.text("."));
    assert_eq!(says(&["-v", &volume, "--tmpfs", "/memory"], &["file", "/data/file"]), "of the host\n");
    says(&["--tmpfs", "/memory"], &["touch", "/memory/new"]);
    let of_nobody = shared_files.in_root(&root, &["--tmpfs", "/memory:uid=4000000000"], &["status", "0"]).finish();
    of_nobody.refused(125, &["/memory", "EINVAL", "not mapped"]);
}

case!(no_cgroups_of_the_callers_are_seen, Needs::USER_NAMESPACES);
/// Where it cannot have a group of its own, nothing of that hierarchy is shown: that would be its caller's.
fn no_cgroups_of_the_callers_are_seen() {
    let (shared_files, root) = own_root();
    let mounts = shared_files.in_root(&root, &[], &["file", "/proc/self/mountinfo"]).finish().success();
    // Nobody delegates a hierarchy of v1 to this user. What is mounted on that place itself is hidden by what is mounted next.
    let is_seen = |line: &&str| line.contains(" - cgroup ") && line.split(' ').nth(4) != Some("/sys/fs/cgroup");
    assert_eq!(mounts.lines().find(is_seen), None, "{mounts}");
}

case!(a_root_of_its_own_in_namespaces_of_the_host, Needs::USER_NAMESPACES);
/// A user who does not own a namespace cannot mount its /proc or /sys, and gets the host's mount.
fn a_root_of_its_own_in_namespaces_of_the_host() {
    let (shared_files, root) = own_root();
    let says = |options: &[&str], words: &[&str]| shared_files.in_root(&root, options, words).finish().success();
    let of_host = ["--network", "host", "--pid", "host", "--ipc", "host", "--uts", "host"];
    let inside = says(&of_host, &["namespaces"]);
    let outside: Vec<String> =
        crate::probes::facts::NAMESPACES.iter().map(|name| link(&format!("/proc/self/ns/{name}"))).collect();
    for (name, (inside, outside)) in crate::probes::facts::NAMESPACES.iter().zip(inside.lines().zip(&outside)) {
        assert_eq!(inside == outside, ["net", "pid", "ipc", "uts"].contains(name), "{name}");
    }
    assert_eq!(says(&of_host, &["list", "/sys/class/net"]), names("/sys/class/net"));
    assert_eq!(says(&["--network", "host"], &["list", "/sys/class/net"]), names("/sys/class/net"));
    let pid = std::process::id();
    assert!(says(&["--pid", "host"], &["list", "/proc"]).lines().any(|name| name == pid.to_string()));
    // It can be read and not written to.
    let outcome = shared_files.in_root(&root, &of_host, &["touch", "/sys/kernel/uevent_seqnum"]).finish();
    assert!(outcome.code() == 99 && outcome.stderr_text().contains("Read-only file system"), "{outcome:?}");
}

fn link(path: &str) -> String {
    fs::read_link(path).expect("readlink").display().to_string()
}

/// The entries of a directory of the host, as the probe lists them.
fn names(path: &str) -> String {
    let entries = fs::read_dir(path).expect("readdir").map(|entry| entry.expect("readdir").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names.iter().map(|name| format!("{name}\n")).collect()
}

case!(writes_in_memory, Needs::USER_NAMESPACES | Needs::OVERLAY);
fn writes_in_memory() {
    let (shared_files, root) = own_root();
    shared_files.in_root(&root, &["--ephemeral"], &["touch", "/new"]).finish().success();
    assert!(!root.path("new").exists());
    // An overlay over the host's own root, with the host's mounts below it, needs more than a user namespace.
    shared_files.as_user(&["--ephemeral"], &["touch", "/new"]).finish().refused(125, &["EINVAL", "mounts of the host"]);
    shared_files.in_root(&root, &[], &["touch", "/new"]).finish().success();
    assert!(root.path("new").exists());
    let outcome = shared_files.in_root(&root, &["--read-only"], &["touch", "/other"]).finish();
    assert_eq!((outcome.code(), root.path("other").exists()), (99, false), "{outcome:?}");
    // The user need not own it either.
    if host().root {
        std::os::unix::fs::chown(root.as_path(), Some(0), Some(0)).expect("chown");
        shared_files.in_root(&root, &["--ephemeral"], &["touch", "/third"]).finish().success();
        assert!(!root.path("third").exists());
    }
}

/// Makes it a run as root of a user namespace that is there before mydocker starts, as in a container of an ordinary user. Only
/// one id is mapped.
fn as_root_in_a_user_namespace(run: Run) -> Run {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (uids, gids) = (format!("0 {uid} 1"), format!("0 {gid} 1"));
    run.before(move || {
        // SAFETY: the call takes an integer
        if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) } != 0 {
            return Err(io::Error::last_os_error());
        }
        write(c"/proc/self/uid_map", uids.as_bytes())?;
        write(c"/proc/self/setgroups", b"deny")?;
        write(c"/proc/self/gid_map", gids.as_bytes())
    })
}

case!(as_root_of_a_user_namespace, Needs::USER_NAMESPACES);
/// What is possible there works: this is not root of the host, although its id is 0.
fn as_root_of_a_user_namespace() {
    let root = crate::support::roots::Root::new();
    let inside =
        |options: &[&str], words: &[&str]| as_root_in_a_user_namespace(root.probe(options, words)).finish().success();
    for options in [
        &[][..],
        &["-t"],
        &["--network", "host"],
        &["--pid", "host"],
        &["--ipc", "host"],
        &["--privileged"],
        &["-u", "0"],
    ] {
        inside(options, &["touch", "/dev/null"]);
        assert!(inside(options, &["list", "/sys/class/net"]).contains("lo"), "{options:?}");
    }
    assert_eq!(inside(&[], &["pids"]), "1 0\n");
    assert_eq!(inside(&[], &["list", "/"]), "dev\netc\nprobe\nproc\nsys\n");
    // Without a root of its own.
    as_root_in_a_user_namespace(probe(&["-t"], &["status", "7"])).finish().silent(7);
    as_root_in_a_user_namespace(probe(&["-u", "0"], &["status", "7"])).finish().silent(7);
}

case!(as_root_of_a_user_namespace_with_writes_in_memory, Needs::USER_NAMESPACES | Needs::OVERLAY);
fn as_root_of_a_user_namespace_with_writes_in_memory() {
    let root = crate::support::roots::Root::new();
    as_root_in_a_user_namespace(root.probe(&["--ephemeral"], &["touch", "/new"])).finish().success();
    assert!(!root.0.path("new").exists());
}

case!(what_root_of_a_user_namespace_is_told, Needs::USER_NAMESPACES);
/// What is not possible there is named.
fn what_root_of_a_user_namespace_is_told() {
    let told = |run: Run, words: &[&str]| as_root_in_a_user_namespace(run).finish().refused(125, words);
    told(probe(&["--ephemeral"], &["status", "0"]), &["EINVAL", "user namespace", "mounts of the host"]);
    told(probe(&["-u", "5"], &["status", "0"]), &["EINVAL", "user namespace"]);
    told(probe(&["-u", "0", "--group-add", "5"], &["status", "0"]), &["--group-add", "user namespace"]);
    let outcome = as_root_in_a_user_namespace(mydocker(&["check"])).finish();
    assert!(!outcome.stdout_text().contains("modprobe overlay"), "{outcome:?}");
}

case!(a_limit_needs_a_delegated_group, Needs::USER_NAMESPACES | Needs::ROOT | Needs::MEMORY | Needs::MOUNTED);
fn a_limit_needs_a_delegated_group() {
    let shared_files = SharedFiles::new();
    // The default limit is left out.
    shared_files.as_user(&[], &["status", "0"]).finish().silent(0);
    let outcome = shared_files.as_user(&["-m", "100m"], &["status", "0"]).finish();
    let advice = match on_v2("memory") {
        true => "systemd-run --user --scope -p Delegate=yes",
        false => "--cgroup-parent names it, mydocker help limits",
    };
    outcome.refused(125, &["EACCES", advice]);
}

case!(a_group_of_v1_is_used, Needs::USER_NAMESPACES | Needs::ROOT | Needs::MEMORY_ON_V1 | Needs::MOUNTED);
/// A directory that the user owns, in each hierarchy that the limits need.
fn a_group_of_v1_is_used() {
    let shared_files = SharedFiles::new();
    let given = format!("given-{}", std::process::id());
    let carriers = ["memory", "cpu"].into_iter().filter_map(|controller| host().carrier(controller));
    // One hierarchy may carry both.
    let made: BTreeSet<_> = carriers.filter(|carrier| !carrier.v2).map(|carrier| carrier.point.join(&given)).collect();
    for group in &made {
        fs::create_dir(group).expect("a group of the test's own");
        std::os::unix::fs::chown(group, Some(USER), Some(USER)).expect("chown");
    }
    let options = ["--cgroup-parent", &format!("/{given}"), "-m", "100m"];
    let outcome = shared_files.as_user(&options, &["limit", "memory", "memory.limit_in_bytes"]).finish();
    // A privileged one is the top of what it sees, and may make others below.
    let (shared_files, root) = own_root();
    let seen = |more: &[&str]| {
        let words = ["limit-seen", "memory", "memory.limit_in_bytes", "memory.max"];
        shared_files.in_root(&root, &[&options[..], more].concat(), &words).finish()
    };
    let (confined, privileged) = (seen(&[]), seen(&["--privileged"]));
    // Where nothing is limited and processes are only counted, none need be there.
    let counted = shared_files.as_user(&[&options[..], &["--stats"]].concat(), &["status", "0"]).finish();
    // One of the two that it needs is not there: it says in which they are to be.
    let without = format!("/{given}-not");
    let missing = shared_files.as_user(&["--cgroup-parent", &without, "-m", "100m"], &["status", "0"]).finish();
    made.into_iter().for_each(|group| fs::remove_dir(group).expect("nothing is left in it"));
    assert_eq!(outcome.success(), "104857600\n");
    assert_eq!(counted.code(), 0, "{counted:?}");
    let told = counted.stderr_text();
    assert!(told.lines().any(|line| line.starts_with("peak_pids") && line.ends_with("null")), "{told}");
    assert_eq!(confined.success(), "1 ro / 104857600\n");
    assert_eq!(privileged.success(), "1 rw / 104857600\n");
    missing.refused(125, &["ENOENT", "make it first, in each of these hierarchies: ", "memory"]);
}

case!(a_bridge_is_roots, Needs::USER_NAMESPACES | Needs::ROOT | Needs::BRIDGE);
fn a_bridge_is_roots() {
    let outcome = SharedFiles::new().as_user(&["--network", "bridge"], &["status", "0"]).finish();
    outcome.refused(125, &["EPERM", "needs root", "slirp4netns and pasta do not"]);
}

case!(
    a_delegated_group_is_used,
    Needs::USER_NAMESPACES | Needs::ROOT | Needs::MEMORY_ON_V2 | Needs::MOUNTED | Needs::GROUP_BELOW
);
/// A cgroup that the user owns, with a leaf for mydocker itself, as systemd delegates it.
fn a_delegated_group_is_used() {
    let shared_files = SharedFiles::new();
    let top = &host().carrier("memory").expect("memory").point;
    let delegated = top.join(format!("delegated-{}", std::process::id()));
    let leaf = delegated.join("leaf");
    fs::create_dir_all(&leaf).expect("mkdir");
    fs::write(top.join("cgroup.subtree_control"), "+memory").expect("subtree_control");
    for name in ["", "cgroup.procs", "cgroup.subtree_control", "leaf", "leaf/cgroup.procs"] {
        std::os::unix::fs::chown(delegated.join(name), Some(USER), Some(USER)).expect("chown");
    }
    let procs = c_string(leaf.join("cgroup.procs").to_str().expect("UTF-8"));
    let run = shared_files.probe(&["-m", "100m", "--init"], &["limit", "memory", "memory.max"]).before(move || {
        write(&procs, b"0")?;
        become_user()
    });
    let outcome = run.finish();
    // Two levels, and a moment until the last process has ended.
    crate::support::processes::wait_until("the groups are empty", || fs::remove_dir(&leaf).is_ok() || !leaf.exists());
    fs::remove_dir(&delegated).expect("nothing is left in it");
    assert_eq!(outcome.success(), "104857600\n");
}

case!(userns_host_forbids_it, Needs::USER_NAMESPACES);
fn userns_host_forbids_it() {
    let shared_files = SharedFiles::new();
    shared_files.as_user(&["--userns", "host"], &["status", "0"]).finish().refused(125, &["clone", "EPERM", "root"]);
    shared_files.as_user(&["--userns=auto"], &["status", "3"]).finish().silent(3);
}

/// Called between fork and exec: it must not allocate.
fn write(file: &CStr, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the path is NUL-terminated, and the pointer and the length are those of one slice
    unsafe {
        let fd = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 || libc::write(fd, bytes.as_ptr().cast(), bytes.len()) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::close(fd);
    }
    Ok(())
}

fn become_user() -> io::Result<()> {
    // SAFETY: the calls take integers, and setgroups a null pointer with the length 0
    match unsafe { (libc::setgroups(0, std::ptr::null()), libc::setgid(USER), libc::setuid(USER)) } {
        (0, 0, 0) => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// In a mount namespace of its own, mounts other files over the host's: nothing on the host changes.
fn with_files(run: Run, files: Vec<(String, &'static str)>) -> Run {
    let files: Vec<_> = files.iter().map(|(ours, theirs)| (c_string(ours), c_string(theirs))).collect();
    run.before(move || {
        let null = std::ptr::null::<libc::c_char>();
        // SAFETY: all strings are NUL-terminated, and the other pointers are null where mount(2) allows it
        unsafe {
            let flags = libc::MS_REC | libc::MS_PRIVATE;
            if libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(null, c"/".as_ptr(), null, flags, null.cast()) != 0
                || files.iter().any(|(ours, theirs)| {
                    libc::mount(ours.as_ptr(), theirs.as_ptr(), null, libc::MS_BIND, null.cast()) != 0
                })
            {
                return Err(io::Error::last_os_error());
            }
        }
        become_user()
    })
}

/// A passwd, subuid and subgid in which the user has a range.
fn files_with_ranges(shared_files: &SharedFiles) -> Vec<(String, &'static str)> {
    let passwd = format!("root:x:0:0::/:/bin/sh\nordinary:x:{USER}:{USER}::/:/bin/sh\n");
    let mut files = Vec::new();
    for (name, text, theirs) in [
        ("passwd", passwd.as_str(), "/etc/passwd"),
        ("subuid", "other:1:1\nordinary:200000:65536\n", "/etc/subuid"),
        ("subgid", "ordinary:300000:65536\n", "/etc/subgid"),
    ] {
        let file = shared_files.folder.write(name, text.as_bytes());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("chmod");
        files.push((file, theirs));
    }
    files
}

case!(ranges_of_subuid, Needs::USER_NAMESPACES | Needs::ROOT | Needs::NEWUIDMAP);
fn ranges_of_subuid() {
    let shared_files = SharedFiles::new();
    let file = |name| {
        with_files(shared_files.probe(&[], &["file", name]), files_with_ranges(&shared_files)).finish().success()
    };
    assert_eq!(words(&file("/proc/self/uid_map")), ["0", "65534", "1", "1", "200000", "65536"]);
    assert_eq!(words(&file("/proc/self/gid_map")), ["0", "65534", "1", "1", "300000", "65536"]);
    // So other users exist inside, and the terminal belongs to the group of terminals.
    let words = ["as-user", "1000", &shared_files.probe, "--probe", "file", "/proc/self/status"];
    let status = with_files(shared_files.probe(&["-t"], &words), files_with_ranges(&shared_files)).finish();
    assert!(status.stdout_text().contains("Uid:\t1000\t1000"), "{status:?}");
}

case!(a_user_who_stays_the_same, Needs::USER_NAMESPACES);
/// `--userns keep-id`: the caller's own ids are the same inside, and no privilege comes with them.
fn a_user_who_stays_the_same() {
    let shared_files = SharedFiles::new();
    let (uid, gid) = user();
    for options in [&[][..], &["--init"], &["-t"], &["--privileged"], &["--userns", "host", "--cap-add=ALL"]] {
        let options = [options, &["--userns", "keep-id"]].concat();
        let file = |name| shared_files.as_user(&options, &["file", name]).finish().success();
        let map = file("/proc/self/uid_map");
        assert!(map.lines().any(|line| words(line) == [uid.to_string(), uid.to_string(), "1".into()]), "{map}");
        let map = file("/proc/self/gid_map");
        assert!(map.lines().any(|line| words(line) == [gid.to_string(), gid.to_string(), "1".into()]), "{map}");
        let status = file("/proc/self/status").replace('\r', "");
        assert!(status.contains(&format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}")), "{status}");
        assert!(status.contains("CapPrm:\t0000000000000000\nCapEff:\t0000000000000000"), "{status}");
    }
    // Who is not there cannot be become, and a shell has no such namespace.
    let script = shared_files.as_user(&["--userns=keep-id", "--dry-run=sh"], &["status", "0"]).finish().success();
    assert!(script.contains("\nstop ") && script.contains("leave out --userns keep-id"), "{script}");
    let own = format!("{uid}:{gid}");
    shared_files.as_user(&["--userns=keep-id", "-u", &own], &["status", "3"]).finish().silent(3);
    let auto = ["--userns", "keep-id", "--userns", "auto"];
    assert_eq!(shared_files.as_user(&auto, &["ids"]).finish().success().split(' ').next(), Some("0"));
    for bad in ["keep", "keep-id:uid=5", "private"] {
        shared_files.as_user(&["--userns", bad], &["status", "0"]).finish().usage_error(&["--userns takes", bad]);
    }
    shared_files.as_user(&["--userns="], &["status", "0"]).finish().usage_error(&["empty value"]);
    if host().root {
        shared_files.probe(&["--userns", "keep-id"], &["status", "0"]).finish().usage_error(&["this is root"]);
    }
}

case!(a_user_who_stays_the_same_among_others, Needs::USER_NAMESPACES | Needs::ROOT | Needs::NEWUIDMAP);
fn a_user_who_stays_the_same_among_others() {
    let shared_files = SharedFiles::new();
    let file = |options: &[&str], name| {
        let options = [&["--userns", "keep-id"], options].concat();
        with_files(shared_files.probe(&options, &["file", name]), files_with_ranges(&shared_files)).finish().success()
    };
    let uids = file(&[], "/proc/self/uid_map");
    assert_eq!(words(&uids), ["0", "200000", "65534", "65534", "65534", "1", "65535", "265534", "2"]);
    let gids = file(&[], "/proc/self/gid_map");
    assert_eq!(words(&gids), ["0", "300000", "65534", "65534", "65534", "1", "65535", "365534", "2"]);
    assert!(file(&[], "/proc/self/status").contains("Uid:\t65534\t65534\t65534\t65534\n"));
    // Another user is one of the range, and root has the capabilities that it has anywhere here.
    assert!(file(&["-u", "7:8"], "/proc/self/status").contains("Uid:\t7\t7\t7\t7\nGid:\t8\t8"));
    let root = file(&["-u", "0"], "/proc/self/status");
    assert!(root.contains("Uid:\t0\t0\t0\t0\n") && root.contains("CapEff:\t00000000a00425fb"), "{root}");
    assert!(file(&["--group-add", "29"], "/proc/self/status").contains("Groups:\t29 \n"));
}

case!(ranges_that_newuidmap_refuses, Needs::USER_NAMESPACES | Needs::ROOT | Needs::NEWUIDMAP);
fn ranges_that_newuidmap_refuses() {
    let shared_files = SharedFiles::new();
    let mut files = files_with_ranges(&shared_files);
    let refuses = shared_files.folder.write_program("refuses", b"#!/bin/sh\necho loud >&2\nexit 1\n");
    files.push((refuses, "/usr/bin/newuidmap"));
    let outcome = with_files(shared_files.probe(&[], &["status", "0"]), files).finish();
    outcome.refused(125, &["newuidmap", "200000 65536", "/etc/subuid"]);
}

case!(this_host_without_user_namespaces, Needs::USER_NAMESPACES_FORBIDDEN);
/// In a user namespace whose limit for further ones is 0, and in which we are not root.
fn this_host_without_user_namespaces() {
    for options in [&[][..], &["--no-limits"], &["-t"], &["--privileged", "--network", "host"]] {
        let outcome = crate::support::harness::probe(options, &["status", "0"]).finish();
        outcome.refused(125, &["clone", "ENOSPC", "user.max_user_namespaces is 0"]);
    }
    // A run that needs no user namespace works.
    crate::support::harness::mydocker(&["--help"]).finish().success();
}

case!(a_host_without_user_namespaces, Needs::USER_NAMESPACES | Needs::ROOT);
fn a_host_without_user_namespaces() {
    let shared_files = SharedFiles::new();
    let run = shared_files.probe(&[], &["status", "0"]).before(|| {
        // SAFETY: unshare with CLONE_NEWUSER leaves the address space and the descriptor table alone
        if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
            return Err(io::Error::last_os_error());
        }
        write(c"/proc/self/setgroups", b"deny")?;
        write(c"/proc/self/uid_map", b"5 0 1")?;
        write(c"/proc/self/gid_map", b"5 0 1")?;
        write(c"/proc/sys/user/max_user_namespaces", b"0")
    });
    run.finish().refused(125, &["clone", "ENOSPC", "user.max_user_namespaces is 0"]);
}

case!(nothing_is_left_and_the_status_stands, Needs::USER_NAMESPACES);
fn nothing_is_left_and_the_status_stands() {
    let shared_files = SharedFiles::new();
    for status in ["0", "1", "42"] {
        assert_eq!(shared_files.as_user(&[], &["status", status]).finish().code().to_string(), status);
    }
    let outcome = shared_files.as_user(&[], &["kill-self", "9"]).finish();
    // PID 1 does not get signals that it sends to itself; with a reaper the command is not PID 1.
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert_eq!(shared_files.as_user(&["--init"], &["kill-self", "9"]).finish().code(), 128 + 9);
    let missing = mydocker_at(shared_files.mydocker.as_ref(), &["run", "/no/such/file"]);
    let missing = if host().root { missing.with(|command| command.uid(USER).gid(USER)) } else { missing };
    assert_eq!(missing.with(|command| command.current_dir("/")).finish().code(), 127);
}
