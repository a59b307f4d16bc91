//! clone(2) and clone3(2), with a stack for the child. The child returns from the same instruction as the parent, on an empty
//! stack: so the way in is written in assembly and never returns to Rust in the child.

use super::cred::Pid;
use super::fd::FdRef;
use super::flags::{CloneFlags, MapFlags, Prot, SignalNumber};
use super::gate::{self, Arg, Call, Object, Print, Show, call, word};
use crate::bytes::Put;
use crate::error::{Errno, Error, Result};
use core::arch::asm;
use core::ffi::c_void;
use syscalls::Sysno;

/// Enough for the deepest call of the child with a path buffer or two; only pages that are touched cost anything.
const STACK_SIZE: usize = 128 * 1024;
const GUARD_SIZE: usize = 64 * 1024;

/// The stack of the child. Below it are guard pages without access: an overflow ends the child with SIGSEGV instead of
/// overwriting its data.
pub struct Stack {
    base: *mut u8,
}

impl Stack {
    /// mmap(2), and mprotect(2) for the guard. It is never unmapped: in the parent its pages are never touched.
    pub fn map() -> Result<Stack> {
        let prot = Prot::READ | Prot::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::STACK | MapFlags::NORESERVE;
        // SAFETY: a new mapping, at an address that the kernel chooses
        let base = unsafe { call!(mmap(0usize, STACK_SIZE + GUARD_SIZE, prot, flags, -1, 0usize)) }
            .result()
            .map_err(|e| e.about_text(b"child stack"))? as *mut u8;
        // SAFETY: the lowest pages of the mapping just made, which nothing refers to yet
        unsafe { call!(mprotect(Address(base), GUARD_SIZE, Prot::NONE)) }
            .result()
            .map_err(|e| e.about_text(b"guard of the child stack"))?;
        Ok(Stack { base })
    }
}

/// An address in our own memory.
pub(super) struct Address(pub *mut u8);

impl Arg for Address {
    const SHOW: &'static Show = &Show::Address;
    fn reg(&self) -> usize {
        self.0 as usize
    }
}

/// What the child starts with. It uses it in its own copy of the parent's memory.
struct Start<'a, T> {
    entry: fn(&mut T) -> !,
    state: &'a mut T,
}

