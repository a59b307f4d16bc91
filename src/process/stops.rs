//! `--step`: stops before each step, says what comes, and where to look.

use super::rehearse::Rehearsal;
use crate::bytes::{self, Put};
use crate::cgroup::Group;
use crate::error::{Errno, Error, Result};
use crate::plan::Plan;
use crate::signals;
use crate::step::Stop;
use crate::sys::{self, CloneFlags, Fd, OpenFlags, Pid, Poll, Ready, SharedWords};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;

/// The terminal, and the state that both processes share.
pub struct Stops {
    terminal: Fd,
    /// Signals that end a process: one of them counts as a `q`.
    signals: Fd,
    shared: SharedWords,
    /// This process is the parent, and has the terminal.
    holds: Cell<bool>,
    /// The container's groups.
    groups: &'static [&'static Group],
    /// The command that enters its namespaces, without the pid,
    enter: Vec<u8>,
    /// and whether the container has a root of its own: then the program must be one of that root.
    has_own_root: bool,
    /// The steps of each process, with their calls.
    rehearsal: &'static Rehearsal,
}

/// The words that both processes share: whether one of them has the terminal,
const BUSY: usize = 0;
/// what was answered for all further stops,
const ANSWER: usize = 1;
/// and the pid of the child.
const PID: usize = 2;

const QUESTION: &[u8] = b"\r\n[Enter: do it, c: on to the end, q: undo and quit] ";

const GO_ON: i32 = 1;
const QUIT: i32 = 2;

impl Stops {
    /// Opens the terminal.
    pub fn new(plan: &Plan, rehearsal: &'static Rehearsal) -> Result<&'static Stops> {
        // A signal must not end mydocker between two stops: it could not undo what has been done.
        sys::set_signal_mask(signals::BLOCKED)?;
        let terminal = sys::open(c"/dev/tty", OpenFlags::RDWR).map_err(|e| e.with_hint("--step needs a terminal"))?;
        // Those that are new: a user may not enter what is the host's. The nsenter of busybox has no -a.
        let mut enter = b"nsenter".to_vec();
        let flags = plan.parts.namespaces;
        enter.put(if flags.has(CloneFlags::NEWUSER) { b" --preserve-credentials" } else { b"" });
        for (flag, letter) in [
            (CloneFlags::NEWUSER, b'U'),
            (CloneFlags::NEWNS, b'm'),
            (CloneFlags::NEWUTS, b'u'),
            (CloneFlags::NEWIPC, b'i'),
            (CloneFlags::NEWNET, b'n'),
            (CloneFlags::NEWPID, b'p'),
        ] {
            if flags.has(flag) {
                enter.put(&[b' ', b'-', letter]);
            }
        }
        let stops = Stops {
            terminal,
            signals: sys::signalfd(signals::ENDING)?,
            shared: SharedWords::map()?,
            holds: Cell::new(false),
            groups: &plan.parts.groups,
            enter,
            has_own_root: plan.spec.has_own_root(),
            rehearsal,
        };
        Ok(Box::leak(Box::new(stops)))
    }

    /// Prints the step, its calls and commands to look around with, and reads a line.
    fn ask(&self, who: &str, at: usize, purpose: &str) -> Result<i32> {
        let steps = if who == "parent" { &self.rehearsal.parent } else { &self.rehearsal.child };
        let step = steps.get(at.wrapping_sub(1));
        let mut out = b"\r\n".to_vec();
        out.put(who.as_bytes());
        out.put(b" ");
        self.rehearsal.put_number(step.map_or(at, |step| step.number), &mut out);
        out.put(b": ");
        out.put(purpose.as_bytes());
        for call in step.map_or(&[][..], |step| &step.calls) {
            out.put(b"\r\n  ");
            call.put(false, &mut out);
        }
        let pid = self.shared.get(PID);
        if pid != 0 {
            out.put(b"\r\n  look: ls -l /proc/");
            out.put_decimal(pid as u64);
            out.put(b"/ns; ");
            out.put(&self.enter);
            out.put(b" -t ");
            out.put_decimal(pid as u64);
            if self.has_own_root {
                out.put(b" PROGRAM");
            }
            for group in self.groups {
                // The child no longer sees that path when the old root is detached.
                let below = bytes::c_string(&[group.parent.to_bytes(), b"/", group.name.to_bytes()]);
                if let Some(path) = group.path
                    && group.hierarchy.top.has(below).unwrap_or(false)
                {
                    out.put(b"; ls '");
                    out.put_escaped(path.to_bytes());
                    out.put(b"'");
                }
            }
        }
        out.put(QUESTION);
        loop {
            // The user may have stopped the terminal (Ctrl-S).
            let terminal = Poll::new(Some(self.terminal.borrow()), false, true);
            if sys::await_ready(signals::ENDING, terminal, None)? == Ready::Ending {
                return Ok(QUIT);
            }
            match sys::write_all(self.terminal.borrow(), &out) {
                // Before Linux 5.11 it is closed with all the other descriptors.
                Err(e) if e.is(Errno::EBADF) => return Ok(GO_ON),
                other => other?,
            }
            let mut ready = [
                Poll::new(Some(self.terminal.borrow()), true, false),
                Poll::new(Some(self.signals.borrow()), true, false),
            ];
            sys::poll(&mut ready, None)?;
            // No line of a terminal is longer.
            let mut line = [0u8; 4096];
            let [_, signal] = ready;
            if signal.can_read() {
                return Ok(QUIT);
            }
            let n = sys::read(self.terminal.borrow(), &mut line)?;
            match line.get(..n).unwrap_or_default().trim_ascii() {
                // The keys are read one by one where the terminal is raw.
                _ if n == 0 => return Ok(QUIT),
                b"q" | [3 | 4] => return Ok(QUIT),
                b"c" => return Ok(GO_ON),
                b"" => return Ok(0),
                _ => {
                    out.clear();
                    out.put(b"\r\nNot understood.");
                    out.put(QUESTION);
                }
            }
        }
    }
}

impl Stop for Stops {
    fn child_is(&self, pid: Pid) {
        self.shared.set(PID, pid.0);
    }

    fn turn_to_child(&self) {
        if self.holds.replace(false) {
            self.shared.set(BUSY, 0);
        }
    }

    /// Waits for a line. The end of the terminal, a `q` or a signal ends the run.
    fn before(&self, who: &'static str, at: usize, purpose: &'static str) -> Result<()> {
        let mut signal = [Poll::new(Some(self.signals.borrow()), true, false)];
        let is_parent = who == "parent";
        let has_turn = || is_parent && self.holds.get() || self.shared.take(BUSY);
        while !has_turn() {
            // The other process may wait for a key for long.
            if sys::poll(&mut signal, Some(10))? {
                self.shared.set(ANSWER, QUIT);
                break;
            }
        }
        let answer = match self.shared.get(ANSWER) {
            0 => self.ask(who, at, purpose),
            answer => Ok(answer),
        };
        // Who cannot ask ends the run: the other process is not to wait for that.
        self.shared.set(ANSWER, answer.unwrap_or(QUIT));
        self.holds.set(is_parent);
        if !is_parent {
            self.shared.set(BUSY, 0);
        }
        match answer? {
            QUIT => Err(Error::refused("--step: stopped before", purpose.as_bytes(), "nothing was run")),
            _ => Ok(()),
        }
    }
}
