//! Mounts, the root of the mount namespace, and loop devices: mount(2), pivot_root(2), open_tree(2), fsopen(2), loop(4).

use super::fd::{Fd, FdRef};
use super::flags::{
    AtFlags, FsConfig, FsMountFlags, FsOpenFlags, Ioctl, MountAttr, MountFlags, MoveMountFlags, OpenFlags,
    OpenTreeFlags, UmountFlags,
};
use super::fs::{self, Dir};
use super::gate::About::{Path, Text};
use super::gate::{Null, Object, Print, call, word};
use super::module::again_once_loaded;
use super::stat::Device;
use crate::bytes::{self, FixedBytes, Put};
use crate::error::{Errno, Result};
use core::ffi::CStr;

/// mount(2). The kernel may load a module for the filesystem.
pub fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: MountFlags, data: Option<&CStr>) -> Result<()> {
    let mut mount = || {
        // SAFETY: a &CStr is NUL-terminated and outlives the call
        unsafe { call!(mount(source, target, fstype, flags, data)) }.about(Path(target)).map(drop)
    };
    let mounted = match mount() {
        Err(e) if e.is(Errno::ENODEV) => again_once_loaded(&[Errno::ENODEV], &mut mount),
        other => other,
    };
    mounted.map_err(|e| {
        e.hint_for(&[(
            Errno::EINVAL,
            "is it a mount point? For a chroot, bind the root onto itself before: mount --bind DIR DIR",
        )])
    })
}

/// mount(2) MS_REMOUNT | MS_BIND: this one mount gets these flags, and loses all others.
pub fn remount(point: &CStr, flags: MountFlags) -> Result<()> {
    mount(c"none", point, c"", MountFlags::REMOUNT | MountFlags::BIND | flags, None)
}

/// The same: makes it read-only. `kept` are its other flags.
pub fn remount_read_only(point: &CStr, kept: MountFlags) -> Result<()> {
    remount(point, MountFlags::RDONLY | kept)
}

/// umount2(2) MNT_DETACH: the mount leaves the tree now, and is unmounted when no process uses it.
pub fn detach(path: &CStr) -> Result<()> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(umount2(path, UmountFlags::DETACH)) }.about(Path(path)).map(drop)
}

/// pivot_root(2) of the working directory onto itself: it becomes the root, and the old root is mounted on top of it.
pub fn pivot_root() -> Result<()> {
    // SAFETY: literals, NUL-terminated
    unsafe { call!(pivot_root(c".", c".")) }.result().map(drop)
}

/// open_tree(2): a copy of the mount at `path` and of those below it, attached nowhere.
pub fn open_tree(path: &CStr) -> Result<Fd> {
    clone_mount(path, OpenTreeFlags::RECURSIVE)
}

/// open_tree(2): the same for a file, below which nothing can be mounted.
pub fn open_tree_of_file(path: &CStr) -> Result<Fd> {
    clone_mount(path, OpenTreeFlags::NONE)
}

fn clone_mount(path: &CStr, flags: OpenTreeFlags) -> Result<Fd> {
    let flags = OpenTreeFlags::CLONE | OpenTreeFlags::CLOEXEC | flags;
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(open_tree(FdRef::CWD, path, flags)) }.about(Path(path)).map(Fd::own)
}

/// move_mount(2) of `tree`, from `open_tree`, onto `target`, from `openat2`; `path` names the target in messages.
pub fn move_mount(tree: &Fd, target: &Fd, path: &CStr) -> Result<()> {
    let flags = MoveMountFlags::F_EMPTY_PATH | MoveMountFlags::T_EMPTY_PATH;
    // SAFETY: literals, NUL-terminated
    unsafe { call!(move_mount(tree.borrow(), c"", target.borrow(), c"", flags)) }.about(Path(path)).map(drop)
}

/// struct mount_attr of mount_setattr(2).
#[repr(C)]
struct MountAttributes {
    set: MountAttr,
    clear: MountAttr,
    propagation: MountFlags,
    user_namespace: u64,
}

impl MountAttributes {
    /// It changes nothing.
    const NONE: Self = MountAttributes {
        set: MountAttr::NONE,
        clear: MountAttr::NONE,
        propagation: MountFlags::NONE,
        user_namespace: 0,
    };
}

impl Object for MountAttributes {
    const PRINT: Option<Print> = Some(|bytes, out| {
        out.put(b"{attr_set=");
        MountAttr::from_bits(word(bytes, 0)).put(out);
        let propagation = MountFlags::from_bits(word(bytes, 2));
        if propagation != MountFlags::NONE {
            out.put(b", propagation=");
            propagation.put(out);
        }
        out.put(b"}");
    });
}

