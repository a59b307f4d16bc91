//! What the reference calls a boundary: what a root or a volume brings along does not lead to the host.

use crate::probes::check_on_host;
use crate::probes::own_mounts::{in_own_mounts, mount_tmpfs};
use crate::support::folder::Folder;
use crate::support::harness::{Run, mydocker, mydocker_at, mydocker_file, probe, probe_file, run, unique_name};
use crate::support::host::tool;
use crate::support::needs::Needs;
use crate::support::processes::{children, status_field, wait_until};
use crate::support::roots::{Root, make_image, mount_at, probe_in};
use rustix::fs::{CWD, FileType, makedev, mknodat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

/// A node that everybody may open: /dev/zero under another name, as a stand-in for the host's disk.
pub fn make_node(path: &Path) {
    mknodat(CWD, path, FileType::CharacterDevice, 0o666.into(), makedev(1, 5)).expect("mknod");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o666)).expect("chmod");
}

#[track_caller]
fn opens(run: Run, expected: &str) {
    assert_eq!(run.finish().success(), expected);
}

const AS: [&[&str]; 3] = [&[], &["-u", "1000:1000"], &["--cap-add", "ALL", "--security-opt", "seccomp=unconfined"]];

case!(nodes_in_a_directory, Needs::ROOT);
fn nodes_in_a_directory() {
    let root = Root::with_directories();
    make_node(&root.0.path("node"));
    for user in AS {
        for how in [&[][..], &["--read-only"], &["--init"]] {
            let options = [user, how].concat();
            opens(root.probe(&options, &["open", "/node", "/dev/zero", "/dev/null"]), "EACCES\nopen\nopen\n");
        }
    }
    opens(root.probe(&["--privileged"], &["open", "/node", "/dev/zero"]), "open\nopen\n");
}

case!(nodes_below_an_overlay, Needs::ROOT | Needs::OVERLAY);
fn nodes_below_an_overlay() {
    let root = Root::with_directories();
    make_node(&root.0.path("node"));
    for user in AS {
        opens(root.probe(&[user, &["--ephemeral"]].concat(), &["open", "/node", "/dev/zero"]), "EACCES\nopen\n");
    }
    opens(root.probe(&["--ephemeral", "--privileged"], &["open", "/node"]), "open\n");
}

case!(nodes_in_volumes, Needs::ROOT);
fn nodes_in_volumes() {
    let (root, volume) = (Root::with_directories(), Folder::new());
    make_node(&volume.path("node"));
    for user in AS {
        for mode in ["", ":ro"] {
            let word = format!("{}:/v{mode}", volume.text("."));
            let node = format!("{}:/file{mode}", volume.text("node"));
            let options = [user, &["-v", &word, "-v", &node, "--device", "/dev/full"]].concat();
            opens(
                root.probe(&options, &["open", "/v/node", "/file", "/dev/full", "/dev/zero"]),
                "EACCES\nEACCES\nopen\nopen\n",
            );
            opens(root.probe(&["--privileged", "-v", &word], &["open", "/v/node"]), "open\n");
        }
    }
}

case!(nodes_below_what_is_mounted, Needs::ROOT);
/// The root and a volume have another mount in them.
fn nodes_below_what_is_mounted() {
    in_own_mounts("private", "nodes-below-what-is-mounted");
}

probe!("nodes-below-what-is-mounted", |_| {
    let (root, volume) = (Root::with_directories(), Folder::new());
    for below in [root.0.path("below"), volume.path("below")] {
        std::fs::create_dir(&below).expect("mkdir");
        mount_tmpfs(below.to_str().expect("UTF-8"));
        make_node(&below.join("node"));
    }
    let word = format!("{}:/v", volume.text("."));
    opens(root.probe(&["-v", &word], &["open", "/below/node", "/v/below/node"]), "EACCES\nEACCES\n");
    for below in [root.0.path("below"), volume.path("below")] {
        unmount(below, UnmountFlags::DETACH).expect("umount");
    }
});

case!(nodes_before_linux_5_12, Needs::ROOT | Needs::STRACE);
/// Older kernels have no mount_setattr(2). There each mount is remounted by itself.
fn nodes_before_linux_5_12() {
    in_own_mounts("private", "nodes-before-linux-5-12");
}

