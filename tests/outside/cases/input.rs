//! Invalid input: one clear line, status 125, nothing is made and nothing is run.

use crate::support::folder::Folder;
use crate::support::harness::{mydocker_at, mydocker_file, probe_words, run, unique_name};
use crate::support::host::host;
use crate::support::needs::Needs;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;

/// Runs a command that would leave a file, with `options` that must not be accepted, and gives the outcome if there is
/// neither the file nor a directory.
fn refused(options: &[&OsStr], what: &str) -> crate::support::outcome::Outcome {
    let folder = Folder::new();
    let name = unique_name();
    let mut words: Vec<OsString> = vec!["run".into()];
    // First, so that a name among the options takes precedence.
    words.extend(["--name".into(), OsString::from(&name)]);
    words.extend(options.iter().map(OsString::from));
    words.extend(probe_words(&["touch", &folder.text("trace")]));
    let outcome = crate::support::harness::mydocker(&words).finish();
    assert!(!folder.path("trace").exists(), "{what}: the command ran nevertheless: {outcome:?}");
    assert!(host().directories(&format!("mydocker-{name}")).is_empty(), "{outcome:?}");
    outcome
}

/// Each of `values` of `option`, written both ways, is a usage error that names the value.
fn bad_values(option: &str, values: &[&str]) {
    for value in values {
        for words in [vec![option.to_string(), value.to_string()], vec![format!("{option}={value}")]] {
            if words.len() == 1 && !option.starts_with("--") {
                continue;
            }
            let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
            refused(&words, &format!("{words:?}")).usage_error(&[value]);
        }
    }
}

case!(options_that_are_none, Needs::NOTHING);
fn options_that_are_none() {
    for (words, named) in [
        (&["--foo"][..], "--foo"),
        (&["--foo=bar"], "--foo"),
        (&["-z"], "z"),
        (&["-tz"], "z"),
        (&["--memor", "100m"], "--memor"),
        (&["-"], "-"),
        (&["--="], "--"),
    ] {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        let outcome = refused(&words, &format!("{words:?}"));
        if named == "-" {
            // A lone dash is a word and not an option: the name of a command that does not exist.
            assert!([125, 127].contains(&outcome.code()), "{outcome:?}");
        } else {
            outcome.usage_error(&[named]);
        }
    }
}

case!(missing_values, Needs::NOTHING);
fn missing_values() {
    for option in [
        "-m",
        "--memory",
        "--memory-limit",
        "--memory-swap",
        "--cpu-shares",
        "--cpu-set",
        "--cpuset-cpus",
        "--cpu-mems",
        "--cpus",
        "--pids-limit",
        "--cgroup-parent",
        "--name",
        "--hostname",
        "-e",
        "--env",
        "--env-file",
        "-w",
        "--workdir",
        "--network",
        "--pid",
        "--ipc",
        "--uts",
    ] {
        run(&[], &[option]).finish().usage_error(&[option]);
        run(&["-t"], &[option]).finish().usage_error(&[option]);
    }
}

case!(missing_command, Needs::NOTHING);
fn missing_command() {
    for options in [&[][..], &["-t"], &["-m", "100m"], &["--"], &["-t", "--"], &["--name", "x"]] {
        run(options, &[""; 0]).finish().usage_error(&["COMMAND"]);
    }
}

case!(sizes_that_are_none, Needs::NOTHING);
fn sizes_that_are_none() {
    let values = [
        "abc",
        "1x",
        "-5",
        "1e6",
        "0x10",
        "m",
        "100mm",
        "1,5m",
        "+1",
        "99999999999999999999",
        "17179869184g",
        "16777216t",
        "-1",
    ];
    for option in ["-m", "--memory", "--memory-limit"] {
        bad_values(option, &values);
    }
    bad_values("--memory-swap", &["abc", "1x", "-2", "99999999999999999999", "-1m"]);
}

case!(sizes_too_small, Needs::NOTHING);
fn sizes_too_small() {
    bad_values("-m", &["0", "1", "10b", "1k", "100k"]);
    bad_values("--memory", &["0", "511k"]);
    // Less than the memory limit, explicit or default.
    bad_values("--memory-swap", &["0", "100m"]);
    let words = ["-m", "100m", "--memory-swap", "50m"].map(OsStr::new);
    refused(&words, "swap below memory").usage_error(&["50m"]);
    // Docker's 0 lifts a limit: the message says what does here.
    for option in ["-m", "--memory-swap", "--cpus", "--pids-limit"] {
        refused(&[option, "0"].map(OsStr::new), option).usage_error(&["max lifts"]);
    }
}

case!(lists_that_are_none, Needs::NOTHING);
fn lists_that_are_none() {
    for option in ["--cpu-set", "--cpuset-cpus", "--cpu-mems", "--cpuset-mems"] {
        bad_values(option, &["a", "0-", "-1", "1-0", "0,,1", ",", "0,", "0-1-2", "0 1", "0x1", "99999999999999999999"]);
    }
}

case!(counts_that_are_none, Needs::NOTHING);
fn counts_that_are_none() {
    bad_values("--cpu-shares", &["0", "-1", "abc", "1.5", "99999999999999999999", "max x"]);
    bad_values("--pids-limit", &["0", "-2", "abc", "1.5", "99999999999999999999", "5k"]);
}

