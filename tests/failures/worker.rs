//! Where runs are made: groups in which nobody else makes or sweeps anything, and folders that nobody else looks into. So
//! trials can run side by side, and beside other people's mydockers.

use crate::place::Place;
use crate::support::host::host;
use crate::support::needs::{Needs, on_v2};
use std::ffi::CString;
use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// One of those who run trials.
pub struct Worker {
    /// Groups of its own, if not the test's; gone with it.
    _place: Option<Place>,
    /// Where mydocker makes its groups: one in each hierarchy. None where that is not below the group that it is in.
    groups: Vec<PathBuf>,
    /// The files through which a process joins them: what is written is `0`.
    tasks: Vec<CString>,
    /// What may be made during a run is made in here.
    pub folder: PathBuf,
}

static IDLE: Mutex<Vec<Worker>> = Mutex::new(Vec::new());

impl Worker {
    fn new(number: usize, folder: &Path) -> io::Result<Worker> {
        let folder = folder.join(number.to_string());
        fs::create_dir_all(folder.join("empty"))?;
        let place = if side_by_side() { Some(Place::make(&format!("failures-{number}"))?) } else { None };
        let folders = || place.iter().flat_map(|place| &place.folders);
        let groups = match &place {
            Some(place) => place.folders.clone(),
            None if places_needed().missing().is_none() => own_groups(),
            None => Vec::new(),
        };
        let file = |group: &PathBuf| {
            let v1 = group.join("tasks");
            if v1.exists() { v1 } else { group.join("cgroup.procs") }
        };
        let tasks = folders().filter_map(|group| CString::new(file(group).into_os_string().into_encoded_bytes()).ok());
        Ok(Worker { tasks: tasks.collect(), _place: place, groups, folder })
    }

    /// Where mydocker makes its groups, one in each hierarchy.
    pub fn groups(&self) -> &[PathBuf] {
        &self.groups
    }

    /// Its folder to start in, which must stay empty.
    pub fn empty(&self) -> PathBuf {
        self.folder.join("empty")
    }

    /// What is done in a new process, between fork and exec: it joins the groups.
    pub fn joining(&self) -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
        let tasks = self.tasks.clone();
        move || {
            for file in &tasks {
                // SAFETY: open and write take a string that ends with a NUL, and one byte
                let joined = unsafe {
                    let file = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                    file >= 0 && libc::write(file, c"0".as_ptr().cast(), 1) == 1 && libc::close(file) == 0
                };
                if !joined {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        }
    }

    /// The directories called `name` in every hierarchy, less those in the groups of other workers.
    pub fn directories(&self, name: &str) -> Vec<PathBuf> {
        let mut found = host().directories(name);
        found.retain(|path| {
            let parent = path.parent().unwrap_or(path);
            self.groups().iter().any(|group| parent == group) || !is_ours(parent)
        });
        found
    }
}

/// Whether a group is some worker's.
fn is_ours(group: &Path) -> bool {
    let end = format!("-{}", std::process::id());
    let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("failures-").is_some_and(|rest| rest.ends_with(&end))
}

const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuset", "pids"];

/// The test's own groups.
fn own_groups() -> Vec<PathBuf> {
    let mut groups = CONTROLLERS.map(|controller| host().group(controller, std::process::id() as i32)).to_vec();
    groups.sort();
    groups.dedup();
    groups
}

/// Whether each worker has groups of its own. On v2 a group cannot hold processes and groups (but the root can): there
/// mydocker makes its groups further up, for all workers in the same one.
fn side_by_side() -> bool {
    places_needed().missing().is_none() && CONTROLLERS.iter().all(|controller| !on_v2(controller))
}

/// What is needed so that mydocker makes its groups below the one that it is in.
pub fn places_needed() -> Needs {
    Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::PIDS | Needs::GROUP_BELOW | Needs::MOUNTED
}

/// So many at a time: without groups of its own, a run may sweep what another one has left before anybody looked.
pub fn make_workers(folder: &Path) -> io::Result<usize> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let count = if side_by_side() { cpus } else { 1 };
    let workers: io::Result<Vec<Worker>> = (0..count).map(|number| Worker::new(number, folder)).collect();
    *IDLE.lock().expect("workers") = workers?;
    Ok(count)
}

/// The groups of all of them go.
pub fn dismiss() {
    IDLE.lock().expect("workers").clear();
}

/// A worker, at work until this is dropped.
pub struct Engaged(Option<Worker>);

/// Engages one that is idle; there are as many as there are threads.
pub fn engage() -> Engaged {
    Engaged(IDLE.lock().expect("workers").pop())
}

impl Deref for Engaged {
    type Target = Worker;
    fn deref(&self) -> &Worker {
        self.0.as_ref().expect("as many workers as threads")
    }
}

impl Drop for Engaged {
    fn drop(&mut self) {
        IDLE.lock().expect("workers").extend(self.0.take());
    }
}
