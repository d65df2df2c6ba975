//! Who is asked for SRV records.

use std::net::{IpAddr, SocketAddr};

use serde_saphyr::Spanned;
use tunnel_transport::Dns;

use super::error::Checker;

/// The port of DNS (RFC 1035, section 4.2).
const PORT: u16 = 53;

/// The servers of a key `dns`; those of the system if it is not there.
pub(super) fn check(servers: &[Spanned<String>], checker: &mut Checker<'_>) -> Option<Dns> {
    let servers = servers
        .iter()
        .map(|server| checker.take(server.referenced, address(&server.value)));
    let servers = servers.collect::<Option<Vec<_>>>()?;
    Some(Dns::servers(servers))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let of_port = text.parse();
    of_port
        .or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, PORT)))
        .map_err(|_| format!("`{text}` is no server: write IP or IP:PORT, such as 127.0.0.1:8600"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        for (text, expected) in [
            ("10.0.0.2", "10.0.0.2:53"),
            ("127.0.0.1:8600", "127.0.0.1:8600"),
            ("::1", "[::1]:53"),
            ("[::1]:54", "[::1]:54"),
        ] {
            assert_eq!(address(text), Ok(expected.parse().unwrap()));
        }
        assert!(address("dns.example").unwrap_err().contains("8600"));
    }
}
