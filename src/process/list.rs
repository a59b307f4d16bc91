//! The commands about containers that have a record: each reads records, and sends signals. None keeps anything.

use crate::bytes::{self, Put};
use crate::cgroup::directory::FREEZER_STATE;
use crate::error::{Errno, Error, Result};
use crate::log::{self, View};
use crate::network::guard;
use crate::process::keep;
use crate::process::table::{Row, put_age, put_limit, put_size, put_table};
use crate::signals;
use crate::state::{self, End, Record};
use crate::sys::{self, Dir, FdRef, OpenFlags, Place, Resource};
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::ffi::CStr;

/// What to do with the containers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// `ps`
    List,
    /// `rm`
    Remove,
    /// `logs`
    Logs,
    /// `wait`
    Wait,
    /// `stop`
    Stop,
    /// `kill`
    Kill,
    /// `pause`
    Pause,
    /// `unpause`
    Unpause,
    /// `stats`
    Stats,
}

/// A command with its options.
pub struct Order {
    /// What to do.
    pub act: Act,
    /// The folder of the records, if the user names one.
    pub state: Option<&'static CStr>,
    /// `ps`: those that have ended, too.
    pub all: bool,
    /// `ps`: the names alone.
    pub quiet: bool,
    /// As JSON, one object on each line.
    pub json: bool,
    /// `ps`: one of these parts must be in the name, if there are any;
    pub parts: Vec<&'static [u8]>,
    /// and it must be in one of these states.
    pub states: Vec<&'static str>,
    /// `rm`: also those that run.
    pub force: bool,
    /// `logs`: what to show.
    pub view: View,
    /// `stop`: how many milliseconds it has until SIGKILL; `None`: as long as it takes.
    pub timeout: Option<u32>,
    /// `kill`: what is sent.
    pub signal: i32,
    /// `stats`: once, and not every second.
    pub once: bool,
    /// The names of the containers.
    pub names: Vec<&'static str>,
}

