//! The command: its environment, the pipes that it is sent through, and its execution. The command pipe is also the barrier:
//! the parent writes to it when the limits hold.

pub mod lookup;

use crate::bytes;
use crate::environment::{self, DEFAULT_PATH, Environment, PATH_ASSIGNMENT};
use crate::error::{Errno, Error, Result};
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Child, ChildStep, Parent, ParentStep, Slot, missing};
use crate::sys::{self, CloseRangeFlags, Fd, FdRef, OpenFlags, Pointers, SharedWords};
use crate::writable::{self, Writable};
use alloc::vec::Vec;
use core::ffi::CStr;

/// What is to be executed, in room that is made before clone: the child allocates little.
pub struct Command {
    /// The words, each with a NUL after it, which the parent sends.
    pub words: &'static [u8],
    /// Room for as many bytes as the words have, for the command of one word that is split at its blanks.
    pub room: &'static mut [u8],
    /// Room for as many pointers as either has words.
    pub argv: Pointers,
    /// The environment.
    pub envp: Pointers,
    /// Where to look for a word without a slash.
    pub path: &'static [u8],
    /// It has a root of its own.
    pub own_root: bool,
    /// HOME is that of the user, which the child finds.
    pub home_of_user: bool,
}

impl Command {
    /// The command with these words, none of which has a NUL in it, and this environment. There is room for one more variable.
    pub fn new(spec: &Spec, command: &[&[u8]], environment: &[&'static CStr]) -> Command {
        let own_root = spec.has_own_root();
        let mut words = Vec::new();
        for word in command {
            words.extend_from_slice(word);
            words.push(0);
        }
        let words: &'static [u8] = words.leak();
        let mut envp = Pointers::with_capacity(environment.len() + 1);
        for variable in environment {
            envp.push(variable);
        }
        Command {
            words,
            room: alloc::vec![0; words.len()].leak(),
            // At the most each blank begins another word.
            argv: Pointers::with_capacity(words.iter().filter(|b| **b == 0 || lookup::BLANKS.contains(b)).count()),
            envp,
            path: environment::get(environment, b"PATH").unwrap_or(DEFAULT_PATH),
            own_root,
            home_of_user: (own_root || spec.user.is_some())
                && !spec.unset_env.contains(&"HOME")
                && environment::get(environment, b"HOME").is_none(),
        }
    }
}

/// The environment of the command: the caller's variables, or with a root of its own those that every program expects; then
/// those of `--env-file`, then those of `-e`.
pub fn environment(
    spec: &Spec,
    host: &Host,
    own_root: bool,
    hostname: &[u8],
    writable: &mut Writable,
) -> Result<Vec<&'static CStr>> {
    let mut environment = Environment { caller: host.environment, variables: Vec::new() };
    if own_root {
        environment.set(PATH_ASSIGNMENT)?;
        environment.set(bytes::c_string(&[b"HOSTNAME=", hostname]).to_bytes())?;
        if spec.tty {
            environment.set(b"TERM=xterm")?;
        }
    } else {
        environment.variables = host.environment.to_vec();
        // HOME is that of the user: the child finds it.
        if spec.user.is_some() {
            environment.unset(b"HOME");
        }
    }
    for variable in &spec.listening {
        environment.set(variable.to_bytes())?;
    }
    for name in spec.unset_env {
        environment.unset(name.as_bytes());
    }
    if let Some(dir) = spec.workdir {
        environment.unset(b"PWD");
        if dir.to_bytes().starts_with(b"/") {
            environment.set(bytes::c_string(&[b"PWD=", dir.to_bytes()]).to_bytes())?;
        }
    }
    if !spec.env_files.is_empty() || !spec.env.is_empty() {
        add_variables(&mut environment, spec, writable)?;
    }
    if own_root {
        set_home(&mut environment, spec);
    }
    Ok(environment.variables)
}

