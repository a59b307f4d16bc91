//! Runs mydocker: with a timeout, with all of its output, and with a check of the cgroups after every end.

use crate::support::host::host;
use crate::support::outcome::Outcome;
use crate::support::processes::{children, send, state, status_field, timeout, wait_for_end, wait_until};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};
use std::thread;
use std::time::UNIX_EPOCH;

/// A fork copies every open descriptor, and a file that any process has open for writing cannot be executed. So
/// executable files are written while no thread forks.
pub static FORK_LOCK: RwLock<()> = RwLock::new(());

/// Waits until no process has a file open for writing: a tool that another thread has forked may still have its copy of the
/// descriptor, up to its execve. fcntl(2) gives a read lease only when nobody writes.
pub fn await_no_writer(path: &Path) {
    let file = std::fs::File::open(path).expect("open of a program");
    let begun = std::time::Instant::now();
    // SAFETY: F_SETLEASE takes an integer
    let lease = |kind: i32| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
    while lease(libc::F_RDLCK) != 0 {
        let error = std::io::Error::last_os_error();
        // Whoever does not own the file, or whose filesystem knows no leases, cannot ask.
        if error.raw_os_error() != Some(libc::EAGAIN) || begun.elapsed() > timeout() {
            return;
        }
        thread::sleep(std::time::Duration::from_millis(1));
    }
    lease(libc::F_UNLCK);
}

