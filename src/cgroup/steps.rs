//! The steps that create, fill, join and show the cgroups of a run. On v2 a group is created before clone, because the child is
//! born in it; on v1 it is created while the child mounts, and the child joins it when it has received the command. A group or
//! a limit that the user did not ask for may fail: then the run goes on without it.

use super::directory::{self, explain};
use super::limits::Setting;
use super::{Enable, Group, Hierarchy, Version};
use crate::bytes::{self, Put};
use crate::error::{Errno, Error, Kind, Result};
use crate::host::Host;
use crate::mountinfo;
use crate::step::{Child, ChildStep, Parent, ParentStep, Slot};
use crate::sys::{self, CloneFlags, CpuMask, Dir, MountFlags};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

step! {
    /// Opens the parent of the container's cgroup.
    pub struct OpenParentCgroup {
        /// The group that is to be created there.
        pub group: &'static Group,
        /// All groups: the cgroup that the user has named is to be in the hierarchy of each.
        pub all: &'static [&'static Group],
    }

    may_fail |step| !step.group.explicit
}

impl ParentStep for OpenParentCgroup {
    fn carry_out(&self, _: &mut Parent) -> Result<()> {
        let group = self.group;
        let opened = Dir::open(Some(&group.hierarchy.top), group.parent).map_err(|e| {
            let mut hint = b"make it first".to_vec();
            for (at, group) in
                self.all.iter().filter(|group| group.explicit && group.hierarchy.version == Version::V1).enumerate()
            {
                hint.put(if at == 0 { b", in each of these hierarchies: " } else { b" and " });
                hint.put(group.hierarchy.list.to_bytes());
            }
            hint.put(b"; or name another with --cgroup-parent");
            e.hint_for(&[(Errno::ENOENT, str::from_utf8(hint.leak()).unwrap_or_default())])
        });
        keep_unless_refused(group, opened, &group.parent_dir)
    }
}

step! {
    /// Enables a controller for the cgroups below; it stays enabled.
    pub struct EnableController {
        /// The group that needs it.
        pub group: &'static Group,
        /// What to enable, and where.
        pub enable: &'static Enable,
    }

    may_fail |step| !step.enable.explicit
}

impl ParentStep for EnableController {
    fn carry_out(&self, _: &mut Parent) -> Result<()> {
        if self.group.left_out.get() {
            return Ok(());
        }
        let Enable { file, word, explicit } = self.enable;
        let enabled = self.group.hierarchy.top.write(file, word).map(drop);
        unless_refused(enabled.map_err(|e| explain(e, Version::V2)), *explicit)
    }
}

step! {
    /// Creates its cgroup, locked while it is in use.
    pub struct CreateCgroup {
        /// The group.
        pub group: &'static Group,
    }

    may_fail |step| !step.group.explicit
}

impl ParentStep for CreateCgroup {
    fn carry_out(&self, _: &mut Parent) -> Result<()> {
        let group = self.group;
        let Some(parent) = group.parent_dir.get() else { return Ok(()) };
        keep_unless_refused(group, directory::create(parent, group.name, group.hierarchy.version), &group.dir)
    }
}

step! {
    /// Writes a limit, and reads it back.
    pub struct ApplyLimit {
        /// The group.
        pub group: &'static Group,
        /// The limit.
        pub setting: &'static Setting,
    }

    may_fail |step| !step.setting.explicit
}

impl ParentStep for ApplyLimit {
    fn carry_out(&self, _: &mut Parent) -> Result<()> {
        let Some(dir) = self.group.dir() else { return Ok(()) };
        unless_refused(self.setting.apply(dir), self.setting.explicit)
    }
}

/// Keeps the directory in its slot. A group without one is marked as left out, so that the later steps for it do nothing.
fn keep_unless_refused(group: &Group, dir: Result<Dir>, slot: &Slot<&'static Dir>) -> Result<()> {
    match dir {
        Ok(dir) => {
            slot.set(Some(Box::leak(Box::new(dir))));
            Ok(())
        }
        Err(e) => {
            group.left_out.set(true);
            unless_refused(Err(e), group.explicit)
        }
    }
}

/// A refusal of the kernel is no error if the user has not asked for the limit. A name that is taken always is one.
fn unless_refused(result: Result<()>, explicit: bool) -> Result<()> {
    match result {
        Err(e) if !explicit && matches!(e.cause().kind, Kind::Call | Kind::Limit) => Ok(()),
        other => other,
    }
}

step! {
    /// Joins its cgroup, unless it was born there.
    ///
    /// v1: the single thread that writes `0` to `tasks` moves at once, while moving a whole thread group through
    /// `cgroup.procs` waits for the other CPUs. v2 has only the latter, for hosts where clone3 cannot do it.
    pub struct JoinCgroup {
        /// The group.
        pub group: &'static Group,
    }

    may_fail |step| !step.group.explicit
}

