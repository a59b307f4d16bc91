//! The tables of the network: what a bridge costs a run, and what the relay of a published port carries. All of it is in a network
//! namespace that this makes, with nothing in it but lo.

use crate::contenders::{Contender, Setting, target_dir, unless_peer_fails, which};
use crate::pairs::{IDLE, times};
use crate::table::{median, quantile, row};
use crate::{Options, Result, table};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const BRIDGE: [&str; 2] = ["--network", "bridge,forward"];

pub fn print(setting: &Setting, options: &Options) -> Result<()> {
    // A namespace belongs to a thread, and to the programs that it starts.
    let measured = thread::scope(|scope| {
        let measuring = scope.spawn(|| in_own_network(setting, options).map_err(|error| error.to_string()));
        measuring.join().unwrap_or_else(|_| Err("a panic".into()))
    });
    Ok(measured?)
}

fn in_own_network(setting: &Setting, options: &Options) -> Result<()> {
    // SAFETY: unshare with CLONE_NEWNET leaves the address space and the descriptor table alone
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        println!("no network of this bench's own: {}", std::io::Error::last_os_error());
        return Ok(());
    }
    let mut missing = Vec::new();
    bridge(setting, options, &mut missing)?;
    println!();
    match Command::new("ip").args(["link", "set", "lo", "up"]).status() {
        _ if options.is_quick => missing.push("the relay: not with --quick".into()),
        Ok(status) if status.success() => relay(setting, options, &mut missing)?,
        other => missing.push(format!("the relay: ip link set lo up: {other:?}")),
    }
    for what in &missing {
        println!("not measured: {what}");
    }
    Ok(())
}

/// A process that is killed at the end.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Running> {
        Ok(Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: kill takes numbers; the child has not been waited for
        unsafe { libc::kill(self.0.id() as i32, libc::SIGTERM) };
        let _ = self.0.wait();
    }
}

// --- The bridge

fn bridge(setting: &Setting, options: &Options, missing: &mut Vec<String>) -> Result<()> {
    let words = |more: &[&str]| {
        [&setting.mydocker.command[..], &more.iter().map(|word| word.to_string()).collect::<Vec<_>>()].concat()
    };
    let like_mydocker = |name: &str, command: Vec<String>| Contender {
        name: name.into(),
        command,
        truth: vec![setting.floor.clone()],
        waiting: vec![setting.floor.clone(), "wait".into()],
        differences: "",
    };
    let with = like_mydocker("mydocker", words(&[&["--privileged"], &BRIDGE[..]].concat()));
    let without = like_mydocker("mydocker", words(&["--privileged"]));
    if let Some(reason) = with.refusal() {
        missing.push(format!("the bridge: {reason}"));
        return Ok(());
    }
    // The bridge stays while others are on it; the floor makes none.
    let mut holder = with.start(true).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    holder.stdout.take().map(|mut pipe| pipe.read_exact(&mut [0])).transpose()?;
    let index = interface("mydocker0").ok_or("no mydocker0 while a container is on it")?;
    let mut rows =
        vec![row(["a run on a bridge, its time /", "cold", "half lie in", "back to back", "half lie in", "at most"])];
    let mut compare = |name: &str, ours: &Contender, theirs: &Contender, most: &str| -> Result<[f64; 4]> {
        let (mut cells, mut seconds) = (vec![name.to_string()], [0.0; 4]);
        for (at, (pairs, idle)) in [(options.cold, Some(IDLE)), (options.hot, None)].into_iter().enumerate() {
            let pairs = match unless_peer_fails(times(ours, theirs, pairs, idle))? {
                Ok(pairs) => pairs,
                Err(reason) => {
                    rows.push([cells, vec![reason]].concat());
                    return Ok([f64::NAN; 4]);
                }
            };
            let ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
            cells.push(format!("{:.2}", median(&ratios)));
            cells.push(format!("{:.2} to {:.2}", quantile(&ratios, 0.25), quantile(&ratios, 0.75)));
            let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            (seconds[2 * at], seconds[2 * at + 1]) = (median(&ours), median(&theirs));
        }
        cells.push(most.into());
        rows.push(cells);
        Ok(seconds)
    };
    match setting.floor() {
        Err(reason) => missing.push(format!("the straight line of a bridge: {reason}")),
        Ok(floor) => {
            let mut command = Setting::own_floor(&floor)?.command;
            command.splice(1..1, ["bridged".into(), index.to_string()]);
            let floor = like_mydocker("floor", command);
            match is_on_bridge(&floor) {
                Ok(()) => drop(compare("that of a straight line with the same messages", &with, &floor, "1.15")?),
                Err(seen) => missing.push(format!("the straight line of a bridge: it is not on it: {seen}")),
            }
        }
    }
    let of_none = match options.is_quick {
        true => None,
        false => Some(compare("that of --network none", &with, &without, "")?),
    };
    if of_none.is_none() {
        missing.push("the bridge beside --network none: not with --quick".into());
    }
    match which("podman") {
        None => missing.push("podman --network bridge: not installed".into()),
        Some(_) => {
            let root = target_dir().join("tmp/bench/root").display().to_string();
            let command =
                ["podman", "run", "--rm", "--network", "bridge", "--rootfs", &root].map(String::from).to_vec();
            let podman = Contender { truth: vec!["/true".into()], ..like_mydocker("podman", command) };
            match podman.refusal() {
                None => drop(compare("that of podman", &with, &podman, "0.33")?),
                Some(reason) => missing.push(format!("podman --network bridge: {reason}")),
            }
        }
    }
    table::print(&rows);
    println!("All with --privileged and the four limits, on a bridge that stands.");
    if let Some([cold, cold_none, hot, hot_none]) = of_none.map(|seconds| seconds.map(|seconds| seconds * 1000.0)) {
        println!(
            "A bridge adds {:.1} ms cold and {:.1} ms back to back to a run of {cold_none:.1} and {hot_none:.1} ms.",
            cold - cold_none,
            hot - hot_none
        );
    }
    drop(holder.stdin.take());
    holder.wait()?;
    Ok(())
}

