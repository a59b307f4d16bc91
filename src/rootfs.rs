//! A root of its own: a directory, an image, or the host's own files, as they are or with the writes in memory; and what a
//! command expects in it.
//!
//! The new root is put together at [`STAGE`], in the container's mount namespace, where the host's /proc is not needed any
//! more. pivot_root comes before everything that is mounted in it: from then on no link in the root leads out of it, but
//! for the magic links of /proc, which no call here follows.

use crate::error::{Errno, Error, Result};
use crate::mountinfo;
use crate::says;
use crate::sys::{self, Fd, MountFlags, OpenFlags};
use crate::text::{self, Put, c_string, to_decimal};
use crate::volumes::{self, Content, Volume};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Where a root is put together: the one directory that every host has and no container needs.
const STAGE: &CStr = c"/proc";
/// With the writes in memory: the memory is at the stage, and these are in it.
const MERGED: &CStr = c"/proc/root";
const LOWER: &CStr = c"/proc/lower";

/// What the root is made of.
pub enum Source {
    /// The host's own files.
    Host,
    /// A directory of the host.
    Directory(&'static CStr),
    /// A file of the host with a filesystem in it.
    Image(&'static CStr),
}

/// A root.
pub struct Root {
    /// What it is made of.
    pub source: Source,
    /// Options of the tmpfs that the writes go to, if they go to one.
    pub writes: Option<&'static CStr>,
    /// In a user namespace: overlayfs keeps its notes where an ordinary user may.
    pub user: bool,
    /// With it, what lies below: first the root itself, then each mount below it, after those that it lies below.
    pub layers: Vec<&'static Layer>,
}

/// One mount of the host, with the writes going elsewhere.
pub struct Layer {
    /// Where it is.
    pub lower: &'static CStr,
    /// Where it goes.
    pub target: &'static CStr,
    /// Where its writes go.
    pub upper: &'static CStr,
    /// Where overlayfs prepares them.
    pub work: &'static CStr,
    /// The options of the overlay.
    pub options: &'static CStr,
    /// nosuid, nodev, noexec as they are on the host.
    flags: MountFlags,
}

/// Mount flags and how mountinfo calls them: what they forbid, then how times are kept.
pub static FLAGS: [(MountFlags, &[u8]); 6] = [
    (MountFlags::NOSUID, b"nosuid"),
    (MountFlags::NODEV, b"nodev"),
    (MountFlags::NOEXEC, b"noexec"),
    (MountFlags::NOATIME, b"noatime"),
    (MountFlags::NODIRATIME, b"nodiratime"),
    (MountFlags::RELATIME, b"relatime"),
];
const FORBIDDING: &[(MountFlags, &[u8])] = FLAGS.split_at(3).0;

/// Which of `flags` are among the `options` of a mount.
#[inline(never)]
pub fn flags_of(options: &[u8], flags: &[(MountFlags, &[u8])]) -> MountFlags {
    let mut found = MountFlags::NONE;
    for (flag, name) in flags {
        if mountinfo::has_option(options, name) {
            found = found | *flag;
        }
    }
    found
}

/// A file that the root is given.
pub struct Given {
    /// Where it is written, before something is mounted over it.
    pub source: &'static CStr,
    /// Where it is seen.
    pub target: &'static CStr,
    /// What is in it.
    pub content: &'static [u8],
}

impl Root {
    /// Looks at what `--rootfs` names. `writes`: they go to memory, at most so much; `None`: as much as the kernel gives.
    /// `wanted`: whether they do is what the command line says, if it does. `mounts`: mountinfo.
    pub fn find(
        path: Option<&str>,
        wanted: bool,
        read_only: bool,
        user: bool,
        size: Option<u64>,
        mounts: &Result<Vec<u8>>,
    ) -> Result<&'static Root> {
        let source = match path {
            None => Source::Host,
            Some(path) => {
                let path = c_string(&[path.as_bytes()]);
                match sys::statx(None, path, true)?.kind() {
                    libc::S_IFDIR => Source::Directory(path),
                    libc::S_IFREG => Source::Image(path),
                    _ => {
                        let hint = says!("neither a directory nor a file with a filesystem in it");
                        return Err(Error::refused(says!("no root"), &[path.to_bytes()], hint));
                    }
                }
            }
        };
        let in_memory = wanted || matches!(source, Source::Image(_)) && !read_only;
        let root = Box::leak(Box::new(Root { source, writes: None, user, layers: Vec::new() }));
        if in_memory {
            let mut options = Vec::from(b"mode=755");
            if let Some(size) = size {
                options.put(b",size=");
                options.put_decimal(size);
                // An empty file costs memory that `size` does not count: about a kilobyte.
                options.put(b",nr_inodes=");
                options.put_decimal((size / 2048).max(4096));
            }
            root.writes = Some(c_string(&[&options]));
            root.find_layers(mounts)?;
        }
        Ok(root)
    }

    /// The root and the mounts below it, but for those where the container has its own.
    fn find_layers(&mut self, mounts: &Result<Vec<u8>>) -> Result<()> {
        let (top, lower) = match self.source {
            Source::Image(_) => (Vec::new(), LOWER),
            Source::Host => (Vec::new(), c"/"),
            Source::Directory(path) => (sys::path_of(&sys::open(path, OpenFlags::PATH | OpenFlags::DIRECTORY)?)?, path),
        };
        self.layers.push(Layer::new(0, lower, b"", MountFlags::NONE, self.user));
        if let Source::Image(_) = self.source {
            return Ok(());
        }
        let top = top.strip_suffix(b"/").unwrap_or(&top);
        let mut rest = mounts.as_ref().map_err(|e| *e)?.as_slice();
        while let Some(mount) = mountinfo::next(&mut rest) {
            let point = c_string(&[&mountinfo::unescape(mount.point)]);
            let below = point.to_bytes().strip_prefix(top).unwrap_or_default();
            let first = text::split(below, b'/').nth(1).unwrap_or_default();
            // A /proc of the host, wherever it is mounted, leads to every file of the host.
            if !below.starts_with(b"/")
                || matches!(first, b"" | b"proc" | b"sys" | b"dev")
                || mount.fstype == b"proc"
                || mountinfo::is_hidden(mount.point, rest)
            {
                continue;
            }
            let flags = flags_of(mount.options, FORBIDDING);
            let layer = Layer::new(self.layers.len(), point, below, flags, self.user);
            // It comes after the one that it lies below, whose path is a part of its own.
            let at = self.layers.iter().position(|other| other.target > layer.target).unwrap_or(self.layers.len());
            self.layers.insert(at, layer);
        }
        Ok(())
    }

    /// What is made in it is made in a directory of the host's.
    pub fn is_written_to(&self) -> bool {
        matches!(self.source, Source::Directory(_)) && self.writes.is_none()
    }

    /// Where it is put together.
    fn place(&self) -> &'static CStr {
        if self.writes.is_some() { MERGED } else { STAGE }
    }

