//! The C entry point. `no_main`, so that std neither ignores SIGPIPE nor starts before the first line of ours; musl gives
//! the arguments nowhere but here.

#![cfg_attr(not(test), no_main)]
#![deny(unsafe_code)]
#![cfg_attr(test, allow(dead_code))]

mod cli;

use cli::Action;
use core::ffi::{CStr, c_char, c_int};
use mydocker::error::{Error, Result};
use mydocker::says;
use mydocker::sys::trace;
use mydocker::{check, environment, plan, run, show, sys, text};

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
    // SAFETY: the C start-up code passes both vectors as execve(2) made them, ending with a null; they stay forever
    let (words, environment) = unsafe { (strings(argv), strings(envp)) };
    match start(&words, &environment) {
        Ok(status) => status,
        Err(error) => {
            sys::say(error);
            error.status()
        }
    }
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
    // SAFETY: the caller's; behind argc words and a null the environment begins
    sys::exit_group(unsafe { main(argc, argv, argv.add(argc as usize + 1)) })
}

fn start(words: &[&'static CStr], environment: &[&'static CStr]) -> Result<i32> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.to_bytes()).collect();
    match cli::parse(words.get(1..).unwrap_or_default())? {
        Action::Run(options, command) => {
            if let Some(file) = options.trace {
                let plain = environment::get(environment, b"NO_COLOR").is_some_and(|value| !value.is_empty());
                trace::begin(text::c_string(&[file.as_bytes()]), plain)?;
            }
            let plan = plan::make(options, command, environment)?;
            match options.dry_run {
                None => Ok(run::run(plan)),
                Some("") => sys::write_all(1, &show::table(plan)).map(|()| 0),
                Some(_) => sys::write_all(1, &show::script(plan)).map(|()| 0),
            }
        }
        Action::Check(json) => {
            let plan = |words: &[&[u8]]| match cli::parse(words)? {
                Action::Run(options, command) => plan::make(options, command, environment),
                _ => Err(Error::usage(says!("not a run"), b"")),
            };
            let (report, works) = check::check(json, &plan);
            sys::write_all(1, &report).map(|()| i32::from(!works))
        }
        Action::Print(text) => sys::write_all(1, &text.printed()).map(|()| 0),
        Action::Explain(text) => sys::write_all(2, &text.printed()).map(|()| 125),
        Action::Version => sys::write_all(1, cli::VERSION.as_bytes()).map(|()| 0),
    }
}

/// The strings of a vector that ends with a null.
///
/// # Safety
/// It must be such a vector of NUL-terminated strings that live forever.
#[allow(unsafe_code)]
unsafe fn strings(mut vector: *const *const c_char) -> Vec<&'static CStr> {
    let mut strings = Vec::new();
    // SAFETY: the caller's
    unsafe {
        while !(*vector).is_null() {
            strings.push(CStr::from_ptr(*vector));
            vector = vector.add(1);
        }
    }
    strings
}
