//! `--network bridge`: the container has an address on a bridge of this host. Sources: rtnetlink(7), veth(4), bridge(8).
//!
//! There is no list of addresses. The host's end of each pair of interfaces carries the address in its name, so that the
//! kernel, which has each name once, gives each address once; and the pair, with its name, ends with the container's namespace,
//! however the container ends.

use super::filter;
use crate::bytes::{self, Address, Put, Subnet};
use crate::error::{Errno, Error, Result};
use crate::spec::BridgeWanted;
use crate::step::{Child, ChildStep, Parent, ParentStep, Slot};
use crate::sys::netlink::{ACK, attribute};
use crate::sys::{self, Fd, Lock, NetlinkFamily, Pid, Requests, record};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// The bridge as it is, or is to be.
pub struct Bridge {
    /// Its name.
    pub name: &'static str,
    /// Its network. Its own address is the first one.
    pub subnet: Subnet,
    /// Its number, if it is there.
    pub index: Option<u32>,
    /// The inode of the network namespace of this host.
    pub namespace: u64,
    /// Where the kernel is asked.
    socket: Fd,
    /// That namespace. Whoever uses its bridges holds a lock on it.
    lock: Fd,
}

/// The network namespace of this host, as a file.
const NAMESPACE: &CStr = c"/proc/self/ns/net";

/// The network of a bridge, unless another one is asked for.
const USUAL: Subnet = Subnet { base: 0x0a58_0000, prefix: 16 };

// linux/if_link.h
/// The kind of an interface,
pub const INFO_KIND: u16 = 1;
/// what else is said about one of its kind,
pub const INFO_DATA: u16 = 2;
/// and in that the other one of a pair.
pub const PEER: u16 = 1;

/// The group of the bridges that mydocker makes, by which the kernel removes them all at once: the bytes `mydo`.
pub const GROUP: u32 = 0x6d79_646f;

const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16 | ACK;
const UP: u32 = libc::IFF_UP as u32;

