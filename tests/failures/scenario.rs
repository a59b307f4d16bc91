//! One way to run mydocker, whose calls are made to fail one after the other.

use crate::judge::{self, Base};
use crate::preparation::Preparation;
use crate::program;
use crate::support::needs::Needs;
use crate::table;
use crate::totals::TOTALS;
use crate::trace::{Call, Run, Traced};
use crate::worker::{Worker, take_worker};
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::io;

/// A kind of run.
pub struct Scenario {
    pub name: &'static str,
    /// The first word.
    pub verb: &'static str,
    pub options: Vec<String>,
    /// The one word after the options; empty for a verb that has none.
    pub command: String,
    /// The name of its directories, unless they have mydocker's pid.
    pub group: Option<String>,
    pub base: Base,
    /// What the command prints.
    pub stdout: &'static str,
    /// What a message may name instead of the failed call's object: the word by which the user knows it.
    pub about: &'static [&'static str],
    /// An strace expression that applies to every run of the scenario.
    pub always: Option<&'static str>,
    /// The calls to test, if not all: those that the scenario is about. The others take the same path as in `full`.
    pub only: &'static [&'static str],
    /// Each call is also made to fail on every occurrence, from the first one on.
    pub for_ever: bool,
    /// Called in the new process before strace starts.
    pub before: fn() -> io::Result<()>,
    /// Called before each run.
    pub prepare: fn(&Worker) -> io::Result<Preparation>,
    /// A container that was there before the run may have ended after it.
    pub may_end: bool,
    pub needs: Needs,
}

/// How many attempts a call gets that only some runs make: which process is faster varies, and more so on a busy
/// machine.
const ATTEMPTS: usize = 10;

/// How often a run makes one call: the least and the most, over several runs.
#[derive(Clone, Copy)]
pub struct Times {
    at_least: usize,
    at_most: usize,
}

/// The occurrences of one call.
#[derive(Clone, Copy)]
pub struct Occurrences {
    /// In this test, before it becomes mydocker.
    before: usize,
    parent: Times,
    /// In the child that makes it most often.
    child: Times,
    /// The same, including the calls that the child makes after it has become the command.
    with_command: usize,
    /// The first occurrences in the parent belong to the C library.
    library: usize,
}

/// One occurrence of a call, in one process.
#[derive(Clone, Copy)]
pub struct Occurrence {
    /// In the child that makes it most often, or in the parent; and the ordinal within that process.
    child: bool,
    at: usize,
    /// How many times this test makes the call before it becomes mydocker.
    pub dummy_calls: usize,
    /// The ordinal by which strace counts it.
    pub when: usize,
    /// Whether every run makes it.
    pub certain: bool,
}

impl Occurrences {
    /// Every occurrence of the call; with `library`, also those of the C library's start-up code.
    pub fn all(&self, library: bool) -> Vec<Occurrence> {
        let child = |at| Occurrence {
            child: true,
            at,
            dummy_calls: self.with_command,
            when: at,
            certain: at <= self.child.at_least,
        };
        let parents = self.in_parent().into_iter().skip(if library { 0 } else { self.library });
        (1..=self.child.at_most).map(child).chain(parents).collect()
    }

    /// The occurrences in mydocker itself, from the C library's start-up code on.
    pub fn in_parent(&self) -> Vec<Occurrence> {
        let dummy_calls = self.with_command;
        let parent = |at| Occurrence {
            child: false,
            at,
            dummy_calls,
            when: self.before + dummy_calls + at,
            certain: at <= self.parent.at_least,
        };
        (1..=self.parent.at_most).map(parent).collect()
    }
}

/// This many runs show how often a call is made: a sweep visits another hierarchy each time.
const RECORDED_RUNS: usize = 4;

