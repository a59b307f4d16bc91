//! `--pid-file`: the container's pid on the host, for programs that supervise it.

use crate::support::folder::Folder;
use crate::support::harness::{probe, waiting_container};
use crate::support::needs::Needs;
use std::fs;

case!(it_holds_the_pid_on_the_host, Needs::NAMESPACES);
fn it_holds_the_pid_on_the_host() {
    let folder = Folder::new();
    for options in [&[][..], &["--init"], &["--pid", "host"]] {
        let file = folder.text("pid");
        let running = waiting_container(&[options, &["--pid-file", &file]].concat());
        assert_eq!(fs::read_to_string(&file).expect("the file"), format!("{}\n", running.command_pid()), "{options:?}");
        running.finish().success();
    }
}

case!(it_is_there_before_the_command, Needs::NAMESPACES);
fn it_is_there_before_the_command() {
    let folder = Folder::new();
    let file = folder.text("pid");
    let inside = probe(&["--pid-file", &file], &["file", &file]).finish().success();
    assert!(inside.trim_end().parse::<i32>().expect("a pid") > 1 && inside.ends_with('\n'), "{inside:?}");
}

case!(an_older_one_is_replaced, Needs::NAMESPACES);
fn an_older_one_is_replaced() {
    let folder = Folder::new();
    let file = folder.write("pid", b"1234567890123\n");
    let inside = probe(&["--pid-file", &file], &["file", &file]).finish().success();
    assert!(inside.trim_end().parse::<i32>().expect("a pid") > 1, "{inside:?}");
}

case!(one_that_cannot_be_written_ends_it_at_once, Needs::NAMESPACES);
fn one_that_cannot_be_written_ends_it_at_once() {
    let folder = Folder::new();
    let (file, mark) = (folder.text("no/pid"), folder.text("mark"));
    probe(&["--pid-file", &file], &["touch", &mark]).finish().refused(125, &["openat", &file, "ENOENT"]);
    assert!(!folder.path("mark").exists(), "the command must not run");
}