impl Bridge {
    /// Looks for the bridge on this host. One that is there must be mydocker's; for one that is not, the network must be free.
    pub fn find(wanted: &BridgeWanted, variable: Option<&'static [u8]>) -> Result<&'static Bridge> {
        let subnet = match (wanted.subnet, variable.filter(|word| !word.is_empty())) {
            (Some(subnet), _) => subnet,
            (None, Some(word)) => Subnet::parse(word)
                .ok_or_else(|| Error::refused("MYDOCKER_SUBNET is not a network", word, "one such as 10.88.0.0/16"))?,
            (None, None) => USUAL,
        };
        if let Some(address) = wanted.address
            && (!subnet.contains(address)
                || (0..2).contains(&(address.0 - subnet.base))
                || address.0 | subnet.mask() == u32::MAX)
        {
            let mut text = Vec::new();
            address.put(&mut text);
            return Err(Error::refused("--ip", &text, "not an address for a container in the network of the bridge"));
        }
        if wanted.mac == Some(hardware_address(subnet.gateway())) {
            return Err(Error::refused("--mac-address", wanted.name.as_bytes(), "the bridge itself has this one"));
        }
        // Whoever removes the bridge holds the lock alone, for a moment. But anybody can open this file.
        let lock = sys::open(NAMESPACE, sys::OpenFlags::NONE)?;
        let hint = "a mydocker that is stopped, or any other user's process: lslocks shows whose";
        sys::lock_file_soon(lock.borrow(), Lock::SH, NAMESPACE.to_bytes(), hint)?;
        let namespace = sys::statx_fd(lock.borrow()).map_err(|e| e.about(NAMESPACE.to_bytes()))?.inode;
        let socket = sys::netlink(NetlinkFamily::ROUTE)?;
        let mut bridge = Bridge { name: wanted.name, subnet, index: None, namespace, socket, lock };
        bridge.index = bridge.look_up()?;
        let overlap = bridge.refuse_overlap(wanted.address);
        if bridge.index.is_none() && overlap.is_err() {
            // Another mydocker may have made the bridge between the two questions.
            bridge.index = bridge.look_up()?;
            if bridge.index.is_none() {
                overlap?;
            }
        } else if bridge.index.is_some() && !overlap? {
            // The mydocker that made this bridge was killed before it gave it an address: this one gives it.
            bridge.index = None;
        }
        Ok(Box::leak(Box::new(bridge)))
    }

    /// Its number, if it is there. It is known by its hardware address, which holds its IPv4 address.
    fn look_up(&self) -> Result<Option<u32>> {
        let mut found = None;
        let mut is_up = false;
        let asked = self.ask_for(self.name.as_bytes(), &mut |index, flags, attributes| {
            let is_own = attribute(attributes, libc::IFLA_ADDRESS) == Some(&hardware_address(self.subnet.gateway()));
            found = Some((index, is_own));
            is_up = flags & UP != 0;
        });
        match (asked, found) {
            (Err(e), _) if e.is(Errno::ENODEV) => Ok(None),
            (Err(e), _) => Err(e.about(self.name.as_bytes())),
            (Ok(()), Some((_, false))) => {
                let hint = "it is somebody else's, or has another network: name another one, --network bridge:NAME, or give \
                            its network, --subnet";
                Err(Error::refused("the interface", self.name.as_bytes(), hint))
            }
            // It is up from the start: somebody has changed that.
            (Ok(()), Some((_, true))) if !is_up => Err(Error::refused(
                "the bridge is down:",
                self.name.as_bytes(),
                "bring it up again: ip link set NAME up",
            )),
            (Ok(()), Some((index, true))) => Ok(Some(index)),
            (Ok(()), None) => Ok(None),
        }
    }

    /// The number of the host's end of the container that has this address, if there is one.
    pub fn interface(&self, address: Address) -> Result<Option<u32>> {
        match sys::interface_index(&self.socket, &host_end(address)) {
            Err(e) if e.is(Errno::ENODEV) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Removes the host's end of a container that has ended, and so the pair. An interface of this name that is not mydocker's stays.
    fn delete_end(&self, address: Address) -> Result<()> {
        let name = host_end(address);
        let mut own = None;
        match self.ask_for(&name, &mut |index, _, attributes| {
            own = (attribute(attributes, libc::IFLA_GROUP) == Some(&GROUP.to_ne_bytes())).then_some(index);
        }) {
            // It has just gone.
            Err(e) if e.is(Errno::ENODEV) => {}
            asked => asked?,
        }
        own.map_or(Ok(()), |index| delete(&self.socket, index, None))
    }

    /// Asks for the interface of this name: its number, its flags, and its attributes.
    fn ask_for(&self, name: &[u8], found: &mut dyn FnMut(u32, u32, &[u8])) -> Result<()> {
        let mut requests = Requests::default();
        requests.begin(libc::RTM_GETLINK, ACK, &[&link(0, 0)]);
        requests.attribute(libc::IFLA_IFNAME, &with_nul(name));
        requests.ask(&self.socket, b"RTM_GETLINK", &mut |_, content| {
            // struct ifinfomsg: the number at 4, the flags at 8
            let word = |at: usize| content.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word));
            found(word(4).unwrap_or(0), word(8).unwrap_or(0), content.get(LINK..).unwrap_or_default());
        })
    }

    /// Removes the bridge, and every other one of mydocker's in this network namespace, if nobody else uses any of them. The lock
    /// is on the namespace: so a bridge whose containers end before those of another one has to wait for these.
    pub fn leave(&self) -> Result<()> {
        let hint = "ip link del removes the bridge";
        self.remove().map_err(|e| e.about(self.name.as_bytes()).with_hint(hint))
    }

    /// No container of this plan is going to be on it: who is the last one removes it.
    pub fn forget(&self) -> Result<()> {
        sys::lock_file(&self.lock, Lock::UN).map(drop)
    }

    fn remove(&self) -> Result<()> {
        if !sys::lock_file(&self.lock, Lock::EX | Lock::NB)? {
            return Ok(());
        }
        delete(&self.socket, 0, Some(GROUP))
    }

    /// An address range that this host already reaches otherwise would be cut off, unless it is by this very bridge. Returns whether
    /// there is a route to its network.
    fn refuse_overlap(&self, address: Option<Address>) -> Result<bool> {
        let mut requests = Requests::default();
        requests.begin(libc::RTM_GETROUTE, libc::NLM_F_DUMP as u16, &[&[libc::AF_INET as u8], &[0; 11]]);
        let (mut is_there, mut taken, mut is_hosts) = (false, None, false);
        requests.ask(&self.socket, b"RTM_GETROUTE", &mut |_, content| {
            let Some(([_, prefix, _, _, _, _, _, kind], _)) = content.split_first_chunk() else { return };
            let attributes = content.get(ROUTE..).unwrap_or_default();
            let destination = attribute(attributes, libc::RTA_DST).and_then(<[u8]>::first_chunk);
            let Some(base) = destination.map(|bytes| u32::from_be_bytes(*bytes)) else { return };
            // The halves of all addresses are a default route, as VPNs make it.
            if *prefix < 2 {
                return;
            }
            let route = Subnet { base, prefix: *prefix };
            is_there |= route == self.subnet;
            is_hosts |= *kind == libc::RTN_LOCAL && address == Some(Address(base));
            // The routes to the addresses of a bridge come and go before that to its network.
            if self.subnet.overlaps(route) && (self.index.is_none() || *kind == libc::RTN_UNICAST) {
                taken.get_or_insert(Address(base));
            }
        })?;
        let mut text = Vec::new();
        if let Some(address) = address.filter(|_| is_hosts) {
            address.put(&mut text);
            return Err(Error::refused("this host itself has the address", &text, "choose another one, --ip"));
        }
        let Some(taken) = taken else { return Ok(false) };
        if self.index.is_some() && is_there {
            return Ok(true);
        }
        taken.put(&mut text);
        let hint = match self.index {
            Some(_) => {
                "the bridge has another network: give that, --subnet, or name another bridge, --network bridge:NAME"
            }
            None => "the bridge would have the same addresses: choose others, such as --subnet 10.99.0.0/16",
        };
        Err(Error::refused("this host has a route to", &text, hint))
    }
}

/// Removes the interface with this number, or those of a group, if there are any.
fn delete(socket: &Fd, index: u32, group: Option<u32>) -> Result<()> {
    let mut requests = Requests::default();
    requests.begin(libc::RTM_DELLINK, ACK, &[&link(index, 0)]);
    if let Some(group) = group {
        requests.attribute(libc::IFLA_GROUP, &group.to_ne_bytes());
    }
    match requests.send(socket, b"RTM_DELLINK") {
        Err(e) if e.is(Errno::ENODEV) => Ok(()),
        other => other,
    }
}

/// Removes mydocker's bridges in this network namespace, if nobody uses any of them. Returns whether nobody does.
pub fn remove_unused() -> Result<bool> {
    let lock = sys::open(NAMESPACE, sys::OpenFlags::NONE)?;
    if sys::effective_ids().0 != 0 || !sys::lock_file(&lock, Lock::EX | Lock::NB)? {
        return Ok(false);
    }
    match delete(&sys::netlink(NetlinkFamily::ROUTE)?, 0, Some(GROUP)) {
        // Root of a user namespace has made none.
        Err(e) if e.is(Errno::EPERM) => Ok(true),
        other => other.map(|()| true),
    }
}

/// The size of struct ifinfomsg.
pub const LINK: usize = 16;
/// The size of struct rtmsg.
pub const ROUTE: usize = 12;
/// The size of struct ifaddrmsg.
pub const ADDRESS: usize = 8;

/// struct ifinfomsg: the number of an interface, and the flags that are set.
fn link(index: u32, flags: u32) -> [u8; LINK] {
    let mut link = [0; LINK];
    for (room, value) in link.as_chunks_mut::<4>().0.iter_mut().skip(1).zip([index, flags, flags]) {
        *room = value.to_ne_bytes();
    }
    link
}

/// The hardware address that belongs to an IPv4 address, by docker's convention. It is one that is administered locally.
fn hardware_address(address: Address) -> [u8; 6] {
    let [a, b, c, d] = address.bytes();
    [0x02, 0x42, a, b, c, d]
}

fn with_nul(name: &[u8]) -> Vec<u8> {
    [name, b"\0"].concat()
}

/// The name of the host's end: `v10.88.0.2`, or in hexadecimal what is longer than the 15 bytes that a name may have.
fn host_end(address: Address) -> Vec<u8> {
    let mut name = b"v".to_vec();
    address.put(&mut name);
    if name.len() > 15 {
        name.truncate(1);
        name.put_hex(address.0.into());
    }
    name
}

/// What EPERM means of a bridge.
pub const NEEDS_ROOT: &str = "it needs root, with CAP_NET_ADMIN; slirp4netns and pasta do not";

/// Why this kernel makes no interface of this kind.
fn explain(error: Error, module: &'static str) -> Error {
    let full = "a bridge has room for 1023 interfaces: use another one, --network bridge:NAME --subnet NETWORK";
    error.hint_for(&[(Errno::EOPNOTSUPP, module), (Errno::EPERM, NEEDS_ROOT), (Errno::EXFULL, full)])
}

/// Makes an interface, of a kind that the kernel may have a module for.
fn make(requests: &Requests, socket: &Fd, text: &'static [u8]) -> Result<()> {
    match requests.send(socket, text) {
        Err(e) if e.is(Errno::EOPNOTSUPP) => {
            sys::again_once_loaded(&[Errno::EOPNOTSUPP], &mut || requests.send(socket, text))
        }
        other => other,
    }
}

step! {
    /// Makes the bridge, with the first address of its network.
    pub struct MakeBridge {
        /// The bridge.
        pub bridge: &'static Bridge,
    }
}

impl ParentStep for MakeBridge {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Bridge { name, subnet, socket, .. } = self.bridge;
        let mut requests = Requests::default();
        requests.begin(libc::RTM_NEWLINK, CREATE, &[&link(0, UP)]);
        requests.attribute(libc::IFLA_IFNAME, &with_nul(name.as_bytes()));
        requests.attribute(libc::IFLA_ADDRESS, &hardware_address(subnet.gateway()));
        requests.attribute(libc::IFLA_GROUP, &GROUP.to_ne_bytes());
        let info = requests.begin_attribute(libc::IFLA_LINKINFO);
        requests.attribute(INFO_KIND, b"bridge");
        requests.end_attribute(info);
        match make(&requests, socket, b"RTM_NEWLINK bridge") {
            // Another mydocker was faster.
            Err(e) if e.is(Errno::EEXIST) => {}
            other => other.map_err(|e| explain(e, "this kernel has no bridges: modprobe bridge"))?,
        }
        // No container is to tell this host its way out, as a router of IPv6 does: CVE-2020-13401.
        let path = bytes::c_string(&[b"/proc/sys/net/ipv6/conf/", name.as_bytes(), b"/disable_ipv6"]);
        match sys::write_file(path, b"1").map_err(|e| e.about(path.to_bytes())) {
            // This kernel has no IPv6.
            Err(e) if e.is(Errno::ENOENT) => {}
            // As in a container of docker's.
            Err(e) if e.is_one_of(&[Errno::EROFS, Errno::EACCES]) => {
                parent.warn(
                    e.with_hint("IPv6 stays on: a container on the bridge could make itself the router of this host"),
                );
            }
            other => other?,
        }
        // A rehearsal finds none.
        let index = self.bridge.look_up()?.unwrap_or_default();
        parent.bridge = index;
        let mut requests = Requests::default();
        let address = subnet.gateway().bytes();
        requests.begin(libc::RTM_NEWADDR, CREATE, &[&[libc::AF_INET as u8, subnet.prefix, 0, 0], &index.to_ne_bytes()]);
        requests.attribute(libc::IFA_LOCAL, &address);
        requests.attribute(libc::IFA_ADDRESS, &address);
        match requests.send(socket, b"RTM_NEWADDR") {
            Err(e) if e.is(Errno::EEXIST) => Ok(()),
            other => other,
        }
    }
}

