//! The command line: words in, [`Action`] out.

mod help;
mod options;
mod spelling;

pub use options::{DryRun, TraceTo};

use argh::FromArgs;
use mydocker::error::{Error, Result};
use mydocker::privilege;
use mydocker::spec::Spec;
use options::{Draft, Given, ROWS};

/// What to do.
pub enum Action<'a> {
    /// Run the command: the words after the options.
    Run(&'static Request, &'a [&'a [u8]]),
    /// Print what this host offers.
    Check {
        /// As JSON, not as text.
        json: bool,
    },
    /// Print this to stdout, and end with 0.
    Print(&'static [u8]),
    /// Print this to stderr, and end with 125.
    Explain(&'static [u8]),
}

/// What `run` is asked for.
pub struct Request {
    /// The container.
    pub spec: Spec,
    /// `--trace`
    pub trace: Option<TraceTo>,
    /// `--dry-run`: print the plan, and do nothing.
    pub dry_run: Option<DryRun>,
    /// `--step`: stop before each step.
    pub step: bool,
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
        "-V" | "--version" => Ok(Action::Print(VERSION.as_bytes())),
        "run" => parse_run(words),
        "check" => parse_check(words),
        _ => Err(Error::usage("unknown command", word)),
    }
}

/// Parses the words after `run`.
fn parse_run<'a>(words: &'a [&'a [u8]]) -> Result<Action<'a>> {
    let split = spelling::normalise(ROWS, words)?;
    match split.command {
        _ if split.help => Ok(Action::Print(help::run_help().leak())),
        [] => Err(Error::usage("run needs a COMMAND", b"")),
        [b"", ..] => Err(Error::usage("an empty COMMAND", b"")),
        command => Ok(Action::Run(parse_options(&split.options)?, command)),
    }
}

/// Parses the words after `check`.
fn parse_check<'a>(words: &[&[u8]]) -> Result<Action<'a>> {
    let [first, ..] = words else { return Ok(Action::Check { json: false }) };
    match core::str::from_utf8(first).unwrap_or_default() {
        "-h" | "--help" => Ok(Action::Print(help::HELP.as_bytes())),
        "--json" if words.len() == 1 => Ok(Action::Check { json: true }),
        _ => Err(Error::usage("check takes --json, not", words.last().unwrap_or(first))),
    }
}

/// Parses the options, as the normaliser spells them, and checks what concerns several of them.
fn parse_options(words: &[&str]) -> Result<&'static Request> {
    // The normaliser lets nothing through that argh does not know.
    let given = Given::from_args(&["mydocker run"], words)
        .map(|given| Box::leak(Box::new(given)))
        .map_err(|exit| Error::usage("not understood", exit.output.as_bytes().trim_ascii_end()))?;
    let mut draft = Draft::default();
    given.put_into(&mut draft)?;
    let mut spec = draft.spec;
    spec.limits.read(&draft.limits)?;
    spec.privilege = privilege::read(&privilege::Words {
        privileged: draft.privileged,
        add: &draft.cap_add,
        drop: &draft.cap_drop,
        options: &draft.security_opt,
    })?;
    if let Some(word) = draft.needs_own_root.filter(|_| !spec.has_own_root()) {
        return Err(Error::usage("this needs a root of its own, --rootfs or --ephemeral", word.as_bytes()));
    }
    if let Some(dir) = spec.workdir.map(|dir| dir.to_bytes()).filter(|dir| !dir.starts_with(b"/"))
        && spec.has_own_root()
    {
        return Err(Error::usage("--workdir is not an absolute path in the container", dir));
    }
    if let Some(hostname) = spec.hostname.filter(|_| spec.host_uts) {
        return Err(Error::usage("--hostname with --uts host would rename the host", hostname.as_bytes()));
    }
    let request = Request { spec, trace: draft.trace, dry_run: draft.dry_run, step: draft.step };
    Ok(Box::leak(Box::new(request)))
}

#[cfg(test)]
mod tests;
