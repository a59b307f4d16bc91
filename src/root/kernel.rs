//! The kernel's own filesystems: /proc, /sys and the message queues; and the files in them that are masked or read-only.

use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::host::Host;
use crate::mountinfo;
use crate::step::{Child, ChildStep};
use crate::sys::{self, MountFlags};
use alloc::vec::Vec;
use core::ffi::CStr;

/// Where message queues are mounted. Before that, [`super::etc`] writes its files here; the mount hides them afterwards.
pub const MQUEUE: &CStr = c"/dev/mqueue";

/// A filesystem that shows a namespace can be mounted only by the owner of the namespace.
pub const OF_NAMESPACES: [&CStr; 3] = [c"/sys", c"/proc", MQUEUE];

const USUAL: MountFlags = MountFlags::from_bits(libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC);

step! {
    /// Mounts a /proc that shows the new PID namespace.
    pub struct MountProc {
        /// It is in a user namespace.
        pub in_userns: bool,
    }
}

impl ChildStep for MountProc {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::mount(c"proc", c"/proc", c"proc", USUAL, None).map_err(|e| explain_masked(e, self.in_userns))
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
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        let flags = if self.read_only { USUAL | MountFlags::RDONLY } else { USUAL };
        sys::mount(c"sysfs", c"/sys", c"sysfs", flags, None).map_err(|e| explain_masked(e, self.in_userns))
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
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        match sys::mount(c"mqueue", MQUEUE, c"mqueue", USUAL, None) {
            // A kernel may have none.
            Err(e) if e.is(Errno::ENODEV) => Ok(()),
            other => other,
        }
    }
}

/// Files that tell of the host or reach into it. The /dev/null that covers them is the container's, not one of the image.
const MASKED_FILES: [&CStr; 6] = [
    c"/proc/interrupts",
    c"/proc/kcore",
    c"/proc/keys",
    c"/proc/latency_stats",
    c"/proc/sched_debug",
    c"/proc/timer_list",
];
/// Directories that tell of the host or reach into it.
const MASKED_DIRECTORIES: [&CStr; 6] = [
    c"/proc/acpi",
    c"/proc/asound",
    c"/proc/scsi",
    c"/sys/firmware",
    c"/sys/devices/virtual/powercap",
    c"/sys/fs/selinux",
];
/// Paths that can be read but not written.
const READ_ONLY: [&CStr; 5] = [c"/proc/bus", c"/proc/fs", c"/proc/irq", c"/proc/sys", c"/proc/sysrq-trigger"];

step! {
    /// Hides what the kernel shows of the host.
    pub struct MaskPaths {
        /// What [`thermal_counters`] has found.
        pub thermal_counters: Vec<&'static CStr>,
    }

    may_fail |_| true
}

impl ChildStep for MaskPaths {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        for path in &MASKED_FILES {
            unless_missing(sys::mount(c"/dev/null", path, c"", MountFlags::BIND, None))?;
        }
        for path in &MASKED_DIRECTORIES {
            mask_directory(path)?;
        }
        for path in &self.thermal_counters {
            mask_directory(path)?;
        }
        for path in &READ_ONLY {
            if unless_missing(sys::mount(path, path, c"", MountFlags::BIND, None))? {
                sys::remount_read_only(path, USUAL)?;
            }
        }
        Ok(())
    }
}

/// Covers a directory by an empty one: of all filesystems ramfs is the cheapest. `Ok(false)`: there is none.
fn mask_directory(path: &CStr) -> Result<bool> {
    unless_missing(sys::mount(c"none", path, c"ramfs", USUAL | MountFlags::RDONLY, None))
}

/// How often each CPU was too hot tells what others compute: the directories with these counters, of which a machine has one
/// for each CPU that is online, or none.
pub fn thermal_counters() -> Vec<&'static CStr> {
    let of_cpu =
        |cpu: u64| bytes::c_string(&[b"/sys/devices/system/cpu/cpu", &bytes::to_decimal(cpu), b"/thermal_throttle"]);
    if !sys::exists(of_cpu(0)) {
        return Vec::new();
    }
    // A list such as 0-3,8-11: its last number is the highest. CPUs between may be offline.
    let present = sys::read_file(c"/sys/devices/system/cpu/present").unwrap_or_default();
    let highest = bytes::trimmed(&present).rsplit(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
    (0..=bytes::decimal(highest).unwrap_or(0)).map(of_cpu).filter(|path| sys::exists(path)).collect()
}

/// Not every kernel has each of these paths.
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

impl MakeSysReadOnly {
    /// Finds the mounts. Where mountinfo cannot be read, only /sys is known.
    pub fn new(host: &Host) -> MakeSysReadOnly {
        let mut mounts = Vec::new();
        let mut rest = host.mountinfo.as_deref().unwrap_or_default();
        if rest.is_empty() {
            mounts.push(ReadOnly { point: SYS, flags: MountFlags::NONE });
        }
        while let Some(mount) = mountinfo::next(&mut rest) {
            if bytes::below(mount.point, SYS.to_bytes()).is_some() || mount.fstype.starts_with(b"cgroup") {
                let (point, flags) = (mountinfo::unescape(mount.point), MountFlags::of_options(mount.options));
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
