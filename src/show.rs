//! What each step does, in words: for `--dry-run`, as a table or as a shell script, and for `--step`, which stops at each.
//! A new step is a new line in `src/texts/steps`, and with the compiler's help nobody forgets it.

use crate::cgroup::{Group, Version};
use crate::error::{Errno, Error, Result};
use crate::rootfs::Source;
use crate::says;
use crate::signals;
use crate::step::{Plan, Step};
use crate::sys::trace;
use crate::sys::{self, CloneFlags, Fd, OpenFlags, Poll, SharedWords};
use crate::text::{self, Put};
use crate::texts;
use crate::volumes::Content;
use alloc::vec::Vec;

impl Step {
    /// What the step is about: `%1` to `%5`.
    #[inline(never)]
    fn objects<'a>(&self, plan: &'a Plan, list: &mut Vec<&'a [u8]>) -> Option<()> {
        let mut add = |object: &'a [u8]| push(list, object);
        let root = plan.root;
        let in_memory = root.is_some_and(|root| root.writes.is_some());
        let place: &[u8] = if in_memory { b"/proc/root" } else { b"/proc" };
        match self {
            Step::OpenPidFile(path)
            | Step::OpenStatsFile(path)
            | Step::ChangeDirectory(path)
            | Step::MountShm(path) => {
                add(path.to_bytes());
            }
            Step::OpenParent(g) => add(below(plan.groups.get(*g)?, b"")),
            Step::EnableController(g, at) => {
                let group = plan.groups.get(*g)?;
                let enable = group.enable.get(*at)?;
                let file = enable.file.to_bytes();
                add(text::c_string(&[group.hierarchy.top.path(), file.strip_prefix(b".").unwrap_or(file)]).to_bytes());
                add(enable.word);
            }
            Step::MakeGroup(g) => add(directory(plan, *g, b"")?),
            Step::ApplySetting(g, at) => {
                let setting = plan.groups.get(*g)?.settings.get(*at)?;
                add(directory(plan, *g, setting.file.to_bytes())?);
                add(setting.value);
            }
            Step::JoinGroup(g) => {
                let v1 = plan.groups.get(*g)?.hierarchy.version == Version::V1;
                add(directory(plan, *g, if v1 { b"tasks" } else { b"cgroup.procs" })?);
            }
            Step::Clone => {
                add(plan.namespaces.names().as_bytes().to_vec().leak());
            }
            Step::SendCommand | Step::Exec => add(text::split(plan.words, 0).next()?),
            Step::SetUmask(mask) => add(if *mask == 0 { b"0" } else { b"022" }),
            Step::AttachImage | Step::MountImage | Step::BindRoot => {
                if let Source::Directory(path) | Source::Image(path) = &root?.source {
                    add(path.to_bytes());
                    add(if in_memory { b"/proc/lower" } else { b"/proc" });
                }
            }
            Step::MountWrites => add(root?.writes?.to_bytes()),
            Step::MountLayer(n) => {
                let layer = root?.layers.get(*n)?;
                for part in [layer.lower, layer.target, layer.upper, layer.work, layer.options] {
                    add(part.to_bytes());
                }
            }
            Step::MakeReadOnly if root.is_none() => add(b"/"),
            Step::MakeReadOnly | Step::EnterRoot => add(place),
            Step::LookUpUser => add(plan.options.user?.as_bytes()),
            Step::MountSysfs(read_only) => add(if *read_only { b"ro" } else { b"rw" }),
            Step::GiveFile(at) => {
                let file = plan.files.get(*at)?;
                add(file.source.to_bytes());
                add(file.target.to_bytes());
            }
            Step::OpenVolume(at) | Step::MountVolume(at) => {
                let volume = plan.volumes.get(*at)?;
                add(match &volume.content {
                    Content::Host { source, .. } => source.to_bytes(),
                    Content::Memory { .. } => b"tmpfs",
                });
                add(volume.target.to_bytes());
            }
            Step::BindGroup(path, point) => {
                add(path.to_bytes());
                add(point.to_bytes());
            }
            Step::SetHostname(name) => add(name),
            Step::SetUlimit(at) => {
                let limit = plan.options.ulimits.get(*at)?;
                add(limit.name());
                for value in [limit.soft, limit.hard] {
                    add(if value == u64::MAX { b"unlimited" } else { text::to_decimal(value).leak() });
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Puts one of the three parts of `shown` with its objects, each as `put_object` puts it.
    fn put_part(&self, plan: &Plan, part: usize, out: &mut Vec<u8>, put_object: fn(&mut Vec<u8>, &[u8])) {
        let mut objects = Vec::new();
        // What there is not, is not shown.
        self.objects(plan, &mut objects).unwrap_or_default();
        let mut line = Vec::new();
        texts::STEPS.put_line(number(self), &mut line);
        let mut rest = text::split(&line, b'\t').nth(part).unwrap_or_default();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match rest {
                [digit @ b'1'..=b'5', after @ ..] if byte == b'%' => {
                    put_object(out, objects.get(usize::from(digit - b'1')).copied().unwrap_or_default());
                    rest = after;
                }
                _ => out.put(&[byte]),
            }
        }
    }
}

/// The number of a step's line in [`texts::STEPS`]. The compiler holds the two together.
#[expect(clippy::unneeded_struct_pattern, reason = "which variants have fields is not known there")]
fn number(step: &Step) -> usize {
    include!(concat!(env!("OUT_DIR"), "/steps.rs"))
}

#[inline(never)]
fn push<'a>(list: &mut Vec<&'a [u8]>, object: &'a [u8]) {
    list.push(object);
}

/// In a trace: what the next calls are for.
pub fn note(plan: &Plan, step: &Step) {
    if trace::is_on() {
        let mut why = Vec::new();
        step.put_part(plan, 0, &mut why, |out, object| out.put_quoted(&[object]));
        trace::note(&why);
    }
}

/// The path of the cgroup that a group is made in, and of `name` in it.
fn below(group: &Group, name: &[u8]) -> &'static [u8] {
    let parent = group.parent.to_bytes();
    let slash: &[u8] = if name.is_empty() { b"" } else { b"/" };
    text::c_string(&[group.hierarchy.top.path(), parent.strip_prefix(b".").unwrap_or(parent), slash, name]).to_bytes()
}

