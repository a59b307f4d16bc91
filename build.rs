//! Stamps commit and target into `--version`, makes the table of errnos, and leaves out of the released musl file what it
//! has no use for.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=MYDOCKER_COMMIT={}", commit().unwrap_or("unknown".into()));
    println!("cargo:rustc-env=MYDOCKER_TARGET={}", variable("TARGET"));
    // Set by tests/bench/tiny.
    println!("cargo:rustc-check-cfg=cfg(tiny)");
    write_errnos();
    if variable("CARGO_CFG_TARGET_ENV") == "musl" && variable("PROFILE") == "release" {
        leave_out_unwind_tables();
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The commit, read anew when HEAD moves. A source archive has none.
fn commit() -> Option<String> {
    for file in ["HEAD", "logs/HEAD"] {
        if Path::new(".git").join(file).exists() {
            println!("cargo:rerun-if-changed=.git/{file}");
        }
    }
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| commit.trim().to_string())
}

/// `OUT_DIR/errnos`: on line n, counted from 0, `NAME (description)` of errno n. The numbers above are the kernel's own, and
/// never reach a program. As a text they take half of what code takes that has each of them as two strings.
fn write_errnos() {
    const EHWPOISON: i32 = 133;
    let line = |number| match syscalls::Errno::new(number).name_and_description() {
        Some((name, description)) => format!("{name} ({description})\n"),
        None => "\n".to_string(),
    };
    let text: String = (0..=EHWPOISON).map(line).collect();
    fs::write(Path::new(&variable("OUT_DIR")).join("errnos"), text).expect("OUT_DIR is writable");
}

/// The toolchain's prebuilt std carries 36 KB of tables for unwinding, which `panic = "abort"` never does.
fn leave_out_unwind_tables() {
    let script = Path::new(&variable("OUT_DIR")).join("no-unwind-tables.ld");
    let text = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.gcc_except_table .gcc_except_table.*) *(.comment) } }\n\
                INSERT AFTER .rodata;\n";
    fs::write(&script, text).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    println!("cargo:rustc-link-arg-bins=--no-eh-frame-hdr");
    // Functions that compile to the same code are kept once.
    println!("cargo:rustc-link-arg-bins=--icf=all");
}
