//! What came of all the runs, in numbers.

use crate::judge::Kind;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many runs ended in which way.
pub struct Totals {
    ended: AtomicU32,
    survived: AtomicU32,
    after: AtomicU32,
    not_reached: AtomicU32,
    slowed: AtomicU32,
    lies: AtomicU32,
}

pub static TOTALS: Totals = Totals {
    ended: AtomicU32::new(0),
    survived: AtomicU32::new(0),
    after: AtomicU32::new(0),
    not_reached: AtomicU32::new(0),
    slowed: AtomicU32::new(0),
    lies: AtomicU32::new(0),
};

impl Totals {
    pub fn count(&self, kind: Kind) {
        let counter = match kind {
            Kind::Ended => &self.ended,
            Kind::Survived => &self.survived,
            Kind::After => &self.after,
            Kind::NotReached => &self.not_reached,
            Kind::Slowed => &self.slowed,
            Kind::Lie => &self.lies,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub fn print(&self) {
        let [ended, survived, after, not_reached, slowed, lies] =
            [&self.ended, &self.survived, &self.after, &self.not_reached, &self.slowed, &self.lies]
                .map(|counter| counter.load(Relaxed));
        println!(
            "{} failures: {ended} ended the run with a message, {survived} were survived, {after} came after the command \
             was let go; {not_reached} calls to fail were never made; {slowed} calls slowed down, {lies} values not taken",
            ended + survived + after
        );
    }
}
