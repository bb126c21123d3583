//! Endpoints over https. The certificates are for nothing but these tests, and valid for a century.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::server::*;

const PROTOCOL: LlmProtocol = LlmProtocol::OpenaiChat;
const AUTHORITY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/library/llm/certificates/authority.pem");

async fn server() -> Server {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("certificates/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("certificates/server.key")).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Server::start_secure(Reply::text(PROTOCOL, "fine"), TlsAcceptor::from(Arc::new(config))).await
}

#[tokio::test]
async fn an_endpoint_with_a_trusted_certificate_is_asked() {
    if !is_child(
        "llm::tls::an_endpoint_with_a_trusted_certificate_is_asked",
        &[("SSL_CERT_FILE", AUTHORITY), ("SSL_CERT_DIR", "")],
    ) {
        return;
    }
    let mut server = server().await;
    let mut call = server.call(PROTOCOL);
    call.api_key = Some(Secret::new("sk-1234"));
    check_endpoint(&call.actor).unwrap();
    let client = LlmClient::new();
    for _ in 0..2 {
        assert_eq!(completed(call_llm(&client, &call).await).0, "fine");
        let request = server.request().await;
        assert_eq!(request.connection, 0);
        assert_eq!(request.headers["authorization"], "Bearer sk-1234");
    }

    // the certificate is for an address, and not for this name of it
    call.actor.endpoint = format!("https://localhost:{}", server.address.port());
    let (failure_type, error) = failure(call_llm(&client, &call).await);
    assert_eq!(failure_type, FailureType::Connection);
    assert_contains(&error, "invalid peer certificate");
}

#[tokio::test]
async fn a_certificate_of_nobody_we_trust_ends_the_call_before_the_key_is_sent() {
    let another = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/library/llm/certificates/server.pem");
    if !is_child(
        "llm::tls::a_certificate_of_nobody_we_trust_ends_the_call_before_the_key_is_sent",
        &[("SSL_CERT_FILE", another), ("SSL_CERT_DIR", "")],
    ) {
        return;
    }
    // trust in something else altogether
    let mut server = server().await;
    let mut call = server.call(PROTOCOL);
    call.api_key = Some(Secret::new("sk-1234"));
    let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::Connection);
    assert_contains(&error, "invalid peer certificate");
    assert_contains(&error, "SSL_CERT_FILE");
    assert_eq!(server.requests_left(), 0);
}

#[tokio::test]
async fn https_without_any_trusted_certificate_is_refused_before_a_run() {
    if !is_child(
        "llm::tls::https_without_any_trusted_certificate_is_refused_before_a_run",
        &[("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "")],
    ) {
        return;
    }
    let server = server().await;
    let call = server.call(PROTOCOL);
    let error = check_endpoint(&call.actor).unwrap_err();
    assert!(matches!(error, EndpointError::NoCertificates { .. }), "{error:?}");
    let (failure_type, text) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::InvalidInput);
    assert_contains(&text, &error.to_string());
    // http needs none
    assert!(check_endpoint(&actor("http://localhost", PROTOCOL)).is_ok());
}

#[tokio::test]
async fn an_http_server_behind_an_https_address_is_a_connection_failure() {
    if !is_child(
        "llm::tls::an_http_server_behind_an_https_address_is_a_connection_failure",
        &[("SSL_CERT_FILE", AUTHORITY), ("SSL_CERT_DIR", "")],
    ) {
        return;
    }
    // it speaks first, because a TLS greeting is no request that it would reply to
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let speaker = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let reply = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, reply).await.unwrap();
        stream
    });
    let call = call(actor(&format!("https://{address}"), PROTOCOL));
    let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::Connection);
    assert_contains(&error, "could not be reached: ");
    drop(speaker.await.unwrap());
}
