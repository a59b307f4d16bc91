//! `--dry-run=sh`: the recorded calls as commands of a shell, with what util-linux has; or, where no shell can do the same, at
//! that place a line that says so, with the option that lifts it, and ends the script with 125.
//!
//! A shell has no tools any more once it has changed its root. So here the new root is put together where it is, by paths of the
//! host, and moved over the old one at the end, as mydocker itself does on an initramfs; and ids, capabilities and no_new_privs
//! are collected, for the one `setpriv` that executes the command.

use crate::bytes::{self, Put};
use crate::capabilities::CAPABILITIES;
use crate::error::Result;
use crate::plan::Plan;
use crate::process::rehearse::{Rehearsed, rehearse};
use crate::sys::record::{Recorded, put_with_unknowns};
use crate::sys::{AtFlags, CloneFlags, Device, Ioctl, MountFlags, OpenFlags, Prctl, Resource};
use alloc::vec::Vec;
use syscalls::Sysno;

/// What all parts of the script use.
const FUNCTIONS: &str = r#"set -e
stop() { echo "$0: $1" >&2; exit 125; }
# Without -n it would note mounts in /run/mount, for the host.
mount() { command mount -n "$@"; }
# tool NAME OPTION HINT: the NAME in PATH, not one in the shell, if it has OPTION.
tool() {
    folders=$PATH:
    while [ "$folders" ] && ! [ -x "${folders%%:*}/$1" ]; do folders=${folders#*:}; done
    "${folders%%:*}/$1" --help 2>&1 | grep -q -e "$2" || stop "$1 $2 is missing here: $3"
    echo "${folders%%:*}/$1"
}
# decode WORD: sets point; mountinfo has \040 for a blank.
decode() { point=$(printf "$(echo "$1" | sed 's/%/%%/g')x"); point=${point%x}; }
# make_readonly PATH: the mount that is seen there and all in it, each with the flags that it has.
make_readonly() {
    tree=
    while read -r id _ _ _ point _; do
        decode "$point"
        [ "$point" != "$1" ] || tree=" $id "
    done </proc/self/mountinfo
    [ "$tree" ] || stop "$1: not mounted"
    while read -r id above _ _ point options _; do
        case $tree in *" $above "*) tree="$tree$id " ;; *" $id "*) ;; *) continue ;; esac
        decode "$point"
        # One that is missing is hidden by another.
        [ ! -e "$point" ] || mount -o "remount,bind,ro${options#r[ow]}" "$point"
    done </proc/self/mountinfo
}
# keep SOURCE PLACE: what is at SOURCE now, before anything hides it.
keep() {
    case $(readlink -f "$1")/ in
        // | /sys/*) stop "$1: the script uses /sys itself: leave out this -v, or --network host" ;;
    esac
    if [ -d "$1" ]; then mkdir "$2"; else : >"$2"; fi
    mount --rbind "$1" "$2"
}
# target ROOT SOURCE PATH: makes PATH in ROOT for a mount of SOURCE. A link could lead it out of ROOT.
target() {
    there=$3
    until [ -e "$there" ] || [ -L "$there" ]; do there=${there%/*}; done
    [ "$(readlink -f "$there")" = "$(readlink -f "$1")${there#"$1"}" ] ||
        stop "$there: a link leads it elsewhere: leave out the -v, --tmpfs or -w of it"
    until [ -e "$3" ]; do
        there=$3
        until [ -e "${there%/*}" ]; do there=${there%/*}; done
        if [ "$there" != "$3" ] || [ -d "$2" ]; then mkdir -m 755 "$there"; else (umask 022; : >"$there"); fi
        made="$there
$made"
    done
}
# undo ROOT: removes what was made in ROOT, as the command is not executed.
undo() {
    [ ! "$made" ] || umount -n -l "$1"
    printf %s "$made" | while IFS= read -r there; do
        if [ -d "$there" ]; then rmdir "$there" 2>/dev/null || :; else rm -f "$there"; fi
    done
    exit 125
}
"#;

/// The script.
pub fn script(plan: &Plan) -> Result<Vec<u8>> {
    let rehearsal = rehearse(plan)?;
    let mut parent = Translator::default();
    rehearsal.parent.iter().for_each(|step| parent.parents_step(step));
    let caller = plan.host.environment.iter().map(|variable| variable.to_bytes()).collect();
    let mut child = Translator {
        fds: parent.fds.clone(),
        namespaces: parent.namespaces,
        image: parent.image,
        caller,
        undo: plan.parts.undo_on_failure,
        ..Translator::default()
    };
    child.begin_part();
    if let Some(cgroup) = parent.born_in.filter(|cgroup| !is_detached(cgroup)) {
        let group = word(cgroup);
        let unless_missing: &[&[u8]] = if parent.group_may_fail { &[b"[ ! -d ", &group, b" ] || "] } else { &[] };
        child.command(&[&unless_missing.concat(), b"echo 0 >", &word(&[cgroup, b"/cgroup.procs"].concat())]);
    }
    // In a root of its own, or once they are read-only, its cgroups cannot be reached any more.
    let joins = |step: &&Rehearsed| step.calls.iter().any(|call| call.is_a_write_of(b"0"));
    rehearsal.child.iter().filter(joins).for_each(|step| child.childs_step(step));
    rehearsal.child.iter().filter(|step| !joins(step)).for_each(|step| child.childs_step(step));

    if plan.spec.stats.is_some() && !parent.has_stopped {
        parent.stop("what it used is not counted: leave out --stats");
    }

    let mut out = Vec::new();
    out.put(b"#!/bin/sh\n# What `mydocker run` would do, with what a shell has.\n");
    out.put(b"functions=$(cat <<'END'\n");
    out.put(FUNCTIONS.as_bytes());
    out.put(b"END\n)\neval \"$functions\"\n");
    out.put(FINISH.as_bytes());
    out.put(&parent.out);
    for (at, part) in child.parts().enumerate() {
        let end = delimiter(part);
        out.put(if at == 0 { b"child" } else { b"rest" });
        out.put(b"=$(cat <<'");
        out.put(&end);
        out.put(b"'\n");
        out.put(part);
        out.put(&end);
        out.put(b"\n)\n");
    }
    // busybox fails with `unchanged`; the child makes its mounts slaves anyway.
    let mut namespaces = b" --propagation slave".to_vec();
    for (flag, option) in [
        (CloneFlags::NEWNS, &b" --mount"[..]),
        (CloneFlags::NEWUTS, b" --uts"),
        (CloneFlags::NEWIPC, b" --ipc"),
        (CloneFlags::NEWPID, b" --pid"),
        (CloneFlags::NEWNET, b" --net"),
        (CloneFlags::NEWUSER, b" --user -r"),
    ] {
        namespaces.put(if parent.namespaces.has(flag) { option } else { b"" });
    }
    namespaces.put(&parent.maps);
    let has_maps = !parent.maps.is_empty();
    out.put(b"unshare=$(tool unshare ");
    out.put(if has_maps { b"--map-users" } else { b"--propagation" });
    out.put(b" 'without it there are no namespaces, and no option does without')\n\"$unshare\" -f");
    out.put(&namespaces);
    out.put(b" true || stop 'no namespaces can be made here'\n");
    out.put(
        b"kill_child=\n\"$unshare\" --help 2>&1 | grep -q -e --kill-child && kill_child=--kill-child || :\nstatus=0\n",
    );
    out.put(b"\"$unshare\" -f $kill_child");
    out.put(&namespaces);
    out.put(b" sh -c \"$functions\n$child\" \"$0\" ''");
    out.put(if child.second.is_some() { b" \"$functions\n$rest\"" } else { b"" });
    for argument in &child.argv {
        out.put(b" \\\n    ");
        out.put(&word(argument));
    }
    out.put(b" || status=$?\n");
    Ok(out)
}

/// The end of the script: it removes the cgroups that it has made, its arguments.
const FINISH: &str = r#"status=125
finish() {
    for cgroup; do rmdir "$cgroup" || status=125; done
    exit "$status"
}
set --
trap 'finish "$@"' EXIT
trap : HUP INT TERM
"#;

/// Whether a path is one in a mount that is attached nowhere. The kernel calls the top of such a mount `/`, so that a shell
/// would change the root of the host.
fn is_detached(path: &[u8]) -> bool {
    path.starts_with(b"//") || path == b"/"
}

/// A line that ends a here-document, and is not in its text.
fn delimiter(text: &[u8]) -> Vec<u8> {
    let mut end = b"END".to_vec();
    while bytes::split(text, b'\n').any(|line| line == end) {
        end.put(b"_");
    }
    end
}

/// As a word of a shell.
fn word(word: &[u8]) -> Vec<u8> {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-:=,+@%".contains(b);
    let mut out = Vec::new();
    if !word.is_empty() && word.iter().all(is_plain) {
        put_with_unknowns(word, &mut out);
        return out;
    }
    out.put(b"'");
    for byte in word {
        out.put(if *byte == b'\'' { b"'\\''" } else { core::slice::from_ref(byte) });
    }
    out.put(b"'");
    out
}

impl Recorded {
    /// Whether it writes exactly this to a file.
    fn is_a_write_of(&self, value: &[u8]) -> bool {
        self.call.number == Sysno::write && self.bytes(1) == value && !self.files.iter().any(|file| *file == b"pipe")
    }
}

/// Translates the calls of one process.
#[derive(Default)]
struct Translator {
    out: Vec<u8>,
    /// The paths on the host that descriptors stand for, by their number.
    fds: Vec<(usize, Vec<u8>)>,
    /// A step that may fail.
    may_fail: bool,
    /// The script stops somewhere.
    has_stopped: bool,

    /// Of the parent: the namespaces of the child,
    namespaces: CloneFlags,
    /// the options of unshare for ids beside its own,
    maps: Vec<u8>,
    /// and the cgroup that the child is born in.
    born_in: Option<&'static [u8]>,
    /// which perhaps cannot be made.
    group_may_fail: bool,
    /// The file behind the loop device.
    image: Option<&'static [u8]>,

    /// Of the child: where the new root is put together, on this host,
    stage: Option<Vec<u8>>,
    /// and where it is, once it is the root.
    root: Option<Vec<u8>>,
    /// How many volumes have been opened, and how many of them are not mounted yet.
    volumes: (u64, u64),
    /// The working directory: a path on this host.
    directory: Vec<u8>,
    /// What is made in the root is removed again, if the command is not executed.
    undo: bool,
    /// The working directory of the command, in its root.
    workdir: Vec<u8>,
    /// The next directory gets the mode and the owner of the working directory.
    has_looked_at_cwd: bool,
    /// Where the second part begins.
    second: Option<usize>,
    ids: Ids,
    /// The options of `prlimit` for its resource limits.
    limits: Vec<u8>,
    /// Signals that are ignored here, and not by the command.
    reset_signals: Vec<u32>,
    /// The environment of whoever asks for the script.
    caller: Vec<&'static [u8]>,
    argv: Vec<&'static [u8]>,
}

/// What the last command of the child is to be executed with.
#[derive(Default)]
struct Ids {
    uid: Option<usize>,
    gid: Option<usize>,
    groups: Option<Vec<u32>>,
    dropped: Vec<usize>,
    sets_capabilities: bool,
    no_new_privs: bool,
}

impl Translator {
    /// One command. Where the step may fail, so may the command.
    fn command(&mut self, parts: &[&[u8]]) {
        self.out.put(if self.may_fail { b"{ " } else { b"" });
        parts.iter().for_each(|part| self.out.put(part));
        self.out.put(if self.may_fail { b"; } 2>/dev/null || :\n" } else { b"\n" });
    }

    /// The first argument of a part is what has been made in the root before.
    fn begin_part(&mut self) {
        self.out.put(b"made=$1\nshift\n");
        self.put_trap();
    }

    /// What is to be done at an end other than the command.
    fn put_trap(&mut self) {
        match self.root.as_ref().filter(|_| self.undo) {
            Some(root) => [b"root=", word(root).as_slice(), b"\ntrap 'undo \"$root\"' EXIT\n"]
                .iter()
                .for_each(|part| self.out.put(part)),
            None => self.out.put(b"trap 'exit 125' EXIT\n"),
        }
    }

    /// What a shell cannot do, and how to do without it.
    fn stop(&mut self, what: &str) {
        self.has_stopped = true;
        self.out.put(b"stop ");
        self.out.put(&word(what.as_bytes()));
        self.out.put(b"\n");
    }

    /// The purpose of a step, and the place where its commands begin.
    fn begin(&mut self, step: &Rehearsed) -> usize {
        self.may_fail = step.may_fail;
        self.out.put(b"# ");
        self.out.put(step.purpose.as_bytes());
        self.out.put(b"\n");
        self.out.len()
    }

    /// A step without a command is not mentioned.
    fn end(&mut self, step: &Rehearsed, begun: usize) {
        if self.out.len() == begun {
            self.out.truncate(begun - step.purpose.len() - 3);
        }
        self.may_fail = false;
    }

    fn parents_step(&mut self, step: &Rehearsed) {
        let begun = self.begin(step);
        for call in &step.calls {
            self.parents_call(call);
        }
        self.end(step, begun);
    }

    fn parents_call(&mut self, call: &Recorded) {
        match call.call.number {
            Sysno::openat if call.opens_with(OpenFlags::CREAT) => {
                self.stop("mydocker itself writes this file: leave out --pid-file, or --stats=FILE");
            }
            Sysno::openat | Sysno::openat2 => self.opened(call),
            Sysno::mkdirat => {
                let path = self.path(call, 0);
                if is_detached(&path) {
                    return self
                        .stop("the cgroups are mounted nowhere, so they have no path: mount them, or --no-limits");
                }
                self.group_may_fail |= self.may_fail;
                // With && a failure would not end the script: `set -e` looks only at the last command of such a list.
                let then: &[u8] = if self.may_fail { b" && " } else { b"\n" };
                self.command(&[b"mkdir ", &word(&path), then, b"set -- ", &word(&path), b" \"$@\""]);
            }
            Sysno::write => {
                let path = self.of_fd(call, 0);
                // Pipes are the shell's own; the maps are written by unshare.
                if path.starts_with(b"/") && !is_detached(&path) && !path.starts_with(b"/proc/") {
                    self.command(&[b"echo ", &word(call.bytes(1)), b" >", &word(&path)]);
                }
            }
            Sysno::clone => self.namespaces = CloneFlags::from_bits(call.number(0) as u64),
            Sysno::clone3 => {
                let flags = call.bytes(0).first_chunk().map_or(0, |flags| u64::from_ne_bytes(*flags));
                self.namespaces = CloneFlags::from_bits(flags);
                self.born_in = call.files.first().copied();
            }
            Sysno::execve => self.map_ids(call),
            Sysno::ioctl if call.number(1) == Ioctl::LOOP_CONFIGURE.bits() as usize => {
                self.image = call.files.get(2).copied();
            }
            Sysno::prctl => {
                self.stop("what the command leaves running would outlive the script: leave out --pid host");
            }
            // The shell's own business: its signals, its pipes and its memory; locks, and reading back what was written; and
            // the other side of a terminal.
            Sysno::rt_sigaction
            | Sysno::rt_sigprocmask
            | Sysno::signalfd4
            | Sysno::pipe2
            | Sysno::socketpair
            | Sysno::mmap
            | Sysno::mprotect
            | Sysno::close
            | Sysno::flock
            | Sysno::faccessat
            | Sysno::pread64
            | Sysno::read
            | Sysno::wait4
            | Sysno::dup3
            | Sysno::recvmsg
            | Sysno::ioctl
            | Sysno::statx
            | Sysno::getpgid
            | Sysno::getsid
            | Sysno::kill => {}
            _ => self.stop(call.call.name),
        }
    }

    /// `newuidmap PID 0 ID 1 1 START COUNT`
    fn map_ids(&mut self, call: &Recorded) {
        let words = call.strings(1);
        if let [_, _, _, _, _, first, start, count] = words.as_slice() {
            let users = call.bytes(0).ends_with(b"newuidmap");
            self.maps.put(if users { b" --map-users=" } else { b" --map-groups=" });
            for part in [*start, b",", first, b",", count] {
                self.maps.put(part);
            }
        }
    }

    /// Notes what a descriptor stands for.
    fn opened(&mut self, call: &Recorded) {
        let path = self.path(call, 0);
        self.fds.retain(|(number, _)| *number != call.answer);
        self.fds.push((call.answer, path));
    }

    /// The path on this host that the directory `at` and the name behind it lead to.
    fn path(&self, call: &Recorded, at: usize) -> Vec<u8> {
        let name = call.bytes(at + 1);
        let is_cwd = call.number(at) as i32 == libc::AT_FDCWD;
        match name.strip_prefix(b".").unwrap_or(name) {
            _ if name.starts_with(b"/") => self.on_host(name),
            below => {
                let mut path = if is_cwd { self.directory.clone() } else { self.of_fd(call, at) };
                if !below.is_empty() && !below.starts_with(b"/") {
                    path.put(b"/");
                }
                path.put(if below.starts_with(b"/") || below.is_empty() { below } else { name });
                path
            }
        }
    }

    /// The path on this host that a descriptor stands for.
    fn of_fd(&self, call: &Recorded, at: usize) -> Vec<u8> {
        match self.fds.iter().find(|(number, _)| *number == call.number(at)) {
            Some((_, path)) => path.clone(),
            None => call.files.get(at).copied().unwrap_or_default().to_vec(),
        }
    }

    /// Where a path of the child is on this host.
    fn on_host(&self, path: &[u8]) -> Vec<u8> {
        if let Some(number) = path.strip_prefix(b"/proc/self/fd/") {
            let number = bytes::decimal(number).unwrap_or_default() as usize;
            return self.fds.iter().find(|(fd, _)| *fd == number).map_or(Vec::new(), |(_, path)| path.clone());
        }
        let staged = path.strip_prefix(b"/proc").filter(|below| below.is_empty() || below.starts_with(b"/"));
        match (&self.root, &self.stage, staged) {
            (Some(root), _, _) => [root.as_slice(), if path == b"/" { b"" } else { path }].concat(),
            (None, Some(stage), Some(below)) => [stage.as_slice(), below].concat(),
            _ => path.to_vec(),
        }
    }

    fn childs_step(&mut self, step: &Rehearsed) {
        let begun = self.begin(step);
        for call in &step.calls {
            self.childs_call(call);
        }
        self.end(step, begun);
    }

    fn childs_call(&mut self, call: &Recorded) {
        match call.call.number {
            Sysno::mount => self.mount(call),
            Sysno::openat if call.opens_with(OpenFlags::CREAT) => {
                self.opened(call);
                let path = word(&self.path(call, 0));
                self.command(&[b": >", &path]);
                self.command(&[b"chmod ", &octal(call.number(3)), b" ", &path]);
            }
            Sysno::openat | Sysno::openat2 => self.opened(call),
            Sysno::open_tree => self.keep_volume(call),
            Sysno::move_mount => {
                let (source, target) = (self.of_fd(call, 0), self.of_fd(call, 2));
                if self.root.is_none() && (target == b"/sys" || target.starts_with(b"/sys/")) {
                    self.stop("the script uses /sys itself: leave out the -v onto it");
                }
                self.make_target(&word(&source), &target);
                self.command(&[b"mount --move ", &word(&source), b" ", &word(&target)]);
                self.volumes.1 -= 1;
                if self.volumes.1 == 0 && self.root.is_none() {
                    self.command(&[b"umount -n /sys"]);
                }
                // From here on the descriptor stands for the mount.
                self.fds.retain(|(number, _)| *number != call.number(0));
                self.fds.push((call.number(0), target));
            }
            Sysno::mount_setattr => {
                let path = if call.bytes(1).is_empty() { self.of_fd(call, 0) } else { self.path(call, 0) };
                let recursive = AtFlags::from_bits(call.number(2) as u64).has(AtFlags::RECURSIVE);
                match recursive {
                    true => self.command(&[b"make_readonly ", &word(&path)]),
                    false => self.command(&[b"mount -o remount,bind,ro ", &word(&path)]),
                }
            }
            Sysno::write if call.files.first() == Some(&&b"pipe"[..]) => {}
            Sysno::write => {
                let path = self.of_fd(call, 0);
                match call.bytes(1) {
                    _ if is_detached(&path) => {}
                    b"0" => self.command(&[b"echo 0 >", &word(&path)]),
                    content => self.command(&[b"printf %s ", &word(content), b" >", &word(&path)]),
                }
            }
            Sysno::mkdirat => {
                let path = self.path(call, 0);
                let mode = octal(call.number(2));
                let path = word(&path);
                self.command(&[b"mkdir -m ", &mode, b" ", &path]);
                if core::mem::take(&mut self.has_looked_at_cwd) {
                    self.command(&[b"chmod \"$(stat -c %a .)\" ", &path]);
                    // The owner may have no id in a user namespace.
                    let in_userns = self.namespaces.has(CloneFlags::NEWUSER);
                    let unless: &[u8] = if in_userns { b" 2>/dev/null || :" } else { b"" };
                    self.command(&[b"chown \"$(stat -c %u:%g .)\" ", &path, unless]);
                }
            }
            Sysno::statx if call.bytes(1) == b"." => self.has_looked_at_cwd = true,
            Sysno::mknodat => {
                let path = self.path(call, 0);
                let (major, minor) = Device::parts(call.number(3) as u32);
                let (major, minor) = (bytes::to_decimal(major.into()), bytes::to_decimal(minor.into()));
                let mode = octal(call.number(2) & 0o7777);
                self.command(&[b"mknod -m ", &mode, b" ", &word(&path), b" c ", &major, b" ", &minor]);
            }
            Sysno::symlinkat => {
                let path = self.path(call, 1);
                self.command(&[b"ln -s ", &word(call.bytes(0)), b" ", &word(&path)]);
            }
            Sysno::statx if call.number(2) as u64 == AtFlags::SYMLINK_NOFOLLOW.bits() => {
                let path = word(&self.path(call, 0));
                self.command(&[b"[ ! -L ", &path, b" ] || stop 'the root has no ", call.bytes(1), b": it is a link'"]);
                let root = word(self.root.as_deref().unwrap_or_default());
                self.command(&[b"target ", &root, b" / ", &path]);
            }
            Sysno::chdir => {
                self.directory = self.on_host(call.bytes(0));
                if self.root.is_none() {
                    self.command(&[b"cd ", &word(&self.directory.clone())]);
                }
            }
            Sysno::pivot_root => {
                self.root = Some(self.directory.clone());
                self.directory = self.on_host(b"/");
                self.put_trap();
            }
            // The old root is still needed for the tools; at the end the new one is moved over it.
            Sysno::umount2 => {}
            Sysno::fchdir => {
                let path = self.of_fd(call, 0);
                match &self.root {
                    Some(root) => self.workdir = path.strip_prefix(root.as_slice()).unwrap_or_default().to_vec(),
                    None => self.command(&[b"cd ", &word(&path)]),
                }
            }
            Sysno::umask => self.command(&[b"umask ", &octal(call.number(0))]),
            Sysno::sethostname => {
                self.command(&[
                    b"command -v hostname >/dev/null || stop 'hostname is missing here: --uts host does without'",
                ]);
                self.command(&[b"hostname -- ", &word(call.bytes(0))]);
            }
            Sysno::prlimit64 => self.limit(call),
            Sysno::ioctl if call.number(1) == Ioctl::SIOCSIFFLAGS.bits() as usize => {
                self.command(&[
                    b"{ ip link set lo up || ifconfig lo up; } 2>/dev/null ||\n    ",
                    b"stop 'ip and ifconfig are missing here: --network host does without'",
                ]);
            }
            Sysno::ioctl if call.number(1) == Ioctl::TIOCGPTPEER.bits() as usize => {
                self.stop("a terminal of its own: leave out -t");
            }
            Sysno::clone => self.stop("a PID 1 that reaps: leave out --init"),
            Sysno::seccomp => self.stop("the filter of system calls: --security-opt seccomp=unconfined does without"),
            Sysno::unshare => {
                // The rest of the script, the first argument, is executed anew in the new namespace.
                self.command(&[
                    b"rest=$1\nshift\nunshare=$(tool unshare --cgroup '--privileged does without')\n",
                    b"\"$unshare\" --cgroup true || stop 'a cgroup namespace: --privileged does without'\n",
                    b"trap - EXIT\nexec \"$unshare\" --cgroup sh -c \"$rest\" \"$0\" \"$made\" \"$@\"",
                ]);
                self.second = Some(self.out.len());
                self.begin_part();
            }
            Sysno::prctl => match Prctl::from_bits(call.number(0) as u64) {
                Prctl::CAPBSET_DROP => self.ids.dropped.push(call.number(1)),
                Prctl::SET_NO_NEW_PRIVS => self.ids.no_new_privs = true,
                // unshare --kill-child does it.
                Prctl::SET_PDEATHSIG => {}
                other => self.stop(core::str::from_utf8(other.names().as_bytes()).unwrap_or_default()),
            },
            Sysno::capset => self.ids.sets_capabilities = true,
            Sysno::setgroups => self.ids.groups = Some(groups_of(call)),
            Sysno::setgid => self.ids.gid = Some(call.number(0)),
            Sysno::setuid => self.ids.uid = Some(call.number(0)),
            Sysno::rt_sigaction if C_LIBRARYS.contains(&call.number(0)) => {}
            Sysno::rt_sigaction => self.reset_signals.push(call.number(0) as u32),
            Sysno::close_range => {
                self.command(&[b"exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-"]);
                self.command(&[
                    b"for file in /proc/self/fd/*; do\n    case ${file##*/} in ?) ;; *) ",
                    b"stop 'a descriptor above 9 is open, and a shell cannot close it: start the script without it' ;; esac\ndone",
                ]);
            }
            Sysno::execve => self.execute(call),
            // The shell's own business: its signals and its pipes; what it looks at, and what a terminal needs.
            Sysno::close
            | Sysno::read
            | Sysno::getpid
            | Sysno::fstatfs
            | Sysno::statfs
            | Sysno::statx
            | Sysno::faccessat
            | Sysno::ppoll
            | Sysno::rt_sigprocmask
            | Sysno::rt_sigtimedwait
            | Sysno::socket
            | Sysno::setsid
            | Sysno::sendmsg
            | Sysno::dup3
            | Sysno::fchown
            | Sysno::ioctl
            | Sysno::setpgid => {}
            _ => self.stop(call.call.name),
        }
    }

    /// mount(2), by the names of mount(8).
    fn mount(&mut self, call: &Recorded) {
        let (source, target) = (call.bytes(0), call.bytes(1));
        let flags = MountFlags::from_bits(call.number(3) as u64);
        if self.root.is_none() && self.stage.is_none() && target == b"/proc" && call.bytes(2) != b"proc" {
            // A directory becomes the root where it is. What is put together is so over /sys: mount(8) reads /proc.
            let has_volumes = self.volumes.0 > 0;
            self.stage = Some(match flags.has(MountFlags::BIND) {
                true => source.to_vec(),
                false if has_volumes => b"/sys/stage".to_vec(),
                false => b"/sys".to_vec(),
            });
        }
        let path = self.on_host(target);
        let target = word(&path);
        // A path that this kernel does not have is left out.
        let mut unless_missing: Vec<&[u8]> = Vec::new();
        let bound = word(&self.on_host(source));
        if self.may_fail {
            unless_missing.extend([b"[ ! -e ", &target[..], b" ] || "]);
            if flags.has(MountFlags::BIND) && !flags.has(MountFlags::REMOUNT) {
                unless_missing.extend([b"[ ! -e ", &bound[..], b" ] || "]);
            }
        }
        let may_fail = core::mem::take(&mut self.may_fail);
        let mut line = unless_missing.concat();
        let mut options = Vec::new();
        for (flag, name) in [
            (MountFlags::RDONLY, &b"ro"[..]),
            (MountFlags::NOSUID, b"nosuid"),
            (MountFlags::NODEV, b"nodev"),
            (MountFlags::NOEXEC, b"noexec"),
            (MountFlags::NOATIME, b"noatime"),
            (MountFlags::NODIRATIME, b"nodiratime"),
            (MountFlags::RELATIME, b"relatime"),
        ] {
            if flags.has(flag) {
                options.push(name);
            }
        }
        if flags.has(MountFlags::SLAVE) {
            line.put(b"mount --make-rslave /");
        } else if flags.has(MountFlags::REMOUNT) {
            line.put(b"mount -o remount,bind");
            options.iter().for_each(|option| [b",", *option].iter().for_each(|part| line.put(part)));
            line.put(b" ");
            line.put(&target);
        } else if flags.has(MountFlags::BIND) {
            let source = self.on_host(source);
            if call.bytes(1).starts_with(b"/proc/self/fd/") {
                self.make_target(&word(&source), &path);
            }
            line.put(if flags.has(MountFlags::REC) { b"mount --rbind " } else { b"mount --bind " });
            line.put(&word(&source));
            line.put(b" ");
            line.put(&target);
        } else {
            if call.bytes(1).starts_with(b"/proc/self/fd/") {
                self.make_target(b"/", &path);
            }
            line.put(b"mount -t ");
            line.put(call.bytes(2));
            let is_image = source.starts_with(b"/dev/loop");
            let loop_option: &[&[u8]] = if is_image { &[b"loop"] } else { &[] };
            let data = self.data(call.bytes(4));
            let data: &[&[u8]] = if data.is_empty() { &[] } else { &[&data] };
            let options = [loop_option, &options, data].concat();
            if !options.is_empty() {
                line.put(b" -o ");
                line.put(&word(&options.join(&b","[..])));
            }
            line.put(b" ");
            line.put(&word(if is_image { self.image.unwrap_or_default() } else { source }));
            line.put(b" ");
            line.put(&target);
        }
        self.command(&[&line]);
        self.may_fail = may_fail;
    }

    /// The options of a filesystem, with paths as they are here.
    fn data(&self, data: &[u8]) -> Vec<u8> {
        let option = |option: &[u8]| match bytes::split_once(option, b'=') {
            Some((name, path)) if path.starts_with(b"/") => [name, b"=", &self.on_host(path)].concat(),
            _ => option.to_vec(),
        };
        let options: Vec<Vec<u8>> = bytes::split(data, b',').map(option).collect();
        options.join(&b","[..])
    }

    /// What is mounted later is kept in memory, at /sys: what is mounted meanwhile would hide it, or come along.
    fn keep_volume(&mut self, call: &Recorded) {
        let source = self.path(call, 0);
        if self.volumes.0 == 0 {
            self.command(&[b"mount -t tmpfs -o mode=755 tmpfs /sys"]);
            self.command(&[b"mkdir /sys/stage"]);
        }
        let place = [b"/sys/", bytes::to_decimal(self.volumes.0).as_slice()].concat();
        let relative: &[u8] = if source.starts_with(b"/") { b"" } else { b"./" };
        self.command(&[b"keep ", &word(&[relative, &source].concat()), b" ", &place]);
        self.volumes = (self.volumes.0 + 1, self.volumes.1 + 1);
        self.fds.retain(|(number, _)| *number != call.answer);
        self.fds.push((call.answer, place));
    }

    /// In a root of its own, what is mounted on is made if it is missing.
    fn make_target(&mut self, source: &[u8], target: &[u8]) {
        if let Some(root) = &self.root {
            let root = word(root);
            self.command(&[b"target ", &root, b" ", source, b" ", &word(target)]);
        }
    }

    fn limit(&mut self, call: &Recorded) {
        let name = Resource::from_bits(call.number(1) as u64).name();
        let mut words = call.bytes(2).as_chunks::<8>().0.iter().map(|n| match u64::from_ne_bytes(*n) {
            u64::MAX => b"unlimited".to_vec(),
            number => bytes::to_decimal(number),
        });
        let (soft, hard) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        [b" --", name.as_bytes(), b"=", &soft, b":", &hard].iter().for_each(|part| self.limits.put(part));
    }

    /// The two parts of the script of the child: the second is executed in its new cgroup namespace.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let (first, second) = self.out.split_at_checked(self.second.unwrap_or(self.out.len())).unwrap_or_default();
        [first, second].into_iter().filter(|part| !part.is_empty())
    }

    /// The last command: the new root over the old one, and what the process is to be in it. The PATH of the command is not
    /// the one that the tools are in.
    fn execute(&mut self, call: &Recorded) {
        self.argv = call.strings(1);
        let mut line = b"exec \"$env\"".to_vec();
        let mut option: &[u8] = b"";
        if !self.reset_signals.is_empty() {
            option = b"--default-signal";
            line.put(b" --default-signal=");
            put_list(&self.reset_signals, &mut line);
        }
        self.command(&[b"env=$(tool env '", option, b"' 'start the script where no signal is ignored')"]);
        put_environment(&self.caller, &call.strings(2), &mut line);
        if !self.limits.is_empty() {
            line.put(b"\"$prlimit\"");
            line.put(&self.limits);
            line.put(b" ");
            self.command(&[b"prlimit=$(tool prlimit '' 'leave out --ulimit')"]);
            let limits = core::mem::take(&mut self.limits);
            self.command(&[
                b"\"$prlimit\"",
                &limits,
                b" true || stop 'a limit above what is allowed: leave out --ulimit'",
            ]);
        }
        self.put_setpriv(&mut line);
        self.put_root(&mut line);
        if line.ends_with(b"\n    ") && self.argv.first().is_some_and(|name| name.contains(&b'=')) {
            self.stop("env takes the name of the command for a variable: name it without =");
        }
        line.put(b"\"$@\"");
        self.command(&[b"trap - EXIT"]);
        self.command(&[&line]);
    }

    /// What `setpriv` does: ids without a root of its own, what has been dropped, and no_new_privs.
    fn put_setpriv(&mut self, line: &mut Vec<u8>) {
        let Ids { uid, gid, groups, dropped, sets_capabilities, no_new_privs } = &self.ids;
        let mut options = Vec::new();
        if let (Some(uid), Some(gid), None) = (uid, gid, &self.root) {
            options.put(b" --reuid=");
            options.put_decimal(*uid as u64);
            options.put(b" --regid=");
            options.put_decimal(*gid as u64);
            match groups.as_deref() {
                None => options.put(b" --keep-groups"),
                Some([]) => options.put(b" --clear-groups"),
                Some(groups) => {
                    options.put(b" --groups=");
                    put_list(groups, &mut options);
                }
            }
        }
        for (at, number) in dropped.iter().enumerate() {
            options.put(if at == 0 { b" --bounding-set=" } else { b"," });
            let name = CAPABILITIES.iter().find(|(_, known)| *known == *number as u64);
            options.put(b"-");
            match name.and_then(|(name, _)| name.strip_prefix("CAP_")) {
                Some(name) => options.put(&name.as_bytes().to_ascii_lowercase()),
                None => {
                    options.put(b"cap_");
                    options.put_decimal(*number as u64);
                }
            }
        }
        options.put(if *sets_capabilities { b" --inh-caps=-all" } else { b"" });
        options.put(if *no_new_privs { b" --no-new-privs" } else { b"" });
        if options.is_empty() {
            return;
        }
        line.put(b"\"$setpriv\"");
        line.put(&options);
        line.put(b" -- ");
        let hint: &[u8] =
            if uid.is_some() { b"leave out -u, and use --privileged" } else { b"--privileged does without" };
        self.command(&[b"setpriv=$(tool setpriv --bounding-set '", hint, b"')"]);
        self.command(&[b"\"$setpriv\"", &options, b" -- true || stop '", hint, b"'"]);
    }

    /// The new root: `chroot`, or for another working directory `unshare`, with the ids.
    fn put_root(&mut self, line: &mut Vec<u8>) {
        let Some(root) = self.root.clone() else { return };
        let root = word(&root);
        let Ids { uid, gid, groups, dropped, .. } = &self.ids;
        let user =
            uid.zip(*gid).filter(|ids| *ids != (0, 0) || groups.as_ref().is_some_and(|groups| !groups.is_empty()));
        let needed: &[usize] = if user.is_some() { &[SYS_CHROOT, SETUID, SETGID] } else { &[SYS_CHROOT] };
        if dropped.iter().any(|capability| needed.contains(capability)) {
            self.stop("a new root after these capabilities are gone: --cap-add SYS_CHROOT, SETUID and SETGID lift it");
            return;
        }
        let workdir = self.workdir.clone();
        let at_top = matches!(workdir.as_slice(), b"" | b"/");
        match (user, at_top) {
            (None, true) => {
                line.put(b"\"$chroot\" . ");
                self.command(&[b"chroot=$(tool chroot '' 'leave out --rootfs and --ephemeral')"]);
            }
            (Some((uid, gid)), true) => {
                line.put(b"\"$chroot\" --userspec=+");
                line.put_decimal(uid as u64);
                line.put(b":+");
                line.put_decimal(gid as u64);
                line.put(b" --groups=");
                put_list(groups.as_deref().unwrap_or_default(), line);
                line.put(b" . ");
                self.command(&[b"chroot=$(tool chroot --userspec 'leave out -u')"]);
                self.can_become(b"chroot", b" --userspec=+", b":+", b" --groups= /", (uid, gid));
            }
            (Some(_), false) if groups.as_ref().is_some_and(|groups| !groups.is_empty()) => {
                return self.stop("a working directory for a user with supplementary groups: leave out -w");
            }
            (_, false) => {
                line.put(b"\"$unshare\" --root=. --wd=");
                line.put(&word(&workdir));
                if let Some((uid, gid)) = user {
                    line.put(b" --setgid=");
                    line.put_decimal(gid as u64);
                    line.put(b" --setuid=");
                    line.put_decimal(uid as u64);
                }
                line.put(b" -- ");
                self.command(&[b"unshare=$(tool unshare --wd 'leave out -w')"]);
                if let Some(ids) = user {
                    self.can_become(b"unshare", b" --setuid=", b" --setgid=", b"", ids);
                }
                let directory = word(&[self.root.clone().unwrap_or_default(), workdir].concat());
                self.command(&[b"[ -d ", &directory, b" ] || target ", &root, b" / ", &directory]);
            }
        }
        self.command(&[b"cd ", &root]);
        self.command(&[b"mount --move ", &root, b" /"]);
    }
}

