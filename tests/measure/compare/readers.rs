//! Clients that ask and then stop reading, or never have anything to read.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tunnel_core::BoxError;

use crate::{process::Failure, raw::Raw, targets::AUTHORIZATION};

/// So many clients, each of which asks for a path, reads to the first byte of the body, and then no more. They stay until the
/// value is dropped.
pub(crate) async fn stopped(to: SocketAddr, path: &str, clients: usize) -> Result<Vec<Raw>, Failure> {
    let mut readers = Vec::with_capacity(clients);
    for number in 1..=clients {
        readers.push(
            one(to, path)
                .await
                .map_err(|error| format!("client {number} of {clients}: {error}"))?,
        );
    }
    Ok(readers)
}

async fn one(to: SocketAddr, path: &str) -> std::io::Result<Raw> {
    let mut raw = Raw::connect(to).await?;
    raw.get(path).await?;
    raw.first_byte().await?;
    Ok(raw)
}

/// Streams of one connection of HTTP/2.
const STREAMS: usize = 100;

/// The same over HTTP/2, with 100 clients on each connection.
pub(crate) async fn stopped_http2(
    to: SocketAddr,
    path: &str,
    clients: usize,
) -> Result<Vec<Incoming>, Failure> {
    let mut bodies = Vec::with_capacity(clients);
    while bodies.len() < clients {
        let number = bodies.len() + 1;
        let mut sender = connection(to)
            .await
            .map_err(|error| format!("client {number}: {error}"))?;
        for _ in 0..STREAMS.min(clients - bodies.len()) {
            let failed =
                |error: &dyn std::fmt::Display| format!("client {} of {clients}: {error}", bodies.len() + 1);
            let body = stream(&mut sender, to, path)
                .await
                .map_err(|error| failed(&error))?;
            bodies.push(body);
        }
    }
    Ok(bodies)
}

async fn connection(to: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, BoxError> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // It ends when the last stream has.
    tokio::spawn(connection);
    Ok(sender)
}

async fn stream(
    sender: &mut SendRequest<Empty<Bytes>>,
    to: SocketAddr,
    path: &str,
) -> Result<Incoming, BoxError> {
    let request = Request::builder()
        .uri(format!("http://{to}{path}"))
        .header(header::AUTHORIZATION, AUTHORIZATION)
        .body(Empty::new())?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("status {}", response.status()).into());
    }
    let mut body = response.into_body();
    match body.frame().await {
        Some(Ok(_)) => Ok(body),
        Some(Err(error)) => Err(error.into()),
        None => Err("the body has no first byte".into()),
    }
}
