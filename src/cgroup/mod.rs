//! cgroups: where this host has them, and those of the container, from creation to removal. Sources: cgroups(7), and the
//! kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.

pub mod directory;
pub mod hierarchy;
pub mod limits;
pub mod steps;
pub mod v2;

pub use hierarchy::{Controller, Controllers, Hierarchy, Version, Wanted};

use crate::bytes;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::spec::{Limit, Limits, Spec};
use crate::step::Slot;
use crate::sys::{self, Dir, magic};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;
use limits::{Setting, Settings};

/// What the name of every cgroup of mydocker's begins with; a sweep looks for it.
const PREFIX: &[u8] = b"mydocker-";

/// One cgroup of the container, in one hierarchy; and how far it exists already.
pub struct Group {
    /// The hierarchy.
    pub hierarchy: &'static Hierarchy,
    /// The name of its directory.
    pub name: &'static CStr,
    /// The file that a process joins it by, relative to the cgroup that it is in: `NAME/tasks`, or `NAME/cgroup.procs`.
    pub joining_file: &'static CStr,
    /// Its path on this host, or `None` if its hierarchy is mounted nowhere.
    pub path: Option<&'static CStr>,
    /// The cgroup that it is created in, relative to the top of the hierarchy: "." or "./a/b".
    pub parent: &'static CStr,
    /// The controllers to enable for it on v2, from the top down.
    pub enable: Vec<Enable>,
    /// Its limits, in the order they are written.
    pub settings: Vec<Setting>,
    /// It has the memory controller.
    pub has_memory: bool,
    /// Programs look for it in the container: it holds limits, and is not only there to be paused; or the container is privileged, and
    /// the top of all that it sees.
    pub shown: bool,
    /// The user asked for one of its limits, or for its parent. Else it is left out where the host refuses it.
    pub explicit: bool,
    /// The cgroup that it is created in, once that is open.
    pub parent_dir: Slot<&'static Dir>,
    /// Its directory, locked, once it exists.
    dir: Slot<&'static Dir>,
    /// This host has refused it, and the user had not asked for it.
    left_out: Cell<bool>,
    /// This process could not join it, likewise.
    not_joined: Cell<bool>,
}

/// One controller to be enabled for the children of one cgroup.
pub struct Enable {
    /// The `cgroup.subtree_control` of that cgroup, relative to the top of the hierarchy.
    pub file: &'static CStr,
    /// `+controller`.
    pub word: &'static [u8],
    /// A limit that the user asked for needs it.
    pub explicit: bool,
}

impl Group {
    /// A group that exists already, by its directory.
    pub fn existing(top: Dir) -> Result<&'static Group> {
        let version = if top.has(c"tasks")? { Version::V1 } else { Version::V2 };
        let (controllers, list) = (Controllers::NONE, c"");
        let hierarchy: &Hierarchy =
            Box::leak(Box::new(Hierarchy { version, top, callers: c".", controllers, list, noprefix: false }));
        Ok(Box::leak(Box::new(Group {
            hierarchy,
            name: c".",
            joining_file: if version == Version::V1 { c"./tasks" } else { c"./cgroup.procs" },
            path: None,
            parent: c".",
            enable: Vec::new(),
            settings: Vec::new(),
            has_memory: false,
            shown: false,
            explicit: true,
            parent_dir: Slot::new(Some(&hierarchy.top)),
            dir: Slot::new(Some(&hierarchy.top)),
            left_out: Cell::new(false),
            not_joined: Cell::new(false),
        })))
    }

    /// The limit on its memory, as it was written. Nothing else of its settings ends a process.
    pub fn memory_limit(&self) -> Option<&'static [u8]> {
        let limit = |setting: &&Setting| [c"memory.max", c"memory.limit_in_bytes"].contains(&setting.file);
        self.settings.iter().find(limit).map(|setting| setting.value)
    }

    /// Closes this process's copy of its directory, and with it of the lock.
    pub fn close_dir(&self) {
        if let Some(dir) = self.dir.take() {
            dir.close_copy();
        }
    }

    /// Its directory, if it exists.
    pub fn dir(&self) -> Option<&'static Dir> {
        self.dir.get()
    }
}

