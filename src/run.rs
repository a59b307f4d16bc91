//! The parent: makes the child, puts it under its limits, lets it go, waits, and leaves the host as it was.

use crate::cgroup::{self, Version};
use crate::child::{self, Child};
use crate::cleanup;
use crate::error::{Errno, Error, Result};
use crate::plan::Plan;
use crate::rootfs;
use crate::show::{self, Stops};
use crate::signals::{self, Dispositions, Fate};
use crate::stats::{self, Ending};
use crate::step::{State, Step};
use crate::sys::trace::{self, Phase};
use crate::sys::{self, Fd, Pid, Poll, Signal, Stack, Wait};
use crate::terminal::Terminal;
use crate::text::Put;
use crate::userns;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

/// How long the end that the user asked for waits for a reader of the output that takes nothing, in milliseconds.
const LAST_WORDS: u32 = 100;

/// How long a reaper may take from letting the command go to closing its end of the error pipe, in milliseconds.
const A_MOMENT: u32 = 1000;

/// Carries out the plan, says what went wrong and what it took, and returns the exit status.
pub fn run(plan: &Plan) -> i32 {
    let mut record = None;
    let status = carry_out(plan, &mut record).unwrap_or_else(|error| {
        sys::say(error);
        error.status()
    });
    if let Some((fd, record)) = record
        && let Err(error) = sys::write_all(fd, &record)
    {
        sys::say(error.about(b"--stats"));
    }
    status
}

/// Carries out the plan and returns the exit status. An error means that the command was not executed. Either way,
/// nothing is left. With `--stats`, `record` is what is to be written at the end, and where.
pub fn carry_out(plan: &Plan, record: &mut Option<(i32, Vec<u8>)>) -> Result<i32> {
    // With SIGCHLD ignored, as a caller may have it, children vanish without a status (wait(2)).
    sys::reset_signal(libc::SIGCHLD)?;
    let adopts = !plan.namespaces.has(sys::CloneFlags::NEWPID);
    if adopts {
        // No PID 1 whose end would end the rest: orphans come here.
        sys::set_child_subreaper()?;
    }
    let callers = if adopts { cleanup::own_children() } else { Vec::new() };
    sys::set_signal_mask(signals::BLOCKED)?;
    let signals = sys::signalfd(signals::AWAITED)?;
    let (error_read, error_write) = sys::pipe2()?;
    // Whatever is open when they are done with, the exit closes: a dozen calls less.
    let state = State::new(plan, error_write);
    if plan.options.tty {
        state.terminal_socket = socketpair()?;
    }
    if plan.undone {
        state.made_socket = socketpair()?;
    }
    let container = Container::new(signals, error_read, adopts, plan.options.init, callers);

    // Until execve has worked, an error is the result; from then on the command's status is, and an error only a
    // warning beside it.
    let started = container.start(plan, state).and_then(|()| container.await_exec());
    let mut executed = None;
    let followed = match started {
        Ok(()) => {
            executed = plan.stats.map(|_| sys::monotonic());
            trace::set_phase(Phase::Wait);
            cleanup::sweep(plan, state);
            let followed = container.follow();
            // Nobody serves the terminal any more: who reads from it must not wait for ever.
            if let (Err(_), Some(terminal)) = (&followed, &mut container.terminal) {
                terminal.hang_up();
            }
            followed
        }
        Err(_) => Ok(()),
    };
    trace::set_phase(Phase::End);
    // Who makes things in the root is not killed between that and telling of it: it sees that no command comes, and ends.
    let ended = container.end(started.is_err() && !plan.undone);
    let lost = container.terminal.as_ref().map_or(Ok(()), |terminal| terminal.loss());
    let restored = container.terminal.as_mut().map_or(Ok(()), |terminal| terminal.restore());
    let memory = cleanup::memory_report(plan, state);
    let orphans = if adopts { cleanup::end_orphans(&container.callers) } else { Ok(()) };
    // Without this end, what is in it has an end.
    drop(state.made_socket.1.take());
    if let (Err(_), Some(made)) = (started, &state.made_socket.0) {
        rootfs::unmake(made);
    }
    let status = started.map_or_else(Error::status, |()| container.status());
    if let Some(stats) = plan.stats
        && let Some(fd) = if stats.file { state.stats_file.as_ref().map(Fd::raw) } else { Some(2) }
    {
        let signaled = matches!(container.status, Some(Wait::Signaled(_)));
        let ending = Ending { pid: container.pid, status, signaled, executed, error: started.err() };
        *record = Some((fd, stats::record(stats, plan, state, &ending)));
    }
    let removed = cleanup::remove_groups(plan, state);
    let warned = container.warning.map_or(Ok(()), Err);
    // Only now, for a stderr that nobody reads may hold this up forever.
    if let Some(line) = memory
        && sys::write_all(2, &line).is_err()
    {
        // A stderr that is closed is the caller's choice.
    }
    started.map_err(|e| if plan.ids.is_some() { userns::explain(e) } else { e })?;
    for late in [warned, followed.and(ended), lost, restored, orphans, removed] {
        if let Err(error) = late {
            sys::say(error);
        }
    }
    Ok(status)
}

