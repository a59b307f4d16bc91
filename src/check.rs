//! `mydocker check`: what this host offers. It tries: most lines are a run in miniature, as somebody would type it, of a
//! command that cannot be executed. What gets as far as execve works; what does not says why, as a run would.

use crate::cgroup::{Controllers, Host, Version};
use crate::error::{Errno, Error, Result};
use crate::plan::Plan;
use crate::run;
use crate::says;
use crate::sys::{self, CloneFlags, MountFlags, OpenFlags};
use crate::text::{self, Put};
use crate::texts;
use crate::userns;
use alloc::vec::Vec;
use core::ffi::CStr;

/// Makes the plan of what somebody types.
pub type Planner<'a> = dyn Fn(&[&[u8]]) -> Result<&'static Plan> + 'a;

/// Tries, and says what came of it; and whether a run without options works, which is the last line. Nothing is left.
pub fn check(json: bool, plan: &Planner) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut works = false;
    for line in text::split(text::trimmed(texts::TRIALS.unpack().leak()), b'\n') {
        let mut fields = text::split(line, b'|');
        let mut field = || fields.next().unwrap_or_default();
        let (name, how, mend) = (field(), field(), field());
        let mut said = Vec::new();
        let tried = attempt(name, how, plan, &mut said);
        works = tried.is_ok();
        if let Err(error) = tried {
            let forbidden = if how == b"@user" { userns::forbidden() } else { None };
            let error = forbidden.map_or(error, |hint| error.with_hint(hint));
            said.clear();
            // What only lacks the right, needs another user and no mending.
            error.print_with(if error.is(Errno::EACCES) { b"" } else { mend }, &mut said);
        }
        let said = text::trimmed(said.strip_prefix(b"mydocker: ").unwrap_or(&said));
        if json {
            out.put(if out.is_empty() { b"{\"checks\":[{\"name\":" } else { b",{\"name\":" });
            out.put_json(name);
            out.put(if works { b",\"works\":true,\"says\":" } else { b",\"works\":false,\"says\":" });
            out.put_json(said);
            out.put(b"}");
        } else {
            out.put_column(name, 20);
            out.put(if works { b"yes  " } else { b"no   " });
            out.put(said);
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

/// Whether it works; with a word about it.
#[inline(never)]
fn attempt(name: &[u8], how: &[u8], plan: &Planner, said: &mut Vec<u8>) -> Result<()> {
    let is = |word: &[u8]| how == word;
    if is(b"@release") {
        said.put(&sys::uname(2));
        let mut numbers = said.split(|b| !b.is_ascii_digit()).map(|digits| text::decimal(digits).unwrap_or(0));
        match (numbers.next(), numbers.next()) >= (Some(5), Some(10)) {
            true => Ok(()),
            false => Err(Error::refused(says!("kernel"), &[said], says!("too old: Linux 5.10 or newer is needed"))),
        }
    } else if is(b"@machine") {
        said.put(&sys::uname(4));
        Ok(())
    } else if is(b"@cgroup") {
        in_child(CloneFlags::NEWCGROUP, || Ok(()))
    } else if is(b"@user") {
        // Such a namespace is worth something if there is power in it.
        in_child(CloneFlags::NEWUSER | CloneFlags::NEWUTS, || sys::sethostname(b"check"))
    } else if is(b"@where") {
        place(name.strip_prefix(b"cgroup ").unwrap_or_default(), said)
    } else if is(b"@pivot") {
        pivot(said)
    } else if is(b"@loop") {
        sys::open(c"/dev/loop-control", OpenFlags::RDWR).map(drop)
    } else if is(b"@image") {
        sys::fsopen(text::c_string(&[name])).map(drop)
    } else if is(b"@seccomp") {
        sys::has_seccomp()
    } else if is(b"@terminal") {
        said.put(if sys::tcgets(0).is_some() { b"stdin is one" } else { b"stdin is none, and need not be" });
        Ok(())
    } else {
        run_in_miniature(how, plan)
    }
}

/// A run with these options, of a command that is there and cannot be executed.
fn run_in_miniature(options: &[u8], plan: &Planner) -> Result<()> {
    let status = sys::read_file(c"/proc/self/status").unwrap_or_default();
    let mut words: Vec<&[u8]> = alloc::vec![b"run"];
    // What all runs have in common, the one without options shows.
    if !options.is_empty() {
        words.push(b"--privileged");
    }
    for word in text::words(options) {
        words.push(match word {
            b"ALLOWED" => text::field(&status, b"Cpus_allowed_list:").unwrap_or(b"0"),
            word => word,
        });
    }
    words.push(b"/");
    match run::carry_out(plan(&words)?, &mut None) {
        Err(error) if error.status() != 126 => Err(error),
        _ => Ok(()),
    }
}

/// Which hierarchy carries a controller, and where it is.
fn place(name: &[u8], said: &mut Vec<u8>) -> Result<()> {
    let mut host = Host::default();
    host.find(Controllers::NONE, &sys::read_file(c"/proc/self/mountinfo"))?;
    let controller = Controllers::in_list(name);
    let Some(hierarchy) = host.hierarchies.iter().find(|hierarchy| hierarchy.controllers.has(controller)) else {
        return Err(Error::refused(
            says!("controller"),
            &[name],
            says!("no hierarchy here carries it, or shows this process"),
        ));
    };
    said.put(if hierarchy.version == Version::V1 { b"v1, " } else { b"v2, " });
    said.put(hierarchy.top.path());
    said.put(b", own group ");
    said.put(hierarchy.own.to_bytes());
    Ok(())
}

/// Whether `f` works in a child in new `namespaces`, which then vanishes.
fn in_child(namespaces: CloneFlags, f: fn() -> Result<()>) -> Result<()> {
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
        None => Ok(()),
    }
}

/// An initramfs is the one root that cannot be put elsewhere.
fn pivot(said: &mut Vec<u8>) -> Result<()> {
    const PLACE: &CStr = c"/proc";
    let pivoted = in_child(CloneFlags::NEWNS, || {
        sys::mount(c"none", c"/", c"", MountFlags::REC | MountFlags::SLAVE, None)?;
        sys::mount(c"tmpfs", PLACE, c"tmpfs", MountFlags::NONE, None)?;
        sys::chdir(PLACE)?;
        sys::pivot_root()
    });
    match pivoted {
        Err(e) if e.is(Errno::EINVAL) => {
            said.put(b"not from an initramfs: a new root is moved onto it");
            Ok(())
        }
        other => other,
    }
}
