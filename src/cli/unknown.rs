//! What to do instead of an option or a command that there is not: docker's have a line of their own, a near spelling is named.

use super::options::Row;
use super::spelling::find;
use mydocker::bytes::{has_part, split, split_once};
use mydocker::error::Error;

/// Options of docker's, without their dashes, and what to do instead, a line for each answer.
const OPTIONS: &str = "\
P publish-all: name each port, -p HOST:CONT
gpus: --device /dev/nvidia0, and -v for its libraries
platform: with binfmt_misc a root for another machine runs: leave it out
l label label-file: nothing is kept about a container: leave it out
a attach annotation cgroupns cpu-count cpu-percent detach-keys disable-content-trust expose health-cmd \
    health-interval health-retries health-start-period health-start-interval health-timeout isolation no-healthcheck q \
    quiet runtime sig-proxy storage-opt use-api-socket: leave it out
device-cgroup-rule: name the device: --device
dns-option dns-opt dns-search: -v FILE:/etc/resolv.conf
domainname: --hostname NAME.DOMAIN
ip6 link-local-ip: a bridge has no IPv6: --ip ADDRESS
link network-alias: --network bridge: by --name
log-driver log-opt: run -d keeps a log: --log, --log-size
volumes-from volume-driver: name the folder: -v SRC:DST
blkio-weight blkio-weight-device cpu-rt-period cpu-rt-runtime device-read-bps device-read-iops device-write-bps \
    device-write-iops kernel-memory memory-swappiness oom-kill-disable: set it for the cgroup that --cgroup-parent names
pull: there are no images: mydocker help root says what there is
stop-timeout: mydocker stop -t SECONDS
";

/// Options of docker's other commands, and what to do instead.
const OPTIONS_OF_OTHERS: &str = "\
d detach: put & behind the command
format no-trunc latest last size: --json
";

/// Commands of docker's, and what to do instead.
const COMMANDS: &str = "\
attach top: mydocker exec NAME COMMAND runs a command in it
commit cp export: cp works in the folder that --rootfs names
diff: compare the folder that --rootfs names with a copy
container: leave it out
inspect: mydocker ps -a --json
ls port: mydocker ps
prune system: mydocker rm $(mydocker ps -aq)
build history image images import load login logout pull push rmi save search tag: there are no images: mydocker \
    help root says what there is
create: mydocker run -d --name NAME COMMAND
start restart rename update: mydocker rm -f NAME, and run it again
network volume: --network and -v are options of run
info: mydocker check says what this host offers
";

/// Beside those of `verbs.rs`.
const COMMANDS_HERE: &[&str] = &["run", "check", "exec", "help", "version"];

/// The error of an option that none of the rows has.
pub fn option(rows: &'static [Row], name: &[u8], word: &[u8]) -> Error {
    let mut names = vec!["--help"];
    for row in rows {
        names.extend(row.names().filter(|known| known.len() > 4));
    }
    let known = if find(rows, b"--rootfs").is_some() { OPTIONS } else { OPTIONS_OF_OTHERS };
    explain(Error::usage("unknown option", word), known, name, &names)
}

/// The error of a command that there is not.
pub fn command(word: &[u8]) -> Error {
    let mut names = COMMANDS_HERE.to_vec();
    names.extend(super::verbs::VERBS.iter().map(|verb| verb.name));
    explain(Error::usage("unknown command", word), COMMANDS, word, &names)
}

/// Adds what is said about docker's `name`, or the nearest of `names`.
fn explain(error: Error, known: &'static str, name: &[u8], names: &[&'static str]) -> Error {
    let bare = name.get(name.iter().take_while(|b| **b == b'-').count()..).unwrap_or_default();
    let hint = split(known.as_bytes(), b'\n').find_map(|line| {
        let (names, hint) = split_once(line, b':')?;
        has_part(names, b' ', bare).then_some(hint.trim_ascii_start())
    });
    let hint = hint.and_then(|hint| str::from_utf8(hint).ok());
    match hint.or_else(|| near(names, name).map(did_you_mean)) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn did_you_mean(name: &str) -> &'static str {
    let question = [b"did you mean ", name.as_bytes(), b"?"].concat().leak();
    str::from_utf8(question).unwrap_or_default()
}

/// The name that is nearest, if it is at most two letters away, and has a letter in common.
fn near(names: &[&'static str], word: &[u8]) -> Option<&'static str> {
    let all = names.iter().map(|name| (distance(name.as_bytes(), word), *name));
    all.filter(|(far, name)| *far <= 2 && *far < name.len()).min().map(|(_, name)| name)
}

/// How many letters must be put in, taken out or changed to make `b` of `a`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(x != y);
            diagonal = *above;
            left = changed.min(left + 1).min(*above + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, far) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), far, "{a} {b}");
        }
    }
}