probe!("nodes-before-linux-5-12", |_| {
    let (root, volume, seen) = (Root::with_directories(), Folder::new(), Folder::new());
    make_node(&root.0.path("node"));
    for below in [root.0.path("below"), volume.path("below")] {
        std::fs::create_dir(&below).expect("mkdir");
        mount_tmpfs(below.to_str().expect("UTF-8"));
        make_node(&below.join("node"));
    }
    let file = mydocker_file();
    let options = format!("--rootfs {} -v {}:/v:ro", root.path(), volume.text("."));
    let words = format!(
        "-f -o {} -e trace=mount_setattr -e inject=mount_setattr:error=ENOSYS {} run {options} /probe --probe",
        seen.text("strace"),
        file.display()
    );
    for (probe, expected) in [
        ("open /node /below/node /v/below/node /dev/null", "EACCES\nEACCES\nEACCES\nopen\n"),
        ("write /v/file /v/below/file", "EROFS\nEROFS\n"),
    ] {
        let words: Vec<&str> = words.split(' ').chain(probe.split(' ')).collect();
        let outcome = mydocker_at(&tool("strace").expect("strace"), &words).finish();
        assert_eq!(outcome.success(), expected);
    }
    for below in [root.0.path("below"), volume.path("below")] {
        unmount(below, UnmountFlags::DETACH).expect("umount");
    }
});

fn nodes_in_an_image(kind: &str) {
    let (root, folder) = (Root::with_directories(), Folder::new());
    make_node(&root.0.path("node"));
    let image = folder.text("image");
    make_image(kind, &root, &image);
    for user in AS {
        for how in [&[][..], &["--read-only"]] {
            opens(probe_in(&image, &[user, how].concat(), &["open", "/node", "/dev/zero"]), "EACCES\nopen\n");
        }
    }
}

case!(nodes_in_squashfs, Needs::ROOT | Needs::LOOP | Needs::MKSQUASHFS);
fn nodes_in_squashfs() {
    nodes_in_an_image("squashfs");
}

case!(nodes_in_erofs, Needs::ROOT | Needs::LOOP | Needs::EROFS_IMAGE | Needs::MKSQUASHFS);
fn nodes_in_erofs() {
    nodes_in_an_image("erofs");
}

case!(nodes_in_ext4, Needs::ROOT | Needs::LOOP | Needs::EXT4_IMAGE | Needs::MKSQUASHFS);
fn nodes_in_ext4() {
    nodes_in_an_image("ext4");
}

case!(an_image_that_would_stop_the_host, Needs::ROOT | Needs::LOOP | Needs::EXT4_IMAGE | Needs::MKSQUASHFS);
/// Its superblock says that an error is to be a panic; and its set-user-ID files give nothing.
fn an_image_that_would_stop_the_host() {
    let (root, folder) = (Root::with_directories(), Folder::new());
    let image = folder.text("image");
    make_image("ext4", &root, &image);
    for how in [&[][..], &["--read-only"]] {
        let mounts = probe_in(&image, how, &["file", "/proc/self/mountinfo"]).finish().success();
        let top = mount_at(&mounts, "/");
        assert!(top.split(' ').nth(5).is_some_and(|options| options.split(',').any(|o| o == "nosuid")), "{top}");
        // With an overlay on it, the image itself is not seen.
        assert_eq!(top.contains("errors=continue"), !how.is_empty(), "{top}");
    }
}

case!(a_file_that_gives_privilege, Needs::ROOT);
/// A set-user-ID mydocker would make everybody root.
fn a_file_that_gives_privilege() {
    let folder = Folder::new();
    std::fs::set_permissions(folder.as_path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let file = folder.write_program("mydocker", &std::fs::read(mydocker_file()).expect("read"));
    let nobody =
        |words: &[&str]| mydocker_at(Path::new(&file), words).with(|command| command.uid(65534).gid(65534)).finish();
    let version = nobody(&["--version"]).success();
    for mode in [0o4755, 0o2755, 0o6755] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("chmod");
        for words in [&["run", "--privileged", "id"][..], &["--version"], &["check"]] {
            nobody(words).refused(125, &["set-user-ID", "chmod u-s"]);
        }
        // Root gains nothing by it.
        assert_eq!(mydocker_at(Path::new(&file), &["--version"]).finish().success(), version);
    }
}

case!(from_a_chroot, Needs::ROOT);
/// A rescue shell's chroot on a mount point: what is mounted above it is the host.
fn from_a_chroot() {
    in_own_mounts("private", "from-a-chroot");
    in_own_mounts("shared", "from-a-chroot");
}

/// A mount to chroot into, with mydocker and /proc.
fn place_of_a_chroot(names: &[&str]) -> Folder {
    let place = Folder::in_memory();
    for name in names {
        std::fs::create_dir(place.path(name)).expect("mkdir");
    }
    std::fs::copy(mydocker_file(), place.path("mydocker")).expect("copy");
    bind_there(Path::new("/proc"), &place, "proc");
    place
}

fn bind_there(source: &Path, place: &Folder, target: &str) {
    let flags = MountFlags::BIND | MountFlags::REC;
    mount(source, place.path(target), "", flags, None).expect("bind");
}

/// `mydocker WORDS` in a chroot on that place.
fn run_in_chroot(place: &Folder, words: &str) -> Run {
    in_chroot(place.text("."), mydocker_at(Path::new("/mydocker"), &words.split_whitespace().collect::<Vec<_>>()))
}

