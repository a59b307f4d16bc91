//! Modules that the kernel loads when somebody asks for what is in them.

use super::fs::read_file;
use super::stat::exists;
use super::time::nanosleep;
use crate::bytes;
use crate::error::{Errno, Result};

/// Does `attempt` again, which has failed because the kernel had no module for it: another process may have asked for the same module
/// at the same time.
///
/// The kernel runs modprobe(8) and then looks once more. The modprobe of busybox ends at once when /proc/modules has the module,
/// and it is there before it is initialised: whoever comes second is told that it is `missing`. So this tries until no module
/// is being loaded, for about a second at most. Each time it pauses twice as long, for each attempt runs a modprobe.
pub fn again_once_loaded(missing: &[Errno], attempt: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let mut pause = 10_000_000;
    while pause < 1_000_000_000 {
        let is_loaded = match read_file(c"/proc/modules") {
            Ok(list) => bytes::position(&list, b" Loading ").is_none(),
            // A kernel that loads no modules has no list. Where roots are put together, nothing in /proc can be seen.
            Err(_) => exists(c"/proc/self"),
        };
        if is_loaded {
            break;
        }
        nanosleep(pause)?;
        pause *= 2;
        match attempt() {
            Err(e) if e.is_one_of(missing) && pause < 1_000_000_000 => {}
            other => return other,
        }
    }
    // It may have been initialised just before the question.
    attempt()
}