/// mount_setattr(2): the mount whose root is `tree`, and all below it, get the `attributes` too, and the `propagation`, if that
/// is one. `path` names it in messages. ENOSYS: this kernel is older than 5.12.
pub fn mount_setattr(tree: &Fd, attributes: MountAttr, propagation: MountFlags, path: &CStr) -> Result<()> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::RECURSIVE;
    let attributes = MountAttributes { set: attributes, propagation, ..MountAttributes::NONE };
    // SAFETY: a literal, NUL-terminated; the structure has the size that is passed
    unsafe { call!(mount_setattr(tree.borrow(), c"", flags, &attributes, size_of::<MountAttributes>())) }
        .about(Path(path))
        .map(drop)
        .map_err(fs::needs_5_12)
}

/// mount_setattr(2): the mount at `point` becomes read-only, with all below it if `recursive`. `Ok(false)`: this kernel is
/// older than 5.12.
pub fn mount_read_only(point: &CStr, recursive: bool) -> Result<bool> {
    let flags = if recursive { AtFlags::RECURSIVE } else { AtFlags::NONE };
    let attributes = MountAttributes { set: MountAttr::RDONLY, ..MountAttributes::NONE };
    // SAFETY: a &CStr is NUL-terminated and outlives the call; the structure has the size that is passed
    match unsafe { call!(mount_setattr(FdRef::CWD, point, flags, &attributes, size_of::<MountAttributes>())) }
        .about(Path(point))
    {
        Ok(_) => Ok(true),
        Err(e) if e.is(Errno::ENOSYS) => Ok(false),
        Err(e) => Err(e),
    }
}

/// fsopen(2): a context to mount this type of filesystem. ENODEV: the kernel has neither the filesystem nor a module of it.
pub fn fsopen(fstype: &CStr) -> Result<Fd> {
    // SAFETY: a &CStr is NUL-terminated and outlives the call
    unsafe { call!(fsopen(fstype, FsOpenFlags::CLOEXEC)) }.about(Path(fstype)).map(Fd::own)
}

/// A filesystem that is mounted nowhere: fsopen(2), fsconfig(2) for each of `options`, which commas divide, fsmount(2).
pub fn detached_mount(fstype: &'static CStr, options: &[u8]) -> Result<Dir> {
    let context = fsopen(fstype)?;
    for option in bytes::split(options, b',').filter(|option| !option.is_empty()) {
        let option = bytes::c_string(&[option]);
        // SAFETY: a &CStr is NUL-terminated and outlives the call; a flag has no value
        unsafe { call!(fsconfig(context.borrow(), FsConfig::SET_FLAG, option, Null, 0)) }.about(Path(option))?;
    }
    // The descriptor of fsmount is like one of O_PATH: getdents64 refuses it. So the directory is opened again.
    Dir::open(Some(&Dir::of(fsmount(&context, fstype, MountAttr::NONE)?, fstype)), c".")
}

/// fsconfig(2) FSCONFIG_CMD_CREATE and fsmount(2): the root of a mount that is attached nowhere.
fn fsmount(context: &Fd, fstype: &CStr, attributes: MountAttr) -> Result<Fd> {
    // SAFETY: this command takes neither key nor value
    unsafe { call!(fsconfig(context.borrow(), FsConfig::CMD_CREATE, Null, Null, 0)) }.about(Path(fstype))?;
    // SAFETY: the call takes an open descriptor and flags
    unsafe { call!(fsmount(context.borrow(), FsMountFlags::CLOEXEC, attributes)) }.about(Path(fstype)).map(Fd::own)
}

/// What mount(2) does, on the directory `target`, whatever path leads there: fsopen(2), fsconfig(2) for each of the `options`,
/// fsmount(2), move_mount(2). Returns the root of the mount. `path` names the target in messages.
pub fn mount_on(
    target: &Fd,
    path: &CStr,
    fstype: &CStr,
    attributes: MountAttr,
    options: &[(&CStr, &CStr)],
) -> Result<Fd> {
    let make = || {
        let context = fsopen(fstype)?;
        // Without a source, programs that list mounts call it `none`.
        for (key, value) in [(c"source", fstype)].iter().chain(options) {
            // SAFETY: a &CStr is NUL-terminated and outlives the call
            unsafe { call!(fsconfig(context.borrow(), FsConfig::SET_STRING, *key, *value, 0)) }.about(Path(key))?;
        }
        if attributes.has(MountAttr::RDONLY) {
            // SAFETY: a literal, NUL-terminated; a flag has no value
            unsafe { call!(fsconfig(context.borrow(), FsConfig::SET_FLAG, c"ro", Null, 0)) }.about(Path(c"ro"))?;
        }
        fsmount(&context, fstype, attributes)
    };
    let mount = make().map_err(|e| e.about(path.to_bytes()))?;
    move_mount(&mount, target, path)?;
    Ok(mount)
}

