//! `mydocker check`: what this host offers. It tries: most lines are a run in miniature, as somebody would type it, of a
//! command that cannot be executed. What gets as far as execve works; what does not says why, as a run would.

use crate::cgroup::{Controllers, Host, Version};
use crate::error::{Errno, Error, Result};
use crate::plan::Plan;
use crate::run;
use crate::sys::{self, CloneFlags, MountFlags, OpenFlags};
use crate::text::{self, Put};
use alloc::vec::Vec;
use core::ffi::CStr;

/// Makes the plan of what somebody types.
pub type Planner<'a> = dyn Fn(&[&[u8]]) -> Result<&'static Plan> + 'a;

/// Tries, and says what came of it; and whether a run without options works. Nothing is left.
pub fn check(json: bool, plan: &Planner) -> (Vec<u8>, bool) {
    let mut report = Report { json, out: Vec::new() };
    let release = sys::uname(2);
    report.line("kernel", "Linux 5.10 or newer is needed", new_enough(&release).map(|()| release.as_slice()));
    report.line("architecture", "", Ok(&sys::uname(4)));
    report.runs(plan, NAMESPACES);
    report.line("cgroup namespace", "", in_child(CloneFlags::NEWCGROUP, || Ok(())));
    report.user_namespace();
    report.cgroups();
    report.runs(plan, LIMITS);
    report.line("pivot_root", "", pivot_root());
    report.runs(plan, ROOTS);
    report.line("loop", "modprobe loop", sys::open(c"/dev/loop-control", OpenFlags::RDWR).map(|_| &b""[..]));
    for (name, fstype) in [("squashfs", c"squashfs"), ("erofs", c"erofs"), ("ext4", c"ext4")] {
        report.line(name, "modprobe it", sys::fsopen(fstype).map(|_| &b"for images"[..]));
    }
    report.line("seccomp", "a kernel with CONFIG_SECCOMP_FILTER", sys::has_seccomp().map(|()| &b""[..]));
    report.runs(plan, TERMINAL);
    let terminal: &[u8] = if sys::tcgets(0).is_some() { b"stdin is one" } else { b"stdin is none, and need not be" };
    report.line("terminal", "", Ok(terminal));
    let works = report.run(plan, "run", "", "");
    report.out.put(match (json, works) {
        (true, true) => b"],\"works\":true}\n",
        (true, false) => b"],\"works\":false}\n",
        (false, _) => b"",
    });
    (report.out, works)
}

