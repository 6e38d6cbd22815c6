//! TLS for one client, with a provider of cryptography of its own: none is installed for the process, which may be
//! another team's and have another one.

use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// The client that `builder` makes, with TLS that trusts the authorities of the system; or nobody, if it is not to
/// speak it. If the process has a provider, that one is used.
///
/// # Errors
///
/// There are no certificates of authorities on this machine.
pub fn configure(builder: ClientBuilder, is_spoken: bool) -> Result<ClientBuilder, rustls::Error> {
    if CryptoProvider::get_default().is_some() {
        return Ok(match is_spoken {
            true => builder,
            false => builder.tls_certs_only([]),
        });
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let config = match is_spoken {
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
