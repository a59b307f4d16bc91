//! How a container that has a record is ended: the start that hangs, the restarts, and the first process.

use super::keep;
use super::named::{find, running};
use crate::error::Result;
use crate::state::Record;
use crate::sys::{self, Dir};
use core::ffi::CStr;

/// A container that was asked to end.
pub struct Ending {
    /// Its first process, unless that has ended.
    process: Option<sys::Fd>,
    /// When its time is over, in milliseconds of the monotonic clock; `None`: never.
    until: Option<u64>,
}

/// How `stop` ends a container.
pub struct Gently {
    /// How many milliseconds it has until SIGKILL; `None`: as long as it takes.
    pub timeout: Option<u32>,
    /// The signal, if it is another than the container has asked for, or SIGTERM.
    pub signal: Option<i32>,
}

/// Begins to end a container: gently, by a signal to its mydocker, or at once by SIGKILL.
pub fn begin_end(record: &Record, name: &CStr, gently: Option<&Gently>) -> Result<Ending> {
    let found = running(record, name);
    if found.is_err() && continue_just_ended(record)? {
        return Ok(Ending { process: None, until: None });
    }
    let (process, _, keeper) = found?;
    let asked = Some(record.number(b"stop") as i32).filter(|asked| *asked != 0);
    let signal = gently.and_then(|gently| gently.signal).or(asked).unwrap_or(libc::SIGTERM);
    // SIGKILL is for the container, whose keeper is to clean up.
    let gently = gently.filter(|_| signal != libc::SIGKILL);
    if let Some(keeper) = sys::pidfd_if_alive(keeper)?
        // Its child still runs: it has not ended, and this is no other process.
        && record.process()?.is_some()
    {
        if gently.is_some() {
            sys::pidfd_send_signal(keeper.borrow(), signal)?;
        }
        // One that is stopped is to go on: it has to clean up.
        sys::pidfd_send_signal(keeper.borrow(), libc::SIGCONT)?;
    }
    match gently {
        Some(Gently { timeout, .. }) => {
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
pub fn finish_end(record: &mut Record, Ending { process, until }: Ending) -> Result<()> {
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
pub fn await_start(folder: Option<&Dir>, name: &CStr, record: &mut Record) -> Result<()> {
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
pub fn end_start(folder: Option<&Dir>, name: &CStr, record: &mut Record) -> Result<()> {
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
pub fn end_restarts(gently: Option<&Gently>, folder: &Dir, name: &CStr, record: &mut Record) -> Result<()> {
    let Some((keeper, ..)) = record.restarter()? else { return Ok(()) };
    for signal in [keep::NO_MORE, libc::SIGCONT] {
        sys::pidfd_send_signal(keeper.borrow(), signal)?;
    }
    let mut left = match gently {
        None => SECOND,
        Some(Gently { timeout: Some(milliseconds), .. }) => i64::from(*milliseconds) * (SECOND / 1000),
        Some(_) => i64::MAX,
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
