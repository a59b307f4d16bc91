//! One run of mydocker under strace, and its trace as a list of calls.
//!
//! What strace 6.1 does, found by experiment:
//! - `-e inject=CALL:error=ERRNO:when=N` counts **in each process separately**, from its first call on, and continues
//!   to count across execve. So an ordinal that two processes reach hits both.
//! - The execve that starts its program is strace's own: strace neither counts nor hits it.
//! - A call that is made to fail is **not carried out**. That is what a failure means for all calls but one: close(2)
//!   frees the descriptor whatever it returns, and here the descriptor stays open.
//! - A call cannot be cut short: `retval=5` returns 5 and also does nothing. So a pipe that took 5 of 22 bytes cannot
//!   be simulated; a control file that claims to have taken a value can, and is (`lies::write`).
//! - SIGTERM does not end an strace that writes to a file: the watchdog kills the processes below it, then strace.
//!
//! To hit one process alone, strace does not start mydocker but this test, which first makes the call in question a few
//! times without effect ([`make_calls`]) and then becomes mydocker: its ordinals are larger than those of its child.

use crate::support::host::tool;
use crate::support::processes::children;
use crate::worker::Worker;
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use syscalls::Sysno;

/// How long one run may take: mydocker's own longest retry takes a second, and an emulated machine is slow.
const RUN_TIMEOUT: Duration = Duration::from_secs(20);

/// The word that makes this program call [`make_calls`].
pub const MAKE_CALLS: &str = "--make-calls";

/// The file under test.
pub fn mydocker_file() -> PathBuf {
    std::env::var_os("MYDOCKER").map_or_else(|| env!("CARGO_BIN_EXE_mydocker").into(), PathBuf::from)
}

/// One system call, as strace prints it.
#[derive(Clone, Debug)]
pub struct Call {
    pub pid: i32,
    pub name: String,
    /// The text between the parentheses, with the paths of descriptors (`-y`).
    pub arguments: String,
    /// The text after the `=`; "?" if the call never returned.
    pub result: String,
    /// The lines of the trace where the call began and where it returned.
    pub began: usize,
    pub returned: usize,
}

impl Call {
    pub fn injected(&self) -> bool {
        self.result.contains("(INJECTED)")
    }

    pub fn worked(&self) -> bool {
        !self.result.starts_with('-') && !self.result.starts_with('?')
    }

    /// Whether the kernel has interrupted the call by itself, and made it again.
    pub fn is_begun_anew(&self) -> bool {
        self.result.contains("ERESTARTNOINTR")
    }

    /// The strings among its arguments.
    fn quoted(&self) -> Vec<&str> {
        self.arguments.split('"').skip(1).step_by(2).collect()
    }

    /// The path of the first descriptor among its arguments.
    fn descriptor_path(&self) -> Option<&str> {
        self.arguments.split_once("</").and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path)
    }
}

/// The last component of a path. Messages know the directory "." by another name.
fn last_part(path: &str) -> Option<String> {
    let last = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("/");
    (last != ".").then(|| last.to_string())
}

/// How a traced run ended.
pub struct Traced {
    /// None if the watchdog had to kill it.
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
    /// The calls of mydocker and of its children, without those that this test made before it became mydocker.
    pub calls: Vec<Call>,
    /// The calls of the command.
    pub command_calls: Vec<Call>,
    /// The pid of mydocker; 0 if it was not started.
    pub mydocker: i32,
    /// The calls that this test had made before it became mydocker.
    pub before: Vec<String>,
    /// The names that a process of the run may have.
    names: Vec<String>,
    /// The program that was to run inside.
    program: String,
}

