//! `exec`: a command in a container that runs. It joins all of it, and is confined as the container is.

use crate::cases::lifecycle::Records;
use crate::support::folder::Folder;
use crate::support::harness::{mydocker, mydocker_at, mydocker_file, probe_file, probe_words, unique_name};
use crate::support::host::tool;
use crate::support::needs::{Needs, on_v2};
use crate::support::processes::{children, send, state, wait_for_end, wait_until};
use crate::support::roots::Root;
use std::ffi::OsString;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// What a process is and sees. The lines of its status are those that `confined` picks.
const FACTS: &str = "cat /proc/self/status; cat /proc/self/cgroup; cat /proc/self/limits; cat /proc/self/mountinfo; \
    cat /proc/sys/kernel/hostname; for n in /proc/self/ns/*; do readlink $n; done; echo /proc/self/fd/*; pwd; umask; cat /proc/self/oom_score_adj; \
    tr '\\0' '\\n' </proc/self/environ";

/// The lines of [`FACTS`] that are the same for every command of one container.
fn facts(text: &str) -> Vec<String> {
    let status =
        ["Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp", "SigBlk:", "SigIgn:", "Cpus_allowed:", "NSpid"];
    let of_status = |line: &str| {
        let is_other = line.split('\t').next().is_some_and(|key| key.ends_with(':')) && line.contains('\t');
        !is_other || status.iter().any(|key| line.starts_with(key) && *key != "NSpid")
    };
    // Other cases mount in their folders meanwhile, and what the host mounts comes in.
    let is_others = |line: &str| line.contains(" - ") && line.contains("/mydocker-test-");
    text.lines().filter(|line| of_status(line) && !is_others(line)).map(String::from).collect()
}

fn compare(records: &Records, options: &[&str], shell: &str) {
    let name = unique_name();
    let script = format!("{FACTS}; echo the end; exec sleep 1000");
    let all = [&["-d", "--name", name.as_str()], options].concat();
    let started = records.run(&all, &[shell, "-c", &script]).start().reap();
    assert_eq!(started.success(), format!("{name}\n"), "{options:?}");
    wait_until("it has looked", || records.call("logs", &[&name]).stdout_text().contains("the end\n"));
    let in_run = records.call("logs", &[&name]).success();
    // Another caller: another directory, another environment, and descriptors that it has left open.
    let outcome = records
        .verb("exec", &[&name, shell, "-c", &format!("{FACTS}; echo the end")])
        .with(|c| c.current_dir("/").env("OF_THE_CALLER", "1"))
        .finish();
    let in_exec = outcome.stdout_text();
    let (run, exec) = (facts(&in_run), facts(&in_exec));
    assert!(run.len() > 30, "{in_run}");
    for (in_run, in_exec) in run.iter().zip(&exec) {
        assert_eq!(in_run, in_exec, "{options:?}");
    }
    assert_eq!(run.len(), exec.len(), "{options:?}");
    records.remove(&name);
}

case!(as_run_has_it, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn as_run_has_it() {
    let records = Records::new();
    for options in [
        "",
        "--privileged",
        "--cap-add NET_ADMIN --cap-drop CHOWN",
        "--security-opt seccomp=unconfined",
        "--security-opt no-new-privileges=false",
        "--network host --ipc host --uts host",
        "--init --hostname h",
        "-w /usr -e A=b --ulimit nofile=100",
        "--umask 077 --oom-score-adj 321",
    ] {
        let options: Vec<&str> = options.split_whitespace().collect();
        compare(&records, &options, "sh");
    }
}

case!(as_run_has_it_for_another_user, Needs::ROOT | Needs::SH | Needs::SLEEP);
fn as_run_has_it_for_another_user() {
    let records = Records::new();
    compare(&records, &["-u", "daemon"], "sh");
    compare(&records, &["-u", "12345:54321", "--cap-add", "NET_ADMIN"], "sh");
    compare(&records, &["-u", "12345", "--group-add", "4242", "--group-add", "5353"], "sh");
}

case!(as_run_has_it_under_limits, Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::PIDS | Needs::SH | Needs::SLEEP);
fn as_run_has_it_under_limits() {
    let records = Records::new();
    compare(&records, &["-m", "50m", "--cpu-shares", "512", "--pids-limit", "20"], "sh");
    compare(&records, &["-m", "50m", "--cpu-set", "0", "--privileged"], "sh");
}

case!(it_is_in_the_groups_of_the_container, Needs::NAMESPACES | Needs::MEMORY | Needs::SH | Needs::SLEEP);
fn it_is_in_the_groups_of_the_container() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["-m", "50m"], "exec sleep 1000");
    let first = fs::read_to_string(format!("/proc/{}/cgroup", records.pid(&name))).expect("cgroup");
    let running = records.verb("exec", &[&name, "sh", "-c", "echo ready; exec cat"]).start();
    running.await_output("ready");
    assert_eq!(fs::read_to_string(format!("/proc/{}/cgroup", running.command_pid())).expect("cgroup"), first);
    running.finish().success();
    records.remove(&name);
}

