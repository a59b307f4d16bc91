//! What the child does, in this order.

use super::Parts;
use crate::bytes;
use crate::cgroup::Version;
use crate::cgroup::steps::{
    CloseLocks, DetachCgroups, JoinCgroup, MountCgroup, MountCgroups, SetAffinity, UnshareCgroup,
};
use crate::command::{CloseDescriptors, CloseParentsEnds, Execute, ReceiveCommand};
use crate::host::Host;
use crate::init::BecomeInit;
use crate::log::JoinErrors;
use crate::namespaces::{Appear, JoinNamespace, JoinProcesses, SetHostname};
use crate::network::BringUpLoopback;
use crate::network::bridge::{ConfigureInterfaces, Setup};
use crate::network::names::OpenHosts;
use crate::privilege::{Confinement, JoinSessionKeyring, SetNoNewPrivileges};
use crate::root::dev::{MountDev, MountRoomForFiles, MountShm, SHM, is_userns_bind};
use crate::root::enter::{
    BindRoot, CheckRoot, EnterRoot, ForbidDevices, LeaveOldRoot, MakeMountsSlave, MakeRootReadOnly, SetUmask,
    propagation_of,
};
use crate::root::etc::BindEtcFile;
use crate::root::image::MountImage;
use crate::root::kernel::{MakeSysReadOnly, MaskPaths, MountMqueue, MountProc, MountSysfs, USUAL, thermal_counters};
use crate::root::layer::{MountLayer, MountWrites};
use crate::root::own::CheckOwnMounts;
use crate::root::workdir::{ChangeDirectory, ChangeDirectoryAsUser};
use crate::root::{Root, Source};
use crate::signals::{DieWithParent, LeadSession, ResetSignals};
use crate::spec::{Content, Network, Spec, Volume};
use crate::step::{ChildStep, List, Slot, Steps};
use crate::streams::ReopenStdin;
use crate::sys::{self, CloneFlags, Fd, MountFlags};
use crate::sysctl::{SetOomScoreAdj, SetSysctl};
use crate::terminal::{AttachTerminal, BindConsole, MountDevpts, OpenTerminal};
use crate::ulimit::SetUlimit;
use crate::user::{BecomeUser, LeaveGroups, LookUpUser};
use crate::userns::AwaitIds;
use crate::volume::{MountVolume, OpenVolume};
use alloc::vec::Vec;
use core::ffi::CStr;