    /// The directory, at the stage.
    pub fn bind(&self) -> Result<()> {
        match &self.source {
            Source::Directory(path) => sys::mount(path, STAGE, c"", MountFlags::BIND | MountFlags::REC, None)
                .map_err(|e| e.about(path.to_bytes())),
            _ => Ok(()),
        }
    }

    /// The memory that writes go to, at the stage.
    pub fn mount_writes(&self) -> Result<()> {
        sys::mount(c"tmpfs", STAGE, c"tmpfs", MountFlags::NOSUID | MountFlags::NODEV, self.writes)?;
        sys::mkdir(None, MERGED, 0o755)
    }

    /// The image: what lies below, or the root itself.
    pub fn mount_image(&self, image: &Image) -> Result<()> {
        let place = match self.writes {
            Some(_) => {
                sys::mkdir(None, LOWER, 0o755)?;
                LOWER
            }
            None => STAGE,
        };
        let Source::Image(path) = &self.source else { return Ok(()) };
        let Some(device) = image.device.path.as_c_str() else { return Ok(()) };
        for fstype in strings(&image.types) {
            match sys::mount(device, place, fstype, MountFlags::RDONLY, None) {
                // Of another kind, or of one that this kernel does not have; in search of one, whatever it says.
                Err(e) if !image.marked || e.is(Errno::EINVAL) || e.is(Errno::ENODEV) => {}
                Err(e) if e.is(Errno::EROFS) => {
                    return Err(e
                        .about(path.to_bytes())
                        .with_hint(says!("its journal is to be replayed: run fsck on it")));
                }
                other => return other.map_err(|e| e.about(path.to_bytes())),
            }
        }
        Err(Error::refused(
            says!("no filesystem in"),
            &[path.to_bytes()],
            says!("none, at least, that this kernel can mount"),
        ))
    }

