//! What is shown instead of a run, or of this host: `--dry-run`, `--dry-run=sh`, `check`.

pub mod check;
pub mod dry_run;
pub mod script;