fn in_chroot(top: String, run: Run) -> Run {
    let top = crate::probes::c_string(&top);
    run.before(move || {
        // SAFETY: chroot and chdir take a string that a NUL ends
        match unsafe { libc::chroot(top.as_ptr()) | libc::chdir(c"/".as_ptr()) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    })
}

probe!("from-a-chroot", |_| {
    let (place, root) = (place_of_a_chroot(&["proc", "root", "tmp"]), Root::with_directories());
    bind_there(root.0.as_path(), &place, "root");
    let before = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    for options in ["", "--privileged", "--ephemeral", "--privileged --ephemeral"] {
        let words = format!("run --no-limits {options} --rootfs /root /probe --probe escape");
        let outcome = run_in_chroot(&place, &words).finish();
        let expected = "dev\netc\nprobe\nproc\nsys\nx\n";
        assert_eq!(outcome.stdout_text(), expected, "{options}: {outcome:?}");
    }
    let after = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert_eq!(before, after);
    unmount(place.path("root"), UnmountFlags::DETACH).expect("umount");
    unmount(place.as_path(), UnmountFlags::DETACH).expect("umount");
});

case!(exec_from_a_chroot, Needs::ROOT);
/// Without a root of its own the container has the chroot; what joins it later has no more.
fn exec_from_a_chroot() {
    in_own_mounts("private", "exec-from-a-chroot");
}

/// What is at the top of that chroot.
const TOP: &str = "deeper\nmydocker\nprobe\nproc\nrun\ntmp\n";

probe!("exec-from-a-chroot", |_| {
    let place = place_of_a_chroot(&["proc", "tmp", "run", "deeper", "deeper/proc"]);
    std::fs::copy(probe_file(), place.path("probe")).expect("copy");
    std::fs::copy(probe_file(), place.path("deeper/probe")).expect("copy");
    for options in ["", "--init", "--privileged", "--pid host", "--read-only"] {
        let name = unique_name();
        let hold = format!("run --no-limits {options} --name {name} /probe --probe hold");
        let running = run_in_chroot(&place, &hold).start_ready();
        let exec = |words: &str| run_in_chroot(&place, &format!("exec {words}")).finish();
        wait_until("it can be joined", || exec(&format!("{name} /probe --probe status 0")).code() == 0);
        let seen = exec(&format!("{name} /probe --probe list /"));
        assert_eq!(seen.success(), TOP, "{options}");
        assert_eq!(exec(&format!("-w /tmp {name} /probe --probe folder")).success(), "/tmp\n", "{options}");
        running.finish().success();
    }
    // Whoever joins its processes has its /proc, not that above the chroot.
    let name = unique_name();
    let running = run_in_chroot(&place, &format!("run --no-limits --name {name} /probe --probe hold")).start_ready();
    let beside = || {
        let join = format!("run --no-limits --pid container:{name} /probe --probe list /proc");
        run_in_chroot(&place, &join).finish()
    };
    wait_until("it can be joined", || !beside().stderr_text().contains("still starting"));
    let list = beside().success();
    // The two of the container, and none of the host.
    let pids = list.lines().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(pids.count(), 2, "{list}");
    running.finish().success();
    // Its first process may have gone deeper; out of the chroot nothing leads back.
    for to in ["deeper", "out"] {
        let name = unique_name();
        let hold = format!("run --no-limits --name {name} /probe --probe hold-elsewhere {to}");
        let running = run_in_chroot(&place, &hold).start_ready();
        let exec = || run_in_chroot(&place, &format!("exec {name} /probe --probe list /")).finish();
        wait_until("it can be joined", || !exec().stderr_text().contains("still starting"));
        match to {
            "deeper" => assert_eq!(exec().success(), TOP),
            _ => exec().refused(125, &[&name, "has left that root"]),
        };
        running.finish().success();
    }
    for name in ["proc", "."] {
        unmount(place.path(name), UnmountFlags::DETACH).expect("umount");
    }
});

probe!("hold-elsewhere", |words| {
    match words.text(0) {
        "deeper" => rustix::process::chroot("/deeper").expect("chroot"),
        _ => {
            let top = std::fs::File::open("/").expect("open");
            crate::probes::root::climb();
            // That may be the host's own.
            rustix::fs::unlinkat(&top, "x", rustix::fs::AtFlags::REMOVEDIR).expect("rmdir");
        }
    }
    crate::probes::run("hold".as_ref(), words)
});

case!(exec_from_a_chroot_on_the_same_directory, Needs::ROOT);
/// `mount --rbind / /mnt; chroot /mnt`: the chroot is the directory that is the root above it, in another mount.
fn exec_from_a_chroot_on_the_same_directory() {
    // Nothing ever removes what is in there: the host would be.
    let place = std::env::temp_dir().join(unique_name());
    std::fs::create_dir(&place).expect("mkdir");
    let checked = std::panic::catch_unwind(|| {
        check_on_host(&["--probe", "in-own-mounts", "private", "exec-from-the-same", place.to_str().expect("a path")]);
    });
    std::fs::remove_dir(&place).expect("rmdir");
    checked.expect("see above");
}

probe!("exec-from-the-same", |words| {
    let place = words.text(0);
    mount_tmpfs(place);
    let top = format!("{place}/all");
    std::fs::create_dir(&top).expect("mkdir");
    mount("/", &top, "", MountFlags::BIND | MountFlags::REC, None).expect("bind");
    let file = probe_file();
    let program = file.to_str().expect("a path");
    for hold in [&["hold"][..], &["hold-elsewhere", "out"]] {
        let name = unique_name();
        let words = [&["run", "--no-limits", "--name", &name, program, "--probe"], hold].concat();
        let running = in_chroot(top.clone(), mydocker(&words)).start_ready();
        let exec = || {
            let list = mydocker(&["exec", &name, program, "--probe", "file", "/proc/self/mountinfo"]);
            in_chroot(top.clone(), list).finish()
        };
        wait_until("it can be joined", || !exec().stderr_text().contains("still starting"));
        if hold == ["hold"] {
            let mounts = exec().success();
            // What a process has as its root is shown as `/`, and what is not below that is not shown.
            assert!(!mounts.contains(&top), "{mounts}");
        } else {
            exec().refused(125, &[&name, "has left that root"]);
        }
        running.finish().success();
    }
});

case!(exec_beside_one_that_has_chrooted, Needs::ROOT);
/// Where mydocker was started in no chroot, what the first process makes its root is no matter of an exec.
fn exec_beside_one_that_has_chrooted() {
    let folder = Folder::new();
    let name = unique_name();
    let to = folder.text(".");
    let running = probe(&["--no-limits", "--name", &name], &["hold-in", &to]).start_ready();
    let exec = || mydocker(&["exec", &name, probe_file().to_str().expect("a path"), "--probe", "list", "/"]).finish();
    wait_until("it can be joined", || exec().code() == 0);
    assert_eq!(exec().success(), probe(&["--no-limits"], &["list", "/"]).finish().success());
    running.finish().success();
}

probe!("hold-in", |words| {
    rustix::process::chroot(words.text(0)).expect("chroot");
    crate::probes::run("hold".as_ref(), words)
});

case!(links_where_the_container_can_write, Needs::ROOT);
/// What is named below its root or one of its volumes it can exchange for a link to any place of the host, for the next start.
fn links_where_the_container_can_write() {
    let (root, host) = (Root::with_directories(), Folder::new());
    host.write("file", b"the host's\n");
    let path = root.path();
    for name in ["data", "run", "inner"] {
        std::fs::create_dir(root.0.path(name)).expect("mkdir");
    }
    for name in ["proc", "sys", "dev", "etc"] {
        std::fs::create_dir(root.0.path("inner").join(name)).expect("mkdir");
    }
    std::fs::copy(probe_file(), root.0.path("inner/probe")).expect("copy");
    let (in_root, above) = (format!("{path}/./data/:/mnt"), format!("{path}:/mnt"));
    let inner = |more: &[&str]| {
        let words = ["run", "--no-limits", "-v", &above, "--rootfs", &format!("{path}/inner")];
        mydocker(&[&words[..], more, &["/probe", "--probe", "list", "/"]].concat()).finish()
    };
    let data = || root.probe(&["--no-limits", "-v", &in_root], &["list", "/mnt"]).finish();
    let file = |option: &str, name: &str| {
        let detach: &[&str] = if option == "--log" { &["-d", "--rm"] } else { &[] };
        let option = format!("{option}={path}/{name}");
        root.probe(&[&["--no-limits", &option], detach].concat(), &["status", "0"]).finish()
    };
    const FILES: [&str; 5] = ["--pid-file", "--stats", "--trace", "--cidfile", "--log"];
    // As long as there are no links, all of it works.
    data().success();
    for how in [&[][..], &["--ephemeral"], &["--read-only"]] {
        assert!(inner(how).success().contains("probe"), "{how:?}");
    }
    for option in FILES {
        assert_eq!(file(option, &format!("run/{}", &option[2..])).code(), 0, "{option}");
    }
    for name in ["data", "run", "inner"] {
        std::fs::rename(root.0.path(name), root.0.path(&format!("old-{name}"))).expect("rename");
        std::os::unix::fs::symlink(host.as_path(), root.0.path(name)).expect("symlink");
    }
    const SAYS: &str = "it leads out of what the container can write to";
    data().refused(125, &["data", SAYS]);
    // Behind the link, up again: by its words alone the path is not in the root.
    let deep = root.0.path("data").join("deep");
    std::fs::create_dir_all(deep.join("deeper")).expect("mkdir");
    std::os::unix::fs::symlink(deep.join("deeper"), root.0.path("deep")).expect("symlink");
    for options in [["-v", &format!("{path}/deep/../../deep:/mnt")], ["--env-file", &format!("{path}/deep/../../file")]]
    {
        let options = [&["--no-limits"], &options[..]].concat();
        root.probe(&options, &["status", "0"]).finish().refused(125, &["deep/..", SAYS]);
    }
    // Files that are read, devices, and namespaces.
    let in_data = |name: &str| format!("{path}/data/{name}");
    root.probe(&["--no-limits", "--env-file", &in_data("file")], &["env"]).finish().refused(125, &["data", SAYS]);
    std::os::unix::fs::symlink("/dev/zero", root.0.path("device")).expect("symlink");
    let device = format!("{path}/device:/dev/other");
    root.probe(&["--no-limits", "--device", &device], &["status", "0"]).finish().refused(125, &["device", SAYS]);
    std::os::unix::fs::symlink(format!("/proc/{}/ns/net", std::process::id()), root.0.path("net")).expect("symlink");
    let joined = format!("ns:{path}/net");
    root.probe(&["--no-limits", "--network", &joined], &["status", "0"]).finish().refused(125, &["net", "ELOOP"]);
    // Where another process has the same path in mounts of its own: here the host, under another name of its root.
    let magic = format!("/proc/{}/root{path}/data", std::process::id());
    std::os::unix::fs::symlink(&magic, root.0.path("magic")).expect("symlink");
    let by_magic = format!("{path}/magic/file");
    root.probe(&["--no-limits", "--env-file", &by_magic], &["env"]).finish().refused(125, &["magic", "ELOOP"]);
    root.probe(&[&format!("--pid-file={path}/magic/new")], &["status", "0"]).finish().refused(125, &["magic", "ELOOP"]);
    std::fs::remove_dir_all(deep).expect("rm");
    // One that stays inside is followed, as it was, also by its absolute path; and `..` right behind the root is no part of it.
    std::os::unix::fs::symlink("old-data", root.0.path("inside")).expect("symlink");
    std::os::unix::fs::symlink(root.0.path("old-data"), root.0.path("absolute")).expect("symlink");
    let beside = format!("../{}", host.as_path().file_name().expect("a name").to_str().expect("UTF-8"));
    for name in ["inside", "absolute", &beside] {
        root.probe(&["--no-limits", "-v", &format!("{path}/{name}:/mnt")], &["list", "/mnt"]).finish().success();
    }
    // A name of a descriptor is one.
    root.probe(&["--no-limits", "-v", "/dev:/hdev", "--stats=/dev/stdout"], &["status", "0"]).finish().success();
    for how in [&[][..], &["--ephemeral"], &["--read-only"]] {
        inner(how).refused(125, &["inner", SAYS]);
    }
    for option in FILES {
        file(option, "run/file").refused(125, &["run", SAYS]);
        file(option, "run/new").refused(125, &["run", SAYS]);
    }
    // The log itself, like the other files: a link, and another name of a file of the host's.
    std::os::unix::fs::symlink(host.path("file"), root.0.path("link")).expect("symlink");
    file("--log", "link").refused(125, &["link", "ELOOP"]);
    std::fs::hard_link(host.path("file"), root.0.path("name")).expect("link");
    file("--log", "name").refused(125, &["name", "has another name"]);
    assert_eq!(std::fs::read(host.path("file")).expect("read"), b"the host's\n");
    assert_eq!(std::fs::read_dir(host.as_path()).expect("list").count(), 1);
}

case!(files_of_the_run, Needs::NAMESPACES);
/// `--pid-file`, `--stats` and `--trace` may name a place where others can write.
fn files_of_the_run() {
    let folder = Folder::new();
    folder.write("victim", b"victim\n");
    for option in ["--pid-file", "--stats", "--trace"] {
        let (link, fifo, file) = (folder.text("link"), folder.text("fifo"), folder.text(&option[2..]));
        std::os::unix::fs::symlink(folder.path("victim"), &link).expect("symlink");
        probe(&[&format!("{option}={link}")], &["status", "0"]).finish().refused(125, &["link", "ELOOP"]);
        std::fs::remove_file(link).expect("unlink");
        assert_eq!(std::fs::read(folder.path("victim")).expect("read"), b"victim\n");
        mknodat(CWD, fifo.as_str(), FileType::Fifo, 0o600.into(), 0).expect("mkfifo");
        probe(&[&format!("{option}={fifo}")], &["status", "0"]).finish().refused(125, &["fifo", "ENXIO"]);
        std::fs::remove_file(fifo).expect("unlink");
        probe(&[&format!("{option}={file}")], &["status", "0"]).finish().code();
        let mode = std::fs::metadata(file).expect("status").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{option}");
    }
}

case!(what_comes_from_the_caller, Needs::ROOT);
/// Groups, keys and inheritable capabilities of whoever starts mydocker.
fn what_comes_from_the_caller() {
    let caller = |run: Run| run.before(have_what_is_the_callers);
    for options in [&[][..], &["--security-opt", "seccomp=unconfined"], &["--cap-add", "ALL"], &["--cap-drop", "ALL"]] {
        let text = caller(probe(options, &["from-the-caller"])).finish().success();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("groups "), "{options:?}");
        assert_eq!(lines.next(), Some("inheritable 0000000000000000"), "{options:?}");
        assert_ne!(lines.next(), Some("keyring callers"), "{options:?}");
    }
    let text = caller(probe(&["--privileged"], &["from-the-caller"])).finish().success();
    assert!(text.starts_with("groups 4,24,27\n") && text.ends_with("keyring callers\n"), "{text}");
}