/// The path of a group's directory, or of `file` in it.
fn directory(plan: &Plan, g: usize, file: &[u8]) -> Option<&'static [u8]> {
    let slash: &[u8] = if file.is_empty() { b"" } else { b"/" };
    Some(below(plan.groups.get(g)?, text::c_string(&[plan.name.to_bytes(), slash, file]).to_bytes()))
}

/// A shell reaches a group by its path alone.
fn has_path(plan: &Plan, g: usize) -> bool {
    plan.groups.get(g).is_some_and(|group| group.hierarchy.is_mounted())
}

/// As a word of a shell.
fn put_word(out: &mut Vec<u8>, word: &[u8]) {
    out.put(b"'");
    for &byte in word {
        out.put(if byte == b'\'' { b"'\\''" } else { core::slice::from_ref(&byte) });
    }
    out.put(b"'");
}

/// `--dry-run`: the steps of both processes in the order of time. From clone on both are at it: there they stand in turns.
pub fn table(plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    let mut child = plan.child.iter();
    let mut number = 0;
    let mut begun = false;
    for step in &plan.parent {
        put_row(&mut out, plan, &mut number, b"parent", step);
        begun |= matches!(step, Step::Clone);
        // Up to where it waits for the parent.
        if begun
            && !matches!(step, Step::SendCommand)
            && !matches!(child.as_slice().first(), Some(Step::ReceiveCommand))
            && let Some(step) = child.next()
        {
            put_row(&mut out, plan, &mut number, b"    child", step);
        }
        if matches!(step, Step::SendCommand) {
            break;
        }
    }
    for step in child {
        put_row(&mut out, plan, &mut number, b"    child", step);
    }
    out
}

