//! The words of the options about the network.

use crate::bytes::{self, Address, Subnet, c_string, decimal};
use crate::error::{Error, Result};
use crate::spec::{BridgeWanted, Network, Port, Spec};
use crate::sys::SocketAddress;
use alloc::vec::Vec;

/// The bridge of all containers that ask for no other.
const USUAL: &str = "mydocker0";

/// `none`, `host`, `bridge[:NAME][,forward]` or `ns:PATH`.
pub fn parse(word: &'static str) -> Result<Network> {
    let wrong = || Error::usage("--network takes none, host, bridge[:NAME][,forward] or ns:PATH, not", word.as_bytes());
    match word {
        "none" => return Ok(Network::None),
        "host" => return Ok(Network::Host),
        _ => {}
    }
    if let Some(path) = word.strip_prefix("ns:").filter(|path| !path.is_empty()) {
        // ip-netns(8) keeps those with a name in one directory.
        let folder: &[u8] = if path.contains('/') { b"" } else { b"/run/netns/" };
        return Ok(Network::Namespace(c_string(&[folder, path.as_bytes()])));
    }
    let rest = word.strip_prefix("bridge").ok_or_else(wrong)?;
    let (rest, forward) = match rest.strip_suffix(",forward") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let name = match rest.strip_prefix(':') {
        Some(name) => name,
        None if rest.is_empty() => USUAL,
        None => return Err(wrong()),
    };
    // What the kernel takes: dev_valid_name.
    let is_good = |b: u8| !b.is_ascii_whitespace() && !b.is_ascii_control() && b != b'/' && b != b':';
    if name.is_empty() || name.len() > 15 || name == "." || name == ".." || !name.bytes().all(is_good) {
        return Err(Error::usage("not a name for an interface, of at most 15 bytes", word.as_bytes()));
    }
    Ok(Network::Bridge(BridgeWanted { name, subnet: None, address: None, forward }))
}

/// The bridge that an option with the value `word` is about.
pub fn bridge_of<'a>(spec: &'a mut Spec, word: &str) -> Result<&'a mut BridgeWanted> {
    match &mut spec.network {
        Network::Bridge(wanted) => Ok(wanted),
        _ => Err(Error::usage("this needs --network bridge", word.as_bytes())),
    }
}

/// `10.88.0.0/16`
pub fn subnet(word: &str) -> Result<Subnet> {
    let subnet = bytes::Subnet::parse(word.as_bytes());
    subnet.ok_or_else(|| Error::usage("--subnet is not a network of 8 to 29 bits, such as 10.88.0.0/16", word.as_bytes()))
}

/// `10.88.0.2`
pub fn address(word: &str) -> Result<Address> {
    Address::parse(word.as_bytes()).ok_or_else(|| Error::usage("--ip is not an address", word.as_bytes()))
}

/// `[IP:][HOST:]CONT[/tcp|udp]`, each of the ports perhaps a range: adds them to `ports`.
pub fn publish(word: &'static str, ports: &mut Vec<Port>) -> Result<()> {
    let wrong = || Error::usage("--publish takes [IP:][HOST:]CONT[-END][/tcp|udp], not", word.as_bytes());
    let (rest, datagrams) = match word.strip_suffix("/udp") {
        Some(rest) => (rest, true),
        None => (word.strip_suffix("/tcp").unwrap_or(word), false),
    };
    let (rest, container) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (address, host) = match rest.rsplit_once(':') {
        // An IPv6 address stands in brackets.
        Some((address, host)) if !host.ends_with(']') => (Some(address), host),
        _ if rest.starts_with('[') => return Err(wrong()),
        _ => (None, rest),
    };
    let address = address.map(|address| socket_address(address).ok_or_else(wrong)).transpose()?;
    let (first, last) = range(container).filter(|(first, _)| *first > 0).ok_or_else(wrong)?;
    let (host, host_last) = if host.is_empty() { (0, 0) } else { range(host).ok_or_else(wrong)? };
    if host != 0 && host_last - host != last - first {
        return Err(Error::usage("the ranges of ports differ in length", word.as_bytes()));
    }
    for number in 0..=last - first {
        let host = if host == 0 { 0 } else { host + number };
        let same = |port: &Port| (port.address, port.host, port.datagrams) == (address, host, datagrams);
        if host != 0 && ports.iter().any(same) {
            return Err(Error::usage("this port of the host is published twice", word.as_bytes()));
        }
        ports.push(Port { word, address, host, container: first + number, datagrams });
    }
    Ok(())
}

/// `80` or `80-90`
fn range(word: &str) -> Option<(u16, u16)> {
    let number = |word: &str| decimal(word.as_bytes()).ok().and_then(|number| u16::try_from(number).ok());
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// An IPv4 address, or an IPv6 address in brackets, without a port.
fn socket_address(word: &str) -> Option<SocketAddress> {
    match word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
        Some(word) => word.parse().ok().map(|address: core::net::Ipv6Addr| SocketAddress::v6(address.octets(), 0)),
        None => Address::parse(word.as_bytes()).map(|address| SocketAddress::v4(address.bytes(), 0)),
    }
}
