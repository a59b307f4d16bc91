//! Cgroups of this test's own, as children of its current ones: only this test's runs sweep there.

use crate::support::host::host;
use crate::support::needs::on_v2;
use std::path::PathBuf;
use std::{fs, io};

/// One cgroup in each hierarchy that carries one of mydocker's controllers; removed when it is dropped.
pub struct Place {
    /// The value for `--cgroup-parent`.
    pub name: String,
    /// The directories of the cgroups.
    pub folders: Vec<PathBuf>,
}

impl Place {
    pub fn make(purpose: &str) -> io::Result<Place> {
        let own = std::process::id() as i32;
        let mut place = Place { name: format!("{purpose}-{own}"), folders: Vec::new() };
        for controller in ["memory", "cpu", "cpuset", "pids"] {
            let above = host().group(controller, own);
            let folder = above.join(&place.name);
            if !place.folders.contains(&folder) {
                fs::create_dir(&folder)?;
                place.folders.push(folder.clone());
            }
            // On v1, no process can join a cpuset that has no CPUs or no memory nodes, nor a descendant of one.
            for file in ["cpuset.cpus", "cpuset.mems"].iter().filter(|_| controller == "cpuset" && !on_v2("cpuset")) {
                fs::write(folder.join(file), fs::read(above.join(file))?)?;
            }
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The cgroups that a failed trial left inside are removed too.
            if let Err(error) = remove_group(folder) {
                println!("{} cannot be removed: {error}", folder.display());
            }
        }
    }
}

/// Removes a cgroup and its descendants.
pub fn remove_group(folder: &PathBuf) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}
