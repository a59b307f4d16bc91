//! The command's environment, working directory and hostname.

use crate::support::folder::Folder;
use crate::support::harness::{Run, probe, probe_file, run, unique_name};
use crate::support::needs::Needs;
use std::process::Command;

/// The variables that the command sees if mydocker's own environment is exactly `own`.
fn variables(options: &[&str], own: &[(&str, &str)]) -> Vec<String> {
    let outcome = with_environment(probe(options, &["env"]), own).finish();
    outcome.success().lines().map(String::from).collect()
}

fn with_environment(run: Run, own: &[(&str, &str)]) -> Run {
    run.with(|command: &mut Command| command.env_clear().envs(own.iter().copied()))
}

#[track_caller]
fn assert_same(mut found: Vec<String>, expected: &[&str]) {
    let mut expected: Vec<String> = expected.iter().map(|word| word.to_string()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

case!(the_environment_is_kept, Needs::NAMESPACES);
fn the_environment_is_kept() {
    assert_same(variables(&[], &[("A", "1"), ("EMPTY", ""), ("B", "x y=z")]), &["A=1", "EMPTY=", "B=x y=z"]);
    assert_same(variables(&[], &[]), &[]);
}

case!(variables_are_added, Needs::NAMESPACES);
fn variables_are_added() {
    assert_same(
        variables(&["-e", "A=1", "--env", "B=", "-eC=x=y", "--env=D=a b"], &[("O", "own")]),
        &["A=1", "B=", "C=x=y", "D=a b", "O=own"],
    );
}

case!(a_variable_by_name_alone, Needs::NAMESPACES);
fn a_variable_by_name_alone() {
    // A name alone passes on the caller's variable; a variable that the caller does not have is removed.
    assert_same(variables(&["-e", "O", "-e", "NONE"], &[("O", "own")]), &["O=own"]);
    assert_same(variables(&["-e", "A=1", "-e", "A"], &[("O", "own")]), &["O=own"]);
    let root = crate::support::roots::Root::with_directories();
    let run = with_environment(root.probe(&["-e", "HOSTNAME", "-e", "PATH"], &["env"]), &[("O", "own")]);
    assert_eq!(run.finish().success(), "HOME=/root\n");
}

case!(home_and_working_directory, Needs::NAMESPACES);
/// With -u, HOME is that of the user; with -w, PWD is that directory.
fn home_and_working_directory() {
    let own = [("HOME", "/else"), ("PWD", "/else")];
    assert_same(variables(&["-u", "0"], &own), &["HOME=/root", "PWD=/else"]);
    assert_same(variables(&["-u", "0", "-e", "HOME"], &own), &["HOME=/else", "PWD=/else"]);
    assert_same(variables(&["-u", "0", "-e", "HOME=/a"], &[]), &["HOME=/a"]);
    assert_same(variables(&["-w", "/usr"], &own), &["HOME=/else", "PWD=/usr"]);
    assert_same(variables(&["-w", "/usr", "-e", "PWD=/a"], &own), &["HOME=/else", "PWD=/a"]);
    // A relative one is not a PWD.
    assert_same(variables(&["-w", "."], &own), &["HOME=/else"]);
}

case!(a_later_variable_wins, Needs::NAMESPACES);
fn a_later_variable_wins() {
    assert_same(variables(&["-e", "O=1"], &[("O", "own")]), &["O=1"]);
    assert_same(variables(&["-e", "A=1", "-e", "B=2", "-e", "A=3"], &[]), &["A=3", "B=2"]);
}

case!(a_file_of_variables, Needs::NAMESPACES);
/// Docker's format: one variable per line, `#` comments, no quoting, a name alone for the caller's own value, blanks
/// before a name dropped.
fn a_file_of_variables() {
    let folder = Folder::new();
    let text = "A=1\n# a comment\n\n  B=two words \nC=\"quoted\"\nO\nNONE\nD=\nE=a=b#c\n\tF=1\nA=2\nLAST=no newline";
    let file = folder.write("env", text.as_bytes());
    let expected = ["A=2", "B=two words ", "C=\"quoted\"", "O=own", "D=", "E=a=b#c", "F=1", "LAST=no newline"];
    assert_same(variables(&["--env-file", &file], &[("O", "own")]), &expected);
    let marked = folder.write("marked", b"\xef\xbb\xbfA=1\nB=2\n");
    assert_same(variables(&["--env-file", &marked], &[]), &["A=1", "B=2"]);
    assert_same(variables(&["--env-file", &folder.write("empty", b"")], &[("O", "own")]), &["O=own"]);
}

case!(the_command_line_wins_over_the_file, Needs::NAMESPACES);
fn the_command_line_wins_over_the_file() {
    let folder = Folder::new();
    let file = folder.write("env", b"A=file\nO=file\n");
    assert_same(variables(&["-e", "A=line", "--env-file", &file], &[("O", "own")]), &["A=line", "O=file"]);
    assert_same(variables(&["--env-file", &file, "-e", "A=line"], &[]), &["A=line", "O=file"]);
    // A name alone takes the caller's value, even if a file has set another one.
    assert_same(variables(&["--env-file", &file, "-e", "O"], &[("O", "own")]), &["A=file", "O=own"]);
}

case!(several_files_of_variables, Needs::NAMESPACES);
fn several_files_of_variables() {
    let folder = Folder::new();
    let (one, two) = (folder.write("one", b"A=1\nB=1\n"), folder.write("two", b"B=2\nC=2\n"));
    assert_same(variables(&["--env-file", &one, "--env-file", &two], &[]), &["A=1", "B=2", "C=2"]);
}

case!(what_is_no_env_file, Needs::NAMESPACES);
fn what_is_no_env_file() {
    let folder = Folder::new();
    for lines in [&b"A=1\n=x\n"[..], b"A B=1\n", b"A=\xff\n"] {
        let file = folder.write("env", lines);
        run(&["--env-file", &file], &["true"]).finish().usage_error(&[&file]);
    }
    for path in ["none", "env/x", ""] {
        let path = folder.text(path);
        run(&["--env-file", &path], &["true"]).finish().refused(125, &[&path, "--env-file"]);
    }
}

case!(path_is_the_containers_own, Needs::NAMESPACES);
fn path_is_the_containers_own() {
    let folder = Folder::new();
    folder.link_to_probe("only-here");
    let path = folder.text("");
    let command = ["only-here", "--probe", "status", "4"];
    run(&["-e", &format!("PATH={path}")], &command).with(|c| c.env("PATH", "/nowhere")).finish().silent(4);
    run(&["-e", "PATH=/nowhere"], &command).with(|c| c.env("PATH", &path)).finish().refused(127, &["only-here"]);
}

case!(the_folder_is_kept, Needs::NAMESPACES);
fn the_folder_is_kept() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("a b")).expect("mkdir");
    let start = probe(&[], &["folder"]).with(|command| command.current_dir(folder.path("a b")));
    assert_eq!(start.finish().success(), format!("{}\n", folder.text("a b")));
}

