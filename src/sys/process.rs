//! Processes: fork(2), wait(2), execve(2), unshare(2), CPU times.

use super::cred::Pid;
use super::fd::{Fd, FdRef, Poll};
use super::flags::{CloneFlags, IdType, Resource, SigSet, SignalNumber, Usage, WaitOptions};
use super::gate::About::{Path, Text};
use super::gate::{Int, Null, Object, Outcome, Print, SigInfo, StringsAt, call};
use super::heap::SharedWords;
use super::signal::{self, Ready};
use super::time::nanosleep;
use super::{record, trace};
use crate::bytes::{Put, to_decimal};
use crate::error::{Errno, Error, Result};
use ::alloc::vec::Vec;
use core::ffi::{CStr, c_char};

/// getpid(2).
pub fn getpid() -> Pid {
    // SAFETY: the call takes nothing, and cannot fail
    Pid(unsafe { call!(getpid()) }.result().map_or(0, |pid| pid as i32))
}

/// setsid(2): this process leads a new session, and in it a new process group, and has no controlling terminal.
pub fn setsid() -> Result<()> {
    // SAFETY: the call takes nothing
    unsafe { call!(setsid()) }.result().map(drop)
}

/// setpgid(2): a child that has not executed a program yet leads a new process group.
pub fn lead_group(child: Pid) -> Result<()> {
    // SAFETY: the call takes numbers; the group 0 is that of the number of the process
    unsafe { call!(setpgid(child.0, 0)) }.result().map(drop)
}

/// clone(2) as fork(2) has it: the child goes on with a copy of the stack, in new `namespaces`. `None` in the child.
pub fn fork(namespaces: CloneFlags) -> Result<Option<Pid>> {
    // SAFETY: without CLONE_VM and with a null stack the child returns on its own copy of everything
    let pid =
        unsafe { call!(clone(namespaces | CloneFlags::SIGCHLD, Null)) }.result().map_err(super::clone::explain)?;
    Ok((pid != 0).then_some(Pid(pid as i32)))
}

/// The same, as another child of this process's parent. Its pid is in word 0 of `words` before it begins.
pub fn fork_beside(words: SharedWords) -> Result<Option<Pid>> {
    let flags = CloneFlags::PARENT | CloneFlags::PARENT_SETTID | CloneFlags::SIGCHLD;
    // SAFETY: as in `fork`; the kernel writes a word of a mapping that is ours and that nobody unmaps
    let pid = unsafe { call!(clone(flags, Null, words.address())) }.result().map_err(super::clone::explain)?;
    Ok((pid != 0).then_some(Pid(pid as i32)))
}

/// Runs `become_program` in a child, which executes another program there and returns only if that fails; waits for its
/// end. `None`: one of the `ending` signals, which are blocked, came first, and the child has been killed. Where calls are
/// recorded, so are those of the child.
pub fn spawn(ending: SigSet, become_program: impl FnOnce()) -> Result<Option<Wait>> {
    match fork(CloneFlags::NONE)? {
        None => {
            become_program();
            exit_group(127)
        }
        Some(_) if record::is_on() => {
            become_program();
            Ok(Some(Wait::Exited(0)))
        }
        Some(pid) => {
            let has_ended = pidfd_open(pid).and_then(|process| {
                let process = Poll::new(Some(process.borrow()), true, false);
                signal::await_ready(ending, process, None).map(|ready| ready == Ready::Awaited)
            });
            if !matches!(has_ended, Ok(true)) {
                kill(pid, libc::SIGKILL)?;
            }
            let ended = wait4(pid, true)?;
            trace::show_execve();
            has_ended.map(|has_ended| ended.filter(|_| has_ended))
        }
    }
}

/// How a process has ended, as wait(2) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It has called exit with this status, 0 to 255.
    Exited(i32),
    /// This signal has ended it.
    Signaled(i32),
}

/// wait4(2), waiting until the child has ended or, without `wait`, only looking.
pub fn wait4(pid: Pid, wait: bool) -> Result<Option<Wait>> {
    wait_for(pid, wait).map(|ended| ended.map(|(_, how)| how))
}

/// wait4(2) for any child: which one, and how it has ended.
pub fn wait_any(wait: bool) -> Result<Option<(Pid, Wait)>> {
    wait_for(Pid(-1), wait)
}

