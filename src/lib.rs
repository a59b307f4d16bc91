//! `mydocker run`: a command in its own Linux namespaces, under cgroup limits.
//!
//! Imports run downward only; read from the bottom up, or follow one run from the top:
//!
//! | floor | module | role |
//! |---|---|---|
//! | 5 | `main.rs`, `cli.rs` (the binary crate) | argv in, exit status out |
//! | 4 | [`run`], [`child`], [`reaper`], [`cleanup`], [`stats`], [`check`] | the processes: what each does, in which order it ends, what it took, whether it would work |
//! | 3 | [`plan`], [`step`], [`show`] | options + host -> two ordered lists of steps; one step; what it does, in words |
//! | 2 | [`cgroup`], [`privilege`], [`userns`], [`signals`], [`lookup`], [`terminal`], [`rootfs`], [`user`] | one subject each |
//! | 1 | [`sys`] | the kernel: typed calls, one gate, all the `unsafe` |
//! | 0 | [`error`], [`text`], [`texts`], [`mountinfo`], [`options`], [`argv`], [`environment`], [`volumes`], [`passwd`] | pure: no system calls |

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod check;
pub mod child;
pub mod cleanup;
pub mod reaper;
pub mod run;
pub mod stats;

pub mod plan;
pub mod show;
pub mod step;

pub mod cgroup;
pub mod lookup;
pub mod privilege;
pub mod rootfs;
pub mod signals;
pub mod terminal;
pub mod user;
pub mod userns;

#[allow(unsafe_code)]
pub mod sys;

pub mod argv;
pub mod environment;
pub mod error;
pub mod mountinfo;
pub mod options;
pub mod passwd;
pub mod text;
pub mod texts;
pub mod volumes;

#[cfg(test)]
mod seccomp;
