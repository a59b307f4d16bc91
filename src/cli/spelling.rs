//! From the spellings that users type to the one that argh takes: aliases, `--name=value`, `-it`, `-m100m`; and where
//! COMMAND begins.

use super::options::{Row, Value, find};
use super::unknown;
use mydocker::bytes::split_once;
use mydocker::error::{Error, Result};

/// The words after the name of a command, sorted out.
#[derive(Debug, PartialEq, Eq)]
pub struct SplitArgs<'a> {
    /// `--name` and the value; `true` for a switch, an empty word for a value that was left out. Options with a
    /// single value occur once.
    pub options: Vec<&'a str>,
    /// COMMAND and its arguments, as they are; or the names.
    pub command: &'a [&'a [u8]],
    /// `-h` or `--help` was among the options.
    pub help: bool,
}

/// What the words are that are not options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operands {
    /// A command, whose options are not mydocker's.
    Command,
    /// Names. As docker has it, options may stand between them and behind them.
    Names,
}

/// Sorts out `words`. Options end at `--`, or at the first word of a command; `-` alone is not an option.
pub fn normalise<'a>(rows: &'static [Row], words: &'a [&'a [u8]], operands: Operands) -> Result<SplitArgs<'a>> {
    let mut left = Words { rest: words, given: Vec::new() };
    let mut names = Vec::new();
    while let [word, after @ ..] = left.rest {
        if *word == b"--" {
            left.rest = after;
            break;
        }
        // With a word behind it, -h is docker's --hostname.
        if *word == b"-h" && after.is_empty() || *word == b"--help" {
            return Ok(SplitArgs { options: Vec::new(), command: &[], help: true });
        }
        let [b'-', first, letters @ ..] = word else {
            if operands == Operands::Command {
                break;
            }
            names.push(*word);
            left.rest = after;
            continue;
        };
        left.rest = after;
        if *first == b'-' {
            let (name, value) = match split_once(word, b'=') {
                Some((name, value)) => (name, Some(value)),
                None => (*word, None),
            };
            let row = find(rows, name).ok_or_else(|| unknown::option(rows, name, word))?;
            left.take(row, value, word)?;
        } else {
            left.take_cluster(rows, *first, letters, word)?;
        }
    }
    let mut options = Vec::new();
    for (row, value) in left.given {
        // A switch that is set to false is as good as absent.
        if row.value != Value::Switch || value == "true" {
            options.extend([row.name(), value]);
        }
    }
    let command = match operands {
        Operands::Command => left.rest,
        Operands::Names => {
            names.extend(left.rest);
            names.leak()
        }
    };
    Ok(SplitArgs { options, command, help: false })
}

/// The words that are left, and the options that were taken from them.
struct Words<'a> {
    rest: &'a [&'a [u8]],
    /// Each option with its value.
    given: Vec<(&'static Row, &'a str)>,
}

impl<'a> Words<'a> {
    /// Takes the options of `-it`, `-m100m` or `-m=100m`: any number of switches, then one option that may have a value. An
    /// optional value needs the `=`.
    fn take_cluster(&mut self, rows: &'static [Row], first: u8, mut letters: &'a [u8], word: &'a [u8]) -> Result<()> {
        let mut letter = first;
        loop {
            let name = [b'-', letter];
            let row = find(rows, &name).ok_or_else(|| unknown::option(rows, &name, word))?;
            match (row.value, letters) {
                (_, []) => return self.take(row, None, word),
                (_, [b'=', value @ ..]) => return self.take(row, Some(value), word),
                (Value::Switch | Value::Optional, [next, others @ ..]) => {
                    self.take(row, None, word)?;
                    (letter, letters) = (*next, others);
                }
                (_, value) => return self.take(row, Some(value), word),
            }
        }
    }

