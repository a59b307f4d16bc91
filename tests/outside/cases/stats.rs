//! `--stats`: one record for each run, correct, and valid JSON whatever the command is called.

use crate::support::folder::Folder;
use crate::support::harness::{mydocker, probe, probe_words, run, unique_name, waiting_container};
use crate::support::needs::Needs;
use crate::support::notes::note;
use crate::support::outcome::Outcome;
use crate::support::processes::wait_until;
use libc::{SIGKILL, SIGTERM};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The record on standard error: its last line.
fn record(outcome: &Outcome) -> Value {
    let text = outcome.stderr.strip_suffix(b"\n").unwrap_or_else(|| panic!("no record: {outcome:?}"));
    let line = text.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// The record of a run of a probe.
fn probe_record(options: &[&str], words: &[&str]) -> Value {
    record(&probe(&[&["--stats=json"], options].concat(), words).finish())
}

fn seconds(record: &Value, name: &str) -> f64 {
    record[name].as_f64().unwrap_or_else(|| panic!("{name} is not a number: {record}"))
}

/// The name and type of each field, from the table of the reference.
fn schema() -> Vec<(String, String)> {
    let readme =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/manual/reference.md")).unwrap_or_else(|_| {
            // For a host that has only this file.
            include_str!("../../manual/reference.md").to_string()
        });
    let table = readme.split("\n| field | type |").nth(1).expect("the table of the fields");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let field = |cell: &str| cell.trim().trim_matches('`').to_string();
    rows.map(|row| row.split('|').map(field).collect::<Vec<_>>()).map(|row| (row[1].clone(), row[2].clone())).collect()
}

fn has_type(value: &Value, kind: &str) -> bool {
    match kind.strip_suffix(" or null") {
        Some(kind) => value.is_null() || has_type(value, kind),
        None => match kind {
            "integer" => value.is_u64(),
            "seconds" => value.is_f64(),
            "string" => value.is_string(),
            "strings" => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
            "limits" => value.as_array().is_some_and(|all| {
                all.iter().all(|limit| {
                    let keys: Vec<&String> = limit.as_object().expect("an object").keys().collect();
                    keys == ["asked", "file", "in_force", "value"]
                        && limit["asked"].is_boolean()
                        && limit["file"].is_string()
                        && limit["value"].is_string()
                        && (limit["in_force"].is_string() || limit["in_force"].is_null())
                })
            }),
            _ => panic!("the reference has a type {kind:?}"),
        },
    }
}

case!(a_full_root, Needs::NAMESPACES | Needs::OVERLAY | Needs::MEMORY);
/// A root in memory that is full shows as such: the error of the command alone does not tell which limit was met.
fn a_full_root() {
    let root = crate::support::roots::Root::with_directories();
    let root = root.path();
    let seen = |size: &str| {
        let words = ["/probe", "--probe", "fill-and-hold", "/big"];
        let running = run(&["--stats=json", "--rootfs", &root, "-m", "64m", size], &words).start_ready();
        // The command may be faster than mydocker, which cannot open the root of a process that has ended.
        let fds = format!("/proc/{}/fd", running.pid);
        wait_until("mydocker has opened the root", || {
            let mut fds = fs::read_dir(&fds).expect("fd").flatten();
            fds.any(|fd| fs::read_link(fd.path()).is_ok_and(|path| path == Path::new("/")))
        });
        record(&running.finish())
    };
    for (size, bytes) in [("--ephemeral", 32 << 20), ("--ephemeral=8m", 8 << 20)] {
        let record = seen(size);
        assert_eq!(record["writable_bytes"], Value::from(bytes), "{record}");
        assert_eq!(record["written_bytes"], record["writable_bytes"], "{record}");
    }
    let record = record(&run(&["--stats=json", "--rootfs", &root], &["/probe", "--probe", "status", "0"]).finish());
    assert_eq!(record["written_bytes"], Value::Null, "{record}");
}

