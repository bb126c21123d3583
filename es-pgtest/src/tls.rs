//! Certificates for a test, and what a server needs to show one.

use std::{
    fs::{self, Permissions},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::{account::Account, error::Error, folder::Folder};

/// An authority that signs certificates for one test.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both as PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // two that are called the same would be taken for one another
        let name = format!("es-pgtest {:016x}", fastrand::u64(..));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, key()).expect("an authority signs itself"))
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for the server of this name or address.
    pub fn server(&self, name: &str) -> Certificate {
        self.sign(name, ExtendedKeyUsagePurpose::ServerAuth, 4000)
    }

    /// The same, and it has expired.
    pub fn expired(&self, name: &str) -> Certificate {
        self.sign(name, ExtendedKeyUsagePurpose::ServerAuth, 2001)
    }

    /// A certificate for a client that connects as this user.
    pub fn client(&self, user: &str) -> Certificate {
        self.sign(user, ExtendedKeyUsagePurpose::ClientAuth, 4000)
    }

    fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose, end: i32) -> Certificate {
        let key = key();
        let mut params = CertificateParams::new([name.to_owned()]).expect("the name is one");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages.push(usage);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(end, 1, 1);
        let signed = params.signed_by(&key, &self.0).expect("an authority signs");
        Certificate { certificate: signed.pem(), key: key.serialize_pem() }
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

/// Gives the cluster the certificate, and whose clients' certificates it takes; answers the settings
/// that say so. Without a certificate nothing is encrypted.
pub(crate) fn install(
    folder: &Folder,
    account: Account,
    certificate: Option<&Certificate>,
    clients: Option<&Authority>,
) -> Result<Vec<(&'static str, &'static str)>, Error> {
    let put = |name: &'static str, text: &str| {
        let path = folder.data().join(name);
        // made anew: the server's user owns the one before
        let _ = fs::remove_file(&path);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        // the server refuses a key that others may read
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(Error::file("set the mode of", &path))?;
        account.own(&path).map(|()| name)
    };
    let Some(certificate) = certificate else { return Ok(vec![("ssl", "off")]) };
    let clients = match clients {
        Some(authority) => put("clients.crt", &authority.pem())?,
        None => "",
    };
    Ok(vec![
        ("ssl", "on"),
        ("ssl_cert_file", put("server.crt", &certificate.certificate)?),
        ("ssl_key_file", put("server.key", &certificate.key)?),
        ("ssl_ca_file", clients),
    ])
}

/// A port of 127.0.0.1 that nobody has now, below those that the system gives away by itself, so
/// that it is free still when a server comes back to it.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..30_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Lets the socket of a server with this port be found where that of every server is.
pub(crate) fn link_socket(folder: &Folder, port: u16) -> Result<(), Error> {
    let socket = folder.socket();
    symlink(Path::new(&format!(".s.PGSQL.{port}")), &socket).map_err(Error::file("link", &socket))
}
