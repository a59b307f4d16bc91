//! `--publish`: ports of the host that lead into the container.

use super::relay::Relay;
use crate::bytes::{self, Put};
use crate::error::{Errno, Error, Result};
use crate::namespaces;
use crate::privilege;
use crate::spec::{Network, Port};
use crate::step::{Listener, Parent, ParentStep, Slot};
use crate::streams;
use crate::sys::record;
use crate::sys::{self, CloneFlags, Fd, FdRef, Pid, SocketAddress};
use alloc::boxed::Box;
use alloc::vec::Vec;
use syscalls::Sysno;

/// The address in IPv6 that stands for all, IPv4 included.
const ANY: [u8; 16] = [0; 16];
/// 127.0.0.1
const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

step! {
    /// Listens on the ports that are published.
    ///
    /// Before anything else is made: one that is taken ends the run.
    pub struct Listen {
        /// The ports.
        pub ports: &'static [Port],
    }
}

impl ParentStep for Listen {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let mut shown = Shown { out: &mut parent.ports, range: None };
        // A choice takes what the others leave.
        let choices = self.ports.iter().filter(|port| is_choice(port));
        for port in self.ports.iter().filter(|port| !is_choice(port)).chain(choices) {
            let is_other = |other: &&Port| !core::ptr::eq(*other, port) && other.datagrams == port.datagrams;
            let is_own = || {
                !is_choice(port)
                    && self.ports.iter().filter(is_other).any(|other| other.host == port.host && meet(other, port))
            };
            let (listener, both) = listen_on_one(port).map_err(|e| match e.is(Errno::EADDRINUSE) && is_own() {
                true => about(e, port).with_hint("another -p of this run has this port"),
                false => explain(e, port),
            })?;
            // Which one it is the kernel has chosen, or the first that was free.
            let host = match port.host == 0 || port.host_last != port.host {
                true => sys::port_of(&listener.socket).map_err(|e| explain(e, port))?,
                false => port.host,
            };
            shown.add(*port, host, both);
            parent.listeners.push(listener);
        }
        shown.end();
        Ok(())
    }
}

/// Whether two ports are of one address, or one of them is of all of its family. Without an address it is of both.
fn meet(one: &Port, other: &Port) -> bool {
    let (Some(one), Some(other)) = (one.address, other.address) else { return true };
    one == other || one.is_v4() == other.is_v4() && (one.is_unspecified() || other.is_unspecified())
}

/// The published ports as docker shows them: `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`, and neighbours as
/// `127.0.0.1:8080-8081->80-81/tcp`.
struct Shown<'a> {
    out: &'a mut Vec<u8>,
    range: Option<Range>,
}

/// Ports that are neighbours, on the host and in the container.
struct Range {
    first: Port,
    /// The port of the host of the first one.
    host: u16,
    /// How many there are beside it.
    more: u16,
    /// The host listens on all addresses of IPv6, too.
    both: bool,
}

impl Shown<'_> {
    fn add(&mut self, port: Port, host: u16, both: bool) {
        if let Some(range) = &mut self.range
            && (range.first.address_word, range.first.datagrams) == (port.address_word, port.datagrams)
            && range.both == both
            && range.host.checked_add(range.more + 1) == Some(host)
            && range.first.container.checked_add(range.more + 1) == Some(port.container)
        {
            range.more += 1;
            return;
        }
        self.end();
        self.range = Some(Range { first: port, host, more: 0, both });
    }

    /// No neighbour follows.
    fn end(&mut self) {
        let Some(range) = self.range.take() else { return };
        range.put(range.first.address_word, self.out);
        if range.both {
            range.put(b"[::]", self.out);
        }
    }
}

impl Range {
    /// Of thousands, the record shows the first ones.
    fn put(&self, address: &[u8], out: &mut Vec<u8>) {
        if out.len() > libc::PATH_MAX as usize {
            out.put(if out.ends_with(b"..") { b"" } else { b", .." });
            return;
        }
        out.put(if out.is_empty() { b"" } else { b", " });
        out.put(address);
        for (before, first) in [(&b":"[..], self.host), (b"->", self.first.container)] {
            out.put(before);
            out.put_decimal(first.into());
            if self.more > 0 {
                out.put(b"-");
                out.put_decimal((first + self.more).into());
            }
        }
        out.put(if self.first.datagrams { b"/udp" } else { b"/tcp" });
    }
}

