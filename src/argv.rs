//! From what people type to what argh takes: aliases, `--name=value`, `-it`, `-m100m`; and where COMMAND begins.

use crate::error::{Error, Result};
use crate::options::{Row, Table, Value};
use crate::says;
use crate::text;
use alloc::vec::Vec;

/// The words after `run`, sorted out.
#[derive(Debug, PartialEq, Eq)]
pub struct Normal<'a> {
    /// For argh: `--name`, and after it the value if it takes one, an empty one where it was left out. A name that may
    /// stand once stands once.
    pub options: Vec<&'a str>,
    /// COMMAND and its arguments, as they are.
    pub command: &'a [&'a [u8]],
    /// `-h` or `--help` was among the options.
    pub help: bool,
}

/// Sorts out `words`. Options end at `--`, or at the first word that is none; a lone `-` is none.
pub fn normalise<'a>(words: &'a [&'a [u8]]) -> Result<Normal<'a>> {
    let mut given: Vec<(Row, &'a str)> = Vec::new();
    let mut rest = words;
    let mut table = None;
    while let Some((&word, after)) = rest.split_first() {
        if word == b"--" {
            rest = after;
            break;
        }
        if word == b"-h" || word == b"--help" {
            return Ok(Normal { options: Vec::new(), command: &[], help: true });
        }
        let [b'-', first, letters @ ..] = word else { break };
        let table = table.get_or_insert_with(Table::read);
        rest = if *first == b'-' {
            let (name, value) = match text::split_at(word, b'=') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            let row = table.find(name).ok_or_else(|| Error::usage(says!("unknown option"), word))?;
            take(row, value, word, after, &mut given)?
        } else {
            cluster(table, *first, letters, word, after, &mut given)?
        };
    }
    Ok(Normal { options: for_argh(&given), command: rest, help: false })
}

/// `-it`, `-m100m`, `-m=100m`: switches one after the other, the last may take a value. A value that can be left out
/// needs the `=`.
fn cluster<'a>(
    table: &Table,
    first: u8,
    mut letters: &'a [u8],
    word: &'a [u8],
    after: &'a [&'a [u8]],
    given: &mut Vec<(Row, &'a str)>,
) -> Result<&'a [&'a [u8]]> {
    let mut letter = first;
    loop {
        let row = table.find(&[b'-', letter]).ok_or_else(|| Error::usage(says!("unknown option"), word))?;
        match (row.value(), letters) {
            (Value::Switch | Value::Optional, [b'=', value @ ..]) => {
                return take(row, Some(value), word, after, given);
            }
            (Value::Switch | Value::Optional, [next, others @ ..]) => {
                take(row, None, word, &[], given)?;
                (letter, letters) = (*next, others);
            }
            (_, []) => return take(row, None, word, after, given),
            (_, [b'=', value @ ..] | value) => return take(row, Some(value), word, after, given),
        }
    }
}

/// Adds one option with its value, which may be the next word. Returns the words that are left.
fn take<'a>(
    row: Row,
    value: Option<&'a [u8]>,
    word: &'a [u8],
    after: &'a [&'a [u8]],
    given: &mut Vec<(Row, &'a str)>,
) -> Result<&'a [&'a [u8]]> {
    let kind = row.value();
    let (value, left) = match (kind, value, after) {
        (Value::Switch, None, _) => (&b"true"[..], after),
        (Value::Switch, Some(value), _) if [&b"true"[..], b"false"].contains(&value) => (value, after),
        (Value::Switch, Some(_), _) => return Err(Error::usage(says!("a switch is =true or =false"), word)),
        (Value::Optional, None, _) => (&b""[..], after),
        (_, Some(b""), _) | (_, None, [b"", ..]) => return Err(Error::usage(says!("an empty value for"), word)),
        (_, Some(value), _) => (value, after),
        (_, None, [value, left @ ..]) => (*value, left),
        (_, None, []) => return Err(Error::usage(says!("a value is missing after"), word)),
    };
    let value = core::str::from_utf8(value).map_err(|_| Error::usage(says!("not UTF-8"), value))?;
    if kind != Value::Many {
        // The last one counts.
        if let Some(at) = given.iter().position(|(other, _)| *other == row) {
            given.remove(at);
        }
    }
    given.push((row, value));
    Ok(left)
}