/// The steps of the child.
pub fn steps(spec: &'static Spec, host: &'static Host, parts: &'static Parts) -> Steps<dyn ChildStep> {
    let privilege = &spec.privilege;
    let own_root = parts.root.is_some();
    let in_userns = parts.ids.in_userns;
    let mut steps = Steps::<dyn ChildStep>::default();
    steps.add(CloseParentsEnds);
    // The child has copies of the locks of v2; the groups of v1 are created after clone.
    if parts.groups.iter().any(|group| group.hierarchy.version == Version::V2) {
        steps.add(CloseLocks { groups: &parts.groups });
    }

    // The mounts, while the parent creates the groups.
    let new_userns = parts.maps.is_some();
    if new_userns {
        steps.add(AwaitIds);
    }
    if let Network::Namespace(path, word) = spec.network {
        // Before anything is mounted: /sys shows the network of the process that mounts it.
        steps.add(JoinNamespace { path, word, kind: CloneFlags::NEWNET });
    }
    if let Some((path, name)) = spec.ipc_of {
        // Likewise: mqueue shows the queues of the process that mounts it.
        steps.add(JoinNamespace { path, word: name, kind: CloneFlags::NEWIPC });
    }
    if let Some((process, name)) = spec.pid_of {
        steps.add(JoinProcesses { process, name, noted: spec.pid_of_root, keeps_outer: own_root });
    }
    steps.add(MakeMountsSlave);
    if let Some(input) = &parts.input {
        steps.add(ReopenStdin { input });
    }
    for (volume, tree) in &parts.volumes {
        if let Some(source) = volume.content.source() {
            let known = parts.known.iter().find(|(path, _)| *path == source).map(|(_, file)| *file);
            steps.add(OpenVolume { source, known, tree });
        }
    }
    if let Some(names) = parts.names.filter(|_| parts.etc_files.iter().any(|file| file.tree.is_some())) {
        steps.add(OpenHosts { names });
    }
    let forbids_devices = own_root && privilege.confined;
    let propagation_of_root = match parts.root.map(|root| (&root.source, root.writes)) {
        Some((Source::Directory(source), None)) if forbids_devices || spec.read_only => propagation_of(source, host),
        _ => MountFlags::NONE,
    };
    match parts.root {
        Some(root) => enter_root(&mut steps, root, spec, parts, propagation_of_root),
        None if spec.read_only => steps.add(MakeRootReadOnly { path: c"/", propagation: MountFlags::NONE }),
        None => {}
    }
    if own_root && in_userns {
        // enter_root mounts them while the host's can still be seen, or they are bound from the host.
    } else if own_root || !spec.host_pid && spec.pid_of.is_none() {
        steps.add(MountProc { in_userns });
    }
    let is_bind = |volume: &Volume| in_userns && own_root && is_userns_bind(volume);
    let mount_volumes = |steps: &mut Steps<dyn ChildStep>, wanted: &dyn Fn(&Volume) -> bool| {
        for (volume, tree) in parts.volumes.iter().filter(|(volume, _)| wanted(volume)) {
            let propagation = match volume.content {
                Content::Host { source, read_only, devices: false } if read_only || forbids_devices => {
                    propagation_of(source, host)
                }
                _ => MountFlags::NONE,
            };
            steps.add(MountVolume {
                volume,
                tree,
                create: own_root || is_in_memory(volume.target, &parts.volumes, spec.host_ipc),
                forbid_devices: forbids_devices,
                propagation,
                room: MountVolume::room(volume),
                root_on_host: parts.root_on_host(),
            });
        }
    };
    // The host's, which lists the mounts that ForbidDevices looks for.
    let is_proc = |volume: &Volume| is_bind(volume) && volume.target == c"/proc";
    mount_volumes(&mut steps, &is_proc);
    if forbids_devices {
        steps.add(ForbidDevices { propagation: propagation_of_root });
    }
    if let Some(word) = spec.user {
        steps.add(LookUpUser { word, groups: spec.groups, root: parts.root_on_host() });
    }
    if own_root {
        if !in_userns {
            steps.add(MountSysfs { read_only: privilege.confined, in_userns });
        }
        steps.add(MountDev { with_nodes: !in_userns });
    }
    mount_volumes(&mut steps, &|volume| is_bind(volume) && !is_proc(volume));
    let set_up_network = |steps: &mut Steps<dyn ChildStep>| match (spec.network, parts.bridge) {
        (Network::None | Network::Slirp | Network::Pasta, _) => steps.add(BringUpLoopback),
        (Network::Bridge(_), Some(bridge)) => {
            steps.add(ConfigureInterfaces { setup: Slot::new(Some(Setup::new(bridge))) });
        }
        _ => {}
    };
    // Otherwise it is set up later: it waits for the address that the parent finds.
    let sets_interface = spec.sysctls.iter().any(|(path, _)| bytes::has_part(path.to_bytes(), b'/', b"eth0"));
    if sets_interface {
        set_up_network(&mut steps);
    }
    // A network that others reach, or a command that runs as another user.
    let is_reached = !matches!(spec.network, Network::None) || !spec.ports.is_empty();
    if (spec.user.is_some() || is_reached) && spec.network.is_new() {
        // As docker has it, a user may ping, and listen on any port, in a network of the container's own.
        steps.add(SetSysctl { path: c"/proc/sys/net/ipv4/ip_unprivileged_port_start", value: b"0", explicit: false });
        if !in_userns {
            steps.add(SetSysctl {
                path: c"/proc/sys/net/ipv4/ping_group_range",
                value: b"0 2147483647",
                explicit: false,
            });
        }
    }
    for (path, value) in &spec.sysctls {
        steps.add(SetSysctl { path, value, explicit: true });
    }
    // Before anything is mounted at a path that the root may lead elsewhere: what hides the files is the container's /dev/null.
    if own_root && privilege.confined {
        steps.add(MaskPaths { thermal_counters: thermal_counters() });
    }
    if own_root || spec.tty {
        steps.add(MountDevpts { has_tty_group: parts.ids.has_tty_group });
    }
    if !own_root && parts.etc_files.iter().any(|file| file.tree.is_none()) {
        steps.add(MountRoomForFiles);
    }
    for file in &parts.etc_files {
        steps.add(BindEtcFile { file, read_only: spec.read_only });
    }
    if !spec.host_ipc {
        let size = bytes::to_decimal(spec.shm_size.unwrap_or(64 << 20));
        steps.add(MountShm {
            options: bytes::c_string(&[b"mode=1777,size=", &size]),
            may_be_missing: !own_root && spec.shm_size.is_none(),
        });
    }
    if own_root && !(in_userns && spec.host_ipc) {
        steps.add(MountMqueue);
    }
    // A volume that is below another one comes after it.
    let depth = |volume: &Volume| bytes::split(volume.target.to_bytes(), b'/').count();
    let mut deepest = 0;
    for (volume, _) in &parts.volumes {
        deepest = deepest.max(depth(volume));
    }
    for wanted in 0..=deepest {
        mount_volumes(&mut steps, &|volume| depth(volume) == wanted && !is_bind(volume));
    }
    if own_root {
        steps.add(CheckOwnMounts);
        steps.add(SetUmask { mask: 0o022 });
    }

    // What concerns the process itself.
    steps.add(LeadSession);
    if spec.tty {
        steps.add(OpenTerminal { ptmx: c"/dev/pts/ptmx" });
        steps.add(BindConsole { create: own_root });
    }
    if let Some(name) = parts.uts_name {
        steps.add(SetHostname { name });
    }
    if !sets_interface {
        set_up_network(&mut steps);
    }
    let mut confinement = Confinement::new(privilege, host, new_userns);
    if let Some(step) = confinement.drop_bounding_set.take() {
        steps.add(step);
    }

    let mut shown: Vec<_> = parts.groups.iter().copied().filter(|group| group.shown).collect();
    // On v1 an ordinary user often cannot make the groups of default limits. A privileged container without a group of its own stays
    // in its caller's.
    if in_userns && !privilege.confined {
        shown.retain(|group| group.explicit || group.hierarchy.version == Version::V2);
    }
    // A privileged container may make groups below its own.
    let flags = if privilege.confined { USUAL | MountFlags::RDONLY } else { USUAL };
    // What the user mounts there is not covered; in a user namespace that may be the host's /sys.
    let is_in_sys = |(volume, _): &(Volume, _)| bytes::below(volume.target.to_bytes(), b"/sys").is_some();
    let covers_users = parts.volumes.iter().any(is_in_sys);
    let has_namespace = privilege.confined || !shown.is_empty();
    let (mut on_host, mut mounts) = (Vec::new(), Vec::new());
    if !own_root && has_namespace && !covers_users {
        for &hierarchy in &parts.hierarchies {
            let group = parts.groups.iter().copied().find(|group| core::ptr::eq(group.hierarchy, hierarchy));
            on_host.extend(MountCgroup::on_host(hierarchy, group, host, flags, in_userns, &mut mounts));
        }
    }
    if privilege.confined && !own_root {
        steps.add(MakeSysReadOnly::new(host));
    }
    if !mounts.is_empty() {
        steps.add(DetachCgroups { mounts });
    }

    // The barrier: the limits hold.
    steps.add(ReceiveCommand);
    for group in &parts.groups {
        steps.add(JoinCgroup { group });
    }
    if let Some(step) = spec.limits.cpus.and_then(|list| SetAffinity::new(list, host.status.cpus)) {
        steps.add(step);
    }
    if has_namespace {
        steps.add(UnshareCgroup);
    }
    if own_root && !shown.is_empty() && !covers_users {
        steps.add(MountCgroups::new(&shown, host, flags));
    }
    for step in on_host {
        steps.add(step);
    }
    if let Some(value) = spec.oom_score_adj {
        steps.add(SetOomScoreAdj { value });
    }
    if !own_root && spec.pid_of.is_some() {
        // Up to here this process needed the host's /proc, for the names of its descriptors.
        steps.add(MountProc { in_userns });
    }
    let in_memory = |path| is_in_memory(path, &parts.volumes, spec.host_ipc);
    let create_workdir = own_root || spec.workdir.is_some_and(in_memory);
    become_command(&mut steps, spec, host, parts, confinement, create_workdir, spec.pid_of.is_some());
    steps
}

