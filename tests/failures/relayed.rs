//! A caller and a server, on both sides of the relay of published ports: the server is sent an amount, and sends back a byte of it; what
//! a datagram holds it sends back. The two know each other by a pair of sockets, of which the server has one as its stdin: so neither waits for the other for ever.

use crate::program::STATUS;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg_addr};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The relay receives a part of so much, and splices the rest.
const AMOUNT: usize = 20_000;

/// The options of its run.
pub const OPTIONS: &str = "--no-limits -p 127.0.0.1:8080:80 -p 127.0.0.1:5353:53/udp";

/// A thread that calls both ports of the host, in the network of the thread that makes it.
pub struct Caller {
    servers: UnixStream,
    answered: Option<JoinHandle<bool>>,
}

impl Caller {
    pub fn start() -> io::Result<Caller> {
        let (mut own, servers) = UnixStream::pair()?;
        let answered = thread::spawn(move || {
            // Nothing comes of a run that fails.
            own.read_exact(&mut [0]).is_ok() && by_stream() && by_datagram()
        });
        Ok(Caller { servers, answered: Some(answered) })
    }

    /// The server's stdin.
    pub fn stdin(&self) -> BorrowedFd<'_> {
        self.servers.as_fd()
    }

    /// Whether both ports have answered; the run is over.
    pub fn has_answers(&mut self) -> bool {
        self.servers.shutdown(Shutdown::Both).ok();
        self.answered.take().is_some_and(|answered| answered.join().unwrap_or(false))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.has_answers();
    }
}

/// A connection that ends without an answer is tried again, as long as somebody listens.
fn by_stream() -> bool {
    while let Ok(mut stream) = TcpStream::connect("127.0.0.1:8080") {
        if stream.write_all(&[b'x'; AMOUNT]).is_ok() && stream.read_exact(&mut [0]).is_ok() {
            return true;
        }
    }
    false
}

/// So is a datagram that has no answer.
fn by_datagram() -> bool {
    let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else { return false };
    let pause = Some(Duration::from_millis(100));
    if socket.connect("127.0.0.1:5353").is_err() || socket.set_read_timeout(pause).is_err() {
        return false;
    }
    loop {
        match socket.send(b"x").and_then(|_| socket.recv(&mut [0])) {
            Ok(_) => return true,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return false,
            Err(_) => {}
        }
    }
}

/// The command: serves both ports inside, until the caller has gone. Of the calls that are made to fail it makes only such as it may
/// lose: std sends to a stream by sendto(2).
pub fn serve() -> i32 {
    let (Ok(streams), Ok(datagrams)) = (TcpListener::bind("127.0.0.1:80"), UdpSocket::bind("127.0.0.1:53")) else {
        return 1;
    };
    // SAFETY: nobody else in this process uses its stdin
    let caller = unsafe { UnixStream::from_raw_fd(0) };
    if rustix::io::write(&caller, b".").is_err() {
        return STATUS;
    }
    loop {
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut all = [poll(0), poll(streams.as_raw_fd()), poll(datagrams.as_raw_fd())];
        // SAFETY: the array has three entries
        unsafe { libc::poll(all.as_mut_ptr(), 3, -1) };
        let mut buffer = [0];
        if all[0].revents != 0 {
            return STATUS;
        }
        if all[1].revents != 0
            && let Ok((mut stream, _)) = streams.accept()
            && stream.read_exact(&mut [0; AMOUNT]).is_ok()
        {
            rustix::io::write(&stream, &buffer).ok();
        }
        if all[2].revents != 0
            && let Ok((_, from)) = datagrams.recv_from(&mut buffer)
        {
            let parts = [IoSlice::new(&buffer)];
            sendmsg_addr(&datagrams, &from, &parts, &mut SendAncillaryBuffer::default(), SendFlags::empty()).ok();
        }
    }
}
