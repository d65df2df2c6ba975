//! Ports that are ours, or else free ones.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::TcpListener;
use tunnel_examples::program::listen;

/// Opens the address that was asked for. If none was, it is `default` on the loopback, or a free port if that is taken.
pub(crate) fn open(asked: Option<SocketAddr>, default: u16) -> io::Result<TcpListener> {
    if let Some(address) = asked {
        return listen(address);
    }
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match listen(local(default)) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let listener = listen(local(0))?;
            println!(
                "note       port {default} is taken, so {} it is",
                listener.local_addr()?.port()
            );
            Ok(listener)
        }
        opened => opened,
    }
}
