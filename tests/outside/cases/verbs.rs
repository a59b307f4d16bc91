//! Each command about containers, beside docker's of the same name: a table for each, with a row for each state in which it may find
//! a container. Where docker fails by itself it ends with 1, mydocker with 125, as the reference says. The last column of a row says
//! what docker does, and begins with docker's status where that is not 0.

use crate::cases::lifecycle::Records;
use crate::cases::lifecycle_detached::keeper_of;
use crate::cases::lifecycle_restart::{number, stop_in_pause};
use crate::support::harness::{self, unique_name};
use crate::support::host::host;
use crate::support::needs::Needs;
use crate::support::notes::note;
use crate::support::outcome::Outcome;
use crate::support::processes::{self, is_in_call, send, wait_for_end, wait_until};
use State::*;
use std::fs;
use std::io::Write;

/// A row: the state in which the command finds `$NAME`; its words; its exit status; its standard output, and its message after
/// `mydocker: `, in which `*` stands for any text; the state in which it leaves `$NAME`; and what docker does.
///
/// `$OTHER` is a second container, in the state of the first one: if that has exited with N, the second one has with N + 1. Words
/// stand in single quotes as in a shell.
type Row = (State, &'static str, i32, &'static str, &'static str, State, &'static str);

/// The state of a container before a command and after it. Each writes `out` and `err`, but for the one in the foreground.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// There is no container of this name.
    Missing,
    /// It runs `sleep` in the background.
    Running,
    /// The same, with `--rm`.
    RunningRm,
    /// It runs in the foreground.
    Foreground,
    /// It runs, and exits with 5 on SIGTERM, with 6 on SIGUSR1.
    Handling,
    /// It runs, and ignores SIGTERM.
    Ignoring,
    /// It runs, and exits with 7 after a line of input, which it gets when the command waits for it.
    Reading,
    /// The same, with `--rm`.
    ReadingRm,
    Paused,
    /// It is in the pause before a restart, after an exit with 3.
    Restarting,
    Exited(i32),
    /// It was ended by SIGKILL.
    Killed,
    /// The mydocker that kept it was killed, and so was the container.
    Lost,
    /// After a command that does not wait for this: it exits with that status soon.
    Exits(i32),
    /// After such a command: its record is removed soon.
    Vanishes,
}