case!(no_signal_ends_what_never_ran, Needs::NAMESPACES | Needs::CPUSET);
/// mydocker kills a child that waits for the command, unless it has ended by itself before: the kill does not show.
fn no_signal_ends_what_never_ran() {
    for _ in 0..20 {
        for options in [["-w", "/nowhere"], ["--cpu-set", "4095"]] {
            let record = probe_record(&options, &["status", "0"]);
            assert_eq!((&record["status"], &record["signal"]), (&125.into(), &Value::Null), "{record}");
        }
    }
}

case!(the_schema_is_the_readmes, Needs::NAMESPACES);
fn the_schema_is_the_readmes() {
    let schema = schema();
    assert!(schema.len() > 10, "{schema:?}");
    for (options, words) in
        [(&[][..], &["status", "0"][..]), (&["--no-limits"], &["status", "3"]), (&["-w", "/nowhere"], &["status", "0"])]
    {
        let record = probe_record(options, words);
        let mut names: Vec<&str> = schema.iter().map(|(name, _)| name.as_str()).collect();
        names.sort();
        let mut found: Vec<&String> = record.as_object().expect("an object").keys().collect();
        found.sort();
        assert_eq!(found, names);
        for (name, kind) in &schema {
            assert!(has_type(&record[name], kind), "{name} is not {kind}: {record}");
        }
    }
}

/// In a word that is not UTF-8, every byte that is not ASCII becomes U+FFFD.
fn as_json_has_it(word: &OsString) -> String {
    let one = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { char::REPLACEMENT_CHARACTER };
    word.to_str().map_or_else(|| word.as_bytes().iter().map(one).collect(), String::from)
}

case!(json_under_any_name, Needs::NAMESPACES);
fn json_under_any_name() {
    let words: [&[u8]; 8] = [
        b"\"quoted\" \\ back\\",
        b"line\none\r\ttab\x01\x1f\x7f",
        b"\xff\xfe not UTF-8 \xc3",
        b"\xed\xa0\x80 half a pair",
        "gr\u{fc}n \u{1f980} \u{2028}".as_bytes(),
        b"",
        b"{\"a\":[1]}",
        b"</script>",
    ];
    for word in words {
        let word = OsString::from_vec(word.to_vec());
        let mut all = probe_words(&["status", "0"]);
        all.push(word.clone());
        let record = record(&run(&["--stats=json"], &all).finish());
        assert_eq!(record["command"][4], as_json_has_it(&word), "{record}");
        assert_eq!(record["status"], 0);
        // Also as the command itself: there is no file of that name.
        if !word.is_empty() {
            let outcome = run(&["--stats=json"], std::slice::from_ref(&word)).finish();
            assert_eq!(outcome.code(), 127, "{outcome:?}");
            let record = self::record(&outcome);
            assert_eq!(record["command"][0], as_json_has_it(&word), "{record}");
            assert!(record["error"].as_str().expect("a reason").contains("not found"), "{record}");
        }
    }
}

case!(text_has_the_same_fields, Needs::NAMESPACES);
fn text_has_the_same_fields() {
    let outcome = probe(&["--stats"], &["status", "0"]).finish();
    let text = outcome.stderr_text();
    for (name, _) in schema() {
        assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is missing:\n{text}");
    }
    assert!(text.lines().any(|line| line.split_whitespace().eq(["status", "0"])), "{text}");
}

case!(into_a_file, Needs::NAMESPACES);
fn into_a_file() {
    let folder = Folder::new();
    for (name, json) in [("numbers.json", true), ("numbers", false), ("json.txt", false)] {
        let file = folder.write(name, &[b'x'; 100_000]);
        probe(&[&format!("--stats={file}")], &["status", "3"]).finish().silent(3);
        let text = fs::read_to_string(&file).expect("the file");
        assert_eq!(serde_json::from_str::<Value>(&text).is_ok_and(|record| record["status"] == 3), json, "{text}");
        assert_eq!(text.contains("status              3\n"), !json, "{text}");
        assert!(!text.contains("xx"), "the older one is gone");
    }
}

