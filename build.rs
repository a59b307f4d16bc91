//! Stamps commit and target into `--version`, packs the long texts, makes the seccomp filter, and leaves out of the released
//! musl file what it has no use for.

#[path = "src/seccomp.rs"]
#[allow(dead_code)]
mod seccomp;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=MYDOCKER_COMMIT={}", commit().unwrap_or("unknown".into()));
    println!("cargo:rustc-env=MYDOCKER_TARGET={}", variable("TARGET"));
    // Set by tests/bench/tiny.
    println!("cargo:rustc-check-cfg=cfg(tiny)");
    write_texts();
    write_filter();
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

/// On line n, counted from 0, `NAME (description)` of errno n. The numbers above are the kernel's own, and never reach a
/// program.
fn errnos() -> String {
    const EHWPOISON: i32 = 133;
    let line = |number| match syscalls::Errno::new(number).name_and_description() {
        Some((name, description)) => format!("{name} ({description})\n"),
        None => "\n".to_string(),
    };
    (0..=EHWPOISON).map(line).collect()
}

/// The text of every `says!` in the source, a line each, behind an empty one.
fn messages() -> String {
    println!("cargo:rerun-if-changed=src");
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new("src").to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src").map(|entry| entry.expect("an entry of src").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if let Ok(source) = fs::read_to_string(&entry) {
                found.extend(source.split("says!(").skip(1).filter_map(literal));
            }
        }
    }
    found.iter().fold("\n".to_string(), |all, text| all + text + "\n")
}

/// What the string literal at the start of `source` says.
fn literal(source: &str) -> Option<String> {
    let mut rest = source.trim_start().strip_prefix('"')?;
    let mut text = String::new();
    loop {
        let end = rest.find(['"', '\\'])?;
        text += &rest[..end];
        rest = match rest[end..].strip_prefix('\\') {
            None => return Some(text),
            // A literal that goes on in the next line.
            Some(rest) if rest.starts_with('\n') => rest.trim_start(),
            Some(rest) => {
                text.extend(rest.chars().next());
                rest.get(1..)?
            }
        };
    }
}

/// `OUT_DIR/help`, `run`, `steps`, `trials`, `hints`, `errnos`, `messages`: the texts, packed, and `pairs`, which unpacks
/// them: see `src/texts.rs`. `OUT_DIR/steps.rs`: which step has which line.
fn write_texts() {
    let read = |name: &str| {
        println!("cargo:rerun-if-changed=src/texts/{name}");
        fs::read_to_string(Path::new("src/texts").join(name))
            .unwrap_or_else(|error| panic!("src/texts/{name}: {error}"))
    };
    let write = |name: &str, bytes: &[u8]| {
        fs::write(Path::new(&variable("OUT_DIR")).join(name), bytes).expect("OUT_DIR is writable");
    };
    let described = read("steps");
    let (steps, lines): (Vec<&str>, Vec<&str>) =
        described.lines().map(|line| line.split_once(": ").expect("src/texts/steps: STEP: LINE")).unzip();
    let arms = steps.iter().enumerate().map(|(number, step)| format!("Step::{step} {{ .. }} => {number},\n"));
    write("steps.rs", format!("match step {{\n{}}}\n", arms.collect::<String>()).as_bytes());

    let messages = messages();
    write("messages.plain", messages.as_bytes());
    let names = ["help", "run", "trials", "hints", "steps", "errnos", "messages"];
    let texts =
        [read("help"), with_tabs(&read("run")), read("trials"), read("hints"), lines.join("\n"), errnos(), messages];
    let mut packed = texts.map(String::into_bytes);
    let plain = |byte: &u8| matches!(byte, b'\t' | b'\n' | b' '..=b'~');
    assert!(packed.iter().flatten().all(plain), "src/texts: only printable ASCII can be packed");
    let pairs = pack(&mut packed);
    write("pairs", &pairs.concat());
    for (name, text) in names.iter().zip(&packed) {
        write(name, text);
    }
}

/// The help of run with a tab in the place of the blanks before an explanation.
fn with_tabs(help: &str) -> String {
    let line = |line: &str| match line.strip_prefix("  ").and_then(|rest| rest.trim_start().find("  ")) {
        Some(at) => {
            let (names, explained) = line.split_at(line.len() - line.trim_start().len() + at);
            format!("{names}\t{}\n", explained.trim_start())
        }
        None => format!("{line}\n"),
    };
    help.lines().map(line).collect()
}

/// Puts one byte for the pair that comes most often in all texts, until there is no such byte left; lines, and what tabs
/// divide, stay apart. Returns the pairs.
fn pack(texts: &mut [Vec<u8>]) -> Vec<[u8; 2]> {
    let mut pairs = Vec::new();
    for byte in (0..=8).chain(11..=31).chain(127..=255) {
        let mut counts = BTreeMap::new();
        for pair in texts.iter().flat_map(|text| text.windows(2)) {
            if !pair.iter().any(|byte| matches!(byte, b'\t' | b'\n')) {
                *counts.entry([pair[0], pair[1]]).or_insert(0) += 1;
            }
        }
        let (pair, _) = counts.into_iter().max_by_key(|(_, count)| *count).expect("there are texts");
        for text in texts.iter_mut() {
            let mut rest = text.as_slice();
            let mut shorter = Vec::new();
            while let [first, after @ ..] = rest {
                let found = rest.starts_with(&pair);
                shorter.push(if found { byte } else { *first });
                rest = if found { &after[1..] } else { after };
            }
            *text = shorter;
        }
        pairs.push(pair);
    }
    pairs
}

/// All calls that have a name. (The crate's own iterator misses the last one.)
fn calls(name: impl Fn(usize) -> Option<&'static str>) -> Vec<(&'static str, u32)> {
    (0..1024).filter_map(|number| Some((name(number)?, number as u32))).collect()
}

/// `OUT_DIR/filter`: the instructions of the seccomp filter, eight bytes each, of `src/seccomp.policy` for the target.
fn write_filter() {
    for file in ["src/seccomp.policy", "src/seccomp.rs", "src/capabilities"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let read = |file| fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (policy, capabilities) = (read("src/seccomp.policy"), read("src/capabilities"));
    let x86_64 = calls(|number| syscalls::x86_64::Sysno::new(number).map(|call| call.name()));
    let aarch64 = calls(|number| syscalls::aarch64::Sysno::new(number).map(|call| call.name()));
    let machine = match variable("CARGO_CFG_TARGET_ARCH").as_str() {
        "x86_64" => seccomp::x86_64(&x86_64),
        "aarch64" => seccomp::aarch64(&aarch64),
        other => panic!("no calls are known of {other}"),
    };
    let names: Vec<&str> = capabilities.split_whitespace().collect();
    let rules = seccomp::parse(&policy, &names).unwrap_or_else(|error| panic!("src/seccomp.policy: {error}"));
    let known = |name: &&str| x86_64.iter().chain(&aarch64).any(|(call, _)| call == name);
    if let Some(name) = rules.keys().find(|name| !known(name)) {
        panic!("src/seccomp.policy: no call is called {name}");
    }
    let filter = seccomp::compile(&rules, &machine).unwrap_or_else(|error| panic!("src/seccomp.policy: {error}"));
    let bytes: Vec<u8> = filter.iter().flat_map(|instruction| instruction.bytes()).collect();
    fs::write(Path::new(&variable("OUT_DIR")).join("filter"), bytes).expect("OUT_DIR is writable");
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