case!(another_folder, Needs::NAMESPACES);
fn another_folder() {
    let folder = Folder::new();
    for options in
        [["-w", &folder.text("")].as_slice(), &["--workdir", &folder.text("")], &[&format!("-w{}", folder.text(""))]]
    {
        let seen = probe(options, &["folder"]).with(|command| command.current_dir("/")).finish().success();
        assert_eq!(seen.trim_end(), folder.as_path().to_str().expect("UTF-8"));
    }
    // /proc belongs to the container: it shows the container's process 1, not the host's.
    assert_eq!(probe(&["-w", "/proc/1"], &["folder"]).finish().success(), "/proc/1\n");
}

case!(a_relative_command_starts_from_the_folder, Needs::NAMESPACES);
fn a_relative_command_starts_from_the_folder() {
    let folder = Folder::new();
    folder.link_to_probe("tool");
    run(&["-w", &folder.text("")], &["./tool", "--probe", "status", "6"]).finish().silent(6);
}

case!(hostname_option, Needs::NAMESPACES);
fn hostname_option() {
    for options in [["--hostname", "else.where"].as_slice(), &["--hostname=else.where", "--name", &unique_name()]] {
        assert_eq!(probe(options, &["hostname"]).finish().success(), "else.where\n");
    }
    assert_ne!(own_hostname(), "else.where");
}

case!(name_is_the_hostname, Needs::NAMESPACES);
fn name_is_the_hostname() {
    let name = unique_name();
    assert_eq!(probe(&["--name", &name], &["hostname"]).finish().success(), format!("{name}\n"));
    assert_ne!(own_hostname(), name);
}

case!(hostname_unchanged, Needs::NAMESPACES);
fn hostname_unchanged() {
    assert_eq!(probe(&[], &["hostname"]).finish().success(), format!("{}\n", own_hostname()));
}

fn own_hostname() -> String {
    let probe = Command::new(probe_file()).args(["--probe", "hostname"]).output().expect("a probe on the host");
    String::from_utf8(probe.stdout).expect("UTF-8").trim_end().to_string()
}
