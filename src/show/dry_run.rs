//! `--dry-run`: the steps of both processes in the order of time, each with the calls that it makes.

use crate::bytes::Put;
use crate::error::Result;
use crate::plan::Plan;
use crate::process::rehearse::rehearse;
use alloc::vec::Vec;

/// The table: for each step a line with its number, its process and its purpose, and below it a line for each call.
pub fn table(plan: &Plan) -> Result<Vec<u8>> {
    let rehearsal = rehearse(plan)?;
    let parents = rehearsal.parent.iter().map(|step| (step, "parent"));
    let childs = rehearsal.child.iter().map(|step| (step, "child"));
    let mut steps: Vec<_> = parents.chain(childs).collect();
    steps.sort_by_key(|(step, _)| step.number);
    let mut out = Vec::new();
    for (step, who) in steps {
        out.put(if step.number < 10 { b" " } else { b"" });
        out.put_decimal(step.number as u64);
        out.put(b"  ");
        out.put_column(who.as_bytes(), 8);
        out.put(step.purpose.as_bytes());
        out.put(b"\n");
        for call in &step.calls {
            out.put(b"                ");
            call.put(true, &mut out);
            out.put(b"\n");
        }
    }
    Ok(out)
}