case!(cpus_that_are_none, Needs::NOTHING);
fn cpus_that_are_none() {
    bad_values("--cpus", &["0", "0.0", "-1", "-0.5", "abc", "1.2.3", "nan", "inf", "1e3", "1,5", ".", "0.001"]);
}

case!(empty_values, Needs::NOTHING);
fn empty_values() {
    for option in [
        "-m",
        "--memory-swap",
        "--cpu-shares",
        "--cpu-set",
        "--cpu-mems",
        "--cpus",
        "--pids-limit",
        "--cgroup-parent",
        "--name",
        "--hostname",
        "-e",
        "--env-file",
        "-w",
        "--network",
        "--pid",
        "--ipc",
        "--uts",
    ] {
        refused(&[option.as_ref(), "".as_ref()], option).usage_error(&[option]);
        if option.starts_with("--") {
            let joined = format!("{option}=");
            refused(&[joined.as_ref()], &joined).usage_error(&[option]);
        }
    }
    for value in ["=x", "="] {
        refused(&["-e".as_ref(), value.as_ref()], "a variable without a name").usage_error(&[value]);
    }
}

case!(an_empty_command, Needs::NOTHING);
fn an_empty_command() {
    run(&[], &[""]).finish().usage_error(&["COMMAND"]);
    run(&["-t", "-m", "100m"], &["", "x"]).finish().usage_error(&["COMMAND"]);
    run(&["--"], &[""]).finish().usage_error(&["COMMAND"]);
}

case!(names_that_are_none, Needs::NOTHING);
fn names_that_are_none() {
    bad_values("--name", &["a/b", "/", "..", ".", "../x", "x/..", "a b"]);
}

case!(words_that_are_not_among_the_choices, Needs::NOTHING);
fn words_that_are_not_among_the_choices() {
    bad_values("--network", &["bridges", "Host", "hostx", "container:"]);
    for option in ["--pid", "--ipc", "--uts"] {
        bad_values(option, &["private x", "none x", "Host", "h"]);
    }
}

case!(values_that_are_not_utf8, Needs::NOTHING);
fn values_that_are_not_utf8() {
    let bad = OsStr::from_bytes(b"a\xff\xfe");
    for option in ["--name", "--hostname", "-m", "-e", "-w", "--cgroup-parent", "--env-file"] {
        let outcome = refused(&[option.as_ref(), bad], option);
        outcome.usage_error(&["UTF-8"]);
    }
    refused(&[OsStr::from_bytes(b"--name=a\xff")], "joined").usage_error(&["UTF-8"]);
}

case!(env_files_that_are_none, Needs::NOTHING);
fn env_files_that_are_none() {
    let folder = Folder::new();
    let missing = folder.text("missing");
    let check = |file: &str, words: &[&str]| {
        let outcome = refused(&["--env-file".as_ref(), file.as_ref()], file);
        assert_eq!(outcome.code(), 125, "{outcome:?}");
        let text = outcome.stderr_text();
        assert!(text.starts_with("mydocker: "), "{outcome:?}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in the message: {outcome:?}");
        }
    };
    check(&missing, &[&missing, "ENOENT"]);
    check(&folder.text("."), &["EISDIR"]);
    check(&folder.write("bytes", b"A=1\nB=\xff\n"), &["UTF-8"]);
    check(&folder.write("nul", b"A=1\0B=2\n"), &["NUL"]);
    check(&folder.write("blank", b"A B=1\n"), &[]);
    check(&folder.write("nameless", b"A=1\n=2\n"), &[]);
}

case!(a_folder_that_is_not_there, Needs::NAMESPACES);
fn a_folder_that_is_not_there() {
    let folder = Folder::new();
    let file = folder.write("file", b"");
    refused(&["-w".as_ref(), "/no/such/folder".as_ref()], "-w").refused(125, &["/no/such/folder", "ENOENT"]);
    refused(&["-w".as_ref(), file.as_ref()], "-w").refused(125, &[&file, "ENOTDIR"]);
    let outcome = refused(&["-w".as_ref(), "relative/folder".as_ref()], "-w");
    assert_eq!(outcome.code(), 125, "{outcome:?}");
}

case!(a_parent_that_is_none, Needs::NAMESPACES);
fn a_parent_that_is_none() {
    for parent in ["../..", "a/../../b", "..", "no-such-group", "/no-such-group/below"] {
        let outcome = refused(&["--cgroup-parent".as_ref(), parent.as_ref(), "-m".as_ref(), "100m".as_ref()], parent);
        assert_eq!(outcome.code(), 125, "{outcome:?}");
        assert!(outcome.stderr_text().contains(parent), "{outcome:?}");
        assert!(outcome.stderr_text().contains("--cgroup-parent"), "{outcome:?}");
    }
}

case!(not_root, Needs::NOTHING);
/// As an ordinary user without a user namespace: one line that names what is missing.
fn not_root() {
    let folder = Folder::new();
    let file = folder.path("mydocker");
    folder.write_program("mydocker", &std::fs::read(mydocker_file()).expect("the file under test"));
    for words in [&["run", "--userns", "host", "true"][..], &["run", "--userns=host", "-t", "-m", "100m", "true"]] {
        let run = mydocker_at(&file, words);
        let run = if host().root { run.with(|command| command.uid(65534).gid(65534)) } else { run };
        run.with(|command| command.current_dir("/")).finish().refused(125, &["root"]);
    }
}
