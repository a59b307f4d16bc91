//! `--trace`: every call as it returns, one line each, like strace. What it needs itself (its file, the time, its writes)
//! does not go through the gate, and so is not shown.

use super::Fd;
use super::flags::{NAMES, SigSet, SignalNumber};
use super::gate::{self, Call, ERRORS};
use crate::error::{Error, Result, Subject};
use crate::text::Put;
use crate::texts;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering::Relaxed};
use syscalls::{Errno, Sysno};

/// Where the lines go; 0: nowhere. The child has a copy of all this, as of everything.
static FILE: AtomicI32 = AtomicI32::new(0);
static BEGUN: AtomicU64 = AtomicU64::new(0);
static WHO: AtomicU8 = AtomicU8::new(0);
static PHASE: AtomicU8 = AtomicU8::new(0);
static COLOURS: AtomicU8 = AtomicU8::new(0);

/// Who makes the calls.
#[derive(Clone, Copy)]
pub enum Who {
    /// mydocker itself.
    Parent,
    /// The process that becomes the command.
    Child,
    /// With `--init`: PID 1, which has made a child of its own.
    Reaper,
}

/// What it is about.
#[derive(Clone, Copy)]
pub enum Phase {
    /// Looks at the host.
    Plan,
    /// Carries out the steps.
    Start,
    /// The command runs.
    Wait,
    /// Puts away what was made.
    End,
}

/// Each as wide as the widest.
const WHOSE: [&str; 3] = ["parent", "child ", "reaper"];
const PHASES: [&str; 4] = ["plan ", "start", "wait ", "end  "];

/// Whether calls are shown: one load, as long as they are not.
#[inline(always)]
pub fn is_on() -> bool {
    FILE.load(Relaxed) != 0
}

/// A line that is being put together, on the stack; what does not fit is left out.
struct Line {
    bytes: [u8; 1024],
    len: usize,
}

impl Put for Line {
    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = *byte;
                self.len += 1;
            }
        }
    }
}

/// The kernel, without the gate.
fn bare(number: Sysno, arguments: &[usize; 3]) -> core::result::Result<usize, Errno> {
    let [a, b, c] = arguments;
    // SAFETY: each caller passes what the man page asks for, and it lives as long as the call
    unsafe { syscalls::syscall3(number, *a, *b, *c) }
}

/// Microseconds since some time before.
fn now() -> u64 {
    let mut time = [0u64; 2];
    // A clock that is always there.
    let _ = bare(Sysno::clock_gettime, &[libc::CLOCK_MONOTONIC as usize, time.as_mut_ptr() as usize, 0]);
    time[0] * 1_000_000 + time[1] / 1000
}

/// From here on every call is shown: in the file at `path`, which is emptied, or without one on stderr. `plain`: without
/// colours, even on a terminal.
pub fn begin(path: &CStr, plain: bool) -> Result<()> {
    let file = if path.is_empty() { None } else { Some(super::create_file(path)?) };
    let number = file.as_ref().map_or(2, Fd::raw);
    // Out of the way of what the run opens, and of the command, whose stderr may become another one.
    let high = [500usize, 100, 3]
        .into_iter()
        .find_map(|least| bare(Sysno::fcntl, &[number as usize, libc::F_DUPFD_CLOEXEC as usize, least]).ok());
    let Some(high) = high else {
        return Err(Error::call("fcntl", Errno::EBADF, &Subject::plain(b"stderr")));
    };
    if !plain && super::tcgets(number).is_some() {
        COLOURS.store(1, Relaxed);
    }
    drop(file);
    BEGUN.store(now(), Relaxed);
    FILE.store(high as i32, Relaxed);
    Ok(())
}

/// The descriptor of the lines.
pub(super) fn descriptor() -> Option<i32> {
    Some(FILE.load(Relaxed)).filter(|fd| *fd != 0)
}

/// This process is another one from here on.
pub fn set_who(who: Who) {
    WHO.store(who as u8, Relaxed);
}

/// Something else begins.
pub fn set_phase(phase: Phase) {
    PHASE.store(phase as u8, Relaxed);
}

