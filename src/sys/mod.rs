//! The kernel, typed: one wrapper for each call, by the kernel's name, with the man page's meaning. A failure says the
//! call, its object and the errno; nobody above has to.

mod alloc;
mod clone;
mod credentials;
mod files;
mod flags;
mod gate;
mod loops;
mod mounts;
mod poll;
mod privilege;
mod process;
mod shared;
mod terminal;
mod time;
pub mod trace;

pub use alloc::Bump;
pub use clone::{Stack, clone};
pub use credentials::{give_to, set_limit, setgid, setgroups, setuid};
pub use files::{
    Dir, Fd, close_all_but, close_on_exec, create_file, detached_mount, directory_names, exists, flock, fsopen,
    is_directory, is_executable, mode, pipe2, read, read_file, read_now, read_up_to, receive_error, say, send_error,
    write, write_all, write_now,
};
pub use flags::{CloneFlags, CloseRangeFlags, MountFlags, OpenFlags, SigSet};
pub use loops::Loop;
pub use mounts::{
    Status, chown, chroot, create, detach, fchdir, hostname, is_on_proc, make_read_only, mkdir, mknod, mount_on,
    move_mount, open, open_tree, openat2, path_of, pivot_root, read_at, statx, symlink, umask, uname, unmake,
};
pub use poll::{Poll, poll, reader_is_gone};
pub use privilege::{
    capset, drop_from_bounding_set, effective_ids, hide_from_proc, is_cgroup, load_filter, mount_read_only,
    no_new_privs, remount_read_only, set_no_new_privs, unshare,
};
pub use process::{
    Pid, Pointers, Signal, Wait, chdir, die_with_parent, execve, exit_group, fork, getpid, has_seccomp, has_stopped,
    kill, leads_session, mount, nanosleep, reset_signal, same_group, set_child_subreaper, set_interface_up,
    set_signal_mask, sethostname, signalfd, stop, take_signal, wait_any, wait_for_signal, wait4,
};
pub use shared::SharedWords;
pub use terminal::{
    Termios, control, dup_to, foreground, in_background, open_again, open_peer, open_pty, receive_fd, send_fd,
    set_window_size, socketpair, tcgets, tcsets, to_foreground, window_size,
};
pub use time::{cpu_time_of_children, monotonic};