/// A run: what it shows, its options, and what to do where it fails and its message does not tell.
type Trial = (&'static str, &'static str, &'static str);

const NAMESPACES: &[Trial] = &[
    ("mount namespace", "--no-limits --uts host --ipc host --pid host --network host", ""),
    ("uts namespace", "--no-limits --ipc host --pid host --network host", ""),
    ("ipc namespace", "--no-limits --uts host --pid host --network host", ""),
    ("pid namespace", "--no-limits --uts host --ipc host --network host", ""),
    ("network namespace", "--no-limits --uts host --ipc host --pid host", ""),
];

const LIMITS: &[Trial] = &[
    ("-m", "-m 200m --memory-swap max", "cgroup_enable=memory on the kernel's command line"),
    ("--memory-swap", "-m 200m", "swapaccount=1 on the kernel's command line"),
    ("--cpu-shares", "-m max --cpu-shares 512", ""),
    ("--cpus", "-m max --cpus 1", "a kernel with CONFIG_CFS_BANDWIDTH"),
    ("--cpu-set", "-m max --cpu-set ALLOWED", ""),
    ("--pids-limit", "-m max --pids-limit 100", ""),
];

const ROOTS: &[Trial] = &[("overlay", "--no-limits --ephemeral", "modprobe overlay")];

const TERMINAL: &[Trial] = &[("devpts", "--no-limits -t", "")];

/// The lines so far.
struct Report {
    json: bool,
    out: Vec<u8>,
}

impl Report {
    /// One line: what works, with a word about it; or what does not, why, and the `mend`.
    #[inline(never)]
    fn line(&mut self, name: &str, mend: &'static str, result: Result<&[u8]>) -> bool {
        let works = result.is_ok();
        let mut said = Vec::new();
        match result {
            Ok(word) => said.put(word),
            // What only lacks the right, needs another user and no mending.
            Err(error) if !error.cause().hint.is_empty() || mend.is_empty() || error.is(Errno::EACCES) => {
                error.print(&mut said);
            }
            Err(error) => error.with_hint(mend).print(&mut said),
        }
        let said = text::trimmed(said.strip_prefix(b"mydocker: ").unwrap_or(&said));
        let out = &mut self.out;
        if self.json {
            out.put(if out.is_empty() { b"{\"checks\":[{\"name\":" } else { b",{\"name\":" });
            out.put_json(name.as_bytes());
            out.put(if works { b",\"works\":true,\"says\":" } else { b",\"works\":false,\"says\":" });
            out.put_json(said);
            out.put(b"}");
        } else {
            let end = out.len() + 20;
            out.put(name.as_bytes());
            while out.len() < end {
                out.put(b" ");
            }
            out.put(if works { b"yes  " } else { b"no   " });
            out.put(said);
            out.put(b"\n");
        }
        works
    }

    fn runs(&mut self, plan: &Planner, trials: &[Trial]) {
        for (name, options, mend) in trials {
            self.run(plan, name, options, mend);
        }
    }

    /// A run with these options, of a command that is there and cannot be executed.
    #[inline(never)]
    fn run(&mut self, plan: &Planner, name: &str, options: &str, mend: &'static str) -> bool {
        let status = sys::read_file(c"/proc/self/status").unwrap_or_default();
        let mut words: Vec<&[u8]> = alloc::vec![b"run"];
        for word in text::words(options.as_bytes()) {
            words.push(match word {
                b"ALLOWED" => text::field(&status, b"Cpus_allowed_list:").unwrap_or(b"0"),
                word => word,
            });
        }
        words.push(b"/");
        let result = match plan(&words).and_then(|plan| run::carry_out(plan, &mut None)) {
            Err(error) if error.status() != 126 => Err(error),
            _ => Ok(&b""[..]),
        };
        self.line(name, mend, result)
    }

    /// Which hierarchy carries what, and where it is.
    fn cgroups(&mut self) {
        let host = Host::find(Controllers::NONE);
        for (controller, name) in Controllers::NAMED {
            let mut place = Vec::new();
            let found = host.as_ref().map_err(|error| *error).and_then(|host| {
                let hierarchy = host.hierarchies.iter().find(|hierarchy| hierarchy.controllers.has(*controller));
                let Some(hierarchy) = hierarchy else {
                    return Err(Error::refused("no cgroup hierarchy of this host carries", &[name], "is it mounted?"));
                };
                place.put(if hierarchy.version == Version::V1 { b"v1, " } else { b"v2, " });
                place.put(hierarchy.top.path());
                place.put(b", own group ");
                place.put(hierarchy.own.to_bytes());
                Ok(place.as_slice())
            });
            let mut line = b"cgroup ".to_vec();
            line.put(name);
            self.line(core::str::from_utf8(&line).unwrap_or_default(), "", found);
        }
    }

    /// A user namespace is worth something if there is power in it: the child sets its hostname.
    fn user_namespace(&mut self) {
        let forbidden = [
            (
                c"/proc/sys/user/max_user_namespaces",
                &b"0"[..],
                "write more than 0 to /proc/sys/user/max_user_namespaces",
            ),
            (
                c"/proc/sys/kernel/unprivileged_userns_clone",
                b"0",
                "write 1 to /proc/sys/kernel/unprivileged_userns_clone",
            ),
            (
                c"/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                b"1",
                "write 0 to /proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            ),
        ];
        let because = forbidden
            .iter()
            .find(|(file, value, _)| sys::read_file(file).is_ok_and(|content| text::trimmed(&content) == *value));
        let mend = because.map_or("a kernel with CONFIG_USER_NS", |(_, _, mend)| mend);
        let result = in_child(CloneFlags::NEWUSER | CloneFlags::NEWUTS, || sys::sethostname(b"check"));
        self.line("user namespace", mend, result);
    }
}

fn new_enough(release: &[u8]) -> Result<()> {
    let mut numbers = release.split(|b| !b.is_ascii_digit()).map(|digits| text::decimal(digits).unwrap_or_default());
    match (numbers.next(), numbers.next()) {
        (major, minor) if (major, minor) >= (Some(5), Some(10)) => Ok(()),
        _ => Err(Error::refused("kernel", &[release], "too old: Linux 5.10 or newer is needed")),
    }
}

/// Whether `f` works in a child in new `namespaces`, which then vanishes.
fn in_child(namespaces: CloneFlags, f: fn() -> Result<()>) -> Result<&'static [u8]> {
    let (read, write) = sys::pipe2()?;
    let Some(pid) = sys::fork(namespaces)? else {
        if let Err(error) = f()
            && sys::send_error(&write, error).is_err()
        {
            sys::exit_group(1);
        }
        sys::exit_group(0);
    };
    drop(write);
    let told = sys::receive_error(&read);
    sys::wait4(pid, true)?;
    match told? {
        Some(error) => Err(error),
        None => Ok(b""),
    }
}

/// An initramfs is the one root that cannot be put elsewhere.
fn pivot_root() -> Result<&'static [u8]> {
    const PLACE: &CStr = c"/proc";
    let pivoted = in_child(CloneFlags::NEWNS, || {
        sys::mount(c"none", c"/", c"", MountFlags::REC | MountFlags::SLAVE, None)?;
        sys::mount(c"tmpfs", PLACE, c"tmpfs", MountFlags::NONE, None)?;
        sys::chdir(PLACE)?;
        sys::pivot_root()
    });
    match pivoted {
        Err(e) if e.is(Errno::EINVAL) => Ok(b"not on this root, which is an initramfs: the new root is moved onto it"),
        other => other,
    }
}
