//! What docker's users type.

use crate::cases::lifecycle::Records;
use crate::support::folder::Folder;
use crate::support::harness::{mydocker, probe, probe_file, run, unique_name};
use crate::support::host::host;
use crate::support::needs::Needs;
use crate::support::roots::{Root, mount_at};
use std::fs;
use std::os::unix::fs::PermissionsExt;

case!(what_could_not_hold_is_refused, Needs::NAMESPACES);
/// An option that another one makes void is named, instead of being left out without a word.
fn what_could_not_hold_is_refused() {
    for (options, word) in [
        (&["--no-limits", "-m", "100m"][..], "--no-limits"),
        (&["--cpu-mems", "0", "--no-limits"], "--no-limits"),
        (&["--no-limits", "--pids-limit", "5"], "--no-limits"),
        (&["--no-limits", "--cgroup-parent", "/x"], "--cgroup-parent"),
        (&["--log", "none"], "-d"),
        (&["--log-size", "1m"], "-d"),
        (&["-d", "--log", "none", "--log-size", "1m"], "--log-size"),
        (&["-d", "--log-size", "1023"], "less than 1k"),
        (&["--ipc", "host", "--shm-size", "1m"], "--shm-size"),
    ] {
        run(options, &["true"]).finish().usage_error(&[word]);
    }
}

case!(names_that_have_no_place_are_refused, Needs::NAMESPACES);
fn names_that_have_no_place_are_refused() {
    let host = ["--add-host", "db:192.0.2.7"];
    let refused = |options: &[&str], path: &str| {
        probe(&[options, &host].concat(), &["true"]).finish().refused(125, &[path, "--add-host"]);
    };
    refused(&["--ipc", "host"], "/etc/hosts");
    let root = Root::with_directories();
    let own = root.0.text("etc/hosts");
    let volume = format!("{own}:/etc/hosts");
    refused(&["-v", &volume], "/etc/hosts");
    refused(&["--rootfs", &root.path(), "-v", &volume], "/etc/hosts");
    // Without it these run, and have what is there.
    assert_eq!(root.probe_output(&["-v", &volume], &["file", "/etc/hosts"]), "the root's own\n");
    fs::remove_file(&own).expect("unlink");
    std::os::unix::fs::symlink("/proc/version", &own).expect("symlink");
    refused(&["--rootfs", &root.path()], "/etc/hosts");
    fs::remove_file(root.0.path("etc/resolv.conf")).expect("unlink");
    std::os::unix::fs::symlink("/dev/null", root.0.path("etc/resolv.conf")).expect("symlink");
    let server = ["--rootfs", &root.path(), "--dns", "192.0.2.53"];
    probe(&server, &["true"]).finish().refused(125, &["/etc/resolv.conf", "--dns"]);
}

case!(a_hostname_by_its_letter, Needs::NAMESPACES);
fn a_hostname_by_its_letter() {
    assert_eq!(probe(&["-h", "by-letter"], &["hostname"]).finish().success(), "by-letter\n");
    assert_eq!(probe(&["-hglued"], &["hostname"]).finish().success(), "glued\n");
    // It becomes a line of /etc/hosts, unless that would be two lines, or two names.
    let hosts = |name| Root::with_directories().probe_output(&["-h", name], &["file", "/etc/hosts"]);
    for name in ["a\n192.0.2.1 b", "a b", "\t"] {
        assert_eq!(hosts(name), hosts("plain").replace("127.0.0.1\tplain\n", ""));
    }
    // Alone it is help.
    assert!(mydocker(&["run", "-t", "-h"]).finish().success().contains("Usage"));
}

case!(sizes_as_docker_writes_them, Needs::NAMESPACES | Needs::MEMORY);
fn sizes_as_docker_writes_them() {
    for (size, bytes) in [("100MB", 100 << 20), ("0.5g", 1 << 29), ("64MiB", 64 << 20), ("1.5gb", 3 << 29)] {
        let record = run(&["--stats=json", "-m", size], &["true"]).finish().stderr_text();
        assert!(record.contains(&format!("\"value\":\"{bytes}\"")), "{size}: {record}");
    }
}

