//! The C entry point. `no_main`, so that std neither ignores SIGPIPE nor starts before the first line of ours; musl gives the
//! arguments nowhere but here.

#![cfg_attr(not(test), no_main)]
#![deny(unsafe_code)]
#![cfg_attr(test, allow(dead_code))]

mod cli;

use cli::{Action, DryRun, Request, TraceTo};
use core::ffi::{CStr, c_char, c_int, c_ulong};
use mydocker::bytes;
use mydocker::error::{Error, Result};
use mydocker::host::Host;
use mydocker::namespaces::NotedRoot;
use mydocker::network::bridge::Bridge;
use mydocker::plan;
use mydocker::plan::exec::Target;
use mydocker::process::rehearse::rehearse;
use mydocker::process::stats::Begun;
use mydocker::process::stops::Stops;
use mydocker::process::{Beside, keep, named, sealed};
use mydocker::spec::{Network, Spec};
use mydocker::state::Config;
use mydocker::step::{Held, Stop};
use mydocker::sys::{Fd, FdRef, OpenFlags, trace};
use mydocker::writable::Writable;
use mydocker::{environment, process, show, state, streams, sys};

#[cfg(not(test))]
#[global_allocator]
static HEAP: sys::Bump = sys::Bump::new();

/// What the C start-up code calls.
///
/// # Safety
/// Both vectors must be as execve(2) made them.
#[allow(unsafe_code)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn main(_argc: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_int {
    // SAFETY: the C start-up code passes both vectors as execve(2) made them, ending with a null pointer; they stay forever
    let (words, environment) = unsafe { (strings(argv), strings(envp)) };
    // SAFETY: the environment has that many strings, a null pointer, and behind it the auxiliary vector
    let is_secure = unsafe { is_secure(envp.add(environment.len() + 1).cast()) };
    let done = if is_secure { Err(refuse_privilege()) } else { start(words, environment) };
    done.unwrap_or_else(say)
}

/// Prints the error, and returns its status.
fn say(error: Error) -> i32 {
    sys::say(error);
    error.status()
}

/// What musl's start file calls, in the place of musl's own, which would first set up threads, stdio and what runs at the
/// exit. Only std's panics would use any of it, and in the tiny file a panic is one instruction.
///
/// # Safety
/// `argv` must be as execve(2) put it on the stack: with the environment behind it.
#[cfg(all(tiny, target_env = "musl", not(test)))]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_start_main(_main: usize, argc: c_int, argv: *const *const c_char) -> ! {
    // SAFETY: the start file passes the stack pointer of execve(2): argc words and a null pointer, then the environment
    sys::exit_group(unsafe { main(argc, argv, argv.add(argc as usize + 1)) })
}

/// The functions of the unwinder that std's precompiled code names, in its place. Here a panic ends the process, so that nothing ever
/// unwinds: it would be 80 KB of the file that are never executed. Without tables for unwinding, which the released file has not,
/// it would find no frame for a backtrace either.
#[cfg(all(no_unwind_tables, not(test)))]
#[allow(unsafe_code)]
mod no_unwinder {
    /// _URC_END_OF_STACK: for a backtrace there is nothing more.
    const END_OF_STACK: usize = 5;

    macro_rules! functions {
        ($($name:ident)*) => {
            $(
                #[unsafe(no_mangle)]
                pub extern "C" fn $name() -> usize {
                    END_OF_STACK
                }
            )*
        };
    }
    functions! { _Unwind_Backtrace _Unwind_GetDataRelBase _Unwind_GetIP _Unwind_GetIPInfo _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_SetGR _Unwind_SetIP }

    /// What would go on with the unwinding after a destructor.
    #[unsafe(no_mangle)]
    pub extern "C" fn _Unwind_Resume() -> ! {
        mydocker::sys::exit_group(128 + libc::SIGABRT)
    }
}

