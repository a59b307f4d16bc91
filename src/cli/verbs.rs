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
            row("-a, --all", Value::Switch, "", "those that have ended, too"),
            row("-q, --quiet", Value::Switch, "", "the names alone"),
            JSON,
            row("-f, --filter", Value::Many, "KEY=WORD", "only those of name=PART, or status=WORD"),
            STATE,
        ],
        act: Act::List,
    },
    Verb {
        name: "logs",
        usage: "[OPTIONS] NAME",
        help: "Prints what a container has written that was started with -d.",
        rows: &[
            row("-f, --follow", Value::Switch, "", "go on until it ends"),
            row("-n, --tail", Value::One, "N", "the last N lines alone"),
            row("--since", Value::One, "TIME", "only what came after it: a date, or how long ago: 90s, 1h30m, 2d"),
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
        help: "Ends containers by SIGTERM; those that go on, by SIGKILL.",
        rows: &[
            row("-s, --signal", Value::One, "SIGNAL", "instead of that, or of the one of --stop-signal"),
            row("-t, --time, --timeout", Value::One, "SECONDS", "how long they have; default 10; -1: no end"),
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
        help: "Stops all processes of containers, by the freezer of their cgroup.",
        rows: &[STATE],
        act: Act::Pause,
    },
    Verb {
        name: "unpause",
        usage: "[OPTIONS] NAME...",
        help: "Lets containers go on that are paused.",
        rows: &[STATE],
        act: Act::Unpause,
    },
    Verb {
        name: "stats",
        usage: "[OPTIONS] NAME",
        help: "Prints what a container uses, every second until it ends.",
        rows: &[row("--no-stream", Value::Switch, "", "once"), JSON, STATE],
        act: Act::Stats,
    },
    Verb {
        name: "rm",
        usage: "[OPTIONS] NAME...",
        help: "Removes the records of containers that have ended.",
        rows: &[
            row("-f, --force", Value::Switch, "", "ends those that run, by SIGKILL; one that is missing is no error"),
            row("-v, --volumes", Value::Switch, "", "accepted for compatibility"),
            STATE,
        ],
        act: Act::Remove,
    },
];
