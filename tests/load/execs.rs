//! Hundreds of exec into one container, ten at a time: its keeper, its first process, its record and its cgroups are the same
//! afterwards.

use crate::support::folder::Folder;
use crate::support::harness::{Running, mydocker};
use crate::support::host::host;
use crate::support::processes::{anonymous_kib, is_in_call, wait_until};
use crate::{LIMITS, MountSnapshot, marker, program, programs, report, rounds};
use libtest_mimic::Failed;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// How many there are, unless MYDOCKER_LOAD_EXECS says so.
const EXECS: usize = 300;
const AT_ONCE: usize = 10;

/// What is the same, however many there were.
#[derive(Debug, PartialEq)]
struct Facts {
    /// Of the keeper, and of the first process.
    descriptors: [usize; 2],
    /// The files of the record.
    files: Vec<PathBuf>,
    /// The cgroups, and how many processes each has.
    groups: Vec<(PathBuf, usize)>,
}

impl Facts {
    fn find(processes: [i32; 2], record: &Path, name: &str) -> io::Result<Facts> {
        let count = |pid: i32| Ok::<_, io::Error>(fs::read_dir(format!("/proc/{pid}/fd"))?.count());
        let mut files: Vec<PathBuf> = fs::read_dir(record)?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let mut groups = Vec::new();
        for group in host().directories(&format!("mydocker-{name}")) {
            add_groups(group, &mut groups)?;
        }
        groups.sort();
        Ok(Facts { descriptors: [count(processes[0])?, count(processes[1])?], files, groups })
    }
}

fn add_groups(group: PathBuf, groups: &mut Vec<(PathBuf, usize)>) -> io::Result<()> {
    for entry in fs::read_dir(&group)?.flatten() {
        if entry.file_type()?.is_dir() {
            add_groups(entry.path(), groups)?;
        }
    }
    let processes = fs::read_to_string(group.join("cgroup.procs"))?.lines().count();
    groups.push((group, processes));
    Ok(())
}

/// A number of a container's state file, or of the like.
fn number(text: &str, key: &str) -> Result<i32, Failed> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or(format!("no {key}: {text}"))?;
    Ok(line.trim().parse()?)
}

pub fn execs() -> Result<(), Failed> {
    let wanted = env::var("MYDOCKER_LOAD_EXECS").ok().and_then(|text| text.parse().ok()).unwrap_or(EXECS);
    let marker = marker("execs");
    let (key, value) = marker.split_once('=').unwrap_or((&marker, ""));
    let before = MountSnapshot::take();
    let folder = Folder::new();
    fs::create_dir(folder.path("records"))?;
    fs::set_permissions(folder.path("records"), fs::Permissions::from_mode(0o700))?;
    let (state, name) = (folder.text("records"), format!("execs-{}", std::process::id()));
    let call = |verb: &str, words: &[&str]| {
        mydocker(&[&[verb, "--state", &state], words].concat()).with(|run| run.env(key, value)).start()
    };
    // With a reaper of mydocker's own as its first process.
    call("run", &[&["-d", "--init", "--name", &name], LIMITS, &[&programs().stays]].concat()).reap().success();
    let record = folder.path("records").join(&name);
    let first = number(&fs::read_to_string(record.join("state"))?, "pid ")?;
    let keeper = number(&fs::read_to_string(format!("/proc/{first}/status"))?, "PPid:")?;
    let exec_all = |count: usize| {
        for at in (0..count).step_by(AT_ONCE) {
            let exec = |_| call("exec", &[&name, &programs().leaves]);
            let all: Vec<Running> = (at..count.min(at + AT_ONCE)).map(exec).collect();
            for running in all {
                running.reap().silent(program::STATUS);
            }
        }
    };
    let facts = || -> Result<(Facts, [u64; 2]), Failed> {
        wait_until("the keeper waits", || is_in_call(keeper, libc::SYS_ppoll));
        Ok((Facts::find([keeper, first], &record, &name)?, [keeper, first].map(anonymous_kib)))
    };
    // What the first ones make is there for good.
    exec_all(AT_ONCE);
    let (expected, least) = facts()?;
    let done = rounds(|| {
        exec_all(wanted);
        let (found, most) = facts()?;
        if found != expected || most[0] > least[0] || most[1] > least[1] {
            return Err(format!("{found:?}, Anonymous {most:?} KiB, not {expected:?}, {least:?} KiB").into());
        }
        Ok(())
    });
    call("rm", &["-f", &name]).finish().success();
    let done = done?;
    before.compare(&marker)?;
    report(format!(
        "execs: {} into one container, {AT_ONCE} at a time; its keeper and its first process have {:?} KiB Anonymous and \
         {:?} descriptors, its record {} files, and {} cgroups, before and after",
        done * wanted,
        least,
        expected.descriptors,
        expected.files.len(),
        expected.groups.len()
    ));
    Ok(())
}
