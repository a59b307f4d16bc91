//! What a case has to say beside its result.

use std::sync::{Mutex, PoisonError};

static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes a line that is printed after all the results: the name of a case and its result are printed one after the other, and a line
/// of another thread between the two would break the line in which tests/vm/run looks for them.
pub fn note(line: impl Into<String>) {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner).push(line.into());
}

/// Prints what has been noted.
pub fn print_notes() {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(|line| println!("{line}"));
}