impl Scenario {
    /// Makes one run, with these faults.
    pub fn run(
        &self,
        worker: &Worker,
        expressions: &[String],
        dummy_calls: Option<(&str, usize)>,
    ) -> Result<(Traced, Preparation), Failed> {
        let command = Some(self.command.clone()).filter(|command| !command.is_empty());
        let words: Vec<String> =
            [self.verb.to_string()].into_iter().chain(self.options.iter().cloned()).chain(command).collect();
        let expressions: Vec<String> =
            self.always.iter().map(|always| always.to_string()).chain(expressions.iter().cloned()).collect();
        for _ in 0..ATTEMPTS {
            let preparation = (self.prepare)(worker)?;
            let run = Run {
                worker,
                expressions: expressions.clone(),
                dummy_calls,
                words: words.clone(),
                program: self.command.clone(),
                stdin: preparation.stdin(),
                before: self.before,
            };
            let traced = run.make()?;
            if !traced.strace_failed() {
                return Ok((traced, preparation));
            }
        }
        Err(format!("strace failed to inject the failure {ATTEMPTS} times: {expressions:?}").into())
    }

    /// The calls of runs without any injected failure, and how often each process makes each of them.
    pub fn calls(&self) -> Result<BTreeMap<String, Occurrences>, Failed> {
        let worker = take_worker();
        let mut recorded = Vec::new();
        for _ in 0..RECORDED_RUNS {
            let mounts = judge::mounts();
            let (run, mut preparation) = self.run(&worker, &[], None)?;
            let base = match (self.base, run.status.and_then(|status| status.code())) {
                (Base::Works, status) => {
                    status == Some(program::STATUS)
                        && run.stderr.is_empty()
                        && run.stdout == self.stdout
                        && run.release().is_some()
                        && run.executed().is_some()
                }
                (Base::Answers, status) => {
                    status == Some(0) && run.stderr.is_empty() && run.stdout.contains(self.stdout)
                }
                (Base::Refuses(expected, words, _), status) => status == Some(expected) && run.stderr.contains(words),
            };
            let mut wrong = judge::leftovers(self, &worker, &run, &preparation, &mounts);
            wrong.extend(preparation.problems(self.may_end));
            if !base || !wrong.is_empty() || run.first_own().is_none() {
                return Err(format!(
                    "without any failure: {:?}, {:?}, {:?}, {wrong:?}\n{}",
                    run.status,
                    run.stdout,
                    run.stderr,
                    run.listing()
                )
                .into());
            }
            recorded.push(run);
        }
        let mut names: Vec<&str> = recorded.iter().flat_map(|run| &run.calls).map(|call| call.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().map(|name| (name.to_string(), occurrences(name, &recorded))).collect())
    }

