//! `--publish`: ports of the host that lead into the container.

use super::relay::Relay;
use crate::bytes::Put;
use crate::error::{Errno, Error, Result};
use crate::namespaces;
use crate::privilege;
use crate::spec::{Capabilities, Network, Port};
use crate::step::{Listener, Parent, ParentStep, Slot};
use crate::streams;
use crate::sys::record;
use crate::sys::{self, CloneFlags, Fd, FdRef, Pid, SocketAddress};
use alloc::boxed::Box;
use alloc::vec::Vec;

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
        for port in self.ports {
            let listener = listen(port).map_err(|e| explain(e, port))?;
            // The kernel has chosen one that is free.
            let host = if port.host == 0 { sys::port_of(&listener.socket) } else { Ok(port.host) };
            let host = host.map_err(|e| explain(e, port))?;
            put_port(&mut parent.ports, port, host);
            parent.listeners.push(listener);
        }
        Ok(())
    }
}

/// As docker shows a port: `0.0.0.0:8080->80/tcp`. Of thousands, the record shows the first ones.
fn put_port(out: &mut Vec<u8>, port: &Port, host: u16) {
    if out.len() > libc::PATH_MAX as usize {
        out.put(if out.ends_with(b"..") { b"" } else { b", .." });
        return;
    }
    out.put(if out.is_empty() { b"" } else { b", " });
    out.put(port.address_word);
    out.put(b":");
    out.put_decimal(host.into());
    out.put(b"->");
    out.put_decimal(port.container.into());
    out.put(if port.datagrams { b"/udp" } else { b"/tcp" });
}

fn listen(port: &Port) -> Result<Listener> {
    let mut address = match port.address {
        Some(address) => address.with_port(port.host),
        None => SocketAddress::v6(ANY, port.host),
    };
    let socket = match sys::socket_to(&address, port.datagrams) {
        // This kernel has no IPv6.
        Err(e) if e.is(Errno::EAFNOSUPPORT) && port.address.is_none() => {
            address = SocketAddress::v4([0; 4], port.host);
            sys::socket_to(&address, port.datagrams)?
        }
        other => other?,
    };
    sys::bind_and_listen(&socket, &address, port.address.is_none(), port.datagrams)?;
    Ok(Listener {
        socket,
        targets: alloc::vec![SocketAddress::v4(LOOPBACK, port.container)],
        datagrams: port.datagrams,
    })
}

fn explain(error: Error, port: &Port) -> Error {
    error.about(port.word.as_bytes()).hint_for(&[
        (
            Errno::EADDRINUSE,
            "another program has this port of the host: publish another one, or let the kernel choose: -p CONT",
        ),
        (Errno::EMFILE, "each port takes one: ulimit -n N allows more"),
        (Errno::EACCES, "ports below net.ipv4.ip_unprivileged_port_start, 1024, are root's"),
        (Errno::EADDRNOTAVAIL, "this host does not have this address"),
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
                    self.confine(namespace, kind)?;
                }
            }
            None => {
                let prepare = |listeners: &'static mut Vec<Listener>| {
                    if self.detached {
                        streams::leave(&FdRef::STREAMS)?;
                    }
                    self.confine(namespace, kind)?;
                    give_up(listeners, [&failed, &process], mydocker)?;
                    Relay::new(listeners, &process)
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

    /// Enters the network of the container, without any privilege.
    fn confine(&self, namespace: &Fd, kind: CloneFlags) -> Result<()> {
        // The relay keeps the host's root. In a user namespace any process of the container could read its /proc/PID/root otherwise.
        sys::set_not_dumpable()?;
        match self.network {
            Network::Namespace(_, word) => namespaces::enter(namespace, word, kind)?,
            _ => sys::setns(namespace.borrow(), kind)?,
        }
        sys::capset(0)?;
        sys::set_no_new_privs()?;
        match self.filter.take() {
            Some(filter) => sys::load_filter(&filter),
            None => Ok(()),
        }
    }
}

/// Keeps nothing of mydocker's but the sockets, and ends with it.
fn give_up(listeners: &[Listener], others: [&Fd; 2], mydocker: Pid) -> Result<()> {
    sys::die_with_parent()?;
    if sys::getppid() != mydocker {
        // It has ended already.
        sys::exit_group(125);
    }
    // The directory of the caller is not to stay busy.
    sys::chdir(c"/")?;
    let mut kept = Vec::with_capacity(listeners.len() + 2);
    for other in others {
        kept.push(other.borrow());
    }
    for listener in listeners {
        kept.push(listener.socket.borrow());
    }
    sys::close_all_but(3, &kept)
}

/// The filter of the relay: that of a command without capabilities.
pub fn filter() -> Vec<u8> {
    privilege::filter(Capabilities(0))
}
