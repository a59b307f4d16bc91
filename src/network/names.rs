//! Names on a bridge, without a server: each container has an /etc/hosts with all of them in it.
//!
//! Beside the records there is a folder for each bridge, and in it the file `names` with a line for each container, the oldest first.
//! Whoever looks for a name gets the first line that has it: so one that has the name of an older one has a file of its own, where
//! its own line stands first (two that start in the same moment may not know of each other). All others whose own lines are the same
//! have one `hosts` in common, so that a start takes no longer the more of them there are: it is in a folder that each of them locks
//! as long as it runs, and it is mounted into each. A mount is of an inode: so the file is never replaced. Whoever comes or goes locks
//! the folder of the bridge and writes the lines of all into each such file, with one write(2) and then ftruncate(2): for a moment a
//! reader may see the end of the old text after the new lines.

use super::bridge::Bridge;
use crate::bytes::{self, Address, Put};
use crate::error::{Errno, Result};
use crate::root::etc;
use crate::spec::Spec;
use crate::step::{Child, ChildStep, HostsFile, Parent, ParentStep, Slot};
use crate::sys::{self, Dir, Fd, Lock, OpenFlags, Whence};
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;

const HOSTS: &CStr = c"hosts";
const NAMES: &CStr = c"names";

/// With what the name of a bridge's folder begins: no container has such a name.
const PREFIX: &[u8] = b".net-";

/// The line of a hosts file after which the names of all containers on the bridge follow.
const ALL: &[u8] = b"# on the same bridge:\n";

/// For so many lines, whoever comes or goes looks whether the container was killed.
const AT_ONCE: usize = 8;

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

impl HostsFile {
    /// The names of the container on the bridge that has this address.
    pub fn names_of(&self, address: Address) -> Option<Vec<u8>> {
        let lines = read(&self.folder, NAMES).ok()?;
        let of_line = |line| bytes::split_once(line, b'\t').filter(|(own, _)| Address::parse(own) == Some(address));
        bytes::split(&lines, b'\n').find_map(of_line).map(|(_, names)| names.to_vec())
    }
}

/// The folder of a bridge, locked, and in it that of those whose file begins as this one's, with its file, and its lock shared. `text`:
/// what that begins with. ENOENT: the last one on the bridge has just removed the folder.
fn make_both(records: &Dir, bridge: &CStr, text: &[u8], words: &[u8]) -> Result<(Dir, Own)> {
    let folder = Dir::open(Some(records), bridge)?;
    sys::lock_soon(&folder)?;
    let own = make_own(&folder, text, words);
    if own.is_err() {
        sweep(&folder, None, None).unwrap_or_default();
    }
    Ok((folder, own?))
}

/// The folder of its own file, the name of that folder, and whether nobody shares it.
type Own = (Dir, &'static CStr, bool);

fn make_own(folder: &Dir, text: &[u8], words: &[u8]) -> Result<Own> {
    // Two texts of one host hardly ever have the same number.
    let mut name = bytes::to_decimal(bytes::fingerprint(text));
    let is_apart = have_one_of(&read(folder, NAMES)?, words);
    if is_apart {
        name.put(b"-");
        name.put_decimal(sys::monotonic());
    }
    let name = bytes::c_string(&[&name]);
    Ok((share(folder, name, text)?, name, is_apart))
}

/// Whether these lines have one of the words.
fn have_one_of(lines: &[u8], words: &[u8]) -> bool {
    let names = bytes::split(lines, b'\n').filter_map(|line| bytes::split_once(line, b'\t'));
    names.flat_map(|(_, names)| bytes::words(names)).any(|name| bytes::words(words).any(|word| word == name))
}

fn share(folder: &Dir, name: &CStr, text: &[u8]) -> Result<Dir> {
    make_folder(folder, name)?;
    let own = Dir::open(Some(folder), name)?;
    // Nobody has it: it is new, or from a run that was killed.
    if sys::flock(&own)? {
        // Whoever is in the container may read it, whatever the umask.
        sys::fchmod(write(&own, HOSTS, text)?.borrow(), 0o644)?;
    }
    sys::lock(&own, Lock::SH).map(|_| own)
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
        /// Its bridge.
        pub bridge: &'static Bridge,
        /// Its names.
        pub names: &'static Names,
    }
}

