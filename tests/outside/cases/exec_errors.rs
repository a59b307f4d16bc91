//! 126 and 127: the message says what is wrong with the file, so that the user can fix it.

use crate::support::folder::Folder;
use crate::support::harness::run;
use crate::support::needs::Needs;
use std::fs;

case!(not_found, Needs::NAMESPACES);
fn not_found() {
    for word in ["no-such-tool", "/no/such/tool", "./no-such-tool", "/dev/null/tool"] {
        run(&[], &[word]).finish().refused(127, &[word]);
        run(&["-t"], &[word, "-l"]).finish().refused(127, &[word]);
    }
}

case!(no_execute_permission, Needs::NAMESPACES);
fn no_execute_permission() {
    let folder = Folder::new();
    let file = folder.write("plain", b"#!/bin/sh\n");
    run(&[], &[&file]).finish().refused(126, &[&file, "EACCES", "execute"]);
    // A file that PATH finds but that cannot be executed differs from one that is not found.
    let path = format!("PATH={}", folder.text(""));
    run(&["-e", &path], &["plain"]).finish().refused(126, &["plain", "EACCES"]);
}

case!(the_next_folder_of_path_is_tried, Needs::NAMESPACES);
fn the_next_folder_of_path_is_tried() {
    let (first, second) = (Folder::new(), Folder::new());
    first.write("tool", b"no execute bit");
    fs::create_dir(first.path("other")).expect("mkdir");
    second.link_to_probe("tool");
    second.link_to_probe("other");
    let path = format!("PATH=/no/such/folder:{}:{}", first.text(""), second.text(""));
    run(&["-e", &path], &["tool", "--probe", "status", "3"]).finish().silent(3);
    run(&["-e", &path], &["other", "--probe", "status", "3"]).finish().silent(3);
}

case!(a_folder, Needs::NAMESPACES);
fn a_folder() {
    let folder = Folder::new();
    let outcome = run(&[], &[folder.text("")]).finish();
    outcome.refused(126, &[&folder.text(""), "directory"]);
    run(&[], &["/"]).finish().refused(126, &["directory"]);
}

case!(a_missing_interpreter_of_a_script_is_named, Needs::NAMESPACES);
fn a_missing_interpreter_of_a_script_is_named() {
    let folder = Folder::new();
    for (name, line) in [("plain", "#!/no/such/interpreter\n"), ("spaced", "#! /no/such/interpreter -x\nmore\n")] {
        let file = folder.write_program(name, line.as_bytes());
        run(&[], &[&file]).finish().refused(126, &[&file, "\"/no/such/interpreter\""]);
    }
}

case!(a_missing_loader_of_a_program_is_named, Needs::NAMESPACES);
/// A program that needs a dynamic linker which is missing here, as on a host with another distribution.
fn a_missing_loader_of_a_program_is_named() {
    let folder = Folder::new();
    let file = folder.write_program("dynamic", &elf(own_machine(), Some("/no/such/ld.so")));
    run(&[], &[&file]).finish().refused(126, &[&file, "\"/no/such/ld.so\""]);
}

case!(another_machines_program, Needs::NAMESPACES);
fn another_machines_program() {
    const EM_X86_64: u16 = 62;
    const EM_AARCH64: u16 = 183;
    let folder = Folder::new();
    let other = if own_machine() == EM_X86_64 { EM_AARCH64 } else { EM_X86_64 };
    let file = folder.write_program("foreign", &elf(other, None));
    run(&[], &[&file]).finish().refused(126, &[&file, "ENOEXEC", "machine"]);
}

case!(a_text_without_a_first_line, Needs::NAMESPACES);
fn a_text_without_a_first_line() {
    let folder = Folder::new();
    let file = folder.write_program("script", b"echo no first line\n");
    run(&[], &[&file]).finish().refused(126, &[&file, "ENOEXEC", "#!"]);
}

case!(an_empty_file, Needs::NAMESPACES);
fn an_empty_file() {
    let folder = Folder::new();
    let file = folder.write_program("empty", b"");
    run(&[], &[&file]).finish().refused(126, &[&file, "ENOEXEC"]);
}

case!(nothing_is_left_after_a_failed_exec, Needs::NAMESPACES | Needs::MEMORY);
fn nothing_is_left_after_a_failed_exec() {
    // `finish` checks the directories; these limits make directories of each kind.
    let options = ["-m", "100m", "--cpu-shares", "512"];
    run(&options, &["no-such-tool"]).finish().refused(127, &["no-such-tool"]);
    run(&options, &["/"]).finish().refused(126, &[]);
    run(&["-m", "100m", "-w", "/no/such/folder"], &["true"]).finish().refused(125, &["/no/such/folder", "ENOENT"]);
}

case!(a_script_with_an_interpreter_runs, Needs::NAMESPACES);
fn a_script_with_an_interpreter_runs() {
    let folder = Folder::new();
    let probe = folder.link_to_probe("interpreter");
    // The kernel passes everything after the interpreter as one word; `--probe` is enough, because the name follows the
    // file.
    let file = folder.write_program("script", format!("#!{probe} --probe\n").as_bytes());
    let outcome = run(&[], &[&file]).finish();
    assert!(outcome.stderr_text().contains("no probe is called"), "the interpreter was run: {outcome:?}");
}

fn own_machine() -> u16 {
    let own = fs::read("/proc/self/exe").expect("this file");
    u16::from_le_bytes([own[18], own[19]])
}

/// The smallest file that the kernel accepts as a program of `machine`: a header, an optional interpreter, and one
/// segment to load.
fn elf(machine: u16, loader: Option<&str>) -> Vec<u8> {
    const HEADER: u64 = 64;
    const ENTRY: u64 = 56;
    let name = loader.map(|path| [path.as_bytes(), b"\0"].concat()).unwrap_or_default();
    let mut segments: Vec<[u64; 8]> = Vec::new();
    let count = 1 + u64::from(loader.is_some());
    let name_at = HEADER + count * ENTRY;
    let whole = name_at + name.len() as u64;
    if loader.is_some() {
        // The type and flags, the offset, the address twice, the size twice, the alignment.
        segments.push([3 | 4 << 32, name_at, name_at, name_at, name.len() as u64, name.len() as u64, 1, 0]);
    }
    segments.push([1 | 5 << 32, 0, 0x40_0000, 0x40_0000, whole, whole, 0x1_0000, 0]);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for word in [0x40_0000 + name_at, HEADER, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [HEADER as u16, ENTRY as u16, count as u16, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for segment in segments {
        segment[..7].iter().for_each(|word| file.extend(word.to_le_bytes()));
    }
    file.extend(name);
    file
}