    /// Read-only, with all that is mounted below it.
    pub fn make_read_only(&self) -> Result<()> {
        make_read_only(self.place())
    }

    /// Makes it the root. Says whether the old one now lies on top of it, where `..` leads at the root.
    pub fn enter(&self) -> Result<bool> {
        sys::chdir(self.place())?;
        match sys::pivot_root() {
            // The initramfs is the one root that cannot be put elsewhere: pivot_root(2). What is moved onto it hides it.
            Err(e) if e.is(Errno::EINVAL) => {
                sys::mount(c".", c"/", c"", MountFlags::MOVE, None)?;
                sys::chroot().map(|()| false)
            }
            other => other.map(|()| true),
        }
    }
}

impl Layer {
    #[inline(never)]
    fn new(number: usize, lower: &'static CStr, below: &[u8], flags: MountFlags, user: bool) -> &'static Layer {
        let number = to_decimal(number as u64);
        let upper = c_string(&[b"/proc/upper", &number]);
        let work = c_string(&[b"/proc/work", &number]);
        Box::leak(Box::new(Layer {
            lower,
            target: c_string(&[MERGED.to_bytes(), below]),
            upper,
            work,
            // A path of the host may hold what divides options and layers; the working directory needs no name.
            options: c_string(&[
                b"lowerdir=.,upperdir=",
                upper.to_bytes(),
                b",workdir=",
                work.to_bytes(),
                if user { b",userxattr" } else { b"" },
            ]),
            flags,
        }))
    }

    /// Mounts it; where an overlay cannot be on it, read-only, unless it is the root itself.
    pub fn mount(&self, root: &Root) -> Result<()> {
        match self.mount_overlay() {
            Err(_) if self.target != MERGED => {
                sys::mount(self.lower, self.target, c"", MountFlags::BIND, None)?;
                let flags = MountFlags::REMOUNT | MountFlags::BIND | MountFlags::RDONLY | self.flags;
                sys::mount(c"none", self.target, c"", flags, None)
            }
            Err(e) if e.is(Errno::ENODEV) => Err(e.with_hint(says!("this kernel has no overlay"))),
            Err(e) if e.is(Errno::EINVAL) && root.user => Err(e.with_hint(says!(
                "in a user namespace no overlay can be on a folder with mounts of the host below it, such as /"
            ))),
            other => other,
        }
    }

    fn mount_overlay(&self) -> Result<()> {
        sys::chdir(self.lower)?;
        // The top of an overlay is the upper directory's: it looks like what it stands for.
        let top = sys::statx(None, c".", true)?;
        sys::mkdir(None, self.upper, top.mode & 0o7777)?;
        if (top.uid, top.gid) != (0, 0) {
            match sys::chown(self.upper, top.uid, top.gid) {
                // Whose it is, is nobody in this user namespace.
                Err(e) if e.is(Errno::EINVAL) => {}
                other => other?,
            }
        }
        sys::mkdir(None, self.work, 0o700)?;
        sys::mount(c"overlay", self.target, c"overlay", self.flags, Some(self.options))
            .map_err(|e| e.about(self.lower.to_bytes()))
    }
}

/// A filesystem image behind a loop device.
pub struct Image {
    device: sys::Loop,
    /// It has the mark of one.
    marked: bool,
    /// Which filesystems it may hold, each with a NUL at its end.
    types: Vec<u8>,
}

/// Where a filesystem has its mark, and which: from the kernel's headers.
static MARKS: [(usize, &[u8], &[u8]); 6] = [
    (0, b"hsqs", b"squashfs"),
    (1024, &[0xe2, 0xe1, 0xf5, 0xe0], b"erofs"),
    (1024 + 56, &[0x53, 0xef], b"ext4"),
    (0, b"XFSB", b"xfs"),
    (32769, b"CD001", b"iso9660"),
    (65600, b"_BHRfS_M", b"btrfs"),
];

impl Image {
    /// Puts a loop device before it. The kernel loads a filesystem that it is asked for by name; where the image has none
    /// of the usual marks, it may be any that the kernel has already.
    #[inline(never)]
    pub fn attach(root: &Root) -> Result<Option<Box<Image>>> {
        let Source::Image(path) = &root.source else { return Ok(None) };
        let file = sys::open(path, OpenFlags::NONE)?;
        let mut types = Vec::new();
        for (at, mark, name) in &MARKS {
            let mut bytes = [0u8; 8];
            let n = sys::read_at(&file, &mut bytes, *at as u64).map_err(|e| e.about(path.to_bytes()))?;
            if bytes.get(..n).unwrap_or_default().starts_with(mark) {
                types.put(name);
                types.put(b"\0");
            }
        }
        let marked = !types.is_empty();
        if !marked {
            for line in text::split(&sys::read_file(c"/proc/filesystems")?, b'\n') {
                if let Some(name) = line.strip_prefix(b"\t") {
                    types.put(name);
                    types.put(b"\0");
                }
            }
        }
        let device = sys::Loop::attach(&file, path)?;
        Ok(Some(Box::new(Image { device, marked, types })))
    }
}

/// Read-only, with all that is mounted below it.
pub fn make_read_only(path: &CStr) -> Result<()> {
    let mount = sys::open(path, OpenFlags::PATH)?;
    sys::make_read_only(&mount, path).map_err(explain_read_only)
}

fn explain_read_only(error: Error) -> Error {
    if error.is(Errno::ENOSYS) {
        error.with_hint(says!("read-only with all that is below needs Linux 5.12"))
    } else {
        error
    }
}

/// Where the container's own filesystems go.
const OWN: [&CStr; 3] = [c"/proc", c"/sys", c"/dev"];

/// A root whose `/dev` is a link would have them mounted elsewhere. What is missing is made, after all have been looked at.
pub fn check(made: Option<&Fd>) -> Result<()> {
    let mut missing = [false; OWN.len()];
    for (path, missing) in OWN.iter().zip(&mut missing) {
        match sys::statx(None, path, false) {
            Ok(status) if status.kind() == libc::S_IFDIR => {}
            Ok(_) => {
                let hint = says!("a link or a file, where a root has a directory");
                return Err(Error::refused(says!("the root has no"), &[path.to_bytes()], hint));
            }
            Err(e) if e.is(Errno::ENOENT) => *missing = true,
            Err(e) => return Err(e),
        }
    }
    for (path, missing) in OWN.iter().zip(&missing) {
        if *missing {
            make_missing(path, true, made)?;
        }
    }
    Ok(())
}

/// Makes `path` in the root, and what is missing of the directories above it: no link of the root, and none of /proc,
/// leads a new directory out of it. What was made goes to the socket `made`, if somebody is to undo it ([`unmake`]).
pub fn make_missing(path: &CStr, directory: bool, made: Option<&Fd>) -> Result<()> {
    let path = path.to_bytes_with_nul();
    let mut buffer = [0u8; libc::PATH_MAX as usize];
    let Some(room) = buffer.get_mut(..path.len()) else { return Ok(()) };
    room.copy_from_slice(path);
    let mut above: Option<Fd> = None;
    let mut name_at = 1;
    for end in 1..path.len() {
        if !matches!(path.get(end), Some(b'/' | b'\0')) {
            continue;
        }
        let last = end + 1 == path.len();
        if let Some(byte) = buffer.get_mut(end) {
            *byte = 0;
        }
        let Ok(whole) = CStr::from_bytes_until_nul(&buffer) else { break };
        let opened = match sys::openat2(whole, OpenFlags::PATH) {
            Err(e) if e.is(Errno::ENOENT) => {
                let dir = match above.take() {
                    Some(dir) => dir,
                    None => sys::openat2(c"/", OpenFlags::PATH)?,
                };
                let Ok(name) = CStr::from_bytes_until_nul(buffer.get(name_at..).unwrap_or_default()) else { break };
                let directory = directory || !last;
                match directory {
                    true => sys::mkdir(Some(&dir), name, 0o755),
                    false => sys::mknod(Some(&dir), name, libc::S_IFREG | 0o644, 0),
                }
                .map_err(|e| {
                    e.about(whole.to_bytes()).with_hint(says!("it is missing in the root, and cannot be made"))
                })?;
                if let Some(made) = made
                    && let Err(e) = sys::send_fd(made, &dir, name.to_bytes_with_nul())
                {
                    if let Err(_unsaid) = sys::unmake(&dir, name) {}
                    return Err(e);
                }
                sys::openat2(whole, OpenFlags::PATH)?
            }
            other => other?,
        };
        above = Some(opened);
        name_at = end + 1;
        if let Some(byte) = buffer.get_mut(end)
            && !last
        {
            *byte = b'/';
        }
    }
    Ok(())
}

/// In the parent, when the command was not executed and all who were to become it have ended: takes away again what they
/// have handed over to `made`. A mount of a container does not hold up those outside of it (unlink(2)), and the parent
/// still has the rights that the child had.
pub fn unmake(made: &Fd) {
    let mut all = Vec::new();
    // A name has 255 bytes at most, and a NUL.
    let mut name = [0u8; 256];
    while let Ok(Some(dir)) = sys::receive_fd(made, &mut name) {
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        all.push((dir, c_string(&[name.to_bytes()])));
    }
    for (dir, name) in all.iter().rev() {
        // What somebody else has put into it meanwhile is theirs, and stays.
        if let Err(_theirs) = sys::unmake(dir, name) {}
    }
}

/// /sys: what the kernel says of devices, of this network namespace.
pub fn mount_sysfs(read_only: bool) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    sys::mount(c"sysfs", c"/sys", c"sysfs", if read_only { flags | MountFlags::RDONLY } else { flags }, None)
}