/// What is left to do in the container: the same for `run` and for `exec`. With `appears` only now a process is to be seen there,
/// or in the other container whose processes it joins.
pub fn become_command(
    steps: &mut Steps<dyn ChildStep>,
    spec: &'static Spec,
    host: &'static Host,
    parts: &'static Parts,
    confinement: Confinement,
    create_workdir: bool,
    appears: bool,
) {
    let privilege = &spec.privilege;
    let Confinement { set_capabilities, mut load_filter, .. } = confinement;
    if let Some(path) = spec.workdir.or(spec.has_own_root().then_some(c"/")) {
        steps.add(ChangeDirectory { path, create: create_workdir, for_user: spec.user.is_some() });
    }
    for limit in &spec.ulimits {
        steps.add(SetUlimit { limit });
    }
    if let Some(mask) = spec.umask {
        steps.add(SetUmask { mask });
    }

    // Privilege.
    if let Some(step) = load_filter.take_if(|_| !privilege.no_new_privs) {
        steps.add(step);
    }
    if spec.user.is_some() {
        steps.add(BecomeUser { may_leave_groups: parts.ids.may_leave_groups });
        if let Some(path) = spec.workdir {
            steps.add(ChangeDirectoryAsUser { path });
        }
    } else if privilege.confined && host.status.has_groups && parts.ids.may_leave_groups {
        steps.add(LeaveGroups);
    }
    if privilege.confined && !privilege.filtered {
        steps.add(JoinSessionKeyring);
    }
    if let Some(step) = set_capabilities {
        steps.add(step);
    }
    if !appears {
        steps.add(DieWithParent);
    }
    if spec.tty {
        steps.add(AttachTerminal);
    } else if spec.detach && !spec.log.is_callers() {
        steps.add(JoinErrors);
    }
    if privilege.no_new_privs {
        steps.add(SetNoNewPrivileges);
    }
    if let Some(step) = load_filter {
        steps.add(step);
    }
    let first = 3 + spec.passed;
    if appears {
        steps.add(Appear { first, waits: spec.pid_of.is_some() });
        steps.add(DieWithParent);
    }
    if spec.init {
        steps.add(BecomeInit { has_terminal: spec.tty, ignored: host.status.ignored });
    }
    if !appears {
        steps.add(CloseDescriptors { first });
    }
    steps.add(ResetSignals { ignored: host.status.ignored });
    steps.add(Execute { command: &parts.command });
}