/// The number of an interface of this thread's network.
fn interface(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: the name ends with a NUL
    Some(unsafe { libc::if_nametoindex(name.as_ptr()) }).filter(|number| *number > 0)
}

/// The floor checks nothing: its command must see the way out through eth0.
fn is_on_bridge(floor: &Contender) -> std::result::Result<(), String> {
    let cat = which("cat").ok_or("no cat")?;
    let mut command = Command::new(&floor.command[0]);
    let output = command.args(&floor.command[1..]).arg(cat).arg("/proc/net/route").stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    let routes = String::from_utf8_lossy(&output.stdout).into_owned();
    // 10.88.0.1, as this file has it.
    let is_way_out = |line: &str| line.starts_with("eth0\t00000000\t0100580A");
    if output.status.success() && routes.lines().any(is_way_out) { Ok(()) } else { Err(format!("{output:?}")) }
}

// --- The relay

/// How much goes through for each measurement.
const BYTES: usize = 1_000_000_000;

/// The ports: of the server itself, beside the container and in it; of the peers; of the relay.
const PORTS: [u16; 3] = [80, 8081, 8080];

/// Those that do nothing but what the relay does. The second one writes to the descriptor 3 that it serves, and closes it.
const PEERS: [(&str, &str); 2] = [
    ("socat", "TCP-LISTEN:8081,bind=127.0.0.1,fork,reuseaddr,backlog=1024 TCP:127.0.0.1:80"),
    (
        "docker-proxy",
        "-proto tcp -host-ip 127.0.0.1 -host-port 8081 -container-ip 127.0.0.1 -container-port 80 3>/dev/null",
    ),
];

fn relay(setting: &Setting, options: &Options, missing: &mut Vec<String>) -> Result<()> {
    let mydocker = |words: &[&str]| {
        let mut command = Command::new(&setting.mydocker.command[0]);
        command.args(["run", "--no-limits", "-p", "127.0.0.1:8080:80"]).args(words);
        command
    };
    let mut rows = vec![row(["through the relay of -p", "GB/s", "its share", "half lie in", "at least"])];
    let beside = Running::start(Command::new(&setting.floor).arg("serve"))?;
    let inside = Running::start(&mut mydocker(&[&setting.floor, "serve"]))?;
    for (peer, words) in PEERS {
        let Some(program) = which_or_sbin(peer) else {
            missing.push(format!("the relay beside {peer}: it is not installed"));
            continue;
        };
        let running = Running::start(Command::new("sh").args(["-c", &format!("exec {} {words}", program.display())]))?;
        for port in PORTS {
            await_port(port)?;
        }
        for (name, connections) in [("1 connection", 1), ("100 connections", 100)] {
            // The first round is not counted.
            let rounds = options.terminal + 1;
            let rates = (0..rounds)
                .map(|_| Ok([receive(PORTS[2], BYTES, connections)?, receive(PORTS[1], BYTES, connections)?]))
                .collect::<Result<Vec<_>>>()?;
            let shares: Vec<f64> = rates.iter().skip(1).map(|[relay, peer]| relay / peer).collect();
            let own: Vec<f64> = rates.iter().skip(1).map(|[relay, _]| relay / 1e9).collect();
            rows.push(row([
                &format!("{name}, beside {peer}"),
                &format!("{:.2}", median(&own)),
                &format!("{:.2}", median(&shares)),
                &format!("{:.2} to {:.2}", quantile(&shares, 0.25), quantile(&shares, 0.75)),
                "0.80",
            ]));
        }
        drop(running);
    }
    drop((inside, beside));
    match ["wrk", "ab", "nginx"].into_iter().find(|program| which_or_sbin(program).is_none()) {
        Some(program) => {
            missing.push(format!("the relay's requests beside a direct connection: {program} is not installed"))
        }
        None => requests(options, &mydocker, &mut rows)?,
    }
    table::print(&rows);
    println!(
        "{BYTES} bytes through each, in turns, {} rounds; socat forks for each connection. The server is the same program inside and\n\
         outside: both have the way over lo twice. The requests are wrk's and ab's, 20 at a time, to nginx.",
        options.terminal
    );
    Ok(())
}

