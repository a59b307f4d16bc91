//! `--dry-run=sh`: the recorded calls as commands of a shell, with what util-linux has; or, where no shell can do the same, at
//! that place a line that says so, with the option that lifts it, and ends the script with 125.
//!
//! A shell has no tools any more once it has changed its root. So here the new root is put together where it is, by paths of the
//! host, and moved over the old one at the end, as mydocker itself does on an initramfs; and ids, capabilities and no_new_privs
//! are collected, for the one `setpriv` that executes the command.

mod command;
mod mounts;
mod network;
mod shell;

use crate::bytes::{self, Put, to_decimal};
use crate::error::Result;
use crate::namespaces::AwaitSuccessor;
use crate::network::guard::GuardBridge;
use crate::network::slirp::{StartPasta, StartSlirp};
use crate::plan::Plan;
use crate::process::rehearse::{Rehearsed, rehearse};
use crate::state::{MakeRecord, NoteProcess};
use crate::step::Step;
use crate::sys::record::{Recorded, join};
use crate::sys::{self, AtFlags, CloneFlags, CpuMask, Device, Ioctl, OpenFlags, OpenTreeFlags, Prctl};
use alloc::vec::Vec;
use command::C_LIBRARYS;
use core::ffi::CStr;
use mounts::{NewMount, put_attributes};
use network::LO_UP;
pub use shell::put_word;
use shell::{BEGIN, CLOSE, FUNCTIONS, REST, UNSHARE, delimiter, fill, put_item};
use syscalls::Sysno;

/// It could mount nothing then: unshare(1) becomes the command as the user.
const KEEP_ID: &[u8] = b"unshare keeps no privilege for a user who is not root inside: leave out --userns keep-id";

/// The namespaces by the options of unshare(1).
const NAMESPACES: [(CloneFlags, &str); 6] = [
    (CloneFlags::NEWNS, " --mount"),
    (CloneFlags::NEWUTS, " --uts"),
    (CloneFlags::NEWIPC, " --ipc"),
    (CloneFlags::NEWPID, " --pid"),
    (CloneFlags::NEWNET, " --net"),
    (CloneFlags::NEWUSER, " --user -r"),
];

/// The shell's own business in the parent: its signals, its pipes and its memory; locks, what is read back, and the other side
/// of a terminal. A script takes no lock that it could have to wait for: so the mode of a cgroup need not change for it.
const PARENTS_OWN: &[Sysno] = &[
    Sysno::rt_sigaction,
    Sysno::rt_sigprocmask,
    Sysno::signalfd4,
    Sysno::pipe2,
    Sysno::socketpair,
    Sysno::mmap,
    Sysno::mprotect,
    Sysno::close,
    Sysno::flock,
    Sysno::fchmod,
    Sysno::faccessat,
    Sysno::pread64,
    Sysno::read,
    Sysno::wait4,
    Sysno::dup3,
    Sysno::recvmsg,
    Sysno::ioctl,
    Sysno::statx,
    Sysno::fstatfs,
    Sysno::getpgid,
    Sysno::kill,
    Sysno::ppoll,
    Sysno::fcntl,
    Sysno::geteuid,
    Sysno::ftruncate,
];

/// The shell's own business in the child: its signals and its pipes; what is only looked at, and what a terminal needs.
const CHILDS_OWN: &[Sysno] = &[
    Sysno::close,
    Sysno::lseek,
    Sysno::read,
    Sysno::getpid,
    Sysno::fstatfs,
    Sysno::statfs,
    Sysno::statx,
    Sysno::faccessat,
    Sysno::ppoll,
    Sysno::rt_sigprocmask,
    Sysno::rt_sigtimedwait,
    Sysno::socket,
    Sysno::sendmsg,
    Sysno::dup3,
    Sysno::fchown,
    Sysno::ioctl,
    Sysno::pidfd_open,
];

/// Makes a cgroup that perhaps cannot be made.
const MAY_MAKE: &str = "mkdir ~ 2>/dev/null && set -- ~ \"$@\" || [ ! -e ~ ] ||
    stop 'its cgroup is there: it runs, or was killed: --name chooses another'";

