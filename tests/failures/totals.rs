//! The results of all runs, as numbers.

use crate::judge::Kind;
use std::sync::Mutex;

pub static TOTALS: Totals = Totals(Mutex::new(Vec::new()));

/// How every run ended.
pub struct Totals(Mutex<Vec<Kind>>);

impl Totals {
    pub fn count(&self, kind: Kind) {
        self.0.lock().expect("totals").push(kind);
    }

    pub fn print(&self) {
        let kinds = self.0.lock().expect("totals");
        let number = |kind: Kind| kinds.iter().filter(|other| **other == kind).count();
        let (ended, survived, after) = (number(Kind::Ended), number(Kind::Survived), number(Kind::After));
        println!(
            "{} failures: {ended} ended the run with a message, {survived} were survived, {after} came after the command \
             was let go; {} in the C library's start, {} again and again; {} calls to fail were not made this time; {} \
             calls slowed down, {} values not taken",
            ended + survived + after,
            number(Kind::Library),
            number(Kind::ForEver),
            number(Kind::NotReached),
            number(Kind::Slowed),
            number(Kind::Lie),
        );
    }
}
