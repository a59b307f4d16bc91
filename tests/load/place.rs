//! Groups of our own, below our own: nobody but our own runs sweeps there.

use crate::support::host::host;
use crate::support::needs::on_v2;
use std::path::PathBuf;
use std::{fs, io};

/// One group in each hierarchy that carries one of mydocker's controllers; gone at its end.
pub struct Place {
    /// What `--cgroup-parent` calls them.
    pub name: String,
    /// Where they are.
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
            // On v1, nobody can be in a cpuset or below one that has no CPUs or no memory nodes.
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
            // What a failed trial left in it goes too.
            if let Err(error) = remove_group(folder) {
                println!("{} cannot be removed: {error}", folder.display());
            }
        }
    }
}

/// Removes a group with the groups in it.
pub fn remove_group(folder: &PathBuf) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}