impl Traced {
    /// Every process of the run, by its pid, and the names that it may have.
    pub fn processes(&self) -> (Vec<i32>, &[String]) {
        let mut pids: Vec<i32> = self.calls.iter().map(|call| call.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        (pids, &self.names)
    }

    /// Whether strace reports that it could not make a call fail: the process was being killed at that moment.
    pub fn strace_failed(&self) -> bool {
        self.stderr.contains("strace: Failed to tamper with process")
    }

    pub fn is_child(&self, call: &Call) -> bool {
        call.pid != self.mydocker
    }

    /// The execve with which a child became the command. The child may be killed before execve returns, after the
    /// parent has already seen the error pipe close.
    pub fn executed(&self) -> Option<&Call> {
        let end = |call: &Call| call.name == "read" && call.arguments.contains("<pipe:") && call.result == "0";
        let seen = self.calls.iter().any(|call| !self.is_child(call) && end(call));
        let worked = |call: &Call| call.worked() || seen && call.result.starts_with('?');
        let is_helper = |call: &&Call| call.arguments.starts_with("\"/usr/bin/slirp4netns\"");
        let mut executed =
            self.calls.iter().filter(|call| self.is_child(call) && call.name == "execve" && worked(call));
        executed.find(|call| !is_helper(call))
    }

    /// The parent's write of the command into the pipe: from then on the command may run.
    pub fn release(&self) -> Option<&Call> {
        let sent = self.sent()?;
        // What is to appear among the processes of another container waits for the end of that pipe.
        if !self.calls.iter().any(|call| !self.is_child(call) && call.arguments.contains("MAP_SHARED")) {
            return Some(sent);
        }
        // A call that strace shows in two parts has a blank more.
        let pipe = sent.arguments.split(',').next()?.trim_end();
        self.calls.iter().find(|call| {
            !self.is_child(call) && call.name == "close" && call.arguments.trim_end() == pipe && call.began > sent.began
        })
    }

    fn sent(&self) -> Option<&Call> {
        self.calls.iter().find(|call| {
            !self.is_child(call)
                && call.name == "write"
                && call.arguments.contains("<pipe:")
                && call.arguments.contains(&self.program)
                && call.worked()
                && !call.injected()
        })
    }

    /// mydocker's first call of its own: the C library's start-up code makes those before it. With the network of another
    /// container, that is looked for first.
    pub fn first_own(&self) -> Option<usize> {
        self.calls.iter().find(|call| matches!(call.name.as_str(), "getpid" | "geteuid")).map(|call| call.began)
    }

    /// The objects of the call, one of which a message must name: the last component of a path, or a value. Empty if
    /// the call is about nothing that has a name.
    pub fn objects(&self, call: &Call) -> Vec<String> {
        let quoted = call.quoted();
        let whole: Vec<&str> = match call.name.as_str() {
            // What a request of netlink is about stands in the scenario.
            "sendto" => vec!["RTM_"],
            "read" | "flock" if call.arguments.contains("<socket:") => vec!["RTM_"],
            "flock" | "statx" if call.arguments.contains("<net:") => vec!["/proc/self/ns/net"],
            "setns" if call.arguments.contains("CLONE_NEWNET") => vec!["CLONE_NEWNET"],
            "socket" => call.arguments.split(',').take(1).collect(),
            "bind" | "listen" | "setsockopt" | "getsockname" => vec!["its port, which stands in the scenario"],
            // The source or the target of the mount; an overlay is assembled in the working directory.
            "mount" => match quoted.first() {
                Some(&"overlay") => vec![self.working_directory(call)],
                _ => quoted.iter().take(2).map(|path| self.opened_path(call, path)).collect(),
            },
            "openat" | "openat2" | "mkdirat" | "mknodat" | "unlinkat" | "faccessat" | "chdir" | "execve" | "statx"
            | "sethostname" => quoted.into_iter().take(1).collect(),
            "symlinkat" => quoted.into_iter().skip(1).take(1).collect(),
            "pread64" | "write" | "flock" | "read" | "getdents64" => match call.arguments.split_once('<') {
                Some((_, object)) if object.starts_with("pipe:") => vec!["pipe"],
                Some(("1", _)) => vec!["stdout"],
                _ => call.descriptor_path().into_iter().collect(),
            },
            "kill" => call.arguments.split(',').take(1).collect(),
            _ => Vec::new(),
        };
        whole.into_iter().filter_map(last_part).collect()
    }

    /// A path such as /proc/self/fd/7, or self/fd/7 in /proc, stands for the file that this descriptor was opened for.
    fn opened_path<'a>(&'a self, call: &Call, path: &'a str) -> &'a str {
        let Some(number) = path.trim_start_matches("/proc/").strip_prefix("self/fd/") else { return path };
        let opened = |other: &&Call| other.pid == call.pid && other.began < call.began;
        let result = |other: &'a Call| other.result.strip_prefix(number)?.strip_prefix('<')?.split('>').next();
        self.calls.iter().rev().filter(opened).find_map(result).unwrap_or(path)
    }

    fn working_directory(&self, call: &Call) -> &str {
        let before = |other: &&Call| other.pid == call.pid && other.began < call.began && other.name == "chdir";
        self.calls.iter().rev().find(before).and_then(|other| other.quoted().first().copied()).unwrap_or(".")
    }

    /// The trace, for a report.
    pub fn listing(&self) -> String {
        let line = |call: &Call| format!("    {} {}({}) = {}\n", call.pid, call.name, call.arguments, call.result);
        self.calls.iter().map(line).collect()
    }
}

/// A run, to be made once under strace.
pub struct Run<'a> {
    pub worker: &'a Worker,
    /// Expressions for strace's `-e`.
    pub expressions: Vec<String>,
    /// Which call this test makes without effect, and how often, before it becomes mydocker.
    pub dummy_calls: Option<(&'a str, usize)>,
    /// The words after `mydocker`.
    pub words: Vec<String>,
    /// The program among them.
    pub program: String,
    /// Its standard input; /dev/null if none is given.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Called in the new process before strace starts.
    pub before: fn() -> io::Result<()>,
}

impl Run<'_> {
    pub fn make(&self) -> io::Result<Traced> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = |what: &str| self.worker.folder.join(format!("{number}.{what}"));
        let (log, out, err) = (path("trace"), path("out"), path("err"));
        let strace = tool("strace").ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(strace);
        command.args(["-f", "-y", "-s", "4096", "-o"]).arg(&log);
        for expression in &self.expressions {
            command.args(["-e", expression]);
        }
        let (call, times) = self.dummy_calls.unwrap_or(("getpid", 0));
        let call: Sysno = call.parse().map_err(|()| io::Error::other(format!("{call} has no number")))?;
        command.arg(std::env::current_exe()?).args([MAKE_CALLS, &call.id().to_string(), &times.to_string()]);
        command.arg(mydocker_file()).args(&self.words).current_dir(self.worker.empty());
        command.env("TMPDIR", self.worker.empty());
        // Another trial may have a container of the same name.
        command.env("MYDOCKER_STATE", self.worker.records());
        command.stdin(match self.stdin {
            Some(stdin) => stdin.try_clone_to_owned()?.into(),
            None => Stdio::null(),
        });
        command.stdout(File::create(&out)?).stderr(File::create(&err)?);
        // SAFETY: both closures only make system calls on memory that was allocated before the fork
        unsafe { command.pre_exec(self.worker.joining()).pre_exec(self.before) };
        let mut child = command.spawn()?;
        let status = wait(&mut child)?;
        let text = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let (calls, command_calls, before) = split_at_mydocker(parse(&text(&log)?));
        let mydocker = calls.first().map_or(0, |call| call.pid);
        let names = [mydocker_file(), self.program.clone().into(), "slirp4netns".into(), std::env::current_exe()?]
            .iter()
            .filter_map(|file| comm(file))
            .collect();
        let program = self.program.clone();
        let (stdout, stderr) = (text(&out)?, text(&err)?);
        let traced = Traced { status, stdout, stderr, calls, command_calls, mydocker, before, names, program };
        for file in [log, out, err] {
            fs::remove_file(file)?;
        }
        Ok(traced)
    }
}