/// What every program may take for granted, with the kernel's numbers: devices.txt.
const NODES: [(&CStr, u32, u32); 6] = [
    (c"/dev/null", 1, 3),
    (c"/dev/zero", 1, 5),
    (c"/dev/full", 1, 7),
    (c"/dev/random", 1, 8),
    (c"/dev/urandom", 1, 9),
    (c"/dev/tty", 5, 0),
];

const LINKS: [(&CStr, &CStr); 5] = [
    (c"/dev/fd", c"/proc/self/fd"),
    (c"/dev/stdin", c"/proc/self/fd/0"),
    (c"/dev/stdout", c"/proc/self/fd/1"),
    (c"/dev/stderr", c"/proc/self/fd/2"),
    (c"/dev/ptmx", c"pts/ptmx"),
];

/// Where files that the root is given are written: [`mount_mqueue`] hides them.
const MQUEUE: &CStr = c"/dev/mqueue";

/// What is the host's where the user namespace is not: a filesystem that shows a namespace is mounted by its owner alone.
const OF_NAMESPACES: [&CStr; 3] = [c"/sys", c"/proc", MQUEUE];

/// Adds what nobody makes in a user namespace: the nodes of /dev, and the filesystems of namespaces that are the host's.
pub fn add_hosts(volumes: &mut Vec<Volume>, network: bool, pid: bool, ipc: bool) {
    for (path, ..) in &NODES {
        add_host(volumes, path);
    }
    // Not every host shows its queues.
    for (path, is) in OF_NAMESPACES.iter().zip(&[network, pid, ipc && sys::exists(MQUEUE)]) {
        if *is {
            add_host(volumes, path);
        }
    }
}

