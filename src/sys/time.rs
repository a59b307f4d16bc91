//! Time: nanosleep(2), clock_gettime(2).

use super::flags::Clock;
use super::gate::{Null, Timespec, call};
use crate::error::Result;

/// nanosleep(2).
pub fn nanosleep(nanoseconds: i64) -> Result<()> {
    let time = Timespec([nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000]);
    // SAFETY: the kernel reads one struct timespec
    unsafe { call!(nanosleep(&time, Null)) }.result().map(drop)
}

/// clock_gettime(2), CLOCK_MONOTONIC, in microseconds.
pub fn monotonic() -> u64 {
    let mut time = Timespec([0; 2]);
    // SAFETY: the kernel writes one struct timespec. It cannot fail: this clock is always there.
    let _ = unsafe { call!(clock_gettime(Clock::MONOTONIC, &mut time)) };
    let [seconds, nanoseconds] = time.0;
    seconds as u64 * 1_000_000 + nanoseconds as u64 / 1000
}

/// clock_gettime(2), CLOCK_REALTIME, in milliseconds since 1970.
pub fn realtime() -> u64 {
    let mut time = Timespec([0; 2]);
    // SAFETY: the kernel writes one struct timespec. It cannot fail: this clock is always there.
    let _ = unsafe { call!(clock_gettime(Clock::REALTIME, &mut time)) };
    let [seconds, nanoseconds] = time.0;
    seconds as u64 * 1000 + nanoseconds as u64 / 1_000_000
}
