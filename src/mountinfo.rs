//! `/proc/self/mountinfo`. Source: proc_pid_mountinfo(5).
//!
//! ```text
//! 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//! (1)(2)(3)   (4)   (5)      (6)      (7)   (8) (9)   (10)         (11)
//! ```

use crate::bytes::{c_string, decimal, split};
use alloc::vec::Vec;
use core::ffi::CStr;

/// One line: the fields that mydocker uses. Byte fields are as in the file; [`unescape`] decodes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// (1) The mount's id, unique until it is unmounted.
    pub id: u32,
    /// (2) The id of the mount that this one is mounted on; its own id, or one that is not listed, at the top.
    pub parent: u32,
    /// (4) The directory of the filesystem that is the root of this mount.
    pub root: &'a [u8],
    /// (5) The mount point, relative to the process's root.
    pub point: &'a [u8],
    /// (6) The options of this mount: `rw`, `ro`, `nosuid` ...
    pub options: &'a [u8],
    /// (9) The type of the filesystem.
    pub fstype: &'a [u8],
    /// (11) The options of the filesystem itself; for cgroup v1, its controllers.
    pub super_options: &'a [u8],
}

/// The mounts of the whole file, in its order. Malformed lines are left out.
pub fn parse(file: &[u8]) -> Vec<Mount<'_>> {
    let number = |field: &[u8]| u32::try_from(decimal(field).ok()?).ok();
    let parse_line = |line| {
        // The kernel escapes a blank inside a field, so every blank is a divider.
        let mut fields = split(line, b' ');
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        let root = fields.nth(1)?;
        let point = fields.next()?;
        let options = fields.next()?;
        // The optional fields (7), of which there may be any number, end with a lone "-".
        fields.find(|field| field == b"-")?;
        let fstype = fields.next()?;
        let super_options = fields.nth(1)?;
        Some(Mount { id, parent, root, point, options, fstype, super_options })
    };
    // The vector has its final size from the start: the heap gives nothing back.
    let mut mounts = Vec::with_capacity(split(file, b'\n').count());
    mounts.extend(split(file, b'\n').filter_map(parse_line));
    mounts
}

/// Whether `mount` has the id `top`, or is mounted in that one, however deep. `all` are the mounts of the whole file.
pub fn is_below(mount: &Mount, top: u64, all: &[Mount]) -> bool {
    with_parents(mount, all).any(|mount| u64::from(mount.id) == top)
}

/// `mount`, the mount that it is in, and so on, as far as `all` lists them.
fn with_parents<'m, 'a>(mount: &'m Mount<'a>, all: &'m [Mount<'a>]) -> impl Iterator<Item = &'m Mount<'a>> {
    let parent_of = |mount: &&Mount| all.iter().find(|other| other.id == mount.parent && other.id != mount.id);
    // The ids of a damaged file may lead in a circle.
    core::iter::successors(Some(mount), parent_of).take(1 + all.len())
}

/// Whether no path leads to `mount`, because another one of `all` covers it. The order of the lines does not tell: what an initramfs
/// mounts, and moves when it changes the root, stands before the new root. The ids of the parents do.
pub fn is_hidden(mount: &Mount, all: &[Mount]) -> bool {
    // A lookup begins at the root of the process, so that a mount on top of that covers nothing.
    if all.iter().any(|other| other.parent == mount.id && other.point == mount.point && other.point != b"/") {
        return true;
    }
    with_parents(mount, all).any(|below| {
        // What is mounted on the same parent, on a directory above that is not the root.
        let covers = |other: &Mount| {
            let is_above = other.point != b"/" && below.point.get(other.point.len()) == Some(&b'/');
            other.parent == below.parent && other.id != below.id && is_above && below.point.starts_with(other.point)
        };
        // What is mounted on the root, and not the root itself.
        let is_on_root = below.point == b"/" && with_parents(below, all).nth(1).is_some();
        is_on_root || all.iter().any(covers)
    })
}