    /// Takes one option of `word` with its value, which may be the next word.
    fn take(&mut self, row: &'static Row, value: Option<&'a [u8]>, word: &'a [u8]) -> Result<()> {
        let value = match (row.value, value) {
            (Value::Switch, None) => &b"true"[..],
            (Value::Switch, Some(value)) if value != b"true" && value != b"false" => {
                return Err(Error::usage("a switch is =true or =false", word));
            }
            (Value::Optional, None) => b"",
            (_, Some(b"")) => return Err(Error::usage("an empty value for", word)),
            (_, Some(value)) => value,
            (_, None) => match self.rest {
                [] => return Err(Error::usage("a value is missing after", word)),
                [b"", ..] => return Err(Error::usage("an empty value for", word)),
                [next, after @ ..] => {
                    self.rest = after;
                    next
                }
            },
        };
        let value = core::str::from_utf8(value).map_err(|_| Error::usage("not UTF-8", value))?;
        if !matches!(row.value, Value::Many)
            && let Some(earlier) = self.given.iter().position(|(other, _)| other.names == row.names)
        {
            // The last one counts.
            self.given.remove(earlier);
        }
        self.given.push((row, value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::{NOT_FOR_EXEC, ROWS};
    use super::*;
    use mydocker::error::Kind;
    use proptest::prelude::*;
    use std::cell::Cell;

    const fn row(names: &'static str, value: Value) -> Row {
        Row { names, value, word: "", help: "", exec: NOT_FOR_EXEC }
    }

    /// Some of the real options, and one with a short name and an optional value, which no real one has.
    static SOME_ROWS: &[Row] = &[
        row("-m, --memory-limit, --memory", Value::One),
        row("--cpu-set, --cpuset-cpus", Value::One),
        row("--cpu-mems, --cpuset-mems", Value::One),
        row("--no-limits", Value::Switch),
        row("--name", Value::One),
        row("-t, --tty", Value::Switch),
        row("-i, --interactive", Value::Switch),
        row("-e, --env", Value::Many),
        row("-w, --workdir", Value::One),
        row("-h, --hostname", Value::One),
        row("--rm", Value::Switch),
        row("-O, --optional", Value::Optional),
    ];

    #[test]
    fn some_rows_are_real_ones() {
        for some in SOME_ROWS.iter().filter(|row| row.name() != "--optional") {
            let real = find(ROWS, some.name().as_bytes()).unwrap();
            assert_eq!((some.names, some.value), (real.names, real.value));
        }
    }

    fn split(line: &str) -> Vec<&[u8]> {
        line.split_terminator(' ').map(str::as_bytes).collect()
    }

    /// The options and the command as two lines, or the error's message.
    fn normal(words: &[&[u8]]) -> core::result::Result<(String, String), String> {
        match normalise(SOME_ROWS, words, Operands::Command) {
            Ok(split) if split.help => Ok(("HELP".into(), String::new())),
            Ok(split) => {
                let command: Vec<_> = split.command.iter().map(|word| String::from_utf8_lossy(word)).collect();
                Ok((split.options.join(" "), command.join(" ")))
            }
            Err(error) => {
                assert_eq!(error.cause().kind, Kind::Usage);
                Err(error.cause().what.to_string())
            }
        }
    }

    #[test]
    fn spellings() {
        for (line, options, command) in [
            ("ls", "", "ls"),
            ("-t ls -l", "--tty true", "ls -l"),
            ("-it sh", "--interactive true --tty true", "sh"),
            ("-m100m -t sh", "--memory-limit 100m --tty true", "sh"),
            ("-m=100m sh", "--memory-limit 100m", "sh"),
            ("-m 100m sh", "--memory-limit 100m", "sh"),
            ("-tm 100m sh", "--tty true --memory-limit 100m", "sh"),
            ("-itm100m sh", "--interactive true --tty true --memory-limit 100m", "sh"),
            ("--memory=100m sh", "--memory-limit 100m", "sh"),
            ("--memory 100m sh", "--memory-limit 100m", "sh"),
            ("--cpuset-cpus=0 --cpuset-mems 0 sh", "--cpu-set 0 --cpu-mems 0", "sh"),
            ("-m 1g --memory 2g sh", "--memory-limit 2g", "sh"),
            ("-e A=1 -e A=2 sh", "--env A=1 --env A=2", "sh"),
            ("-eA=1 --env=B=2 sh", "--env A=1 --env B=2", "sh"),
            ("--tty=false -i=true sh", "--interactive true", "sh"),
            ("-t -t=false sh", "", "sh"),
            ("-- -t", "", "-t"),
            ("-t -- --help", "--tty true", "--help"),
            ("- -t", "", "- -t"),
            ("-m -1 sh", "--memory-limit -1", "sh"),
            ("sh --help", "", "sh --help"),
            ("sh -- -t", "", "sh -- -t"),
            ("help", "", "help"),
            ("-t", "--tty true", ""),
            ("", "", ""),
            ("-t --help sh", "HELP", ""),
            ("-h", "HELP", ""),
            ("-t -h", "HELP", ""),
            ("-h name sh", "--hostname name", "sh"),
            ("-hname -th=other sh", "--tty true --hostname other", "sh"),
            ("--hostname help sh", "--hostname help", "sh"),
            ("--optional sh", "--optional ", "sh"),
            ("--optional=1 sh", "--optional 1", "sh"),
            ("--optional=1 --optional sh", "--optional ", "sh"),
            ("-O sh", "--optional ", "sh"),
            ("-O=1 sh", "--optional 1", "sh"),
            ("-Ot sh", "--optional  --tty true", "sh"),
            ("-tO=t sh", "--tty true --optional t", "sh"),
        ] {
            assert_eq!(normal(&split(line)), Ok((options.into(), command.into())), "{line}");
        }
    }

    #[test]
    fn options_between_names() {
        for (line, options, names) in [
            ("web -t", "--tty true", "web"),
            ("web -m 1 db -t", "--memory-limit 1 --tty true", "web db"),
            ("-t web --tty=false", "", "web"),
            ("web -- -t db", "", "web -t db"),
            ("-- -- web", "", "-- web"),
        ] {
            let words = split(line);
            let split = normalise(SOME_ROWS, &words, Operands::Names).ok().unwrap();
            let given: Vec<_> = split.command.iter().map(|word| String::from_utf8_lossy(word)).collect();
            assert_eq!((split.options.join(" "), given.join(" ")), (options.into(), names.into()), "{line}");
        }
        assert!(normalise(SOME_ROWS, &split("web -h"), Operands::Names).is_ok_and(|split| split.help));
        assert!(normalise(SOME_ROWS, &split("web -x"), Operands::Names).is_err());
    }

    #[test]
    fn wrong_spellings() {
        for (line, message) in [
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
            assert_eq!(normal(&split(line)), Err(message.into()), "{line}");
        }
        assert_eq!(normal(&[b"--name", b""]), Err("an empty value for".into()));
        assert_eq!(normal(&[b"--name", b"\xff", b"sh"]), Err("not UTF-8".into()));
        assert_eq!(normal(&[b"\xff", b"-t"]).unwrap().1, "\u{fffd} -t");
    }

    /// The normaliser again, slowly: every word is first cut into simple ones, `--name value`, `--name` or a command.
    fn oracle(words: &[&str]) -> core::result::Result<(String, String), String> {
        let mut single: Vec<(String, String)> = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let word = words[at];
            if word == "--" {
                at += 1;
                break;
            }
            if word == "-h" && at + 1 == words.len() || word == "--help" {
                return Ok(("HELP".into(), String::new()));
            }
            if word == "-" || !word.starts_with('-') {
                break;
            }
            at += 1;
            // What is still to be cut off this word.
            let mut pending = word.to_string();
            while !pending.is_empty() {
                let (name, glued) = if let Some(long) = pending.strip_prefix("--") {
                    match long.split_once('=') {
                        Some((name, value)) => (name.to_string(), Some(value.to_string())),
                        None => (long.to_string(), None),
                    }
                } else {
                    let letter = pending.chars().nth(1).unwrap();
                    let after: String = pending.chars().skip(2).collect();
                    let name = match find(SOME_ROWS, format!("-{letter}").as_bytes()) {
                        Some(row) => row.name().trim_start_matches('-').to_string(),
                        None => "?".to_string(),
                    };
                    (name, (!after.is_empty()).then_some(after))
                };
                let long = pending.starts_with("--");
                pending.clear();
                let Some(row) = find(SOME_ROWS, format!("--{name}").as_bytes()) else {
                    return Err("unknown option".into());
                };
                let value = match (row.value, glued) {
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
                        words[at - 1].to_string()
                    }
                    (_, None) => return Err("a value is missing after".into()),
                };
                if value.is_empty() {
                    return Err("an empty value for".into());
                }
                if !matches!(row.value, Value::Many) {
                    single.retain(|(other, _)| other != row.name());
                }
                single.push((row.name().to_string(), value));
            }
        }
        let is_switch = |name: &str| find(SOME_ROWS, name.as_bytes()).unwrap().value == Value::Switch;
        single.retain(|(name, value)| !(is_switch(name) && value == "false"));
        let options: Vec<String> = single.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        Ok((options.join(" "), words[at..].join(" ")))
    }

    #[test]
    fn agrees_with_the_oracle_on_random_lines() {
        let word = prop::sample::select(vec![
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
        ]);
        let good_lines = Cell::new(0);
        proptest!(ProptestConfig::with_cases(20_000), |(line in prop::collection::vec(word, 0..6))| {
            let bytes: Vec<&[u8]> = line.iter().map(|word| word.as_bytes()).collect();
            let expected = oracle(&line);
            good_lines.set(good_lines.get() + u32::from(expected.is_ok()));
            prop_assert_eq!(normal(&bytes), expected);
        });
        assert!(good_lines.get() > 4_000, "only {} of the random lines were good ones", good_lines.get());
    }
}