/// The name that /proc shows for a process of this file: the first 15 bytes, proc_pid_comm(5).
fn comm(file: &Path) -> Option<String> {
    Some(file.file_name()?.to_str()?.chars().take(15).collect())
}

/// `--make-calls NUMBER TIMES FILE WORD...`: makes a call that many times, with arguments that the kernel refuses, and
/// becomes FILE. If that fails, returns the exit status.
pub fn make_calls(words: Vec<OsString>) -> i32 {
    let number = |at: usize| words.get(at).and_then(|word| word.to_str()).and_then(|word| word.parse::<i64>().ok());
    let (Some(call), Some(times)) = (number(2), number(3)) else { return 2 };
    // kill(-1) would signal every process; this pid matches none, whatever the signal.
    let first = if call == libc::SYS_kill { i64::from(i32::MIN) } else { -1 };
    for _ in 0..times {
        // SAFETY: -1 is invalid as a pointer, length, flag and descriptor: the kernel refuses the call before it
        // touches memory
        unsafe { libc::syscall(call, first, -1i64, -1i64, -1i64, -1i64, -1i64) };
    }
    let words: Vec<CString> = words.into_iter().skip(4).flat_map(|word| CString::new(word.into_vec())).collect();
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the list ends with a null pointer, and `words` owns the strings until execv returns
    unsafe { libc::execv(pointers[0], pointers.as_ptr()) };
    2
}

