//! `--network slirp4netns` and `--network pasta`: a program of the distribution connects the container with the outside, for
//! ordinary users too.

use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::spec::Network;
use crate::step::{Parent, ParentStep};
use crate::streams;
use crate::sys::{self, CloneFlags, Fd, FdRef, MountFlags, OpenFlags, Pointers, Poll, SigSet, record};
use core::ffi::CStr;

const SLIRP: &CStr = c"/usr/bin/slirp4netns";
const PASTA: &CStr = c"/usr/bin/pasta";

const NO_TUN: &str = "modprobe tun; mknod -m 666 /dev/net/tun c 10 200";

/// Whether what this network needs is there: its program, and the device that the program opens.
pub fn check(network: Network) -> Result<()> {
    let (program, hint) = match network {
        Network::Pasta => (PASTA, "it is looked for there alone: install the package passt"),
        _ => (SLIRP, "it is looked for there alone: install the package slirp4netns"),
    };
    if !sys::is_executable(program) {
        return Err(Error::refused("there is no", program.to_bytes(), hint));
    }
    // Both programs need it. If they cannot open it nobody sees what they say, for their streams are closed.
    sys::open(c"/dev/net/tun", OpenFlags::RDWR).map(drop).map_err(|e| {
        e.hint_for(&[
            (
                Errno::EACCES,
                "as root: chmod 666 /dev/net/tun, and no nodev where it is mounted; --network host needs none",
            ),
            (Errno::ENOENT, NO_TUN),
            (Errno::ENODEV, NO_TUN),
            (Errno::ENXIO, NO_TUN),
        ])
    })
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
        let mut argv = Pointers::with_capacity(10);
        argv.push(SLIRP);
        argv.push(c"--configure");
        argv.push(c"--mtu=65520");
        argv.push(c"--disable-host-loopback");
        // It needs no file any more, and few calls.
        argv.push(c"--enable-sandbox");
        argv.push(c"--enable-seccomp");
        argv.push(bytes::c_string(&[b"--ready-fd=", &number(&ready)]));
        argv.push(bytes::c_string(&[b"--exit-fd=", &number(&hold)]));
        argv.push(bytes::c_string(&[&bytes::to_decimal(container.0 as u64)]));
        argv.push(c"tap0");
        let places = [(tell.borrow(), ready.borrow()), (hang_up.borrow(), hold.borrow())];
        match sys::fork(CloneFlags::NONE)? {
            None => {
                // A failure shows at the other end of the pipe.
                let _ = leave_mounts().and_then(|()| execute(SLIRP, &argv, places));
                sys::exit_group(127);
            }
            Some(_) if record::is_on() => leave_mounts().and_then(|()| execute(SLIRP, &argv, places))?,
            Some(pid) => parent.slirp = Some((pid, hold)),
        }
        await_start(parent, ready, tell, SLIRP)
    }
}

step! {
    /// Starts pasta, which connects its network with the outside.
    ///
    /// It knows no descriptor whose end is its own: a process between us kills it when nobody holds the other end of a pipe, at the
    /// end, and when this process is killed.
    pub struct StartPasta {
        /// The container has a user namespace.
        pub in_userns: bool,
    }
}

