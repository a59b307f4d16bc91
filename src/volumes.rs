//! `-v`, `--tmpfs` and `--ulimit` as data.

use crate::error::{Error, Result};
use crate::says;
use crate::text::{self, Put, c_string};
use alloc::vec::Vec;
use core::ffi::CStr;

/// What is mounted in the container beside its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A folder or a file of the host, and what is mounted below it.
    Host {
        /// Its path there.
        source: &'static CStr,
        /// It cannot be written to through this mount.
        read_only: bool,
    },
    /// Memory. `flags` are those of [`FLAGS`] that hold.
    Memory {
        /// Which of them.
        flags: u64,
        /// What tmpfs(5) itself takes: `size=..,mode=..`.
        data: &'static CStr,
    },
}

/// One mount beside the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where: absolute, without `.` and `..`, neither `/` nor on /proc.
    pub target: &'static CStr,
    /// What.
    pub content: Content,
}

/// Words of `--tmpfs` that are flags of the mount, not options of tmpfs: which bits each sets and which it clears.
const FLAGS: [(&str, u64, u64); 8] = [
    ("ro", libc::MS_RDONLY, 0),
    ("rw", 0, libc::MS_RDONLY),
    ("nosuid", libc::MS_NOSUID, 0),
    ("suid", 0, libc::MS_NOSUID),
    ("nodev", libc::MS_NODEV, 0),
    ("dev", 0, libc::MS_NODEV),
    ("noexec", libc::MS_NOEXEC, 0),
    ("exec", 0, libc::MS_NOEXEC),
];

/// And those that are, with a value.
const OPTIONS: &[u8] = b"size mode uid gid nr_inodes nr_blocks";

/// `SRC:DST`, `SRC:DST:ro`, `SRC:DST:rw`.
pub fn volume(word: &str) -> Result<Volume> {
    let mut parts = text::split(word.as_bytes(), b':');
    let (source, target, mode, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(source), Some(target)) = (source.filter(|source| !source.is_empty()), target) else {
        return Err(Error::usage(says!("a volume is SRC:DST or SRC:DST:ro"), word.as_bytes()));
    };
    let read_only = match (mode, rest) {
        (None | Some(b"rw"), None) => false,
        (Some(b"ro"), None) => true,
        _ => {
            return Err(Error::usage(says!("a volume is SRC:DST or SRC:DST:ro, with no other colon"), word.as_bytes()));
        }
    };
    let target = target_path(target)?;
    Ok(Volume { target, content: Content::Host { source: c_string(&[source]), read_only } })
}

/// `DST`, `DST:size=64m,mode=1777,exec`. Without a word to the contrary nosuid, nodev and noexec, as docker has it.
pub fn tmpfs(word: &str) -> Result<Volume> {
    let (target, options) = text::split_at(word.as_bytes(), b':').unwrap_or((word.as_bytes(), b""));
    let mut flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let mut data = Vec::new();
    for option in text::split(options, b',').filter(|option| !option.is_empty()) {
        if let Some((_, set, clear)) = FLAGS.iter().find(|(name, ..)| name.as_bytes() == option) {
            flags = flags & !clear | set;
            continue;
        }
        match text::split_at(option, b'=') {
            Some((name, _)) if text::words(OPTIONS).any(|known| known == name) => {
                data.put(option);
                data.put(b",");
            }
            _ => return Err(Error::usage(says!("--tmpfs does not know the option"), option)),
        }
    }
    data.pop();
    Ok(Volume { target: target_path(target)?, content: Content::Memory { flags, data: c_string(&[&data]) } })
}

/// A device at its own path. Read-only, so that nobody inside changes its mode on the host; writing to what is behind a
/// device has nothing to do with the mount.
pub fn device(word: &str) -> Result<Volume> {
    let target = target_path(word.as_bytes())?;
    Ok(Volume { content: Content::Host { source: target, read_only: true }, target })
}

fn target_path(word: &[u8]) -> Result<&'static CStr> {
    if !word.starts_with(b"/") {
        return Err(Error::usage(says!("not an absolute path in the container"), word));
    }
    let path = clean(word);
    if path == b"/" {
        Err(Error::usage(says!("nothing can be mounted on the root"), word))
    } else if path.strip_prefix(b"/proc").is_some_and(|below| below.is_empty() || below.starts_with(b"/")) {
        Err(Error::usage(says!("nothing can be mounted on /proc"), word))
    } else {
        Ok(c_string(&[&path]))
    }
}

/// An absolute path without empty parts, `.` and `..`, as docker reads them: by the words alone.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for part in text::split(path, b'/') {
        match part {
            b"" | b"." => {}
            b".." => out.truncate(out.iter().rposition(|&b| b == b'/').unwrap_or(0)),
            _ => {
                out.put(b"/");
                out.put(part);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// A resource limit of processes: getrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// Its index in [`ULIMITS`] is the kernel's number.
    pub resource: u32,
    /// What is enforced.
    pub soft: u64,
    /// How far it may be raised.
    pub hard: u64,
}

impl Ulimit {
    /// Its name.
    pub fn name(&self) -> &'static [u8] {
        text::words(ULIMITS.as_bytes()).nth(self.resource as usize).unwrap_or_default()
    }
}

