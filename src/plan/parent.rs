//! What the parent does, in this order. On v2 the groups come before clone, for the child is born in its own cgroup; on v1 they are
//! created while the child mounts, for it joins them after the word to go.

use super::Parts;
use crate::bytes;
use crate::cgroup::Version;
use crate::cgroup::steps::{ApplyLimit, CreateCgroup, EnableController, OpenParentCgroup};
use crate::command::{LetGo, MakePipes, SendCommand};
use crate::host::Host;
use crate::log::DetachStreams;
use crate::namespaces::{AdoptOrphans, AwaitSuccessor, CloneChild, SetNotDumpable};
use crate::network::bridge::{self, ConnectToBridge, EnableForwarding, MakeBridge, Masquerade, SayNotForwarded};
use crate::network::guard::GuardBridge;
use crate::network::names::{self, MakeHosts, TellNames};
use crate::network::publish::{self, Listen, StartRelay};
use crate::network::slirp::{StartPasta, StartSlirp};
use crate::report::{OpenPidFile, OpenStatsFile, WriteCidFile, WritePidFile};
use crate::root::Source;
use crate::root::image::AttachImage;
use crate::signals::{BlockSignals, StartTimer};
use crate::spec::{Network, Spec, StatsTo};
use crate::state::{self, MakeRecord, NoteProcess};
use crate::step::{List, ParentStep, Slot, Steps};
use crate::sys;
use crate::terminal::ReceiveTerminal;
use crate::userns::MapIds;

/// The steps of the parent.
pub fn steps(spec: &'static Spec, host: &'static Host, parts: &'static Parts) -> Steps<dyn ParentStep> {
    let (joins, has_record) = (spec.pid_of.is_some(), spec.name.is_some());
    // The groups of one interface, with their limits.
    let create_groups = |steps: &mut Steps<dyn ParentStep>, version| {
        for group in parts.groups.iter().filter(|group| group.hierarchy.version == version) {
            for enable in &group.enable {
                steps.add(EnableController { group, enable });
            }
            steps.add(CreateCgroup { group });
            for setting in &group.settings {
                steps.add(ApplyLimit { group, setting });
            }
        }
    };
    let mut steps = Steps::<dyn ParentStep>::default();
    if spec.host_pid {
        steps.add(AdoptOrphans);
    }
    if parts.maps.is_none() {
        steps.add(SetNotDumpable);
    }
    if let Some(Source::Image(image)) = parts.root.map(|root| &root.source) {
        steps.add(AttachImage { image });
    }
    if spec.pid_file.is_some() {
        steps.add(OpenPidFile { output: &parts.outputs.pid });
    }
    if let Some(StatsTo::File(_)) = spec.stats {
        steps.add(OpenStatsFile { output: &parts.outputs.stats });
    }
    if !spec.ports.is_empty() {
        steps.add(Listen { ports: &spec.ports });
    }
    // What is opened up to here may hang, on a filesystem of a network or of another process: there a signal ends mydocker.
    steps.add(BlockSignals { ignores_children: host.status.ignores_children, ignored: host.status.ignored });
    steps.add(MakePipes {
        for_terminal: spec.tty,
        for_input: parts.input.is_some(),
        for_undo: parts.undo_on_failure,
        for_successor: joins,
    });
    if has_record {
        let directory = sys::working_directory().ok();
        steps.add(MakeRecord { spec, host, environment: &parts.environment, directory, kept: &parts.kept });
    }
    if spec.detach {
        steps.add(DetachStreams { spec, file: &parts.outputs.log, log: &parts.log });
    }
    for group in parts.groups.iter().filter(|group| group.parent != c".") {
        steps.add(OpenParentCgroup { group, all: &parts.groups });
    }
    if parts.bridge.is_some() {
        // Before the first thing that it removes.
        steps.add(GuardBridge { spec, host, has_names: parts.names.is_some() });
    }
    if let (Some(bridge), Some(names)) = (parts.bridge, parts.names) {
        steps.add(MakeHosts { spec, bridge, names });
    }
    create_groups(&mut steps, Version::V2);
    steps.add(CloneChild { flags: parts.namespaces, groups: &parts.groups });
    if let Some(maps) = parts.maps {
        steps.add(MapIds { maps });
    }
    if let (Some(bridge), Network::Bridge(wanted)) = (parts.bridge, spec.network) {
        if bridge.index.is_none() {
            steps.add(MakeBridge { bridge });
        }
        steps.add(ConnectToBridge { bridge, address: wanted.address, name: spec.name, mac: wanted.mac });
        steps.add(Masquerade { bridge });
        if parts.names.is_some() {
            steps.add(TellNames { bridge, words: names::words(spec) });
        }
        match bridge::forwards().unwrap_or(false) {
            true => {}
            false if wanted.forward => steps.add(EnableForwarding),
            false => steps.add(SayNotForwarded),
        }
    }
    if matches!(spec.network, Network::Slirp) {
        steps.add(StartSlirp);
    }
    if matches!(spec.network, Network::Pasta) {
        steps.add(StartPasta { in_userns: parts.maps.is_some() });
    }
    let tells = !spec.ports.is_empty() || spec.pid_file.is_some();
    if tells && !joins {
        tell_pid(&mut steps, spec, parts);
    }
    create_groups(&mut steps, Version::V1);
    if spec.tty {
        steps.add(ReceiveTerminal { terminal: &parts.terminal });
    }
    if has_record && !joins {
        note(&mut steps, spec, parts);
    }
    // Late, so that a run that fails before makes no such file.
    if spec.cid_file.is_some() {
        let id = match spec.name {
            Some(name) => name.as_bytes(),
            None => bytes::to_decimal(host.pid.0 as u64).leak(),
        };
        steps.add(WriteCidFile { output: &parts.outputs.cid, id });
    }
    if let Some(seconds) = spec.timeout {
        steps.add(StartTimer { seconds });
    }
    steps.add(SendCommand { words: parts.words, keeps_pipe: joins });
    if joins {
        // Only now is the command's process there, and waits.
        steps.add(AwaitSuccessor);
        if tells {
            tell_pid(&mut steps, spec, parts);
        }
        if has_record {
            note(&mut steps, spec, parts);
        }
        steps.add(LetGo);
    }
    steps
}

/// Tells the pid of the command's process to the relay, which ends with it, and to whoever reads the file.
fn tell_pid(steps: &mut Steps<dyn ParentStep>, spec: &'static Spec, parts: &'static Parts) {
    if !spec.ports.is_empty() {
        let filter = Slot::new(Some(publish::filter()));
        let detached = spec.detach && !spec.log.is_callers();
        steps.add(StartRelay { network: spec.network, in_userns: parts.maps.is_some(), detached, filter });
    }
    if spec.pid_file.is_some() {
        steps.add(WritePidFile);
    }
}

/// Notes that process in its record.
fn note(steps: &mut Steps<dyn ParentStep>, spec: &'static Spec, parts: &'static Parts) {
    // In a chroot no user namespace can be made: user_namespaces(7).
    let shares_root = !spec.has_own_root() && parts.maps.is_none();
    steps.add(NoteProcess { about: state::about(spec, parts.words), shares_root, groups: &parts.groups });
}