fn wait(strace: &mut Child) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + RUN_TIMEOUT;
    loop {
        if let Some(status) = strace.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > end {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    // From the leaves of the process tree upwards, all of them ours: the container's processes, mydocker, strace.
    let mut below = vec![strace.id() as i32];
    let mut at = 0;
    while at < below.len() {
        below.extend(children(below[at]));
        at += 1;
    }
    for &pid in below.iter().skip(1).rev() {
        // SAFETY: kill takes two integers; a process that has just ended is not there any more
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    thread::sleep(Duration::from_millis(200));
    strace.kill()?;
    strace.wait()?;
    Ok(None)
}

/// The calls of mydocker and its children; the calls of the command; and the names of the calls that this test made
/// before it became mydocker.
fn split_at_mydocker(mut calls: Vec<Call>) -> (Vec<Call>, Vec<Call>, Vec<String>) {
    let file = format!("\"{}\"", mydocker_file().display());
    let became = |call: &Call| call.name == "execve" && call.worked() && call.arguments.starts_with(&file);
    let Some(became) = calls.iter().position(became) else { return (Vec::new(), Vec::new(), Vec::new()) };
    let mydocker = calls[became].pid;
    // The first execve is strace's own, which strace does not count.
    let before = calls.drain(..=became).skip(1).map(|call| call.name).collect();
    let became_command = |call: &&Call| call.pid != mydocker && call.name == "execve" && call.worked();
    let mut commands: Vec<(i32, usize)> =
        calls.iter().filter(became_command).map(|call| (call.pid, call.began)).collect();
    // What these have started in turn: slirp4netns does.
    for call in calls.iter().filter(|call| ["clone", "clone3", "fork", "vfork"].contains(&call.name.as_str())) {
        let by_command = commands.iter().any(|(pid, since)| *pid == call.pid && call.began > *since);
        if let (true, Ok(child)) = (by_command, call.result.parse()) {
            commands.push((child, 0));
        }
    }
    let is_command = |call: &Call| commands.iter().any(|(pid, since)| *pid == call.pid && call.began > *since);
    let (command_calls, calls) = calls.into_iter().partition(is_command);
    (calls, command_calls, before)
}

fn parse(log: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut pending: Vec<(i32, usize, String)> = Vec::new();
    for (at, line) in log.lines().enumerate() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Ok(pid) = pid.parse::<i32>() else { continue };
        let rest = rest.trim_start();
        // "???": the process was killed as it entered the kernel, before strace saw the call.
        if rest.starts_with("---") || rest.starts_with("+++") || rest.starts_with("???") {
            continue;
        }
        let mut begun = (at, String::new());
        let mut tail = rest;
        if let Some((_, resumed)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            if let Some(found) = pending.iter().position(|(of, _, _)| *of == pid) {
                let (_, began, text) = pending.remove(found);
                begun = (began, text);
            }
            tail = resumed;
        }
        // Both markers on one line: a call that never returned because its process was killed.
        let never = tail.contains("<unfinished ...>) = ?");
        let tail = tail.replace("<unfinished ...>) = ?", ") = ?");
        if let Some(start) = tail.strip_suffix("<unfinished ...>").filter(|_| !never) {
            pending.push((pid, begun.0, begun.1 + start));
            continue;
        }
        calls.extend(call(pid, begun.0, at, &(begun.1 + &tail)));
    }
    // Killed in the middle of the call.
    for (pid, began, text) in pending {
        calls.extend(call(pid, began, usize::MAX, &format!("{text}) = ?")));
    }
    calls.sort_by_key(|call| call.began);
    calls
}

fn call(pid: i32, began: usize, returned: usize, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end();
    let arguments = arguments.strip_suffix(')').unwrap_or(arguments);
    Some(Call { pid, name: name.into(), arguments: arguments.into(), result: result.into(), began, returned })
}
