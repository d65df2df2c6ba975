//! TLS of ports, of the gateway that an agent dials, and of upstreams.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};
use tunnel_transport::{
    entry::Entry,
    gateway::ServeAgents,
    tls::{ClientTls, ClientTlsBuilder, Identity, Pem, ServerTls, TlsError},
};

use super::{Surroundings, error::Checker, text_or::TextOr, units::Time};

/// Where a port listens, and its TLS.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListen {
    address: Spanned<String>,
    #[serde(default, deserialize_with = "present")]
    tls: Option<Spanned<RawServerTls>>,
}

/// `tls:` of a port.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServerTls {
    certificates: Spanned<Vec<Spanned<RawIdentity>>>,
    #[serde(default, deserialize_with = "present")]
    client_certificates: Option<Spanned<RawClientCertificates>>,
    #[serde(default)]
    tls13_only: bool,
    handshake_timeout: Option<Time>,
    reload_interval: Option<Time>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIdentity {
    cert: Spanned<String>,
    key: Spanned<String>,
    names: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClientCertificates {
    ca: Spanned<String>,
    #[serde(default)]
    optional: bool,
}

/// `tls:` of what is dialled.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClientTls {
    ca: Option<Spanned<String>>,
    #[serde(default)]
    system_roots: bool,
    #[serde(default, deserialize_with = "present")]
    client_certificate: Option<Spanned<RawIdentity>>,
    server_name: Option<Spanned<String>>,
    #[serde(default)]
    tls13_only: bool,
    reload_interval: Option<Time>,
}

/// A value that is there, and not only its key: nobody shall believe that there is TLS where a file says nothing of it.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// TLS of a port, checked.
#[derive(Clone, Debug)]
pub struct PortTls {
    tls: ServerTls,
    handshake_timeout: Option<Duration>,
}

impl PortTls {
    /// The same entry, whose connections speak TLS.
    pub(super) fn entry(self, entry: Entry) -> Entry {
        let entry = entry.tls(self.tls);
        match self.handshake_timeout {
            Some(timeout) => entry.handshake_timeout(timeout),
            None => entry,
        }
    }

    /// The same port, to which agents come by TLS.
    pub fn agents<L>(self, serve: ServeAgents<L>) -> ServeAgents<L> {
        let serve = serve.tls(self.tls);
        match self.handshake_timeout {
            Some(timeout) => serve.handshake_timeout(timeout),
            None => serve,
        }
    }
}

impl TextOr<RawListen> {
    /// The text of the address, and its place.
    pub(super) fn address(&self, place: Location) -> (&str, Location) {
        match self {
            Self::Text(text) => (text, place),
            Self::Map(listen) => (&listen.address.value, listen.address.referenced),
        }
    }

    pub(super) fn asks_for_certificates(&self) -> bool {
        let Self::Map(RawListen { tls: Some(tls), .. }) = self else {
            return false;
        };
        tls.value.asks_for_certificates()
    }

    /// TLS; `Some(None)` for a port that has none.
    pub(super) fn tls(
        &self,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Option<PortTls>> {
        match self {
            Self::Text(_) => Some(None),
            Self::Map(listen) => check_port(listen.tls.as_ref(), around, checker),
        }
    }
}

/// TLS of a port; `Some(None)` for one that has none.
pub(super) fn check_port(
    tls: Option<&Spanned<RawServerTls>>,
    around: &Surroundings<'_>,
    checker: &mut Checker<'_>,
) -> Option<Option<PortTls>> {
    let Some(tls) = tls else { return Some(None) };
    let handshake_timeout = tls.value.handshake_timeout.map(|time| time.0);
    let tls = tls.value.check(tls.referenced, around, checker)?;
    Some(Some(PortTls {
        tls,
        handshake_timeout,
    }))
}

impl RawServerTls {
    pub(super) const fn asks_for_certificates(&self) -> bool {
        self.client_certificates.is_some()
    }

