//! The relay of published ports: a process that listens on the host, and connects from within the network of the container.
//!
//! What is short is received and sent, which takes fewer calls than a pipe. Whatever follows a longer read moves through a pipe in each
//! direction by splice(2), without a copy. Once it serves it allocates nothing, not even the errors of connections that fail: the heap
//! never gives back.

use crate::bytes::{Put, to_decimal};
use crate::error::{Error, Result};
use crate::step::Listener;
use crate::sys::{self, Connected, DatagramEnds, Epoll, Fd, FdRef, Now, Resource, SocketAddress};
use alloc::vec::Vec;

/// How many connections there may be, and how many senders of datagrams.
const MOST: usize = 1000;

/// How many descriptors two connections and a sender of datagrams have: each connection two sockets and two pipes.
const DESCRIPTORS: usize = 13;

/// How long an answer to a datagram may take, in seconds: more than the resolver of the C library waits for DNS.
const ANSWER: u64 = 60;

/// So much is received and sent at once, at most. There is room for it in any pipe that is empty.
const SHORT: usize = 4096;

/// How much is moved at once, and how often before others get their turn.
const CHUNK: usize = 1 << 16;
const TURNS: usize = 16;

/// One direction of a connection.
struct Way {
    /// What has been received and not yet sent is in this pipe.
    read: Fd,
    write: Fd,
    held: usize,
    /// At least SHORT bytes came last: the next ones are spliced.
    is_bulk: bool,
    /// The sender has ended.
    has_ended: bool,
    /// The receiver knows.
    is_shut: bool,
    /// The sender has reset the connection, which the kernel has told already.
    is_reset: bool,
}

/// A connection: the caller's side, and that of the container.
struct Connection {
    sides: [Fd; 2],
    ways: [Way; 2],
    /// The container has not accepted it yet.
    is_connecting: bool,
    /// Where it came from, and which of the targets of that it goes to.
    listener: usize,
    target: usize,
    /// Its turn was over before everything was moved.
    is_pending: bool,
    /// A side has sent its end, or urgent data: a short read may leave some of what there is.
    to_end: bool,
}

/// A sender of datagrams.
struct Flow {
    listener: usize,
    /// Who has sent them, and to which address of this host: there the answers come from.
    ends: DatagramEnds,
    socket: Fd,
    /// Which of the listener's targets they go to.
    target: usize,
    /// It has refused one: the next target gets what comes from now on.
    has_refused: bool,
    /// When the last one came, in seconds.
    last: u64,
}

/// The relay, and what it watches.
pub struct Relay {
    epoll: Epoll,
    listeners: &'static mut Vec<Listener>,
    connections: Vec<Option<Connection>>,
    /// How many of them are pending.
    pending: usize,
    flows: Vec<Option<Flow>>,
    /// How many of them there are.
    flowing: usize,
    buffer: Vec<u8>,
    /// Room for an answer, while there is a datagram in the other.
    answers: Vec<u8>,
    has_said: bool,
    /// No more connections can be taken: nobody looks at the listeners.
    is_full: bool,
    /// The container has ended.
    has_ended: bool,
}

/// What an event is about, as a number: the kind in the upper half, and which one of the kind in the lower.
const LISTENER: u64 = 0;
/// The caller's side of a connection.
const OUTSIDE: u64 = 1 << 32;
/// That of the container.
const INSIDE: u64 = 2 << 32;
const FLOW: u64 = 3 << 32;
const CONTAINER: u64 = 4 << 32;

/// How long, in milliseconds, what the container has sent before its end may take to be received.
const DRAIN: u32 = 100;

