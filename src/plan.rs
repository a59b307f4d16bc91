//! What a run will do, as data: options and host in, two ordered lists of steps out. Read `make` for the order.

use crate::cgroup::{self, Group, PREFIX, Version};
use crate::environment::{self, DEFAULT_PATH, Environment, OWN_PATH};
use crate::error::{Errno, Result};
use crate::mountinfo;
use crate::options::Options;
use crate::privilege::{self, Capabilities};
use crate::rootfs::{self, Root, Source};
use crate::says;
pub use crate::step::{Plan, Stats, Step};
use crate::step::{ReadOnly, SYS};
use crate::sys::{self, CloneFlags, MountFlags};
use crate::text::{self, Put, c_string, to_decimal};
use crate::userns::Maps;
use crate::volumes::Volume;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Makes the plan for `command` (at least one word, none with a NUL) in the caller's environment. It is kept until the
/// process ends: closing its descriptors one by one would only be slower.
pub fn make(options: &'static Options, command: &[&[u8]], caller: &[&'static CStr]) -> Result<&'static Plan> {
    let plan = find(options, command, caller)?;
    let (mut parent, mut child) = (Steps::new(), Steps::new());
    steps_of_parent(&mut parent, options, plan);
    steps_of_child(&mut child, options, plan);
    (plan.parent, plan.child) = (parent.all, child.all);
    Ok(plan)
}

/// The plan without its steps: what the options mean on this host.
// Each part is found in a function of its own: with all of it in one frame, every variable has a long address.
fn find(options: &'static Options, command: &[&[u8]], caller: &[&'static CStr]) -> Result<&'static mut Plan> {
    let plan = Plan::new(options);
    plan.stats = options.stats.map(Stats::begin);
    plan.pid = sys::getpid();
    if !options.host_user && sys::effective_ids().0 != 0 {
        plan.ids = Some(Maps::find());
    }
    let mounts = mounts(options);
    find_root(plan, &mounts)?;
    find_volumes(plan)?;
    let hostname: &[u8] = match hostname(options) {
        Some(hostname) => hostname.as_bytes(),
        None if plan.root.is_some() => sys::hostname().leak(),
        None => b"",
    };
    if plan.root.is_some() {
        plan.files = rootfs::files_of_etc(hostname, options.host_network, &plan.volumes);
    }
    build_environment(plan, hostname, caller)?;
    find_groups(plan, &mounts)?;
    plan.namespaces = namespaces(options, plan.ids.is_some());
    name_groups(plan);
    plan.words = put_words(command);
    plan.undone = plan.root.is_some_and(Root::is_written_to) && !options.read_only;
    let privilege = &options.privilege;
    if privilege.filtered {
        plan.filter = privilege::filter(privilege.capabilities);
    }
    if privilege.confined && plan.root.is_none() {
        plan.read_only = read_only(&mounts);
    }
    Ok(plan)
}

/// The words of the command, each with a NUL after it.
fn put_words(command: &[&[u8]]) -> &'static [u8] {
    let mut words = Vec::new();
    for word in command {
        words.put(word);
        words.put(b"\0");
    }
    words.leak()
}

/// The parent. A v2 group comes before clone, for the child is born in it; v1 groups are made while the child mounts, for
/// it joins them after the word to go.
#[inline(never)]
fn steps_of_parent(parent: &mut Steps, options: &Options, plan: &Plan) {
    if let Some(path) = options.pid_file {
        parent.push(Step::OpenPidFile(c_string(&[path.as_bytes()])));
    }
    if let (Some(path), Some(Stats { file: true, .. })) = (options.stats, plan.stats) {
        parent.push(Step::OpenStatsFile(c_string(&[path.as_bytes()])));
    }
    for (g, group) in plan.groups.iter().enumerate() {
        if !group.is_at_top() {
            parent.push(Step::OpenParent(g));
        }
    }
    make_groups(parent, plan, Version::V2);
    if matches!(plan.root, Some(Root { source: Source::Image(_), .. })) {
        parent.push(Step::AttachImage);
    }
    parent.push(Step::Clone);
    if plan.ids.is_some() {
        parent.push(Step::MapIds);
    }
    if options.pid_file.is_some() {
        parent.push(Step::WritePidFile);
    }
    make_groups(parent, plan, Version::V1);
    if options.tty {
        parent.push(Step::ReceiveTerminal);
    }
    parent.push(Step::SendCommand);
}

