//! `--ulimit`: resource limits of processes, getrlimit(2).

use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::spec::Ulimit;
use crate::step::{Child, ChildStep};
use crate::sys::{self, Resource};

/// Reads `NAME=SOFT` or `NAME=SOFT:HARD`; `-1` and `unlimited` are no limit.
pub fn parse(word: &str) -> Result<Ulimit> {
    let malformed = || {
        Error::usage(
            "--ulimit is NAME=SOFT or NAME=SOFT:HARD, such as nofile=1024, numbers without a unit",
            word.as_bytes(),
        )
    };
    let (name, values) = bytes::split_once(word.as_bytes(), b'=').ok_or_else(malformed)?;
    let Some(resource) = Resource::named(name) else {
        return Err(Error::usage("--ulimit does not know the limit", name));
    };
    let (soft, hard) = bytes::split_once(values, b':').unwrap_or((values, values));
    let number = |word: &[u8]| match word {
        b"-1" | b"unlimited" => Some(u64::MAX),
        _ => bytes::decimal(word).ok(),
    };
    let (Some(soft), Some(hard)) = (number(soft), number(hard)) else { return Err(malformed()) };
    if soft > hard {
        return Err(Error::usage("--ulimit with a soft limit over the hard one", word.as_bytes()));
    }
    Ok(Ulimit { resource, soft, hard })
}

step! {
    /// Sets a limit of its processes.
    pub struct SetUlimit {
        /// The limit.
        pub limit: &'static Ulimit,
    }
}

impl ChildStep for SetUlimit {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::set_limit(self.limit.resource, self.limit.soft, self.limit.hard).map_err(|e| {
            e.hint_for(&[(Errno::EPERM, "more takes CAP_SYS_RESOURCE, and of nofile a larger fs.nr_open")])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulimits() {
        for (word, expected) in [
            ("nofile=1024", Some((Resource::NOFILE, 1024, 1024))),
            ("nofile=1:2", Some((Resource::NOFILE, 1, 2))),
            ("core=0", Some((Resource::CORE, 0, 0))),
            ("stack=-1", Some((Resource::STACK, u64::MAX, u64::MAX))),
            ("rttime=5:unlimited", Some((Resource::RTTIME, 5, u64::MAX))),
            ("cpu=2:1", None),
            ("cpu=", None),
            ("cpu", None),
            ("what=1", None),
            ("cpu=1:2:3", None),
            ("cpu=-2", None),
        ] {
            let found = parse(word).map_err(drop).ok().map(|limit| (limit.resource, limit.soft, limit.hard));
            assert_eq!(found, expected, "{word:?}");
        }
    }
}
