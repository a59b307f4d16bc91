//! The commands about containers that have a record: each reads records, and sends signals. None keeps anything.

use super::ending::{Ending, Gently, await_start, begin_end, end_restarts, end_start, finish_end};
use super::named::{KILLED, NO_CONTAINER, UNSEEN, find, running};
use super::order::{Act, Order};
use super::pause::freeze;
use super::table::put_table;
use super::{list, usage};
use crate::bytes;
use crate::error::{Error, Result};
use crate::log;
use crate::network::guard;
use crate::state::{self, Record};
use crate::sys::{self, Dir, FdRef, Resource};
use alloc::vec::Vec;
use core::ffi::CStr;

/// Carries it out, and returns the exit status.
pub fn carry_out(order: &Order, environment: &[&'static CStr]) -> Result<i32> {
    let (uid, _) = sys::effective_ids();
    let folder = state::folder(order.state, uid, environment, false)?;
    if order.act == Act::List {
        let (mut rows, mut out, mut status) = (Vec::new(), Vec::new(), 0);
        if let Some(folder) = folder {
            status = list::list(order, &folder, &mut rows, &mut out)?;
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

/// Finds a container, and asks it to end if that is the order.
fn begin(order: &Order, folder: Option<&Dir>, name: &'static CStr) -> Result<Found> {
    let mut record = find(folder, name)?;
    let signal = order.signal.unwrap_or(libc::SIGKILL);
    let by_stop = Gently { timeout: order.timeout, signal: order.signal };
    let gently = Some(&by_stop).filter(|_| order.act == Act::Stop);
    let is_end = match order.act {
        Act::Stop => true,
        Act::Remove => order.force,
        Act::Kill => [libc::SIGKILL, libc::SIGTERM].contains(&signal),
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
        end_restarts(gently, folder, name, &mut record)?;
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
        Act::Stop => Some(begin_end(&record, name, gently)?),
        Act::Remove if order.force => Some(begin_end(&record, name, None)?),
        // As docker has it, nothing runs any more when it says so: rm can follow.
        Act::Kill if signal == libc::SIGKILL => Some(begin_end(&record, name, None)?),
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
        Act::Kill => kill(&record, name, order.signal.unwrap_or(libc::SIGKILL))?,
        Act::Pause | Act::Unpause => freeze(&record, name, order.act == Act::Pause)?,
        Act::Stats => return usage::stats(order, &record, name),
    }
    print(name.to_bytes())
}

/// Sends a signal to the container's first process.
fn kill(record: &Record, name: &CStr, signal: i32) -> Result<()> {
    let (process, ..) = running(record, name)?;
    sys::pidfd_send_signal(process.borrow(), signal)
}

fn print(line: &[u8]) -> Result<()> {
    sys::write_all(FdRef::STDOUT, &[line, b"\n"].concat())
}
