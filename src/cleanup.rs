//! What is left to do beside the command and after it: leftovers of other runs, counters, orphans, groups.

use crate::cgroup::{self, Hierarchy};
use crate::error::{Errno, Result};
use crate::step::{Plan, State};
use crate::sys::{self, Dir, Pid};
use crate::text::{self, Put};
use alloc::vec::Vec;

/// Removes what killed runs have left: in one hierarchy, another one each time, now that the command runs. Where one
/// has left something, it may have left more.
#[inline(never)]
pub fn sweep(plan: &Plan, state: &State) {
    let hierarchies = &plan.host.hierarchies;
    // Multiples of the golden ratio visit every hierarchy soon, whatever the pids' distance from run to run.
    let turn = (plan.pid.0 as u32).wrapping_mul(0x9e37_79b1);
    let chosen = ((u64::from(turn) * hierarchies.len() as u64) >> 32) as usize;
    let mut removed = Vec::new();
    for at in 0..hierarchies.len() {
        let Some(hierarchy) = hierarchies.get((chosen + at) % hierarchies.len()) else { continue };
        with_parent(plan, state, hierarchy, &mut |parent| match at {
            0 => removed = cgroup::sweep(parent, plan.name, turn as usize),
            _ => {
                for name in &removed {
                    cgroup::sweep_one(parent, name);
                }
            }
        });
        if removed.is_empty() {
            return;
        }
    }
}

/// Calls `f` with the cgroup that groups are made in, if there is one: that of this run's group, or the caller's own.
fn with_parent(plan: &Plan, state: &State, hierarchy: &'static Hierarchy, f: &mut dyn FnMut(&Dir)) {
    for (group, made) in plan.groups.iter().zip(&state.groups) {
        if core::ptr::eq(group.hierarchy, hierarchy) {
            return made.parent(group).map_or((), f);
        }
    }
    if let Ok(own) = Dir::open(Some(&hierarchy.top), hierarchy.own) {
        f(&own);
    }
}

/// What is to be said of memory: an OOM kill whenever the counter rose, for the status alone does not tell.
#[inline(never)]
pub fn memory_report(plan: &Plan, state: &State) -> Option<Vec<u8>> {
    let (group, made) = plan.groups.iter().zip(&state.groups).find(|(group, _)| group.memory)?;
    let memory = cgroup::memory(made.dir.as_ref()?, group.hierarchy.version).filter(|memory| memory.kills > 0)?;
    let mut line = Vec::new();
    line.put(b"mydocker: out of memory: ");
    line.put_decimal(memory.kills);
    line.put(if memory.kills == 1 { b" process was" } else { b" processes were" });
    line.put(b" killed; limit ");
    line.put(group.settings.first().map_or(b"not known", |setting| setting.value));
    line.put(b" bytes, peak ");
    match memory.peak {
        Some(peak) => {
            line.put_decimal(peak);
            line.put(b" bytes");
        }
        None => line.put(b"not known"),
    }
    if plan.options.limits.memory.is_some_and(|memory| !memory.asked) {
        line.put(b"; the limit is the default one, -m SIZE sets another, -m max lifts it");
    }
    line.put(b"\n");
    Some(line)
}

/// The children that this process has: proc_pid_task_tid_children(5). Where /proc does not tell, none.
pub fn own_children() -> Vec<Pid> {
    let children = sys::read_file(c"/proc/thread-self/children").unwrap_or_default();
    let mut pids = Vec::new();
    for word in text::words(&children) {
        if let Ok(pid) = text::decimal(word) {
            pids.push(Pid(pid as i32));
        }
    }
    pids
}

/// Without a PID namespace, what the command has started outlives it and becomes our child: it ends with the container.
/// The `callers` children, of a shell that has become mydocker, are none of ours.
pub fn end_orphans(callers: &[Pid]) -> Result<()> {
    loop {
        let orphans: Vec<Pid> = own_children().into_iter().filter(|pid| !callers.contains(pid)).collect();
        if orphans.is_empty() {
            return Ok(());
        }
        for orphan in orphans {
            sys::kill(orphan, libc::SIGKILL)?;
            match sys::wait4(orphan, true) {
                Err(e) if e.is(Errno::ECHILD) => {}
                other => other.map(drop)?,
            }
        }
    }
}

/// Removes what the run has made.
pub fn remove_groups(plan: &Plan, state: &State) -> Result<()> {
    let mut result = Ok(());
    for (group, made) in plan.groups.iter().zip(&state.groups) {
        if let (Some(dir), Some(parent)) = (&made.dir, made.parent(group)) {
            result = result.and(cgroup::remove(parent, plan.name, dir));
        }
    }
    result
}
