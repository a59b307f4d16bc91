//! `run -d`: two processes. The one in front goes on until the command is executed, so that its status is true; the keeper, its
//! child in a session of its own, is what a mydocker in the foreground is.

use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::log::{self, Log};
use crate::plan::Plan;
use crate::signals::{self, AWAITED, BLOCKED};
use crate::spec::{LogTo, Restart, Spec};
use crate::state::{self, End, Record};
use crate::step::Held;
use crate::streams;
use crate::sys::{self, CloneFlags, CloseRangeFlags, Dir, Fd, FdRef, Pid, SigSet, Wait};
use crate::writable::Writable;
use core::ffi::CStr;

/// Forks. In front: the status, once there is one. In the keeper: where to tell that the command is executed.
pub fn detach(name: &str) -> Result<core::result::Result<i32, Fd>> {
    let (read, write) = sys::pipe2()?;
    // With SIGCHLD ignored, as a caller may have it, the keeper would vanish without a status (wait(2)).
    sys::reset_signal(libc::SIGCHLD)?;
    let Some(keeper) = sys::fork(CloneFlags::NONE)? else {
        drop(read);
        sys::setsid()?;
        return Ok(Err(write));
    };
    drop(write);
    if sys::read(read.borrow(), &mut [0])? == 1 {
        // It runs, whoever hears of it, and even if nobody reads it.
        sys::set_signal_mask(SigSet::of(&[libc::SIGPIPE]))?;
        if let Err(error) = sys::write_all(FdRef::STDOUT, &[name.as_bytes(), b"\n"].concat()) {
            sys::say(error);
            sys::say(Error::refused("it runs:", name.as_bytes(), ""));
        }
        return Ok(Ok(0));
    }
    // It has said why.
    match sys::wait4(keeper, true)? {
        Some(Wait::Exited(status)) => Ok(Ok(status)),
        _ => Err(Error::refused("the keeper was killed", b"", "")),
    }
}

fn close_all(numbers: &[i32]) -> Result<()> {
    for &number in numbers {
        sys::close_range(number, number, CloseRangeFlags::NONE)?;
    }
    Ok(())
}

/// The word that the command is executed.
const HEARD: &[u8] = b"0";

/// Tells the process in front that the command is executed, and closes its streams here. An error means that it has ended
/// before, so that nobody knows of the container.
pub fn tell_front(plan: &Plan) -> Result<()> {
    let Some((front, callers)) = plan.parts.front.take() else { return Ok(()) };
    if !plan.spec.log.is_callers() {
        streams::leave(&[FdRef::STDERR])?;
    }
    // Nor does it keep the caller's directory busy, or what that had open: all files that the options name are open by now. A later
    // run of the container has them from its keeper.
    sys::chdir(c"/")?;
    close_all(&callers)?;
    match sys::write_all(front.borrow(), HEARD) {
        Err(e) if e.is(Errno::EPIPE) => Err(Error::refused("whoever started it has ended", b"", "")),
        other => other,
    }
}

/// The pause before the first restart, and before one of a container that had run long enough; it doubles up to the longest.
const PAUSE_MS: u64 = 100;
const LONGEST_PAUSE_MS: u64 = 60_000;
/// A run of so many microseconds is long enough.
const LONG: u64 = 10_000_000;

/// The pause, in milliseconds, after the one `before`, which is 0 at first, and a run of so many microseconds.
fn next_pause(before: u64, ran: u64) -> u64 {
    if before == 0 || ran >= LONG { PAUSE_MS } else { LONGEST_PAUSE_MS.min(2 * before) }
}

/// Asks a keeper not to start its container again.
pub const NO_MORE: i32 = libc::SIGUSR1;

/// Asks a keeper to end at once, with its whole process group: the run that blocks all signals, and a child of that which does not yet
/// end with its parent.
pub const KILL: i32 = libc::SIGUSR2;

/// `no`, `always`, `unless-stopped` or `on-failure[:N]`. Nothing starts containers when the host does: so the second and the third
/// are the same.
pub fn policy(word: &str) -> Result<Option<Restart>> {
    Ok(match word {
        "no" => None,
        "always" | "unless-stopped" => Some(Restart::Always),
        "on-failure" => Some(Restart::OnFailure(0)),
        _ => {
            let most = word.strip_prefix("on-failure:").and_then(|most| bytes::decimal(most.as_bytes()).ok());
            let wrong = "--restart takes no, always, unless-stopped or on-failure[:N], not";
            Some(Restart::OnFailure(most.ok_or_else(|| Error::usage(wrong, word.as_bytes()))?))
        }
    })
}

