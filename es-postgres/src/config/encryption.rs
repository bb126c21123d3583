//! Which connections are encrypted, and which servers must prove who they are.

use std::env::VarError;
use std::net::IpAddr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::ConfigError;

/// The variable that gives the mode to the programs of PostgreSQL, and to sqlx.
pub(super) const VARIABLE: &str = "PGSSLMODE";

/// What nobody gave a mode verifies the server, unless that is on this machine.
///
/// sqlx does not tell `prefer` that was said from its default; `environment` is what
/// [`VARIABLE`] says.
pub(super) fn by_default(options: PgConnectOptions, environment: Option<&str>) -> PgConnectOptions {
    let is_said = environment.is_some_and(|mode| mode.eq_ignore_ascii_case("prefer"));
    let mode = match options.get_ssl_mode() {
        PgSslMode::Prefer if !is_said && !is_on_this_machine(&options) => PgSslMode::VerifyFull,
        mode => mode,
    };
    with_mode(options, mode)
}

/// The options with this mode. It has no meaning for a Unix socket, where servers refuse to encrypt.
pub(super) fn with_mode(options: PgConnectOptions, mode: PgSslMode) -> PgConnectOptions {
    let mode = if is_socket(&options) { PgSslMode::Disable } else { mode };
    options.ssl_mode(mode)
}

/// What an address and the environment say of encryption.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// A mode is in the address, or in the environment.
    pub(super) has_mode: bool,
    /// An authority is in the address, or in the environment.
    pub(super) has_authority: bool,
    /// `sslrootcert=system`: the system's authorities and no others.
    pub(super) is_of_system: bool,
}

impl Said {
    /// The mode of options that were read from an address and the environment.
    pub(super) fn mode(&self, options: &PgConnectOptions) -> Result<PgSslMode, ConfigError> {
        match options.get_ssl_mode() {
            mode @ PgSslMode::VerifyFull => Ok(mode),
            _ if self.is_of_system && self.has_mode => Err(ConfigError::WeakMode),
            _ if self.is_of_system => Ok(PgSslMode::VerifyFull),
            // as psql does; sqlx would look at no certificate
            PgSslMode::Require if self.has_authority => Ok(PgSslMode::VerifyCa),
            mode => Ok(mode),
        }
    }
}

/// True if the environment says a mode; sqlx would take one that is none for its default.
pub(super) fn is_in_environment() -> Result<bool, ConfigError> {
    match std::env::var(VARIABLE) {
        Ok(mode) if mode.is_empty() => Ok(false),
        Ok(mode) => match mode.parse::<PgSslMode>() {
            Ok(_) => Ok(true),
            Err(_) => Err(ConfigError::Environment),
        },
        Err(VarError::NotPresent) => Ok(false),
        Err(VarError::NotUnicode(_)) => Err(ConfigError::Environment),
    }
}

fn is_socket(options: &PgConnectOptions) -> bool {
    options.get_socket().is_some() || options.get_host().starts_with('/')
}

/// True if what is sent does not leave this machine. Names are not looked up: what a name server
/// answers is a part of what encryption protects from, and may be another thing a moment later.
fn is_on_this_machine(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    is_socket(options)
        || host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(is_loopback)
}

