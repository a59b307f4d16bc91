//! The options of `mydocker run`: one row each. argh's struct, the help, the man page, the completions and the normaliser
//! come from these rows.

use argh::FromArgs;
use core::ffi::CStr;
use mydocker::bytes::{Put, c_string, decimal, split, to_decimal};
use mydocker::error::{Error, Result};
use mydocker::process::keep;
use mydocker::root::etc;
use mydocker::spec::{LimitWords, LogTo, Spec, StatsTo, limits};
use mydocker::{cgroup, log, network, passwd, privilege, signals, sys, sysctl, ulimit, volume};

/// One option, as the command line and the documents know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its names with their dashes, between commas. The first long one is the name that argh knows.
    pub names: &'static str,
    /// What follows it.
    pub value: Value,
    /// The name of that in the help; empty if nothing follows.
    pub word: &'static str,
    /// What it does.
    pub help: &'static str,
    /// What `exec` has to do with it.
    pub exec: Exec,
}

/// What `exec` has to do with an option of `run`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// It has the option, too.
    pub takes: bool,
    /// The record keeps it, so that `exec` joins what it has made, and knows what the container can write to.
    pub joins: bool,
}

impl Exec {
    const fn takes(self) -> Exec {
        Exec { takes: true, ..self }
    }

    const fn joins(self) -> Exec {
        Exec { joins: true, ..self }
    }
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, or `=true` or `=false`.
    Switch,
    /// One word; the last one given counts.
    One,
    /// One word each time; all count.
    Many,
    /// Nothing, or `=` and a word; the last one given counts.
    Optional,
}

impl Row {
    /// Its names, each with its dashes.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        split(self.names.as_bytes(), b',').filter_map(|name| str::from_utf8(name.trim_ascii_start()).ok())
    }

    /// The name that argh knows.
    pub fn name(&self) -> &'static str {
        self.names().find(|name| name.starts_with("--")).unwrap_or_default()
    }
}

/// Most options concern `run` alone.
pub const NOT_FOR_EXEC: Exec = Exec { takes: false, joins: false };

/// Makes the table of the rows, and argh's struct of their values.
///
/// A row reads `field: "NAMES" VALUE("WORD") "HELP" => |request, word| STATEMENT`; before the HELP may stand what `exec` has to do
/// with it, `exec(takes, joins)`. The statement puts the value into the [`Request`],
/// and may use `?`. The word of a switch is `true`, that of an optional value which was left out is empty. What can be given
/// many times gets a list of words.
macro_rules! options {
    // argh's struct, field by field: what can be given many times is a list.
    (@given {$($done:tt)*} $field:ident Many $help:literal $($rest:tt)*) => {
        options!(@given {
            $($done)*
            #[doc = $help]
            #[argh(option, from_str_fn(leak))]
            $field: Vec<&'static str>,
        } $($rest)*);
    };
    (@given {$($done:tt)*} $field:ident $kind:ident $help:literal $($rest:tt)*) => {
        options!(@given {
            $($done)*
            #[doc = $help]
            #[argh(option, from_str_fn(leak_string))]
            $field: Option<&'static String>,
        } $($rest)*);
    };
    (@given {$($done:tt)*}) => {
        /// Runs a command in its own namespaces, under cgroup limits.
        #[derive(FromArgs)]
        // The normaliser handles --help; argh has no help text of its own.
        #[argh(help_triggers())]
        pub struct Given {
            $($done)*
        }
    };
    // What becomes of the values of a field.
    (@put Many $field:expr, $words:pat_param, $put:expr) => {
        let words: &'static [&'static str] = &$field;
        if !words.is_empty() {
            let $words = words;
            $put;
        }
    };
    (@put $kind:ident $field:expr, $word:pat_param, $put:expr) => {
        if let Some(word) = $field {
            let $word: &'static str = word;
            $put;
        }
    };
    ($(
        $group:literal {
            $(
                $field:ident: $names:literal $kind:ident $(($value:literal))? $(exec($($exec:ident),+))?
                    $help:literal
                    => |$request:pat_param, $word:pat_param| $put:expr;
            )*
        }
    )*) => {
        /// Every option, in the order of the help.
        pub static ROWS: &[Row] = &[
            $($(Row {
                names: $names,
                value: Value::$kind,
                word: concat!($($value)?),
                help: $help,
                exec: NOT_FOR_EXEC $($(.$exec())+)?,
            },)*)*
        ];

        /// The headings, each with the number of rows that stand under it.
        pub static GROUPS: &[(&str, usize)] = &[$(($group, [$($names),*].len())),*];

        options!(@given {} $($($field $kind $help)*)*);

        impl Given {
            /// Puts each value where it belongs, row by row.
            pub fn put_into(&'static self, request: &mut Request) -> Result<()> {
                $($({
                    let $request = &mut *request;
                    options!(@put $kind self.$field, $word, $put);
                })*)*
                Ok(())
            }
        }
    };
}