/// Requests for a page of nginx: through the relay, and to an nginx beside the container.
fn requests(options: &Options, mydocker: &dyn Fn(&[&str]) -> Command, rows: &mut Vec<Vec<String>>) -> Result<()> {
    let nginx = which_or_sbin("nginx").ok_or("no nginx")?.display().to_string();
    let folder = target_dir().join("tmp/bench/nginx");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("page"), "a page\n")?;
    let folder = folder.display().to_string();
    // Files of its own for each of the two.
    let configuration = |name: &str| -> Result<String> {
        let file = format!("{folder}/{name}.conf");
        let text = format!(
            "user root; daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log /dev/null;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000; server {{ listen 80; root {folder}; }} }}\n"
        );
        fs::write(&file, text).map(|()| file).map_err(Into::into)
    };
    let beside = Running::start(Command::new(&nginx).args(["-c", &configuration("beside")?]).stderr(Stdio::null()))?;
    let inside = Running::start(mydocker(&[&nginx, "-c", &configuration("inside")?]).stderr(Stdio::null()))?;
    for port in [PORTS[0], PORTS[2]] {
        await_port(port)?;
    }
    for (name, words, field, least) in [
        ("requests, kept alive", &["wrk", "-t", "1", "-c", "20", "-d", "2"][..], "Requests/sec:", "0.50"),
        ("requests, each a connection", &["ab", "-q", "-n", "20000", "-c", "20"], "Requests per second:", ""),
    ] {
        let rate = |port: u16| -> Result<f64> {
            let address = format!("http://127.0.0.1:{port}/page");
            let output = Command::new(words[0]).args(&words[1..]).arg(&address).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let number =
                |field: &str| text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
            // wrk has lines about errors only if there are some; ab says how many.
            let is_good = !["Socket errors", "Non-2xx"].iter().any(|words| text.contains(words));
            match number(field).map(str::parse) {
                Some(Ok(rate)) if is_good && number("Failed requests:").is_none_or(|failed| failed == "0") => Ok(rate),
                _ => Err(format!("{} of {address}: {output:?}", words[0]).into()),
            }
        };
        let rounds = options.terminal + 1;
        let rates = (0..rounds).map(|_| Ok(rate(PORTS[2])? / rate(PORTS[0])?)).collect::<Result<Vec<f64>>>()?;
        let shares = &rates[1..];
        rows.push(row([
            &format!("{name}, beside a direct connection"),
            "",
            &format!("{:.2}", median(shares)),
            &format!("{:.2} to {:.2}", quantile(shares, 0.25), quantile(shares, 0.75)),
            least,
        ]));
    }
    drop((inside, beside));
    Ok(())
}

/// Debian has nginx where root's programs are.
fn which_or_sbin(program: &str) -> Option<std::path::PathBuf> {
    which(program).or_else(|| which(&format!("/usr/sbin/{program}")).filter(|file| file.exists()))
}

fn await_port(port: u16) -> Result<()> {
    let begun = Instant::now();
    loop {
        // The relay takes a connection before the server behind it does.
        let answered = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"0\n\n")?;
            stream.read(&mut [0; 16])
        });
        match answered {
            Ok(n) if n > 0 => return Ok(()),
            other if begun.elapsed() > Duration::from_secs(30) => {
                return Err(format!("nobody answers on port {port}: {other:?}").into());
            }
            _ => sleep(Duration::from_millis(20)),
        }
    }
}

/// Bytes in a second: `bytes` in all, that many connections share them.
fn receive(port: u16, bytes: usize, connections: usize) -> Result<f64> {
    let each = bytes / connections;
    let begun = Instant::now();
    let counts: Vec<std::io::Result<usize>> = thread::scope(|scope| {
        let receiving: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
                    stream.write_all(format!("{each}\n").as_bytes())?;
                    let (mut block, mut total) = (vec![0; 1 << 16], 0);
                    loop {
                        match stream.read(&mut block)? {
                            0 => return Ok(total),
                            n => total += n,
                        }
                    }
                })
            })
            .collect();
        receiving.into_iter().map(|one| one.join().unwrap_or(Ok(0))).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    for count in counts {
        // A '.' comes before them.
        let count = count?;
        if count != each + 1 {
            return Err(format!("{count} bytes of {} came from port {port}", each + 1).into());
        }
    }
    Ok((each * connections) as f64 / seconds)
}
