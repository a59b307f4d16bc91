//! Names on a bridge, without a server: each container has an /etc/hosts with the others in it.
//!
//! Beside the records there is a folder for each bridge, and in it one for each container, locked as long as that runs. In
//! there is its `hosts`, which is mounted into it. A mount is of an inode: so the file is never replaced. Whoever comes or goes
//! locks the folder of the bridge, removes what killed runs have left, and writes the others anew into each file, with one
//! write(2) and then ftruncate(2): for a moment a reader may see the end of the old text after the new lines.

use super::bridge::Bridge;
use crate::bytes::{self, Put};
use crate::error::{Errno, Error, Result};
use crate::host::Host;
use crate::root::etc;
use crate::spec::Spec;
use crate::state;
use crate::step::{Child, ChildStep, Parent, ParentStep, Slot};
use crate::sys::{self, Dir, Fd, Lock, OpenFlags, Whence};
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;

const HOSTS: &CStr = c"hosts";

/// What stands between the lines of a container and those of the others.
const OTHERS: &[u8] = b"# on the same bridge:\n";

/// The names of a container, and its file.
#[derive(Default)]
pub struct Names {
    /// Its own lines, without that of its address.
    pub lines: Cell<&'static [u8]>,
    /// The path of its hosts file, once that exists.
    path: Cell<Option<&'static CStr>>,
    /// That file as a detached mount.
    pub tree: Slot<Fd>,
}

/// Where the file of a container is.
pub struct Place {
    /// The folder of all records.
    records: Dir,
    /// The name of the folder of the bridge in it.
    bridge: &'static CStr,
    /// That folder. It stays as long as the container's is in it.
    folder: Dir,
    /// The name of the container's folder in that one.
    name: &'static CStr,
    /// The container's folder; this process holds its lock.
    own: Dir,
}

/// The folder of a bridge, locked, and in it that of a container, locked, without a file. ENOENT: the last one on the bridge has just
/// removed it.
fn make_own(records: &Dir, bridge: &CStr, name: &CStr) -> Result<(Dir, Dir)> {
    let folder = Dir::open(Some(records), bridge)?;
    sys::lock_soon(&folder)?;
    make_folder(&folder, name)?;
    let own = Dir::open(Some(&folder), name).and_then(|own| match sys::lock(&own, Lock::EX | Lock::NB)? {
        true => own.unlink(HOSTS).map(|()| own),
        false => Err(Error::refused("another process holds", own.path(), "")),
    });
    if own.is_err() {
        // One that is not empty is another's.
        folder.rmdir(name).unwrap_or_default();
    }
    Ok((folder, own?))
}

/// Makes a folder, unless it is there.
fn make_folder(parent: &Dir, name: &CStr) -> Result<()> {
    match parent.mkdirat(name, 0o700) {
        Err(e) if !e.is(Errno::EEXIST) => Err(e),
        _ => Ok(()),
    }
}

step! {
    /// Makes its /etc/hosts, where others on the bridge can write their names into it.
    pub struct MakeHosts {
        /// The container.
        pub spec: &'static Spec,
        /// The host.
        pub host: &'static Host,
        /// Its bridge.
        pub bridge: &'static Bridge,
        /// Its names.
        pub names: &'static Names,
    }
}

impl ParentStep for MakeHosts {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some(records) = state::folder(self.spec.state, self.host.ids.0, self.host.environment, true)? else {
            return Ok(());
        };
        // A bridge of the same name in another network namespace is another one.
        let inode = bytes::to_decimal(self.bridge.namespace);
        let bridge = bytes::c_string(&[b".net-", &inode, b"-", self.bridge.name.as_bytes()]);
        let name = bytes::c_string(&[b"mydocker-", &bytes::to_decimal(self.host.pid.0 as u64)]);
        // The folder stays locked until all of it is there.
        let (folder, own) = loop {
            make_folder(&records, bridge)?;
            match make_own(&records, bridge, name) {
                Err(e) if e.is(Errno::ENOENT) => {}
                Err(e) => {
                    records.rmdir(bridge).unwrap_or_default();
                    return Err(e);
                }
                Ok(both) => break both,
            }
        };
        // From here on `leave` removes it.
        let Place { folder, own, .. } = parent.place.insert(Place { records, bridge, folder, name, own });
        let file = own.create_file(HOSTS, OpenFlags::WRONLY | OpenFlags::EXCL)?;
        // Whoever is in the container may read it, whatever the umask.
        sys::fchmod(file.borrow(), 0o644)?;
        sys::write_all(file.borrow(), self.names.lines.get()).map_err(|e| e.about(own.path()))?;
        self.names.path.set(Some(bytes::c_string(&[own.path(), b"/hosts"])));
        unlock(folder)
    }
}

/// Lets others into the folder of the bridge. The child has it open, too: to close it here would not unlock it.
fn unlock(folder: &Dir) -> Result<()> {
    sys::lock(folder, Lock::UN).map(drop)
}