fn put_row(out: &mut Vec<u8>, plan: &Plan, number: &mut u64, who: &[u8], step: &Step) {
    *number += 1;
    out.put(if *number < 10 { b" " } else { b"" });
    out.put_decimal(*number);
    out.put(b"  ");
    out.put_column(who, 11);
    let mut why = Vec::new();
    step.put_part(plan, 0, &mut why, |out, object| out.put_quoted(&[object]));
    out.put_column(&why, 38);
    step.put_part(plan, 1, out, Put::put_escaped);
    out.put(b"\n");
}

/// `--dry-run=sh`: the same with what a shell has.
pub fn script(plan: &Plan) -> Vec<u8> {
    let mut out = b"#!/bin/sh -e\n# What mydocker would do, with what a shell has.\n".to_vec();
    for step in &plan.parent {
        put_command(&mut out, plan, step);
    }
    // What joins, joins first: in a root of its own the paths of its cgroups are gone.
    let mut child = Vec::new();
    for joins in [true, false] {
        for step in plan.child.iter().filter(|step| matches!(step, Step::JoinGroup(_)) == joins) {
            put_command(&mut child, plan, step);
        }
    }
    out.put(b"child=");
    put_word(&mut out, &child);
    out.put(b"\nstatus=0\nunshare --fork --kill-child");
    for (flag, option) in &[
        (CloneFlags::NEWNS, &b" --mount --propagation unchanged"[..]),
        (CloneFlags::NEWUTS, b" --uts"),
        (CloneFlags::NEWIPC, b" --ipc"),
        (CloneFlags::NEWPID, b" --pid"),
        (CloneFlags::NEWNET, b" --net"),
        (CloneFlags::NEWUSER, b" --user --map-root-user"),
    ] {
        out.put(if plan.namespaces.has(*flag) { option } else { b"" });
    }
    out.put(b" sh -ec \"$child\" sh env -i");
    let words = text::split(plan.words.strip_suffix(b"\0").unwrap_or_default(), 0);
    for word in plan.environment.iter().map(|variable| variable.to_bytes()).chain(words) {
        out.put(b" \\\n    ");
        put_word(&mut out, word);
    }
    out.put(b" || status=$?\n");
    for (g, _) in plan.groups.iter().enumerate().filter(|(g, _)| has_path(plan, *g)) {
        out.put(b"rmdir ");
        put_word(&mut out, directory(plan, g, b"").unwrap_or_default());
        out.put(b"\n");
    }
    out.put(b"exit $status\n");
    out
}

/// One step's command; where a shell has none, a comment that says so. A default may fail.
fn put_command(out: &mut Vec<u8>, plan: &Plan, step: &Step) {
    let start = out.len();
    let group = match step {
        Step::EnableController(g, _) | Step::MakeGroup(g) | Step::ApplySetting(g, _) | Step::JoinGroup(g) => Some(*g),
        _ => None,
    };
    let reachable = group.is_none_or(|g| has_path(plan, g));
    match reachable {
        true => step.put_part(plan, 2, out, put_word),
        false => out.put(b"#"),
    }
    if out.get(start..) == Some(b"#") {
        out.put(b" a shell cannot: ");
        step.put_part(plan, 1, out, Put::put_escaped);
    }
    if let Step::ApplySetting(g, at) = step
        && reachable
        && !plan.groups.get(*g).and_then(|group| group.settings.get(*at)).is_some_and(|setting| setting.asked)
    {
        out.put(b" || :");
    }
    if out.len() > start {
        out.put(b"\n");
    }
}

/// `--step`: the terminal, and what both processes know.
pub struct Stops {
    terminal: Fd,
    /// Signals that end a process: one that has come is a `q`.
    signals: Fd,
    shared: SharedWords,
}

