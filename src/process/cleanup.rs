//! The work after execve: the sweep of other runs' leftovers, the counters, the orphans, the removal of the groups.

use crate::bytes::{self, Put};
use crate::cgroup::hierarchy::Hierarchy;
use crate::cgroup::{Controller, directory, hierarchy};
use crate::error::{Errno, Result};
use crate::plan::Plan;
use crate::sys::{self, Dir, Pid};
use alloc::vec::Vec;

/// Removes what killed runs have left, now that the command runs. Each run looks in one hierarchy, chosen by its pid; what it finds
/// there it removes in all of them. The freezer comes first: no signal reaches what is frozen.
pub fn sweep(plan: &Plan) {
    let hierarchies = &plan.parts.hierarchies;
    let turn = turn(plan);
    let chosen = ((u64::from(turn) * hierarchies.len() as u64) >> 32) as usize;
    let own = plan.parts.groups.first().map_or(c"", |group| group.name);
    let found = hierarchies
        .get(chosen)
        .map(|hierarchy| in_parent(plan, hierarchy, &|parent| directory::leftovers(parent, own, turn as usize)));
    let Some(leftovers) = found.flatten().filter(|found| !found.is_empty()) else { return };
    let has_freezer = |hierarchy: &&&Hierarchy| hierarchy.controllers.has(Controller::Freezer);
    // A run without a name has no need of a freezer, and has not looked for it.
    let freezer = match hierarchies.iter().find(has_freezer) {
        Some(freezer) => Some(*freezer),
        None => hierarchy::freezer(plan.host).ok().flatten(),
    };
    let sweep = |hierarchy| {
        in_parent(plan, hierarchy, &|parent| leftovers.iter().for_each(|name| directory::sweep(parent, name)));
    };
    freezer.map(sweep);
    for hierarchy in hierarchies {
        if !has_freezer(&hierarchy) {
            sweep(hierarchy);
        }
    }
}

/// A number by which the runs take turns, most of all by its highest bits: multiples of the golden ratio visit every hierarchy soon,
/// whatever the distance of the pids from run to run.
pub fn turn(plan: &Plan) -> u32 {
    (plan.host.pid.0 as u32).wrapping_mul(0x9e37_79b1)
}

/// Does something in the cgroup that groups are created in, if it exists: that of this run's group, or the caller's own.
fn in_parent<T>(plan: &Plan, hierarchy: &'static Hierarchy, f: &dyn Fn(&Dir) -> T) -> Option<T> {
    match plan.parts.groups.iter().find(|group| core::ptr::eq(group.hierarchy, hierarchy)) {
        Some(group) => group.parent_dir.get().map(f),
        None => Dir::open(Some(&hierarchy.top), hierarchy.callers).ok().as_ref().map(f),
    }
}

/// The message about OOM kills, if there were any: the exit status alone does not tell.
pub fn memory_report(plan: &Plan) -> Option<Vec<u8>> {
    let group = plan.parts.groups.iter().find(|group| group.has_memory)?;
    let memory = directory::memory(group.dir()?, group.hierarchy.version)?;
    if memory.kills == 0 {
        return None;
    }
    let mut line = Vec::new();
    line.put(b"mydocker: out of memory: ");
    line.put_decimal(memory.kills);
    line.put(if memory.kills == 1 { b" process was" } else { b" processes were" });
    line.put(b" killed; ");
    match group.memory_limit() {
        Some(limit) => {
            for part in [b"limit ", limit, b" bytes"] {
                line.put(part);
            }
        }
        None => line.put(b"no limit"),
    }
    line.put(b", peak ");
    match memory.peak {
        Some(peak) => {
            line.put_decimal(peak);
            line.put(b" bytes");
        }
        None => line.put(b"not known"),
    }
    let limit = group.memory_limit().and_then(|limit| bytes::decimal(limit).ok());
    let is_below = limit.zip(memory.peak).is_some_and(|(limit, peak)| peak < limit / 8 * 7);
    line.put(if is_below { b"; that limit was not reached" } else { b"" });
    if limit.is_none() || is_below {
        line.put(b": a cgroup above, or this host, had no more");
    } else if plan.spec.limits.memory.is_some_and(|memory| !memory.explicit) {
        line.put(b"; the limit is the default one, -m SIZE sets another, -m max lifts it");
    }
    line.put(b"\n");
    Some(line)
}

/// The children of this process: proc_pid_task_tid_children(5). Empty if /proc cannot be read.
pub fn own_children() -> Vec<Pid> {
    let file = sys::read_file(c"/proc/thread-self/children").unwrap_or_default();
    let mut children = Vec::new();
    for word in bytes::words(&file) {
        if let Ok(pid) = bytes::decimal(word) {
            children.push(Pid(pid as i32));
        }
    }
    children
}

/// Kills the orphans. Without a PID namespace, processes that the command has started outlive it and become children of
/// mydocker. The `spared` children, of a shell that has executed mydocker with exec, or of mydocker's own, are not part of the
/// container.
pub fn end_orphans(spared: &[Pid]) -> Result<()> {
    loop {
        let mut any = false;
        for child in own_children() {
            if spared.contains(&child) {
                continue;
            }
            any = true;
            sys::kill(child, libc::SIGKILL)?;
            match sys::wait4(child, true) {
                Err(e) if e.is(Errno::ECHILD) => {}
                other => other.map(drop)?,
            }
        }
        if !any {
            return Ok(());
        }
    }
}

/// Removes the groups of the run.
pub fn remove_groups(plan: &Plan) -> Result<()> {
    let mut result = Ok(());
    // In the PID namespace of another container, no end of a PID 1 has ended what the command has started; nor, in that of the
    // host, what exec has.
    if (plan.spec.pid_of.is_some() || plan.spec.host_pid && plan.spec.name.is_some())
        && let Some(dir) = plan.parts.groups.iter().find_map(|group| group.dir())
    {
        result = directory::end_members(dir);
    }
    for group in &plan.parts.groups {
        if let (Some(dir), Some(parent)) = (group.dir(), group.parent_dir.get()) {
            result = result.and(directory::remove(parent, group.name, dir));
        }
    }
    result
}
