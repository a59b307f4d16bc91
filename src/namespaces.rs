//! Which namespaces are new, and the clone that makes them. Sources: namespaces(7), clone(2).

use crate::cgroup::directory;
use crate::cgroup::{Group, Version};
use crate::error::{Errno, Error, Result};
use crate::step::{Child, ChildStep, Parent, ParentStep, missing};
use crate::sys::{self, CloneFlags, Fd, FdRef, Loop, OpenFlags, Pid, Place, Stack, magic};
use core::ffi::CStr;
use core::mem;

step! {
    /// Becomes the parent of orphans.
    ///
    /// Without a PID namespace there is no PID 1 whose end would end the other processes of the container.
    pub struct AdoptOrphans;
}

impl ParentStep for AdoptOrphans {
    fn carry_out(&self, _: &mut Parent) -> Result<()> {
        sys::set_child_subreaper()
    }
}

step! {
    /// Keeps a container with --pid host from looking into this process and the child.
    ///
    /// Their working directory, their root and their open files are the host's (proc_pid_fd(5)). execve makes the command
    /// dumpable again. In a user namespace the files in /proc of a process that is not dumpable are not its owner's, who has to
    /// write its ids there: user_namespaces(7).
    pub struct SetNotDumpable;
}

impl ParentStep for SetNotDumpable {
    fn carry_out(&self, _: &mut Parent) -> Result<()> {
        sys::set_not_dumpable()
    }
}

step! {
    /// Makes the child, in new namespaces.
    ///
    /// The child has a copy of all that the parent has: what it needs is in [`Parent::child`]. On v2 it is born in its
    /// cgroup, where the kernel (Linux 5.7) and the filters around mydocker allow that.
    pub struct CloneChild {
        /// The namespaces.
        pub flags: CloneFlags,
        /// Its groups.
        pub groups: &'static [&'static Group],
    }
}

impl ParentStep for CloneChild {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let stack = Stack::map()?;
        mem::swap(&mut parent.pipes, &mut parent.child.pipes);
        let v2 = self.groups.iter().find(|group| group.hierarchy.version == Version::V2);
        let pid = match v2.and_then(|group| group.dir()).map(|dir| self.clone_into(parent, &stack, dir.fd())) {
            Some(Ok(Some(pid))) => Ok(pid),
            Some(Err(e)) => Err(e),
            Some(Ok(None)) | None => {
                parent.child.born_in_cgroup = false;
                sys::clone(self.flags, None, &stack, parent.child_main, &mut parent.child)
            }
        };
        mem::swap(&mut parent.pipes, &mut parent.child.pipes);
        let pid = pid?;
        parent.pid = Some(pid);
        if let Some(stops) = parent.child.stops {
            stops.child_is(pid);
        }
        let is_rehearsal = parent.child.is_rehearsal;
        let for_rehearsal =
            is_rehearsal.then(|| (parent.pipes.rehearsed(), parent.child.image.as_ref().map(Loop::rehearsed)));
        parent.pipes.close_childs();
        // The child mounts the image, and the mount holds the loop device.
        drop(parent.child.image.take());
        if let Some((pipes, image)) = for_rehearsal {
            (parent.child.pipes, parent.child.image) = (pipes, image);
        }
        Ok(())
    }
}

impl CloneChild {
    /// clone3 into the v2 group. `None`: it cannot be done here, and the child is to join its group itself.
    fn clone_into(&self, parent: &mut Parent, stack: &Stack, cgroup: FdRef) -> Result<Option<Pid>> {
        parent.child.born_in_cgroup = true;
        match sys::clone(self.flags, Some(cgroup), stack, parent.child_main, &mut parent.child) {
            // The kernel is older than Linux 5.7, or there is a filter around mydocker.
            Err(e) if e.is_one_of(&[Errno::ENOSYS, Errno::E2BIG, Errno::EINVAL, Errno::EOPNOTSUPP]) => Ok(None),
            // The group could be created, but not entered: that takes write access to the common ancestor (cgroups(7)).
            Err(e) if e.is(Errno::EACCES) && self.groups.iter().any(|group| group.explicit) => {
                Err(directory::explain(e, Version::V2))
            }
            Err(e) if e.is(Errno::EACCES) => Ok(None),
            other => other.map(Some),
        }
    }
}

step! {
    /// Copies the mounts of this host: what it mounts and changes before it enters the container is its own.
    pub struct CopyMounts;
}

impl ChildStep for CopyMounts {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::unshare(CloneFlags::NEWNS)
    }
}

step! {
    /// Enters namespaces of the container, in one call.
    ///
    /// Its root and its working directory become the root of the container. The PID namespace is only for its children: [`Appear`].
    pub struct JoinNamespaces {
        /// The first process of the container.
        pub process: FdRef<'static>,
        /// The namespaces.
        pub flags: CloneFlags,
    }
}

