//! The one error type: which call failed, on what, and with which errno; or which word or limit was wrong. Its cause is
//! small and `Copy`, so that the child sends it through the error pipe in one write, which pipe(7) keeps in one piece up to
//! `PIPE_BUF` bytes.

use crate::bytes::{FixedBytes, Put, Sink, split};
use alloc::boxed::Box;
use alloc::vec::Vec;
pub use syscalls::Errno;

/// What an error is about: a quoted path, a list of flags.
pub type Subject = FixedBytes;

/// The result of everything in mydocker that can fail.
pub type Result<T> = core::result::Result<T, Error>;

/// Everything that can end a run before the command starts. It is one pointer, so that a `Result` stays small; the cause is
/// never freed, because the process ends soon after.
#[derive(Clone, Copy)]
pub struct Error(&'static Cause);

/// What went wrong. It is printed as `WHAT SUBJECT: ERRNO (DESCRIPTION): HINT`, without the parts that are empty.
///
/// The strings are valid in a forked copy of this process too, which has the same memory at the same addresses.
#[derive(Clone, Copy)]
pub struct Cause {
    /// The kind of failure.
    pub kind: Kind,
    /// The call's name as in its man page; the cgroup file of a limit; or what is wrong, in words.
    pub what: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// The errno of a failed call; 0 in the other kinds.
    pub errno: Errno,
    /// What it means or what to do about it, as only the caller of the failed call can know: see [`Error::with_hint`].
    pub hint: &'static str,
    /// What this errno usually means from this call; printed if there is no other hint: see [`Error::hint_for`]. If the command
    /// line is wrong: the command of mydocker whose `--help` helps.
    pub usual_hint: &'static str,
}

/// The kinds of failure. They differ in the exit status and in what is printed around the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A system call failed.
    Call,
    /// The kernel accepted a limit, but reads back a different one.
    Limit,
    /// There is no file of that name, neither as a path nor in PATH.
    NotFound,
    /// The command was found, and execve(2) has failed.
    NotExecuted,
    /// The file exists, but its interpreter does not.
    Interpreter,
    /// The command line is wrong; `--help` would help.
    Usage,
    /// The command line is right, but this host or its state does not allow it.
    Refused,
    /// Another process has said it, and ends with this status.
    Said(u8),
}

// A longer write could arrive in pieces, mixed with another one.
const _: () = assert!(size_of::<Cause>() <= 256 && 256 <= libc::PIPE_BUF);

impl Cause {
    /// A cause in memory that stays. It is about `word`, which is quoted if it is not empty.
    fn new(kind: Kind, what: &'static str, word: &[u8], hint: &'static str) -> &'static mut Cause {
        let cause = Cause { kind, what, subject: Subject::new(), errno: Errno::new(0), hint, usual_hint: "" }.copy();
        if !word.is_empty() {
            cause.subject.put_quoted(&[word]);
        }
        cause
    }

    /// A copy in memory that stays.
    fn copy(&self) -> &'static mut Cause {
        Box::leak(Box::new(*self))
    }
}

impl Error {
    /// An error from its cause, for instance one that another process sent.
    pub fn new(cause: &Cause) -> Self {
        Error(cause.copy())
    }

    /// The system call `call` failed with `errno`. It was about `text`, as it is, and a path in parts, which is quoted if there
    /// are any.
    pub fn call(call: &'static str, errno: Errno, text: &[u8], path: &[&[u8]]) -> Self {
        let cause = Cause::new(Kind::Call, call, b"", "");
        cause.errno = errno;
        cause.subject.put(text);
        if path.iter().any(|part| !part.is_empty()) {
            cause.subject.put_quoted(path);
        }
        Error(cause)
    }

    /// The command line is wrong: `says` why, `word` is where. An empty word is not printed.
    pub fn usage(says: &'static str, word: &[u8]) -> Self {
        Error(Cause::new(Kind::Usage, says, word, ""))
    }

    /// The command line is right, but this host or its state does not allow it: `says` why, `word` is where. An empty word is
    /// not printed.
    pub fn refused(says: &'static str, word: &[u8], hint: &'static str) -> Self {
        Error(Cause::new(Kind::Refused, says, word, hint))
    }

    /// Another process, which ends with `status`, has said this text.
    pub fn said(status: u8, text: &[u8]) -> Self {
        let cause = Cause::new(Kind::Said(status), "", b"", "");
        cause.subject.put(text);
        Error(cause)
    }

    /// The kernel accepted the limit `asked` in `file`, but the file reads back `got`.
    pub fn limit(file: &'static str, asked: &[u8], got: &[u8]) -> Self {
        let cause = Cause::new(Kind::Limit, file, b"", "");
        cause.subject.put(b"asked for ");
        cause.subject.put(asked);
        cause.subject.cut(100);
        cause.subject.put(b", the kernel made it ");
        cause.subject.put(got);
        Error(cause)
    }

