//! What the container can write to, and the paths of the command line that are named below it. The container could put a link
//! there, which its next start would follow to any file of this host: what such a path leads to is to be inside.

use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::spec::{Content, LogTo, Spec, StatsTo};
use crate::step::Slot;
use crate::sys::{self, Dir, FdRef, Identity, OpenFlags, record};
use alloc::vec::Vec;
use core::ffi::CStr;

/// What the container can write to, by the paths of the command line. One that leads to the same files by another name is not known.
#[derive(Default)]
pub struct Writable {
    tops: Vec<&'static CStr>,
    /// The working directory, once a relative path needs it.
    directory: Vec<u8>,
}

impl Writable {
    /// The volumes of the `spec` that can be written to, and its root.
    pub fn of(spec: &Spec) -> Writable {
        let volumes = spec.volumes.iter().filter_map(|volume| match volume.content {
            Content::Host { source, read_only: false, .. } => Some(source),
            _ => None,
        });
        let root = spec.rootfs.filter(|_| !spec.read_only && !spec.ephemeral);
        Writable { tops: volumes.chain(root).collect(), ..Writable::default() }
    }

    /// The same of a container whose mydocker was started in that `directory`.
    pub fn of_other(spec: &Spec, directory: Option<&CStr>) -> Writable {
        let mut writable = Writable::of(spec);
        if let Some(directory) = directory {
            for top in &mut writable.tops {
                if !top.to_bytes().starts_with(b"/") {
                    *top = bytes::c_string(&[directory.to_bytes(), b"/", top.to_bytes()]);
                }
            }
        }
        writable
    }

    /// Which file a path leads to, if it is named below one of these.
    pub fn known(&mut self, path: &CStr) -> Result<Option<Identity>> {
        if sys::descriptor_named(path).is_some() {
            return Ok(None);
        }
        let Some(top) = self.top_of(path)? else { return Ok(None) };
        // A magic link of /proc leads into the mounts of another process, where the same path is something else.
        let file = match sys::openat2(path, OpenFlags::PATH) {
            // The step that opens the file says what is to be done. A file that is made there until then is refused.
            Err(e) if e.is(Errno::ENOENT) => return Ok(Some(NOWHERE)),
            file => file?,
        };
        refuse_outside(file.borrow(), top, path)?;
        let status = sys::statx_fd(file.borrow()).map_err(|e| e.about(path.to_bytes()))?;
        Ok(Some(status.identity()))
    }

    /// Where to make a file: its directory, if the path is named below one of these, and its name there; else the path.
    pub fn output(&mut self, path: &'static CStr) -> Result<Output> {
        if sys::descriptor_named(path).is_some() {
            return Ok((None, path));
        }
        let Some(top) = self.top_of(path)? else { return Ok((None, path)) };
        let (directory, name) = in_directory(path)?;
        refuse_outside(directory.fd(), top, path)?;
        Ok((Some(directory), name))
    }

    /// The outermost of these that the path is named below. What `..` leads out of again does not count.
    fn top_of(&mut self, path: &CStr) -> Result<Option<&'static CStr>> {
        let others: Vec<_> = self.tops.iter().copied().filter(|top| *top != path).collect();
        let mut tops = Vec::with_capacity(others.len());
        for top in others {
            tops.push((bytes::clean_path(&self.absolute(top)?), top));
        }
        if tops.is_empty() {
            return Ok(None);
        }
        let mut clean = Vec::new();
        for part in bytes::split(&self.absolute(path)?, b'/') {
            match part {
                b"" | b"." => {}
                b".." => clean.truncate(clean.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
                // `/` itself is never found: whoever gives away all files of the host has no boundary.
                _ => match tops.iter().find(|(top, _)| *top == clean) {
                    Some((_, top)) => return Ok(Some(top)),
                    None => clean.extend_from_slice(&[b"/", part].concat()),
                },
            }
        }
        Ok(None)
    }

    fn absolute(&mut self, path: &CStr) -> Result<Vec<u8>> {
        if path.to_bytes().starts_with(b"/") {
            return Ok(path.to_bytes().to_vec());
        }
        if self.directory.is_empty() {
            self.directory = sys::working_directory()?;
        }
        Ok([&self.directory, &b"/"[..], path.to_bytes()].concat())
    }
}

/// The directory of a path, and the name there.
fn in_directory(path: &CStr) -> Result<(Dir, &'static CStr)> {
    let word = path.to_bytes();
    let (above, name) = match word.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (word.get(..at.max(1)).unwrap_or_default(), word.get(at + 1..).unwrap_or_default()),
        None => (&b"."[..], word),
    };
    let directory = Dir::open_path(bytes::c_string(&[above])).map_err(|e| e.about(word))?;
    Ok((directory, bytes::c_string(&[name])))
}

/// No file.
const NOWHERE: Identity = ((0, 0), 0);

/// Where to make a file: a directory, or the working directory, and a path from there.
pub type Output = (Option<Dir>, &'static CStr);

/// The files that mydocker itself writes.
#[derive(Default)]
pub struct Outputs {
    /// The file of `--pid-file`.
    pub pid: Slot<Output>,
    /// The file of `--stats`.
    pub stats: Slot<Output>,
    /// The file of `--cidfile`: a run that fails removes it again, and may have another working directory by then.
    pub cid: Slot<(Dir, &'static CStr)>,
    /// The file of `--log`.
    pub log: Slot<Output>,
}

impl Outputs {
    /// Those of the `spec`.
    pub fn of(spec: &Spec, writable: &mut Writable) -> Result<Outputs> {
        let stats = match spec.stats {
            Some(StatsTo::File(path)) => Some(path),
            _ => None,
        };
        let log = match spec.log {
            LogTo::File(path) => Some(path),
            _ => None,
        };
        let outputs = Outputs::default();
        for (slot, path) in [(&outputs.pid, spec.pid_file), (&outputs.stats, stats), (&outputs.log, log)] {
            slot.set(path.map(|path| writable.output(path)).transpose()?);
        }
        if let Some(path) = spec.cid_file {
            outputs.cid.set(Some(match writable.output(path)? {
                (Some(directory), name) => (directory, name),
                (None, path) => in_directory(path)?,
            }));
        }
        Ok(outputs)
    }
}

/// Refuses what a path has led to, if another file is `known` there.
pub fn check(known: Option<Identity>, found: &dyn Fn() -> Result<sys::Status>, path: &CStr) -> Result<()> {
    let Some(known) = known else { return Ok(()) };
    let found = found().map_err(|e| e.about(path.to_bytes()))?;
    if known != found.identity() && !record::is_on() {
        return Err(Error::refused("it was exchanged a moment ago:", path.to_bytes(), "run it again"));
    }
    Ok(())
}

/// Refuses a file that is not in the directory at `top`.
fn refuse_outside(file: FdRef, top: &CStr, path: &CStr) -> Result<()> {
    let top = sys::open(top, OpenFlags::PATH)
        .map_err(|e| e.hint_for(&[(Errno::ENOENT, "it must be there before the run")]))?;
    let top = sys::path_of(top.borrow())?;
    if bytes::below(&sys::path_of(file)?, &top).is_none() {
        let hint = "the container may have put a link there: name the path that it leads to";
        return Err(Error::refused("it leads out of what the container can write to:", path.to_bytes(), hint));
    }
    Ok(())
}
