//! Of the peers' suites: what is mounted, with which flags, and what may be done to it.

use crate::cases::peers::{Row, assert_rows};
use crate::support::folder::Folder;
use crate::support::harness::probe_file;
use crate::support::needs::Needs;
use crate::support::roots::Root;
use rustix::fs::{CWD, FileType, mknodat};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn set_mode(root: &Root, name: &str, mode: u32) {
    fs::set_permissions(root.0.path(name), fs::Permissions::from_mode(mode)).expect("chmod");
}

case!(what_a_new_root_is_given, Needs::NAMESPACES);
fn what_a_new_root_is_given() {
    const ROWS: &[Row] = &[
        ("/dev is memory", "type /dev", "tmpfs"),
        ("/dev is writable", "option /dev rw", "yes"),
        ("/dev: set-user-id files give nothing", "option /dev nosuid", "yes"),
        ("/dev: its devices work", "option /dev nodev", "no"),
        ("/dev has docker's mode", "see /dev", "folder 755"),
        ("/dev/pts is a devpts", "type /dev/pts", "devpts"),
        ("/dev/pts: set-user-id files give nothing", "option /dev/pts nosuid", "yes"),
        ("/dev/pts: no programs", "option /dev/pts noexec", "yes"),
        ("/dev/pts: everybody may open a terminal", "option /dev/pts ptmxmode=666", "yes"),
        ("/dev/shm is memory", "type /dev/shm", "tmpfs"),
        ("/dev/shm has docker's size", "option /dev/shm size=65536k", "yes"),
        ("/dev/shm: set-user-id files give nothing", "option /dev/shm nosuid", "yes"),
        ("/dev/shm: no devices", "option /dev/shm nodev", "yes"),
        ("/dev/shm: no programs", "option /dev/shm noexec", "yes"),
        ("/dev/mqueue holds message queues", "type /dev/mqueue", "mqueue"),
        ("/dev/mqueue: set-user-id files give nothing", "option /dev/mqueue nosuid", "yes"),
        ("/dev/mqueue: no devices", "option /dev/mqueue nodev", "yes"),
        ("/dev/mqueue: no programs", "option /dev/mqueue noexec", "yes"),
        ("what is read-only in /proc keeps its flags: bus, nosuid", "option /proc/bus nosuid", "yes"),
        ("bus, nodev", "option /proc/bus nodev", "yes"),
        ("bus, noexec", "option /proc/bus noexec", "yes"),
        ("fs, nosuid", "option /proc/fs nosuid", "yes"),
        ("fs, nodev", "option /proc/fs nodev", "yes"),
        ("fs, noexec", "option /proc/fs noexec", "yes"),
        ("irq, nosuid", "option /proc/irq nosuid", "yes"),
        ("irq, nodev", "option /proc/irq nodev", "yes"),
        ("irq, noexec", "option /proc/irq noexec", "yes"),
        ("sys, nosuid", "option /proc/sys nosuid", "yes"),
        ("sys, nodev", "option /proc/sys nodev", "yes"),
        ("sys, noexec", "option /proc/sys noexec", "yes"),
        ("the old root is nowhere", "see /oldroot", "ENOENT"),
        ("nor is one in the making", "see /newroot", "ENOENT"),
    ];
    let root = Root::with_directories();
    assert_rows(|words| root.probe(&[], words), ROWS);
    const LARGER: &[Row] = &[("--shm-size is the size", "option /dev/shm size=1048576k", "yes")];
    assert_rows(|words| root.probe(&["--shm-size=1G"], words), LARGER);
}

