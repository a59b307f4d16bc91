//! The kernel's own filesystems: /proc, /sys and the message queues; and the files in them that are masked or read-only.

use super::own;
use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::host::Host;
use crate::mountinfo::{self, Mount};
use crate::step::{Child, ChildStep};
use crate::sys::{self, Device, MountAttr, MountFlags, OpenFlags};
use alloc::vec::Vec;
use core::ffi::CStr;

/// Where message queues are mounted.
pub const MQUEUE: &CStr = c"/dev/mqueue";

/// A filesystem that shows a namespace can be mounted only by the owner of the namespace.
pub const OF_NAMESPACES: [&CStr; 3] = [c"/sys", c"/proc", MQUEUE];

/// The usual flags of the kernel's own filesystems.
pub const USUAL: MountFlags = MountFlags::from_bits(libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC);

/// The same for fsmount(2).
const USUAL_ATTRIBUTES: MountAttr =
    MountAttr::from_bits(MountAttr::NOSUID.bits() | MountAttr::NODEV.bits() | MountAttr::NOEXEC.bits());

step! {
    /// Mounts a /proc that shows the new PID namespace.
    ///
    /// Or that of the container whose processes it joins: [`JoinProcesses`](crate::namespaces::JoinProcesses).
    pub struct MountProc {
        /// It is in a user namespace.
        pub in_userns: bool,
    }
}

impl ChildStep for MountProc {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let mounted = match (child.proc.take(), &child.own.proc) {
            (Some(proc), Some(target)) => sys::move_mount(&proc, target, c"/proc").map(|()| Some(proc)),
            (Some(proc), None) => {
                sys::move_mount(&proc, &sys::open(c"/proc", OpenFlags::PATH)?, c"/proc").map(|()| None)
            }
            (None, Some(target)) => sys::mount_on(target, c"/proc", c"proc", USUAL_ATTRIBUTES, &[]).map(Some),
            (None, None) => sys::mount(c"proc", c"/proc", c"proc", USUAL, None).map(|()| None),
        };
        child.own.proc = mounted.map_err(|e| explain_masked(e, self.in_userns))?;
        Ok(())
    }
}

step! {
    /// Mounts a /sys that shows the devices of its network.
    pub struct MountSysfs {
        /// Nothing in it can be written to.
        pub read_only: bool,
        /// It is in a user namespace.
        pub in_userns: bool,
    }
}

impl ChildStep for MountSysfs {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let Some(target) = &child.own.sys else { return Ok(()) };
        let attributes = if self.read_only { USUAL_ATTRIBUTES | MountAttr::RDONLY } else { USUAL_ATTRIBUTES };
        let mounted = sys::mount_on(target, c"/sys", c"sysfs", attributes, &[]);
        child.own.sys = Some(mounted.map_err(|e| explain_masked(e, self.in_userns))?);
        Ok(())
    }
}

/// In a user namespace a new /proc or /sys must not show more than can be seen already (mount_namespaces(7)).
fn explain_masked(error: Error, in_userns: bool) -> Error {
    const HINT: &str =
        "in a user namespace this needs a /proc and /sys outside with nothing masked, and a network of its own";
    if in_userns && error.is(Errno::EPERM) { error.with_hint(HINT) } else { error }
}

step! {
    /// Mounts the message queues of its IPC namespace: mq_overview(7).
    pub struct MountMqueue;

    may_fail |_| true
}

impl ChildStep for MountMqueue {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        match sys::mount(c"mqueue", own::enter(child, MQUEUE)?, c"mqueue", USUAL, None) {
            // A kernel may have none.
            Err(e) if e.is(Errno::ENODEV) => Ok(()),
            other => other,
        }
    }
}

/// Files of /proc that tell of the host or reach into it.
const MASKED_FILES: [&CStr; 6] = [c"interrupts", c"kcore", c"keys", c"latency_stats", c"sched_debug", c"timer_list"];
/// Directories of /proc that tell of the host or reach into it.
const MASKED_IN_PROC: [&CStr; 3] = [c"acpi", c"asound", c"scsi"];
/// The same of /sys.
const MASKED_IN_SYS: [&CStr; 3] = [c"firmware", c"devices/virtual/powercap", c"fs/selinux"];
/// What in /proc can be read but not written.
const READ_ONLY: [&CStr; 5] = [c"bus", c"fs", c"irq", c"sys", c"sysrq-trigger"];

step! {
    /// Hides what the kernel shows of the host.
    pub struct MaskPaths {
        /// What [`thermal_counters`] has found.
        pub thermal_counters: Vec<&'static CStr>,
    }

    may_fail |_| true
}

impl ChildStep for MaskPaths {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        // The /dev/null that covers files is the container's, not one of the root.
        let Some(dev) = &child.own.dev else { return Ok(()) };
        let null = sys::openat(dev, c"null", OpenFlags::PATH | OpenFlags::NOFOLLOW)?;
        let status = sys::statx_fd(null.borrow()).map_err(|e| e.about(b"/dev/null"))?;
        if (status.kind(), status.rdev) != (libc::S_IFCHR, Device::NULL) {
            return Err(Error::refused("not the device null:", b"/dev/null", "nothing can be masked with it"));
        }
        // From here on the working directory is in this very /proc, and then in this very /sys.
        let name = own::name_of(child, &null)?;
        let mut null = name.as_c_str().unwrap_or_default();
        if let (Some(proc), Some(_), [first, ..]) = (&child.own.proc, &child.outer_proc, &MASKED_FILES) {
            // There it has no such name. What is masked first is the same file.
            sys::move_mount(&sys::open_tree_of_file(null)?, &sys::openat(proc, first, OpenFlags::PATH)?, first)?;
            sys::fchdir(proc, c"/proc")?;
            null = first;
        }
        for path in &MASKED_FILES {
            unless_missing(sys::mount(null, path, c"", MountFlags::BIND, None))?;
        }
        for path in &MASKED_IN_PROC {
            mask_directory(path)?;
        }
        for path in &READ_ONLY {
            if unless_missing(sys::mount(path, path, c"", MountFlags::BIND, None))? {
                sys::remount_read_only(path, USUAL)?;
            }
        }
        let Some(sys) = &child.own.sys else { return Ok(()) };
        sys::fchdir(sys, c"/sys")?;
        for path in MASKED_IN_SYS.iter().chain(&self.thermal_counters) {
            mask_directory(path)?;
        }
        Ok(())
    }
}