    /// Makes every occurrence of `call` fail, in either process, with each of its errnos.
    pub fn fail_each(&self, call: &str, occurrences: Occurrences) -> Result<(), Failed> {
        let worker = take_worker();
        let Some(errnos) = table::errnos(call) else {
            return Err(format!("tests/failures/table.rs does not list the errnos of {call}: add them there").into());
        };
        let mut wrong = Vec::new();
        for errno in errnos {
            // The start-up code of the C library is the same in every scenario.
            for occurrence in occurrences.all(self.name == "full") {
                let expression = format!("inject={call}:error={errno}:when={}", occurrence.when);
                for attempt in 1..=ATTEMPTS {
                    let (reached, here) = self.fail(&worker, call, occurrence.dummy_calls, &expression, false)?;
                    if !here.is_empty() {
                        wrong.push(here);
                        break;
                    }
                    if reached || !occurrence.certain {
                        break;
                    }
                    // Another process was faster this time; or it is always slower than it was in the recorded runs,
                    // which can also happen without a failure.
                    if attempt == ATTEMPTS && !self.may_be_missing(&worker, call, occurrence)? {
                        wrong.push(format!("{expression}: no run of {ATTEMPTS} made this call"));
                    }
                }
            }
            // A directory that another process holds locked for ever may be that one's by now: it stays until a sweep.
            let is_others = (call, *errno) == ("flock", "EAGAIN");
            if self.for_ever && *errno != "EINTR" && !is_others {
                // From mydocker's first own occurrence on; its child makes none before that.
                let first = occurrences.before + occurrences.library + 1;
                let expression = format!("inject={call}:error={errno}:when={first}+");
                let (_, here) = self.fail(&worker, call, 0, &expression, true)?;
                if !here.is_empty() {
                    wrong.push(here);
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
    }

    /// Whether there are runs without a failure that do not make this call.
    fn may_be_missing(&self, worker: &Worker, call: &str, occurrence: Occurrence) -> Result<bool, Failed> {
        for _ in 0..ATTEMPTS {
            let (run, _) = self.run(worker, &[], None)?;
            let occurrences = occurrences(call, &[run]);
            let made = if occurrence.child { occurrences.child } else { occurrences.parent };
            if made.at_most < occurrence.at {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes one run in which the call fails. Gives whether the run made the call, and what is wrong with its end.
    fn fail(
        &self,
        worker: &Worker,
        call: &str,
        dummy_calls: usize,
        expression: &str,
        for_ever: bool,
    ) -> Result<(bool, String), Failed> {
        let mounts = judge::mounts();
        let dummy_calls = Some((call, dummy_calls)).filter(|(_, times)| *times > 0);
        let (run, mut preparation) = self.run(worker, std::slice::from_ref(&expression.to_string()), dummy_calls)?;
        let (kind, mut wrong) = if for_ever { judge::end_for_ever(&run) } else { judge::end(self, &run) };
        TOTALS.count(kind);
        let left = judge::leftovers(self, worker, &run, &preparation, &mounts);
        if !(for_ever && table::removes(call)) {
            wrong.extend(left.into_iter().map(|what| format!("left: {what}")));
        }
        if !for_ever {
            wrong.extend(preparation.problems_after(&run, self.may_end));
        }
        if wrong.is_empty() {
            return Ok((kind != judge::Kind::NotReached, String::new()));
        }
        let hit = run.calls.iter().filter(|call| call.injected()).map(|call| {
            let who = if run.is_child(call) { "child" } else { "parent" };
            format!("{who} {}({})", call.name, call.arguments)
        });
        let hit = hit.collect::<Vec<_>>().join(" and ");
        let after = dummy_calls.map_or(String::new(), |(_, times)| format!(" after {times} dummy calls"));
        Ok((true, format!("{expression}{after}  [{hit}]\n      {}", wrong.join("\n      "))))
    }
}

fn occurrences(name: &str, recorded: &[Traced]) -> Occurrences {
    let times = |count: &dyn Fn(&Traced) -> usize| {
        let counts = || recorded.iter().map(count);
        Times { at_least: counts().min().unwrap_or(0), at_most: counts().max().unwrap_or(0) }
    };
    // The kernel may begin a call anew many times, while others change the network: that is one call.
    let of = |calls: &[Call], pid: i32| {
        calls.iter().filter(|call| call.pid == pid && call.name == name && !call.is_begun_anew()).count()
    };
    let most = |run: &Traced, count: &dyn Fn(i32) -> usize| {
        let children = run.processes().0.into_iter().filter(|pid| *pid != run.mydocker);
        children.map(count).max().unwrap_or(0)
    };
    let library = |run: &Traced| {
        let own = run.first_own().unwrap_or(0);
        run.calls.iter().filter(|call| !run.is_child(call) && call.name == name && call.began < own).count()
    };
    Occurrences {
        before: recorded.first().map_or(0, |run| run.before.iter().filter(|call| *call == name).count()),
        parent: times(&|run| of(&run.calls, run.mydocker)),
        child: times(&|run| most(run, &|pid| of(&run.calls, pid))),
        with_command: times(&|run| most(run, &|pid| of(&run.calls, pid) + of(&run.command_calls, pid))).at_most,
        library: recorded.first().map_or(0, library),
    }
}
