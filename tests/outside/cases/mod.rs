//! The cases, a module for each subject. A case is registered where it stands, with one line above its function:
//!
//!     case!(the_file_is_static, Needs::NOTHING);
//!     fn the_file_is_static() { .. }
//!
//! A case that is not registered is dead code, which the compiler reports.

use crate::support::needs::Needs;

/// Registers the function of this name as a case: it runs where the host has what it needs.
macro_rules! case {
    ($function:ident, $needs:expr) => {
        inventory::submit! {
            $crate::cases::Case {
                module: module_path!(),
                line: line!(),
                function: stringify!($function),
                needs: || $needs,
                test: $function,
            }
        }
    };
}

mod arguments;
mod boundary;
mod callers_group;
mod check;
mod cli;
mod descriptors;
mod docker;
mod dry_run;
mod environment;
mod exec_errors;
mod groups;
mod init;
mod input;
mod interactive;
mod layouts;
mod leftovers;
mod lesson;
mod lifecycle;
mod lifecycle_detached;
mod lifecycle_exec;
mod lifecycle_restart;
mod limits;
mod limits_inside;
mod manual;
mod mounts;
mod namespaces;
mod network;
mod network_outside;
mod network_relay;
mod network_script;
mod oom;
mod peers;
mod peers_ids;
mod peers_limits;
mod peers_mounts;
mod pid_file;
mod pipelines;
mod privilege;
mod pty;
mod races;
mod rehearsal;
mod relay;
mod rootfs;
mod rootfs_attacks;
mod rootfs_images;
mod rootfs_real;
mod rootfs_user;
mod rootfs_volumes;
mod rootfs_writes;
mod rootless;
mod script;
mod session;
mod settings;
mod signals;
mod stats;
mod status;
mod step;
mod streams;
mod terminal;
mod tmux;
mod tour;
mod trace;
mod verbs;

/// One case: where it stands, what it needs of the host, and the test.
pub struct Case {
    module: &'static str,
    line: u32,
    function: &'static str,
    pub needs: fn() -> Needs,
    pub test: fn(),
}

inventory::collect!(Case);

impl Case {
    /// `MODULE::FUNCTION`
    pub fn name(&self) -> String {
        let module = self.module.rsplit("::").next().unwrap_or_default();
        format!("{module}::{}", self.function)
    }
}

/// Every case, in the order of the files and of what stands in them.
pub fn all() -> Vec<&'static Case> {
    let mut cases: Vec<&Case> = inventory::iter::<Case>().collect();
    cases.sort_by_key(|case| (case.module, case.line));
    cases
}
