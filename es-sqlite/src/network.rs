//! Whether a file is on another machine, where its locks and shared memory cannot be relied on.

use std::path::Path;

/// Types of file systems whose files other machines have, as the kernel names them.
#[cfg(target_os = "linux")]
const NETWORK: [&str; 16] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];

/// Warns if the file is on a network file system.
#[cfg(target_os = "linux")]
pub(crate) fn warn_of_network(path: &Path) {
    use std::os::unix::fs::MetadataExt;
    let (Ok(file), Ok(mounts)) =
        (std::fs::metadata(path), std::fs::read_to_string("/proc/self/mountinfo"))
    else {
        return;
    };
    let device = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    if let Some(file_system) = network_type(&mounts, device) {
        tracing::warn!(
            store = %path.display(), file_system,
            "the store {} is on a network file system ({file_system}), where locks and shared memory do \
             not reach other machines, and often are not kept on this one: two programs can destroy it; \
             use a local file system, or PostgreSQL",
            path.display(),
        );
    }
}

/// Elsewhere it is not told.
#[cfg(not(target_os = "linux"))]
pub(crate) fn warn_of_network(_: &Path) {}

/// The type of the file system that is this device, if it is one of a network.
///
/// A line of `mountinfo` has the device as its third word, and the type after a word that is a
/// hyphen.
#[cfg(target_os = "linux")]
fn network_type(mounts: &str, (major, minor): (u32, u32)) -> Option<&str> {
    let device = format!("{major}:{minor}");
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some(device.as_str()))?;
    let (_, rest) = mount.split_once(" - ")?;
    rest.split(' ').next().filter(|name| NETWORK.contains(name))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /tmp rw,nosuid shared:4 - tmpfs tmpfs rw
41 22 0:51 / /mnt/data rw,relatime shared:9 master:2 - nfs4 server:/export rw,vers=4.2
42 22 0:52 / /mnt/a\\040b rw - fuse.sshfs user@host: rw
43 22 0:53 / /mnt/local rw - fuse.gocryptfs /cipher rw
44 22 0:54 / /mnt/share rw - cifs //server/share rw
45 22 0:5 / /dev rw - devtmpfs udev rw
";

    #[test]
    fn only_file_systems_of_a_network_are_told_of() {
        let types = [(254, 0), (0, 26), (0, 51), (0, 52), (0, 53), (0, 54), (0, 5), (7, 7), (0, 2)]
            .map(|device| network_type(MOUNTS, device));
        let (nfs, sshfs, cifs) = (Some("nfs4"), Some("fuse.sshfs"), Some("cifs"));
        assert_eq!(types, [None, None, nfs, sshfs, None, cifs, None, None, None]);
    }
}