/// Adds what the host has at `path`, at the same place.
#[inline(never)]
pub fn add_host(volumes: &mut Vec<Volume>, path: &'static CStr) {
    // Whoever owns nothing of the host's network changes nothing in /sys.
    volumes.push(Volume { content: Content::Host { source: path, read_only: path == c"/sys" }, target: path });
}

/// Whether a volume is one of these.
pub fn is_hosts(volume: &Volume) -> bool {
    NODES.iter().any(|(path, ..)| *path == volume.target) || OF_NAMESPACES.contains(&volume.target)
}

/// /dev: a tmpfs with the usual nodes, links, and places for what is mounted next. The umask must be 0. Small, for what is
/// in it counts as the container's memory.
pub fn mount_dev(with_nodes: bool) -> Result<()> {
    sys::mount(c"tmpfs", c"/dev", c"tmpfs", MountFlags::NOSUID, Some(c"mode=755,size=1m"))?;
    for (path, major, minor) in if with_nodes { &NODES[..] } else { &[] } {
        sys::mknod(None, path, libc::S_IFCHR | 0o666, major << 8 | minor)?;
    }
    for (path, to) in &LINKS {
        sys::symlink(to, path)?;
    }
    for path in &[c"/dev/pts", c"/dev/shm", MQUEUE] {
        sys::mkdir(None, path, 0o755)?;
    }
    Ok(())
}

