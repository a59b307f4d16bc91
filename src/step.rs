//! A step of a run: what it is for, and what it does. The parent's steps and the child's are different types, so that a step
//! in the wrong list does not compile; what they share lives here.
//!
//! A step is declared with [`step!`](crate::step!): the first line of its documentation is what `--dry-run`, `--trace` and
//! `--step` say that it is for.

use crate::bytes::{self, Address};
use crate::error::{Error, Result};
use crate::sys::{self, Dir, Fd, FdRef, Loop, Pid, Poll, Ready, SharedWords, SigSet, SocketAddress};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;

/// What a step is for.
pub trait Step {
    /// One line.
    fn purpose() -> &'static str
    where
        Self: Sized;

    /// Whether a run goes on where it fails: the user has not asked for it, or this kernel does not have it.
    fn may_fail(&self) -> bool
    where
        Self: Sized;
}

/// A step of mydocker itself, up to the moment when the command is let go.
pub trait ParentStep: Step {
    /// Carries it out.
    fn carry_out(&self, parent: &mut Parent) -> Result<()>;
}

/// A step of the process that becomes the command. It cannot panic, and allocates little: see `process::child`.
pub trait ChildStep: Step {
    /// Carries it out.
    fn carry_out(&self, child: &mut Child) -> Result<()>;
}

/// A step in its place.
pub struct Listed<S: ?Sized + 'static> {
    /// The step.
    pub step: &'static S,
    /// What it is for.
    pub purpose: &'static str,
    /// A run goes on where it fails.
    pub may_fail: bool,
}

/// The steps of one process, in the order in which they are carried out.
pub struct Steps<S: ?Sized + 'static>(Vec<Listed<S>>);

impl<S: ?Sized> Default for Steps<S> {
    fn default() -> Self {
        Steps(Vec::new())
    }
}

/// Adds a step at the end of a list. The steps of all types share this function.
trait Grow<S: ?Sized> {
    fn push(&mut self, step: &'static S, purpose: &'static str, may_fail: bool);
}

impl<S: ?Sized> Grow<S> for Steps<S> {
    fn push(&mut self, step: &'static S, purpose: &'static str, may_fail: bool) {
        self.0.push(Listed { step, purpose, may_fail });
    }
}

/// The whole list. It stays until the process ends.
impl<S: ?Sized> From<Steps<S>> for &'static [Listed<S>] {
    fn from(steps: Steps<S>) -> Self {
        steps.0.leak()
    }
}

/// A list that takes steps of the type `X`.
pub trait List<X> {
    /// Adds a step at the end.
    fn add(&mut self, step: X);
}

impl<X: ParentStep + 'static> List<X> for Steps<dyn ParentStep> {
    fn add(&mut self, step: X) {
        let may_fail = step.may_fail();
        self.push(Box::leak(Box::new(step)), X::purpose(), may_fail);
    }
}

impl<X: ChildStep + 'static> List<X> for Steps<dyn ChildStep> {
    fn add(&mut self, step: X) {
        let may_fail = step.may_fail();
        self.push(Box::leak(Box::new(step)), X::purpose(), may_fail);
    }
}

/// Declares a step: a structure, with what it is for as the first line of its documentation.
///
/// Where it may fail, a line behind the structure says when: `may_fail |step| !step.group.explicit`.
#[macro_export]
macro_rules! step {
    (#[doc = $purpose:literal] $(#[$more:meta])*
     pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: $type:ty,)* } $(may_fail |$step:pat_param| $when:expr)?) => {
        #[doc = $purpose]
        $(#[$more])*
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }
        $crate::step!(@step $name $purpose $(|$step| $when)?);
    };
    (#[doc = $purpose:literal] $(#[$more:meta])* pub struct $name:ident; $(may_fail |$step:pat_param| $when:expr)?) => {
        #[doc = $purpose]
        $(#[$more])*
        pub struct $name;
        $crate::step!(@step $name $purpose $(|$step| $when)?);
    };
    (@step $name:ident $purpose:literal) => {
        $crate::step!(@step $name $purpose |_| false);
    };
    (@step $name:ident $purpose:literal |$step:pat_param| $when:expr) => {
        impl $crate::step::Step for $name {
            fn purpose() -> &'static str {
                const { $crate::step::title($purpose) }
            }

            fn may_fail(&self) -> bool {
                let $step = self;
                $when
            }
        }
    };
}

