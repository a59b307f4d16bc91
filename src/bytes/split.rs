//! Taking bytes apart at dividers, and putting paths and C strings together.

use super::put::Put;
use alloc::vec::Vec;
use core::ffi::CStr;

/// The parts of `bytes` between `divider`s, as `str::split` gives them: without a divider there is one part.
pub fn split(bytes: &[u8], divider: u8) -> Parts<'_> {
    Parts { rest: Some(bytes), divider }
}

/// The iterator of [`split`].
pub struct Parts<'a> {
    /// `None` after the last part.
    rest: Option<&'a [u8]>,
    divider: u8,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let bytes = self.rest.take()?;
        let Some(at) = bytes.iter().position(|byte| *byte == self.divider) else { return Some(bytes) };
        let (part, from_divider) = bytes.split_at_checked(at)?;
        self.rest = from_divider.get(1..);
        Some(part)
    }
}

/// Whether `wanted` is one of the parts: `cpu` is not one of `cpuset,cpuacct`.
pub fn has_part(bytes: &[u8], divider: u8, wanted: &[u8]) -> bool {
    split(bytes, divider).any(|part| part == wanted)
}

/// What is before the first `divider`, and what is after it. `None` if there is no divider.
pub fn split_once(bytes: &[u8], divider: u8) -> Option<(&[u8], &[u8])> {
    let (before, from_divider) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == divider)?)?;
    Some((before, from_divider.get(1..)?))
}

/// Where `part` first occurs.
pub fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(part)))
}

/// The words of `bytes`, which are divided by any number of blanks, tabs and newlines.
pub fn words(bytes: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The value of `key` in a file of `key value` lines, such as `memory.events` or `/proc/PID/status`.
pub fn field<'a>(file: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    split(file, b'\n').find_map(|line| {
        let value = line.strip_prefix(key)?;
        value.first().filter(|byte| byte.is_ascii_whitespace())?;
        Some(value.trim_ascii())
    })
}

/// The parts, joined, as a C string, up to the first NUL. The memory is never freed.
pub fn c_string(parts: &[&[u8]]) -> &'static CStr {
    let mut joined = parts.concat();
    joined.push(0);
    CStr::from_bytes_until_nul(joined.leak()).unwrap_or_default()
}

/// What is left of `path` without the directory `top`: nothing, or a path that begins with a slash. `None` if it is not in that
/// directory: `/ab` is not in `/a`.
pub fn below<'a>(path: &'a [u8], top: &[u8]) -> Option<&'a [u8]> {
    // Only the root itself ends with a slash.
    let top = top.strip_suffix(b"/").unwrap_or(top);
    path.strip_prefix(top).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// The path of `name` in the directory `dir`, in parts; `name` itself if there is no directory.
pub fn path_in<'a>(dir: &'a [u8], name: &'a [u8]) -> [&'a [u8]; 3] {
    match name.strip_prefix(b".").unwrap_or(name) {
        _ if dir.is_empty() => [name, b"", b""],
        [] => [dir, b"", b""],
        [b'/', rest @ ..] => [dir, b"/", rest],
        _ => [dir, b"/", name],
    }
}

/// `path` as an absolute path without empty parts, `.` and `..`. Like docker, it does not look at the file system: `..`
/// removes the part before it, even where that part is a symbolic link.
pub fn clean_path(path: &[u8]) -> Vec<u8> {
    let mut clean: Vec<u8> = Vec::new();
    for part in split(path, b'/') {
        match part {
            b"" | b"." => {}
            b".." => clean.truncate(clean.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
            _ => {
                clean.put(b"/");
                clean.put(part);
            }
        }
    }
    if clean.is_empty() {
        clean.push(b'/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts() {
        let parts = |text: &'static [u8]| split(text, b',').collect::<Vec<_>>();
        for text in ["", ",", "a", "a,", ",a", "a,,b", "a,b,c"] {
            assert_eq!(parts(text.as_bytes()), text.split(',').map(str::as_bytes).collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn fields() {
        let file = b"low 0\noom 3\noom_kill 2\nSigCgt:\t00ff\nempty\n";
        assert_eq!(field(file, b"oom"), Some(&b"3"[..]));
        assert_eq!(field(file, b"oom_kill"), Some(&b"2"[..]));
        assert_eq!(field(file, b"SigCgt:"), Some(&b"00ff"[..]));
        assert_eq!(field(file, b"high"), None);
        assert_eq!(field(file, b"empty"), None);
    }

    #[test]
    fn c_strings() {
        assert_eq!(c_string(&[b"/a", b"", b"/b"]), c"/a/b");
        assert_eq!(c_string(&[]), c"");
        assert_eq!(c_string(&[b"a\0b"]), c"a");
    }

    #[test]
    fn clean_paths() {
        for (path, clean) in [
            ("", "/"),
            ("/", "/"),
            ("a", "/a"),
            ("/../a", "/a"),
            ("/a/./b//c/", "/a/b/c"),
            ("/a/../..", "/"),
            ("/...", "/..."),
        ] {
            assert_eq!(clean_path(path.as_bytes()), clean.as_bytes(), "{path}");
        }
    }

    /// Slowly: a list of parts.
    fn clean_path_oracle(path: &str) -> String {
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn parts_agree_with_split(bytes in prop::collection::vec(
            prop_oneof![Just(b','), Just(b'a'), any::<u8>()], 0..40
        )) {
            let parts: Vec<&[u8]> = bytes.split(|&byte| byte == b',').collect();
            prop_assert_eq!(split(&bytes, b',').collect::<Vec<_>>(), parts);
        }

        #[test]
        fn words_agree_with_str(text in "[ \t\n\ra-c]{0,20}") {
            let found: Vec<&[u8]> = words(text.as_bytes()).collect();
            prop_assert_eq!(found, text.split_ascii_whitespace().map(str::as_bytes).collect::<Vec<_>>());
        }

        #[test]
        fn clean_paths_agree_with_the_oracle(parts in prop::collection::vec(
            prop::sample::select(vec!["/", "/a", "/.", "/..", "/b.c", "//", "/...", "/.d"]), 0..8
        )) {
            let path = parts.concat();
            prop_assert_eq!(clean_path(path.as_bytes()), clean_path_oracle(&path).into_bytes());
        }
    }
}
