//! What a run will do, as data: Spec and Host in, two ordered lists of steps out. [`parent`] and [`child`] are the order.

pub mod child;
pub mod exec;
pub mod parent;

use crate::bytes::{self, Address};
use crate::cgroup::{self, Group, Hierarchy};
use crate::command::{self, Command};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::log::Log;
use crate::network::bridge::Bridge;
use crate::network::names::Names;
use crate::network::slirp;
use crate::root::dev;
use crate::root::etc::{self, EtcFile};
use crate::root::{Root, Source};
use crate::spec::{Network, Spec, Volume};
use crate::step::{ChildStep, Held, Listed, ParentStep, Slot};
use crate::streams::{self, Input};
use crate::sys::{self, AtFlags, CloneFlags, Fd, FdRef, Identity};
use crate::terminal::Terminal;
use crate::userns::{Ids, Maps};
use crate::volume;
use crate::writable::{Outputs, Writable};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// A whole run. It lives until the process ends, and so does all that it refers to.
pub struct Plan {
    /// The container that is wanted.
    pub spec: &'static Spec,
    /// The host.
    pub host: &'static Host,
    /// What the parent does, up to the moment when the command is let go.
    pub parent: &'static [Listed<dyn ParentStep>],
    /// What the child does, up to the moment when it becomes the command.
    pub child: &'static [Listed<dyn ChildStep>],
    /// What both lists are made of.
    pub parts: &'static Parts,
}

/// What the spec means on this host.
#[derive(Default)]
pub struct Parts {
    /// Which namespaces are new.
    pub namespaces: CloneFlags,
    /// The hostname of its UTS namespace, unless that is the host's.
    pub uts_name: Option<&'static str>,
    /// The ids of its user namespace, if it has one.
    pub maps: Option<&'static Maps>,
    /// What it can do with ids.
    pub ids: Ids,
    /// The hierarchies of this host.
    pub hierarchies: Vec<&'static Hierarchy>,
    /// Its groups, at most one in each hierarchy.
    pub groups: Vec<&'static Group>,
    /// Its root; `None`: the host's.
    pub root: Option<&'static Root>,
    /// The mounts in its root, each with a slot for its tree, which is opened while the host can still be seen.
    pub volumes: Vec<(Volume, Slot<Fd>)>,
    /// Which files the sources of volumes are that are named below what the container can write to.
    pub known: Vec<(&'static CStr, Identity)>,
    /// The files that mydocker writes.
    pub outputs: Outputs,
    /// The files that its root is given.
    pub etc_files: Vec<EtcFile>,
    /// The words of the command, each with a NUL after it.
    pub words: &'static [u8],
    /// The command, but for its words.
    pub command: Slot<Command>,
    /// The environment of the command.
    pub environment: Vec<&'static CStr>,
    /// The bridge that it is on.
    pub bridge: Option<&'static Bridge>,
    /// Its names on the bridge.
    pub names: Option<&'static Names>,
    /// The relay of its terminal.
    pub terminal: Slot<&'static mut Terminal>,
    /// stdin, if it is a file that the command is not to write to.
    pub input: Option<Input>,
    /// Its log, if it is detached.
    pub log: Slot<&'static mut Log>,
    /// With `detach`: where to tell that the command is executed.
    pub front: Slot<(Fd, Vec<i32>)>,
    /// Its record, if the keeper has made it.
    pub kept: Slot<Held>,
    /// What is created in the root outlives the run, and is removed again if the command is not executed.
    pub undo_on_failure: bool,
}

impl Parts {
    fn find(spec: &Spec, host: &Host, command: &[&[u8]]) -> Result<&'static Parts> {
        let parts: &mut Parts = Box::leak(Box::default());
        parts.find_namespaces_and_input(spec, host, false)?;
        let in_userns = parts.ids.in_userns;
        if let (Some(word), false) = (spec.groups.first(), parts.ids.may_leave_groups) {
            let hint = match parts.maps {
                Some(_) => "an ordinary user needs newuidmap, newgidmap and ranges of ids for that",
                None => "the user namespace that mydocker is in does not allow setgroups",
            };
            return Err(Error::refused("no --group-add:", word.as_bytes(), hint));
        }
        let mut writable = Writable::of(spec);
        let own_root = spec.has_own_root();
        if own_root {
            parts.root = Some(Root::find(spec, host, in_userns, &mut writable)?);
        }
        let mut binds = Vec::new();
        if own_root && spec.host_ipc {
            binds.push(c"/dev/shm");
        }
        if own_root && in_userns {
            dev::add_userns_binds(&mut binds, !spec.network.is_new(), spec.host_pid, spec.host_ipc);
        }
        let mut add = |volume: Volume| parts.volumes.push((volume, Slot::default()));
        for volume in &spec.volumes {
            add(*volume);
            if let Some(source) = volume.content.source()
                && let Some(file) = writable.known(source)?
            {
                parts.known.push((source, file));
            }
        }
        parts.outputs = Outputs::of(spec, &mut writable)?;
        for paths in &spec.devices {
            add(volume::device(*paths)?);
            if let Some(file) = writable.known(paths[0])? {
                parts.known.push((paths[0], file));
            }
        }
        if let Network::Namespace(path, word) = spec.network
            && writable.known(path)?.is_some()
        {
            let hint = "the container can write to a folder above it: name a file elsewhere";
            return Err(Error::refused("no namespace:", word.to_bytes(), hint));
        }
        for path in binds {
            add(dev::bind_from_host(path));
        }
        if !spec.host_uts {
            parts.uts_name = spec.hostname.or(spec.name);
        }
        let hostname: &[u8] = match parts.uts_name {
            Some(name) => name.as_bytes(),
            None if own_root => sys::hostname().leak(),
            None => b"",
        };
        let tells_names = matches!(spec.network, Network::Bridge(_)) && !spec.untold;
        // On a bridge its names stand behind its address on the bridge, and not behind 127.0.0.1.
        let (local, uts_name): (&[u8], _) =
            if tells_names && parts.uts_name.is_some() { (b"", None) } else { (hostname, parts.uts_name) };
        if let (Network::Namespace(path, _), Some(port)) = (spec.network, spec.ports.first())
            && sys::statx(FdRef::CWD, path, AtFlags::NONE)?.identity()
                == sys::statx(FdRef::CWD, c"/proc/self/ns/net", AtFlags::NONE)?.identity()
        {
            let says = "that network is this host's own, and its ports are this host's: leave out -p";
            return Err(Error::refused(says, port.word.as_bytes(), ""));
        }
        if let Network::Bridge(wanted) = &spec.network {
            parts.bridge = Some(Bridge::find(wanted, host.variable(b"MYDOCKER_SUBNET"))?);
        }
        let gateway = parts.bridge.map_or(Address(0), |bridge| bridge.subnet.gateway());
        if own_root {
            parts.etc_files = etc::files(spec, hostname, local, gateway, &parts.volumes)?;
        } else {
            if tells_names || parts.uts_name.is_some() || !spec.hosts.is_empty() {
                parts.etc_files.extend(etc::named_hosts(spec, uts_name, gateway, &parts.volumes, tells_names)?);
            }
            // Another container's network, and one that somebody has made, may lead outside.
            if !spec.dns.is_empty() || !matches!(spec.network, Network::Host | Network::None) {
                parts.etc_files.extend(etc::own_servers(spec, &parts.volumes)?);
            }
        }
        if tells_names {
            let names: &'static Names = Box::leak(Box::default());
            if let Some(file) = parts.etc_files.iter_mut().find(|file| file.target == c"/etc/hosts") {
                file.tree = Some(&names.tree);
                names.lines.set(file.content);
            }
            parts.names = Some(names);
        }
        let environment = command::environment(spec, host, own_root, hostname, &mut writable)?;
        let command = Command::new(spec, command, &environment);
        parts.words = command.words;
        parts.command.set(Some(command));
        if matches!(spec.network, Network::Slirp | Network::Pasta) {
            slirp::check(spec.network)?;
        }
        parts.environment = environment;
        cgroup::find_groups(spec, host, &mut parts.hierarchies, &mut parts.groups)?;
        if parts.hierarchies.is_empty() && !own_root && spec.privilege.confined && !parts.ids.in_userns {
            parts.hierarchies = cgroup::find_callers(host);
        }
        parts.undo_on_failure = parts.root.is_some_and(Root::is_written_to) && !spec.read_only;
        Ok(parts)
    }