/// The parent's end, and the child's.
fn socketpair() -> Result<(Option<Fd>, Option<Fd>)> {
    sys::socketpair().map(|(parents, childs)| (Some(parents), Some(childs)))
}

/// The child, as the parent sees it.
struct Container {
    pid: Option<Pid>,
    signals: Fd,
    error_read: Option<Fd>,
    /// The child's end of the command pipe, until there is a child.
    command_read: Option<Fd>,
    /// The parent's, until the command is sent.
    command_write: Option<Fd>,
    /// Without a PID namespace: its orphans become mydocker's children.
    adopts: bool,
    /// PID 1 is the reaper.
    init: bool,
    /// The children that mydocker had before.
    callers: Vec<Pid>,
    /// What mydocker's own signals do, looked up when the first one comes. `None` inside: /proc does not tell, or tells
    /// of another PID namespace.
    own: Option<Option<Dispositions>>,
    /// With `-t`: the relay.
    terminal: Option<Box<Terminal>>,
    /// With `--step`: where it stops.
    stops: Option<Stops>,
    /// How it ended, once it has been reaped.
    status: Option<Wait>,
    /// The signal that has asked for the end.
    asked: Option<i32>,
    /// It has come to that: a reader of the output that takes nothing is not waited for.
    hurried: bool,
    /// What went wrong beside the run.
    warning: Option<Error>,
    /// The signal that mydocker ended it for.
    killed_for: Option<i32>,
}

