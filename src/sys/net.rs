//! Sockets, their connections and datagrams, splice(2) and epoll(7) between them; network interfaces: netdevice(7); and the
//! sockets that a descriptor is passed through: unix(7).

use super::fd::{Ends, Fd, FdRef};
use super::flags::{
    Domain, EpollOperation, Ioctl, MessageFlags, OpenFlags, Shutdown, Socket, SocketLevel, SocketOption, SpliceFlags,
};
use super::gate::About::{Path, Text};
use super::gate::{Int, Now, Null, Object, Outcome, Print, call, put_numbers};
use crate::bytes::Put;
use crate::error::{Errno, Result};

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
    unsafe { call!(ioctl(socket.borrow(), Ioctl::SIOCGIFINDEX, &mut request)) }.result().map_err(|e| e.about(name))?;
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

/// ioctl(2) SIOCSIFFLAGS on a socket: sets IFF_UP on the interface lo.
pub fn set_loopback_up() -> Result<()> {
    let request = IfReq { name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", flags: libc::IFF_UP as u16, rest: [0; 22] };
    // SAFETY: the call takes numbers
    let socket = unsafe { call!(socket(Domain::INET, Socket::DGRAM | Socket::CLOEXEC, 0)) }.about(Text(b"AF_INET"));
    let socket = socket.map(Fd::own)?;
    // SAFETY: the kernel reads one struct ifreq
    unsafe { call!(ioctl(socket.borrow(), Ioctl::SIOCSIFFLAGS, &request)) }.about(Path(c"lo")).map(drop)
}

/// An address and a port: struct sockaddr_in or struct sockaddr_in6.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SocketAddress {
    family: u16,
    port: [u8; 2],
    /// In sockaddr_in the address stands first; in sockaddr_in6 it stands behind the flow.
    rest: [u8; 24],
}

impl Object for SocketAddress {}

impl SocketAddress {
    /// Room for one.
    const NONE: Self = SocketAddress { family: 0, port: [0; 2], rest: [0; 24] };

    /// An IPv4 address.
    pub fn v4(address: [u8; 4], port: u16) -> Self {
        let mut rest = [0; 24];
        if let Some(room) = rest.first_chunk_mut() {
            *room = address;
        }
        SocketAddress { family: libc::AF_INET as u16, port: port.to_be_bytes(), rest }
    }

    /// An IPv6 address.
    pub fn v6(address: [u8; 16], port: u16) -> Self {
        let mut rest = [0; 24];
        if let Some(room) = rest.get_mut(4..).and_then(<[u8]>::first_chunk_mut) {
            *room = address;
        }
        SocketAddress { family: libc::AF_INET6 as u16, port: port.to_be_bytes(), rest }
    }

    /// The same address with another port.
    pub fn with_port(self, port: u16) -> Self {
        SocketAddress { port: port.to_be_bytes(), ..self }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        u16::from_be_bytes(self.port)
    }

    /// Whether it stands for all addresses: 0.0.0.0 or ::.
    pub fn is_unspecified(&self) -> bool {
        self.rest == [0; 24]
    }

    /// Whether it is one of IPv4.
    pub fn is_v4(&self) -> bool {
        i32::from(self.family) == libc::AF_INET
    }

    fn domain(&self) -> Domain {
        if self.is_v4() { Domain::INET } else { Domain::INET6 }
    }

    fn size(&self) -> u32 {
        if self.is_v4() { 16 } else { size_of::<SocketAddress>() as u32 }
    }
}

/// socket(2) for this address, which never waits.
pub fn socket_to(address: &SocketAddress, datagrams: bool) -> Result<Fd> {
    open_socket(address, datagrams).result().map(Fd::own)
}

fn open_socket(address: &SocketAddress, datagrams: bool) -> Outcome {
    let kind = if datagrams { Socket::DGRAM } else { Socket::STREAM };
    // SAFETY: the call takes numbers
    unsafe { call!(socket(address.domain(), kind | Socket::NONBLOCK | Socket::CLOEXEC, 0)) }
}

