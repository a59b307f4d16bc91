//! The command line: words in, [`Action`] out.

mod help;
mod options;
mod order;
mod spelling;
mod topics;
mod unknown;
mod verbs;

pub use options::{DryRun, Request, TraceTo, parse_options};

use core::ffi::CStr;
use mydocker::cgroup;
use mydocker::error::{Error, Result};
use mydocker::process::order::Order;
use options::ROWS;
use spelling::Operands;

/// What to do.
pub enum Action<'a> {
    /// Run the command: the words after the options.
    Run(&'static mut Request, &'a [&'a [u8]]),
    /// Print what this host offers.
    Check {
        /// As JSON, not as text.
        json: bool,
    },
    /// Run the command in a container that runs: the options, the name, the command.
    Exec(Vec<&'static str>, &'static CStr, &'a [&'a [u8]]),
    /// Do something with containers that have a record.
    Manage(Order),
    /// Print this to stdout, and end with 0.
    Print(&'static [u8]),
    /// Print this to stderr, and end with 125.
    Explain(&'static [u8]),
}

/// What `--version` prints.
const VERSION: &str = concat!(
    "mydocker ",
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("MYDOCKER_COMMIT"),
    ", ",
    env!("MYDOCKER_TARGET"),
    ")\n"
);

/// Parses the words after the program's name.
pub fn parse<'a>(words: &'a [&'a [u8]]) -> Result<Action<'a>> {
    let Some((word, words)) = words.split_first() else { return Ok(Action::Explain(help::HELP.as_bytes())) };
    match core::str::from_utf8(word).unwrap_or_default() {
        "-h" | "--help" => Ok(Action::Print(help::HELP.as_bytes())),
        "-V" | "-v" | "--version" | "version" => Ok(Action::Print(match words {
            [b"-h" | b"--help", ..] => help::VERSION_HELP.as_bytes(),
            _ => VERSION.as_bytes(),
        })),
        "help" => parse_help(words),
        "run" => parse_run(words).map_err(|e| e.of_command("run")),
        "exec" => parse_exec(words).map_err(|e| e.of_command("exec")),
        "check" => parse_check(words).map_err(|e| e.of_command("check")),
        name => match verbs::VERBS.iter().find(|verb| verb.name == name) {
            None => Err(unknown::command(word)),
            Some(verb) => Ok(match order::parse(verb, words).map_err(|e| e.of_command(verb.name))? {
                None => Action::Print(help::verb_help(verb).leak()),
                Some(order) => Action::Manage(order),
            }),
        },
    }
}

/// Parses the words after `help`: a topic, or a command, whose own help that is.
fn parse_help<'a>(words: &[&'a [u8]]) -> Result<Action<'a>> {
    match words {
        [] | [b"help" | b"-h" | b"--help"] => Ok(Action::Print(help::HELP.as_bytes())),
        [name] => match topics::find(str::from_utf8(name).unwrap_or_default()) {
            Some(topic) => Ok(Action::Print(topic.text.as_bytes())),
            None if !unknown::is_command(name) && !matches!(*name, b"-V" | b"-v" | b"--version") => {
                Err(unknown::topic(name))
            }
            None => parse(vec![*name, b"--help"].leak()),
        },
        [_, word, ..] => Err(Error::usage("help takes one word, not also", word)),
    }
}

/// Parses the words after `run`.
fn parse_run<'a>(words: &'a [&'a [u8]]) -> Result<Action<'a>> {
    let split = spelling::normalise(ROWS, words, Operands::Command)?;
    if split.help {
        return Ok(Action::Print(help::run_help().leak()));
    }
    let request = parse_options(&split.options)?;
    let command = match request.entrypoint {
        Some(first) => [&[first.as_bytes()], split.command].concat().leak(),
        None => split.command,
    };
    match command {
        [] => Err(Error::usage("run needs a COMMAND", b"")),
        [b"", ..] => Err(Error::usage("an empty COMMAND", b"")),
        command => Ok(Action::Run(request, command)),
    }
}

/// Parses the words after `exec`.
fn parse_exec<'a>(words: &'a [&'a [u8]]) -> Result<Action<'a>> {
    let split = spelling::normalise(help::exec_rows(), words, Operands::Command)?;
    match split.command {
        _ if split.help => Ok(Action::Print(help::verb_help(&help::exec_verb()).leak())),
        [name, command @ ..] => {
            let name = str::from_utf8(name).map_err(|_| Error::usage("not UTF-8", name))?;
            cgroup::check_name(name)?;
            if command.first().is_none_or(|word| word.is_empty()) {
                return Err(Error::usage("exec needs a NAME and a COMMAND", b""));
            }
            let options = split.options.iter().map(|word| &*String::from(*word).leak()).collect();
            Ok(Action::Exec(options, options::path(name), command))
        }
        [] => Err(Error::usage("exec needs a NAME and a COMMAND", b"")),
    }
}

/// Parses the words after `check`.
fn parse_check<'a>(words: &[&[u8]]) -> Result<Action<'a>> {
    let [first, ..] = words else { return Ok(Action::Check { json: false }) };
    match core::str::from_utf8(first).unwrap_or_default() {
        "-h" | "--help" => Ok(Action::Print(help::CHECK_HELP.as_bytes())),
        "--json" if words.len() == 1 => Ok(Action::Check { json: true }),
        _ => {
            let wrong = words.iter().find(|word| **word != b"--json").unwrap_or(first);
            Err(Error::usage("check takes --json, not", wrong))
        }
    }
}

#[cfg(test)]
mod tests;