/// A line of documentation without the space after its slashes, and without its full stop.
pub const fn title(doc: &'static str) -> &'static str {
    let line = doc.trim_ascii();
    match line.as_bytes() {
        [.., b'.'] => line.split_at(line.len() - 1).0,
        _ => line,
    }
}

/// The ends of the pipes and sockets between the two processes. After clone each process has all of them, until it has closed
/// those of the other.
#[derive(Default)]
pub struct Pipes {
    /// The parent reads why the command was not executed; the end of file says that it was.
    pub error_read: Option<Fd>,
    /// The child's end of it.
    pub error_write: Option<Fd>,
    /// The child reads the command, and with it the word to go.
    pub command_read: Option<Fd>,
    /// The parent's end of it.
    pub command_write: Option<Fd>,
    /// With `-t`: the parent receives the container's terminal.
    pub terminal_receive: Option<Fd>,
    /// The child's end of it.
    pub terminal_send: Option<Fd>,
    /// With a file as stdin: the parent receives the command's.
    pub input_receive: Option<Fd>,
    /// The child's end of it.
    pub input_send: Option<Fd>,
    /// With a root that is written to: the parent receives what the child has created in it.
    pub undo_receive: Option<Fd>,
    /// The child's end of it.
    pub undo_send: Option<Fd>,
}

impl Pipes {
    /// The ends as the child would have them, where calls are recorded and there is no child.
    pub fn rehearsed(&self) -> Pipes {
        let copy = |end: &Option<Fd>| end.as_ref().map(Fd::rehearsed);
        Pipes {
            error_read: copy(&self.error_read),
            error_write: copy(&self.error_write),
            command_read: copy(&self.command_read),
            command_write: copy(&self.command_write),
            terminal_receive: copy(&self.terminal_receive),
            terminal_send: copy(&self.terminal_send),
            input_receive: copy(&self.input_receive),
            input_send: copy(&self.input_send),
            undo_receive: copy(&self.undo_receive),
            undo_send: copy(&self.undo_send),
        }
    }

    /// Closes the child's ends: as long as the parent has copies, it does not see the child close them.
    pub fn close_childs(&mut self) {
        let childs = [
            &mut self.error_write,
            &mut self.command_read,
            &mut self.terminal_send,
            &mut self.input_send,
            &mut self.undo_send,
        ];
        childs.into_iter().for_each(|end| drop(end.take()));
    }
}

/// What the steps of the parent share.
pub struct Parent {
    /// Its ends of the pipes.
    pub pipes: Pipes,
    /// Where it reads its signals, all of which are blocked.
    pub signals: Option<Fd>,
    /// The signals that ask for the end, without those that the caller ignores.
    pub ending: SigSet,
    /// The child, once there is one.
    pub pid: Option<Pid>,
    /// The child is not let go any more: it waits for its command until it is killed.
    pub is_held: bool,
    /// The pipe of the command, whose end lets it go where the command alone does not.
    pub go: Option<Fd>,
    /// What the child has reported that it has created: the name, and the directory that it is in.
    pub created: Vec<(Rc<Fd>, &'static CStr)>,
    /// The file of `--pid-file`.
    pub pid_file: Option<Fd>,
    /// The file of `--cidfile`, once that is written.
    pub cid_file: Option<(Dir, &'static CStr)>,
    /// The file of `--stats`.
    pub stats_file: Option<Fd>,
    /// The folder of all records, for its hosts file.
    pub records: Option<Dir>,
    /// The number of the bridge that it has made.
    pub bridge: u32,
    /// The address of the container on its bridge.
    pub address: Option<Address>,
    /// The socket that its packet filter belongs to.
    pub filter: Option<Fd>,
    /// The slirp4netns that connects it, or the guard of a pasta, which ends when this end of a pipe is closed.
    pub slirp: Option<(Pid, Fd)>,
    /// Where its names are.
    pub hosts_file: Option<HostsFile>,
    /// Its published ports, as docker shows them.
    pub ports: Vec<u8>,
    /// The sockets of these ports, until the relay has them.
    pub listeners: Vec<Listener>,
    /// The relay, once it is started.
    pub relay: Option<Pid>,
    /// What removes its bridge if mydocker is killed, by the end of a pipe.
    pub guard: Option<(Pid, Fd, Fd)>,
    /// Its record, if it has a name.
    pub record: Option<Held>,
    /// Warnings that nobody reads yet: they are printed at the end.
    pub unsaid: Vec<Error>,
    /// What the child starts with: it has a copy of it.
    pub child: Child,
    /// Where it starts.
    pub child_main: fn(&mut Child) -> !,
}

impl Parent {
    /// Prints a warning; where that has to wait for a reader, at the end.
    pub fn warn(&mut self, warning: Error) {
        self.unsaid.extend(sys::say_now(warning).err());
    }

    /// Waits until `fd` can be read, or with `write` written to. `Ok(false)`: a signal asks for the end first. Then the child is
    /// not let go any more: it waits until it is killed. Meanwhile it takes the reports of what is created in the root: the child
    /// waits where their socket is full.
    pub fn await_ready(&mut self, fd: FdRef, write: bool) -> Result<bool> {
        // An earlier wait has taken that signal.
        if self.is_held {
            return Ok(false);
        }
        if let Some(stops) = self.child.stops {
            stops.turn_to_child();
        }
        loop {
            let reports = self.pipes.undo_receive.as_ref().map(Fd::borrow);
            match sys::await_ready(self.ending, Poll::new(Some(fd), !write, write), reports)? {
                Ready::Other => self.take_report(),
                Ready::Ending if !self.child.is_rehearsal => {
                    self.hold();
                    return Ok(false);
                }
                _ => return Ok(true),
            }
        }
    }

    /// Keeps the pipe of the command open, and sends nothing.
    pub fn hold(&mut self) {
        self.is_held = true;
        core::mem::forget((self.pipes.command_write.take(), self.go.take()));
    }

    /// Takes the next report of what the child has created. At the end of them the socket is closed.
    pub fn take_report(&mut self) {
        let Some(reports) = &self.pipes.undo_receive else { return };
        // A name has 255 bytes at most, and a NUL.
        let mut name = [0u8; 256];
        let dir = match sys::receive_fd(reports.borrow(), &mut name) {
            Ok(Some(dir)) => dir,
            Ok(None) => return self.pipes.undo_receive = None,
            // The child can go on as long as the socket is open.
            Err(_) => return core::mem::forget(self.pipes.undo_receive.take()),
        };
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        // What is created one after the other is often in one directory: it is kept open once.
        let dir = match self.created.last() {
            Some((last, _)) if is_same(last, &dir) => last.clone(),
            _ => Rc::new(dir),
        };
        self.created.push((dir, bytes::c_string(&[name.to_bytes()])));
    }
}

fn is_same(a: &Fd, b: &Fd) -> bool {
    matches!((sys::statx_fd(a.borrow()), sys::statx_fd(b.borrow())), (Ok(a), Ok(b)) if a.identity() == b.identity())
}

/// Where the hosts file of a container on a bridge is.
pub struct HostsFile {
    /// The folder of all records.
    pub records: Dir,
    /// The name of the folder of the bridge in it.
    pub bridge: &'static CStr,
    /// That folder. It stays as long as the container's is in it.
    pub folder: Dir,
    /// The folder in that one with the file of this container, which shares its lock.
    pub own: Dir,
    /// The name of that folder.
    pub name: &'static CStr,
    /// What the file begins with.
    pub text: Vec<u8>,
    /// Another container has one of its names: its line is to stand before those of others.
    pub is_apart: bool,
    /// The number of the host's end of its pair of interfaces, once it has told its names.
    pub interface: Option<u32>,
}

/// A record that is held: the folder of all records, its name, and its own folder, locked.
pub type Held = (Dir, &'static CStr, Dir);

/// A port of the host, and where it leads to.
pub struct Listener {
    /// Where it listens.
    pub socket: Fd,
    /// Where it connects to, in the network of the container: the first that answers.
    pub targets: Vec<SocketAddress>,
    /// It is for UDP.
    pub datagrams: bool,
}

/// What the steps of the child share.
pub struct Child {
    /// What it does, in this order.
    pub steps: &'static [Listed<dyn ChildStep>],
    /// Calls are recorded, and there is no child.
    pub is_rehearsal: bool,
    /// With `--step`: called before each of them.
    pub stops: Option<&'static dyn Stop>,
    /// Where it notes the process that goes on in its place, in the PID namespace of a container that runs.
    pub successor: Option<SharedWords>,
    /// It is that process: others there can write to its pipes.
    pub has_appeared: bool,
    /// Its ends of the pipes.
    pub pipes: Pipes,
    /// It was born in its cgroup on v2, and need not join it.
    pub born_in_cgroup: bool,
    /// The image that is its root, behind a loop device.
    pub image: Option<Loop>,
    /// The old root is mounted on top of the new one.
    pub old_root_on_top: bool,
    /// The /proc of the container whose PID namespace it joins, mounted nowhere yet.
    pub proc: Option<Fd>,
    /// The host's /proc, where that other one is mounted, which shows no `self` to this process.
    pub outer_proc: Option<Fd>,
    /// /proc, /sys and /dev of a root of its own.
    pub own: Own,
    /// The working directory is entered when the process has become the user.
    pub workdir_is_users: bool,
    /// The user to run as.
    pub user: User,
    /// The side of its terminal that programs see.
    pub terminal: Option<Fd>,
    /// The words of the command, each with a NUL after it, once they have come down the pipe. The parent has made room for them.
    pub words: Vec<u8>,
}

/// /proc, /sys and /dev of a root of its own: first the directories, and then what has been mounted on them. Whoever can write
/// to the root can give these names to something else at any moment, so they are opened once.
#[derive(Default)]
pub struct Own {
    /// /proc.
    pub proc: Option<Fd>,
    /// /sys.
    pub sys: Option<Fd>,
    /// /dev.
    pub dev: Option<Fd>,
}

/// Whom the command runs as: root by default.
#[derive(Default)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The supplementary groups. The parent has made room for as many as there may be.
    pub groups: Vec<u32>,
    /// `HOME=...` with a NUL after it. The parent has made room for a path.
    pub home: Vec<u8>,
}

/// `--step`: asks the user before each step.
pub trait Stop {
    /// The child exists.
    fn child_is(&self, pid: Pid);
    /// The parent waits for the child, or has no more steps: up to here the child's steps wait, so that the order is always the same.
    fn turn_to_child(&self);

    /// Asks whether to carry out the step `at`, from 1 on, of the process `who`.
    fn before(&self, who: &'static str, at: usize, purpose: &'static str) -> Result<()>;
}

/// What an earlier step was to leave: it stands before this one in the plan. A step that did nothing without it would go unnoticed.
pub fn missing(what: &'static str) -> Error {
    Error::refused("mydocker itself is wrong: no earlier step has left the", what.as_bytes(), "")
}

/// What one step leaves for a later one.
pub type Slot<T> = Cell<Option<T>>;
