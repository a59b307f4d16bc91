//! Folders and files of a case's own.

use crate::support::harness::{FORKING, probe_file, unique_name};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

/// A folder of a case's own, gone at its end. Everyone may enter it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("mydocker-outside-{}", unique_name()));
        fs::create_dir(&path).expect("a folder in the temporary directory");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
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
        use std::os::unix::fs::PermissionsExt;
        let _alone = FORKING.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut file = File::create(self.path(name)).expect("create of a test's program");
        file.write_all(bytes).expect("write of a test's program");
        file.set_permissions(fs::Permissions::from_mode(0o755)).expect("mode of a test's program");
        self.text(name)
    }

    /// Makes `name` another name of the probe.
    pub fn link_to_probe(&self, name: &str) -> String {
        std::os::unix::fs::symlink(probe_file(), self.path(name)).expect("symlink to the probe");
        self.text(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
