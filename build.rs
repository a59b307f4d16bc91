//! Stamps commit and target into `--version`, makes the seccomp filter, and leaves out of the released musl file what it does
//! not need.

#[path = "src/capabilities.rs"]
mod capabilities;
#[path = "src/privilege/seccomp.rs"]
#[allow(dead_code)]
mod seccomp;

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=MYDOCKER_COMMIT={}", commit().unwrap_or("unknown".into()));
    println!("cargo:rustc-env=MYDOCKER_TARGET={}", variable("TARGET"));
    // Set by tests/bench/tiny.
    println!("cargo:rustc-check-cfg=cfg(tiny)");
    // Set by `leave_out_unwind_tables`.
    println!("cargo:rustc-check-cfg=cfg(no_unwind_tables)");
    write_filter();
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

/// All calls that have a name. (The crate's own iterator misses the last one.)
fn calls(name: impl Fn(usize) -> Option<&'static str>) -> Vec<(&'static str, u32)> {
    (0..1024).filter_map(|number| Some((name(number)?, number as u32))).collect()
}

/// `OUT_DIR/filter`: the instructions of the seccomp filter, eight bytes each, of `src/privilege/seccomp.policy` for the target.
fn write_filter() {
    for file in ["src/privilege/seccomp.policy", "src/privilege/seccomp.rs", "src/capabilities.rs"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let read = |file| fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let policy = read("src/privilege/seccomp.policy");
    let x86_64 = calls(|number| syscalls::x86_64::Sysno::new(number).map(|call| call.name()));
    let aarch64 = calls(|number| syscalls::aarch64::Sysno::new(number).map(|call| call.name()));
    let machine = match variable("CARGO_CFG_TARGET_ARCH").as_str() {
        "x86_64" => seccomp::x86_64(&x86_64),
        "aarch64" => seccomp::aarch64(&aarch64),
        other => panic!("no calls are known of {other}"),
    };
    let names: Vec<&str> = capabilities::CAPABILITIES.iter().filter_map(|name| name.strip_prefix("CAP_")).collect();
    let rules = seccomp::parse(&policy, &names).unwrap_or_else(|error| panic!("src/privilege/seccomp.policy: {error}"));
    let known = |name: &&str| x86_64.iter().chain(&aarch64).any(|(call, _)| call == name);
    if let Some(name) = rules.keys().find(|name| !known(name)) {
        panic!("src/privilege/seccomp.policy: no call is called {name}");
    }
    let filter =
        seccomp::compile(&rules, &machine).unwrap_or_else(|error| panic!("src/privilege/seccomp.policy: {error}"));
    let bytes: Vec<u8> = filter.iter().flat_map(|instruction| instruction.bytes()).collect();
    fs::write(Path::new(&variable("OUT_DIR")).join("filter"), bytes).expect("OUT_DIR is writable");
}

/// `OUT_DIR/errnos`: a line for each number with what is printed of it, `ENOENT (No such file or directory)`. Those of STREAMS and
/// XENIX, which no call here returns, stay numbers.
fn write_errnos() {
    let unused = "EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR ENOANO EBADRQC EBADSLT EBFONT ENOSTR ENOSR ENONET EADV \
                  ESRMNT ECOMM EDOTDOT EREMCHG ELIBACC ELIBSCN ELIBMAX ELIBEXEC ERESTART ESTRPIPE ENOTNAM ENAVAIL EISNAM";
    let text = |number: i32| {
        let known = syscalls::Errno::new(number).name_and_description();
        let known = known.filter(|(name, _)| !unused.split(' ').any(|word| word == *name));
        known.map_or(String::new(), |(name, description)| format!("{name} ({description})"))
    };
    // Those from 512 on stay in the kernel: <linux/errno.h>.
    let mut texts: Vec<String> = (0..512).map(text).collect();
    while texts.pop_if(|last| last.is_empty()).is_some() {}
    fs::write(Path::new(&variable("OUT_DIR")).join("errnos"), texts.join("\n")).expect("OUT_DIR is writable");
}

/// The toolchain's prebuilt std carries 36 KB of tables for unwinding, which `panic = "abort"` never does.
fn leave_out_unwind_tables() {
    println!("cargo:rustc-cfg=no_unwind_tables");
    let script = Path::new(&variable("OUT_DIR")).join("no-unwind-tables.ld");
    // Sorted by alignment, constants need no room between them.
    let text = "SECTIONS {\n\
                .rodata : { *(SORT_BY_ALIGNMENT(.rodata .rodata.*)) }\n\
                /DISCARD/ : { *(.eh_frame) *(.gcc_except_table .gcc_except_table.*) *(.comment) }\n\
                }\n\
                INSERT BEFORE .text;\n";
    fs::write(&script, text).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    println!("cargo:rustc-link-arg-bins=--no-eh-frame-hdr");
    // `_Unwind_Backtrace` is that of main.rs, although the unwinder has one, too: the first one counts.
    println!("cargo:rustc-link-arg-bins=--allow-multiple-definition");
    // Functions that compile to the same code are kept once.
    println!("cargo:rustc-link-arg-bins=--icf=all");
}