case!(in_a_root_of_its_own, Needs::ROOT | Needs::BUSYBOX);
fn in_a_root_of_its_own() {
    let records = Records::new();
    let root = Root::with_directories().with_busybox();
    fs::write(root.0.path("etc/passwd"), "user:x:1000:1000::/home/user:/bin/sh\n").expect("write");
    fs::write(root.0.path("etc/group"), "users:x:100:user\n").expect("write");
    let path = root.path();
    let name = unique_name();
    records.detached_in(&name, &["--rootfs", &path, "-v", "/usr:/data:ro"], &["/bin/sleep", "1000"]);
    let exec = |words: &[&str]| records.call("exec", words);
    let seen = exec(&[&name, "sh", "-c", "ls /; pwd; echo $HOME $PATH $OF_THE_CALLER; cat /etc/hostname"]).success();
    assert!(seen.contains("data\n") && seen.contains("probe\n") && !seen.contains("boot\n"), "{seen}");
    assert!(
        seen.ends_with(&format!("/\n/root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n{name}\n"))
    );
    let as_user = exec(&["-u", "user", "-w", "/data", &name, "sh", "-c", "echo $HOME; pwd; cat /proc/self/status"]);
    let text = as_user.success();
    assert!(text.starts_with("/home/user\n/data\n") && text.contains("Uid:\t1000\t1000\t1000\t1000\n"), "{text}");
    assert!(text.contains("Groups:\t100 \n") && text.contains("CapEff:\t0000000000000000\n"), "{text}");
    // What is masked for the container is masked for it.
    assert_eq!(
        exec(&[&name, "sh", "-c", "cat /proc/kcore /proc/sys/kernel/core_pattern | cat; echo x >/proc/sysrq-trigger"])
            .code(),
        1
    );
    exec(&["-w", "/none", &name, "ls"]).refused(125, &["/none", "ENOENT", "only run creates it"]);
    assert!(!root.0.path("none").exists());
    exec(&[&name, "none"]).refused(127, &["none", "not found"]);
    exec(&[&name, "/etc"]).refused(126, &["/etc", "a directory"]);
    records.remove(&name);
}

case!(its_status_and_its_streams, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn its_status_and_its_streams() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "exec sleep 1000");
    let sh = |script: &str| records.call("exec", &[&name, "sh", "-c", script]);
    sh("exit 3").silent(3);
    sh("kill -9 $$").silent(137);
    sh("kill -TERM $$; exit 1").silent(143);
    let outcome = sh("echo out; echo err >&2");
    assert_eq!((outcome.stdout_text(), outcome.stderr_text()), ("out\n".into(), "err\n".into()));
    let mut running = records.verb("exec", &["-i", &name, "sh", "-c", "read a; echo got $a"]).start();
    running.write_stdin(b"hey\n");
    assert_eq!(running.finish().success(), "got hey\n");
    assert_eq!(records.call("exec", &["-e", "A=b c", &name, "sh", "-c", "echo $A"]).success(), "b c\n");
    assert_eq!(records.call("exec", &["-w", "/usr", &name, "pwd"]).success(), "/usr\n");
    assert_eq!(
        records.call("exec", &["-t", &name, "sh", "-c", "test -t 0 && test -t 1 && echo yes"]).success(),
        "yes\r\n"
    );
    records.call("exec", &[&name, "/no/such"]).refused(127, &["/no/such"]);
    records.call("exec", &[&name, "/"]).refused(126, &["/"]);
    records.call("exec", &[&name]).usage_error(&["exec needs"]);
    records.call("exec", &["--rootfs", "/", &name, "ls"]).usage_error(&["unknown option", "--rootfs"]);
    // A signal to it reaches the command.
    let running =
        records.verb("exec", &[&name, "sh", "-c", "trap 'exit 6' USR1; echo up; while :; do sleep 0.01; done"]).start();
    running.await_output("up");
    running.send(libc::SIGUSR1);
    running.finish_with_stdin_open().silent(6);
    records.remove(&name);
}

