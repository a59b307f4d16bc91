//! One run of mydocker under strace, and its trace as a list of calls.
//!
//! What strace 6.1 does, tried out:
//! - `-e inject=CALL:error=ERRNO:when=N` counts **for each process by itself**, from its first call on, and goes on
//!   counting over execve. An ordinal that both processes reach may hit both.
//! - The execve that starts mydocker is strace's own: it is neither counted nor hit. `execve:when=1` is the command's.
//! - A call that is made to fail is **not carried out**. For all calls but one that is what a failure means; close(2) frees
//!   the descriptor whatever it returns, and here it stays open.
//! - A call cannot be cut short: `retval=5` gives 5 and does nothing either. A pipe that took 5 of 22 bytes cannot be
//!   made in this way; a control file that says it took a value and did not can, and is (`lies::write`).
//! - SIGTERM does not end an strace that writes to a file: the watchdog ends what runs below it, then strace.

use crate::host::tool;
use crate::processes::children;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long one run may take: the longest retry of mydocker's own takes a second, an emulated machine is slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// The file under test.
pub fn mydocker_file() -> PathBuf {
    std::env::var_os("MYDOCKER").map_or_else(|| env!("CARGO_BIN_EXE_mydocker").into(), PathBuf::from)
}

/// One system call, as strace has it.
#[derive(Clone, Debug)]
pub struct Call {
    pub pid: i32,
    pub name: String,
    /// Between the brackets, with the paths of descriptors (`-y`).
    pub arguments: String,
    /// After the `=`; "?" if it never returned.
    pub result: String,
    /// The lines of the trace where it began and where it returned.
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

    /// What the call was about, as a message has to say it: the last part of a path, or a value.
    pub fn object(&self) -> Option<String> {
        let quoted: Vec<&str> = self.arguments.split('"').skip(1).step_by(2).collect();
        let on_a_path =
            self.arguments.split_once("</").and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path);
        let whole = match self.name.as_str() {
            "mount" => *quoted.get(1)?,
            "openat" | "mkdirat" | "unlinkat" | "faccessat" | "chdir" | "execve" => *quoted.first()?,
            "pread64" | "write" | "flock" | "read" => on_a_path?,
            _ => return None,
        };
        // "." is a directory that the message knows by another name.
        let last = whole.rsplit('/').find(|part| !part.is_empty()).unwrap_or("/");
        (last != ".").then(|| last.to_string())
    }
}

/// How a traced run ended.
pub struct Traced {
    /// Nothing if it had to be ended by the watchdog.
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
    pub calls: Vec<Call>,
    /// The pid of mydocker; 0 if strace could not start it.
    pub mydocker: i32,
    /// The program that was to run inside.
    program: String,
}

impl Traced {
    /// Every process of the run.
    pub fn pids(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self.calls.iter().map(|call| call.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    pub fn is_child(&self, call: &Call) -> bool {
        call.pid != self.mydocker
    }

    /// The execve by which the child became the command.
    pub fn executed(&self) -> Option<&Call> {
        self.calls.iter().find(|call| self.is_child(call) && call.name == "execve" && call.worked())
    }

    /// The parent's write of the command down the pipe: from then on the command may run.
    pub fn let_go(&self) -> Option<&Call> {
        self.calls.iter().find(|call| {
            !self.is_child(call)
                && call.name == "write"
                && call.arguments.contains("<pipe:")
                && call.arguments.contains(&self.program)
                && call.worked()
                && !call.injected()
        })
    }

    /// mydocker's first call of its own: what comes before is the C library's start.
    pub fn first_own(&self) -> usize {
        let own = |call: &&Call| call.name == "openat" && call.arguments.contains("\"/proc/self/status\"");
        self.calls.iter().find(own).map_or(usize::MAX, |call| call.began)
    }

    /// The trace, for a report.
    pub fn told(&self) -> String {
        let line = |call: &Call| format!("    {} {}({}) = {}\n", call.pid, call.name, call.arguments, call.result);
        self.calls.iter().map(line).collect()
    }
}

/// A run, to be made once under strace.
pub struct Run<'a> {
    pub folder: &'a Path,
    /// `-e` expressions.
    pub expressions: Vec<String>,
    /// What comes after `mydocker`.
    pub words: Vec<String>,
    /// The program among them.
    pub program: String,
    /// What is done in the new process before strace starts.
    pub before: fn() -> io::Result<()>,
}

impl Run<'_> {
    pub fn make(&self) -> io::Result<Traced> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = |what: &str| self.folder.join(format!("{number}.{what}"));
        let (log, out, err) = (path("trace"), path("out"), path("err"));
        let strace = tool("strace").ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(strace);
        command.args(["-f", "-y", "-s", "4096", "-o"]).arg(&log);
        for expression in &self.expressions {
            command.args(["-e", expression]);
        }
        command.arg(mydocker_file()).args(&self.words).current_dir(self.folder.join("empty"));
        command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
        // SAFETY: what is done are system calls on what was made before the fork
        unsafe { command.pre_exec(self.before) };
        let mut child = command.spawn()?;
        let status = wait(&mut child)?;
        let text = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let calls = parse(&text(&log)?);
        let mydocker = calls.first().map_or(0, |call| call.pid);
        let traced =
            Traced { status, stdout: text(&out)?, stderr: text(&err)?, calls, mydocker, program: self.program.clone() };
        for file in [log, out, err] {
            fs::remove_file(file)?;
        }
        Ok(traced)
    }
}

fn wait(strace: &mut Child) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = strace.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > end {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    // From the leaves up, each of them ours: strace, its mydocker, the container's first process.
    let below: Vec<i32> =
        children(strace.id() as i32).into_iter().flat_map(|pid| [children(pid), vec![pid]].concat()).collect();
    for pid in below {
        // SAFETY: kill takes two numbers; one that has just ended is no longer there
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    thread::sleep(Duration::from_millis(200));
    strace.kill()?;
    strace.wait()?;
    Ok(None)
}

fn parse(log: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut pending: Vec<(i32, usize, String)> = Vec::new();
    for (at, line) in log.lines().enumerate() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Ok(pid) = pid.parse::<i32>() else { continue };
        let rest = rest.trim_start();
        if rest.starts_with("---") || rest.starts_with("+++") {
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
        // Both at once: a call that never returned because its process was killed.
        let never = tail.contains("<unfinished ...>) = ?");
        let tail = tail.replace("<unfinished ...>) = ?", ") = ?");
        if let Some(start) = tail.strip_suffix("<unfinished ...>").filter(|_| !never) {
            pending.push((pid, begun.0, begun.1 + start));
            continue;
        }
        calls.extend(call(pid, begun.0, at, &(begun.1 + &tail)));
    }
    // Killed in the middle of it.
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
