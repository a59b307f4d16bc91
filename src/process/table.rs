//! What is printed for people: tables, sizes and times.

use crate::bytes::Put;
use crate::error::Result;
use crate::sys::{self, FdRef};
use alloc::vec::Vec;

/// The columns of `ps`.
const COLUMNS: [&str; 6] = ["NAME", "STATUS", "COMMAND", "PID", "MEMORY", "PORTS"];
const COMMAND: usize = 2;
const PORTS: usize = 5;

/// How much of a command the table shows,
const COMMAND_AT_MOST: usize = 20;
/// and how much it shows in any case.
const COMMAND_AT_LEAST: usize = COLUMNS[COMMAND].len();

/// The end of one that is longer.
const MARK: &[u8] = b"..";

/// What the table says of one container.
pub type Row = [&'static [u8]; COLUMNS.len()];

/// How many blanks stand between two columns.
const GAP: usize = 2;

/// Prints the rows below the headings, for the terminal that standard output is, or for other programs.
pub fn put_table(rows: Vec<Row>) -> Result<()> {
    let terminal = sys::window_size(FdRef::STDOUT).map(|size| size.columns()).filter(|columns| *columns > 0);
    sys::write_all(FdRef::STDOUT, &table(rows, terminal))
}

/// The table, in columns as wide as what is in them. In one that is wider than the terminal, or than 80 columns, the commands are
/// shorter. If that is not enough, the ports have a line of their own, on a terminal alone: other programs read one line for each
/// container.
fn table(mut rows: Vec<Row>, terminal: Option<usize>) -> Vec<u8> {
    rows.insert(0, COLUMNS.map(str::as_bytes));
    let mut widths = [0; COLUMNS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = columns_of(cell).max(*width);
        }
    }
    let columns = terminal.unwrap_or(80);
    let mut others = widths.iter().sum::<usize>() - widths[COMMAND] + GAP * (COLUMNS.len() - 1);
    let is_folded = terminal.is_some() && others + COMMAND_AT_LEAST > columns;
    if is_folded {
        others -= GAP + widths[PORTS];
    }
    let room = columns.saturating_sub(others).clamp(COMMAND_AT_LEAST, COMMAND_AT_MOST);
    widths[COMMAND] = room.min(widths[COMMAND]);
    let mut out = Vec::new();
    for row in &rows {
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            if at == PORTS && is_folded && !cell.is_empty() {
                end_line(&mut out);
                out.put_column(b"", GAP);
            }
            // Only a command is longer than its column. A byte that continues a character of UTF-8 takes no column.
            let (kept, mark) = if columns_of(cell) > width { (width - MARK.len(), MARK) } else { (width, &b""[..]) };
            let end =
                cell.iter().enumerate().filter(|(_, byte)| begins(byte)).nth(kept).map_or(cell.len(), |(end, _)| end);
            let cell = cell.get(..end).unwrap_or_default();
            out.put(cell);
            out.put_column(mark, width + GAP - columns_of(cell));
        }
        end_line(&mut out);
    }
    out
}

/// Whether a character begins with this byte: utf-8(7).
fn begins(byte: &u8) -> bool {
    byte & 0xc0 != 0x80
}

/// How many columns of a terminal it takes.
fn columns_of(cell: &[u8]) -> usize {
    cell.iter().filter(|byte| begins(byte)).count()
}

/// Ends a line where its last cell ends.
fn end_line(out: &mut Vec<u8>) {
    out.truncate(out.trim_ascii_end().len());
    out.put(b"\n");
}

/// A time as people say it: `1 second`, `3 minutes`.
pub fn put_age(out: &mut Vec<u8>, seconds: u64) {
    let (n, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    out.put_decimal(n);
    out.put(b" ");
    out.put(unit.as_bytes());
    out.put(if n == 1 { b"" } else { b"s" });
}

/// A size as people write it: `105M`.
pub fn put_size(out: &mut Vec<u8>, bytes: u64) {
    let unit = (bytes.max(1).ilog2() / 10).min(4);
    out.put_decimal(bytes >> (10 * unit));
    out.put(b"BKMGT".get(unit as usize..).and_then(|units| units.get(..1)).unwrap_or_default());
}

/// After the memory in use, its limit: `105M / 200M`.
pub fn put_limit(out: &mut Vec<u8>, limit: Option<u64>) {
    out.put(b" / ");
    match limit {
        Some(limit) => put_size(out, limit),
        None => out.put(b"max"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        [
            ["web", "running 3 minutes", "nginx -g daemon off; worker", "1234", "105M / 200M", "0.0.0.0:8080->80/tcp"],
            ["db", "exited (137) 2 hours ago, out of memory", "postgres -D /var/lib/data", "", "", ""],
        ]
        .map(|row| row.map(str::as_bytes))
        .to_vec()
    }

    fn shown(rows: Vec<Row>, terminal: Option<usize>) -> String {
        String::from_utf8(table(rows, terminal)).unwrap()
    }

    #[test]
    fn one_line_each_where_there_is_room() {
        let text = shown(rows(), Some(130));
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("nginx -g daemon of..  1234  105M / 200M  0.0.0.0:8080->80/tcp\n"), "{text}");
        // Other programs get one line each, too.
        let text = shown(rows(), None);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("nginx..  1234"), "{text}");
    }

    #[test]
    fn shorter_commands_fit() {
        let mut rows = rows();
        rows[1][1] = b"exited (1) 2 hours ago";
        for terminal in [None, Some(80)] {
            let text = shown(rows.clone(), terminal);
            assert_eq!(text.lines().map(str::len).max(), Some(80), "{text}");
            assert_eq!(text.lines().count(), 3);
        }
    }

    #[test]
    fn a_command_ends_with_a_whole_character() {
        let mut rows = rows();
        rows[0][2] = "printf äöüß€äöüß€äöüß€äöüß€".as_bytes();
        rows[1][1] = b"exited (1) 2 hours ago";
        let text = shown(rows, Some(80));
        assert!(text.contains("  printf ..  1234  105M / 200M  0.0.0.0:8080->80/tcp\n"), "{text}");
    }

    #[test]
    fn several_lines_fit_a_terminal() {
        let text = shown(rows(), Some(80));
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(lines[1], "PORTS");
        assert!(lines[2].ends_with("1234  105M / 200M"), "{text}");
        assert_eq!(lines[3], "0.0.0.0:8080->80/tcp");
        assert!(lines[4].starts_with("db    exited (137) 2 hours ago, out of memory  postgre"), "{text}");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn no_rows() {
        assert_eq!(shown(Vec::new(), Some(10)).lines().next(), Some("NAME  STATUS  COMMAND  PID  MEMORY"));
        assert_eq!(shown(Vec::new(), None), "NAME  STATUS  COMMAND  PID  MEMORY  PORTS\n");
    }
}