fn set_option(socket: &Fd, level: SocketLevel, option: SocketOption, value: i32) -> Result<()> {
    let value = Int(value);
    // SAFETY: the kernel reads one int
    unsafe { call!(setsockopt(socket.borrow(), level, option, &value, 4usize)) }.result().map(drop)
}

/// bind(2) and, unless it is for datagrams, listen(2). With `with_v4` an IPv6 socket takes IPv4 too. Each datagram comes with the
/// address that it was sent to.
pub fn bind_and_listen(socket: &Fd, address: &SocketAddress, with_v4: bool, datagrams: bool) -> Result<()> {
    if !address.is_v4() {
        set_option(socket, SocketLevel::IPV6, SocketOption::V6ONLY, (!with_v4).into())?;
    }
    if datagrams {
        let (level, option) = match address.is_v4() {
            true => (SocketLevel::IP, SocketOption::PKTINFO),
            false => (SocketLevel::IPV6, SocketOption::RECVPKTINFO),
        };
        set_option(socket, level, option, 1)?;
        bind(socket, address)
    } else {
        // Connections that have ended a minute ago are no reason to refuse. Those that are accepted are ended, too, if the other
        // host is gone: net.ipv4.tcp_keepalive_time.
        for option in [SocketOption::REUSEADDR, SocketOption::KEEPALIVE] {
            set_option(socket, SocketLevel::SOCKET, option, 1)?;
        }
        // So do those: see `connect`.
        set_option(socket, SocketLevel::TCP, SocketOption::NODELAY, 1)?;
        bind(socket, address)?;
        // SAFETY: the call takes numbers
        unsafe { call!(listen(socket.borrow(), 1024)) }.result().map(drop)
    }
}

fn bind(socket: &Fd, address: &SocketAddress) -> Result<()> {
    // SAFETY: the kernel reads as much of the address as its size says
    unsafe { call!(bind(socket.borrow(), address, address.size())) }.result().map(drop)
}

/// getsockname(2): the port that it listens on.
pub fn port_of(socket: &Fd) -> Result<u16> {
    let mut address = SocketAddress::NONE;
    let mut size = Int(size_of::<SocketAddress>() as i32);
    // SAFETY: the kernel writes no more of the address than its size says
    unsafe { call!(getsockname(socket.borrow(), &mut address, &mut size)) }.result()?;
    Ok(address.port())
}

/// accept4(2) of a connection that is there.
pub fn accept(socket: &Fd) -> Option<Fd> {
    // SAFETY: without an address the kernel writes none
    unsafe { call!(accept4(socket.borrow(), Null, Null, Socket::NONBLOCK | Socket::CLOEXEC)) }.now().done().map(Fd::own)
}

/// socket(2) and connect(2), without waiting: the socket, and whether it is connected already.
pub fn connect(address: &SocketAddress, datagrams: bool) -> Option<(Fd, bool)> {
    let socket = open_socket(address, datagrams).now().done().map(Fd::own)?;
    if !datagrams {
        // What has been passed on is not to wait for the receiver's acknowledgement of what was passed on before: whoever sends it has
        // waited already, or does not want to (tcp(7)).
        // SAFETY: the kernel reads one int
        unsafe {
            call!(setsockopt(socket.borrow(), SocketLevel::TCP, SocketOption::NODELAY, &Int(1), 4usize))
                .now()
                .done()?;
        }
    }
    // SAFETY: the kernel reads as much of the address as its size says
    let connected = unsafe { call!(connect(socket.borrow(), address, address.size())) };
    match connected.ok() {
        Some(_) => Some((socket, true)),
        None if connected.is(Errno::EINPROGRESS) => Some((socket, false)),
        None => None,
    }
}

/// getsockopt(2): the first four bytes of an option, or `None` if the call fails.
fn option(socket: &Fd, level: SocketLevel, option: SocketOption) -> Option<i32> {
    let (mut value, mut size) = (Int(0), Int(4));
    // SAFETY: the kernel writes as much as `size` says
    let asked = unsafe { call!(getsockopt(socket.borrow(), level, option, &mut value, &mut size)) };
    asked.ok().map(|_| value.0)
}

