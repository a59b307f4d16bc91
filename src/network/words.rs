//! The words of the options about the network.

use crate::bytes::{self, Address, Subnet, c_string};
use crate::error::{Error, Result};
use crate::spec::{BridgeWanted, Network, Spec};

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
