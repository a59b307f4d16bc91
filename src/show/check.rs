//! `mydocker check`: what this host offers. It tests each feature, most of them by a run with the options that a user would
//! type, of a command that cannot be executed. A run that gets as far as execve works; another one reports its error as usual.

use crate::bytes::{self, Put};
use crate::cgroup::{Controllers, Version, Wanted, hierarchy};
use crate::error::{Errno, Error, Result};
use crate::network::{bridge, filter};
use crate::plan::Plan;
use crate::process::{self, Beside};
use crate::sys::{self, CloneFlags, FdRef, MountFlags};
use crate::userns;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Makes the plan of a command line.
pub type Planner<'a> = dyn Fn(&[&[u8]]) -> Result<&'static Plan> + 'a;

/// One line: the feature, how it is tested, and the fix if the error has no hint of its own.
struct Trial {
    name: &'static str,
    how: How,
    fix: &'static str,
}

/// How something is tried.
enum How {
    Kernel,
    Architecture,
    CgroupNamespace,
    UserNamespace,
    /// The controller that the name ends with.
    Controller,
    PivotRoot,
    LoopDevices,
    /// The filesystem that it is named after.
    Filesystem,
    Seccomp,
    Terminal,
    Forwarding,
    /// With a run whose other namespaces are those of the host.
    Namespace,
    /// With a run with these options, where ALLOWED stands for the CPUs that this process may use.
    Run(&'static str),
}

const TRIALS: &[Trial] = &[
    Trial { name: "kernel", how: How::Kernel, fix: "" },
    Trial { name: "architecture", how: How::Architecture, fix: "" },
    Trial { name: "mount namespace", how: How::Namespace, fix: "" },
    Trial { name: "uts namespace", how: How::Namespace, fix: "" },
    Trial { name: "ipc namespace", how: How::Namespace, fix: "" },
    Trial { name: "pid namespace", how: How::Namespace, fix: "" },
    Trial { name: "network namespace", how: How::Namespace, fix: "" },
    Trial { name: "cgroup namespace", how: How::CgroupNamespace, fix: "" },
    Trial { name: "user namespace", how: How::UserNamespace, fix: "a kernel with CONFIG_USER_NS" },
    Trial { name: "cgroup memory", how: How::Controller, fix: "" },
    Trial { name: "cgroup cpu", how: How::Controller, fix: "" },
    Trial { name: "cgroup cpuset", how: How::Controller, fix: "" },
    Trial { name: "cgroup pids", how: How::Controller, fix: "" },
    Trial { name: "-m", how: How::Run("-m 200m --memory-swap max"), fix: "boot with cgroup_enable=memory" },
    Trial { name: "--memory-swap", how: How::Run("-m 200m --memory-swap 200m"), fix: "boot with swapaccount=1" },
    Trial { name: "--cpu-shares", how: How::Run("-m max --cpu-shares 512"), fix: "" },
    Trial { name: "--cpus", how: How::Run("-m max --cpus 1"), fix: "a kernel with CONFIG_CFS_BANDWIDTH" },
    Trial { name: "--cpu-set", how: How::Run("-m max --cpu-set ALLOWED"), fix: "" },
    Trial { name: "--pids-limit", how: How::Run("-m max --pids-limit 100"), fix: "" },
    Trial { name: "pivot_root", how: How::PivotRoot, fix: "" },
    // No host has mounts below this folder.
    Trial { name: "overlay", how: How::Run("--no-limits --rootfs /bin --ephemeral"), fix: "" },
    Trial { name: "--ephemeral", how: How::Run("--no-limits --ephemeral"), fix: "" },
    Trial { name: "loop", how: How::LoopDevices, fix: "" },
    Trial { name: "squashfs", how: How::Filesystem, fix: "modprobe squashfs" },
    Trial { name: "erofs", how: How::Filesystem, fix: "modprobe erofs" },
    Trial { name: "ext4", how: How::Filesystem, fix: "modprobe ext4" },
    Trial { name: "seccomp", how: How::Seccomp, fix: "a kernel with CONFIG_SECCOMP_FILTER" },
    Trial { name: "devpts", how: How::Run("--no-limits -t"), fix: "" },
    Trial { name: "terminal", how: How::Terminal, fix: "" },
    Trial { name: "forwarding", how: How::Forwarding, fix: "--network bridge,forward turns it on" },
    Trial { name: "run", how: How::Run(""), fix: "" },
];

/// Tries everything, and returns what came of it; and whether a run without options works, which is the last line. Nothing is
/// left behind.
pub fn check(json: bool, plan: &Planner) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut works = false;
    // The fix of a limit or an option mends nothing where a namespace is missing. The namespaces are tried first.
    let mut has_namespaces = true;
    for trial in TRIALS {
        let mut found = Vec::new();
        let tried = trial.attempt(plan, &mut found);
        works = tried.is_ok();
        has_namespaces &= works || !matches!(trial.how, How::Namespace);
        if let Err(error) = tried {
            let forbidden = if matches!(trial.how, How::UserNamespace) { userns::forbidden() } else { None };
            let error = forbidden.map_or(error, |hint| error.with_hint(hint));
            found.clear();
            // EACCES: another user is needed, not this fix.
            let is_the_fix = !error.is(Errno::EACCES) && (has_namespaces || !matches!(trial.how, How::Run(_)));
            error.print_with(if is_the_fix { trial.fix } else { "" }, &mut found);
        }
        let found = found.strip_prefix(&b"mydocker: "[..]).unwrap_or(&found).trim_ascii();
        if json {
            out.put(if out.is_empty() { b"{\"checks\":[{\"name\":" } else { b",{\"name\":" });
            out.put_json(trial.name.as_bytes());
            out.put(if works { b",\"works\":true,\"says\":" } else { b",\"works\":false,\"says\":" });
            out.put_json(found);
            out.put(b"}");
        } else {
            out.put_column(trial.name.as_bytes(), 20);
            out.put(if works { b"yes  " } else { b"no   " });
            out.put(found);
            out.put(b"\n");
        }
    }
    out.put(match (json, works) {
        (true, true) => b"],\"works\":true}\n",
        (true, false) => b"],\"works\":false}\n",
        (false, _) => b"",
    });
    (out, works)
}

