//! `--dry-run=sh`: the recorded calls as commands of a shell, with what util-linux has; or, where no shell can do the same, at
//! that place a line that says so, with the option that lifts it, and ends the script with 125.
//!
//! A shell has no tools any more once it has changed its root. So here the new root is put together where it is, by paths of the
//! host, and moved over the old one at the end, as mydocker itself does on an initramfs; and ids, capabilities and no_new_privs
//! are collected, for the one `setpriv` that executes the command.

use crate::bytes::{self, Address, Put, to_decimal};
use crate::capabilities::CAPABILITIES;
use crate::error::Result;
use crate::namespaces::AwaitSuccessor;
use crate::network::bridge::{ADDRESS, INFO_DATA, LINK, PEER, ROUTE};
use crate::network::filter::{self, NEW_CHAIN, NEW_RULE, NEW_TABLE};
use crate::network::slirp::{StartPasta, StartSlirp};
use crate::plan::Plan;
use crate::process::rehearse::{Rehearsed, rehearse};
use crate::state::{MakeRecord, NoteProcess};
use crate::step::Step;
use crate::sys::netlink::{self, attribute};
use crate::sys::record::{Recorded, join, put_with_unknowns};
use crate::sys::{
    AtFlags, CloneFlags, CpuMask, Device, Ioctl, MountAttr, MountFlags, OpenFlags, OpenTreeFlags, Prctl, Resource,
};
use alloc::vec::Vec;
use core::ffi::CStr;
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
# restrict PATH OPTIONS: the mount that is seen there and all in it get these, beside those that each has.
restrict() {
    tree=
    while read -r id _ _ _ point _; do
        decode "$point"
        [ "$point" != "$1" ] || tree=" $id "
    done </proc/self/mountinfo
    [ "$tree" ] || stop "$1: not mounted"
    while read -r id above _ _ point options _; do
        case $tree in *" $above "*) tree="$tree$id " ;; *" $id "*) ;; *) continue ;; esac
        decode "$point"
        options=,$options
        # One that is missing is hidden by another.
        [ ! -e "$point" ] || mount -o "remount,bind,$2${options#,rw}" "$point"
    done </proc/self/mountinfo
}
# at_the_top: in a chroot, what is mounted above it would lie above the new root too. Without nsenter, PID 1 is at the top.
at_the_top() {
    if command -v nsenter >/dev/null; then
        set -- grep '^[^ ]* [^ ]* [^ ]* [^ ]* / ' /proc/self/mountinfo
        top=$(nsenter --mount=/proc/self/ns/mnt "$@" 2>/dev/null) && [ "$top" = "$("$@")" ]
    else
        [ / -ef /proc/1/root/ ]
    fi || stop 'this is a chroot, with mounts above it: leave out --rootfs and --ephemeral, or start the script outside'
}
# find_keyctl: a kernel may have no keyrings.
find_keyctl() {
    sh=$(tool sh '' '--privileged does without')
    keyctl=
    [ -e /proc/key-users ] || return 0
    keyctl=$(tool keyctl '' 'install keyutils, or --privileged does without')
    "$keyctl" session - true >/dev/null 2>&1 || stop 'a session keyring: --privileged does without'
}
# in_new_keyring COMMAND..: keyctl prints a line of its own before the command begins.
in_new_keyring() {
    [ "$keyctl" ] || exec "$@"
    exec "$keyctl" session - "$sh" -c 'exec "$@" >&3 2>&4 3>&- 4>&-' sh "$@" 3>&1 4>&2 >/dev/null 2>&1
}
# keep SOURCE PLACE: what is at SOURCE now, before anything hides it.
keep() {
    case $(readlink -f "$1")/ in
        // | /sys/*) stop "$1: the script uses /sys itself: leave out this -v, or --network host" ;;
    esac
    if [ -d "$1" ]; then mkdir "$2"; else : >"$2"; fi
    mount --rbind "$1" "$2"
}
# target ROOT SOURCE PATH [MODE]: makes PATH in ROOT for a mount of SOURCE. A link could lead it out of ROOT.
target() {
    there=$3
    until [ -e "$there" ] || [ -L "$there" ]; do there=${there%/*}; done
    [ "$(readlink -f "$there")" = "$(readlink -f "$1")${there#"$1"}" ] ||
        stop "$there: a link leads it elsewhere: leave out the -v, --tmpfs or -w of it"
    until [ -e "$3" ]; do
        there=$3
        until [ -e "${there%/*}" ]; do there=${there%/*}; done
        if [ "$there" != "$3" ]; then mkdir -m 755 "$there"
        elif [ -d "$2" ]; then mkdir -m "${4:-755}" "$there"
        else (umask 022; : >"$there"); fi
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

/// What follows the functions. The end of the script removes the cgroups that it has made, its arguments.
const BEGIN: &str = r#"#!/bin/sh
# What `mydocker run` would do, with what a shell has.
functions=$(cat <<'END'
^END
)
eval "$functions"
status=125
leave() { :; }
finish() {
    for cgroup; do rmdir "$cgroup" || status=125; done
    leave
    exit "$status"
}
set --
trap 'finish "$@"' EXIT
trap : HUP INT TERM
^^"#;

/// The last command of the script. Its options are those of the namespaces.
const UNSHARE: &str = r#"unshare=$(tool unshare ^ 'without it there are no namespaces, and no option does without')
"$unshare" -f^ true || stop 'no namespaces can be made here'
kill_child=
"$unshare" --help 2>&1 | grep -q -e --kill-child && kill_child=--kill-child || :
status=0
^"$unshare" -f $kill_child^ sh -c "$functions
$child" "$0" ''^"#;

/// Executes the rest of the script, the first argument, anew in a new cgroup namespace.
const REST: &str = r#"rest=$1
shift
unshare=$(tool unshare --cgroup '--privileged does without')
"$unshare" --cgroup true || stop 'a cgroup namespace: --privileged does without'
trap - EXIT
exec "$unshare" --cgroup sh -c "$rest" "$0" "$made" "$@""#;

/// A shell can close no descriptor above 9.
const CLOSE: &str = r#"exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
for file in /proc/self/fd/*; do
    case ${file##*/} in ?) ;; *) stop 'a descriptor above 9 is open, and a shell cannot close it: start the script without it' ;; esac