case!(a_signal_while_its_child_leaves, Needs::NAMESPACES | Needs::STRACE | Needs::SH | Needs::SLEEP);
/// The child of exec is slow to end, after it has left the command in its place: signals are for the command all the same.
fn a_signal_while_its_child_leaves() {
    let records = Records::new();
    let (name, folder) = (unique_name(), Folder::new());
    records.detached(&name, &[], "exec sleep 1000");
    for (signal, trap) in [(libc::SIGUSR1, "USR1"), (libc::SIGTERM, "TERM")] {
        let slow = "inject=exit_group:delay_enter=500000:when=1";
        let seen = folder.text("strace");
        let mut words: Vec<OsString> =
            ["-f", "-o", &seen, "-e", "trace=exit_group", "-e", slow].map(OsString::from).into();
        words.push(mydocker_file().into());
        words.extend(["exec", "--state", &records.state(), &name, "sh", "-c"].map(OsString::from));
        words.push(format!("trap 'exit 6' {trap}; echo up; while :; do sleep 0.01; done").into());
        let running = mydocker_at(&tool("strace").expect("strace"), &words).start();
        running.await_output("up");
        let exec = children(running.pid)[0];
        assert_eq!(children(exec).len(), 2, "the command, and the child that leaves");
        send(exec, signal);
        running.finish_with_stdin_open().silent(6);
    }
    records.remove(&name);
}

case!(more_than_the_container_has, Needs::ROOT | Needs::SH | Needs::SLEEP);
fn more_than_the_container_has() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["--cap-drop", "CHOWN"], "exec sleep 1000");
    let effective = |options: &[&str]| {
        let words =
            [options, &[&name, "sh", "-c", "while read k v; do [ $k != CapEff: ] || echo $v; done </proc/self/status"]]
                .concat();
        u64::from_str_radix(records.call("exec", &words).success().trim(), 16).expect("a set")
    };
    assert_eq!(effective(&[]), 0xa004_25fb & !1);
    assert_eq!(effective(&["--cap-add", "NET_ADMIN"]), 0xa004_25fb & !1 | 1 << 12);
    let all = effective(&["--privileged"]);
    // As docker has it: whatever was taken from the container.
    assert!(all & 1 << 21 != 0 && all & 1 != 0, "{all:x}");
    records.remove(&name);
}

case!(it_ends_with_its_container, Needs::NAMESPACES | Needs::MEMORY | Needs::SH | Needs::SLEEP);
fn it_ends_with_its_container() {
    let records = Records::new();
    for options in [&[][..], &["--init"], &["-m", "50m"], &["--pid", "host"]] {
        let name = unique_name();
        records.detached(&name, options, "exec sleep 1000");
        let running = records.verb("exec", &[&name, "sh", "-c", "echo up; exec sleep 1000"]).start();
        running.await_output("up");
        let inside = running.command_pid();
        assert_eq!(records.call("stop", &["-t", "0", &name]).success(), format!("{name}\n"));
        running.finish_with_stdin_open().refused_after("up\n", 137, &["the container has ended", &name]);
        assert!(wait_for_end(inside));
        records.remove(&name);
    }
}

case!(it_ends_with_the_one_that_started_it, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn it_ends_with_the_one_that_started_it() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "exec sleep 1000");
    let running = records.verb("exec", &[&name, "sh", "-c", "echo up; exec sleep 1000"]).start();
    running.await_output("up");
    let inside = running.command_pid();
    running.send(libc::SIGKILL);
    running.reap_with_stdin_open();
    assert!(wait_for_end(inside));
    assert_eq!(records.names(&[]), [name.as_str()]);
    records.remove(&name);
}

