//! What to do instead of an option or a command that there is not: docker's have a line of their own, a near spelling is named.

use super::options::{Row, find};
use mydocker::bytes::{has_part, split, split_once};
use mydocker::error::Error;

/// Options of docker's, without their dashes, and what to do instead, a line for each answer.
const OPTIONS: &str = "\
P publish-all: name each port, -p HOST:CONT
ro: did you mean --read-only?
gpus: --device /dev/nvidia0, and -v for its libraries
platform: leave it out: with binfmt_misc a root for another machine runs
l label label-file: nothing is kept about a container: leave it out
a attach annotation cgroupns cpu-count cpu-percent cpu-rt-period cpu-rt-runtime detach-keys disable-content-trust expose \
    io-maxbandwidth io-maxiops isolation kernel-memory kernel-memory-tcp memory-swappiness no-healthcheck oom-kill-disable \
    q quiet rmi runtime sig-proxy systemd use-api-socket: leave it out
health-cmd health-interval health-retries health-start-period health-start-interval health-timeout: leave it out: \
    mydocker exec NAME COMMAND, from cron or a loop, looks into it
storage-opt: --ephemeral=SIZE keeps its writes in so much memory
device-cgroup-rule: name the device: --device
dns-option dns-opt dns-search: -v FILE:/etc/resolv.conf
domainname: --hostname NAME.DOMAIN
ip6: a bridge has no IPv6: --ip ADDRESS
link-local-ip: --ip ADDRESS
link net-alias network-alias: on --network bridge others find it by its --name or --hostname
log-driver log-opt: run -d keeps a log: --log, --log-size
volumes-from volume-driver: name the folder: -v SRC:DST
blkio-weight blkio-weight-device device-read-bps device-read-iops device-write-bps device-write-iops: on cgroup v2, set it \
    for the cgroup that --cgroup-parent names
pull: there are no images: mydocker help root says what there is
secret: -v FILE:/run/secrets/NAME:ro
replace: mydocker rm -f NAME, before
pod: --network container:NAME
it ti: -it
stop-timeout: mydocker stop -t SECONDS
";

/// Options of docker's other commands, and what to do instead.
const OPTIONS_OF_OTHERS: &str = "\
d detach: setsid -f mydocker exec NAME COMMAND >FILE 2>&1
format no-trunc: --json prints all, mydocker ps -q the names
n l latest last: mydocker ps -a lists them by name
s size: du -s measures the folder that --rootfs names
9 KILL TERM HUP INT: mydocker kill -s SIGNAL
T index details condition detach-keys: leave it out
a all: mydocker ps -aq names all
until: head or sed ends what is printed
";

/// Commands of docker's, and what to do instead.
const COMMANDS: &str = "\
attach: mydocker logs -f NAME; with run -d -i its stdin is the FIFO of that name in its record
top: mydocker exec NAME ps, or pgrep -a --ns PID, with the PID of mydocker ps
cp: on the host cp works in the folder that --rootfs names, or a -v; mydocker exec NAME cat FILE prints any
commit export save: copy the folder that --rootfs names: cp -a, or tar
diff: compare the folder that --rootfs names with a copy
container: leave this word out, as in mydocker ps
inspect: mydocker ps -a --json; while it runs, pgrep -af 'name[ =]NAME' prints how it was started
delete remove: mydocker rm
down: mydocker rm -f NAME..
bash sh shell: mydocker run -t sh
prune: mydocker ps -aq --filter status=exited | xargs -r mydocker rm
bake build builder buildx history image images import load init login logout manifest pull push rmi sbom scout search tag trust: there \
    are no images: mydocker help root says what there is
