//! `mydocker run`: a command in its own Linux namespaces, under cgroup limits. `src/README.md` is the tour.
//!
//! Imports run downward, but for two types in [`step`]; read from the bottom up, or follow one run from the top:
//!
//! | layer | modules | role |
//! |---|---|---|
//! | 6 | `main.rs` (the binary crate) | the C entry point: which command |
//! | 5 | `cli/` (the binary crate), [`show`] | words in, [`spec`] out; the table and the script of a dry run, `check` |
//! | 4 | [`process`] | what each process does, in which order it ends, what it took |
//! | 3 | [`plan`] | Spec and Host in, two ordered lists of steps out |
//! | 2 | [`cgroup`], [`root`], [`volume`], [`network`], [`terminal`] | one subject each: its data, its steps, its words |
//! | 2 | [`user`], [`userns`], [`privilege`], [`ulimit`], [`sysctl`], [`signals`] | likewise |
//! | 2 | [`namespaces`], [`command`], [`init`], [`report`], [`state`], [`log`], [`streams`] | likewise |
//! | 2 | [`writable`] | what the command line names below what the container can write to |
//! | 1 | [`spec`], [`host`], [`step`] | data: the container that is wanted, this host, and what steps share |
//! | 0 | [`sys`] | the kernel: typed calls, one gate, all the `unsafe` |
//! | 0 | [`bytes`], [`error`], [`mountinfo`], [`passwd`], [`environment`], [`capabilities`] | pure: no system calls |

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

// Declared first: its macro is used by all that follows.
#[macro_use]
pub mod step;

pub mod show;

pub mod process;

pub mod plan;

pub mod cgroup;
pub mod command;
pub mod init;
pub mod log;
pub mod namespaces;
pub mod network;
pub mod privilege;
pub mod report;
pub mod root;
pub mod signals;
pub mod state;
pub mod streams;
pub mod sysctl;
pub mod terminal;
pub mod ulimit;
pub mod user;
pub mod userns;
pub mod volume;

pub mod host;
pub mod spec;
pub mod writable;

#[allow(unsafe_code)]
pub mod sys;

pub mod bytes;
pub mod capabilities;
pub mod environment;
pub mod error;
pub mod mountinfo;
pub mod passwd;
