//! The one error type: what went wrong, with what, and what the kernel said. Its cause is `Copy` and small, so that the
//! child can send it through the error pipe in one atomic write (at most `PIPE_BUF`, pipe(7)).

use crate::text::{Put, Text};
use alloc::boxed::Box;
use alloc::vec::Vec;
pub use syscalls::Errno;

/// What a call was about, as it is printed: a quoted path, a list of flags.
pub type Subject = Text<192>;

/// What all of mydocker returns.
pub type Result<T> = core::result::Result<T, Error>;

/// Everything that can end a run before the command starts. One pointer, so that a `?` costs one comparison; what it
/// points to stays until the process ends, which is soon.
#[derive(Clone, Copy)]
pub struct Error(&'static Cause);

/// What went wrong.
#[derive(Clone, Copy)]
pub enum Cause {
    /// A system call failed. `hint` is set where errno alone misleads and only the caller knows why.
    Call {
        /// The call's name, as in the man page.
        call: &'static str,
        /// What the kernel said.
        errno: Errno,
        /// What the call was about.
        subject: Subject,
        /// What to do about it, or what it means.
        hint: Option<&'static str>,
    },
    /// The kernel took a limit and holds another one.
    Limit {
        /// The file below the cgroup's directory.
        file: &'static str,
        /// What was written.
        asked: Text<88>,
        /// What was read back.
        got: Text<88>,
    },
    /// No file of that name, neither as a path nor in PATH.
    NotFound {
        /// The command's first word, quoted.
        word: Subject,
    },
    /// The file is there; what it needs to be run with is not.
    Interpreter {
        /// The file, quoted.
        file: Text<104>,
        /// The interpreter that its first line or its ELF header names, quoted.
        interpreter: Text<96>,
    },
    /// The command line cannot be understood; `--help` would help.
    Usage {
        /// What is wrong.
        what: &'static str,
        /// With which word, quoted.
        subject: Subject,
    },
    /// The command line is clear, and this host or its state does not allow it.
    Refused {
        /// What is not possible.
        what: &'static str,
        /// With what.
        subject: Subject,
        /// What to do about it.
        hint: &'static str,
    },
}

const _: () = assert!(size_of::<Cause>() <= 256);

impl Error {
    /// What went wrong, as it is sent from one process to the other.
    #[cold]
    #[inline(never)]
    pub fn new(cause: Cause) -> Self {
        Error(Box::leak(Box::new(cause)))
    }

    /// A system call failed.
    #[cold]
    #[inline(never)]
    pub fn call(call: &'static str, errno: Errno, subject: Subject) -> Self {
        Error::new(Cause::Call { call, errno, subject, hint: None })
    }

    /// The command line is wrong at `word`, if that says something.
    #[cold]
    #[inline(never)]
    pub fn usage(what: &'static str, word: &[u8]) -> Self {
        let subject = if word.is_empty() { Subject::new() } else { Text::quoted(&[word]) };
        Error::new(Cause::Usage { what, subject })
    }

    /// The command line is clear, and this host or its state does not allow it. `path` in parts.
    #[cold]
    #[inline(never)]
    pub fn refused(what: &'static str, path: &[&[u8]], hint: &'static str) -> Self {
        Error::new(Cause::Refused { what, subject: Text::quoted(path), hint })
    }

    /// The kernel took a limit and holds another one.
    #[cold]
    #[inline(never)]
    pub fn limit(file: &'static str, asked: &[u8], got: &[u8]) -> Self {
        Error::new(Cause::Limit { file, asked: Text::plain(asked), got: Text::plain(got) })
    }

    /// No file is called `word`.
    #[cold]
    #[inline(never)]
    pub fn not_found(word: &[u8]) -> Self {
        Error::new(Cause::NotFound { word: Text::quoted(&[word]) })
    }

    /// What `file` is to be run with is missing.
    #[cold]
    #[inline(never)]
    pub fn interpreter(file: &[u8], interpreter: &[u8]) -> Self {
        let (file, interpreter) = (Text::quoted(&[file]), Text::quoted(&[interpreter]));
        Error::new(Cause::Interpreter { file, interpreter })
    }

    /// What went wrong.
    pub fn cause(self) -> &'static Cause {
        self.0
    }

    /// Whether a system call failed with `errno`: an expected errno is said out loud.
    #[inline(never)]
    pub fn is(self, expected: Errno) -> bool {
        matches!(self.0, Cause::Call { errno, .. } if *errno == expected)
    }

    /// The same failure with a hint that only the caller can give.
    #[cold]
    #[inline(never)]
    pub fn with_hint(self, hint: &'static str) -> Self {
        match *self.0 {
            Cause::Call { call, errno, subject, .. } => {
                Error::new(Cause::Call { call, errno, subject, hint: Some(hint) })
            }
            _ => self,
        }
    }

    /// The same failed call, of something else.
    #[cold]
    #[inline(never)]
    pub fn about(self, path: &[u8]) -> Self {
        match *self.0 {
            Cause::Call { call, errno, hint, .. } => {
                Error::new(Cause::Call { call, errno, subject: Text::quoted(&[path]), hint })
            }
            _ => self,
        }
    }

    /// The exit status: 127 not found, 126 found and cannot be executed, 125 all the rest.
    pub fn status(self) -> i32 {
        match self.0 {
            Cause::NotFound { .. } => 127,
            Cause::Interpreter { .. } => 126,
            Cause::Call { call: "execve", .. } => 126,
            _ => 125,
        }
    }

    /// Puts the message, from `mydocker: ` to the newline; a usage error ends with the line that points at `--help`.
    pub fn print(self, out: &mut Vec<u8>) {
        out.put(b"mydocker: ");
        match self.0 {
            Cause::Call { call, errno, subject, hint } => {
                out.put(call.as_bytes());
                out.put(if subject.as_bytes().is_empty() { b"" } else { b" " });
                out.put(subject.as_bytes());
                out.put(b": ");
                match described(*errno) {
                    Some(line) => out.put(line),
                    None => {
                        out.put(b"errno ");
                        out.put_decimal(errno.into_raw() as u64);
                    }
                }
                if let Some(hint) = hint.or_else(|| usual_hint(call, *errno)) {
                    out.put(b": ");
                    out.put(hint.as_bytes());
                }
            }
            Cause::Limit { file, asked, got } => {
                out.put(file.as_bytes());
                out.put(b": asked for ");
                out.put(asked.as_bytes());
                out.put(b", the kernel made it ");
                out.put(got.as_bytes());
            }
            Cause::NotFound { word } => {
                out.put(b"execve ");
                out.put(word.as_bytes());
                out.put(b": not found, neither as a path nor in PATH");
            }
            Cause::Interpreter { file, interpreter } => {
                out.put(b"execve ");
                out.put(file.as_bytes());
                out.put(b": ENOENT: its interpreter ");
                out.put(interpreter.as_bytes());
                out.put(b" is missing");
            }
            Cause::Usage { what, subject } => {
                out.put(what.as_bytes());
                out.put(if subject.as_bytes().is_empty() { b"" } else { b": " });
                out.put(subject.as_bytes());
                out.put(b"\nTry 'mydocker run --help'.");
            }
            Cause::Refused { what, subject, hint } => {
                out.put(what.as_bytes());
                out.put(if subject.as_bytes().is_empty() { b"" } else { b" " });
                out.put(subject.as_bytes());
                out.put(b": ");
                out.put(hint.as_bytes());
            }
        }
        out.put(b"\n");
    }
}