const NO_FILE: &str = "no file: /dev/stdout and /dev/stderr are the streams";

/// The row that has `name`, with its dashes, among its names.
pub fn find(rows: &'static [Row], name: &[u8]) -> Option<&'static Row> {
    rows.iter().find(|row| row.names().any(|known| known.as_bytes() == name))
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
            && find(ROWS, name.as_bytes()).is_some_and(|row| row.exec.joins)
        {
            spec.words.extend([name, value].map(|word| &*String::from(*word).leak()));
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

/// Takes the words of an option that can be given many times, one by one.
fn each(
    request: &mut Request,
    words: &[&'static str],
    take: fn(&mut Request, &'static str) -> Result<()>,
) -> Result<()> {
    words.iter().try_for_each(|word| take(request, word))
}

options! {
    "Limits" {
        memory_limit: "-m, --memory-limit, --memory" One("BYTES")
            "memory limit; default 200m, max lifts it"
            => |request, word| request.limits.memory = Some(word);
        memory_swap: "--memory-swap" One("BYTES")
            "memory plus swap; max or -1 lifts it"
            => |request, word| request.limits.swap = Some(word);
        memory_reservation: "--memory-reservation" One("BYTES")
            "memory that the host reclaims last when it runs short"
            => |request, word| request.limits.reservation = Some(word);
        cpu_shares: "-c, --cpu-shares" One("N")
            "weight against other cgroups; default 2048"
            => |request, word| request.limits.shares = Some(word);
        cpu_set: "--cpu-set, --cpuset-cpus" One("LIST") exec(joins)
            "CPUs to run on, such as 0-2,5, or all"
            => |request, word| request.limits.cpus = Some(word);
        cpu_mems: "--cpu-mems, --cpuset-mems" One("LIST")
            "memory nodes to use, such as 0-1, or all"
            => |request, word| request.limits.mems = Some(word);
        cpus: "--cpus" One("N.N")
            "CPU time, in CPUs; max lifts it"
            => |request, word| request.limits.quota = Some(word);
        cpu_quota: "--cpu-quota" One("MICROS")
            "CPU time in each period; -1 lifts it"
            => |request, word| request.limits.cpu_quota = Some(word);
        cpu_period: "--cpu-period" One("MICROS")
            "how long a period is; default 100000"
            => |request, word| request.limits.cpu_period = Some(word);
        pids_limit: "--pids-limit" One("N")
            "processes and threads; max or -1 lifts it"
            => |request, word| request.limits.pids = Some(word);
        no_limits: "--no-limits" Switch
            "no limits, and no cgroup"
            => |request, _| request.limits.none = true;
        cgroup_parent: "--cgroup-parent" One("PATH")
            "where its cgroups are made: absolute, or relative to the caller's cgroup"
            => |request, word| {
                cgroup::check_parent(word)?;
                request.spec.cgroup_parent = Some(word);
            };
        name: "--name" One("NAME")
            "its name in ps, its hostname, and part of the names of its cgroups"
            => |request, word| {
                cgroup::check_name(word)?;
                request.spec.name = Some(word);
            };
        state: "--state" One("DIR") exec(takes)
            "the folder of the records; default /run/mydocker, or the user's own"
            => |request, word| request.spec.state = Some(path(word));
        pid_file: "--pid-file" One("FILE")
            "write its pid on this host to FILE"
            => |request, word| request.spec.pid_file = Some(path(word));
        cidfile: "--cidfile" One("FILE")
            "write its name to FILE, which must not exist; without --name and -d, mydocker's pid"
            => |request, word| request.spec.cid_file = Some(path(word));
        timeout: "--timeout" One("SECONDS")
            "kill it after SECONDS, with status 137"
            => |request, word| {
                let Some(seconds) = number(word, u32::MAX) else {
                    return Err(Error::usage("--timeout is a whole number of seconds", word.as_bytes()));
                };
                request.spec.timeout = Some(seconds).filter(|seconds| *seconds > 0);
            };
        stop_signal: "--stop-signal" One("SIGNAL")
            "the signal that stop sends, such as QUIT; default TERM"
            => |request, word| request.spec.stop_signal = Some(signals::to_stop_with(word)?);
    }
    "Root" {
        rootfs: "--rootfs" One("PATH") exec(joins)
            "its root: a directory; or a file or device with a filesystem in it, where writes go to memory"
            => |request, word| request.spec.rootfs = Some(path(word));
        ephemeral: "--ephemeral" Optional("SIZE") exec(joins)
            "writes go to memory, and are lost at exit; default SIZE half of -m"
            => |request, word| {
                request.spec.ephemeral = true;
                if !word.is_empty() {
                    let size = limits::size("--ephemeral", word)?;
                    request.spec.ephemeral_size = Some(size);
                }
            };
        read_only: "--read-only" Switch exec(joins)
            "make the root read-only"
            => |request, _| request.spec.read_only = true;
        volume: "-v, --volume" Many("SRC:DST[:OPTS]") exec(joins)
            "mount a host directory or file at DST; OPTS such as ro"
            => |request, words| each(request, words, |request, word| {
                request.spec.volumes.push(volume::parse(word)?);
                Ok(())
            })?;
        mount: "--mount" Many("type=TYPE,KEY=VALUE") exec(joins)
            "the same in docker's words: type=bind,src=..,dst=..,ro or type=tmpfs,dst=..,tmpfs-size=.."
            => |request, words| each(request, words, |request, word| {
                request.spec.volumes.push(volume::parse_mount(word)?);
                Ok(())
            })?;
        tmpfs: "--tmpfs" Many("DST[:OPTS]")
            "mount memory at DST; OPTS such as size=64m,mode=1777,exec"
            => |request, words| each(request, words, |request, word| {
                request.spec.volumes.push(volume::parse_tmpfs(word)?);
                Ok(())
            })?;
        tz: "--tz" One("ZONE")
            "its time zone, such as Europe/Paris, or local: the host's file, as its /etc/localtime"
            => |request, word| request.spec.volumes.push(volume::parse_zone(word)?);
        device: "--device" Many("PATH[:DST]")
            "a device of the host, at its path or at DST"
            => |request, words| each(request, words, |request, word| {
                request.spec.devices.push(volume::parse_device(word)?);
                request.needs_own_root.get_or_insert(word);
                Ok(())
            })?;
        shm_size: "--shm-size" One("BYTES")
            "size of /dev/shm; default 64m"
            => |request, word| {
                request.spec.shm_size = Some(limits::size("--shm-size", word)?);
            };
    }
    "Process" {
        entrypoint: "--entrypoint" One("CMD")
            "a word before COMMAND; put -- before options of CMD"
            => |request, word| request.entrypoint = Some(word);
        tty: "-t, --tty" Switch exec(takes)
            "a terminal of its own, for an interactive shell; implies -i"
            => |request, _| request.spec.tty = true;
        interactive: "-i, --interactive" Switch exec(takes)
            "with run -d: stdin is a FIFO in its record, not /dev/null; else it always passes through"
            => |request, _| request.spec.interactive = true;
        detach: "-d, --detach" Switch
            "run it in the background, and print its name"
            => |request, _| request.spec.detach = true;
        log: "--log" One("FILE|none|-")
            "with -d: where its output goes; default its record, - the caller's"
            => |request, word| request.spec.log = match word {
                "none" => LogTo::Nowhere,
                "-" => LogTo::Caller,
                file => LogTo::File(path(file)),
            };
        log_size: "--log-size" One("BYTES")
            "with -d: the maximum size of its log; default 10m"
            => |request, word| {
                let size = limits::size("--log-size", word)?;
                if size < log::LEAST {
                    return Err(Error::usage("--log-size is less than 1k", word.as_bytes()));
                }
                request.spec.log_size = Some(size);
            };
        env: "-e, --env" Many("K=V") exec(takes)
            "set a variable; K alone keeps the caller's value"
            => |request, words| request.spec.env = words;
        unsetenv: "--unsetenv" Many("NAME")
            "remove a variable of the caller's, or a default one"
            => |request, words| {
                if let Some(word) = words.iter().find(|word| word.contains('=')) {
                    return Err(Error::usage("--unsetenv takes a NAME, not", word.as_bytes()));
                }
                request.spec.unset_env = words;
            };
        env_file: "--env-file" Many("FILE") exec(takes)
            "set the variables in FILE, one on each line"
            => |request, words| each(request, words, |request, word| {
                request.spec.env_files.push(path(word));
                Ok(())
            })?;
        workdir: "-w, --workdir" One("DIR") exec(takes, joins)
            "working directory; in a root of its own run creates it"
            => |request, word| request.spec.workdir = Some(path(word));
        user: "-u, --user" One("USER[:GROUP]") exec(takes, joins)
            "the user to run as: ids, or names from the container's files"
            => |request, word| {
                if passwd::user_and_group(word.as_bytes()).is_none() {
                    return Err(Error::usage("--user is USER or USER:GROUP", word.as_bytes()));
                }
                request.spec.user = Some(word);
            };
        group_add: "--group-add" Many("GROUP") exec(joins)
            "a further group: an id or a name"
            => |request, words| request.spec.groups = words;
        umask: "--umask" One("MODE") exec(joins)
            "permissions that its new files do not get, such as 027"
            => |request, word| {
                let is_mode = word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit());
                let mode = u32::from_str_radix(word, 8).ok().filter(|mode| is_mode && *mode <= 0o777);
                let Some(mode) = mode else {
                    return Err(Error::usage("--umask is an octal number up to 777", word.as_bytes()));
                };
                request.spec.umask = Some(mode);
            };
        oom_score_adj: "--oom-score-adj" One("N") exec(joins)
            "from -1000 to 1000: how soon the kernel kills it if memory runs out"
            => |request, word| {
                if number(word.strip_prefix("-").unwrap_or(word), 1000).is_none() {
                    return Err(Error::usage("--oom-score-adj is a number from -1000 to 1000", word.as_bytes()));
                }
                request.spec.oom_score_adj = Some(word);
            };
        ulimit: "--ulimit" Many("NAME=SOFT[:HARD]") exec(joins)
            "set a resource limit of its processes, such as nofile=1024"
            => |request, words| each(request, words, |request, word| {
                let limit = ulimit::parse(word)?;
                // The last one of a name counts, as with docker.
                request.spec.ulimits.retain(|other| other.resource != limit.resource);
                request.spec.ulimits.push(limit);
                Ok(())
            })?;
        preserve_fds: "--preserve-fds" One("N") exec(takes)
            "pass it N descriptors from 3 on, too"
            => |request, word| {
                let Some(count) = number(word, MOST_PASSED) else {
                    return Err(Error::usage("--preserve-fds is how many descriptors, such as 1", word.as_bytes()));
                };
                request.spec.passed = count as i32;
            };
        hostname: "-h, --hostname" One("NAME")
            "hostname"
            => |request, word| {
                if word.len() > 64 {
                    return Err(Error::usage("--hostname is longer than 64 bytes", word.as_bytes()));
                }
                request.spec.hostname = Some(word);
            };
        init: "--init" Switch exec(joins)
            "run a PID 1 that reaps orphans and passes signals on"
            => |request, _| request.spec.init = true;
        restart: "--restart" One("POLICY")
            "with -d: start it again: always, unless-stopped, on-failure[:N], no"
            => |request, word| request.spec.restart = keep::policy(word)?;
        rm: "--rm" Switch
            "with -d: remove its record at the end"
            => |request, _| request.spec.remove = true;
    }
    "Namespaces" {
        network: "--network, --net" One("none|host|bridge") exec(joins)
            "its own with lo (none), the host's, bridge[:NAME][,forward], slirp4netns, pasta, container:NAME, or ns:PATH"
            => |request, word| request.spec.network = network::parse(word)?;
        publish: "-p, --publish" Many("[HOST:]CONT")
            "a port of the host, or a range, that leads to CONT: [IP:][HOST[-END]:]CONT[-END][/udp]; callers are seen as 127.0.0.1"
            => |request, words| each(request, words, |request, word| {
                network::publish(word, &mut request.spec.ports)?;
                Ok(())
            })?;
        subnet: "--subnet" One("ADDRESS/BITS")
            "the network of its bridge; default 10.88.0.0/16"
            => |request, word| network::bridge_of(&mut request.spec, word)?.subnet = Some(network::subnet(word)?);
        ip: "--ip" One("ADDRESS")
            "its address on the bridge; default: any that is free"
            => |request, word| network::bridge_of(&mut request.spec, word)?.address = Some(network::address(word)?);
        mac_address: "--mac-address" One("MAC")
            "the hardware address of its end, such as 02:42:00:00:00:07"
            => |request, word| network::bridge_of(&mut request.spec, word)?.mac = Some(network::mac(word)?);
        add_host: "--add-host" Many("NAME:IP")
            "a line in its /etc/hosts; on a bridge IP may be host-gateway, this host"
            => |request, words| each(request, words, |request, word| {
                etc::put_host(word, &mut request.spec)?;
                Ok(())
            })?;
        dns: "--dns" Many("IP")
            "a name server, instead of the host's"
            => |request, words| each(request, words, |request, word| {
                etc::put_server(word, &mut request.spec.dns)?;
                Ok(())
            })?;
        sysctl: "--sysctl" Many("NAME=VALUE")
            "set a parameter of its own: net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*"
            => |request, words| each(request, words, |request, word| {
                request.spec.sysctls.push(sysctl::parse(word)?);
                Ok(())
            })?;
        pid: "--pid" One("host") exec(joins)
            "share the processes of the host, or container:NAME's"
            => |request, word| match of_container(word)? {
                None => {
                    request.spec.host_pid =
                        is_host(word, "", "--pid takes host or container:NAME; its own are the default")?;
                }
                name => request.spec.pid_of = name.map(|name| (name, name)),
            };
        ipc: "--ipc" One("private|host") exec(joins)
            "its own System V and POSIX IPC, the host's, or container:NAME's without /dev/shm"
            => |request, word| match of_container(word)? {
                None => {
                    let message = "--ipc takes private, host or container:NAME";
                    request.spec.host_ipc = is_host(word, "private", message)?;
                }
                name => request.spec.ipc_of = name.map(|name| (name, name)),
            };
        uts: "--uts" One("host") exec(joins)
            "share the host's hostname"
            => |request, word| request.spec.host_uts = is_host(word, "", "--uts takes host")?;
        userns: "--userns" One("auto|host|keep-id") exec(joins)
            "its own unless root runs it (auto), or the caller's; keep-id: as a user who has the same ids inside"
            => |request, word| {
                request.spec.keep_id = word == "keep-id";
                request.spec.host_user = is_host(word, if request.spec.keep_id { word } else { "auto" }, USERNS)?;
            };
    }
    "Privilege" {
        privileged: "--privileged" Switch exec(takes, joins)
            "keep all privileges: drop no capability, filter no call; run makes nothing read-only"
            => |request, _| request.privilege.privileged = true;
        cap_add: "--cap-add" Many("CAP") exec(takes, joins)
            "keep CAP, such as NET_ADMIN, or ALL"
            => |request, words| request.privilege.add = words;
        cap_drop: "--cap-drop" Many("CAP") exec(joins)
            "drop CAP, or ALL"
            => |request, words| request.privilege.drop = words;
        security_opt: "--security-opt" Many("OPT") exec(joins)
            "seccomp=unconfined, or no-new-privileges=false"
            => |request, words| request.privilege.options = words;
    }
    "Diagnostics" {
        trace: "--trace" Optional("FILE") exec(takes)
            "print every system call as it returns, on stderr or to FILE"
            => |request, word| request.trace = Some(match word {
                "" => TraceTo::Stderr,
                "-" => return Err(Error::usage(NO_FILE, word.as_bytes())),
                file => TraceTo::File(path(file)),
            });
        dry_run: "--dry-run" Optional("sh")
            "print the plan as a table, or as a shell script; nothing is done"
            => |request, word| request.dry_run = Some(match word {
                "" => DryRun::Table,
                "sh" => DryRun::Script,
                other => return Err(Error::usage("--dry-run takes =sh, not", other.as_bytes())),
            });
        step: "--step" Switch
            "stop before each step, and suggest where to look"
            => |request, _| request.step = true;
        stats: "--stats" Optional("json|FILE")
            "print what it used at the end: as text, as JSON, or to FILE"
            => |request, word| {
                request.limits.count = true;
                request.spec.stats = Some(match word {
                    "" => StatsTo::Text,
                    "json" => StatsTo::Json,
                    "-" => return Err(Error::usage(NO_FILE, word.as_bytes())),
                    file => StatsTo::File(path(file)),
                });
            };
    }
}

const USERNS: &str = "--userns takes auto, host or keep-id";

/// The largest number of descriptors that a process can be allowed (fs.nr_open), less the three streams.
const MOST_PASSED: u32 = (1 << 30) - 3;

/// A number that is at most `most`.
fn number(word: &str, most: u32) -> Option<u32> {
    decimal(word.as_bytes()).ok().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= most)
}

/// What `run` is asked for. The rows of the options fill it in, one option at a time.
#[derive(Default)]
pub struct Request {
    /// The container.
    pub spec: Spec,
    /// The words of the limits, which are read together.
    pub limits: LimitWords<'static>,
    /// The words about privileges, likewise.
    pub privilege: privilege::Words<'static>,
    /// The first value that makes sense only in a root of its own.
    pub needs_own_root: Option<&'static str>,
    /// What comes in front of the command.
    pub entrypoint: Option<&'static str>,
    /// `--trace`
    pub trace: Option<TraceTo>,
    /// `--dry-run`: print the plan, and do nothing.
    pub dry_run: Option<DryRun>,
    /// `--step`: stop before each step.
    pub step: bool,
}

/// Where `--trace` prints the system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceTo {
    /// On stderr.
    Stderr,
    /// Into this file.
    File(&'static CStr),
}

/// What `--dry-run` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// A table of the steps.
    Table,
    /// A shell script that does the same.
    Script,
}

/// The path that `word` is.
pub fn path(word: &str) -> &'static CStr {
    c_string(&[word.as_bytes()])
}

/// The name in `container:NAME`.
fn of_container(word: &str) -> Result<Option<&'static CStr>> {
    let Some(name) = word.strip_prefix("container:") else { return Ok(None) };
    cgroup::check_name(name)?;
    Ok(Some(path(name)))
}

/// Whether the value of a namespace's option is `host`. `default` names the other choice; `message` says what there is.
fn is_host(word: &str, default: &str, message: &'static str) -> Result<bool> {
    if word == "host" || word == default {
        return Ok(word == "host");
    }
    Err(Error::usage(message, word.as_bytes()))
}

/// The value as a string that lives as long as the process. It is one pointer, because argh moves each field twice.
fn leak_string(value: &str) -> core::result::Result<&'static String, String> {
    Ok(Box::leak(Box::new(String::from(value))))
}

/// The value as a string that lives as long as the process.
fn leak(value: &str) -> core::result::Result<&'static str, String> {
    Ok(String::from(value).leak())
}