#[inline(never)]
fn steps_of_child(child: &mut Steps, options: &Options, plan: &Plan) {
    let privilege = &options.privilege;
    let (own_root, in_userns) = (plan.root.is_some(), plan.ids.is_some());
    if in_userns {
        child.push(Step::AwaitIds);
    }
    child.push(Step::MakeMountsSlave);
    (0..plan.volumes.len()).for_each(|at| child.push(Step::OpenVolume(at)));
    if let Some(root) = plan.root {
        enter_root(child, root, options, in_userns);
    } else if options.read_only {
        child.push(Step::MakeReadOnly);
    }
    if options.user.is_some() {
        child.push(Step::LookUpUser);
    }
    if own_root && in_userns {
        // They are there: made while the host's could still be seen, or the host's.
    } else if own_root || !options.host_pid {
        child.push(Step::MountProc);
    }
    let is_hosts = |volume: &Volume| in_userns && own_root && rootfs::is_hosts(volume);
    if own_root {
        if !in_userns {
            child.push(Step::MountSysfs(privilege.confined));
        }
        child.push(Step::MountDev);
        mount_volumes(child, plan, &is_hosts);
    }
    if own_root || options.tty {
        child.push(Step::MountDevpts);
    }
    if own_root {
        (0..plan.files.len()).for_each(|at| child.push(Step::GiveFile(at)));
        if !options.host_ipc {
            child.push(Step::MountShm(shm_options(options.shm_size)));
        }
        if !(in_userns && options.host_ipc) {
            child.push(Step::MountMqueue);
        }
        if privilege.confined {
            child.push(Step::MaskPaths);
        }
    }
    // What lies below another comes after it.
    let depth = |volume: &Volume| text::split(volume.target.to_bytes(), b'/').count();
    for wanted in 0..=plan.volumes.iter().map(depth).max().unwrap_or(0) {
        mount_volumes(child, plan, &|volume| depth(volume) == wanted && !is_hosts(volume));
    }
    if own_root {
        child.push(Step::SetUmask(0o022));
    }
    if options.tty {
        child.push(Step::OpenTerminal);
    }
    if let Some(hostname) = hostname(options) {
        child.push(Step::SetHostname(hostname.as_bytes()));
    }
    if !options.host_network {
        child.push(Step::BringUpLoopback);
    }
    child.push(Step::ReadOwnStatus);
    if privilege.capabilities != Capabilities::ALL {
        child.push(Step::DropBoundingSet);
    }
    child.push(Step::ReceiveCommand);
    (0..plan.groups.len()).for_each(|g| child.push(Step::JoinGroup(g)));
    if privilege.confined {
        child.push(Step::UnshareCgroup);
    }
    if privilege.confined && !own_root {
        child.push(Step::MakeSysReadOnly);
        // A bind is read-only where its source is.
        plan.groups.iter().for_each(|group| bind_group(child, group, plan.name));
    }
    if let Some(dir) = options.workdir.or(own_root.then_some("/")) {
        child.push(Step::ChangeDirectory(c_string(&[dir.as_bytes()])));
    }
    (0..options.ulimits.len()).for_each(|at| child.push(Step::SetUlimit(at)));
    // Without no_new_privs the filter needs CAP_SYS_ADMIN (seccomp(2)), which is soon gone.
    let filter_first = privilege.filtered && !privilege.no_new_privs;
    if filter_first {
        child.push(Step::LoadFilter);
    }
    if options.user.is_some() {
        child.push(Step::BecomeUser);
    }
    if privilege.capabilities != Capabilities::ALL {
        child.push(Step::SetCapabilities);
    }
    // A change of ids would take it back (prctl(2)).
    child.push(Step::DieWithParent);
    if options.tty {
        child.push(Step::AttachTerminal);
    }
    if privilege.no_new_privs {
        child.push(Step::NoNewPrivileges);
    }
    if privilege.filtered && !filter_first {
        child.push(Step::LoadFilter);
    }
    if options.init {
        child.push(Step::BecomeInit);
    }
    child.push(Step::CloseDescriptors);
    child.push(Step::ResetSignals);
    child.push(Step::Exec);
}

/// Steps in their order.
struct Steps {
    all: Vec<Step>,
    /// In place of a last one that is always there.
    none: Step,
}

impl Steps {
    fn new() -> Steps {
        Steps { all: Vec::new(), none: Step::Exec }
    }