/// The script.
pub fn script(plan: &Plan) -> Result<Vec<u8>> {
    let rehearsal = rehearse(plan)?;
    let mut all = Translator {
        bridge: plan.parts.bridge.map_or("", |bridge| bridge.name),
        // The script goes to other directories: no path in it is relative to the caller's.
        directory: sys::working_directory()?.leak(),
        is_confined: plan.spec.privilege.confined,
        ..Translator::default()
    };
    for step in &rehearsal.parent {
        if step.purpose == MakeRecord::purpose() || step.purpose == NoteProcess::purpose() {
            // Nobody keeps a shell's container.
            all.line("# ^: not here, so `mydocker ps` does not list it", &[step.purpose.as_bytes()]);
            continue;
        }
        if step.purpose == StartSlirp::purpose() {
            all.stop(b"mydocker itself starts and ends slirp4netns: leave out --network slirp4netns");
            continue;
        }
        if step.purpose == StartPasta::purpose() {
            all.stop(b"mydocker itself starts and ends pasta: leave out --network pasta");
            continue;
        }
        if step.purpose == GuardBridge::purpose() {
            all.line("# A script that is killed leaves the bridge, and its cgroups.", &[]);
            continue;
        }
        if step.purpose == AwaitSuccessor::purpose() {
            all.stop(b"a shell cannot start the command in another PID namespace: leave out --pid container:");
            continue;
        }
        all.step(step, Translator::parents_call);
    }
    if plan.spec.untold && plan.parts.bridge.is_some() {
        all.line("# mydocker itself tells the others on the bridge its names: here they do not find it by name.", &[]);
    }
    if plan.spec.stats.is_some() && !all.has_stopped {
        all.stop(b"what it used is not counted: leave out --stats");
    }
    let parent = core::mem::take(&mut all.out);

    all.caller = plan.host.environment;
    all.undo = plan.parts.undo_on_failure;
    all.in_container = true;
    all.begin_part();
    if !all.born_in.is_empty() && !is_detached(all.born_in) {
        let procs = join(all.born_in, b"cgroup.procs");
        match all.group_may_fail {
            true => all.line(
                "own_cgroup=\n[ ! -d ~ ] || { echo 0 >~; own_cgroup=yes; }\nexport own_cgroup",
                &[all.born_in, procs],
            ),
            false => all.line("echo 0 >~", &[procs]),
        }
    }
    // In a root of its own, or once they are read-only, its cgroups cannot be reached any more: it joins them first.
    for is_first in [true, false] {
        for step in rehearsal.child.iter().filter(|step| joins_cgroup(step) == is_first) {
            all.step(step, Translator::childs_call);
        }
    }
    let (last, rest): (&str, &[u8]) =
        if all.parts.is_empty() { ("child", b"") } else { ("rest", b" \"$functions\n$rest\"") };
    all.end_part(last);

    // busybox fails with `unchanged`; the child makes its mounts slaves anyway.
    let mut namespaces = b" --propagation slave".to_vec();
    for (flag, option) in &NAMESPACES {
        namespaces.put(if all.namespaces.has(*flag) { option.as_bytes() } else { b"" });
    }
    namespaces.put(&all.maps);
    let needed: &[u8] = if all.maps.is_empty() { b"--propagation" } else { b"--map-users" };

    let mut out = Vec::new();
    fill(&mut out, BEGIN, &[FUNCTIONS.as_bytes(), &parent, &all.parts]);
    if !all.enter.is_empty() {
        out.put(b"nsenter=$(tool nsenter --net 'leave out --network ns:')\n");
    }
    fill(&mut out, UNSHARE, &[needed, &namespaces, &all.enter, &namespaces, rest]);
    for argument in &all.argv {
        fill(&mut out, " \\\n    ~", &[argument]);
    }
    out.put(b" || status=$?\n");
    Ok(out)
}