/// Whether a place lies in memory of the container's own: then a directory that is missing can be made there.
fn is_in_memory(place: &CStr, all: &[(Volume, Slot<Fd>)], host_ipc: bool) -> bool {
    let is_above = |point: &CStr| bytes::below(place.to_bytes(), point.to_bytes()).is_some_and(|rest| !rest.is_empty());
    let mut nearest: Option<&Volume> = None;
    for (other, _) in all {
        if is_above(other.target)
            && nearest.is_none_or(|found| found.target.count_bytes() <= other.target.count_bytes())
        {
            nearest = Some(other);
        }
    }
    match nearest {
        Some(volume) => matches!(volume.content, Content::Memory { .. }),
        // Shared memory is its own, where the host has any.
        None => is_above(SHM) && !host_ipc && sys::is_directory(SHM),
    }
}

/// From the host's root into its own.
fn enter_root(
    steps: &mut Steps<dyn ChildStep>,
    root: &'static Root,
    spec: &Spec,
    parts: &Parts,
    propagation: MountFlags,
) {
    let in_userns = parts.ids.in_userns;
    // With the umask 0, new files get exactly the mode that the call names.
    steps.add(SetUmask { mask: 0 });
    if let Some(options) = root.writes {
        steps.add(MountWrites { options });
    }
    match &root.source {
        Source::Image(image) => steps.add(MountImage { image, below_writes: root.writes.is_some() }),
        Source::Directory(path) if root.writes.is_none() => steps.add(BindRoot { path, known: root.known }),
        Source::Directory(_) | Source::Host => {}
    }
    for layer in &root.layers {
        steps.add(MountLayer { layer });
    }
    let path = root.staging_path();
    if spec.read_only {
        steps.add(MakeRootReadOnly { path, propagation });
    }
    steps.add(EnterRoot { path, new_userns: parts.maps.is_some() });
    if !in_userns {
        steps.add(LeaveOldRoot);
    }
    steps.add(CheckRoot);
    if in_userns {
        if !spec.host_pid {
            steps.add(MountProc { in_userns });
        }
        if spec.network.is_new() {
            steps.add(MountSysfs { read_only: spec.privilege.confined, in_userns });
        }
        steps.add(LeaveOldRoot);
    }
}
