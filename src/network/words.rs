//! The words of the options about the network.

use crate::bytes::{Address, Subnet, c_string, decimal, hexadecimal, parse_v6, split, split_once};
use crate::error::{Error, Result};
use crate::spec::{BridgeWanted, Network, Port, Spec};
use crate::sys::SocketAddress;
use alloc::vec::Vec;

/// The bridge of all containers that ask for no other.
const USUAL: &str = "mydocker0";

/// `none`, `host`, `bridge[:NAME][,forward]`, `slirp4netns`, `pasta`, `container:NAME` or `ns:PATH`.
pub fn parse(word: &'static str) -> Result<Network> {
    const WRONG: &str =
        "--network takes none, host, bridge[:NAME][,forward], slirp4netns, pasta, container:NAME or ns:PATH, not";
    let wrong = || Error::usage(WRONG, word.as_bytes()).with_hint("a network of its own is bridge:NAME");
    match word {
        "none" => return Ok(Network::None),
        "host" => return Ok(Network::Host),
        "slirp4netns" => return Ok(Network::Slirp),
        "pasta" => return Ok(Network::Pasta),
        _ => {}
    }
    if let Some(path) = word.strip_prefix("ns:").filter(|path| !path.is_empty()) {
        // ip-netns(8) keeps those with a name in one directory.
        let folder: &[u8] = if path.as_bytes().contains(&b'/') { b"" } else { b"/run/netns/" };
        let path = c_string(&[folder, path.as_bytes()]);
        return Ok(Network::Namespace(path, path));
    }
    if let Some(name) = word.strip_prefix("container:").filter(|name| !name.is_empty()) {
        return Ok(Network::Container(c_string(&[name.as_bytes()])));
    }
    let rest = word.strip_prefix("bridge").ok_or_else(wrong)?;
    let (rest, forward) = match rest.strip_suffix(",forward") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let name = match rest.strip_prefix(":") {
        Some(name) => name,
        None if rest.is_empty() => USUAL,
        None => return Err(wrong()),
    };
    // What the kernel takes: dev_valid_name.
    let is_good = |b: u8| !b.is_ascii_whitespace() && !b.is_ascii_control() && b != b'/' && b != b':' && b != b'%';
    // The last two are folders of /proc/sys/net, which has one for each interface.
    if name.is_empty() || name.len() > 15 || [".", "..", "all", "default"].contains(&name) || !name.bytes().all(is_good)
    {
        return Err(Error::usage("not a name for an interface, of at most 15 bytes", word.as_bytes()));
    }
    Ok(Network::Bridge(BridgeWanted { name, subnet: None, address: None, mac: None, forward }))
}

/// The bridge that an option with the value `word` is about.
pub fn bridge_of<'a>(spec: &'a mut Spec, word: &str) -> Result<&'a mut BridgeWanted> {
    match &mut spec.network {
        Network::Bridge(wanted) => Ok(wanted),
        _ => Err(Error::usage("--subnet, --ip and --mac-address need --network bridge", word.as_bytes())),
    }
}

/// `10.88.0.0/16`
pub fn subnet(word: &str) -> Result<Subnet> {
    let subnet = Subnet::parse(word.as_bytes());
    subnet.ok_or_else(|| {
        Error::usage("--subnet is not a network of 8 to 29 bits for interfaces, such as 10.88.0.0/16", word.as_bytes())
    })
}

/// `10.88.0.2`
pub fn address(word: &str) -> Result<Address> {
    Address::parse(word.as_bytes()).ok_or_else(|| Error::usage("--ip is not an address", word.as_bytes()))
}

/// `02:42:00:00:00:07`: of one interface, not of a group of them.
pub fn mac(word: &str) -> Result<[u8; 6]> {
    let mut mac = [0; 6];
    let mut count = 0;
    for part in split(word.as_bytes(), b':') {
        let byte = hexadecimal(part).filter(|_| part.len() == 2);
        if let (Some(room), Some(byte)) = (mac.get_mut(count), byte) {
            *room = byte as u8;
        }
        // A part that is not two hexadecimal digits makes the count wrong.
        count += if byte.is_some() { 1 } else { mac.len() + 1 };
    }
    if count != mac.len() || mac == [0; 6] || mac[0] & 1 != 0 {
        let message = "--mac-address is six bytes, the first of them even, such as 02:42:00:00:00:07, not";
        return Err(Error::usage(message, word.as_bytes()));
    }
    Ok(mac)
}

