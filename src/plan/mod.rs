//! What a run will do, as data: Spec and Host in, two ordered lists of steps out. [`parent`] and [`child`] are the order.

pub mod child;
pub mod parent;

use crate::bytes;
use crate::cgroup::{self, Group, Hierarchy};
use crate::command::{self, Command};
use crate::environment;
use crate::error::Result;
use crate::host::Host;
use crate::root::dev;
use crate::root::etc::{self, EtcFile};
use crate::root::{Root, Source};
use crate::spec::{Spec, Volume};
use crate::step::{ChildStep, ParentStep, Slot};
use crate::sys::{self, CloneFlags, Fd};
use crate::terminal::Terminal;
use crate::userns::Maps;
use crate::volume;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A whole run. It lives until the process ends, and so does all that it refers to.
pub struct Plan {
    /// The container that is wanted.
    pub spec: &'static Spec,
    /// The host.
    pub host: &'static Host,
    /// What the parent does, up to the moment when the command is let go.
    pub parent: Vec<Box<dyn ParentStep>>,
    /// What the child does, up to the moment when it becomes the command.
    pub child: &'static [Box<dyn ChildStep>],
    /// What both lists are made of.
    pub parts: &'static Parts,
}

/// What the spec means on this host.
pub struct Parts {
    /// Which namespaces are new.
    pub namespaces: CloneFlags,
    /// The hostname of its UTS namespace, unless that is the host's.
    pub uts_name: Option<&'static str>,
    /// The ids of its user namespace, if it has one.
    pub maps: Option<Maps>,
    /// The hierarchies of this host.
    pub hierarchies: Vec<&'static Hierarchy>,
    /// Its groups, at most one in each hierarchy.
    pub groups: Vec<&'static Group>,
    /// Its root; `None`: the host's.
    pub root: Option<Root>,
    /// The mounts in its root, each with a slot for its tree, which is opened while the host can still be seen.
    pub volumes: Vec<(Volume, Slot<Fd>)>,
    /// The files that its root is given.
    pub etc_files: Vec<EtcFile>,
    /// The words of the command, each with a NUL after it.
    pub words: &'static [u8],
    /// The command, but for its words.
    pub command: Slot<Command>,
    /// HOME is that of the user.
    pub home_of_user: bool,
    /// The environment of the command.
    pub environment: Vec<&'static core::ffi::CStr>,
    /// The relay of its terminal.
    pub terminal: Slot<Box<Terminal>>,
    /// What is created in the root outlives the run, and is removed again if the command is not executed.
    pub undo_on_failure: bool,
}

impl Parts {
    fn find(spec: &Spec, host: &Host, words: &'static [u8]) -> Result<Parts> {
        let maps = if spec.host_user || host.ids.0 == 0 { None } else { Some(Maps::find(host)) };
        let root = Root::find(spec, host, maps.is_some())?;
        let mut volumes = spec.volumes.clone();
        for path in &spec.devices {
            volumes.push(volume::device(path)?);
        }
        if root.is_some() && spec.host_ipc {
            volumes.push(dev::bind_from_host(c"/dev/shm"));
        }
        if root.is_some() && maps.is_some() {
            dev::add_userns_binds(&mut volumes, spec.host_network, spec.host_pid, spec.host_ipc);
        }
        let uts_name = spec.hostname.or(spec.name).filter(|_| !spec.host_uts);
        let hostname: &[u8] = match uts_name {
            Some(name) => name.as_bytes(),
            None if root.is_some() => sys::hostname().leak(),
            None => b"",
        };
        let etc_files = if root.is_some() { etc::files(hostname, spec.host_network, &volumes) } else { Vec::new() };
        let environment = command::environment(spec, host, root.is_some(), hostname)?;
        let (hierarchies, groups) = cgroup::find_groups(spec, host)?;
        // Each namespace that the container does not share with the host is new.
        let namespaces = [
            (!spec.host_uts, CloneFlags::NEWUTS),
            (!spec.host_ipc, CloneFlags::NEWIPC),
            (!spec.host_pid, CloneFlags::NEWPID),
            (!spec.host_network, CloneFlags::NEWNET),
            (maps.is_some(), CloneFlags::NEWUSER),
        ]
        .into_iter()
        .fold(CloneFlags::NEWNS, |flags, (is_new, flag)| if is_new { flags | flag } else { flags });
        Ok(Parts {
            namespaces,
            hierarchies,
            groups,
            uts_name,
            volumes: volumes.into_iter().map(|volume| (volume, Slot::default())).collect(),
            etc_files,
            words,
            command: Slot::new(Some(Command::new(words, &environment))),
            home_of_user: root.is_some() && environment::get(&environment, b"HOME").is_none(),
            environment,
            terminal: Slot::default(),
            undo_on_failure: root.as_ref().is_some_and(Root::is_written_to) && !spec.read_only,
            maps,
            root,
        })
    }

    /// The directory of the host that is its root, or nothing if that is an image.
    fn root_on_host(&self) -> Option<&'static core::ffi::CStr> {
        match self.root.as_ref().map(|root| &root.source) {
            None | Some(Source::Host) => Some(c"/"),
            Some(Source::Directory(path)) => Some(path),
            Some(Source::Image(_)) => None,
        }
    }
}

/// Makes the plan for `command`, at least one word, none with a NUL.
pub fn make(spec: &'static Spec, host: &'static Host, command: &[&[u8]]) -> Result<Plan> {
    let mut words = Vec::new();
    for word in command {
        words.extend_from_slice(word);
        words.push(0);
    }
    let parts = Box::leak(Box::new(Parts::find(spec, host, words.leak())?));
    Ok(Plan { spec, host, parent: parent::steps(spec, parts), child: child::steps(spec, host, parts).leak(), parts })
}

impl Plan {
    /// The words of the command.
    pub fn words(&self) -> impl Iterator<Item = &'static [u8]> {
        bytes::split(self.parts.words.strip_suffix(b"\0").unwrap_or_default(), 0)
    }
}