/// Whether a path is one in a mount that is attached nowhere. The kernel calls the top of such a mount `/`, so that a shell
/// would change the root of the host.
fn is_detached(path: &[u8]) -> bool {
    path.starts_with(b"//") || path == b"/"
}

/// Whether a path is the name of a descriptor in /proc.
fn names_descriptor(path: &[u8]) -> bool {
    path.strip_prefix(b"/proc/").unwrap_or(path).starts_with(b"self/fd/")
}

/// Whether a step of the child moves it into a cgroup.
fn joins_cgroup(step: &Rehearsed) -> bool {
    let is_of_cgroup = |file: &[u8]| file.ends_with(b"/tasks") || file.ends_with(b"/cgroup.procs");
    let joins = |call: &Recorded| call.call.number == Sysno::write && is_of_cgroup(call.file(0));
    step.calls.iter().any(|call| joins(call) && call.bytes(1) == b"0")
}

/// A mode as chmod(1) takes it.
fn octal(mode: usize) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_octal(mode as u64);
    out
}

/// Translates the calls: first those of the parent, then those of the child, which has a copy of what the parent has opened.
#[derive(Default)]
struct Translator {
    /// The part of the script that is being written.
    out: Vec<u8>,
    /// The parts of the child that are complete, as variables: `child`, and what is executed in its new cgroup namespace,
    /// `rest`.
    parts: Vec<u8>,
    /// The purpose of the step, until it has a line.
    purpose: &'static str,
    /// The step may fail.
    may_fail: bool,
    /// The script stops somewhere.
    has_stopped: bool,
    /// The paths on the host that descriptors stand for, by their number. The last one counts.
    fds: Vec<(usize, &'static [u8])>,

    /// The namespaces of the child,
    namespaces: CloneFlags,
    /// the options of unshare for ids beside its own,
    maps: Vec<u8>,
    /// and the cgroup that it is born in,
    born_in: &'static [u8],
    /// which perhaps cannot be made.
    group_may_fail: bool,
    /// Its cgroups of v1 that perhaps cannot be joined.
    perhaps_joined: Vec<&'static [u8]>,
    /// The name of the bridge.
    bridge: &'static str,
    /// The script has taken the lock of the bridge.
    is_locked: bool,
    /// The calls are those of the child.
    in_container: bool,
    /// The command that makes a pair of interfaces, once the other one's namespace is there.
    pair: Vec<u8>,
    /// How the namespace of a network is entered that is there.
    enter: Vec<u8>,
    /// The file behind the loop device.
    image: &'static [u8],
    /// The mount that is being made.
    new_mount: NewMount,

    /// Where the new root is put together, on this host,
    stage: Option<&'static [u8]>,
    /// and where it is, once it is the root.
    root: Option<&'static [u8]>,
    /// Where something has been mounted, on this host, and whether it is a tmpfs.
    mounted: Vec<(&'static [u8], bool)>,
    /// How many volumes have been opened, and how many of them are not mounted yet.
    volumes: (u64, u64),
    /// The working directory: a path on this host.
    directory: &'static [u8],
    /// What is made in the root is removed again, if the command is not executed.
    undo: bool,
    /// The working directory of the command, in its root.
    workdir: &'static [u8],
    /// The next directory gets the mode and the owner of the working directory.
    has_looked_at_cwd: bool,
    /// The command leads a session.
    leads_session: bool,
    /// The options of `prlimit` for the resource limits of the command.
    limits: Vec<u8>,
    /// Signals that are ignored here, and not by the command.
    reset_signals: Vec<u8>,
    /// The container is not privileged.
    is_confined: bool,
    /// The environment of whoever asks for the script.
    caller: &'static [&'static CStr],
    /// The command,
    argv: Vec<&'static [u8]>,
    /// and what it is to be executed with.
    uid: Option<&'static [u8]>,
    gid: Option<&'static [u8]>,
    groups: Option<&'static [u8]>,
    dropped: Vec<u8>,
    sets_capabilities: bool,
    no_new_privs: bool,
    /// It gets a session keyring of its own. With `-u` that belongs to whoever starts the script, but the command possesses it.
    joins_keyring: bool,
}

impl Translator {
    /// Puts a line, or several. The first one of a step comes with its purpose, so a step without any is not mentioned.
    fn line(&mut self, template: &str, parts: &[&[u8]]) {
        if !self.purpose.is_empty() {
            fill(&mut self.out, "# ^\n", &[core::mem::take(&mut self.purpose).as_bytes()]);
        }
        fill(&mut self.out, template, parts);
        self.out.push(b'\n');
    }

