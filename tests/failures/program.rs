//! The commands that run inside the container: ELF files of some 150 bytes of machine code, without a C library. Every
//! system call that they make is known, so all others in a trace are mydocker's; and two hundred of them use almost no
//! memory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The exit status of [`leaves`], which no other program here gives.
pub const STATUS: i32 = 42;

/// Exits at once with [`STATUS`].
pub fn leaves(folder: &Path) -> io::Result<PathBuf> {
    write(&folder.join("leaves"), LEAVES)
}

/// Reads once, prints a dot, and exits with [`STATUS`].
#[allow(dead_code, reason = "tests/load and tests/failures each use some of these")]
pub fn reads(folder: &Path) -> io::Result<PathBuf> {
    write(&folder.join("reads"), READS)
}

/// Prints a dot, stays until the end of its standard input, and exits with 0.
#[allow(dead_code, reason = "as above")]
pub fn holds(folder: &Path) -> io::Result<PathBuf> {
    write(&folder.join("holds"), HOLDS)
}

/// Stays until a signal kills it.
#[allow(dead_code, reason = "as above")]
pub fn stays(folder: &Path) -> io::Result<PathBuf> {
    write(&folder.join("stays"), STAYS)
}

/// exit_group(42) in a loop.
#[cfg(target_arch = "x86_64")]
const LEAVES: &[u8] = &[
    0xbf, 0x2a, 0, 0, 0, // mov edi, 42
    0xb8, 0xe7, 0, 0, 0, // mov eax, 231 (exit_group)
    0x0f, 0x05, // syscall
    0xeb, 0xf2, // jmp to the start
];

#[cfg(target_arch = "x86_64")]
const READS: &[u8] = &[
    0x6a, 0x2e, // push '.'
    0x6a, 0x00, // push 0: room
    0x31, 0xc0, // xor eax, eax (read)
    0x31, 0xff, // xor edi, edi
    0x48, 0x89, 0xe6, // mov rsi, rsp
    0xba, 8, 0, 0, 0, // mov edx, 8
    0x0f, 0x05, // syscall
    0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
    0xbf, 1, 0, 0, 0, // mov edi, 1
    0x48, 0x8d, 0x74, 0x24, 0x08, // lea rsi, [rsp + 8]
    0xba, 1, 0, 0, 0, // mov edx, 1
    0x0f, 0x05, // syscall
    0xbf, 0x2a, 0, 0, 0, // mov edi, 42
    0xb8, 0xe7, 0, 0, 0, // mov eax, 231 (exit_group)
    0x0f, 0x05, // syscall
];

#[cfg(target_arch = "x86_64")]
const HOLDS: &[u8] = &[
    0x6a, 0x2e, // push '.'
    0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
    0xbf, 1, 0, 0, 0, // mov edi, 1
    0x48, 0x89, 0xe6, // mov rsi, rsp
    0xba, 1, 0, 0, 0, // mov edx, 1
    0x0f, 0x05, // syscall
    0x31, 0xc0, // again: xor eax, eax (read)
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
    0x85, 0xc0, // test eax, eax
    0x7f, 0xf6, // jg again
    0xb8, 0xe7, 0, 0, 0, // mov eax, 231 (exit_group)
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
];

#[cfg(target_arch = "x86_64")]
const STAYS: &[u8] = &[
    0xb8, 0x22, 0, 0, 0, // mov eax, 34 (pause)
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp to the start
];

/// exit_group(42) in a loop.
#[cfg(target_arch = "aarch64")]
const LEAVES: &[u8] = &code::<4, 16>([
    0xd2800540, // mov x0, 42
    0xd2800bc8, // mov x8, 94 (exit_group)
    0xd4000001, // svc 0
    0x17fffffd, // b to the start
]);

#[cfg(target_arch = "aarch64")]
const READS: &[u8] = &code::<16, 64>([
    0xd10043ff, // sub sp, sp, 16
    0xd2800000, // mov x0, 0
    0x910003e1, // mov x1, sp
    0xd2800102, // mov x2, 8
    0xd28007e8, // mov x8, 63 (read)
    0xd4000001, // svc 0
    0x528005c3, // mov w3, '.'
    0x390003e3, // strb w3, [sp]
    0xd2800020, // mov x0, 1
    0x910003e1, // mov x1, sp
    0xd2800022, // mov x2, 1
    0xd2800808, // mov x8, 64 (write)
    0xd4000001, // svc 0
    0xd2800540, // mov x0, 42
    0xd2800bc8, // mov x8, 94 (exit_group)
    0xd4000001, // svc 0
]);

#[cfg(target_arch = "aarch64")]
const HOLDS: &[u8] = &code::<16, 64>([
    0xd10043ff, // sub sp, sp, 16
    0x528005c3, // mov w3, '.'
    0x390003e3, // strb w3, [sp]
    0xd2800020, // mov x0, 1
    0x910003e1, // mov x1, sp
    0xd2800022, // mov x2, 1
    0xd2800808, // mov x8, 64 (write)
    0xd4000001, // svc 0
    0xd2800000, // again: mov x0, 0
    0xd28007e8, // mov x8, 63 (read)
    0xd4000001, // svc 0
    0xf100001f, // cmp x0, 0
    0x54ffff8c, // b.gt again
    0xd2800000, // mov x0, 0
    0xd2800bc8, // mov x8, 94 (exit_group)
    0xd4000001, // svc 0
]);

#[cfg(target_arch = "aarch64")]
const STAYS: &[u8] = &code::<7, 28>([
    0xd2800000, // mov x0, 0
    0xd2800001, // mov x1, 0
    0xd2800002, // mov x2, 0
    0xd2800003, // mov x3, 0
    0xd2800928, // mov x8, 73 (ppoll, of nothing and for ever)
    0xd4000001, // svc 0
    0x17fffffa, // b to the start
]);

#[cfg(target_arch = "aarch64")]
const fn code<const WORDS: usize, const BYTES: usize>(words: [u32; WORDS]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let mut at = 0;
    while at < BYTES {
        bytes[at] = words[at / 4].to_le_bytes()[at % 4];
        at += 1;
    }
    bytes
}

/// elf(5): the header of the file, the header of one segment that covers the whole file, and then the code.
fn write(file: &Path, code: &[u8]) -> io::Result<PathBuf> {
    const LOAD_AT: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let size = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |elf: &mut Vec<u8>, value: u16| elf.extend(value.to_le_bytes());
    let word = |elf: &mut Vec<u8>, value: u32| elf.extend(value.to_le_bytes());
    let long = |elf: &mut Vec<u8>, value: u64| elf.extend(value.to_le_bytes());
    half(&mut elf, 2); // an executable, not position-independent
    half(&mut elf, machine);
    word(&mut elf, 1); // version
    long(&mut elf, LOAD_AT + HEADERS); // entry
    long(&mut elf, 64); // where the segment's header is
    long(&mut elf, 0); // no sections
    word(&mut elf, 0); // flags
    for value in [64, 56, 1, 64, 0, 0] {
        half(&mut elf, value); // sizes and counts of the headers
    }
    word(&mut elf, 1); // PT_LOAD
    word(&mut elf, 5); // readable, executable
    for value in [0, LOAD_AT, LOAD_AT, size, size, 0x1000] {
        long(&mut elf, value); // offset, addresses, sizes, alignment
    }
    elf.extend(code);
    fs::write(file, elf)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    Ok(file.to_path_buf())
}
