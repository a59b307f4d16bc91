use super::options::{Given, Row, Value};
use super::*;
use argh::FromArgs;
use mydocker::spec::{Network, StatsTo};

/// The request of `run LINE true`, or the error's message with its subject.
fn request(line: &str) -> core::result::Result<&'static Request, String> {
    let line = format!("run {line} true");
    let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    match parse(&words) {
        Ok(Action::Run(request, [b"true"])) => Ok(request),
        Ok(_) => panic!("{line} is not understood as a run of true"),
        Err(error) => {
            let mut message = Vec::new();
            error.print(&mut message);
            Err(String::from_utf8(message).unwrap().lines().next().unwrap().to_string())
        }
    }
}

fn message(line: &str) -> String {
    request(line).err().unwrap_or_default()
}

#[test]
fn no_two_options_share_a_name() {
    let mut names: Vec<&str> = ROWS.iter().flat_map(|row| row.names()).chain(["--help"]).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    let is_name = |name: &&str| match name.strip_prefix("--") {
        Some(long) => long.len() > 1 && long.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
        None => name.len() == 2 && name.starts_with('-'),
    };
    assert!(names.iter().all(is_name), "{names:?}");
}

#[test]
fn argh_accepts_every_option() {
    for row in ROWS {
        let words = [row.name(), "a value", row.name(), "another"];
        // Of those that are not collected the normaliser leaves the last.
        let words = if matches!(row.value, Value::Many) { &words[..] } else { &words[..2] };
        let given = Given::from_args(&["mydocker run"], words);
        assert!(given.is_ok(), "{}: {}", row.name(), given.err().map(|exit| exit.output).unwrap_or_default());
    }
    assert!(Given::from_args(&["mydocker run"], &["--no-such-option", "x"]).is_err());
}

/// A good value for each option, so that each row's statement runs.
#[test]
fn every_option_is_accepted_and_reaches_the_request() {
    let good = |row: &Row| match (row.name(), row.value, row.word) {
        (_, Value::Switch, _) => String::new(),
        ("--network", ..) => "=host".into(),
        (_, _, "BYTES" | "SIZE") => "=5m".into(),
        (_, Value::One, "N" | "N.N" | "LIST") => "=1".into(),
        (_, Value::One | Value::Optional, word) if word.contains("host") => "=host".into(),
        ("--volume", ..) => "=/a:/b".into(),
        ("--device", ..) => "=/d".into(),
        ("--mount", ..) => "=type=tmpfs,dst=/t".into(),
        ("--ulimit", ..) => "=nofile=5".into(),
        ("--umask", ..) => "=027".into(),
        ("--cpu-quota" | "--cpu-period", ..) => "=2000".into(),
        ("--oom-score-adj" | "--timeout" | "--stop-signal", ..) => "=5".into(),
        ("--tz", ..) => "=local".into(),
        ("--add-host", ..) => "=a:1.2.3.4".into(),
        ("--restart", ..) => "=no".into(),
        ("--dns", ..) => "=::1".into(),
        ("--sysctl", ..) => "=net.a=1".into(),
        ("--security-opt", ..) => "=seccomp=unconfined".into(),
        ("--cap-add" | "--cap-drop", ..) => "=CHOWN".into(),
        ("--dry-run", ..) => "".into(),
        ("--user", ..) => "=nobody:7".into(),
        ("--name" | "--hostname", ..) => "=x".into(),
        _ => "=/x".into(),
    };
    let without = ["--uts", "--publish", "--subnet", "--ip", "--mac-address", "--entrypoint", "--sysctl", "--cpus"];
    // Others of the line make these void.
    let without = [&without[..], &["--no-limits", "--log-size", "--shm-size", "--step"]].concat();
    let line: Vec<String> = ROWS
        .iter()
        .filter(|row| !without.contains(&row.name()))
        .map(|row| format!("{}{}", row.name(), good(row)))
        .collect();
    let request = request(&line.join(" ")).unwrap();
    let spec = &request.spec;
    assert_eq!((spec.cgroup_parent, spec.name, spec.hostname), (Some("/x"), Some("x"), Some("x")));
    assert_eq!((spec.pid_file, spec.rootfs, spec.workdir), (Some(c"/x"), Some(c"/x"), Some(c"/x")));
    assert!(spec.ephemeral && spec.read_only && spec.tty && spec.init);
    assert_eq!(spec.ephemeral_size, Some(5 << 20));
    assert_eq!((spec.volumes.len(), spec.ulimits.len()), (4, 1));
    assert_eq!(spec.devices, [[c"/d", c"/d"]]);
    assert_eq!((spec.env, &spec.env_files[..]), (&["/x"][..], &[c"/x"][..]));
    assert_eq!(spec.user, Some("nobody:7"));
    assert_eq!((spec.timeout, spec.stop_signal, spec.cid_file, spec.passed), (Some(5), Some(5), Some(c"/x"), 1));
    assert!(spec.network.is_host() && spec.host_pid && spec.host_ipc && spec.host_user && !spec.host_uts);
    assert!(matches!(spec.stats, Some(StatsTo::File(file)) if file == c"/x"));
    assert_eq!(
        (request.trace, request.dry_run, request.step),
        (Some(TraceTo::File(c"/x")), Some(DryRun::Table), false)
    );
    assert!(self::request("--step").unwrap().step);
    assert!(self::request("--uts host").unwrap().spec.host_uts);
    assert!(self::request("--no-limits").unwrap().spec.limits.memory.is_none());
    let spec = &self::request("-d --log-size 5m --shm-size 6m").unwrap().spec;
    assert_eq!((spec.log_size, spec.shm_size), (Some(5 << 20), Some(6 << 20)));
    let spec = &self::request("--network bridge --ip 10.99.0.2 --subnet 10.99.0.0/16 -p 80 -p 90").unwrap().spec;
    let Network::Bridge(bridge) = spec.network else { panic!("a bridge") };
    assert!(bridge.address.is_some() && bridge.subnet.is_some());
    assert_eq!(spec.ports.len(), 2);
}

