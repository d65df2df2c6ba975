//! `admin:` of a gateway's or an agent's file: a port for whoever operates it.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_transport::{
    admin::{self, AdminAccess},
    entry::Entry,
};

use super::{
    Surroundings,
    error::Checker,
    gateway::parse_address,
    secret::TokenKeys,
    tls::{self, PortTls, RawServerTls},
    units::Secret,
};

/// The port of the admin interface, and who may ask there. `Debug` shows no token.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Its address.
    pub listen: SocketAddr,
    /// Who may ask.
    pub access: AdminAccess,
    tls: Option<PortTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    listen: Spanned<String>,
    token: Option<Spanned<Secret>>,
    token_env: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "tls::present")]
    tls: Option<Spanned<RawServerTls>>,
    certificates: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    open_probes: bool,
    #[serde(default)]
    hosts: Vec<String>,
}

/// What a running program cannot change of it.
pub(super) const FIXED: &str = "admin";

/// What it can.
pub(super) const FREE: [&str; 6] = [
    "admin.token",
    "admin.token_env",
    "admin.token_file",
    "admin.certificates",
    "admin.open_probes",
    "admin.hosts",
];

/// What names of certificates begin with.
const KINDS: [&str; 4] = ["dns:", "uri:", "email:", "ip:"];

impl Admin {
    /// The server of the port.
    #[must_use]
    pub fn entry(&self) -> Entry {
        match self.tls.clone() {
            Some(tls) => tls.entry(Entry::new()),
            None => Entry::new(),
        }
    }
}

impl RawAdmin {
    /// `Some(None)` where the file says nothing of it.
    pub(super) fn check(
        raw: Option<&Spanned<Self>>,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Option<Admin>> {
        match raw {
            Some(raw) => raw.value.check_one(raw.referenced, around, checker).map(Some),
            None => Some(None),
        }
    }

    pub(super) fn asks_for_certificates(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.value.asks_for_certificates())
    }

    fn check_one(
        &self,
        place: Location,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Admin> {
        let listen = parse_address(&self.listen.value, self.listen.referenced, checker);
        let tls = tls::check_port(self.tls.as_ref(), around, checker);
        let access = self.access(place, around, checker);
        let (listen, tls, access) = (listen?, tls?, access?);
        checker.take(self.listen.referenced, admin::check_address(&access, listen))?;
        Some(Admin { listen, access, tls })
    }

    fn access(
        &self,
        place: Location,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<AdminAccess> {
        let access = AdminAccess::local()
            .open_probes(self.open_probes)
            .hosts(self.hosts.iter().cloned());
        let keys = TokenKeys {
            token: self.token.as_ref(),
            token_env: self.token_env.as_ref(),
            token_file: self.token_file.as_ref(),
        };
        let access = match keys.is_empty() {
            true => access,
            false => {
                let (token, place) = keys.resolve("`admin`", place, around, checker)?;
                checker.take(place, access.token(&token.0))?
            }
        };
        match (&self.certificates, self.asks_for_certificates()) {
            (None, false) => Some(access),
            (Some(names), false) => {
                let text =
                    "this port asks nobody for certificates: give it a `tls` with `client_certificates`";
                checker.wrong(names.referenced, text);
                None
            }
            (None, true) => Some(access.certificates([])),
            (Some(names), true) => Some(access.certificates(check_names(names, checker)?)),
        }
    }
}

/// The names of certificates that are enough.
fn check_names(names: &Spanned<Vec<Spanned<String>>>, checker: &mut Checker<'_>) -> Option<Vec<String>> {
    if names.value.is_empty() {
        let text = "no certificate would be enough: name one, or leave `certificates` out for every one";
        checker.wrong(names.referenced, text);
        return None;
    }
    let is_name = |text: &str| {
        KINDS
            .iter()
            .any(|kind| text.strip_prefix(kind).is_some_and(|rest| !rest.is_empty()))
    };
    let mut right = Some(Vec::new());
    for name in &names.value {
        if is_name(&name.value) {
            right = right.map(|mut names| {
                names.push(name.value.clone());
                names
            });
        } else {
            let text = format!(
                "`{}` is no name of a certificate: write one such as dns:ops.example.com or email:ops@example.com",
                name.value
            );
            checker.wrong(name.referenced, text);
            right = None;
        }
    }
    right
}
