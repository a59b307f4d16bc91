//! The walk of `--dry-run`: all steps of both processes, with every call recorded and none made.

use super::start;
use crate::command::ReceiveCommand;
use crate::error::Result;
use crate::plan::Plan;
use crate::step::{Parent, Step};
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
    for step in plan.parent {
        step.carry_out(parent)?;
        rehearsal.parent.push(Rehearsed {
            number: 0,
            purpose: step.purpose(),
            may_fail: step.may_fail(),
            calls: record::take(),
        });
    }
    record::set_in_child();
    for step in plan.child {
        step.carry_out(&mut parent.child)?;
        rehearsal.child.push(Rehearsed {
            number: 0,
            purpose: step.purpose(),
            may_fail: step.may_fail(),
            calls: record::take(),
        });
    }
    rehearsal.number();
    Ok(rehearsal)
}

impl Rehearsal {
    /// Numbers the steps. From clone on both processes are at work: there their steps alternate, up to where the child waits
    /// for the parent.
    fn number(&mut self) {
        let last = self.parent.len().saturating_sub(1);
        let mut childs = self.child.iter_mut().peekable();
        let mut numbers = 1..;
        let mut has_child = false;
        for (at, step) in self.parent.iter_mut().enumerate() {
            step.number = numbers.next().unwrap_or_default();
            has_child |= step.calls.iter().any(|call| call.call.name.starts_with("clone"));
            let waits = childs.peek().is_none_or(|next| next.purpose == ReceiveCommand.purpose());
            if has_child
                && at != last
                && !waits
                && let Some(step) = childs.next()
            {
                step.number = numbers.next().unwrap_or_default();
            }
        }
        childs.zip(numbers).for_each(|(step, number)| step.number = number);
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
