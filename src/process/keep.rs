//! `run -d`: two processes. The one in front goes on until the command is executed, so that its status is true; the keeper, its
//! child in a session of its own, is what a mydocker in the foreground is.

use crate::error::{Errno, Error, Result};
use crate::plan::Plan;
use crate::spec::LogTo;
use crate::sys::{self, CloneFlags, Fd, FdRef, OpenFlags, Wait};

/// Forks. In front: the status, once there is one. In the keeper: where to tell that the command is executed.
pub fn detach(name: &str) -> Result<core::result::Result<i32, Fd>> {
    let (read, write) = sys::pipe2()?;
    // With SIGCHLD ignored, as a caller may have it, the keeper would vanish without a status (wait(2)).
    sys::reset_signal(libc::SIGCHLD)?;
    let Some(keeper) = sys::fork(CloneFlags::NONE)? else {
        drop(read);
        sys::setsid()?;
        return Ok(Err(write));
    };
    drop(write);
    if sys::read(read.borrow(), &mut [0])? == 1 {
        sys::write_all(FdRef::STDOUT, &[name.as_bytes(), b"\n"].concat())?;
        return Ok(Ok(0));
    }
    // It has said why.
    match sys::wait4(keeper, true)? {
        Some(Wait::Exited(status)) => Ok(Ok(status)),
        _ => Err(Error::refused("the keeper was killed", &[], "")),
    }
}

/// Tells the process in front that the command is executed, and closes its streams here. An error means that it has ended
/// before, so that nobody knows of the container.
pub fn tell_front(plan: &Plan) -> Result<()> {
    let Some(front) = plan.parts.front.take() else { return Ok(()) };
    if plan.spec.log != LogTo::Caller {
        let null = sys::open(c"/dev/null", OpenFlags::RDWR)?;
        sys::dup3(null.borrow(), FdRef::STDERR)?;
    }
    match sys::write_all(front.borrow(), b"0") {
        Err(e) if e.is(Errno::EPIPE) => Err(Error::refused("whoever started it has ended", &[], "")),
        other => other,
    }
}