fn wait_for(pid: Pid, wait: bool) -> Result<Option<(Pid, Wait)>> {
    let mut status = Int(0);
    let options = if wait { WaitOptions::NONE } else { WaitOptions::NOHANG };
    // SAFETY: the kernel writes one int; a null pointer asks for no usage
    let pid = unsafe { call!(wait4(pid.0, &mut status, options, Null)) }.result()?;
    Ok(match (pid, status.0 & 0x7f) {
        (0, _) => None,
        (pid, 0) => Some((Pid(pid as i32), Wait::Exited(status.0 >> 8 & 0xff))),
        (pid, signal) => Some((Pid(pid as i32), Wait::Signaled(signal))),
    })
}

/// waitid(2) with WNOWAIT: whether a child has stopped or ended. A later wait4 still returns its status.
pub fn has_stopped(child: Pid) -> bool {
    let options = WaitOptions::STOPPED | WaitOptions::EXITED | WaitOptions::NOHANG | WaitOptions::NOWAIT;
    let mut news = SigInfo::EMPTY;
    // SAFETY: the kernel writes one siginfo_t; a null pointer asks for no usage
    let looked = unsafe { call!(waitid(IdType::PID, child.0, &mut news, options, Null)) }.result();
    // If nothing has happened, the signal number stays zero.
    looked.is_err() || news.0[0] != 0
}

/// A list of strings as execve(2) takes them: pointers, and a null pointer at the end. Its memory is allocated before clone, so
/// that the child can fill it without the heap.
pub struct Pointers {
    slots: Vec<*const c_char>,
}

impl Pointers {
    /// Room for `strings`.
    pub fn with_capacity(strings: usize) -> Pointers {
        let mut slots = Vec::with_capacity(strings + 1);
        slots.push(core::ptr::null());
        Pointers { slots }
    }

    /// Forgets the strings, keeps the room.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.slots.push(core::ptr::null());
    }

    /// Adds a string; `false` if there is no room left.
    pub fn push(&mut self, string: &'static CStr) -> bool {
        if self.slots.len() == self.slots.capacity() {
            return false;
        }
        if let Some(end) = self.slots.last_mut() {
            *end = string.as_ptr();
        }
        self.slots.push(core::ptr::null());
        true
    }

    /// How many strings it holds.
    pub fn len(&self) -> usize {
        self.slots.len() - 1
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// execve(2). `None` only where calls are recorded: it would have worked. Else it returns only if it fails.
pub fn execve(path: &CStr, argv: &Pointers, envp: &Pointers) -> Option<Error> {
    // SAFETY: both lists end with a null pointer, and the strings in them are 'static
    unsafe { call!(execve(path, StringsAt(argv.slots.as_ptr()), Environment(envp.slots.as_ptr()))) }
        .about(Path(path))
        .map_err(|e| {
            e.hint_for(&[
                (Errno::EACCES, "no execute permission"),
                (Errno::ENOEXEC, "neither a program for this machine nor a script with a #! line"),
                (Errno::E2BIG, "the arguments and the environment are too long"),
            ])
        })
        .err()
}

/// The environment of execve(2).
struct Environment(*const *const c_char);

impl super::gate::Arg for Environment {
    const SHOW: &'static super::gate::Show = &super::gate::Show::Environment;
    fn reg(&self) -> usize {
        self.0 as usize
    }
}

/// exit_group(2).
pub fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: the call takes a number and does not return
        let _ = unsafe { call!(exit_group(status)) };
    }
}

/// unshare(2).
pub fn unshare(flags: CloneFlags) -> Result<()> {
    // SAFETY: the call takes flags
    unsafe { call!(unshare(flags)) }.result().map(drop).map_err(|e| e.about_text(flags.names().as_bytes()))
}

/// pidfd_open(2): a descriptor of a process, which can be read once the process has ended.
pub fn pidfd_open(pid: Pid) -> Result<Fd> {
    // SAFETY: the call takes a number and no flags
    unsafe { call!(pidfd_open(pid.0, 0u32)) }.result().map(Fd::own)
}

