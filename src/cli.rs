//! The command line: words in, `Options` out. argh parses what the normaliser has sorted out.

use argh::FromArgs;
use mydocker::argv;
use mydocker::error::{Error, Result};
use mydocker::options::{self, LimitWords, Options};
use mydocker::passwd;
use mydocker::privilege::{self, Privilege};
use mydocker::says;
use mydocker::texts::{self, Packed};
use mydocker::volumes;

/// Runs a command in its own namespaces, under cgroup limits.
#[derive(FromArgs, Default)]
#[cfg_attr(test, derive(argh::ArgsInfo))]
// The normaliser has taken --help out already: argh makes no text of its own for it.
#[argh(help_triggers())]
struct Run {
    /// bytes of memory
    #[argh(option, from_str_fn(kept))]
    memory_limit: Option<&'static str>,
    /// bytes of memory and swap
    #[argh(option, from_str_fn(kept))]
    memory_swap: Option<&'static str>,
    /// weight against others
    #[argh(option, from_str_fn(kept))]
    cpu_shares: Option<&'static str>,
    /// list of CPUs
    #[argh(option, from_str_fn(kept))]
    cpu_set: Option<&'static str>,
    /// list of memory nodes
    #[argh(option, from_str_fn(kept))]
    cpu_mems: Option<&'static str>,
    /// CPU time
    #[argh(option, from_str_fn(kept))]
    cpus: Option<&'static str>,
    /// processes and threads
    #[argh(option, from_str_fn(kept))]
    pids_limit: Option<&'static str>,
    /// no cgroup
    #[argh(switch)]
    no_limits: bool,
    /// where cgroups are made
    #[argh(option, from_str_fn(kept))]
    cgroup_parent: Option<&'static str>,
    /// name of the container
    #[argh(option, from_str_fn(kept))]
    name: Option<&'static str>,
    /// root
    #[argh(option, from_str_fn(kept))]
    rootfs: Option<&'static str>,
    /// writes in memory: a size, or true
    #[argh(option, from_str_fn(kept))]
    ephemeral: Option<&'static str>,
    /// no writes
    #[argh(switch)]
    read_only: bool,
    /// folder of the host
    #[argh(option, from_str_fn(kept))]
    volume: Vec<&'static str>,
    /// memory
    #[argh(option, from_str_fn(kept))]
    tmpfs: Vec<&'static str>,
    /// device
    #[argh(option, from_str_fn(kept))]
    device: Vec<&'static str>,
    /// size of /dev/shm
    #[argh(option, from_str_fn(kept))]
    shm_size: Option<&'static str>,
    /// terminal
    #[argh(switch)]
    tty: bool,
    /// stdin
    #[argh(switch)]
    #[expect(dead_code, reason = "accepted: the caller's streams pass through either way")]
    interactive: bool,
    /// variable
    #[argh(option, from_str_fn(kept))]
    env: Vec<&'static str>,
    /// file of variables
    #[argh(option, from_str_fn(kept))]
    env_file: Vec<&'static str>,
    /// working directory
    #[argh(option, from_str_fn(kept))]
    workdir: Option<&'static str>,
    /// user
    #[argh(option, from_str_fn(kept))]
    user: Option<&'static str>,
    /// limit of processes
    #[argh(option, from_str_fn(kept))]
    ulimit: Vec<&'static str>,
    /// a reaper
    #[argh(switch)]
    init: bool,
    /// hostname
    #[argh(option, from_str_fn(kept))]
    hostname: Option<&'static str>,
    /// accepted
    #[argh(switch)]
    #[expect(dead_code, reason = "accepted: always true")]
    rm: bool,
    /// network namespace
    #[argh(option, from_str_fn(kept))]
    network: Option<&'static str>,
    /// PID namespace
    #[argh(option, from_str_fn(kept))]
    pid: Option<&'static str>,
    /// IPC namespace
    #[argh(option, from_str_fn(kept))]
    ipc: Option<&'static str>,
    /// UTS namespace
    #[argh(option, from_str_fn(kept))]
    uts: Option<&'static str>,
    /// user namespace
    #[argh(option, from_str_fn(kept))]
    userns: Option<&'static str>,
    /// nothing dropped
    #[argh(switch)]
    privileged: bool,
    /// capability to keep
    #[argh(option, from_str_fn(kept))]
    cap_add: Vec<&'static str>,
    /// capability to drop
    #[argh(option, from_str_fn(kept))]
    cap_drop: Vec<&'static str>,
    /// seccomp, no-new-privileges
    #[argh(option, from_str_fn(kept))]
    security_opt: Vec<&'static str>,
    /// file for the pid
    #[argh(option, from_str_fn(kept))]
    pid_file: Option<&'static str>,
    /// every call
    #[argh(option, from_str_fn(kept))]
    trace: Option<&'static str>,
    /// the plan alone
    #[argh(option, from_str_fn(kept))]
    dry_run: Option<&'static str>,
    /// stops
    #[argh(switch)]
    step: bool,
    /// numbers at the end
    #[argh(option, from_str_fn(kept))]
    stats: Option<&'static str>,
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
            None => Err(Error::usage(says!("run needs a COMMAND"), b"")),
            Some(&b"") => Err(Error::usage(says!("an empty COMMAND"), b"")),
            Some(_) => Ok(Action::Run(parse_options(&normal.options)?, normal.command)),
        }
    } else if word == b"check" {
        match *words {
            [] => Ok(Action::Check(false)),
            [word] if word == b"--json" => Ok(Action::Check(true)),
            [word, ..] if is_help(word) => Ok(Action::Print(&texts::HELP)),
            [.., word] => Err(Error::usage(says!("check takes --json, not"), word)),
        }
    } else {
        Err(Error::usage(says!("unknown command"), word))
    }
}