/// The names, in the kernel's order.
pub const ULIMITS: &str = "cpu fsize data stack core rss nproc nofile memlock \
    as locks sigpending msgqueue nice rtprio rttime";

/// `NAME=SOFT`, `NAME=SOFT:HARD`; `-1` and `unlimited` are no limit.
pub fn ulimit(word: &str) -> Result<Ulimit> {
    let wrong = || Error::usage(says!("--ulimit is NAME=SOFT or NAME=SOFT:HARD, such as nofile=1024"), word.as_bytes());
    let (name, values) = text::split_at(word.as_bytes(), b'=').ok_or_else(wrong)?;
    let Some(resource) = text::words(ULIMITS.as_bytes()).position(|known| known == name) else {
        return Err(Error::usage(says!("--ulimit does not know the limit"), name));
    };
    let (soft, hard) = text::split_at(values, b':').unwrap_or((values, values));
    let number = |word: &[u8]| match word == b"-1" || word == b"unlimited" {
        true => Some(u64::MAX),
        false => text::decimal(word).ok(),
    };
    let (Some(soft), Some(hard)) = (number(soft), number(hard)) else { return Err(wrong()) };
    if soft > hard {
        return Err(Error::usage(says!("--ulimit with a soft limit over the hard one"), word.as_bytes()));
    }
    Ok(Ulimit { resource: resource as u32, soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(target: &str, source: &str, read_only: bool) -> Volume {
        let content = Content::Host { source: c_string(&[source.as_bytes()]), read_only };
        Volume { target: c_string(&[target.as_bytes()]), content }
    }

    #[test]
    fn volumes() {
        for (word, expected) in [
            ("/a:/b", Some(bind("/b", "/a", false))),
            ("/a:/b:ro", Some(bind("/b", "/a", true))),
            ("/a:/b:rw", Some(bind("/b", "/a", false))),
            ("rel:/b//c/", Some(bind("/b/c", "rel", false))),
            ("/a,b\\ \n:/x,y\\", Some(bind("/x,y\\", "/a,b\\ \n", false))),
            ("/a:/../../etc", Some(bind("/etc", "/a", false))),
            ("/a:/procs", Some(bind("/procs", "/a", false))),
            ("/a", None),
            (":/b", None),
            ("/a:", None),
            ("/a:b", None),
            ("/a:/", None),
            ("/a:/x/..", None),
            ("/a:/proc", None),
            ("/a:/x/../proc/sys", None),
            ("/a:/b:z", None),
            ("/a:/b:ro:x", None),
            ("/a:/b:", None),
        ] {
            assert_eq!(volume(word).map_err(drop).ok(), expected, "{word:?}");
        }
    }

    #[test]
    fn memory() {
        let usual = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        for (word, expected) in [
            ("/t", Some((usual, ""))),
            ("/t:", Some((usual, ""))),
            ("/t:size=1m,mode=700", Some((usual, "size=1m,mode=700"))),
            ("/t:exec,size=1m", Some((usual & !libc::MS_NOEXEC, "size=1m"))),
            ("/t:ro,dev,suid,exec", Some((libc::MS_RDONLY, ""))),
            ("/t:size", None),
            ("/t:what=1", None),
            ("t", None),
            ("/", None),
            ("/proc/x", None),
        ] {
            let found = tmpfs(word).map_err(drop).ok().map(|volume| volume.content);
            let expected = expected.map(|(flags, data)| Content::Memory { flags, data: c_string(&[data.as_bytes()]) });
            assert_eq!(found, expected, "{word:?}");
        }
    }

    #[test]
    fn ulimits() {
        for (word, expected) in [
            ("nofile=1024", Some((7, 1024, 1024))),
            ("nofile=1:2", Some((7, 1, 2))),
            ("core=0", Some((4, 0, 0))),
            ("stack=-1", Some((3, u64::MAX, u64::MAX))),
            ("rttime=5:unlimited", Some((15, 5, u64::MAX))),
            ("cpu=2:1", None),
            ("cpu=", None),
            ("cpu", None),
            ("what=1", None),
            ("cpu=1:2:3", None),
            ("cpu=-2", None),
        ] {
            let found = ulimit(word).map_err(drop).ok().map(|limit| (limit.resource, limit.soft, limit.hard));
            assert_eq!(found, expected, "{word:?}");
        }
        assert_eq!(ULIMITS.split(' ').position(|name| name == "nofile"), Some(libc::RLIMIT_NOFILE as usize));
        assert_eq!(ULIMITS.split(' ').position(|name| name == "rttime"), Some(libc::RLIMIT_RTTIME as usize));
    }

    /// Slowly: a list of parts.
    fn oracle(path: &str) -> String {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        format!("/{}", parts.join("/"))
    }

    #[test]
    fn paths_agree_with_the_oracle() {
        let mut state: u64 = 3;
        for _ in 0..20_000 {
            let mut path = String::new();
            for _ in 0..state >> 33 & 7 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                path += ["/", "/a", "/.", "/..", "/b.c", "//", "/...", "/.d"][(state >> 40) as usize & 7];
            }
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            assert_eq!(clean(path.as_bytes()), oracle(&path).as_bytes(), "{path}");
        }
    }
}
