//! What `--help` prints. The options come from their rows; the rest is here.

use super::options::{GROUPS, ROWS, Row, Value};
use super::verbs::Verb;
use mydocker::bytes::{Put, split};
use mydocker::process::order::Act;

/// `mydocker --help`.
pub const HELP: &str = "\
mydocker runs a command in its own Linux namespaces, under cgroup limits.

Usage: mydocker run [OPTIONS] COMMAND [ARG...]
       mydocker exec [OPTIONS] NAME COMMAND [ARG...]
       mydocker ps [OPTIONS]
       mydocker stats | logs [OPTIONS] NAME
       mydocker wait | stop | kill | pause | unpause | rm [OPTIONS] NAME...
       mydocker check [--json]
       mydocker help [COMMAND | limits | root | network | security]
       mydocker --help | --version

  mydocker run -t -m 100m --cpu-set 0 sh   a shell, 100 MiB, the first CPU
  mydocker run --rootfs DIR -t sh          a shell in a root of its own
  mydocker run --dry-run sh                what would be done, step by step
  mydocker help run                        every option
  mydocker check                           what this host offers
";

/// `mydocker run --help` before the options.
pub const BEFORE_OPTIONS: &str = "\
Usage: mydocker run [OPTIONS] COMMAND [ARG...]

Runs COMMAND in new UTS, PID, mount, network and IPC namespaces, under cgroup
limits.
";

/// `mydocker run --help` after the options.
pub const AFTER_OPTIONS: &str = "
-h, --help alone prints this. BYTES is a number with an optional unit b, k, m,
g or t. An option with ... can be given many times. Options end at COMMAND, or
at --.

Exit status: that of COMMAND; 128+n if signal n ended it; 125 if mydocker failed
and nothing was run; 126 if COMMAND cannot be executed; 127 if it was not found.
";

const WIDTH: usize = 80;

/// Where the explanations begin.
const COLUMN: usize = 41;

/// All of `mydocker run --help`.
pub fn run_help() -> Vec<u8> {
    let mut text = BEFORE_OPTIONS.as_bytes().to_vec();
    let mut rows = ROWS.iter();
    for (group, count) in GROUPS {
        text.put(b"\n");
        text.put(group.as_bytes());
        text.put(b":\n");
        rows.by_ref().take(*count).for_each(|row| put_row(row, &mut text));
    }
    text.put(AFTER_OPTIONS.as_bytes());
    text
}

/// The options of `exec`: some of those of `run`.
pub fn exec_rows() -> &'static [Row] {
    let mut rows = ROWS.to_vec();
    rows.retain(|row| row.exec.takes);
    rows.leak()
}

/// `exec`, as its help and the manual know it.
pub fn exec_verb() -> Verb {
    let usage = "[OPTIONS] NAME COMMAND [ARG...]";
    let help = "Runs COMMAND in a container that runs, confined as the container is.";
    Verb { name: "exec", usage, help, rows: exec_rows(), act: Act::List }
}

/// `mydocker check --help`.
pub const CHECK_HELP: &str = "\
Usage: mydocker check [--json]

Says what this host offers, and how to fix what does not work.
";

/// `mydocker version --help`.
pub const VERSION_HELP: &str = "\
Usage: mydocker version

Prints the version, the commit and the target.
";

/// All of `mydocker VERB --help`.
pub fn verb_help(verb: &Verb) -> Vec<u8> {
    let mut text = Vec::new();
    for part in ["Usage: mydocker ", verb.name, " ", verb.usage, "\n\n", verb.help, "\n\n"] {
        text.put(part.as_bytes());
    }
    verb.rows.iter().for_each(|row| put_row(row, &mut text));
    text
}

/// Puts the names of an option and what it does, wrapped.
fn put_row(row: &Row, text: &mut Vec<u8>) {
    text.put_column(&synopsis(row), COLUMN - 1);
    let mut column = COLUMN - 1;
    for word in split(row.help.as_bytes(), b' ') {
        if column + 1 + word.len() > WIDTH {
            text.put(b"\n");
            text.put_column(b"", COLUMN - 1);
            column = COLUMN - 1;
        }
        text.put(b" ");
        text.put(word);
        column += 1 + word.len();
    }
    text.put(b"\n");
}

/// The names of an option and its value: `  -v, --volume SRC:DST[:ro]...`, with all long names in one column.
fn synopsis(row: &Row) -> Vec<u8> {
    let mut line = Vec::new();
    line.put(if row.names.starts_with("--") { b"      " } else { b"  " });
    line.put(row.names.as_bytes());
    let (before, after) = match row.value {
        Value::Switch => ("", ""),
        Value::One => (" ", ""),
        Value::Many => (" ", "..."),
        Value::Optional => ("[=", "]"),
    };
    for text in [before, row.word, after] {
        line.put(text.as_bytes());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_help() -> String {
        String::from_utf8(super::run_help()).unwrap()
    }

    fn synopsis(row: &Row) -> String {
        String::from_utf8(super::synopsis(row)).unwrap()
    }

    #[test]
    fn the_help_fits_a_terminal() {
        for line in run_help().lines().chain(HELP.lines()) {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(!line.ends_with(' '), "{line}");
        }
    }

    #[test]
    fn every_row_is_printed_with_its_explanation() {
        let text = run_help();
        for row in ROWS {
            assert!(!row.help.is_empty(), "{}", row.names);
            // Two blanks divide the columns.
            assert!(synopsis(row).len() + 2 <= COLUMN, "{}", row.names);
            let (_, from_row) = text.split_once(&synopsis(row)).unwrap();
            let printed: Vec<&str> = from_row.split_whitespace().collect();
            assert!(printed.join(" ").starts_with(row.help), "{}", row.names);
        }
    }
}
