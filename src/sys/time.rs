//! Clocks, and what processes have used.

use super::gate::sys;

/// clock_gettime(2), CLOCK_MONOTONIC: microseconds since some time before.
pub fn monotonic() -> u64 {
    // struct timespec: seconds, nanoseconds
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes one struct timespec; this clock is always there
    let _ = unsafe { sys!(clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr())) };
    time[0] * 1_000_000 + time[1] / 1000
}

/// getrusage(2), RUSAGE_CHILDREN: the time, in microseconds, that children which have been waited for have spent in their
/// own code and in the kernel, each with all that they have waited for themselves.
pub fn cpu_time_of_children() -> [u64; 2] {
    // struct rusage: two struct timeval, of seconds and microseconds, and 14 counters
    let mut usage = [0u64; 18];
    // SAFETY: the kernel writes one struct rusage; it can only fail for an address of nobody's
    let _ = unsafe { sys!(getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr())) };
    [usage[0] * 1_000_000 + usage[1], usage[2] * 1_000_000 + usage[3]]
}
