//! The one error type: what went wrong, with what, and what the kernel said. Its cause is `Copy` and small, so that the
//! child can send it through the error pipe in one atomic write (at most `PIPE_BUF`, pipe(7)).

use crate::says;
use crate::text::{self, Put, Text};
use crate::texts::{self, Message};
use alloc::boxed::Box;
use alloc::vec::Vec;
pub use syscalls::Errno;

/// What a message is about: a quoted path, a list of flags.
pub type Subject = Text<200>;

/// What all of mydocker returns.
pub type Result<T> = core::result::Result<T, Error>;

/// Everything that can end a run before the command starts. One pointer, so that a `?` costs one comparison; what it
/// points to stays until the process ends, which is soon.
#[derive(Clone, Copy)]
pub struct Error(&'static Cause);

/// What went wrong, printed as `WHAT SUBJECT: ERRNO: HINT`, less what is empty.
#[derive(Clone, Copy)]
pub struct Cause {
    /// Of which kind it is.
    pub kind: Kind,
    /// The call's name, as in the man page; or a file.
    pub what: &'static str,
    /// Or what is not possible.
    pub says: Message,
    /// With what.
    pub subject: Subject,
    /// What the kernel said of a call; 0 where it was not asked.
    pub errno: Errno,
    /// What to do about it, or what it means. Set where errno alone misleads and only the caller knows why.
    pub hint: Message,
}

/// The kinds of causes, which differ in what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A system call failed.
    Call,
    /// The kernel took a limit and holds another one.
    Limit,
    /// No file of that name, neither as a path nor in PATH.
    NotFound,
    /// The file is there; what it needs to be run with is not.
    Interpreter,
    /// The command line cannot be understood; `--help` would help.
    Usage,
    /// The command line is clear, and this host or its state does not allow it.
    Refused,
}

const _: () = assert!(size_of::<Cause>() <= 256);

impl Error {
    /// What went wrong, as it is sent from one process to the other.
    #[cold]
    #[inline(never)]
    pub fn new(cause: &Cause) -> Self {
        Error(Box::leak(Box::new(*cause)))
    }

