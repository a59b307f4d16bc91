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

/// ioctl(2) SIOCSIFFLAGS on a socket: sets IFF_UP on an interface.
pub fn set_interface_up(name: &[u8]) -> Result<()> {
    let mut request = IfReq { name: [0; 16], flags: libc::IFF_UP as u16, rest: [0; 22] };
    for (slot, byte) in request.name.iter_mut().take(15).zip(name) {
        *slot = *byte;
    }
    // SAFETY: the call takes numbers
    let socket = unsafe { call!(socket(Domain::INET, Socket::DGRAM | Socket::CLOEXEC, 0)) }.about_text(b"AF_INET");
    let socket = socket.map(Fd::own)?;
    // SAFETY: the kernel reads one struct ifreq
    unsafe { call!(ioctl(socket.borrow(), Ioctl::SIOCSIFFLAGS, &request)) }.about_parts(&[name]).map(drop)
}
