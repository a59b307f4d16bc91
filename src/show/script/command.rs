//! The last command of the child: what the process is to be, the new root, and the environment.

use super::shell::{fill, put_item};
use super::{Translator, is_detached};
use crate::bytes::{self, Put, to_decimal};
use crate::capabilities::CAPABILITIES;
use crate::command::lookup::BLANKS;
use crate::sys::Resource;
use crate::sys::record::Recorded;
use alloc::vec::Vec;
use core::ffi::CStr;

/// The signals that the C library keeps for itself: signal(7). Nobody else can change them, or notices.
pub(super) const C_LIBRARYS: [usize; 2] = [32, 33];

/// Variables that a shell sets itself, and those of the script.
const OWN_VARIABLES: [&[u8]; 42] = [
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
    b"ip",
    b"nsenter",
    b"flock",
    b"nft",
    b"group",
    b"others",
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

impl Translator {
    /// The last command: the new root over the old one, and what the process is to be in it. The PATH of the command is not
    /// the one that the tools are in.
    pub(super) fn execute(&mut self, call: &Recorded) {
        self.argv = call.strings(1);
        if let [word] = self.argv[..]
            && word.iter().any(|byte| BLANKS.contains(byte))
        {
            const DIVIDED: &str =
                "mydocker divides one word at its blanks, if no program has that name: write the words apart";
            match word.contains(&b'/') {
                false => self.stop(DIVIDED.as_bytes()),
                true if word.starts_with(b"/") => {
                    let file = [self.root.unwrap_or_default(), word].concat();
                    self.line("[ -e ~ ] || stop ~", &[&file, DIVIDED.as_bytes()]);
                }
                true => {}
            }
        }
        if self.notes_cgroup() || !self.perhaps_joined.is_empty() {
            self.line("unset own_cgroup own_groups", &[]);
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
        let hint: &[u8] = match (self.uid, self.is_confined) {
            (Some(_), true) => b"leave out -u and --group-add, and use --privileged",
            (None, true) => b"--privileged does without",
            (Some(_), false) => b"leave out -u, --group-add and --cap-drop",
            (None, false) => b"leave out --cap-drop",
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

    /// Adds a capability, by its name if it has one here, to those that `setpriv` drops.
    pub(super) fn drop_capability(&mut self, number: u64) {
        put_item(&mut self.dropped, b"-");
        match CAPABILITIES.get(number as usize) {
            Some(name) => self.dropped.put(&name.strip_prefix("CAP_").unwrap_or(name).as_bytes().to_ascii_lowercase()),
            None => fill(&mut self.dropped, "cap_^", &[&to_decimal(number)]),
        }
    }

    /// The soft and the hard limit of a resource.
    pub(super) fn limit(&mut self, call: &Recorded) {
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

    /// A variable says whether it has a cgroup of v2 of its own, which perhaps could not be made.
    pub(super) fn notes_cgroup(&self) -> bool {
        self.group_may_fail && !self.born_in.is_empty() && !is_detached(self.born_in)
    }
}