impl ChildStep for JoinNamespaces {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::setns(self.process, self.flags).map_err(explain_end)
    }
}

/// The root of a container that has none of its own: that of its mydocker, which may have been started in a chroot.
pub struct NotedRoot {
    /// The root of its first process. It may have changed that, within what it can reach.
    pub way: Fd,
    /// Which one it is.
    pub noted: Place,
}

/// How many directories may lie between the root of a process and the top of the mounts.
const DEEPEST: usize = 4096;

impl NotedRoot {
    /// Enters it from the top of its mounts, where setns(2) leads.
    fn enter(&self, name: &CStr, is_rehearsal: bool) -> Result<()> {
        let about = |e: Error| e.about(name.to_bytes());
        let (mut place, top) = (sys::place_of(&self.way).map_err(about)?, sys::place_of_root()?);
        if is_rehearsal {
            return Ok(());
        }
        let mut is_found = false;
        let mut above;
        let mut directory = &self.way;
        // From there it lies above. What does not lead to the top is in other mounts.
        for _ in 0..DEEPEST {
            if place == top {
                if is_found {
                    return sys::chroot();
                }
                if top.is_noted(&self.noted) {
                    return Ok(());
                }
                break;
            }
            if place.is_noted(&self.noted) && !is_found {
                sys::fchdir(directory, c"/")?;
                is_found = true;
            }
            above = sys::openat(directory, c"..", OpenFlags::PATH | OpenFlags::DIRECTORY).map_err(about)?;
            directory = &above;
            place = sys::place_of(directory).map_err(about)?;
        }
        let what = "it was started in a chroot, and its first process has left that root:";
        Err(Error::refused(what, name.to_bytes(), "no other way leads there"))
    }
}

step! {
    /// Enters the root of the container, where that is not the top of its mounts.
    ///
    /// Without a root of its own, a container that was started in a chroot has mounts above its root, and setns(2) leads to the top of
    /// them all.
    pub struct EnterItsRoot {
        /// That root.
        pub root: &'static NotedRoot,
        /// The name of the container.
        pub name: &'static CStr,
    }
}

impl ChildStep for EnterItsRoot {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        self.root.enter(self.name, child.is_rehearsal)
    }
}

step! {
    /// Appears in the container, with nothing of the host.
    ///
    /// It is a fork, and another child of the same parent. This process ends.
    ///
    /// With CAP_SYS_PTRACE the container can look into every process in its PID namespace, dumpable or not, and make it do what
    /// it likes. So nothing joins it that still has the host's files, or privileges that the command is not to have.
    pub struct Appear {
        /// The first descriptor that is not to reach the command.
        pub first: i32,
        /// It waits there until the parent lets it go: [`AwaitSuccessor`].
        pub waits: bool,
    }
}

impl ChildStep for Appear {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let successor = child.successor.take().ok_or_else(|| missing("memory that both share"))?;
        // Nobody in the container is to change what is written there.
        successor.keep_from_children()?;
        // They are closed below: by their numbers, with all the others.
        child.stops = None;
        let go = child.pipes.command_read.as_ref().filter(|_| self.waits);
        let kept = [child.pipes.error_write.as_ref(), go].map(|pipe| pipe.map_or(FdRef::NONE, Fd::borrow));
        sys::close_all_but(self.first, &kept)?;
        if let Some(pid) = sys::fork_beside(successor).map_err(explain_end)? {
            // Where there was no memory for its word, the kernel has not written it.
            successor.set(0, pid.0);
            sys::exit_group(0);
        }
        child.has_appeared = true;
        if let Some(go) = go {
            // The end of the pipe is the word.
            sys::read(go.borrow(), &mut [0])?;
        }
        sys::setsid()?;
        if child.terminal.is_some() { sys::control(FdRef::STDIN) } else { Ok(()) }
    }
}

step! {
    /// Waits for the process that the child leaves in the other container.
    ///
    /// From here on that one is the child. It waits to be let go: what is to know its pid before the command begins comes next.
    pub struct AwaitSuccessor;
}

impl ParentStep for AwaitSuccessor {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let (Some(pid), Some(successor)) = (parent.pid, parent.child.successor) else { return Ok(()) };
        let process = sys::pidfd_open(pid)?;
        // The child may be busy with a mount that hangs.
        if !parent.await_ready(process.borrow(), false)? {
            return Ok(());
        }
        let successor = if parent.child.is_rehearsal { pid } else { Pid(successor.get(0)) };
        // A child that has failed has said why.
        if successor.0 != 0 {
            parent.pid = Some(successor);
            parent.child.has_appeared = true;
            sys::wait4(pid, true)?;
        }
        Ok(())
    }
}

