//! Puts the files of the bundled demo into the program.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=demo");
    let root = env::current_dir()?.join("demo");
    let mut list = String::from("&[\n");
    add(&root, &root, &mut list)?;
    list.push_str("]\n");
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("demo_files.rs"), list)
}

/// Adds the files of a folder, in the order of their names.
fn add(root: &Path, folder: &Path, list: &mut String) -> io::Result<()> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add(root, &path, list)?;
        } else {
            let name = path.strip_prefix(root).map_err(io::Error::other)?;
            // relative to the package: the folder may be moved after this ran.
            // writing to a String cannot fail
            let _ = writeln!(
                list,
                "({name:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/demo/\", {name:?}))),"
            );
        }
    }
    Ok(())
}
