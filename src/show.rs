//! What each step does, in words: for `--dry-run`, as a table or as a shell script, and for `--step`. A new step is a new
//! line in [`Step::shown`].

use crate::cgroup::{Group, Version};
use crate::rootfs::Source;
use crate::step::{Plan, Step};
use crate::sys::CloneFlags;
use crate::text::{self, Put};
use crate::volumes::Content;
use alloc::vec::Vec;
use core::ffi::CStr;

impl Step {
    /// Why; the calls that it makes, as strace would show what matters in them; and the same as a shell command: `#` where
    /// the shell cannot, nothing where it need not. `%1` to `%5` stand for what [`Step::objects`] gives.
    fn shown(&self) -> &'static str {
        match self {
            Step::OpenPidFile(_) => {
                "one that cannot be written ends it here\topenat(\"%1\", O_WRONLY|O_CREAT|O_TRUNC)\t: >%1"
            }
            Step::OpenStatsFile(_) => "the numbers at the end go here\topenat(\"%1\", O_WRONLY|O_CREAT|O_TRUNC)\t#",
            Step::OpenParent(_) => "the cgroup that its own is made in\topenat(\"%1\", O_DIRECTORY)\t",
            Step::EnableController(..) => {
                "the children of this cgroup get a controller; this stays\twrite(\"%1\", \"%2\")\techo %2 >%1"
            }
            Step::MakeGroup(_) => {
                "its cgroup; one without a lock is a leftover\tmkdirat(\"%1\"), flock(LOCK_EX)\tmkdir %1"
            }
            Step::ApplySetting(..) => {
                "a limit, and what the kernel made of it\twrite(\"%1\", \"%2\"), pread64()\techo %2 >%1"
            }
            Step::AttachImage => "a loop device before the image\tioctl(LOOP_CONFIGURE, \"%1\")\t",
            Step::Clone => "the child, in new namespaces\tclone(%1)\t",
            Step::MapIds => "which ids its user namespace has\twrite(/proc/PID/uid_map), .. gid_map\t#",
            Step::WritePidFile => "for whoever looks after it\twrite(%1, PID)\t#",
            Step::ReceiveTerminal => "the other side of its terminal\trecvmsg(SCM_RIGHTS)\t#",
            Step::SendCommand => "the limits hold: the command, and the word to go\twrite(pipe, \"%1\")\t",
            Step::MakeMountsSlave => {
                "mounts come in from the host, none go out\tmount(\"none\", \"/\", MS_REC|MS_SLAVE)\tmount --make-rslave /"
            }
            Step::SetUmask(_) => "what is made has the mode that is asked for\tumask(%1)\tumask %1",
            Step::OpenVolume(_) => "a volume, while the host can be seen\topen_tree(\"%1\", OPEN_TREE_CLONE)\t",
            Step::BindRoot => {
                "pivot_root takes nothing but a mount point\tmount(\"%1\", /proc, MS_BIND|MS_REC)\tmount --rbind %1 /proc"
            }
            Step::MountWrites => {
                "writes go to memory\tmount(tmpfs, /proc, tmpfs, \"%1\")\tmount -t tmpfs -o nosuid,nodev,%1 tmpfs /proc; mkdir /proc/root"
            }
            Step::MountImage => "the image\tmount(\"%1\", \"%2\", MS_RDONLY)\tmkdir -p %2; mount -o loop,ro %1 %2",
            Step::MountLayer(_) => {
                "writes to this mount go to memory\tmount(overlay, \"%2\", overlay, \"%5\")\tcd %1; mkdir %3 %4; mount -t overlay -o %5 overlay %2"
            }
            Step::MakeReadOnly => {
                "nothing here can be written to\tmount_setattr(\"%1\", AT_RECURSIVE, MOUNT_ATTR_RDONLY)\t#"
            }
            Step::EnterRoot => {
                "the root; the old one goes\tchdir(\"%1\"), pivot_root(., .), umount2(., MNT_DETACH)\tcd %1; pivot_root . .; umount -l ."
            }
            Step::CheckRoot => {
                "a link would lead out of the root\tstatx(/proc), statx(/sys), statx(/dev)\tmkdir -p /proc /sys /dev"
            }
            Step::LookUpUser => "who that is, in the container\topenat(/etc/passwd, \"%1\"), openat(/etc/group)\t#",
            Step::MountSysfs(_) => {
                "the devices of its network\tmount(sysfs, /sys, sysfs, \"%1\")\tmount -t sysfs -o nosuid,nodev,noexec,%1 sysfs /sys"
            }
            Step::MountDev => {
                "what every program expects\tmount(tmpfs, /dev), mknodat(), symlinkat()\tmount -t tmpfs -o nosuid,mode=755,size=64m tmpfs /dev; for n in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 /dev/${n%:*} c 1 ${n#*:}; done; mknod -m 666 /dev/tty c 5 0; ln -s /proc/self/fd /dev/fd; ln -s pts/ptmx /dev/ptmx; ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr; mkdir /dev/pts /dev/shm /dev/mqueue"
            }
            Step::GiveFile(_) => {
                "a file of its own over the root's\topenat(\"%1\", O_CREAT), mount(\"%1\", \"%2\", MS_BIND)\t#"
            }
            Step::MountShm(_) => {
                "memory that is shared\tmount(shm, /dev/shm, tmpfs, \"%1\")\tmount -t tmpfs -o nosuid,nodev,noexec,%1 shm /dev/shm"
            }
            Step::MountMqueue => {
                "queues of its IPC namespace\tmount(mqueue, /dev/mqueue)\tmount -t mqueue -o nosuid,nodev,noexec mqueue /dev/mqueue"
            }
            Step::MaskPaths => {
                "hides what the kernel shows of the host\tmount(/dev/null, /proc/kcore, MS_BIND), mount(none, /proc/acpi, ramfs)\t#"
            }
            Step::MountVolume(_) => "a volume, in the root\tmove_mount(\"%1\", \"%2\")\t#",
            Step::MountProc => {
                "shows the new PID namespace\tmount(proc, /proc, proc)\tmount -t proc -o nosuid,nodev,noexec proc /proc"
            }
            Step::MountDevpts => {
                "terminals that are not the host's\tmount(devpts, /dev/pts, devpts)\tmount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5,nosuid,noexec devpts /dev/pts"
            }
            Step::OpenTerminal => "its terminal\tioctl(TIOCGPTPEER), setsid(), ioctl(TIOCSCTTY), sendmsg()\t#",
            Step::SetHostname(_) => "the name of its UTS namespace\tsethostname(\"%1\")\thostname %1",
            Step::BringUpLoopback => "lo is down in a new network\tioctl(SIOCSIFFLAGS, lo, IFF_UP)\tip link set lo up",
            Step::ReadOwnStatus => "what the caller ignores, and is able to\topenat(/proc/self/status)\t",
            Step::DropBoundingSet => "capabilities that no program in it can get\tprctl(PR_CAPBSET_DROP, ..)\t#",
            Step::UnshareCgroup => "its cgroup is the top of what it sees\tunshare(CLONE_NEWCGROUP)\t#",
            Step::BindGroup(..) => {
                "its limits, where programs look for them\tmount(\"%1\", \"%2\", MS_BIND)\tmount --bind %1 %2"
            }
            Step::MakeSysReadOnly => {
                "root inside would lift its own limits\tmount_setattr(/sys, AT_RECURSIVE, MOUNT_ATTR_RDONLY)\t#"
            }
            Step::SetCapabilities => "the capabilities that are left\tcapset()\t#",
            Step::NoNewPrivileges => "execve gives nothing more\tprctl(PR_SET_NO_NEW_PRIVS, 1)\t#",
            Step::LoadFilter => "the system calls that are left\tseccomp(SECCOMP_SET_MODE_FILTER)\t#",
            Step::ReceiveCommand => "waits for the command: only then do the limits hold\tread(pipe)\t",
            Step::JoinGroup(_) => "joins, if it was not born there\twrite(\"%1\", 0)\techo 0 >%1",
            Step::ChangeDirectory(_) => "the working directory\tfchdir(\"%1\")\tcd %1",
            Step::SetUlimit(_) => "a limit of this process\tprlimit64(%1, %2, %3)\tprlimit --pid=$$ --%1=%2:%3",
            Step::BecomeUser => "becomes the user\tsetgroups(), setgid(), setuid()\t#",
            Step::DieWithParent => "SIGKILL when mydocker dies\tprctl(PR_SET_PDEATHSIG, SIGKILL)\t",
            Step::AttachTerminal => {
                "the three streams are the terminal\tdup3(terminal, 0), dup3(terminal, 1), dup3(terminal, 2)\t#"
            }
            Step::BecomeInit => "this one is left to reap, the other one goes on\tclone(SIGCHLD)\t#",
            Step::CloseDescriptors => "nothing above stderr reaches the command\tclose_range(3, ~0, CLOEXEC)\t",
            Step::ResetSignals => "signals are as the command expects them\trt_sigprocmask(SIG_SETMASK, [])\t",
            Step::Exec => "becomes the command\texecve(\"%1\")\texec \"$@\"",
        }
    }

    /// What the step is about: `%1` to `%5`.
    fn objects<'a>(&self, plan: &'a Plan) -> [&'a [u8]; 5] {
        let one = |one: &'a [u8]| [one, b"", b"", b"", b""];
        let two = |one: &'a [u8], two: &'a [u8]| [one, two, b"", b"", b""];
        self.find_objects(plan, &one, &two).unwrap_or_default()
    }

    fn find_objects<'a>(
        &self,
        plan: &'a Plan,
        one: &dyn Fn(&'a [u8]) -> [&'a [u8]; 5],
        two: &dyn Fn(&'a [u8], &'a [u8]) -> [&'a [u8]; 5],
    ) -> Option<[&'a [u8]; 5]> {
        let root = plan.root.as_ref();
        let in_memory = root.is_some_and(|root| root.writes.is_some());
        let place: &[u8] = if in_memory { b"/proc/root" } else { b"/proc" };
        Some(match self {
            Step::OpenPidFile(path) | Step::OpenStatsFile(path) | Step::ChangeDirectory(path) => one(path.to_bytes()),
            Step::OpenParent(g) => one(below(plan.groups.get(*g)?, b"")),
            Step::EnableController(g, at) => {
                let group = plan.groups.get(*g)?;
                let enable = group.enable.get(*at)?;
                let file = enable.file.to_bytes();
                two(
                    text::c_string(&[group.hierarchy.top.path(), file.strip_prefix(b".").unwrap_or(file)]).to_bytes(),
                    enable.word,
                )
            }
            Step::MakeGroup(g) => one(directory(plan, *g, b"")?),
            Step::ApplySetting(g, at) => {
                let setting = plan.groups.get(*g)?.settings.get(*at)?;
                two(directory(plan, *g, setting.file.to_bytes())?, setting.value)
            }
            Step::JoinGroup(g) => {
                let v1 = plan.groups.get(*g)?.hierarchy.version == Version::V1;
                one(directory(plan, *g, if v1 { b"tasks" } else { b"cgroup.procs" })?)
            }
            Step::Clone => {
                let mut flags = Vec::new();
                plan.namespaces.print(&mut flags);
                one(flags.leak())
            }
            Step::SendCommand | Step::Exec => one(text::split(plan.words, 0).next()?),
            Step::SetUmask(mask) => one(if *mask == 0 { b"0" } else { b"022" }),
            Step::AttachImage | Step::MountImage | Step::BindRoot => match &root?.source {
                Source::Host => return None,
                Source::Directory(path) | Source::Image(path) => {
                    two(path.to_bytes(), if in_memory { b"/proc/lower" } else { b"/proc" })
                }
            },
            Step::MountWrites => one(root?.writes?.to_bytes()),
            Step::MountLayer(n) => {
                let layer = root?.layers.get(*n)?;
                [layer.lower, layer.target, layer.upper, layer.work, layer.options].map(CStr::to_bytes)
            }
            Step::MakeReadOnly if root.is_none() => one(b"/"),
            Step::MakeReadOnly | Step::EnterRoot => one(place),
            Step::LookUpUser => one(plan.user?),
            Step::MountSysfs(read_only) => one(if *read_only { b"ro" } else { b"rw" }),
            Step::GiveFile(at) => {
                let file = plan.files.get(*at)?;
                two(file.source.to_bytes(), file.target.to_bytes())
            }
            Step::MountShm(options) => one(options.to_bytes()),
            Step::OpenVolume(at) | Step::MountVolume(at) => {
                let volume = plan.volumes.get(*at)?;
                let source = match &volume.content {
                    Content::Host { source, .. } => source.to_bytes(),
                    Content::Memory { .. } => b"tmpfs",
                };
                two(source, volume.target.to_bytes())
            }
            Step::BindGroup(path, point) => two(path.to_bytes(), point.to_bytes()),
            Step::SetHostname(name) => one(name),
            Step::SetUlimit(at) => {
                let limit = plan.ulimits.get(*at)?;
                let number = |n| if n == u64::MAX { b"unlimited".to_vec() } else { text::to_decimal(n) }.leak();
                [limit.name().as_bytes(), number(limit.soft), number(limit.hard), b"", b""]
            }
            _ => return None,
        })
    }

    /// Puts one of the three parts of `shown` with its objects, each as `put_object` puts it.
    fn put_part(&self, plan: &Plan, part: usize, out: &mut Vec<u8>, put_object: fn(&mut Vec<u8>, &[u8])) {
        let part = text::split(self.shown().as_bytes(), b'\t').nth(part).unwrap_or_default();
        let objects = self.objects(plan);
        let mut rest = part;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match rest {
                [digit @ b'1'..=b'5', after @ ..] if byte == b'%' => {
                    put_object(out, objects.get(usize::from(digit - b'1')).copied().unwrap_or_default());
                    rest = after;
                }
                _ => out.put(&[byte]),
            }
        }
    }
}

