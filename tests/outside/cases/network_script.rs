//! `--dry-run=sh` of a run with a network: the script makes the same interfaces, addresses, routes and rules. Each case is in a
//! network namespace that it makes.

use crate::probes::own_network::{in_own_network, interfaces};
use crate::support::folder::Folder;
use crate::support::harness::{mydocker, mydocker_file, run, unique_name, waiting_container};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::processes::wait_until;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

const UNFILTERED: [&str; 2] = ["--security-opt", "seccomp=unconfined"];

/// What the command prints of its network, and then waits for the end of stdin.
/// The kernel sets the state of an interface a moment after the interface itself, and shows it with its routes.
const LOOK: &str = "while ! ip -o link show dev eth0 | grep -q 'state UP'; do :; done; ip -o -4 address show; ip -o link show dev eth0; ip route; cat /proc/sys/net/ipv4/ip_forward; echo ready; read x || :";

fn script_of(options: &[&str], command: &[&str]) -> String {
    run(&[&UNFILTERED[..], options, &["--dry-run=sh"]].concat(), command).finish().success()
}

/// Uses a shell that takes its tools from PATH; it can close no descriptor above 9.
fn shell(script: &str) -> Command {
    let mut command = Command::new(tool("dash").unwrap_or_else(|| "sh".into()));
    command.arg("-c").arg(script);
    without_high_descriptors(command)
}

/// That of busybox prefers tools of its own, which lack what a bridge needs.
fn shell_of_busybox(script: &str) -> Option<Command> {
    let mut command = Command::new(tool("busybox")?);
    command.args(["sh", "-c", script]);
    Some(without_high_descriptors(command))
}

fn without_high_descriptors(mut command: Command) -> Command {
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC only sets flags
    unsafe {
        command.pre_exec(|| {
            libc::syscall(libc::SYS_close_range, 10, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            Ok(())
        })
    };
    command
}

fn output(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output().expect(words[0]);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Without what differs from one pair of interfaces to the next: numbers, and the hardware address of the host's end.
fn settled(text: &str) -> String {
    let word = |word: &str| word.split_once("@if").map_or(word, |(name, _)| name).trim_end_matches(':').to_string();
    let is_number = |word: &String| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let line =
        |line: &str| line.split_whitespace().map(word).filter(|word| !is_number(word)).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// What is seen in the container, and meanwhile on the host. Afterwards nothing is left.
fn seen(command: &mut Command) -> [String; 4] {
    forward_nothing();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spawn");
    let mut inside = String::new();
    let mut lines = BufReader::new(child.stdout.take().expect("stdout"));
    while !inside.ends_with("ready\n") && lines.read_line(&mut inside).expect("read") > 0 {}
    let forwards = std::fs::read_to_string(FORWARD).expect(FORWARD);
    let names = format!("{} forward={forwards}", interfaces().join(" "));
    let bridge = || output(&["ip", "-o", "link", "show", "dev", "mydocker0"]);
    wait_until("the bridge is up", || bridge().contains("state UP"));
    let outside = output(&["ip", "-o", "-4", "address", "show"]) + &output(&["ip", "route"]) + &bridge() + &names;
    // The table has another name, and nft cannot keep the flag.
    let is_same =
        |line: &&str| !line.is_empty() && !line.contains("table ip mydocker-") && !line.contains("flags owner");
    let rules: String = output(&["nft", "list", "ruleset"]).lines().filter(is_same).collect::<Vec<_>>().join("\n");
    drop(child.stdin.take());
    let ended = child.wait_with_output().expect("wait");
    assert!(ended.status.success(), "{inside}{ended:?}");
    wait_until("no interface but lo is left", || interfaces() == ["lo"]);
    assert_eq!(output(&["nft", "list", "ruleset"]), "");
    [settled(&inside), settled(&outside), rules, String::from_utf8(ended.stderr).expect("UTF-8")]
}

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// A script says what mydocker does when nothing is forwarded.
fn forward_nothing() {
    std::fs::write(FORWARD, "0").expect(FORWARD);
}

const NEEDS: Needs =
    Needs::ROOT.and(Needs::SH).and(Needs::BRIDGE).and(Needs::SCRIPT_TOOLS).and(Needs::BRIDGE_TOOLS).and(Needs::NFT);

case!(the_bridge_of_a_script, NEEDS);
fn the_bridge_of_a_script() {
    in_own_network("check-script-bridge");
}
probe!("check-script-bridge", |_| {
    for options in [
        &["--network", "bridge,forward", "--ip", "10.88.3.4"][..],
        &["--network", "bridge", "--ip", "10.99.3.4", "--subnet", "10.99.0.0/20"],
    ] {
        let words = ["sh", "-c", LOOK];
        forward_nothing();
        let script = script_of(options, &words);
        assert_eq!(interfaces(), ["lo"], "a dry run makes nothing");
        let mut real = Command::new(mydocker_file());
        real.arg("run").args(UNFILTERED).args(options).args(words);
        let real = seen(&mut real);
        assert!(real[0].contains("eth0 inet 10.") && real[0].contains("default via 10."), "{real:?}");
        assert!(real[2].contains("masquerade"), "{real:?}");
        assert_eq!(seen(&mut shell(&script)), real, "{options:?}\n{script}");
        if let Some(mut shell) = shell_of_busybox(&script) {
            assert_eq!(seen(&mut shell), real, "busybox: {options:?}\n{script}");
        }
    }
});

case!(a_script_beside_others, NEEDS);
/// The bridge stays as long as another one is on it; an address that is taken ends the script before the command.
fn a_script_beside_others() {
    in_own_network("check-script-beside");
}
probe!("check-script-beside", |_| {
    let bridge = ["--network", "bridge,forward", "--ip"];
    let script = |address| script_of(&[&bridge[..], &[address]].concat(), &["echo", "seen"]);
    let (taken, free) = (script("10.88.3.4"), script("10.88.3.5"));
    let first = crate::support::harness::waiting_container(&[&bridge[..], &["10.88.3.4"]].concat());
    let output = shell(&taken).output().expect("a shell");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(125), &b""[..]), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--ip chooses another"), "{output:?}");
    let output = shell(&free).output().expect("a shell");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"seen\n"[..]), "{output:?}");
    wait_until("the pair of the script is gone", || interfaces() == ["lo", "mydocker0", "v10.88.3.4"]);
    first.send(libc::SIGTERM);
    drop(first.finish());
    wait_until("no interface but lo is left", || interfaces() == ["lo"]);
});

