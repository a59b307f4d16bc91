//! Packet filters: nf_tables, as nft(8) has it. Source: linux/netfilter/nf_tables.h.

use crate::bytes::{Address, Put};
use crate::error::{Errno, Error, Result};
use crate::sys::netlink::{ACK, attribute, attributes};
use crate::sys::{self, Fd, NetlinkFamily, Requests, getpid, padded};
use alloc::vec::Vec;

/// The attributes of a table, a chain, a hook, a rule and its expressions.
mod nfta {
    pub const LIST_ELEM: u16 = 1;
    pub const EXPR_NAME: u16 = 1;
    pub const EXPR_DATA: u16 = 2;
    pub const TABLE_NAME: u16 = 1;
    pub const TABLE_FLAGS: u16 = 2;
    pub const CHAIN_TABLE: u16 = 1;
    pub const CHAIN_NAME: u16 = 3;
    pub const CHAIN_HOOK: u16 = 4;
    pub const CHAIN_POLICY: u16 = 5;
    pub const CHAIN_TYPE: u16 = 7;
    pub const HOOK_HOOKNUM: u16 = 1;
    pub const HOOK_PRIORITY: u16 = 2;
    pub const RULE_TABLE: u16 = 1;
    pub const RULE_CHAIN: u16 = 2;
    pub const RULE_EXPRESSIONS: u16 = 4;
    pub const PAYLOAD_DREG: u16 = 1;
    pub const PAYLOAD_BASE: u16 = 2;
    pub const PAYLOAD_OFFSET: u16 = 3;
    pub const PAYLOAD_LEN: u16 = 4;
    pub const CMP_SREG: u16 = 1;
    pub const CMP_OP: u16 = 2;
    pub const CMP_DATA: u16 = 3;
    pub const DATA_VALUE: u16 = 1;
    pub const META_DREG: u16 = 1;
    pub const META_KEY: u16 = 2;
}

const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;
/// The types of requests that make a table,
pub const NEW_TABLE: u16 = SUBSYSTEM | libc::NFT_MSG_NEWTABLE as u16;
/// a chain in it,
pub const NEW_CHAIN: u16 = SUBSYSTEM | libc::NFT_MSG_NEWCHAIN as u16;
/// and a rule in that.
pub const NEW_RULE: u16 = SUBSYSTEM | libc::NFT_MSG_NEWRULE as u16;
const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16 | ACK;
/// The table belongs to the socket that made it: Linux 5.12.
const OWNER: u32 = 2;

/// struct nfgenmsg: the family, the version, and the subsystem of a batch.
fn message(family: i32, subsystem: u8) -> [u8; 4] {
    [family as u8, 0, 0, subsystem]
}

/// Begins an expression of a rule.
fn expression(requests: &mut Requests, name: &[u8], fill: &dyn Fn(&mut Requests)) {
    let element = requests.begin_attribute(nfta::LIST_ELEM | NESTED);
    requests.attribute(nfta::EXPR_NAME, &[name, b"\0"].concat());
    let data = requests.begin_attribute(nfta::EXPR_DATA | NESTED);
    fill(requests);
    requests.end_attribute(data);
    requests.end_attribute(element);
}

const NESTED: u16 = libc::NLA_F_NESTED as u16;

/// A number as nf_tables has them, the highest byte first.
fn number(requests: &mut Requests, kind: u16, value: u32) {
    requests.attribute(kind, &value.to_be_bytes());
}

/// The register that one expression leaves a value in for the next.
const REGISTER: u32 = libc::NFT_REG_1 as u32;

/// Compares what is in the register.
fn compare(requests: &mut Requests, operation: i32, value: &[u8]) {
    expression(requests, b"cmp", &|requests| {
        number(requests, nfta::CMP_SREG, REGISTER);
        number(requests, nfta::CMP_OP, operation as u32);
        let data = requests.begin_attribute(nfta::CMP_DATA | NESTED);
        requests.attribute(nfta::DATA_VALUE, value);
        requests.end_attribute(data);
    });
}

/// The chains that drop what is forwarded unless a rule accepts it: the table and the chain of each.
pub fn dropping() -> Result<Vec<u8>> {
    let socket = sys::netlink(NetlinkFamily::NETFILTER)?;
    let mut requests = Requests::default();
    let kind = SUBSYSTEM | libc::NFT_MSG_GETCHAIN as u16;
    requests.begin(kind, libc::NLM_F_DUMP as u16, &[&message(libc::AF_UNSPEC, 0)]);
    let mut chains = Vec::new();
    requests.ask(&socket, b"nf_tables", &mut |_, content| {
        let Some(([family, ..], attributes)) = content.split_first_chunk::<4>() else { return };
        let hook = attribute(attributes, nfta::CHAIN_HOOK).unwrap_or_default();
        if [libc::NFPROTO_IPV4, libc::NFPROTO_INET, libc::NFPROTO_BRIDGE].contains(&i32::from(*family))
            && attribute(hook, nfta::HOOK_HOOKNUM) == Some(&libc::NF_INET_FORWARD.to_be_bytes())
            && attribute(attributes, nfta::CHAIN_POLICY) == Some(&libc::NF_DROP.to_be_bytes())
        {
            for kind in [nfta::CHAIN_TABLE, nfta::CHAIN_NAME] {
                let name = attribute(attributes, kind).unwrap_or_default();
                chains.put(if chains.is_empty() { b"" } else { b" " });
                chains.put(name.strip_suffix(b"\0").unwrap_or(name));
            }
        }
    })?;
    Ok(chains)
}

