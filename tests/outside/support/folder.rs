//! Temporary folders and files of a case.

use crate::support::harness::{FORK_LOCK, await_no_writer, probe_file};
use rustix::mount::{MountFlags, UnmountFlags, mount};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A temporary directory that is removed when it is dropped. Every user may enter it.
pub struct Folder {
    /// Dropped first: a mount point cannot be removed.
    memory: Option<Memory>,
    directory: TempDir,
}

/// The filesystem in memory that is mounted on this path.
struct Memory(PathBuf);

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
}

impl Folder {
    pub fn new() -> Folder {
        Folder::with_suffix("")
    }

    /// A folder whose name ends in `suffix`.
    pub fn with_suffix(suffix: &str) -> Folder {
        let mut builder = tempfile::Builder::new();
        builder.prefix("mydocker-test-").suffix(suffix).permissions(Permissions::from_mode(0o755));
        Folder { memory: None, directory: builder.tempdir().expect("a folder in the temporary directory") }
    }

    /// One with a filesystem of its own, in memory: for a probe that has its own mounts.
    #[allow(dead_code, reason = "tests/load and tests/failures mount nothing")]
    pub fn in_memory() -> Folder {
        let folder = Folder::new();
        mount("tmpfs", folder.as_path(), "tmpfs", MountFlags::empty(), None).expect("mount of a tmpfs");
        Folder { memory: Some(Memory(folder.as_path().into())), ..folder }
    }

    pub fn as_path(&self) -> &Path {
        self.directory.path()
    }

    /// Removes the directory now and returns the error that a drop would ignore.
    #[allow(dead_code, reason = "only tests/load and tests/failures report this error")]
    pub fn close(self) -> io::Result<()> {
        drop(self.memory);
        self.directory.close()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.as_path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().expect("a path in UTF-8")
    }

    /// Writes a file that cannot be executed.
    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).expect("write of a test's file");
        self.text(name)
    }

    /// Writes a file that can be executed.
    pub fn write_program(&self, name: &str, bytes: &[u8]) -> String {
        let _no_forks = FORK_LOCK.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut file = File::create(self.path(name)).expect("create of a test's program");
        file.write_all(bytes).expect("write of a test's program");
        file.set_permissions(Permissions::from_mode(0o755)).expect("mode of a test's program");
        drop(file);
        await_no_writer(&self.path(name));
        self.text(name)
    }

    /// Makes `name` a symbolic link to the probe.
    pub fn link_to_probe(&self, name: &str) -> String {
        std::os::unix::fs::symlink(probe_file(), self.path(name)).expect("symlink to the probe");
        self.text(name)
    }
}
