//! The command line: help, version, docker's spellings, and where the command begins.

use crate::probes::facts::words_of;
use crate::support::harness::{mydocker, mydocker_file, probe, probe_file, run, unique_name};
use crate::support::needs::Needs;
use std::ffi::OsString;

case!(help_goes_to_standard_output, Needs::NOTHING);
fn help_goes_to_standard_output() {
    for words in [&["-h"][..], &["--help"], &["run", "-h"], &["run", "--help"], &["run", "-m", "100m", "--help"]] {
        let text = mydocker(words).finish().success();
        assert!(text.contains("mydocker") && text.contains("run"), "{words:?}: {text}");
    }
}

case!(run_help_names_every_option, Needs::NOTHING);
fn run_help_names_every_option() {
    let text = mydocker(&["run", "--help"]).finish().success();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
    let options = "-m --memory-limit --memory --memory-swap --cpu-shares --cpu-set --cpuset-cpus --cpu-mems \
        --cpuset-mems --cpus --pids-limit --no-limits --cgroup-parent --name -t --tty -i --interactive -e --env \
        --env-file -w --workdir --hostname --rm --network --pid --ipc --uts -h --help";
    for option in options.split_whitespace() {
        assert!(words.contains(&option), "{option} is not in the help:\n{text}");
    }
}

case!(alone_it_prints_help_to_standard_error, Needs::NOTHING);
fn alone_it_prints_help_to_standard_error() {
    let outcome = mydocker::<&str>(&[]).finish();
    assert_eq!(outcome.code(), 125, "{outcome:?}");
    assert_eq!(outcome.stdout_text(), "", "{outcome:?}");
    let help = mydocker(&["--help"]).finish().success();
    assert_eq!(outcome.stderr_text(), help, "the same help, on the other stream");
}

case!(version, Needs::NOTHING);
fn version() {
    let text = mydocker(&["--version"]).finish().success();
    assert_eq!(text.lines().count(), 1, "{text}");
    for word in ["mydocker", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, "linux"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
}

case!(the_file_is_static, Needs::NOTHING);
/// The program headers name no interpreter: the file needs no dynamic linker and no library.
fn the_file_is_static() {
    const PT_INTERP: u32 = 3;
    let file = std::fs::read(mydocker_file()).expect("the file under test");
    assert_eq!(&file[..5], b"\x7fELF\x02", "a 64-bit ELF file");
    let number =
        |at: usize, size: usize| file[at..at + size].iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte));
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(count > 0);
    for at in 0..count {
        assert_ne!(number(table + at * size, 4), PT_INTERP as usize, "program header {at} names an interpreter");
    }
}

case!(an_unknown_subcommand_is_named, Needs::NOTHING);
fn an_unknown_subcommand_is_named() {
    mydocker(&["rum", "true"]).finish().usage_error(&["rum"]);
    mydocker(&["--foo"]).finish().usage_error(&["--foo"]);
}

case!(help_wins_over_a_missing_command, Needs::NOTHING);
fn help_wins_over_a_missing_command() {
    mydocker(&["run", "--name", "x", "-h"]).finish().success();
}

case!(spellings_of_a_value, Needs::NAMESPACES);
/// Every way in which docker lets a value be written, with both names of this option.
fn spellings_of_a_value() {
    for words in [
        &["--hostname", "spelt"][..],
        &["--hostname=spelt"],
        &["-t", "--hostname=spelt", "-i"],
        &["-e", "A=1", "--hostname=spelt"],
        &["-eA=1", "--hostname=spelt"],
        &["-e=A=1", "--hostname", "spelt"],
        &["-ite", "A=1", "--hostname", "spelt"],
        &["-iteA=1", "--hostname", "spelt"],
        &["--env=A=1", "--hostname", "spelt"],
    ] {
        assert_eq!(probe(words, &["hostname"]).finish().success().trim_end(), "spelt", "{words:?}");
        let a = probe(words, &["env"]).with(|command| command.env_remove("A")).finish().success();
        let given = words.iter().any(|word| word.contains("A=1"));
        assert_eq!(a.lines().any(|line| line.trim_end() == "A=1"), given, "{words:?}: {a}");
    }
}

case!(switches, Needs::NAMESPACES);
fn switches() {
    for words in [
        &["-it"][..],
        &["-ti"],
        &["-t", "-i"],
        &["--tty", "--interactive"],
        &["--rm"],
        &["--rm=true"],
        &["-t=true"],
        &["-i=true"],
        &["--tty=false"],
        &["--interactive=false"],
        &["-t=false"],
        &["--no-limits"],
        &["--no-limits=false"],
    ] {
        probe(words, &["status", "9"]).finish().silent(9);
    }
    for words in [["--tty=maybe"], ["--rm=perhaps"], ["--no-limits=x"]] {
        probe(&words, &["status", "0"]).finish().usage_error(&[]);
    }
}

case!(options_stop_at_the_command, Needs::NAMESPACES | Needs::MEMORY);
fn options_stop_at_the_command() {
    let tail = ["-m", "5", "--help", "-h", "--version", "--", "--name=x", "-it"];
    for options in [&[][..], &["-t"], &["-it", "-m100m"], &["--rm", "--hostname", "x"]] {
        let mut words: Vec<OsString> = crate::support::harness::probe_words(&["argv"]);
        words.extend(tail.iter().map(OsString::from));
        let printed = run(options, &words).finish().success();
        assert_eq!(words_of(&printed), words, "{options:?}");
    }
}

case!(two_dashes_end_the_options, Needs::NAMESPACES);
fn two_dashes_end_the_options() {
    let mut words: Vec<OsString> = crate::support::harness::probe_words(&["argv", "--", "-t", "--"]);
    for options in [&["--"][..], &["-t", "--"], &["--name", &unique_name(), "--"]] {
        let printed = run(options, &words).finish().success();
        assert_eq!(words_of(&printed), words, "{options:?}");
    }
    // After `--`, a command may begin with a dash.
    let folder = crate::support::folder::Folder::new();
    folder.link_to_probe("-t");
    words[0] = "-t".into();
    let path = format!("PATH={}", folder.text(""));
    let printed = run(&["-e", &path, "--"], &words).finish().success();
    assert_eq!(words_of(&printed), words);
}

case!(help_as_a_plain_word_is_a_word, Needs::NAMESPACES);
/// argh alone would take the word `help` for `--help`.
fn help_as_a_plain_word_is_a_word() {
    let name = unique_name();
    run(&["--name", &name], &["help"]).with(|c| c.env("PATH", "/nowhere")).finish().refused(127, &["help"]);
    assert_eq!(probe(&["--hostname", "help"], &["hostname"]).finish().success(), "help\n");
    let printed = run(&[], &[probe_file().as_os_str(), "--probe".as_ref(), "argv".as_ref(), "help".as_ref()]);
    assert_eq!(words_of(&printed.finish().success())[3], "help");
}

case!(a_value_may_begin_with_a_dash, Needs::NAMESPACES);
fn a_value_may_begin_with_a_dash() {
    let text = probe(&["-e", "A=-x", "--env", "B=--help", "--memory-swap", "-1"], &["env"]).finish().success();
    assert!(text.lines().any(|line| line == "A=-x") && text.lines().any(|line| line == "B=--help"), "{text}");
    probe(&["--memory-swap=-1", "--pids-limit=-1"], &["status", "3"]).finish().silent(3);
    probe(&["--pids-limit", "-1"], &["status", "3"]).finish().silent(3);
}
