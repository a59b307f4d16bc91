//! clone(2) and clone3(2), with a child stack of its own. The child returns from the same instruction as the parent, on
//! an empty stack: so the way in is written in assembly and never returns to Rust in the child.

use super::Pid;
use super::flags::{CloneFlags, MapFlags, Prot};
use super::gate::sys;
use super::trace;
use crate::error::{Error, Result, Subject};
use crate::text::Put;
use core::arch::asm;
use core::ffi::c_void;
use syscalls::{Errno, Sysno};

/// Enough for the child's deepest call with a path buffer or two; only touched pages cost anything.
const STACK_SIZE: usize = 128 * 1024;
const GUARD_SIZE: usize = 64 * 1024;

/// The child's stack. Below it lies a guard that cannot be touched: running over ends the child, not its data.
pub struct Stack {
    base: *mut u8,
}

impl Stack {
    /// mmap(2), and mprotect(2) for the guard. It is never unmapped: in the parent its pages are never touched.
    pub fn map() -> Result<Stack> {
        let prot = Prot::READ | Prot::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::STACK | MapFlags::NORESERVE;
        // SAFETY: a new mapping, at an address that the kernel chooses
        let base =
            unsafe { sys!(mmap(0usize, STACK_SIZE + GUARD_SIZE, prot, flags, -1, 0usize)) }.of(b"child stack")?;
        // SAFETY: the lowest pages of the mapping just made, which nothing refers to yet
        unsafe { sys!(mprotect(base, GUARD_SIZE, Prot::NONE)) }.of(b"guard of the child stack")?;
        Ok(Stack { base: base as *mut u8 })
    }
}

/// What the child starts with, on its own copy of the parent's memory.
struct Start<'a, T> {
    entry: fn(&mut T) -> !,
    state: &'a mut T,
}

extern "C" fn start<T>(start: *mut c_void) -> ! {
    // SAFETY: `clone` below passes a Start<T> of its own frame, and that frame is part of the child's copied memory
    let start = unsafe { &mut *start.cast::<Start<T>>() };
    (start.entry)(start.state)
}

/// struct clone_args of <linux/sched.h>, up to `cgroup` (CLONE_ARGS_SIZE_VER2, Linux 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A child in new namespaces, on `stack`; it runs `entry(state)` on its copy of the memory. With `into`, the descriptor of
/// a cgroup's directory, it is born there (clone3); ENOSYS, E2BIG and EINVAL then mean a kernel or a filter that cannot, and the caller falls back.
pub fn clone<T>(
    flags: CloneFlags,
    into: Option<i32>,
    stack: &Stack,
    entry: fn(&mut T) -> !,
    state: &mut T,
) -> Result<Pid> {
    let mut what: Subject = flags.names();
    let mut start_with = Start { entry, state };
    let argument = core::ptr::from_mut(&mut start_with).cast();
    let bottom = stack.base as usize + GUARD_SIZE;
    let (call, pid) = match into {
        None => {
            let flags = flags.bits() as usize | libc::SIGCHLD as usize;
            // SAFETY: the stack is ours, and the child gets a copy of everything else
            ("clone", unsafe { raw_clone(Sysno::clone, flags, bottom + STACK_SIZE, start::<T>, argument) })
        }
        Some(cgroup) => {
            what.put(b"|CLONE_INTO_CGROUP");
            let args = CloneArgs {
                flags: (flags | CloneFlags::INTO_CGROUP).bits(),
                exit_signal: libc::SIGCHLD as u64,
                stack: bottom as u64,
                stack_size: STACK_SIZE as u64,
                cgroup: cgroup as u64,
                ..Default::default()
            };
            let pointer = core::ptr::from_ref(&args) as usize;
            // SAFETY: as above; `args` has the size that is passed and outlives the call
            ("clone3", unsafe { raw_clone(Sysno::clone3, pointer, size_of_val(&args), start::<T>, argument) })
        }
    };
    trace::show_clone(call, flags | CloneFlags::SIGCHLD, pid);
    match Errno::from_ret(pid) {
        Ok(pid) => Ok(Pid(pid as i32)),
        Err(errno) => Err(Error::call(call, errno, &what)),
    }
}

/// Makes the call with two arguments, the rest zero (so that it does not matter in which order an architecture takes the
/// last two of clone). The child clears the frame pointer and calls `entry(argument)`, which never returns.
///
/// # Safety
/// The first two arguments must give the child a stack of its own.
#[cfg(target_arch = "x86_64")]
unsafe fn raw_clone(
    number: Sysno,
    first: usize,
    second: usize,
    entry: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> usize {
    let pid;
    // SAFETY: the parent comes out after `2:` with its registers and stack as they were, less those named; the child
    // never comes out. Its stack pointer, the top of a page-aligned mapping, is 16-aligned before the call.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inout("rax") number as usize => pid,
            in("rdi") first,
            in("rsi") second,
            in("rdx") 0usize,
            in("r10") 0usize,
            in("r8") 0usize,
            in("r12") entry as usize,
            in("r13") argument,
            out("rcx") _,
            out("r11") _,
        );
    }
    pid
}

/// As above.
///
/// # Safety
/// The first two arguments must give the child a stack of its own.
#[cfg(target_arch = "aarch64")]
unsafe fn raw_clone(
    number: Sysno,
    first: usize,
    second: usize,
    entry: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> usize {
    let pid;
    // SAFETY: as on x86_64
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x10",
            "blr x9",
            "brk 1",
            "2:",
            in("x8") number as usize,
            inout("x0") first => pid,
            in("x1") second,
            in("x2") 0usize,
            in("x3") 0usize,
            in("x4") 0usize,
            in("x9") entry as usize,
            in("x10") argument,
        );
    }
    pid
}