/// Between fork and execve: the caller of mydocker has groups, a session keyring and inheritable capabilities.
pub fn have_what_is_the_callers() -> std::io::Result<()> {
    let groups = [4, 24, 27];
    // SAFETY: the array has that many entries; keyctl takes an operation and a name
    let done = unsafe {
        libc::setgroups(groups.len(), groups.as_ptr()) == 0
            && libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, c"callers".as_ptr()) > 0
            && inherit_all()
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// capset(2): what is permitted is inheritable too.
fn inherit_all() -> bool {
    let header: [u32; 2] = [0x2008_0522, 0];
    let mut data = [0u32; 6];
    // SAFETY: this version has a header of two words and two structures of three words
    unsafe {
        if libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) != 0 {
            return false;
        }
        (data[2], data[5]) = (data[1], data[4]);
        libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) == 0
    }
}

probe!("from-the-caller", |_| {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_string();
    println!("groups {}", field("Groups:").replace(' ', ","));
    println!("inheritable {}", field("CapInh:"));
    println!("keyring {}", session_keyring().rsplit(';').next().unwrap_or_default());
});

/// KEYCTL_DESCRIBE of the session keyring, `keyring;UID;GID;PERMISSIONS;NAME`; empty if it cannot be asked for.
pub fn session_keyring() -> String {
    let mut text = [0u8; 256];
    // SAFETY: KEYCTL_DESCRIBE writes at most as many bytes as it is told
    let n = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_DESCRIBE, -3, text.as_mut_ptr(), text.len()) };
    String::from_utf8_lossy(&text[..(n.max(1) - 1) as usize]).into_owned()
}

