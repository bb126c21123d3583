//! The bundled example: a workflow, its scripts and job adverts, as files.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The files of the demo, by their path below its folder.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/demo_files.rs"));

/// The definition, below the folder of the demo.
pub(crate) const DEFINITION: &str = "workflow.toml";

/// The folder of the postings, below the folder of the demo.
pub(crate) const POSTINGS: &str = "postings";

/// What is in `folder` under a name of the demo's and is not the demo's.
///
/// # Errors
///
/// When something there cannot be read.
pub(crate) fn others_in(folder: &Path) -> io::Result<Vec<&'static str>> {
    let mut others = Vec::new();
    for (name, content) in FILES {
        match fs::read(folder.join(name)) {
            Ok(there) if there == *content => {}
            Ok(_) => others.push(*name),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::IsADirectory => others.push(*name),
            Err(error) => return Err(error),
        }
    }
    Ok(others)
}

/// Writes those of the demo's files into `folder` that are not there; scripts are executable.
///
/// # Errors
///
/// When a file cannot be written; then nothing is left of it.
pub(crate) fn write_to(folder: &Path) -> io::Result<()> {
    for (name, content) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // whatever has come there since somebody looked stays as well
        let mut file = match File::create_new(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_file() => continue,
            Err(error) => return Err(error),
        };
        let written = file.write_all(content).and_then(|()| match content.starts_with(b"#!") {
            true => file.set_permissions(Permissions::from_mode(0o755)),
            false => Ok(()),
        });
        if let Err(error) = written {
            // half a file would be taken for one that somebody has changed
            let _ = fs::remove_file(&path);
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_what_is_missing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DEFINITION);
        assert_eq!(others_in(folder.path()).unwrap(), [] as [&str; 0]);
        write_to(folder.path()).unwrap();
        assert_eq!(others_in(folder.path()).unwrap(), [] as [&str; 0]);
        let original = fs::read(&path).unwrap();

        fs::write(&path, "mine").unwrap();
        assert_eq!(others_in(folder.path()).unwrap(), [DEFINITION]);
        write_to(folder.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"mine");

        fs::remove_file(&path).unwrap();
        write_to(folder.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), original);

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(others_in(folder.path()).unwrap(), [DEFINITION]);
        assert!(write_to(folder.path()).is_err());

        fs::remove_dir(&path).unwrap();
        // what it leads to is somebody else's
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(write_to(folder.path()).is_err());
        assert!(!folder.path().join("elsewhere").exists());
    }
}
