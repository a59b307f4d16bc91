//! The walk of `--dry-run`: all steps of both processes, with every call recorded and none made.

use super::start;
use crate::bytes::Put;
use crate::command::ReceiveCommand;
use crate::error::Result;
use crate::plan::Plan;
use crate::step::{Listed, Parent, Step};
use crate::sys::record::{self, Recorded};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What a run would do.
pub struct Rehearsal {
    /// The steps of the parent.
    pub parent: Vec<Rehearsed>,
    /// The steps of the child.
    pub child: Vec<Rehearsed>,
}

/// One step.
pub struct Rehearsed {
    /// Its place among the steps of both processes, in the order of time, from 1 on.
    pub number: usize,
    /// What it is for.
    pub purpose: &'static str,
    /// A run goes on where it fails.
    pub may_fail: bool,
    /// The calls that it makes.
    pub calls: Vec<Recorded>,
}

/// Walks all steps. This uses up what the steps leave for each other in the plan, so a run needs another plan.
pub fn rehearse(plan: &Plan) -> Result<&'static Rehearsal> {
    let parent = start::parent(plan, None);
    parent.child.is_rehearsal = true;
    record::begin();
    let rehearsal = walk(plan, parent);
    record::end();
    rehearsal
}

fn walk(plan: &Plan, parent: &mut Parent) -> Result<&'static Rehearsal> {
    let rehearsal = Box::leak(Box::new(Rehearsal { parent: Vec::new(), child: Vec::new() }));
    for Listed { step, purpose, may_fail } in plan.parent {
        step.carry_out(parent)?;
        note(&mut rehearsal.parent, purpose, *may_fail);
    }
    record::set_in_child();
    for Listed { step, purpose, may_fail } in plan.child {
        step.carry_out(&mut parent.child)?;
        note(&mut rehearsal.child, purpose, *may_fail);
    }
    rehearsal.number();
    Ok(rehearsal)
}

/// Adds the step that has just been carried out, with its calls.
fn note(steps: &mut Vec<Rehearsed>, purpose: &'static str, may_fail: bool) {
    steps.push(Rehearsed { number: 0, purpose, may_fail, calls: record::take() });
}

impl Rehearsal {
    /// Numbers the steps. From clone on both processes are at work: there their steps alternate, up to where the child waits
    /// for the parent.
    fn number(&mut self) {
        let clones = |step: &Rehearsed| step.calls.iter().any(|call| call.call.name.starts_with("clone"));
        let waits = |step: &Rehearsed| step.purpose == ReceiveCommand::purpose();
        let parents = self.parent.len();
        let clone = self.parent.iter().position(clones).unwrap_or(parents);
        let wait = self.child.iter().position(waits).unwrap_or(self.child.len());
        // Each of these steps of the child follows one of the parent. The parent's last step is not among those.
        let alternating = wait.min(parents.saturating_sub(clone + 1));
        for (at, step) in self.parent.iter_mut().enumerate() {
            step.number = 1 + at + at.saturating_sub(clone).min(alternating);
        }
        for (at, step) in self.child.iter_mut().enumerate() {
            step.number = 1 + at + if at < alternating { clone + at + 1 } else { parents };
        }
    }

    /// Puts the number of a step, as `--dry-run` and `--step` show it: `7 of 27`.
    pub fn put_number(&self, number: usize, out: &mut Vec<u8>) {
        out.put_decimal(number as u64);
        out.put(b" of ");
        out.put_decimal(self.len() as u64);
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.parent.len() + self.child.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
