//! The routes without a socket.

mod access;
mod events;
mod reads;

use std::net::SocketAddr;

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tunnel_core::PeerInfo;

use super::{Admin, AdminAccess, AdminBuilder};
use crate::{Agent, Gateway};

const TOKEN: &str = "0123456789abcdef";

/// Who asks.
#[derive(Clone)]
struct Asks {
    admin: Admin,
    peer: Option<SocketAddr>,
    fields: Vec<(&'static str, String)>,
}

struct Told {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Asks {
    /// Somebody on this machine, without credentials.
    fn new(builder: AdminBuilder) -> Self {
        Self {
            admin: builder.build(),
            peer: Some(([127, 0, 0, 1], 1).into()),
            fields: vec![("host", "127.0.0.1:9090".to_owned())],
        }
    }

    /// The same, with this field, in the place of one that it had.
    fn with(&self, name: &'static str, value: &str) -> Self {
        let mut asks = self.clone();
        asks.fields.retain(|(known, _)| *known != name);
        asks.fields.push((name, value.to_owned()));
        asks
    }

    fn with_token(&self) -> Self {
        self.with("authorization", &format!("Bearer {TOKEN}"))
    }

    fn from(&self, peer: Option<SocketAddr>) -> Self {
        Self { peer, ..self.clone() }
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> Told {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.fields {
            request = request.header(*name, value);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(PeerInfo::plaintext(peer));
        }
        let (parts, body) = self.admin.router().oneshot(request).await.unwrap().into_parts();
        // A stream of events has no end.
        let is_stream = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind == "text/event-stream");
        let bytes = match is_stream {
            true => body.into_data_stream().into_body_first().await,
            false => body.collect().await.unwrap().to_bytes(),
        };
        Told {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Told {
        self.send(Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: &str) -> Told {
        self.send(Method::POST, path, body).await
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let told = self.get(path).await;
        assert_eq!(told.status, 200, "{path}: {}", told.text);
        serde_json::from_str(&told.text).unwrap()
    }
}

/// The first piece of a body that goes on.
trait First {
    async fn into_body_first(self) -> bytes::Bytes;
}

impl First for axum::body::BodyDataStream {
    async fn into_body_first(mut self) -> bytes::Bytes {
        use futures_util::StreamExt as _;
        self.next().await.unwrap().unwrap()
    }
}

fn gateway() -> Gateway {
    Gateway::builder().open_to_any_agent().build()
}

fn agent() -> Agent {
    Agent::builder("http://127.0.0.1:1")
        .id("alone")
        .group("web")
        .build()
        .unwrap()
}

fn token() -> AdminAccess {
    AdminAccess::local().token(TOKEN).unwrap()
}

/// Every route of a gateway, and one that is none.
const ROUTES: [&str; 22] = [
    "/metrics",
    "/api/overview",
    "/api/agents",
    "/api/agents/x",
    "/api/exchanges",
    "/api/groups",
    "/api/rules",
    "/api/upstreams",
    "/api/config",
    "/api/events",
    "/api/log",
    "/api/agents/x/drain",
    "/api/agents/x/resume",
    "/api/agents/x/disconnect",
    "/api/upstreams/x/drain",
    "/api/upstreams/x/resume",
    "/api/tokens/x/revoke",
    "/api/reload",
    "/api/logout",
    "/api/nothing",
    "/livez",
    "/readyz",
];

const METHODS: [Method; 6] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
];