case!(a_lock_on_its_group, Needs::ROOT | Needs::MEMORY | Needs::STRACE);
/// Whoever may open the directory of a group may lock it: so nobody else may before it is locked.
fn a_lock_on_its_group() {
    let folder = Folder::new();
    let strace = tool("strace").expect("strace");
    let seen = folder.text("strace");
    let file = mydocker_file();
    let words = ["-o", &seen, "-e", "trace=mkdirat,flock,fchmod", file.to_str().expect("UTF-8"), "run", "-m", "100m"];
    let words: Vec<OsString> =
        words.iter().map(OsString::from).chain(crate::support::harness::probe_words(&["status", "0"])).collect();
    mydocker_at(&strace, &words).finish().success();
    let calls = std::fs::read_to_string(seen).expect("what strace saw");
    for line in calls.lines().filter(|line| line.contains("mkdirat")) {
        assert!(line.contains("01700"), "{line}");
    }
    for line in calls.lines().filter(|line| line.contains("flock")) {
        assert!(line.contains("LOCK_EX|LOCK_NB"), "{line}");
    }
    assert!(["01755", "mkdirat", "flock"].iter().all(|part| calls.contains(part)), "{calls}");
}

case!(etc_files_that_lead_elsewhere, Needs::ROOT);
/// The root's /etc/hosts is a link to /dev/null: what hides files of /proc is /dev/null all the same.
fn etc_files_that_lead_elsewhere() {
    let root = Root::with_directories();
    for name in ["hosts", "hostname"] {
        std::fs::remove_file(root.0.path("etc").join(name)).expect("unlink");
        std::os::unix::fs::symlink("/dev/null", root.0.path("etc").join(name)).expect("symlink");
    }
    let seen = root.probe_output(&[], &["see", "/proc/interrupts", "/proc/keys", "/dev/null"]);
    assert_eq!(seen, "char 1:3 666\nchar 1:3 666\nchar 1:3 666\n");
}

