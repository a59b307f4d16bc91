//! Requests to netlink(7), by the names of ip(8) and nft(8).

use super::Translator;
use super::shell::fill;
use crate::bytes::{self, Address, Put, to_decimal};
use crate::network::bridge::{ADDRESS, GROUP, INFO_DATA, LINK, PEER, ROUTE};
use crate::network::filter::{self, NEW_CHAIN, NEW_RULE, NEW_TABLE};
use crate::sys::netlink::{self, attribute};
use crate::sys::record::Recorded;
use alloc::vec::Vec;

/// Either of two tools brings up lo.
pub(super) const LO_UP: &str = r#"{ ip link set lo up || ifconfig lo up; } 2>/dev/null ||
    stop 'ip and ifconfig are missing here: --network host does without'"#;

/// What a bridge needs: the tools, and the lock that lets nobody remove it. The descriptor leads back into the network of this host.
const BRIDGE: &str = r#"flock=$(tool flock '' 'leave out --network bridge')
exec 3</proc/self/ns/net
"$flock" -s 3
group=^
leave_bridge() { "$flock" -x -n 3 && "$ip" link del group $group 2>/dev/null || :; }
leave() { leave_bridge; }"#;

/// The shell may have an ip of its own, which lacks what a bridge needs.
const IP: &str = "ip=$(tool ip netns 'install iproute2, or leave out --network bridge')";

/// Makes a pair of interfaces from within the new namespace.
const PAIR: &str = r#"nsenter=$(tool nsenter --net 'leave out --network bridge')
exec 4</proc/self/ns/net
"$nsenter" --net=/proc/self/fd/3 "$ip" link add ~ up master ~ type veth peer name ~ address ^ netns /proc/self/fd/4 ||
    stop 'no pair of interfaces: is the address taken? --ip chooses another'"#;

/// The way out. The table of mydocker has the flag `owner`, for which nft would have to stay.
const MASQUERADE: &str = r#"# Others can change this table, and it stays if the script is killed. That of mydocker is its socket's own: nft cannot keep it.
nft=$(tool nft -f 'install nftables, or leave out --network bridge')
"$nft" -f - <<'END' || stop 'no table: another script has this address (--ip), or one was killed (nft delete table ip mydocker-^)'
create table ip mydocker-^
add chain ip mydocker-^ postrouting { type nat hook postrouting priority 100; }
add rule ip mydocker-^ postrouting ip saddr ^ oifname != "^" masquerade
END
leave() { "$nft" delete table ip mydocker-^; leave_bridge; }"#;

/// An IPv4 address of a request.
fn dotted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Address(bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))).put(&mut out);
    out
}

/// The hardware address among the attributes of an interface.
fn hardware_address(attributes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in attribute(attributes, libc::IFLA_ADDRESS).unwrap_or_default() {
        out.put(if out.is_empty() { b"" } else { b":" });
        for digit in [byte >> 4, byte & 15] {
            out.push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }
    out
}

/// The name among the attributes of an interface.
fn name_in(attributes: &[u8]) -> &[u8] {
    text(attribute(attributes, libc::IFLA_IFNAME).unwrap_or_default())
}

/// What stands before the first NUL.
pub(super) fn text(bytes: &[u8]) -> &[u8] {
    bytes::split(bytes, b'\0').next().unwrap_or_default()
}

impl Translator {
    /// Requests to netlink(7), by the names of ip(8) and nft(8).
    pub(super) fn requests(&mut self, call: &Recorded) {
        let bridge = self.bridge.as_bytes();
        if !core::mem::replace(&mut self.is_locked, true) {
            self.line(IP, &[]);
            self.line(BRIDGE, &[&to_decimal(GROUP.into())]);
        }
        netlink::for_each_message(call.bytes(1), &mut |kind, content| self.request(kind, content, bridge));
    }

    fn request(&mut self, kind: u16, content: &'static [u8], bridge: &[u8]) {
        let behind = |len: usize| content.get(len..).unwrap_or_default();
        let word =
            |at: usize| content.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_ne_bytes(*word));
        // What has no other number here: in the container it is eth0.
        let device = if self.in_container { b"eth0" } else { bridge };
        match kind {
            libc::RTM_NEWLINK if let Some(info) = attribute(behind(LINK), libc::IFLA_LINKINFO) => {
                let name = name_in(behind(LINK));
                let data = attribute(info, INFO_DATA).and_then(|data| attribute(data, PEER));
                match data.and_then(|peer| peer.get(LINK..)) {
                    Some(peer) => {
                        let parts = [name, bridge, name_in(peer), &hardware_address(peer)];
                        fill(&mut self.pair, IP, &[]);
                        self.pair.put(b"\n");
                        fill(&mut self.pair, PAIR, &parts);
                        self.line("# In the child: the namespace of the other end must be there.", &[]);
                    }
                    None => {
                        let address = hardware_address(behind(LINK));
                        self.line(
                            "\"$ip\" link show dev ~ 2>/dev/null | grep -q ^ || \
                             \"$ip\" link add dev ~ up address ^ group $group type bridge",
                            &[name, &address, name, &address],
                        );
                    }
                }
            }
            libc::RTM_NEWLINK if content.len() >= LINK => {
                self.line("\"$ip\" link set ~ up", &[if word(4) == 1 { b"lo" } else { device }]);
            }
            libc::RTM_NEWADDR => {
                let prefix = content.get(1).map_or(0, |prefix| u64::from(*prefix));
                let local = attribute(behind(ADDRESS), libc::IFA_LOCAL).unwrap_or_default();
                self.line("\"$ip\" addr replace ^/^ dev ~", &[&dotted(local), &to_decimal(prefix), device]);
            }
            libc::RTM_NEWROUTE => {
                let gateway = attribute(behind(ROUTE), libc::RTA_GATEWAY).unwrap_or_default();
                self.line("\"$ip\" route add default via ^", &[&dotted(gateway)]);
            }
            NEW_RULE => {
                if let [address, name] = filter::compared(content)[..] {
                    let (address, name) = (dotted(address), text(name));
                    let a = address.as_slice();
                    self.line(MASQUERADE, &[a, a, a, a, a, name, a]);
                }
            }
            // The shell knows the bridge by its name.
            libc::RTM_GETLINK => {}
            // The table and the chain come with the rule; the ends of a batch have the numbers of requests about links.
            NEW_TABLE | NEW_CHAIN | libc::RTM_NEWLINK | libc::RTM_DELLINK => {}
            _ => self.stop(b"a request to netlink(7): leave out --network"),
        }
    }
}
