//! /proc, /sys and /dev of a root of its own are reached by descriptors: whoever can write to the root can give their names to
//! something else at any moment.

use crate::bytes::{FixedBytes, Put};
use crate::error::{Error, Result};
use crate::step::{Child, ChildStep, Own};
use crate::sys::{self, Fd};
use core::ffi::CStr;

impl Own {
    /// All of them, with their paths.
    pub fn all(&mut self) -> [(&'static CStr, &mut Option<Fd>); 3] {
        [(c"/proc", &mut self.proc), (c"/sys", &mut self.sys), (c"/dev", &mut self.dev)]
    }

    /// The one at `path`.
    pub fn at(&mut self, path: &CStr) -> Option<&mut Option<Fd>> {
        self.all().into_iter().find(|(own, _)| *own == path).map(|(_, slot)| slot)
    }
}

/// By which path a call reaches `path`. If it is below a directory of the container's own, that becomes the working directory, and
/// the path is relative to it.
pub fn enter<'a>(child: &mut Child, path: &'a CStr) -> Result<&'a CStr> {
    if let Some(outer) = &child.outer_proc
        && path.to_bytes().starts_with(b"/proc/self/")
    {
        sys::fchdir(outer, c"/proc")?;
        return Ok(CStr::from_bytes_with_nul(path.to_bytes_with_nul().get(6..).unwrap_or_default()).unwrap_or_default());
    }
    for (top, own) in child.own.all() {
        if let Some(own) = own
            && let Some(below) = path.to_bytes_with_nul().strip_prefix(top.to_bytes())
            && let Some(name) = below.strip_prefix(b"/")
        {
            sys::fchdir(own, top)?;
            return Ok(CStr::from_bytes_with_nul(name).unwrap_or_default());
        }
    }
    Ok(path)
}

/// The name of an open file for calls that take only a path, as [`enter`] gives it.
pub fn name_of(child: &mut Child, fd: &Fd) -> Result<FixedBytes> {
    let name = sys::name_in_proc(fd.borrow());
    let mut relative = FixedBytes::new();
    relative.put(enter(child, name.as_c_str().unwrap_or_default())?.to_bytes_with_nul());
    Ok(relative)
}

step! {
    /// Makes sure that /proc, /sys and /dev are what has been mounted there.
    ///
    /// Somebody else who can write to the root may have exchanged them.
    pub struct CheckOwnMounts;
}

impl ChildStep for CheckOwnMounts {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        for (path, own) in child.own.all() {
            if let Some(own) = own
                && sys::mount_id(own, path)? != sys::mount_id_at(path)?
            {
                let hint = "somebody else has exchanged it while mydocker mounted there";
                return Err(Error::refused("the root has another", path.to_bytes(), hint));
            }
        }
        Ok(())
    }
}