case!(options_of_volumes, Needs::NAMESPACES);
fn options_of_volumes() {
    let (root, host) = (Root::with_directories(), Folder::new());
    for (options, written) in
        [("ro,z", "EROFS\n"), ("z", "ok\n"), ("cached", "ok\n"), ("rw,Z", "ok\n"), ("nocopy,ro", "EROFS\n")]
    {
        let volume = format!("{}:/data:{options}", host.text("."));
        assert_eq!(root.probe_output(&["-v", &volume], &["write", "/data/x"]), written, "{options}");
    }
}

case!(mounts_in_dockers_words, Needs::NAMESPACES);
fn mounts_in_dockers_words() {
    let (root, host) = (Root::with_directories(), Folder::new());
    let source = host.text(".");
    for (ro, written) in [("", "ok\n"), (",readonly", "EROFS\n"), (",ro=true", "EROFS\n"), (",ro=false", "ok\n")] {
        let mount = format!("type=bind,source={source},target=/data,bind-propagation=rprivate{ro}");
        assert_eq!(root.probe_output(&["--mount", &mount], &["write", "/data/x"]), written, "{ro}");
    }
    let memory = ["--mount", "type=tmpfs,dst=/m,tmpfs-size=1mb,tmpfs-mode=700"];
    assert_eq!(root.probe_output(&memory, &["see", "/m"]), "folder 700\n");
    assert_eq!(root.probe_output(&memory, &["fill", "/m/x"]), format!("ENOSPC {}\n", 1 << 20));
    for (mount, word) in [
        ("type=bind,dst=/x", "source"),
        ("type=volume,src=v,dst=/x", "type=bind"),
        ("dst=/x,src=/y", "type=bind"),
        ("type=bind,src=/y", "target=DST"),
        ("type=bind,src=/y,dst=/x,tmpfs-size=1m", "other type"),
        ("type=tmpfs,dst=/x,tmpfs-size=x", "tmpfs-size=x"),
        ("type=bind,src=/y,dst=/x,what=1", "what=1"),
        ("type=bind,src=/y,dst=/x,bind-propagation=shared", "shared"),
    ] {
        run(&["--rootfs", "/tmp", "--mount", mount], &["true"]).finish().usage_error(&[word]);
    }
}

case!(devices_at_another_path, Needs::ROOT);
fn devices_at_another_path() {
    let root = Root::with_directories();
    assert_eq!(root.probe_output(&["--device", "/dev/zero:/dev/a/b:rwm"], &["see", "/dev/a/b"]), "char 1:5 666\n");
    let mounts = root.probe_output(&["--device=/dev/zero:/z"], &["file", "/proc/self/mountinfo"]);
    mount_at(&mounts, "/z");
    assert_eq!(root.probe_output(&["--device", "/dev/zero:rwm"], &["see", "/dev/zero"]), "char 1:5 666\n");
    run(&["--rootfs", "/tmp", "--device", "/dev/zero:/z:r"], &["true"]).finish().usage_error(&["rwm"]);
    run(&["--rootfs", "/tmp", "--device", "/dev/zero:z"], &["true"]).finish().usage_error(&["absolute"]);
}

case!(ipc_that_is_private, Needs::NAMESPACES);
fn ipc_that_is_private() {
    let own = fs::read_link("/proc/self/ns/ipc").expect("a namespace");
    let seen = |ipc: &str| run(&["--ipc", ipc], &["readlink", "/proc/self/ns/ipc"]).finish().success();
    assert_ne!(seen("private").trim(), own.to_str().expect("UTF-8"));
    assert_eq!(seen("host").trim(), own.to_str().expect("UTF-8"));
    run(&["--ipc", "shareable"], &["true"]).finish().usage_error(&["--ipc"]);
}

