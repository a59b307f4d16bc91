//! The ids of a process, and what it may do: credentials(7), capabilities(7), prctl(2), seccomp(2).

use super::fd::FdRef;
use super::flags::{Capability, Dumpable, KeyctlOperation, Prctl, SeccompFlags, SeccompOperation, SignalNumber};
use super::gate::About::Text;
use super::gate::{Arg, Null, Object, Print, Show, call};
use crate::bytes::Put;
use crate::error::{Errno, Error, Result};
use core::ffi::CStr;

/// A process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(pub i32);

/// What an id that a user namespace does not have is shown as: user_namespaces(7).
pub const OVERFLOW_ID: u32 = 65534;

/// The errors of calls that take an id.
fn explain_id(error: Error) -> Error {
    const HINT: &str = "this id is not in the user namespace: the caller is 0 there, or itself with --userns keep-id, \
         and /etc/subuid and /etc/subgid give others";
    error.hint_for(&[(Errno::EINVAL, HINT), (Errno::EPERM, HINT)])
}

/// Group ids, as setgroups(2) reads them through a pointer to the first.
struct GroupsAt<'a>(&'a [u32]);

impl Arg for GroupsAt<'_> {
    const SHOW: &'static Show = &Show::Groups;
    fn reg(&self) -> usize {
        if self.0.is_empty() { 0 } else { self.0.as_ptr() as usize }
    }
}

/// setgroups(2).
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: the length and the pointer are those of one slice
    unsafe { call!(setgroups(groups.len(), GroupsAt(groups))) }.result().map(drop).map_err(explain_id)
}

/// setgid(2): real, effective and saved.
pub fn setgid(gid: u32) -> Result<()> {
    // SAFETY: the call takes a number
    unsafe { call!(setgid(gid)) }.result().map(drop).map_err(explain_id)
}

/// setuid(2): real, effective and saved.
pub fn setuid(uid: u32) -> Result<()> {
    // SAFETY: the call takes a number
    unsafe { call!(setuid(uid)) }.result().map(drop).map_err(explain_id)
}

/// fchown(2) of an open file to a user; its group stays.
pub fn fchown(fd: FdRef, uid: u32) -> Result<()> {
    // SAFETY: the call takes a descriptor and numbers: -1 keeps the group
    unsafe { call!(fchown(fd, uid, -1)) }.result().map(drop).map_err(explain_id)
}

/// geteuid(2) and getegid(2).
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: neither call takes anything, and neither can fail
    let (uid, gid) = unsafe { (call!(geteuid()), call!(getegid())) };
    (uid.ok().unwrap_or_default() as u32, gid.ok().unwrap_or_default() as u32)
}

/// prctl(2) PR_CAPBSET_DROP: no program that this process or its children execute will have `capability`. `Ok(false)`: this
/// kernel knows none of that number.
pub fn drop_from_bounding_set(capability: Capability) -> Result<bool> {
    // SAFETY: this operation takes a number
    match unsafe { call!(prctl(Prctl::CAPBSET_DROP, capability)) }.about(Text(b"PR_CAPBSET_DROP")) {
        Ok(_) => Ok(true),
        Err(e) if e.is(Errno::EINVAL) => Ok(false),
        Err(e) => Err(e.hint_for(&[(Errno::EPERM, "it needs CAP_SETPCAP; --privileged drops nothing")])),
    }
}

/// The header of capset(2).
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

impl Object for CapHeader {
    const PRINT: Option<Print> = Some(|_, out| out.put(b"{version=_LINUX_CAPABILITY_VERSION_3, pid=0}"));
}

/// The sets of capset(2): effective, permitted, inheritable; of each the lower half first, then the upper.
#[repr(C)]
struct CapData([[u32; 3]; 2]);

impl Object for CapData {
    const PRINT: Option<Print> = Some(|bytes, out| {
        let words = bytes.as_chunks::<4>().0;
        let word = |at: usize| u64::from(words.get(at).map_or(0, |word| u32::from_ne_bytes(*word)));
        for (at, name) in [&b"{effective="[..], b", permitted=", b", inheritable="].iter().enumerate() {
            out.put(name);
            out.put_hex(word(at + 3) << 32 | word(at));
        }
        out.put(b"}");
    });
}