    /// There is no file called `word`.
    pub fn not_found(word: &[u8]) -> Self {
        let what = if word.contains(&b'/') { "not found: no such file" } else { "not found in PATH" };
        Error(Cause::new(Kind::NotFound, "execve", word, what))
    }

    /// The same failure of the call that was to make a process the command.
    pub fn not_executed(self) -> Self {
        let cause = self.0.copy();
        cause.kind = Kind::NotExecuted;
        Error(cause)
    }

    /// `file` exists, but not the interpreter that it names: execve(2), ENOENT.
    pub fn interpreter(file: &[u8], interpreter: &[u8]) -> Self {
        let cause = Cause::new(Kind::Interpreter, "execve", file, "");
        cause.subject.cut(100);
        cause.subject.put(b": ENOENT: its interpreter ");
        cause.subject.put_quoted(&[interpreter]);
        cause.subject.put(b" is missing");
        Error(cause)
    }

    /// What went wrong.
    pub fn cause(self) -> &'static Cause {
        self.0
    }

    /// Whether a system call failed with `expected`.
    pub fn is(self, expected: Errno) -> bool {
        self.0.errno == expected
    }

    /// Whether a system call failed with one of `expected`.
    pub fn is_one_of(self, expected: &[Errno]) -> bool {
        expected.contains(&self.0.errno)
    }

    /// The same failure with a hint that replaces any other: for callers that know why the call failed.
    pub fn with_hint(self, hint: &'static str) -> Self {
        let cause = self.0.copy();
        cause.hint = hint;
        Error(cause)
    }

    /// The same failure with the hint that stands beside its errno in `hints`, if it has none yet: for the wrapper of a
    /// call whose errno is misleading.
    pub fn hint_for(self, hints: &[(Errno, &'static str)]) -> Self {
        for (errno, hint) in hints {
            if self.is(*errno) && self.0.usual_hint.is_empty() {
                let cause = self.0.copy();
                cause.usual_hint = hint;
                return Error(cause);
            }
        }
        self
    }

    /// The same failure, if the command line is wrong, of `mydocker COMMAND`.
    pub fn of_command(self, command: &'static str) -> Self {
        if self.0.kind != Kind::Usage {
            return self;
        }
        let cause = self.0.copy();
        cause.usual_hint = command;
        Error(cause)
    }

    /// The same failure with this text, as it is, as its subject.
    pub fn about_text(self, text: &[u8]) -> Self {
        let cause = self.0.copy();
        cause.subject = Subject::plain(text);
        Error(cause)
    }

    /// The same failure with another path as its subject.
    pub fn about(self, path: &[u8]) -> Self {
        let cause = self.0.copy();
        cause.subject = Subject::quoted(&[path]);
        Error(cause)
    }

    /// The exit status: 127 if the command was not found, 126 if it was found but not executed, 125 for everything else.
    pub fn status(self) -> i32 {
        match self.0.kind {
            Kind::Said(status) => status.into(),
            Kind::NotFound => 127,
            Kind::NotExecuted | Kind::Interpreter => 126,
            _ => 125,
        }
    }

    /// Puts the message, from `mydocker: ` to the newline. After a usage error follows a line that names `--help`.
    pub fn print(self, out: &mut Vec<u8>) {
        self.print_with("", out);
    }

    /// The same. A `fallback_hint` that is not empty replaces the usual hint of the errno, but not a hint of the caller's.
    pub fn print_with(self, fallback_hint: &str, out: &mut Vec<u8>) {
        let Cause { kind, what, subject, errno, hint, usual_hint } = self.0;
        out.put(b"mydocker: ");
        out.put(what.as_bytes());
        if !subject.as_bytes().is_empty() {
            out.put(match kind {
                Kind::Limit | Kind::Usage => b": ",
                Kind::Said(_) => b"",
                _ => b" ",
            });
            out.put(subject.as_bytes());
        }
        if errno.into_raw() != 0 {
            out.put(b": ");
            put_errno(*errno, b"errno ", out);
        }
        let is_usage = *kind == Kind::Usage;
        let usual = if is_usage { "" } else { *usual_hint };
        if let Some(hint) = [*hint, fallback_hint, usual].iter().find(|hint| !hint.is_empty()) {
            out.put(b": ");
            out.put(hint.as_bytes());
        }
        out.put(b"\n");
        if is_usage {
            out.put(b"Try 'mydocker");
            out.put(if usual_hint.is_empty() { b"" } else { b" " });
            out.put(usual_hint.as_bytes());
            out.put(b" --help'.\n");
        }
    }
}

/// Puts `ENOENT (No such file or directory)`; where there is no name, the number behind `unnamed`.
pub fn put_errno(errno: Errno, unnamed: &[u8], out: &mut dyn Sink) {
    let number = errno.into_raw().unsigned_abs();
    match split(ERRNOS, b'\n').nth(number as usize) {
        Some(text) if !text.is_empty() => out.put(text),
        _ => {
            out.put(unnamed);
            out.put_decimal(number.into());
        }
    }
}

/// What build.rs has made of the table of the crate `syscalls`: a line for each number, empty where there is no errno.
static ERRNOS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/errnos"));

#[cfg(test)]
mod tests {
    use super::*;

    fn printed_with(error: Error, fallback_hint: &str) -> String {
        let mut out = Vec::new();
        error.print_with(fallback_hint, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn printed(error: Error) -> String {
        let mut out = Vec::new();
        error.print(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn messages() {
        let call = |call, errno| Error::call(call, errno, b"", &[b"/x\n"]);
        for (error, message) in [
            (call("mkdirat", Errno::ENOENT), "mkdirat \"/x\\n\": ENOENT (No such file or directory)"),
            (call("read", Errno::EIO).with_hint("an empty file"), "read \"/x\\n\": EIO (I/O error): an empty file"),
            (call("read", Errno::new(4000)), "read \"/x\\n\": errno 4000"),
            (call("read", Errno::EIO).about(b"/y"), "read \"/y\": EIO (I/O error)"),
            (Error::call("pipe2", Errno::EMFILE, b"", &[]), "pipe2: EMFILE (Too many open files)"),
            (
                Error::usage("unknown option", b"--foo").of_command("ps"),
                "unknown option: \"--foo\"\nTry 'mydocker ps --help'.",
            ),
            (Error::usage("no command", b""), "no command\nTry 'mydocker --help'."),
            (Error::refused("no root", b"/a/b", "not a directory"), "no root \"/a/b\": not a directory"),
            (Error::refused("no root", b"", "not a directory"), "no root: not a directory"),
            (Error::limit("cpu.max", b"5", b"6"), "cpu.max: asked for 5, the kernel made it 6"),
            (Error::not_found(b"x"), "execve \"x\": not found in PATH"),
            (Error::not_found(b"./x"), "execve \"./x\": not found: no such file"),
            (Error::interpreter(b"/x", b"/bin/y"), "execve \"/x\": ENOENT: its interpreter \"/bin/y\" is missing"),
        ] {
            assert_eq!(printed(error), format!("mydocker: {message}\n"));
        }
    }

    #[test]
    fn the_hint_of_the_caller_comes_before_the_fallback_and_before_the_usual_one() {
        let bare = Error::call("execve", Errno::EACCES, b"", &[]);
        let usual = bare
            .hint_for(&[(Errno::ENOENT, "not this one"), (Errno::EACCES, "no execute permission")])
            .hint_for(&[(Errno::EACCES, "too late")]);
        let message = |hint: &str| format!("mydocker: execve: EACCES (Permission denied){hint}\n");
        assert_eq!(printed(bare), message(""));
        assert_eq!(printed(bare.hint_for(&[(Errno::ENOENT, "not this one")])), message(""));
        assert_eq!(printed(usual), message(": no execute permission"));
        assert_eq!(printed_with(bare, "look there"), message(": look there"));
        assert_eq!(printed_with(usual, "look there"), message(": look there"));
        for error in
            [usual.with_hint("a directory"), bare.with_hint("a directory").hint_for(&[(Errno::EACCES, "late")])]
        {
            assert_eq!(printed(error), message(": a directory"));
            assert_eq!(printed_with(error, "look there"), message(": a directory"));
        }
    }

    #[test]
    fn every_errno_of_the_kernel_has_a_name() {
        // 41 and 58 are holes in errno.h; 133 is EHWPOISON, the last one that a program can see.
        for number in (1..=133).filter(|number| ![41, 58].contains(number)) {
            assert!(Errno::new(number).name_and_description().is_some(), "{number}");
        }
    }

    #[test]
    fn expected_errnos() {
        let error = Error::call("mkdirat", Errno::EEXIST, b"", &[]);
        assert!(error.is(Errno::EEXIST) && !error.is(Errno::ENOENT));
        assert!(error.is_one_of(&[Errno::ENOENT, Errno::EEXIST]) && !error.is_one_of(&[]));
    }

    #[test]
    fn statuses() {
        let call = |call| Error::call(call, Errno::ENOENT, b"", &[]);
        // mydocker's own copy.
        assert_eq!(call("execve").status(), 125);
        assert_eq!(call("execve").not_executed().status(), 126);
        assert_eq!(call("mount").status(), 125);
        assert_eq!(Error::interpreter(b"x", b"y").status(), 126);
        assert_eq!(Error::not_found(b"x").status(), 127);
        assert_eq!(Error::usage("", b"").status(), 125);
    }
}
