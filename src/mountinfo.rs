//! `/proc/self/mountinfo`, byte by byte. Source: proc_pid_mountinfo(5).
//!
//! ```text
//! 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//! (1)(2)(3)   (4)   (5)      (6)      (7)   (8) (9)   (10)         (11)
//! ```

use crate::text;
use alloc::vec::Vec;

/// One line: the fields that mydocker uses, still escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// (4) The path, in its filesystem, of what is mounted.
    pub root: &'a [u8],
    /// (5) The mount point, as seen from the process's root.
    pub point: &'a [u8],
    /// (6) Options of this mount: `rw`, `ro`, `nosuid` ...
    pub options: &'a [u8],
    /// (9) The filesystem's type.
    pub fstype: &'a [u8],
    /// (11) Options of the filesystem itself; for cgroup v1, its controllers.
    pub super_options: &'a [u8],
}

/// Takes the first line off `rest` and reads it; a line that has not all its fields is passed over.
pub fn next<'a>(rest: &mut &'a [u8]) -> Option<Mount<'a>> {
    while !rest.is_empty() {
        let (line, after) = text::split_at(rest, b'\n').unwrap_or((rest, b""));
        *rest = after;
        if let Some(mount) = parse(line) {
            return Some(mount);
        }
    }
    None
}

fn parse(line: &[u8]) -> Option<Mount<'_>> {
    // A blank inside a field is escaped, so every blank divides.
    let mut fields = text::split(line, b' ');
    let root = fields.nth(3)?;
    let point = fields.next()?;
    let options = fields.next()?;
    // Any number of optional fields, up to a lone "-".
    fields.find(|field| field == b"-")?;
    let fstype = fields.next()?;
    let _source = fields.next()?;
    let super_options = fields.next()?;
    Some(Mount { root, point, options, fstype, super_options })
}

/// Whether a mount at `point` is covered by one of the `later` lines: at the same place, or above it.
pub fn is_hidden(point: &[u8], mut later: &[u8]) -> bool {
    while let Some(mount) = next(&mut later) {
        let above = mount.point.strip_suffix(b"/").unwrap_or(mount.point);
        if point.strip_prefix(above).is_some_and(|below| below.is_empty() || below.starts_with(b"/")) {
            return true;
        }
    }
    false
}

/// Whether the comma-separated `options` hold exactly `word`: `cpu` is not in `cpuset,cpuacct`.
pub fn has_option(options: &[u8], word: &[u8]) -> bool {
    text::split(options, b',').any(|option| option == word)
}

/// A field with its `\ooo` decoded. The kernel escapes blank, tab, newline and backslash; any octal is decoded.
pub fn unescape(field: &[u8]) -> Vec<u8> {
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
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut rest: &[u8] =
            b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=x\n\
            bad line\n\
            33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct,cpu\n\
            1 2 3:4 / / rw shared:1\n\
            41 31 0:38 /.. /sys/fs/cgroup rw,nosuid - cgroup2 - rw,nsdelegate";
        let first = next(&mut rest).unwrap();
        assert_eq!((first.root, first.point), (&b"/mnt1"[..], &b"/mnt\\0402"[..]));
        assert_eq!((first.fstype, first.super_options), (&b"ext3"[..], &b"rw,errors=x"[..]));
        assert_eq!(unescape(first.point), b"/mnt 2");
        let second = next(&mut rest).unwrap();
        assert!(has_option(second.super_options, b"cpu"));
        assert!(!has_option(second.super_options, b"cpus"));
        assert!(!has_option(second.super_options, b"acct"));
        let third = next(&mut rest).unwrap();
        assert_eq!((third.root, third.fstype, third.options), (&b"/.."[..], &b"cgroup2"[..], &b"rw,nosuid"[..]));
        assert_eq!(next(&mut rest), None);
        assert_eq!(next(&mut &b""[..]), None);
    }

    #[test]
    fn hidden() {
        let later = b"1 2 3:4 / /a rw - tmpfs x rw\n1 2 3:4 / /b/c rw - tmpfs x rw\n";
        for (point, covered) in
            [("/a", true), ("/a/b", true), ("/ab", false), ("/b", false), ("/b/c", true), ("/", false)]
        {
            assert_eq!(is_hidden(point.as_bytes(), later), covered, "{point}");
        }
        assert!(is_hidden(b"/x", b"1 2 3:4 / / rw - tmpfs x rw"));
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
            assert_eq!(unescape(field), plain);
        }
    }

    /// The whole file again, slowly: strings, a split, a look for the dash.
    fn oracle(file: &str) -> Vec<[String; 5]> {
        let mut mounts = Vec::new();
        for line in file.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let Some(dash) = (6..fields.len()).find(|&at| fields[at] == "-") else { continue };
            if fields.len() > dash + 3 {
                mounts.push([3, 4, 5, dash + 1, dash + 3].map(|at| fields[at].to_string()));
            }
        }
        mounts
    }

    fn ours(file: &str) -> Vec<[String; 5]> {
        let mut rest = file.as_bytes();
        core::iter::from_fn(|| next(&mut rest))
            .map(|m| {
                [m.root, m.point, m.options, m.fstype, m.super_options]
                    .map(|field| String::from_utf8(field.to_vec()).unwrap())
            })
            .collect()
    }

    #[test]
    fn agrees_with_the_oracle_on_this_host_and_on_random_lines() {
        let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert_eq!(ours(&host), oracle(&host));
        assert!(!oracle(&host).is_empty());

        let mut state: u64 = 11;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let words = ["-", "/", "/a", "rw", "shared:1", "cgroup", "cgroup2", "", "\\040", "cpu,cpuacct", "1:2"];
        let mut found = 0;
        for _ in 0..20_000 {
            let line: Vec<&str> = (0..random(16)).map(|_| words[random(words.len() as u64) as usize]).collect();
            let file = format!("{}\n36 35 98:0 / /x rw - ext3 s rw\n{}", line.join(" "), line.join(" "));
            found += oracle(&file).len();
            assert_eq!(ours(&file), oracle(&file), "{file:?}");
        }
        assert!(found > 22_000, "only {found} mounts in the random files");
    }
}