case!(a_look_at_another_run, Needs::ROOT | Needs::STRACE);
/// With `--pid host` a container sees how others start: in the moment before its execve a child has no more capabilities than
/// the one who looks, and still the host's files.
fn a_look_at_another_run() {
    let folder = Folder::new();
    let seen = folder.text("strace");
    // On an emulated processor the look takes more than a second.
    let delay = "inject=execve:delay_enter=5000000";
    let mut words: Vec<OsString> = ["-f", "-o", &seen, "-e", "trace=execve", "-e", delay].map(OsString::from).into();
    words.extend([mydocker_file().into(), "run".into(), "--no-limits".into()]);
    words.extend(crate::support::harness::probe_words(&["status", "0"]));
    let running = mydocker_at(&tool("strace").expect("strace"), &words).start();
    let mut child = 0;
    wait_until("there is a child that has lost its capabilities", || {
        let mydocker = children(running.pid);
        child = mydocker.first().map_or(0, |pid| children(*pid).first().copied().unwrap_or_default());
        child > 0 && status_field(child, "CapEff:") == Some(0xa004_25fb)
    });
    let links: Vec<String> = ["cwd", "root", "exe", "fd/0"].map(|name| format!("/proc/{child}/{name}")).into();
    let words: Vec<&str> = ["readlink"].into_iter().chain(links.iter().map(String::as_str)).collect();
    assert_eq!(probe(&["--pid", "host", "--no-limits"], &words).finish().success(), "EACCES\n".repeat(4));
    assert_eq!(running.reap().code(), 0);
}

