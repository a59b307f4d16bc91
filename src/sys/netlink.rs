//! Requests about links, addresses, routes and packet filters: netlink(7), rtnetlink(7).

use super::fd::{Fd, read};
use super::flags::{Domain, NetlinkFamily, Socket};
use super::gate::About::Text;
use super::gate::{Null, call};
use crate::error::{Errno, Error, Result};
use ::alloc::vec::Vec;

/// A netlink(7) socket.
pub fn netlink(family: NetlinkFamily) -> Result<Fd> {
    // SAFETY: the call takes numbers
    let socket = unsafe { call!(socket(Domain::NETLINK, Socket::DGRAM | Socket::CLOEXEC, family)) };
    socket.about(Text(b"AF_NETLINK")).map(Fd::own)
}

/// Requests that the kernel gets in one datagram, one behind the other. It answers each.
#[derive(Default)]
pub struct Requests {
    bytes: Vec<u8>,
    /// Where the last one begins.
    last: usize,
    /// How many of them are to be answered.
    pub answers: usize,
}

/// struct nlmsghdr: its length, its type, flags, a number of its own and that of the sender.
const HEADER: usize = 16;

impl Requests {
    /// Begins a request of the type `kind`, with the structure that this type begins with.
    pub fn begin(&mut self, kind: u16, flags: u16, structure: &[&[u8]]) {
        self.last = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(libc::NLM_F_REQUEST as u16 | flags).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        if flags & ACK != 0 {
            self.answers += 1;
        }
        for part in structure {
            self.bytes.extend_from_slice(part);
        }
        self.end_request();
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let at = self.begin_attribute(kind);
        self.bytes.extend_from_slice(value);
        self.end_attribute(at);
    }

    /// Adds a structure as it is, behind what is there.
    pub fn extend(&mut self, structure: &[u8]) {
        self.bytes.extend_from_slice(structure);
    }

    /// Begins an attribute that holds others.
    pub fn begin_attribute(&mut self, kind: u16) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        at
    }

    /// Ends the attribute that begins at `at`: it is as long as what has been added since.
    pub fn end_attribute(&mut self, at: usize) {
        let len = (self.bytes.len() - at) as u16;
        if let Some(room) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *room = len.to_ne_bytes();
        }
        // Each begins at a multiple of four.
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
        self.end_request();
    }

    fn end_request(&mut self) {
        let len = (self.bytes.len() - self.last) as u32;
        if let Some(room) = self.bytes.get_mut(self.last..).and_then(<[u8]>::first_chunk_mut) {
            *room = len.to_ne_bytes();
        }
    }

    /// How many bytes they have so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Replaces what is at `at`.
    pub fn put_at(&mut self, at: usize, value: [u8; 4]) {
        if let Some(room) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *room = value;
        }
    }

    /// Sends them, and reads what the kernel answers to each: the first failure. `text` says what they are about.
    pub fn send(&self, socket: &Fd, text: &'static [u8]) -> Result<()> {
        self.write(socket, text)?;
        let mut buffer = [0u8; 2048];
        let mut answered = 0;
        let mut result = Ok(());
        // A batch for a subsystem that is not there has one answer.
        while answered < self.answers && result.is_ok() {
            let n = answer(socket, &mut buffer, text)?;
            if n == 0 {
                // The calls are recorded.
                break;
            }
            for_each_message(buffer.get(..n).unwrap_or_default(), &mut |kind, content| {
                if kind == libc::NLMSG_ERROR as u16 {
                    answered += 1;
                    result = result.and(error_in(content, text));
                }
            });
        }
        result
    }

    fn write(&self, socket: &Fd, text: &'static [u8]) -> Result<()> {
        let bytes = self.bytes.as_slice();
        // SAFETY: the pointer and the length are those of one slice; without an address the kernel itself is meant
        unsafe { call!(sendto(socket.borrow(), bytes, bytes.len(), 0u32, Null, 0u32)) }.about(Text(text)).map(drop)
    }

    /// Sends one request for data, with NLM_F_ACK or NLM_F_DUMP, which say where the answer ends. Gives each message of it to
    /// `each`: its type, and what is behind its header.
    pub fn ask(&self, socket: &Fd, text: &'static [u8], each: &mut dyn FnMut(u16, &[u8])) -> Result<()> {
        self.write(socket, text)?;
        let mut buffer = ::alloc::vec![0u8; 32768];
        let mut result = Ok(());
        let mut is_done = false;
        while !is_done {
            let n = answer(socket, &mut buffer, text)?;
            is_done = n == 0;
            for_each_message(buffer.get(..n).unwrap_or_default(), &mut |kind, content| match i32::from(kind) {
                libc::NLMSG_DONE => is_done = true,
                libc::NLMSG_ERROR => {
                    is_done = true;
                    result = error_in(content, text);
                }
                _ => each(kind, content),
            });
        }
        result
    }
}

