//! `pause` and `unpause`: the freezer of v1, or that which every group of v2 has.

use super::named::running;
use crate::bytes;
use crate::cgroup::directory::FREEZER_STATE;
use crate::error::{Error, Result};
use crate::signals;
use crate::state::{self, Record};
use crate::sys;
use core::ffi::CStr;

/// Stops or continues all that is in it, by its freezer; it takes whoever enters, too.
pub fn freeze(record: &Record, name: &CStr, stop: bool) -> Result<()> {
    let (_, pid, _) = running(record, name)?;
    let mut hint = "";
    let what = match record.freezer() {
        None => {
            hint = match record.has_groups() {
                false => "it has no cgroup: it was started with --no-limits, or this host gave it none",
                true => {
                    "on cgroup v1 it needs a cgroup of the freezer, which is mounted when it starts; for a user or a --cgroup-parent root makes one"
                }
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
                Ok(bytes::field(text, b"frozen").unwrap_or(text.trim_ascii()) == value)
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
            if !stop {
                let hint = "unpause the container of that one";
                return Err(Error::refused("a cgroup above it is paused:", name.to_bytes(), hint));
            }
            let hint = "a process in it waits for a device; mydocker unpause lets the others go on";
            return Err(Error::refused("not all of it has stopped within a second:", name.to_bytes(), hint));
        }
    };
    Err(Error::refused(what, name.to_bytes(), hint))
}

/// How many times to look whether all processes have stopped, with a pause of a millisecond.
const FREEZE_TURNS: usize = 1000;