probe!("readlink", |words| {
    for link in words.rest {
        match std::fs::read_link(link) {
            Ok(to) => println!("{}", to.display()),
            Err(error) => println!("{}", if error.raw_os_error() == Some(libc::EACCES) { "EACCES" } else { "other" }),
        }
    }
});

case!(messages_for_a_terminal, Needs::NAMESPACES);
/// What somebody else has named comes to the terminal as text: no control characters, which would make it do something, and no
/// marks that turn the order of letters around.
fn messages_for_a_terminal() {
    for (word, shown) in [
        ("/\u{9b}31m", "/\\302\\23331m"),
        ("/\u{202e}txt", "/\\342\\200\\256txt"),
        ("/\u{2066}\u{61c}\u{200f}", "/\\342\\201\\246\\330\\234\\342\\200\\217"),
        ("/\u{e9}\u{20ac}\u{1f40b}", "/\u{e9}\u{20ac}\u{1f40b}"),
    ] {
        let text = format!("\"{shown}\"");
        run(&["--no-limits"], &[word]).finish().refused(127, &[&text]);
    }
    // Bytes that are no text at all.
    let word = OsString::from_vec(b"/\xff\xc3(\x9b\xe2\x82".to_vec());
    run(&["--no-limits"], &[word]).finish().refused(127, &["\"/\\377\\303(\\233\\342\\202\""]);
}

case!(a_user_file_without_end, Needs::ROOT);
/// The root's /etc/passwd is a node of /dev/zero: no file with users. A line may be as long as it likes.
fn a_user_file_without_end() {
    let root = Root::with_directories();
    for name in ["passwd", "group"] {
        mknodat(CWD, root.0.path("etc").join(name), FileType::CharacterDevice, 0o666.into(), makedev(1, 5))
            .expect("mknod");
    }
    root.probe(&["-u", "somebody"], &["ids"]).finish().refused(125, &["somebody"]);
    assert_eq!(root.probe_output(&["-u", "12:34"], &["ids"]), "12 34 \n");
    let members: Vec<String> = (0..5000).map(|n| format!("user{n}")).collect();
    for name in ["passwd", "group"] {
        std::fs::remove_file(root.0.path("etc").join(name)).expect("unlink");
    }
    root.0.write("etc/group", format!("many:x:77:{}\nlast:x:78:me\n", members.join(",")).as_bytes());
    root.0.write("etc/passwd", format!("me:x:5:6:{}:/home/me:/bin/sh\n", "x".repeat(70_000)).as_bytes());
    assert_eq!(root.probe_output(&["-u", "me"], &["ids"]), "5 6 78\n");
    assert_eq!(root.probe_output(&["-u", "me:many"], &["ids"]), "5 77 \n");
}

case!(user_files_of_every_kind, Needs::ROOT | Needs::STRACE);
/// Only a regular file says who is who. What else has its name in the root counts as absent, and no device node is opened: to
/// open one may be to use it.
fn user_files_of_every_kind() {
    let root = Root::with_directories();
    let path = root.0.path("etc/passwd");
    let socket = |path: &Path| drop(std::os::unix::net::UnixListener::bind(path).expect("bind"));
    type Make<'a> = &'a dyn Fn(&Path);
    let kinds: [(&str, Make); 6] = [
        ("device", &make_node),
        ("socket", &socket),
        ("fifo", &|path| mknodat(CWD, path, FileType::Fifo, 0o666.into(), 0).expect("mkfifo")),
        ("loop", &|path| std::os::unix::fs::symlink("passwd", path).expect("symlink")),
        ("of the kernel", &|path| std::os::unix::fs::symlink("/proc/kmsg", path).expect("symlink")),
        ("too large", &|path| std::fs::File::create(path).and_then(|file| file.set_len(1 << 40)).expect("ftruncate")),
    ];
    for (kind, make) in kinds {
        make(&path);
        let outcome = root.probe(&["-u", "5:6"], &["ids"]).finish();
        assert_eq!(outcome.stdout_text(), "5 6 \n", "{kind}: {outcome:?}");
        root.probe(&["-u", "somebody"], &["ids"]).finish().refused(125, &["somebody"]);
        std::fs::remove_file(&path).expect("unlink");
    }
    make_node(&path);
    let (folder, root_path) = (Folder::new(), root.path());
    let seen = folder.text("strace");
    let file = mydocker_file();
    let words =
        ["-f", "-o", &seen, "-e", "trace=openat2", file.to_str().expect("UTF-8"), "run", "--rootfs", &root_path];
    let words: Vec<&str> = words.into_iter().chain(["-u", "5:6", "/probe", "--probe", "ids"]).collect();
    mydocker_at(&tool("strace").expect("strace"), &words).finish().success();
    let calls = std::fs::read_to_string(seen).expect("what strace saw");
    let mut opened = calls.lines().filter(|line| line.contains("/etc/passwd")).peekable();
    assert!(opened.peek().is_some() && opened.all(|line| line.contains("EACCES")), "{calls}");
}

