//! One step of a run, and a plan of them: data that can be carried out.

use crate::cgroup::{self, Group, Host, Version};
use crate::error::{Errno, Error, Kind, Result};
use crate::options::Options;
use crate::privilege::Capabilities;
use crate::rootfs::{self, Given, Image, Root};
use crate::says;
use crate::signals;
use crate::sys::{self, CloneFlags, Dir, Fd, MountFlags, Pid, SigSet};
use crate::text;
use crate::user::User;
use crate::userns::Maps;
use crate::volumes::Volume;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Where sysfs is, by custom, and the cgroups below it.
pub const SYS: &CStr = c"/sys";

/// What happens once, at its place in the parent's list or in the child's. Groups are named by their index in the plan.
pub enum Step {
    /// Parent: makes the file for the container's pid, so that it is known early if it cannot be written.
    OpenPidFile(&'static CStr),
    /// Parent: makes the file for the numbers at the end.
    OpenStatsFile(&'static CStr),
    /// Parent: opens the cgroup that a group is made in.
    OpenParent(usize),
    /// Parent: enables one controller in one ancestor, by the index in the group's list. This stays.
    EnableController(usize, usize),
    /// Parent: makes the group's directory and takes its lock.
    MakeGroup(usize),
    /// Parent: writes one of the group's settings and reads it back.
    ApplySetting(usize, usize),
    /// Parent: puts a loop device before the image that is the root.
    AttachImage,
    /// Parent: makes the child, in its namespaces; on v2 in its cgroup.
    Clone,
    /// Parent: says which ids the child's user namespace has.
    MapIds,
    /// Parent: the child's pid, for a supervisor.
    WritePidFile,
    /// Parent: takes over the other side of the container's terminal.
    ReceiveTerminal,
    /// Parent: sends the command, and with it the word to go.
    SendCommand,

    /// Child: can do nothing before its ids are there.
    AwaitIds,
    /// Child: mount events come in from the host, none go out.
    MakeMountsSlave,
    /// Child: the mode of what is made is the mode that is asked for; or the usual one.
    SetUmask(u32),
    /// Child: takes hold of a volume's side on the host, before the host is left.
    OpenVolume(usize),
    /// Child: the root's directory, where it can become the root.
    BindRoot,
    /// Child: the memory that the root's writes go to.
    MountWrites,
    /// Child: the image, through its loop device.
    MountImage,
    /// Child: an overlay over the root, or over a mount below it.
    MountLayer(usize),
    /// Child: nothing can be written to; this does not reach what is mounted later.
    MakeReadOnly,
    /// Child: the root becomes the root.
    EnterRoot,
    /// Child: the old one goes. At once, but that a user namespace gets a new /proc and /sys only as long as it can see
    /// others (mount_namespaces(7)).
    LeaveOldRoot,
    /// Child: the root's `/proc`, `/sys` and `/dev` are directories.
    CheckRoot,
    /// Child: who the command is, by the container's passwd and group.
    LookUpUser,
    /// Child: /sys, read-only or not.
    MountSysfs(bool),
    /// Child: /dev, with the nodes and links that everybody expects.
    MountDev,
    /// Child: puts a file of the container's own over the root's.
    GiveFile(usize),
    /// Child: /dev/shm, with these options.
    MountShm(&'static CStr),
    /// Child: the message queues of the IPC namespace.
    MountMqueue,
    /// Child: hides what the kernel shows of the host in /proc and /sys.
    MaskPaths,
    /// Child: a volume, in the root.
    MountVolume(usize),
    /// Child: a /proc that shows the new PID namespace.
    MountProc,
    /// Child: pseudo-terminals that are not the host's.
    MountDevpts,
    /// Child: opens one as its controlling terminal, and sends the other side to the parent.
    OpenTerminal,
    /// Child: the name of the UTS namespace.
    SetHostname(&'static [u8]),
    /// Child: `lo` is down in a new network namespace.
    BringUpLoopback,
    /// Child: which signals the caller ignores, and which capabilities it has. Before the command comes, for then there
    /// is time.
    ReadOwnStatus,
    /// Child: what the command is not to have, no program that it executes can get.
    DropBoundingSet,
    /// Child: waits for the command; only then do the limits hold.
    ReceiveCommand,
    /// Child: joins a group that it was not born in.
    JoinGroup(usize),
    /// Child: a cgroup namespace, which shows the groups that it has joined as the top.
    UnshareCgroup,
    /// Child: a group, by its path, where its hierarchy is mounted: its limits are where programs look for their own.
    BindGroup(&'static CStr, &'static CStr),
    /// Child: nothing of /sys, and no cgroup, can be written to: root inside would lift its own limits.
    MakeSysReadOnly,
    /// Child: keeps of its capabilities what the command is to have.
    SetCapabilities,
    /// Child: execve gives nothing more.
    NoNewPrivileges,
    /// Child: the seccomp filter.
    LoadFilter,
    /// Child: the working directory, which in a root of its own is made if it is missing.
    ChangeDirectory(&'static CStr),
    /// Child: a resource limit.
    SetUlimit(usize),
    /// Child: becomes the user.
    BecomeUser,
    /// Child: SIGKILL when mydocker dies.
    DieWithParent,
    /// Child: the three streams are the terminal.
    AttachTerminal,
    /// Child: from here on this process only looks after another one, which goes on.
    BecomeInit,
    /// Child: nothing above stderr reaches the command.
    CloseDescriptors,
    /// Child: what the caller ignored or blocked is back at its default.
    ResetSignals,
    /// Child: becomes the command.
    Exec,
}

/// A whole run.
pub struct Plan {
    /// What was asked for.
    pub options: &'static Options,
    /// Which namespaces are new.
    pub namespaces: CloneFlags,
    /// What the parent does, up to the moment when the command is let go.
    pub parent: Vec<Step>,
    /// What the child does, up to the moment when it becomes the command.
    pub child: Vec<Step>,
    /// The host's hierarchies, open.
    pub host: Host,
    /// The groups to make in them, at most one in each.
    pub groups: Vec<Group>,
    /// The groups' name.
    pub name: &'static CStr,
    /// `<name>/tasks`, which v1 is joined through.
    pub tasks: &'static CStr,
    /// `<name>/cgroup.procs`, which v2 is joined through where clone3 cannot.
    pub procs: &'static CStr,
    /// mydocker's own pid.
    pub pid: Pid,
    /// The words of the command, each with a NUL after it.
    pub words: &'static [u8],
    /// Its root; `None`: the host's.
    pub root: Option<&'static Root>,
    /// What is mounted beside it.
    pub volumes: Vec<Volume>,
    /// What it is given.
    pub files: Vec<Given>,
    /// HOME is the user's.
    pub home_of_user: bool,
    /// What is made in the root outlives the run; when the command is not executed, it is undone.
    pub undone: bool,
    /// The command's environment.
    pub environment: Vec<&'static CStr>,
    /// Where the command is looked for.
    pub path: &'static [u8],
    /// With a user namespace: its ids.
    pub ids: Option<&'static Maps>,
    /// Its seccomp filter, if it has one.
    pub filter: Vec<u8>,
    /// What of this host's mounts it cannot write to.
    pub read_only: Vec<ReadOnly>,
    /// Numbers at the end.
    pub stats: Option<&'static Stats>,
}

impl Plan {
    /// Nothing found yet.
    #[inline(never)]
    pub fn new(options: &'static Options) -> &'static mut Plan {
        Box::leak(Box::new(Plan {
            options,
            namespaces: CloneFlags::NEWNS,
            parent: Vec::new(),
            child: Vec::new(),
            host: Host::default(),
            groups: Vec::new(),
            name: c"",
            tasks: c"",
            procs: c"",
            pid: Pid(0),
            words: b"",
            root: None,
            volumes: Vec::new(),
            files: Vec::new(),
            home_of_user: false,
            undone: false,
            environment: Vec::new(),
            path: b"",
            ids: None,
            filter: Vec::new(),
            read_only: Vec::new(),
            stats: None,
        }))
    }
}

/// `--stats`: the form, and what there was before the run.
pub struct Stats {
    /// JSON, or text.
    pub json: bool,
    /// Into a file.
    pub file: bool,
    /// When it began, [`sys::monotonic`].
    pub begun: u64,
    /// What earlier children had used, [`sys::cpu_time_of_children`].
    pub used: [u64; 2],
}

impl Stats {
    /// In the `form` that the command line names, from now on.
    pub fn begin(form: &str) -> &'static Stats {
        Box::leak(Box::new(Stats {
            json: form == "json" || form.ends_with(".json"),
            file: !["", "json"].contains(&form),
            begun: sys::monotonic(),
            used: sys::cpu_time_of_children(),
        }))
    }
}

/// A mount that the command cannot write to.
pub struct ReadOnly {
    /// Where it is.
    pub point: &'static CStr,
    /// Its flags, which a remount must repeat.
    pub flags: MountFlags,
}

/// What the steps of a run make, and later ones use.
pub struct State {
    /// What there is of each group of the plan.
    pub groups: Vec<MadeGroup>,
    /// The child was born in its v2 group and need not join it.
    pub born_in_group: bool,
    /// The end of the error pipe that the child holds.
    pub error_write: Option<Fd>,
    /// The root's image, behind its loop device.
    pub image: Option<Box<Image>>,
    /// For each volume: its side on the host.
    pub trees: Vec<Option<Fd>>,
    /// The old root lies on top of the new one.
    pub old_root: bool,
    /// The ends of the socket that tells what has been made in a root that outlives the run: the parent's, the child's.
    pub made_socket: (Option<Fd>, Option<Fd>),
    /// Who the command will be.
    pub user: Option<Box<User>>,
    /// The ends of the socket that the terminal is sent through: the parent's, the child's.
    pub terminal_socket: (Option<Fd>, Option<Fd>),
    /// The child's side of its terminal.
    pub terminal: Option<Fd>,
    /// The signals that the command must find at their default.
    pub ignored: SigSet,
    /// The child's bounding set, and its permitted capabilities.
    pub capabilities: (Capabilities, Capabilities),
    /// The file for the pid.
    pub pid_file: Option<Fd>,
    /// The file for the numbers.
    pub stats_file: Option<Fd>,
}

impl State {
    /// Nothing made yet.
    #[inline(never)]
    pub fn new(plan: &Plan, error_write: Fd) -> &'static mut State {
        let (mut groups, mut trees) = (Vec::new(), Vec::new());
        groups.resize_with(plan.groups.len(), MadeGroup::default);
        trees.resize_with(plan.volumes.len(), || None);
        Box::leak(Box::new(State {
            groups,
            born_in_group: false,
            image: None,
            trees,
            old_root: false,
            made_socket: (None, None),
            user: plan.options.user.as_ref().map(|_| User::new()),
            error_write: Some(error_write),
            terminal_socket: (None, None),
            terminal: None,
            ignored: SigSet::EMPTY,
            capabilities: (Capabilities::ALL, Capabilities::ALL),
            pid_file: None,
            stats_file: None,
        }))
    }
}

/// What there is of one group.
#[derive(Default)]
pub struct MadeGroup {
    /// The cgroup that it is made in, once it is open, if that is not the hierarchy's top.
    parent: Option<Dir>,
    /// Its directory, with the lock, once it is made.
    pub dir: Option<Dir>,
    /// This host refused it, and nobody had asked for it.
    left_out: bool,
}

impl MadeGroup {
    /// The cgroup that `group`, which this is of, is made in.
    pub fn parent<'a>(&'a self, group: &'a Group) -> Option<&'a Dir> {
        if group.is_at_top() { Some(&group.hierarchy.top) } else { self.parent.as_ref() }
    }
}

impl Step {
    /// Carries the step out. `Clone`, `MapIds`, `WritePidFile`, `ReceiveTerminal`, `SendCommand`, `ReceiveCommand`, `BecomeInit` and `Exec` are the
    /// business of the processes themselves: [`crate::run`] and [`crate::child`].
    pub fn carry_out(&self, plan: &Plan, state: &mut State) -> Result<()> {
        match self {
            Step::OpenPidFile(path) => create_file(path, &mut state.pid_file),
            Step::OpenStatsFile(path) => create_file(path, &mut state.stats_file),
            Step::OpenParent(g) | Step::EnableController(g, _) | Step::MakeGroup(g) | Step::ApplySetting(g, _) => {
                self.carry_out_for_group(*g, plan, state)
            }
            Step::MakeMountsSlave => sys::mount(c"none", c"/", c"", MountFlags::REC | MountFlags::SLAVE, None),
            Step::AttachImage
            | Step::BindRoot
            | Step::MountWrites
            | Step::MountImage
            | Step::MountLayer(_)
            | Step::MakeReadOnly
            | Step::EnterRoot
            | Step::LeaveOldRoot
            | Step::CheckRoot => self.carry_out_for_root(plan, state),
            Step::OpenVolume(v) | Step::MountVolume(v) => self.carry_out_for_volume(*v, plan, state),
            Step::SetUmask(mask) => {
                sys::umask(*mask);
                Ok(())
            }
            Step::MountSysfs(read_only) => rootfs::mount_sysfs(*read_only).map_err(|e| revealing(e, plan)),
            Step::MountDev => rootfs::mount_dev(plan.ids.is_none()),
            Step::GiveFile(at) => match plan.files.get(*at) {
                Some(file) => rootfs::give(file, state.made_socket.1.as_ref()),
                None => Ok(()),
            },
            Step::MountShm(options) => rootfs::mount_shm(options),
            Step::MountMqueue => rootfs::mount_mqueue(),
            Step::MaskPaths => rootfs::mask(),
            Step::MountProc => {
                let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
                sys::mount(c"proc", c"/proc", c"proc", flags, None).map_err(|e| revealing(e, plan))
            }
            Step::MountDevpts => {
                // gid 5 is tty by long custom, if it is there; ptmx for everybody, as on a host.
                let data = match plan.ids.is_none_or(|maps| maps.has_group(5)) {
                    true => c"newinstance,ptmxmode=0666,mode=0620,gid=5",
                    false => c"newinstance,ptmxmode=0666,mode=0620",
                };
                sys::mount(c"devpts", c"/dev/pts", c"devpts", MountFlags::NOSUID | MountFlags::NOEXEC, Some(data))
                    .map_err(|e| e.with_hint(says!("-t needs /dev/pts, and a kernel with devpts")))
            }
            Step::OpenTerminal => open_terminal(state),
            Step::AttachTerminal => match &state.terminal {
                Some(terminal) => (0..3).try_for_each(|stream| sys::dup_to(terminal, stream)),
                None => Ok(()),
            },
            Step::SetHostname(name) => sys::sethostname(name),
            Step::BringUpLoopback => sys::set_interface_up(b"lo"),
            Step::JoinGroup(g) => join(*g, plan, state),
            Step::ChangeDirectory(path) => {
                rootfs::change_directory(path, plan.root.is_some(), state.made_socket.1.as_ref())
            }
            Step::SetUlimit(at) => match plan.options.ulimits.get(*at) {
                Some(limit) => sys::set_limit(limit.resource, limit.soft, limit.hard, limit.name()),
                None => Ok(()),
            },
            Step::LookUpUser => match (&plan.options.user, &mut state.user) {
                (Some(word), Some(user)) => user.look_up(word.as_bytes()),
                _ => Ok(()),
            },
            Step::BecomeUser => become_user(plan, state),
            Step::DieWithParent => {
                sys::die_with_parent()?;
                // The signal is for a death to come; a parent that has died already has left the pipe.
                match &state.error_write {
                    Some(pipe) if sys::reader_is_gone(pipe)? => sys::exit_group(125),
                    _ => Ok(()),
                }
            }
            Step::CloseDescriptors => sys::close_on_exec(state.error_write.as_ref()),
            Step::ReadOwnStatus => {
                read_own_status(state);
                Ok(())
            }
            Step::DropBoundingSet => drop_bounding_set(plan, state),
            Step::MakeSysReadOnly => make_read_only(&plan.read_only),
            Step::UnshareCgroup => match sys::unshare(CloneFlags::NEWCGROUP) {
                // A kernel without cgroups.
                Err(e) if e.is(Errno::EINVAL) => Ok(()),
                other => other,
            },
            Step::BindGroup(path, point) => match sys::mount(path, point, c"", MountFlags::BIND, None) {
                // A group that this host goes without.
                Err(e) if e.is(Errno::ENOENT) => Ok(()),
                other => other,
            },
            Step::SetCapabilities => {
                let (kept, asked) = (plan.options.privilege.capabilities.0, plan.options.privilege.asked.0);
                // Who has become somebody else than root has none left (capabilities(7)).
                let other = state.user.as_ref().is_some_and(|user| user.uid != 0);
                sys::capset(if other { 0 } else { kept & state.capabilities.1.0 | asked })
            }
            Step::NoNewPrivileges => sys::set_no_new_privs(),
            Step::LoadFilter => sys::load_filter(&plan.filter),
            Step::ResetSignals => {
                for signal in state.ignored.numbers() {
                    sys::reset_signal(signal)?;
                }
                sys::set_signal_mask(SigSet::EMPTY).map(drop)
            }
            Step::Clone
            | Step::MapIds
            | Step::WritePidFile
            | Step::ReceiveTerminal
            | Step::SendCommand
            | Step::AwaitIds
            | Step::ReceiveCommand
            | Step::BecomeInit
            | Step::Exec => Ok(()),
        }
    }

    /// A step that puts the root together, or makes it the root.
    fn carry_out_for_root(&self, plan: &Plan, state: &mut State) -> Result<()> {
        let Some(root) = plan.root else {
            // The host's own files, in this mount namespace.
            return if matches!(self, Step::MakeReadOnly) { rootfs::make_read_only(c"/") } else { Ok(()) };
        };
        match self {
            Step::AttachImage => state.image = Image::attach(root)?,
            Step::BindRoot => root.bind()?,
            Step::MountWrites => root.mount_writes()?,
            Step::MountImage => {
                if let Some(image) = &state.image {
                    root.mount_image(image)?;
                }
            }
            Step::MountLayer(at) => {
                if let Some(layer) = root.layers.get(*at) {
                    layer.mount(root)?;
                }
            }
            Step::MakeReadOnly => root.make_read_only()?,
            Step::EnterRoot => state.old_root = root.enter()?,
            Step::LeaveOldRoot if state.old_root => sys::detach(c".")?,
            Step::CheckRoot => rootfs::check(state.made_socket.1.as_ref())?,
            _ => {}
        }
        Ok(())
    }

    fn carry_out_for_volume(&self, v: usize, plan: &Plan, state: &mut State) -> Result<()> {
        let (Some(volume), Some(tree)) = (plan.volumes.get(v), state.trees.get_mut(v)) else { return Ok(()) };
        match self {
            Step::OpenVolume(_) => *tree = rootfs::open_volume(volume)?,
            _ => rootfs::mount_volume(volume, tree.take(), plan.root.is_some(), state.made_socket.1.as_ref())?,
        }
        Ok(())
    }

    /// A step for a group or a setting that nobody asked for may fail: the host goes without.
    #[inline(never)]
    fn carry_out_for_group(&self, g: usize, plan: &Plan, state: &mut State) -> Result<()> {
        let (Some(group), Some(made)) = (plan.groups.get(g), state.groups.get_mut(g)) else { return Ok(()) };
        if made.left_out {
            return Ok(());
        }
        let top = &group.hierarchy.top;
        let (result, asked) = match self {
            Step::OpenParent(_) => (Dir::open(Some(top), group.parent).map(|dir| made.parent = Some(dir)), group.asked),
            Step::EnableController(_, at) => match group.enable.get(*at) {
                Some(enable) => (top.write(enable.file, enable.word).map_err(cgroup::explain), enable.asked),
                None => return Ok(()),
            },
            Step::MakeGroup(_) => match made.parent(group) {
                Some(parent) => (cgroup::make(parent, plan.name).map(|dir| made.dir = Some(dir)), group.asked),
                None => return Ok(()),
            },
            Step::ApplySetting(_, at) => match (group.settings.get(*at), &made.dir) {
                (Some(setting), Some(dir)) => (setting.apply(dir), setting.asked),
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        // What the kernel refuses; that a name is taken already is another matter.
        if let Err(error) = &result
            && matches!(error.cause().kind, Kind::Call | Kind::Limit)
            && !asked
        {
            // A group without its directory is left out whole; without one of its settings it is still a group.
            made.left_out |= matches!(self, Step::OpenParent(_) | Step::MakeGroup(_));
            return Ok(());
        }
        result
    }
}

fn create_file(path: &CStr, file: &mut Option<Fd>) -> Result<()> {
    *file = Some(sys::create_file(path)?);
    Ok(())
}

/// Where /proc does not tell, each signal may be ignored, and each capability there.
fn read_own_status(state: &mut State) {
    let mut buffer = [0u8; 4096];
    // A file that is longer is not looked at: it does not show what is asked for.
    let status = sys::read_up_to(None, c"/proc/self/status", &mut buffer).unwrap_or_default();
    let set = |key| text::field(status, key).and_then(text::from_hexadecimal).map_or(Capabilities::ALL, Capabilities);
    state.ignored = signals::ignored(status).unwrap_or(SigSet::all());
    state.capabilities = (set(b"CapBnd:"), set(b"CapPrm:"));
}

/// One call for each: there is none for all of them (capabilities(7)).
fn drop_bounding_set(plan: &Plan, state: &State) -> Result<()> {
    for number in (0..64).filter(|number| !plan.options.privilege.capabilities.has(*number)) {
        if state.capabilities.0.has(number) && !sys::drop_from_bounding_set(number)? {
            // The kernel's last one has been passed.
            break;
        }
    }
    Ok(())
}

/// The whole tree at /sys in one call, and what of the `mounts` is elsewhere; one by one before Linux 5.12. A mount that is
/// covered by another one is not found at its place, and cannot be written to either.
fn make_read_only(mounts: &[ReadOnly]) -> Result<()> {
    let mut all_below_sys = false;
    for ReadOnly { point, flags } in mounts {
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
            Err(e) if e.is_one_of(&[Errno::EINVAL, Errno::ENOENT, Errno::ENOTDIR]) => {}
            other => other?,
        }
    }
    Ok(())
}

/// A user namespace must not see more than is to be seen already (mount_namespaces(7)).
fn revealing(error: Error, plan: &Plan) -> Error {
    match plan.ids.is_some() && error.is(Errno::EPERM) {
        true => error.with_hint(says!(
            "in a user namespace it takes a /proc and /sys outside of which nothing is masked, and a network of its own"
        )),
        false => error,
    }
}

/// The terminal is the user's, as it is where a login makes one.
fn become_user(plan: &Plan, state: &State) -> Result<()> {
    let Some(user) = &state.user else { return Ok(()) };
    if let Some(terminal) = &state.terminal {
        sys::give_to(terminal, user.uid)?;
    }
    user.become_it(plan.ids.is_none_or(Maps::leaves_groups))
}

fn open_terminal(state: &mut State) -> Result<()> {
    let master = sys::open_pty(c"/dev/pts/ptmx")?;
    let slave = sys::open_peer(&master)?;
    sys::control(&slave)?;
    if let Some(socket) = state.terminal_socket.1.take() {
        sys::send_fd(&socket, &master, b"\0")?;
    }
    state.terminal = Some(slave);
    Ok(())
}

/// v1: the single thread that writes `0` to `tasks` moves at once; a move of a whole thread group through
/// `cgroup.procs` waits for the other CPUs. v2 has only the latter, for hosts where clone3 could not do it.
fn join(g: usize, plan: &Plan, state: &State) -> Result<()> {
    let (Some(group), Some(made)) = (plan.groups.get(g), state.groups.get(g)) else { return Ok(()) };
    let file = match group.hierarchy.version {
        Version::V1 => plan.tasks,
        Version::V2 if state.born_in_group => return Ok(()),
        Version::V2 => plan.procs,
    };
    let Some(parent) = made.parent(group).filter(|_| !made.left_out) else { return Ok(()) };
    match parent.write(file, b"0") {
        // The parent made it after clone, and could not; or the kernel does not take this process, as cpu does not take
        // one with a realtime policy.
        Err(_) if !group.asked => Ok(()),
        Err(e) => Err(explain_join(e)),
        Ok(()) => Ok(()),
    }
}

fn explain_join(error: Error) -> Error {
    if error.is(Errno::ENOSPC) {
        return error.with_hint(says!("the cpuset above has no CPUs or no memory nodes"));
    }
    if error.is(Errno::EOPNOTSUPP) {
        return error.with_hint(says!("the cgroup above holds processes; name another with --cgroup-parent"));
    }
    error
}
