//! `--sysctl`: parameters of the kernel that belong to the container's own namespaces. Source: namespaces(7), and the kernel's
//! Documentation/admin-guide/sysctl.

use crate::bytes;
use crate::error::{Errno, Error, Result};
use crate::root::own;
use crate::spec::Spec;
use crate::step::{Child, ChildStep, Parent, ParentStep};
use crate::sys;
use core::ffi::CStr;

/// Those of an IPC namespace: whole names, or the beginning of names.
const OF_IPC: [&[u8]; 4] = [b"kernel.shm", b"kernel.msg", b"kernel.sem", b"fs.mqueue."];

/// Reads `NAME=VALUE`: the file of /proc/sys, and the value.
pub fn parse(word: &str) -> Result<(&'static CStr, &'static [u8])> {
    let refused = |what| Err(Error::usage(what, word.as_bytes()));
    let Some((name, value)) = bytes::split_once(word.as_bytes(), b'=').filter(|(_, value)| !value.is_empty()) else {
        return refused("--sysctl is NAME=VALUE");
    };
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
    if !is_of_network(name) && !OF_IPC.iter().any(|of_ipc| name.starts_with(of_ipc)) || !name.iter().all(is_plain) {
        return refused(
            "--sysctl sets only what belongs to its namespaces: net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*",
        );
    }
    if bytes::has_part(name, b'.', b"") {
        return refused("--sysctl with an empty part in its name");
    }
    let mut path = b"/proc/sys/".to_vec();
    path.extend(name.iter().map(|b| if *b == b'.' { b'/' } else { *b }));
    Ok((bytes::c_string(&[&path]), value.to_vec().leak()))
}

fn is_of_network(name: &[u8]) -> bool {
    name.starts_with(b"net.")
}

/// Refuses what would be set for the host.
pub fn check(spec: &Spec) -> Result<()> {
    for (path, _) in &spec.sysctls {
        let of_network = path.to_bytes().starts_with(b"/proc/sys/net/");
        if of_network && !spec.network.is_new() || !of_network && (spec.host_ipc || spec.ipc_of.is_some()) {
            let of_host = if of_network { spec.network.is_host() } else { spec.host_ipc };
            let what = match of_host {
                true => "--sysctl would change the host, whose namespace it shares",
                false => "--sysctl would change the container whose namespace it shares",
            };
            return Err(Error::usage(what, path.to_bytes()));
        }
    }
    Ok(())
}

step! {
    /// Sets a parameter of the kernel for its own namespaces.
    pub struct SetSysctl {
        /// Its file.
        pub path: &'static CStr,
        /// Its value.
        pub value: &'static [u8],
        /// The user has asked for it.
        pub explicit: bool,
    }

    may_fail |step| !step.explicit
}

impl ChildStep for SetSysctl {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        match sys::write_file(own::enter(child, self.path)?, self.value).map_err(|e| e.about(self.path.to_bytes())) {
            Err(_) if !self.explicit => Ok(()),
            Err(e) if e.is(Errno::ENOENT) => {
                Err(e.with_hint("this kernel has no such parameter, or not for a namespace"))
            }
            other => other.map_err(|e| {
                e.hint_for(&[
                    (Errno::EINVAL, "it does not take this value"),
                    (Errno::EACCES, "this one is the host's, or a -u's: sysctl on the host sets it"),
                ])
            }),
        }
    }
}

step! {
    /// Says how soon the kernel is to kill it for want of memory.
    pub struct SetOomScoreAdj {
        /// From -1000 to 1000.
        pub value: &'static str,
    }
}

/// Its file.
const OOM_SCORE_ADJ: &CStr = c"/proc/self/oom_score_adj";

impl SetOomScoreAdj {
    fn write(&self, path: &CStr) -> Result<()> {
        sys::write_file(path, self.value.as_bytes()).map_err(|e| {
            e.about(OOM_SCORE_ADJ.to_bytes()).hint_for(&[(Errno::EACCES, "less than it is takes CAP_SYS_RESOURCE")])
        })
    }
}

impl ParentStep for SetOomScoreAdj {
    fn carry_out(&self, _: &mut Parent) -> Result<()> {
        match self.write(OOM_SCORE_ADJ) {
            // That of the caller is higher, and only root makes it less: then it is ended sooner.
            Err(e) if e.is(Errno::EACCES) => Ok(()),
            other => other,
        }
    }
}

impl ChildStep for SetOomScoreAdj {
    fn carry_out(&self, child: &mut Child) -> Result<()> {
        self.write(own::enter(child, OOM_SCORE_ADJ)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let path = |word: &str| parse(word).map_err(drop).ok().map(|(path, _)| path.to_str().unwrap());
        assert_eq!(path("net.ipv4.ip_forward=1"), Some("/proc/sys/net/ipv4/ip_forward"));
        assert_eq!(path("fs.mqueue.msg_max=1"), Some("/proc/sys/fs/mqueue/msg_max"));
        for bad in ["net.x", "net.x=", "kernel.panic=1", "net../../kernel.panic=1", "net..x=1", "vm.swappiness=1", "=1"]
        {
            assert_eq!(path(bad), None, "{bad}");
        }
    }
}