/// getsockopt(2) SO_ERROR: whether a connect(2) that went on has worked, and nothing has happened since.
pub fn is_connected(socket: &Fd) -> bool {
    connected(socket) == Connected::Yes
}

/// What has become of a connect(2) that went on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Connected {
    /// It has worked.
    Yes,
    /// It has worked, and the other side has reset the connection since: what it has sent before that can still be read.
    Reset,
    /// It has failed.
    No,
}

/// getsockopt(2) SO_ERROR, which tells an error once.
pub fn connected(socket: &Fd) -> Connected {
    match option(socket, SocketLevel::SOCKET, SocketOption::ERROR) {
        Some(0) => Connected::Yes,
        Some(libc::ECONNRESET) => Connected::Reset,
        _ => Connected::No,
    }
}

/// getsockopt(2) TCP_INFO: whether the kernel of the other side has received our end, and so all that came before it.
pub fn is_end_received(socket: &Fd) -> bool {
    // tcpi_state is the first byte; linux/tcp_states.h
    const TCP_FIN_WAIT2: u8 = 5;
    option(socket, SocketLevel::TCP, SocketOption::INFO).is_some_and(|info| info.to_ne_bytes()[0] == TCP_FIN_WAIT2)
}

/// shutdown(2) SHUT_WR: the other side reads the end. One that has ended already knows.
pub fn shut_down(socket: &Fd) {
    // SAFETY: the call takes numbers
    let _ = unsafe { call!(shutdown(socket.borrow(), Shutdown::WR)) };
}

/// setsockopt(2) SO_LINGER without a time: close(2) resets the connection. One that has ended is reset by nobody.
pub fn reset_on_close(socket: &Fd) {
    let linger = Linger([1, 0]);
    // SAFETY: the kernel reads one struct linger
    let _ = unsafe { call!(setsockopt(socket.borrow(), SocketLevel::SOCKET, SocketOption::LINGER, &linger, 8usize)) };
}

/// struct linger: whether there is a time, and how long it is, in seconds.
#[expect(dead_code, reason = "the kernel reads it")]
struct Linger([i32; 2]);

impl Object for Linger {
    const PRINT: Option<Print> = Some(put_numbers);
}

/// splice(2) of at most `len` bytes, one of the two being a pipe; 0 at the end.
pub fn splice(from: &Fd, to: &Fd, len: usize) -> Now {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    // SAFETY: the kernel moves bytes from one descriptor to the other, and takes no offsets
    unsafe { call!(splice(from.borrow(), Null, to.borrow(), Null, len, flags)) }.now()
}

/// recvfrom(2) of what is there; 0 at the end.
pub fn receive(socket: &Fd, buffer: &mut [u8]) -> Now {
    let room = buffer.len();
    // SAFETY: the buffer is ours to write and as long as its length says; without an address the kernel writes none
    unsafe { call!(recvfrom(socket.borrow(), buffer, room, MessageFlags::NONE, Null, Null)) }.now()
}

/// sendto(2) of as much as there is room for.
pub fn send(socket: &Fd, bytes: &[u8]) -> Now {
    // SAFETY: the kernel reads as many bytes as there are, and no address
    unsafe { call!(sendto(socket.borrow(), bytes, bytes.len(), MessageFlags::NONE, Null, 0usize)) }.now()
}

/// write(2) of as much as there is room for in a pipe.
pub fn fill(pipe: &Fd, bytes: &[u8]) -> Now {
    // SAFETY: the kernel reads as many bytes as there are
    unsafe { call!(write(pipe.borrow(), bytes, bytes.len())) }.now()
}

/// The two ends of a datagram: who has sent it, or is to get it; and the address of this host, as the control message that the
/// kernel gives with a datagram and takes with its answer: IP_PKTINFO, ip(7), or IPV6_PKTINFO, ipv6(7).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct DatagramEnds {
    /// struct cmsghdr, four of these, and struct in_pktinfo or in6_pktinfo.
    control: [u32; 10],
    control_len: u32,
    peer: SocketAddress,
}

impl DatagramEnds {
    const NONE: Self = DatagramEnds { control: [0; 10], control_len: 0, peer: SocketAddress::NONE };