impl Trial {
    /// Tests it; `found` is printed beside the result.
    fn attempt(&self, plan: &Planner, found: &mut Vec<u8>) -> Result<()> {
        match self.how {
            How::Kernel => {
                found.put(&sys::uname(2));
                let mut numbers = bytes::split(found, b'.');
                let mut number = || bytes::decimal(numbers.next().unwrap_or_default()).unwrap_or(0);
                let (major, minor) = (number(), number());
                match major > 5 || major == 5 && minor >= 10 {
                    true => Ok(()),
                    false => Err(Error::refused("kernel", found, "too old: Linux 5.10 or newer is needed")),
                }
            }
            How::Architecture => {
                found.put(&sys::uname(4));
                Ok(())
            }
            How::CgroupNamespace => in_child(CloneFlags::NEWCGROUP | for_user(), || Ok(())),
            // A policy may allow the namespace, and deny the capabilities in it.
            How::UserNamespace => in_child(CloneFlags::NEWUSER | CloneFlags::NEWUTS, || sys::sethostname(b"check")),
            How::Controller => locate(self.name.strip_prefix("cgroup ").unwrap_or_default(), plan, found),
            How::PivotRoot => pivot(found),
            How::LoopDevices => sys::open_loop_control().map(drop),
            How::Filesystem => match sys::detached_mount(bytes::c_string(&[self.name.as_bytes()]), b"") {
                Err(e) if e.is(Errno::EPERM) => Err(e.with_hint(sys::NO_IMAGE)),
                Err(e) if e.is(Errno::ENODEV) => Err(e),
                // There is no file or device to mount, which the kernel sees last.
                _ => Ok(()),
            },
            How::Seccomp => sys::has_seccomp(),
            How::Terminal => {
                let is_terminal = sys::tcgets(FdRef::STDIN).is_some();
                found.put(if is_terminal {
                    b"stdin is a terminal"
                } else {
                    b"stdin is not a terminal; -t works without one"
                });
                Ok(())
            }
            How::Forwarding => forwarding(found),
            How::Namespace => {
                let own = self.name.strip_suffix(" namespace").unwrap_or_default();
                let mut options = b"--no-limits".to_vec();
                for option in &["--uts", "--ipc", "--pid", "--network"] {
                    if !option.ends_with(own) {
                        options.put(b" ");
                        options.put(option.as_bytes());
                        options.put(b" host");
                    }
                }
                run_in_miniature(&options, plan)
            }
            How::Run(options) => run_in_miniature(options.as_bytes(), plan),
        }
    }
}

/// A run with these options, of a command that is there and cannot be executed.
fn run_in_miniature(options: &[u8], plan: &Planner) -> Result<()> {
    let status = sys::read_file(c"/proc/self/status").unwrap_or_default();
    let mut words: Vec<&[u8]> = alloc::vec![b"run"];
    // Privileges are tested once, by the run without options.
    if !options.is_empty() {
        words.push(b"--privileged");
        for word in bytes::split(options, b' ') {
            words.push(match word {
                b"ALLOWED" => bytes::field(&status, b"Cpus_allowed_list:").unwrap_or(b"0"),
                word => word,
            });
        }
    }
    words.push(b"/");
    let mut beside = Beside::default();
    let ended = process::carry_out(plan(&words)?, None, None, &mut beside);
    // It has ended the run, and was meant for all of this.
    if let Some(signal) = beside.end_signal {
        sys::exit_group(128 + signal);
    }
    match ended {
        Err(error) if error.status() != 126 => Err(error),
        _ => Ok(()),
    }
}