impl ChildStep for JoinCgroup {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let group = self.group;
        if group.left_out.get() || group.hierarchy.version == Version::V2 && child.born_in_cgroup {
            return Ok(());
        }
        let Some(parent) = group.parent_dir.get() else { return Ok(()) };
        match parent.write(group.joining_file, b"0") {
            // The parent creates it after clone, and may have left it out; or the kernel does not take this process, as cpu
            // does not take one with a realtime policy.
            Err(_) if !group.explicit => {
                group.not_joined.set(true);
                Ok(())
            }
            joined => joined.map(drop).map_err(explain_join),
        }
    }
}

fn explain_join(error: Error) -> Error {
    error.hint_for(&[
        (Errno::ENOSPC, "the cpuset above has no CPUs or no memory nodes"),
        (Errno::EOPNOTSUPP, "the cgroup above holds processes; name another with --cgroup-parent"),
    ])
}

step! {
    /// Runs on all CPUs that were asked for, whatever the caller's affinity is.
    ///
    /// Since Linux 6.2 a process that joins a cpuset keeps to the CPUs that sched_setaffinity(2) has set before.
    pub struct SetAffinity {
        /// The CPUs.
        pub mask: &'static CpuMask,
    }
}

impl ChildStep for SetAffinity {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        sys::sched_setaffinity(self.mask)
    }
}

impl SetAffinity {
    /// To a list of CPUs. `None`: `own`, the CPUs of this process, has them all; or there are more CPUs than a mask has.
    pub fn new(list: &[u8], own: Option<&[u8]>) -> Option<SetAffinity> {
        let set = bytes::list(list).ok()?;
        if own.and_then(|own| bytes::list(own).ok()).is_some_and(|own| own.has_all(&set)) {
            return None;
        }
        let mut mask = Box::new(CpuMask([0; 16]));
        if !set.is_below(64 * 16) {
            return None;
        }
        for (at, word) in mask.0.iter_mut().enumerate() {
            for bit in 0..64 {
                *word |= u64::from(set.has(64 * at as u64 + bit)) << bit;
            }
        }
        Some(SetAffinity { mask: Box::leak(mask) })
    }
}

step! {
    /// Makes its own cgroup the top of what it sees.
    pub struct UnshareCgroup;
}

impl ChildStep for UnshareCgroup {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        match sys::unshare(CloneFlags::NEWCGROUP) {
            // A kernel without cgroups.
            Err(e) if e.is(Errno::EINVAL) => Ok(()),
            other => other,
        }
    }
}

step! {
    /// Takes the host's cgroups out of sight.
    ///
    /// A mount that another one covers stays in mountinfo, and programs take the first line. The kernel lets each umount2 wait for all
    /// CPUs (RCU): before the barrier the child waits while the parent creates the cgroups. It joins them through descriptors, which
    /// still lead there.
    pub struct DetachCgroups {
        /// Where the host has mounted the hierarchies that [`MountCgroup`] shows.
        pub mounts: Vec<&'static CStr>,
    }

    may_fail |_| true
}

impl ChildStep for DetachCgroups {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        for point in &self.mounts {
            match sys::detach(point) {
                // It is locked, or below one that has been detached.
                Err(e) if e.is_one_of(&[Errno::EINVAL, Errno::ENOENT]) => {}
                other => other?,
            }
        }
        Ok(())
    }
}

step! {
    /// Shows its limits where programs look for them.
    ///
    /// A new mount has its own cgroup as the root, because it is made in the new cgroup namespace. In a user namespace the mounts of
    /// the host are locked, and stay: mount(2) makes no second mount of a filesystem on top of itself, so that its cgroup is bound
    /// there.
    pub struct MountCgroup {
        /// The hierarchy.
        pub hierarchy: &'static Hierarchy,
        /// Its cgroup, or `None` if it stays in its caller's.
        pub group: Option<&'static Group>,
        /// Where it is to be mounted.
        pub point: &'static CStr,
        /// [`USUAL`](crate::root::kernel::USUAL), and whether it is read-only.
        pub flags: MountFlags,
        /// In a user namespace, its path: it is bound, and inherits read-only.
        pub bound: Option<&'static CStr>,
    }

    may_fail |_| true
}

impl MountCgroup {
    /// In place of the host's mounts, which are added to those that are to be `detached`. `None`: there is nothing to show, or the
    /// hierarchy is mounted nowhere.
    ///
    /// Where the container has no cgroup of its own, its caller's is shown unless that is the top: the JVM fails where the
    /// root of a mount is above the cgroup that it is in.
    pub fn on_host(
        hierarchy: &'static Hierarchy,
        group: Option<&'static Group>,
        host: &Host,
        flags: MountFlags,
        in_userns: bool,
        detached: &mut Vec<&'static CStr>,
    ) -> Option<MountCgroup> {
        if group.map_or(hierarchy.callers == c".", |group| !group.shown) {
            return None;
        }
        let bound = group.and_then(|group| group.path).filter(|_| in_userns);
        let all = host.mounts.as_deref().unwrap_or_default();
        let first = bytes::split(hierarchy.list.to_bytes(), b',').next().unwrap_or_default();
        let mut is_mounted = bound.is_some();
        for mount in all {
            if !in_userns && hierarchy.version.is_of(mount, first) && !mountinfo::is_hidden(mount, all) {
                detached.push(mountinfo::unescape(mount.point));
                is_mounted = true;
            }
        }
        let point = bytes::c_string(&[hierarchy.top.path]);
        is_mounted.then_some(MountCgroup { hierarchy, group, point, flags, bound })
    }
}

