//! The server behind every way: one thread, HTTP/1.1 on one port and HTTP/2 on another.

mod bodies;
mod echo;
mod pages;

use std::convert::Infallible;

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

pub(crate) use self::bodies::{STAMP, nanoseconds};
use crate::{addr, targets::Server};

/// The word by which this program is that server.
pub(crate) const ROLE: &str = "upstream";

/// Serves until the process is killed. Prints both addresses.
pub(crate) async fn run() -> Infallible {
    let (server, plain, calls) = Server::listen().await;
    println!("{server}");
    tokio::join!(addr::serve(plain, http1), addr::serve(calls, http2)).0
}

async fn http1(socket: TcpStream) {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(pages::answer));
    // Clients leave when they like.
    let _ = connection.with_upgrades().await;
}

async fn http2(socket: TcpStream) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(1_000);
    let _ = builder
        .serve_connection(TokioIo::new(socket), service_fn(pages::answer))
        .await;
}
