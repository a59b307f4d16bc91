//! `--network slirp4netns`: a program of the distribution connects the container with the outside, for ordinary users too.

use crate::bytes;
use crate::error::{Error, Result};
use crate::step::{Parent, ParentStep};
use crate::streams;
use crate::sys::{self, CloneFlags, Fd, FdRef, Pointers, SigSet, record};
use core::ffi::CStr;

const PROGRAM: &CStr = c"/usr/bin/slirp4netns";

/// Whether the program is there.
pub fn check() -> Result<()> {
    match sys::is_executable(PROGRAM) {
        true => Ok(()),
        false => Err(Error::refused("there is no", &[PROGRAM.to_bytes()], "install the package slirp4netns")),
    }
}

step! {
    /// Starts slirp4netns, which connects its network with the outside.
    ///
    /// It ends as soon as nobody holds the other end of a pipe: at the end, and when this process is killed.
    pub struct StartSlirp;
}

impl ParentStep for StartSlirp {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some(container) = parent.pid else { return Ok(()) };
        let (ready, tell) = sys::pipe2()?;
        let (hang_up, hold) = sys::pipe2()?;
        // There, each number is that of the end which this process does not need.
        let number = |fd: &Fd| bytes::to_decimal(fd.borrow().number() as u64);
        let mut argv = Pointers::with_capacity(8);
        argv.push(PROGRAM);
        argv.push(c"--configure");
        argv.push(c"--mtu=65520");
        argv.push(c"--disable-host-loopback");
        argv.push(bytes::c_string(&[b"--ready-fd=", &number(&ready)]));
        argv.push(bytes::c_string(&[b"--exit-fd=", &number(&hold)]));
        argv.push(bytes::c_string(&[&bytes::to_decimal(container.0 as u64)]));
        argv.push(c"tap0");
        match sys::fork(CloneFlags::NONE)? {
            None => {
                // A failure shows at the other end of the pipe.
                let _ = execute(&argv, [(&tell, &ready), (&hang_up, &hold)]);
                sys::exit_group(127);
            }
            Some(_) if record::is_on() => execute(&argv, [(&tell, &ready), (&hang_up, &hold)])?,
            Some(pid) => parent.slirp = Some((pid, hold)),
        }
        drop(tell);
        if parent.await_ready(ready.borrow(), false)? && sys::read(ready.borrow(), &mut [0])? == 0 && !record::is_on() {
            let hint =
                "it says why when it is started by hand; it needs /dev/net/tun, for ordinary users with mode 666";
            return Err(Error::refused("it has ended at once:", &[PROGRAM.to_bytes()], hint));
        }
        Ok(())
    }
}

/// Becomes the program, with each of the first descriptors in the place of the second one.
fn execute(argv: &Pointers, pairs: [(&Fd, &Fd); 2]) -> Result<()> {
    // No key of the terminal is meant for it, and no stream.
    sys::setsid()?;
    streams::leave(&FdRef::STREAMS)?;
    for (fd, place) in pairs {
        sys::dup3(fd.borrow(), place.borrow())?;
    }
    sys::close_all_but(3, &pairs.map(|(_, place)| place.borrow()))?;
    sys::set_signal_mask(SigSet::EMPTY)?;
    sys::execve(PROGRAM, argv, &Pointers::with_capacity(0)).map_or(Ok(()), Err)
}

/// Ends the program.
pub fn end(parent: &mut Parent) -> Result<()> {
    let Some((pid, hold)) = parent.slirp.take() else { return Ok(()) };
    drop(hold);
    super::await_end(pid)
}