case!(what_is_masked_stays, Needs::ROOT);
/// Without the filter, which would refuse all of this before the kernel looks at it.
fn what_is_masked_stays() {
    const ROWS: &[Row] = &[
        ("a masked file stays masked", "umount /proc/interrupts", "EPERM"),
        ("a masked folder stays masked", "umount /sys/firmware", "EPERM"),
        ("what is read-only stays so", "umount /proc/sys", "EPERM"),
        ("/proc stays", "umount /proc", "EPERM"),
        ("/sys stays", "umount /sys", "EPERM"),
        ("the root stays", "umount /", "EPERM"),
        ("nothing sets a parameter of the kernel", "write /proc/sys/kernel/panic", "EROFS"),
        ("nothing drops its caches", "write /proc/sys/vm/drop_caches", "EROFS"),
        ("nothing changes a mode there: irq", "chmod /proc/irq", "EROFS"),
        ("bus", "chmod /proc/bus", "EROFS"),
        ("fs", "chmod /proc/fs", "EROFS"),
        ("/sys", "chmod /sys/kernel", "EROFS"),
    ];
    let root = Root::with_directories();
    assert_rows(|words| root.probe(&["--security-opt", "seccomp=unconfined"], words), ROWS);
    const PRIVILEGED: &[Row] = &[
        ("a privileged command may set parameters", "write /proc/sys/kernel/panic", "ok"),
        ("they are no mount of their own", "mounts /proc/sys", "0"),
        ("nothing is masked for it", "mounts /proc/interrupts", "0"),
        ("no folder either", "mounts /sys/firmware", "0"),
        ("its /sys is writable", "option /sys rw", "yes"),
        ("it may unmount", "umount /dev/mqueue", "ok"),
        ("it may make nodes", "mknod /dev/node", "ok"),
    ];
    assert_rows(|words| root.probe(&["--privileged"], words), PRIVILEGED);
}

case!(memory_with_options, Needs::NAMESPACES);
fn memory_with_options() {
    const OPTIONS: &str = "--tmpfs /a --tmpfs /b:rw --tmpfs /c:rw,exec,size=8192k --tmpfs /d:rw,size=8192k,exec,size=4096k,noexec \
        --tmpfs /e:noexec,nosuid,rw,size=5k,mode=700 --tmpfs /f:mode=0444 --tmpfs /old:mode=0410 --tmpfs /covered --tmpfs /all \
        --tmpfs /g:ro,mode=755 --tmpfs /h:suid --tmpfs /i:dev --tmpfs /conf/stack --tmpfs /m//n --tmpfs /o/ \
        --mount type=tmpfs,target=/p";
    const ROWS: &[Row] = &[
        ("without options: memory", "type /a", "tmpfs"),
        ("writable", "option /a rw", "yes"),
        ("no set-user-id", "option /a nosuid", "yes"),
        ("no devices", "option /a nodev", "yes"),
        ("no programs", "option /a noexec", "yes"),
        ("the usual access times", "option /a relatime", "yes"),
        ("a file can be made there", "make /a/file", "ok"),
        ("a program there is not executed", "program /a", "EACCES"),
        ("rw alone changes nothing: writable", "option /b rw", "yes"),
        ("rw: no set-user-id", "option /b nosuid", "yes"),
        ("rw: no devices", "option /b nodev", "yes"),
        ("rw: no programs", "option /b noexec", "yes"),
        ("rw: access times", "option /b relatime", "yes"),
        ("a size in kilobytes", "option /c size=8192k", "yes"),
        ("exec stands beside it", "option /c noexec", "no"),
        ("of one there the interpreter is looked for", "program /c", "ENOENT"),
        ("of two sizes the later one holds", "option /d size=4096k", "yes"),
        ("the earlier one does not", "option /d size=8192k", "no"),
        ("of exec and noexec the later one holds", "option /d noexec", "yes"),
        ("a size is rounded to pages", "option /e size=8k", "yes"),
        ("its mode is the one that was asked for", "see /e", "folder 700"),
        ("a file fits in", "make /e/file", "ok"),
        ("a new folder has the mode", "see /f", "folder 444"),
        ("so has one that was there with another", "see /old", "folder 410"),
        ("without a mode it has that of what it covers", "see /covered", "folder 710"),
        ("all bits of it", "see /all", "folder 7777"),
        ("read-only memory is mounted so", "option /g ro", "yes"),
        ("and has its mode", "see /g", "folder 755"),
        ("no folder can be made in it", "mkdir /g/x", "EROFS"),
        ("suid allows what nosuid forbids", "option /h nosuid", "no"),
        ("and nothing else", "option /h nodev", "yes"),
        ("dev likewise", "option /i nodev", "no"),
        ("and nothing else", "option /i nosuid", "yes"),
        ("below a link it is where that leads", "type /real/conf/stack", "tmpfs"),
        ("the link stays", "see /conf", "link /real/conf"),
        ("two slashes are one", "mounts /m/n", "1"),
        ("a slash at the end changes nothing", "mounts /o", "1"),
        ("--mount type=tmpfs has the same flags: nosuid", "option /p nosuid", "yes"),
        ("nodev", "option /p nodev", "yes"),
    ];
    let root = Root::with_directories();
    for name in ["old", "covered", "all", "real/conf"] {
        fs::create_dir_all(root.0.path(name)).expect("mkdir");
    }
    symlink("/real/conf", root.0.path("conf")).expect("symlink");
    [("old", 0o710), ("covered", 0o710), ("all", 0o7777)].iter().for_each(|(name, mode)| set_mode(&root, name, *mode));
    let options: Vec<&str> = OPTIONS.split_whitespace().collect();
    assert_rows(|words| root.probe(&options, words), ROWS);
    // The second time the folders are there.
    const AGAIN: &[Row] = &[("the mode is the same in a folder that is left from before", "see /f", "folder 444")];
    assert_rows(|words| root.probe(&["--tmpfs", "/f:mode=0444"], words), AGAIN);
}