/// Listens on the port, or on the first of its range that is free.
fn listen_on_one(port: &Port) -> Result<(Listener, bool)> {
    let mut tried = *port;
    loop {
        match listen(&tried) {
            // Of an ordinary user's range, the first ports may be root's.
            Err(e) if e.is_one_of(&[Errno::EADDRINUSE, Errno::EACCES]) && tried.host < port.host_last => {
                tried.host += 1
            }
            other => return other,
        }
    }
}

/// Listens on the port. Returns whether that is one of all addresses, those of IPv6 included.
fn listen(port: &Port) -> Result<(Listener, bool)> {
    let mut address = match port.address {
        Some(address) => address.with_port(port.host),
        None => SocketAddress::v6(ANY, port.host),
    };
    let mut both = port.address.is_none();
    let socket = match sys::socket_to(&address, port.datagrams) {
        // This kernel has no IPv6.
        Err(e) if e.is(Errno::EAFNOSUPPORT) && port.address.is_none() => {
            address = SocketAddress::v4([0; 4], port.host);
            both = false;
            sys::socket_to(&address, port.datagrams)?
        }
        other => other?,
    };
    sys::bind_and_listen(&socket, &address, port.address.is_none(), port.datagrams)?;
    let targets = alloc::vec![SocketAddress::v4(LOOPBACK, port.container)];
    Ok((Listener { socket, targets, datagrams: port.datagrams }, both))
}

/// An error of a port: the word of its option, and which of several ports it is.
fn about(error: Error, port: &Port) -> Error {
    let mut subject = port.word.as_bytes().to_vec();
    let host = bytes::to_decimal(port.host.into());
    if !is_choice(port) && port.host != 0 && bytes::position(&subject, &[&host, &b":"[..]].concat()).is_none() {
        subject.put(b", port ");
        subject.put(&host);
    }
    error.about(&subject)
}

/// It is the first port of a range that is free.
fn is_choice(port: &Port) -> bool {
    port.host != port.host_last
}

fn explain(error: Error, port: &Port) -> Error {
    about(error, port).hint_for(&[
        (
            Errno::EADDRINUSE,
            "another program has this port of the host, or a container (mydocker ps): publish another, or let the \
             kernel choose: -p CONT",
        ),
        (Errno::EMFILE, "each port takes one: ulimit -n N allows more"),
        (Errno::EACCES, "ports below net.ipv4.ip_unprivileged_port_start, 1024, are root's"),
        (Errno::EADDRNOTAVAIL, "this host does not have this address"),
        (
            Errno::EINVAL,
            "an address of one link, such as fe80::1, or ::ffff:0.0.0.0 has no port here: name another, or none",
        ),
    ])
}

step! {
    /// Starts the relay: it connects from within the network of the container, and may do nothing else.
    pub struct StartRelay {
        /// Its network.
        pub network: Network,
        /// It has a user namespace.
        pub in_userns: bool,
        /// Whoever has started it goes on without it.
        pub detached: bool,
        /// The filter of the calls that the relay may make.
        pub filter: Slot<Vec<u8>>,
    }
}

impl ParentStep for StartRelay {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        self.start(parent).map_err(|e| e.with_hint("without its relay -p does not work"))
    }
}

