//! What is kept of a request until it is over, and made an entry then.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use http::{HeaderName, HeaderValue, Method, Request, Uri, Version, header, uri::Authority};
use tunnel_core::{Cause, Found, PeerInfo, Target};

use super::{Entry, layer::Settings};
use crate::observe::{Ended, Wire, failure};

/// What stands in the place of a query.
const REDACTED: &str = "?redacted";

/// One exchange. Nothing is copied of the head: its parts are shared.
pub(crate) struct Line {
    settings: Arc<Settings>,
    time: SystemTime,
    peer: Option<SocketAddr>,
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    version: Version,
    wire: Wire,
    headers: Box<[(HeaderName, HeaderValue)]>,
}

impl Line {
    pub(crate) fn of<B>(request: &Request<B>, wire: Wire, settings: Arc<Settings>) -> Self {
        let headers = request.headers();
        Self {
            time: SystemTime::now(),
            peer: peer(request),
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: headers.get(header::HOST).cloned(),
            version: request.version(),
            wire,
            headers: settings.headers.of(headers),
            settings,
        }
    }

    fn path(&self) -> std::borrow::Cow<'_, str> {
        let path = self.uri.path();
        match self.uri.query() {
            Some(_) if !self.settings.query => format!("{path}{REDACTED}").into(),
            Some(query) => format!("{path}?{query}").into(),
            None => path.into(),
        }
    }
}

fn peer<B>(request: &Request<B>) -> Option<SocketAddr> {
    #[cfg(feature = "axum")]
    if request.extensions().get::<PeerInfo>().is_none() {
        use axum::extract::ConnectInfo;
        return request.extensions().get().map(|ConnectInfo(addr)| *addr);
    }
    request.extensions().get::<PeerInfo>()?.addr
}

impl Line {
    /// The exchange is over.
    pub(crate) fn ended(&self, ended: &Ended<'_>) {
        ended.notes.look(|found| self.tell(ended, found));
    }

    fn tell(&self, ended: &Ended<'_>, found: &Found) {
        let host = self.uri.authority().map(Authority::as_str);
        let host = host.or_else(|| self.host.as_ref().and_then(|host| host.to_str().ok()));
        let (group, upstream) = match found.target() {
            Some(Target::Group(group)) => (Some(group), None),
            Some(Target::Upstream(name)) => (None, Some(&**name)),
            None => (self.settings.group.as_ref(), None),
        };
        self.settings.sink.take(&Entry {
            time: self.time,
            request_id: found.request_id,
            trace_id: found.trace,
            peer: self.peer,
            principal: found.principal.as_ref().map(|principal| principal.name()),
            method: &self.method,
            authority: host.unwrap_or_default(),
            path: &self.path(),
            version: self.version,
            protocol: self.wire,
            rule: found.rule().map(|rule| &**rule),
            group,
            agent: self.settings.agent.as_ref().or(found.agent.as_ref()),
            upstream,
            endpoint: found.upstream.as_deref(),
            attempts: found.attempts,
            status: ended.status,
            grpc_status: ended.grpc,
            bytes_in: ended.received,
            bytes_out: ended.sent,
            first_byte: ended.first_byte,
            duration: ended.duration,
            cause: ended.cause(failure(found)).map(Cause::word),
            headers: &self.headers,
        });
    }
}