case!(volumes_of_every_kind, Needs::NAMESPACES);
fn volumes_of_every_kind() {
    let (root, host, other) = (Root::with_directories(), Folder::new(), Folder::new());
    for name in ["home", "covered"] {
        fs::create_dir(root.0.path(name)).expect("mkdir");
    }
    root.0.write("covered/bar", b"the root's\n");
    symlink("home", root.0.path("bar")).expect("symlink");
    for folder in [&host, &other] {
        fs::create_dir(folder.path("foo")).expect("mkdir");
    }
    for (folder, file, text) in [(&host, "file", "one"), (&host, "foo/file", "two"), (&other, "file", "three")] {
        folder.write(file, text.as_bytes());
    }
    mknodat(CWD, host.path("fifo"), FileType::Fifo, 0o644.into(), 0).expect("mkfifo");
    let _listener = std::os::unix::net::UnixListener::bind(host.path("socket")).expect("bind");
    fs::set_permissions(host.path("socket"), fs::Permissions::from_mode(0o755)).expect("chmod");
    // Not in what the container can write to: `boundary::links_where_the_container_can_write`.
    let links = Folder::new();
    symlink(host.as_path(), links.path("link")).expect("symlink");
    let (here, there, program) = (host.text(""), other.text(""), probe_file().display().to_string());
    let volumes = [
        format!("{here}:/data:ro"),
        format!("{here}fifo:/fifo"),
        format!("{here}fifo:/fifo-ro:ro"),
        format!("{here}socket:/socket"),
        format!("{here}socket:/socket-ro:ro"),
        format!("{}:/by-link", links.text("link")),
        format!("{here}:/bar/below"),
        format!("{here}:/test//test"),
        format!("{here}:/end/"),
        format!("{here}:/covered"),
        format!("{here}:/t"),
        format!("{here}foo:/t/foo"),
        format!("{there}:/t/two"),
        format!("{here}foo:/t/two/foo"),
        format!("{program}:/program"),
        format!("{program}:/program-ro:ro"),
        "/:/host".into(),
    ];
    let of_the_host = format!("read /host{here}file");
    let rows: &[Row] = &[
        ("what is read-only can be read", "read /data/file", "one"),
        ("it is mounted so", "option /data ro", "yes"),
        ("no folder is made in it", "mkdir /data/x", "EROFS"),
        ("nothing is removed from it", "remove /data/file", "EROFS"),
        ("nothing in it is renamed", "rename /data/file", "EROFS"),
        ("no mode in it is changed", "chmod /data/file", "EROFS"),
        ("a FIFO is one inside", "see /fifo", "fifo 644"),
        ("read-only too", "see /fifo-ro", "fifo 644"),
        ("a socket is one inside", "see /socket", "socket 755"),
        ("read-only too", "see /socket-ro", "socket 755"),
        ("a link as the source is followed", "read /by-link/file", "one"),
        ("a target below a link is where that leads", "mounts /home/below", "1"),
        ("and can be read through it", "read /bar/below/file", "one"),
        ("two slashes are one", "mounts /test/test", "1"),
        ("a slash at the end changes nothing", "mounts /end", "1"),
        ("nothing of what it covers is seen in it", "see /covered/bar", "ENOENT"),
        ("and it is what was mounted", "read /covered/file", "one"),
        ("of four, one below the other: the first", "read /t/file", "one"),
        ("the second, in it", "read /t/foo/file", "two"),
        ("the third, beside that", "read /t/two/file", "three"),
        ("the fourth, in the third", "read /t/two/foo/file", "two"),
        ("a program as a volume runs", "execute /program", "ok"),
        ("read-only too", "execute /program-ro", "ok"),
        ("the host's root can be one", &of_the_host, "one"),
    ];
    let options: Vec<&str> = volumes.iter().flat_map(|volume| ["-v", volume]).collect();
    assert_rows(|words| root.probe(&options, words), rows);
    // What was made for them, in the root.
    assert_eq!(fs::read_dir(root.0.path("covered")).expect("readdir").count(), 1, "nothing is copied to the root");
    assert_eq!(fs::read_to_string(root.0.path("covered/bar")).expect("read"), "the root's\n", "what is covered stays");
}

