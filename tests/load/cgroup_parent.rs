//! Cgroups of this test's own, as children of its current ones: only this test's runs sweep there.

use crate::support::host::host;
use crate::support::needs::on_v2;
use std::path::PathBuf;
use std::{fs, io};

/// One cgroup in each hierarchy that carries one of mydocker's controllers; removed when it is dropped.
pub struct CgroupParent {
    /// The value for `--cgroup-parent`.
    pub name: String,
    /// The directories of the cgroups.
    pub directories: Vec<PathBuf>,
}

impl CgroupParent {
    pub fn make(purpose: &str) -> io::Result<CgroupParent> {
        let own = std::process::id() as i32;
        let mut parent = CgroupParent { name: format!("{purpose}-{own}"), directories: Vec::new() };
        // That of v1 has a group of each container with a name.
        let freezer = host().carrier("freezer").map(|_| "freezer");
        for controller in ["memory", "cpu", "cpuset", "pids"].into_iter().chain(freezer) {
            let above = host().group(controller, own);
            let directory = above.join(&parent.name);
            if !parent.directories.contains(&directory) {
                fs::create_dir(&directory)?;
                parent.directories.push(directory.clone());
            }
            // On v1, no process can join a cpuset that has no CPUs or no memory nodes, nor a descendant of one.
            for file in ["cpuset.cpus", "cpuset.mems"].iter().filter(|_| controller == "cpuset" && !on_v2("cpuset")) {
                fs::write(directory.join(file), fs::read(above.join(file))?)?;
            }
        }
        Ok(parent)
    }
}

impl Drop for CgroupParent {
    fn drop(&mut self) {
        for directory in &self.directories {
            // The cgroups that a failed trial left inside are removed too.
            if let Err(error) = remove_group(directory) {
                println!("{} cannot be removed: {error}", directory.display());
            }
        }
    }
}

/// Removes a cgroup and its descendants.
pub fn remove_group(directory: &PathBuf) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}
