//! The framing of PostgreSQL's protocol, version 3.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// The code of a startup packet of version 3.0.
pub(crate) const VERSION_3: i32 = 3 << 16;

/// The bytes of a startup packet.
pub(crate) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(VERSION_3.to_be_bytes());
    for text in parameters.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    bytes.push(0);
    let length = u32::try_from(bytes.len()).expect("a startup packet is short");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// Whether a server that trusts its clients lets a user in.
pub(crate) fn answers(socket: &Path, user: &str) -> bool {
    try_connect(socket, user).is_ok()
}

fn try_connect(socket: &Path, user: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&startup(&[("user", user), ("database", "postgres")]))?;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
        io::copy(&mut (&stream).take(length), &mut io::sink())?;
        match kind {
            // ready for a query: say goodbye
            b'Z' => return stream.write_all(&[b'X', 0, 0, 0, 4]),
            b'E' => return Err(io::ErrorKind::ConnectionRefused.into()),
            _ => {}
        }
    }
}