/// mydocker as an ordinary user, who owns the root.
fn as_nobody(root: &Root, options: &str, words: &[&str]) -> Run {
    let file = root.0.write_program("mydocker", &std::fs::read(mydocker_file()).expect("read"));
    std::fs::set_permissions(root.0.as_path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    for name in [".", "etc", "proc", "sys", "dev"] {
        std::os::unix::fs::chown(root.0.path(name), Some(65534), Some(65534)).expect("chown");
    }
    let path = root.path();
    let words: Vec<&str> = [&file, "run", "--no-limits", "--rootfs", &path]
        .into_iter()
        .chain(options.split_whitespace())
        .chain(["/probe", "--probe"])
        .chain(words.iter().copied())
        .collect();
    mydocker_at(&tool("env").expect("env"), &words).with(|command| command.uid(65534).gid(65534))
}

case!(nodes_before_linux_5_12_as_an_ordinary_user, Needs::ROOT | Needs::STRACE | Needs::USER_NAMESPACES);
fn nodes_before_linux_5_12_as_an_ordinary_user() {
    let root = Root::with_directories();
    make_node(&root.0.path("node"));
    let strace = tool("strace").expect("strace");
    for options in ["", "--pid host", "--network host", "--pid host --ipc host", "--ephemeral"] {
        opens(as_nobody(&root, options, &["open", "/node", "/dev/zero"]), "EACCES\nopen\n");
        let run = as_nobody(&root, options, &["open", "/node", "/dev/zero"]).with(|command| {
            let old: Vec<OsString> = command.get_args().map(OsString::from).collect();
            *command = std::process::Command::new(&strace);
            let inject = ["-e", "trace=mount_setattr", "-e", "inject=mount_setattr:error=ENOSYS"];
            command.args(["-f", "-o", "/dev/null"]).args(inject).args(old).uid(65534).gid(65534)
        });
        opens(run, "EACCES\nopen\n");
    }
}

case!(what_tells_of_the_host, Needs::ROOT | Needs::USER_NAMESPACES);
/// The counters of heat of each CPU, with one of them offline, and the security module's.
fn what_tells_of_the_host() {
    in_own_mounts("private", "what-tells-of-the-host");
}

probe!("what-tells-of-the-host", |_| {
    let root = Root::with_directories();
    mount_tmpfs("/sys/fs");
    mount_tmpfs("/sys/devices/system/cpu");
    let files = [0, 1, 3, 10].map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle/count"));
    let files = [&files[..], &["/sys/fs/selinux/enforce".to_string()]].concat();
    for file in &files {
        std::fs::create_dir_all(Path::new(file).parent().expect("a parent")).expect("mkdir");
        std::fs::write(file, "7\n").expect("write");
    }
    std::fs::create_dir("/sys/devices/system/cpu/cpu2").expect("mkdir");
    std::fs::write("/sys/devices/system/cpu/present", "0-3,10\n").expect("write");
    let words: Vec<&str> = ["open"].into_iter().chain(files.iter().map(String::as_str)).collect();
    // Whoever shares the host's network as an ordinary user has the host's /sys.
    opens(as_nobody(&root, "--network host", &words), &"ENOENT\n".repeat(files.len()));
    opens(as_nobody(&root, "--network host --privileged", &words), &"open\n".repeat(files.len()));
    let path = root.path();
    let table = run(&["--dry-run", "--no-limits", "--rootfs", &path], &["/probe"]).finish().success();
    for file in &files {
        // The calls name it from the top of /sys.
        let directory =
            Path::new(file).parent().and_then(|path| path.strip_prefix("/sys").ok()?.to_str()).expect("a parent");
        let line = table.lines().find(|line| line.contains("ramfs") && line.contains(&format!("\"{directory}\"")));
        assert!(line.is_some(), "{directory}: {table}");
    }
    for mounted in ["/sys/fs", "/sys/devices/system/cpu"] {
        unmount(mounted, UnmountFlags::DETACH).expect("umount");
    }
});