/// Whether execve(2) has given this process more privilege than its caller has: AT_SECURE of getauxval(3).
///
/// # Safety
/// `next` must be the auxiliary vector of this process: pairs of a type and a value, up to AT_NULL. The C library may have
/// left null pointers in front of it, for variables that it has taken out of the environment of such a process.
#[allow(unsafe_code)]
unsafe fn is_secure(mut next: *const c_ulong) -> bool {
    // SAFETY: the caller has promised pairs up to AT_NULL, where this ends; AT_NULL is 0, and no other type is
    unsafe {
        while *next == 0 {
            next = next.add(1);
        }
        while *next != 0 && *next != libc::AT_SECURE {
            next = next.add(2);
        }
        *next == libc::AT_SECURE && *next.add(1) != 0
    }
}

fn refuse_privilege() -> Error {
    let hint = "whoever may start it would be root on this host: chmod u-s,g-s, or setcap -r";
    Error::refused("mydocker is set-user-ID, set-group-ID or has capabilities", b"", hint)
}

fn start(started_as: &[&'static CStr], environment: &'static [&'static CStr]) -> Result<i32> {
    let words: Vec<&[u8]> = started_as.iter().map(|word| word.to_bytes()).collect();
    match cli::parse(words.get(1..).unwrap_or_default())? {
        Action::Run(request, command) => {
            run(request, command, started_as, environment).map_err(|e| e.of_command("run"))
        }
        Action::Check { json } => {
            let plan = |words: &[&[u8]]| match cli::parse(words)? {
                Action::Run(request, command) => {
                    plan::make(&request.spec, Host::look(&request.spec, environment), command)
                }
                _ => Err(Error::usage("not a run", b"")),
            };
            let (report, works) = show::check::check(json, &plan);
            sys::write_last(FdRef::STDOUT, &report).map(|()| i32::from(!works))
        }
        Action::Exec(options, name, command) => {
            exec(options, name, command, started_as, environment).map_err(|e| e.of_command("exec"))
        }
        Action::Manage(order) => process::verbs::carry_out(&order, environment),
        Action::Print(text) => sys::write_all(FdRef::STDOUT, text).map(|()| 0),
        Action::Explain(text) => sys::write_all(FdRef::STDERR, text).map(|()| 125),
    }
}

/// `exec`: a command in a container that runs.
fn exec(
    options: Vec<&'static str>,
    name: &'static CStr,
    command: &[&[u8]],
    started_as: &[&'static CStr],
    environment: &'static [&'static CStr],
) -> Result<i32> {
    let own = cli::parse_options(&options)?;
    streams::check_passed(own.spec.passed)?;
    let (uid, _) = sys::effective_ids();
    let folder = || state::folder(own.spec.state, uid, environment, false);
    let mut writable = Writable::default();
    if own.trace.is_some() {
        // What is wrong is said below, once there is a trace.
        let config = named::find(folder()?.as_ref(), name).and_then(|record| record.config());
        let run = config.and_then(|config| Ok((cli::parse_options(&config.words)?, config.directory)));
        if let Ok((run, directory)) = run {
            // A copy that is executed later would begin the trace anew.
            if run.spec.has_own_root() {
                sealed::become_copy(started_as, environment)?;
            }
            writable = Writable::of_other(&run.spec, directory);
        }
    }
    if let Some(to) = own.trace {
        begin_trace(to, writable, environment)?;
    }
    let folder = folder()?;
    let record = named::find(folder.as_ref(), name)?;
    let (process, pid, _) = named::running(&record, name)?;
    let process = leak(process);
    let carry_out = || {
        record.enter()?;
        if record.is_frozen() {
            return Err(Error::refused("it is paused:", name.to_bytes(), "mydocker unpause lets it go on"));
        }
        let Config { directory, words: of_run, environment: variables } = record.config()?;
        let container = cli::parse_options(&of_run)?;
        if container.spec.has_own_root() {
            sealed::become_copy(started_as, environment)?;
        }
        // The reaper lets nobody look into it, so that only root could enter its namespaces.
        let first_child = container.spec.init.then(|| state::first_child(pid)).transpose()?.flatten();
        // What it is given itself replaces what the container has; a capability comes in addition. With --privileged it drops none.
        let mut words = options.clone();
        let is_own = |name: &str| options.chunks(2).any(|own| own.first() == Some(&name));
        for pair in of_run.chunks(2) {
            let [name, value] = pair else { continue };
            let is_replaced = match *name {
                "--cap-add" => false,
                "--cap-drop" => is_own("--privileged"),
                "--init" => true,
                name => is_own(name),
            };
            if !is_replaced {
                words.extend([name, value]);
            }
        }
        let request = cli::parse_options(&words)?;
        if !container.spec.has_own_root() {
            request.spec.workdir = request.spec.workdir.or(directory);
        }
        let request: &'static Request = request;
        let groups = record.groups(pid, name)?;
        let (process, pid) = first_child.map_or((process, pid), |(child, pid)| (leak(child), pid));
        let root = match record.root() {
            Some(noted) => {
                Some(NotedRoot { way: named::open_in_proc(pid, process, "/root", OpenFlags::PATH, name)?, noted })
            }
            None => None,
        };
        let target = Target { spec: &container.spec, process, root, name, directory, groups, environment: variables };
        let target: &'static Target = Box::leak(Box::new(target));
        let host = Host::look(&Spec::default(), environment);
        let plan = plan::exec::make(&request.spec, &own.spec, host, target, command)?;
        process::carry_out(plan, None, None, &mut Beside::default())
    };
    // Up to the end the record holds what `enter` has locked.
    named::tell_end(process, pid, name, carry_out())
}

/// It stays open as long as this process.
fn leak(fd: Fd) -> FdRef<'static> {
    Box::leak(Box::new(fd)).borrow()
}

fn begin_trace(to: TraceTo, mut writable: Writable, environment: &[&'static CStr]) -> Result<()> {
    let has_no_colors = environment::get(environment, b"TERM") == Some(b"dumb");
    let plain = has_no_colors || environment::get(environment, b"NO_COLOR").is_some_and(|value| !value.is_empty());
    let output = match to {
        TraceTo::Stderr => None,
        TraceTo::File(path) => Some(writable.output(path)?),
    };
    trace::begin(output.as_ref().map(|(directory, name)| (directory.as_ref(), *name)), plain)
}

fn run(
    request: &'static mut Request,
    command: &[&[u8]],
    started_as: &[&'static CStr],
    environment: &'static [&'static CStr],
) -> Result<i32> {
    // The reaper stays in the container, where CAP_SYS_PTRACE, which an exec may have, looks into every process.
    let spec = &request.spec;
    let is_seen = spec.pid_of.is_some() || spec.init;
    if is_seen && spec.has_own_root() && request.dry_run.is_none() {
        sealed::become_copy(started_as, environment)?;
    }
    // Before anything is opened, and by the process that the caller has started.
    streams::find_passed(&mut request.spec, environment)?;
    // The keeper outlives its caller: what that has open (a lock, a pipe that somebody reads to its end) is not to stay so.
    let callers = if request.spec.detach { sys::open_descriptors(3) } else { Vec::new() };
    if let Some(to) = request.trace {
        begin_trace(to, Writable::of(&request.spec), environment)?;
    }
    let (mut front, mut kept, mut said) = (None, None, None);
    if request.spec.detach {
        let (uid, _) = sys::effective_ids();
        let folder = state::folder(request.spec.state, uid, environment, true)?;
        if let (None, Some(folder)) = (request.spec.name, &folder) {
            request.spec.name = Some(state::make_up_name(folder)?);
        }
        match keep::detach(request.spec.name.unwrap_or_default())? {
            Ok(status) => return Ok(status),
            Err(fd) => front = Some(fd),
        }
        if let Some(policy) = request.spec.restart {
            // Later runs pass on the same descriptors as this one, and open those again that an option names.
            let is_named = |number: i32| {
                let name = [b"/fd/", bytes::to_decimal(number as u64).as_slice()].concat();
                started_as.iter().chain(environment).any(|word| bytes::position(word.to_bytes(), &name).is_some())
            };
            let first = 3 + request.spec.passed;
            let unneeded: Vec<i32> =
                callers.iter().copied().filter(|number| *number >= first && !is_named(*number)).collect();
            match keep::restart(policy, &request.spec, environment, front.take(), &unneeded)? {
                Ok(status) => return Ok(status),
                Err((fd, record)) => {
                    if fd.is_none() {
                        // The first run has written it.
                        request.spec.cid_file = None;
                        said = keep::Said::listen(&request.spec, &record.2)?;
                    }
                    (front, kept) = (fd, Some(record));
                }
            }
        }
    }
    let done = run_once(request, command, environment, front.map(|front| (front, callers)), kept);
    match said {
        None => done,
        Some(said) => {
            let status = done.unwrap_or_else(say);
            said.note(status).map(|()| status)
        }
    }
}

/// One run of the container. `front`: the process that waits until the command is executed, and what its caller had open.
fn run_once(
    request: &'static mut Request,
    command: &[&[u8]],
    environment: &'static [&'static CStr],
    front: Option<(Fd, Vec<i32>)>,
    kept: Option<Held>,
) -> Result<i32> {
    let spec = &mut request.spec;
    let of = match spec.network {
        Network::Container(name) => Some(name),
        _ => None,
    };
    let mut network = of.map(|name| (name, name));
    let joined = [(&mut network, "/ns/net"), (&mut spec.pid_of, ""), (&mut spec.ipc_of, "/ns/ipc")];
    for (of, file) in joined {
        if let Some((path, name)) = of {
            let (uid, _) = sys::effective_ids();
            let folder = state::folder(spec.state, uid, environment, false)?;
            let (held, root) = named::namespace_of(folder.as_ref(), name, file)?;
            *path = held;
            if file.is_empty() {
                spec.pid_of_root = root;
            }
        }
    }
    if let Some((path, name)) = network {
        spec.network = Network::Namespace(path, name);
    }
    let request: &'static Request = request;
    let begun = request.spec.stats.map(|_| Begun::now());
    let plan = plan::make(&request.spec, Host::look(&request.spec, environment), command)?;
    plan.parts.front.set(front);
    plan.parts.kept.set(kept);
    if let Some(form) = request.dry_run {
        let text = match form {
            DryRun::Table => show::dry_run::table(plan),
            DryRun::Script => show::script::script(plan),
        };
        return sys::write_all(FdRef::STDOUT, &text?).map(|()| 0);
    }
    let mut stops: Option<&'static dyn Stop> = None;
    if request.step {
        // A rehearsal uses a plan up.
        let rehearsed = plan::make(&request.spec, Host::look(&request.spec, environment), command)?;
        let rehearsal = rehearse(rehearsed)?;
        // The run itself may be the last on its bridge, not this plan.
        rehearsed.parts.bridge.map_or(Ok(()), Bridge::forget)?;
        stops = Some(Stops::new(plan, rehearsal)?);
    }
    Ok(process::run(plan, stops, begun))
}

/// The strings of a vector that ends with a null pointer.
///
/// # Safety
/// It must be such a vector of NUL-terminated strings that live forever.
#[allow(unsafe_code)]
unsafe fn strings(mut vector: *const *const c_char) -> &'static [&'static CStr] {
    let mut strings = Vec::new();
    // SAFETY: the caller has promised a null pointer at the end, and strings before it
    unsafe {
        while !(*vector).is_null() {
            strings.push(CStr::from_ptr(*vector));
            vector = vector.add(1);
        }
    }
    strings.leak()
}