case!(an_entrypoint, Needs::NAMESPACES);
fn an_entrypoint() {
    let file = probe_file();
    let file = file.to_str().expect("UTF-8");
    run(&["--entrypoint", file, "--"], &["--probe", "status", "4"]).finish().silent(4);
    run(&["--entrypoint", "true"], &[""; 0]).finish().silent(0);
    run(&["--entrypoint", "/none"], &["x"]).finish().refused(127, &["/none"]);
}

/// Every option of `docker run`: docs.docker.com/reference/cli/docker/container/run.
const OF_RUN: &str = "add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile
    cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach
    detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops
    disable-content-trust dns dns-option dns-search domainname entrypoint env env-file expose gpus group-add health-cmd
    health-interval health-retries health-start-interval health-start-period health-timeout help hostname init interactive ip
    ip6 ipc isolation kernel-memory label label-file link link-local-ip log-driver log-opt mac-address memory
    memory-reservation memory-swap memory-swappiness mount name network network-alias no-healthcheck oom-kill-disable
    oom-score-adj pid pids-limit platform privileged publish publish-all pull quiet read-only restart rm runtime security-opt
    shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs tty ulimit use-api-socket user userns uts volume
    volume-driver volumes-from workdir";

case!(every_option_of_docker_run, Needs::NOTHING);
/// It is there, or one line says what to do instead.
fn every_option_of_docker_run() {
    let help = run(&["--help"], &[""; 0]).finish().success();
    let mut missing = 0;
    for option in OF_RUN.split_whitespace().map(|name| format!("--{name}")) {
        let is_there = help.split([' ', ',', '[']).any(|word| word == option);
        if !is_there && option != "--help" {
            missing += 1;
            run(&[&option], &["true"]).finish().usage_error(&["unknown option", &format!("\"{option}\": ")]);
        }
    }
    assert!(missing > 40, "{missing}");
}

case!(what_there_is_not, Needs::NOTHING);
/// One line says what to do instead.
fn what_there_is_not() {
    for (option, words) in [
        ("-P", "-p HOST:CONT"),
        ("--publish-all", "-p HOST:CONT"),
        ("--gpus", "--device"),
        ("--platform", "binfmt_misc"),
        ("--label", "nothing is kept"),
        ("--log-driver", "--log"),
        ("--stop-timeout", "mydocker stop -t"),
        ("-a", "leave it out"),
        ("--expose", "leave it out"),
        ("--link", "--network bridge"),
        ("--network-alias", "--network bridge"),
        ("--dns-search", "-v FILE:/etc/resolv.conf"),
        ("--dns-option", "-v FILE:/etc/resolv.conf"),
        ("--ip6", "no IPv6"),
        ("--priviledged", "did you mean --privileged?"),
        ("--memmory=1", "did you mean --memory?"),
        ("--hlep", "did you mean --help?"),
        ("--mem=1", "did you mean --memory?"),
        ("--ro", "did you mean --read-only?"),
    ] {
        run(&[option], &["true"]).finish().usage_error(&["unknown option", words]);
    }
    // Nothing is near that has but its dashes in common.
    assert!(!run(&["--foo"], &["true"]).finish().stderr_text().contains("did you mean"));
    for option in ["-it", "--rm", "--rootfs", "--state"] {
        mydocker(&[option, "x"]).finish().usage_error(&["options come behind the command", option]);
    }
    for (command, words) in [
        ("attach", "mydocker logs -f NAME"),
        ("top", "mydocker exec NAME ps"),
        ("export", "--rootfs"),
        ("system", "mydocker check"),
        ("network", "--network bridge:NAME --subnet"),
        ("inspect", "mydocker ps"),
        ("start", "run it again"),
        ("rename", "run it again"),
        ("container", "leave this word out"),
        ("ls", "mydocker ps"),
        ("prune", "mydocker rm"),
        ("sotp", "did you mean stop?"),
        ("build", "mydocker help root"),
        ("pull", "mydocker help root"),
        ("login", "mydocker help root"),
        ("rmi", "mydocker help root"),
        ("cp", "the folder that --rootfs names"),
        ("info", "mydocker check"),
        ("list", "mydocker ps"),
        ("delete", "mydocker rm"),
        ("shell", "mydocker run -t sh"),
        ("inspect", "pgrep -af"),
        ("runn", "did you mean run?"),
        ("rnu", "did you mean run?"),
        ("rum", "did you mean run?"),
        ("versoin", "did you mean version?"),
        ("compose", "mydocker run -d --name NAME"),
        ("events", "mydocker wait NAME"),
        ("swarm", "ssh HOST mydocker"),
        ("context", "ssh HOST mydocker"),
    ] {
        mydocker(&[command, "x"]).finish().usage_error(&["unknown command", words]);
    }
    for (words, says) in [
        (&["exec", "-d", "x", "true"][..], "setsid -f mydocker exec"),
        (&["ps", "--format", "x"], "--json"),
        (&["ps", "--no-trunc"], "--json"),
        (&["ps", "--latest"], "ps -a"),
        (&["ps", "-s"], "du -s"),
        (&["kill", "-9", "x"], "-s SIGNAL"),
    ] {
        mydocker(words).finish().usage_error(&["unknown option", says]);
    }
    // What is said of an option of run is not said of others.
    assert!(!mydocker(&["ps", "-l"]).finish().stderr_text().contains("nothing is kept"));
    let version = mydocker(&["--version"]).finish().success();
    for word in ["version", "-v", "-V"] {
        assert_eq!(mydocker(&[word]).finish().success(), version);
    }
    // What is near to nothing gets no advice.
    for word in ["frobnicate", "-d", "xy"] {
        assert!(!mydocker(&[word]).finish().stderr_text().contains("did you mean"), "{word}");
    }
    assert!(!run(&["--frobnicate"], &["true"]).finish().stderr_text().contains("did you mean"));
}

