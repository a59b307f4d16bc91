//! A command about containers that have a record, with its options.

use crate::log::View;
use alloc::vec::Vec;
use core::ffi::CStr;

/// What to do with the containers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// `ps`
    List,
    /// `rm`
    Remove,
    /// `logs`
    Logs,
    /// `wait`
    Wait,
    /// `stop`
    Stop,
    /// `kill`
    Kill,
    /// `pause`
    Pause,
    /// `unpause`
    Unpause,
    /// `stats`
    Stats,
}

/// A command with its options.
pub struct Order {
    /// What to do.
    pub act: Act,
    /// The folder of the records, if the user names one.
    pub state: Option<&'static CStr>,
    /// `ps`: those that have ended, too.
    pub all: bool,
    /// `ps`: the names alone.
    pub quiet: bool,
    /// As JSON, one object on each line.
    pub json: bool,
    /// `ps`: one of these parts must be in the name, if there are any;
    pub parts: Vec<&'static [u8]>,
    /// and it must be in one of these states.
    pub states: Vec<&'static str>,
    /// `rm`: also those that run.
    pub force: bool,
    /// `logs`: what to show.
    pub view: View,
    /// `stop`: how many milliseconds it has until SIGKILL; `None`: as long as it takes.
    pub timeout: Option<u32>,
    /// `kill`: what is sent, if not KILL. `stop`: what is sent, if not what the container has asked for.
    pub signal: Option<i32>,
    /// `stats`: once, and not every second.
    pub once: bool,
    /// The names of the containers.
    pub names: Vec<&'static str>,
}