done"#;

/// It could mount nothing then: unshare(1) becomes the command as the user.
const KEEP_ID: &[u8] = b"unshare keeps no privilege for a user who is not root inside: leave out --userns keep-id";

/// Either of two tools brings up lo.
const LO_UP: &str = r#"{ ip link set lo up || ifconfig lo up; } 2>/dev/null ||
    stop 'ip and ifconfig are missing here: --network host does without'"#;

/// What a bridge needs: the tools, and the lock that lets nobody remove it. The descriptor leads back into the network of this host.
const BRIDGE: &str = r#"tool ip netns 'install iproute2, or leave out --network bridge' >/dev/null
tool nsenter --net 'leave out --network bridge' >/dev/null
tool flock '' 'leave out --network bridge' >/dev/null
exec 3</proc/self/ns/net
flock -s 3
leave() { flock -x -n 3 && ip link del ~ 2>/dev/null || :; }"#;

/// Makes a pair of interfaces from within the new namespace.
const PAIR: &str = r"exec 4</proc/self/ns/net
nsenter --net=/proc/self/fd/3 ip link add ~ up master ~ type veth peer name ~ address ^ netns /proc/self/fd/4 ||
    stop 'no pair of interfaces: is the address taken? --ip chooses another'";

/// The way out. The table of mydocker has the flag `owner`, for which nft would have to stay.
const MASQUERADE: &str = r#"# Others can change this table, and it stays if the script is killed. That of mydocker is its socket's own: nft cannot keep it.
tool nft -f 'install nftables, or leave out --network bridge' >/dev/null
nft -f - <<'END' || stop 'no table: another script has this address (--ip), or one was killed (nft delete table ip mydocker-^)'
create table ip mydocker-^
add chain ip mydocker-^ postrouting { type nat hook postrouting priority 100; }
add rule ip mydocker-^ postrouting ip saddr ^ oifname != "^" masquerade
END
leave() { nft delete table ip mydocker-^; flock -x -n 3 && ip link del ~ 2>/dev/null || :; }"#;

