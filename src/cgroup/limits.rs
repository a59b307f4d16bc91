//! One limit: what is written where, and whether what is read back means the same.

use super::host::Controllers;
use crate::error::{Errno, Error, Result};
use crate::options::Limit;
use crate::says;
use crate::sys::Dir;
use crate::text::{self, Put};
use alloc::vec::Vec;
use core::ffi::CStr;

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Letter by letter.
    Exact,
    /// Bytes, which the kernel rounds down to pages.
    Bytes,
    /// Lists of CPUs or memory nodes, compared as sets.
    List,
}

/// One control file to be written and read back.
pub struct Setting {
    /// The file in the group's directory.
    pub file: &'static CStr,
    /// A second file that must show the same, where the first one only repeats what was written.
    pub effective: Option<&'static CStr>,
    /// What is written.
    pub value: &'static [u8],
    /// How what is read back is compared.
    pub form: Form,
    /// Asked for, not a default or a consequence of one.
    pub asked: bool,
}

/// The settings of one group, in the order they are written.
pub struct Settings {
    /// What the group is for: limits of other controllers are passed over.
    pub controllers: Controllers,
    /// What there is so far.
    pub list: Vec<Setting>,
}

impl Settings {
    /// Adds a number, and `after` it what the file's format wants there; unless there is no such limit, or it is another
    /// controller's.
    #[inline(never)]
    pub fn number(&mut self, file: &'static CStr, limit: &Option<Limit>, after: &[u8]) {
        let controller = controller_of(file);
        if let Some(Limit { value, asked }) = *limit
            && self.controllers.has(controller)
        {
            let mut digits = Vec::new();
            match value {
                Limit::NONE if !asked => digits.put(b"max"),
                _ => digits.put_decimal(value),
            }
            digits.put(after);
            let form = if controller == Controllers::MEMORY { Form::Bytes } else { Form::Exact };
            self.list.push(Setting { file, effective: None, value: digits.leak(), form, asked });
        }
    }

    /// Adds a list of the cpuset controller, which is always asked for.
    #[inline(never)]
    pub fn list(&mut self, file: &'static CStr, effective: Option<&'static CStr>, value: &Option<&'static [u8]>) {
        if let Some(value) = *value
            && self.controllers.has(Controllers::CPUSET)
        {
            self.list.push(Setting { file, effective, value, form: Form::List, asked: true });
        }
    }
}

/// The controller that a control file belongs to: its name comes first.
fn controller_of(file: &CStr) -> Controllers {
    Controllers::in_list(text::split(file.to_bytes(), b'.').next().unwrap_or_default())
}

/// The largest page that Linux has on these architectures.
const LARGEST_PAGE: u64 = 64 * 1024;

impl Setting {
    /// Writes the value and reads it back; a kernel that made something else of it is an error.
    pub fn apply(&self, dir: &Dir) -> Result<()> {
        let mut buffer = [0u8; 4096];
        let n = dir.write_and_read_back(self.file, self.value, &mut buffer).map_err(|e| self.explain(e))?;
        self.compare(self.file, buffer.get(..n).unwrap_or_default())?;
        match self.effective {
            Some(file) => self.compare(file, dir.read(file, &mut buffer)?),
            None => Ok(()),
        }
    }

    fn compare(&self, file: &'static CStr, got: &[u8]) -> Result<()> {
        let got = text::trimmed(got);
        if same(self.form, self.value, got) {
            return Ok(());
        }
        let got = if got.is_empty() { b"nothing" } else { got };
        Err(Error::limit(file.to_str().unwrap_or_default(), self.value, got))
    }

    /// Adds what errno alone does not say.
    fn explain(&self, error: Error) -> Error {
        let file = self.file.to_bytes();
        if error.is(Errno::ENOENT) && (file.starts_with(b"memory.memsw") || file.starts_with(b"memory.swap")) {
            return error.with_hint(says!("this kernel does not account swap; boot with swapaccount=1"));
        }
        if error.is(Errno::ENOENT) {
            return error.with_hint(says!("the controller is not available in this cgroup"));
        }
        if self.form == Form::List && error.is_one_of(&[Errno::ERANGE, Errno::EINVAL, Errno::EACCES, Errno::ENODEV]) {
            return error.with_hint(says!("not among the CPUs or memory nodes that the parent cgroup has"));
        }
        if file.starts_with(b"cpu.cfs") && error.is(Errno::EINVAL) {
            return error.with_hint(says!("more than the parent cgroup's own quota allows"));
        }
        error
    }
}

fn same(form: Form, asked: &[u8], got: &[u8]) -> bool {
    match form {
        Form::Exact => asked == got,
        Form::List => matches!((text::list(asked), text::list(got)), (Ok(asked), Ok(got)) if asked == got),
        Form::Bytes => match (text::decimal(asked), text::decimal(got)) {
            (Ok(asked), Ok(got)) => got <= asked && asked - got < LARGEST_PAGE && (got > 0 || asked == 0),
            _ => asked == got,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_the_same() {
        for (form, asked, got, equal) in [
            (Form::Exact, "2048", "2048", true),
            (Form::Exact, "1", "2", false),
            (Form::Exact, "150000 100000", "150000 100000", true),
            (Form::Bytes, "104857600", "104857600", true),
            (Form::Bytes, "104857601", "104857600", true),
            (Form::Bytes, "10", "0", false),
            (Form::Bytes, "0", "0", true),
            (Form::Bytes, "104857600", "209715200", false),
            (Form::Bytes, "104857600", "9223372036854771712", false),
            (Form::Bytes, "104857600", "max", false),
            (Form::List, "1,0", "0-1", true),
            (Form::List, "0-1", "0", false),
            (Form::List, "0", "", false),
        ] {
            assert_eq!(same(form, asked.as_bytes(), got.as_bytes()), equal, "{form:?} {asked} {got}");
        }
    }
}
