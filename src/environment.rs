//! The command's environment: the caller's variables, and those that `--env-file` and `-e` set.

use crate::bytes::{c_string, split};
use crate::error::{Error, Result};
use alloc::vec::Vec;
use core::ffi::CStr;

/// The PATH of a command with a root of its own, as an assignment; docker's.
pub const PATH_ASSIGNMENT: &[u8] = b"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a command is looked for if the environment has no PATH.
pub const DEFAULT_PATH: &[u8] = PATH_ASSIGNMENT.split_at(b"PATH=".len()).1;

/// The environment while it is put together.
pub struct Environment<'a> {
    /// The caller's variables, as `key=value`.
    pub caller: &'a [&'static CStr],
    /// The command's variables, as `key=value`.
    pub variables: Vec<&'static CStr>,
}

impl Environment<'_> {
    /// Sets a variable: `key=value` to that value, `key` alone to the caller's value. A `key` that the caller does not have is
    /// removed.
    pub fn set(&mut self, assignment: &[u8]) -> Result<()> {
        let key = key(assignment);
        if key.is_empty() {
            return Err(Error::usage("a variable without a name", assignment));
        }
        if assignment.contains(&0) {
            return Err(Error::usage("a variable with a NUL in it", key));
        }
        let has_value = key.len() < assignment.len();
        let variable = match has_value {
            true => Some(c_string(&[assignment])),
            false => self.caller.iter().copied().find(|variable| has_key(variable, key)),
        };
        self.unset(key);
        self.variables.extend(variable);
        Ok(())
    }

    /// Removes a variable.
    pub fn unset(&mut self, key: &[u8]) {
        while let Some(at) = self.variables.iter().position(|variable| has_key(variable, key)) {
            self.variables.remove(at);
        }
    }

    /// Sets the variables of an env file as docker reads it: UTF-8, one assignment a line; blanks before it, empty lines
    /// and lines that begin with `#` are skipped, as is a name that the caller does not have.
    pub fn set_lines(&mut self, file: &[u8]) -> Result<()> {
        const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
        for line in split(file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file), b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if core::str::from_utf8(line).is_err() {
                return Err(Error::usage("an env file that is not UTF-8", line));
            }
            if key(line).iter().any(u8::is_ascii_whitespace) {
                return Err(Error::usage("a variable's name with a blank in it", line));
            }
            if line.contains(&b'=') || get(self.caller, line).is_some() {
                self.set(line)?;
            }
        }
        Ok(())
    }
}

fn key(assignment: &[u8]) -> &[u8] {
    split(assignment, b'=').next().unwrap_or_default()
}

/// Whether `variable` is `key=value`, with this key.
pub fn has_key(variable: &'static CStr, key: &[u8]) -> bool {
    get(&[variable], key).is_some()
}

/// The value of `key` in `environment`; like getenv(3), of its first assignment.
pub fn get(environment: &[&'static CStr], key: &[u8]) -> Option<&'static [u8]> {
    environment.iter().find_map(|variable| variable.to_bytes().strip_prefix(key)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(caller: &[&'static CStr], f: impl Fn(&mut Environment) -> Result<()>) -> Option<Vec<String>> {
        let mut environment = Environment { caller, variables: caller.to_vec() };
        f(&mut environment).ok()?;
        Some(environment.variables.iter().map(|v| v.to_str().unwrap().to_string()).collect())
    }

    #[test]
    fn assignments() {
        let caller = [c"A=1", c"PATH=/bin", c"AB=2"];
        let built = |assignments: &[&str]| {
            built(&caller, |environment| assignments.iter().try_for_each(|a| environment.set(a.as_bytes())))
        };
        let is = |variables: &[&str]| Some(variables.iter().map(|v| v.to_string()).collect::<Vec<_>>());
        assert_eq!(built(&[]), is(&["A=1", "PATH=/bin", "AB=2"]));
        assert_eq!(built(&["A=3", "C="]), is(&["PATH=/bin", "AB=2", "A=3", "C="]));
        assert_eq!(built(&["A", "Z"]), is(&["PATH=/bin", "AB=2", "A=1"]));
        assert_eq!(built(&["Z=1", "Z"]), is(&["A=1", "PATH=/bin", "AB=2"]));
        assert_eq!(built(&["A=3", "A"]), is(&["PATH=/bin", "AB=2", "A=1"]));
        assert_eq!(built(&["A=x=y", "A=z"]), is(&["PATH=/bin", "AB=2", "A=z"]));
        for bad in ["=x", "A=\0", "A\0B"] {
            assert_eq!(built(&[bad]), None, "{bad:?}");
        }
    }

    #[test]
    fn files() {
        let read = |file: &[u8]| built(&[c"C=5"], |environment| environment.set_lines(file));
        let file = b"\xef\xbb\xbfA=1\n\n# no\n  B=2 \nC\r\n\t#no\nA\nD='x y'";
        assert_eq!(read(file).unwrap(), ["A=1", "B=2 ", "C=5", "D='x y'"]);
        assert_eq!(read(b"A=\xff"), None);
        assert_eq!(read(b"A B=1"), None);
    }

    #[test]
    fn lookup() {
        assert_eq!(get(&[c"PA=1", c"PATH=a", c"PATH=b"], b"PATH"), Some(&b"a"[..]));
        assert_eq!(get(&[c"PATHS=1"], b"PATH"), None);
        assert!(DEFAULT_PATH.starts_with(b"/usr/local/sbin:"));
    }
}
