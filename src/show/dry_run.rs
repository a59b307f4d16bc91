//! `--dry-run`: the steps of both processes in the order of time, each with the calls that it makes.

use crate::bytes::Put;
use crate::error::Result;
use crate::plan::Plan;
use crate::process::rehearse::{Rehearsal, Rehearsed, rehearse};
use alloc::vec::Vec;

/// The table: for each step a line with its number, its process and its purpose, and below it a line for each call.
pub fn table(plan: &Plan) -> Result<Vec<u8>> {
    let rehearsal = rehearse(plan)?;
    let mut out = Vec::new();
    for number in 1..=rehearsal.len() {
        put_step(number, "parent", &rehearsal.parent, rehearsal, &mut out);
        put_step(number, "child", &rehearsal.child, rehearsal, &mut out);
    }
    Ok(out)
}

/// Puts the step with this number, if it is one of these.
fn put_step(number: usize, who: &str, steps: &[Rehearsed], all: &Rehearsal, out: &mut Vec<u8>) {
    let Some(step) = steps.iter().find(|step| step.number == number) else { return };
    out.put(if number < 10 { b" " } else { b"" });
    all.put_number(number, out);
    out.put(b"  ");
    out.put_column(who.as_bytes(), 8);
    out.put(step.purpose.as_bytes());
    out.put(b"\n");
    for call in &step.calls {
        out.put(b"                    ");
        call.put(true, out);
        out.put(b"\n");
    }
}