/// capset(2) of this thread: effective and permitted are `set`; inheritable, and with it ambient, are empty.
pub fn capset(set: u64) -> Result<()> {
    const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;
    let header = CapHeader { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
    let (low, high) = (set as u32, (set >> 32) as u32);
    // SAFETY: the kernel reads the header, and two structures of three words, as this version has them
    unsafe { call!(capset(&header, &CapData([[low, low, 0], [high, high, 0]]))) }
        .result()
        .map(drop)
        .map_err(|e| e.hint_for(&[(Errno::EPERM, "mydocker itself lacks a capability that --cap-add names")]))
}

/// keyctl(2) KEYCTL_JOIN_SESSION_KEYRING: a new session keyring without a name. A kernel may have no keyrings.
pub fn join_session_keyring() -> Result<()> {
    // SAFETY: this operation takes the address of a name, or null
    match unsafe { call!(keyctl(KeyctlOperation::JOIN_SESSION_KEYRING, Null)) }.about(Text(b"JOIN_SESSION_KEYRING")) {
        Err(e) if e.is(Errno::ENOSYS) => Ok(()),
        other => other.map(drop),
    }
}

/// prctl(2) PR_SET_PDEATHSIG: SIGKILL when the parent dies.
pub fn die_with_parent() -> Result<()> {
    // SAFETY: this operation takes a number
    unsafe { call!(prctl(Prctl::SET_PDEATHSIG, SignalNumber::KILL)) }.about(Text(b"PR_SET_PDEATHSIG")).map(drop)
}

/// prctl(2) PR_SET_CHILD_SUBREAPER: orphans below become our children.
pub fn set_child_subreaper() -> Result<()> {
    // SAFETY: this operation takes a number
    unsafe { call!(prctl(Prctl::SET_CHILD_SUBREAPER, 1)) }.about(Text(b"PR_SET_CHILD_SUBREAPER")).map(drop)
}

/// prctl(2) PR_SET_DUMPABLE 0: only a process that may trace this one can open its files in /proc/PID.
pub fn set_not_dumpable() -> Result<()> {
    // SAFETY: this operation takes a number
    unsafe { call!(prctl(Prctl::SET_DUMPABLE, Dumpable::DISABLE)) }.about(Text(b"PR_SET_DUMPABLE")).map(drop)
}

/// prctl(2) PR_SET_NAME: what proc_pid_comm(5) shows.
pub fn set_name(name: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(prctl(Prctl::SET_NAME, name)) }.about(Text(b"PR_SET_NAME")).map(drop)
}

/// prctl(2) PR_SET_NO_NEW_PRIVS: execve(2) gives no privilege, from here on and for all children.
pub fn set_no_new_privs() -> Result<()> {
    // SAFETY: this operation takes numbers
    unsafe { call!(prctl(Prctl::SET_NO_NEW_PRIVS, 1, 0, 0, 0)) }.about(Text(b"PR_SET_NO_NEW_PRIVS")).map(drop)
}

/// prctl(2) PR_GET_NO_NEW_PRIVS.
pub fn no_new_privs() -> bool {
    // SAFETY: this operation takes numbers
    unsafe { call!(prctl(Prctl::GET_NO_NEW_PRIVS, 0, 0, 0, 0)) }.ok() == Some(1)
}

/// struct sock_fprog.
impl Object for libc::sock_fprog {
    const PRINT: Option<Print> = Some(|bytes, out| {
        out.put(b"{len=");
        out.put_decimal(bytes.first_chunk().map_or(0, |n| u16::from_ne_bytes(*n)).into());
        out.put(b", filter=...}");
    });
}

/// The errors of seccomp(2).
fn explain_seccomp(error: Error) -> Error {
    const MISSING: &str = "this kernel has no seccomp filters; --security-opt seccomp=unconfined does without";
    error.hint_for(&[
        (Errno::ENOSYS, MISSING),
        (Errno::EINVAL, MISSING),
        (Errno::EACCES, "without no-new-privileges the filter needs CAP_SYS_ADMIN"),
    ])
}

/// seccomp(2) SECCOMP_SET_MODE_FILTER with instructions of eight bytes each. SPEC_ALLOW: before Linux 5.16 a filter without it
/// also switches on mitigations against speculation, which make every program inside slower.
pub fn load_filter(instructions: &[u8]) -> Result<()> {
    let filter = instructions.as_ptr().cast_mut().cast();
    let program = libc::sock_fprog { len: (instructions.len() / 8) as u16, filter };
    // SAFETY: the kernel reads one struct sock_fprog, and the instructions that it points to, as many as it says
    unsafe { call!(seccomp(SeccompOperation::SET_MODE_FILTER, SeccompFlags::SPEC_ALLOW, &program)) }
        .about(Text(b"SECCOMP_SET_MODE_FILTER"))
        .map(drop)
        .map_err(explain_seccomp)
}

/// An action of a filter.
#[repr(transparent)]
struct Action(u32);

impl Object for Action {}

/// seccomp(2) SECCOMP_GET_ACTION_AVAIL: whether a filter can make a call fail with an errno of its choice.
pub fn has_seccomp() -> Result<()> {
    let action = Action(libc::SECCOMP_RET_ERRNO);
    // SAFETY: the kernel reads one word
    unsafe { call!(seccomp(SeccompOperation::GET_ACTION_AVAIL, SeccompFlags::NONE, &action)) }
        .result()
        .map(drop)
        .map_err(explain_seccomp)
}