/// Runs the container again and again, each time in a child, so that nothing of one run is left in the next. In the keeper: the
/// status, at the end for good. In each child: where to tell that the command is executed, and the record. Of what the caller had open,
/// no later run needs what is `unneeded`.
pub fn restart(
    policy: Restart,
    spec: &Spec,
    environment: &[&'static CStr],
    mut front: Option<Fd>,
    unneeded: &[i32],
) -> Result<core::result::Result<i32, (Option<Fd>, Held)>> {
    let keeper = sys::getpid();
    sys::set_signal_mask(BLOCKED)?;
    let signals = sys::signalfd(AWAITED)?;
    let Some(record) = state::make(spec, sys::effective_ids().0, environment)? else {
        return Err(Error::refused("no record can be kept", b"", ""));
    };
    let (folder, name, dir) = &record;
    let (mut pause, mut restarts, mut no_more, mut was_killed) = (0, 0, false, false);
    let mut last = None;
    loop {
        let began = sys::monotonic();
        let Some(run) = sys::fork(CloneFlags::NONE)? else {
            sys::die_with_parent()?;
            if sys::getppid() != keeper {
                sys::exit_group(125);
            }
            if was_killed {
                log::cut_last_piece(&record.2)?;
            }
            if let (Some(status), LogTo::Own) = (last, spec.log) {
                // The status of the run before is nowhere else from now on.
                let status = bytes::to_decimal(status);
                let line = [b"mydocker: it ended with status ", &status[..], b", and is started again\n"];
                Log::open(None, &record.2, spec.log_size, true)?.note(&line);
            }
            return Ok(Err((front, record)));
        };
        let unheard = front.take();
        if unheard.is_some() {
            close_streams(spec)?;
            close_all(unneeded)?;
        }
        let ended = loop {
            no_more |= take_signal(&signals, Some(run))?;
            if let Some(ended) = sys::wait4(run, false)? {
                break ended;
            }
        };
        let (status, has_noted) = match ended {
            // It may have failed early.
            Wait::Exited(status) => (status, status != 125),
            // It was killed, and its container with it.
            Wait::Signaled(signal) => (128 + signal, false),
        };
        was_killed = matches!(ended, Wait::Signaled(_));
        if was_killed && let Some(record) = Record::open(folder, name)? {
            match record.end_groups(name) {
                // What stays, a later run of any container removes.
                Ok(_) | Err(_) => {}
            }
        }
        if !state::has_run(dir)? {
            state::remove(folder, name, dir)?;
            return Ok(Ok(status));
        }
        // The command was executed: whoever is in front may not have heard it from one that was killed just then.
        if let Some(front) = unheard.filter(|_| was_killed) {
            let _ = sys::write_all(front.borrow(), HEARD);
        }
        if !has_noted {
            state::note_status(dir, End::of(status))?;
        }
        let is_wanted = match policy {
            Restart::Always => true,
            Restart::OnFailure(most) => status != 0 && (most == 0 || restarts < most),
        };
        if no_more || !is_wanted {
            return Ok(Ok(status));
        }
        (restarts, last) = (restarts + 1, Some(status as u64));
        let now = sys::monotonic();
        pause = next_pause(pause, now - began);
        state::note_pause(dir)?;
        let until = now / 1000 + pause;
        // Once more at its end: what came while this process was stopped counts.
        loop {
            let left = until.saturating_sub(sys::monotonic() / 1000);
            if sys::await_readable(signals.borrow(), Some(left as u32))? {
                no_more = take_signal(&signals, None)?;
            }
            if no_more || left == 0 {
                break;
            }
        }
        if no_more {
            return Ok(Ok(status));
        }
    }
}

/// What a later run says itself, for the log: nobody reads the stderr of its keeper.
pub struct Said {
    pipe: Fd,
    dir: Dir,
    log_size: Option<u64>,
}

impl Said {
    /// Of a run that begins now, whose record is in `dir`. It says a few lines, for which a pipe has room.
    pub fn listen(spec: &Spec, dir: &Dir) -> Result<Option<Said>> {
        match spec.log {
            LogTo::Own => {
                let (pipe, write) = sys::pipe2()?;
                sys::dup3(write.borrow(), FdRef::STDERR)?;
                Ok(Some(Said { pipe, dir: Dir::open(Some(dir), c".")?, log_size: spec.log_size }))
            }
            LogTo::File(path) => {
                let (directory, name) = Writable::of(spec).output(path)?;
                sys::dup3(sys::open_to_append(directory.as_ref(), name)?.borrow(), FdRef::STDERR).map(|()| None)
            }
            LogTo::Caller | LogTo::Nowhere => Ok(None),
        }
    }

    /// Puts it into the log, if the command was not executed. How one has ended `ps` says.
    pub fn note(self, status: i32) -> Result<()> {
        match status {
            125..=127 => Log::open(Some(self.pipe), &self.dir, self.log_size, true)?.drain(),
            _ => Ok(()),
        }
    }
}

/// Takes a signal, and passes it on if it asks for the end. Returns whether it is the end for good.
fn take_signal(signals: &Fd, run: Option<Pid>) -> Result<bool> {
    let number = sys::take_signal(signals.borrow())?.number;
    if number == KILL {
        sys::kill(Pid(0), libc::SIGKILL)?;
    }
    let is_end = signals::ENDING.has(number);
    if let Some(run) = run.filter(|_| is_end) {
        sys::kill(run, number)?;
    }
    Ok(is_end || number == NO_MORE)
}

/// The keeper closes the streams of the caller; with `--log -`, or one of the two by its name, it keeps stdout and stderr for later runs.
fn close_streams(spec: &Spec) -> Result<()> {
    let is_stream = match spec.log {
        LogTo::File(path) => matches!(sys::descriptor_named(path), Some(1 | 2)),
        log => log.is_callers(),
    };
    streams::leave(if is_stream { &[FdRef::STDIN] } else { &FdRef::STREAMS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses() {
        let mut pause = 0;
        let mut all = Vec::new();
        for _ in 0..12 {
            pause = next_pause(pause, 9_999_999);
            all.push(pause);
        }
        assert_eq!(all, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
        assert_eq!(next_pause(60_000, 10_000_000), 100);
    }
}