    /// Puts one command. Where the step may fail, so may the command.
    fn command(&mut self, template: &str, parts: &[&[u8]]) {
        let mut command = Vec::new();
        fill(&mut command, template, parts);
        self.line(if self.may_fail { "{ ^; } 2>/dev/null || :" } else { "^" }, &[&command]);
    }

    /// What a shell cannot do, and how to do without it.
    fn stop(&mut self, what: &[u8]) {
        self.has_stopped = true;
        self.line("stop ~", &[what]);
    }

    /// The first argument of a part is what has been made in the root before.
    fn begin_part(&mut self) {
        self.line("made=$1\nshift", &[]);
        self.put_trap();
    }

    fn end_part(&mut self, name: &str) {
        let part = core::mem::take(&mut self.out);
        let end = delimiter(&part);
        fill(&mut self.parts, "^=$(cat <<'^'\n^^\n)\n", &[name.as_bytes(), &end, &part, &end]);
    }

    /// What is to be done at an end other than the command.
    fn put_trap(&mut self) {
        match self.root {
            Some(root) if self.undo => self.line("root=~\ntrap 'undo \"$root\"' EXIT", &[root]),
            _ => self.line("trap 'exit 125' EXIT", &[]),
        }
    }

    fn step(&mut self, step: &Rehearsed, translate: fn(&mut Self, &Recorded)) {
        self.purpose = step.purpose;
        self.may_fail = step.may_fail;
        for call in &step.calls {
            translate(self, call);
        }
        self.purpose = "";
        self.may_fail = false;
    }

