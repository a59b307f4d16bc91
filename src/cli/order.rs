//! The words after the name of a command about containers become an [`Order`].

use super::options::path;
use super::spelling::{self, Operands};
use super::verbs::Verb;
use mydocker::bytes;
use mydocker::cgroup;
use mydocker::error::{Error, Result};
use mydocker::log::View;
use mydocker::process::order::{Act, Order};
use mydocker::process::shown::STATES;
use mydocker::signals;
use mydocker::sys::{self, SignalNumber};

/// Parses the words after its name. `None`: its help is wanted.
pub fn parse(verb: &'static Verb, words: &[&[u8]]) -> Result<Option<Order>> {
    let split = spelling::normalise(verb.rows, words, Operands::Names)?;
    if split.help {
        return Ok(None);
    }
    let mut order = Order {
        act: verb.act,
        state: None,
        all: false,
        quiet: false,
        json: false,
        parts: Vec::new(),
        states: Vec::new(),
        force: false,
        view: View::default(),
        timeout: Some(10_000),
        signal: None,
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
            "--filter" => match bytes::split_once(value.as_bytes(), b'=') {
                Some((b"name", part)) if !part.is_empty() => order.parts.push(part),
                Some((b"status", word)) => match STATES.iter().find(|state| state.as_bytes() == word) {
                    Some(state) => order.states.push(state),
                    None => {
                        let mut all = String::new();
                        for state in STATES {
                            all.push_str(if all.is_empty() { "" } else { ", " });
                            all.push_str(state);
                        }
                        return Err(Error::usage("no status of a container", word).with_hint(all.leak()));
                    }
                },
                _ => return Err(Error::usage("--filter takes name=PART or status=WORD, not", value.as_bytes())),
            },
            "--force" => order.force = true,
            "--no-stream" => order.once = true,
            "--follow" => order.view.follow = true,
            "--timestamps" => order.view.times = true,
            "--tail" if ["all", "-1"].contains(&value) => order.view.tail = None,
            "--tail" => order.view.tail = Some(number(value)?),
            "--since" => order.view.since = time(value)?,
            "--time" if value == "-1" => order.timeout = None,
            "--time" => {
                let milliseconds = u32::try_from(number(value)?.saturating_mul(1000));
                let too_long = |_| Error::usage("too many seconds", value.as_bytes());
                order.timeout = Some(milliseconds.map_err(too_long)?);
            }
            "--signal" if verb.act == Act::Stop => order.signal = Some(signals::to_stop_with(value)?),
            "--signal" => {
                let signal = SignalNumber::named(value.as_bytes());
                order.signal = Some(signal.ok_or_else(|| Error::usage("no such signal", value.as_bytes()))?);
            }
            "--state" => order.state = Some(path(value)),
            // Accepted for compatibility: there are none.
            "--volumes" => {}
            name => return Err(Error::usage("unknown option", name.as_bytes())),
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

/// A time in milliseconds since 1970: given in seconds, as how long ago it was, or as a date.
fn time(word: &str) -> Result<u64> {
    let word = word.as_bytes();
    if let Ok(seconds) = bytes::decimal(word) {
        return Ok(seconds.saturating_mul(1000));
    }
    let ago = ago(word).map(|ago| sys::realtime().saturating_sub(ago));
    let says = "--since takes seconds since 1970, how long ago (1h30m), or a date (2026-11-28T09:30:00Z), not";
    ago.or_else(|| date(word)).ok_or_else(|| Error::usage(says, word))
}

/// How long, in milliseconds: numbers, each with its unit.
fn ago(word: &[u8]) -> Option<u64> {
    let (mut count, mut milliseconds) = (None, 0u64);
    for letter in word {
        let seconds = match letter {
            b'0'..=b'9' => {
                count = Some(count.unwrap_or(0u64).saturating_mul(10).saturating_add(u64::from(letter - b'0')));
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        milliseconds = milliseconds.saturating_add(count.take()?.saturating_mul(1000 * seconds));
    }
    (count.is_none() && !word.is_empty()).then_some(milliseconds)
}

/// A date as `logs -t` prints it, in milliseconds since 1970. Its end may be left out: the time, the fraction, the zone, which is UTC
/// then.
fn date(word: &[u8]) -> Option<u64> {
    /// What stands before each number, and how many digits that has: year, month, day, hour, minute, second.
    const PARTS: [(&[u8], usize); 6] = [(b"", 4), (b"-", 2), (b"-", 2), (b"T", 2), (b":", 2), (b":", 2)];
    let (mut rest, mut numbers) = (word, [0; 6]);
    for (at, (number, (before, digits))) in numbers.iter_mut().zip(PARTS).enumerate() {
        if at == 3 && rest.is_empty() {
            break;
        }
        rest = rest.strip_prefix(before)?;
        *number = bytes::decimal(rest.get(..digits)?).ok()?;
        rest = rest.get(digits..)?;
    }
    let mut thousandths = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|digit| digit.is_ascii_digit()).count();
        (thousandths, rest) = (bytes::decimal(fraction.get(..digits.min(3))?).ok()?, fraction.get(digits..)?);
        for _ in digits..3 {
            thousandths *= 10;
        }
    }
    // How many minutes the zone is ahead of UTC.
    let (mut ahead, mut behind) = (0, 0);
    match rest {
        b"" | b"Z" => {}
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] if hours.len() == 2 => {
            let (hours, minutes) = (bytes::decimal(hours).ok()?, bytes::decimal(&[*tens, *ones]).ok()?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = 60 * hours + minutes;
            *(if *sign == b'+' { &mut ahead } else { &mut behind }) = minutes;
        }
        _ => return None,
    }
    let [year, month, day, hour, minute, second] = numbers;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // A leap second has the number 60.
    if !(1970..10_000).contains(&year) || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Months from March on: the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let minutes = ((24 * days + hour) * 60 + minute + behind).saturating_sub(ahead);
    Some((60 * minutes + second) * 1000 + thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (word, milliseconds) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T00:00:00.042Z", 951_782_400_042),
            ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("2026-11-26T21:24:54Z", 1_795_728_294_000),
            ("2026-11-26T22:24:54+01:00", 1_795_728_294_000),
            ("2026-11-26T15:54:54.5-05:30", 1_795_728_294_500),
            ("1970-01-02", 86_400_000),
        ] {
            assert_eq!(date(word.as_bytes()), Some(milliseconds), "{word}");
        }
        for word in [
            "",
            "1970",
            "1970-1-1",
            "1969-12-31",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "2100-02-29",
            "2026-04-31",
            "2026-11-26 21:24:54",
            "2026-11-26T21:24",
            "2026-11-26T24:00:00",
            "2026-11-26T23:60:00",
            "2026-11-26T23:59:61",
            "2026-11-26T23:59:59+24:00",
            "x",
        ] {
            assert_eq!(date(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn how_long_ago() {
        for (word, milliseconds) in [("10s", 10_000), ("1h30m", 5_400_000), ("2d", 172_800_000)] {
            assert_eq!(ago(word.as_bytes()), Some(milliseconds), "{word}");
        }
        for word in ["", "s", "1", "1x", "1.5h", "-1s", "1h2"] {
            assert_eq!(ago(word.as_bytes()), None, "{word}");
        }
    }
}