    /// The struct msghdr for a datagram between them. It holds addresses of both arguments.
    fn message(&mut self, part: &mut libc::iovec) -> libc::msghdr {
        // SAFETY: a msghdr of zeros is one without a name, parts or control data
        let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
        message.msg_name = (&raw mut self.peer).cast();
        message.msg_namelen = self.peer.size();
        message.msg_iov = part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut self.control).cast();
        message.msg_controllen = self.control_len as _;
        message
    }
}

/// recvmsg(2) of one datagram that is there, and its ends. It fails with what the socket has been told of an earlier one, icmp(7).
pub fn receive_from(socket: &Fd, buffer: &mut [u8]) -> (Now, DatagramEnds) {
    let mut ends = DatagramEnds::NONE;
    ends.control_len = size_of_val(&ends.control) as u32;
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut message = ends.message(&mut part);
    // SAFETY: the parts of the message outlive the call, and are ours to write; none is longer than its length says
    let received = unsafe { call!(recvmsg(socket.borrow(), &mut message, MessageFlags::NONE)) };
    ends.control_len = message.msg_controllen as _;
    // The answer may take another interface than the datagram, whose number stands first with IPv4, and last with IPv6.
    ends.control[if ends.control[2] == libc::SOL_IPV6 as u32 { 8 } else { 4 }] = 0;
    (received.now(), ends)
}

/// sendmsg(2) of one datagram to the sender of another. It is lost where there is no room, or nobody to receive it.
pub fn send_back(socket: &Fd, bytes: &[u8], mut ends: DatagramEnds) {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let message = ends.message(&mut part);
    // SAFETY: the parts of the message outlive the call, and the kernel writes to none of them
    let _ = unsafe { call!(sendmsg(socket.borrow(), &message, MessageFlags::NONE)) };
}

/// struct epoll_event.
#[derive(Clone, Copy)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
struct EpollEvent {
    events: u32,
    data: u64,
}

impl Object for EpollEvent {}

/// After what is to be read there comes an end: of all, or of what a read takes at once.
const LAST: i32 = libc::EPOLLRDHUP | libc::EPOLLPRI;

/// How many events are taken at once.
pub const EVENTS: usize = 64;

/// What has happened on many descriptors: epoll(7).
pub struct Epoll {
    fd: Fd,
    events: [EpollEvent; EVENTS],
}

impl Epoll {
    /// epoll_create1(2).
    pub fn new() -> Result<Epoll> {
        // SAFETY: the call takes flags
        let fd = unsafe { call!(epoll_create1(OpenFlags::CLOEXEC)) }.result().map(Fd::own)?;
        Ok(Epoll { fd, events: [EpollEvent { events: 0, data: 0 }; EVENTS] })
    }

    /// epoll_ctl(2): `data` is returned as long as there is something to read.
    pub fn add(&self, fd: &Fd, data: u64) -> Result<()> {
        self.control(fd, libc::EPOLLIN, data).result().map(drop)
    }

    /// The same for a descriptor of many; with `edges` also when there is room to write, and only as soon as that is new. False if
    /// it cannot be watched.
    pub fn try_add(&self, fd: &Fd, edges: bool, data: u64) -> bool {
        let news = if edges { libc::EPOLLOUT | LAST | libc::EPOLLET } else { 0 };
        self.control(fd, libc::EPOLLIN | news, data).ok().is_some()
    }

    /// Looks no more at a descriptor.
    pub fn remove(&self, fd: &Fd) {
        // SAFETY: the kernel reads no event
        let _ = unsafe { call!(epoll_ctl(self.fd.borrow(), EpollOperation::DEL, fd.borrow(), Null)) };
    }

    fn control(&self, fd: &Fd, events: i32, data: u64) -> Outcome {
        let event = EpollEvent { events: events as u32, data };
        // SAFETY: the kernel reads one struct epoll_event
        unsafe { call!(epoll_ctl(self.fd.borrow(), EpollOperation::ADD, fd.borrow(), &event)) }
    }

