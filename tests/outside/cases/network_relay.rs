//! What the relay of published ports carries: much at once in both directions, each direction to its own end, and thousands of
//! connections, none of which leaves anything in it.
//!
//! `MYDOCKER_RELAY_BYTES=N` and `MYDOCKER_RELAY_CONNECTIONS=N` make it more than the gate has time for.

use crate::probes::own_network::{ask, in_own_network};
use crate::probes::terminal::pattern;
use crate::support::harness::probe;
use crate::support::needs::Needs;
use crate::support::processes::{self, anonymous_kib, children, wait_until};
use rustix::net::SendFlags;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

fn number_of(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Who sends before the other one has ended.
const BOTH: &str = "both";
const SERVER: &str = "server";
const CALLER: &str = "caller";

fn send(mut stream: &TcpStream, count: usize) {
    let (mut pattern, mut block, mut left) = (pattern(), vec![0; 1 << 16], count);
    while left > 0 {
        let part = left.min(block.len());
        pattern.fill(&mut block[..part]);
        stream.write_all(&block[..part]).expect("send");
        left -= part;
    }
    stream.shutdown(Shutdown::Write).expect("shutdown");
}

/// Receives up to the end. Returns whether it was the pattern, of this length.
fn receive(stream: &TcpStream, count: usize) -> bool {
    const BLOCK: usize = 1 << 16;
    let (mut pattern, mut expected, mut block, mut total) = (pattern(), vec![0; BLOCK], Vec::with_capacity(BLOCK), 0);
    while stream.take(BLOCK as u64).read_to_end(&mut block).expect("receive") > 0 {
        let expected = &mut expected[..block.len()];
        pattern.fill(expected);
        if block != expected {
            return false;
        }
        total += block.len();
        block.clear();
    }
    total == count
}

/// Sends and receives the pattern: at once, or with `waits` only after the other side has ended.
fn exchange(stream: &TcpStream, count: usize, waits: bool) -> bool {
    if waits {
        let is_right = receive(stream, count);
        send(stream, count);
        return is_right;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| send(stream, count));
        receive(stream, count)
    })
}

probe!("exchange", |words| {
    let listener = TcpListener::bind(words.text(0)).expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    for order in &words.rest[2..] {
        let (stream, _) = listener.accept().expect("accept");
        println!("{}", exchange(&stream, words.number(1), order == CALLER));
    }
    // What has been sent a moment before the end of the container may be lost: this is after that.
    listener.accept().expect("accept");
});

case!(both_ways_at_once, Needs::ROOT);
/// Every byte arrives, and the end of one direction does not end the other one: over IPv4 and IPv6.
fn both_ways_at_once() {
    in_own_network("check-both-ways");
}
probe!("check-both-ways", |_| {
    let count = number_of("MYDOCKER_RELAY_BYTES", 20_000_001);
    let rounds =
        [("127.0.0.1:8080", BOTH), ("127.0.0.1:8080", SERVER), ("127.0.0.1:8080", CALLER), ("[::1]:8080", BOTH)];
    let count_text = count.to_string();
    let words = [&["exchange", "[::]:80", &count_text][..], &rounds.map(|(_, order)| order)].concat();
    let container = probe(&["-p", "8080:80"], &words).start_ready();
    let [_, relay] = children(container.pid)[..] else { panic!("the command and the relay") };
    let before = (anonymous_kib(relay), descriptors(relay));
    for (address, order) in rounds {
        let stream = TcpStream::connect(address).expect("connect");
        assert!(exchange(&stream, count, order == SERVER), "{address} {order}: other bytes came out of the container");
    }
    wait_until("its descriptors are closed", || descriptors(relay) == before.1);
    let after = anonymous_kib(relay);
    assert!(after <= before.0 + 16, "{} KiB, then {after} KiB", before.0);
    drop(TcpStream::connect("127.0.0.1:8080").expect("connect"));
    assert_eq!(container.finish().success(), "ready\ntrue\ntrue\ntrue\ntrue\n", "other bytes came into the container");
});