/// The namespaces by the options of unshare(1).
const NAMESPACES: [(CloneFlags, &str); 6] = [
    (CloneFlags::NEWNS, " --mount"),
    (CloneFlags::NEWUTS, " --uts"),
    (CloneFlags::NEWIPC, " --ipc"),
    (CloneFlags::NEWPID, " --pid"),
    (CloneFlags::NEWNET, " --net"),
    (CloneFlags::NEWUSER, " --user -r"),
];

/// The flags of a mount by the options of mount(8).
const MOUNT_OPTIONS: [(MountFlags, &str); 7] = [
    (MountFlags::RDONLY, "ro"),
    (MountFlags::NOSUID, "nosuid"),
    (MountFlags::NODEV, "nodev"),
    (MountFlags::NOEXEC, "noexec"),
    (MountFlags::NOATIME, "noatime"),
    (MountFlags::NODIRATIME, "nodiratime"),
    (MountFlags::RELATIME, "relatime"),
];

/// The options that mount_setattr(2) and fsmount(2) add.
const MOUNT_ATTRIBUTES: [(MountAttr, &str); 4] = [
    (MountAttr::RDONLY, "ro"),
    (MountAttr::NOSUID, "nosuid"),
    (MountAttr::NODEV, "nodev"),
    (MountAttr::NOEXEC, "noexec"),
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

/// The script.
pub fn script(plan: &Plan) -> Result<Vec<u8>> {
    let rehearsal = rehearse(plan)?;
    let mut all = Translator { bridge: plan.parts.bridge.map_or("", |bridge| bridge.name), ..Translator::default() };
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
        out.put(b"tool nsenter --net 'leave out --network ns:' >/dev/null\n");
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
    step.calls.iter().any(|call| call.call.number == Sysno::write && call.bytes(1) == b"0" && call.file(0) != b"pipe")
}

/// A line that ends a here-document, and is not in its text.
fn delimiter(text: &[u8]) -> Vec<u8> {
    let mut end = b"END".to_vec();
    while bytes::split(text, b'\n').any(|line| line == end) {
        end.put(b"_");
    }
    end
}

/// Puts `template` with the `parts` in it: `~` stands for the next one as a word of a shell, `^` for the next one as it is.
fn fill(out: &mut Vec<u8>, template: &str, parts: &[&[u8]]) {
    let mut parts = parts.iter();
    for byte in template.bytes() {
        match byte {
            b'~' => put_word(out, parts.next().copied().unwrap_or_default()),
            b'^' => out.put(parts.next().copied().unwrap_or_default()),
            _ => out.put(&[byte]),
        }
    }
}

/// Puts a word of a shell, in quotes if it needs them.
pub fn put_word(out: &mut Vec<u8>, word: &[u8]) {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-:=,+@%".contains(b);
    if !word.is_empty() && word.iter().all(is_plain) {
        return put_with_unknowns(word, out);
    }
    out.push(b'\'');
    for byte in word {
        match byte {
            b'\'' => out.put(b"'\\''"),
            _ => out.put(&[*byte]),
        }
    }
    out.push(b'\'');
}

/// An IPv4 address of a request.
fn dotted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Address(bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))).put(&mut out);
    out
}

/// The hardware address among the attributes of an interface.
fn hardware_address(attributes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in attribute(attributes, libc::IFLA_ADDRESS).unwrap_or_default() {
        out.put(if out.is_empty() { b"" } else { b":" });
        for digit in [byte >> 4, byte & 15] {
            out.push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }
    out
}

/// The name among the attributes of an interface.
fn name_in(attributes: &[u8]) -> &[u8] {
    text(attribute(attributes, libc::IFLA_IFNAME).unwrap_or_default())
}

/// What stands before the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes::split(bytes, b'\0').next().unwrap_or_default()
}

/// Appends to a list with commas.
fn put_item(list: &mut Vec<u8>, item: &[u8]) {
    list.put(if list.is_empty() { b"" } else { b"," });
    list.put(item);
}