/// Covers a directory, if it is there, by an empty one: of all filesystems ramfs is the cheapest.
fn mask_directory(path: &CStr) -> Result<()> {
    unless_missing(sys::mount(c"none", path, c"ramfs", USUAL | MountFlags::RDONLY, None)).map(drop)
}

/// How often each CPU was too hot tells what others compute: the directories with these counters, of which a machine has one
/// for each CPU that is online, or none. Their paths are relative to /sys.
pub fn thermal_counters() -> Vec<&'static CStr> {
    let of_cpu =
        |cpu: u64| bytes::c_string(&[b"devices/system/cpu/cpu", &bytes::to_decimal(cpu), b"/thermal_throttle"]);
    let on_host = |path: &CStr| sys::exists(bytes::c_string(&[b"/sys/", path.to_bytes()]));
    if !on_host(of_cpu(0)) {
        return Vec::new();
    }
    // A list such as 0-3,8-11: its last number is the highest. CPUs between may be offline.
    let present = sys::read_file(c"/sys/devices/system/cpu/present").unwrap_or_default();
    let highest = &present.trim_ascii().rsplit(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
    let mut found = Vec::new();
    for cpu in 0..=bytes::decimal(highest).unwrap_or(0) {
        let path = of_cpu(cpu);
        if on_host(path) {
            found.push(path);
        }
    }
    found
}

/// `Ok(false)`: this kernel does not have the path.
fn unless_missing(result: Result<()>) -> Result<bool> {
    match result {
        Err(e) if e.is(Errno::ENOENT) => Ok(false),
        other => other.map(|()| true),
    }
}

/// A mount that the command cannot write to.
pub struct ReadOnly {
    /// Where it is.
    pub point: &'static CStr,
    /// Its flags, which a remount must repeat.
    pub flags: MountFlags,
}

/// Where sysfs is mounted, by custom, and the cgroups below it.
const SYS: &CStr = c"/sys";

step! {
    /// Makes /sys and the cgroups read-only: otherwise root inside would lift its own limits.
    pub struct MakeSysReadOnly {
        /// The mounts: /sys with all below it, and every cgroup filesystem elsewhere.
        pub mounts: Vec<ReadOnly>,
    }
}

/// The flags of a mount, from its options in mountinfo: what it forbids, and how it keeps times.
pub fn flags_of(mount: &Mount) -> MountFlags {
    const KEPT: [(&[u8], MountFlags); 6] = [
        (b"nosuid", MountFlags::NOSUID),
        (b"nodev", MountFlags::NODEV),
        (b"noexec", MountFlags::NOEXEC),
        (b"noatime", MountFlags::NOATIME),
        (b"nodiratime", MountFlags::NODIRATIME),
        (b"relatime", MountFlags::RELATIME),
    ];
    let mut flags = MountFlags::NONE;
    for (name, flag) in &KEPT {
        if bytes::has_part(mount.options, b',', name) {
            flags = flags | *flag;
        }
    }
    flags
}

impl MakeSysReadOnly {
    /// Finds the mounts. Where mountinfo cannot be read, only /sys is known.
    pub fn new(host: &Host) -> MakeSysReadOnly {
        let mut mounts = Vec::new();
        let all = host.mounts.as_deref().unwrap_or_default();
        if all.is_empty() {
            mounts.push(ReadOnly { point: SYS, flags: MountFlags::NONE });
        }
        for mount in all {
            if bytes::below(mount.point, SYS.to_bytes()).is_some() || mount.fstype.starts_with(b"cgroup") {
                let (point, flags) = (mountinfo::unescape(mount.point), flags_of(mount));
                mounts.push(ReadOnly { point, flags });
            }
        }
        MakeSysReadOnly { mounts }
    }
}

impl ChildStep for MakeSysReadOnly {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        // The whole tree at /sys in one call, and what is elsewhere; one by one before Linux 5.12.
        let mut all_below_sys = false;
        for ReadOnly { point, flags } in &self.mounts {
            let is_sys = *point == SYS;
            let below_sys = point.to_bytes().starts_with(b"/sys/");
            if all_below_sys && below_sys || !is_sys && !below_sys && !sys::is_cgroup(point) {
                continue;
            }
            let made = match sys::mount_read_only(point, is_sys) {
                Ok(true) => {
                    all_below_sys |= is_sys;
                    continue;
                }
                Ok(false) => sys::remount_read_only(point, *flags),
                Err(e) => Err(e),
            };
            match made {
                // A mount that another one covers cannot be reached by its path, so it cannot be written to either.
                Err(e) if e.is_one_of(&[Errno::EINVAL, Errno::ENOENT, Errno::ENOTDIR]) => {}
                other => other?,
            }
        }
        Ok(())
    }
}