/// A command in a root of its own has a HOME. An empty HOME counts as unset, as with docker.
fn set_home(environment: &mut Environment, spec: &Spec) {
    let is_set = environment::get(&environment.variables, b"HOME").is_some_and(|home| !home.is_empty());
    if is_set || spec.unset_env.contains(&"HOME") {
        return;
    }
    environment.unset(b"HOME");
    // With a user, the child finds it.
    if spec.user.is_none() {
        environment.variables.push(c"HOME=/root");
    }
}

/// The environment of a command in a container that runs: that of the container, then `own` variables.
pub fn environment_of_exec(
    spec: &Spec,
    own: &Spec,
    host: &Host,
    variables: &[&'static CStr],
    writable: &mut Writable,
) -> Result<Vec<&'static CStr>> {
    let mut environment = Environment { caller: host.environment, variables: variables.to_vec() };
    if spec.has_own_root() {
        if own.user.is_some() {
            environment.variables.retain(|variable| *variable != c"HOME=/root");
        }
        if own.tty && environment::get(variables, b"TERM").is_none() {
            environment.set(b"TERM=xterm")?;
        }
    }
    add_variables(&mut environment, own, writable)?;
    if spec.has_own_root() {
        set_home(&mut environment, spec);
    }
    Ok(environment.variables)
}

/// Those of `--env-file`, then those of `-e`.
fn add_variables(environment: &mut Environment, spec: &Spec, writable: &mut Writable) -> Result<()> {
    for path in &spec.env_files {
        let known = writable.known(path)?;
        let read = || match known {
            None => sys::read_file(path),
            // What it has led to is what is read.
            Some(_) => {
                let (file, mut content) = (sys::openat2(path, OpenFlags::NONBLOCK)?, Vec::new());
                let status = sys::statx_fd(file.borrow())?;
                writable::check(known, &|| Ok(status), path)?;
                if status.kind() != libc::S_IFREG {
                    return Err(Error::refused(
                        "the container can write there, and it is no plain file:",
                        path.to_bytes(),
                        "",
                    ));
                }
                sys::read_to_end(file.borrow(), &mut content)?;
                Ok(content)
            }
        };
        let file = read().map_err(|e| e.with_hint("--env-file needs a file that can be read"))?;
        environment.set_lines(&file).map_err(|e| e.with_hint(path.to_str().unwrap_or("--env-file")))?;
    }
    for assignment in spec.env {
        environment.set(assignment.as_bytes())?;
    }
    Ok(())
}

step! {
    /// Makes the pipes between the two processes.
    pub struct MakePipes {
        /// The child will send its terminal.
        pub for_terminal: bool,
        /// The child will send the stdin of the command.
        pub for_input: bool,
        /// The child will report what it creates in the root.
        pub for_undo: bool,
        /// The child will note its successor, in memory that both share.
        pub for_successor: bool,
    }
}

impl ParentStep for MakePipes {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let keep = |ends: Result<(Fd, Fd)>, read: &mut Option<Fd>, write: &mut Option<Fd>| {
            ends.map(|ends| (*read, *write) = (Some(ends.0), Some(ends.1)))
        };
        let pipes = &mut parent.pipes;
        keep(sys::pipe2(), &mut pipes.error_read, &mut pipes.error_write)?;
        if self.for_successor {
            parent.child.successor = Some(SharedWords::map()?);
        }
        if self.for_terminal {
            keep(sys::socketpair(), &mut pipes.terminal_receive, &mut pipes.terminal_send)?;
        }
        if self.for_input {
            keep(sys::socketpair(), &mut pipes.input_receive, &mut pipes.input_send)?;
        }
        if self.for_undo {
            keep(sys::socketpair(), &mut pipes.undo_receive, &mut pipes.undo_send)?;
        }
        keep(sys::pipe2(), &mut pipes.command_read, &mut pipes.command_write)
    }
}

step! {
    /// Sends the command: the limits hold, and the child may go on.
    pub struct SendCommand {
        /// The words, each with a NUL after it.
        pub words: &'static [u8],
        /// What follows is up to [`LetGo`].
        pub keeps_pipe: bool,
    }
}