    /// epoll_pwait(2): the data of what has happened, after at most `milliseconds` if given, and whether it is not only that there are
    /// bytes to read, but the end, or urgent data, before which a read stops. Returns how many there are.
    pub fn wait(&mut self, milliseconds: Option<u32>, data: &mut [(u64, bool); EVENTS]) -> Result<usize> {
        let time = milliseconds.map_or(-1, |limit| limit as i32);
        let room = self.events.len();
        let Some(first) = self.events.first_mut() else { return Ok(0) };
        // SAFETY: the kernel writes as many events as there is room for; no signal mask is passed, whose size is 8
        let n = unsafe { call!(epoll_pwait(self.fd.borrow(), first, room, time, Null, 8usize)) }.result()?;
        for (room, event) in data.iter_mut().zip(&self.events) {
            let end = LAST | libc::EPOLLHUP | libc::EPOLLERR;
            *room = (event.data, event.events & end as u32 != 0);
        }
        Ok(n)
    }
}

/// socketpair(2): AF_UNIX, which can carry a descriptor, SOCK_SEQPACKET, which has an end of file.
pub fn socketpair() -> Result<(Fd, Fd)> {
    let mut ends = Ends::default();
    let kind = Socket::SEQPACKET | Socket::CLOEXEC;
    // SAFETY: the kernel writes two descriptors into an array of two
    unsafe { call!(socketpair(Domain::UNIX, kind, 0, &mut ends)) }.result()?;
    Ok(ends.into())
}

/// One SCM_RIGHTS message with one descriptor: cmsghdr (16 bytes), the int, padding; unix(7), cmsg(3).
#[repr(C)]
struct Rights {
    len: usize,
    level: i32,
    kind: i32,
    fd: i32,
    padding: i32,
}

/// The length of a cmsghdr and one int.
const RIGHTS_LEN: usize = 20;

impl Rights {
    fn of(fd: i32) -> Rights {
        Rights { len: RIGHTS_LEN, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, fd, padding: 0 }
    }
}

/// A msghdr is shown by its address.
impl Object for libc::msghdr {}

/// sendmsg(2) of one descriptor with `bytes`, at least one.
pub fn send_fd(socket: FdRef, fd: FdRef, bytes: &[u8]) -> Result<()> {
    let mut rights = Rights::of(fd.number());
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    with_message(&mut rights, part, |message| {
        // SAFETY: the parts of the message outlive the closure, and the kernel writes to none of them
        unsafe { call!(sendmsg(socket, &*message, MessageFlags::NONE)) }.about(Text(b"SCM_RIGHTS")).map(drop)
    })
}

/// recvmsg(2) of one descriptor and the bytes that came with it, as much as fits into `bytes`; `None` if the other end is
/// closed.
pub fn receive_fd(socket: FdRef, bytes: &mut [u8]) -> Result<Option<Fd>> {
    let mut rights = Rights { len: 0, level: 0, kind: 0, fd: -1, padding: 0 };
    let part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let n = with_message(&mut rights, part, |message| {
        // SAFETY: the parts of the message outlive the closure, and are ours to write
        unsafe { call!(recvmsg(socket, message, MessageFlags::CMSG_CLOEXEC)) }.about(Text(b"SCM_RIGHTS"))
    })?;
    let has_fd = n > 0 && rights.len == RIGHTS_LEN && rights.kind == libc::SCM_RIGHTS;
    Ok(has_fd.then(|| Fd::own(rights.fd as usize)))
}

fn with_message<T>(rights: &mut Rights, mut part: libc::iovec, f: impl FnOnce(&mut libc::msghdr) -> T) -> T {
    // SAFETY: a msghdr of zeros is one without a name, parts or control data
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = core::ptr::from_mut(rights).cast();
    message.msg_controllen = size_of::<Rights>() as _;
    f(&mut message)
}

/// Answers a recorded recvmsg(2) as the kernel would: with the descriptor `fd`.
///
/// # Safety
/// `message` must be the address of a struct msghdr that [`receive_fd`] has made.
pub(super) unsafe fn answer_rights(message: usize, fd: usize) {
    // SAFETY: the caller's promise: its control data is a struct Rights
    unsafe { *(*(message as *const libc::msghdr)).msg_control.cast::<Rights>() = Rights::of(fd as i32) };
}