case!(a_folder_or_an_archive_as_the_root, Needs::NAMESPACES);
/// What stands in the wrong place is named: a program that is not in PATH, a root as the command, an image in layers, a bundle.
fn a_folder_or_an_archive_as_the_root() {
    let folder = Folder::new();
    folder.write("program", b"#!/bin/sh\n");
    fs::set_permissions(folder.path("program"), PermissionsExt::from_mode(0o755)).expect("chmod");
    fs::create_dir_all(folder.path("root/bin")).expect("mkdir");
    let refused = |words: &[&str], says: &str| {
        let outcome = run(&[], words).with(|command| command.current_dir(folder.as_path())).finish();
        outcome.refused(if words[0] == "./root" { 126 } else { 127 }, &[words.last().expect("a word"), says]);
    };
    refused(&["program"], "in the working directory: ./NAME");
    refused(&["root"], "--rootfs DIR COMMAND");
    refused(&["./root"], "--rootfs DIR COMMAND");
    refused(&["--rootfs", "root", "sh"], "not found in PATH\n");
    folder.write("root/bin/busybox", b"");
    refused(&["--rootfs", "root", "sh"], "not found; the root has a busybox: busybox COMMAND\n");
    refused(&["--rootfs", "root", "--", "-x"], "options come first");
    folder.write("root/bin/sh", b"");
    refused(&["--rootfs", "root", "ls"], "not found in PATH\n");
    fs::remove_file(folder.path("root/bin/sh")).expect("unlink");
    fs::create_dir_all(folder.path("root/rootfs")).expect("mkdir");
    refused(&["--rootfs", "root", "sh"], "its folder rootfs");
    folder.write("root/oci-layout", b"{}");
    refused(&["--rootfs", "root", "sh"], "docker export");
}

case!(an_image_as_the_command, Needs::NAMESPACES);
fn an_image_as_the_command() {
    for image in
        ["alpine", "redis", "docker.io/library/alpine", "alpine:3.20", "docker.io/library/alpine:3.20", "bin/none"]
    {
        let outcome = run(&[], &[image, "sh"]).with(|command| command.env("PATH", "/bin")).finish();
        outcome.refused(127, &[image, "not found"]);
        assert_eq!(outcome.stderr_text().contains("mydocker help root"), image != "bin/none", "{outcome:?}");
    }
}

