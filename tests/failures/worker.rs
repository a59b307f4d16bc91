//! Where runs take parent: cgroups in which no other run makes or sweeps anything, and directories that no other run
//! recorded into. So trials can run in parallel, and alongside other mydockers.

use crate::cgroup_parent::CgroupParent;
use crate::support::host::host;
use crate::support::needs::{Needs, on_v2};
use std::ffi::CString;
use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// One worker, which runs one trial at a time.
pub struct Worker {
    /// The worker's own cgroups, if it does not use the test's; removed when the worker is dropped.
    _parent: Option<CgroupParent>,
    /// The cgroups in which mydocker makes its own, one in each hierarchy. Empty if those are not children of its
    /// current cgroup.
    groups: Vec<PathBuf>,
    /// The files through which a process joins the cgroups, by writing `0`.
    tasks: Vec<CString>,
    /// Everything that a run may create is created in here.
    pub folder: PathBuf,
}

static IDLE: Mutex<Vec<Worker>> = Mutex::new(Vec::new());

impl Worker {
    fn new(number: usize, folder: &Path) -> io::Result<Worker> {
        let folder = folder.join(number.to_string());
        fs::create_dir_all(folder.join("empty"))?;
        let parent =
            if can_run_in_parallel() { Some(CgroupParent::make(&format!("failures-{number}"))?) } else { None };
        let folders = || parent.iter().flat_map(|parent| &parent.directories);
        let groups = match &parent {
            Some(parent) => parent.directories.clone(),
            None if needs_for_own_cgroups().missing().is_none() => own_groups(),
            None => Vec::new(),
        };
        let file = |group: &PathBuf| {
            let v1 = group.join("tasks");
            if v1.exists() { v1 } else { group.join("cgroup.procs") }
        };
        let tasks = folders().filter_map(|group| CString::new(file(group).into_os_string().into_encoded_bytes()).ok());
        Ok(Worker { tasks: tasks.collect(), _parent: parent, groups, folder })
    }

    /// The cgroups in which mydocker makes its own, one in each hierarchy.
    pub fn groups(&self) -> &[PathBuf] {
        &self.groups
    }

    /// The folder of the records of its runs.
    pub fn records(&self) -> PathBuf {
        self.folder.join("records")
    }

    /// The working directory of its runs, which must stay empty.
    pub fn empty(&self) -> PathBuf {
        self.folder.join("empty")
    }

    /// Called in a new process between fork and exec: joins the cgroups.
    pub fn joining(&self) -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
        let tasks = self.tasks.clone();
        move || {
            for file in &tasks {
                // SAFETY: the path and "0" are NUL-terminated, and write reads one byte
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

    /// The directories called `name` in every hierarchy, except those in the cgroups of other workers.
    pub fn directories(&self, name: &str) -> Vec<PathBuf> {
        let mut found = host().directories(name);
        found.retain(|path| {
            let parent = path.parent().unwrap_or(path);
            self.groups().iter().any(|group| parent == group) || !is_worker_cgroup(parent)
        });
        found
    }
}

/// Whether a cgroup belongs to some worker.
fn is_worker_cgroup(group: &Path) -> bool {
    let end = format!("-{}", std::process::id());
    let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("failures-").is_some_and(|rest| rest.ends_with(&end))
}

const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuset", "pids"];

/// The cgroups of this test itself.
fn own_groups() -> Vec<PathBuf> {
    let mut groups = CONTROLLERS.map(|controller| host().group(controller, std::process::id() as i32)).to_vec();
    groups.sort();
    groups.dedup();
    groups
}

/// Whether each worker has cgroups of its own. On v2 a cgroup other than the root cannot hold both processes and
/// children with controllers: there mydocker makes its cgroups higher up, in the same parent for all workers.
fn can_run_in_parallel() -> bool {
    needs_for_own_cgroups().missing().is_none() && CONTROLLERS.iter().all(|controller| !on_v2(controller))
}

/// What the host must have so that mydocker makes its cgroups as children of its current one.
pub fn needs_for_own_cgroups() -> Needs {
    Needs::ROOT | Needs::MEMORY | Needs::CPU | Needs::CPUSET | Needs::PIDS | Needs::GROUP_BELOW | Needs::MOUNTED
}

/// Makes as many workers as can run at a time: without cgroups of its own, a run might sweep what another one has left
/// before this test sees it.
pub fn make_workers(folder: &Path) -> io::Result<usize> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let count = if can_run_in_parallel() { cpus } else { 1 };
    let workers: io::Result<Vec<Worker>> = (0..count).map(|number| Worker::new(number, folder)).collect();
    *IDLE.lock().expect("workers") = workers?;
    Ok(count)
}

/// Drops all workers, which removes their cgroups.
pub fn drop_workers() {
    IDLE.lock().expect("workers").clear();
}

/// A worker that is busy until this is dropped.
pub struct BusyWorker(Option<Worker>);

/// Takes an idle worker; there are as many as there are threads.
pub fn take_worker() -> BusyWorker {
    BusyWorker(IDLE.lock().expect("workers").pop())
}

impl Deref for BusyWorker {
    type Target = Worker;
    fn deref(&self) -> &Worker {
        self.0.as_ref().expect("as many workers as threads")
    }
}

impl Drop for BusyWorker {
    fn drop(&mut self) {
        IDLE.lock().expect("workers").extend(self.0.take());
    }
}
