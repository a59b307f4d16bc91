//! The kernel, typed: one wrapper for each call, by the kernel's name, in families as the man pages have them. A failure says
//! the call, what it was about and the errno, and stands beside its explanation; no caller has to say it again.
//!
//! From the bottom up: [`gate`] enters the kernel; [`flags`] names its constants; [`fd`], [`stat`], [`fs`], [`dir`], [`lock`],
//! [`mount`], [`process`], [`signal`], [`time`], [`tty`], [`cred`], [`net`], [`netlink`], [`module`], [`heap`] and [`clone`] are
//! the families; [`trace`] shows calls and [`record`] notes them. No two of them import each other, not even through others.

pub mod clone;
pub mod cred;
pub mod dir;
pub mod fd;
pub mod flags;
pub mod fs;
pub mod gate;
pub mod heap;
pub mod lock;
pub mod module;
pub mod mount;
pub mod net;
pub mod netlink;
pub mod process;
pub mod record;
pub mod signal;
pub mod stat;
pub mod time;
pub mod trace;
pub mod tty;

pub use clone::{Stack, clone};
pub use cred::*;
pub use dir::{directory_names, first_directory_names, is_directory_or_path, open_descriptors, some_directory_names};
pub use fd::{
    Fd, FdRef, Poll, await_readable, close_all_but, close_range, dup3, is_sealed, lseek, may_write, pipe2, poll, pread,
    pwrite_all, read, read_now, read_to_end, reader_is_gone, receive_error, receive_message, sealed_copy, send_error,
    send_message, set_nonblocking, try_pipe2, write, write_all, write_now,
};
pub use flags::*;
pub use fs::{
    Dir, NEW, chdir, chown, chroot, create, create_empty, create_file, descriptor_named, fchdir, fchmod, ftruncate,
    is_directory, mkdir, mknod, name_in_proc, open, open_in_root, open_to_append, open_without_links, openat, openat2,
    path_below, path_of, read_file, read_up_to, readlink, symlink, try_ftruncate, umask, unlink, working_directory,
    write_file,
};
pub use gate::Now;
pub use heap::{Bump, SharedWords};
pub use lock::{flock, lock, lock_file, lock_file_soon, lock_soon};
pub use module::again_once_loaded;
pub use mount::{
    Loop, NO_IMAGE, detach, detached_mount, fsopen, mount, mount_on, mount_read_only, mount_setattr, move_mount,
    open_loop_control, open_tree, open_tree_of_file, pivot_root, remount, remount_read_only,
};
pub use net::{
    Connected, DatagramEnds, EVENTS, Epoll, SocketAddress, accept, bind_and_listen, connect, connected, fill,
    interface_index, is_connected, is_end_received, padded, port_of, receive, receive_fd, receive_from, reset_on_close,
    send, send_back, send_fd, set_loopback_up, shut_down, socket_to, socketpair, splice,
};
pub use netlink::{Requests, netlink};
pub use process::{
    CpuMask, Pointers, Wait, cpu_time_of_children, enter_own_mount_namespace, execve, exit_group, fork, fork_beside,
    getpid, getppid, has_stopped, hostname, kill, kill_group, lead_group, pidfd_if_alive, pidfd_open,
    pidfd_send_signal, raise_limit, sched_setaffinity, set_limit, sethostname, setns, setsid, spawn, stop, stop_group,
    tgkill, uname, unshare, wait_any, wait4,
};
pub use signal::{
    Ready, Signal, await_ready, reset_signal, say, say_now, set_signal_mask, setitimer, signalfd, take_signal,
    wait_for_signal, write_last,
};
pub use stat::{
    Device, Identity, Place, Status, exists, filesystem, has_access, is_cgroup, is_executable, is_pipe, magic,
    mount_id, mount_id_at, place_of, place_of_root, space, statx, statx_fd,
};
pub use time::{monotonic, nanosleep, realtime};
pub use tty::{
    Termios, WindowSize, control, foreground, in_background, open_again, open_peer, open_pty, set_window_size, tcgets,
    tcsets, to_foreground, window_size,
};
