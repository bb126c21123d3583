//! Where a model is asked, and whether it can be asked there.

use std::env::{self, VarError};
use std::fmt;
use std::io;
use std::net::IpAddr;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};
use turing_domain::{Llm, LlmProtocol};

use super::LlmLimits;
use super::client;
use super::secret::Secret;

/// Why an endpoint cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text is not an address, or not one that can be a base.
    #[error("`endpoint` is `{endpoint}`, which {reason}; use an address such as {EXAMPLE}")]
    Malformed {
        /// The text, without credentials and query.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The address holds a user or a password.
    #[error(
        "`endpoint` is `{endpoint}`, which holds credentials; \
         put the key into an environment variable and name that in `api_key_env`"
    )]
    Credentials {
        /// The text, without credentials and query.
        endpoint: String,
    },
    /// The variable that should hold the key is not set, or empty.
    #[error(
        "the environment variable `{variable}` is not set; it should hold the key of {endpoint}"
    )]
    KeyUnset {
        /// The name in `api_key_env`.
        variable: String,
        /// Whom the key is for.
        endpoint: String,
    },
    /// The key cannot be sent.
    #[error(
        "the environment variable `{variable}` holds characters that cannot stand in a request; \
         put the key of {endpoint} into it"
    )]
    KeyUnusable {
        /// The name in `api_key_env`.
        variable: String,
        /// Whom the key is for.
        endpoint: String,
    },
    /// The key would travel through public networks for everyone to read.
    #[error(
        "the key of {endpoint} would be sent unencrypted; use https, or a host in your network"
    )]
    KeyExposed {
        /// Whom the key is for.
        endpoint: String,
    },
    /// Nothing says which servers are who they say they are.
    #[error(
        "{endpoint} cannot be asked over https, because this system has no trusted certificates; \
         install them (often a package `ca-certificates`), or name a file in SSL_CERT_FILE"
    )]
    NoCertificates {
        /// Who cannot be asked.
        endpoint: String,
        /// What was looked for.
        #[source]
        source: io::Error,
    },
    /// The temperature is no number.
    #[error(
        "`temperature` is {temperature}, which a request cannot hold; use a number such as 0.2"
    )]
    Temperature {
        /// The value, which is infinite or not a number.
        temperature: f64,
    },
}

const EXAMPLE: &str = "http://localhost:11434";

/// Says before a run whether the actor's endpoint can be asked at all; nothing is sent.
///
/// # Errors
///
/// When the address is not an `http` or `https` base address, the key's variable is not set or
/// cannot be sent, a key would leave the local network unencrypted, or https is not possible on
/// this system.
pub fn check_endpoint(actor: &Llm) -> Result<(), EndpointError> {
    let address = Address::of(actor)?;
    let key = api_key(actor)?;
    check_call(actor, &address, key.as_ref())?;
    if address.is_secure() {
        client::secure_connector(LlmLimits::default().connect).map_err(|source| {
            EndpointError::NoCertificates { endpoint: address.to_string(), source }
        })?;
    }
    Ok(())
}

/// Reads the key of the actor's endpoint from the environment.
///
/// # Errors
///
/// When `api_key_env` names a variable that is not set, or holds nothing that can be sent.
pub fn api_key(actor: &Llm) -> Result<Option<Secret>, EndpointError> {
    let Some(variable) = &actor.api_key_env else {
        return Ok(None);
    };
    let (variable, endpoint) = (variable.clone(), shown(&actor.endpoint));
    match env::var(&variable) {
        Ok(key) if key.trim().is_empty() => Err(EndpointError::KeyUnset { variable, endpoint }),
        Ok(key) => match Secret::new(&key) {
            secret if secret.to_header().is_ok() => Ok(Some(secret)),
            _ => Err(EndpointError::KeyUnusable { variable, endpoint }),
        },
        Err(VarError::NotPresent) => Err(EndpointError::KeyUnset { variable, endpoint }),
        Err(VarError::NotUnicode(_)) => Err(EndpointError::KeyUnusable { variable, endpoint }),
    }
}

/// What must hold for every call, checked before or not.
pub(super) fn check_call(
    actor: &Llm,
    address: &Address,
    key: Option<&Secret>,
) -> Result<(), EndpointError> {
    if let Some(temperature) = actor.temperature.filter(|number| !number.is_finite()) {
        return Err(EndpointError::Temperature { temperature });
    }
    let endpoint = || address.to_string();
    match (key.filter(|key| !key.is_empty()), &actor.api_key_env) {
        (None, Some(variable)) => {
            Err(EndpointError::KeyUnset { variable: variable.clone(), endpoint: endpoint() })
        }
        (Some(_), _) if !address.is_secure() && !address.is_local() => {
            Err(EndpointError::KeyExposed { endpoint: endpoint() })
        }
        _ => Ok(()),
    }
}

/// The address of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address(Uri);

impl Address {
    /// The base address of the actor with the path of its protocol.
    pub(super) fn of(actor: &Llm) -> Result<Self, EndpointError> {
        let text = actor.endpoint.as_str();
        let malformed = |reason| EndpointError::Malformed { endpoint: shown(text), reason };
        if text.contains('@') {
            return Err(EndpointError::Credentials { endpoint: shown(text) });
        }
        if text.contains(['?', '#']) {
            return Err(malformed("has a query or a fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| malformed("is no address"))?;
        let scheme =
            uri.scheme().ok_or_else(|| malformed("does not begin with http:// or https://"))?;
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(malformed("does not begin with http:// or https://"));
        }
        let authority = uri.authority().ok_or_else(|| malformed("names no host"))?;
        if authority.host().is_empty() {
            return Err(malformed("names no host"));
        }
        if !has_valid_port(authority) {
            return Err(malformed("has a port that is not a number from 1 to 65535"));
        }
        let path = path_of(actor.protocol);
        let mut prefix = uri.path().trim_end_matches('/');
        if prefix.ends_with(path) {
            return Err(malformed(
                "has the path of the request, which is added to the base address",
            ));
        }
        if actor.protocol == LlmProtocol::OpenaiChat {
            prefix = prefix.strip_suffix("/v1").unwrap_or(prefix);
        }
        let whole = Uri::builder()
            .scheme(scheme.clone())
            .authority(authority.clone())
            .path_and_query(format!("{prefix}{path}"));
        whole.build().map(Self).map_err(|_| malformed("is no address"))
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(super) fn is_secure(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// True for this machine, private addresses, and names that only a local network can know.
    fn is_local(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        match host.parse() {
            Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            Ok(IpAddr::V6(ip)) => {
                ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
            Err(_) => {
                !host.contains('.')
                    || [".localhost", ".local", ".internal"].iter().any(|end| host.ends_with(end))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

fn path_of(protocol: LlmProtocol) -> &'static str {
    match protocol {
        LlmProtocol::OllamaGenerate => "/api/generate",
        LlmProtocol::OllamaChat => "/api/chat",
        LlmProtocol::OpenaiChat => "/v1/chat/completions",
    }
}

/// A port out of range is silently none to the parser of addresses.
fn has_valid_port(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        Some(rest) => authority.port_u16().is_some_and(|port| port > 0 && rest.starts_with(':')),
        None => false,
    }
}

/// An address as far as it may be shown: without credentials and query.
fn shown(endpoint: &str) -> String {
    let address = endpoint.split(['?', '#']).next().unwrap_or_default();
    // a password may hold any of the characters that end a host
    let Some((credentials, rest)) = endpoint.rsplit_once('@') else {
        return address.to_owned();
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match credentials.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{rest}"),
        None => format!("***@{rest}"),
    }
}