impl Translator {
    /// Makes sure that a tool can become the user.
    fn can_become(&mut self, tool: &[u8], before: &[u8], between: &[u8], after: &[u8], (uid, gid): (usize, usize)) {
        let (uid, gid) = (bytes::to_decimal(uid as u64), bytes::to_decimal(gid as u64));
        self.command(&[
            b"\"$",
            tool,
            b"\"",
            before,
            &uid,
            between,
            &gid,
            after,
            b" true || stop 'not this user: leave out -u'",
        ]);
    }
}

/// The signals that the C library keeps for itself: signal(7). Nobody else can change them, or notices.
const C_LIBRARYS: [usize; 2] = [32, 33];
/// capabilities(7)
const SETGID: usize = 6;
const SETUID: usize = 7;
const SYS_CHROOT: usize = 18;

/// Variables that a shell sets itself, and those of the script.
const OWN_VARIABLES: [&[u8]; 31] = [
    b"PWD",
    b"OLDPWD",
    b"SHLVL",
    b"_",
    b"IFS",
    b"OPTIND",
    b"PPID",
    b"PS1",
    b"PS2",
    b"PS4",
    b"status",
    b"cgroup",
    b"child",
    b"rest",
    b"unshare",
    b"kill_child",
    b"setpriv",
    b"chroot",
    b"prlimit",
    b"folders",
    b"tree",
    b"id",
    b"above",
    b"point",
    b"options",
    b"there",
    b"file",
    b"env",
    b"made",
    b"root",
    b"functions",
];

