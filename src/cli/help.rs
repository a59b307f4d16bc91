//! What `--help` prints. The options come from their rows; the rest is here.

use super::options::{ROWS, Row, Value};

/// `mydocker --help`.
pub const HELP: &str = "\
mydocker runs a command in its own Linux namespaces, under cgroup limits.

Usage: mydocker run [OPTIONS] COMMAND [ARG...]
       mydocker check [--json]
       mydocker --help | --version

  mydocker run -t -m 100m --cpu-set 0 sh   a shell, 100 MiB, the first CPU
  mydocker run --rootfs DIR -t sh          a shell in a root of its own
  mydocker run --dry-run sh                what would be done, step by step
  mydocker run --help                      every option
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
const COLUMN: usize = 38;

/// All of `mydocker run --help`.
pub fn run_help() -> String {
    let mut text = String::from(BEFORE_OPTIONS);
    let mut group = "";
    for row in ROWS {
        if row.group != group {
            group = row.group;
            text = text + "\n" + group + ":\n";
        }
        let mut line = synopsis(row);
        line += &" ".repeat(COLUMN - line.len());
        for word in row.help.split(' ') {
            if line.len() + word.len() > WIDTH {
                text = text + line.trim_end() + "\n";
                line = " ".repeat(COLUMN);
            }
            line = line + word + " ";
        }
        text = text + line.trim_end() + "\n";
    }
    text + AFTER_OPTIONS
}

/// The names of an option and its value: `  -v, --volume SRC:DST[:ro]...`, with all long names in one column.
fn synopsis(row: &Row) -> String {
    let indent = if row.names.starts_with("--") { "      " } else { "  " };
    let start = indent.to_string() + row.names;
    match row.value {
        Value::Switch => start,
        Value::One(value) => start + " " + value,
        Value::Many(value) => start + " " + value + "...",
        Value::Optional(value) => start + "[=" + value + "]",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
