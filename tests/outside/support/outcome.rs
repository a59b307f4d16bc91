//! How a run of mydocker ended, and the assertions about it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a run ended.
pub struct Outcome {
    /// The words mydocker was called with.
    pub command_line: String,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// The exit status; a signal that ended mydocker itself is an error.
    pub fn code(&self) -> i32 {
        assert_eq!(self.status.signal(), None, "a signal ended mydocker itself: {self:?}");
        self.status.code().expect("an exit status")
    }

    pub fn stdout_text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap_or_else(|_| panic!("not UTF-8: {self:?}"))
    }

    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Asserts status 0 and an empty standard error; returns standard output.
    #[track_caller]
    pub fn success(&self) -> String {
        self.silent(0);
        self.stdout_text()
    }

    /// Asserts this status, and no message of mydocker's own.
    #[track_caller]
    pub fn silent(&self, status: i32) {
        assert_eq!(self.code(), status, "{self:?}");
        assert_eq!(self.stderr_text(), "", "{self:?}");
    }

    /// Asserts status 0, exactly these bytes on standard output, and an empty standard error.
    #[track_caller]
    pub fn silent_bytes(&self, bytes: &[u8]) {
        assert_eq!(self.code(), 0, "{self:?}");
        assert_eq!(self.stderr_text(), "", "{self:?}");
        assert!(self.stdout == bytes, "{} bytes arrived, not these {}: {self:?}", self.stdout.len(), bytes.len());
    }

    /// Asserts this status, an empty standard output, and one line that begins as designed and contains each of
    /// `words`.
    #[track_caller]
    pub fn refused(&self, status: i32, words: &[&str]) {
        assert_eq!(self.code(), status, "{self:?}");
        assert_eq!(self.stdout_text(), "", "{self:?}");
        let text = self.stderr_text();
        assert!(text.starts_with("mydocker: ") && text.ends_with('\n'), "{self:?}");
        assert_eq!(text.lines().count(), 1, "one line: {self:?}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in the message: {self:?}");
        }
    }

    /// Asserts the same of a run that has written `stdout` before.
    #[track_caller]
    pub fn refused_after(mut self, stdout: &str, status: i32, words: &[&str]) {
        assert_eq!(self.stdout_text(), stdout, "{self:?}");
        self.stdout.clear();
        self.refused(status, words);
    }

    /// Asserts 125, one line that says what is wrong, and one that points at `--help`.
    #[track_caller]
    pub fn usage_error(&self, words: &[&str]) {
        assert_eq!(self.code(), 125, "{self:?}");
        assert_eq!(self.stdout_text(), "", "{self:?}");
        let text = self.stderr_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "two lines: {self:?}");
        assert!(lines[0].starts_with("mydocker: "), "{self:?}");
        assert!(lines[1].contains("--help"), "{self:?}");
        for word in words {
            assert!(lines[0].contains(word), "{word:?} is not in the message: {self:?}");
        }
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        let cut = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
        let command_line: String = self.command_line.chars().take(600).collect();
        write!(
            out,
            "mydocker {command_line}: {}, standard output {:?}, standard error {:?}",
            self.status,
            cut(&self.stdout),
            cut(&self.stderr)
        )
    }
}