/// read(2) of what the kernel answers.
fn answer(socket: &Fd, buffer: &mut [u8], text: &[u8]) -> Result<usize> {
    read(socket.borrow(), buffer).map_err(|e| e.about(text))
}

/// NLM_F_ACK: the kernel is to answer.
pub const ACK: u16 = libc::NLM_F_ACK as u16;

/// The outcome that a message of the type NLMSG_ERROR begins with: 0, or an errno with a minus sign.
fn error_in(content: &[u8], text: &[u8]) -> Result<()> {
    match content.first_chunk().map_or(0, |errno| i32::from_ne_bytes(*errno)) {
        0 => Ok(()),
        errno => Err(Error::call("netlink", Errno::new(-errno), text, &[])),
    }
}

/// Gives each message in `bytes` to `each`: its type, and what is behind its header.
pub fn for_each_message<'a>(mut bytes: &'a [u8], each: &mut dyn FnMut(u16, &'a [u8])) {
    while let Some((header, _)) = bytes.split_first_chunk::<HEADER>() {
        let [a, b, c, d, e, f, ..] = *header;
        let len = u32::from_ne_bytes([a, b, c, d]) as usize;
        let Some(content) = bytes.get(HEADER..len) else { return };
        each(u16::from_ne_bytes([e, f]), content);
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// The value of the attribute `kind` in a row of attributes.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

/// A row of attributes: the type of each, and its value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let ([a, b, c, d], _) = bytes.split_first_chunk::<4>()?;
        let len = u16::from_ne_bytes([*a, *b]) as usize;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([*c, *d]), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_what_is_in_it() {
        let mut requests = Requests::default();
        requests.begin(16, ACK, &[&[0; 16]]);
        requests.attribute(3, b"eth0\0");
        let outer = requests.begin_attribute(18);
        requests.attribute(1, b"veth");
        requests.end_attribute(outer);
        requests.begin(20, 0, &[&[7; 8]]);
        let mut seen = Vec::new();
        for_each_message(&requests.bytes, &mut |kind, content| seen.push((kind, content.to_vec())));
        assert_eq!(seen.len(), 2);
        assert_eq!(requests.answers, 1);
        let (kind, content) = &seen[0];
        assert_eq!(*kind, 16);
        assert_eq!(attribute(&content[16..], 3), Some(&b"eth0\0"[..]));
        assert_eq!(attribute(attribute(&content[16..], 18).unwrap(), 1), Some(&b"veth"[..]));
        assert_eq!(attribute(&content[16..], 4), None);
        assert_eq!(seen[1], (20, vec![7; 8]));
    }

    #[test]
    fn what_is_cut_short_ends_the_walk() {
        for bytes in [&[1u8, 2, 3][..], &[200, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0; 16], &[8; 40]] {
            for_each_message(bytes, &mut |_, _| {});
            assert_eq!(attribute(bytes, 77), None);
        }
    }
}