#[test]
fn no_option_is_the_default() {
    let request = request("").unwrap();
    assert!(request.trace.is_none() && request.dry_run.is_none() && !request.step);
    assert!(request.spec.limits.memory.is_some_and(|limit| !limit.explicit));
    assert!(!request.spec.has_own_root() && request.spec.stats.is_none());
}

#[test]
fn limits_reach_the_spec() {
    let limits = &request("-m 5m --memory-swap 8m -c 7 --cpu-set 0-1 --cpu-mems 0 --cpus 1.5 --pids-limit 9")
        .unwrap()
        .spec
        .limits;
    let value = |limit: Option<mydocker::spec::Limit>| limit.map(|limit| limit.value);
    assert_eq!((value(limits.memory), value(limits.swap)), (Some(5 << 20), Some(3 << 20)));
    assert_eq!((value(limits.shares), value(limits.quota), value(limits.pids)), (Some(7), Some(150_000), Some(9)));
    assert_eq!((limits.cpus, limits.mems), (Some(&b"0-1"[..]), Some(&b"0"[..])));
    assert!(!limits.count_pids && request("--stats").unwrap().spec.limits.count_pids);
    assert!(request("--no-limits").unwrap().spec.limits.memory.is_none());
}

#[test]
fn what_an_optional_value_means() {
    let request = request("--ephemeral --trace --dry-run --stats").unwrap();
    assert!(request.spec.ephemeral && request.spec.ephemeral_size.is_none());
    assert_eq!((request.trace, request.dry_run), (Some(TraceTo::Stderr), Some(DryRun::Table)));
    assert!(matches!(request.spec.stats, Some(StatsTo::Text)));
    assert!(matches!(self::request("--stats=json").unwrap().spec.stats, Some(StatsTo::Json)));
}

#[test]
fn options_that_do_not_fit_together() {
    let needs_root = "mydocker: this needs a root of its own, --rootfs or --ephemeral: ";
    assert_eq!(message("--device /dev/null"), format!("{needs_root}\"/dev/null\""));
    assert_eq!(message("--shm-size 1m --device /dev/null"), format!("{needs_root}\"/dev/null\""));
    assert!(request("--shm-size 1m").is_ok());
    let relative = "mydocker: --workdir is not an absolute path in the container: \"x\"";
    assert_eq!(message("-w x --rootfs /r"), relative);
    assert!(request("-w x").is_ok());
    let renames = "mydocker: --hostname with --uts host would rename the host: \"x\"";
    assert_eq!(message("--hostname x --uts host"), renames);
}