/// What a request that adds a rule compares with, in its order.
pub fn compared(request: &[u8]) -> Vec<&[u8]> {
    compared_in(request, NESTED)
}

/// The same of a message whose nested attributes have this mark: the kernel's have none.
fn compared_in(message: &[u8], mark: u16) -> Vec<&[u8]> {
    let rule = message.get(4..).and_then(|rule| attribute(rule, nfta::RULE_EXPRESSIONS | mark)).unwrap_or_default();
    let mut values = Vec::new();
    for (_, expression) in attributes(rule) {
        let data = attribute(expression, nfta::EXPR_DATA | mark);
        let compared = data.and_then(|data| attribute(data, nfta::CMP_DATA | mark));
        values.extend(compared.and_then(|compared| attribute(compared, nfta::DATA_VALUE)));
    }
    values
}

/// Whether a mydocker that has not ended masquerades this address: its table ends with it.
pub fn is_masqueraded(address: Address) -> Result<bool> {
    let socket = sys::netlink(NetlinkFamily::NETFILTER)?;
    let mut requests = Requests::default();
    let kind = SUBSYSTEM | libc::NFT_MSG_GETRULE as u16;
    requests.begin(kind, libc::NLM_F_DUMP as u16, &[&message(libc::NFPROTO_IPV4, 0)]);
    let mut found = false;
    requests.ask(&socket, b"nf_tables", &mut |_, content| {
        // A firewall may name the address, too.
        let table = content.get(4..).and_then(|rule| attribute(rule, nfta::RULE_TABLE)).unwrap_or_default();
        found |= table.starts_with(TABLE) && compared_in(content, 0).contains(&address.bytes().as_slice());
    })?;
    Ok(found)
}

/// What the kernel says of a module that it lacks: that of netfilter, that of nf_tables, or that of the chain or of an expression.
pub const MISSING: [Errno; 3] = [Errno::EPROTONOSUPPORT, Errno::EOPNOTSUPP, Errno::ENOENT];

/// Why there is no table.
pub fn explain(error: Error) -> Error {
    const NO_NF_TABLES: &str =
        "this kernel has no nf_tables, or no table of one's own (Linux 5.12): modprobe nf_tables";
    let [netfilter, nf_tables, part] = MISSING;
    error.hint_for(&[
        (netfilter, NO_NF_TABLES),
        (nf_tables, NO_NF_TABLES),
        (part, "this kernel cannot masquerade: modprobe nft_chain_nat nft_masq"),
    ])
}

/// What the name of each table of mydocker's begins with.
const TABLE: &[u8] = b"mydocker-";

/// Makes a table `mydocker-PID-ADDRESS` of this socket, for processes of several PID namespaces may have one pid: what `address` sends
/// elsewhere than over `bridge` gets the host's address.
pub fn masquerade(socket: &Fd, address: Address, bridge: &str) -> Result<()> {
    let family = libc::NFPROTO_IPV4;
    let mut name = TABLE.to_vec();
    name.put_decimal(getpid().0 as u64);
    name.put(b"-");
    address.put(&mut name);
    name.put(b"\0");
    let mut requests = Requests::default();
    let batch = message(libc::AF_UNSPEC, libc::NFNL_SUBSYS_NFTABLES as u8);
    requests.begin(libc::NFNL_MSG_BATCH_BEGIN as u16, 0, &[&batch]);
    requests.begin(NEW_TABLE, CREATE, &[&message(family, 0)]);
    requests.attribute(nfta::TABLE_NAME, &name);
    number(&mut requests, nfta::TABLE_FLAGS, OWNER);
    requests.begin(NEW_CHAIN, CREATE, &[&message(family, 0)]);
    requests.attribute(nfta::CHAIN_TABLE, &name);
    requests.attribute(nfta::CHAIN_NAME, b"postrouting\0");
    let hook = requests.begin_attribute(nfta::CHAIN_HOOK | NESTED);
    number(&mut requests, nfta::HOOK_HOOKNUM, libc::NF_INET_POST_ROUTING as u32);
    number(&mut requests, nfta::HOOK_PRIORITY, libc::NF_IP_PRI_NAT_SRC as u32);
    requests.end_attribute(hook);
    requests.attribute(nfta::CHAIN_TYPE, b"nat\0");
    requests.begin(NEW_RULE, (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16 | ACK, &[&message(family, 0)]);
    requests.attribute(nfta::RULE_TABLE, &name);
    requests.attribute(nfta::RULE_CHAIN, b"postrouting\0");
    let rule = requests.begin_attribute(nfta::RULE_EXPRESSIONS | NESTED);
    // The source address stands at 12 in the IPv4 header.
    expression(&mut requests, b"payload", &|requests| {
        number(requests, nfta::PAYLOAD_DREG, REGISTER);
        number(requests, nfta::PAYLOAD_BASE, libc::NFT_PAYLOAD_NETWORK_HEADER as u32);
        number(requests, nfta::PAYLOAD_OFFSET, 12);
        number(requests, nfta::PAYLOAD_LEN, 4);
    });
    compare(&mut requests, libc::NFT_CMP_EQ, &address.bytes());
    expression(&mut requests, b"meta", &|requests| {
        number(requests, nfta::META_DREG, REGISTER);
        number(requests, nfta::META_KEY, libc::NFT_META_OIFNAME as u32);
    });
    compare(&mut requests, libc::NFT_CMP_NEQ, &padded(bridge.as_bytes()));
    expression(&mut requests, b"masq", &|_| {});
    requests.end_attribute(rule);
    requests.begin(libc::NFNL_MSG_BATCH_END as u16, 0, &[&batch]);
    requests.send(socket, b"nf_tables")
}
