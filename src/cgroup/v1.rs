//! Limits on a v1 hierarchy.

use super::host::{Controller, Hierarchy};
use super::limits::{Form, Setting};
use crate::error::Result;
use crate::options::Limits;
use crate::sys::Dir;
use crate::text::{self, to_decimal};
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

fn setting(file: &'static CStr, value: Vec<u8>, form: Form, asked: bool) -> Setting {
    Setting { file, effective: None, value, form, asked }
}

/// What is written for `controller`, in the order the kernel takes it. `parent` is where the group is made.
pub fn settings(controller: Controller, limits: &Limits, hierarchy: &Hierarchy, parent: &CStr) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    match controller {
        Controller::Memory => {
            if let Some(memory) = limits.memory {
                settings.push(setting(c"memory.limit_in_bytes", to_decimal(memory.value), Form::Bytes, memory.asked));
                // memory.memsw is both together, and may not be less than memory alone at any time.
                if let Some(swap) = limits.swap {
                    let total = to_decimal(memory.value.saturating_add(swap.value));
                    settings.push(setting(c"memory.memsw.limit_in_bytes", total, Form::Bytes, swap.asked));
                }
            }
        }
        Controller::Cpu => {
            if let Some(shares) = limits.shares {
                settings.push(setting(c"cpu.shares", to_decimal(shares.value), Form::Exact, shares.asked));
            }
            if let Some(quota) = limits.quota {
                settings.push(setting(c"cpu.cfs_period_us", to_decimal(100_000), Form::Exact, true));
                settings.push(setting(c"cpu.cfs_quota_us", to_decimal(quota), Form::Exact, true));
            }
        }
        Controller::Cpuset => {
            // Both must be filled before a process can join; what was not asked for is the parent's.
            if limits.cpus.is_some() || limits.mems.is_some() {
                let lists = [(&limits.cpus, c"cpuset.cpus"), (&limits.mems, c"cpuset.mems")];
                for (asked, file) in lists {
                    let value = match asked {
                        Some(list) => list.clone(),
                        None => of_parent(hierarchy, parent, file)?,
                    };
                    settings.push(setting(file, value, Form::List, true));
                }
            }
        }
        Controller::Pids => {
            if let Some(pids) = limits.pids {
                settings.push(setting(c"pids.max", to_decimal(pids), Form::Exact, true));
            }
        }
    }
    Ok(settings)
}

fn of_parent(hierarchy: &Hierarchy, parent: &CStr, file: &CStr) -> Result<Vec<u8>> {
    let mut path = parent.to_bytes().to_vec();
    path.push(b'/');
    path.extend_from_slice(file.to_bytes());
    let path = CString::new(path).unwrap_or_default();
    let mut buffer = [0u8; 4096];
    Dir::read(&hierarchy.top, &path, &mut buffer).map(|list| text::trimmed(list).to_vec())
}