case!(what_is_short_does_not_wait, Needs::ROOT);
/// Messages of many lengths, around those at which the relay goes another way, each sent once the one before has come back; then
/// urgent data, before which a read stops, and more behind it. Nobody has ended.
fn what_is_short_does_not_wait() {
    in_own_network("check-short");
}
probe!("check-short", |_| {
    let container = probe(&["-p", "8080:80"], &["echo-tcp"]).start_ready();
    let [_, relay] = children(container.pid)[..] else { panic!("the command and the relay") };
    let mut stream = TcpStream::connect("127.0.0.1:8080").expect("connect");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let come_back = |stream: &mut TcpStream, expected: &[u8]| {
        let mut back = vec![0; expected.len()];
        stream.read_exact(&mut back).expect("receive");
        assert!(back == expected, "{} bytes", expected.len());
    };
    for length in [1, 2, 4095, 4096, 4097, 1, 8191, 8192, 8193, 65_536, 3, 70_000, 4096, 4096, 5, 5] {
        let mut message = vec![0; length];
        pattern().fill(&mut message);
        stream.write_all(&message).expect("send");
        come_back(&mut stream, &message);
    }
    for before in [&b"abc"[..], &[7; 20_000]] {
        processes::send(relay, libc::SIGSTOP);
        for (bytes, flags) in [(before, SendFlags::empty()), (b"d", SendFlags::OOB), (b"ef", SendFlags::empty())] {
            assert_eq!(rustix::net::send(&stream, bytes, flags).expect("send"), bytes.len());
        }
        processes::send(relay, libc::SIGCONT);
        come_back(&mut stream, &[before, b"ef"].concat());
    }
    // Nor do two writes, of which the second would wait until the first is acknowledged.
    // SAFETY: the call takes a pid
    let process = unsafe { libc::syscall(libc::SYS_pidfd_open, relay, 0) };
    let mut connected = 0;
    for number in 3..64 {
        // SAFETY: the call takes numbers
        let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, number, 0) } as i32;
        if copy >= 0 {
            // SAFETY: the descriptor is new, and nobody else's
            let copy = unsafe { OwnedFd::from_raw_fd(copy) };
            if rustix::net::getpeername(&copy).is_ok_and(|peer| peer.is_some()) {
                connected += 1;
                assert!(rustix::net::sockopt::tcp_nodelay(&copy).expect("TCP_NODELAY"));
            }
        }
    }
    // SAFETY: nobody else uses it
    drop(unsafe { OwnedFd::from_raw_fd(process as i32) });
    assert_eq!(connected, 2);
    stream.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(stream.read_to_end(&mut Vec::new()).expect("the end"), 0);
    container.finish().success();
});

case!(a_reset_is_no_end, Needs::ROOT);
/// What came before it arrives, on either side.
fn a_reset_is_no_end() {
    in_own_network("check-reset-is-no-end");
}
probe!("check-reset-is-no-end", |_| {
    let container = probe(&["-p", "8080:80"], &["reset-tcp"]).start_ready();
    let mut stream = TcpStream::connect("127.0.0.1:8080").expect("connect");
    let mut received = Vec::new();
    let error = stream.read_to_end(&mut received).expect_err("a reset");
    assert_eq!((error.kind(), received.len()), (ErrorKind::ConnectionReset, 1000));
    let mut stream = TcpStream::connect("127.0.0.1:8080").expect("connect");
    stream.write_all(&[7; 5000]).expect("send");
    // Else the kernel might drop it with the connection.
    stream.read_exact(&mut [0]).expect("it has come");
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("SO_LINGER");
    drop(stream);
    assert_eq!(container.finish().success(), "ready\n5000 ConnectionReset\n");
});
probe!("reset-tcp", |_| {
    let listener = TcpListener::bind("0.0.0.0:80").expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    let (mut stream, _) = listener.accept().expect("accept");
    stream.write_all(&[1; 1000]).expect("send");
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("SO_LINGER");
    drop(stream);
    let (mut stream, _) = listener.accept().expect("accept");
    let mut received = vec![0; 5000];
    stream.read_exact(&mut received).expect("receive");
    stream.write_all(&[1]).expect("send");
    let error = stream.read(&mut [0]).expect_err("a reset");
    println!("{} {:?}", received.len(), error.kind());
});

