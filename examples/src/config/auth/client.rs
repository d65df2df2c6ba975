//! The HTTP client that asks authorization servers, and issuers for their keys.

use std::net::IpAddr;

use http::Uri;
use serde_saphyr::Spanned;
use tunnel_transport::Upstream;

use crate::config::{Surroundings, error::Checker, tls::RawClientTls};

/// Connections to one server; there are few calls, since answers are remembered.
const MAX_CONNECTIONS: usize = 8;

/// A client for the server at this address.
pub(super) fn client(
    url: &Spanned<String>,
    tls: Option<&Spanned<RawClientTls>>,
    around: &Surroundings<'_>,
    checker: &mut Checker<'_>,
) -> Option<(Uri, Upstream)> {
    let uri = checker.take(url.referenced, parse(&url.value))?;
    let (scheme, authority) = uri.scheme_str().zip(uri.authority())?;
    let mut upstream = Upstream::builder(format!("{scheme}://{authority}")).max_connections(MAX_CONNECTIONS);
    if let Some(tls) = tls {
        upstream = upstream.tls(tls.value.check(tls.referenced, around, checker)?);
    }
    let upstream = checker.take(url.referenced, upstream.build())?;
    Some((uri, upstream))
}

fn parse(text: &str) -> Result<Uri, String> {
    let wrong = || format!("`{text}` is no URL: write one such as https://id.example.com/path");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?;
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err("a URL has no user name and no password here: take them out".to_owned());
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_this_machine(host) => Ok(uri),
        Some("http") => Err(format!(
            "`{text}` would be asked in clear: write https, or an address of this machine"
        )),
        _ => Err(wrong()),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