/// The name of a container's cgroups: that of the container, or mydocker's pid.
pub fn name_of(spec: &Spec, host: &Host) -> &'static CStr {
    let pid = bytes::to_decimal(host.pid.0 as u64);
    bytes::c_string(&[PREFIX, spec.name.map_or(&pid, str::as_bytes)])
}

/// Finds the hierarchies of this host, and the groups that the container needs in them. A limit that the user asked for and
/// that this host cannot apply is an error; such a default is left out.
pub fn find_groups(
    spec: &Spec,
    host: &Host,
    hierarchies: &mut Vec<&'static Hierarchy>,
    groups: &mut Vec<&'static Group>,
) -> Result<()> {
    let (limits, name) = (&spec.limits, name_of(spec, host));
    // The controllers that the limits need. With `explicit`, only the limits count that the user asked for.
    let needed = |explicit: bool| {
        let counts = |limit: Option<Limit>| limit.is_some_and(|limit| limit.explicit || !explicit);
        Controllers::that_are(&|controller| match controller {
            Controller::Memory => counts(limits.memory) || counts(limits.swap) || counts(limits.reservation),
            Controller::Cpu => counts(limits.shares) || counts(limits.quota),
            Controller::Cpuset => limits.cpus.is_some() || limits.mems.is_some(),
            Controller::Pids => counts(limits.pids) || limits.count_pids && !explicit,
            Controller::Freezer => false,
        })
    };
    let (mut all, explicit) = (needed(false), needed(true));
    if all == Controllers::NONE {
        return Ok(());
    }
    // Those that hold a limit: the pids may only be counted.
    let limited = Controllers::that_are(&|controller| {
        all.has(controller) && (controller != Controller::Pids || limits.pids.is_some())
    });
    // By its name it can be paused.
    let with_freezer = spec.name.is_some();
    if with_freezer {
        all = Controllers::that_are(&|controller| all.has(controller) || controller == Controller::Freezer);
    }
    // A privileged container is the top of what it sees, and what it makes there does not stay: it has a group in each hierarchy.
    let in_each = !spec.privilege.confined && host.ids.0 == 0;
    let wanted = match with_freezer {
        _ if in_each => Wanted::All,
        true => Wanted::Freezer,
        false => Wanted::Limits,
    };
    *hierarchies = match hierarchy::find(explicit, wanted, host) {
        Err(_) if explicit == Controllers::NONE => return Ok(()),
        found => found?,
    };
    for &controller in &Controller::ALL {
        if explicit.has(controller) && !hierarchies.iter().any(|hierarchy| hierarchy.controllers.has(controller)) {
            let hint = "not available: no cgroup hierarchy of this host carries it";
            return Err(Error::refused("controller", controller.name().as_bytes(), hint));
        }
    }
    for &hierarchy in &*hierarchies {
        let needed = all & hierarchy.controllers;
        let explicit = explicit & hierarchy.controllers;
        let all = if in_each && hierarchy.version == Version::V1 { hierarchy.controllers } else { needed };
        if needed == Controllers::NONE && !in_each {
            continue;
        }
        let parent = spec.cgroup_parent.filter(|_| needed != Controllers::NONE).map(|path| {
            let above = if path.as_bytes().starts_with(b"/") { b"" } else { hierarchy.callers.to_bytes() };
            hierarchy::below_top(&[above, path.as_bytes()])
        });
        // Where it holds no limit, and is only paused or counted, the parent that the user has named need not exist.
        let is_limited = (needed & limited) != Controllers::NONE;
        let parent = parent.filter(|parent| is_limited || hierarchy.top.has(parent).unwrap_or(false));
        if spec.cgroup_parent.is_some() && parent.is_none() && !in_each {
            continue;
        }
        let group = |all| group(hierarchy, spec, parent, name, all, (explicit, is_limited));
        // First with the defaults; if the host refuses one of those, only with what the user asked for.
        let found = match group(all) {
            Err(_) if all != explicit && explicit != Controllers::NONE => group(explicit),
            found => found,
        };
        match found {
            Err(_) if explicit == Controllers::NONE && parent.is_none() => {}
            found => groups.push(found?),
        }
    }
    Ok(())
}