/// struct loop_config of <linux/loop.h>: descriptor, block size, struct loop_info64, reserved.
#[repr(C)]
struct LoopConfig([u32; 76]);

impl Object for LoopConfig {
    const PRINT: Option<Print> = Some(|bytes, out| {
        let word = |at: usize| bytes.as_chunks::<4>().0.get(at).map_or(0, |n| u32::from_ne_bytes(*n));
        out.put(b"{fd=");
        out.put_decimal(word(0).into());
        out.put(b", info={lo_flags=LO_FLAGS_READ_ONLY|LO_FLAGS_AUTOCLEAR}}");
    });
}

const LO_FLAGS_READ_ONLY: u32 = 1;
/// The kernel lets go of the file when the last one closes the device: a mount, or mydocker, however it ends.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// The hint for whoever may not mount an image.
pub const NO_IMAGE: &str = "only root of the host can mount an image: unpack it, and name the folder";

/// A loop device. It is freed when the last descriptor or mount of it is gone.
pub struct Loop {
    /// Keeps the device until it is mounted.
    pub device: Fd,
    /// `/dev/loopN`, with a NUL after it.
    pub path: FixedBytes,
    /// The host had no such node: it is removed when the image is mounted.
    made: bool,
}

/// Opens a node of /dev. Where /dev is no devtmpfs, it may be missing, and is made. Returns whether it was.
fn open_node(path: &CStr, flags: OpenFlags, kind: u32, device: Device) -> Result<(Fd, bool)> {
    match fs::open(path, flags) {
        Err(e) if e.is(Errno::ENOENT) => {
            fs::mknod(None, path, kind | 0o600, device).map_err(|_| e)?;
            match fs::open(path, flags) {
                Ok(fd) => Ok((fd, true)),
                Err(e) => {
                    fs::unlink_path(path);
                    Err(e)
                }
            }
        }
        other => other.map(|fd| (fd, false)),
    }
}

/// Opens what gives out loop devices.
pub fn open_loop_control() -> Result<Fd> {
    const CONTROL: &CStr = c"/dev/loop-control";
    let opened = open_node(CONTROL, OpenFlags::RDWR, libc::S_IFCHR, Device::new(10, 237));
    let (control, made) = opened.map_err(|e| {
        let is_forbidden = e.is_one_of(&[Errno::EACCES, Errno::EPERM]);
        e.with_hint(if is_forbidden {
            NO_IMAGE
        } else {
            "an image needs loop devices, and a /dev for their nodes: modprobe loop"
        })
    })?;
    if made {
        fs::unlink_path(CONTROL);
    }
    Ok(control)
}

impl Loop {
    /// A second owner of the same device, where calls are recorded.
    pub fn rehearsed(&self) -> Loop {
        Loop { device: self.device.rehearsed(), path: self.path, made: self.made }
    }

    /// Removes the node that was made for it.
    pub fn remove_node(&self) {
        if let Some(path) = self.path.as_c_str().filter(|_| self.made) {
            fs::unlink_path(path);
        }
    }

    /// A free device, read-only, with `file` behind it; `path` names the file in messages.
    pub fn attach(file: &Fd, path: &CStr) -> Result<Loop> {
        let control = open_loop_control()?;
        let mut others = 0;
        loop {
            // SAFETY: this request takes no argument
            let number = unsafe { call!(ioctl(control.borrow(), Ioctl::LOOP_CTL_GET_FREE)) }
                .about(Text(b"LOOP_CTL_GET_FREE"))?;
            let mut name = FixedBytes::new();
            name.put(b"/dev/loop");
            name.put_decimal(number as u64);
            name.put(b"\0");
            let node = name.as_c_str().unwrap_or_default();
            let (device, made) = open_node(node, OpenFlags::NONE, libc::S_IFBLK, Device::new(7, number as u32))?;
            let mut config = LoopConfig([0; 76]);
            config.0[0] = file.borrow().number() as u32;
            config.0[15] = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
            // SAFETY: the kernel reads one struct loop_config
            let configured = unsafe { call!(ioctl(device.borrow(), Ioctl::LOOP_CONFIGURE, &config)) }.about(Path(path));
            if configured.is_err() && made {
                fs::unlink_path(node);
            }
            match configured {
                Ok(_) => return Ok(Loop { device, path: name, made }),
                // Another process has taken it between the two calls. That does not happen a thousand times in a row.
                Err(e) if e.is(Errno::EBUSY) && others < 1000 => others += 1,
                Err(e) => return Err(e),
            }
        }
    }
}