impl ParentStep for SendCommand {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some(pipe) = parent.pipes.command_write.take() else { return Ok(()) };
        let sent = match self.words.len() <= libc::PIPE_BUF {
            true => sys::write_all(pipe.borrow(), self.words).map(|()| true),
            // More than the pipe may hold, and the child may still be busy with a mount that hangs.
            false => send_patiently(parent, pipe.borrow(), self.words),
        };
        match sent.map_err(|e| e.about_text(b"command pipe")) {
            Ok(false) => {
                core::mem::forget(pipe);
                Ok(())
            }
            Ok(true) if self.keeps_pipe => {
                parent.go = Some(pipe);
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

step! {
    /// Closes the pipe of the command: that lets it go.
    pub struct LetGo;
}

impl ParentStep for LetGo {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        drop(parent.go.take());
        Ok(())
    }
}

/// Sends all of it. `Ok(false)`: a signal asks for the end first.
fn send_patiently(parent: &mut Parent, pipe: FdRef, mut message: &[u8]) -> Result<bool> {
    sys::set_nonblocking(pipe)?;
    while !message.is_empty() {
        match sys::write_now(pipe, message)? {
            Some(n) => message = message.get(n..).unwrap_or_default(),
            None if parent.await_ready(pipe, true)? => {}
            None => return Ok(false),
        }
    }
    Ok(true)
}

step! {
    /// Closes the ends that are the parent's.
    ///
    /// As long as the child has copies, it does not see the parent close them.
    pub struct CloseParentsEnds;
}

impl ChildStep for CloseParentsEnds {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let pipes = &mut child.pipes;
        let parents = [
            &mut pipes.command_write,
            &mut pipes.error_read,
            &mut pipes.terminal_receive,
            &mut pipes.input_receive,
            &mut pipes.undo_receive,
        ];
        parents.into_iter().for_each(|end| drop(end.take()));
        Ok(())
    }
}

step! {
    /// Waits for the command: when it comes, the limits hold.
    pub struct ReceiveCommand;
}

impl ChildStep for ReceiveCommand {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let pipe = child.pipes.command_read.as_ref().ok_or_else(|| missing("command pipe"))?;
        let mut filled = 0;
        while let Some(room) = child.words.get_mut(filled..).filter(|room| !room.is_empty()) {
            match sys::read(pipe.borrow(), room).map_err(|e| e.about_text(b"command pipe"))? {
                // The parent has ended, and with it the reason to go on.
                0 => sys::exit_group(125),
                n => filled += n,
            }
        }
        Ok(())
    }
}

step! {
    /// Lets only the three streams, and what --preserve-fds passes, reach the command.
    pub struct CloseDescriptors {
        /// The first that is not to reach it.
        pub first: i32,
    }
}

impl ChildStep for CloseDescriptors {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        match sys::close_range(self.first, i32::MAX, CloseRangeFlags::CLOEXEC) {
            // Before Linux 5.11, which marks none, all are closed but that one, which is close-on-exec from birth.
            Err(e) if e.is(Errno::EINVAL) => {
                let error_pipe = child.pipes.error_write.as_ref().map(Fd::borrow);
                sys::close_all_but(self.first, error_pipe.as_slice())
            }
            other => other,
        }
    }
}

step! {
    /// Becomes the command; a name without a slash is looked up in PATH.
    pub struct Execute {
        /// The command, but for its words.
        pub command: &'static Slot<Command>,
    }
}

impl ChildStep for Execute {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let words: &'static [u8] = core::mem::take(&mut child.words).leak();
        let mut command = self.command.take().ok_or_else(|| missing("environment"))?;
        if command.home_of_user
            && let Ok(home) = CStr::from_bytes_until_nul(core::mem::take(&mut child.user.home).leak())
        {
            command.envp.push(home);
        }
        if child.is_rehearsal {
            // Only the run itself finds out which directory of PATH has the file.
            command.path = b"";
        }
        lookup::exec(words, &mut command).map_or(Ok(()), Err::<(), Error>)
    }
}
