//! `cargo run --example manual -- FOLDER`: writes the man page and the completions into FOLDER. They are installed as
//! files next to the program, and are not part of it.

use std::path::PathBuf;

mod pages;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("a folder"));
    std::fs::create_dir_all(&folder)?;
    for (name, text) in pages::files() {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
