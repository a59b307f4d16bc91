//! Checks of networks, each a probe in a network namespace of its own, so that nothing of it reaches the host.

use crate::probes::{Words, check_on_host, run};

/// Runs the probe `check` on the host, in a new network namespace with lo up. A failed check is a panic of the probe.
pub fn in_own_network(check: &str) {
    check_on_host(&["--probe", "in-own-network", check]);
}

probe!("in-own-network", enter_own_network);
/// `in-own-network PROBE`
fn enter_own_network(words: Words) -> i32 {
    enter();
    let status = run(words.text(0).as_ref(), Words { rest: &words.rest[1..], ..words });
    println!("checked");
    status
}

/// A new network namespace, with lo up, that forwards nothing.
pub fn enter() {
    // SAFETY: unshare with CLONE_NEWNET leaves the address space and the descriptor table alone
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.expect("unshare");
    // SAFETY: a struct ifreq of zeros is one
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (room, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *room = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the kernel reads one struct ifreq
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        assert_eq!(libc::ioctl(socket, libc::SIOCSIFFLAGS as libc::Ioctl, &request), 0, "lo up");
        libc::close(socket);
    }
    // It begins with what the host has.
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("ip_forward");
}

/// The network interfaces of this namespace, sorted.
pub fn interfaces() -> Vec<String> {
    let file = std::fs::read_to_string("/proc/thread-self/net/dev").expect("/proc/thread-self/net/dev");
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_string());
    let mut names: Vec<String> = file.lines().skip(2).filter_map(name).collect();
    names.sort();
    names
}

probe!("serve-tcp", |words| serve_tcp(words.number(0), words.number(1)));
/// Answers `count` connections: reads each to its end, and sends back how much it was, and `!`.
fn serve_tcp(port: usize, count: usize) {
    use std::io::{ErrorKind, Read, Write};
    let listener = std::net::TcpListener::bind(("0.0.0.0", port as u16)).expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    for _ in 0..count {
        let (mut stream, _) = listener.accept().expect("accept");
        let mut received = Vec::new();
        let served = stream.read_to_end(&mut received).and_then(|count| write!(stream, "{count}!"));
        // A caller that does not wait for the answer is no failure of the server's.
        if let Err(error) = served {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        }
    }
}

probe!("serve-last", |words| serve_last(words.number(0)));
/// Takes one connection, reads it to its end, and closes it when a line comes on stdin.
fn serve_last(port: usize) {
    use std::io::Read;
    let listener = std::net::TcpListener::bind(("0.0.0.0", port as u16)).expect("bind");
    println!("ready");
    let (mut stream, _) = listener.accept().expect("accept");
    stream.read_to_end(&mut Vec::new()).expect("read");
    println!("heard");
    std::io::stdin().read_line(&mut String::new()).expect("a line");
}

probe!("tell-tcp", |words| {
    use std::io::Write;
    std::net::TcpStream::connect(words.text(0)).and_then(|mut stream| stream.write_all(b"x")).expect("a connection")
});

probe!("serve-udp", |words| serve_udp(words.number(0), words.number(1)));
/// Answers `count` datagrams with their own content, doubled.
fn serve_udp(port: usize, count: usize) {
    use std::io::Write;
    let socket = std::net::UdpSocket::bind(("127.0.0.1", port as u16)).expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    let mut buffer = [0; 65536];
    for _ in 0..count {
        let (n, sender) = socket.recv_from(&mut buffer).expect("recv");
        socket.send_to(&[&buffer[..n], &buffer[..n]].concat(), sender).expect("send");
    }
}

probe!("serve-on", |words| serve_on(words.text(0), words.number(1), words.number(2)));
/// Answers two connections and two datagrams, in turns, as `serve-tcp` and `serve-udp` do, on one address alone.
fn serve_on(address: &str, tcp: usize, udp: usize) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind((address, tcp as u16)).expect("bind");
    let socket = std::net::UdpSocket::bind((address, udp as u16)).expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().expect("accept");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("read");
        write!(stream, "{}!", received.len()).expect("write");
        drop(stream);
        let mut buffer = [0; 100];
        let (n, sender) = socket.recv_from(&mut buffer).expect("recv");
        socket.send_to(&[&buffer[..n], &buffer[..n]].concat(), sender).expect("send");
    }
}

