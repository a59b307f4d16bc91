//! `exec`: the plan for a command in a container that runs. It joins what `run` has made; from there on, its steps are those of
//! `run`.

use super::child::become_command;
use super::{Parts, Plan};
use crate::cgroup::Group;
use crate::cgroup::steps::{JoinCgroup, SetAffinity};
use crate::command::{self, CloseParentsEnds, Command, MakePipes, ReceiveCommand, SendCommand};
use crate::error::Result;
use crate::host::Host;
use crate::namespaces::{CloneChild, CopyMounts, EnterItsRoot, JoinNamespaces, NotedRoot, SetNotDumpable};
use crate::privilege::Confinement;
use crate::root::enter::{MakeMountsSlave, SetUmask};
use crate::signals::{BlockSignals, LeadSession};
use crate::spec::Spec;
use crate::step::{ChildStep, List, ParentStep, Steps};
use crate::streams::ReopenStdin;
use crate::sys::{CloneFlags, FdRef};
use crate::sysctl::SetOomScoreAdj;
use crate::terminal::{OpenTerminal, ReceiveTerminal};
use crate::user::LookUpUser;
use crate::writable::Writable;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// The container that is joined.
pub struct Target {
    /// What it is.
    pub spec: &'static Spec,
    /// Its first process.
    pub process: FdRef<'static>,
    /// Its root, if that is its mydocker's.
    pub root: Option<NotedRoot>,
    /// Its name.
    pub name: &'static CStr,
    /// The directory that its mydocker was started in, if that is known.
    pub directory: Option<&'static CStr>,
    /// Its groups.
    pub groups: Vec<&'static Group>,
    /// The environment of its command.
    pub environment: Vec<&'static CStr>,
}

/// Makes the plan. `spec` is that of the container, with what the command is to have of its own; `own` is that alone.
pub fn make(
    spec: &'static Spec,
    own: &Spec,
    host: &'static Host,
    target: &'static Target,
    words: &[&[u8]],
) -> Result<&'static Plan> {
    let parts: &mut Parts = Box::leak(Box::default());
    parts.find_namespaces_and_input(spec, host, true)?;
    let new_userns = parts.maps.is_some();
    let own_root = spec.has_own_root();
    let mut writable = Writable::of_other(target.spec, target.directory);
    let environment = command::environment_of_exec(spec, own, host, &target.environment, &mut writable)?;
    let command = Command::new(spec, words, &environment);
    parts.words = command.words;
    parts.command.set(Some(command));
    let parts: &'static Parts = parts;

    // The parent enters no more than it must: it sees the host, to look after its child.
    let all = parts.namespaces;
    let appears = all.has(CloneFlags::NEWPID);
    let process = target.process;
    let mut parent = Steps::<dyn ParentStep>::default();
    if let Some(value) = spec.oom_score_adj {
        // The child inherits it: the files in /proc of a process that is not dumpable are root's.
        parent.add(SetOomScoreAdj { value });
    }
    parent.add(SetNotDumpable);
    parent.add(BlockSignals { ignores_children: host.status.ignores_children, ignored: host.status.ignored });
    parent.add(MakePipes {
        for_terminal: spec.tty,
        for_input: parts.input.is_some(),
        for_undo: false,
        for_successor: appears,
    });
    parent.add(CloneChild { flags: CloneFlags::NONE, groups: &target.groups });
    if spec.tty {
        parent.add(ReceiveTerminal { terminal: &parts.terminal });
    }
    parent.add(SendCommand { words: parts.words, keeps_pipe: false });

    let mut child = Steps::<dyn ChildStep>::default();
    child.add(CloseParentsEnds);
    if new_userns {
        // It allows the rest.
        child.add(JoinNamespaces { process, flags: CloneFlags::NEWUSER });
    }
    for group in &target.groups {
        child.add(JoinCgroup { group });
    }
    if let Some(step) = spec.limits.cpus.and_then(|list| SetAffinity::new(list, host.status.cpus)) {
        child.add(step);
    }
    if let Some(input) = &parts.input {
        child.add(CopyMounts);
        child.add(MakeMountsSlave);
        child.add(ReopenStdin { input });
    }
    // A container that is confined, or that has cgroups of its own, is the top of its own cgroup namespace.
    let has_namespace = target.spec.privilege.confined || !target.groups.is_empty();
    let cgroup = if has_namespace { CloneFlags::NEWCGROUP } else { CloneFlags::NONE };
    child.add(JoinNamespaces { process, flags: all.without(CloneFlags::NEWUSER) | cgroup });
    if let Some(root) = &target.root {
        child.add(EnterItsRoot { root, name: target.name });
    }
    child.add(LeadSession);
    if spec.tty {
        // Without a root of its own, the devpts may be the host's, whose own ptmx nobody may open.
        child.add(OpenTerminal { ptmx: if own_root { c"/dev/pts/ptmx" } else { c"/dev/ptmx" } });
    }
    if let Some(word) = spec.user {
        child.add(LookUpUser { word, root: None, groups: spec.groups });
    }
    if own_root {
        child.add(SetUmask { mask: 0o022 });
    }
    let mut confinement = Confinement::new(&spec.privilege, host, new_userns);
    if let Some(step) = confinement.drop_bounding_set.take() {
        child.add(step);
    }
    child.add(ReceiveCommand);
    become_command(&mut child, spec, host, parts, confinement, false, appears);
    Ok(Box::leak(Box::new(Plan { spec, host, parent: parent.into(), child: child.into(), parts })))
}