extern "C" fn start<T>(start: *mut c_void) -> ! {
    // SAFETY: `clone` below passes a Start<T> of its own frame, and that frame is part of the memory that the child has a copy
    // of
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

impl Object for CloneArgs {
    const PRINT: Option<Print> = Some(|bytes, out| {
        out.put(b"{flags=");
        CloneFlags::from_bits(word(bytes, 0)).put(out);
        out.put(b", exit_signal=");
        SignalNumber::from_bits(word(bytes, 4)).put(out);
        out.put(b", stack=..., stack_size=");
        out.put_decimal(word(bytes, 6));
        out.put(b", cgroup=");
        out.put_decimal(word(bytes, 10));
        out.put(b"}");
    });
}

static CLONE: Call = Call { number: Sysno::clone, name: "clone", arguments: &[CloneFlags::SHOW, &Show::Address] };
static CLONE3: Call = Call { number: Sysno::clone3, name: "clone3", arguments: &[<&CloneArgs>::SHOW, &Show::Unsigned] };

/// A child in new namespaces, on `stack`; it runs `entry(state)` on its copy of the memory. With `into`, the directory of a
/// cgroup, it is born there (clone3): then ENOSYS, E2BIG, EINVAL and EOPNOTSUPP mean that the kernel or a filter around
/// mydocker does not support it.
pub fn clone<T>(
    flags: CloneFlags,
    into: Option<FdRef>,
    stack: &Stack,
    entry: fn(&mut T) -> !,
    state: &mut T,
) -> Result<Pid> {
    let mut start_with = Start { entry, state };
    let argument = core::ptr::from_mut(&mut start_with).cast();
    let bottom = stack.base as usize + GUARD_SIZE;
    let wanted = if into.is_some() { flags | CloneFlags::INTO_CGROUP } else { flags };
    let args = CloneArgs {
        flags: wanted.0,
        exit_signal: libc::SIGCHLD as u64,
        stack: bottom as u64,
        stack_size: STACK_SIZE as u64,
        cgroup: into.map_or(0, FdRef::number) as u64,
        ..Default::default()
    };
    let (call, first, second) = match into {
        None => (&CLONE, (flags | CloneFlags::SIGCHLD).reg(), bottom + STACK_SIZE),
        Some(_) => (&CLONE3, (&args).reg(), size_of::<CloneArgs>()),
    };
    // SAFETY: `stack` is a mapping that nothing else uses; the child gets a copy of all other memory. `args` has the size that
    // is passed and outlives the call
    let make = || unsafe { raw_clone(call.number, first, second, start::<T>, argument) };
    // SAFETY: the registers are those that `make` uses
    let outcome = unsafe { gate::enter_by(call, &[first, second, 0, 0, 0, 0], &make) };
    let pid = outcome.result().map_err(|e| explain(e.about_text(wanted.names().as_bytes())))?;
    Ok(Pid(pid as i32))
}

/// The errors of clone(2) and clone3(2).
pub(super) fn explain(error: Error) -> Error {
    let lacks = match super::effective_ids().0 {
        0 => "root lacks CAP_SYS_ADMIN here: start the container that this is in with --privileged",
        _ => "this needs root, or a user namespace of its own: leave out --userns host",
    };
    error.hint_for(&[
        (Errno::EPERM, lacks),
        (Errno::EINVAL, "this kernel lacks one of these namespaces"),
        (Errno::EAGAIN, "a limit on processes is reached (RLIMIT_NPROC, pids.max)"),
        (Errno::ENOSPC, "a limit in /proc/sys/user, or on nesting, is reached"),
    ])
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
            "syscall",       // from here on there are two processes; the child's rsp is the top of its own stack
            "test rax, rax", // rax: 0 in the child, its pid or an error in the parent
            "jnz 2f",        // the parent goes on behind all this
            "xor ebp, ebp",  // no frame above: debuggers and unwinders stop here
            "mov rdi, r13",  // the first argument of a C function: `argument`
            "call r12",      // `entry`, which needs rsp 16-aligned before the call, and has it
            "ud2",           // an entry that returns after all ends the child with SIGILL
            "2:",
            inout("rax") number as usize => pid, // in: the number of the call; out: what it returns
            in("rdi") first,    // clone: flags; clone3: struct clone_args
            in("rsi") second,   // clone: the top of the stack; clone3: the size of the structure
            in("rdx") 0usize,   // clone: parent_tid, unused
            in("r10") 0usize,   // clone: child_tid, unused
            in("r8") 0usize,    // clone: tls, unused
            in("r12") entry as usize, // r12 and r13 are kept by the kernel and by C functions
            in("r13") argument,
            out("rcx") _,       // syscall overwrites rcx with the return address
            out("r11") _,       // and r11 with the flags
        );
    }
    pid
}

/// Makes the call as on x86_64.
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
    // SAFETY: the parent comes out after `2:` with its registers and stack as they were, less those named; the child
    // never comes out. Its stack pointer, the top of a page-aligned mapping, is 16-aligned as sp always must be.
    unsafe {
        asm!(
            "svc 0",         // from here on there are two processes; the child's sp is the top of its own stack
            "cbnz x0, 2f",   // x0: 0 in the child; the parent goes on behind all this
            "mov x29, xzr",  // no frame above: debuggers and unwinders stop here
            "mov x30, xzr",  // and no return address
            "mov x0, x10",   // the first argument of a C function: `argument`
            "blr x9",        // `entry`
            "brk 1",         // an entry that returns after all ends the child with SIGTRAP
            "2:",
            in("x8") number as usize,      // the number of the call
            inout("x0") first => pid,      // in: flags, or struct clone_args; out: what the call returns
            in("x1") second,               // the top of the stack, or the size of the structure
            in("x2") 0usize,               // parent_tid, unused
            in("x3") 0usize,               // tls, unused
            in("x4") 0usize,               // child_tid, unused
            in("x9") entry as usize,       // the kernel keeps all registers but x0
            in("x10") argument,
        );
    }
    pid
}