/// The hierarchies in which the caller is below the top: without groups of its own a container is shown the caller's there.
pub fn find_callers(host: &Host) -> Vec<&'static Hierarchy> {
    let mut found = hierarchy::find(Controllers::NONE, Wanted::Limits, host).unwrap_or_default();
    found.retain(|hierarchy| hierarchy.callers != c".");
    found
}

/// The group with these controllers in one hierarchy. `explicit` are those of limits that the user asked for; a group that is not
/// `is_limited` only counts, or can only be paused.
fn group(
    hierarchy: &'static Hierarchy,
    spec: &Spec,
    wanted: Option<&'static CStr>,
    name: &'static CStr,
    controllers: Controllers,
    (explicit, is_limited): (Controllers, bool),
) -> Result<&'static Group> {
    // Controllers are enabled in files of v2. On v1 nothing is written before the new directory has shown a cgroup.procs.
    if hierarchy.version == Version::V2
        && !magic::CGROUPS.contains(&sys::filesystem(hierarchy.top.fd()).map_err(|e| e.about(hierarchy.top.path))?)
    {
        return Err(Error::refused("no cgroup at", hierarchy.top.path, "another mount is there"));
    }
    let limits: &Limits = &spec.limits;
    let (mut enable, mut settings) = (Vec::new(), Settings::default());
    let (parent, file) = match hierarchy.version {
        Version::V1 => {
            let parent = wanted.unwrap_or(hierarchy.callers);
            limits::v1(limits, controllers, hierarchy, parent, &mut settings)?;
            (parent, &b"/tasks"[..])
        }
        Version::V2 => {
            let (parent, processes) = v2::choose_parent(hierarchy, wanted, controllers)?;
            v2::enable(hierarchy, parent, controllers, explicit, &mut enable)?;
            v2::settings(limits, controllers, processes, &mut settings);
            (parent, &b"/cgroup.procs"[..])
        }
    };
    let Settings(settings) = settings;
    let is_only_paused = settings.is_empty() && hierarchy.has_freezer();
    let below = parent.to_bytes().get(1..).unwrap_or_default();
    let path = bytes::c_string(&[hierarchy.top.path, below, b"/", name.to_bytes()]);
    Ok(Box::leak(Box::new(Group {
        hierarchy,
        name,
        joining_file: bytes::c_string(&[name.to_bytes(), file]),
        path: Some(path).filter(|path| path.to_bytes().starts_with(b"/")),
        parent,
        enable,
        has_memory: controllers.has(Controller::Memory),
        shown: !spec.privilege.confined || !is_only_paused,
        explicit: wanted.is_some() && is_limited || explicit != Controllers::NONE,
        settings,
        parent_dir: Slot::new(if parent == c"." { Some(&hierarchy.top) } else { None }),
        dir: Slot::default(),
        left_out: Cell::new(false),
        not_joined: Cell::new(false),
    })))
}

/// Checks the name of a container: what docker takes, `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, and no longer than a hostname may be.
pub fn check_name(name: &str) -> Result<()> {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let starts_well = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if starts_well && name.len() <= 64 && name.bytes().all(is_good) {
        return Ok(());
    }
    Err(Error::usage(
        "a name is at most 64 letters, digits, '_', '.' and '-', and begins with a letter or digit",
        name.as_bytes(),
    ))
}

/// Checks the value of `--cgroup-parent`: no part of it may lead up.
pub fn check_parent(path: &str) -> Result<()> {
    if hierarchy::leads_up(path.as_bytes()) {
        return Err(Error::usage("--cgroup-parent may not contain '..'", path.as_bytes()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "web-1", "A.b_c", "7"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "..", ".a", "a/b", "-a", "a b", "ä", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_parent("a/b").is_ok() && check_parent("a/../b").is_err());
    }
}