/// Which hierarchy carries a controller, and where it is.
fn locate(name: &str, plan: &Planner, found: &mut Vec<u8>) -> Result<()> {
    let hierarchies = hierarchy::find(Controllers::NONE, Wanted::Limits, plan(&[b"run", b"/"])?.host)?;
    let wanted = Controllers::in_list(name.as_bytes(), b',');
    let Some(hierarchy) =
        hierarchies.iter().find(|hierarchy| wanted.without(hierarchy.controllers) == Controllers::NONE)
    else {
        return Err(Error::refused(
            "controller",
            name.as_bytes(),
            "no hierarchy here carries it, or shows this process",
        ));
    };
    found.put(if hierarchy.version == Version::V1 { b"v1, " } else { b"v2, " });
    match hierarchy.top.path {
        path if path.starts_with(b"/") => found.put_escaped(path),
        _ => found.put(b"mounted nowhere"),
    }
    found.put(b", own group ");
    found.put_escaped(hierarchy.callers.to_bytes());
    Ok(())
}

/// Whether `f` works in a child in new `namespaces`, which then vanishes.
fn in_child(namespaces: CloneFlags, f: fn() -> Result<()>) -> Result<()> {
    let (read, write) = sys::pipe2()?;
    let forked = sys::fork(namespaces);
    let forked = if namespaces.has(CloneFlags::NEWUSER) { forked.map_err(userns::explain) } else { forked };
    let Some(pid) = forked? else {
        if let Err(error) = f()
            && sys::send_error(write.borrow(), error).is_err()
        {
            sys::exit_group(1);
        }
        sys::exit_group(0);
    };
    drop(write);
    let reason = sys::receive_error(read.borrow());
    sys::wait4(pid, true)?;
    match reason? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Whether packets come from a bridge to the outside, and back.
fn forwarding(found: &mut Vec<u8>) -> Result<()> {
    let chains = filter::dropping();
    // What it takes to read them, a bridge takes too. Without nf_tables they are nobody's to read.
    if let Err(error) = &chains
        && (error.is(Errno::EPERM) || for_user() != CloneFlags::NONE)
    {
        return Err(Error::refused("--network bridge", &[], bridge::NEEDS_ROOT));
    }
    if let Ok(chains) = &chains
        && !chains.is_empty()
    {
        let among = sys::read_file(c"/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|value| value == b"1\n");
        let hint = match among {
            true => "accept it there, also from one container to another: net.bridge.bridge-nf-call-iptables is 1",
            false => "accept it there: published ports work without",
        };
        return Err(Error::refused("a firewall drops what is forwarded:", chains, hint));
    }
    if !bridge::forwards()? {
        return Err(Error::refused("this host forwards no packets", b"", ""));
    }
    // What the older iptables have is not among the chains.
    let has_others = sys::read_file(c"/proc/net/ip_tables_names").is_ok_and(|names| !names.is_empty());
    found.put(match chains {
        Err(_) => b"on; the rules of a firewall cannot be read here",
        Ok(_) if has_others => b"on; the rules of iptables-legacy are not looked at",
        Ok(_) => b"on, and no firewall drops it by default",
    });
    Ok(())
}

/// What a run of this user has beside: only root needs no user namespace.
fn for_user() -> CloneFlags {
    if sys::effective_ids().0 == 0 { CloneFlags::NONE } else { CloneFlags::NEWUSER }
}

/// An initramfs is the one root that pivot_root(2) cannot move away.
fn pivot(found: &mut Vec<u8>) -> Result<()> {
    const STAGE: &CStr = c"/proc";
    let pivoted = in_child(CloneFlags::NEWNS | for_user(), || {
        sys::mount(c"none", c"/", c"", MountFlags::REC | MountFlags::SLAVE, None)?;
        sys::mount(c"tmpfs", STAGE, c"tmpfs", MountFlags::NONE, None)?;
        sys::chdir(STAGE)?;
        sys::pivot_root()
    });
    match pivoted {
        Err(e) if e.is(Errno::EINVAL) && e.cause().what == "pivot_root" => {
            found.put(b"not from an initramfs: a new root is moved onto it");
            Ok(())
        }
        other => other,
    }
}