/// A field with its `\ooo` escapes decoded, as a path for a call. The kernel escapes blank, tab, newline and backslash; this
/// decodes any byte.
pub fn unescape(field: &[u8]) -> &'static CStr {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    c_string(&[&out])
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        let file = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=x\n\
            bad line\n\
            x 31 0:30 / / rw - cgroup cgroup rw\n\
            4294967296 31 0:30 / / rw - cgroup cgroup rw\n\
            33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct,cpu\n\
            1 2 3:4 / / rw shared:1\n\
            41 31 0:38 /.. /sys/fs/cgroup rw,nosuid - cgroup2 - rw,nsdelegate";
        let mounts = parse(file);
        let [first, second, third] = &mounts[..] else { panic!("{mounts:?}") };
        assert_eq!((first.id, first.parent), (36, 35));
        assert_eq!((first.root, first.point), (&b"/mnt1"[..], &b"/mnt\\0402"[..]));
        assert_eq!((first.fstype, first.super_options), (&b"ext3"[..], &b"rw,errors=x"[..]));
        assert_eq!(unescape(first.point), c"/mnt 2");
        assert_eq!((second.id, second.parent), (33, 31));
        assert_eq!((third.root, third.fstype, third.options), (&b"/.."[..], &b"cgroup2"[..], &b"rw,nosuid"[..]));
        assert_eq!(parse(b""), []);
    }

    #[test]
    fn hidden() {
        // The first mounts stand before the root, as on hosts whose initramfs has made them. /a/b is below a mount on /a that
        // came later, /c has another one on top, and /d/e is in what is hidden at /d.
        let all = b"20 30 3:4 / /run rw - tmpfs x rw\n\
            21 20 3:4 / /run/lock rw - tmpfs x rw\n\
            30 1 3:4 / / rw - ext4 x rw\n\
            31 30 3:4 / /a/b rw - tmpfs x rw\n\
            32 30 3:4 / /a rw - tmpfs x rw\n\
            33 32 3:4 / /a/b rw - tmpfs x rw\n\
            34 30 3:4 / /c rw - tmpfs x rw\n\
            35 34 3:4 / /c rw - tmpfs x rw\n\
            36 30 3:4 / /d rw - tmpfs x rw\n\
            37 36 3:4 / /d/e rw - tmpfs x rw\n\
            38 36 3:4 / /d rw - tmpfs x rw\n\
            39 30 3:4 / / rw - ext4 x rw\n\
            40 39 3:4 / /on-top rw - tmpfs x rw\n\
            41 30 3:4 / /ab rw - tmpfs x rw\n";
        let ids = |file| {
            let all = parse(file);
            all.iter().filter(|mount| is_hidden(mount, &all)).map(|mount| mount.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(all), [31, 34, 36, 37, 39, 40]);
        // In a chroot the root is not listed, and what is mounted on it has a parent that is not.
        assert_eq!(ids(b"5 4 3:4 / /a/b rw - tmpfs x rw\n6 4 3:4 / /a rw - tmpfs x rw\n"), [5]);
        // Ids that lead in a circle end.
        assert_eq!(ids(b"5 6 3:4 / /a rw - tmpfs x rw\n6 5 3:4 / /b rw - tmpfs x rw\n"), [0; 0]);
    }

    #[test]
    fn escapes() {
        for (field, plain) in [
            (&b"/a\\040b"[..], &b"/a b"[..]),
            (b"\\134\\012\\011", b"\\\n\t"),
            (b"\\377\\101", b"\xffA"),
            (b"\\04", b"\\04"),
            (b"\\4", b"\\4"),
            (b"\\", b"\\"),
            (b"\\400", b"\\400"),
            (b"\\0401", b" 1"),
            (b"", b""),
        ] {
            assert_eq!(unescape(field).to_bytes(), plain);
        }
    }

    /// The whole file again, slowly: strings, a split, a look for the dash.
    fn oracle(file: &str) -> Vec<(u32, u32, [String; 5])> {
        let mut mounts = Vec::new();
        for line in file.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let Some(dash) = (6..fields.len()).find(|&at| fields[at] == "-") else { continue };
            let (Ok(id), Ok(parent)) = (fields[0].parse(), fields[1].parse()) else { continue };
            if fields.len() > dash + 3 {
                mounts.push((id, parent, [3, 4, 5, dash + 1, dash + 3].map(|at| fields[at].to_string())));
            }
        }
        mounts
    }

    fn ours(file: &str) -> Vec<(u32, u32, [String; 5])> {
        parse(file.as_bytes())
            .iter()
            .map(|mount| {
                let fields = [mount.root, mount.point, mount.options, mount.fstype, mount.super_options]
                    .map(|field| String::from_utf8(field.to_vec()).unwrap());
                (mount.id, mount.parent, fields)
            })
            .collect()
    }

    #[test]
    fn agrees_with_the_oracle_on_this_host() {
        let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert_eq!(ours(&host), oracle(&host));
        assert!(!oracle(&host).is_empty());
    }

    #[test]
    fn agrees_with_the_oracle_on_random_lines() {
        let number = || prop::sample::select(vec!["1", "36", "0", "22", "4294967295", "4294967296", "", "-1"]);
        let word = || {
            prop::sample::select(vec![
                "-",
                "/",
                "/a",
                "rw",
                "shared:1",
                "cgroup",
                "cgroup2",
                "",
                "\\040",
                "cpu,cpuacct",
                "1:2",
                "7",
            ])
        };
        let line = || (number(), number(), prop::collection::vec(word(), 0..14));
        let found = Cell::new(0);
        proptest!(ProptestConfig::with_cases(4_000), |((id, parent, rest) in line())| {
            let line = [&[id, parent], &rest[..]].concat().join(" ");
            let file = format!("{line}\n36 35 98:0 / /x rw - ext3 s rw\n{line}");
            found.set(found.get() + oracle(&file).len());
            prop_assert_eq!(ours(&file), oracle(&file));
        });
        assert!(found.get() > 4_200, "only {} mounts in the random files", found.get());
    }
}