/// The path of the cgroup that a group is made in, and of `name` in it.
fn below(group: &Group, name: &[u8]) -> &'static [u8] {
    let parent = group.parent.to_bytes();
    let slash: &[u8] = if name.is_empty() { b"" } else { b"/" };
    text::c_string(&[group.hierarchy.top.path(), parent.strip_prefix(b".").unwrap_or(parent), slash, name]).to_bytes()
}

/// The path of a group's directory, or of `file` in it.
fn directory(plan: &Plan, g: usize, file: &[u8]) -> Option<&'static [u8]> {
    let slash: &[u8] = if file.is_empty() { b"" } else { b"/" };
    Some(below(plan.groups.get(g)?, &[plan.name.to_bytes(), slash, file].concat()))
}

/// As a word of a shell.
fn put_word(out: &mut Vec<u8>, word: &[u8]) {
    out.put(b"'");
    for &byte in word {
        out.put(if byte == b'\'' { b"'\\''" } else { core::slice::from_ref(&byte) });
    }
    out.put(b"'");
}

/// `--dry-run`: the steps of both processes in the order of time. From clone on both are at it: there they stand in turns.
pub fn table(plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    let mut child = plan.child.iter();
    let mut number = 0;
    let mut begun = false;
    for step in &plan.parent {
        put_row(&mut out, plan, &mut number, b"parent", step);
        begun |= matches!(step, Step::Clone);
        // Up to where it waits for the parent.
        if begun
            && !matches!(step, Step::SendCommand)
            && !matches!(child.as_slice().first(), Some(Step::ReceiveCommand))
            && let Some(step) = child.next()
        {
            put_row(&mut out, plan, &mut number, b"    child", step);
        }
        if matches!(step, Step::SendCommand) {
            break;
        }
    }
    for step in child {
        put_row(&mut out, plan, &mut number, b"    child", step);
    }
    out
}