/// POSIX shared memory, shm_overview(7); `options` hold its size.
pub fn mount_shm(options: &CStr) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    sys::mount(c"shm", c"/dev/shm", c"tmpfs", flags, Some(options))
}

/// The message queues of this IPC namespace, mq_overview(7); a kernel may have none.
pub fn mount_mqueue() -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match sys::mount(c"mqueue", MQUEUE, c"mqueue", flags, None) {
        Err(e) if e.is(Errno::ENODEV) => Ok(()),
        other => other,
    }
}

/// Files that tell of the host or reach into it. /dev/null is our own, so it is what it says.
const MASKED_FILES: &[u8] =
    b"/proc/interrupts\0/proc/kcore\0/proc/keys\0/proc/latency_stats\0/proc/sched_debug\0/proc/timer_list\0";
const MASKED_DIRECTORIES: &[u8] =
    b"/proc/acpi\0/proc/asound\0/proc/scsi\0/sys/firmware\0/sys/devices/virtual/powercap\0";
/// What may be read and not written.
const READ_ONLY: &[u8] = b"/proc/bus\0/proc/fs\0/proc/irq\0/proc/sys\0/proc/sysrq-trigger\0";

/// The strings of a list, each with a NUL at its end.
fn strings(mut list: &[u8]) -> impl Iterator<Item = &CStr> {
    core::iter::from_fn(move || take_string(&mut list))
}

#[inline(never)]
fn take_string<'a>(list: &mut &'a [u8]) -> Option<&'a CStr> {
    let string = CStr::from_bytes_until_nul(list).ok()?;
    *list = list.get(string.count_bytes() + 1..)?;
    Some(string)
}

/// Masks what the kernel shows of the host. A kernel does not have all of it.
pub fn mask() -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for path in strings(MASKED_FILES) {
        unless_missing(sys::mount(c"/dev/null", path, c"", MountFlags::BIND, None))?;
    }
    for path in strings(MASKED_DIRECTORIES) {
        // An empty directory: of all filesystems the cheapest.
        unless_missing(sys::mount(c"none", path, c"ramfs", flags | MountFlags::RDONLY, None))?;
    }
    for path in strings(READ_ONLY) {
        if unless_missing(sys::mount(path, path, c"", MountFlags::BIND, None))? {
            let again = MountFlags::REMOUNT | MountFlags::BIND | MountFlags::RDONLY;
            sys::mount(c"none", path, c"", again | flags, None)?;
        }
    }
    Ok(())
}

