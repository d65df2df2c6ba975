//! TLS by rustls, on both ports, to the gateway and to upstreams.
//!
//! * [`ServerTls`] stands behind [`Entry::tls`](crate::entry::Entry::tls) for outside traffic, and
//!   [`ServeAgents::tls`](crate::gateway::ServeAgents::tls) for the port that agents dial.
//! * [`ClientTls`] is what [`AgentBuilder`](crate::AgentBuilder) and
//!   [`UpstreamBuilder`](crate::upstream::UpstreamBuilder) verify the other side by, where the address is `https`.
//!
//! ```no_run
//! # async fn run(app: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
//! use tunnel_transport::{entry::Entry, net, tls::{Identity, Pem, ServerTls}};
//!
//! let tls = ServerTls::builder()
//!     .certificate(Identity::files("tls/example.com.pem", "tls/example.com.key"))
//!     .certificate(Identity::files("tls/wildcard.pem", "tls/wildcard.key").for_names(["*.example.com"]))
//!     .request_client_certificates([Pem::file("tls/clients-ca.pem")])
//!     .build()?;
//! let listener = net::bind(([0, 0, 0, 0], 443).into(), net::DEFAULT_BACKLOG)?;
//! Entry::new().tls(tls).serve(listener, app).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - TLS 1.2 and 1.3 with the suites of rustls and the cryptography of aws-lc-rs, which is always named and never taken from
//!   the process.
//! - There is no way to connect without verifying the server.
//! - Certificates, keys and CAs that stand in files are read again when their content changes. What has changed holds for new
//!   connections; open ones stay, but for an agent's session whose certificate is not valid any more
//!   ([`recheck_agents`](crate::gateway::GatewayBuilder::recheck_agents)). What is wrong is logged, and changes nothing.
//! - Sessions are resumed only under the files with which they began, and never where clients show certificates.
//! - No 0-RTT data is taken or sent (RFC 8446, section 8: it can be replayed).
//! - A request on a connection with TLS has [`TlsInfo`] in its extensions; if the client showed a certificate that was verified,
//!   [`TlsIdentity`](tunnel_core::TlsIdentity) as well.
//!
//! Revocation lists and OCSP are not looked at: certificates that live for hours or days and a CA that can be exchanged do the
//! same without a second source of truth.

mod accept;
mod alpn;
mod client;
mod error;
mod identity;
mod pem;
mod reload;
mod roots;
mod server;
mod shown;
mod sni;
mod sniff;
#[cfg(test)]
mod tests;
mod versions;
mod x509;

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use self::{
    accept::TlsInfo,
    client::{ClientTls, ClientTlsBuilder},
    error::TlsError,
    identity::Identity,
    pem::Pem,
    server::{ServerTls, ServerTlsBuilder},
};
pub(crate) use self::{
    accept::{accept, poll_left},
    alpn::{Alpn, is_http2},
    shown::Shown,
    sniff::Sniff,
};

/// The cryptography, whatever the process has for its default.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}
