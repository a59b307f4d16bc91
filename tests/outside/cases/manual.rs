//! The man page and the completions say what `--help` says: all come from the same table, and these cases compare them.

use crate::support::folder::Folder;
use crate::support::harness::mydocker;
use crate::support::needs::Needs;
use pages::{Described, options};
use std::process::Command;

#[path = "../../manual/pages.rs"]
mod pages;

fn help() -> Vec<Described> {
    options(&mydocker(&["run", "--help"]).finish().success())
}

case!(help_fits_on_a_screen, Needs::NOTHING);
fn help_fits_on_a_screen() {
    let text = mydocker(&["--help"]).finish().success();
    assert!(text.lines().count() <= 24, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for word in ["run", "check", "--help", "--version", "--dry-run"] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
}

case!(run_help_is_grouped, Needs::NOTHING);
fn run_help_is_grouped() {
    let mut groups: Vec<String> = help().into_iter().map(|option| option.group).collect();
    groups.dedup();
    assert_eq!(groups, ["Limits", "Root", "Process", "Namespaces", "Privilege", "Seeing"]);
    let text = mydocker(&["run", "--help"]).finish().success();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

/// A line of the page without its markup.
fn plain(line: &str) -> String {
    let line = line.strip_prefix("\\&").unwrap_or(line);
    ["\\fB", "\\fI", "\\fR"]
        .iter()
        .fold(line.to_string(), |line, font| line.replace(font, ""))
        .replace("\\-", "-")
        .replace("\\e", "\\")
}

case!(the_man_page_says_what_help_says, Needs::NOTHING);
fn the_man_page_says_what_help_says() {
    let page = pages::man_page();
    let section = page.split(".SH OPTIONS\n").nth(1).expect("options").split("\n.SH ").next().expect("options");
    let said: Vec<(String, String)> = section
        .split(".TP\n")
        .skip(1)
        .map(|entry| {
            let mut lines = entry.lines();
            (plain(lines.next().expect("names")), plain(lines.next().expect("what it does")))
        })
        .collect();
    // The help's own lines, with their columns.
    let text = mydocker(&["run", "--help"]).finish().success();
    let helped: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.trim_start().split_once("  "))
        .map(|(names, what)| (names.to_string(), what.trim().to_string()))
        .collect();
    assert!(helped.len() > 35);
    assert_eq!(said, helped);
    for status in ["125", "126", "127", "128 + n"] {
        assert!(page.contains(&format!(".TP\n{status}\n")), "{status}");
    }
}

case!(the_man_page_is_well_formed, Needs::GROFF);
fn the_man_page_is_well_formed() {
    let folder = Folder::new();
    let file = folder.write("mydocker.1", pages::man_page().as_bytes());
    let output = Command::new("groff").args(["-man", "-ww", "-Tascii", &file]).output().expect("groff");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).replace('\u{8}', "");
    assert!(text.contains("MYDOCKER(1)"), "{text}");
}

case!(completions_know_every_option, Needs::NOTHING);
fn completions_know_every_option() {
    for option in help() {
        for name in &option.names {
            let (bash, zsh, fish) = (pages::bash(), pages::zsh(), pages::fish());
            let is = |c: char| c.is_ascii_alphanumeric() || c == '-';
            assert!(bash.split(|c| !is(c)).any(|word| word == name), "bash: {name}");
            assert!(
                zsh.split(|c| !is(c)).any(|word| word == name || word.strip_suffix('-') == Some(name)),
                "zsh: {name}"
            );
            let words = match name.strip_prefix("--") {
                Some(long) => format!(" -l {long} "),
                None => format!(" -s {} ", &name[1..]),
            };
            assert!(fish.contains(&words), "fish: {name}");
        }
    }
}