    fn parents_call(&mut self, call: &Recorded) {
        match call.call.number {
            Sysno::fcntl if call.number(1) as i32 == libc::F_DUPFD_CLOEXEC => {
                self.stop(b"mydocker itself writes to it: leave out --pid-file, --cidfile, or --stats=FILE");
            }
            Sysno::openat if call.opens_with(OpenFlags::CREAT) => {
                self.stop(b"mydocker itself writes this file: leave out --pid-file, --cidfile, or --stats=FILE");
            }
            Sysno::setitimer => {
                self.stop(b"a shell has no timer: leave out --timeout, and start the script with timeout -s KILL")
            }
            Sysno::mkdirat => {
                let path = self.path(call, 0);
                if is_detached(path) {
                    return self
                        .stop(b"the cgroups are mounted nowhere, so they have no path: mount them, or --no-limits");
                }
                self.group_may_fail |= self.may_fail;
                match self.may_fail {
                    // One that is there belongs to somebody: a default limit is left out only where none can be made.
                    true => self.line(MAY_MAKE, &[path, path, path]),
                    // With && a failure would not end the script: `set -e` looks only at the last command of such a list.
                    false => self.line("mkdir ~\nset -- ~ \"$@\"", &[path, path]),
                }
            }
            Sysno::write if call.number(0) == libc::STDERR_FILENO as usize => {
                self.line("echo ~ >&2", &[call.bytes(1).trim_ascii()]);
            }
            Sysno::write => {
                let path = self.of_fd(call, 0);
                if path.ends_with(b"/uid_map") && !call.bytes(1).starts_with(b"0 ") {
                    self.stop(KEEP_ID);
                }
                // Pipes are the shell's own; the maps are written by unshare.
                let is_map = path.starts_with(b"/proc/") && !path.starts_with(b"/proc/sys/");
                if path.ends_with(b"/disable_ipv6") {
                    // This kernel may have no IPv6.
                    self.line("[ ! -e ~ ] || echo ~ >~", &[path, call.bytes(1), path]);
                } else if path.starts_with(b"/") && !is_detached(path) && !is_map {
                    self.command("echo ~ >~", &[call.bytes(1), path]);
                }
            }
            // The first one makes the child, and another one the relay.
            Sysno::clone if self.namespaces != CloneFlags::NONE => {}
            Sysno::clone => self.namespaces = CloneFlags::from_bits(call.number(0) as u64),
            Sysno::clone3 => {
                let flags = call.bytes(0).first_chunk().map_or(0, |flags| u64::from_ne_bytes(*flags));
                self.namespaces = CloneFlags::from_bits(flags);
                self.born_in = call.file(0);
            }
            // `newuidmap PID 0 ID 1 1 START COUNT`
            Sysno::execve => {
                if let [_, _, _, _, _, first, start, count] = call.strings(1)[..] {
                    let kind: &[u8] = if call.bytes(0).ends_with(b"newuidmap") { b"users" } else { b"groups" };
                    fill(&mut self.maps, " --map-^=^,^,^", &[kind, start, first, count]);
                } else {
                    self.stop(KEEP_ID);
                }
            }
            Sysno::ioctl if call.number(1) == Ioctl::LOOP_CONFIGURE.bits() as usize => self.image = call.file(2),
            // Of what has stopped already.
            Sysno::prctl | Sysno::seccomp | Sysno::getppid if self.has_stopped => {}
            Sysno::prctl => match Prctl::from_bits(call.number(0) as u64) {
                Prctl::SET_CHILD_SUBREAPER => {
                    self.stop(b"what the command leaves running would outlive the script: leave out --pid host");
                }
                // execve(2) makes every tool dumpable again. A script is protected from no other container with --pid host
                // as long as its command has not begun.
                Prctl::SET_DUMPABLE => {}
                other => self.stop(other.names().as_bytes()),
            },
            Sysno::sendto if self.namespaces.has(CloneFlags::NEWUSER) => {
                self.stop(b"a bridge needs root, with CAP_NET_ADMIN: leave out --network bridge");
            }
            Sysno::sendto => self.requests(call),
            Sysno::bind => self.stop(b"mydocker itself is the relay of published ports: leave out -p"),
            Sysno::socket
            | Sysno::setsockopt
            | Sysno::listen
            | Sysno::getsockname
            | Sysno::getpid
            | Sysno::pidfd_open
            | Sysno::setns
            | Sysno::capset => {}
            Sysno::openat | Sysno::openat2 => self.opened_file(call),
            number if PARENTS_OWN.contains(&number) => {}
            _ => self.stop(call.call.name.as_bytes()),
        }
    }

