use std::{net::SocketAddr, sync::Arc};

/// Who is asked for SRV records, and for the addresses of the servers that they name (cargo feature `srv`).
///
/// ```
/// # #[cfg(feature = "srv")] {
/// use tunnel_transport::{Dns, Upstream};
///
/// // A Consul agent on this machine.
/// let consul = Dns::servers([([127, 0, 0, 1], 8600).into()]);
/// let upstream = Upstream::builder("srv+http://web.service.consul").dns(consul).build()?;
/// # let _ = upstream; }
/// # Ok::<(), tunnel_transport::upstream::InvalidUpstream>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns(pub(super) Asked);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whom the system asks.
    #[default]
    System,
    /// These.
    #[cfg_attr(not(feature = "srv"), expect(dead_code, reason = "nobody is asked"))]
    Servers(Arc<[SocketAddr]>),
}

impl Dns {
    /// The servers that the system asks (`/etc/resolv.conf`), which is read for each look-up, and the names in its own files.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// These servers, by UDP, and by TCP where an answer is too long for that. None of them is the system again.
    #[cfg(feature = "srv")]
    #[must_use]
    pub fn servers(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        let servers: Arc<[_]> = servers.into_iter().collect();
        match servers.is_empty() {
            true => Self::default(),
            false => Self(Asked::Servers(servers)),
        }
    }
}

#[cfg(not(feature = "srv"))]
impl Dns {
    /// No name of SRV records is made without the feature.
    pub(crate) async fn look_up(&self, _: &str) -> std::io::Result<super::Answer> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