/// setns(2) into the mount namespace that this process is in: its root and its working directory become the top of all mounts,
/// which may lie above the root that it had. `Ok(false)`: this kernel is older than 5.8, and takes no descriptor of a process. The
/// root stays what it is then, and CheckRoot refuses one with mounts above it.
pub fn enter_own_mount_namespace() -> Result<bool> {
    let process = match pidfd_open(getpid()) {
        Err(e) if e.is(Errno::ENOSYS) => return Ok(false),
        other => other?,
    };
    // SAFETY: the call takes an open descriptor and flags
    match unsafe { call!(setns(process.borrow(), CloneFlags::NEWNS)) }.result() {
        Err(e) if e.is(Errno::EINVAL) => Ok(false),
        other => other.map(|_| true),
    }
}

/// sethostname(2).
pub fn sethostname(name: &[u8]) -> Result<()> {
    // SAFETY: the pointer and the length are those of one slice
    unsafe { call!(sethostname(name, name.len())) }.result().map(drop).map_err(|e| e.about(name))
}

/// uname(2): the name of the host.
pub fn hostname() -> Vec<u8> {
    uname(1)
}

/// uname(2): one of its strings; 0 the system, 1 the name of the host, 2 the release, 3 the build, 4 the machine.
pub fn uname(which: usize) -> Vec<u8> {
    // struct new_utsname: six strings of 65 bytes
    let mut names = [0u8; 65 * 6];
    // SAFETY: the kernel fills one struct new_utsname, which the buffer is as large as. It cannot fail.
    let _ = unsafe { call!(uname(names.as_mut_slice())) };
    let name = names.get(65 * which..).unwrap_or_default();
    name.split(|&b| b == 0).next().unwrap_or_default().to_vec()
}

/// struct rlimit64.
#[repr(C)]
struct Limits([u64; 2]);

impl Object for Limits {
    const PRINT: Option<Print> = Some(|bytes, out| {
        let mut name: &[u8] = b"{rlim_cur=";
        for number in bytes.as_chunks::<8>().0 {
            out.put(name);
            match u64::from_ne_bytes(*number) {
                u64::MAX => out.put(b"RLIM64_INFINITY"),
                number => out.put_decimal(number),
            }
            name = b", rlim_max=";
        }
        out.put(b"}");
    });
}

/// prlimit64(2) of this process; [`u64::MAX`] is no limit.
pub fn set_limit(resource: Resource, soft: u64, hard: u64) -> Result<()> {
    // SAFETY: the kernel reads one struct rlimit64, and writes none
    unsafe { call!(prlimit64(0, resource, &Limits([soft, hard]), Null)) }
        .about(Text(resource.name().as_bytes()))
        .map(drop)
}

/// prlimit64(2) of this process: raises the soft limit to `wanted`, or as far as the hard one allows. Returns the soft limit.
pub fn raise_limit(resource: Resource, wanted: u64) -> Result<u64> {
    let mut limits = Limits([0; 2]);
    // SAFETY: the kernel writes one struct rlimit64
    unsafe { call!(prlimit64(0, resource, Null, &mut limits)) }.about(Text(resource.name().as_bytes()))?;
    let Limits([soft, hard]) = limits;
    if soft >= wanted || soft == hard {
        return Ok(soft);
    }
    set_limit(resource, wanted.min(hard), hard).map(|()| wanted.min(hard))
}

/// getppid(2).
pub fn getppid() -> Pid {
    // SAFETY: the call takes nothing, and cannot fail
    Pid(unsafe { call!(getppid()) }.ok().unwrap_or_default() as i32)
}

/// The CPUs that a process may run on: bit n is CPU n.
#[repr(C)]
pub struct CpuMask(pub [u64; 16]);

impl Object for CpuMask {
    const PRINT: Option<Print> = Some(|bytes, out| {
        let mut separator: &[u8] = b"[";
        for cpu in CpuMask::members(bytes) {
            out.put(separator);
            out.put_decimal(cpu);
            separator = b" ";
        }
        out.put(b"]");
    });
}

impl CpuMask {
    /// The numbers of the CPUs in the bytes of a mask.
    pub fn members(bytes: &[u8]) -> impl Iterator<Item = u64> {
        (0..8 * bytes.len())
            .filter(|cpu| bytes.get(cpu / 8).is_some_and(|byte| byte >> (cpu % 8) & 1 == 1))
            .map(|cpu| cpu as u64)
    }
}

