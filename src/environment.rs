//! The command's environment: what the caller has, what files and `-e` add.

use crate::error::{Error, Result};
use crate::text;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Used where the environment has no PATH; docker's.
pub const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The caller's variables, then `assignments` in order: `K=V` sets, `K` alone takes the caller's value if it has one.
pub fn build(caller: &[&'static CStr], assignments: &[&[u8]]) -> Result<Vec<&'static CStr>> {
    let mut environment = caller.to_vec();
    for assignment in assignments {
        let key = text::split(assignment, b'=').next().unwrap_or_default();
        if key.is_empty() {
            return Err(Error::usage("a variable without a name", assignment));
        }
        if assignment.contains(&0) {
            return Err(Error::usage("a variable with a NUL in it", key));
        }
        let variable = if key.len() < assignment.len() {
            text::c_string(&[assignment])
        } else {
            match caller.iter().find(|variable| value(variable, key).is_some()) {
                Some(callers) => callers,
                None => continue,
            }
        };
        environment.retain(|variable| value(variable, key).is_none());
        environment.push(variable);
    }
    Ok(environment)
}

/// The assignments in a file, as docker reads it: one a line, blanks before it passed over, `#` begins a comment.
pub fn lines(file: &[u8]) -> Result<Vec<&[u8]>> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut assignments = Vec::new();
    for line in text::split(file, b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if core::str::from_utf8(line).is_err() {
            return Err(Error::usage("an env file that is not UTF-8", line));
        }
        let key = text::split(line, b'=').next().unwrap_or_default();
        if key.iter().any(u8::is_ascii_whitespace) {
            return Err(Error::usage("a variable's name with a blank in it", line));
        }
        assignments.push(line);
    }
    Ok(assignments)
}

/// The value, if `variable` is `key=value`.
pub fn value<'a>(variable: &'a CStr, key: &[u8]) -> Option<&'a [u8]> {
    variable.to_bytes().strip_prefix(key)?.strip_prefix(b"=")
}

/// The value of `key`; the first one counts, as in getenv(3).
pub fn get(environment: &[&'static CStr], key: &[u8]) -> Option<&'static [u8]> {
    environment.iter().find_map(|variable| value(variable, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(caller: &[&'static CStr], assignments: &[&str]) -> Vec<String> {
        let assignments: Vec<&[u8]> = assignments.iter().map(|a| a.as_bytes()).collect();
        let built = build(caller, &assignments).map_err(drop).unwrap();
        built.iter().map(|v| v.to_str().unwrap().to_string()).collect()
    }

    #[test]
    fn assignments() {
        let caller = [c"A=1", c"PATH=/bin", c"AB=2"];
        assert_eq!(built(&caller, &[]), ["A=1", "PATH=/bin", "AB=2"]);
        assert_eq!(built(&caller, &["A=3", "C="]), ["PATH=/bin", "AB=2", "A=3", "C="]);
        assert_eq!(built(&caller, &["A", "Z"]), ["PATH=/bin", "AB=2", "A=1"]);
        assert_eq!(built(&caller, &["A=3", "A"]), ["PATH=/bin", "AB=2", "A=1"]);
        assert_eq!(built(&caller, &["A=x=y", "A=z"]), ["PATH=/bin", "AB=2", "A=z"]);
        assert!(build(&caller, &[b"=x"]).is_err());
        assert!(build(&caller, &[b"A=\0"]).is_err());
        assert!(build(&caller, &[b"A\0B"]).is_err());
    }

    #[test]
    fn files() {
        let file = b"\xef\xbb\xbfA=1\n\n# no\n  B=2 \nC\r\n\t#no\nD='x y'";
        let read: Vec<&[u8]> = lines(file).map_err(drop).unwrap();
        assert_eq!(read, [&b"A=1"[..], b"B=2 ", b"C", b"D='x y'"]);
        assert!(lines(b"A=\xff").is_err());
        assert!(lines(b"A B=1").is_err());
    }

    #[test]
    fn lookup() {
        assert_eq!(get(&[c"PA=1", c"PATH=a", c"PATH=b"], b"PATH"), Some(&b"a"[..]));
        assert_eq!(get(&[c"PATHS=1"], b"PATH"), None);
    }
}