step! {
    /// Makes a pair of interfaces: one on the bridge, whose name is the address, the other in the container.
    pub struct ConnectToBridge {
        /// The bridge.
        pub bridge: &'static Bridge,
        /// The address of the container, if one is given.
        pub address: Option<Address>,
        /// Its name, if it has one.
        pub name: Option<&'static str>,
        /// Its hardware address, likewise.
        pub mac: Option<[u8; 6]>,
    }
}

impl ParentStep for ConnectToBridge {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some(pid) = parent.pid else { return Ok(()) };
        let subnet = self.bridge.subnet;
        let index = self.bridge.index.unwrap_or(parent.bridge);
        // A container with a name tries the same address each time, for programs that have looked up its name go on using that
        // address. Others that start at the same time try different ones, for their pids differ.
        let first = match self.name {
            // Its lower half has a factor in common with the number of addresses of a small network.
            Some(name) => (bytes::fingerprint(name.as_bytes()) >> 32) as u32,
            None if parent.child.is_rehearsal => 0,
            None => pid.0 as u32,
        };
        let mut tried = 0;
        let address = loop {
            let address = self.address.unwrap_or(subnet.address(first.wrapping_add(tried)));
            let is_its_own = tried == 0 && (self.address.is_some() || self.name.is_some());
            let connect = if is_its_own { Self::connect_once_free } else { Self::connect };
            match connect(self, index, address, pid) {
                Ok(()) => break address,
                Err(e) if e.is(Errno::EEXIST) && self.address.is_none() && tried < subnet.room() => tried += 1,
                Err(e) if e.is(Errno::EEXIST) => {
                    let hint = match self.address {
                        Some(_) => who_has(parent, address),
                        None => "all addresses of this network are taken: choose a larger one, --subnet",
                    };
                    return Err(e.with_hint(hint));
                }
                Err(e) => return Err(explain(e, "this kernel has no pairs of interfaces: modprobe veth")),
            }
        };
        parent.address = Some(address);
        // The child waits for these four bytes.
        match &parent.pipes.command_write {
            Some(pipe) => sys::write_all(pipe.borrow(), &address.bytes()).map_err(|e| e.about_text(b"command pipe")),
            None => Ok(()),
        }
    }
}