/// Carries it out, and returns the exit status.
pub fn carry_out(order: &Order, environment: &[&'static CStr]) -> Result<i32> {
    let (uid, _) = sys::effective_ids();
    let folder = state::folder(order.state, uid, environment, false)?;
    if order.act == Act::List {
        let (mut rows, mut out, mut status) = (Vec::new(), Vec::new(), 0);
        if let Some(folder) = folder {
            status = list(order, &folder, &mut rows, &mut out)?;
        }
        let is_plain = order.quiet || order.json;
        return if is_plain { sys::write_all(FdRef::STDOUT, &out) } else { put_table(rows) }.map(|()| status);
    }
    let mut status = 0;
    // As many as this process may look at together.
    let most = sys::raise_limit(Resource::NOFILE, (order.names.len() * DESCRIPTORS + SPARE) as u64)? as usize;
    let at_once = (most.saturating_sub(SPARE) / DESCRIPTORS).max(1);
    for names in order.names.chunks(at_once) {
        // All are asked to end before the end of the first is waited for.
        let mut found = Vec::new();
        for name in names {
            let name = bytes::c_string(&[name.as_bytes()]);
            found.push((name, begin(order, folder.as_ref(), name)));
        }
        for (name, found) in found {
            if let Err(error) = found.and_then(|found| act_on(order, folder.as_ref(), name, found)) {
                sys::say(error);
                // As docker has it, `rm -f` says so, and it is no error: what was to be removed is not there.
                if !(order.force && error.cause().what == NO_CONTAINER) {
                    status = error.status();
                }
            }
        }
    }
    Ok(status)
}

/// How many descriptors each container takes that is looked at together with others, and how many there are beside these.
const DESCRIPTORS: usize = 3;
const SPARE: usize = 16;

/// A container that was found, and asked to end if that is the order.
struct Found {
    record: Record,
    /// Somebody kept it when it was found, or a process of it was left.
    was_alive: bool,
    ending: Option<Ending>,
}

/// A container that was asked to end.
struct Ending {
    /// Its first process, unless that has ended.
    process: Option<sys::Fd>,
    /// When its time is over, in milliseconds of the monotonic clock; `None`: never.
    until: Option<u64>,
}

/// What [`find`] says of a name that no record has.
const NO_CONTAINER: &str = "no such container:";

/// The record of a container, for a command that names it.
pub fn find(folder: Option<&Dir>, name: &CStr) -> Result<Record> {
    let refused = |what| Err(Error::refused(what, name.to_bytes(), ""));
    match folder.map(|folder| Record::open(folder, name)).transpose()?.flatten() {
        None => refused(NO_CONTAINER),
        Some(record) => Ok(record),
    }
}

/// Finds a container, and asks it to end if that is the order.
fn begin(order: &Order, folder: Option<&Dir>, name: &'static CStr) -> Result<Found> {
    let mut record = find(folder, name)?;
    let is_end = match order.act {
        Act::Stop => true,
        Act::Remove => order.force,
        Act::Kill => [libc::SIGKILL, libc::SIGTERM].contains(&order.signal),
        _ => false,
    };
    if is_end {
        if record.alive && !record.is_seen()? {
            return Err(Error::refused(UNSEEN, name.to_bytes(), ""));
        }
        await_start(folder, name, &mut record)?;
    }
    let mut was_alive = record.alive;
    if is_end {
        end_start(folder, name, &mut record)?;
        was_alive |= record.end_leftovers(name)?;
    }
    if is_end && let Some(folder) = folder {
        end_restarts(order, folder, name, &mut record)?;
        record.continue_entered()?;
        // v1: no signal reaches what is frozen.
        if record.process()?.is_some() {
            record.thaw()?;
        }
    }
    let ending = match order.act {
        // As docker has it, one that has ended is stopped; and one may end in the pause before a restart.
        Act::Stop | Act::Remove if !record.alive => None,
        Act::Kill if was_alive && !record.alive => None,
        Act::Stop => Some(begin_end(&record, name, Some(order.timeout))?),
        Act::Remove if order.force => Some(begin_end(&record, name, None)?),
        // As docker has it, nothing runs any more when it says so: rm can follow.
        Act::Kill if order.signal == libc::SIGKILL => Some(begin_end(&record, name, None)?),
        _ => None,
    };
    Ok(Found { record, was_alive, ending })
}

fn act_on(order: &Order, folder: Option<&Dir>, name: &'static CStr, found: Found) -> Result<()> {
    let Found { mut record, was_alive, ending } = found;
    let is_ending = ending.is_some();
    if let Some(ending) = ending {
        finish_end(&mut record, ending)?;
    }
    match order.act {
        Act::List => return Ok(()),
        Act::Remove => {
            if record.alive {
                if !record.is_readable() {
                    return Err(Error::refused(state::DAMAGED, name.to_bytes(), "it runs: end its keeper"));
                }
                return Err(Error::refused("it runs:", name.to_bytes(), "mydocker rm -f ends it"));
            }
            if record.end().is_none() {
                // Its keeper was killed: what that would have removed.
                record.end_leftovers(name)?;
                guard::remove(folder)?;
            }
            if let Some(folder) = folder {
                state::remove(folder, name, &record.dir)?;
            }
        }
        Act::Logs => return log::show(&mut record, name, &order.view),
        Act::Wait => {
            record.wait()?;
            if !record.is_readable() {
                return Err(Error::refused(state::DAMAGED, name.to_bytes(), ""));
            }
            let end = record.end();
            print(&bytes::to_decimal(end.map_or(KILLED, |end| end.status)))?;
            return match end {
                Some(_) => Ok(()),
                None => Err(Error::refused("its keeper was killed:", name.to_bytes(), "")),
            };
        }
        Act::Stop => {}
        Act::Kill if is_ending || was_alive && !record.alive => {}
        Act::Kill => kill(&record, name, order.signal)?,
        Act::Pause | Act::Unpause => freeze(&record, name, order.act == Act::Pause)?,
        Act::Stats => return stats(order, &record, name),
    }
    print(name.to_bytes())
}

/// Stops or continues all that is in it, by its freezer; it takes whoever enters, too.
fn freeze(record: &Record, name: &CStr, stop: bool) -> Result<()> {
    let (_, pid, _) = running(record, name)?;
    let mut hint = "";
    let what = match record.freezer() {
        None => {
            hint = match record.has_groups() {
                false => "it was started with --no-limits, or by a user who may make no cgroup",
                true => "on cgroup v1, root mounts the freezer before it starts: mount -t cgroup -o freezer",
            };
            "it cannot be paused:"
        }
        Some(ref freezer) if state::has_stopped(freezer) == stop => match stop {
            true => "it is paused:",
            false => "it is not paused:",
        },
        Some((dir, file, [goes_on, stops])) => {
            let value = if stop { stops } else { goes_on };
            dir.write(file, value)?;
            // One process stops after the other, and those that wait for a device later. v2 tells in another file.
            let is_done = || {
                let mut buffer = [0; 256];
                let file = if file == FREEZER_STATE { file } else { c"cgroup.events" };
                let text = dir.read_plain(file, &mut buffer)?;
                Ok(bytes::field(text, b"frozen").unwrap_or(bytes::trimmed(text)) == value)
            };
            for _ in 0..FREEZE_TURNS {
                if is_done()? {
                    // v1: SIGKILL does not reach what is paused, and whoever has sent it may have looked before.
                    if stop && file == FREEZER_STATE && signals::is_killed(pid) {
                        record.thaw()?;
                        return Err(Error::refused("it is ending:", name.to_bytes(), ""));
                    }
                    return Ok(());
                }
                sys::nanosleep(1_000_000)?;
            }
            let hint = "a process in it waits for a device; mydocker unpause lets the others go on";
            return Err(Error::refused("not all of it has stopped within a second:", name.to_bytes(), hint));
        }
    };
    Err(Error::refused(what, name.to_bytes(), hint))
}

/// How many times to look whether all processes have stopped, with a pause of a millisecond.
const FREEZE_TURNS: usize = 1000;

/// Prints what it uses: once, or every second until it ends; without a cgroup, nothing changes. It may do so for weeks, and nothing is
/// freed here: what is allocated is allocated once.
fn stats(order: &Order, record: &Record, name: &CStr) -> Result<()> {
    let (process, ..) = running(record, name)?;
    let memory = Memory::of(record);
    let processes = record.group_file(["cgroup.procs"; 2]);
    let cpu = record.group_file(["cpu.stat", "cpuacct.usage"]);
    let freezer = record.freezer();
    let is_counted = record.has_groups();
    if !is_counted {
        sys::say(Error::refused(
            "it has no cgroup, so nothing is counted:",
            name.to_bytes(),
            "-m or another limit makes one",
        ));
    }
    let (mut out, mut cells) = (Vec::new(), [const { Vec::new() }; 3]);
    // The columns are as wide as what may be in them, for later lines are not known yet.
    let name_width = name.count_bytes().max(4) + 2;
    if !order.json {
        out.put_column(b"NAME", name_width);
        out.put(b"CPU SECONDS   MEMORY         PROCESSES\n");
    }
    loop {
        let [used, limit] = memory.read();
        let count = processes.as_ref().and_then(count_lines);
        // v2 counts microseconds, v1 nanoseconds.
        let cpu = read_value(&cpu, |text| {
            let v2 = bytes::field(text, b"usage_usec").and_then(number);
            v2.or_else(|| number(text).map(|nanoseconds| nanoseconds / 1000))
        });
        if order.json {
            let word = if freezer.as_ref().is_some_and(state::has_stopped) { PAUSED } else { RUNNING };
            let numbers = [("cpu_microseconds", cpu), ("memory", used), ("memory_limit", limit), ("processes", count)];
            put_json(&mut out, name, record, word, None, &numbers);
        } else {
            let [seconds, usage, running] = &mut cells;
            if let Some(cpu) = cpu {
                seconds.put_seconds(cpu);
            }
            if let Some(used) = used {
                put_size(usage, used);
                put_limit(usage, limit);
            }
            if let Some(count) = count {
                running.put_decimal(count);
            }
            out.put_column(name.to_bytes(), name_width);
            for (cell, width) in cells.iter_mut().zip([14, 15, 0]) {
                out.put_column(if cell.is_empty() { b"-" } else { cell }, width);
                cell.clear();
            }
            out.put(b"\n");
        }
        sys::write_all(FdRef::STDOUT, &out)?;
        out.clear();
        if order.once || !is_counted || sys::await_readable(process.borrow(), Some(1000))? {
            return Ok(());
        }
    }
}

/// What the file says now.
fn read_value(file: &Option<sys::Fd>, value: fn(&[u8]) -> Option<u64>) -> Option<u64> {
    let mut buffer = [0; 512];
    let n = sys::pread(file.as_ref()?.borrow(), &mut buffer, 0).ok()?;
    value(buffer.get(..n)?)
}

/// How many lines the file has now, however many they are.
fn count_lines(file: &sys::Fd) -> Option<u64> {
    let (mut buffer, mut at, mut lines) = ([0; 4096], 0, 0);
    loop {
        match sys::pread(file.borrow(), &mut buffer, at).ok()? {
            0 => return Some(lines),
            n => {
                lines += buffer.get(..n)?.iter().filter(|byte| **byte == b'\n').count() as u64;
                at += n as u64;
            }
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    bytes::decimal(bytes::trimmed(text)).ok()
}

/// The status of a container whose keeper was killed: SIGKILL has ended it, too.
const KILLED: u64 = 128 + libc::SIGKILL as u64;

/// Begins to end a container: by SIGKILL; or, with a `timeout`, as SIGTERM to its mydocker does.
fn begin_end(record: &Record, name: &CStr, timeout: Option<Option<u32>>) -> Result<Ending> {
    let found = running(record, name);
    if found.is_err() && continue_just_ended(record)? {
        return Ok(Ending { process: None, until: None });
    }
    let (process, _, keeper) = found?;
    let signal = match record.number(b"stop") as i32 {
        0 => libc::SIGTERM,
        other => other,
    };
    // SIGKILL is for the container, whose keeper is to clean up.
    let timeout = timeout.filter(|_| signal != libc::SIGKILL);
    if let Some(keeper) = sys::pidfd_if_alive(keeper)?
        // Its child still runs: it has not ended, and this is no other process.
        && record.process()?.is_some()
    {
        if timeout.is_some() {
            sys::pidfd_send_signal(keeper.borrow(), signal)?;
        }
        // One that is stopped is to go on: it has to clean up.
        sys::pidfd_send_signal(keeper.borrow(), libc::SIGCONT)?;
    }
    match timeout {
        Some(timeout) => {
            let until = timeout.map(|milliseconds| sys::monotonic() / 1000 + u64::from(milliseconds));
            Ok(Ending { process: Some(process), until })
        }
        None => {
            end_now(&process)?;
            record.thaw()?;
            Ok(Ending { process: Some(process), until: Some(0) })
        }
    }
}

/// Whether it has ended by itself, and its keeper is about to note that. One that is stopped is to go on.
fn continue_just_ended(record: &Record) -> Result<bool> {
    let (has_ended, keeper) = record.has_just_ended();
    if let Some(keeper) = keeper {
        sys::kill(keeper, libc::SIGCONT)?;
    }
    Ok(has_ended)
}

/// Waits for the end; after the timeout, SIGKILL makes it one.
fn finish_end(record: &mut Record, Ending { process, until }: Ending) -> Result<()> {
    if let Some(process) = process {
        let mut is_killed = false;
        loop {
            let left = until.map_or(TURN, |until| until.saturating_sub(sys::monotonic() / 1000).min(TURN));
            let wait = if is_killed { TURN } else { left };
            if sys::await_readable(process.borrow(), Some(wait as u32))? {
                break;
            }
            if is_killed {
                // v1: somebody may have paused it meanwhile.
                record.thaw()?;
            } else if left == 0 {
                end_now(&process)?;
                record.thaw()?;
                is_killed = true;
            }
        }
    }
    record.wait()
}

/// How long, in milliseconds, to wait for its end until it is looked whether it is paused.
const TURN: u64 = 100;

/// SIGKILL, unless it has ended.
fn end_now(process: &sys::Fd) -> Result<()> {
    if sys::await_readable(process.borrow(), Some(0))? {
        return Ok(());
    }
    sys::pidfd_send_signal(process.borrow(), libc::SIGKILL)
}

/// As docker has it, one that is just starting is not refused, but ended: it runs in a moment.
fn await_start(folder: Option<&Dir>, name: &CStr, record: &mut Record) -> Result<()> {
    let (mut left, mut pause) = (SECOND, 0);
    while record.alive && record.state.is_empty() && left > 0 {
        pause += SECOND / 1000;
        left -= pause;
        sys::nanosleep(pause)?;
        *record = find(folder, name)?;
    }
    Ok(())
}

/// Ends a start that hangs: by SIGTERM to its keeper, which ends its child with it; or at last together with its keeper. What has
/// never run leaves no record, unless its keeper was killed.
fn end_start(folder: Option<&Dir>, name: &CStr, record: &mut Record) -> Result<()> {
    for (signal, mut left) in [(libc::SIGTERM, SECOND), (keep::KILL, SECOND / 10), (libc::SIGKILL, SECOND)] {
        if record.state.is_empty()
            && let Some((keeper, ..)) = record.keeper()?
        {
            for signal in [signal, libc::SIGCONT] {
                sys::pidfd_send_signal(keeper.borrow(), signal)?;
            }
        }
        // Its children hold the lock, too, until they have ended.
        let mut pause = 0;
        while record.alive && record.state.is_empty() && left > 0 {
            pause += SECOND / 1000;
            left -= pause;
            sys::nanosleep(pause)?;
            match folder.map(|folder| Record::open(folder, name)).transpose()?.flatten() {
                Some(found) => *record = found,
                None => record.alive = false,
            }
        }
    }
    Ok(())
}

/// Ends its restarts for good, and waits for the end of a pause, or of a start. A start that hangs gets the time that `stop` gives;
/// then it is ended by SIGTERM, which its keeper passes on, or at last together with its keeper.
fn end_restarts(order: &Order, folder: &Dir, name: &CStr, record: &mut Record) -> Result<()> {
    let Some((keeper, ..)) = record.restarter()? else { return Ok(()) };
    for signal in [keep::NO_MORE, libc::SIGCONT] {
        sys::pidfd_send_signal(keeper.borrow(), signal)?;
    }
    let mut left = match order.timeout {
        _ if order.act != Act::Stop => SECOND,
        Some(milliseconds) => i64::from(milliseconds) * (SECOND / 1000),
        None => i64::MAX,
    };
    let (mut signal, mut pause) = (libc::SIGTERM, 0);
    while record.alive && record.process()?.is_none() {
        // The run below it may be stopped, with its container ended.
        continue_just_ended(record)?;
        if left <= 0 {
            sys::pidfd_send_signal(keeper.borrow(), signal)?;
            (left, signal) = (SECOND, keep::KILL);
        }
        // It grows: what is read of a record is allocated, and never freed.
        pause += SECOND / 200;
        left -= pause;
        sys::nanosleep(pause)?;
        *record = find(Some(folder), name)?;
    }
    Ok(())
}

/// In nanoseconds. A start may take as long where the container is to end now; and its end, after SIGTERM.
const SECOND: i64 = 1_000_000_000;

/// Sends a signal to the container's first process.
fn kill(record: &Record, name: &CStr, signal: i32) -> Result<()> {
    let (process, ..) = running(record, name)?;
    sys::pidfd_send_signal(process.borrow(), signal)
}

/// What is said of a container whose processes cannot be seen.
const UNSEEN: &str = "its processes are in another PID namespace, where it was started:";

/// The process of a container that runs.
pub fn running(record: &Record, name: &CStr) -> Result<(sys::Fd, sys::Pid, sys::Pid)> {
    let what = if !record.is_readable() {
        state::DAMAGED
    } else if !record.alive {
        "it has ended:"
    } else if record.state.is_empty() {
        "it is still starting:"
    } else if record.end().is_some() {
        "it is restarting:"
    } else {
        match record.process()? {
            Some(process) => return Ok(process),
            None if !record.is_seen()? => UNSEEN,
            None => "it is ending:",
        }
    };
    Err(Error::refused(what, name.to_bytes(), ""))
}

/// Opens what a process of a container has as `file` in its directory in /proc: such as `/root`.
pub fn open_in_proc(pid: sys::Pid, process: FdRef, file: &str, flags: OpenFlags, name: &CStr) -> Result<sys::Fd> {
    let path = bytes::c_string(&[b"/proc/", &bytes::to_decimal(pid.0 as u64), file.as_bytes()]);
    let opened = sys::open(path, flags)?;
    // As long as it is alive, nobody else has its pid.
    match sys::await_readable(process, Some(0))? {
        true => Err(Error::refused("it has ended:", name.to_bytes(), "")),
        false => Ok(opened),
    }
}

/// A file in the directory in /proc of the first process of a container that runs, such as `/ns/net`, or that directory: a name of
/// what this process and its children hold open. And the root that the container has, if that is its mydocker's.
pub fn namespace_of(folder: Option<&Dir>, name: &'static CStr, file: &str) -> Result<(&'static CStr, Option<Place>)> {
    let record = find(folder, name)?;
    let (process, pid, _) = running(&record, name)?;
    let namespace = open_in_proc(pid, process.borrow(), file, OpenFlags::NONE, name)?;
    let held = bytes::c_string(&[b"/proc/self/fd/", &bytes::to_decimal(namespace.borrow().number() as u64)]);
    core::mem::forget(namespace);
    Ok((held, record.root()))
}

/// After an exec: a command that was killed, or that could not be started, was perhaps so because its container has ended, or is
/// about to. Then no errno of a call says so, but this.
pub fn tell_end(process: FdRef, pid: sys::Pid, name: &CStr, result: Result<i32>) -> Result<i32> {
    let is_perhaps = match result {
        Ok(status) => status == KILLED as i32,
        Err(e) => e.status() == 125,
    };
    if is_perhaps && (state::is_exiting(pid)? || sys::await_readable(process, Some(END_MS))?) {
        sys::say(Error::refused("the container has ended:", name.to_bytes(), ""));
        return Ok(KILLED as i32);
    }
    result
}

/// How long, in milliseconds, to wait for its end where both were killed at once.
const END_MS: u32 = 50;

fn print(line: &[u8]) -> Result<()> {
    sys::write_all(FdRef::STDOUT, &[line, b"\n"].concat())
}

/// Returns the exit status: a record that cannot be read is named, and hides none of the others.
fn list(order: &Order, folder: &Dir, rows: &mut Vec<Row>, out: &mut Vec<u8>) -> Result<i32> {
    let mut status = 0;
    let names = BinaryHeap::from(sys::directory_names(folder, b"")?).into_sorted_vec();
    let now = sys::realtime() / 1000;
    for name in names {
        let record = match Record::open(folder, name) {
            // The folder of somebody else, which the user may not even look into.
            Err(e) if e.is(Errno::EACCES) => continue,
            Err(error) => {
                sys::say(error);
                status = error.status();
                continue;
            }
            Ok(record) => record,
        };
        // One that has been removed meanwhile is not in the list.
        let Some(record) = record else { continue };
        // As docker has it, `--filter status=` looks at containers that have ended, too.
        if !(order.all || record.alive || !order.states.is_empty()) {
            continue;
        }
        let end = record.end();
        // A list of names looks at no process and no cgroup, unless it is to choose by that.
        let (process, word) = if order.quiet && order.states.is_empty() {
            (None, "")
        } else {
            let process = record.pid()?;
            (process, word_of(&record, end, process))
        };
        if !passes(order, name, word) {
            continue;
        }
        if order.quiet {
            out.put(name.to_bytes());
            out.put(b"\n");
            continue;
        }
        let process = process.map(|pid| pid.0 as u64);
        let [used, limit] = if record.alive { Memory::of(&record).read() } else { [None; 2] };
        if order.json {
            put_json(out, name, &record, word, end, &[("pid", process), ("memory", used), ("memory_limit", limit)]);
        } else {
            let mut cells = [const { Vec::new() }; 6];
            let [own, status, command, pid, usage, ports] = &mut cells;
            own.put(name.to_bytes());
            put_status(status, &record, word, end, now);
            command.put(record.field(b"command"));
            if let Some(process) = process {
                pid.put_decimal(process);
            }
            if let Some(used) = used {
                put_size(usage, used);
                put_limit(usage, limit);
            }
            ports.put(used_by(&record, word, b"ports"));
            rows.push(cells.map(|cell| &*cell.leak()));
        }
    }
    Ok(status)
}

/// Its published ports, or its address, as long as it has them: in the pause before a restart nobody listens.
fn used_by<'a>(record: &'a Record, word: &str, key: &[u8]) -> &'a [u8] {
    if [RUNNING, PAUSED].contains(&word) { record.field(key) } else { b"" }
}

/// Whether the filters let it pass: of each kind, one of them.
fn passes(order: &Order, name: &CStr, word: &str) -> bool {
    (order.parts.is_empty() || order.parts.iter().any(|part| has_part(name.to_bytes(), part)))
        && (order.states.is_empty() || order.states.contains(&word))
}

/// Whether a name has this part, at its beginning after `^`, at its end before `$`.
fn has_part(name: &[u8], part: &[u8]) -> bool {
    match (part.strip_prefix(b"^"), part.strip_suffix(b"$")) {
        (Some(rest), Some(_)) => rest.strip_suffix(b"$") == Some(name),
        (Some(start), None) => name.starts_with(start),
        (None, Some(end)) => name.ends_with(end),
        (None, None) => bytes::position(name, part).is_some(),
    }
}

const STARTING: &str = "starting";
const RUNNING: &str = "running";
const PAUSED: &str = "paused";
const ENDING: &str = "ending";
const RESTARTING: &str = "restarting";
const EXITED: &str = "exited";
const LOST: &str = "lost";
const UNREADABLE: &str = "unreadable";

/// The states that `--filter status=` takes. No container here is ever in the last three, which docker has.
pub const STATES: [&str; 11] =
    [STARTING, RUNNING, PAUSED, ENDING, RESTARTING, EXITED, LOST, UNREADABLE, "created", "removing", "dead"];

/// Its state, in one word. Without its first process it has ended, and its keeper is about to note that.
fn word_of(record: &Record, end: Option<End>, process: Option<sys::Pid>) -> &'static str {
    match (record.alive, end) {
        _ if !record.is_readable() => UNREADABLE,
        (true, _) if record.state.is_empty() => STARTING,
        (true, Some(_)) => RESTARTING,
        (true, _) if process.is_none() && record.is_seen().is_ok_and(|is_seen| is_seen) => ENDING,
        (true, _) if record.is_frozen() => PAUSED,
        (true, _) => RUNNING,
        (false, Some(_)) => EXITED,
        (false, None) => LOST,
    }
}

