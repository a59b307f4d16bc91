//! The command line: words in, [`Action`] out.

mod help;
mod options;
mod order;
mod spelling;
mod topics;
mod unknown;
mod verbs;

pub use options::{DryRun, Request, TraceTo};

use argh::FromArgs;
use core::ffi::CStr;
use mydocker::bytes::{Put, to_decimal};
use mydocker::cgroup;
use mydocker::error::{Error, Result};
use mydocker::process::order::Order;
use mydocker::spec::{LogTo, StatsTo};
use mydocker::{privilege, sys, sysctl};
use options::{Given, ROWS};
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
            let options = split.options.iter().map(|word| leak(word)).collect();
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
        _ => Err(Error::usage("check takes --json, not", words.last().unwrap_or(first))),
    }
}

/// Parses the options, as the normaliser spells them, and checks what concerns several of them.
pub fn parse_options(words: &[&str]) -> Result<&'static mut Request> {
    let request = Box::leak(Box::<Request>::default());
    match Given::from_args(&["mydocker run"], words) {
        Ok(given) => Box::leak(Box::new(given)).put_into(request)?,
        // The normaliser lets nothing through that argh does not know.
        Err(_) => return Err(Error::usage("not understood", b"")),
    }
    let spec = &mut request.spec;
    for pair in words.chunks(2) {
        if let [name, value] = pair
            && spelling::find(ROWS, name.as_bytes()).is_some_and(|row| row.exec.joins)
        {
            spec.words.extend([leak(name), leak(value)]);
        }
    }
    if spec.keep_id {
        let (uid, gid) = sys::effective_ids();
        if uid == 0 {
            return Err(Error::usage("--userns keep-id is for an ordinary user, and this is root", b"keep-id"));
        }
        if spec.user.is_none() {
            let mut ids = to_decimal(uid.into());
            ids.put(b":");
            ids.put_decimal(gid.into());
            spec.user = str::from_utf8(ids.leak()).ok();
        }
    }
    if !spec.groups.is_empty() {
        spec.user.get_or_insert("0");
    }
    spec.limits.read(&request.limits)?;
    spec.privilege = privilege::read(&request.privilege)?;
    if let Some(word) = request.needs_own_root.filter(|_| !spec.has_own_root()) {
        return Err(Error::usage("this needs a root of its own, --rootfs or --ephemeral", word.as_bytes()));
    }
    if let Some(dir) = spec.workdir.map(|dir| dir.to_bytes()).filter(|dir| !dir.starts_with(b"/"))
        && spec.has_own_root()
    {
        return Err(Error::usage("--workdir is not an absolute path in the container", dir));
    }
    let devices = spec.devices.iter().map(|[_, target]| *target);
    let targets: Vec<_> = spec.volumes.iter().map(|volume| volume.target).chain(devices).collect();
    let mut targets = targets.iter();
    while let Some(target) = targets.next() {
        // Of two only the later would be seen, as docker has it.
        if targets.as_slice().contains(target) {
            return Err(Error::usage("two mounts at one place", target.to_bytes()));
        }
    }
    if let Some(port) = spec.ports.first().filter(|_| spec.network.is_host()) {
        return Err(Error::usage("with --network host its ports are the host's: leave out -p", port.word.as_bytes()));
    }
    if spec.restart.is_some() && (spec.remove || !spec.detach) {
        return Err(Error::usage("--restart needs -d, and no --rm", b""));
    }
    let has_own_log = matches!(spec.log, LogTo::Own);
    if !spec.detach && (!has_own_log || spec.log_size.is_some()) {
        return Err(Error::usage("--log and --log-size need -d", b""));
    }
    if !has_own_log && spec.log_size.is_some() {
        return Err(Error::usage("--log-size is not for --log", b""));
    }
    if spec.shm_size.is_some() && spec.host_ipc {
        return Err(Error::usage("--shm-size is not for --ipc host", b""));
    }
    if request.limits.none && spec.cgroup_parent.is_some() {
        return Err(Error::usage("--cgroup-parent is not for --no-limits", b""));
    }
    if request.step && request.dry_run.is_some() {
        return Err(Error::usage("--dry-run makes no call: leave out --step", b""));
    }
    if spec.detach && request.dry_run == Some(DryRun::Script) {
        return Err(Error::usage("a script stays in the foreground, and keeps no record: leave out -d", b""));
    }
    // A dry run shows the steps as without -d.
    spec.detach &= request.dry_run.is_none();
    spec.untold = request.dry_run == Some(DryRun::Script);
    if spec.detach && (request.step || matches!(spec.stats, Some(StatsTo::Text | StatsTo::Json))) {
        return Err(Error::usage("-d leaves the terminal: no --step, and --stats only into a FILE", b""));
    }
    if let Some(hostname) = spec.hostname.filter(|_| spec.host_uts) {
        return Err(Error::usage("--hostname with --uts host would rename the host", hostname.as_bytes()));
    }
    if !spec.sysctls.is_empty() {
        sysctl::check(spec)?;
    }
    Ok(request)
}

fn leak(word: &str) -> &'static str {
    String::from(word).leak()
}

#[cfg(test)]
mod tests;