fn put_row(out: &mut Vec<u8>, plan: &Plan, number: &mut u64, who: &[u8], step: &Step) {
    *number += 1;
    out.put(if *number < 10 { b" " } else { b"" });
    out.put_decimal(*number);
    out.put(b"  ");
    out.put_column(who, 11);
    let mut why = Vec::new();
    step.put_part(plan, 0, &mut why, |out, object| out.put_quoted(&[object]));
    out.put_column(&why, 54);
    step.put_part(plan, 1, out, Put::put_escaped);
    out.put(b"\n");
}

/// `--dry-run=sh`: the same with what a shell has.
pub fn script(plan: &Plan) -> Vec<u8> {
    let mut out = b"#!/bin/sh -e\n# What mydocker would do, with what a shell has.\n".to_vec();
    for step in &plan.parent {
        put_command(&mut out, plan, step);
    }
    // What joins, joins first: in a root of its own the paths of its cgroups are gone.
    let mut child = Vec::new();
    for joins in [true, false] {
        for step in plan.child.iter().filter(|step| matches!(step, Step::JoinGroup(_)) == joins) {
            put_command(&mut child, plan, step);
        }
    }
    out.put(b"child=");
    put_word(&mut out, &child);
    out.put(b"\nstatus=0\nunshare --fork --kill-child");
    for (flag, option) in [
        (CloneFlags::NEWNS, &b" --mount --propagation unchanged"[..]),
        (CloneFlags::NEWUTS, b" --uts"),
        (CloneFlags::NEWIPC, b" --ipc"),
        (CloneFlags::NEWPID, b" --pid"),
        (CloneFlags::NEWNET, b" --net"),
        (CloneFlags::NEWUSER, b" --user --map-root-user"),
    ] {
        out.put(if plan.namespaces.has(flag) { option } else { b"" });
    }
    out.put(b" sh -ec \"$child\" sh env -i");
    let words = text::split(plan.words.strip_suffix(b"\0").unwrap_or_default(), 0);
    for word in plan.environment.iter().map(|variable| variable.to_bytes()).chain(words) {
        out.put(b" \\\n    ");
        put_word(&mut out, word);
    }
    out.put(b" || status=$?\n");
    for (g, _) in plan.groups.iter().enumerate() {
        out.put(b"rmdir ");
        put_word(&mut out, directory(plan, g, b"").unwrap_or_default());
        out.put(b"\n");
    }
    out.put(b"exit $status\n");
    out
}

/// One step's command; where a shell has none, a comment that says so. A default may fail.
fn put_command(out: &mut Vec<u8>, plan: &Plan, step: &Step) {
    let start = out.len();
    step.put_part(plan, 2, out, put_word);
    if out.get(start..) == Some(b"#") {
        out.put(b" a shell cannot: ");
        step.put_part(plan, 1, out, Put::put_escaped);
    }
    if let Step::ApplySetting(g, at) = step
        && !plan.groups.get(*g).and_then(|group| group.settings.get(*at)).is_some_and(|setting| setting.asked)
    {
        out.put(b" || :");
    }
    if out.len() > start {
        out.put(b"\n");
    }
}