    /// The namespaces that the container does not share with the host, with `joined` those of other containers, too; what it can do
    /// with ids; and the file that is its stdin. Refuses a directory as a stream.
    fn find_namespaces_and_input(&mut self, spec: &Spec, host: &Host, joined: bool) -> Result<()> {
        streams::check(&streams::STANDARD)?;
        // Only root needs no user namespace of its own.
        if !spec.host_user && host.ids.0 != 0 {
            self.maps = Some(Maps::find(host, spec.keep_id));
        }
        self.ids = self.maps.map_or_else(Ids::of_caller, Ids::mapped);
        // With a terminal, or detached, the command does not have the caller's stdin.
        if (spec.has_own_root() || spec.read_only) && !spec.tty && !spec.detach {
            self.input = Input::find(self.maps, self.ids.in_userns)?;
        }
        let shares_network = match spec.network {
            Network::None | Network::Bridge(_) | Network::Slirp | Network::Pasta => false,
            Network::Host => true,
            Network::Namespace(..) | Network::Container(_) => !joined,
        };
        let unless = |is_shared: bool, flag: CloneFlags| if is_shared { CloneFlags::default() } else { flag };
        self.namespaces = CloneFlags::NEWNS
            | unless(spec.host_uts, CloneFlags::NEWUTS)
            | unless(spec.host_ipc || !joined && spec.ipc_of.is_some(), CloneFlags::NEWIPC)
            | unless(spec.host_pid || !joined && spec.pid_of.is_some(), CloneFlags::NEWPID)
            | unless(shares_network, CloneFlags::NEWNET)
            | unless(self.maps.is_none(), CloneFlags::NEWUSER);
        Ok(())
    }

    /// The directory of the host that is its root, or nothing if that is an image.
    fn root_on_host(&self) -> Option<&'static CStr> {
        match self.root.map(|root| &root.source) {
            None | Some(Source::Host) => Some(c"/"),
            Some(Source::Directory(path)) => Some(path),
            Some(Source::Image(_)) => None,
        }
    }
}

/// Makes the plan for `command`, at least one word, none with a NUL.
pub fn make(spec: &'static Spec, host: &'static Host, command: &[&[u8]]) -> Result<&'static Plan> {
    let parts = Parts::find(spec, host, command)?;
    let parent = parent::steps(spec, host, parts).into();
    let child = child::steps(spec, host, parts).into();
    Ok(Box::leak(Box::new(Plan { spec, host, parent, child, parts })))
}

impl Plan {
    /// The words of the command.
    pub fn words(&self) -> impl Iterator<Item = &'static [u8]> {
        bytes::split(self.parts.words.strip_suffix(b"\0").unwrap_or_default(), 0)
    }
}