/// A line for each errno from 0 on, empty where there is none; build.rs makes it from `syscalls`.
static ERRNOS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/errnos"));

/// `EACCES (Permission denied)`; nothing for a number that has no name.
pub fn described(errno: Errno) -> Option<&'static [u8]> {
    let number = usize::try_from(errno.into_raw()).ok()?;
    ERRNOS.split(|&b| b == b'\n').nth(number).filter(|line| !line.is_empty())
}

/// What an errno of this call usually means, where its name misleads.
fn usual_hint(call: &str, errno: Errno) -> Option<&'static str> {
    Some(match (call, errno) {
        ("clone" | "clone3", Errno::EPERM) => "making namespaces needs root (CAP_SYS_ADMIN)",
        ("clone" | "clone3", Errno::EINVAL) => "this kernel lacks one of these namespaces",
        ("clone" | "clone3", Errno::EAGAIN) => "a limit on processes is reached (RLIMIT_NPROC, pids.max)",
        ("clone" | "clone3", Errno::ENOSPC) => "a limit in /proc/sys/user, or on nesting, is reached",
        ("mkdirat", Errno::EACCES | Errno::EPERM) => "making a cgroup needs root, or a delegated one",
        ("mkdirat", Errno::EROFS) => "the cgroup filesystem is mounted read-only",
        ("mount", Errno::EINVAL) => "is it a mount point? In a chroot, bind the root onto itself first",
        ("chdir", Errno::ENOENT) => "the working directory is not there",
        ("execve", Errno::EACCES) => "no execute permission",
        ("execve", Errno::ENOEXEC) => "neither a program for this machine nor a script with a #! line",
        ("execve", Errno::E2BIG) => "the arguments and the environment are too long",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(error: Error) -> String {
        let mut out = Vec::new();
        error.print(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn messages() {
        let call = |call, errno| Error::call(call, errno, Text::quoted(&[b"/x\n"]));
        assert_eq!(
            printed(call("mkdirat", Errno::ENOENT)),
            "mydocker: mkdirat \"/x\\n\": ENOENT (No such file or directory)\n"
        );
        assert!(printed(call("execve", Errno::EACCES)).ends_with(": no execute permission\n"));
        assert!(printed(call("read", Errno::EIO).with_hint("why")).ends_with("(I/O error): why\n"));
        assert_eq!(printed(call("read", Errno::new(4000))), "mydocker: read \"/x\\n\": errno 4000\n");
        assert_eq!(
            printed(Error::usage("unknown option", b"--foo")),
            "mydocker: unknown option: \"--foo\"\nTry 'mydocker run --help'.\n"
        );
    }

    #[test]
    fn statuses() {
        let call = |call| Error::call(call, Errno::ENOENT, Text::new());
        assert_eq!(call("execve").status(), 126);
        assert_eq!(call("mount").status(), 125);
        assert_eq!(Error::not_found(b"x").status(), 127);
        assert_eq!(Error::usage("", b"").status(), 125);
    }
}