    fn check(
        &self,
        place: Location,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<ServerTls> {
        if self.certificates.value.is_empty() {
            let right = "write one such as `certificates: [{cert: app.pem, key: app.key}]`";
            checker.wrong(
                self.certificates.referenced,
                format!("a port with TLS needs a certificate: {right}"),
            );
        }
        let mut builder = Some(ServerTls::builder());
        for identity in &self.certificates.value {
            let identity = identity.value.check(around, checker);
            builder = builder
                .zip(identity)
                .map(|(builder, identity)| builder.certificate(identity));
        }
        if let Some(clients) = &self.client_certificates {
            let ca = check_ca(&clients.value.ca, around, checker);
            builder = builder.zip(ca).map(|(builder, ca)| match clients.value.optional {
                true => builder.request_client_certificates([ca]),
                false => builder.require_client_certificates([ca]),
            });
        }
        let mut builder = builder.filter(|_| !self.certificates.value.is_empty())?;
        if self.tls13_only {
            builder = builder.tls13_only();
        }
        if let Some(interval) = self.reload_interval {
            builder = builder.reload_interval(interval.0);
        }
        checker.take(place, builder.build())
    }
}

impl RawClientTls {
    pub(super) fn check(
        &self,
        place: Location,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<ClientTlsBuilder> {
        let mut builder = Some(ClientTls::builder());
        if let Some(ca) = &self.ca {
            let ca = check_ca(ca, around, checker);
            builder = builder.zip(ca).map(|(builder, ca)| builder.ca(ca));
        }
        if let Some(identity) = &self.client_certificate {
            if let Some(names) = &identity.value.names {
                checker.wrong(
                    names.referenced,
                    "only a server's certificate has `names`: take them out",
                );
            }
            let identity = identity.value.check(around, checker);
            builder = builder
                .zip(identity)
                .map(|(builder, identity)| builder.client_certificate(identity));
        }
        let mut builder = builder?;
        if let Some(name) = &self.server_name {
            builder = builder.server_name(&name.value);
        }
        if self.system_roots {
            builder = builder.system_roots();
        }
        if self.tls13_only {
            builder = builder.tls13_only();
        }
        if let Some(interval) = self.reload_interval {
            builder = builder.reload_interval(interval.0);
        }
        // The files were right before, so what is wrong now is the name, or that the system has no CAs.
        let place = self.server_name.as_ref().map_or(place, |name| name.referenced);
        checker.take(place, builder.clone().build()).map(|_| builder)
    }
}

impl RawIdentity {
    fn check(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<Identity> {
        let (cert, key) = (path(&self.cert, around), path(&self.key, around));
        let mut identity = Identity::files(cert.clone(), key);
        let mut names = None;
        if let Some(given) = &self.names {
            identity = identity.for_names(given.value.iter().cloned());
            names = Some(given.referenced);
        }
        match identity.check() {
            Ok(()) => Some(identity),
            Err(error) => {
                let place = match error.file() {
                    Some(file) if *file == cert => self.cert.referenced,
                    Some(_) => self.key.referenced,
                    None => names.unwrap_or(self.cert.referenced),
                };
                checker.wrong(place, error);
                None
            }
        }
    }
}

/// A file with CAs that can be used.
fn check_ca(ca: &Spanned<String>, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<Pem> {
    let pem = Pem::file(path(ca, around));
    let checked: Result<_, TlsError> = ClientTls::builder().ca(pem.clone()).build();
    checker.take(ca.referenced, checked).map(|_| pem)
}

fn path(text: &Spanned<String>, around: &Surroundings<'_>) -> PathBuf {
    around.directory.join(&text.value)
}

/// An address and whether it has TLS, for people.
pub(super) fn describe(address: SocketAddr, has_tls: bool) -> String {
    let tls = if has_tls { " with TLS" } else { "" };
    format!("{address}{tls}")
}