impl ParentStep for MakeHosts {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let Some(records) = parent.records.take() else { return Ok(()) };
        // A bridge of the same name in another network namespace is another one.
        let inode = bytes::to_decimal(self.bridge.namespace);
        let bridge = bytes::c_string(&[PREFIX, &inode, b"-", self.bridge.name.as_bytes()]);
        let mut text = self.names.lines.get().to_vec();
        if !text.ends_with(b"\n") {
            text.put(b"\n");
        }
        text.put(ALL);
        let words = words(self.spec);
        // The folder stays locked until all of it is there.
        let (folder, (own, name, is_apart)) = loop {
            make_folder(&records, bridge)?;
            match make_both(&records, bridge, &text, &words) {
                Err(e) if e.is(Errno::ENOENT) => {}
                Err(e) => {
                    records.rmdir(bridge).unwrap_or_default();
                    return Err(e);
                }
                Ok(both) => break both,
            }
        };
        let file = HostsFile { records, bridge, folder, own, name, text, is_apart, interface: None };
        // From here on `leave` removes it.
        let HostsFile { folder, own, .. } = parent.hosts_file.insert(file);
        self.names.path.set(Some(bytes::c_string(&[own.path, b"/hosts"])));
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
        /// Its bridge.
        pub bridge: &'static Bridge,
        /// Its line, without the address.
        pub words: Vec<u8>,
    }
}

impl ParentStep for TellNames {
    fn carry_out(&self, parent: &mut Parent) -> Result<()> {
        let (Some(file), Some(address)) = (&mut parent.hosts_file, parent.address) else { return Ok(()) };
        file.interface = self.bridge.interface(address)?;
        if file.is_apart {
            file.text.truncate(file.text.len() - ALL.len());
            put_line(address, &self.words, &mut file.text);
            file.text.put(ALL);
        }
        sys::lock_soon(&file.folder)?;
        tell(&file.folder, Some(file), self.bridge, address, &self.words).and(unlock(&file.folder))
    }
}

/// Whether each container has this name for itself.
fn is_of_each(name: &str) -> bool {
    matches!(name, "localhost" | "ip6-localhost" | "ip6-loopback") || name.starts_with("localhost.")
}

/// The names that others find it by, in one line.
pub fn words(spec: &Spec) -> Vec<u8> {
    let mut words = Vec::new();
    let (hostname, name) = (spec.hostname.unwrap_or_default(), spec.name.unwrap_or_default());
    // What is no name in a line of that file is left out: the kernel takes any bytes for a hostname.
    if hostname.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) && !is_of_each(hostname) {
        etc::put_names(hostname.as_bytes(), &mut words);
    }
    if !name.is_empty() && name != hostname && !is_of_each(name) {
        words.put(if words.is_empty() { b"" } else { b" " });
        words.put(name.as_bytes());
    }
    words
}

/// Puts the line of an address, which may be empty, into each file in the folder of a bridge, in file of an earlier one.
fn tell(folder: &Dir, file: Option<&HostsFile>, bridge: &Bridge, own: Address, words: &[u8]) -> Result<()> {
    let turn = (sys::getpid().0 as usize).wrapping_add(own.0 as usize);
    let mut is_alive = |address| Ok(bridge.interface(address)?.is_some());
    let mut lines = others(&read(folder, NAMES)?, own, words, turn, &mut is_alive)?;
    if !words.is_empty() {
        put_line(own, words, &mut lines);
    }
    write(folder, NAMES, &lines)?;
    sweep(folder, file, Some(&lines))
}

fn put_line(address: Address, words: &[u8], lines: &mut Vec<u8>) {
    address.put(lines);
    for part in [b"\t", words, b"\n"] {
        lines.put(part);
    }
}

/// The lines of other addresses, in their order. Some of them are left out unless they are `alive`: by `turn`, each has its turn, and
/// one that has a name of this container's is always asked for.
fn others(
    before: &[u8],
    own: Address,
    words: &[u8],
    turn: usize,
    alive: &mut dyn FnMut(Address) -> Result<bool>,
) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for line in bytes::split(before, b'\n') {
        let address = bytes::split_once(line, b'\t').and_then(|(address, _)| Address::parse(address));
        all.extend(address.filter(|address| *address != own).map(|address| (address, line)));
    }
    let first = turn.wrapping_mul(AT_ONCE) % all.len().max(1);
    let mut lines = Vec::new();
    for (at, (address, line)) in all.iter().enumerate() {
        let is_asked = (at + all.len() - first) % all.len() < AT_ONCE || have_one_of(line, words);
        if !is_asked || alive(*address)? {
            lines.put(line);
            lines.put(b"\n");
        }
    }
    Ok(lines)
}

/// Removes from the folder of a bridge what nobody uses. Puts the lines of all, if they are given, into each file that is used: that of
/// this process, too, as long as it has a file.
fn sweep(folder: &Dir, file: Option<&HostsFile>, lines: Option<&[u8]>) -> Result<()> {
    // It may have been read to its end.
    sys::lseek(folder.fd(), 0, Whence::SET)?;
    let mut is_used = file.is_some();
    for name in sys::directory_names(folder, b"")? {
        if file.is_some_and(|file| file.name == name) {
            continue;
        }
        let dir = Dir::open(Some(folder), name)?;
        if sys::flock(&dir)? {
            remove(folder, name, &dir)?;
        } else {
            is_used = true;
            if let Some(lines) = lines {
                let mut text = read(&dir, HOSTS)?;
                text.truncate(text.windows(ALL.len()).rposition(|part| part == ALL).map_or(0, |at| at + ALL.len()));
                text.put(lines);
                write(&dir, HOSTS, &text)?;
            }
        }
    }
    if let (Some(HostsFile { own, text, .. }), Some(lines)) = (file, lines) {
        write(own, HOSTS, &[text, lines].concat())?;
    }
    if is_used { Ok(()) } else { folder.unlink(NAMES) }
}