/// Its state in words: `running 3 minutes`, `exited (137) 2 hours ago, out of memory`.
fn put_status(out: &mut Vec<u8>, record: &Record, word: &str, end: Option<End>, now: u64) {
    out.put(word.as_bytes());
    match end {
        Some(end) => {
            out.put(b" (");
            out.put_decimal(end.status);
            out.put(b") ");
            put_age(out, now.saturating_sub(end.at));
            out.put(b" ago");
            out.put(end.reason.map_or("", |reason| reason.text).as_bytes());
        }
        None if word == RUNNING => {
            out.put(b" ");
            put_age(out, now.saturating_sub(record.number(b"began")));
        }
        None if word == LOST => out.put(b": its keeper was killed"),
        None => {}
    }
}

/// The files that say how much memory is in use, and how much may be.
struct Memory([Option<sys::Fd>; 2]);

impl Memory {
    fn of(record: &Record) -> Memory {
        Memory(
            [["memory.current", "memory.usage_in_bytes"], ["memory.max", "memory.limit_in_bytes"]]
                .map(|names| record.group_file(names)),
        )
    }

    /// Both, in bytes.
    fn read(&self) -> [Option<u64>; 2] {
        let [used, limit] = self.0.each_ref().map(|file| read_value(file, number));
        // v1 says 2^63, less a page, where there is no limit.
        [used, limit.filter(|limit| *limit < 1 << 62)]
    }
}