probe!("serve-and-end", |words| serve_and_end(words.number(0)));
/// Answers a datagram at once, and a second later with `count` others; and ends.
fn serve_and_end(count: usize) {
    use std::io::Write;
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 53)).expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    let (_, sender) = socket.recv_from(&mut [0; 100]).expect("recv");
    socket.send_to(b"first", sender).expect("send");
    std::thread::sleep(std::time::Duration::from_secs(1));
    for _ in 0..count {
        socket.send_to(b"other", sender).expect("send");
    }
}

probe!("serve-moving", |_| serve_moving());
/// Answers a datagram on the loopback address, the next on its own, and another on the loopback address again.
fn serve_moving() {
    use std::io::Write;
    for (at, (address, answer)) in
        [("127.0.0.1", "first"), ("10.88.0.9", "other"), ("127.0.0.1", "first")].iter().enumerate()
    {
        let socket = std::net::UdpSocket::bind((*address, 53)).expect("bind");
        if at == 0 {
            println!("ready");
            std::io::stdout().flush().expect("flush");
        }
        let (_, sender) = socket.recv_from(&mut [0; 100]).expect("recv");
        socket.send_to(answer.as_bytes(), sender).expect("send");
    }
}

probe!("address", |_| println!("{}", address()));
/// The IPv4 address of eth0, found without any tool: that which a datagram to the bridge would be sent from.
fn address() -> std::net::IpAddr {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("bind");
    socket.connect("10.88.0.1:9").expect("a route to the bridge");
    socket.local_addr().expect("getsockname").ip()
}

probe!("ask-tcp", |words| println!("{}", ask(words.text(0), words.number(1)).expect("an answer")));
// Prints whether something listens there.
probe!("connects", |words| {
    let address = words.text(0).parse().expect("an address");
    println!("{}", std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(2)).is_ok());
});

/// Sends `len` bytes to an address, ends, and returns the answer.
pub fn ask(address: &str, len: usize) -> std::io::Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(crate::support::processes::timeout()))?;
    stream.write_all(&vec![7; len])?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Makes a bridge that is not mydocker's: SIOCBRADDBR.
pub fn add_bridge(name: &str) {
    change_bridge(0x89a0, name);
}

/// Removes it: SIOCBRDELBR.
pub fn remove_bridge(name: &str) {
    change_bridge(0x89a1, name);
}

fn change_bridge(request: libc::Ioctl, name: &str) {
    let name = crate::probes::c_string(name);
    // SAFETY: the kernel reads a name that a NUL ends
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        assert_eq!(libc::ioctl(socket, request, name.as_ptr()), 0, "{}", std::io::Error::last_os_error());
        libc::close(socket);
    }
}

/// Gives lo another address: SIOCSIFADDR of its alias `lo:1`, netdevice(7).
pub fn add_address_to_lo(address: [u8; 4]) {
    // SAFETY: a struct ifreq of zeros is one
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (room, byte) in request.ifr_name.iter_mut().zip(b"lo:1") {
        *room = *byte as libc::c_char;
    }
    // SAFETY: a struct sockaddr_in fits into the place of a struct sockaddr; the kernel reads one struct ifreq
    unsafe {
        let place = (&raw mut request.ifr_ifru.ifru_addr).cast::<libc::sockaddr_in>();
        (*place).sin_family = libc::AF_INET as libc::sa_family_t;
        (*place).sin_addr.s_addr = u32::from_ne_bytes(address);
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        assert_eq!(libc::ioctl(socket, libc::SIOCSIFADDR as libc::Ioctl, &request), 0, "an address of lo");
        libc::close(socket);
    }
}
