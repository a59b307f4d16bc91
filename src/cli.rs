//! The command line: words in, `Options` out. argh parses what the normaliser has sorted out.

use argh::FromArgs;
use mydocker::argv;
use mydocker::error::{Error, Result};
use mydocker::options::{self, LimitWords, Limits, Options};
use mydocker::passwd;
use mydocker::privilege::{self, Privilege};
use mydocker::volumes;

/// Runs a command in its own namespaces, under cgroup limits.
#[derive(FromArgs, Default)]
#[cfg_attr(test, derive(argh::ArgsInfo))]
// The normaliser has taken --help out already: argh makes no text of its own for it.
#[argh(help_triggers(""))]
struct Run {
    /// bytes of memory
    #[argh(option)]
    memory_limit: Option<String>,
    /// bytes of memory and swap
    #[argh(option)]
    memory_swap: Option<String>,
    /// weight against others
    #[argh(option)]
    cpu_shares: Option<String>,
    /// list of CPUs
    #[argh(option)]
    cpu_set: Option<String>,
    /// list of memory nodes
    #[argh(option)]
    cpu_mems: Option<String>,
    /// CPU time
    #[argh(option)]
    cpus: Option<String>,
    /// processes and threads
    #[argh(option)]
    pids_limit: Option<String>,
    /// no cgroup
    #[argh(switch)]
    no_limits: bool,
    /// where cgroups are made
    #[argh(option)]
    cgroup_parent: Option<String>,
    /// name of the container
    #[argh(option)]
    name: Option<String>,
    /// root
    #[argh(option)]
    rootfs: Option<String>,
    /// writes in memory: a size, or true
    #[argh(option)]
    ephemeral: Option<String>,
    /// no writes
    #[argh(switch)]
    read_only: bool,
    /// folder of the host
    #[argh(option)]
    volume: Vec<String>,
    /// memory
    #[argh(option)]
    tmpfs: Vec<String>,
    /// device
    #[argh(option)]
    device: Vec<String>,
    /// size of /dev/shm
    #[argh(option)]
    shm_size: Option<String>,
    /// terminal
    #[argh(switch)]
    tty: bool,
    /// stdin
    #[argh(switch)]
    #[expect(dead_code, reason = "accepted: the caller's streams pass through either way")]
    interactive: bool,
    /// variable
    #[argh(option)]
    env: Vec<String>,
    /// file of variables
    #[argh(option)]
    env_file: Vec<String>,
    /// working directory
    #[argh(option)]
    workdir: Option<String>,
    /// user
    #[argh(option)]
    user: Option<String>,
    /// limit of processes
    #[argh(option)]
    ulimit: Vec<String>,
    /// a reaper
    #[argh(switch)]
    init: bool,
    /// hostname
    #[argh(option)]
    hostname: Option<String>,
    /// accepted
    #[argh(switch)]
    #[expect(dead_code, reason = "accepted: always true")]
    rm: bool,
    /// network namespace
    #[argh(option)]
    network: Option<String>,
    /// PID namespace
    #[argh(option)]
    pid: Option<String>,
    /// IPC namespace
    #[argh(option)]
    ipc: Option<String>,
    /// UTS namespace
    #[argh(option)]
    uts: Option<String>,
    /// user namespace
    #[argh(option)]
    userns: Option<String>,
    /// nothing dropped
    #[argh(switch)]
    privileged: bool,
    /// capability to keep
    #[argh(option)]
    cap_add: Vec<String>,
    /// capability to drop
    #[argh(option)]
    cap_drop: Vec<String>,
    /// seccomp, no-new-privileges
    #[argh(option)]
    security_opt: Vec<String>,
    /// file for the pid
    #[argh(option)]
    pid_file: Option<String>,
    /// every call
    #[argh(option)]
    trace: Option<String>,
    /// the plan alone
    #[argh(option)]
    dry_run: Option<String>,
    /// stops
    #[argh(switch)]
    step: bool,
    /// numbers at the end
    #[argh(option)]
    stats: Option<String>,
}

