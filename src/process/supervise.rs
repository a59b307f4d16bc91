//! The parent while the command runs: waits, forwards signals, serves the terminal.

use super::cleanup;
use crate::cgroup::Group;
use crate::cgroup::directory::{FREEZER_STATE, THAWED};
use crate::error::{Errno, Error, Result};
use crate::log::Log;
use crate::plan::Plan;
use crate::signals::{self, Fate};
use crate::state;
use crate::step::Parent;
use crate::sys::{self, Fd, Pid, Poll, SharedWords, SigSet, Signal, Wait};
use crate::terminal::Terminal;
use alloc::vec::Vec;

/// How long, in milliseconds, an end that the user asked for waits for a reader of the output who takes nothing.
const DRAIN_MS: u32 = 100;

/// How long, in milliseconds, a reaper may take to close its end of the error pipe after it has let the command go; and the child of
/// exec, to end after it has left another process in its place.
const GRACE_MS: u32 = 1000;

/// The container, as the parent sees it.
pub struct Supervisor {
    pid: Option<Pid>,
    /// Its groups.
    groups: &'static [&'static Group],
    /// The folder of its record, which mydocker holds open.
    record: Option<i32>,
    /// It never becomes the command.
    is_held: bool,
    signals: Option<Fd>,
    /// Where the child notes the process that it leaves in its place, in the PID namespace of a container that runs.
    successor: Option<SharedWords>,
    /// That process is the child now.
    has_succeeded: bool,
    /// Open until it is known whether execve has worked.
    error_read: Option<Fd>,
    /// Without a PID namespace, orphans become children of mydocker.
    is_subreaper: bool,
    /// PID 1 is the reaper.
    init: bool,
    /// The relay of published ports, until it has ended.
    relay: Option<Pid>,
    /// The slirp4netns that connects it with the outside, or the guard of a pasta.
    helper: Option<Pid>,
    /// The children that are not part of the container: those that mydocker was started with, and its helpers.
    spared_children: Vec<Pid>,
    /// The signals that mydocker's caller ignores. `None`: /proc cannot be read, or shows another PID namespace.
    ignored: Option<SigSet>,
    /// With `-t`: the relay.
    terminal: Option<&'static mut Terminal>,
    /// With `-d`: its log.
    log: Option<&'static mut Log>,
    /// With `--timeout`, the kernel's SIGALRM ends the container.
    timeout: bool,
    /// That has ended it.
    timed_out: bool,
    /// How the command has ended, once it has been reaped.
    ended: Option<Wait>,
    /// Before that it was seen that the child had not become the command.
    ended_as_copy: bool,
    /// The signal that has asked for the end.
    end_signal: Option<i32>,
    /// The end is urgent: do not wait for a stuck reader.
    drain_briefly: bool,
    /// An error that does not change the status.
    warning: Option<Error>,
    /// The signal that mydocker has killed the container for.
    killed_for: Option<i32>,
}

impl Supervisor {
    /// Takes over what the parent has started, or has failed to.
    pub fn new(plan: &Plan, parent: &mut Parent, spared_children: Vec<Pid>) -> Supervisor {
        let is_own_proc = plan.host.status.pid == Some(plan.host.pid.0 as u64);
        Supervisor {
            pid: parent.pid,
            groups: &plan.parts.groups,
            record: parent.record.as_ref().map(|(_, _, dir)| dir.fd().number()),
            is_held: parent.is_held,
            signals: parent.signals.take(),
            successor: parent.child.successor.take(),
            has_succeeded: parent.child.has_appeared,
            error_read: parent.pipes.error_read.take(),
            is_subreaper: plan.spec.host_pid,
            init: plan.spec.init,
            relay: parent.relay,
            helper: parent.slirp.as_ref().map(|(pid, _)| *pid),
            spared_children,
            ignored: is_own_proc.then_some(plan.host.status.ignored),
            terminal: plan.parts.terminal.take(),
            log: plan.parts.log.take(),
            timeout: plan.spec.timeout.is_some(),
            timed_out: false,
            ended: None,
            ended_as_copy: false,
            end_signal: None,
            drain_briefly: false,
            warning: None,
            killed_for: None,
        }
    }

