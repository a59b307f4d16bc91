//! The command line: words in, `Options` out. argh parses what the normaliser has sorted out.

use argh::FromArgs;
use mydocker::argv;
use mydocker::error::{Error, Result};
use mydocker::options::{self, LimitWords, Options};
use mydocker::passwd;
use mydocker::privilege::{self, Privilege};
use mydocker::texts::{self, Packed};
use mydocker::volumes;

/// What was given: each option of a run comes to argh as `--set NAME=VALUE`, for its derive makes a hundred bytes of code for
/// each that it is to know, and the table of all of them is the help.
#[derive(FromArgs)]
// The normaliser has taken --help out already: argh makes no text of its own for it.
#[argh(help_triggers())]
struct Given {
    /// names of the table, and their values
    #[argh(option, from_str_fn(kept))]
    set: Vec<&'static str>,
}

/// As long as the process lives.
fn kept(word: &str) -> core::result::Result<&'static str, String> {
    Ok(String::from(word).leak())
}

impl Given {
    /// The values of an option that may be given many times, in order.
    fn all(&self, name: &str) -> &'static [&'static str] {
        let mut values = Vec::new();
        for word in &self.set {
            if let Some([b'=', value @ ..]) = word.as_bytes().strip_prefix(name.as_bytes()) {
                values.push(core::str::from_utf8(value).unwrap_or_default());
            }
        }
        values.leak()
    }

    /// The value of one that counts once.
    fn one(&self, name: &str) -> Option<&'static str> {
        self.all(name).first().copied()
    }

    /// Whether it was given.
    fn has(&self, name: &str) -> bool {
        self.one(name).is_some()
    }
}