/// What to say of an address that is taken: the names of the container that has it, or that of the interface.
fn who_has(parent: &Parent, address: Address) -> &'static str {
    let names = parent.hosts_file.as_ref().and_then(|place| place.names_of(address));
    let mut hint = b"another container on the bridge has this address: ".to_vec();
    hint.put(&names.unwrap_or(host_end(address)));
    str::from_utf8(hint.leak()).unwrap_or_default()
}

/// How often to wait 10 ms for an address.
const WAIT_AT_MOST: u32 = 30;

/// Whether somebody masquerades the address, now or within a second: by then whoever has just taken it does.
fn is_used(address: Address) -> Result<bool> {
    for _ in 0..10 {
        if filter::is_masqueraded(address)? {
            return Ok(true);
        }
        sys::nanosleep(100_000_000)?;
    }
    Ok(false)
}

impl ConnectToBridge {
    /// Tries one address, and waits for it: the container that had it may have ended a moment ago.
    fn connect_once_free(&self, bridge: u32, address: Address, pid: Pid) -> Result<()> {
        let (mut waited, mut has_removed) = (0, false);
        loop {
            match self.connect(bridge, address, pid) {
                // Another container has the same first address.
                Err(e) if e.is(Errno::EEXIST) && self.address.is_none() && filter::is_masqueraded(address)? => {
                    return Err(e);
                }
                // The network of one that has ended goes a moment later.
                Err(e) if e.is(Errno::EEXIST) && waited < WAIT_AT_MOST => {
                    sys::nanosleep(10_000_000)?;
                    waited += 1;
                }
                // A connection that its server has closed, and its client does not acknowledge any more, holds a network for some 100
                // seconds longer. Whoever has the address starts, or masquerades it. A name goes on with the next address instead.
                Err(e) if e.is(Errno::EEXIST) && self.address.is_some() && !has_removed && !is_used(address)? => {
                    has_removed = true;
                    self.bridge.delete_end(address).map_err(|_| e)?;
                }
                other => return other,
            }
        }
    }