fn put_json(
    out: &mut Vec<u8>,
    name: &CStr,
    record: &Record,
    word: &str,
    end: Option<End>,
    numbers: &[(&str, Option<u64>)],
) {
    let mut separator: &[u8] = b"{";
    // In the state file it is escaped, and so it is in a table.
    let command = record.command();
    let strings = [
        ("name", name.to_bytes()),
        ("state", word.as_bytes()),
        ("command", command.as_bytes()),
        ("ports", used_by(record, word, b"ports")),
        ("address", used_by(record, word, b"address")),
    ];
    for (key, value) in &strings {
        out.put(separator);
        separator = b",";
        out.put_json(key.as_bytes());
        out.put(b":");
        out.put_json(value);
    }
    let began = Some(record.number(b"began")).filter(|began| *began != 0);
    let own = [("began", began), ("status", end.map(|end| end.status)), ("ended", end.map(|end| end.at))];
    for (key, value) in own.iter().chain(numbers) {
        out.put(b",");
        out.put_json(key.as_bytes());
        out.put(b":");
        match value {
            Some(value) => out.put_decimal(*value),
            None => out.put(b"null"),
        }
    }
    let is_for = |reason| end.and_then(|end| end.reason).is_some_and(|why| core::ptr::eq(why, reason));
    for reason in state::REASONS {
        out.put(b",");
        out.put_json(reason.key.as_bytes());
        out.put(if is_for(reason) { b":true" } else { b":false" });
    }
    out.put(b"}\n");
}
