//! The command's words: every byte of them arrives, whatever they contain and however long they are.

use crate::probes::facts::words_of;
use crate::support::folder::Folder;
use crate::support::harness::{probe, probe_words, run};
use crate::support::needs::Needs;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Runs the probe with `tail` after its own words and checks that it received them all.
fn arrive(options: &[&str], tail: Vec<OsString>) {
    let mut words = probe_words(&["argv"]);
    words.extend(tail);
    let printed = run(options, &words).finish().success();
    assert!(words_of(&printed) == words, "{} words were passed, {} arrived", words.len(), printed.lines().count());
}

case!(blanks_newlines_and_nothing, Needs::NAMESPACES);
fn blanks_newlines_and_nothing() {
    let tail = ["", " ", "a b", "  two  ", "new\nline", "\n", "\t", "", "'quoted'", "\"", "\\", "$HOME", "*", "ü", ""];
    arrive(&["-t"], tail.iter().map(OsString::from).collect());
    arrive(&[], tail.iter().rev().map(OsString::from).collect());
}

case!(every_byte_but_nul, Needs::NAMESPACES);
fn every_byte_but_nul() {
    let all: Vec<u8> = (1..=255).collect();
    let each = (1..=255u8).map(|byte| OsString::from_vec(vec![byte]));
    arrive(&[], each.chain([OsString::from_vec(all)]).collect());
}

case!(one_long_word, Needs::NAMESPACES);
/// The kernel accepts 128 KiB in one word; a pipe holds 64 KiB.
fn one_long_word() {
    arrive(&[], vec![OsString::from_vec(vec![b'x'; 100 * 1024]), "after".into()]);
    arrive(&[], vec![OsString::from_vec(vec![b'x'; 128 * 1024 - 1])]);
}

case!(many_words, Needs::NAMESPACES);
fn many_words() {
    let hundred_kib = (0..1024).map(|at| OsString::from(format!("{at:0>100}")));
    arrive(&[], hundred_kib.collect());
    let a_mebibyte = (0..10_000).map(|at| OsString::from(format!("{at:0>100}")));
    arrive(&[], a_mebibyte.collect());
    arrive(&[], vec![OsString::new(); 30_000]);
}

case!(more_than_the_kernel_takes, Needs::NAMESPACES);
/// No single variable is too long, but all of them together are. mydocker itself must still start, so they come from a
/// file.
fn more_than_the_kernel_takes() {
    let folder = Folder::new();
    let variables: String = (0..60).map(|at| format!("V{at}={}\n", "x".repeat(120_000))).collect();
    let file = folder.write("variables", variables.as_bytes());
    probe(&["--env-file", &file], &["status", "0"]).finish().refused(126, &["E2BIG", "execve"]);
}

case!(the_first_word_as_typed, Needs::NAMESPACES);
fn the_first_word_as_typed() {
    let folder = Folder::new();
    folder.link_to_probe("tool");
    let path = format!("PATH={}", folder.text(""));
    for (options, first) in [(vec!["-e", &path], "tool"), (vec![], "./tool"), (vec![], &folder.text("tool"))] {
        let words: Vec<OsString> = [first, "--probe", "argv"].map(OsString::from).to_vec();
        let printed = run(&options, &words).with(|command| command.current_dir(folder.as_path())).finish().success();
        assert_eq!(words_of(&printed), words);
    }
}

case!(a_command_that_is_not_utf8, Needs::NAMESPACES);
fn a_command_that_is_not_utf8() {
    let folder = Folder::new();
    let name = OsString::from_vec(b"t\xff\xfeol".to_vec());
    std::os::unix::fs::symlink(crate::support::harness::probe_file(), folder.as_path().join(&name)).expect("symlink");
    let words = [folder.as_path().join(&name).into_os_string(), "--probe".into(), "argv".into()];
    assert_eq!(words_of(&run(&["-t"], &words).finish().success()), words);
}

case!(one_word_with_blanks, Needs::NAMESPACES | Needs::LS);
fn one_word_with_blanks() {
    let folder = Folder::new();
    folder.write("seen-from-inside", b"12345");
    for options in [&["-t"][..], &[], &["-it"], &["--"]] {
        for words in [&["ls -l"][..], &["ls", "-l"], &["ls  -l "]] {
            let list = run(options, words).with(|command| command.current_dir(folder.as_path())).finish().success();
            let line = list.lines().find(|line| line.contains("seen-from-inside"));
            assert!(line.is_some_and(|line| line.starts_with("-rw")), "{options:?} {words:?}: {list}");
        }
    }
}

case!(a_file_with_a_blank_in_its_name_comes_first, Needs::NAMESPACES);
fn a_file_with_a_blank_in_its_name_comes_first() {
    let folder = Folder::new();
    // If mydocker split these words, they would be `tool` with an argument; whole, they are files of that name.
    let whole = folder.link_to_probe("tool --probe");
    folder.write_program("tool", b"#!/nowhere\n");
    let words: Vec<OsString> = vec![whole.into(), "--probe".into(), "argv".into()];
    assert_eq!(words_of(&run(&[], &words).finish().success()), words);
    let words: Vec<OsString> = ["tool --probe", "--probe", "argv"].map(OsString::from).to_vec();
    let path = format!("PATH={}", folder.text(""));
    assert_eq!(words_of(&run(&["-e", &path], &words).finish().success()), words);
}

case!(a_split_word_that_is_not_found_is_named_whole, Needs::NAMESPACES);
fn a_split_word_that_is_not_found_is_named_whole() {
    for options in [&["-t"][..], &[]] {
        run(options, &["no-such-tool -l now"]).finish().refused(127, &["no-such-tool -l now"]);
        run(options, &["/no/such/tool -l"]).finish().refused(127, &["/no/such/tool -l"]);
    }
    run(&[], &["   "]).finish().refused(127, &["   "]);
}

case!(standard_input_passes_through, Needs::NAMESPACES);
fn standard_input_passes_through() {
    let bytes: Vec<u8> = (0..200_000u32).map(|at| (at * 7 % 251) as u8).collect();
    for options in [&[][..], &["-i"]] {
        let mut running = probe(options, &["echo"]).start();
        running.write_stdin(&bytes);
        let outcome = running.finish();
        outcome.silent_bytes(&bytes);
    }
}
