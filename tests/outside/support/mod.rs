//! What the cases stand on: mydocker's runs and their outcomes, the host and what it has, folders, roots, terminals.
//! tests/load and tests/failures use it too.

pub mod folder;
pub mod harness;
pub mod host;
pub mod needs;
pub mod outcome;
pub mod processes;
pub mod roots;
pub mod user_terminal;
