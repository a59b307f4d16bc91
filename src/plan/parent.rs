//! What the parent does, in this order. On v2 the groups come before clone, for the child is born in its own; on v1 they are
//! created while the child mounts, for it joins them after the word to go.

use super::Parts;
use crate::cgroup::Version;
use crate::cgroup::steps::{ApplyLimit, CreateCgroup, EnableController, OpenParentCgroup};
use crate::command::{MakePipes, SendCommand};
use crate::namespaces::{AdoptOrphans, CloneChild};
use crate::report::{OpenPidFile, OpenStatsFile, WritePidFile};
use crate::root::Source;
use crate::root::image::AttachImage;
use crate::signals::BlockSignals;
use crate::spec::{Spec, StatsTo};
use crate::step::ParentStep;
use crate::terminal::ReceiveTerminal;
use crate::userns::MapIds;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The steps of the parent.
pub fn steps(spec: &'static Spec, parts: &'static Parts) -> Vec<Box<dyn ParentStep>> {
    let mut steps: Vec<Box<dyn ParentStep>> = Vec::new();
    if spec.host_pid {
        steps.push(Box::new(AdoptOrphans));
    }
    steps.push(Box::new(BlockSignals));
    steps.push(Box::new(MakePipes { for_terminal: spec.tty, for_undo: parts.undo_on_failure }));
    if let Some(path) = spec.pid_file {
        steps.push(Box::new(OpenPidFile { path }));
    }
    if let Some(StatsTo::File(path)) = spec.stats {
        steps.push(Box::new(OpenStatsFile { path }));
    }
    for group in parts.groups.iter().filter(|group| group.parent != c".") {
        steps.push(Box::new(OpenParentCgroup { group }));
    }
    create_groups(&mut steps, parts, Version::V2);
    if let Some(Source::Image(image)) = parts.root.as_ref().map(|root| &root.source) {
        steps.push(Box::new(AttachImage { image }));
    }
    steps.push(Box::new(CloneChild { flags: parts.namespaces, groups: &parts.groups }));
    if let Some(maps) = &parts.maps {
        steps.push(Box::new(MapIds { maps }));
    }
    if spec.pid_file.is_some() {
        steps.push(Box::new(WritePidFile));
    }
    create_groups(&mut steps, parts, Version::V1);
    if spec.tty {
        steps.push(Box::new(ReceiveTerminal { terminal: &parts.terminal }));
    }
    steps.push(Box::new(SendCommand { words: parts.words }));
    steps
}

/// The groups of one interface, with their limits.
fn create_groups(steps: &mut Vec<Box<dyn ParentStep>>, parts: &'static Parts, version: Version) {
    for group in parts.groups.iter().filter(|group| group.hierarchy.version == version) {
        for enable in &group.enable {
            steps.push(Box::new(EnableController { group, enable }));
        }
        steps.push(Box::new(CreateCgroup { group }));
        for setting in &group.settings {
            steps.push(Box::new(ApplyLimit { group, setting }));
        }
    }
}