impl Container {
    /// Before it is there.
    #[inline(never)]
    fn new(signals: Fd, error_read: Fd, adopts: bool, init: bool, callers: Vec<Pid>) -> &'static mut Container {
        Box::leak(Box::new(Container {
            pid: None,
            signals,
            error_read: Some(error_read),
            command_read: None,
            command_write: None,
            adopts,
            init,
            callers,
            own: None,
            terminal: None,
            stops: None,
            status: None,
            asked: None,
            hurried: false,
            warning: None,
            killed_for: None,
        }))
    }

    /// Walks the parent's steps. A child that waits for the command sees an end of it where one has failed.
    fn start(&mut self, plan: &Plan, state: &mut State) -> Result<()> {
        let result = self.walk(plan, state);
        drop(self.command_write.take());
        result
    }

    fn walk(&mut self, plan: &Plan, state: &mut State) -> Result<()> {
        let (command_read, command_write) = sys::pipe2()?;
        (self.command_read, self.command_write) = (Some(command_read), Some(command_write));
        if plan.options.step {
            self.stops = Some(Stops::new()?);
        }
        trace::set_phase(Phase::Start);
        for step in &plan.parent {
            show::note(plan, step);
            if let Some(stops) = &self.stops {
                stops.stop(plan, b"parent", step)?;
            }
            match step {
                Step::Clone => self.clone(plan, state)?,
                Step::WritePidFile => self.write_pid_file(state)?,
                Step::MapIds => self.map_ids(plan)?,
                Step::ReceiveTerminal => self.receive_terminal(state)?,
                Step::SendCommand => self.send(plan)?,
                step => step.carry_out(plan, state)?,
            }
        }
        Ok(())
    }

    /// Makes the child, which has a copy of all that is here.
    #[inline(never)]
    fn clone(&mut self, plan: &Plan, state: &mut State) -> Result<()> {
        if let Some(command_read) = self.command_read.take() {
            let mut child = Child::new(plan, state, command_read);
            child.stops = self.stops.as_ref();
            mem::swap(&mut child.error_read, &mut self.error_read);
            mem::swap(&mut child.command_write, &mut self.command_write);
            self.pid = Some(clone(plan, &mut child)?);
            mem::swap(&mut child.error_read, &mut self.error_read);
            mem::swap(&mut child.command_write, &mut self.command_write);
        }
        if let (Some(stops), Some(pid)) = (&self.stops, self.pid) {
            stops.child_is(pid);
        }
        // The child's ends: with them open here, their closing would not be seen.
        drop(state.error_write.take());
        drop(state.terminal_socket.1.take());
        drop(state.made_socket.1.take());
        // The device goes with its mount.
        drop(state.image.take());
        Ok(())
    }

    #[inline(never)]
    fn write_pid_file(&self, state: &mut State) -> Result<()> {
        if let (Some(file), Some(pid)) = (state.pid_file.take(), self.pid) {
            let mut line = Vec::new();
            line.put_decimal(pid.0 as u64);
            line.put(b"\n");
            sys::write_all(file.raw(), &line).map_err(|e| e.about(b"--pid-file"))?;
        }
        Ok(())
    }

    #[inline(never)]
    fn map_ids(&self, plan: &Plan) -> Result<()> {
        if let (Some(maps), Some(pid)) = (plan.ids, self.pid) {
            maps.write(pid)?;
        }
        // The first byte that the child waits for.
        match &self.command_write {
            Some(pipe) => sys::write_all(pipe.raw(), b"\0"),
            None => Ok(()),
        }
    }

    #[inline(never)]
    fn receive_terminal(&mut self, state: &mut State) -> Result<()> {
        if let Some(socket) = state.terminal_socket.0.take()
            && let Some(master) = sys::receive_fd(&socket, &mut [0])?
        {
            self.terminal = Some(Box::new(Terminal::new(master)?));
            self.take_users_terminal()?;
        }
        Ok(())
    }

    /// The command down the pipe. A child that has gone says why on the other one.
    #[inline(never)]
    fn send(&mut self, plan: &Plan) -> Result<()> {
        let Some(pipe) = self.command_write.take() else { return Ok(()) };
        let mut message = Vec::with_capacity(4 + plan.words.len());
        message.put(&(plan.words.len() as u32).to_ne_bytes());
        message.put(plan.words);
        match sys::write_all(pipe.raw(), &message).map_err(|e| e.about(b"command pipe")) {
            Err(e) if e.is(Errno::EPIPE) => {
                // A child that waits for the command after all must see its end.
                drop(pipe);
                match self.error_read.as_ref().map(sys::receive_error) {
                    Some(Ok(Some(reason))) => Err(reason),
                    _ => Err(e),
                }
            }
            other => other,
        }
    }

    /// Waits until execve has worked: its end of the error pipe is then closed. Or for the reason why it has not.
    fn await_exec(&mut self) -> Result<()> {
        while let Some(pipe) = &self.error_read {
            // Once it has ended, all that it had to say is in the pipe, whoever else may still hold the other end.
            let wait = self.status.is_none();
            // In this order, which is that of poll's look at them: a signal that came after execve is seen after its end.
            let mut both = [Poll::new(self.signals.raw(), true, false), Poll::new(pipe.raw(), true, false)];
            let polled = sys::poll(&mut both, if wait { None } else { Some(0) });
            // The command may run by now, and its status stands. Where poll fails, reading waits as well.
            if let Err(e) = polled {
                self.warning = Some(e);
            }
            let [signal, told] = both;
            if told.can_read() || polled.is_err() {
                let reason = sys::receive_error(pipe);
                self.error_read = None;
                return match reason {
                    Ok(reason) => reason.map_or(Ok(()), Err),
                    // Nobody knows; if execve has not worked, the child's own status says why.
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

    /// Passes signals on, and what goes through the terminal, until the command has ended.
    #[inline(never)]
    fn follow(&mut self) -> Result<()> {
        loop {
            let hurried = self.hurried || self.asked.is_some_and(|signal| self.status() == 128 + signal);
            let Some(terminal) = &mut self.terminal else { break };
            let patience = match self.status {
                None => terminal.patience(),
                Some(_) if terminal.is_drained() => break,
                Some(_) => hurried.then_some(LAST_WORDS),
            };
            let [stdin, stdout, master] = terminal.interest();
            let mut all = [Poll::new(self.signals.raw(), true, false), stdin, stdout, master];
            match sys::poll(&mut all, patience)? {
                true => {}
                false if self.status.is_some() => break,
                false => terminal.look_again(),
            }
            let [signal, streams @ ..] = all;
            if signal.can_read() {
                self.take_signal()?;
            }
            self.relay(streams)?;
        }
        while self.status.is_none() {
            self.take_signal()?;
        }
        Ok(())
    }

    fn relay(&mut self, streams: [Poll; 3]) -> Result<()> {
        let (Some(terminal), Some(pid)) = (&mut self.terminal, self.pid) else { return Ok(()) };
        match terminal.relay(streams) {
            Some(libc::SIGHUP) => self.hang_up(),
            // The kernel has told the foreground group, and keeps it from a PID 1 that has no handler.
            Some(number) if terminal.is_in_foreground(pid) => self.act_as_told(number, pid),
            _ => Ok(()),
        }
    }

    /// What a signal that the kernel has sent to the command's group leads to.
    fn act_as_told(&mut self, number: i32, pid: Pid) -> Result<()> {
        let fate = self.decide(Signal { number, from_kernel: true }, pid, true);
        self.act(fate, number)
    }

    fn decide(&mut self, signal: Signal, pid: Pid, terminal_is_shared: bool) -> Fate {
        // The reaper passes on whatever comes; only of another command /proc must tell, and of this PID namespace.
        let heeded = self.init || self.own().is_some() && signals::heeds(pid, signal.number);
        signals::fate(signal, heeded, terminal_is_shared)
    }

    fn own(&mut self) -> Option<Dispositions> {
        *self.own.get_or_insert_with(|| Dispositions::own(sys::getpid()))
    }

    /// Closes the container's terminal. The kernel tells its session, and keeps it from a PID 1 without a handler.
    fn hang_up(&mut self) -> Result<()> {
        let Some(pid) = self.pid else { return Ok(()) };
        let result = self.act_as_told(libc::SIGHUP, pid);
        if let Some(terminal) = &mut self.terminal {
            terminal.hang_up();
        }
        result
    }

    /// Takes one signal, and does what it asks for.
    fn take_signal(&mut self) -> Result<()> {
        let signal = sys::take_signal(&self.signals)?;
        // What was ignored when mydocker started (nohup) stays ignored.
        if signal.number != libc::SIGCHLD && self.own().is_some_and(|own| own.ignored.has(signal.number)) {
            return Ok(());
        }
        if signals::ENDING.has(signal.number) {
            self.hurried |= self.status.is_some();
            self.asked = Some(signal.number);
        }
        match (signal.number, self.pid, &mut self.terminal) {
            (libc::SIGCHLD, Some(pid), _) => self.reap(pid),
            (libc::SIGWINCH, _, Some(terminal)) => terminal.resize(),
            (libc::SIGHUP, _, Some(_)) if signal.from_kernel => {
                // The user's terminal has hung up, and so does the container's.
                self.hang_up()
            }
            (libc::SIGCONT, _, Some(_)) => {
                self.take_users_terminal()?;
                self.act(Fate::Forward, signal.number)
            }
            (number, Some(pid), terminal) => {
                // A terminal that hangs up tells the leader of its session alone.
                let alone = number == libc::SIGHUP && sys::leads_session();
                let shared = terminal.is_none() && !alone && sys::same_group(pid);
                // Until execve, what the child blocks and ignores is mydocker's doing: nothing there heeds a signal.
                let fate = match signals::ENDING.has(number) && !self.has_executed()? {
                    true => Fate::End,
                    false => self.decide(signal, pid, shared),
                };
                self.act(fate, number)
            }
            (_, None, _) => Ok(()),
        }
    }

    /// Whether the command runs, or has failed to. The reaper closes its end of the pipe a moment after it has let it go.
    fn has_executed(&self) -> Result<bool> {
        let Some(pipe) = &self.error_read else { return Ok(true) };
        Ok(self.init && sys::poll(&mut [Poll::new(pipe.raw(), true, false)], Some(A_MOMENT))?)
    }

    /// Takes the status of the command and, without a PID namespace, of orphans that have come here.
    fn reap(&mut self, pid: Pid) -> Result<()> {
        if !self.adopts {
            self.status = self.status.or(sys::wait4(pid, false)?);
            return Ok(());
        }
        loop {
            match sys::wait_any(false) {
                Ok(Some((ended, how))) if ended == pid => {
                    self.status = Some(how);
                    // Before the output is drained, for they may hold the terminal open.
                    return cleanup::end_orphans(&self.callers);
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(e) if e.is(Errno::ECHILD) && self.status.is_some() => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    fn act(&mut self, fate: Fate, number: i32) -> Result<()> {
        let Some(pid) = self.pid.filter(|_| self.status.is_none()) else { return Ok(()) };
        match fate {
            Fate::Forward => sys::kill(pid, number).map(drop),
            Fate::Drop => Ok(()),
            Fate::End => {
                (self.killed_for, self.hurried) = (Some(number), true);
                sys::kill(pid, libc::SIGKILL).map(drop)
            }
            Fate::Stop => self.stop(pid),
        }
    }

    /// Stops the command, which as PID 1 hears no SIGTSTP, and mydocker. Both go on with SIGCONT, which is passed on. The
    /// user's terminal is as it was in between.
    fn stop(&mut self, pid: Pid) -> Result<()> {
        self.stop_command(pid)?;
        if let Some(terminal) = &mut self.terminal {
            terminal.restore()?;
        }
        sys::kill(sys::getpid(), libc::SIGSTOP).map(drop)
    }

    /// Once it has stopped: one that still reads would take what is typed for the shell.
    fn stop_command(&self, pid: Pid) -> Result<()> {
        let (signal, has_stopped): (i32, fn(Pid) -> bool) = match self.init {
            true => (signals::STOP, signals::has_served),
            false => (libc::SIGSTOP, sys::has_stopped),
        };
        sys::stop(pid, signal, has_stopped)
    }

    /// The size and raw mode, at the start and after each stop. In the background the terminal is not to be had: there all
    /// stop, as any job does that asks for it, if the end is not what is asked for. (The kernel would stop mydocker in its
    /// call, deaf to that.)
    fn take_users_terminal(&mut self) -> Result<()> {
        if self.asked.or(self.killed_for).is_none() && sys::in_background() {
            if let (Some(pid), None) = (self.pid, &self.error_read) {
                self.stop_command(pid)?;
            }
            sys::kill(Pid(0), libc::SIGTTOU)?;
        }
        let Some(terminal) = &mut self.terminal else { return Ok(()) };
        terminal.resize()?;
        terminal.enter_raw_mode()
    }

    /// Makes sure that it has ended. A child that has not become the command is killed; a command that can no longer be
    /// followed is waited for.
    #[inline(never)]
    fn end(&mut self, kill: bool) -> Result<()> {
        if let Some(pid) = self.pid.filter(|_| self.status.is_none()) {
            if kill {
                sys::kill(pid, libc::SIGKILL)?;
            }
            self.status = sys::wait4(pid, true)?;
        }
        Ok(())
    }

    /// The exit status: the command's own, or 128 and the signal.
    fn status(&self) -> i32 {
        match (self.killed_for, self.status) {
            (Some(signal), Some(Wait::Signaled(libc::SIGKILL))) | (_, Some(Wait::Signaled(signal))) => 128 + signal,
            (_, Some(Wait::Exited(status))) => status,
            (_, None) => 125,
        }
    }
}

/// clone3 into the v2 group, or clone where there is none or the kernel cannot (before Linux 5.7, or under a filter).
#[inline(never)]
fn clone(plan: &Plan, child: &mut Child) -> Result<Pid> {
    let stack = Stack::map()?;
    let v2 = plan.groups.iter().position(|group| group.hierarchy.version == Version::V2);
    let dir = v2.and_then(|g| child.state.groups.get(g)?.dir.as_ref()).map(|dir| dir.fd().raw());
    if dir.is_some() {
        child.state.born_in_group = true;
        match sys::clone(plan.namespaces, dir, &stack, child::main, child) {
            Err(e) if e.is_one_of(&[Errno::ENOSYS, Errno::E2BIG, Errno::EINVAL, Errno::EOPNOTSUPP]) => {
                child.state.born_in_group = false;
            }
            // It could be made, and cannot be entered: from the caller's own cgroup to there, one is not the caller's.
            Err(e) if e.is(Errno::EACCES) => {
                child.state.born_in_group = false;
                if plan.groups.iter().any(|group| group.asked) {
                    return Err(cgroup::explain(e));
                }
            }
            other => return other,
        }
    }
    sys::clone(plan.namespaces, None, &stack, child::main, child)
}
