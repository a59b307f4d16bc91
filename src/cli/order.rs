//! The words after the name of a command about containers become an [`Order`].

use super::options::path;
use super::spelling;
use super::verbs::Verb;
use mydocker::bytes;
use mydocker::cgroup;
use mydocker::error::{Error, Result};
use mydocker::log::View;
use mydocker::process::list::Order;
use mydocker::sys::{self, SignalNumber};

/// Parses the words after its name. `None`: its help is wanted.
pub fn parse(verb: &'static Verb, words: &[&[u8]]) -> Result<Option<Order>> {
    let split = spelling::normalise(verb.rows, words)?;
    if split.help {
        return Ok(None);
    }
    let mut order = Order {
        act: verb.act,
        state: None,
        all: false,
        quiet: false,
        json: false,
        filters: Vec::new(),
        force: false,
        view: View::default(),
        patience: Some(10_000),
        signal: libc::SIGKILL,
        once: false,
        names: Vec::new(),
    };
    for pair in split.options.chunks(2) {
        let [name, value] = pair else { continue };
        let value: &'static str = String::from(*value).leak();
        match *name {
            "--all" => order.all = true,
            "--quiet" => order.quiet = true,
            "--json" => order.json = true,
            "--filter" => match value.split_once('=') {
                Some((key @ ("name" | "status"), part)) if !part.is_empty() => order.filters.push((key, part)),
                _ => return Err(Error::usage("--filter takes name=PART or status=WORD, not", value.as_bytes())),
            },
            "--force" => order.force = true,
            "--no-stream" => order.once = true,
            "--volumes" => {}
            "--follow" => order.view.follow = true,
            "--timestamps" => order.view.times = true,
            "--tail" if value == "all" => order.view.tail = None,
            "--tail" => order.view.tail = Some(number(value)?),
            "--since" => order.view.since = time(value)?,
            "--time" if value == "-1" => order.patience = None,
            "--time" => {
                let milliseconds = u32::try_from(number(value)?.saturating_mul(1000));
                let too_long = |_| Error::usage("too many seconds", value.as_bytes());
                order.patience = Some(milliseconds.map_err(too_long)?);
            }
            "--signal" => {
                let signal = SignalNumber::named(value.as_bytes());
                order.signal = signal.ok_or_else(|| Error::usage("no such signal", value.as_bytes()))?;
            }
            _ => order.state = Some(path(value)),
        }
    }
    for word in split.command {
        let name = str::from_utf8(word).map_err(|_| Error::usage("not UTF-8", word))?;
        cgroup::check_name(name)?;
        order.names.push(String::from(name).leak());
    }
    let takes_names = verb.usage != "[OPTIONS]";
    match order.names.first() {
        None if takes_names => Err(Error::usage("a NAME is missing", b"").with_hint("mydocker ps -a lists them")),
        Some(name) if !takes_names => Err(Error::usage("it takes no NAME", name.as_bytes())),
        Some(_) if !verb.usage.ends_with("...") && order.names.len() > 1 => {
            Err(Error::usage("it takes one NAME, not also", order.names.last().map_or(b"", |name| name.as_bytes())))
        }
        _ => Ok(Some(order)),
    }
}

fn number(word: &str) -> Result<u64> {
    bytes::decimal(word.as_bytes()).map_err(|_| Error::usage("not a number", word.as_bytes()))
}

/// A time in milliseconds since 1970: given in seconds, or as how long ago it was.
fn time(word: &str) -> Result<u64> {
    let Some((count, unit)) = word.split_at_checked(word.len() - 1) else { return number(word) };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return number(word).map(|seconds| seconds.saturating_mul(1000)),
    };
    Ok(sys::realtime().saturating_sub(number(count)?.saturating_mul(1000 * seconds)))
}
