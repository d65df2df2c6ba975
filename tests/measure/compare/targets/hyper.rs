//! Two proxies in a row that are hyper and nothing else: what the library costs by itself.

use std::{convert::Infallible, net::SocketAddr, path::Path};

use http::{Request, Response, StatusCode};
use hyper::{
    body::Incoming,
    client::conn as client,
    server::conn as server,
    service::service_fn,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::Server;
use crate::{
    addr,
    process::{Failure, Process},
};

/// The word by which this program is such a proxy, with the server that requests go to behind it.
pub(crate) const ROLE: &str = "proxy";

pub(super) async fn start(directory: &Path, to: Server) -> Result<(Server, Vec<Process>), Failure> {
    let (far_at, far) = Server::start("far", directory, &[ROLE, &to.to_string()]).await?;
    let (at, near) = Server::start("near", directory, &[ROLE, &far_at.to_string()]).await?;
    Ok((at, vec![near, far]))
}

/// Passes requests on until the process is killed. Prints where. Each connection has one of its own behind it, so that nothing is
/// looked for.
pub(crate) async fn run(to: Server) -> Infallible {
    let (server, plain, calls) = Server::listen().await;
    println!("{server}");
    let plain = addr::serve(plain, |near| pass(near, to.plain, http1));
    let calls = addr::serve(calls, |near| pass(near, to.calls, http2));
    tokio::join!(plain, calls).0
}

async fn pass<F>(near: TcpStream, to: SocketAddr, pass: fn(TcpStream, TcpStream) -> F)
where
    F: Future<Output = hyper::Result<()>>,
{
    if let Ok(far) = TcpStream::connect(to).await {
        let _ = far.set_nodelay(true);
        // Either end leaves when it likes.
        let _ = pass(near, far).await;
    }
}

async fn http1(near: TcpStream, far: TcpStream) -> hyper::Result<()> {
    let (sender, connection) = client::http1::handshake(TokioIo::new(far)).await?;
    tokio::spawn(connection.with_upgrades());
    let sender = tokio::sync::Mutex::new(sender);
    let service = service_fn(async |mut request: Request<Incoming>| {
        let near = upgrade::on(&mut request);
        let mut sender = sender.lock().await;
        sender.ready().await?;
        let mut response = sender.send_request(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            tokio::spawn(switch(near, upgrade::on(&mut response)));
        }
        Ok::<Response<Incoming>, hyper::Error>(response)
    });
    let connection = server::http1::Builder::new().serve_connection(TokioIo::new(near), service);
    connection.with_upgrades().await
}

async fn switch(near: OnUpgrade, far: OnUpgrade) {
    if let (Ok(near), Ok(far)) = tokio::join!(near, far) {
        let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}

async fn http2(near: TcpStream, far: TcpStream) -> hyper::Result<()> {
    let (sender, connection) = client::http2::handshake(TokioExecutor::new(), TokioIo::new(far)).await?;
    tokio::spawn(connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut sender = sender.clone();
        async move {
            sender.ready().await?;
            sender.send_request(request).await
        }
    });
    let mut builder = server::http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(1_000);
    builder.serve_connection(TokioIo::new(near), service).await
}