    fn childs_call(&mut self, call: &Recorded) {
        match call.call.number {
            Sysno::mount => self.mount(call),
            Sysno::openat if call.opens_with(OpenFlags::CREAT) => {
                let path = self.path(call, 0);
                self.stands_for(call.answer, path);
                self.command(": >~", &[path]);
                self.command("chmod ^ ~", &[&octal(call.number(3)), path]);
            }
            // A file of its own, on its way to where it is bound.
            Sysno::open_tree if names_descriptor(call.bytes(1)) => {
                let source = self.on_host(call.bytes(1));
                self.new_mount = NewMount { source, fd: Some(call.answer), ..NewMount::default() };
            }
            Sysno::open_tree if !OpenTreeFlags::from_bits(call.number(2) as u64).has(OpenTreeFlags::RECURSIVE) => {
                self.stop(b"a shell cannot keep a file as stdin from being written to: give it through a pipe");
            }
            Sysno::open_tree => self.keep_volume(call),
            Sysno::fsopen => self.new_mount = NewMount { kind: call.bytes(0), ..NewMount::default() },
            Sysno::fsconfig => self.new_mount.configure(call),
            Sysno::fsmount => self.new_mount.made(call),
            Sysno::move_mount if self.new_mount.fd == Some(call.number(0)) => {
                let target = self.of_fd(call, 2);
                self.stands_for(call.number(0), target);
                let NewMount { kind, source, options, .. } = core::mem::take(&mut self.new_mount);
                if kind.is_empty() {
                    self.make_target(source, target, b"");
                    return self.line("[ ! -e ~ ] || mount --bind ~ ~", &[target, source, target]);
                }
                self.line("mount -t ^ -o ~ ~ ~", &[kind, &options, source, target]);
            }
            // Of the /proc of another container.
            Sysno::move_mount if self.has_stopped => {}
            Sysno::move_mount => {
                let (source, target) = (self.of_fd(call, 0), self.of_fd(call, 2));
                if self.root.is_none() && (target == b"/sys" || target.starts_with(b"/sys/")) {
                    self.stop(b"the script uses /sys itself: leave out the -v onto it");
                }
                self.make_target(source, target, b"");
                self.mounted.push((target, false));
                self.line("mount --move ~ ~", &[source, target]);
                self.volumes.1 -= 1;
                if self.volumes.1 == 0 && self.root.is_none() {
                    self.line("umount -n /sys", &[]);
                }
                // From here on the descriptor stands for the mount.
                self.stands_for(call.number(0), target);
            }
            Sysno::mount_setattr if call.file(0).starts_with(b"//") => {}
            Sysno::mount_setattr => {
                let mut options = Vec::new();
                let set = call.bytes(3).first_chunk().map_or(0, |set| u64::from_ne_bytes(*set));
                put_attributes(set, &mut options);
                let path = self.path(call, 0);
                match AtFlags::from_bits(call.number(2) as u64).has(AtFlags::RECURSIVE) {
                    true => self.command("restrict ~ ^", &[path, &options]),
                    false => self.command("mount -o remount,bind,^ ~", &[&options, path]),
                }
                // The third word of struct mount_attr: no mounts come in.
                if call.bytes(3).get(16..24).is_some_and(|propagation| propagation != [0; 8]) {
                    self.command("mount --make-private ~", &[path]);
                }
            }
            Sysno::setns if call.number(1) == CloneFlags::NEWNET.bits() as usize => {
                let path = self.of_fd(call, 0);
                if path.is_empty() {
                    self.stop(b"a shell does not hold the network of a container: --network ns:/proc/PID/ns/net");
                } else {
                    fill(&mut self.enter, "\"$nsenter\" --net=~ ", &[path]);
                    self.line("# nsenter, at the end: a shell cannot join it and go on.", &[]);
                }
            }
            Sysno::sendto if self.namespaces.has(CloneFlags::NEWUSER) => {}
            Sysno::sendto => {
                let pair = core::mem::take(&mut self.pair);
                self.line("^", &[&pair]);
                self.requests(call);
            }
            Sysno::setns if call.number(1) == CloneFlags::NEWIPC.bits() as usize => {
                self.stop(b"a shell cannot join another IPC namespace and go on: leave out --ipc container:");
            }
            Sysno::write if call.file(0) == b"pipe" => {}
            Sysno::write => {
                let (path, content) = (self.of_fd(call, 0), call.bytes(1));
                if self.may_fail
                    && let Some(group) = path.strip_suffix(b"/tasks")
                {
                    self.perhaps_joined.push(group);
                }
                if !is_detached(path) {
                    self.command(if content == b"0" { "echo ~ >~" } else { "printf %s ~ >~" }, &[content, path]);
                }
            }
            Sysno::mkdirat => {
                let path = self.path(call, 0);
                self.command("mkdir -m ^ ~", &[&octal(call.number(2)), path]);
                if core::mem::take(&mut self.has_looked_at_cwd) {
                    self.command("chmod \"$(stat -c %a .)\" ~", &[path]);
                    // The owner may have no id in a user namespace.
                    let in_userns = self.namespaces.has(CloneFlags::NEWUSER);
                    let unless: &[u8] = if in_userns { b" 2>/dev/null || :" } else { b"" };
                    self.command("chown \"$(stat -c %u:%g .)\" ~^", &[path, unless]);
                }
            }
            Sysno::statx if call.bytes(1) == b"." => self.has_looked_at_cwd = true,
            // The script has made it after the mkdir, with the owner that it finds itself.
            Sysno::fchownat => {}
            Sysno::fchmod => {
                let stream = to_decimal(call.number(0) as u64);
                self.line("chmod ^ /proc/self/fd/^", &[&octal(call.number(1)), &stream]);
            }
            Sysno::mknodat => {
                let (major, minor) = Device::parts(call.number(3) as u32);
                let (major, minor) = (to_decimal(major.into()), to_decimal(minor.into()));
                let mode = octal(call.number(2) & 0o7777);
                self.command("mknod -m ^ ~ c ^ ^", &[&mode, self.path(call, 0), &major, &minor]);
            }
            Sysno::symlinkat => self.command("ln -s ~ ~", &[call.bytes(0), self.path(call, 1)]),
            Sysno::openat if call.opens_with(OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW) => {
                self.opened_file(call);
                let path = self.path(call, 0);
                self.command("[ ! -L ~ ] || stop 'the root has no ^: it is a link'", &[path, call.bytes(1)]);
                self.command("target ~ / ~", &[self.root.unwrap_or_default(), path]);
            }
            Sysno::chdir => {
                self.directory = self.on_host(call.bytes(0));
                if self.root.is_none() {
                    self.command("cd ~", &[self.directory]);
                }
            }
            Sysno::pivot_root => {
                self.root = Some(self.directory);
                self.put_trap();
            }
            // The old root is still needed for the tools; at the end the new one is moved over it.
            Sysno::umount2 if call.bytes(0) == b"." => {}
            Sysno::umount2 => self.line("umount -n -l ~ 2>/dev/null || :", &[call.bytes(0)]),
            Sysno::fchdir => {
                let path = self.of_fd(call, 0);
                self.directory = path;
                match self.root {
                    Some(root) => self.workdir = path.strip_prefix(root).unwrap_or_default(),
                    None => {
                        self.make_target(b"/", path, b"");
                        self.command("cd ~", &[path]);
                    }
                }
            }
            Sysno::setns => self.line("at_the_top", &[]),
            Sysno::setsid => {
                self.leads_session = true;
                self.line(
                    "# setsid, at the end. Ctrl-C does not reach it: here is no mydocker that passes it on.",
                    &[],
                );
            }
            Sysno::umask => self.command("umask ^", &[&octal(call.number(0))]),
            // Not every hostname(1) takes every name.
            Sysno::sethostname => self.line(
                "hostname -- ~ 2>/dev/null || echo ~ >/proc/sys/kernel/hostname ||\n    \
                 stop 'this name cannot be set here: leave out --hostname, or use --name with --uts host'",
                &[call.bytes(0), call.bytes(0)],
            ),
            Sysno::prlimit64 => self.limit(call),
            Sysno::sched_setaffinity => {
                let mut list = Vec::new();
                CpuMask::members(call.bytes(2)).for_each(|cpu| put_item(&mut list, &to_decimal(cpu)));
                self.line(
                    "taskset=$(tool taskset -c 'leave out --cpu-set')\n\"$taskset\" -p -c ^ $$ >/dev/null",
                    &[&list],
                );
            }
            Sysno::ioctl if call.number(1) == Ioctl::SIOCSIFFLAGS.bits() as usize => self.line(LO_UP, &[]),
            Sysno::ioctl if call.number(1) == Ioctl::TIOCGPTPEER.bits() as usize => {
                self.stop(b"a shell cannot make a terminal: leave out -t");
            }
            Sysno::clone => self.stop(b"a shell is no PID 1 that passes signals on: leave out --init"),
            Sysno::seccomp => self.stop(
                b"a shell cannot load the filter of system calls: --security-opt seccomp=unconfined does without",
            ),
            Sysno::unshare => {
                // Behind it, each is the top of what is seen.
                if let Some(name) =
                    self.perhaps_joined.first().and_then(|group| group.rsplit(|byte| *byte == b'/').next())
                {
                    self.line("own_groups=$(grep /~$ /proc/self/cgroup) || :\nexport own_groups", &[name]);
                }
                self.line(REST, &[]);
                self.end_part("child");
                self.begin_part();
            }
            Sysno::prctl => match Prctl::from_bits(call.number(0) as u64) {
                Prctl::CAPBSET_DROP => self.drop_capability(call.number(1) as u64),
                Prctl::SET_NO_NEW_PRIVS => self.no_new_privs = true,
                // unshare --kill-child does it.
                Prctl::SET_PDEATHSIG => {}
                other => self.stop(other.names().as_bytes()),
            },
            Sysno::capset => self.sets_capabilities = true,
            Sysno::keyctl => {
                self.line("find_keyctl", &[]);
                self.joins_keyring = true;
            }
            Sysno::setgroups => {
                let mut groups = Vec::new();
                for group in call.bytes(1).as_chunks::<4>().0 {
                    put_item(&mut groups, &to_decimal(u32::from_ne_bytes(*group).into()));
                }
                self.groups = Some(groups.leak());
            }
            Sysno::setgid => self.gid = Some(to_decimal(call.number(0) as u64).leak()),
            Sysno::setuid => self.uid = Some(to_decimal(call.number(0) as u64).leak()),
            Sysno::rt_sigaction if C_LIBRARYS.contains(&call.number(0)) => {}
            Sysno::rt_sigaction => put_item(&mut self.reset_signals, &to_decimal(call.number(0) as u64)),
            Sysno::close_range if call.number(0) > 3 => {
                self.stop(b"the script itself uses descriptors from 3 on: leave out --preserve-fds, and LISTEN_FDS");
            }
            Sysno::close_range => self.line(CLOSE, &[]),
            Sysno::execve => self.execute(call),
            Sysno::openat | Sysno::openat2 => self.opened_file(call),
            number if CHILDS_OWN.contains(&number) => {}
            _ => self.stop(call.call.name.as_bytes()),
        }
    }