    /// A cause without a subject, to be completed in its place.
    #[cold]
    #[inline(never)]
    fn cause_of(kind: Kind, what: &'static str) -> &'static mut Cause {
        let (says, hint) = (Message::NONE, Message::NONE);
        Box::leak(Box::new(Cause { kind, what, says, subject: Text::new(), errno: Errno::new(0), hint }))
    }

    /// A system call failed.
    #[cold]
    #[inline(never)]
    pub fn call(call: &'static str, errno: Errno, subject: &Subject) -> Self {
        let cause = Error::cause_of(Kind::Call, call);
        cause.errno = errno;
        cause.subject = *subject;
        Error(cause)
    }

    /// The command line is wrong at `word`, if that says something.
    #[cold]
    #[inline(never)]
    pub fn usage(says: Message, word: &[u8]) -> Self {
        let cause = Error::cause_of(Kind::Usage, "");
        cause.says = says;
        if !word.is_empty() {
            cause.subject.put_quoted(&[word]);
        }
        Error(cause)
    }

    /// The command line is clear, and this host or its state does not allow it. `path` in parts.
    #[cold]
    #[inline(never)]
    pub fn refused(says: Message, path: &[&[u8]], hint: Message) -> Self {
        let cause = Error::cause_of(Kind::Refused, "");
        (cause.says, cause.hint) = (says, hint);
        cause.subject.put_quoted(path);
        Error(cause)
    }

    /// The kernel took a limit and holds another one.
    #[cold]
    #[inline(never)]
    pub fn limit(file: &'static str, asked: &[u8], got: &[u8]) -> Self {
        let cause = Error::cause_of(Kind::Limit, file);
        cause.subject.put(b"asked for ");
        cause.subject.put(asked);
        cause.subject.cut(100);
        cause.subject.put(b", the kernel made it ");
        cause.subject.put(got);
        Error(cause)
    }

    /// No file is called `word`.
    #[cold]
    #[inline(never)]
    pub fn not_found(word: &[u8]) -> Self {
        let cause = Error::cause_of(Kind::NotFound, "execve");
        cause.hint = says!("not found, neither as a path nor in PATH");
        cause.subject.put_quoted(&[word]);
        Error(cause)
    }

    /// What `file` is to be run with is missing.
    #[cold]
    #[inline(never)]
    pub fn interpreter(file: &[u8], interpreter: &[u8]) -> Self {
        let cause = Error::cause_of(Kind::Interpreter, "execve");
        cause.subject.put_quoted(&[file]);
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

    /// Whether a system call failed with `errno`: an expected errno is said out loud.
    #[inline(always)]
    pub fn is(self, expected: Errno) -> bool {
        self.0.errno == expected
    }

    /// Whether it failed with one of `expected`.
    #[inline(never)]
    pub fn is_one_of(self, expected: &[Errno]) -> bool {
        expected.iter().any(|errno| self.is(*errno))
    }

    /// The same failure with a hint that only the caller can give.
    #[cold]
    #[inline(never)]
    pub fn with_hint(self, hint: Message) -> Self {
        let cause = Box::leak(Box::new(*self.0));
        cause.hint = hint;
        Error(cause)
    }

    /// The same failure, of something else.
    #[cold]
    #[inline(never)]
    pub fn about(self, path: &[u8]) -> Self {
        let cause = Box::leak(Box::new(*self.0));
        cause.subject = Text::quoted(&[path]);
        Error(cause)
    }

    /// The exit status: 127 not found, 126 found and cannot be executed, 125 all the rest.
    pub fn status(self) -> i32 {
        match (self.0.kind, self.0.what) {
            (Kind::NotFound, _) => 127,
            (_, "execve") => 126,
            _ => 125,
        }
    }

    /// Puts the message, from `mydocker: ` to the newline; a usage error ends with the line that points at `--help`.
    pub fn print(self, out: &mut Vec<u8>) {
        self.print_with(b"", out);
    }

    /// The same; `mend` is the hint where there is no other that only the caller could give.
    pub fn print_with(self, mend: &[u8], out: &mut Vec<u8>) {
        let Cause { kind, what, says, subject, errno, hint } = self.0;
        out.put(b"mydocker: ");
        out.put(what.as_bytes());
        says.put(out);
        out.put(match (kind, subject.as_bytes()) {
            (_, []) => b"",
            (Kind::Limit | Kind::Usage, _) => b": ",
            _ => b" ",
        });
        out.put(subject.as_bytes());
        let mut name = Vec::new();
        if errno.into_raw() != 0 {
            out.put(b": ");
            if texts::ERRNOS.put_line(errno.into_raw() as usize, &mut name) {
                out.put(&name);
            } else {
                out.put(b"errno ");
                out.put_decimal(errno.into_raw() as u64);
            }
        }
        if *hint == Message::NONE && !mend.is_empty() {
            out.put(b": ");
            out.put(mend);
        } else if *hint == Message::NONE {
            put_usual_hint(what, text::split(&name, b' ').next().unwrap_or_default(), out);
        } else {
            out.put(b": ");
            hint.put(out);
        }
        out.put(if *kind == Kind::Usage { b"\nTry 'mydocker run --help'.\n" } else { b"\n" });
    }
}

/// What the errno called `name` usually means, coming from this call, where its name misleads.
fn put_usual_hint(call: &str, name: &[u8], out: &mut Vec<u8>) {
    for line in text::split(&texts::HINTS.unpack(), b'\n') {
        let mut fields = text::split(line, b'|');
        let mut field = || fields.next().unwrap_or_default();
        let (calls, errnos, hint) = (field(), field(), field());
        if text::words(calls).any(|word| word == call.as_bytes()) && text::words(errnos).any(|word| word == name) {
            out.put(b": ");
            return out.put(hint);
        }
    }
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
        let call = |call, errno| Error::call(call, errno, &Text::quoted(&[b"/x\n"]));
        assert_eq!(
            printed(call("mkdirat", Errno::ENOENT)),
            "mydocker: mkdirat \"/x\\n\": ENOENT (No such file or directory)\n"
        );
        assert!(printed(call("execve", Errno::EACCES)).ends_with(": no execute permission\n"));
        assert!(
            printed(call("read", Errno::EIO).with_hint(says!("an empty file")))
                .ends_with("(I/O error): an empty file\n")
        );
        assert_eq!(printed(call("read", Errno::new(4000))), "mydocker: read \"/x\\n\": errno 4000\n");
        assert_eq!(
            printed(Error::usage(says!("unknown option"), b"--foo")),
            "mydocker: unknown option: \"--foo\"\nTry 'mydocker run --help'.\n"
        );
    }

    #[test]
    fn statuses() {
        let call = |call| Error::call(call, Errno::ENOENT, &Text::new());
        assert_eq!(call("execve").status(), 126);
        assert_eq!(call("mount").status(), 125);
        assert_eq!(Error::not_found(b"x").status(), 127);
        assert_eq!(Error::usage(Message::NONE, b"").status(), 125);
    }
}