    /// One more, written where it is to be.
    #[inline(always)]
    fn push(&mut self, step: Step) {
        *self.place() = step;
    }

    /// The place for one more: a call, where `Vec` would have all of its growing in every place.
    #[inline(never)]
    fn place(&mut self) -> &mut Step {
        self.all.push(Step::Exec);
        self.all.last_mut().unwrap_or(&mut self.none)
    }
}

/// From the host's root into its own.
fn enter_root(child: &mut Steps, root: &Root, options: &Options, in_userns: bool) {
    child.push(Step::SetUmask(0));
    if root.writes.is_some() {
        child.push(Step::MountWrites);
    }
    match root.source {
        Source::Image(_) => child.push(Step::MountImage),
        Source::Directory(_) if root.writes.is_none() => child.push(Step::BindRoot),
        _ => {}
    }
    (0..root.layers.len()).for_each(|at| child.push(Step::MountLayer(at)));
    if options.read_only {
        child.push(Step::MakeReadOnly);
    }
    child.push(Step::EnterRoot);
    if !in_userns {
        child.push(Step::LeaveOldRoot);
    }
    child.push(Step::CheckRoot);
    if in_userns {
        if !options.host_pid {
            child.push(Step::MountProc);
        }
        if !options.host_network {
            child.push(Step::MountSysfs(options.privilege.confined));
        }
        child.push(Step::LeaveOldRoot);
    }
}

/// The writes to memory stay under half the limit on memory, so that a full disk is no OOM kill.
#[inline(never)]
fn find_root(plan: &mut Plan, mounts: &Result<Vec<u8>>) -> Result<()> {
    let options = plan.options;
    if options.rootfs.is_none() && options.ephemeral.is_none() {
        return Ok(());
    }
    let half = options.limits.memory.map(|memory| memory.value / 2);
    let size = options.ephemeral.flatten().or(half);
    let in_userns = plan.ids.is_some();
    let root = Root::find(options.rootfs, options.ephemeral.is_some(), options.read_only, in_userns, size, mounts)?;
    plan.root = Some(root);
    Ok(())
}

fn shm_options(size: Option<u64>) -> &'static CStr {
    c_string(&[b"mode=1777,size=", &to_decimal(size.unwrap_or(64 << 20))])
}

/// The groups of one interface, with their limits.
fn make_groups(parent: &mut Steps, plan: &Plan, version: Version) {
    for (g, group) in plan.groups.iter().enumerate().filter(|(_, group)| group.hierarchy.version == version) {
        (0..group.enable.len()).for_each(|at| parent.push(Step::EnableController(g, at)));
        parent.push(Step::MakeGroup(g));
        (0..group.settings.len()).for_each(|at| parent.push(Step::ApplySetting(g, at)));
    }
}

/// What the options name, and what a root of its own has from the host.
#[inline(never)]
fn find_volumes(plan: &mut Plan) -> Result<()> {
    let options = plan.options;
    let volumes = &mut plan.volumes;
    volumes.extend_from_slice(&options.volumes);
    for word in options.devices {
        volumes.push(rootfs::device(word)?);
    }
    if plan.root.is_some() && options.host_ipc {
        rootfs::add_host(volumes, c"/dev/shm");
    }
    if plan.root.is_some() && plan.ids.is_some() {
        rootfs::add_hosts(volumes, options.host_network, options.host_pid, options.host_ipc);
    }
    Ok(())
}

fn mount_volumes(child: &mut Steps, plan: &Plan, wanted: &dyn Fn(&Volume) -> bool) {
    for (at, _) in plan.volumes.iter().enumerate().filter(|(_, volume)| wanted(volume)) {
        child.push(Step::MountVolume(at));
    }
}

/// A host whose cgroups cannot be found is no host for a limit that was asked for; defaults do without.
#[inline(never)]
fn find_groups(plan: &mut Plan, mounts: &Result<Vec<u8>>) -> Result<()> {
    let options = plan.options;
    let all = cgroup::needed(&options.limits, false);
    let asked = cgroup::needed(&options.limits, true);
    if all.is_empty() {
        return Ok(());
    }
    match plan.host.find(asked, mounts) {
        Err(_) if asked.is_empty() => Ok(()),
        Err(e) => Err(e),
        Ok(()) => cgroup::add_groups(&mut plan.groups, &plan.host, &options.limits, options.cgroup_parent, all, asked),
    }
}