#[rustfmt::skip]
const PS: &[Row] = &[
    (Missing, "ps", 0, "NAME  STATUS  COMMAND  PID  MEMORY  PORTS\n", "", Missing, "the heading"),
    (Running, "ps", 0, "NAME * STATUS *\n$NAME  running * second* sh -c*  $PID*\n", "", Running, "a line for each that runs"),
    (Running, "ps -q", 0, "$NAME\n", "", Running, "the ids; here the names, which are all the ids there are"),
    (Running, "ps --quiet --all", 0, "$NAME\n", "", Running, "the same"),
    (Running, "ps --json", 0, r#"{"name":"$NAME","state":"running","command":"sh *"pid":$PID,*}
"#, "", Running, "--format json: an object on each line"),
    (Foreground, "ps -q", 0, "$NAME\n", "", Foreground, "the same for one in the foreground"),
    (Exited(3), "ps", 0, "NAME  STATUS  COMMAND  PID  MEMORY  PORTS\n", "", Exited(3), "only those that run"),
    (Exited(3), "ps -q", 0, "", "", Exited(3), "only those that run"),
    (Exited(3), "ps -a", 0, "NAME *\n$NAME  exited (3) * ago *\n", "", Exited(3), "Exited (3) 5 seconds ago"),
    (Exited(0), "ps -a", 0, "NAME *\n$NAME  exited (0) * ago *\n", "", Exited(0), "Exited (0) 5 seconds ago"),
    (Killed, "ps -a", 0, "NAME *\n$NAME  exited (137) * ago *\n", "", Killed, "Exited (137), 128 and the signal"),
    (Exited(3), "ps -a --json", 0, r#"{"name":"$NAME","state":"exited",*"status":3,"ended":1*,"pid":null,*}
"#, "", Exited(3), "--format json has the state in the same word"),
    (Exited(3), "ps -aq", 0, "$NAME\n$OTHER\n", "", Exited(3), "one on each line, the newest first; here by name"),
    (Exited(3), "ps -q --filter status=exited", 0, "$NAME\n", "", Exited(3), "the filter looks at those that have ended, too"),
    (Exited(3), "ps -q -f status=running", 0, "", "", Exited(3), "none"),
    (Running, "ps -q -f status=running", 0, "$NAME\n", "", Running, "those that run"),
    (Running, "ps -q -f status=exited -f status=running", 0, "$NAME\n", "", Running, "filters of one key are alternatives"),
    (Running, "ps -q -f name=$NAME -f status=exited", 0, "", "", Running, "those of two keys must both hold"),
    (Running, "ps -q -f status=created", 0, "", "", Running, "none is created and not started; here none ever is"),
    (Running, "ps -q --filter name=$OTHER", 0, "$OTHER\n", "", Running, "those that have the word in their name"),
    (Running, "ps -q --filter name=nobody", 0, "", "", Running, "none, and no error"),
    (Restarting, "ps", 0, "NAME *\n$NAME  restarting (3) * ago *\n", "", Restarting, "Restarting (3) 1 second ago"),
    (Restarting, "ps -q -f status=restarting", 0, "$NAME\n", "", Restarting, "those in the pause"),
    (Lost, "ps -q", 0, "", "", Lost, "a daemon keeps all of them: none is ever lost"),
    (Lost, "ps -a", 0, "NAME *\n$NAME  lost: its keeper was killed *\n", "", Lost, "the same"),
    (Running, "ps $NAME", 125, "", "it takes no NAME*--help*", Running, "1: it accepts no arguments"),
    (Running, "ps -f size=1", 125, "", "--filter takes *size=1*--help*", Running, "1: an invalid filter"),
    (Running, "ps -f status=nope", 125, "", "no status of a container: *nope*--help*", Running, "1: an invalid status"),
    (Running, "ps --nope", 125, "", "unknown option: *--nope*--help*", Running, "125: an unknown flag"),
];

case!(ps, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn ps() {
    assert_rows(PS);
}

#[rustfmt::skip]
const RUN: &[Row] = &[
    (Missing, "run --name $NAME sh -c 'echo out; exit 3'", 3, "out\n", "", Missing,
        "3: the command's; the container stays until rm"),
    (Missing, "run --rm --name $NAME true", 0, "", "", Missing, "the command's, and nothing stays"),
    (Missing, "run --rm --init --name $NAME sh -c 'kill -TERM $$'", 143, "", "", Missing, "143: 128 and the signal"),
    (Missing, "run --rm --name $NAME /no/such", 127, "", "*/no/such*: not found*", Missing, "127: not found"),
    (Missing, "run --rm --name $NAME /", 126, "", "execve */*: EACCES*", Missing, "126: it cannot be executed"),
    (Missing, "run --rm --name $NAME -v /no/such:/mnt true", 125, "", "*/no/such*", Missing,
        "125; docker creates the folder with -v, and refuses with --mount"),
    (Missing, "run --name $NAME --nope true", 125, "", "unknown option: *--nope*--help*", Missing, "125: an unknown flag"),
    (Missing, "run --name a/b true", 125, "", "a name is at most *a/b*--help*", Missing, "125: an invalid name"),
    (Missing, "run -d --name $NAME sleep 1000", 0, "$NAME\n", "", Running, "it prints the id; here the name"),
    (Missing, "run -d --name $NAME sh -c 'exit 3'", 0, "$NAME\n", "", Exits(3), "whatever the status of the command"),
    (Missing, "run --detach --rm --name $NAME true", 0, "$NAME\n", "", Vanishes, "--rm removes it at its end"),
    (Missing, "run -d --rm --name $NAME sleep 1000", 0, "$NAME\n", "", Running, "and not before"),
    (Missing, "run -d --name $NAME /no/such", 127, "", "*/no/such*: not found*", Missing, "127; the container stays, as created"),
    (Missing, "run -d --name $NAME /", 126, "", "execve */*: EACCES*", Missing, "126; the container stays, as created"),
    (Missing, "run -d --restart on-failure:1 --name $NAME sh -c 'exit 3'", 0, "$NAME\n", "", Exits(3),
        "it is started again once, and no more"),
    (Missing, "run -d --restart on-failure --name $NAME true", 0, "$NAME\n", "", Exits(0), "0 is no failure"),
    (Missing, "run -d --rm --restart always --name $NAME true", 125, "", "--restart needs -d, and no --rm*--help*", Missing,
        "125: conflicting options"),
    (Running, "run --name $NAME true", 125, "", "*already running: *$NAME*", Running, "125: the name is in use"),
    (Running, "run -d --name $NAME true", 125, "", "*already running: *$NAME*", Running, "125: the name is in use"),
    (Exited(3), "run --name $NAME true", 125, "", "*has run: *$NAME*mydocker rm*", Exited(3), "125: until it is removed"),
    (Exited(3), "run -d --name $NAME true", 125, "", "*has run: *$NAME*mydocker rm*", Exited(3), "125: until it is removed"),
    (Restarting, "run -d --name $NAME true", 125, "", "*already running: *$NAME*", Restarting, "125: the name is in use"),
    (Foreground, "run -d --name $NAME true", 125, "", "*already running: *$NAME*", Foreground, "125: the name is in use"),
];

case!(run, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn run() {
    assert_rows(RUN);
}

#[rustfmt::skip]
const LOGS: &[Row] = &[
    (Running, "logs $NAME", 0, "out\nerr\n", "", Running, "both, each on a stream of its own; here all on standard output"),
    (Exited(3), "logs $NAME", 0, "out\nerr\n", "", Exited(3), "as long as the container is there"),
    (Killed, "logs $NAME", 0, "out\nerr\n", "", Killed, "the same"),
    (Lost, "logs $NAME", 0, "out\nerr\n", "", Lost, "a daemon keeps all of them: none is ever lost"),
    (Restarting, "logs $NAME", 0, "out\nerr\nmydocker: it ended with status 3, and is started again\nout\nerr\n*", "", Restarting,
        "of all its runs; here with the status of each before the next"),
    (Exited(3), "logs -n 1 $NAME", 0, "err\n", "", Exited(3), "the last lines"),
    (Exited(3), "logs --tail 0 $NAME", 0, "", "", Exited(3), "none"),
    (Exited(3), "logs --tail=all $NAME", 0, "out\nerr\n", "", Exited(3), "all, as by default"),
    (Exited(3), "logs -n x $NAME", 125, "", "not a number: *x*--help*", Exited(3),
        "it takes what is no number for all; here it is refused"),
    (Exited(3), "logs $NAME -n 1", 0, "err\n", "", Exited(3), "options may stand behind the name"),
    (Exited(3), "logs -t $NAME", 0, "20*-*T*:*Z out\n20*Z err\n", "", Exited(3), "the time of each line, as RFC 3339 has it"),
    (Exited(3), "logs --since 1h $NAME", 0, "out\nerr\n", "", Exited(3), "those of the last hour"),
    (Exited(3), "logs --since 9999-12-31 $NAME", 0, "", "", Exited(3), "those after that day"),
    (Exited(3), "logs --since never $NAME", 125, "", "*--since*never*--help*", Exited(3), "1: an invalid value"),
    (Exited(3), "logs -f $NAME", 0, "out\nerr\n", "", Exited(3), "it ends with the container"),
    (Reading, "logs --follow $NAME", 0, "out\nerr\nbye\n", "", Exits(7), "up to the end of the container"),
    (Missing, "logs nobody", 125, "", "no such container: *nobody*", Missing, "1: no such container"),
    (Foreground, "logs $NAME", 125, "", "it keeps no log: *$NAME*run -d*", Foreground, "there is a log of it; here only with -d"),
    (Missing, "logs", 125, "", "a NAME is missing*--help*", Missing, "1: it needs 1 argument"),
    (Exited(3), "logs $NAME $OTHER", 125, "", "it takes one NAME, not also: *$OTHER*--help*", Exited(3), "1: it needs 1 argument"),
];

case!(logs, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn logs() {
    assert_rows(LOGS);
}

#[rustfmt::skip]
const EXEC: &[Row] = &[
    (Running, "exec $NAME true", 0, "", "", Running, "the command's status"),
    (Running, "exec $NAME sh -c 'echo in; exit 3'", 3, "in\n", "", Running, "3: the command's status"),
    (Running, "exec $NAME sh -c 'kill -KILL $$'", 137, "", "", Running, "137: 128 and the signal"),
    (Running, "exec $NAME /no/such", 127, "", "*/no/such*: not found*", Running, "127: not found"),
    (Running, "exec $NAME /", 126, "", "execve */*: EACCES*", Running, "126: it cannot be executed"),
    (Running, "exec -e A=b -e B=c $NAME sh -c 'echo $A$B'", 0, "bc\n", "", Running, "variables of its own"),
    (Running, "exec -w /usr $NAME pwd", 0, "/usr\n", "", Running, "its working directory"),
    (Running, "exec -w /no/such $NAME true", 125, "", "*/no/such*: ENOENT*", Running,
        "126 or 127, from the runtime; here 125, for nothing was run"),
    (Running, "exec --env A=b $NAME -e", 127, "", "execve *-e*: not found*", Running, "127: options end at the name"),
    (Foreground, "exec $NAME true", 0, "", "", Foreground, "however it was started"),
    (Handling, "exec $NAME sh -c 'kill -0 1'", 0, "", "", Handling, "it sees the processes of the container"),
    (Missing, "exec nobody true", 125, "", "no such container: *nobody*", Missing, "1: no such container"),
    (Exited(3), "exec $NAME true", 125, "", "it has ended: *$NAME*", Exited(3), "1: it is not running"),
    (Killed, "exec $NAME true", 125, "", "it has ended: *$NAME*", Killed, "1: it is not running"),
    (Lost, "exec $NAME true", 125, "", "it has ended: *$NAME*", Lost, "1: it is not running"),
    (Restarting, "exec $NAME true", 125, "", "it is restarting: *$NAME*", Restarting, "1: wait until it runs"),
    (Running, "exec $NAME", 125, "", "exec needs a NAME and a COMMAND*--help*", Running, "1: it needs 2 arguments"),
    (Running, "exec -d $NAME true", 125, "", "unknown option: *-d*setsid -f*--help*", Running,
        "it runs in the background; here the shell does that"),
];

case!(exec, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn exec() {
    assert_rows(EXEC);
}

#[rustfmt::skip]
const EXEC_AS_A_USER: &[Row] = &[
    (Running, "exec -u 12345:54321 $NAME sh -c 'while read k id x; do case $k in [UG]id:) echo $id; esac; done </proc/self/status'",
        0, "12345\n54321\n", "", Running, "its user and its group"),
    (Running, "exec --user 12345 $NAME sh -c 'while read k id x; do case $k in [UG]id:) echo $id; esac; done </proc/self/status'",
        0, "12345\n0\n", "", Running, "an id that /etc/passwd does not have is in group 0"),
    (Running, "exec -u no-such-user $NAME true", 125, "", "*no-such-user*", Running,
        "126: no matching entry in passwd; here 125, for nothing was run"),
];

case!(exec_as_another_user, Needs::ROOT | Needs::SH | Needs::SLEEP);
fn exec_as_another_user() {
    assert_rows(EXEC_AS_A_USER);
}

#[rustfmt::skip]
const STOP: &[Row] = &[
    (Handling, "stop $NAME", 0, "$NAME\n", "", Exited(5), "SIGTERM first; it prints the name"),
    (Running, "stop $NAME", 0, "$NAME\n", "", Exited(143),
        "137, after ten seconds; here SIGTERM ends what neither catches nor ignores it"),
    (Ignoring, "stop -t 0 $NAME", 0, "$NAME\n", "", Killed, "SIGKILL when the time is over"),
    (Ignoring, "stop --time=0 $NAME", 0, "$NAME\n", "", Killed, "the same"),
    (Handling, "stop --timeout -1 $NAME", 0, "$NAME\n", "", Exited(5), "it waits as long as it takes"),
    (Exited(3), "stop $NAME", 0, "$NAME\n", "", Exited(3), "one that has ended is no error"),
    (Killed, "stop $NAME", 0, "$NAME\n", "", Killed, "one that has ended is no error"),
    (Lost, "stop $NAME", 0, "$NAME\n", "", Lost, "one that has ended is no error"),
    (Restarting, "stop $NAME", 0, "$NAME\n", "", Exited(3), "it ends the restarts"),
    (RunningRm, "stop $NAME", 0, "$NAME\n", "", Missing, "--rm removes it"),
    (Foreground, "stop $NAME", 0, "$NAME\n", "", Missing, "it stays until rm; here its run ends, and no record stays"),
    (Running, "stop $NAME $OTHER", 0, "$NAME\n$OTHER\n", "", Exited(143), "each"),
    (Running, "stop $NAME nobody $OTHER", 125, "$NAME\n$OTHER\n", "no such container: *nobody*", Exited(143),
        "1: the others are stopped"),
    (Missing, "stop nobody", 125, "", "no such container: *nobody*", Missing, "1: no such container"),
    (Running, "stop -t soon $NAME", 125, "", "not a number: *soon*--help*", Running, "125: an invalid value of a flag"),
    (Missing, "stop", 125, "", "a NAME is missing*--help*", Missing, "1: it needs an argument"),
    (Handling, "stop -s USR1 $NAME", 0, "$NAME\n", "", Exits(6), "that signal instead"),
    (Handling, "stop --signal=SIGUSR1 -t 5 $NAME", 0, "$NAME\n", "", Exits(6), "--signal, beside --timeout"),
    (Running, "stop -s KILL $NAME", 0, "$NAME\n", "", Killed, "at once"),
    (Running, "stop -s NOPE $NAME", 125, "", "no such signal: *NOPE*--help*", Running, "1: an invalid signal"),
];

case!(stop, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn stop() {
    assert_rows(STOP);
}

#[rustfmt::skip]
const KILL: &[Row] = &[
    (Running, "kill $NAME", 0, "$NAME\n", "", Killed, "SIGKILL; it prints the name"),
    (Handling, "kill -s TERM $NAME", 0, "$NAME\n", "", Exits(5), "that signal"),
    (Handling, "kill --signal=SIGUSR1 $NAME", 0, "$NAME\n", "", Exits(6), "its name may begin with SIG"),
    (Handling, "kill -s usr1 $NAME", 0, "$NAME\n", "", Exits(6), "in either case"),
    (Handling, "kill -s 10 $NAME", 0, "$NAME\n", "", Exits(6), "or by number"),
    (Running, "kill -s TERM $NAME", 0, "$NAME\n", "", Running, "PID 1 gets no signal that it has no handler for"),
    (Ignoring, "kill -s 15 $NAME", 0, "$NAME\n", "", Ignoring, "sent, and ignored"),
    (Running, "kill -s NOPE $NAME", 125, "", "no such signal: *NOPE*--help*", Running, "1: an invalid signal"),
    (Running, "kill -s 0 $NAME", 125, "", "no such signal: *0*--help*", Running, "1: an invalid signal"),
    (Running, "kill -s 65 $NAME", 125, "", "no such signal: *65*--help*", Running, "1: an invalid signal"),
    (Exited(3), "kill $NAME", 125, "", "it has ended: *$NAME*", Exited(3), "1: it is not running"),
    (Exited(3), "kill -s USR1 $NAME", 125, "", "it has ended: *$NAME*", Exited(3), "1: it is not running"),
    (Killed, "kill $NAME", 125, "", "it has ended: *$NAME*", Killed, "1: it is not running"),
    (Restarting, "kill $NAME", 0, "$NAME\n", "", Exited(3), "it ends the restarts"),
    (RunningRm, "kill $NAME", 0, "$NAME\n", "", Missing, "--rm removes it"),
    (Foreground, "kill $NAME", 0, "$NAME\n", "", Missing, "it stays until rm; here its run ends, and no record stays"),
    (Running, "kill $NAME nobody $OTHER", 125, "$NAME\n$OTHER\n", "no such container: *nobody*", Killed,
        "1: the others are killed"),
    (Missing, "kill nobody", 125, "", "no such container: *nobody*", Missing, "1: no such container"),
    (Missing, "kill", 125, "", "a NAME is missing*--help*", Missing, "1: it needs an argument"),
];

case!(kill, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn kill() {
    assert_rows(KILL);
}

#[rustfmt::skip]
const WAIT: &[Row] = &[
    (Reading, "wait $NAME", 0, "7\n", "", Exited(7), "it blocks until the end, and prints the status"),
    (ReadingRm, "wait $NAME", 0, "7\n", "", Missing, "also of one that --rm removes"),
    (Exited(3), "wait $NAME", 0, "3\n", "", Exited(3), "at once"),
    (Exited(0), "wait $NAME", 0, "0\n", "", Exited(0), "at once"),
    (Killed, "wait $NAME", 0, "137\n", "", Killed, "128 and the signal"),
    (Exited(3), "wait $OTHER $NAME", 0, "4\n3\n", "", Exited(3), "in the order of the names"),
    (Exited(3), "wait nobody $NAME", 125, "3\n", "no such container: *nobody*", Exited(3), "1: the status of the others"),
    (Lost, "wait $NAME", 125, "137\n", "its keeper was killed: *$NAME*", Lost, "a daemon keeps all of them: none is ever lost"),
    (Missing, "wait nobody", 125, "", "no such container: *nobody*", Missing, "1: no such container"),
    (Missing, "wait", 125, "", "a NAME is missing*--help*", Missing, "1: it needs an argument"),
];

case!(wait, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn wait() {
    assert_rows(WAIT);
}

#[rustfmt::skip]
const RM: &[Row] = &[
    (Exited(3), "rm $NAME", 0, "$NAME\n", "", Missing, "it prints the name"),
    (Killed, "rm $NAME", 0, "$NAME\n", "", Missing, "it prints the name"),
    (Lost, "rm $NAME", 0, "$NAME\n", "", Missing, "a daemon keeps all of them: none is ever lost"),
    (Lost, "rm -f $NAME", 0, "$NAME\n", "", Missing, "the same"),
    (Exited(3), "rm -v $NAME", 0, "$NAME\n", "", Missing, "with its anonymous volumes; here it has none"),
    (Exited(3), "rm -f $NAME", 0, "$NAME\n", "", Missing, "the same as without -f"),
    (Exited(3), "rm $OTHER $NAME", 0, "$OTHER\n$NAME\n", "", Missing, "each"),
    (Exited(3), "rm $NAME nobody $OTHER", 125, "$NAME\n$OTHER\n", "no such container: *nobody*", Missing,
        "1: the others are removed"),
    (Running, "rm $NAME", 125, "", "it runs: *$NAME*rm -f*", Running, "1: stop it before, or force it"),
    (Foreground, "rm $NAME", 125, "", "it runs: *$NAME*rm -f*", Foreground, "1: stop it before, or force it"),
    (Restarting, "rm $NAME", 125, "", "it runs: *$NAME*rm -f*", Restarting, "1: stop it before, or force it"),
    (Running, "rm -f $NAME", 0, "$NAME\n", "", Missing, "SIGKILL first"),
    (Ignoring, "rm --force $NAME", 0, "$NAME\n", "", Missing, "SIGKILL first"),
    (RunningRm, "rm -f $NAME", 0, "$NAME\n", "", Missing, "SIGKILL first"),
    (Foreground, "rm -f $NAME", 0, "$NAME\n", "", Missing, "SIGKILL first"),
    (Restarting, "rm -f $NAME", 0, "$NAME\n", "", Missing, "it ends the restarts"),
    (Missing, "rm nobody", 125, "", "no such container: *nobody*", Missing, "1: no such container"),
    (Missing, "rm -f nobody", 0, "", "no such container: *nobody*", Missing, "a message, and 0: it is as it was to be"),
    (Running, "rm -f nobody $NAME", 0, "$NAME\n", "no such container: *nobody*", Missing,
        "a message, and 0: it is as it was to be"),
    (Missing, "rm", 125, "", "a NAME is missing*--help*", Missing, "1: it needs an argument"),
    (Missing, "rm -f", 125, "", "a NAME is missing*--help*", Missing, "1: it needs an argument"),
];

case!(rm, Needs::NAMESPACES | Needs::SH | Needs::SLEEP);
fn rm() {
    assert_rows(RM);
}

#[rustfmt::skip]
const PAUSE_AND_UNPAUSE: &[Row] = &[
    (Running, "pause $NAME", 0, "$NAME\n", "", Paused, "it prints the name"),
    (Paused, "pause $NAME", 125, "", "it is paused: *$NAME*", Paused, "1: it is already paused"),
    (Paused, "unpause $NAME", 0, "$NAME\n", "", Running, "it prints the name"),
    (Running, "unpause $NAME", 125, "", "it is not paused: *$NAME*", Running, "1: it is not paused"),
    (Running, "pause $NAME nobody $OTHER", 125, "$NAME\n$OTHER\n", "no such container: *nobody*", Paused,
        "1: the others are paused"),
    (Paused, "unpause nobody $NAME", 125, "$NAME\n", "no such container: *nobody*", Running, "1: the others go on"),
    (Exited(3), "pause $NAME", 125, "", "it has ended: *$NAME*", Exited(3), "1: it is not running"),
    (Exited(3), "unpause $NAME", 125, "", "it has ended: *$NAME*", Exited(3), "1: it is not paused"),
    (Restarting, "pause $NAME", 125, "", "it is restarting: *$NAME*", Restarting, "1: wait until it runs"),
    (Missing, "pause nobody", 125, "", "no such container: *nobody*", Missing, "1: no such container"),
    (Missing, "unpause nobody", 125, "", "no such container: *nobody*", Missing, "1: no such container"),
    (Missing, "pause", 125, "", "a NAME is missing*--help*", Missing, "1: it needs an argument"),
    (Missing, "unpause", 125, "", "a NAME is missing*--help*", Missing, "1: it needs an argument"),
];

case!(pause_and_unpause, Needs::ROOT | Needs::MEMORY | Needs::FREEZER | Needs::SH | Needs::SLEEP);
fn pause_and_unpause() {
    assert_rows(PAUSE_AND_UNPAUSE);
}

#[rustfmt::skip]
const ON_A_PAUSED_ONE: &[Row] = &[
    (Paused, "ps", 0, "NAME *\n$NAME  paused * sh -c *\n", "", Paused, "Up 5 seconds (Paused)"),
    (Paused, "ps -q -f status=paused", 0, "$NAME\n", "", Paused, "those that are paused"),
    (Paused, "ps -q -f status=running", 0, "", "", Paused, "those that run, and are not paused"),
    (Paused, "run -d --name $NAME true", 125, "", "*already running: *$NAME*", Paused, "125: the name is in use"),
    (Paused, "exec $NAME true", 125, "", "it is paused: *$NAME*unpause*", Paused, "1: unpause it before"),
    (Paused, "logs $NAME", 0, "out\nerr\n", "", Paused, "what it has written"),
    (Paused, "stop $NAME", 0, "$NAME\n", "", Exited(143), "it goes on, and gets the signal"),
    (Paused, "kill $NAME", 0, "$NAME\n", "", Killed, "it is killed all the same"),
    (Paused, "kill -s TERM $NAME", 0, "$NAME\n", "", Running, "it goes on, and gets the signal"),
    (Paused, "kill -s USR1 $NAME", 0, "$NAME\n", "", Paused, "it gets the signal when it goes on"),
    (Paused, "rm $NAME", 125, "", "it runs: *$NAME*rm -f*", Paused, "1: it is paused, and must be unpaused first"),
    (Paused, "rm -f $NAME", 0, "$NAME\n", "", Missing, "SIGKILL first"),
];

case!(the_others_on_a_paused_one, Needs::ROOT | Needs::MEMORY | Needs::FREEZER | Needs::SH | Needs::SLEEP);
fn the_others_on_a_paused_one() {
    assert_rows(ON_A_PAUSED_ONE);
}

#[rustfmt::skip]
const STATS: &[Row] = &[
    (Running, "stats --no-stream $NAME", 0, "NAME *PROCESSES\n$NAME * / 200M * 1\n", "", Running, "a heading, and a line"),
    (Running, "stats --no-stream --json $NAME", 0, r#"{"name":"$NAME",*"memory_limit":209715200,"processes":1,*}
"#, "", Running, "--format json: an object on each line"),
    (Foreground, "stats --no-stream $NAME", 0, "NAME *\n$NAME * / 200M * 1\n", "", Foreground, "however it was started"),
    (Exited(3), "stats --no-stream $NAME", 125, "", "it has ended: *$NAME*", Exited(3),
        "a line without numbers; here there is nothing to print"),
    (Exited(3), "stats $NAME", 125, "", "it has ended: *$NAME*", Exited(3), "the same, for ever"),
    (Restarting, "stats --no-stream $NAME", 125, "", "it is restarting: *$NAME*", Restarting,
        "a line without numbers; here there is nothing to print"),
    (Missing, "stats --no-stream nobody", 125, "", "no such container: *nobody*", Missing, "1: no such container"),
    (Missing, "stats --no-stream", 125, "", "a NAME is missing*--help*", Missing, "all that run; here one that is named"),
];

case!(stats, Needs::NAMESPACES | Needs::MEMORY | Needs::MOUNTED | Needs::SH | Needs::SLEEP);
fn stats() {
    assert_rows(STATS);
}

/// Asserts each row with a container of its own, and that nothing is left of any of them.
fn assert_rows(rows: &[Row]) {
    let records = Records::new();
    let wrong: Vec<String> = rows.iter().filter_map(|row| wrong_in(&records, row)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Names the row in which a helper of the harness panics.
struct Named<'a>(&'a Row);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            note(format!("verbs: in the row {:?}", self.0));
        }
    }
}

/// What is not as the row says, if anything.
fn wrong_in(records: &Records, row: &Row) -> Option<String> {
    let _named = Named(row);
    let (before, words, status, stdout, stderr, after, docker) = *row;
    let first = unique_name();
    // It comes after the first one in the list of ps.
    let second = format!("{first}-other");
    let mut names = vec![first.as_str()];
    let in_front = begin(records, &first, before);
    let of_other = if let Exited(status) = before { Exited(status + 1) } else { before };
    if [words, stdout].iter().any(|text| text.contains("$OTHER")) {
        names.push(&second);
        assert!(begin(records, &second, of_other).is_none(), "the second one is in the background");
    }
    let pids: Vec<Option<i32>> = names.iter().map(|name| live_pid(records, name)).collect();
    let pid = pids[0].map(|pid| pid.to_string()).unwrap_or_default();
    let filled = |text: &str| text.replace("$NAME", &first).replace("$OTHER", &second).replace("$PID", &pid);

    let outcome = call(records, &first, before, &split(&filled(words)));
    let message = if stderr.is_empty() { String::new() } else { format!("mydocker: {}\n", filled(stderr)) };
    let mut wrong = Vec::new();
    if outcome.code() != status {
        wrong.push(format!("the status is not {status}"));
    }
    if !is_like(&outcome.stdout_text(), &filled(stdout)) {
        wrong.push(format!("standard output is not {stdout:?}"));
    }
    if !is_like(&outcome.stderr_text(), &message) {
        wrong.push(format!("the message is not {stderr:?}"));
    }
    for (name, pid) in names.iter().zip(pids) {
        let expected = if after == before && *name == second { of_other } else { after };
        wrong.extend(what_is_left(records, name, pid, [before, expected]));
    }

    drop(records.call("rm", &[&["-f"], &names[..]].concat()));
    if let Some(running) = in_front {
        drop(running.reap_with_stdin_open());
    }
    if before == Lost {
        // A later run removes the groups of a container whose keeper was killed.
        wait_until("its groups are removed", || {
            records.run(&["--name", &unique_name()], &["true"]).finish().silent(0);
            groups_of(&first).is_empty()
        });
    }
    let left = records.left();
    if !left.is_empty() || names.iter().any(|name| !groups_of(name).is_empty()) {
        wrong.push(format!("after rm -f, there are the records {left:?} and the groups {:?}", groups_of(&first)));
    }
    let is_wrong = !wrong.is_empty();
    is_wrong.then(|| format!("{before:?}, {words:?}: {}: {outcome:?} (docker: {docker})", wrong.join("; ")))
}

/// Brings about this state. A container in the foreground is returned.
fn begin(records: &Records, name: &str, state: State) -> Option<harness::Running> {
    let (sleeps, loops, reads) = ("exec sleep 1000", "while :; do sleep 0.01; done", "read line; echo bye; exit 7");
    let exits = |status| format!("exit {status}");
    let start = |options: &[&str], traps: &str, then: &str| {
        records.detached(name, options, &format!("{traps}echo out; echo err >&2; {then}"));
        wait_until("it has begun", || records.call("logs", &[name]).stdout_text().starts_with("out\nerr\n"));
    };
    match state {
        Missing => {}
        Foreground => return Some(records.waiting(name)),
        Running => start(&[], "", sleeps),
        RunningRm => start(&["--rm"], "", sleeps),
        Handling => start(&[], "trap 'exit 5' TERM; trap 'exit 6' USR1; ", loops),
        Ignoring => start(&[], "trap '' TERM; ", loops),
        Reading => start(&["-i"], "", reads),
        ReadingRm => start(&["-i", "--rm"], "", reads),
        Paused => {
            start(&[], "", sleeps);
            records.call("pause", &[name]).success();
        }
        Restarting => {
            start(&["--restart", "always"], "", &exits(3));
            wait_until("it has run twice", || {
                records.call("logs", &[name]).stdout_text().matches("out\nerr\n").count() > 1
            });
            stop_in_pause(records, name, number(records, name, "keeper"));
        }
        Exited(status) => {
            start(&[], "", &exits(status));
            wait_until("it has ended", || state_of(records, name).starts_with("exited"));
        }
        Killed => {
            start(&[], "", sleeps);
            send(records.pid(name), libc::SIGKILL);
            wait_until("it has ended", || state_of(records, name).starts_with("exited"));
        }
        Lost => {
            start(&[], "", sleeps);
            let pid = records.pid(name);
            send(keeper_of(pid), libc::SIGKILL);
            assert!(wait_for_end(pid));
            wait_until("it is lost", || state_of(records, name) == "lost");
        }
        Exits(_) | Vanishes => panic!("{state:?} is what a command leaves"),
    }
    None
}

/// Calls mydocker with these words. A container that waits for a line gets it when the command waits for its end.
fn call(records: &Records, name: &str, before: State, words: &[String]) -> Outcome {
    let rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let running = records.verb(&words[0], &rest).start();
    if [Reading, ReadingRm].contains(&before) {
        if words[0] == "wait" {
            wait_until("it waits", || is_in_call(running.pid, libc::SYS_flock) || running.has_ended());
        } else {
            running.await_output("err\n");
        }
        let stdin = records.folder_of(name).join("stdin");
        fs::OpenOptions::new().write(true).open(stdin).expect("its input").write_all(b"line\n").expect("write");
    }
    running.reap()
}

/// What is left of a container, and is not as the second of these states has it: its record, its process, its groups.
fn what_is_left(records: &Records, name: &str, pid: Option<i32>, [before, after]: [State; 2]) -> Vec<String> {
    let mut wrong = Vec::new();
    match after {
        Exits(_) => wait_until("it has ended", || state_of(records, name).starts_with("exited")),
        Vanishes => wait_until("its record is removed", || !records.folder_of(name).exists()),
        _ => {}
    }
    let expected = match after {
        Missing | Vanishes => "missing".into(),
        Running | RunningRm | Foreground | Handling | Ignoring | Reading | ReadingRm => "running".into(),
        Paused => "paused".into(),
        Restarting => "restarting (3)".into(),
        Exited(status) | Exits(status) => format!("exited ({status})"),
        Killed => "exited (137)".into(),
        Lost => "lost".into(),
    };
    let seen = state_of(records, name);
    if seen != expected {
        wrong.push(format!("{name} is {seen}, not {expected}"));
    }
    let runs = ["running", "paused"].contains(&expected.as_str());
    let now = live_pid(records, name);
    if runs && (now.is_none() || pid.is_some() && now != pid) {
        wrong.push(format!("{name} has the process {now:?}, and had {pid:?}"));
    }
    if !runs
        && let Some(pid) = pid
        && is_alive(pid)
    {
        wrong.push(format!("the process {pid} of {name} has not ended"));
    }
    // Those that a killed keeper has left are removed by a later run.
    if !runs && before != Lost && !groups_of(name).is_empty() {
        wrong.push(format!("there are the groups {:?}", groups_of(name)));
    }
    wrong
}

/// Its state and its status, as `ps -a --json` has them.
fn state_of(records: &Records, name: &str) -> String {
    let text = records.call("ps", &["-a", "--json"]).success();
    let mut all = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let Some(found) = all.find(|container| container["name"] == name) else { return "missing".into() };
    let word = found["state"].as_str().expect("a word");
    found["status"].as_i64().map_or(word.into(), |status| format!("{word} ({status})"))
}

/// The pid of its first process, if it has a record and is alive.
fn live_pid(records: &Records, name: &str) -> Option<i32> {
    let has_record = records.folder_of(name).join("state").exists();
    has_record.then(|| records.pid(name)).filter(|pid| is_alive(*pid))
}

fn is_alive(pid: i32) -> bool {
    processes::state(pid).is_some_and(|state| state != 'Z')
}

fn groups_of(name: &str) -> Vec<std::path::PathBuf> {
    host().directories(&format!("mydocker-{name}"))
}

/// The words of a row. What stands between single quotes is one word.
fn split(text: &str) -> Vec<String> {
    let words = |(at, part): (usize, &str)| match at % 2 {
        0 => part.split_whitespace().map(String::from).collect(),
        _ => vec![part.to_string()],
    };
    text.split('\'').enumerate().flat_map(words).collect()
}

/// Whether `text` is `pattern`, in which each `*` stands for any text.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return text == pattern };
    text.strip_prefix(before).is_some_and(|text| {
        let mut ends = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
        ends.any(|at| is_like(&text[at..], rest))
    })
}
