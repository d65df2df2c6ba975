//! Who may ask, and what browsers may be made to ask.

use std::{fmt, net::IpAddr};

use http::{HeaderMap, Method, StatusCode, header, request::Parts, uri::Authority};
use subtle::ConstantTimeEq;
use tunnel_core::{PeerInfo, TlsIdentity};

use super::{answer::Problem, logins::Logins};

/// The shortest token that is taken, in bytes.
pub const MIN_ADMIN_TOKEN_BYTES: usize = 16;

/// Who may use the admin interface. `Debug` shows no token.
///
/// Without a token and without certificates only programs on this machine may: [`Admin::serve`](super::Admin::serve) then refuses
/// any port but one of loopback, and requests that come from elsewhere, or from nobody knows where, are refused as well.
#[derive(Clone, Default)]
pub struct AdminAccess {
    token: Option<Box<[u8]>>,
    certificates: Certificates,
    open_probes: bool,
    hosts: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Certificates {
    #[default]
    None,
    Any,
    Named(Vec<String>),
}

/// A token that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAdminToken {
    /// Too short to be secret.
    #[error(
        "the admin token has fewer than {MIN_ADMIN_TOKEN_BYTES} bytes: make one with `openssl rand -hex 32`"
    )]
    TooShort,
    /// Not fit for a header.
    #[error("the admin token has characters other than visible ASCII")]
    NotVisible,
}

/// Who asks, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Somebody on this machine, and nobody else can.
    Local,
    /// Who has the token.
    Token,
    /// A browser that showed it before.
    Browser,
    /// Who has a certificate with this name.
    Certificate(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("somebody on this machine"),
            Self::Token => f.write_str("bearer of the token"),
            Self::Browser => f.write_str("browser that is logged in"),
            Self::Certificate(name) => write!(f, "certificate {name}"),
        }
    }
}

impl AdminAccess {
    /// Only programs on this machine, without credentials.
    #[must_use]
    pub fn local() -> Self {
        Self::default()
    }

    /// Who shows this token: `authorization: Bearer TOKEN`. It is compared in constant time.
    ///
    /// # Errors
    ///
    /// It has fewer than [`MIN_ADMIN_TOKEN_BYTES`], or is not visible ASCII.
    pub fn token(mut self, token: &str) -> Result<Self, InvalidAdminToken> {
        if token.len() < MIN_ADMIN_TOKEN_BYTES {
            return Err(InvalidAdminToken::TooShort);
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidAdminToken::NotVisible);
        }
        self.token = Some(token.as_bytes().into());
        Ok(self)
    }

    /// Who shows a certificate that the port's TLS has verified, beside who shows the token. Without names any such certificate is
    /// enough; else one of its subject alternative names has to be among them, written as `dns:ops.example`, `email:a@b.example`,
    /// `uri:spiffe://...` or `ip:192.0.2.1`.
    #[must_use]
    pub fn certificates(mut self, names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<_> = names.into_iter().collect();
        self.certificates = match names.is_empty() {
            true => Certificates::Any,
            false => Certificates::Named(names),
        };
        self
    }

    /// Everybody may ask `/livez` and `/readyz`, which then tell no reasons to whom shows nothing. By default nobody may without
    /// credentials.
    #[must_use]
    pub const fn open_probes(mut self, are_open: bool) -> Self {
        self.open_probes = are_open;
        self
    }

    /// Names, beside `localhost` and addresses, by which the interface may be asked for: `Host` has to be one of them, so that
    /// no page of elsewhere can reach it by a name that resolves here.
    #[must_use]
    pub fn hosts(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.hosts
            .extend(names.into_iter().map(|name| name.to_ascii_lowercase()));
        self
    }

    /// Whether somebody has to show something.
    #[must_use]
    pub const fn has_credentials(&self) -> bool {
        self.token.is_some() || !matches!(self.certificates, Certificates::None)
    }

    pub(super) const fn probes_are_open(&self) -> bool {
        self.open_probes
    }

    /// Whether both know the same token, or none.
    pub(super) fn has_token_of(&self, other: &Self) -> bool {
        self.token == other.token
    }

    /// Whether the host that is asked for is this machine's, or one of the names.
    pub(super) fn check_host(&self, parts: &Parts) -> Result<(), Problem> {
        let host = host_of(parts).map(|authority| authority.host().to_ascii_lowercase());
        let Some(host) = host else {
            return Err(Problem::bad("the request names no host"));
        };
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_address = address.unwrap_or(&host).parse::<IpAddr>().is_ok();
        if is_address || host == "localhost" || self.hosts.contains(&host) {
            return Ok(());
        }
        Err(Problem(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "`{host}` is no name of the admin interface: ask for it by its address or as localhost, or name the host in `hosts`"
            ),
        ))
    }

    /// Who asks.
    pub(super) fn identify(&self, parts: &Parts, logins: &Logins) -> Result<Who, Problem> {
        if !self.has_credentials() {
            return match is_local(parts) {
                true => Ok(Who::Local),
                false => Err(Problem(
                    StatusCode::FORBIDDEN,
                    "without a token the admin interface answers only programs on its own machine".to_owned(),
                )),
            };
        }
        if let Some(shown) = bearer(&parts.headers) {
            return match self.is_token(shown) {
                true => Ok(Who::Token),
                false => Err(unauthorized("the token is not valid")),
            };
        }
        if let Some(name) = self.certificate(parts.extensions.get()) {
            return Ok(Who::Certificate(name));
        }
        if logins.has(&parts.headers) {
            return Ok(Who::Browser);
        }
        Err(unauthorized(
            "credentials are missing: send `authorization: Bearer TOKEN`",
        ))
    }

    pub(super) fn is_token(&self, shown: &[u8]) -> bool {
        let token = self.token.as_ref();
        token.is_some_and(|token| bool::from(token.ct_eq(shown)))
    }

    /// The name of a certificate that is enough.
    fn certificate(&self, shown: Option<&TlsIdentity>) -> Option<String> {
        let names: Vec<_> = shown?.names().iter().map(ToString::to_string).collect();
        match &self.certificates {
            Certificates::None => None,
            Certificates::Any => Some(
                names
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| "without a name".to_owned()),
            ),
            Certificates::Named(known) => names.into_iter().find(|name| known.contains(name)),
        }
    }
}