/// In a new process, before its execve: makes `fd` the descriptor `number` of the program. dup2(2) does nothing where both are
/// the same, and would leave it to be closed.
pub fn pass_as(fd: RawFd, number: RawFd) -> std::io::Result<()> {
    // SAFETY: both calls take integers, and concern the new process's own descriptor table
    let result = unsafe { if fd == number { libc::fcntl(fd, libc::F_SETFD, 0) } else { libc::dup2(fd, number) } };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// The file under test.
pub fn mydocker_file() -> PathBuf {
    std::env::var_os("MYDOCKER").map_or_else(|| env!("CARGO_BIN_EXE_mydocker").into(), PathBuf::from)
}

/// This test's own file, as the command to run inside.
pub fn probe_file() -> PathBuf {
    std::env::current_exe().expect("/proc/self/exe")
}

/// A name that no other container here has.
pub fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Pids are reused, and a run that was killed leaves its directories: the start time distinguishes the two.
    static START: OnceLock<u128> = OnceLock::new();
    let start = START.get_or_init(|| UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis()));
    format!("case{}-{start:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A command line of mydocker that has not been started yet.
pub struct Run {
    words: Vec<OsString>,
    name: Option<String>,
    command: Command,
}

/// `mydocker WORDS`.
pub fn mydocker<S: AsRef<OsStr>>(words: &[S]) -> Run {
    mydocker_at(&mydocker_file(), words)
}

/// `mydocker WORDS`, with the file at another path.
pub fn mydocker_at<S: AsRef<OsStr>>(file: &Path, words: &[S]) -> Run {
    let words: Vec<OsString> = words.iter().map(|word| word.as_ref().to_os_string()).collect();
    let name = words.iter().position(|word| word == "--name").and_then(|at| words.get(at + 1)).cloned();
    Run { name: name.and_then(|name| name.into_string().ok()), command: Command::new(file), words }
}

/// `mydocker run OPTIONS COMMAND`.
pub fn run<S: AsRef<OsStr>>(options: &[&str], command: &[S]) -> Run {
    let mut words: Vec<OsString> = vec!["run".into()];
    words.extend(options.iter().map(OsString::from));
    words.extend(command.iter().map(|word| word.as_ref().to_os_string()));
    mydocker(&words)
}

/// `mydocker run OPTIONS` with the probe `words` as its command.
pub fn probe(options: &[&str], words: &[&str]) -> Run {
    let mut command: Vec<OsString> = vec![probe_file().into(), "--probe".into()];
    command.extend(words.iter().map(OsString::from));
    run(options, &command)
}

/// A container with `options` that waits for the end of its standard input, so that a case can inspect it.
pub fn waiting_container(options: &[&str]) -> Running {
    probe(options, &["hold"]).start_ready()
}

/// The words that run a probe, for cases that put them in an unusual position.
pub fn probe_words(words: &[&str]) -> Vec<OsString> {
    let mut probe_command: Vec<OsString> = vec![probe_file().into(), "--probe".into()];
    probe_command.extend(words.iter().map(OsString::from));
    probe_command
}

impl Run {
    /// Changes how mydocker is started: its environment, its working directory.
    pub fn with(mut self, change: impl FnOnce(&mut Command) -> &mut Command) -> Run {
        change(&mut self.command);
        self
    }

    /// Calls `act` in the new process, between fork and exec. It must not allocate: another thread may hold the
    /// allocator's lock.
    pub fn before(mut self, act: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> Run {
        // SAFETY: the closures of the cases only make system calls on memory that was allocated before the fork
        unsafe { self.command.pre_exec(act) };
        self
    }

    /// Runs it to its end with an empty standard input, and checks that its directories are removed.
    pub fn finish(self) -> Outcome {
        self.start().finish()
    }

    /// Starts it; its standard input stays open until [`Running::finish`].
    pub fn start(mut self) -> Running {
        self.command.args(&self.words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.launch()
    }

    /// Starts it, and waits until the probe inside has printed `ready`.
    pub fn start_ready(self) -> Running {
        let running = self.start();
        running.await_output("ready");
        running
    }

    /// Starts it with these three streams.
    pub fn start_on(mut self, streams: [OwnedFd; 3]) -> Running {
        let [stdin, stdout, stderr] = streams;
        self.command.args(&self.words).stdin(stdin).stdout(stdout).stderr(stderr);
        self.launch()
    }

    fn launch(mut self) -> Running {
        let mut child = {
            let _forks_allowed = FORK_LOCK.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            self.command.spawn().expect("start of mydocker")
        };
        let pid = child.id() as i32;
        Running {
            command_line: format!("{:?}", self.words),
            name: self.name.unwrap_or_else(|| pid.to_string()),
            out: Stream::reading(child.stdout.take()),
            err: Stream::reading(child.stderr.take()),
            pid,
            child,
            reaped: false,
        }
    }
}

/// A running mydocker.
pub struct Running {
    command_line: String,
    name: String,
    /// The pid of mydocker itself; valid until it is reaped.
    pub pid: i32,
    child: Child,
    out: Stream,
    err: Stream,
    reaped: bool,
}

impl Running {
    /// The name of its cgroup directories.
    pub fn directory_name(&self) -> String {
        format!("mydocker-{}", self.name)
    }

    /// Writes to its standard input.
    pub fn write_stdin(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("standard input is a pipe");
        match stdin.write_all(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other.expect("write to standard input"),
        }
    }

    /// Writes to its standard input, and closes it, in another thread: the reader may be slow, or never come.
    pub fn write_stdin_in_background(&mut self, bytes: Vec<u8>) {
        let mut stdin = self.child.stdin.take().expect("standard input is a pipe");
        thread::spawn(move || stdin.write_all(&bytes));
    }

    /// Waits until `text` has been printed on standard output.
    pub fn await_output(&self, text: &str) -> String {
        match self.out.wait(|seen, _| contains(seen, text.as_bytes())) {
            Some(seen) if contains(&seen, text.as_bytes()) => String::from_utf8_lossy(&seen).into_owned(),
            other => panic!(
                "{} never printed {text:?}; standard output {:?}, standard error {:?}",
                self.command_line,
                String::from_utf8_lossy(&other.unwrap_or_default()),
                String::from_utf8_lossy(&self.err.so_far())
            ),
        }
    }

    /// What has been printed on standard error.
    pub fn errors_so_far(&self) -> String {
        String::from_utf8_lossy(&self.err.so_far()).into_owned()
    }

    /// The pid on the host of the command inside.
    pub fn command_pid(&self) -> i32 {
        let mut children = children(self.pid);
        if children.len() > 1 {
            // What has left another process in its place may not have been waited for.
            children.retain(|&child| state(child).is_some_and(|state| state != 'Z'));
        }
        assert_eq!(children.len(), 1, "{}: one child of mydocker, not {children:?}", self.command_line);
        children[0]
    }

    /// Waits until mydocker blocks the signals that it handles: before that, a signal ends it as it ends any program.
    pub fn await_signal_handling(&self) {
        wait_until("mydocker blocks its signals", || status_field(self.pid, "SigBlk:").is_none_or(|set| set != 0));
    }

    /// Whether mydocker has ended.
    pub fn has_ended(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        status.is_empty() || status.contains("\nState:\tZ")
    }

    /// Sends `signal` to mydocker itself.
    pub fn send(&self, signal: i32) {
        send(self.pid, signal);
    }

    /// Waits until `signal` is no longer pending for mydocker.
    pub fn await_delivery(&self, signal: i32) {
        let bit = 1u64 << (signal - 1);
        wait_until("a pending signal is taken", || {
            status_field(self.pid, "SigPnd:").is_none_or(|hex| hex & bit == 0)
                && status_field(self.pid, "ShdPnd:").is_none_or(|hex| hex & bit == 0)
        });
    }

    /// Closes its standard input, waits for the end, and checks that the directories are removed.
    pub fn finish(self) -> Outcome {
        self.check_directories(Running::reap)
    }

    /// Waits for an end that must come while standard input stays open, and checks that the directories are removed.
    pub fn finish_with_stdin_open(self) -> Outcome {
        self.check_directories(Running::reap_with_stdin_open)
    }

    fn check_directories(self, end: fn(Running) -> Outcome) -> Outcome {
        let directory = self.directory_name();
        let outcome = end(self);
        let left = host().directories(&directory);
        assert!(left.is_empty(), "{outcome:?} left {left:?}");
        outcome
    }

    /// Closes its standard input and waits for the end, without checking the directories.
    pub fn reap(mut self) -> Outcome {
        drop(self.child.stdin.take());
        self.reap_with_stdin_open()
    }

    /// Waits for an end while standard input stays open, without checking the directories.
    pub fn reap_with_stdin_open(mut self) -> Outcome {
        // Held until the end: `Child::wait` would close it, and a command that outlives mydocker would see the end of
        // its input.
        let stdin = self.child.stdin.take();
        let ended = wait_for_end(self.pid);
        if !ended {
            // Kill only mydocker: the container must end with it.
            self.child.kill().expect("kill of a mydocker that hangs");
        }
        let status = self.child.wait().expect("wait for mydocker");
        self.reaped = true;
        let command_line = std::mem::take(&mut self.command_line);
        let collect = |stream: &Stream, what: &str| {
            let bytes = stream.wait(|_, ended| ended);
            bytes.unwrap_or_else(|| panic!("{command_line}: some process still has its {what} open"))
        };
        let outcome = Outcome {
            command_line: command_line.clone(),
            status,
            stdout: collect(&self.out, "standard output"),
            stderr: collect(&self.err, "standard error"),
        };
        drop(stdin);
        assert!(ended, "hangs: {outcome:?}");
        outcome
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            // A case failed half way: kill its mydocker, and with it the container.
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Everything that a pipe has delivered.
#[derive(Clone)]
struct Stream(Arc<Flow>);

struct Flow {
    /// The bytes so far, and whether the pipe has ended.
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Stream {
    fn reading(pipe: Option<impl Read + Send + 'static>) -> Stream {
        let stream =
            Stream(Arc::new(Flow { state: Mutex::new((Vec::new(), pipe.is_none())), changed: Condvar::new() }));
        let (Some(mut pipe), writer) = (pipe, stream.clone()) else { return stream };
        thread::spawn(move || {
            let mut block = [0; 8192];
            loop {
                let got = pipe.read(&mut block).unwrap_or(0);
                let mut state = writer.0.state.lock().expect("stream");
                state.0.extend_from_slice(&block[..got]);
                state.1 = got == 0;
                writer.0.changed.notify_all();
                if got == 0 {
                    return;
                }
            }
        });
        stream
    }

    /// Waits until `enough` holds or the pipe ends; None if that takes too long.
    fn wait(&self, enough: impl Fn(&[u8], bool) -> bool) -> Option<Vec<u8>> {
        let state = self.0.state.lock().expect("stream");
        let (state, waited) = self
            .0
            .changed
            .wait_timeout_while(state, timeout(), |(bytes, ended)| !*ended && !enough(bytes, *ended))
            .expect("stream");
        (!waited.timed_out()).then(|| state.0.clone())
    }

    fn so_far(&self) -> Vec<u8> {
        self.0.state.lock().expect("stream").0.clone()
    }
}

/// Whether `bytes` contains `part`.
pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
