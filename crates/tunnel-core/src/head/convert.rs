//! Heads made of the parts of `http`'s messages, and back.

use http::{
    Method, StatusCode, header, request, response,
    uri::{PathAndQuery, Scheme},
};

use super::{RequestHead, ResponseHead};
use crate::{
    admit::{self, Canonical, Fault, HostMemo, Named, Policy, UpgradeRequest},
    error::{Cause, Initiator, TunnelError},
    session::Session,
};

impl RequestHead {
    /// The head of an admitted request. Target and authority are those of the URI, so that what a rule has rewritten travels.
    /// `host` is not among the headers: the authority says it.
    ///
    /// # Errors
    ///
    /// [`Cause::Internal`] for a request that was not [admitted](crate::admit), since nothing below would check it.
    pub fn from_parts(parts: request::Parts) -> Result<Self, TunnelError> {
        let Some(canonical) = parts.extensions.get::<Canonical>() else {
            return Err(TunnelError::internal(
                "the request was not admitted: put one of the tunnel's layers or `admit` outside `ChunkLayer`",
            ));
        };
        let uri = parts.uri.into_parts();
        let mut headers = parts.headers;
        headers.remove(header::HOST);
        let upgrade = parts.extensions.get::<UpgradeRequest>();
        let upgrade = upgrade.map(|asked| Box::new(asked.protocol.clone()));
        Ok(Self {
            upgrade,
            method: parts.method,
            scheme: canonical.scheme().clone(),
            authority: uri.authority.or_else(|| canonical.authority().cloned()),
            path: uri
                .path_and_query
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            headers,
        })
    }

    /// The request that this is the head of, at the far end: with an absolute URI, one `host` field and a [`Canonical`], as
    /// after [`admit`](crate::admit::admit()), so that layers behind the tunnel find it admitted. Forwarding fields stay as they
    /// are; the version is HTTP/1.1 until somebody sets another one.
    ///
    /// The tunnel's peer is not trusted: host, path, framing and hop-by-hop fields are checked and cleaned once more. Paths that
    /// its [`Policy`] may have let pass do pass here. Size is for the receiver to bound, by [`byte_len`](Self::byte_len) and
    /// [`field_count`](Self::field_count).
    ///
    /// # Errors
    ///
    /// [`Cause::Protocol`], from the peer, for a head that no end which admits would send.
    pub fn into_request_parts(self) -> Result<request::Parts, TunnelError> {
        self.rebuild(None).map_err(Fault::by_peer)
    }

    /// The same for a request that came through this session, which knows the host that it heard of first.
    ///
    /// # Errors
    ///
    /// As [`into_request_parts`](Self::into_request_parts).
    pub fn into_request_parts_of(self, session: &Session) -> Result<request::Parts, TunnelError> {
        self.rebuild(Some(session.hosts())).map_err(Fault::by_peer)
    }

    fn rebuild(self, hosts: Option<&HostMemo>) -> Result<request::Parts, Fault> {
        if self.method == Method::CONNECT || self.method == Method::TRACE {
            return Err(Fault::malformed("the tunnel carries no CONNECT and no TRACE"));
        }
        if self.scheme != Scheme::HTTP && self.scheme != Scheme::HTTPS {
            return Err(Fault::malformed("the scheme is not `http` or `https`"));
        }
        let lenient = Policy::new().allow_dot_segments(true).allow_encoded_slashes(true);
        let path = admit::path_for_matching(&self.method, &self.path, &lenient)?;
        let named = |authority| match hosts {
            Some(hosts) => hosts.named(authority, &self.scheme),
            None => Named::of(authority, &self.scheme),
        };
        let host = self.authority.as_ref().map(named).transpose()?;
        let (host, value) = host.map(|Named { port, value }| (port, value)).unzip();
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = self.method;
        parts.headers = self.headers;
        if let Some(protocol) = self.upgrade {
            let protocol = *protocol;
            parts.extensions.insert(UpgradeRequest { protocol });
        }
        admit::clean_admitted(&mut parts.headers, value)?;
        admit::place(&mut parts, &self.scheme, host, self.path, path)?;
        Ok(parts)
    }

    /// Whether the client waits for a 100 (Continue) before it sends the body (RFC 9110, section 10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.headers.get(header::EXPECT).is_some_and(admit::is_continue)
    }

    /// The bytes that this head would have in HTTP/1.1, counted as [`Policy::max_head_bytes`] counts.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let authority = self
            .authority
            .as_ref()
            .map_or(0, |authority| authority.as_str().len());
        let target = self.scheme.as_str().len() + 3 + authority + self.path.as_str().len();
        admit::line_len(&self.method, target) + admit::fields_len(&self.headers)
    }

    /// The number of fields, each duplicate counted.
    #[must_use]
    pub fn field_count(&self) -> usize {
        self.headers.len()
    }
}

impl ResponseHead {
    /// The head of a response that is about to travel, without its [hop-by-hop fields](crate::admit::clean_response).
    ///
    /// # Errors
    ///
    /// [`Cause::Upstream`], from the peer, for an informational status but 101: none of them is an answer.
    /// [`Cause::BadUpgrade`], from the peer, for a 101 that does not say to what it switches (RFC 9110, section 15.2.2).
    pub fn from_parts(mut parts: response::Parts) -> Result<Self, TunnelError> {
        check_final(parts.status, Cause::Upstream)?;
        admit::clean_response(&mut parts);
        let upgrade = parts.headers.remove(header::UPGRADE).map(Box::new);
        if parts.status == StatusCode::SWITCHING_PROTOCOLS && upgrade.is_none() {
            let text = "a 101 came that names no protocol";
            return Err(TunnelError::new(Cause::BadUpgrade, Initiator::Peer, text));
        }
        Ok(Self {
            upgrade,
            status: parts.status,
            headers: parts.headers,
        })
    }

    /// The response that this is the head of, at the end that asked; cleaned once more, because the tunnel's peer is not trusted.
    ///
    /// # Errors
    ///
    /// [`Cause::Protocol`], from the peer, for an informational status but 101.
    pub fn into_parts(self) -> Result<response::Parts, TunnelError> {
        check_final(self.status, Cause::Protocol)?;
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = self.status;
        parts.headers = self.headers;
        admit::clean_response(&mut parts);
        if let (StatusCode::SWITCHING_PROTOCOLS, Some(protocol)) = (parts.status, self.upgrade) {
            parts.headers.insert(header::UPGRADE, *protocol);
        }
        Ok(parts)
    }

    /// The bytes that this head would have in HTTP/1.1: its fields, and a status line without a phrase.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        const STATUS_LINE: usize = "HTTP/1.1 200 \r\n".len();
        STATUS_LINE + admit::fields_len(&self.headers)
    }

    /// The number of fields, each duplicate counted.
    #[must_use]
    pub fn field_count(&self) -> usize {
        self.headers.len()
    }
}

fn check_final(status: StatusCode, cause: Cause) -> Result<(), TunnelError> {
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        let text = format!("the status {} is no answer", status.as_u16());
        return Err(TunnelError::new(cause, Initiator::Peer, text));
    }
    Ok(())
}
