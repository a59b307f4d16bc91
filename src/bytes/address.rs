//! Addresses and networks, as words.

use super::{Put, decimal, hexadecimal, position, split, split_once};
use alloc::vec::Vec;

/// An IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub u32);

impl Address {
    /// `10.88.0.2`
    pub fn parse(word: &[u8]) -> Option<Address> {
        let mut address = 0;
        let mut count = 0;
        for part in split(word, b'.') {
            // To some programs, what begins with a zero is octal.
            let number =
                decimal(part).ok().filter(|number| *number < 256 && (part.len() == 1 || !part.starts_with(b"0")))?;
            address = address << 8 | number as u32;
            count += 1;
        }
        (count == 4).then_some(Address(address))
    }

    /// As it stands in a packet.
    pub fn bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// As people write it.
    pub fn put(self, out: &mut Vec<u8>) {
        let mut separator: &[u8] = b"";
        for byte in self.bytes() {
            out.put(separator);
            out.put_decimal(byte.into());
            separator = b".";
        }
    }
}

/// Reads an IPv6 address, as RFC 4291 writes it: `fe80::1`, `::ffff:10.88.0.2`.
pub fn parse_v6(word: &[u8]) -> Option<[u8; 16]> {
    let (mut address, mut before, mut after) = ([0; 16], Vec::new(), Vec::new());
    match position(word, b"::") {
        Some(at) => {
            let (head, tail) = word.split_at_checked(at)?;
            put_groups(head, &mut before)?;
            put_groups(tail.get(2..)?, &mut after)?;
            // It stands for at least one group; and only the last four bytes are written as an IPv4 address.
            if before.len() + after.len() > 14 || head.contains(&b'.') {
                return None;
            }
        }
        None => put_groups(word, &mut before).filter(|()| before.len() == 16)?,
    }
    address.get_mut(..before.len())?.copy_from_slice(&before);
    address.get_mut(16 - after.len()..)?.copy_from_slice(&after);
    Some(address)
}

/// The bytes of the groups between colons, the last of which may be an IPv4 address.
fn put_groups(part: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut is_last = false;
    for group in split(part, b':').filter(|_| !part.is_empty()) {
        match Address::parse(group) {
            _ if is_last => return None,
            Some(address) => {
                out.put(&address.bytes());
                is_last = true;
            }
            None if (1..=4).contains(&group.len()) => out.put(&(hexadecimal(group)? as u16).to_be_bytes()),
            None => return None,
        }
    }
    Some(())
}

/// A network: its first address, and how many of the leading bits are the same in all its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The address with all other bits 0.
    pub base: u32,
    /// How many bits are the same, from 0 to 32.
    pub prefix: u8,
}

impl Subnet {
    /// `10.88.0.0/16`. An address in it instead of the first one stands for the same network.
    pub fn parse(word: &[u8]) -> Option<Subnet> {
        let (address, prefix) = split_once(word, b'/')?;
        // Beside the bridge there is to be room for a container.
        let prefix = decimal(prefix).ok().filter(|prefix| (8..=29).contains(prefix))? as u8;
        let mut subnet = Subnet { base: Address::parse(address)?.0, prefix };
        subnet.base &= subnet.mask();
        // Of this host, of its own, and of groups: ip(7). None of them is an interface's.
        Some(subnet).filter(|subnet| !matches!(subnet.base >> 24, 0 | 127 | 224..))
    }

    /// The leading bits.
    pub fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    /// Whether `address` is in it.
    pub fn contains(self, address: Address) -> bool {
        address.0 & self.mask() == self.base
    }

    /// Whether both have an address in common.
    pub fn overlaps(self, other: Subnet) -> bool {
        self.contains(Address(other.base)) || other.contains(Address(self.base))
    }

    /// The first address: that of the bridge.
    pub fn gateway(self) -> Address {
        Address(self.base + 1)
    }

    /// How many addresses there are for containers: not the network's own, the bridge's and the last one, which is for all.
    pub fn room(self) -> u32 {
        !self.mask() - 2
    }

    /// The address `number` of those, counted in a circle.
    pub fn address(self, number: u32) -> Address {
        Address(self.base + 2 + number % self.room())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;

    #[test]
    fn agrees_with_std() {
        let part = prop::sample::select(vec![
            "::", ":", ":", ":", ".", "0", "1", "ffff", "12345", "fe80", "1.2.3.4", "00", "01", "256", "g", "",
        ]);
        let found = core::cell::Cell::new(0);
        proptest!(ProptestConfig::with_cases(40_000), |(parts in prop::collection::vec(part, 0..16))| {
            let word = parts.concat();
            let v6 = word.parse::<Ipv6Addr>().ok().map(|address| address.octets());
            found.set(found.get() + u32::from(v6.is_some()));
            prop_assert_eq!(parse_v6(word.as_bytes()), v6, "{}", word);
            let v4 = word.parse::<Ipv4Addr>().ok().map(|address| address.octets());
            prop_assert_eq!(Address::parse(word.as_bytes()).map(Address::bytes), v4, "{}", word);
        });
        assert!(found.get() > 100, "only {} of the random words were addresses", found.get());
    }

    #[test]
    fn words_of_v6() {
        for word in [
            "::",
            "::1",
            "1::",
            "fe80::1",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::ffff:10.88.0.2",
            "1:2:3:4:5:6:1.2.3.4",
            "",
            ":",
            ":::",
            "1::2::3",
            "1:2:3:4:5:6:7:8:9",
            "1::2:3:4:5:6:7:8",
            "1.2.3.4::",
            "1.2.3.4",
            "1:2",
            "::1.2.3.4:5",
            "12345::",
            "g::",
            "::1%lo",
            "[::1]",
            "1:2:3:4:5:6:7:1.2.3.4",
        ] {
            assert_eq!(parse_v6(word.as_bytes()), word.parse::<Ipv6Addr>().ok().map(|a| a.octets()), "{word}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(Address::parse(b"10.88.0.2"), Some(Address(0x0a58_0002)));
        for word in ["", "10", "10.88.0", "10.88.0.256", "10.88.0.2.1", "10.88..2", "a.b.c.d", "10.88.0.-1"] {
            assert_eq!(Address::parse(word.as_bytes()), None, "{word}");
        }
        assert_eq!(Subnet::parse(b"10.88.7.9/16"), Some(Subnet { base: 0x0a58_0000, prefix: 16 }));
        for word in ["10.88.0.0", "10.88.0.0/", "10.88.0.0/30", "10.88.0.0/7", "10.88.0.0/16/2", "/16"] {
            assert_eq!(Subnet::parse(word.as_bytes()), None, "{word}");
        }
        let mut out = Vec::new();
        Address(0x0a58_0002).put(&mut out);
        assert_eq!(out, b"10.88.0.2");
    }

    #[test]
    fn what_is_in_a_network() {
        let small = Subnet::parse(b"192.168.7.0/29").unwrap();
        assert_eq!(small.gateway(), Address::parse(b"192.168.7.1").unwrap());
        let all: Vec<u32> = (0..small.room()).map(|n| small.address(n).0 & 0xff).collect();
        assert_eq!(all, [2, 3, 4, 5, 6]);
        assert_eq!(small.address(small.room()), small.address(0));
        let wide = Subnet::parse(b"192.168.0.0/16").unwrap();
        assert!(small.overlaps(wide) && wide.overlaps(small));
        assert!(!wide.overlaps(Subnet::parse(b"10.88.0.0/16").unwrap()));
        assert!(wide.overlaps(Subnet { base: 0, prefix: 0 }));
    }
}