case!(a_file_that_cannot_be_written_ends_it_at_once, Needs::NAMESPACES);
fn a_file_that_cannot_be_written_ends_it_at_once() {
    let folder = Folder::new();
    let (file, mark) = (folder.text("no/numbers"), folder.text("mark"));
    let options = [&format!("--stats={file}"), "--name", &unique_name()];
    probe(&options, &["touch", &mark]).finish().refused(125, &["openat", &file, "ENOENT"]);
    assert!(!folder.path("mark").exists(), "the command must not run");
    mydocker(&["run", "--stats=", "true"]).finish().usage_error(&["--stats="]);
}

case!(how_it_ended, Needs::NAMESPACES);
fn how_it_ended() {
    let exited = probe_record(&[], &["status", "7"]);
    assert_eq!((&exited["status"], &exited["signal"]), (&7.into(), &Value::Null), "{exited}");
    // In the host's PID namespace a signal ends it like any other process.
    let killed = probe_record(&["--pid", "host"], &["kill-self", "15"]);
    assert_eq!((&killed["status"], &killed["signal"]), (&(128 + SIGTERM).into(), &SIGTERM.into()), "{killed}");
    for (signal, ended_by) in [(SIGTERM, SIGTERM), (SIGKILL, SIGKILL)] {
        let running = waiting_container(&["--stats=json"]);
        let pid = running.command_pid();
        crate::support::processes::send(if signal == SIGKILL { pid } else { running.pid }, signal);
        let outcome = running.finish_with_stdin_open();
        let record = record(&outcome);
        assert_eq!(outcome.code(), 128 + ended_by);
        assert_eq!((&record["status"], &record["signal"]), (&(128 + ended_by).into(), &ended_by.into()), "{record}");
        assert_eq!(record["pid"], pid, "{record}");
        assert_eq!(record["error"], Value::Null);
    }
}

case!(why_nothing_was_run, Needs::NAMESPACES);
fn why_nothing_was_run() {
    for (options, command, status) in [
        (&[][..], "/nonexistent", 127),
        (&[], "/etc/passwd", 126),
        (&["-w", "/nonexistent"], "true", 125),
        (&["--cpu-set", "999"], "true", 125),
    ] {
        let outcome = run(&[&["--stats=json"], options].concat(), &[command]).finish();
        assert_eq!(outcome.code(), status, "{outcome:?}");
        let record = record(&outcome);
        assert_eq!(record["status"], status, "{record}");
        assert_eq!(record["exec_seconds"], Value::Null, "{record}");
        let said = outcome.stderr_text().lines().next().expect("a message").to_string();
        assert_eq!(format!("mydocker: {}", record["error"].as_str().expect("a reason")), said, "{record}");
    }
}

case!(times, Needs::NAMESPACES);
fn times() {
    let record = probe_record(&[], &["burn", "200"]);
    let [wall, exec, user, system] =
        ["wall_seconds", "exec_seconds", "user_seconds", "system_seconds"].map(|name| seconds(&record, name));
    assert!(user + system >= 0.2, "{record}");
    assert!(wall >= 0.2 && wall < crate::support::processes::timeout().as_secs_f64(), "{record}");
    assert!(exec > 0.0 && exec < wall, "{record}");
    assert!(user + system <= wall * 1.1 + 0.05, "one thread: {record}");
}

case!(earlier_children_are_not_counted, Needs::NAMESPACES | Needs::SH);
/// A shell that becomes mydocker by exec leaves its own children to it.
fn earlier_children_are_not_counted() {
    let words = |words: &[OsString]| {
        words.iter().map(|word| format!("'{}'", word.to_str().expect("UTF-8"))).collect::<Vec<_>>().join(" ")
    };
    let burn = words(&probe_words(&["burn", "2000"]));
    let idle = words(&probe_words(&["status", "0"]));
    let script =
        format!("{burn}; exec '{}' run --stats=json {idle}", crate::support::harness::mydocker_file().display());
    let outcome = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh");
    let record: Value = serde_json::from_slice(&outcome.stderr).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    assert!(seconds(&record, "user_seconds") + seconds(&record, "system_seconds") < 1.6, "{record}");
}

