//! The record of a container that has a name: a folder with its files, locked by the mydocker that keeps it. Alive is whose
//! folder is locked; a pid in it counts only together with the time at which that process has started.
//!
//! | file | what is in it |
//! |---|---|
//! | `status` | how it has ended; blanks until then. It has its room from the start, so a full disk loses no status. Behind it, from the start: who keeps it |
//! | `config` | strings that end with NUL: the number of words, the directory that mydocker was started in, the words of the options that `exec` needs, the environment of the command, `=end` |
//! | `state` | who it is, from execve on: lines of a key and a value, the last one `end` |
//! | `log`, `log.old` | what the command has written, with `-d`: see [`log`](crate::log) |
//! | `stdin` | with `-d -i`: a FIFO |

mod folder;
mod note;
mod record;
mod stat;

use crate::bytes::{Put, to_decimal};
use crate::sys::NEW;
use alloc::vec::Vec;
use core::ffi::CStr;

pub use folder::{MakeRecord, folder, make, make_up_name, remove, sweep};
pub use note::{NoteProcess, about, has_run, note_end, note_pause, note_running, note_status, note_unheard};
pub use record::{
    Config, End, Freezer, OUT_OF_MEMORY, Process, REASONS, Record, TIMED_OUT, continue_entered_in, has_stopped,
};
pub use stat::{first_child, has_ended_as_copy, is_exiting};

const STATUS: &CStr = c"status";
const CONFIG: &CStr = c"config";
const STATE: &CStr = c"state";
/// The log of a detached container.
pub const LOG: &CStr = c"log";
/// What a log becomes when it has half of the size that it may have.
pub const OLD: &CStr = c"log.old";
/// The FIFO that the command of a detached container reads.
pub const STDIN: &CStr = c"stdin";

/// The last string of the options: no variable has its name.
const CONFIG_END: &[u8] = b"=end\0";

/// Every file that a record may have.
const FILES: [&CStr; 7] = [STATUS, CONFIG, STATE, NEW, LOG, OLD, STDIN];

/// The first line of a state file.
const VERSION: &[u8] = b"mydocker 1\n";

/// What is said of a record that is not one.
pub const DAMAGED: &str = "its record is cut short, or of another version:";

/// The mode of a record's folder: the sticky bit, which means nothing in a folder of one user, tells it from the folders of others.
const OURS: u32 = 0o1700;

/// How long a status is: words, each in its place. The last one, that a log has lost its end, outlasts a restart.
const STATUS_LEN: usize = 32;

/// Where that word begins.
const LOST_AT: usize = STATUS_LEN - LOST_LOG.len();

/// The words behind the status, the time and the word of a [`Reason`]: see [`End::lost_log`]. `R`: it is started again.
const RESTARTING: &[u8] = b"R";
const LOST_LOG: &[u8] = b"lost";

/// Where the root of its first process is, if that is its mydocker's.
const ROOT: [&[u8]; 3] = [b"root-mount", b"root-device", b"root-inode"];

/// Who keeps it: the pid, when that process has started, and the namespace of that pid.
const KEEPER: [&[u8]; 3] = [b"keeper", b"keeper-start", b"pid-namespace"];

/// How much of its file is read: behind the status, lines of a key and a value, as in the state file.
const STATUS_FILE_LEN: usize = 128;

/// There is no status.
const BLANK: [u8; STATUS_LEN] = [b' '; STATUS_LEN];

/// The same, but for the last word.
const BLANK_START: &[u8] = &[b' '; LOST_AT];

/// Puts a line of a key and a number.
fn put_line(out: &mut Vec<u8>, key: &[u8], value: u64) {
    put_number(out, key, value, 10);
}

/// The same, with blanks behind the number up to this `width`: as long in a dry run, which does not know the process.
fn put_number(out: &mut Vec<u8>, key: &[u8], value: u64, width: usize) {
    out.put(key);
    out.put(b" ");
    out.put_column(&to_decimal(value), width);
    out.put(b"\n");
}
