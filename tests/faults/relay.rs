//! A relay between an agent and its gateway, which can swallow what comes.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};
use tunnel_tests::tunnel::{address, listener};

/// Passes bytes on, both ways, until it swallows them. The connections stand all the while: nobody is told.
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    swallows: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = listener().await;
        let addr = address(&listener);
        let swallows = watch::Sender::new(false);
        let seen = swallows.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(target).await else {
                    continue;
                };
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                // Connections that come later are as good as the first ones were.
                let swallows = seen.subscribe();
                connections.spawn(pass(near_read, far_write, swallows.clone()));
                connections.spawn(pass(far_read, near_write, swallows));
            }
        });
        Self {
            addr,
            swallows,
            _tasks: tasks,
        }
    }

    /// Swallows everything from now on, on the connections that there are and those that come.
    pub(crate) fn swallow(&self) {
        self.swallows.send_replace(true);
    }

    /// Is as it was, for the connections that come from now on.
    pub(crate) fn heal(&self) {
        self.swallows.send_replace(false);
    }
}

/// A connection that has lost bytes can never go on.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallows: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 * 1024];
    let mut has_lost = false;
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        has_lost |= *swallows.borrow();
        if !has_lost && to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    // An end is swallowed as well.
    if has_lost || *swallows.borrow() {
        std::future::pending::<()>().await;
    }
}