fn for_argh<'a>(given: &[(Row, &'a str)]) -> Vec<&'a str> {
    let mut words = Vec::new();
    for &(row, value) in given {
        let switch = row.value() == Value::Switch;
        if !(switch && value == "false") {
            words.push(row.name());
        }
        if !switch {
            words.push(value);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn split(line: &str) -> Vec<&[u8]> {
        line.split_terminator(' ').map(str::as_bytes).collect()
    }

    /// The options and the command as two lines, or the error's message.
    fn normal(words: &[&[u8]]) -> core::result::Result<(String, String), String> {
        match normalise(words) {
            Ok(n) if n.help => Ok(("HELP".into(), String::new())),
            Ok(n) => {
                let command: Vec<_> = n.command.iter().map(|w| String::from_utf8_lossy(w)).collect();
                Ok((n.options.join(" "), command.join(" ")))
            }
            Err(error) => {
                assert_eq!(error.cause().kind, Kind::Usage);
                let mut said = Vec::new();
                error.cause().says.put(&mut said);
                Err(String::from_utf8(said).unwrap())
            }
        }
    }

    #[test]
    fn spellings() {
        for (line, options, command) in [
            ("ls", "", "ls"),
            ("-t ls -l", "--tty", "ls -l"),
            ("-it sh", "--interactive --tty", "sh"),
            ("-m100m -t sh", "--memory-limit 100m --tty", "sh"),
            ("-m=100m sh", "--memory-limit 100m", "sh"),
            ("-m 100m sh", "--memory-limit 100m", "sh"),
            ("-tm 100m sh", "--tty --memory-limit 100m", "sh"),
            ("-itm100m sh", "--interactive --tty --memory-limit 100m", "sh"),
            ("--memory=100m sh", "--memory-limit 100m", "sh"),
            ("--memory 100m sh", "--memory-limit 100m", "sh"),
            ("--cpuset-cpus=0 --cpuset-mems 0 sh", "--cpu-set 0 --cpu-mems 0", "sh"),
            ("-m 1g --memory 2g sh", "--memory-limit 2g", "sh"),
            ("-e A=1 -e A=2 sh", "--env A=1 --env A=2", "sh"),
            ("-eA=1 --env=B=2 sh", "--env A=1 --env B=2", "sh"),
            ("--tty=false -i=true sh", "--interactive", "sh"),
            ("-t -t=false sh", "", "sh"),
            ("-- -t", "", "-t"),
            ("-t -- --help", "--tty", "--help"),
            ("- -t", "", "- -t"),
            ("-m -1 sh", "--memory-limit -1", "sh"),
            ("sh --help", "", "sh --help"),
            ("sh -- -t", "", "sh -- -t"),
            ("help", "", "help"),
            ("-t", "--tty", ""),
            ("", "", ""),
            ("-t --help sh", "HELP", ""),
            ("-h", "HELP", ""),
            ("--hostname help sh", "--hostname help", "sh"),
            ("--optional sh", "--optional ", "sh"),
            ("--optional=1 sh", "--optional 1", "sh"),
            ("--optional=1 --optional sh", "--optional ", "sh"),
            ("-O sh", "--optional ", "sh"),
            ("-O=1 sh", "--optional 1", "sh"),
            ("-Ot sh", "--optional  --tty", "sh"),
            ("-tO=t sh", "--tty --optional t", "sh"),
        ] {
            assert_eq!(normal(&split(line)), Ok((options.into(), command.into())), "{line}");
        }
    }

    #[test]
    fn what_is_no_option() {
        for (line, what) in [
            ("--nope sh", "unknown option"),
            ("-x sh", "unknown option"),
            ("-tx sh", "unknown option"),
            ("--mem 1 sh", "unknown option"),
            ("--tt sh", "unknown option"),
            ("-m", "a value is missing after"),
            ("--name", "a value is missing after"),
            ("--name= sh", "an empty value for"),
            ("-m= sh", "an empty value for"),
            ("--tty=maybe sh", "a switch is =true or =false"),
            ("--tty= sh", "a switch is =true or =false"),
            ("-t=1 sh", "a switch is =true or =false"),
            ("--optional= sh", "an empty value for"),
            ("-O= sh", "an empty value for"),
        ] {
            assert_eq!(normal(&split(line)), Err(what.into()), "{line}");
        }
        assert_eq!(normal(&[b"--name", b""]), Err("an empty value for".into()));
        assert_eq!(normal(&[b"--name", b"\xff", b"sh"]), Err("not UTF-8".into()));
        assert_eq!(normal(&[b"\xff", b"-t"]).unwrap().1, "\u{fffd} -t");
    }

    /// The normaliser again, slowly: every word is first cut into simple ones, `--name value`, `--name` or a command.
    fn oracle(words: &[String]) -> core::result::Result<(String, String), String> {
        let mut single: Vec<(String, String)> = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let word = words[at].clone();
            if word == "--" {
                at += 1;
                break;
            }
            if word == "-h" || word == "--help" {
                return Ok(("HELP".into(), String::new()));
            }
            if word == "-" || !word.starts_with('-') {
                break;
            }
            at += 1;
            // What is still to be cut off this word.
            let mut pending = word.clone();
            while !pending.is_empty() {
                let (name, glued) = if let Some(long) = pending.strip_prefix("--") {
                    match long.split_once('=') {
                        Some((name, value)) => (name.to_string(), Some(value.to_string())),
                        None => (long.to_string(), None),
                    }
                } else {
                    let letter = pending.chars().nth(1).unwrap();
                    let after: String = pending.chars().skip(2).collect();
                    let name = match Table::read().find(format!("-{letter}").as_bytes()) {
                        Some(row) => row.name().trim_start_matches('-').to_string(),
                        None => "?".to_string(),
                    };
                    (name, (!after.is_empty()).then_some(after))
                };
                let long = pending.starts_with("--");
                pending.clear();
                let Some(row) = Table::read().find(format!("--{name}").as_bytes()) else {
                    return Err("unknown option".into());
                };
                let value = match (row.value(), glued) {
                    (Value::Switch, None) => "true".to_string(),
                    (Value::Optional, None) => {
                        single.retain(|(other, _)| other != row.name());
                        single.push((row.name().to_string(), String::new()));
                        continue;
                    }
                    (Value::Optional, Some(glued)) if !long && !glued.starts_with('=') => {
                        pending = format!("-{glued}");
                        single.retain(|(other, _)| other != row.name());
                        single.push((row.name().to_string(), String::new()));
                        continue;
                    }
                    (Value::Switch, Some(glued)) if !long && !glued.starts_with('=') => {
                        pending = format!("-{glued}");
                        "true".to_string()
                    }
                    (Value::Switch, Some(glued)) => {
                        let value = if long { glued } else { glued[1..].to_string() };
                        if value != "true" && value != "false" {
                            return Err("a switch is =true or =false".into());
                        }
                        value
                    }
                    (_, Some(glued)) if !long => glued.strip_prefix('=').unwrap_or(&glued).to_string(),
                    (_, Some(glued)) => glued,
                    (_, None) if at < words.len() => {
                        at += 1;
                        words[at - 1].clone()
                    }
                    (_, None) => return Err("a value is missing after".into()),
                };
                if value.is_empty() {
                    return Err("an empty value for".into());
                }
                if row.value() != Value::Many {
                    single.retain(|(other, _)| other != row.name());
                }
                single.push((row.name().to_string(), value));
            }
        }
        let mut out = Vec::new();
        for (name, value) in single {
            match Table::read().find(name.as_bytes()).unwrap().value() {
                Value::Switch if value == "true" => out.push(name),
                Value::Switch => {}
                _ => out.push(format!("{name} {value}")),
            }
        }
        Ok((out.join(" "), words[at..].join(" ")))
    }

    #[test]
    fn agrees_with_the_oracle_on_random_lines() {
        let mut state: u64 = 3;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let words = [
            "-t",
            "-it",
            "-i",
            "-m",
            "-m100m",
            "-m=1",
            "-itm",
            "-e",
            "-eA=1",
            "-w",
            "-tw/",
            "--memory",
            "--memory=5",
            "--tty",
            "--tty=false",
            "--tty=x",
            "--env=A",
            "--env=",
            "--name",
            "--cpuset-cpus=0",
            "--no-limits",
            "--rm",
            "--",
            "-",
            "sh",
            "-c",
            "ls",
            "",
            "--help",
            "-h",
            "-x",
            "--what",
            "-t=true",
            "-i=",
            "--optional",
            "--optional=A",
            "--optional=",
            "-O",
            "-tO",
            "-Oi",
            "-O=m",
            "-O=",
            "100m",
            "=",
        ];
        let mut fine = 0;
        for _ in 0..20_000 {
            let line: Vec<String> = (0..random(6)).map(|_| words[random(words.len())].to_string()).collect();
            let bytes: Vec<&[u8]> = line.iter().map(String::as_bytes).collect();
            fine += u32::from(oracle(&line).is_ok());
            assert_eq!(normal(&bytes), oracle(&line), "{line:?}");
        }
        assert!(fine > 4_000, "only {fine} of the random lines were good ones");
    }
}