case!(throttled_time, Needs::NAMESPACES | Needs::CPU);
fn throttled_time() {
    let record = probe_record(&["--cpus", "0.1"], &["burn", "100"]);
    assert!(seconds(&record, "throttled_seconds") > 0.1, "{record}");
    let record = probe_record(&["--cpus", "max", "--cpu-shares", "100"], &["burn", "10"]);
    assert_eq!(seconds(&record, "throttled_seconds"), 0.0, "{record}");
}

case!(peak_memory, Needs::NAMESPACES | Needs::MEMORY);
fn peak_memory() {
    let eaten = 40 << 20;
    let record = probe_record(&["-m", "100m"], &["eat", &eaten.to_string()]);
    let peak = &record["peak_memory_bytes"];
    if crate::support::needs::on_v2("memory") && peak.is_null() {
        note("this kernel has no memory.peak");
        return;
    }
    assert!((eaten..100 << 20).contains(&peak.as_u64().expect("a number")), "{record}");
}

case!(kills_for_want_of_memory, Needs::NAMESPACES | Needs::MEMORY | Needs::SWAP);
fn kills_for_want_of_memory() {
    let record = probe_record(&["-m", "20m", "--memory-swap", "20m"], &["eat", &(60 << 20).to_string()]);
    assert_eq!((&record["status"], &record["oom_kills"]), (&137.into(), &1.into()), "{record}");
    let record = probe_record(&["-m", "20m"], &["status", "0"]);
    assert_eq!(record["oom_kills"], 0, "{record}");
}

case!(peak_pids, Needs::NAMESPACES | Needs::PIDS);
/// The peak is counted with and without a limit.
fn peak_pids() {
    for options in [&[][..], &["--pids-limit", "50"], &["--pids-limit", "max"]] {
        let record = probe_record(options, &["fork", "9"]);
        let peak = &record["peak_pids"];
        // pids.peak exists since Linux 6.1.
        assert!(*peak == 10 || peak.is_null() && !kernel_is_at_least(6, 1), "{options:?}: {record}");
    }
    assert_eq!(probe_record(&["--no-limits"], &["status", "0"])["peak_pids"], Value::Null);
}

fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

case!(limits_asked_and_in_force, Needs::NAMESPACES | Needs::MEMORY | Needs::CPU);
fn limits_asked_and_in_force() {
    let record = probe_record(&["-m", "104857601"], &["status", "0"]);
    let limits = record["limits"].as_array().expect("limits");
    let limit = |names: [&str; 2]| {
        limits.iter().find(|limit| names.iter().any(|name| limit["file"] == *name)).expect("such a limit")
    };
    let memory = limit(["memory.limit_in_bytes", "memory.max"]);
    assert_eq!(memory["value"], "104857601");
    // The kernel counts pages.
    assert_eq!((&memory["asked"], &memory["in_force"]), (&true.into(), &"104857600".into()), "{record}");
    let shares = limit(["cpu.shares", "cpu.weight"]);
    assert_eq!((&shares["asked"], &shares["in_force"]), (&false.into(), &shares["value"]), "{record}");
}

case!(the_command_may_write_what_it_likes, Needs::NAMESPACES);
fn the_command_may_write_what_it_likes() {
    let mut running = probe(&["--stats=json"], &["echo"]).start();
    running.write_stdin(b"{\"status\":99}\n");
    let outcome = running.finish();
    assert_eq!(outcome.stdout_text(), "{\"status\":99}\n");
    assert_eq!(outcome.stderr_text().lines().count(), 1, "{outcome:?}");
    assert_eq!(record(&outcome)["status"], 0);
}