fn is_help(word: &[u8]) -> bool {
    word == b"-h" || word == b"--help"
}

/// The words that the normaliser lets through are only what argh knows; a test holds the two together.
fn parse_options(words: &[&str]) -> Result<&'static Options> {
    match Run::from_args(&["mydocker run"], words) {
        Ok(run) => understand(Box::leak(Box::new(run))),
        Err(exit) => Err(Error::usage(says!("not understood"), exit.output.as_bytes().trim_ascii_end())),
    }
}

/// A value, as long as the process lives.
fn kept(value: &str) -> core::result::Result<&'static str, String> {
    Ok(String::from(value).leak())
}

fn understand(run: &'static Run) -> Result<&'static Options> {
    let options = Box::leak(Box::<Options>::default());
    let limits = LimitWords {
        memory: run.memory_limit,
        swap: run.memory_swap,
        shares: run.cpu_shares,
        cpus: run.cpu_set,
        mems: run.cpu_mems,
        quota: run.cpus,
        pids: run.pids_limit,
        none: run.no_limits,
        count: run.stats.is_some(),
    };
    options.limits.read(&limits)?;
    options.cgroup_parent = run.cgroup_parent;
    options.cgroup_parent.map_or(Ok(()), options::check_cgroup_parent)?;
    options.name = run.name;
    options.name.map_or(Ok(()), options::check_name)?;
    options.pid_file = run.pid_file;
    understand_root(run, options)?;
    understand_process(run, options)?;
    understand_namespaces(run, options)?;
    options.privilege = Privilege::read(&privilege::Words {
        privileged: run.privileged,
        add: &run.cap_add,
        drop: &run.cap_drop,
        options: &run.security_opt,
    })?;
    options.trace = run.trace;
    options.step = run.step;
    options.stats = run.stats;
    options.dry_run = run.dry_run;
    match options.dry_run {
        None | Some("" | "sh") => Ok(options),
        Some(form) => Err(Error::usage(says!("--dry-run takes =sh, not"), form.as_bytes())),
    }
}

fn understand_root(run: &'static Run, options: &mut Options) -> Result<()> {
    options.rootfs = run.rootfs;
    options.ephemeral = match run.ephemeral {
        None => None,
        Some("") => Some(None),
        Some(size) => Some(Some(options::size(size, says!("--ephemeral is not a size, such as 100m"))?)),
    };
    options.read_only = run.read_only;
    for word in &run.volume {
        options.volumes.push(volumes::volume(word)?);
    }
    for word in &run.tmpfs {
        options.volumes.push(volumes::tmpfs(word)?);
    }
    options.devices = &run.device;
    let shm_size = run.shm_size;
    if let Some(size) = shm_size {
        options.shm_size = Some(options::size(size, says!("--shm-size is not a size, such as 64m"))?);
    }
    options.workdir = run.workdir;
    let own_root = options.rootfs.is_some() || options.ephemeral.is_some();
    if let Some(word) = options.devices.first().copied().or(shm_size).filter(|_| !own_root) {
        return Err(Error::usage(says!("this needs a root of its own, --rootfs or --ephemeral"), word.as_bytes()));
    }
    if let Some(dir) = options.workdir.filter(|dir| own_root && !dir.starts_with('/')) {
        return Err(Error::usage(says!("--workdir is not an absolute path in the container"), dir.as_bytes()));
    }
    Ok(())
}

#[inline(never)]
fn understand_process(run: &'static Run, options: &mut Options) -> Result<()> {
    options.tty = run.tty;
    options.env = &run.env;
    options.env_files = &run.env_file;
    options.user = run.user;
    if let Some(user) = options.user
        && passwd::wanted(user.as_bytes()).is_none()
    {
        return Err(Error::usage(says!("--user is USER or USER:GROUP"), user.as_bytes()));
    }
    for word in &run.ulimit {
        options.ulimits.push(volumes::ulimit(word)?);
    }
    options.init = run.init;
    Ok(())
}

#[inline(never)]
fn understand_namespaces(run: &'static Run, options: &mut Options) -> Result<()> {
    let host = |word: Option<&str>, usual, what| match word {
        Some("host") => Ok(true),
        Some(other) if other != usual => Err(Error::usage(what, other.as_bytes())),
        _ => Ok(false),
    };
    options.host_network = host(run.network, "none", says!("--network takes none or host"))?;
    options.host_pid = host(run.pid, "", says!("--pid takes host"))?;
    options.host_ipc = host(run.ipc, "", says!("--ipc takes host"))?;
    options.host_uts = host(run.uts, "", says!("--uts takes host"))?;
    options.host_user = host(run.userns, "auto", says!("--userns takes auto or host"))?;
    options.hostname = run.hostname;
    if let Some(hostname) = options.hostname {
        if hostname.len() > 64 {
            return Err(Error::usage(says!("--hostname is longer than 64 bytes"), hostname.as_bytes()));
        }
        if options.host_uts {
            return Err(Error::usage(says!("--hostname with --uts host would rename the host"), hostname.as_bytes()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::{ArgsInfo, FlagInfoKind, Optionality};
    use mydocker::options::{Table, Value};

    /// The normaliser's table and argh's struct know the same options, and agree on which of them take a value.
    #[test]
    fn the_table_is_what_argh_knows() {
        let info = Run::get_args_info();
        let mut known: Vec<(String, bool, bool)> = info
            .flags
            .iter()
            .filter(|flag| flag.long != "--help")
            .map(|flag| {
                let takes_value = matches!(flag.kind, FlagInfoKind::Option { .. });
                let many = matches!(flag.optionality, Optionality::Repeating | Optionality::Greedy);
                (flag.long.to_string(), takes_value, many)
            })
            .collect();
        let mut table: Vec<(String, bool, bool)> = Table::read()
            .rows()
            .map(|row| (row.name().to_string(), row.value() != Value::Switch, row.value() == Value::Many))
            .collect();
        known.sort();
        table.sort();
        // argh counts a switch as optional; so does the table.
        assert_eq!(known, table);
    }
}