/// The words that both processes share: whether one of them has the terminal, what holds for all further stops, the child's
/// pid.
const BUSY: usize = 0;
const ANSWER: usize = 1;
const PID: usize = 2;

const GO_ON: i32 = 1;
const STOP: i32 = 2;

impl Stops {
    /// Opens the terminal.
    pub fn new() -> Result<Stops> {
        let terminal =
            sys::open(c"/dev/tty", OpenFlags::RDWR).map_err(|e| e.with_hint(says!("--step needs a terminal")))?;
        Ok(Stops { terminal, signals: sys::signalfd(signals::ENDING)?, shared: SharedWords::map()? })
    }

    /// The child is there; until then it waits, for it knows its pid from here.
    pub fn child_is(&self, pid: sys::Pid) {
        self.shared.set(PID, pid.0);
        self.shared.set(BUSY, 0);
    }

    /// Says what comes next and where one can look, and waits for a line. An end of it, a `q` or a signal ends the run.
    pub fn stop(&self, plan: &Plan, who: &[u8], step: &Step) -> Result<()> {
        let mut signal = [Poll::new(self.signals.raw(), true, false)];
        while !self.shared.take(BUSY) {
            // The other one may wait for a key for long.
            if sys::poll(&mut signal, Some(10))? {
                self.shared.set(ANSWER, STOP);
                break;
            }
        }
        let answer = match self.shared.get(ANSWER) {
            0 => self.ask(plan, who, step)?,
            answer => answer,
        };
        self.shared.set(ANSWER, answer);
        // Clone is one thing with what the parent notes after it.
        if !matches!(step, Step::Clone) {
            self.shared.set(BUSY, 0);
        }
        match answer {
            STOP => {
                let mut next = Vec::new();
                step.put_part(plan, 1, &mut next, |out, object| out.put(object));
                Err(Error::refused(says!("--step: stopped before"), &[&next], says!("nothing was run")))
            }
            _ => Ok(()),
        }
    }

    fn ask(&self, plan: &Plan, who: &[u8], step: &Step) -> Result<i32> {
        let mut out = b"\r\n".to_vec();
        out.put(who);
        out.put(b": ");
        step.put_part(plan, 0, &mut out, |out, object| out.put_quoted(&[object]));
        out.put(b"\r\n  ");
        step.put_part(plan, 1, &mut out, Put::put_escaped);
        let pid = self.shared.get(PID);
        if pid != 0 {
            out.put(b"\r\n  look: ls -l /proc/");
            out.put_decimal(pid as u64);
            out.put(b"/ns; nsenter -a -t ");
            out.put_decimal(pid as u64);
            for (g, _) in plan.groups.iter().enumerate() {
                let group = text::c_string(&[directory(plan, g, b"").unwrap_or_default()]);
                if sys::exists(group) {
                    let mut word = Vec::new();
                    put_word(&mut word, group.to_bytes());
                    out.put(b"; ls ");
                    out.put_escaped(&word);
                }
            }
        }
        out.put(b"\r\n[Enter: do it, c: on to the end, q: undo and quit] ");
        match sys::write_all(self.terminal.raw(), &out) {
            // Before Linux 5.11 it is closed with all the other descriptors.
            Err(e) if e.is(Errno::EBADF) => return Ok(GO_ON),
            other => other?,
        }
        let mut ready = [Poll::new(self.terminal.raw(), true, false), Poll::new(self.signals.raw(), true, false)];
        sys::poll(&mut ready, None)?;
        let mut line = [0u8; 64];
        let [_, signal] = ready;
        if signal.can_read() {
            return Ok(STOP);
        }
        Ok(match (sys::read(&self.terminal, &mut line)?, line[0]) {
            (0, _) | (_, b'q' | 3 | 4) => STOP,
            (_, b'c') => GO_ON,
            _ => 0,
        })
    }
}