/// An IPv6 address that stands in brackets, as it must in an address.
pub(super) fn without_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PostgresConfig;

    /// The mode of a store, as an address writes it.
    fn shown(config: &PostgresConfig) -> &'static str {
        match config.connect_options().get_ssl_mode() {
            PgSslMode::Disable => "disable",
            PgSslMode::Allow => "allow",
            PgSslMode::Prefer => "prefer",
            PgSslMode::Require => "require",
            PgSslMode::VerifyCa => "verify-ca",
            PgSslMode::VerifyFull => "verify-full",
        }
    }

    #[test]
    fn an_address_without_a_mode_verifies_the_server_unless_it_is_on_this_machine() {
        let table = [
            ("u@db.example/d", "verify-full"),
            ("u@db.example:5433/d?sslrootcert=/ca.pem", "verify-full"),
            ("u@192.0.2.1/d", "verify-full"),
            ("u@[2001:db8::1]:5433/d", "verify-full"),
            ("u@10.0.0.1/d", "verify-full"),
            ("u@0.0.0.0/d", "verify-full"),
            // a name, wherever it leads
            ("u@127.1/d", "verify-full"),
            ("u@localhost.example/d", "verify-full"),
            ("u@my.localhost/d", "verify-full"),
            ("/d?user=u&host=db.example", "verify-full"),
            ("u@localhost/d?host=db.example", "verify-full"),
            ("u@localhost/d?hostaddr=192.0.2.1", "verify-full"),
            ("u@localhost/d", "prefer"),
            ("u@LocalHost:5433/d", "prefer"),
            ("u@127.0.0.1/d", "prefer"),
            ("u@127.8.9.10/d", "prefer"),
            ("u@[::1]/d", "prefer"),
            ("u@[::ffff:127.0.0.1]/d", "prefer"),
            ("u@db.example/d?hostaddr=127.0.0.1", "prefer"),
            ("/d?user=u&host=::1", "prefer"),
            // a socket, where a mode means nothing
            ("/d?user=u&host=/run/postgresql", "disable"),
            ("u@%2Frun%2Fpostgresql/d", "disable"),
            ("u@db.example/d?host=/run/postgresql", "disable"),
            ("/d?user=u&host=/run/postgresql&sslmode=verify-full", "disable"),
            // what is said is done
            ("u@db.example/d?sslmode=disable", "disable"),
            ("u@db.example/d?sslmode=allow", "allow"),
            ("u@db.example/d?sslmode=prefer", "prefer"),
            ("u@db.example/d?ssl-mode=prefer", "prefer"),
            ("u@db.example/d?sslmode=require", "require"),
            ("u@db.example/d?sslmode=verify-ca", "verify-ca"),
            ("u@localhost/d?sslmode=verify-full", "verify-full"),
            // with an authority there is something to verify
            ("u@db.example/d?sslmode=require&sslrootcert=/ca.pem", "verify-ca"),
            ("u@localhost/d?ssl-ca=/ca.pem&sslmode=require", "verify-ca"),
            ("u@localhost/d?sslrootcert=system", "verify-full"),
            ("u@db.example/d?sslrootcert=system&sslmode=verify-full", "verify-full"),
        ];
        for (address, mode) in table {
            let config: PostgresConfig = format!("postgres://{address}").parse().unwrap();
            assert_eq!(shown(&config), mode, "{address}");
        }
        for mode in ["disable", "prefer", "require", "verify-ca"] {
            let address = format!("postgres://u@h/d?sslrootcert=system&sslmode={mode}");
            assert_eq!(address.parse::<PostgresConfig>().unwrap_err(), ConfigError::WeakMode);
        }
    }

    #[test]
    fn options_that_nobody_gave_a_mode_verify_the_server_too() {
        let at = |host: &str| PgConnectOptions::new_without_pgpass().host(host);
        let table = [
            (PostgresConfig::new(at("db.example")), "verify-full"),
            // sqlx does not tell it from its default
            (PostgresConfig::new(at("db.example").ssl_mode(PgSslMode::Prefer)), "verify-full"),
            (PostgresConfig::new(at("db.example")).ssl_mode(PgSslMode::Prefer), "prefer"),
            (PostgresConfig::new(at("db.example").ssl_mode(PgSslMode::Disable)), "disable"),
            (PostgresConfig::new(at("db.example").ssl_mode(PgSslMode::Require)), "require"),
            (PostgresConfig::new(at("::1")), "prefer"),
            (PostgresConfig::new(at("/run/postgresql")), "disable"),
            (PostgresConfig::new(at("db.example").socket("/run/postgresql")), "disable"),
            (PostgresConfig::new(at("/run")).ssl_mode(PgSslMode::VerifyFull), "disable"),
        ];
        for (config, mode) in table {
            assert_eq!(shown(&config), mode, "{config:?}");
        }
    }

    #[test]
    fn prefer_is_kept_if_the_environment_says_it() {
        let at = |host: &str| PgConnectOptions::new_without_pgpass().host(host);
        let mode = |said| by_default(at("db.example"), said).get_ssl_mode();
        assert!(matches!(mode(Some("PREFER")), PgSslMode::Prefer));
        assert!(matches!(mode(Some("")), PgSslMode::VerifyFull));
        assert!(matches!(mode(None), PgSslMode::VerifyFull));
    }
}