fn remove(folder: &Dir, name: &CStr, own: &Dir) -> Result<()> {
    own.unlink(HOSTS)?;
    folder.rmdir(name)
}

/// What is in a file, which is created if it is missing.
fn read(dir: &Dir, name: &CStr) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = dir.create_file(name, OpenFlags::NONE)?;
    sys::read_to_end(file.borrow(), &mut text).map_err(|e| e.about(dir.path)).map(|()| text)
}

/// Writes a file in its place.
fn write(dir: &Dir, name: &CStr, text: &[u8]) -> Result<Fd> {
    let file = dir.create_file(name, OpenFlags::WRONLY)?;
    sys::write_all(file.borrow(), text)
        .and_then(|()| sys::ftruncate(&file, text.len()))
        .map_err(|e| e.about(dir.path))
        .map(|()| file)
}

/// Takes its names back. The last one on the bridge removes its folder.
pub fn leave(parent: &mut Parent, bridge: Option<&Bridge>) -> Result<()> {
    let (Some(file), Some(bridge)) = (parent.hosts_file.take(), bridge) else { return Ok(()) };
    let HostsFile { records, folder, own, .. } = &file;
    sys::lock_soon(folder)?;
    let mut left = sys::flock(own).and_then(|alone| if alone { remove(folder, file.name, own) } else { Ok(()) });
    // Its interfaces end a moment after the container. From then on another one may have the address, and the line of it.
    let address = parent.address.unwrap_or(Address(0));
    let is_own = bridge.interface(address).map(|found| found.is_none() || found == file.interface);
    let told = is_own.and_then(|is_own| tell(folder, None, bridge, if is_own { address } else { Address(0) }, b""));
    left = left.and(told);
    if left.is_err() {
        // What has failed may be what nobody needs any more.
        left = left.and(sweep(folder, None, None));
    }
    match records.rmdir(file.bridge) {
        Err(e) if e.is(Errno::ENOTEMPTY) => left,
        other => {
            sweep_others(records);
            left.and(other)
        }
    }
}

/// Removes the folders of other bridges, each of whose containers was killed: perhaps nobody ever comes to such a bridge again. Whoever
/// fails here leaves it to the next one. Returns whether none is left.
pub fn sweep_others(records: &Dir) -> bool {
    let mut is_left = false;
    for bridge in sys::directory_names(records, PREFIX).unwrap_or_default() {
        let Ok(folder) = Dir::open(Some(records), bridge) else { continue };
        let is_empty = sys::flock(&folder).is_ok_and(|alone| alone) && sweep(&folder, None, None).is_ok();
        is_left |= !is_empty || records.rmdir(bridge).is_err();
    }
    !is_left
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    #[test]
    fn what_others_call_it() {
        for (hostname, name, expected) in [
            ("web.example", "c1", "web.example web c1"),
            ("localhost", "c1", "c1"),
            ("localhost.example", "localhost", ""),
            ("ip6-loopback", "ip6-lofty", "ip6-lofty"),
        ] {
            let spec = Spec { hostname: Some(hostname), name: Some(name), ..Spec::default() };
            assert_eq!(words(&spec), expected.as_bytes(), "{hostname} {name}");
        }
    }

    #[test]
    fn each_line_has_its_turn() {
        let mut lines: Vec<u8> = (0..50).map(|n| format!("10.88.0.{n}\tname{n}\n")).collect::<String>().into_bytes();
        lines.put(b"what is no line\n");
        // Those of 10.88.0.49, which begins anew, and of the addresses above 39, which were killed, go.
        let mut asked = 0;
        for turn in 0..20 {
            lines = others(&lines, Address(0x0a58_0031), b"own", turn, &mut |address| {
                asked += 1;
                Ok(address.0 & 0xff < 40)
            })
            .unwrap_or_default();
        }
        assert!(asked <= 20 * AT_ONCE);
        // Whoever has its name is looked for at once.
        let many: String = (0..50).map(|n| format!("10.88.0.{n}\tname{n}\n")).collect();
        let left = others(many.as_bytes(), Address(3), b"same name30", 0, &mut |address| Ok(address.0 & 0xff != 30));
        assert!(!left.unwrap_or_default().windows(6).any(|part| part == b"name30"));
        // In their order.
        let expected: String = (0..40).map(|n| format!("10.88.0.{n}\tname{n}\n")).collect();
        assert_eq!(lines, expected.as_bytes());
    }
}