step! {
    /// Joins the processes of another container, and takes a copy of its /proc.
    ///
    /// Only what this process leaves there in its place is seen there: setns(2), [`Appear`]. A new /proc shows the PID namespace of
    /// the process that mounts it, proc(5); and a process that still can mount is not to be seen there.
    pub struct JoinProcesses {
        /// The directory of the first process of that container in /proc.
        pub process: &'static CStr,
        /// The name of the container.
        pub name: &'static CStr,
        /// Which root it has, if that is its mydocker's.
        pub noted: Option<Place>,
        /// Later steps need /proc/self, which that /proc does not have: the outer one stays open.
        pub keeps_outer: bool,
    }
}

impl ChildStep for JoinProcesses {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let open = |path| sys::open(path, OpenFlags::PATH);
        let (root, directory, process) = (open(c"/")?, open(c".")?, open(self.process)?);
        let own = sys::open(c"/proc/self/ns/mnt", OpenFlags::NONE)?;
        let its_root = match self.noted {
            Some(noted) => Some(NotedRoot { way: sys::openat(&process, c"root", OpenFlags::PATH)?, noted }),
            None => None,
        };
        if self.keeps_outer {
            child.outer_proc = Some(open(c"/proc")?);
        }
        for (file, kind) in [(c"ns/pid", CloneFlags::NEWPID), (c"ns/mnt", CloneFlags::NEWNS)] {
            let namespace = sys::openat(&process, file, OpenFlags::NONE).map_err(|e| {
                e.about(self.name.to_bytes()).hint_for(&[
                    (Errno::EACCES, ONLY_ITS_ROOT),
                    (Errno::EPERM, ONLY_ITS_ROOT),
                    (Errno::ENOENT, "the container has ended"),
                ])
            })?;
            enter(&namespace, self.name, kind)?;
        }
        if let Some(its_root) = its_root {
            its_root.enter(self.name, child.is_rehearsal)?;
        }
        // Without what is mounted below it.
        let proc = sys::open_tree_of_file(c"/proc")?;
        sys::setns(own.borrow(), CloneFlags::NEWNS)?;
        // setns leads to the top of all mounts: whoever starts mydocker in a chroot is below that.
        sys::fchdir(&root, c"/")?;
        sys::chroot()?;
        sys::fchdir(&directory, c".")?;
        // The container may have mounted something else there.
        if sys::filesystem(proc.borrow())? != magic::PROC && !child.is_rehearsal {
            return Err(Error::refused("no --pid container:", self.name.to_bytes(), "it has no /proc"));
        }
        child.proc = Some(proc);
        Ok(())
    }
}

step! {
    /// Joins the namespace that a file stands for: setns(2).
    pub struct JoinNamespace {
        /// The file, such as /run/netns/NAME or /proc/PID/ns/net.
        pub path: &'static CStr,
        /// The word that the user knows it by.
        pub word: &'static CStr,
        /// Its kind.
        pub kind: CloneFlags,
    }
}

impl ChildStep for JoinNamespace {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        join(self.path, self.word, self.kind)
    }
}

fn join(path: &'static CStr, word: &'static CStr, kind: CloneFlags) -> Result<()> {
    // It may be a FIFO, which open(2) would wait for.
    let namespace = sys::open(path, OpenFlags::NONBLOCK).map_err(|e| e.about(word.to_bytes()))?;
    enter(&namespace, word, kind)
}

/// setns(2) into the namespace that the user knows by `word`.
pub fn enter(namespace: &Fd, word: &CStr, kind: CloneFlags) -> Result<()> {
    sys::setns(namespace.borrow(), kind).map_err(|e| {
        e.about(word.to_bytes()).hint_for(&[
            // Only the user's word can be a file of another kind.
            (Errno::EINVAL, "it is no network namespace"),
            (Errno::EPERM, ONLY_ITS_ROOT),
        ])
    })
}

const ONLY_ITS_ROOT: &str = "without root no other container may join it; mydocker exec runs a command in it";

fn explain_end(error: Error) -> Error {
    error.hint_for(&[
        (Errno::ESRCH, "the container has ended"),
        // clone(2) into its PID namespace.
        (Errno::ENOMEM, "the container has ended"),
        (Errno::EINVAL, "setns with a descriptor of a process needs Linux 5.8"),
    ])
}

step! {
    /// Sets the hostname of its UTS namespace.
    pub struct SetHostname {
        /// The name.
        pub name: &'static str,
    }
}

impl ChildStep for SetHostname {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::sethostname(self.name.as_bytes())
    }
}