/// `[IP:][HOST:]CONT[/tcp|udp]`, each of the ports perhaps a range: adds them to `ports`. As with docker, ranges of one length are
/// paired, and one port of the container takes the first of a range of the host's that is free.
pub fn publish(word: &'static str, ports: &mut Vec<Port>) -> Result<()> {
    let wrong = |hint| {
        Error::usage("--publish takes [IP:][HOST[-END]:]CONT[-END][/tcp|udp], not", word.as_bytes()).with_hint(hint)
    };
    let (rest, protocol) = split_once(word.as_bytes(), b'/').unwrap_or((word.as_bytes(), b"tcp"));
    let datagrams = protocol.eq_ignore_ascii_case(b"udp");
    let (rest, container) = split_last(rest);
    let (address, host) = match split_last(rest) {
        // IP:CONT
        (b"", ip) if socket_address(ip).is_some() => (ip, &b""[..]),
        parts => parts,
    };
    let (named, address_word) = match address {
        b"" => (None, &b"0.0.0.0"[..]),
        _ => (
            Some(socket_address(address).ok_or_else(|| wrong("an address is in numbers, and of IPv6 in brackets"))?),
            address,
        ),
    };
    let (Some((first, last)), Some((host, host_last))) =
        (range(container), range(if host.is_empty() { b"0" } else { host }))
    else {
        return Err(wrong(NUMBERS));
    };
    if !datagrams && !protocol.eq_ignore_ascii_case(b"tcp") {
        return Err(wrong("behind the port stands tcp or udp"));
    }
    if first == 0 || host == 0 && host_last != 0 {
        return Err(wrong(NUMBERS));
    }
    // One port takes the first of a range that is free.
    let is_choice = first == last && host != host_last;
    if host != 0 && !is_choice && host_last - host != last - first {
        return Err(Error::usage("the ranges of ports differ in length", word.as_bytes()));
    }
    // Within one word there are none.
    let before = ports.len();
    for number in 0..=last - first {
        let host = if host == 0 { 0 } else { host + number };
        let host_last = if is_choice { host_last } else { host };
        let container = first + number;
        let same = |port: &Port| {
            (port.address, port.host, port.host_last, port.datagrams) == (named, host, host_last, datagrams)
        };
        if host != 0 && !is_choice && ports.iter().take(before).any(same) {
            return Err(Error::usage("this port of the host is published twice", word.as_bytes()));
        }
        ports.push(Port { word, address: named, address_word, host, host_last, container, datagrams });
    }
    Ok(())
}

const NUMBERS: &str = "ports are numbers from 1 to 65535, and a range goes upwards";

/// What is before the last colon, and what is behind it. The colons of an address in brackets do not count.
fn split_last(word: &[u8]) -> (&[u8], &[u8]) {
    match word.iter().rposition(|b| *b == b':') {
        Some(at) if !word.ends_with(b"]") => {
            (word.get(..at).unwrap_or_default(), word.get(at + 1..).unwrap_or_default())
        }
        Some(_) => (word, b""),
        None => (b"", word),
    }
}