/// What to do.
pub enum Action<'a> {
    /// Run the command: the words after the options.
    Run(&'static Options, &'a [&'a [u8]]),
    /// Say what this host offers; as JSON or as text.
    Check(bool),
    /// Print this to stdout, and end with 0.
    Print(&'static Packed),
    /// Print this to stderr, and end with 125.
    Explain(&'static Packed),
    /// Print [`VERSION`] to stdout, and end with 0.
    Version,
}

/// What `--version` says.
pub const VERSION: &str = concat!(
    "mydocker ",
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("MYDOCKER_COMMIT"),
    ", ",
    env!("MYDOCKER_TARGET"),
    ")\n"
);

/// Understands the words after the program's name.
pub fn parse<'a>(words: &'a [&'a [u8]]) -> Result<Action<'a>> {
    let Some((&word, words)) = words.split_first() else { return Ok(Action::Explain(&texts::HELP)) };
    if is_help(word) {
        Ok(Action::Print(&texts::HELP))
    } else if word == b"--version" || word == b"-V" {
        Ok(Action::Version)
    } else if word == b"run" {
        let normal = argv::normalise(words)?;
        match normal.command.first() {
            _ if normal.help => Ok(Action::Print(&texts::RUN)),
            None => Err(Error::usage("run needs a COMMAND", b"")),
            Some(&b"") => Err(Error::usage("an empty COMMAND", b"")),
            Some(_) => Ok(Action::Run(parse_options(&normal.options)?, normal.command)),
        }
    } else if word == b"check" {
        match *words {
            [] => Ok(Action::Check(false)),
            [word] if word == b"--json" => Ok(Action::Check(true)),
            [word, ..] if is_help(word) => Ok(Action::Print(&texts::HELP)),
            [.., word] => Err(Error::usage("check takes --json, not", word)),
        }
    } else {
        Err(Error::usage("unknown command", word))
    }
}

fn is_help(word: &[u8]) -> bool {
    word == b"-h" || word == b"--help"
}

fn parse_options(options: &[(&str, &str)]) -> Result<&'static Options> {
    let mut words = Vec::new();
    for (name, value) in options {
        words.push("--set");
        words.push([name, "=", value].concat().leak());
    }
    match Given::from_args(&["mydocker run"], &words) {
        Ok(given) => understand(&given),
        Err(exit) => Err(Error::usage("not understood", exit.output.as_bytes().trim_ascii_end())),
    }
}

fn understand(given: &Given) -> Result<&'static Options> {
    let options = Box::leak(Box::<Options>::default());
    let limits = LimitWords {
        memory: given.one("--memory-limit"),
        swap: given.one("--memory-swap"),
        shares: given.one("--cpu-shares"),
        cpus: given.one("--cpu-set"),
        mems: given.one("--cpu-mems"),
        quota: given.one("--cpus"),
        pids: given.one("--pids-limit"),
        none: given.has("--no-limits"),
        count: given.has("--stats"),
    };
    options.limits.read(&limits)?;
    options.cgroup_parent = given.one("--cgroup-parent");
    options.cgroup_parent.map_or(Ok(()), options::check_cgroup_parent)?;
    options.name = given.one("--name");
    options.name.map_or(Ok(()), options::check_name)?;
    options.pid_file = given.one("--pid-file");
    understand_root(given, options)?;
    understand_process(given, options)?;
    understand_namespaces(given, options)?;
    options.privilege = Privilege::read(&privilege::Words {
        privileged: given.has("--privileged"),
        add: given.all("--cap-add"),
        drop: given.all("--cap-drop"),
        options: given.all("--security-opt"),
    })?;
    options.trace = given.one("--trace");
    options.step = given.has("--step");
    options.stats = given.one("--stats");
    options.dry_run = given.one("--dry-run");
    match options.dry_run {
        None | Some("" | "sh") => Ok(options),
        Some(form) => Err(Error::usage("--dry-run takes =sh, not", form.as_bytes())),
    }
}

fn understand_root(given: &Given, options: &mut Options) -> Result<()> {
    options.rootfs = given.one("--rootfs");
    options.ephemeral = match given.one("--ephemeral") {
        None => None,
        Some("") => Some(None),
        Some(size) => Some(Some(options::size(size, "--ephemeral is not a size, such as 100m")?)),
    };
    options.read_only = given.has("--read-only");
    for word in given.all("--volume") {
        options.volumes.push(volumes::volume(word)?);
    }
    for word in given.all("--tmpfs") {
        options.volumes.push(volumes::tmpfs(word)?);
    }
    options.devices = given.all("--device");
    let shm_size = given.one("--shm-size");
    if let Some(size) = shm_size {
        options.shm_size = Some(options::size(size, "--shm-size is not a size, such as 64m")?);
    }
    options.workdir = given.one("--workdir");
    let own_root = options.rootfs.is_some() || options.ephemeral.is_some();
    if let Some(word) = options.devices.first().copied().or(shm_size).filter(|_| !own_root) {
        return Err(Error::usage("this needs a root of its own, --rootfs or --ephemeral", word.as_bytes()));
    }
    if let Some(dir) = options.workdir.filter(|dir| own_root && !dir.starts_with('/')) {
        return Err(Error::usage("--workdir is not an absolute path in the container", dir.as_bytes()));
    }
    Ok(())
}

#[inline(never)]
fn understand_process(given: &Given, options: &mut Options) -> Result<()> {
    options.tty = given.has("--tty");
    options.env = given.all("--env");
    options.env_files = given.all("--env-file");
    options.user = given.one("--user");
    if let Some(user) = options.user
        && passwd::wanted(user.as_bytes()).is_none()
    {
        return Err(Error::usage("--user is USER or USER:GROUP", user.as_bytes()));
    }
    for word in given.all("--ulimit") {
        options.ulimits.push(volumes::ulimit(word)?);
    }
    options.init = given.has("--init");
    Ok(())
}

#[inline(never)]
fn understand_namespaces(given: &Given, options: &mut Options) -> Result<()> {
    let host = |name, usual, what| match given.one(name) {
        Some("host") => Ok(true),
        Some(other) if other != usual => Err(Error::usage(what, other.as_bytes())),
        _ => Ok(false),
    };
    options.host_network = host("--network", "none", "--network takes none or host")?;
    options.host_pid = host("--pid", "", "--pid takes host")?;
    options.host_ipc = host("--ipc", "", "--ipc takes host")?;
    options.host_uts = host("--uts", "", "--uts takes host")?;
    options.host_user = host("--userns", "auto", "--userns takes auto or host")?;
    options.hostname = given.one("--hostname");
    if let Some(hostname) = options.hostname {
        if hostname.len() > 64 {
            return Err(Error::usage("--hostname is longer than 64 bytes", hostname.as_bytes()));
        }
        if options.host_uts {
            return Err(Error::usage("--hostname with --uts host would rename the host", hostname.as_bytes()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mydocker::options::{Table, Value};

    /// A name that is misspelt here would be one that is never given.
    #[test]
    fn every_option_is_asked_for_as_what_it_is() {
        const ACCEPTED: [&str; 2] = ["--interactive", "--rm"];
        let source = include_str!("cli.rs");
        let asked = |how: &str| {
            let calls = source.split(how).skip(1).filter_map(|rest| rest.strip_prefix("(\"--"));
            calls.map(|rest| format!("--{}", rest.split('"').next().unwrap())).collect::<Vec<_>>()
        };
        let (has, one, all) = (asked("given.has"), [asked("given.one"), asked("= host")].concat(), asked("given.all"));
        let table = Table::read();
        for row in table.rows().filter(|row| row.name() != "--optional") {
            let found = [&has, &one, &all].map(|names| names.iter().any(|name| name == row.name()));
            let good = match row.value() {
                _ if ACCEPTED.contains(&row.name()) => found == [false; 3],
                Value::Switch => found == [true, false, false],
                Value::One => found == [false, true, false],
                Value::Optional => found[1] && !found[2],
                Value::Many => found == [false, false, true],
            };
            assert!(good, "{} {found:?}", row.name());
        }
        for name in [has, one, all].concat() {
            assert!(table.find(name.as_bytes()).is_some(), "{name}");
        }
    }
}