/// Whether a shell passes the variable `name` on as it was.
fn is_passed_on(name: &[u8]) -> bool {
    let is_name = |(at, b): (usize, &u8)| *b == b'_' || b.is_ascii_alphabetic() || at > 0 && b.is_ascii_digit();
    name.iter().enumerate().all(is_name) && !OWN_VARIABLES.contains(&name)
}

/// The environment of the command, as what differs from that of the caller.
fn put_environment(caller: &[&'static [u8]], command: &[&'static [u8]], line: &mut Vec<u8>) {
    let name = |variable: &'static [u8]| bytes::split(variable, b'=').next().unwrap_or_default();
    let is_in = |list: &[&'static [u8]], wanted: &[u8]| list.iter().any(|variable| name(variable) == wanted);
    let keeps = caller.iter().all(|variable| is_in(command, name(variable)));
    if !keeps {
        line.put(b" -i");
    } else {
        // A shell exports these without being asked.
        for own in [&b"PWD"[..], b"OLDPWD", b"SHLVL", b"_"].iter().filter(|own| !is_in(command, own)) {
            line.put(b" -u ");
            line.put(own);
        }
    }
    for variable in command {
        if !keeps || !caller.contains(variable) || !is_passed_on(name(variable)) {
            line.put(b" \\\n    ");
            line.put(&word(variable));
        }
    }
    line.put(b" \\\n    ");
}

/// Numbers between commas.
fn put_list(numbers: &[u32], out: &mut Vec<u8>) {
    for (at, number) in numbers.iter().enumerate() {
        out.put(if at == 0 { b"" } else { b"," });
        out.put_decimal((*number).into());
    }
}

/// A mode as chmod(1) takes it.
fn octal(mode: usize) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_octal(mode as u64);
    out
}

/// The list of setgroups(2).
fn groups_of(call: &Recorded) -> Vec<u32> {
    call.bytes(1).as_chunks::<4>().0.iter().map(|group| u32::from_ne_bytes(*group)).collect()
}