case!(a_read_only_root_with_files_of_its_own, Needs::NAMESPACES);
fn a_read_only_root_with_files_of_its_own() {
    const ROWS: &[Row] = &[
        ("no folder is made", "mkdir /folder", "EROFS"),
        ("nothing is removed", "remove /probe", "EROFS"),
        ("nothing is renamed", "rename /probe", "EROFS"),
        ("no mode is changed", "chmod /probe", "EROFS"),
        ("the name servers are not changed", "write /etc/resolv.conf", "EROFS"),
        ("/dev/shm is not read-only", "option /dev/shm ro", "no"),
        ("/dev/mqueue neither", "option /dev/mqueue ro", "no"),
        ("/dev/pts neither", "option /dev/pts ro", "no"),
        ("--dns still holds", "read /etc/resolv.conf", "nameserver 192.0.2.53"),
        ("--add-host still holds", "contains /etc/hosts 192.0.2.1\tby-option", "yes"),
        ("the name still holds", "read /etc/hostname", "testing"),
    ];
    let root = Root::with_directories();
    let options = ["--read-only", "--dns", "192.0.2.53", "--add-host", "by-option:192.0.2.1", "-h", "testing"];
    assert_rows(|words| root.probe(&options, words), ROWS);
    const WRITABLE: &[Row] = &[
        ("the name can be written to", "append /etc/hostname", "ok"),
        ("so can the name servers", "append /etc/resolv.conf", "ok"),
        ("so can the list of hosts", "append /etc/hosts", "ok"),
        ("and is what was written", "contains /etc/hosts appended", "yes"),
        ("the name that was given is there", "contains /etc/hostname testing", "yes"),
        ("it is the kernel's name too", "hostname", "testing"),
    ];
    assert_rows(|words| root.probe(&["-h", "testing", "--dns", "192.0.2.53"], words), WRITABLE);
    for file in ["hostname", "resolv.conf", "hosts"] {
        let kept = fs::read_to_string(root.0.path("etc").join(file)).expect("read");
        assert_eq!(kept, "the root's own\n", "{file} is the root's again");
    }
}
