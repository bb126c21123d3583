//! Libraries that are loaded before a program's own; the tests of `turing` make theirs with this, too.

use std::path::Path;
use std::process::Command;

/// Compiles a file of C into a library.
pub(crate) fn compile(source: &Path, library: &Path) {
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([library, source])
        .args(["-ldl", "-lpthread"])
        .output()
        .expect("a C compiler, which the tests need");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}
