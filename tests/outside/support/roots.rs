//! Roots that the cases make themselves: a directory with the probe in it, busybox, images.

use crate::support::folder::Folder;
use crate::support::harness::{FORK_LOCK, Run, Running, await_no_writer, probe_file, run};
use crate::support::host::tool;
use crate::support::needs::ready_made_image;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A directory that serves as a root: the probe at `/probe`, and nothing else.
pub struct Root(pub Folder);

impl Root {
    pub fn new() -> Root {
        let root = Root(Folder::new());
        // The copy is written while no thread forks, or executing it may fail.
        let _no_forks = FORK_LOCK.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        fs::hard_link(probe_file(), root.0.path("probe"))
            .or_else(|_| fs::copy(probe_file(), root.0.path("probe")).map(drop))
            .expect("the probe in a root");
        await_no_writer(&root.0.path("probe"));
        root
    }

    /// A root that has the usual directories.
    pub fn with_directories() -> Root {
        let root = Root::new();
        for name in ["proc", "sys", "dev", "etc"] {
            fs::create_dir(root.0.path(name)).expect("mkdir");
        }
        for name in ["hosts", "hostname", "resolv.conf"] {
            fs::write(root.0.path("etc").join(name), "the root's own\n").expect("write");
        }
        root
    }

    /// Adds the host's busybox.
    pub fn with_busybox(self) -> Root {
        fs::create_dir(self.0.path("bin")).expect("mkdir");
        let busybox = tool("busybox").expect("busybox");
        let _no_forks = FORK_LOCK.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        fs::copy(busybox, self.0.path("bin/busybox")).expect("copy of busybox");
        await_no_writer(&self.0.path("bin/busybox"));
        for applet in ["sh", "httpd", "wget", "cat", "sleep", "ls"] {
            std::os::unix::fs::symlink("busybox", self.0.path("bin").join(applet)).expect("symlink");
        }
        self
    }

    pub fn path(&self) -> String {
        self.0.text("").trim_end_matches('/').to_string()
    }

    /// The names of its entries, without the probe.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.as_path()).expect("readdir").flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().into_string().expect("UTF-8"))
            .filter(|name| name != "probe")
            .collect();
        names.sort();
        names
    }

    /// A run of the probe in this root, not started yet.
    pub fn probe(&self, options: &[&str], words: &[&str]) -> Run {
        probe_in(&self.path(), options, words)
    }

    /// Runs the probe and returns what it printed.
    #[track_caller]
    pub fn probe_output(&self, options: &[&str], words: &[&str]) -> String {
        self.probe(options, words).finish().success()
    }

    /// Asserts one clear line and 125, and that the root, the mounts and the loop devices are unchanged.
    #[track_caller]
    pub fn refuses(&self, options: &[&str], words: &[&str]) {
        let before = self.names();
        self.probe(options, &["status", "0"]).finish().refused(125, words);
        assert_eq!(self.names(), before, "{options:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        assert!(!mounts.contains(&self.path()), "{options:?} left a mount: {mounts}");
    }
}

/// A run of the probe in the root at `path`, a directory or a file, not started yet.
pub fn probe_in(path: &str, options: &[&str], words: &[&str]) -> Run {
    let mut all = vec!["--rootfs", path];
    all.extend(options);
    let mut command = vec!["/probe", "--probe"];
    command.extend(words);
    run(&all, &command)
}

/// The loop devices whose backing file is this one.
pub fn loops_of(file: &str) -> Vec<String> {
    let blocks = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    blocks
        .filter(|block| {
            let behind = fs::read_to_string(block.path().join("loop/backing_file")).unwrap_or_default();
            behind.trim_end().trim_end_matches(" (deleted)") == file
        })
        .map(|block| block.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Makes an image of `root` at `file` with one of the host's tools; or, if there are none, copies a ready-made one,
/// which also contains the probe and the marker file.
pub fn make_image(kind: &str, root: &Root, file: &str) {
    let folder = root.path();
    if let Some(packed) = ready_made_image(kind) {
        return fs::copy(packed, file).map(drop).expect("a copy of an image");
    }
    if kind == "ext2" {
        return make_ext2(&folder, file);
    }
    let words: Vec<&str> = match kind {
        "squashfs" => vec!["mksquashfs", &folder, file, "-noappend", "-quiet", "-no-progress", "-noI", "-noD", "-noF"],
        "erofs" => vec!["mkfs.erofs", "--quiet", file, &folder],
        "ext4" => vec!["mkfs.ext4", "-q", "-e", "panic", "-d", &folder, file, "100m"],
        _ => panic!("no image of {kind}"),
    };
    let program = tool(words[0]).expect("the tool that makes an image");
    let output = Command::new(program).args(&words[1..]).stdin(Stdio::null()).output().expect("start of a tool");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(Path::new(file).exists());
}

/// With busybox alone: makes an empty image, mounts it, and fills it.
fn make_ext2(folder: &str, file: &str) {
    let busybox = |words: &[&str]| {
        let output = Command::new(tool("busybox").expect("busybox")).args(words).output().expect("start of busybox");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let size = fs::metadata(probe_file()).expect("status").len() + (16 << 20);
    fs::File::create(file).and_then(|new| new.set_len(size)).expect("an empty image");
    let mount_point = Folder::new();
    let point = mount_point.text("");
    busybox(&["mke2fs", "-F", file]);
    busybox(&["mount", "-t", "ext4", "-o", "loop", file, &point]);
    busybox(&["cp", "-a", &format!("{folder}/."), &point]);
    busybox(&["umount", &point]);
    crate::support::processes::wait_until("the loop device is free", || loops_of(file).is_empty());
}

/// The line of mountinfo whose mount point is `point`; the last one is the visible one.
pub fn mount_at<'a>(mountinfo: &'a str, point: &str) -> &'a str {
    let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some(point));
    line.unwrap_or_else(|| panic!("no mount at {point} in {mountinfo}"))
}

/// Whether a mount has this option.
pub fn has_option(line: &str, option: &str) -> bool {
    line.split(' ').nth(5).is_some_and(|options| options.split(',').any(|word| word == option))
}

/// Starts the run, waits for its first line, and returns it with its pid on the host.
pub fn start_with_pid(run: Run) -> (Running, i32) {
    let running = run.start_ready();
    let pid = running.command_pid();
    (running, pid)
}