case!(a_script_that_joins_a_network, NEEDS);
fn a_script_that_joins_a_network() {
    in_own_network("check-script-joins");
}
probe!("check-script-joins", |_| {
    let network = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).expect("readlink");
    let mut holder = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().expect("unshare");
    let own = network(std::process::id());
    wait_until("it has a network", || network(holder.id()) != own);
    let option = format!("ns:/proc/{}/ns/net", holder.id());
    let script = script_of(&["--network", &option], &["readlink", "/proc/self/ns/net"]);
    let output = shell(&script).output().expect("a shell");
    let there = network(holder.id());
    holder.kill().expect("kill");
    holder.wait().expect("wait");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}\n", there.display()), "{output:?}\n{script}");
});

case!(a_network_that_no_shell_makes, NEEDS);
/// A relay has no form in a shell, and an ordinary user makes no bridge.
fn a_network_that_no_shell_makes() {
    in_own_network("check-script-stops");
}
probe!("check-script-stops", |_| {
    let bridge = ["--network", "bridge,forward"];
    let folder = Folder::new();
    let (name, state) = (unique_name(), folder.text("records"));
    let holder = waiting_container(&["--no-limits", "--state", &state, "--name", &name]);
    wait_until("it runs", || mydocker(&["ps", "-q", "--state", &state]).finish().stdout_text().contains(&name));
    let other = format!("container:{name}");
    for (options, user, hint) in [
        (&["--state", &state, "--network", &other][..], 0, "--network ns:/proc/PID/ns/net"),
        (&["-p", "8080:80"], 0, "leave out -p"),
        (&[&bridge[..], &["-p", "8080:80"]].concat(), 0, "leave out -p"),
        (&bridge[..], 65534, "a bridge needs root"),
    ] {
        let script = run(&[&UNFILTERED[..], options, &["--dry-run=sh"]].concat(), &["echo", "seen"])
            .with(|command| command.uid(user).gid(user))
            .finish()
            .success();
        let output = shell(&script).output().expect("a shell");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(125), &b""[..]), "{options:?} {output:?}");
        assert!(errors.contains(hint) && errors.lines().count() == 1, "{options:?} {output:?}");
        assert_eq!(interfaces(), ["lo"], "{options:?}");
    }
    drop(holder.finish());
});