step! {
    /// Opens its /etc/hosts, while the host can still be seen.
    pub struct OpenHosts {
        /// Its names.
        pub names: &'static Names,
    }
}

impl ChildStep for OpenHosts {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        if let Some(path) = self.names.path.get() {
            self.names.tree.set(Some(sys::open_tree(path)?));
        }
        Ok(())
    }
}

step! {
    /// Tells the others on the bridge its names, and itself theirs.
    pub struct TellNames {
        /// Its line, without the address.
        pub words: Vec<u8>,
        /// Its names.
        pub names: &'static Names,
    }
}

impl ParentStep for TellNames {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let (Some(place), Some(address)) = (&parent.place, parent.address) else { return Ok(()) };
        let mut text = self.names.lines.get().to_vec();
        if !text.ends_with(b"\n") {
            text.put(b"\n");
        }
        // Without names it is an empty line.
        if !self.words.is_empty() {
            address.put(&mut text);
            text.put(b"\t");
            text.put(&self.words);
        }
        text.put(b"\n");
        text.put(OTHERS);
        sys::lock_soon(&place.folder)?;
        tell(&place.folder, Some((place, text))).and(unlock(&place.folder))
    }
}

/// The names that others find it by, in one line.
pub fn words(spec: &Spec) -> Vec<u8> {
    let mut words = Vec::new();
    let (hostname, name) = (spec.hostname.unwrap_or_default(), spec.name.unwrap_or_default());
    // What is no name in a line of that file is left out: the kernel takes any bytes for a hostname.
    if hostname.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
        etc::put_names(hostname.as_bytes(), &mut words);
    }
    if !name.is_empty() && name != hostname {
        words.put(if words.is_empty() { b"" } else { b" " });
        words.put(name.as_bytes());
    }
    words
}

/// Puts into each file in the folder of a bridge the lines of all others: in that of this process, too, if it has one, whose text
/// is `own`. Removes what killed runs have left.
fn tell(folder: &Dir, own: Option<(&Place, Vec<u8>)>) -> Result<()> {
    let mut others = Vec::new();
    for name in sys::directory_names(folder, b"")? {
        if own.as_ref().is_some_and(|(place, _)| place.name == name) {
            continue;
        }
        let dir = Dir::open(Some(folder), name)?;
        if sys::lock(&dir, Lock::EX | Lock::NB)? {
            remove(folder, name, &dir)?;
            continue;
        }
        let mut text = Vec::new();
        sys::read_to_end(dir.openat(HOSTS, OpenFlags::NONE)?.borrow(), &mut text)?;
        // Without that line it has no address yet.
        if let Some(at) = text.windows(OTHERS.len()).rposition(|part| part == OTHERS) {
            let before = text.clone();
            text.truncate(at + OTHERS.len());
            others.push((dir, text, before));
        }
    }
    let mut all: Vec<(&Dir, &[u8], &[u8])> = Vec::new();
    for (dir, text, before) in &others {
        all.push((dir, text, before));
    }
    if let Some((place, text)) = &own {
        all.push((&place.own, text, b""));
    }
    for (at, (dir, text, before)) in all.iter().enumerate() {
        let mut text = text.to_vec();
        for (_, (_, other, _)) in all.iter().enumerate().filter(|(other, ..)| *other != at) {
            text.put(line_of(other));
        }
        // One that has no name changes nothing for the others.
        if text != *before {
            write(dir, &text)?;
        }
    }
    Ok(())
}

/// The line of its address.
fn line_of(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(OTHERS).unwrap_or_default();
    let before = text.strip_suffix(b"\n").unwrap_or_default();
    text.get(before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1)..).unwrap_or_default()
}

/// Writes a file in its place.
fn write(own: &Dir, text: &[u8]) -> Result<()> {
    let file = own.openat(HOSTS, OpenFlags::WRONLY)?;
    sys::write_all(file.borrow(), text)
        .and_then(|()| sys::ftruncate(&file, text.len()))
        .map_err(|e| e.about(own.path()))
}

fn remove(folder: &Dir, name: &CStr, own: &Dir) -> Result<()> {
    own.unlink(HOSTS)?;
    folder.rmdir(name)
}

/// Takes its names back. The last one on the bridge removes its folder.
pub fn leave(parent: &mut Parent) -> Result<()> {
    let Some(Place { records, bridge, folder, name, own }) = parent.place.take() else { return Ok(()) };
    sys::lock_soon(&folder)?;
    // It has been read to its end.
    let again = sys::lseek(folder.fd(), 0, Whence::SET);
    let left = remove(&folder, name, &own).and(again).and_then(|_| tell(&folder, None));
    match records.rmdir(bridge) {
        Err(e) if e.is(Errno::ENOTEMPTY) => left,
        other => left.and(other),
    }
}
