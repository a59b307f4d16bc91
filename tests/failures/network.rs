//! A network of a run's own: what the run makes in it ends with the run, and the host's is left alone.

use rustix::fs::{Mode, OFlags, open};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// How long the kernel may take to remove the interfaces of a namespace that has ended: an emulated machine is slow.
const GONE: Duration = Duration::from_secs(30);

/// A new network namespace. This thread, and every run that it starts, is in it until this is dropped.
pub struct Network {
    before: OwnedFd,
    links: Vec<String>,
}

impl Network {
    pub fn make() -> io::Result<Network> {
        let before = open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        // SAFETY: unshare with CLONE_NEWNET leaves the address space and the descriptor table alone
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
        let mut network = Network { before, links: Vec::new() };
        network.links = links()?;
        // Some kernels give a new namespace the host's setting.
        let forwards = "/proc/sys/net/ipv4/ip_forward";
        if fs::read_to_string(forwards)?.trim() != "0" {
            fs::write(forwards, "0")?;
        }
        Ok(network)
    }

    /// What a run has left in it: interfaces, packet filters, sockets.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let end = Instant::now() + GONE;
        let mut now = links().unwrap_or_default();
        while now != self.links && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
            now = links().unwrap_or_default();
        }
        if now != self.links {
            left.push(format!("interfaces: {now:?}"));
        }
        match tables() {
            Ok(0) => {}
            other => left.push(format!("packet filters: {other:?}")),
        }
        for kind in ["tcp", "tcp6", "udp", "udp6"] {
            let file = format!("/proc/thread-self/net/{kind}");
            // 06 is TIME_WAIT: the kernel's own, after the end of a connection.
            let sockets = fs::read_to_string(file).unwrap_or_default();
            let open = |line: &&str| line.split_whitespace().nth(3) != Some("06");
            left.extend(sockets.lines().skip(1).filter(open).map(|line| format!("{kind} socket {line}")));
        }
        left
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let back = move_into_link_name_space(self.before.as_fd(), Some(LinkNameSpaceType::Network));
        back.expect("the network of the host");
    }
}

/// Brings up lo in this thread's network.
pub fn bring_up_loopback() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all zeros are a struct ifreq, which the kernel reads for the time of the call
    let done = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
        request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The interfaces of this thread's network.
fn links() -> io::Result<Vec<String>> {
    let file = fs::read_to_string("/proc/thread-self/net/dev")?;
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_string());
    let mut names: Vec<String> = file.lines().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// How many tables of packet filters there are in this thread's network: an NFT_MSG_GETTABLE to nf_tables.
fn tables() -> io::Result<usize> {
    const HEADER: usize = 16;
    const DUMP: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let kind = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | libc::NFT_MSG_GETTABLE as u16;
    let request = [
        &(HEADER as u32 + 4).to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &DUMP.to_ne_bytes(),
        // A number and a sender of its own, which it needs not; and struct nfgenmsg: every family, version 0.
        &[0; 8 + 4],
    ]
    .concat();
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
    send(&socket, &request, SendFlags::empty())?;
    let mut count = 0;
    let mut buffer = [0u8; 8192];
    loop {
        let (n, _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        let mut rest = &buffer[..n];
        while let Some(header) = rest.first_chunk::<HEADER>() {
            let len = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
            match i32::from(u16::from_ne_bytes([header[4], header[5]])) {
                libc::NLMSG_DONE => return Ok(count),
                // This kernel has no nf_tables, and so no table of ours.
                libc::NLMSG_ERROR => return Ok(0),
                _ => count += 1,
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}