#[inline(never)]
fn name_groups(plan: &mut Plan) {
    let pid = to_decimal(plan.pid.0 as u64);
    plan.name = c_string(&[PREFIX, plan.options.name.map_or(&pid, str::as_bytes)]);
    plan.tasks = c_string(&[plan.name.to_bytes(), b"/tasks"]);
    plan.procs = c_string(&[plan.name.to_bytes(), b"/cgroup.procs"]);
}

/// What the UTS namespace is to be called, if it is not the host's.
#[inline(never)]
fn hostname(options: &Options) -> Option<&'static str> {
    options.hostname.or(options.name).filter(|_| !options.host_uts)
}

fn namespaces(options: &Options, user: bool) -> CloneFlags {
    let new = |host: bool, flag: CloneFlags| if host { CloneFlags::NONE } else { flag };
    CloneFlags::NEWNS
        | new(options.host_uts, CloneFlags::NEWUTS)
        | new(options.host_ipc, CloneFlags::NEWIPC)
        | new(options.host_pid, CloneFlags::NEWPID)
        | new(options.host_network, CloneFlags::NEWNET)
        | new(!user, CloneFlags::NEWUSER)
}

/// Only what is mounted can be seen, and written to, by path.
#[inline(never)]
fn bind_group(child: &mut Steps, group: &Group, name: &CStr) {
    let top = group.hierarchy.top.path();
    if group.hierarchy.is_mounted() {
        let below = group.parent.to_bytes().get(1..).unwrap_or_default();
        child.push(Step::BindGroup(c_string(&[top, below, b"/", name.to_bytes()]), c_string(&[top])));
    }
}

/// mountinfo, if something is to be looked up in it.
fn mounts(options: &Options) -> Result<Vec<u8>> {
    match options.privilege.confined
        || options.ephemeral.is_some()
        || !cgroup::needed(&options.limits, false).is_empty()
    {
        true => sys::read_file(c"/proc/self/mountinfo"),
        false => Ok(Vec::new()),
    }
}

/// /sys with all below it, and every cgroup elsewhere. Where mountinfo cannot be read, there is no telling of the latter.
#[inline(never)]
fn read_only(mounts: &Result<Vec<u8>>) -> Vec<ReadOnly> {
    let mut found = Vec::new();
    let mut rest = mounts.as_deref().unwrap_or_default();
    if rest.is_empty() {
        found.push(ReadOnly { point: SYS, flags: MountFlags::NONE });
    }
    while let Some(mount) = mountinfo::next(&mut rest) {
        let point = mountinfo::unescape(mount.point);
        let in_sys =
            point.strip_prefix(SYS.to_bytes()).is_some_and(|below| below.is_empty() || below.starts_with(b"/"));
        if in_sys || mount.fstype.starts_with(b"cgroup") {
            let flags = rootfs::flags_of(mount.options, &rootfs::FLAGS);
            found.push(ReadOnly { point: c_string(&[&point]), flags });
        }
    }
    found
}

/// The caller's variables, or with a root of its own a few that everybody expects; then the files', then `-e`.
#[inline(never)]
fn build_environment(plan: &mut Plan, hostname: &[u8], caller: &[&'static CStr]) -> Result<()> {
    let options = plan.options;
    let own_root = plan.root.is_some();
    let mut environment = Environment { caller, variables: Vec::new() };
    if own_root {
        environment.set(OWN_PATH)?;
        environment.set(c_string(&[b"HOSTNAME=", hostname]).to_bytes())?;
        if options.tty {
            environment.set(b"TERM=xterm")?;
        }
        if options.user.is_none() {
            environment.set(b"HOME=/root")?;
        }
    } else {
        environment.variables = caller.to_vec();
    }
    for path in options.env_files {
        match sys::read_file(c_string(&[path.as_bytes()])) {
            Err(e) if e.is(Errno::EISDIR) => return Err(e.with_hint(says!("--env-file needs a file"))),
            file => environment.set_lines(&file?)?,
        }
    }
    for assignment in options.env {
        environment.set(assignment.as_bytes())?;
    }
    plan.environment = environment.variables;
    plan.home_of_user = own_root && environment::get(&plan.environment, b"HOME").is_none();
    plan.path = environment::get(&plan.environment, b"PATH").unwrap_or(DEFAULT_PATH);
    Ok(())
}
