//! Neighbours that change what mydocker works on while it does.

use crate::probes::races::SWAPPED;
use crate::support::harness::{FORK_LOCK, probe_file};
use crate::support::needs::Needs;
use crate::support::roots::Root;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A process that exchanges /proc, /sys and /dev of a root, as long as this lives.
struct Neighbour(Child);

impl Neighbour {
    fn of(root: &Root) -> Neighbour {
        let _no_writes = FORK_LOCK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let words = ["--probe", "swap", &root.path()];
        let mut child = Command::new(probe_file())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the neighbour");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Neighbour(child)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

/// `RACES=1000` asks for more runs than the usual number of each kind.
fn runs() -> usize {
    std::env::var("RACES").ok().and_then(|number| number.parse().ok()).unwrap_or(60)
}

/// Every run beside the neighbour fails with a message, or finds what it must. Returns how many did which.
fn race(root: &Root, options: &[&str]) -> (usize, usize) {
    let neighbour = Neighbour::of(root);
    let (mut refused, mut right, mut wrong) = (0, 0, Vec::new());
    for _ in 0..runs() {
        let outcome = root.probe(options, &["after-swaps"]).finish();
        match outcome.code() {
            125 => {
                outcome.refused(125, &[]);
                refused += 1;
            }
            _ if outcome.success() == "right\n" => right += 1,
            _ => wrong.push(outcome.stdout_text()),
        }
    }
    drop(neighbour);
    println!("{options:?}: {refused} refused, {right} right");
    assert_eq!(wrong, Vec::<String>::new(), "{options:?}: of {} runs", runs());
    (refused, right)
}

fn root_with(make: impl Fn(&std::path::Path)) -> Root {
    let root = Root::with_directories();
    for (_, other) in SWAPPED {
        make(&root.0.path(other));
    }
    root
}

case!(other_directories, Needs::ROOT);
/// The neighbour exchanges them with other directories.
fn other_directories() {
    let root = root_with(|path| {
        for below in ["sys", "irq", "bus", "fs", "pts", "shm", "mqueue", "firmware", "self/fd"] {
            std::fs::create_dir_all(path.join(below)).expect("mkdir");
        }
    });
    for options in [&[][..], &["--init", "--read-only"], &["--ephemeral"]] {
        race(&root, options);
    }
}

case!(links, Needs::ROOT);
/// The neighbour exchanges them with links to elsewhere in the root.
fn links() {
    let root = root_with(|path| std::os::unix::fs::symlink("/etc", path).expect("symlink"));
    race(&root, &[]);
}