impl ParentStep for StartPasta {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some(container) = parent.pid else { return Ok(()) };
        let (ready, tell) = sys::pipe2()?;
        let (hang_up, hold) = sys::pipe2()?;
        let of_container = |file: &[u8]| bytes::c_string(&[b"/proc/", &bytes::to_decimal(container.0 as u64), file]);
        // Without the capabilities that it drops, pasta cannot open this file of root's.
        let network = sys::open(of_container(b"/ns/net"), OpenFlags::NONE)?;
        let mut argv = Pointers::with_capacity(20);
        argv.push(PASTA);
        // It forwards no port of its own accord, and does not lead to the host's 127.0.0.1.
        for word in [
            c"--foreground",
            c"--config-net",
            c"--no-map-gw",
            c"--tcp-ports=none",
            c"--udp-ports=none",
            c"--tcp-ns=none",
            c"--udp-ns=none",
            // It writes there when it is ready.
            c"--pid=/proc/self/fd/1",
            c"--netns=/proc/self/fd/0",
        ] {
            argv.push(word);
        }
        if self.in_userns {
            argv.push(c"--userns");
            argv.push(of_container(b"/ns/user"));
        }
        if sys::effective_ids().0 == 0 {
            // Otherwise it becomes nobody, who may not enter the network.
            argv.push(c"--runas=0:0");
        }
        let places = [(network.borrow(), FdRef::STDIN), (tell.borrow(), FdRef::STDOUT)];
        match sys::fork(CloneFlags::NONE)? {
            None => {
                drop((ready, hold));
                // A failure shows at the other end of the pipe.
                let _ = guard(&argv, places, &hang_up);
                sys::exit_group(127);
            }
            Some(_) if record::is_on() => guard(&argv, places, &hang_up)?,
            Some(pid) => parent.slirp = Some((pid, hold)),
        }
        await_start(parent, ready, tell, PASTA)
    }
}

/// Starts pasta, and kills it when the pipe is closed. It ends with it, too.
fn guard(argv: &Pointers, places: [(FdRef, FdRef); 2], hang_up: &Fd) -> Result<()> {
    let pid = match sys::fork(CloneFlags::NONE)? {
        None => {
            // A failure shows at the other end of the pipe.
            let _ = execute(PASTA, argv, places);
            sys::exit_group(127);
        }
        Some(pid) => pid,
    };
    if record::is_on() {
        execute(PASTA, argv, places)?;
    }
    let watch = || {
        sys::setsid()?;
        // The directory of the caller is not to stay busy.
        sys::chdir(c"/")?;
        streams::leave(&FdRef::STREAMS)?;
        let process = sys::pidfd_open(pid)?;
        sys::close_all_but(3, &[hang_up.borrow(), process.borrow()])?;
        sys::poll(&mut [hang_up.borrow(), process.borrow()].map(|fd| Poll::new(Some(fd), true, false)), None)
    };
    // Whatever fails, nobody else would end it.
    let watched = watch();
    sys::kill(pid, libc::SIGKILL)?;
    sys::wait4(pid, true)?;
    watched.map(drop)
}

/// Gives slirp4netns mounts of its own. For its sandbox it makes its root alone private, and detaches all that is below: where
/// mounts are shared, as systemd has them, the host's would be detached, too (mount_namespaces(7)).
fn leave_mounts() -> Result<()> {
    // That of an ordinary user first enters a user namespace: the mounts that it copies there are slaves.
    if sys::effective_ids().0 != 0 {
        return Ok(());
    }
    sys::unshare(CloneFlags::NEWNS)?;
    sys::mount(c"none", c"/", c"", MountFlags::REC | MountFlags::SLAVE, None)
}

/// Waits until the program says that it is ready.
fn await_start(parent: &mut Parent, ready: Fd, tell: Fd, program: &CStr) -> Result<()> {
    drop(tell);
    if parent.await_ready(ready.borrow(), false)? && sys::read(ready.borrow(), &mut [0])? == 0 && !record::is_on() {
        let hint = "it says why when it is started by hand; pasta needs a default route of the host";
        return Err(Error::refused("it has ended at once:", program.to_bytes(), hint));
    }
    Ok(())
}

/// Becomes the program, with each of the first descriptors in the place of the second one.
fn execute(program: &'static CStr, argv: &Pointers, places: [(FdRef, FdRef); 2]) -> Result<()> {
    // No key of the terminal is meant for it, and no stream; and the directory of the caller is not to stay busy.
    sys::setsid()?;
    sys::chdir(c"/")?;
    streams::leave(&FdRef::STREAMS)?;
    for (fd, place) in places {
        sys::dup3(fd, place)?;
    }
    sys::close_all_but(3, &places.map(|(_, place)| place))?;
    sys::set_signal_mask(SigSet::EMPTY)?;
    sys::execve(program, argv, &Pointers::with_capacity(0)).map_or(Ok(()), Err)
}