    /// How the command has ended, if it has been reaped.
    pub fn ended(&self) -> Option<Wait> {
        self.ended
    }

    /// Whether it was ended by `--timeout`.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// The signal that has asked for the end.
    pub fn end_signal(&self) -> Option<i32> {
        self.end_signal
    }

    /// An error that does not change the status.
    pub fn warning(&self) -> Result<()> {
        self.warning.map_or(Ok(()), Err)
    }

    /// The error to report about output that was lost.
    pub fn lost_output(&self) -> Result<()> {
        self.terminal.as_ref().map_or(Ok(()), |terminal| terminal.loss())
    }

    /// Whether the end of its log is lost, and the log does not say so.
    pub fn has_lost_log(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.has_lost())
    }

    /// Closes the container's terminal.
    pub fn hang_up_terminal(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.hang_up();
        }
    }

    /// Restores the user's terminal.
    pub fn restore_terminal(&mut self) -> Result<()> {
        self.terminal.as_mut().map_or(Ok(()), |terminal| terminal.restore())
    }

    /// Ends what the command has left behind where there is no PID namespace.
    pub fn end_orphans(&self) -> Result<()> {
        if self.is_subreaper { cleanup::end_orphans(&self.spared_children) } else { Ok(()) }
    }

    /// Waits until execve has worked, which closes the child's end of the error pipe; or returns the reason why it has not.
    /// Meanwhile it takes the reports of what is created in the root: the child waits where their socket is full.
    pub fn await_exec(&mut self, parent: &mut Parent) -> Result<()> {
        while let Some(pipe) = self.error_read.as_ref().map(Fd::borrow) {
            // Once the child has ended, all that it has written is in the pipe, even if another process still holds its other
            // end.
            let wait = self.ended.is_none();
            // poll looks at them in this order: so a signal that came after execve is seen after the end of the pipe.
            let reports = &parent.pipes.undo_receive;
            let mut all = [
                Poll::new(self.signals.as_ref().map(Fd::borrow), true, false),
                Poll::new(Some(pipe), true, false),
                Poll::new(reports.as_ref().map(Fd::borrow), true, false),
            ];
            let used = if reports.is_some() { 3 } else { 2 };
            let polled = sys::poll(all.get_mut(..used).unwrap_or_default(), if wait { None } else { Some(0) });
            // The command may run by now, and its status stands. If poll fails, read waits instead.
            if let Err(e) = polled {
                self.warning = Some(e);
            }
            let [signal, error, report] = all;
            if report.can_read() {
                parent.take_report();
            }
            if error.can_read() || polled.is_err() {
                let Some(pipe) = self.error_read.take() else { return Ok(()) };
                if !self.is_word_of_child()? {
                    match sys::receive_message(pipe.borrow()) {
                        Ok((_, Some(e))) => return Err(e),
                        Ok((false, None)) => return Ok(()),
                        // It stays open: where nobody reads it, mydocker has ended.
                        Ok((true, None)) => self.error_read = Some(pipe),
                        Err(e) => {
                            self.warning = Some(e);
                            core::mem::forget(pipe);
                        }
                    }
                    continue;
                }
                return match sys::receive_error(pipe.borrow()) {
                    Ok(reason) => reason.map_or(Ok(()), Err),
                    // Unknown. If execve has not worked, the status of the child says so.
                    Err(e) => {
                        self.warning = Some(e);
                        Ok(())
                    }
                };
            }
            if !wait {
                self.error_read = None;
            } else if signal.can_read()
                && let Err(e) = self.take_signal()
            {
                self.warning = Some(e);
            }
        }
        Ok(())
    }

    /// Whether the end of the error pipe was that of the child, before execve. Of a reaper nobody can tell: it never executes anything;
    /// nor where /proc is that of another PID namespace.
    pub fn has_ended_before_execve(&self) -> bool {
        let is_there = self.pid.filter(|_| self.ended.is_none());
        !self.init && self.ignored.is_some() && (self.ended_as_copy || is_there.is_some_and(state::has_ended_as_copy))
    }

    /// Forwards signals, and serves the terminal, until the command has ended.
    pub fn follow(&mut self) -> Result<()> {
        loop {
            let brief = self.drain_briefly || self.end_signal.is_some_and(|signal| self.status() == 128 + signal);
            let mut timeout = None;
            let mut streams = [Poll::new(None, false, false); 3];
            match &mut self.terminal {
                Some(terminal) => {
                    timeout = match self.ended {
                        None => terminal.timeout(),
                        Some(_) if terminal.is_drained() => break,
                        Some(_) => brief.then_some(DRAIN_MS),
                    };
                    streams = terminal.poll_set();
                }
                None if self.log.is_some() && self.ended.is_none() => {}
                None => break,
            }
            let [stdin, stdout, master] = streams;
            let log = Poll::new(self.log.as_ref().and_then(|log| log.pipe()), true, false);
            let mut all = [Poll::new(self.signals.as_ref().map(Fd::borrow), true, false), log, stdin, stdout, master];
            match (sys::poll(&mut all, timeout)?, &mut self.terminal) {
                (false, _) if self.ended.is_some() => break,
                (false, Some(terminal)) => terminal.on_idle(),
                _ => {}
            }
            let [signal, log, streams @ ..] = all;
            if signal.can_read() {
                self.take_signal()?;
            }
            // Whatever else fails, the signals are still to be taken.
            let logged = self.log.as_mut().filter(|_| log.can_read()).map_or(Ok(()), |log| log.take().map(drop));
            if let Err(e) = logged.and(self.relay(streams)) {
                self.warning = Some(e);
            }
        }
        while self.ended.is_none() {
            self.take_signal()?;
        }
        self.log.as_mut().map_or(Ok(()), |log| log.drain())
    }

    fn relay(&mut self, streams: [Poll; 3]) -> Result<()> {
        let (Some(terminal), Some(pid)) = (&mut self.terminal, self.pid) else { return Ok(()) };
        match terminal.relay(streams) {
            Some(libc::SIGHUP) => self.hang_up(),
            // The kernel has sent it to the foreground group, but does not deliver it to a PID 1 without a handler.
            Some(number) if terminal.is_in_foreground(pid) => self.act_as_sent(number, pid),
            _ => Ok(()),
        }
    }

    /// Acts on a signal that the kernel has sent to the command, and that would end it if it were not PID 1.
    fn act_as_sent(&mut self, number: i32, pid: Pid) -> Result<()> {
        if self.heeds(pid, number) { Ok(()) } else { self.end_for(pid, number) }
    }

    /// The reaper forwards every signal. For any other command /proc shows what it does with it, if it shows this PID namespace.
    fn heeds(&self, pid: Pid, number: i32) -> bool {
        self.init || self.ignored.is_some() && signals::heeds(pid, number)
    }

    /// Closes the container's terminal. The kernel sends SIGHUP to its session, but does not deliver it to a PID 1 without a
    /// handler.
    fn hang_up(&mut self) -> Result<()> {
        let Some(pid) = self.pid else { return Ok(()) };
        let result = self.act_as_sent(libc::SIGHUP, pid);
        if let Some(terminal) = &mut self.terminal {
            terminal.hang_up();
        }
        result
    }

    /// Takes one signal, and acts on it. Where that fails, the next one still counts; but without the status of the command there is
    /// nothing to wait for.
    fn take_signal(&mut self) -> Result<()> {
        let Some(signals) = &self.signals else { return Ok(()) };
        let signal = sys::take_signal(signals.borrow())?;
        match self.act_on(signal) {
            Err(e) if signal.number != libc::SIGCHLD => {
                self.warning = Some(e);
                Ok(())
            }
            done => done,
        }
    }

    fn act_on(&mut self, signal: Signal) -> Result<()> {
        if signal.number != libc::SIGCHLD {
            self.see_successor()?;
        }
        if self.timeout && signal.number == libc::SIGALRM && signal.is_from_kernel() {
            let Some(pid) = self.pid.filter(|_| self.ended.is_none()) else { return Ok(()) };
            self.warning = Some(Error::refused("ended by --timeout", b"", ""));
            self.timed_out = true;
            return self.end_for(pid, libc::SIGKILL);
        }
        // A log that is longer than a file may be has lost what comes then: setrlimit(2), RLIMIT_FSIZE.
        // The kernel sends it in the name of the process itself.
        if signal.number == libc::SIGXFSZ && signal.sender == sys::getpid() {
            return Ok(());
        }
        // What mydocker's caller ignores (nohup) ends nothing, whether the user or a terminal sends it. It still reaches a command
        // that does something with it.
        if signal.number != libc::SIGCHLD
            && self.ignored.is_some_and(|ignored| ignored.has(signal.number))
            && (self.terminal.is_some() && signal.is_from_kernel() || !self.is_heeded(signal.number)?)
        {
            return Ok(());
        }
        if signals::ENDING.has(signal.number) {
            self.drain_briefly |= self.ended.is_some();
            self.end_signal = Some(signal.number);
        }
        match (signal.number, self.pid, &mut self.terminal) {
            (libc::SIGCHLD, Some(pid), _) => self.reap(pid),
            (libc::SIGWINCH, _, Some(terminal)) => terminal.resize(),
            (libc::SIGHUP, _, Some(_)) if signal.is_from_kernel() => {
                // The user's terminal has hung up: so does the container's.
                self.hang_up()
            }
            (number, Some(pid), terminal) => {
                if number == libc::SIGCONT && terminal.is_some() {
                    self.take_users_terminal()?;
                }
                // Until execve, what the child blocks and ignores is mydocker's own doing: nothing there handles a signal.
                let fate = match signals::ENDING.has(number) && !self.has_executed()? {
                    true => Fate::End,
                    false => signals::fate(number, self.heeds(pid, number)),
                };
                self.act(fate, signal, pid)
            }
            (_, None, _) => Ok(()),
        }
    }

    /// Whether the command runs, and does something with this signal. A reaper decides that itself.
    fn is_heeded(&self, number: i32) -> Result<bool> {
        let Some(pid) = self.pid else { return Ok(false) };
        Ok(self.has_executed()? && self.heeds(pid, number))
    }

    /// Whether the command runs, or has failed to. The reaper closes its end of the pipe shortly after it has let the command
    /// go.
    fn has_executed(&self) -> Result<bool> {
        let Some(pipe) = &self.error_read else { return Ok(true) };
        if self.is_held || !self.init && !self.has_succeeded {
            return Ok(false);
        }
        let grace = if self.init { GRACE_MS } else { 0 };
        // The child of exec has held it open, too, until it ended: its end may be new.
        sys::await_readable(pipe.borrow(), Some(grace))
    }

    /// Takes the status of the command and, without a PID namespace, of orphans that have become children of mydocker.
    fn reap(&mut self, pid: Pid) -> Result<()> {
        // A signal of a higher number that poll has seen waits behind SIGCHLD: then the end of the child comes before that of its pipe.
        // Once it is waited for, nothing tells whether it was the command.
        if self.error_read.is_some() && self.ended.is_none() && self.successor.is_none() {
            self.ended_as_copy = state::has_ended_as_copy(pid);
        }
        if !self.is_subreaper {
            if let Some(relay) = self.relay
                && let Some(how) = sys::wait4(relay, false)?
            {
                self.see_relay(how);
            }
            if let Some(helper) = self.helper
                && sys::wait4(helper, false)?.is_some()
            {
                self.see_helper();
            }
            if self.ended.is_none() {
                self.ended = sys::wait4(pid, false)?;
                self.succeed()?;
            }
            return Ok(());
        }
        loop {
            match sys::wait_any(false) {
                Ok(Some((ended, how))) if ended == pid => {
                    self.ended = Some(how);
                    // Before the output is drained: they may hold the terminal open.
                    return self.end_orphans();
                }
                Ok(Some((ended, how))) if Some(ended) == self.relay => self.see_relay(how),
                Ok(Some((ended, _))) if Some(ended) == self.helper => self.see_helper(),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(e) if e.is(Errno::ECHILD) && self.ended.is_some() => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    /// The relay has ended: with the container, or with an error that it has said itself, unless it was killed.
    fn see_relay(&mut self, how: Wait) {
        self.relay = None;
        if matches!(how, Wait::Signaled(_)) {
            self.miss("the relay was killed: its ports are closed");
        }
    }

    /// The program that connects it with the outside has ended, which it does not do as long as mydocker waits.
    fn see_helper(&mut self) {
        self.helper = None;
        self.miss("slirp4netns or pasta has ended: the container reaches nothing outside any more");
    }

    /// Says what the container has lost.
    fn miss(&mut self, what: &'static str) {
        match self.log() {
            Some(log) => log.note(&[b"mydocker: ", what.as_bytes(), b"\n"]),
            // Where nobody reads, it is said at the end: until then the signals are needed.
            None => self.warning = sys::say_now(Error::refused(what, b"", "")).err().or(self.warning),
        }
    }

    /// The log that this process writes.
    pub fn log(&mut self) -> Option<&mut Log> {
        self.log.as_deref_mut()
    }

    /// Whether what is in the error pipe comes from the child alone. Others can write to the pipe of a process that is in the
    /// container, and what is read from it is taken for memory of mydocker's own.
    fn is_word_of_child(&mut self) -> Result<bool> {
        if self.successor.is_none() {
            return Ok(true);
        }
        if let Some(pid) = self.pid.filter(|_| self.ended.is_none() && !self.has_succeeded) {
            // It has ended, or is about to.
            self.ended = sys::wait4(pid, true)?;
            self.succeed()?;
        }
        Ok(!self.has_succeeded && matches!(self.ended, Some(Wait::Exited(_))))
    }

    /// A child of `exec` that has left another process in its place is about to end. A signal that is taken before mydocker has noticed
    /// that is for the other one, which may be the command by now.
    fn see_successor(&mut self) -> Result<()> {
        if let (Some(words), false, Some(pid), None) = (self.successor, self.has_succeeded, self.pid, self.ended)
            && words.get(0) != 0
        {
            // It takes longer where somebody has paused the container meanwhile.
            let process = sys::pidfd_open(pid)?;
            sys::await_readable(process.borrow(), Some(GRACE_MS))?;
            sys::wait4(pid, false)?;
            return self.follow_successor(Pid(words.get(0)));
        }
        Ok(())
    }

    /// Once the child of `exec` has ended and left another process in its place, that one is the child.
    fn succeed(&mut self) -> Result<()> {
        let (Some(words), false, Some(_)) = (self.successor, self.has_succeeded, self.ended) else {
            return Ok(());
        };
        match words.get(0) {
            // It has failed, or was killed, before it left one.
            0 => Ok(()),
            pid => self.follow_successor(Pid(pid)),
        }
    }

    fn follow_successor(&mut self, pid: Pid) -> Result<()> {
        (self.has_succeeded, self.pid, self.ended) = (true, Some(pid), None);
        // The ends of both may have been one SIGCHLD. The command may run by now, and its status stands.
        match sys::wait4(pid, false) {
            Ok(ended) => self.ended = ended,
            Err(e) => self.warning = Some(e),
        }
        if self.is_held || self.killed_for.is_some() { sys::kill(pid, libc::SIGKILL) } else { Ok(()) }
    }

    fn act(&mut self, fate: Fate, signal: Signal, pid: Pid) -> Result<()> {
        let number = signal.number;
        match fate {
            _ if self.ended.is_some() => Ok(()),
            // A terminal sends it to the whole group in its foreground, and what has stopped is the whole group. What a reaper
            // takes for a word of mydocker's is passed on as if it were for the group.
            Fate::Forward
                if signal.is_from_kernel() || number == libc::SIGCONT || self.init && number == signals::STOP =>
            {
                self.kill_group(pid, number)
            }
            Fate::Forward => sys::kill(pid, number),
            Fate::Drop => Ok(()),
            Fate::End => self.end_for(pid, number),
            Fate::Stop => self.stop(pid),
        }
    }

    /// Ends the container as the signal would have, if the command were not PID 1.
    fn end_for(&mut self, pid: Pid, number: i32) -> Result<()> {
        if self.ended.is_some() {
            return Ok(());
        }
        (self.killed_for, self.drain_briefly) = (Some(number), true);
        sys::kill(pid, libc::SIGKILL)?;
        // v1: no signal reaches what is paused, until it goes on. And no PID namespace ends before an `exec` into it that is stopped. What
        // of this cannot be done is no reason not to do the rest.
        for dir in self.groups.iter().filter(|group| group.hierarchy.has_freezer()).filter_map(|group| group.dir()) {
            let _ = dir.write(FREEZER_STATE, THAWED);
        }
        if let Some(folder) = self.record {
            let _ = state::continue_entered_in(folder);
        }
        Ok(())
    }

    /// Sends a signal to the group of the command, which is another one than the reaper's. Before execve it may not have one.
    fn kill_group(&self, pid: Pid, number: i32) -> Result<()> {
        match (self.init, &self.error_read) {
            (true, _) => sys::tgkill(pid, number),
            (false, Some(_)) => sys::kill(pid, number),
            (false, None) => sys::kill_group(pid, number),
        }
    }

    /// Stops the group of the command, and mydocker. The kernel delivers no SIGTSTP to a PID 1, and none that would stop a
    /// process in a session whose leader's parent is in another one (an orphaned process group). Both go on with SIGCONT, which
    /// is forwarded. In between the user's terminal has its own settings.
    fn stop(&mut self, pid: Pid) -> Result<()> {
        self.stop_command(pid)?;
        if let Some(terminal) = &mut self.terminal {
            terminal.restore()?;
        }
        sys::kill(sys::getpid(), libc::SIGSTOP)
    }

    /// Returns when the command has stopped: one that still reads would take keys that are meant for the shell.
    fn stop_command(&self, pid: Pid) -> Result<()> {
        match self.init {
            true => sys::stop(pid, signals::STOP, signals::has_handled_stop),
            false => sys::stop_group(pid),
        }
    }

    /// Sets the size and the raw mode again after a stop. In the background the terminal is not ours to change: then the
    /// command and mydocker stop, as every job does that uses it, unless a signal has asked for the end. (The kernel would
    /// stop mydocker inside the ioctl, where it could not see such a signal.)
    fn take_users_terminal(&mut self) -> Result<()> {
        if self.end_signal.or(self.killed_for).is_none() && sys::in_background() {
            if let (Some(pid), None) = (self.pid, &self.error_read) {
                self.stop_command(pid)?;
            }
            sys::kill(Pid(0), libc::SIGTTOU)?;
        }
        let Some(terminal) = &mut self.terminal else { return Ok(()) };
        terminal.resize()?;
        terminal.enter_raw_mode()
    }

    /// Waits until the child has ended. With `kill`, which is for a child that has not become the command, it is killed first.
    pub fn end(&mut self, parent: &mut Parent, kill: bool) -> Result<()> {
        if !kill && self.pid.is_some() && self.ended.is_none() {
            // It ends by itself, unless a mount hangs: then a signal ends it. The reason is known already.
            match self.await_exec(parent) {
                Ok(()) | Err(_) => {}
            }
        }
        while let Some(pid) = self.pid.filter(|_| self.ended.is_none()) {
            if kill {
                sys::kill(pid, libc::SIGKILL)?;
            }
            self.ended = sys::wait4(pid, true)?;
            self.succeed()?;
        }
        Ok(())
    }

    /// The exit status: the command's own, or 128 and the signal.
    pub fn status(&self) -> i32 {
        match (self.killed_for, self.ended) {
            (Some(signal), Some(Wait::Signaled(libc::SIGKILL))) | (_, Some(Wait::Signaled(signal))) => 128 + signal,
            (_, Some(Wait::Exited(status))) => status,
            (_, None) => 125,
        }
    }
}