    /// Notes what a descriptor stands for.
    fn opened_file(&mut self, call: &Recorded) {
        self.stands_for(call.answer, self.path(call, 0));
    }

    fn stands_for(&mut self, fd: usize, path: &'static [u8]) {
        self.fds.push((fd, path));
    }

    /// The path on this host that the directory `at` and the name behind it lead to.
    fn path(&self, call: &Recorded, at: usize) -> &'static [u8] {
        let name = call.bytes(at + 1);
        if name.starts_with(b"/") {
            return self.on_host(name);
        }
        let is_cwd = call.number(at) as i32 == libc::AT_FDCWD;
        join(if is_cwd { self.directory } else { self.of_fd(call, at) }, name)
    }

    /// The path on this host that a descriptor stands for.
    fn of_fd(&self, call: &Recorded, at: usize) -> &'static [u8] {
        self.opened(call.number(at)).unwrap_or_else(|| call.file(at))
    }

    fn opened(&self, number: usize) -> Option<&'static [u8]> {
        self.fds.iter().rfind(|(fd, _)| *fd == number).map(|(_, path)| *path)
    }

    /// Where a path of the child is on this host.
    fn on_host(&self, path: &'static [u8]) -> &'static [u8] {
        if let Some(number) = path.strip_prefix(b"/proc/").unwrap_or(path).strip_prefix(b"self/fd/") {
            return self.opened(bytes::decimal(number).unwrap_or_default() as usize).unwrap_or_default();
        }
        match (self.root, self.stage, path.strip_prefix(b"/proc")) {
            _ if !path.starts_with(b"/") => join(self.directory, path),
            (Some(root), _, _) if path == b"/" => root,
            (Some(root), _, _) => bytes::c_string(&[root, path]).to_bytes(),
            (None, Some(stage), Some([])) => stage,
            (None, Some(stage), Some(below @ [b'/', ..])) => bytes::c_string(&[stage, below]).to_bytes(),
            _ => path,
        }
    }
}