start restart rename update: mydocker rm -f NAME, and run it again
network: the first run --network bridge:NAME --subnet 10.99.0.0/16 makes it, and the last one removes it
volume: -v FOLDER:DST is an option of run: mkdir makes one
compose create up: mydocker run -d --name NAME COMMAND, a line for each container
list ls port: mydocker ps
events: mydocker ps; mydocker wait NAME
node service stack swarm: it knows one host: a scheduler, or ssh HOST mydocker run .., starts it on others
context: ssh HOST mydocker ..
df info system: mydocker check says what this host offers; for prune: mydocker ps -aq --filter status=exited | xargs -r mydocker rm
config secret: -v FILE:/run/secrets/NAME:ro is an option of run
pod: run --network container:NAME shares its network
";

/// Options of docker's that stand before the command.
const BEFORE: &str = "\
H host D debug l log-level c context tls tlscacert tlscert tlskey tlsverify config: there is no daemon: leave it out
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
    let error = Error::usage("unknown option", word);
    // `-rm`: a hyphen is missing.
    if let Some(row) = find(rows, &[b"-", word].concat()) {
        return error.with_hint(did_you_mean(row.name()));
    }
    // `-HUP` is one word to kill, and not three letters.
    let name = if hint_of(known, word).is_some() { word } else { name };
    explain(error, known, name, &names)
}

/// Every command.
fn commands() -> Vec<&'static str> {
    let mut names = COMMANDS_HERE.to_vec();
    names.extend(super::verbs::VERBS.iter().map(|verb| verb.name));
    names
}

/// Whether there is a command of this name.
pub fn is_command(word: &[u8]) -> bool {
    commands().iter().any(|name| name.as_bytes() == word)
}

/// The error of a command that there is not.
pub fn command(word: &[u8]) -> Error {
    let error = Error::usage("unknown command", word);
    let name = split_once(word, b'=').map_or(word, |(name, _)| name);
    match word.starts_with(b"-") {
        true => {
            let hint = "options come behind the command, as in mydocker run -m 100m true";
            explain(error.with_hint(hint), BEFORE, name, &[])
        }
        false => explain(error, COMMANDS, word, &commands()),
    }
}

/// The error of a word behind `help` that is neither a command nor a chapter.
pub fn topic(word: &[u8]) -> Error {
    let mut names = commands();
    names.extend(super::topics::TOPICS.iter().map(|topic| topic.name));
    explain(Error::usage("neither a command nor a chapter", word), COMMANDS, word, &names)
}

/// Adds what is said about docker's `name`, or the nearest of `names`.
fn explain(error: Error, known: &'static str, name: &[u8], names: &[&'static str]) -> Error {
    match hint_of(known, name).or_else(|| near(names, name).map(did_you_mean)) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// What one of these lists says of a name.
fn hint_of(known: &'static str, name: &[u8]) -> Option<&'static str> {
    let bare = name.get(name.iter().take_while(|b| **b == b'-').count()..)?;
    let hint = split(known.as_bytes(), b'\n').find_map(|line| {
        let (names, hint) = split_once(line, b':')?;
        has_part(names, b' ', bare).then_some(hint.trim_ascii_start())
    });
    str::from_utf8(hint?).ok()
}

fn did_you_mean(name: &str) -> &'static str {
    let question = [b"did you mean ", name.as_bytes(), b"?"].concat().leak();
    str::from_utf8(question).unwrap_or_default()
}

/// The name that is nearest, if it is at most two letters away, and has a letter in common. Of two, the first: `run` before `rm`. A
/// word that names begin with is short for the shortest of them.
fn near(names: &[&'static str], word: &[u8]) -> Option<&'static str> {
    let longer = names.iter().filter(|name| name.as_bytes().starts_with(word) && word.len() > 3);
    if let Some(name) = longer.min_by_key(|name| name.len()) {
        return Some(name);
    }
    let all = names.iter().map(|name| (distance(name.as_bytes(), word), *name));
    // The dashes are no letters in common.
    let most = |name: &str| if name.starts_with("--") { (name.len() - 2) / 2 } else { name.len() - 1 };
    all.filter(|(far, name)| *far <= most(name).min(2)).min_by_key(|(far, _)| *far).map(|(_, name)| name)
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
