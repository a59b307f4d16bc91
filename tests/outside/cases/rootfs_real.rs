//! Real programs in real roots.

use crate::support::harness::run;
use crate::support::host::tool;
use crate::support::needs::{Needs, debian_root};
use crate::support::roots::Root;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

case!(busybox_serves_a_file_to_itself, Needs::ROOT | Needs::BUSYBOX);
fn busybox_serves_a_file_to_itself() {
    let root = Root::with_directories().with_busybox();
    root.0.write("page", b"over the loopback\n");
    let script = "httpd -p 127.0.0.1:80 -h / && wget -q -O - http://127.0.0.1/page";
    let outcome = run(&["--rootfs", &root.path()], &["sh", "-c", script]).finish();
    assert_eq!(outcome.success(), "over the loopback\n");
}

/// Makes the Debian root, unless an earlier run has.
pub fn make_debian_root() {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if !debian_root().join("etc/debian_version").exists() {
        let new = debian_root().with_extension(format!("new-{}", std::process::id()));
        fs::create_dir_all(&new).expect("mkdir");
        // It mounts a /proc in the new root: if it is killed early, that mount disappears with its mount namespace.
        let output = Command::new("unshare")
            .arg("--mount")
            .arg(tool("debootstrap").expect("debootstrap"))
            .args(["--variant=minbase", "bookworm"])
            .arg(&new)
            .stdin(Stdio::null())
            .output()
            .expect("start of debootstrap");
        assert!(output.status.success(), "debootstrap: {}", String::from_utf8_lossy(&output.stdout));
        fs::rename(&new, debian_root()).expect("rename");
    }
}

case!(debian, Needs::ROOT | Needs::OVERLAY | Needs::DEBIAN);
fn debian() {
    make_debian_root();
    let root = debian_root().into_os_string().into_string().expect("UTF-8");
    let says = |options: &[&str], command: &[&str]| {
        run(&[&["--rootfs", &root, "--ephemeral"], options].concat(), command).finish().success()
    };
    assert!(says(&[], &["apt-get", "--version"]).starts_with("apt 2."));
    assert_eq!(says(&[], &["perl", "-e", "print 6 * 7, qq(\\n)"]), "42\n");
    assert_eq!(says(&["-u", "www-data"], &["id"]), "uid=33(www-data) gid=33(www-data) groups=33(www-data)\n");
    assert_eq!(says(&["-u", "nobody"], &["bash", "-c", "echo $HOME"]), "/nonexistent\n");
    let installed = says(&[], &["sh", "-c", "rm -rf --no-preserve-root /usr /etc /var 2>/dev/null; echo gone"]);
    assert_eq!(installed, "gone\n");
    assert!(says(&[], &["dpkg", "--list", "apt"]).contains("commandline package manager"));
}
