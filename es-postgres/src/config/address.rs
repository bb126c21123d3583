//! The address of a database as text.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use super::encryption::{self, Said};
use super::{Layout, PostgresConfig, Session};
use crate::identifier::Identifier;

/// A text that is no address of a PostgreSQL database. It does not repeat the text, which may hold
/// a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not of the form of an address.
    #[error("not an address of a PostgreSQL database; write postgres://user@host:5432/database")]
    Form,
    /// A character of a user, password or database is read as the end of its part.
    #[error(
        "the address cannot be divided into its parts; in user, password and database write / as \
         %2F, ? as %3F, # as %23, @ as %40 and % as %25, and behind the question mark & as %26"
    )]
    Unescaped,
    /// It names no database.
    #[error("the address names no database; write postgres://user@host:5432/database")]
    NoDatabase,
    /// A parameter behind the question mark is unknown.
    #[error(
        "unknown parameter `{name}` in the address; known are application_name, host, port, user, \
         password, dbname, options, sslmode, sslrootcert, sslcert, sslkey, and for the store schema \
         and pooled"
    )]
    Parameter {
        /// The name of the parameter, not its value.
        name: String,
    },
    /// A parameter has an impossible value.
    #[error(
        "the address has an impossible value, for instance of its port, sslmode, schema or pooled"
    )]
    Value,
    /// `PGSSLMODE` is no mode, and would be taken for none.
    #[error(
        "PGSSLMODE has an impossible value; write verify-full, verify-ca, require, prefer, allow or \
         disable, or leave it out"
    )]
    Environment,
    /// The system's authorities are to be trusted, by a mode that asks none.
    #[error("sslrootcert=system needs sslmode=verify-full, which is the default with it")]
    WeakMode,
}

impl FromStr for PostgresConfig {
    type Err = ConfigError;

    /// Reads an address such as `postgres://user:password@host:5432/database?sslrootcert=ca.pem`.
    ///
    /// Two parameters are the store's own: `schema=NAME`, and `pooled=true` for
    /// [`Session::Pooled`].
    ///
    /// What the address leaves out is taken from the environment, as `psql` does: `PGPASSWORD`,
    /// the password file, and so on. Without `sslmode` and `PGSSLMODE` it is `verify-full`, but for
    /// `localhost`, the addresses of this machine and Unix sockets.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const KNOWN: [&str; 17] = [
            "application_name",
            "dbname",
            "host",
            "hostaddr",
            "options",
            "password",
            "port",
            "ssl-ca",
            "ssl-cert",
            "ssl-key",
            "ssl-mode",
            "ssl-root-cert",
            "sslcert",
            "sslkey",
            "sslmode",
            "sslrootcert",
            "user",
        ];
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(ConfigError::Form);
        }
        if is_unescaped(text) {
            return Err(ConfigError::Unescaped);
        }
        let (address, parameters) = text.split_once('?').unwrap_or((text, ""));
        let (mut passed_on, mut has_password) = (Vec::new(), false);
        let (mut layout, mut session) = (Layout::default(), Session::Own);
        let mut said =
            Said { has_authority: std::env::var_os("PGSSLROOTCERT").is_some(), ..Said::default() };
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (name, value) {
                ("pooled", "true") => session = Session::Pooled,
                ("pooled", "false") => session = Session::Own,
                ("pooled", _) => return Err(ConfigError::Value),
                ("schema", schema) => {
                    layout.schema = Identifier::new(schema).map_err(|_| ConfigError::Value)?;
                }
                // what follows a password may be the rest of it
                (name, _) if !KNOWN.contains(&name) && has_password => {
                    return Err(ConfigError::Unescaped);
                }
                // sqlx tells of unknown parameters in the log, value included
                (name, _) if !KNOWN.contains(&name) => {
                    let name = name.chars().take(40).flat_map(char::escape_debug).collect();
                    return Err(ConfigError::Parameter { name });
                }
                ("sslrootcert" | "ssl-root-cert" | "ssl-ca", "system") => said.is_of_system = true,
                (name, _) => {
                    said.has_mode |= matches!(name, "sslmode" | "ssl-mode");
                    said.has_authority |=
                        matches!(name, "sslrootcert" | "ssl-root-cert" | "ssl-ca");
                    has_password |= name == "password";
                    passed_on.push(parameter);
                }
            }
        }
        let mut options = read(address, &passed_on)?;
        if let Some(inner) = encryption::without_brackets(options.get_host()) {
            // sqlx would look up the brackets, too
            let host = format!("host={inner}");
            passed_on.push(&host);
            options = read(address, &passed_on)?;
        }
        if options.get_database().is_none() {
            return Err(ConfigError::NoDatabase);
        }
        if !said.has_mode {
            said.has_mode = encryption::is_in_environment()?;
        }
        let mode = said.mode(&options)?;
        let config = Self::new(options.ssl_mode(mode)).layout(layout).session(session);
        Ok(if said.has_mode { config.ssl_mode(mode) } else { config })
    }
}

/// What sqlx makes of an address and parameters.
fn read(address: &str, parameters: &[&str]) -> Result<PgConnectOptions, ConfigError> {
    let address = format!("{address}?{}", parameters.join("&"));
    PgConnectOptions::from_str(&address).map_err(|error| match error {
        // its own text may repeat a part of the address
        sqlx::Error::Configuration(_) => ConfigError::Value,
        _ => ConfigError::Form,
    })
}

/// True if what should be a part of the user or password stands where a database or the name of a
/// parameter is expected, and would be shown as such.
fn is_unescaped(text: &str) -> bool {
    let (address, parameters) = text.split_once('?').unwrap_or((text, ""));
    let path = address.splitn(4, '/').nth(3).unwrap_or_default();
    let is_name =
        |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    text.contains('#')
        || path.contains('@')
        || !parameters.split('&').all(|one| is_name(one.split('=').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_address_is_told_without_repeating_it() {
        let table = [
            ("mysql://u:canary@h/d", ConfigError::Form),
            ("canary", ConfigError::Form),
            ("postgres://u:canary@h:99999999/d", ConfigError::Value),
            ("postgres://u:canary@h/d?sslmode=canary", ConfigError::Value),
            ("postgres://u:2/canary@h/d", ConfigError::Unescaped),
            ("postgres://u:2?canary@h/d", ConfigError::Unescaped),
            ("postgres://u:2#canary@h/d", ConfigError::Unescaped),
            ("postgres://u@h/d?password=2&canary", ConfigError::Unescaped),
            ("postgres://u@h/d?password=2&port=5432&canary=3", ConfigError::Unescaped),
            (
                "postgres://u@h/d?passwort=canary",
                ConfigError::Parameter { name: "passwort".to_owned() },
            ),
        ];
        for (address, expected) in table {
            let error = address.parse::<PostgresConfig>().unwrap_err();
            assert_eq!(error, expected, "{address}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }

    #[test]
    fn the_address_names_the_schema_and_a_proxy() {
        let read = |address: &str| address.parse::<PostgresConfig>();
        let config = read("postgres://u@h/d?schema=jobs&pooled=true&sslmode=disable").unwrap();
        assert_eq!((config.layout.schema.as_str(), config.session), ("jobs", Session::Pooled));
        for bad in ["schema=a;b", "schema=", "pooled=maybe"] {
            assert_eq!(read(&format!("postgres://u@h/d?{bad}")).unwrap_err(), ConfigError::Value);
        }
    }
}
