//! Bytes as people and the kernel write them: buffers to write text into, numbers and sizes, lists, paths
//! and addresses.
//!
//! Words, paths and files of the kernel need not be UTF-8, so all of this works on `&[u8]`.

mod address;
mod number;
mod put;
mod split;

pub use address::{Address, Subnet, parse_v6};
pub use number::{Malformed, Set, cpus, decimal, fingerprint, hexadecimal, list, size};
pub use put::{FixedBytes, Put, Sink, commands_a_terminal, to_decimal};
pub use split::{Parts, below, c_string, clean_path, field, has_part, path_in, position, split, split_once, words};