/// A line that is no call: what the next ones are for.
pub fn note(reason: &[u8]) {
    let mut line = begin_line();
    line.put(b"# ");
    line.put(reason);
    end_line(line);
}

/// Makes a call and shows it; execve and exit_group before, for they do not come back.
///
/// # Safety
/// As the gate's.
#[cold]
#[inline(never)]
pub(super) unsafe fn enter(arguments: &[usize; 6], call: &'static Call) -> usize {
    let leaves = matches!(call.number, Sysno::execve | Sysno::exit_group);
    loop {
        if leaves {
            show(arguments, call, None);
        }
        // SAFETY: the caller's
        let value = unsafe { gate::enter_once(arguments, call) };
        // The child that a clone makes comes out here too, with what its parent has to say.
        if !(call.number == Sysno::clone && value == 0) {
            show(arguments, call, Some(value));
        }
        if value != gate::INTERRUPTED {
            return value;
        }
    }
}

/// clone and clone3, which have a way in of their own: the flags, and what the parent got.
pub(super) fn show_clone(call: &'static str, flags: super::CloneFlags, value: usize) {
    if is_on() {
        let mut line = begin_line();
        line.put(call.as_bytes());
        line.put(b"(");
        line.put(flags.names().as_bytes());
        line.put(b")");
        put_result(&mut line, value, gate::UNSIGNED);
        end_line(line);
    }
}

fn begin_line() -> Line {
    let mut line = Line { bytes: [0; 1024], len: 0 };
    let who = WHO.load(Relaxed);
    if COLOURS.load(Relaxed) != 0 {
        line.put(if who == 0 { b"\x1b[32m" } else { b"\x1b[36m" });
    }
    line.put(WHOSE.get(usize::from(who)).copied().unwrap_or_default().as_bytes());
    line.put(b" ");
    line.put(PHASES.get(usize::from(PHASE.load(Relaxed))).copied().unwrap_or_default().as_bytes());
    line.put(b" ");
    line.put_seconds(now() - BEGUN.load(Relaxed));
    line.put(if COLOURS.load(Relaxed) != 0 { b"\x1b[0m " } else { b" " });
    line
}

fn end_line(mut line: Line) {
    // The end of the line is there however long it is.
    line.len = line.len.min(line.bytes.len() - 1);
    line.put(b"\n");
    // What takes no lines gets none.
    let _ = bare(Sysno::write, &[FILE.load(Relaxed) as usize, line.bytes.as_ptr() as usize, line.len]);
}

/// One line; without a value, of a call that is being made.
#[inline(never)]
fn show(arguments: &[usize; 6], call: &'static Call, value: Option<usize>) {
    let mut line = begin_line();
    line.put(call.name().as_bytes());
    line.put(b"(");
    for (at, register) in arguments.iter().enumerate() {
        let kind = (call.kinds >> (5 * at) & 31) as u8;
        if kind == 0 {
            break;
        }
        line.put(if at == 0 { b"" } else { b", " });
        let next = arguments.get(at + 1).copied().unwrap_or_default();
        // SAFETY: `kind` is that of the type that the register was made from, which the kernel has just been given
        unsafe { put_argument(&mut line, kind, *register, next, value) };
    }
    line.put(b")");
    if let Some(value) = value {
        let kind = match call.number {
            Sysno::mmap => gate::ADDRESS,
            Sysno::umask => gate::OCTAL,
            _ => gate::UNSIGNED,
        };
        put_result(&mut line, value, kind);
    }
    end_line(line);
}

fn put_result(line: &mut Line, value: usize, kind: u8) {
    line.put(b" = ");
    if value < ERRORS {
        // SAFETY: none of these kinds is looked behind
        return unsafe { put_argument(line, kind, value, 0, None) };
    }
    let colours = COLOURS.load(Relaxed) != 0;
    line.put(if colours { b"\x1b[31m-1 " } else { b"-1 " });
    texts::ERRNOS.put_line(gate::errno(value).into_raw() as usize, line);
    line.put(if colours { b"\x1b[0m" } else { b"" });
}