/// What to do.
pub enum Action<'a> {
    /// Run the command: the words after the options.
    Run(&'static Options, &'a [&'a [u8]]),
    /// Say what this host offers; as JSON or as text.
    Check(bool),
    /// Print this to stdout, and end with 0.
    Print(&'static str),
    /// Print this to stderr, and end with 125.
    Explain(&'static str),
}

const HELP: &str = "\
mydocker runs a command in its own Linux namespaces, under cgroup limits.

Usage: mydocker run [OPTIONS] COMMAND [ARG...]
       mydocker check [--json]
       mydocker --help | --version

  mydocker run -t -m 100m --cpu-set 0 sh   a shell, 100 MiB, the first CPU
  mydocker run --rootfs DIR -t sh          a shell in a root of its own
  mydocker run --dry-run sh                what would be done, step by step
  mydocker run --help                      every option
  mydocker check                           what this host offers
";

const VERSION: &str = concat!(
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
    match words {
        [] => Ok(Action::Explain(HELP)),
        [b"-h" | b"--help", ..] => Ok(Action::Print(HELP)),
        [b"--version" | b"-V", ..] => Ok(Action::Print(VERSION)),
        [b"run", words @ ..] => {
            let normal = argv::normalise(words)?;
            if normal.help {
                return Ok(Action::Print(options::HELP));
            }
            match normal.command {
                [] => return Err(Error::usage("run needs a COMMAND", b"")),
                [b"", ..] => return Err(Error::usage("an empty COMMAND", b"")),
                _ => {}
            }
            Ok(Action::Run(understand(&normal.options)?, normal.command))
        }
        [b"check", words @ ..] => match words {
            [] => Ok(Action::Check(false)),
            [b"--json"] => Ok(Action::Check(true)),
            [b"-h" | b"--help", ..] => Ok(Action::Print(HELP)),
            [.., word] => Err(Error::usage("check takes --json, not", word)),
        },
        [word, ..] => Err(Error::usage("unknown command", word)),
    }
}

fn understand(words: &[&str]) -> Result<&'static Options> {
    // The normaliser lets through only what argh knows; a test holds the two together.
    let run: &'static Run = match Run::from_args(&["mydocker run"], words) {
        Ok(run) => Box::leak(Box::new(run)),
        Err(exit) => return Err(Error::usage("not understood", exit.output.as_bytes().trim_ascii_end())),
    };
    let limits = Limits::read(&LimitWords {
        memory: run.memory_limit.as_deref(),
        swap: run.memory_swap.as_deref(),
        shares: run.cpu_shares.as_deref(),
        cpus: run.cpu_set.as_deref(),
        mems: run.cpu_mems.as_deref(),
        quota: run.cpus.as_deref(),
        pids: run.pids_limit.as_deref(),
        none: run.no_limits,
        count: run.stats.is_some(),
    })?;
    let dry_run = run.dry_run.as_deref();
    if let Some(form) = dry_run.filter(|form| !["", "sh"].contains(form)) {
        return Err(Error::usage("--dry-run takes =sh, not", form.as_bytes()));
    }
    let name = run.name.as_deref();
    name.map_or(Ok(()), options::check_name)?;
    let cgroup_parent = run.cgroup_parent.as_deref();
    cgroup_parent.map_or(Ok(()), options::check_cgroup_parent)?;
    let hostname = run.hostname.as_deref();
    if let Some(long) = hostname.filter(|hostname| hostname.len() > 64) {
        return Err(Error::usage("--hostname is longer than 64 bytes", long.as_bytes()));
    }
    let host_uts = host(run.uts.as_deref(), "--uts takes host", None)?;
    if host_uts && let Some(hostname) = hostname {
        return Err(Error::usage("--hostname with --uts host would rename the host", hostname.as_bytes()));
    }
    let ephemeral = match run.ephemeral.as_deref() {
        None => None,
        Some("") => Some(None),
        Some(size) => Some(Some(options::size(size, "--ephemeral is not a size, such as 100m")?)),
    };
    let shm_size = match &run.shm_size {
        Some(size) => Some(options::size(size, "--shm-size is not a size, such as 64m")?),
        None => None,
    };
    if let Some(user) = &run.user
        && passwd::wanted(user.as_bytes()).is_none()
    {
        return Err(Error::usage("--user is USER or USER:GROUP", user.as_bytes()));
    }
    let mut volumes = Vec::new();
    for word in &run.volume {
        volumes.push(volumes::volume(word)?);
    }
    for word in &run.tmpfs {
        volumes.push(volumes::tmpfs(word)?);
    }
    let mut ulimits = Vec::new();
    for word in &run.ulimit {
        ulimits.push(volumes::ulimit(word)?);
    }
    let own_root = run.rootfs.is_some() || ephemeral.is_some();
    if let Some(word) = run.device.first().or(run.shm_size.as_ref()).filter(|_| !own_root) {
        return Err(Error::usage("this needs a root of its own, --rootfs or --ephemeral", word.as_bytes()));
    }
    if let Some(dir) = run.workdir.as_ref().filter(|dir| own_root && !dir.starts_with('/')) {
        return Err(Error::usage("--workdir is not an absolute path in the container", dir.as_bytes()));
    }
    Ok(Box::leak(Box::new(Options {
        rootfs: run.rootfs.as_deref(),
        ephemeral,
        read_only: run.read_only,
        volumes,
        devices: run.device.iter().map(String::as_str).collect(),
        shm_size,
        user: run.user.as_deref(),
        ulimits,
        limits,
        cgroup_parent,
        name,
        env: run.env.iter().map(String::as_str).collect(),
        env_files: run.env_file.iter().map(String::as_str).collect(),
        workdir: run.workdir.as_deref(),
        tty: run.tty,
        init: run.init,
        hostname,
        host_network: host(run.network.as_deref(), "--network takes none or host", Some("none"))?,
        host_pid: host(run.pid.as_deref(), "--pid takes host", None)?,
        host_ipc: host(run.ipc.as_deref(), "--ipc takes host", None)?,
        host_uts,
        host_user: host(run.userns.as_deref(), "--userns takes auto or host", Some("auto"))?,
        privilege: Privilege::read(&privilege::Words {
            privileged: run.privileged,
            add: &run.cap_add,
            drop: &run.cap_drop,
            options: &run.security_opt,
        })?,
        pid_file: run.pid_file.as_deref(),
        trace: run.trace.as_deref(),
        dry_run,
        step: run.step,
        stats: run.stats.as_deref(),
    })))
}

/// `host`, or nothing, or the `usual` word for what is so without the option.
fn host(word: Option<&str>, what: &'static str, usual: Option<&str>) -> Result<bool> {
    match word {
        Some("host") => Ok(true),
        Some(other) if Some(other) != usual => Err(Error::usage(what, other.as_bytes())),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::{ArgsInfo, FlagInfoKind, Optionality};
    use mydocker::options::{Value, rows};

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
        let mut table: Vec<(String, bool, bool)> = rows()
            .map(|row| (row.name().to_string(), row.value() != Value::Switch, row.value() == Value::Many))
            .collect();
        known.sort();
        table.sort();
        // argh counts a switch as optional; so does the table.
        assert_eq!(known, table);
    }
}
