//! What a run will do, as data: options and host in, two ordered lists of steps out. Read `make` for the order.

use crate::cgroup::{self, Group, Host, PREFIX, Version};
use crate::environment::{self, DEFAULT_PATH, Environment};
use crate::error::{Errno, Result};
use crate::options::Options;
pub use crate::step::{Plan, Step};
use crate::sys::{self, CloneFlags};
use crate::text::{Put, c_string, to_decimal};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Makes the plan for `command` (at least one word, none with a NUL) in the caller's environment. It is kept until the
/// process ends: closing its descriptors one by one would only be slower.
pub fn make(options: &Options, command: &[&[u8]], caller: &[&'static CStr]) -> Result<&'static Plan> {
    let pid = sys::getpid();
    let environment = build_environment(options, caller)?;
    let (host, groups) = find_groups(options)?;
    let name = name(options.name, pid);

    let v1 = |g: &usize| groups.get(*g).is_some_and(|group| group.hierarchy.version == Version::V1);
    let v2 = |g: &usize| groups.get(*g).is_some_and(|group| group.hierarchy.version == Version::V2);
    let every = || 0..groups.len();

    // The parent. A v2 group comes before clone, for the child is born in it; v1 groups are made while the child
    // mounts, for it joins them after the word to go.
    let mut parent = Steps(Vec::new());
    for g in every().filter(|g| groups.get(*g).is_some_and(|group| !group.is_at_top())) {
        parent.push(Step::OpenParent(g));
    }
    every().filter(v2).for_each(|g| make_group(&mut parent, &groups, g));
    parent.push(Step::Clone);
    every().filter(v1).for_each(|g| make_group(&mut parent, &groups, g));
    if options.tty {
        parent.push(Step::ReceiveTerminal);
    }
    parent.push(Step::SendCommand);

    // The child.
    let mut child = Steps(Vec::new());
    child.push(Step::MakeMountsSlave);
    if !options.host_pid {
        child.push(Step::MountProc);
    }
    if options.tty {
        child.push(Step::MountDevpts);
        child.push(Step::OpenTerminal);
    }
    if let Some(hostname) = options.hostname.or(options.name).filter(|_| !options.host_uts) {
        child.push(Step::SetHostname(hostname.as_bytes()));
    }
    if !options.host_network {
        child.push(Step::BringUpLoopback);
    }
    child.push(Step::FindIgnoredSignals);
    child.push(Step::ReceiveCommand);
    every().for_each(|g| child.push(Step::JoinGroup(g)));
    if let Some(dir) = options.workdir {
        child.push(Step::ChangeDirectory(c_string(&[dir.as_bytes()])));
    }
    child.push(Step::DieWithParent);
    if options.tty {
        child.push(Step::AttachTerminal);
    }
    if options.init {
        child.push(Step::BecomeInit);
    }
    child.push(Step::CloseDescriptors);
    child.push(Step::ResetSignals);
    child.push(Step::Exec);

    let mut words = Vec::new();
    for word in command {
        words.put(word);
        words.put(b"\0");
    }
    Ok(Box::leak(Box::new(Plan {
        namespaces: namespaces(options),
        parent: parent.0,
        child: child.0,
        host,
        groups,
        tasks: c_string(&[name.to_bytes(), b"/tasks"]),
        procs: c_string(&[name.to_bytes(), b"/cgroup.procs"]),
        name,
        pid,
        words: words.leak(),
        tty: options.tty,
        init: options.init,
        path: environment::get(&environment, b"PATH").unwrap_or(DEFAULT_PATH),
        environment,
        default_memory: options.limits.memory.is_some_and(|memory| !memory.asked),
    })))
}

/// Steps in their order.
struct Steps(Vec<Step>);

impl Steps {
    /// One more: a call, where `Vec` would have all of its growing in every place.
    #[inline(never)]
    fn push(&mut self, step: Step) {
        self.0.push(step);
    }
}

fn make_group(parent: &mut Steps, groups: &[Group], g: usize) {
    let Some(group) = groups.get(g) else { return };
    (0..group.enable.len()).for_each(|at| parent.push(Step::EnableController(g, at)));
    parent.push(Step::MakeGroup(g));
    (0..group.settings.len()).for_each(|at| parent.push(Step::ApplySetting(g, at)));
}

/// A host whose cgroups cannot be found is no host for a limit that was asked for; defaults do without.
fn find_groups(options: &Options) -> Result<(Host, Vec<Group>)> {
    let limits = &options.limits;
    let nothing = || (Host { hierarchies: Vec::new() }, Vec::new());
    let asked = cgroup::needed(limits, true);
    if cgroup::needed(limits, false).is_empty() {
        return Ok(nothing());
    }
    match Host::find(asked) {
        Ok(host) => {
            let groups = cgroup::groups(&host, limits, options.cgroup_parent)?;
            Ok((host, groups))
        }
        Err(_) if asked.is_empty() => Ok(nothing()),
        Err(e) => Err(e),
    }
}

fn name(name: Option<&str>, pid: sys::Pid) -> &'static CStr {
    match name {
        Some(name) => c_string(&[PREFIX, name.as_bytes()]),
        None => c_string(&[PREFIX, &to_decimal(pid.0 as u64)]),
    }
}

fn namespaces(options: &Options) -> CloneFlags {
    let mut flags = CloneFlags::NEWNS;
    for (host, flag) in [
        (options.host_uts, CloneFlags::NEWUTS),
        (options.host_ipc, CloneFlags::NEWIPC),
        (options.host_pid, CloneFlags::NEWPID),
        (options.host_network, CloneFlags::NEWNET),
    ] {
        if !host {
            flags = flags | flag;
        }
    }
    flags
}

/// The caller's variables, then the files', then `-e`.
fn build_environment(options: &Options, caller: &[&'static CStr]) -> Result<Vec<&'static CStr>> {
    let mut environment = Environment { caller, variables: caller.to_vec() };
    for path in &options.env_files {
        match sys::read_file(c_string(&[path.as_bytes()])) {
            Err(e) if e.is(Errno::EISDIR) => return Err(e.with_hint("--env-file needs a file")),
            file => environment.set_lines(&file?)?,
        }
    }
    for assignment in &options.env {
        environment.set(assignment.as_bytes())?;
    }
    Ok(environment.variables)
}
