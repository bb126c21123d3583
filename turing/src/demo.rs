//! The bundled example: a workflow, its scripts and job adverts, as files.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The files of the demo, by their path below its folder.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/demo_files.rs"));

/// The definition, below the folder of the demo.
pub(crate) const DEFINITION: &str = "workflow.toml";

/// The folder of the postings, below the folder of the demo.
pub(crate) const POSTINGS: &str = "postings";

/// Writes the demo's files into `folder`; scripts are executable.
///
/// # Errors
///
/// When a file cannot be written.
pub(crate) fn write_to(folder: &Path) -> io::Result<()> {
    for (name, content) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)?;
        if content.starts_with(b"#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}