case!(variables_that_are_unset, Needs::NAMESPACES);
fn variables_that_are_unset() {
    let variables = |options: &[&str]| {
        let run = probe(options, &["env"]).with(|command| command.env_clear().env("A", "1").env("B", "2"));
        run.finish().success()
    };
    assert_eq!(variables(&["--unsetenv", "A"]), "B=2\n");
    run(&["--unsetenv", "A=1"], &["true"]).finish().usage_error(&["--unsetenv", "A=1"]);
    assert_eq!(variables(&["--unsetenv", "A", "--unsetenv=B", "-e", "B=3"]), "B=3\n");
    let root = Root::with_directories();
    assert!(!root.probe_output(&["--unsetenv", "HOME"], &["env"]).contains("HOME="));
}

case!(a_umask, Needs::NAMESPACES);
fn a_umask() {
    let umask = |options: &[&str]| probe(options, &["limits"]).finish().success();
    assert!(umask(&["--umask", "027"]).ends_with(" 27\n"));
    assert!(Root::with_directories().probe_output(&["--umask", "0007"], &["limits"]).ends_with(" 7\n"));
    for bad in ["8", "1000", "x", "-1", "+7"] {
        run(&["--umask", bad], &["true"]).finish().usage_error(&["--umask"]);
    }
}

case!(an_oom_score, Needs::NAMESPACES);
fn an_oom_score() {
    let score = |value: &str| probe(&["--oom-score-adj", value], &["file", "/proc/self/oom_score_adj"]).finish();
    assert_eq!(score("500").success(), "500\n");
    for bad in ["1001", "-1001", "x"] {
        score(bad).usage_error(&["--oom-score-adj"]);
    }
}

case!(groups_beside_the_users, Needs::ROOT);
fn groups_beside_the_users() {
    let root = Root::with_directories();
    fs::write(root.0.path("etc/passwd"), "root:x:0:0::/root:/bin/sh\nu:x:5:5::/:/bin/sh\n").expect("write");
    fs::write(root.0.path("etc/group"), "audio:x:29:\nvideo:x:44:u\n").expect("write");
    assert_eq!(root.probe_output(&["--group-add", "audio"], &["ids"]), "0 0 29\n");
    assert_eq!(root.probe_output(&["-u", "u", "--group-add", "audio", "--group-add", "7"], &["ids"]), "5 5 7,29,44\n");
    root.refuses(&["--group-add", "none"], &["unknown group", "none"]);
}

case!(hosts_and_servers, Needs::NAMESPACES);
fn hosts_and_servers() {
    let root = Root::with_directories();
    let options = ["--add-host", "db:192.0.2.7", "--add-host=six:2001:db8::1"];
    let hosts = root.probe_output(&options, &["file", "/etc/hosts"]);
    assert!(hosts.ends_with("192.0.2.7\tdb\n2001:db8::1\tsix\n"), "{hosts}");
    let bracketed = root.probe_output(&["--add-host", "six:[2001:db8::1]"], &["file", "/etc/hosts"]);
    assert!(bracketed.ends_with("\n2001:db8::1\tsix\n"), "{bracketed}");
    if fs::exists("/etc/hosts").is_ok_and(|there| there) {
        let hosts = probe(&options, &["file", "/etc/hosts"]).finish().success();
        assert!(hosts.ends_with("192.0.2.7\tdb\n2001:db8::1\tsix\n"), "{hosts}");
    }
    let seen = root.probe_output(&["--dns", "192.0.2.1", "--dns", "::1"], &["file", "/etc/resolv.conf"]);
    assert_eq!(seen, "nameserver 192.0.2.1\nnameserver ::1\n");
    for options in [
        ["--add-host", "db"],
        ["--add-host", "db:x"],
        ["--add-host", ":1.2.3.4"],
        ["--add-host", "a:[::1"],
        ["--add-host", "a b:1.2.3.4"],
        ["--dns", "x"],
    ] {
        run(&[&["--rootfs", "/tmp"], &options[..]].concat(), &["true"]).finish().usage_error(&[options[0]]);
    }
    // On the host's own files it hides the host's, if there is one; none is created.
    let of_host = probe(&["--dns", "192.0.2.1"], &["file", "/etc/resolv.conf"]).finish();
    match std::path::Path::new("/etc/resolv.conf").is_file() && std::path::Path::new("/dev/shm").is_dir() {
        true => assert_eq!(of_host.success(), "nameserver 192.0.2.1\n"),
        false => of_host.refused(125, &["/etc/resolv.conf", "--dns"]),
    }
    probe(&["--dns", "192.0.2.1", "--ipc", "host"], &["true"]).finish().refused(125, &["/etc/resolv.conf", "--dns"]);
    run(&["--add-host", "x:host-gateway"], &["true"]).finish().usage_error(&["--network bridge", "host-gateway"]);
}