/// `80` or `80-90`
fn range(word: &[u8]) -> Option<(u16, u16)> {
    let number = |word: &[u8]| decimal(word).ok().and_then(|number| u16::try_from(number).ok());
    let (first, last) = split_once(word, b'-').unwrap_or((word, word));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// An IPv4 address, or an IPv6 address in brackets, without a port.
fn socket_address(word: &[u8]) -> Option<SocketAddress> {
    match word {
        [b'[', address @ .., b']'] => parse_v6(address).map(|address| SocketAddress::v6(address, 0)),
        _ => Address::parse(word).map(|address| SocketAddress::v4(address.bytes(), 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ports, as text.
    fn ports(word: &'static str) -> Option<Vec<(bool, u16, u16, bool)>> {
        let mut ports = Vec::new();
        publish(word, &mut ports).ok()?;
        Some(ports.iter().map(|port| (port.address.is_some(), port.host, port.container, port.datagrams)).collect())
    }

    #[test]
    fn the_first_that_is_free() {
        let mut ports = Vec::new();
        for word in ["8000-8002:80", "8000-8002:81", "8010-8011:80-81", "8000:82"] {
            assert!(publish(word, &mut ports).is_ok(), "{word}");
        }
        let ends: Vec<_> = ports.iter().map(|port| (port.host, port.host_last, port.container)).collect();
        assert_eq!(ends, [(8000, 8002, 80), (8000, 8002, 81), (8010, 8010, 80), (8011, 8011, 81), (8000, 8000, 82)]);
        assert!(publish("8010:5", &mut ports).is_err());
    }

    #[test]
    fn published_ports() {
        assert_eq!(ports("80"), Some(vec![(false, 0, 80, false)]));
        assert_eq!(ports(":80"), Some(vec![(false, 0, 80, false)]));
        assert_eq!(ports("8080:80/tcp"), Some(vec![(false, 8080, 80, false)]));
        assert_eq!(ports("8080:80/TCP"), ports("8080:80"));
        assert_eq!(ports("127.0.0.1:8080:80/UDP"), ports("127.0.0.1:8080:80/udp"));
        assert_eq!(ports("127.0.0.1:8080:80/udp"), Some(vec![(true, 8080, 80, true)]));
        assert_eq!(ports("127.0.0.1:80"), ports("127.0.0.1::80"));
        assert_eq!(ports("[::1]:80"), ports("[::1]::80"));
        assert_eq!(ports("127.0.0.1::80"), Some(vec![(true, 0, 80, false)]));
        assert_eq!(ports("[::1]:8080:80"), Some(vec![(true, 8080, 80, false)]));
        assert_eq!(ports("[::1]::80"), Some(vec![(true, 0, 80, false)]));
        assert_eq!(ports("8000-8001:80-81"), Some(vec![(false, 8000, 80, false), (false, 8001, 81, false)]));
        assert_eq!(ports("80-81"), Some(vec![(false, 0, 80, false), (false, 0, 81, false)]));
        for word in [
            "",
            "0",
            "a",
            "80:",
            "65536",
            "80-70",
            "1:2:3:4",
            "::1:80:80",
            "[::1:80:80",
            "[::1]",
            "[::1]:",
            "[::g]:1:2",
            "8000-8001:80-82",
            "8000:80-82",
            "0-5:80",
            "80/sctp",
            "80/",
            "-1",
            "80/tcp/udp",
        ] {
            assert_eq!(ports(word), None, "{word}");
        }
    }

    #[test]
    fn networks() {
        assert!(matches!(parse("none"), Ok(Network::None)) && matches!(parse("host"), Ok(Network::Host)));
        let bridge = |word| match parse(word) {
            Ok(Network::Bridge(wanted)) => Some((wanted.name, wanted.forward)),
            _ => None,
        };
        assert_eq!(bridge("bridge"), Some(("mydocker0", false)));
        assert_eq!(bridge("bridge,forward"), Some(("mydocker0", true)));
        assert_eq!(bridge("bridge:b,forward"), Some(("b", true)));
        for word in [
            "",
            "bridge:",
            "bridges",
            "bridge:a/b",
            "bridge:..",
            "bridge,back",
            "ns:",
            "container",
            "container:",
            "bridge:a b",
        ] {
            assert!(parse(word).is_err(), "{word}");
        }
        let path = |word| match parse(word) {
            Ok(Network::Namespace(path, _)) => Some(path),
            _ => None,
        };
        assert_eq!(path("ns:blue"), Some(c"/run/netns/blue"));
        assert_eq!(path("ns:/proc/1/ns/net"), Some(c"/proc/1/ns/net"));
    }
}