fn unless_missing(result: Result<()>) -> Result<bool> {
    match result {
        Err(e) if e.is(Errno::ENOENT) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Opens the host's side of a volume, while the host can still be seen.
pub fn open_volume(volume: &Volume) -> Result<Option<Fd>> {
    match &volume.content {
        Content::Host { source, .. } => sys::open_tree(source).map(Some),
        Content::Memory { .. } => Ok(None),
    }
}

/// Mounts a volume in the root. With `make` a target that is missing is made.
pub fn mount_volume(volume: &Volume, tree: Option<Fd>, make: bool, made: Option<&Fd>) -> Result<()> {
    let target = match sys::openat2(volume.target, OpenFlags::PATH) {
        Err(e) if e.is(Errno::ENOENT) && make => {
            let directory = match &tree {
                Some(tree) => {
                    let status = sys::statx(Some(tree), c"", true).map_err(|e| e.about(volume.target.to_bytes()))?;
                    status.kind() == libc::S_IFDIR
                }
                None => true,
            };
            make_missing(volume.target, directory, made)?;
            sys::openat2(volume.target, OpenFlags::PATH)?
        }
        Err(e) if e.is(Errno::ENOENT) => {
            return Err(e.with_hint(says!("on the host's own files nothing is made for a mount")));
        }
        other => other?,
    };
    if sys::is_on_proc(&target)? {
        let hint = says!("it leads to /proc, where nothing can be mounted");
        return Err(Error::refused(says!("no place for a mount:"), &[volume.target.to_bytes()], hint));
    }
    match (&volume.content, tree) {
        (Content::Host { read_only, .. }, Some(tree)) => {
            sys::move_mount(&tree, &target, volume.target)
                .map_err(|e| e.with_hint(says!("a folder goes onto a folder, a file onto a file")))?;
            match read_only {
                true => sys::make_read_only(&tree, volume.target).map_err(explain_read_only),
                false => Ok(()),
            }
        }
        (Content::Memory { flags, data }, _) => {
            sys::mount_on(c"tmpfs", &target, c"tmpfs", MountFlags::from_bits(*flags), Some(data))
                .map_err(|e| e.about(volume.target.to_bytes()))
        }
        _ => Ok(()),
    }
}

/// The files of /etc that every container has its own of; not those that a volume brings.
#[inline(never)]
pub fn files_of_etc(hostname: &[u8], host_network: bool, volumes: &[Volume]) -> Vec<Given> {
    let mut files = Vec::new();
    let mut add = |name: &[u8], content: &[&[u8]]| {
        let target = c_string(&[b"/etc/", name]);
        if volumes.iter().any(|volume| volume.target == target) {
            return;
        }
        let content = match content {
            [] => match sys::read_file(target) {
                Ok(content) => content.leak(),
                // The host has none to give.
                Err(_) => return,
            },
            parts => c_string(parts).to_bytes(),
        };
        files.push(Given { source: c_string(&[MQUEUE.to_bytes(), b"/", name]), target, content });
    };
    let hosts: &[&[u8]] = &[b"127.0.0.1\tlocalhost ", hostname, b"\n::1\tlocalhost ip6-localhost ip6-loopback\n"];
    add(b"hosts", if host_network { &[] } else { hosts });
    add(b"hostname", &[hostname, b"\n"]);
    add(b"resolv.conf", &[]);
    files
}

/// Writes a file and puts it over the one that the root has. Where it has none it gets one, if it can be written to.
pub fn give(file: &Given, made: Option<&Fd>) -> Result<()> {
    let target = match sys::openat2(file.target, OpenFlags::PATH) {
        Err(e) if e.is(Errno::ENOENT) => match make_missing(file.target, false, made) {
            // Read-only; or a link that leads nowhere.
            Err(e) if e.is(Errno::EROFS) || e.is(Errno::EEXIST) => return Ok(()),
            other => other.and_then(|()| sys::openat2(file.target, OpenFlags::PATH))?,
        },
        Err(e) if e.is(Errno::ELOOP) || e.is(Errno::ENOTDIR) => return Ok(()),
        other => other?,
    };
    sys::create(file.source, file.content)?;
    sys::mount_on(file.source, &target, c"", MountFlags::BIND, None).map_err(|e| e.about(file.target.to_bytes()))
}

/// Makes `path` the working directory: in the root, by no magic link. With `make` it is made if it is missing.
pub fn change_directory(path: &CStr, make: bool, made: Option<&Fd>) -> Result<()> {
    let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
    let opened = match sys::openat2(path, flags) {
        Err(e) if e.is(Errno::ENOENT) && make => {
            make_missing(path, true, made)?;
            sys::openat2(path, flags)
        }
        other => other,
    };
    let dir = opened.map_err(|e| match e.is(Errno::ENOENT) {
        true => e.with_hint(says!("the working directory is not there")),
        false => e,
    })?;
    sys::fchdir(&dir, path)
}

/// A device of the host, for `--device`.
pub fn device(word: &str) -> Result<Volume> {
    let device = volumes::device(word)?;
    let status = sys::statx(None, device.target, true)?;
    if !matches!(status.kind(), libc::S_IFCHR | libc::S_IFBLK) {
        return Err(Error::refused(says!("no device:"), &[word.as_bytes()], says!("--device takes one of the host's")));
    }
    Ok(device)
}