case!(one_that_is_stopped_holds_no_container, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// A container ends only when each of its processes has been waited for, as by the exec that somebody has suspended.
fn one_that_is_stopped_holds_no_container() {
    let records = Records::new();
    for words in [&["stop", "-t", "0"][..], &["kill"], &["rm", "-f"]] {
        let name = unique_name();
        records.detached(&name, &[], "exec sleep 1000");
        let running = records.verb("exec", &[&name, "sh", "-c", "echo up; exec sleep 1000"]).start();
        running.await_output("up");
        running.send(libc::SIGSTOP);
        wait_until("it is stopped", || state(running.pid) == Some('T'));
        assert_eq!(records.call(words[0], &[&words[1..], &[&name]].concat()).success(), format!("{name}\n"));
        running.finish_with_stdin_open().refused_after("up\n", 137, &["the container has ended", &name]);
        if words != ["rm", "-f"] {
            records.remove(&name);
        }
    }
}

case!(into_what_ends_meanwhile, Needs::NAMESPACES | Needs::MEMORY | Needs::STRACE | Needs::SH | Needs::SLEEP);
/// exec is stopped after one of its calls, or its child is, and the container ends there.
fn into_what_ends_meanwhile() {
    let records = Records::new();
    let folder = Folder::new();
    let exec = |name: &str, seen: &str, options: &[&str], what: &str| {
        let mut words: Vec<OsString> =
            [options, &["-o", seen, "-e", what]].concat().iter().map(OsString::from).collect();
        words.push(mydocker_file().into());
        words.extend(["exec", "--state", &records.state(), name, "sh", "-c", ":"].map(OsString::from));
        mydocker_at(&tool("strace").expect("strace"), &words)
    };
    for (options, calls) in [
        (&[][..], &["flock:2", "pipe2:1", "close:", "setns:1"][..]),
        (&["--init"], &["pipe2:1"]),
        (&["--pid", "host"], &["pipe2:1", "close:"]),
    ] {
        for call in calls {
            let (name, seen) = (unique_name(), folder.text("strace"));
            records.detached(&name, options, "exec sleep 1000");
            let pid = records.pid(&name);
            let (call, mut turn) = call.split_once(':').map(|(call, turn)| (call, turn.to_string())).expect("a call");
            if turn.is_empty() {
                // The first one after the child is made, to which the command has not been sent yet.
                exec(&name, &seen, &[], "trace=close,clone,clone3").finish().success();
                let calls = fs::read_to_string(&seen).expect("a trace");
                let before = calls.lines().take_while(|call| !call.starts_with("clone"));
                turn = (1 + before.filter(|call| call.starts_with("close(")).count()).to_string();
                fs::remove_file(&seen).expect("unlink");
            }
            // Only the child enters a namespace.
            let in_child = call == "setns";
            let what = format!("inject={call}:signal=STOP:when={turn}");
            let running = exec(&name, &seen, if in_child { &["-f"] } else { &[] }, &what).start();
            wait_until("exec is stopped", || {
                fs::read_to_string(&seen).is_ok_and(|calls| calls.contains("stopped by SIGSTOP"))
            });
            let exec = children(running.pid)[0];
            let child = children(exec).first().copied();
            assert_eq!(child.is_some(), in_child || call == "close", "{options:?} {call}");
            let keeper = super::lifecycle_detached::keeper_of(pid);
            send(pid, libc::SIGKILL);
            wait_until("it has ended", || matches!(state(pid), Some('Z') | None));
            if options.contains(&"host") {
                // No end of a PID namespace ends the child, but the keeper does.
                assert!(wait_for_end(keeper));
            }
            send(child.filter(|_| in_child).unwrap_or(exec), libc::SIGCONT);
            running.finish_with_stdin_open().refused(137, &["the container has ended", &name]);
            records.remove(&name);
            fs::remove_file(&seen).expect("unlink");
        }
    }
}

case!(into_what_does_not_run, Needs::NAMESPACES | Needs::SH);
fn into_what_does_not_run() {
    let records = Records::new();
    records.call("exec", &["lc-nobody", "true"]).refused(125, &["no such container", "lc-nobody"]);
    records.call("exec", &["../x", "true"]).usage_error(&["name"]);
    let name = unique_name();
    records.detached(&name, &[], "exit 0");
    records.call("wait", &[&name]).success();
    records.call("exec", &[&name, "true"]).refused(125, &["it has ended", &name]);
    // A record that is cut short, or of another version.
    let state = format!("{}/{name}/state", records.state());
    let whole = fs::read(&state).expect("state");
    for broken in [&whole[..whole.len() - 5], b"mydocker 2\nend\n"] {
        fs::write(&state, broken).expect("write");
        records.call("exec", &[&name, "true"]).refused(125, &["cut short, or of another version", &name]);
        assert_eq!(records.names(&["-f", "status=unreadable"]), [name.as_str()]);
    }
    fs::write(&state, whole).expect("write");
    records.remove(&name);
}

case!(a_pid_that_is_used_again, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn a_pid_that_is_used_again() {
    // A record whose process has another start time: that process is somebody else's.
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &[], "exec sleep 1000");
    let state = format!("{}/{name}/state", records.state());
    let text = fs::read_to_string(&state).expect("state");
    fs::write(&state, text.replace("start ", "start 1")).expect("write");
    for verb in ["kill", "stop"] {
        records.call(verb, &[&name]).refused(125, &["it is ending", &name]);
    }
    records.call("exec", &[&name, "true"]).refused(125, &["it is ending", &name]);
    assert!(!records.call("ps", &["--json"]).success().contains("\"pid\":1"));
    fs::write(&state, text).expect("write");
    records.remove(&name);
}

case!(
    groups_that_the_container_has_made,
    Needs::ROOT | Needs::MEMORY_ON_V2 | Needs::MOUNTED | Needs::SH | Needs::SLEEP
);
fn groups_that_the_container_has_made() {
    let records = Records::new();
    let name = unique_name();
    // On v2 a group with children takes no process once it has enabled a controller for them.
    let script = "read own </proc/self/cgroup; cd /sys/fs/cgroup${own#0::} && mkdir leaf && echo 0 >leaf/cgroup.procs && echo +memory >cgroup.subtree_control && \
        echo made; exec sleep 1000";
    records.detached(&name, &["--privileged", "-m", "50m"], script);
    wait_until("it is made", || records.call("logs", &[&name]).stdout_text().contains("made\n"));
    let seen = records.call("exec", &[&name, "cat", "/proc/self/cgroup"]).success();
    assert!(seen.contains("/leaf\n") && on_v2("memory"), "{seen}");
    records.remove(&name);
}

case!(mydocker_is_masked, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
/// The class of CVE-2016-9962, CVE-2019-5736 and CVE-2022-29162: whoever joins is looked at, and its file written to.
fn mydocker_is_masked() {
    let records = Records::new();
    let folder = Folder::new();
    let file = folder.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
    let before = fs::read(&file).expect("read");
    let name = unique_name();
    let state = records.state();
    // It looks for whoever joins, all the time, and tries to open what it has.
    let script = "while :; do for p in /proc/[0-9]*; do [ $p != /proc/1 ] || continue; \
        l=$(readlink $p/exe) && case $l in *mydocker*) echo seen $l; (: >>$p/exe) 2>/dev/null && echo written ;; esac; \
        readlink $p/fd/[3-9]* 2>/dev/null | while read f; do case $f in *cgroup*|*records*) echo held $f ;; esac; done; \
        done; done";
    let run = ["run", "-d", "--state", &state, "--name", &name, "sh", "-c", script].map(String::from);
    mydocker_at(file.as_ref(), &run).start().reap().success();
    for _ in 0..100 {
        let exec = ["exec", "--state", &state, &name, "true"].map(String::from);
        mydocker_at(file.as_ref(), &exec).start().reap().silent(0);
    }
    // Its own file as the command: then it can be seen, and cannot be written to, as long as anything runs inside.
    let words: Vec<std::ffi::OsString> = ["exec", "--state", &state, &name, "sh", "-c"]
        .iter()
        .map(Into::into)
        .chain(["exec 3</proc/self/exe; (: >>/proc/self/exe) 2>/dev/null && echo written".into()])
        .collect();
    assert_eq!(mydocker_at(file.as_ref(), &words).start().reap().stdout_text(), "");
    let log = records.call("logs", &[&name]).success();
    assert_eq!(log, "");
    records.remove(&name);
    assert!(fs::read(&file).expect("read") == before, "mydocker's file has changed");
}

case!(its_copy_waits_for_a_page_that_is_busy, Needs::ROOT | Needs::STRACE);
/// While the kernel moves a page of the copy, fcntl(2) is EBUSY.
fn its_copy_waits_for_a_page_that_is_busy() {
    let (root, folder) = (Root::with_directories(), Folder::new());
    let (file, path) = (mydocker_file().display().to_string(), root.path());
    let run = |times: &str| {
        // The first call asks for the seals of the file itself.
        let inject = format!("inject=fcntl:error=EBUSY:when={times}");
        let strace = ["-f", "-o", &folder.text("strace"), "-e", &inject, &file].map(String::from);
        let options = ["run", "--no-limits", "--privileged", "--init", "--rootfs", &path].map(String::from);
        let command = ["/probe", "--probe", "status", "5"].map(String::from);
        mydocker_at(&tool("strace").expect("strace"), &[&strace[..], &options, &command].concat()).finish()
    };
    assert_eq!(run("2..4").code(), 5);
    run("2+").refused(125, &["fcntl", "mydocker", "EBUSY"]);
}

case!(its_file_is_out_of_reach_of_a_root, Needs::ROOT);
/// CVE-2019-5736 once more: what is executed is a script of the container's root, whose interpreter is whoever executes it; and who
/// runs inside opens that file, and changes what it can.
fn its_file_is_out_of_reach_of_a_root() {
    let records = Records::new();
    let (folder, root) = (Folder::new(), Root::with_directories());
    let file = folder.write_program("mydocker", &fs::read(mydocker_file()).expect("the file under test"));
    let about =
        |file: &str| (fs::metadata(file).map(|about| (about.mode(), about.uid())).expect("stat"), fs::read(file));
    let (mode, before) = about(&file);
    root.0.write_program("script", b"#!/proc/self/exe help\n");
    let (name, beside) = (unique_name(), unique_name());
    records.detached_in(&name, &["--rootfs", &root.path()], &["/probe", "--probe", "take-programs", "mydocker"]);
    wait_until("it looks", || records.call("logs", &[&name]).stdout_text().contains("looking\n"));
    let state = records.state();
    for _ in 0..40 {
        let exec = ["exec", "--state", &state, &name, "/script"].map(String::from);
        // That of `mydocker help /script`, inside.
        assert_eq!(mydocker_at(file.as_ref(), &exec).finish().code(), 125);
    }
    // The same among the processes of another one.
    let of = format!("container:{name}");
    for _ in 0..10 {
        let options = ["run", "--state", &state, "--name", &beside, "--pid", &of, "--rootfs", &root.path(), "/script"];
        assert_eq!(mydocker_at(file.as_ref(), &options.map(String::from)).finish().code(), 125);
    }
    records.remove(&name);
    // A reaper of mydocker's is there all the time, and what is executed later may have more than the container.
    let options = ["run", "-d", "-i", "--state", &state, "--name", &name, "--init", "--rootfs", &root.path()];
    let run: Vec<String> = options.iter().chain(&["/probe", "--probe", "hold"]).map(|word| word.to_string()).collect();
    mydocker_at(file.as_ref(), &[&run[..], &[]].concat()).start().reap().success();
    let looker =
        records.verb("exec", &["--cap-add", "SYS_PTRACE", &name, "/probe", "--probe", "take-programs", "mydocker"]);
    let looker = looker.start();
    looker.await_output("looked");
    records.remove(&name);
    drop(looker.reap());
    let (mode_now, now) = about(&file);
    assert_eq!(mode_now, mode);
    assert!(now.expect("read") == before.expect("read"), "mydocker's file has changed");
}

case!(a_trace_is_begun_once, Needs::ROOT);
/// By a copy of mydocker, in a root of its own, and not by whoever executes that.
fn a_trace_is_begun_once() {
    let (records, root, name) = (Records::new(), Root::with_directories(), unique_name());
    records.detached_in(&name, &["-i", "--rootfs", &root.path()], &["/probe", "--probe", "hold"]);
    let outcome = records.call("exec", &["--trace", &name, "/probe", "--probe", "status", "0"]);
    let seen = outcome.stderr_text();
    assert!(outcome.code() == 0 && seen.contains("setns(") && seen.contains("execve(\"/probe\""), "{seen}");
    assert_eq!(seen.matches("pidfd_open(").count(), 1, "{seen}");
    records.remove(&name);
}

probe!("take-programs", |words| {
    println!("looking");
    std::io::Write::flush(&mut std::io::stdout()).expect("flush");
    // Until it is killed.
    while std::hint::black_box(true) {
        for pid in 1..100 {
            let path = format!("/proc/{pid}/exe");
            let is_wanted = fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().contains(words.text(0)));
            if let Some(file) = fs::File::open(&path).ok().filter(|_| is_wanted) {
                let _ = rustix::fs::fchmod(&file, 0o666.into());
                let _ = rustix::fs::fchown(&file, Some(rustix::fs::Uid::from_raw(1000)), None);
                let _ = fs::OpenOptions::new().append(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()));
            }
        }
        println!("looked");
        std::io::Write::flush(&mut std::io::stdout()).expect("flush");
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
});

/// A container with CAP_SYS_PTRACE that looks, all the time, into every process that it sees. It writes what it finds of the host: a
/// path that its root has, every directory that somebody has open, and CAP_SYS_ADMIN. What it writes to a pipe is not taken for
/// mydocker's.
fn watcher(records: &Records, name: &str, root: &str) {
    let script = format!(
        "exec 2>/dev/null; w={}; echo looking; while :; do for p in /proc/[0-9]*; do [ -e $p/root{} ] && echo seen; [ -e $p/cwd{} ] && echo cwd; \
         for f in $p/fd/[3-9]* $p/fd/1[0-9]; do [ -d $f ] && echo held; [ -p $f ] && echo $w >$f; done; \
         while read -r key value; do [ $key = CapPrm: ] && [ $((0x$value & 0x200000)) != 0 ] && echo able; done <$p/status; done; done",
        "A".repeat(1024),
        records.state(),
        "/..".repeat(9) + &records.state(),
    );
    let options = ["--rootfs", root, "--cap-add", "SYS_PTRACE"];
    records.detached_in(name, &options, &["/bin/sh", "-c", &script]);
    wait_until("it looks", || records.call("logs", &[name]).stdout_text().contains("looking\n"));
}

case!(the_host_is_not_seen_in_who_joins, Needs::ROOT | Needs::BUSYBOX);
/// CAP_SYS_PTRACE looks into every process of the container, dumpable or not: into one that joins, too.
fn the_host_is_not_seen_in_who_joins() {
    let records = Records::new();
    let root = Root::with_directories().with_busybox();
    let name = unique_name();
    watcher(&records, &name, &root.path());
    for _ in 0..40 {
        records.call("exec", &[&name, "/bin/busybox", "true"]).silent(0);
    }
    // What fails in there is said by who has joined.
    for none in ["none", "kein-Grün"] {
        records.call("exec", &[&name, none]).refused(127, &[none, "not found"]);
    }
    assert_eq!(records.call("logs", &[&name]).success(), "looking\n");
    records.remove(&name);
}

case!(the_host_is_not_seen_in_a_run_that_joins, Needs::ROOT | Needs::BUSYBOX);
/// Likewise into the first process of another container that joins its processes.
fn the_host_is_not_seen_in_a_run_that_joins() {
    let records = Records::new();
    let root = Root::with_directories().with_busybox();
    let path = root.path();
    let name = unique_name();
    watcher(&records, &name, &path);
    let of = format!("container:{name}");
    let run = |options: &[&str], command: &[&str]| {
        records.run(&[&["--rootfs", &path, "--pid", &of], options].concat(), command).finish()
    };
    for options in [&[][..], &["--init"], &["-v", "/:/host:ro"], &["-u", "1000:1000"]] {
        for _ in 0..10 {
            run(options, &["/bin/busybox", "true"]).silent(0);
        }
    }
    run(&[], &["none"]).refused(127, &["none", "not found"]);
    run(&[], &["/bin"]).refused(126, &["execve \"/bin\"", "a directory"]);
    assert_eq!(records.call("logs", &[&name]).success(), "looking\n");
    records.remove(&name);
}

case!(many_at_once, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn many_at_once() {
    let records = Records::new();
    let name = unique_name();
    records.detached(&name, &["--init"], "exec sleep 1000");
    let pid = records.pid(&name);
    let execs: Vec<_> = (0..30).map(|_| records.verb("exec", &[&name, "sh", "-c", "exit 4"]).start()).collect();
    let lists: Vec<_> = (0..10).map(|_| records.verb("ps", &["-q"]).start()).collect();
    for running in execs {
        running.reap().silent(4);
    }
    for running in lists {
        assert_eq!(running.reap().success(), format!("{name}\n"));
    }
    // Some of these come before the end, and some after it.
    let all: Vec<_> = (0..50)
        .map(|at| match at % 5 {
            0 | 1 => (records.verb("exec", &[&name, "sh", "-c", "exit 4"]).start(), &[4, 125, 137][..]),
            2 => (records.verb("stop", &["-t", "0", &name]).start(), &[0, 125][..]),
            3 => (records.verb("rm", &["-f", &name]).start(), &[0, 125][..]),
            _ => (records.verb("ps", &["-a"]).start(), &[0][..]),
        })
        .collect();
    for (running, expected) in all {
        let outcome = running.reap();
        assert!(expected.contains(&outcome.code()), "{outcome:?}");
        // In one line, if it comes too late.
        assert!(outcome.code() != 125 || outcome.stderr_text().lines().count() == 1, "{outcome:?}");
        // Nobody has killed its keeper.
        assert!(!outcome.stdout_text().contains("lost"), "{outcome:?}");
    }
    assert_eq!(records.left(), [""; 0]);
    assert!(probe_file().exists() && state(pid).is_none());
}

case!(links_below_what_the_container_can_write_to, Needs::NAMESPACES);
/// The volume is named from the directory that `run` was started in, the files from that of `exec`.
fn links_below_what_the_container_can_write_to() {
    let (records, host, folder) = (Records::new(), Folder::new(), Folder::new());
    let name = unique_name();
    host.write("file", b"SECRET=1\n");
    std::fs::create_dir(folder.path("data")).expect("mkdir");
    folder.write("data/own", b"OWN=1\n");
    std::os::unix::fs::symlink(host.path("file"), folder.path("data/file")).expect("symlink");
    std::os::unix::fs::symlink(host.as_path(), folder.path("data/folder")).expect("symlink");
    let options = ["-d", "-i", "--no-limits", "-v", "./data:/mnt", "--name", &name];
    let started = records.probe(&options, &["hold"]).with(|call| call.current_dir(folder.as_path())).start().reap();
    started.success();
    let exec = |option: &str, file: &str| {
        let words = ["exec", "--state", &records.state(), &format!("{option}={file}"), &name].map(OsString::from);
        let call = mydocker(&[&words[..], &probe_words(&["env"])].concat());
        call.with(|call| call.current_dir(folder.path("data"))).finish()
    };
    assert!(exec("--env-file", "own").success().contains("OWN=1"));
    exec("--env-file", "file").refused(125, &["file", "it leads out of what the container can write to"]);
    assert_eq!(exec("--trace", "trace").code(), 0);
    exec("--trace", "folder/trace").refused(125, &["folder", "it leads out of"]);
    assert_eq!(std::fs::read_dir(host.as_path()).expect("list").count(), 1);
    assert!(folder.path("data/trace").exists());
    records.remove(&name);
}

case!(a_session_of_its_own, Needs::ROOT | Needs::SH);
/// Also where the PID namespace is the host's: `kill 0` and the terminal do not lead to the caller.
fn a_session_of_its_own() {
    let records = Records::new();
    let name = unique_name();
    records.probe(&["-d", "-i", "--no-limits", "--pid", "host", "--name", &name], &["hold"]).start().reap().success();
    let script = "read -r line </proc/self/stat; set -- ${line##*) }; echo $3 $4; echo $$";
    let seen = records.call("exec", &[&name, "sh", "-c", script]).success();
    let numbers: Vec<&str> = seen.split_whitespace().collect();
    // The group and the session are those of the shell.
    assert!(numbers.len() == 3 && numbers.iter().all(|number| *number == numbers[2]), "{seen}");
    records.remove(&name);
}

case!(the_umask_of_whoever_calls_exec, Needs::ROOT | Needs::SH | Needs::BUSYBOX);
/// It does not reach a root of its own.
fn the_umask_of_whoever_calls_exec() {
    let records = Records::new();
    let (root, name) = (Root::with_directories(), unique_name());
    let options = ["-d", "-i", "--no-limits", "--name", &name, "--rootfs", &root.path()].map(OsString::from);
    let run = [&["run", "--state", &records.state()].map(OsString::from)[..], &options].concat();
    let words = ["/probe", "--probe", "hold"].map(OsString::from);
    mydocker(&[&run[..], &words].concat()).start().reap().success();
    let words = ["exec", "--state", &records.state(), &name, "/probe", "--probe", "touch", "/made"];
    let exec = mydocker(&words).before(|| {
        // SAFETY: umask is one system call
        unsafe { libc::umask(0o077) };
        Ok(())
    });
    exec.finish().success();
    assert_eq!(fs::metadata(root.0.path("made")).expect("made").mode() & 0o777, 0o644);
    records.remove(&name);
}