impl Relay {
    /// One that is ready to serve until the process `container` has ended.
    pub fn new(listeners: &'static mut Vec<Listener>, container: &Fd) -> Result<Relay> {
        // The kernel raises the soft limit up to the hard one for anybody.
        let others = 64 + listeners.len();
        let most = sys::raise_limit(Resource::NOFILE, (MOST / 2 * DESCRIPTORS + others) as u64)? as usize;
        let count = (most.saturating_sub(others) / DESCRIPTORS * 2).min(MOST);
        if count == 0 {
            return Err(Error::refused("-p needs a larger ulimit -n than", &to_decimal(most as u64), ""));
        }
        let relay = Relay {
            epoll: Epoll::new()?,
            listeners,
            connections: (0..count).map(|_| None).collect(),
            pending: 0,
            flows: (0..count / 2).map(|_| None).collect(),
            flowing: 0,
            buffer: alloc::vec![0; 65536],
            answers: alloc::vec![0; 65536],
            has_said: false,
            is_full: false,
            has_ended: false,
        };
        relay.epoll.add(container, CONTAINER)?;
        for (listener, at) in relay.listeners.iter().zip(LISTENER..) {
            relay.epoll.add(&listener.socket, at)?;
        }
        Ok(relay)
    }

    /// Serves until the container has ended, and what it has sent is delivered.
    pub fn serve(&mut self) -> Result<()> {
        while !self.has_ended {
            self.turn()?;
        }
        let end = sys::monotonic() + u64::from(DRAIN) * 1000;
        // There may be more answers than are taken at once. In the network of others, more may come all the time.
        for at in 0..self.flows.len() {
            while self.answer(at) && sys::monotonic() < end {}
        }
        self.flows.clear();
        // Nobody can connect any more, and what is not received in time is lost.
        self.listeners.clear();
        while self.connections.iter().any(Option::is_some) && sys::monotonic() < end {
            for at in 0..self.connections.len() {
                self.move_on(at, None, true);
                // A caller that keeps its side open, and has everything, is not waited for.
                if let Some(slot) = self.connections.get_mut(at) {
                    slot.take_if(|connection| connection.is_received());
                }
            }
            sys::nanosleep(1_000_000)?;
        }
        // Of what is lost, nobody is to take the end for that of the answer.
        for Connection { sides, ways: [_, back], .. } in self.connections.iter().flatten() {
            if !back.is_shut {
                sides.iter().for_each(sys::reset_on_close);
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let timeout = match (self.pending, self.flowing) {
            // Nothing wakes it up but what happens.
            (0, 0) => None,
            (0, _) => Some(1000 * ANSWER as u32),
            _ => Some(0),
        };
        let mut events = [(0, false); sys::EVENTS];
        let count = self.epoll.wait(timeout, &mut events)?;
        for &(event, is_last) in events.iter().take(count) {
            let at = (event & 0xffff_ffff) as usize;
            match event & !0xffff_ffff {
                LISTENER => self.listen(at),
                OUTSIDE => self.move_on(at, Some(0), is_last),
                INSIDE => self.move_on(at, Some(1), is_last),
                CONTAINER => self.has_ended = true,
                _ => drop(self.answer(at)),
            }
        }
        if self.pending > 0 {
            for at in 0..self.connections.len() {
                if self.connections.get(at).is_some_and(|slot| slot.as_ref().is_some_and(|c| c.is_pending)) {
                    self.move_on(at, None, false);
                }
            }
        }
        if self.flowing > 0 {
            let now = sys::monotonic() / 1_000_000;
            for slot in &mut self.flows {
                self.flowing -= usize::from(slot.take_if(|flow| flow.last + ANSWER < now).is_some());
            }
        }
        Ok(())
    }

    fn listen(&mut self, at: usize) {
        if self.listeners.get(at).is_some_and(|listener| listener.datagrams) {
            return self.receive(at);
        }
        // A few at a time: others get their turn.
        for turn in 0..TURNS {
            let Some(free) = self.connections.iter().position(Option::is_none) else { return self.say_full() };
            let Some(listener) = self.listeners.get(at) else { return };
            let Some(caller) = sys::accept(&listener.socket) else {
                // There is one, and this host has no descriptor for it: without a pause it would ask again at once.
                if turn == 0 {
                    sys::nanosleep(1_000_000).unwrap_or_default();
                }
                return;
            };
            // The caller of a port that nobody serves inside sees its connection end.
            let Some((inside, target, is_done)) = connect(&listener.targets, 0) else { continue };
            let (Some(there), Some(back)) = (Way::new(), Way::new()) else { continue };
            if self.epoll.try_add(&caller, true, OUTSIDE | free as u64)
                && self.epoll.try_add(&inside, true, INSIDE | free as u64)
                && let Some(slot) = self.connections.get_mut(free)
            {
                *slot = Some(Connection {
                    sides: [caller, inside],
                    ways: [there, back],
                    is_connecting: !is_done,
                    listener: at,
                    target,
                    is_pending: false,
                    to_end: false,
                });
                self.move_on(free, None, false);
            }
        }
    }

    /// Whether a server has accepted the connection. If a target refuses it, the next target is tried; `None` if all have refused.
    fn is_accepted(&mut self, at: usize) -> Option<bool> {
        let connection = self.connections.get_mut(at)?.as_mut()?;
        while connection.is_connecting {
            let [_, inside] = &connection.sides;
            if !sys::poll(&mut [sys::Poll::new(Some(inside.borrow()), false, true)], Some(0)).unwrap_or(false) {
                return Some(false);
            }
            let connected = sys::connected(inside);
            if connected == Connected::No {
                let targets = &self.listeners.get(connection.listener)?.targets;
                let (next, target, is_done) = connect(targets, connection.target + 1)?;
                if !self.epoll.try_add(&next, true, INSIDE | at as u64) {
                    return None;
                }
                let [_, inside] = &mut connection.sides;
                (*inside, connection.target, connection.is_connecting) = (next, target, !is_done);
            } else {
                let [_, back] = &mut connection.ways;
                (connection.is_connecting, back.is_reset) = (false, connected == Connected::Reset);
            }
        }
        Some(true)
    }

    /// Moves what can be moved, since something has happened on `side`, or on either. A connection that has ended, or has failed, is
    /// closed.
    fn move_on(&mut self, at: usize, side: Option<usize>, is_last: bool) {
        let Some(Some(connection)) = self.connections.get_mut(at) else { return };
        // What has happened on a side before the server accepts is not lost: then both directions are moved.
        let was_connecting = connection.is_connecting;
        // A target that refuses ends its own socket, and not the connection.
        connection.to_end |= is_last && (!was_connecting || side == Some(0));
        let side = side.filter(|_| !was_connecting);
        let is_accepted = self.is_accepted(at);
        let Some(slot) = self.connections.get_mut(at) else { return };
        let Some(connection) = slot else { return };
        self.pending -= usize::from(connection.is_pending);
        let short = self.buffer.get_mut(..SHORT).unwrap_or_default();
        let has_ended = match is_accepted {
            Some(true) => {
                let has_ended = connection.move_on(side, short);
                // A side has reset it, or something is lost: nobody is to take that for an end.
                if has_ended.is_none() {
                    connection.sides.iter().for_each(sys::reset_on_close);
                }
                has_ended
            }
            other => other,
        };
        if has_ended.is_none_or(|has_ended| has_ended) {
            *slot = None;
            self.make_room();
        } else {
            self.pending += usize::from(connection.is_pending);
        }
    }

    /// No more connections can be taken: they wait in the kernel until one ends. It is said once.
    fn say_full(&mut self) {
        self.is_full = true;
        for listener in self.listeners.iter().filter(|listener| !listener.datagrams) {
            self.epoll.remove(&listener.socket);
        }
        // Nobody may read it, and nobody is to wait for that: then it is said another time.
        let has_room = || sys::poll(&mut [sys::Poll::new(Some(FdRef::STDERR), false, true)], Some(0)).unwrap_or(false);
        if self.has_said || !has_room() {
            return;
        }
        self.has_said = true;
        let mut line = Vec::with_capacity(80);
        line.put(b"mydocker: published ports: no more than ");
        line.put_decimal(self.connections.len() as u64);
        line.put(b" connections at once: others wait\n");
        sys::write(FdRef::STDERR, &line).unwrap_or_default();
    }

    /// A connection has ended.
    fn make_room(&mut self) {
        if core::mem::take(&mut self.is_full) {
            for (listener, at) in self.listeners.iter().zip(LISTENER..).filter(|(listener, _)| !listener.datagrams) {
                self.epoll.try_add(&listener.socket, false, at);
            }
        }
    }

    /// Datagrams from outside.
    fn receive(&mut self, at: usize) {
        let Some(listener) = self.listeners.get(at) else { return };
        for _ in 0..TURNS {
            let (Now::Done(len), ends) = sys::receive_from(&listener.socket, &mut self.buffer) else { return };
            let datagram = self.buffer.get(..len).unwrap_or_default();
            let last = sys::monotonic() / 1_000_000;
            // The sender's own place; or an empty one, or else that of the sender who has been silent longest.
            let rank = |slot: &Option<Flow>| match slot {
                Some(flow) if flow.listener == at && flow.ends == ends => 0,
                Some(flow) => flow.last + 2,
                None => 1,
            };
            let Some((place, slot)) = self.flows.iter_mut().enumerate().min_by_key(|(_, slot)| rank(slot)) else {
                return;
            };
            let mut first = 0;
            if rank(slot) == 0
                && let Some(flow) = slot
            {
                flow.last = last;
                if !flow.has_refused && !matches!(sys::send(&flow.socket, datagram), Now::Failed) {
                    continue;
                }
                first = flow.target + 1;
                // What came before the refusal.
                flow.answer(self.listeners, &mut self.answers);
            }
            self.flowing -= usize::from(slot.take().is_some());
            if let Some((socket, target)) = deliver(&listener.targets, first, datagram)
                && self.epoll.try_add(&socket, false, FLOW | place as u64)
            {
                *slot = Some(Flow { listener: at, ends, socket, target, has_refused: false, last });
                self.flowing += 1;
            }
        }
    }

    /// Answers to the sender of a datagram. Returns whether there may be more.
    fn answer(&mut self, at: usize) -> bool {
        let flow = self.flows.get_mut(at).and_then(Option::as_mut);
        flow.is_some_and(|flow| flow.answer(self.listeners, &mut self.buffer))
    }
}

impl Flow {
    /// Passes on what has come back. Returns whether there may be more.
    fn answer(&mut self, listeners: &[Listener], buffer: &mut [u8]) -> bool {
        for _ in 0..TURNS {
            match sys::receive_from(&self.socket, buffer) {
                (Now::Done(len), _) => {
                    if let Some(listener) = listeners.get(self.listener) {
                        sys::send_back(&listener.socket, buffer.get(..len).unwrap_or_default(), self.ends);
                    }
                }
                (Now::NotYet, _) => return false,
                // Nobody serves the port there any more; before that there may have been answers. Before Linux 6.4 the first refusal
                // may come as late as this.
                (Now::Failed, _) => self.has_refused = true,
            }
        }
        true
    }
}

/// Begins to connect to the first of the targets, from `first` on, that does not refuse at once: the socket, which target it is, and
/// whether it is connected already.
fn connect(targets: &[SocketAddress], first: usize) -> Option<(Fd, usize, bool)> {
    targets.iter().enumerate().skip(first).find_map(|(at, target)| {
        let (socket, is_done) = sys::connect(target, false)?;
        Some((socket, at, is_done))
    })
}

/// Sends a datagram to the first of the targets that does not refuse it at once, from number `first` on and around: the socket, and
/// which target it is.
fn deliver(targets: &[SocketAddress], first: usize, datagram: &[u8]) -> Option<(Fd, usize)> {
    targets.iter().enumerate().cycle().skip(first).take(targets.len()).find_map(|(at, target)| {
        let (socket, _) = sys::connect(target, true)?;
        sys::send(&socket, datagram);
        // One that refuses says so at once: nothing lies between.
        sys::is_connected(&socket).then_some((socket, at))
    })
}

impl Way {
    fn new() -> Option<Way> {
        let (read, write) = sys::try_pipe2()?;
        Some(Way { read, write, held: 0, is_bulk: false, has_ended: false, is_shut: false, is_reset: false })
    }

    /// Moves what there is from one socket to the other. Without `to_end`, no more has happened than that bytes have come: a short read
    /// takes them all, epoll(7). Returns whether there may be more; `None` if nothing comes any more.
    fn move_on(&mut self, from: &Fd, to: &Fd, short: &mut [u8], to_end: bool) -> Option<bool> {
        for _ in 0..TURNS {
            let mut has_moved = false;
            if !self.has_ended && self.held == 0 && !self.is_bulk {
                match sys::receive(from, short) {
                    Now::Done(n) => {
                        (self.has_ended, self.is_bulk) = (n == 0, n == short.len());
                        if !self.has_ended {
                            self.pass_on(to, short.get(..n).unwrap_or_default())?;
                        }
                        has_moved = to_end || self.has_ended || self.is_bulk || self.held > 0;
                    }
                    Now::NotYet => {}
                    Now::Failed => return None,
                }
            } else if !self.has_ended && self.held < CHUNK {
                match sys::splice(from, &self.write, CHUNK - self.held) {
                    Now::Done(n) if n > 0 => {
                        self.is_bulk = n >= SHORT;
                        self.held += n;
                        has_moved = true;
                    }
                    Now::Failed => return None,
                    Now::NotYet if !to_end => {}
                    // Before urgent data splice(2) stops, and may say that this is the end: recvfrom(2) goes on.
                    _ => (self.is_bulk, has_moved) = (false, self.held == 0),
                }
            }
            if self.held > 0 {
                match sys::splice(&self.read, to, self.held) {
                    Now::Done(n) => {
                        self.held -= n;
                        has_moved = true;
                    }
                    Now::NotYet => {}
                    // The receiver takes no more. What it has sent before that is still to be delivered.
                    Now::Failed => (self.has_ended, self.held) = (true, 0),
                }
            }
            if self.has_ended && self.held == 0 && !self.is_shut {
                if self.is_reset {
                    return None;
                }
                self.is_shut = true;
                sys::shut_down(to);
            }
            if !has_moved {
                return Some(false);
            }
        }
        Some(!self.is_shut)
    }

    /// Sends bytes that have been received. What there is no room for goes into the pipe, which is empty. `None`: some are lost.
    fn pass_on(&mut self, to: &Fd, bytes: &[u8]) -> Option<()> {
        let rest = match sys::send(to, bytes) {
            Now::Done(n) => bytes.get(n..).unwrap_or_default(),
            Now::NotYet => bytes,
            // The receiver takes no more. What it has sent before that is still to be delivered.
            Now::Failed => {
                self.has_ended = true;
                return Some(());
            }
        };
        if !rest.is_empty() {
            self.held = sys::fill(&self.write, rest).done()?;
        }
        (self.held == rest.len()).then_some(())
    }
}

impl Connection {
    /// Whether the caller has received all that the container has sent, and its end.
    fn is_received(&self) -> bool {
        let ([outside, _], [_, back]) = (&self.sides, &self.ways);
        back.is_shut && sys::is_end_received(outside)
    }

    /// Moves what can be moved, since something has happened on `side`, or on either. Returns whether both sides have ended; `None`
    /// if it has failed.
    fn move_on(&mut self, side: Option<usize>, short: &mut [u8]) -> Option<bool> {
        let [outside, inside] = &self.sides;
        let [there, back] = &mut self.ways;
        // After the end of what a side sends, only a reset can come from it: who still writes to it may not do so for long.
        for (way, (socket, number)) in [&*there, &*back].into_iter().zip([(outside, 0), (inside, 1)]) {
            if way.is_shut && side == Some(number) && !sys::is_connected(socket) {
                return None;
            }
        }
        // On a side that something happens on there is more to receive, or space for what is held for it.
        let concerns = |way: &Way, sender| side.is_none_or(|side| side == sender) || way.held > 0 || self.is_pending;
        let (moves_there, moves_back) = (concerns(there, 0), concerns(back, 1));
        let to_end = self.to_end || self.is_pending || side.is_none();
        let more_there = moves_there && there.move_on(outside, inside, short, to_end)?;
        let more_back = moves_back && back.move_on(inside, outside, short, to_end)?;
        self.is_pending = more_there | more_back;
        Some(there.is_shut && back.is_shut)
    }
}
