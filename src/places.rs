//! Paths of this host in what the container can write to. It could put a link there, which its next start would follow to any place of
//! this host: what is named below such a place is found without a link that leads out of it.

use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::spec::{Content, LogTo, Spec, StatsTo};
use crate::sys::{self, Dir, Identity, OpenFlags, record};
use alloc::vec::Vec;
use core::ffi::CStr;

/// What the container can write to, by the paths of the command line. One that leads to the same place by another name is not known.
#[derive(Default)]
pub struct Places {
    tops: Vec<&'static CStr>,
    /// The working directory, once a relative path needs it.
    directory: Vec<u8>,
}

impl Places {
    /// The volumes of the `spec` that can be written to, and its root.
    pub fn of(spec: &Spec) -> Places {
        let volumes = spec.volumes.iter().filter_map(|volume| match volume.content {
            Content::Host { source, read_only: false, .. } => Some(source),
            _ => None,
        });
        let root = spec.rootfs.filter(|_| !spec.read_only && !spec.ephemeral);
        Places { tops: volumes.chain(root).collect(), ..Places::default() }
    }

    /// Which file it is, if it is named below one of the places.
    pub fn known(&mut self, path: &CStr) -> Result<Option<Identity>> {
        let Some((top, below)) = self.split(path)? else { return Ok(None) };
        let file = match open(top, below, OpenFlags::PATH) {
            // Whoever opens it says what is to be done; one that comes meanwhile is refused.
            Err(e) if e.is(Errno::ENOENT) => return Ok(Some(NOWHERE)),
            file => file?,
        };
        let status = sys::statx_fd(file.fd()).map_err(|e| e.about(path.to_bytes()))?;
        Ok(Some((status.device, status.inode)))
    }

    /// Where to make a file: its directory, if that is in one of the places, and its name there; else the path.
    pub fn target(&mut self, path: &'static CStr) -> Result<Target> {
        let Some((top, below)) = self.split(path)? else { return Ok((None, path)) };
        let below = below.to_bytes();
        let at = below.iter().rposition(|byte| *byte == b'/');
        let (above, name) = match at {
            Some(at) => (below.get(..at).unwrap_or_default(), below.get(at + 1..).unwrap_or_default()),
            None => (&b"."[..], below),
        };
        let directory = open(top, bytes::c_string(&[above]), OpenFlags::DIRECTORY)?;
        Ok((Some(directory), bytes::c_string(&[name])))
    }

    /// The outermost of the places that the path is in, and the rest of it. `None`: it is in none, or is one itself.
    fn split(&mut self, path: &CStr) -> Result<Option<(&'static CStr, &'static CStr)>> {
        let others: Vec<_> = self.tops.iter().copied().filter(|top| *top != path).collect();
        if others.is_empty() {
            return Ok(None);
        }
        let path = self.absolute(path)?;
        let mut found: Option<(Vec<u8>, &'static CStr)> = None;
        for top in others {
            let top = self.absolute(top)?;
            // Whoever gives away all files of the host has no boundary.
            let below =
                if top == b"/" { None } else { bytes::below(&path, &top).and_then(|rest| rest.strip_prefix(b"/")) };
            if let Some(below) = below
                && found.as_ref().is_none_or(|(outer, _)| top.len() < outer.len())
            {
                let below = bytes::c_string(&[below]);
                found = Some((top, below));
            }
        }
        Ok(found.map(|(top, below)| (bytes::c_string(&[&top]), below)))
    }

    fn absolute(&mut self, path: &CStr) -> Result<Vec<u8>> {
        if path.to_bytes().starts_with(b"/") {
            return Ok(bytes::clean_path(path.to_bytes()));
        }
        if self.directory.is_empty() {
            self.directory = sys::working_directory()?;
        }
        Ok(bytes::clean_path(&[&self.directory, &b"/"[..], path.to_bytes()].concat()))
    }
}

/// No file.
const NOWHERE: Identity = ((0, 0), 0);

/// Where to make a file: a directory, or the working directory, and a path from there.
pub type Target = (Option<Dir>, &'static CStr);

/// The files that mydocker itself writes.
#[derive(Default)]
pub struct Targets {
    /// That of `--pid-file`,
    pub pid: Option<Target>,
    /// of `--stats`,
    pub stats: Option<Target>,
    /// of `--cidfile`,
    pub cid: Option<Target>,
    /// and of `--log`.
    pub log: Option<Target>,
}

impl Targets {
    /// Those of the `spec`.
    pub fn of(spec: &Spec, places: &mut Places) -> Result<Targets> {
        let stats = match spec.stats {
            Some(StatsTo::File(path)) => Some(path),
            _ => None,
        };
        let log = match spec.log {
            LogTo::File(path) => Some(path),
            _ => None,
        };
        let mut target = |path: Option<&'static CStr>| path.map(|path| places.target(path)).transpose();
        Ok(Targets {
            pid: target(spec.pid_file)?,
            stats: target(stats)?,
            cid: target(spec.cid_file)?,
            log: target(log)?,
        })
    }
}

/// Refuses what a path has led to, if another file is `known` there.
pub fn check(known: Option<Identity>, found: &dyn Fn() -> Result<sys::Status>, path: &CStr) -> Result<()> {
    let Some(known) = known else { return Ok(()) };
    let found = found().map_err(|e| e.about(path.to_bytes()))?;
    if known != (found.device, found.inode) && !record::is_on() {
        return Err(Error::refused("it was exchanged a moment ago:", path.to_bytes(), WRITABLE));
    }
    Ok(())
}

fn open(top: &'static CStr, below: &'static CStr, flags: OpenFlags) -> Result<Dir> {
    let hint = [(Errno::ELOOP, WRITABLE), (Errno::EXDEV, WRITABLE)];
    Dir::open(None, top)?.beneath(below, flags).map_err(|e| e.hint_for(&hint))
}

const WRITABLE: &str = "the container can write to a folder above it: no link leads out of that";