/// sched_setaffinity(2) of this thread.
pub fn sched_setaffinity(mask: &CpuMask) -> Result<()> {
    // SAFETY: the kernel reads one mask, of the size that it is told
    unsafe { call!(sched_setaffinity(0, size_of::<CpuMask>(), mask)) }.result().map(drop)
}

/// struct rusage: two struct timeval, of seconds and microseconds, and 14 counters.
#[repr(C)]
struct RUsage([u64; 18]);

impl Object for RUsage {}

/// getrusage(2), RUSAGE_CHILDREN: the time, in microseconds, that children which have been waited for have spent in their
/// own code and in the kernel, each with all that they have waited for themselves.
pub fn cpu_time_of_children() -> [u64; 2] {
    let mut usage = RUsage([0; 18]);
    // SAFETY: the kernel writes one struct rusage. It can fail only for an address that is not ours.
    let _ = unsafe { call!(getrusage(Usage::CHILDREN, &mut usage)) };
    let [user_s, user_us, system_s, system_us, ..] = usage.0;
    [user_s * 1_000_000 + user_us, system_s * 1_000_000 + system_us]
}

/// pidfd_open(2) of a process that may have ended: `None`. Its pid may be the number of a thread by now, which a kernel says in one of
/// two ways; and one that has just ended is to some of them what a thread is.
pub fn pidfd_if_alive(pid: Pid) -> Result<Option<Fd>> {
    match pidfd_open(pid) {
        Err(e) if e.is_one_of(&[Errno::ESRCH, Errno::ENOENT, Errno::EINVAL]) => Ok(None),
        other => other.map(Some),
    }
}

/// pidfd_send_signal(2). That the process has ended is no failure.
pub fn pidfd_send_signal(process: FdRef, signal: i32) -> Result<()> {
    // SAFETY: the call takes an open descriptor and numbers; a null pointer asks for the siginfo of kill(2)
    match unsafe { call!(pidfd_send_signal(process, SignalNumber::from(signal), Null, 0u32)) }.result() {
        Err(e) if !e.is(Errno::ESRCH) => Err(e),
        _ => Ok(()),
    }
}

/// setns(2) into namespaces of a process, or into the one that a file stands for.
pub fn setns(of: FdRef, flags: CloneFlags) -> Result<()> {
    // SAFETY: the call takes an open descriptor and flags
    unsafe { call!(setns(of, flags)) }.result().map(drop).map_err(|e| e.about_text(flags.names().as_bytes()))
}

/// kill(2). That there is no such process any more is no failure.
pub fn kill(pid: Pid, signal: i32) -> Result<()> {
    // SAFETY: the call takes numbers
    sent(pid, unsafe { call!(kill(pid.0, SignalNumber::from(signal))) })
}

/// kill(2) of the process group that `leader` leads.
pub fn kill_group(leader: Pid, signal: i32) -> Result<()> {
    // SAFETY: the call takes numbers
    sent(leader, unsafe { call!(kill(-leader.0, SignalNumber::from(signal))) })
}

/// tgkill(2) of the first thread of a process, which can tell this from kill(2): [`super::Signal::is_from_tgkill`].
pub fn tgkill(pid: Pid, signal: i32) -> Result<()> {
    // SAFETY: the call takes numbers
    sent(pid, unsafe { call!(tgkill(pid.0, pid.0, SignalNumber::from(signal))) })
}

fn sent(pid: Pid, outcome: Outcome) -> Result<()> {
    match outcome.result() {
        Err(e) if !e.is(Errno::ESRCH) => Err(e.about(&to_decimal(pid.0 as u64))),
        _ => Ok(()),
    }
}

/// Asks for a stop with `signal`, and waits until `has_stopped` says so, a second at most: on a busy machine, or in the midst
/// of a vfork(2), a process takes its time.
pub fn stop(pid: Pid, signal: i32, has_stopped: fn(Pid) -> bool) -> Result<()> {
    kill(pid, signal)?;
    for _ in 0..1000 {
        if has_stopped(pid) {
            break;
        }
        nanosleep(1_000_000)?;
    }
    Ok(())
}

/// Stops a child, and then the rest of the group that it leads: one that waits for a child of its vfork(2) cannot stop before
/// that child goes on.
pub fn stop_group(leader: Pid) -> Result<()> {
    stop(leader, libc::SIGSTOP, has_stopped)?;
    kill_group(leader, libc::SIGSTOP)
}
