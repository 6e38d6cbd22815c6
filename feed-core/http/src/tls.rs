//! TLS for one client, with a provider of cryptography of its own: none is installed for the process, which may
//! have another one.

use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// Sets up TLS that trusts the authorities of the system, or none if the client only uses plain HTTP. If the process
/// has a provider, that one is used.
///
/// # Errors
///
/// Returns an error if this machine has no certificates of authorities.
pub fn configure(builder: ClientBuilder, uses_tls: bool) -> Result<ClientBuilder, rustls::Error> {
    if CryptoProvider::get_default().is_some() {
        return Ok(match uses_tls {
            true => builder,
            false => builder.tls_certs_only([]),
        });
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let config = match uses_tls {
        true => config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(provider)?)),
        false => config.with_root_certificates(RootCertStore::empty()),
    };
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(builder.tls_backend_preconfigured(config))
}

/// Installs ring's provider, unless the process has one: reqwest's own TLS settings need it.
pub fn install_if_missing() {
    if CryptoProvider::get_default().is_none() {
        // Fails where another thread is faster: that one is used.
        let _ = ring::default_provider().install_default();
    }
}