#[test]
fn wrong_values() {
    for (line, expected) in [
        ("--dry-run=python", "--dry-run takes =sh, not: \"python\""),
        (
            "--network bridges",
            "--network takes none, host, bridge[:NAME][,forward], slirp4netns, pasta, container:NAME or ns:PATH, not: \"bridges\": a network of its own is bridge:NAME",
        ),
        ("--ip 10.88.0.2", "--subnet, --ip and --mac-address need --network bridge: \"10.88.0.2\""),
        (
            "--network bridge --mac-address 03:42:00:00:00:07",
            "--mac-address is six bytes, the first of them even, such as 02:42:00:00:00:07, not: \"03:42:00:00:00:07\"",
        ),
        ("--network host -p 80", "with --network host its ports are the host's: leave out -p: \"80\""),
        ("--pid none", "--pid takes host or container:NAME; its own are the default: \"none\""),
        ("--ipc none", "--ipc takes private, host or container:NAME: \"none\""),
        ("--uts none", "--uts takes host: \"none\""),
        ("--userns none", "--userns takes auto, host or keep-id: \"none\""),
        ("--user :1", "--user is USER or USER:GROUP: \":1\""),
        ("--ephemeral=x", "--ephemeral: \"x\": not a size, such as 100m"),
        ("--shm-size=x", "--shm-size: \"x\": not a size, such as 100m"),
        (
            "--name ..",
            "a name is at most 64 letters, digits, '_', '.' and '-', and begins with a letter or digit: \"..\"",
        ),
        ("--cgroup-parent /a/../b", "--cgroup-parent may not contain '..': \"/a/../b\""),
    ] {
        assert_eq!(message(line), format!("mydocker: {expected}"), "{line}");
    }
    let long = "x".repeat(65);
    assert!(message(&format!("--hostname {long}")).starts_with("mydocker: --hostname is longer than 64 bytes: "));
}

#[test]
fn commands() {
    let parsed = |line: &'static str| {
        let words: Vec<&[u8]> = line.split_terminator(' ').map(str::as_bytes).collect();
        match parse(&words) {
            Ok(Action::Run(_, command)) => format!("run {}", command.len()),
            Ok(Action::Check { json }) => format!("check {json}"),
            Ok(Action::Exec(options, name, command)) => {
                format!("exec {} {} {}", options.join(" "), name.to_str().unwrap(), command.len())
            }
            Ok(Action::Manage(order)) => format!("manage {}", order.names.join(" ")),
            Ok(Action::Print(text)) => str::from_utf8(text).unwrap().lines().next().unwrap().to_string(),
            Ok(Action::Explain(_)) => "explain".into(),
            Err(error) => error.cause().what.to_string(),
        }
    };
    let help = help::HELP.lines().next().unwrap();
    let run_help = help::BEFORE_OPTIONS.lines().next().unwrap();
    for (line, expected) in [
        ("", "explain"),
        ("-h", help),
        ("--help x", help),
        ("-V", VERSION.trim_end()),
        ("--version", VERSION.trim_end()),
        ("version", VERSION.trim_end()),
        ("-v", VERSION.trim_end()),
        ("run", "run needs a COMMAND"),
        ("run -t", "run needs a COMMAND"),
        ("run -- ", "run needs a COMMAND"),
        ("run -h", run_help),
        ("run --name x --help", run_help),
        ("run true --help", "run 2"),
        ("check", "check false"),
        ("check --json", "check true"),
        ("check --help", "Usage: mydocker check [--json]"),
        ("check --json x", "check takes --json, not"),
        ("exec -it -e A=b x ls -l", "exec --interactive true --tty true --env A=b x 2"),
        ("exec x", "exec needs a NAME and a COMMAND"),
        ("exec", "exec needs a NAME and a COMMAND"),
        ("exec --rootfs / x ls", "unknown option"),
        ("exec -h", "Usage: mydocker exec [OPTIONS] NAME COMMAND [ARG...]"),
        ("ps -aq", "manage "),
        ("rm -f a b", "manage a b"),
        ("rm -- -f", "a name is at most 64 letters, digits, '_', '.' and '-', and begins with a letter or digit"),
        ("rm", "a NAME is missing"),
        ("ps a", "it takes no NAME"),
        ("rm -h", "Usage: mydocker rm [OPTIONS] NAME..."),
        ("rum", "unknown command"),
    ] {
        assert_eq!(parsed(line), expected, "{line}");
    }
    assert_eq!(parse(&[b"run", b""]).err().map(|error| error.cause().what), Some("an empty COMMAND"));
}
