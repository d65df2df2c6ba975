//! Ports: for programs that cannot choose one by themselves, and what serves at one.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::{TcpListener, TcpStream};

/// An address that nobody listens on now. Somebody else may take it before it is used; then the program does not start.
pub(crate) async fn free() -> SocketAddr {
    listen().await.1
}

/// A listener on a port that the system chooses, and its address.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("the system has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

/// Serves each connection in a task of its own.
pub(crate) async fn serve<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> Infallible
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let _ = socket.set_nodelay(true);
        tokio::spawn(serve(socket));
    }
}
