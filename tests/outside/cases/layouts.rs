//! Cgroup layouts other than this host's own, as far as a mount namespace can simulate them: nothing mounted, mounted
//! at an unusual path, mounted read-only. The virtual hosts cover the rest.

use crate::probes::c_string;
use crate::support::folder::Folder;
use crate::support::harness::{Run, probe, unique_name};
use crate::support::host::host;
use crate::support::needs::{Needs, on_v2};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_remount, unmount};
use std::ffi::CString;

/// What to do in the new mount namespace, between fork and exec: everything is allocated beforehand.
enum Act {
    Unmount(CString),
    MakeFolder(CString),
    Tmpfs(CString),
    Mount(CString, &'static std::ffi::CStr, CString),
    ReadOnly(CString),
}

/// `run`, in a mount namespace of its own in which `acts` have been carried out.
fn with_acts(run: Run, acts: Vec<Act>) -> Run {
    run.before(move || {
        // SAFETY: unshare with CLONE_NEWNS leaves the address space and the descriptor table alone
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?;
        mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        for act in &acts {
            match act {
                Act::Unmount(point) => unmount(point.as_c_str(), UnmountFlags::DETACH)?,
                Act::MakeFolder(path) => rustix::fs::mkdir(path.as_c_str(), 0o755.into())?,
                Act::Tmpfs(point) => mount(c"tmpfs", point.as_c_str(), c"tmpfs", MountFlags::empty(), None)?,
                Act::Mount(point, kind, options) => {
                    mount(c"cgroup", point.as_c_str(), *kind, MountFlags::empty(), options.as_c_str())?;
                }
                Act::ReadOnly(point) => {
                    mount_remount(point.as_c_str(), MountFlags::BIND | MountFlags::RDONLY, c"")?;
                }
            }
        }
        Ok(())
    })
}

/// Unmounts every cgroup mount that the host has.
fn unmount_all() -> Vec<Act> {
    host().points.iter().rev().map(|point| Act::Unmount(c_string(point))).collect()
}

case!(nothing_mounted_and_a_script, Needs::ROOT | Needs::MEMORY | Needs::MOUNTED);
/// A cgroup in a detached mount has no path, so a shell cannot make it.
fn nothing_mounted_and_a_script() {
    let name = unique_name();
    let run = probe(&["-m", "100m", "--name", &name, "--dry-run=sh"], &["status", "0"]);
    let script = with_acts(run, unmount_all()).finish().success();
    assert!(script.contains("\nstop 'the cgroups are mounted nowhere"), "{script}");
    assert!(!script.lines().any(|line| line.contains(&format!("//mydocker-{name}"))), "{script}");
}

/// A container that waits, so that its limits can be read from outside, where nothing is changed.
fn limits_hold(acts: Vec<Act>) {
    let name = unique_name();
    let run = probe(&["-m", "100m", "--cpu-shares", "1024", "--name", &name], &["hold"]);
    let running = with_acts(run, acts).start_ready();
    let read = |controller: &str, v1: &str, v2: &str| {
        let group = host().group(controller, running.command_pid());
        assert!(group.ends_with(running.directory_name()), "{}", group.display());
        let file = group.join(if on_v2(controller) { v2 } else { v1 });
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    assert_eq!(read("memory", "memory.limit_in_bytes", "memory.max"), "104857600\n");
    assert_eq!(read("cpu", "cpu.shares", "cpu.weight"), if on_v2("cpu") { "100\n" } else { "1024\n" });
    running.finish().success();
}

case!(nothing_mounted, Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::MOUNTED);
fn nothing_mounted() {
    limits_hold(unmount_all());
}

case!(nothing_mounted_and_out_of_memory, Needs::ROOT | Needs::MEMORY | Needs::MOUNTED);
fn nothing_mounted_and_out_of_memory() {
    let run = probe(&["-m", "100m"], &["eat", "209715200"]);
    let outcome = with_acts(run, unmount_all()).finish();
    outcome.refused(137, &["memory"]);
}

case!(mounted_at_a_path_with_a_blank, Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::MOUNTED);
/// mountinfo escapes the blank; a reader that does not decode it opens a path that does not exist.
fn mounted_at_a_path_with_a_blank() {
    let folder = Folder::new();
    let mut acts = unmount_all();
    acts.push(Act::Tmpfs(c_string(&folder.text("."))));
    for hierarchy in &host().hierarchies {
        if hierarchy.controllers.is_empty() {
            continue;
        }
        let point = c_string(&folder.text(&format!("a b\\{}", hierarchy.controllers.join("-"))));
        let (kind, options) =
            if hierarchy.v2 { (c"cgroup2", String::new()) } else { (c"cgroup", hierarchy.controllers.join(",")) };
        acts.push(Act::MakeFolder(point.clone()));
        acts.push(Act::Mount(point, kind, c_string(&options)));
    }
    limits_hold(acts);
}

fn remount_read_only() -> Vec<Act> {
    let mut points: Vec<&str> = Vec::new();
    for controller in ["memory", "cpu"] {
        let Some(hierarchy) = host().carrier(controller) else { continue };
        let point = hierarchy.point.to_str().expect("UTF-8");
        if !points.contains(&point) {
            points.push(point);
        }
    }
    points.into_iter().map(|point| Act::ReadOnly(c_string(point))).collect()
}

case!(read_only_and_asked_for, Needs::ROOT | Needs::MEMORY | Needs::MOUNTED);
/// A limit that the user asked for is applied, or nothing runs.
fn read_only_and_asked_for() {
    let folder = Folder::new();
    let run = probe(&["-m", "100m"], &["touch", &folder.text("trace")]);
    with_acts(run, remount_read_only()).finish().refused(125, &["EROFS"]);
    assert!(!folder.path("trace").exists(), "the command ran nevertheless");
}

case!(read_only_and_not_asked_for, Needs::ROOT | Needs::MEMORY | Needs::MOUNTED);
/// A default that this host cannot apply is left out, without a message.
fn read_only_and_not_asked_for() {
    with_acts(probe(&[], &["status", "5"]), remount_read_only()).finish().silent(5);
}
