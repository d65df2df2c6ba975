//! What stands in the place of `secure` without the feature `tls`.

use http::Extensions;
use tunnel_core::PeerInfo;

use crate::net::{MaybeTls, Socket};

/// No connection speaks TLS.
#[derive(Clone, Debug, Default)]
pub(super) struct Security(());

/// Who is on the other side of a connection, as the extensions of its requests tell it.
#[derive(Clone)]
pub(super) struct Peer(PeerInfo);

/// The certificate that an agent has shown: there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Certificate {}

impl Certificate {
    pub(crate) const fn verify(&self) -> Result<(), std::convert::Infallible> {
        match *self {}
    }
}

impl Security {
    pub(super) const fn for_agents() -> Self {
        Self(())
    }

    pub(super) const fn watch(&self) {}

    pub(super) async fn handshake<T: Socket>(
        &self,
        socket: T,
        info: PeerInfo,
    ) -> Option<(MaybeTls<T>, Peer)> {
        Some((MaybeTls::Plain(socket), Peer(info.of_connection())))
    }
}

impl Peer {
    pub(super) fn put_into(&self, extensions: &mut Extensions) {
        extensions.insert(self.0.clone());
    }
}