    fn connect(&self, bridge: u32, address: Address, pid: Pid) -> Result<()> {
        let mut requests = Requests::default();
        requests.begin(libc::RTM_NEWLINK, CREATE, &[&link(0, UP)]);
        requests.attribute(libc::IFLA_IFNAME, &with_nul(&host_end(address)));
        requests.attribute(libc::IFLA_MASTER, &bridge.to_ne_bytes());
        // The last of all removes it with the bridge, if the network of its container is still held by then.
        requests.attribute(libc::IFLA_GROUP, &GROUP.to_ne_bytes());
        let info = requests.begin_attribute(libc::IFLA_LINKINFO);
        requests.attribute(INFO_KIND, b"veth");
        let data = requests.begin_attribute(INFO_DATA);
        let peer = requests.begin_attribute(PEER);
        // Not up yet: an interface that is up before its peer costs 24 ms.
        requests.extend(&link(0, 0));
        requests.attribute(libc::IFLA_IFNAME, b"eth0\0");
        requests.attribute(libc::IFLA_ADDRESS, &self.mac.unwrap_or(hardware_address(address)));
        requests.attribute(libc::IFLA_NET_NS_PID, &pid.0.to_ne_bytes());
        requests.end_attribute(peer);
        requests.end_attribute(data);
        requests.end_attribute(info);
        make(&requests, &self.bridge.socket, b"RTM_NEWLINK veth")
    }
}

step! {
    /// Lets packets of the container leave this host with the host's address.
    ///
    /// The table is this process's own: nobody else can change it, and it ends with the socket.
    pub struct Masquerade {
        /// The bridge.
        pub bridge: &'static Bridge,
    }
}

