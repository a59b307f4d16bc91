//! The commands about containers that have a record, and the rows of each.

use super::options::{NOT_FOR_EXEC, Row, Value};
use mydocker::process::order::Act;

/// One command.
pub struct Verb {
    /// Its name.
    pub name: &'static str,
    /// What follows the name.
    pub usage: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Its options.
    pub rows: &'static [Row],
    /// What the library is to do.
    pub act: Act,
}

const fn row(names: &'static str, value: Value, word: &'static str, help: &'static str) -> Row {
    Row { names, value, word, help, exec: NOT_FOR_EXEC }
}

const STATE: Row =
    row("--state", Value::One, "DIR", "the folder of the records; default /run/mydocker, or the user's own");
const JSON: Row = row("--json", Value::Switch, "", "as JSON, one object on each line");

/// Every command, in the order of the help.
pub static VERBS: &[Verb] = &[
    Verb {
        name: "ps",
        usage: "[OPTIONS]",
        help: "Lists the containers that have a name.",
        rows: &[
            row("-a, --all", Value::Switch, "", "also those that have ended"),
            row("-q, --quiet", Value::Switch, "", "only the names"),
            JSON,
            row("-f, --filter", Value::Many, "KEY=WORD", "only those of name=PART, or status=WORD"),
            STATE,
        ],
        act: Act::List,
    },
    Verb {
        name: "logs",
        usage: "[OPTIONS] NAME",
        help: "Prints the output of a container that was started with -d.",
        rows: &[
            row("-f, --follow", Value::Switch, "", "wait for more until it ends"),
            row("-n, --tail", Value::One, "N", "only the last N lines"),
            row("--since", Value::One, "TIME", "only what came later: a date, or how long ago: 90s, 1h30m, 2d"),
            row("-t, --timestamps", Value::Switch, "", "each line with its time"),
            STATE,
        ],
        act: Act::Logs,
    },
    Verb {
        name: "wait",
        usage: "[OPTIONS] NAME...",
        help: "Waits until containers have ended, and prints the status of each.",
        rows: &[STATE],
        act: Act::Wait,
    },
    Verb {
        name: "stop",
        usage: "[OPTIONS] NAME...",
        help: "Sends containers SIGTERM and, if they do not end, SIGKILL.",
        rows: &[
            row("-s, --signal", Value::One, "SIGNAL", "instead of SIGTERM, or of run --stop-signal"),
            row(
                "-t, --time, --timeout",
                Value::One,
                "SECONDS",
                "how long it waits before SIGKILL; default 10; -1: for ever",
            ),
            STATE,
        ],
        act: Act::Stop,
    },
    Verb {
        name: "kill",
        usage: "[OPTIONS] NAME...",
        help: "Sends a signal to the first process of containers; KILL waits for the end.",
        rows: &[row("-s, --signal", Value::One, "SIGNAL", "a name or a number; default KILL"), STATE],
        act: Act::Kill,
    },
    Verb {
        name: "pause",
        usage: "[OPTIONS] NAME...",
        help: "Freezes all processes of containers.",
        rows: &[STATE],
        act: Act::Pause,
    },
    Verb {
        name: "unpause",
        usage: "[OPTIONS] NAME...",
        help: "Resumes paused containers.",
        rows: &[STATE],
        act: Act::Unpause,
    },
    Verb {
        name: "stats",
        usage: "[OPTIONS] NAME",
        help: "Prints what a container uses, every second until it ends.",
        rows: &[row("--no-stream", Value::Switch, "", "print once"), JSON, STATE],
        act: Act::Stats,
    },
    Verb {
        name: "rm",
        usage: "[OPTIONS] NAME...",
        help: "Removes the records of containers that have ended.",
        rows: &[
            row("-f, --force", Value::Switch, "", "kill those that run; a missing one is no error"),
            row("-v, --volumes", Value::Switch, "", "accepted for compatibility"),
            STATE,
        ],
        act: Act::Remove,
    },
];