case!(an_answer_that_is_cut_off, Needs::ROOT);
/// The container ends while its caller does not read: what is lost then is no end.
fn an_answer_that_is_cut_off() {
    in_own_network("check-cut-off");
}
probe!("check-cut-off", |_| {
    let container = probe(&["-p", "8080:80"], &["fill-and-end"]).start_ready();
    let mut stream = TcpStream::connect("127.0.0.1:8080").expect("connect");
    let outcome = container.finish().success();
    let sent: usize = outcome.trim_start_matches("ready\n").trim().parse().expect("a number");
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Ok(count) => assert_eq!(count, sent, "it has come to its end"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert!(sent > 1 << 20, "{sent} bytes");
});
// Sends as much as there is room for, and ends.
probe!("fill-and-end", |_| {
    let listener = TcpListener::bind("0.0.0.0:80").expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    let (mut stream, _) = listener.accept().expect("accept");
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("SO_SNDTIMEO");
    let mut sent = 0;
    while let Ok(count) = stream.write(&[7; 65_536]) {
        sent += count;
    }
    println!("{sent}");
});

case!(a_caller_that_breaks_off_after_its_end, Needs::ROOT);
/// It has sent its end, and then a reset, and the server says nothing: the relay keeps nothing of it.
fn a_caller_that_breaks_off_after_its_end() {
    in_own_network("check-reset");
}
probe!("check-reset", |_| {
    let container = probe(&["-p", "8080:80"], &["listen-tcp"]).start_ready();
    let [_, relay] = children(container.pid)[..] else { panic!("the command and the relay") };
    let before = descriptors(relay);
    let stream = TcpStream::connect("127.0.0.1:8080").expect("connect");
    stream.shutdown(Shutdown::Write).expect("shutdown");
    wait_until("the relay has it", || descriptors(relay) > before);
    // Its end has come to the relay by then.
    wait_until("the relay waits", || processes::state(relay) == Some('S'));
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("SO_LINGER");
    drop(stream);
    wait_until("its descriptors are closed", || descriptors(relay) == before);
    processes::send(container.pid, libc::SIGTERM);
    drop(container.finish());
});
probe!("listen-tcp", |_| {
    let _listener = TcpListener::bind("0.0.0.0:80").expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    std::thread::sleep(Duration::from_secs(1000));
});

probe!("echo-tcp", |_| {
    let listener = TcpListener::bind("0.0.0.0:80").expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    let (stream, _) = listener.accept().expect("accept");
    std::io::copy(&mut &stream, &mut &stream).expect("copy");
});

case!(a_caller_that_has_everything, Needs::ROOT);
/// It keeps its side open after the end of the container, and the relay does not wait for it: that would take 100 ms every time.
fn a_caller_that_has_everything() {
    in_own_network("check-idle-caller");
}
probe!("check-idle-caller", |_| {
    let ends_at_once = || {
        let container = probe(&["-p", "8080:80"], &["echo-tcp"]).start_ready();
        let [command, relay] = children(container.pid)[..] else { panic!("the command and the relay") };
        let mut stream = TcpStream::connect("127.0.0.1:8080").expect("connect");
        stream.write_all(b"x").expect("write");
        stream.read_exact(&mut [0]).expect("the same");
        processes::send(command, libc::SIGKILL);
        let killed = Instant::now();
        wait_until("the relay has ended", || processes::state(relay).is_none_or(|state| state == 'Z'));
        let took = killed.elapsed();
        drop(container.reap());
        assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
        took < Duration::from_millis(100)
    };
    // On a busy host one of many does.
    assert!((0..50).any(|_| ends_at_once()), "the relay waits for a caller that has everything");
});

case!(an_answer_before_the_end_of_the_question, Needs::ROOT);
/// A server that has read enough answers, and closes: what is still sent to it is refused, but the answer arrives, as it does
/// without a relay. TCP itself loses the answer if the reset that follows overtakes it. On a virtual host whose two processors
/// run in turn that happened to 2 of 4,000: one answer never came to the relay, the other one was lost behind it.
fn an_answer_before_the_end_of_the_question() {
    in_own_network("check-early-answers");
}
probe!("check-early-answers", |_| {
    const TIMES: usize = 20;
    let container = probe(&["-p", "8080:80"], &["answer-early", &TIMES.to_string()]).start_ready();
    let mut answers = 0;
    for _ in 0..TIMES {
        let mut stream = TcpStream::connect("127.0.0.1:8080").expect("connect");
        while stream.write_all(&[7; 16384]).is_ok() {}
        let mut answer = Vec::new();
        // An answer may be followed by the reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(matches!(&answer[..], b"early" | b""), "{answer:?}");
        answers += usize::from(!answer.is_empty());
    }
    assert!(answers >= TIMES - 5, "{answers} of {TIMES} answers arrived");
    container.finish().success();
});

probe!("answer-early", |words| {
    let listener = TcpListener::bind("0.0.0.0:80").expect("bind");
    println!("ready");
    std::io::stdout().flush().expect("flush");
    for _ in 0..words.number(0) {
        let (mut stream, _) = listener.accept().expect("accept");
        stream.read_exact(&mut [0]).expect("read");
        stream.write_all(b"early").expect("write");
    }
});

fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count()
}

case!(connections_leave_nothing_in_it, Needs::ROOT);
fn connections_leave_nothing_in_it() {
    in_own_network("check-many-connections");
}
probe!("check-many-connections", |_| {
    // As many before the relay is measured, because each of its places is used for the first time once.
    const FIRST: usize = 50;
    let count = number_of("MYDOCKER_RELAY_CONNECTIONS", 1000);
    let container = probe(&["-p", "8080:80"], &["serve-tcp", "80", &(FIRST + count + 1).to_string()]).start_ready();
    let [_, relay] = children(container.pid)[..] else { panic!("the command and the relay") };
    let idle = descriptors(relay);
    let connect = |times: usize| {
        for len in 0..times {
            assert_eq!(ask("127.0.0.1:8080", len % 3).expect("an answer"), format!("{}!", len % 3));
        }
        wait_until("its descriptors are closed", || descriptors(relay) == idle);
    };
    connect(FIRST);
    let before = anonymous_kib(relay);
    connect(count);
    let after = anonymous_kib(relay);
    assert!(after <= before + 16, "{before} KiB, then {after} KiB");
    assert_eq!(ask("[::1]:8080", 5).expect("an answer"), "5!");
    container.finish().success();
});
