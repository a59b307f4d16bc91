//! The child: a copy of the parent's memory, on a stack of its own, in new namespaces. It allocates nothing but the causes
//! of its errors, from a heap that has neither locks nor calls of its own; it cannot panic, and leaves by execve or
//! exit_group.

use crate::error::{Error, Result};
use crate::lookup::{self, Command};
use crate::plan::Plan;
use crate::reaper;
use crate::show::{self, Stops};
use crate::step::{State, Step};
use crate::sys::trace::{self, Who};
use crate::sys::{self, CloneFlags, Fd, Pointers, SigSet};
use alloc::vec;
use core::ffi::CStr;

/// What the child starts with. The parent has made room for all that the child will fill in.
pub struct Child<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// What the parent has made so far.
    pub state: &'a mut State,
    /// Where the command comes from.
    pub command_read: Fd,
    /// The parent's ends, to be closed: as long as they are open here, nobody sees the parent go.
    pub command_write: Option<Fd>,
    /// As above.
    pub error_read: Option<Fd>,
    /// With `--step`: where it stops.
    pub stops: Option<&'a Stops>,
    /// Room for the message: four bytes of length, and the words.
    message: &'static mut [u8],
    /// The command, but for its words; taken at the end.
    command: Option<Command>,
}

impl<'a> Child<'a> {
    /// Makes the room.
    pub fn new(plan: &'a Plan, state: &'a mut State, command_read: Fd) -> Child<'a> {
        let mut envp = Pointers::with_capacity(plan.environment.len() + 1);
        for variable in &plan.environment {
            envp.push(variable);
        }
        Child {
            plan,
            state,
            command_read,
            command_write: None,
            error_read: None,
            stops: None,
            message: vec![0; 4 + plan.words.len()].leak(),
            command: Some(Command {
                words: b"",
                spare: vec![0; plan.words.len()].leak(),
                argv: Pointers::with_capacity(lookup::most_words(plan.words)),
                envp,
                path: plan.path,
            }),
        }
    }
}

/// Where clone enters.
pub fn main(child: &mut Child) -> ! {
    trace::set_who(Who::Child);
    drop(child.command_write.take());
    drop(child.error_read.take());
    drop(child.state.terminal_socket.0.take());
    drop(child.state.made_socket.0.take());
    // The locks are the parent's alone: a copy held here would outlive it.
    for group in &mut child.state.groups {
        drop(group.dir.take());
    }
    let error = match walk(child) {
        Ok(()) => sys::exit_group(125),
        Err(error) => error,
    };
    if let Some(pipe) = &child.state.error_write
        && sys::send_error(pipe, error).is_err()
    {
        sys::say(error);
    }
    sys::exit_group(error.status())
}

fn walk(child: &mut Child) -> Result<()> {
    let plan = child.plan;
    if plan.options.step {
        // A parent that is killed at a stop takes the child with it.
        sys::die_with_parent()?;
    }
    for step in &plan.child {
        show::note(plan, step);
        if let Some(stops) = child.stops {
            stops.stop(plan, b"child", step)?;
        }
        match step {
            Step::AwaitIds => {
                let mut byte = [0];
                if sys::read(&child.command_read, &mut byte).map_err(|e| e.about(b"command pipe"))? == 0 {
                    sys::exit_group(125);
                }
            }
            Step::ReceiveCommand => receive(child)?,
            Step::BecomeInit => become_init(plan, child.state)?,
            Step::Exec => return exec(child),
            step => step.carry_out(plan, child.state)?,
        }
    }
    Ok(())
}

/// Reads the message whole. If the parent is gone before it is, so is the reason to be here.
fn receive(child: &mut Child) -> Result<()> {
    let mut filled = 0;
    while let Some(room) = child.message.get_mut(filled..).filter(|room| !room.is_empty()) {
        match sys::read(&child.command_read, room).map_err(|e| e.about(b"command pipe"))? {
            0 => sys::exit_group(125),
            n => filled += n,
        }
    }
    Ok(())
}

/// Forks; the new process goes on as the command. With everything blocked, no signal is lost in between.
fn become_init(plan: &Plan, state: &mut State) -> Result<()> {
    const GO: i32 = libc::SIGCONT;
    sys::set_signal_mask(SigSet::all())?;
    if let Some(command) = sys::fork(CloneFlags::NONE)? {
        trace::set_who(Who::Reaper);
        // Nobody would see the pipes' ends close that are open here. And all inside could see them in /proc/1/fd, and hold
        // mydocker's own file by /proc/1/exe, to write to it one day (CVE-2019-5736): until then the command waits.
        sys::close_all_but(state.error_write.as_ref())?;
        sys::hide_from_proc()?;
        sys::kill(command, GO)?;
        drop(state.error_write.take());
        reaper::main(command);
    }
    // Nobody but PID 1 ends a whole namespace: where the reaper is not that, its end must be felt.
    sys::die_with_parent()?;
    sys::wait_for_signal(SigSet::of(&[GO]))?;
    match plan.options.tty {
        true => sys::to_foreground(sys::getpid()),
        false => Ok(()),
    }
}

fn exec(child: &mut Child) -> Result<()> {
    let message: &'static mut [u8] = core::mem::take(&mut child.message);
    let message: &'static [u8] = message;
    let Some((length, words)) = message.split_first_chunk::<4>() else { return Ok(()) };
    let words = words.get(..u32::from_ne_bytes(*length) as usize).unwrap_or_default();
    let Some(mut command) = child.command.take() else { return Ok(()) };
    // The plan stays as long as the process: so does what it holds.
    if child.plan.home_of_user
        && let Some(user) = child.state.user.take()
        && let Ok(home) = CStr::from_bytes_until_nul(user.into_home())
    {
        command.envp.push(home);
    }
    Err::<(), Error>(lookup::exec(Command { words, ..command }))
}
