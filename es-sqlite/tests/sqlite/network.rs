//! A store on a file system of other machines, which is told of when it is opened.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

use crate::listener::{listened_to, warnings};
use crate::support::{Folder, child, child_path, succeeds};

#[path = "../disk/library.rs"]
mod library;

#[test]
fn a_network_file_system_is_told_of_when_a_store_there_is_opened() {
    if child_path().is_some() {
        let folder = Folder::new();
        let _store = listened_to(&folder);
        println!("{}", warnings(&folder).concat());
        return;
    }
    let folder = Folder::new();
    let [library, mounts] = ["trace.so", "mounts"].map(|name| folder.path().with_file_name(name));
    library::compile(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disk/trace.c"), &library);
    // all that this test makes, in this process or in another, is on one file system
    let device = fs::metadata(&library).unwrap().dev();
    let (major, minor) = (major(device), minor(device));
    for (file_system, is_told) in [("nfs4", true), ("ext4", false)] {
        let mount =
            format!("41 22 {major}:{minor} / /data rw shared:9 - {file_system} /dev/data rw\n");
        fs::write(&mounts, mount).unwrap();
        let name = "network::a_network_file_system_is_told_of_when_a_store_there_is_opened";
        let mut command = child(name, &folder.path());
        command.env("LD_PRELOAD", &library).env("DISK_MOUNTS", &mounts);
        let told = succeeds(command);
        assert_eq!(told.contains("is on a network file system (nfs4)"), is_told, "{told}");
    }
}