case!(bash_completes, Needs::BASH);
fn bash_completes() {
    let folder = Folder::new();
    let file = folder.write("mydocker.bash", pages::bash().as_bytes());
    folder.write("a-file", b"");
    let complete = |words: &[&str]| {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let script = format!(
            "source {file}; cd {}; COMP_WORDS=({}); COMP_CWORD={}; _mydocker; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            folder.as_path().display(),
            quoted.join(" "),
            words.len() - 1
        );
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| !line.is_empty()).map(String::from).collect::<Vec<_>>()
    };
    for (words, expected) in [
        (&["mydocker", ""][..], &["run", "check", "--help", "--version"][..]),
        (&["mydocker", "check", "--j"], &["--json"]),
        (&["mydocker", "run", "--mem"], &["--memory-limit", "--memory", "--memory-swap"]),
        (&["mydocker", "run", "-t", "--dry"], &["--dry-run", "--dry-run="]),
        (&["mydocker", "run", "--network", ""], &["none", "host"]),
        (&["mydocker", "run", "--pid", "h"], &["host"]),
        (&["mydocker", "run", "--env-file", "a-"], &["a-file"]),
        (&["mydocker", "run", "-m", ""], &[]),
        (&["mydocker", "run", "-m", "1g", "--cpus", "1", "--uts", ""], &["host"]),
        (&["mydocker", "run", "-t", "ls", "--a"], &[]),
        (&["mydocker", "run", "-t", "ls", "a-"], &["a-file"]),
        (&["mydocker", "other", ""], &[]),
    ] {
        assert_eq!(complete(words), expected, "{words:?}");
    }
    assert!(complete(&["mydocker", "run", "-m", "1g", "bas"]).contains(&"bash".to_string()), "a command");
    let all = complete(&["mydocker", "run", "-"]);
    for option in help() {
        for name in &option.names {
            assert!(all.contains(name), "{name}");
        }
    }
}

case!(zsh_reads_it, Needs::ZSH);
fn zsh_reads_it() {
    let folder = Folder::new();
    let file = folder.write("_mydocker", pages::zsh().as_bytes());
    let output = Command::new("zsh").args(["-n", &file]).output().expect("zsh");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    // zsh's own parser of the specifications, called as a completion calls it, reports no error.
    let script = format!(
        "autoload -U compinit && compinit -D -u; fpath=({0} $fpath); zmodload zsh/zpty; \
         zpty z 'zsh -f -i'; zpty -w z 'PS1=; fpath=({0} $fpath); autoload -U compinit; compinit -D -u; compdef _mydocker mydocker; \
         zstyle :completion:\\* list-prompt %S; LISTMAX=1000; print rea''dy'; zpty -r z out '*ready*'; \
         zpty -n -w z $'mydocker run --pids\\t'; zpty -r -m z out '*--pids-limit*' && print found",
        folder.as_path().display()
    );
    let output = Command::new("timeout").args(["20", "zsh", "-f", "-c", &script]).output().expect("zsh");
    assert!(String::from_utf8_lossy(&output.stdout).contains("found"), "{output:?}");
}

case!(fish_completes, Needs::FISH);
fn fish_completes() {
    let folder = Folder::new();
    let file = folder.write("mydocker.fish", pages::fish().as_bytes());
    let complete = |line: &str| {
        let script = format!("source {file}; complete -C'{line}'");
        let output = Command::new("fish").args(["--no-config", "-c", &script]).output().expect("fish");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter_map(|line| Some(line.split('\t').next()?.to_string())).collect::<Vec<_>>()
    };
    assert!(complete("mydocker r").contains(&"run".to_string()));
    assert_eq!(complete("mydocker run --memory-"), ["--memory-limit", "--memory-swap"]);
    assert_eq!(complete("mydocker run --network "), ["host", "none"]);
}

case!(install_installs_them, Needs::NOTHING);
/// `just install` names each of the files.
fn install_installs_them() {
    let justfile = include_str!("../../../Justfile");
    let recipe = justfile.split("\ninstall ").nth(1).expect("install");
    for (name, _) in pages::files() {
        assert!(recipe.contains(&format!("dist/{name} ")), "{name}");
    }
}