/// Whether a page of elsewhere could have made a browser send this: a request that changes something has to show that none has.
pub(super) fn check_origin(parts: &Parts, who: &Who) -> Result<(), Problem> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let forbidden = |why: &str| Err(Problem(StatusCode::FORBIDDEN, why.to_owned()));
    let field = |name: header::HeaderName| parts.headers.get(name);
    if let Some(origin) = field(header::ORIGIN) {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let host = host_of(parts);
        let is_same = origin
            .zip(host.as_ref())
            .is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host.as_str()));
        if !is_same {
            return forbidden("a page of another origin may not do this");
        }
    }
    let site = parts.headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return forbidden("a page of another origin may not do this");
    }
    let json = field(header::CONTENT_TYPE).is_some_and(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case("application/json")
    });
    match who {
        Who::Token => Ok(()),
        _ if json => Ok(()),
        // Forms, which any page can send anywhere, cannot say this.
        _ => Err(Problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send `content-type: application/json`, or the token as `authorization: Bearer TOKEN`".to_owned(),
        )),
    }
}

fn unauthorized(why: &str) -> Problem {
    Problem(StatusCode::UNAUTHORIZED, why.to_owned())
}

/// Where the request came from, if that is known to be this machine.
fn is_local(parts: &Parts) -> bool {
    let peer = peer_of(parts);
    peer.is_some_and(|addr| addr.ip().to_canonical().is_loopback())
}

/// The address of who asks, by our own server or by that of axum.
pub(super) fn peer_of(parts: &Parts) -> Option<std::net::SocketAddr> {
    let ours = parts.extensions.get::<PeerInfo>().and_then(|peer| peer.addr);
    let axum = || {
        let info = parts
            .extensions
            .get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        info.map(|info| info.0)
    };
    ours.or_else(axum)
}

/// The host and port that are asked for.
fn host_of(parts: &Parts) -> Option<Authority> {
    let field = || parts.headers.get(header::HOST)?.to_str().ok()?.parse().ok();
    parts.uri.authority().cloned().or_else(field)
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let shown = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = shown.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

impl fmt::Debug for AdminAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminAccess")
            .field("token", &self.token.is_some())
            .field("certificates", &self.certificates)
            .field("open_probes", &self.open_probes)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}