case!(parameters_of_its_own_namespaces, Needs::ROOT);
fn parameters_of_its_own_namespaces() {
    let root = Root::with_directories();
    for (sysctl, file, value) in [
        ("net.ipv4.ip_default_ttl=77", "/proc/sys/net/ipv4/ip_default_ttl", "77\n"),
        ("kernel.shmmni=77", "/proc/sys/kernel/shmmni", "77\n"),
    ] {
        assert_eq!(root.probe_output(&["--sysctl", sysctl], &["file", file]), value);
        assert_eq!(probe(&["--sysctl", sysctl], &["file", file]).finish().success(), value);
        assert_ne!(fs::read_to_string(file).expect("read"), value, "the host's stays");
    }
    for (options, words) in [
        (&["--sysctl", "kernel.panic=1"][..], "its namespaces"),
        (&["--sysctl", "net.x"], "NAME=VALUE"),
        (&["--sysctl", "net.ipv4.ip_forward=1", "--network", "host"], "would change the host"),
        (&["--sysctl", "kernel.shmmni=1", "--ipc", "host"], "would change the host"),
    ] {
        run(options, &["true"]).finish().usage_error(&[words]);
    }
    run(&["--sysctl", "net.no.such=1"], &["true"]).finish().refused(125, &["/proc/sys/net/no/such", "ENOENT"]);
    run(&["--sysctl", "net.ipv4.ip_forward=yes"], &["true"]).finish().refused(125, &["ip_forward", "this value"]);
    // A user may ping, and listen on any port, as with docker.
    let port = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(root.probe_output(&["-u", "5"], &["file", port]), "0\n");
    let range = root.probe_output(&["-u", "5"], &["file", "/proc/sys/net/ipv4/ping_group_range"]);
    assert_eq!(range, "0\t2147483647\n");
}

case!(a_file_for_the_name, Needs::NAMESPACES);
fn a_file_for_the_name() {
    let (folder, name) = (Folder::new(), unique_name());
    let file = folder.text("cid");
    let records = Records::new();
    records.run(&["--name", &name, "--cidfile", &file], &["true"]).finish().silent(0);
    assert_eq!(fs::read_to_string(&file).expect("the file"), name);
    // As docker has it, one that exists is another container's.
    run(&["--cidfile", &file], &["true"]).finish().refused(125, &["EEXIST", &file, "may still run"]);
    assert_eq!(fs::read_to_string(&file).expect("the file"), name);
    let other = folder.text("other");
    let running = probe(&["--cidfile", &file, "--cidfile", &other], &["hold"]).start_ready();
    assert_eq!(fs::read_to_string(&other).expect("the file"), running.pid.to_string());
    assert_eq!(running.finish().success(), "ready\n");
    // A run that starts nothing leaves none.
    let none = folder.text("none");
    run(&["--cidfile", &none, "-w", "/no/such/folder"], &["true"]).finish().refused(125, &["/no/such/folder"]);
    // What is not executed leaves none, so that it can be tried again.
    for _ in 0..2 {
        run(&["--cidfile", &none, "--sysctl", "net.nothing=1"], &["true"]).finish().refused(125, &["nothing"]);
        assert!(!fs::exists(&none).expect("stat"));
    }
    run(&["--cidfile", &none], &["/no/such/command"]).finish().refused(127, &["/no/such/command"]);
    assert!(!fs::exists(&none).expect("stat"));
    run(&["--cidfile", &folder.text("no/folder")], &["true"]).finish().refused(125, &["no/folder", "ENOENT"]);
    run(&["--cidfile="], &["true"]).finish().usage_error(&["empty value"]);
}

