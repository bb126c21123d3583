//! What failures of encryption mean, and what to do about them.

use std::io::ErrorKind;

use sqlx::Error;

/// sqlx has no other mark for these two; tests hold that its words are these.
const NOT_BUILT_IN: &str = "SQLx was built without TLS support";
const NOT_OFFERED: &str = "server does not support TLS";

/// What to do, if no encrypted connection could be made.
pub(super) fn advice(error: &Error) -> Option<&'static str> {
    let refused = "no encrypted connection could be made; the address must name the host as the \
                   server's certificate does, and sslrootcert=FILE the authority that signed it, \
                   unless the system trusts that; a client's own certificate is named by \
                   sslcert=FILE and sslkey=FILE";
    match error {
        Error::Tls(why) => Some(match why.to_string() {
            why if why.contains(NOT_BUILT_IN) => {
                "this program was built without encryption, and the address, or its default for \
                 another machine, asks for it; enable one of sqlx's features, such as \
                 tls-rustls-ring-native-roots, or say sslmode=disable where nobody else is on the \
                 network"
            }
            why if why.contains(NOT_OFFERED) => {
                "the server takes no encrypted connections, or somebody in between lets none \
                 through; let it have a certificate (ssl = on), or say sslmode=disable where nobody \
                 else is on the network"
            }
            _ => refused,
        }),
        // what rustls refuses comes as this
        Error::Io(why) if why.kind() == ErrorKind::InvalidData => Some(refused),
        _ => None,
    }
}