/// What strace shows of a buffer.
const SHOWN: usize = 32;

/// Puts one argument; `next` is the register behind it.
///
/// # Safety
/// The register must be of that kind: an address of one must be null, or be what the kernel has been given as such.
unsafe fn put_argument(line: &mut Line, kind: u8, register: usize, next: usize, value: Option<usize>) {
    let worked = value.is_none_or(|value| value < ERRORS);
    match kind {
        gate::SIGNED if register as i32 == libc::AT_FDCWD => line.put(b"AT_FDCWD"),
        gate::SIGNED => {
            let number = register as i32;
            line.put(if number < 0 { b"-" } else { b"" });
            line.put_decimal(u64::from(number.unsigned_abs()));
        }
        gate::UNSIGNED => line.put_decimal(register as u64),
        gate::OCTAL => {
            line.put(b"0");
            for shift in (0..6).rev().map(|at| 3 * at).filter(|shift| register >> shift != 0) {
                line.put(&[b'0' + (register >> shift & 7) as u8]);
            }
        }
        gate::NAMED.. => {
            if let Some(names) = NAMES.get(usize::from(kind - gate::NAMED)) {
                line.put(names.of(register as u64).as_bytes());
            }
        }
        _ if register == 0 => line.put(b"NULL"),
        // SAFETY: a NUL ends it
        gate::STRING => line.put_quoted(&[unsafe { CStr::from_ptr(register as *const c_char) }.to_bytes()]),
        // SAFETY: there are `next` bytes; and as many as were put, no more than there is room for
        gate::BYTES => unsafe { put_bytes(line, register, next) },
        gate::ROOM if worked => {
            // SAFETY: as above
            unsafe { put_bytes(line, register, value.unwrap_or_default().min(next)) }
        }
        gate::NUMBER_AT if worked => {
            line.put(b"[");
            // SAFETY: an i32 is there
            line.put_decimal(u64::from(unsafe { *(register as *const i32) }.unsigned_abs()));
            line.put(b"]");
        }
        gate::PAIR_AT if worked => {
            // SAFETY: two are there
            let [one, two] = unsafe { *(register as *const [i32; 2]) };
            line.put(b"[");
            line.put_decimal(u64::from(one.unsigned_abs()));
            line.put(b", ");
            line.put_decimal(u64::from(two.unsigned_abs()));
            line.put(b"]");
        }
        gate::STRINGS => {
            line.put(b"[");
            let mut at = register as *const *const c_char;
            // SAFETY: a list of strings, with a null at its end
            unsafe {
                while !(*at).is_null() {
                    line.put(if at as usize == register { b"" } else { b", " });
                    line.put_quoted(&[CStr::from_ptr(*at).to_bytes()]);
                    at = at.add(1);
                }
            }
            line.put(b"]");
        }
        // SAFETY: a set is there
        gate::SIGNALS if worked => put_signals(line, unsafe { *(register as *const SigSet) }),
        _ => line.put_hex(register as u64),
    }
}

/// # Safety
/// There must be so many bytes.
unsafe fn put_bytes(line: &mut Line, address: usize, len: usize) {
    // SAFETY: the caller's
    let bytes = unsafe { core::slice::from_raw_parts(address as *const u8, len.min(SHOWN)) };
    line.put(b"\"");
    for &byte in bytes {
        match byte {
            // Numbers in it, or half a letter where it is cut: as strace has them.
            0x80.. => line.put(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
            _ => line.put_escaped(&[byte]),
        }
    }
    line.put(if len > SHOWN { b"\"..." } else { b"\"" });
}

/// `[HUP INT]`, or `~[KILL STOP]` where that is shorter.
fn put_signals(line: &mut Line, set: SigSet) {
    let many = set.0.count_ones() > 32;
    let shown = if many { SigSet(!set.0) } else { set };
    line.put(if many { b"~[" } else { b"[" });
    let mut between: &[u8] = b"";
    for number in shown.numbers() {
        line.put(between);
        between = b" ";
        line.put(SignalNumber::from_bits(number as u64).names().as_bytes());
    }
    line.put(b"]");
}