impl StartRelay {
    fn start(&self, parent: &mut Parent) -> Result<()> {
        let Some(container) = parent.pid else { return Ok(()) };
        if let Some(address) = parent.address {
            // A server may listen on this address alone.
            for listener in &mut parent.listeners {
                let port = listener.targets.first().map_or(0, SocketAddress::port);
                listener.targets.push(SocketAddress::v4(address.bytes(), port));
            }
        }
        let (ready, failed) = sys::pipe2()?;
        let process = sys::pidfd_open(container)?;
        let file;
        let (namespace, kind) = match self.network {
            Network::Namespace(path, _) => {
                file = sys::open(path, sys::OpenFlags::NONBLOCK)?;
                (&file, CloneFlags::NEWNET)
            }
            _ if self.in_userns => (&process, CloneFlags::NEWUSER | CloneFlags::NEWNET),
            _ => (&process, CloneFlags::NEWNET),
        };
        let mydocker = sys::getpid();
        match sys::fork(CloneFlags::NONE)? {
            Some(pid) => {
                parent.relay = Some(pid);
                if record::is_on() {
                    self.confine(namespace, kind, mydocker)?;
                }
            }
            None => {
                let prepare = |listeners: &'static mut Vec<Listener>| {
                    if self.detached {
                        // What it says is for the log.
                        sys::dup3(FdRef::STDOUT, FdRef::STDERR)?;
                        streams::leave(&[FdRef::STDIN])?;
                    }
                    give_up(listeners, [&failed, &process, namespace])?;
                    let relay = Relay::new(listeners, &process)?;
                    self.confine(namespace, kind, mydocker)?;
                    Ok(relay)
                };
                let mut relay = match prepare(Box::leak(Box::new(core::mem::take(&mut parent.listeners)))) {
                    Ok(relay) => relay,
                    Err(e) => {
                        sys::send_error(failed.borrow(), e).unwrap_or_default();
                        sys::exit_group(125);
                    }
                };
                drop(failed);
                sys::exit_group(match relay.serve() {
                    Ok(()) => 0,
                    Err(e) => {
                        sys::say(e.with_hint("the published ports are closed"));
                        125
                    }
                });
            }
        }
        drop(failed);
        // From here on the sockets are the relay's alone.
        parent.listeners.clear();
        match sys::receive_error(ready.borrow())? {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    /// Enters the network of the container, and gives up all privilege: from here on it can only relay.
    fn confine(&self, namespace: &Fd, kind: CloneFlags, mydocker: Pid) -> Result<()> {
        // The relay keeps the host's root. In a user namespace any process of the container could read its /proc/PID/root otherwise.
        sys::set_not_dumpable()?;
        match self.network {
            Network::Namespace(_, word) => namespaces::enter(namespace, word, kind)?,
            _ => sys::setns(namespace.borrow(), kind)?,
        }
        sys::capset(0)?;
        // Only now: the signal is forgotten when a process gets other privileges, prctl(2).
        sys::die_with_parent()?;
        if sys::getppid() != mydocker && !record::is_on() {
            // It has ended already.
            sys::exit_group(125);
        }
        sys::set_no_new_privs()?;
        match self.filter.take() {
            Some(filter) => sys::load_filter(&filter),
            None => Ok(()),
        }
    }
}

/// Keeps nothing of mydocker's but the sockets, and three other descriptors.
fn give_up(listeners: &[Listener], others: [&Fd; 3]) -> Result<()> {
    // The directory of the caller is not to stay busy.
    sys::chdir(c"/")?;
    let mut kept = Vec::with_capacity(listeners.len() + others.len());
    for other in others {
        kept.push(other.borrow());
    }
    for listener in listeners {
        kept.push(listener.socket.borrow());
    }
    sys::close_all_but(3, &kept)
}

/// The filter of the relay: what [`Relay::serve`] calls. It keeps the host's root, of which it can open nothing.
pub fn filter() -> Vec<u8> {
    privilege::only(&[
        Sysno::epoll_pwait,
        Sysno::recvfrom,
        Sysno::sendto,
        Sysno::splice,
        Sysno::epoll_ctl,
        Sysno::accept4,
        Sysno::connect,
        Sysno::getsockopt,
        Sysno::pipe2,
        Sysno::shutdown,
        Sysno::close,
        Sysno::recvmsg,
        Sysno::sendmsg,
        Sysno::ppoll,
        Sysno::write,
        Sysno::clock_gettime,
        Sysno::nanosleep,
        // The heap, and the last words.
        Sysno::mmap,
        Sysno::rt_sigprocmask,
        Sysno::exit_group,
    ])
}
