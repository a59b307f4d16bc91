//! Network interfaces: netdevice(7).

use super::fd::Fd;
use super::flags::{Domain, Ioctl, Socket};
use super::gate::{Object, Print, call};
use crate::bytes::Put;
use crate::error::Result;

/// struct ifreq with flags.
#[repr(C)]
struct IfReq {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

impl Object for IfReq {
    const PRINT: Option<Print> = Some(|bytes, out| {
        out.put(b"{ifr_name=");
        out.put_quoted(&[bytes.split(|b| *b == 0).next().unwrap_or_default()]);
        out.put(b", ifr_flags=IFF_UP}");
    });
}

/// struct ifreq with a number.
#[repr(C)]
struct IfIndex {
    name: [u8; 16],
    index: u32,
    rest: [u8; 20],
}

impl Object for IfIndex {
    const PRINT: Option<Print> = Some(|bytes, out| {
        out.put(b"{ifr_name=");
        out.put_quoted(&[bytes.split(|b| *b == 0).next().unwrap_or_default()]);
        out.put(b"}");
    });
}

/// ioctl(2) SIOCGIFINDEX on any socket: the number of an interface.
pub fn interface_index(socket: &Fd, name: &[u8]) -> Result<u32> {
    let mut request = IfIndex { name: padded(name), index: 0, rest: [0; 20] };
    // SAFETY: the kernel reads and writes one struct ifreq
    unsafe { call!(ioctl(socket.borrow(), Ioctl::SIOCGIFINDEX, &mut request)) }.about_parts(&[name])?;
    Ok(request.index)
}

/// The name of an interface with NULs behind it.
pub fn padded(name: &[u8]) -> [u8; 16] {
    let mut padded = [0; 16];
    for (slot, byte) in padded.iter_mut().take(15).zip(name) {
        *slot = *byte;
    }
    padded
}

/// ioctl(2) SIOCSIFFLAGS on a socket: sets IFF_UP on an interface.
pub fn set_interface_up(name: &[u8]) -> Result<()> {
    let request = IfReq { name: padded(name), flags: libc::IFF_UP as u16, rest: [0; 22] };
    // SAFETY: the call takes numbers
    let socket = unsafe { call!(socket(Domain::INET, Socket::DGRAM | Socket::CLOEXEC, 0)) }.about_text(b"AF_INET");
    let socket = socket.map(Fd::own)?;
    // SAFETY: the kernel reads one struct ifreq
    unsafe { call!(ioctl(socket.borrow(), Ioctl::SIOCSIFFLAGS, &request)) }.about_parts(&[name]).map(drop)
}