impl ChildStep for MountCgroup {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        if self.group.is_some_and(|group| group.left_out.get()) {
            return Ok(());
        }
        let Hierarchy { version, list, .. } = self.hierarchy;
        let mounted = match self.bound {
            Some(path) => sys::mount(path, self.point, c"", MountFlags::BIND, None),
            None => sys::mount(
                c"cgroup",
                self.point,
                version.fstype(),
                self.flags,
                Some(*list).filter(|list| !list.is_empty()),
            ),
        };
        match mounted {
            Err(e) if e.is_one_of(&NO_PLACE) => Ok(()),
            other => other,
        }
    }
}

/// The place is below a mount that has been detached; or the kernel knows no cgroup namespaces, or not in a user namespace, or the
/// controller is mounted together with others.
const NO_PLACE: [Errno; 3] = [Errno::ENOENT, Errno::EPERM, Errno::EBUSY];

/// Where cgroups are mounted, relative to /sys.
const POINT: &CStr = c"fs/cgroup";

/// What the JVM wants to find in mountinfo, beside memory and cpu, before it reads any limit of v1.
const JVM_WANTS: [&CStr; 2] = [c"cpuset", c"cpuacct"];

step! {
    /// Shows its limits in its own root, where programs look for them.
    ///
    /// On v1 the JVM reads its limits only if mountinfo lists cpuset and cpuacct, too. Where the container has no cgroup of its own
    /// there, the hierarchy is mounted below the tmpfs: it is listed, and the names of the host's cgroups in it cannot be read.
    pub struct MountCgroups {
        /// Its cgroups, and where each is to be mounted, relative to /sys.
        pub groups: Vec<(&'static Group, &'static CStr)>,
        /// The controllers of v1 that are mounted for the JVM alone.
        pub listed: Vec<&'static CStr>,
        /// As in [`MountCgroup`].
        pub flags: MountFlags,
    }

    may_fail |_| true
}

impl MountCgroups {
    /// By the names that a host has: /sys/fs/cgroup itself is that of v2, unless there are hierarchies of v1 as well.
    pub fn new(groups: &[&'static Group], host: &Host, flags: MountFlags) -> MountCgroups {
        let point = |group: &Group| match group.hierarchy.version {
            Version::V1 => {
                let list = group.hierarchy.list.to_bytes();
                bytes::c_string(&[POINT.to_bytes(), b"/", list.strip_prefix(b"name=").unwrap_or(list)])
            }
            Version::V2 if groups.len() == 1 => POINT,
            Version::V2 => c"fs/cgroup/unified",
        };
        let mut listed = Vec::new();
        for name in JVM_WANTS {
            let controller = name.to_bytes();
            let carries = |group: &&Group| bytes::has_part(group.hierarchy.list.to_bytes(), b',', controller);
            let mut mounts = host.mounts.as_deref().unwrap_or_default().iter();
            if mounts.any(|mount| Version::V1.is_of(mount, controller)) && !groups.iter().any(carries) {
                listed.push(name);
            }
        }
        MountCgroups { groups: groups.iter().map(|&group| (group, point(group))).collect(), listed, flags }
    }
}

impl ChildStep for MountCgroups {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        let Some(top) = &child.own.sys else { return Ok(()) };
        sys::fchdir(top, c"/sys")?;
        let in_memory = self.groups.iter().any(|(_, point)| *point != POINT);
        if in_memory {
            for list in &self.listed {
                match sys::mount(c"cgroup", POINT, c"cgroup", self.flags, Some(list)) {
                    Err(e) if e.is_one_of(&NO_PLACE) => {}
                    other => other?,
                }
            }
            let flags = self.flags.without(MountFlags::RDONLY);
            sys::mount(c"cgroup", POINT, c"tmpfs", flags, Some(c"mode=755,size=64k"))?;
        }
        for (group, point) in &self.groups {
            // A mount of a hierarchy in which it has no cgroup of its own would show its caller's.
            if group.left_out.get() || group.not_joined.get() {
                continue;
            }
            if in_memory {
                sys::mkdir(None, point, 0o755)?;
            }
            let Hierarchy { version, list, .. } = group.hierarchy;
            let list = Some(*list).filter(|list| !list.is_empty());
            match sys::mount(c"cgroup", point, version.fstype(), self.flags, list) {
                Err(e) if e.is_one_of(&NO_PLACE) => {}
                other => other?,
            }
        }
        if in_memory {
            sys::remount_read_only(POINT, self.flags)?;
        }
        Ok(())
    }
}

step! {
    /// Closes its copies of the locks, which are the parent's alone.
    pub struct CloseLocks {
        /// The groups.
        pub groups: &'static [&'static Group],
    }
}

impl ChildStep for CloseLocks {
    fn carry_out(&self, _: &mut Child) -> Result<()> {
        for group in self.groups {
            if group.hierarchy.version == Version::V2 {
                group.close_dir();
            }
        }
        Ok(())
    }
}