/// Appends the options for attributes of a mount.
fn put_attributes(set: u64, options: &mut Vec<u8>) {
    for (attribute, name) in &MOUNT_ATTRIBUTES {
        if MountAttr::from_bits(set).has(*attribute) {
            put_item(options, name.as_bytes());
        }
    }
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

/// A mount on its way: fsopen(2), fsconfig(2), fsmount(2).
#[derive(Default)]
struct NewMount {
    kind: &'static [u8],
    source: &'static [u8],
    options: Vec<u8>,
    /// The descriptor of the mount that has been made, and not been attached yet.
    fd: Option<usize>,
}

impl NewMount {
    fn configure(&mut self, call: &Recorded) {
        match (call.bytes(2), call.bytes(3)) {
            // The one that makes it; and a flag, which is among the attributes too.
            (b"" | b"ro", _) => {}
            (b"source", source) => self.source = source,
            (key, value) => put_item(&mut self.options, &[key, b"=", value].concat()),
        }
    }

    fn made(&mut self, call: &Recorded) {
        self.fd = Some(call.answer);
        put_attributes(call.number(2) as u64, &mut self.options);
    }
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
                // With && a failure would not end the script: `set -e` looks only at the last command of such a list.
                let then: &[u8] = if self.may_fail { b" && " } else { b"\n" };
                self.command("mkdir ~^set -- ~ \"$@\"", &[path, then, path]);
            }
            Sysno::write if call.number(0) == libc::STDERR_FILENO as usize => {
                self.line("echo ~ >&2", &[bytes::trimmed(call.bytes(1))]);
            }
            Sysno::write => {
                let path = self.of_fd(call, 0);
                if path.ends_with(b"/uid_map") && !call.bytes(1).starts_with(b"0 ") {
                    self.stop(KEEP_ID);
                }
                // Pipes are the shell's own; the maps are written by unshare.
                let is_map = path.starts_with(b"/proc/") && !path.starts_with(b"/proc/sys/");
                if path.starts_with(b"/") && !is_detached(path) && !is_map {
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
            Sysno::prctl | Sysno::seccomp if self.has_stopped => {}
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
                    self.make_target(source, target);
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
                self.make_target(source, target);
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
                fill(&mut self.enter, "nsenter --net=~ ", &[path]);
                self.line("# nsenter, at the end: a shell cannot join it and go on.", &[]);
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
            Sysno::umount2 => self.line("umount -l ~ 2>/dev/null || :", &[call.bytes(0)]),
            Sysno::fchdir => {
                let path = self.of_fd(call, 0);
                self.directory = path;
                match self.root {
                    Some(root) => self.workdir = path.strip_prefix(root).unwrap_or_default(),
                    None => self.command("cd ~", &[path]),
                }
            }
            Sysno::setns => self.line("at_the_top", &[]),
            Sysno::setsid => {
                self.leads_session = true;
                self.line("# setsid, at the end. Ctrl-C does not reach it: here is no mydocker that passes it on.", &[]);
            }
            Sysno::umask => self.command("umask ^", &[&octal(call.number(0))]),
            Sysno::sethostname => self.line(
                "command -v hostname >/dev/null || stop 'hostname is missing here: --uts host does without'\nhostname -- ~",
                &[call.bytes(0)],
            ),
            Sysno::prlimit64 => self.limit(call),
            Sysno::sched_setaffinity => {
                let mut list = Vec::new();
                CpuMask::members(call.bytes(2)).for_each(|cpu| put_item(&mut list, &to_decimal(cpu)));
                self.line("taskset=$(tool taskset -c 'leave out --cpu-set')\n\"$taskset\" -p -c ^ $$ >/dev/null", &[&list]);
            }
            Sysno::ioctl if call.number(1) == Ioctl::SIOCSIFFLAGS.bits() as usize => self.line(LO_UP, &[]),
            Sysno::ioctl if call.number(1) == Ioctl::TIOCGPTPEER.bits() as usize => {
                self.stop(b"a terminal of its own: leave out -t");
            }
            Sysno::clone => self.stop(b"a PID 1 that reaps: leave out --init"),
            Sysno::seccomp => self.stop(b"the filter of system calls: --security-opt seccomp=unconfined does without"),
            Sysno::unshare => {
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

    /// Requests to netlink(7), by the names of ip(8) and nft(8).
    fn requests(&mut self, call: &Recorded) {
        let bridge = self.bridge.as_bytes();
        if !core::mem::replace(&mut self.is_locked, true) {
            self.line(BRIDGE, &[bridge]);
        }
        netlink::for_each_message(call.bytes(1), &mut |kind, content| self.request(kind, content, bridge));
    }

    fn request(&mut self, kind: u16, content: &'static [u8], bridge: &[u8]) {
        let behind = |len: usize| content.get(len..).unwrap_or_default();
        let word =
            |at: usize| content.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_ne_bytes(*word));
        // What has no other number here: in the container it is eth0.
        let device = if self.in_container { b"eth0" } else { bridge };
        match kind {
            libc::RTM_NEWLINK if let Some(info) = attribute(behind(LINK), libc::IFLA_LINKINFO) => {
                let name = name_in(behind(LINK));
                let data = attribute(info, INFO_DATA).and_then(|data| attribute(data, PEER));
                match data.and_then(|peer| peer.get(LINK..)) {
                    Some(peer) => {
                        let parts = [name, bridge, name_in(peer), &hardware_address(peer)];
                        fill(&mut self.pair, PAIR, &parts);
                        self.line("# In the child: the namespace of the other end must be there.", &[]);
                    }
                    None => {
                        let address = hardware_address(behind(LINK));
                        let is_there = "ip link show dev ~ 2>/dev/null | grep -q ^ || ";
                        self.line(
                            &[is_there, "ip link add ~ up address ^ type bridge"].concat(),
                            &[name, &address, name, &address],
                        );
                    }
                }
            }
            libc::RTM_NEWLINK if content.len() >= LINK => {
                self.line("ip link set ~ up", &[if word(4) == 1 { b"lo" } else { device }]);
            }
            libc::RTM_NEWADDR => {
                let prefix = content.get(1).map_or(0, |prefix| u64::from(*prefix));
                let local = attribute(behind(ADDRESS), libc::IFA_LOCAL).unwrap_or_default();
                self.line("ip addr replace ^/^ dev ~", &[&dotted(local), &to_decimal(prefix), device]);
            }
            libc::RTM_NEWROUTE => {
                let gateway = attribute(behind(ROUTE), libc::RTA_GATEWAY).unwrap_or_default();
                self.line("ip route add default via ^", &[&dotted(gateway)]);
            }
            NEW_RULE => {
                if let [address, name] = filter::compared(content)[..] {
                    let (address, name) = (dotted(address), text(name));
                    let (a, b) = (address.as_slice(), bridge);
                    self.line(MASQUERADE, &[a, a, a, a, a, name, a, b]);
                }
            }
            // The shell knows the bridge by its name.
            libc::RTM_GETLINK => {}
            // The table and the chain come with the rule; the ends of a batch have the numbers of requests about links.
            NEW_TABLE | NEW_CHAIN | libc::RTM_NEWLINK | libc::RTM_DELLINK => {}
            _ => self.stop(b"a request to netlink(7): leave out --network"),
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
            (Some(_), ..) if !path.starts_with(b"/") => join(self.directory, path),
            (Some(root), _, _) if path == b"/" => root,
            (Some(root), _, _) => bytes::c_string(&[root, path]).to_bytes(),
            (None, Some(stage), Some([])) => stage,
            (None, Some(stage), Some(below @ [b'/', ..])) => bytes::c_string(&[stage, below]).to_bytes(),
            _ => path,
        }
    }

    /// mount(2), by the names of mount(8).
    fn mount(&mut self, call: &Recorded) {
        let (source, place, kind) = (call.bytes(0), call.bytes(1), call.bytes(2));
        let flags = MountFlags::from_bits(call.number(3) as u64);
        let (is_bind, is_remount) = (flags.has(MountFlags::BIND), flags.has(MountFlags::REMOUNT));
        if flags.has(MountFlags::SLAVE) {
            return self.line("mount --make-rslave /", &[]);
        }
        if self.root.is_none() && self.stage.is_none() && place == b"/proc" && kind != b"proc" {
            // A directory becomes the root where it is. What is put together is so over /sys: mount(8) reads /proc.
            let has_volumes = self.volumes.0 > 0;
            self.stage = Some(match is_bind {
                true => source,
                false if has_volumes => b"/sys/stage",
                false => b"/sys",
            });
        }
        let (bound, target) = (self.on_host(source), self.on_host(place));
        // A path that this kernel does not have is left out.
        let mut line = Vec::new();
        if self.may_fail {
            fill(&mut line, "[ ! -e ~ ] || ", &[target]);
            if is_bind && !is_remount {
                fill(&mut line, "[ ! -e ~ ] || ", &[bound]);
            }
        }
        // Its own cgroup perhaps could not be made: then this would show the caller's.
        if kind == b"cgroup2" && self.notes_cgroup() {
            line.put(b"[ ! \"$own_cgroup\" ] || ");
        }
        let is_image = source.starts_with(b"/dev/loop");
        let mut options = Vec::new();
        if is_remount {
            options.put(b"remount,bind");
        } else if is_image {
            options.put(b"loop");
        }
        for (flag, name) in &MOUNT_OPTIONS {
            if flags.has(*flag) {
                put_item(&mut options, name.as_bytes());
            }
        }
        if names_descriptor(place) && !is_remount {
            match self.root {
                // What is new has the mode of /tmp.
                Some(root) if !is_bind => self.line("target ~ / ~ 1777", &[root, target]),
                _ => self.make_target(bound, target),
            }
        }
        if is_remount {
            fill(&mut line, "mount -o ~ ~", &[&options, target]);
        } else if is_bind {
            let how: &[u8] = if flags.has(MountFlags::REC) { b"--rbind" } else { b"--bind" };
            fill(&mut line, "mount ^ ~ ~", &[how, bound, target]);
        } else {
            self.put_data(call.bytes(4), &mut options);
            fill(&mut line, "mount -t ^", &[kind]);
            if !options.is_empty() {
                fill(&mut line, " -o ~", &[&options]);
            }
            fill(&mut line, " ~ ~", &[if is_image { self.image } else { source }, target]);
        }
        self.line("^", &[&line]);
    }

    /// The options of a filesystem, with paths as they are here.
    fn put_data(&self, data: &'static [u8], options: &mut Vec<u8>) {
        for option in bytes::split(data, b',').filter(|option| !option.is_empty()) {
            match bytes::split_once(option, b'=') {
                Some((name, path)) if path.starts_with(b"/") => {
                    put_item(options, name);
                    options.put(b"=");
                    options.put(self.on_host(path));
                }
                _ => put_item(options, option),
            }
        }
    }

    /// What is mounted later is kept in memory, at /sys: what is mounted meanwhile would hide it, or come along.
    fn keep_volume(&mut self, call: &Recorded) {
        let source = self.path(call, 0);
        if self.volumes.0 == 0 {
            self.line("mount -t tmpfs -o mode=755 tmpfs /sys\nmkdir /sys/stage", &[]);
        }
        let place = join(b"/sys", to_decimal(self.volumes.0).leak());
        let relative: &[u8] = if source.starts_with(b"/") { b"" } else { b"./" };
        self.line("keep ~ ^", &[&[relative, source].concat(), place]);
        self.volumes = (self.volumes.0 + 1, self.volumes.1 + 1);
        self.stands_for(call.answer, place);
    }

    /// In a root of its own, what is mounted on is made if it is missing.
    fn make_target(&mut self, source: &[u8], target: &[u8]) {
        if let Some(root) = self.root {
            self.line("target ~ ~ ~", &[root, source, target]);
        }
    }

    /// Adds a capability, by its name if it has one here, to those that `setpriv` drops.
    fn drop_capability(&mut self, number: u64) {
        put_item(&mut self.dropped, b"-");
        match CAPABILITIES.get(number as usize) {
            Some(name) => self.dropped.put(&name.strip_prefix("CAP_").unwrap_or(name).as_bytes().to_ascii_lowercase()),
            None => fill(&mut self.dropped, "cap_^", &[&to_decimal(number)]),
        }
    }

    /// The soft and the hard limit of a resource.
    fn limit(&mut self, call: &Recorded) {
        let name = Resource::from_bits(call.number(1) as u64).name();
        fill(&mut self.limits, " --^", &[name.as_bytes()]);
        let mut sign: &[u8] = b"=";
        for number in call.bytes(2).as_chunks::<8>().0 {
            self.limits.put(sign);
            sign = b":";
            match u64::from_ne_bytes(*number) {
                u64::MAX => self.limits.put(b"unlimited"),
                number => self.limits.put_decimal(number),
            }
        }
    }

    /// The last command: the new root over the old one, and what the process is to be in it. The PATH of the command is not
    /// the one that the tools are in.
    /// A variable says whether it has a cgroup of v2 of its own, which perhaps could not be made.
    fn notes_cgroup(&self) -> bool {
        self.group_may_fail && !self.born_in.is_empty() && !is_detached(self.born_in)
    }

    fn execute(&mut self, call: &Recorded) {
        self.argv = call.strings(1);
        if self.notes_cgroup() {
            self.line("unset own_cgroup", &[]);
        }
        let (signals, limits) = (core::mem::take(&mut self.reset_signals), core::mem::take(&mut self.limits));
        let how: &[u8] = if self.joins_keyring { b"in_new_keyring " } else { b"exec " };
        let mut line = how.to_vec();
        if self.leads_session {
            // The process is not the leader of a group, so that setsid(1) does not fork.
            line.put(b"\"$setsid\" ");
            self.line("setsid=$(tool setsid '' 'without it the command could signal the group of the script')", &[]);
        }
        line.put(b"\"$env\"");
        let mut option: &[u8] = b"";
        if !signals.is_empty() {
            option = b"--default-signal";
            fill(&mut line, " --default-signal=^", &[&signals]);
        }
        self.line("env=$(tool env '^' 'start the script where no signal is ignored')", &[option]);
        put_environment(self.caller, &call.strings(2), &mut line);
        if !limits.is_empty() {
            fill(&mut line, "\"$prlimit\"^ ", &[&limits]);
            self.line(
                "prlimit=$(tool prlimit '' 'leave out --ulimit')\n\
                 \"$prlimit\"^ true || stop 'a limit above what is allowed: leave out --ulimit'",
                &[&limits],
            );
        }
        self.put_setpriv(&mut line);
        self.put_root(&mut line);
        if line.ends_with(b"\n    ") && self.argv.first().is_some_and(|name| name.contains(&b'=')) {
            self.stop(b"env takes the name of the command for a variable: name it without =");
        }
        self.line("trap - EXIT\n^\"$@\"", &[&line]);
    }

    /// What `setpriv` does: ids without a root of its own, what has been dropped, and no_new_privs.
    fn put_setpriv(&mut self, line: &mut Vec<u8>) {
        let mut options = Vec::new();
        if let (Some(uid), Some(gid), None) = (self.uid, self.gid, self.root) {
            fill(&mut options, " --reuid=^ --regid=^", &[uid, gid]);
            match self.groups {
                None => options.put(b" --keep-groups"),
                Some(b"") => options.put(b" --clear-groups"),
                Some(groups) => fill(&mut options, " --groups=^", &[groups]),
            }
        } else if self.uid.is_none() && self.groups.is_some() {
            options.put(b" --clear-groups");
        }
        if !self.dropped.is_empty() {
            fill(&mut options, " --bounding-set=^", &[&self.dropped]);
        }
        options.put(if self.sets_capabilities { b" --inh-caps=-all" } else { b"" });
        options.put(if self.no_new_privs { b" --no-new-privs" } else { b"" });
        if options.is_empty() {
            return;
        }
        fill(line, "\"$setpriv\"^ -- ", &[&options]);
        let hint: &[u8] = match self.uid {
            Some(_) => b"leave out -u, and use --privileged",
            None => b"--privileged does without",
        };
        self.line(
            "setpriv=$(tool setpriv --bounding-set '^')\n\"$setpriv\"^ -- true || stop '^'",
            &[hint, &options, hint],
        );
    }

    /// The new root: `chroot`, or for another working directory `unshare`, with the ids.
    fn put_root(&mut self, line: &mut Vec<u8>) {
        let Some(root) = self.root else { return };
        let groups = self.groups.unwrap_or_default();
        let user = self.uid.zip(self.gid).filter(|(uid, gid)| (*uid, *gid, groups) != (b"0", b"0", b""));
        // chroot(2) needs the first of these, and to become that user takes the two others.
        let is_needed = |dropped: &[u8]| match dropped {
            b"-sys_chroot" => true,
            b"-setuid" | b"-setgid" => user.is_some(),
            _ => false,
        };
        if bytes::split(&self.dropped, b',').any(is_needed) {
            return self.stop(
                b"a new root after these capabilities are gone: --cap-add SYS_CHROOT, SETUID and SETGID lift it",
            );
        }
        let at_top = matches!(self.workdir, b"" | b"/");
        match user {
            None if at_top => {
                line.put(b"\"$chroot\" . ");
                self.line("chroot=$(tool chroot '' 'leave out --rootfs and --ephemeral')", &[]);
            }
            Some((uid, gid)) if at_top => {
                fill(line, "\"$chroot\" --userspec=+^:+^ --groups=^ . ", &[uid, gid, groups]);
                self.line(
                    "chroot=$(tool chroot --userspec 'leave out -u')\n\
                     \"$chroot\" --userspec=+^:+^ --groups= / true || stop 'not this user: leave out -u'",
                    &[uid, gid],
                );
            }
            Some(_) if !groups.is_empty() => {
                return self.stop(b"a working directory for a user with supplementary groups: leave out -w");
            }
            _ => {
                fill(line, "\"$unshare\" --root=. --wd=~", &[self.workdir]);
                self.line("unshare=$(tool unshare --wd 'leave out -w')", &[]);
                if let Some((uid, gid)) = user {
                    fill(line, " --setgid=^ --setuid=^", &[gid, uid]);
                    self.line(
                        "\"$unshare\" --setuid=^ --setgid=^ true || stop 'not this user: leave out -u'",
                        &[uid, gid],
                    );
                }
                line.put(b" -- ");
                let directory = [root, self.workdir].concat();
                self.line("[ -d ~ ] || target ~ / ~", &[&directory, root, &directory]);
            }
        }
        self.line("cd ~\nmount --move ~ /", &[root, root]);
    }
}

/// The signals that the C library keeps for itself: signal(7). Nobody else can change them, or notices.
const C_LIBRARYS: [usize; 2] = [32, 33];

/// Variables that a shell sets itself, and those of the script.
const OWN_VARIABLES: [&[u8]; 36] = [
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
    b"setsid",
    b"setpriv",
    b"top",
    b"keyctl",
    b"sh",
    b"chroot",
    b"prlimit",
    b"taskset",
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
    let is_name = |b: &u8| *b == b'_' || b.is_ascii_alphanumeric();
    name.iter().all(is_name) && !name.first().is_some_and(u8::is_ascii_digit) && !OWN_VARIABLES.contains(&name)
}

/// The name of a variable.
fn name_of(variable: &[u8]) -> &[u8] {
    bytes::split_once(variable, b'=').map_or(variable, |(name, _)| name)
}

/// Whether one of the variables has this name.
fn has_name(variables: &[&[u8]], name: &[u8]) -> bool {
    variables.iter().any(|variable| name_of(variable) == name)
}

/// Variables that a shell exports without being asked.
const EXPORTED: &[&[u8]] = &[b"PWD", b"OLDPWD", b"SHLVL", b"_"];

/// The environment of the command, as what differs from that of the caller.
fn put_environment(caller: &[&CStr], command: &[&[u8]], line: &mut Vec<u8>) {
    let keeps = caller.iter().all(|variable| has_name(command, name_of(variable.to_bytes())));
    if keeps {
        for own in EXPORTED.iter().filter(|own| !has_name(command, own)) {
            fill(line, " -u ^", &[own]);
        }
    } else {
        line.put(b" -i");
    }
    for variable in command {
        let is_callers = keeps && caller.iter().any(|callers| callers.to_bytes() == *variable);
        if !is_callers || !is_passed_on(name_of(variable)) {
            fill(line, " \\\n    ~", &[variable]);
        }
    }
    line.put(b" \\\n    ");
}