impl ParentStep for Masquerade {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some(address) = parent.address else { return Ok(()) };
        let mut masquerade = || -> Result<()> {
            let socket = sys::netlink(NetlinkFamily::NETFILTER)?;
            filter::masquerade(&socket, address, self.bridge.name)?;
            parent.filter = Some(socket);
            Ok(())
        };
        let done = match masquerade() {
            Err(e) if e.is_one_of(&filter::MISSING) => sys::again_once_loaded(&filter::MISSING, &mut masquerade),
            other => other,
        };
        done.map_err(filter::explain)
    }
}

step! {
    /// Lets this host forward packets.
    pub struct EnableForwarding;
}

/// Where it is written.
pub const FORWARD: &CStr = c"/proc/sys/net/ipv4/ip_forward";

impl ParentStep for EnableForwarding {
    fn carry_out(&self, _: &mut Parent) -> Result<()> {
        let file = sys::open(FORWARD, sys::OpenFlags::WRONLY)?;
        sys::write_all(file.borrow(), b"1").map_err(|e| e.about(FORWARD.to_bytes()))
    }
}

step! {
    /// Says that the container reaches nothing outside this host.
    pub struct SayNotForwarded;
}

impl ParentStep for SayNotForwarded {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let hint = "the container reaches it and others on the bridge, and nothing outside; \
                    --network bridge,forward turns it on";
        parent.warn(Error::refused("this host forwards no packets", b"", hint));
        Ok(())
    }
}

/// What the child tells the kernel, in room that is made before clone.
pub struct Setup {
    requests: Requests,
    /// Where the number of eth0 stands in them,
    indices: [usize; 2],
    /// and where its address.
    addresses: [usize; 2],
}

impl Setup {
    /// lo and eth0 up, the address of eth0, and the way out over the bridge.
    pub fn new(bridge: &Bridge) -> Setup {
        let mut requests = Requests::default();
        // The first interface of every network namespace is lo.
        requests.begin(libc::RTM_NEWLINK, ACK, &[&link(1, UP)]);
        requests.begin(libc::RTM_NEWLINK, ACK, &[&link(0, UP)]);
        let up = requests.len() - LINK + 4;
        let head = [libc::AF_INET as u8, bridge.subnet.prefix, 0, 0];
        requests.begin(libc::RTM_NEWADDR, CREATE, &[&head, &[0; 4]]);
        let indices = [up, requests.len() - 4];
        let mut addresses = [0; 2];
        for (place, kind) in addresses.iter_mut().zip([libc::IFA_LOCAL, libc::IFA_ADDRESS]) {
            requests.attribute(kind, &[0; 4]);
            *place = requests.len() - 4;
        }
        let route =
            [libc::AF_INET as u8, 0, 0, 0, libc::RT_TABLE_MAIN, libc::RTPROT_BOOT, 0, libc::RTN_UNICAST, 0, 0, 0, 0];
        requests.begin(libc::RTM_NEWROUTE, CREATE, &[&route]);
        requests.attribute(libc::RTA_GATEWAY, &bridge.subnet.gateway().bytes());
        Setup { requests, indices, addresses }
    }
}

step! {
    /// Sets up its interfaces with the address that the parent has found.
    pub struct ConfigureInterfaces {
        /// What the kernel is told.
        pub setup: Slot<Setup>,
    }
}

impl ChildStep for ConfigureInterfaces {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let (Some(pipe), Some(mut setup)) = (&child.pipes.command_read, self.setup.take()) else { return Ok(()) };
        let mut address = [0; 4];
        if sys::read(pipe.borrow(), &mut address).map_err(|e| e.about_text(b"command pipe"))? == 0 {
            // The parent has ended.
            sys::exit_group(125);
        }
        let socket = sys::netlink(NetlinkFamily::ROUTE)?;
        // Interfaces that a module puts into every namespace may stand before it.
        let index = sys::interface_index(&socket, b"eth0")?.to_ne_bytes();
        for place in setup.indices {
            setup.requests.put_at(place, index);
        }
        for place in setup.addresses {
            setup.requests.put_at(place, address);
        }
        setup.requests.send(&socket, b"lo and eth0")
    }
}

/// Whether this host forwards packets.
pub fn forwards() -> Result<bool> {
    record::make(|| sys::read_file(FORWARD)).map(|content| content.trim_ascii() != b"0")
}
