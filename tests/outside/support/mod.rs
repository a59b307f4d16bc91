//! The parts that all cases use: runs of mydocker and their outcomes, the host and what it offers, folders, roots,
//! terminals. tests/load and tests/failures use them too.

pub mod folder;
pub mod harness;
pub mod host;
pub mod needs;
pub mod notes;
pub mod outcome;
pub mod processes;
pub mod roots;
pub mod strace;
pub mod table;
pub mod user_terminal;