case!(a_time_limit, Needs::NAMESPACES);
/// As podman has it: by SIGKILL, whatever the command does with signals. It takes one second, and waits for nothing else.
fn a_time_limit() {
    for options in [&[][..], &["--init"], &["--pid", "host"], &["--no-limits"]] {
        let options = [options, &["--timeout", "1"]].concat();
        let running = probe(&options, &["catch", "15", "14"]).start();
        let outcome = running.finish_with_stdin_open();
        assert_eq!(outcome.code(), 137, "{outcome:?}");
        assert_eq!(outcome.stdout_text(), "ready\n", "no signal before: {outcome:?}");
        assert_eq!(outcome.stderr_text(), "mydocker: ended by --timeout\n", "{outcome:?}");
    }
    // What ends before is not concerned, 0 is never, and a SIGALRM of somebody else's is the command's.
    probe(&["--timeout", "1000"], &["status", "7"]).finish().silent(7);
    let running = probe(&["--timeout", "0", "--timeout=4294967295"], &["catch", "14"]).start_ready();
    running.send(libc::SIGALRM);
    running.await_output("got 14\n");
    assert_eq!(running.finish().code(), 7);
    for bad in ["-1", "+1", "x", "1.5", "4294967296", "99999999999999999999"] {
        run(&["--timeout", bad], &["true"]).finish().usage_error(&["--timeout", bad]);
    }
    run(&["--timeout="], &["true"]).finish().usage_error(&["empty value"]);
    let script = run(&["--timeout=5", "--dry-run=sh"], &["true"]).finish().success();
    assert!(script.contains("\nstop 'a shell has no timer"), "{script}");
}

case!(a_time_zone, Needs::NAMESPACES | Needs::ZONES);
fn a_time_zone() {
    let zone = fs::read("/usr/share/zoneinfo/Europe/Paris").expect("a zone");
    let root = Root::with_directories();
    let read = "/etc/localtime";
    let seen = root.probe(&["--tz", "Europe/Paris"], &["file", read]).finish();
    assert_eq!(seen.stdout, zone);
    // Root's own file: for an ordinary user the mode comes first.
    let refused = if host().root { "EROFS\n" } else { "EACCES\n" };
    assert_eq!(root.probe_output(&["--tz", "Europe/Paris"], &["write", read]), refused);
    if let Ok(local) = fs::read(read) {
        assert_eq!(root.probe(&["--tz", "Europe/Paris", "--tz=local"], &["file", read]).finish().stdout, local);
        assert_eq!(probe(&["--tz", "Europe/Paris"], &["file", read]).finish().stdout, zone, "on the host's own files");
        assert_eq!(fs::read(read).expect("the host's"), local);
    }
    for bad in ["../passwd", "/etc/passwd", "Europe", "Europe/", ".", "a//b"] {
        run(&["--rootfs", "/tmp", "--tz", bad], &["true"]).finish().usage_error(&["--tz", bad]);
    }
    let missing = ["no such time zone", "package tzdata", "Europe/Atlantis"];
    root.probe(&["--tz", "Europe/Atlantis"], &["status", "0"]).finish().usage_error(&missing);
    run(&["--tz="], &["true"]).finish().usage_error(&["empty value"]);
}
