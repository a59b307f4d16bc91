//! Loop devices: a file as a block device. Source: loop(4), <linux/loop.h>.

use super::files::Fd;
use super::flags::{Ioctl, OpenFlags};
use super::gate::sys;
use crate::error::{Errno, Result};
use crate::says;
use crate::text::{Put, Text};
use core::ffi::CStr;

const LO_FLAGS_READ_ONLY: u32 = 1;
/// The kernel lets go of the file when the last one closes the device: a mount, or us, however we end.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// A loop device that is ours until nobody has it open any more.
pub struct Loop {
    /// Keeps it until it is mounted.
    pub device: Fd,
    /// `/dev/loopN`, with a NUL after it.
    pub path: Text<32>,
}

impl Loop {
    /// A free device, read-only, with `file` behind it; `path` names the file in messages.
    pub fn attach(file: &Fd, path: &CStr) -> Result<Loop> {
        let control = super::open(c"/dev/loop-control", OpenFlags::RDWR)
            .map_err(|e| e.with_hint(says!("an image needs loop devices: modprobe loop")))?;
        loop {
            // SAFETY: it takes no argument
            let number = unsafe { sys!(ioctl(control.raw(), Ioctl::LOOP_CTL_GET_FREE)) }.of(b"LOOP_CTL_GET_FREE")?;
            let mut name = Text::<32>::new();
            name.put(b"/dev/loop");
            name.put_decimal(number as u64);
            name.put(b"\0");
            let device = super::open(name.as_c_str().unwrap_or_default(), OpenFlags::NONE)?;
            // struct loop_config: descriptor, block size, struct loop_info64, reserved; 304 bytes
            let mut config = [0u32; 76];
            config[0] = file.raw() as u32;
            config[15] = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
            // SAFETY: the kernel reads one struct loop_config
            match unsafe { sys!(ioctl(device.raw(), Ioctl::LOOP_CONFIGURE, config.as_ptr())) }.on(None, path) {
                Ok(_) => return Ok(Loop { device, path: name }),
                // Somebody else was faster.
                Err(e) if e.is(Errno::EBUSY) => {}
                Err(e) => return Err(e),
            }
        }
    }
}
