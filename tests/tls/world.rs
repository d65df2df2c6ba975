//! An entry with TLS, and a directory for certificates.

use std::{
    future::IntoFuture as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use axum::{Router, extract::Request};
use tokio::task::AbortHandle;
use tunnel_core::{PeerInfo, TlsIdentity};
use tunnel_tests::tunnel::{address, listener};
use tunnel_transport::{
    entry::Entry,
    tls::{ServerTls, TlsInfo},
};

/// An entry, until it is dropped.
pub(crate) struct Port {
    pub(crate) addr: SocketAddr,
    task: AbortHandle,
}

impl Port {
    /// Serves an app that tells what it knows of the client.
    pub(crate) async fn telling(tls: &ServerTls) -> Self {
        Self::open(Entry::new().tls(tls.clone()), teller()).await
    }

    pub(crate) async fn open(entry: Entry, app: Router) -> Self {
        let listener = listener().await;
        let addr = address(&listener);
        let task = tokio::spawn(entry.serve(listener, app).into_future()).abort_handle();
        Self { addr, task }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers with the scheme, the version of TLS, the name that was asked for, and the client's names.
pub(crate) fn teller() -> Router {
    Router::new().fallback(async |request: Request| {
        let extensions = request.extensions();
        let scheme = &extensions
            .get::<PeerInfo>()
            .expect("an entry puts it there")
            .scheme;
        let Some(tls) = extensions.get::<TlsInfo>() else {
            return scheme.to_string();
        };
        let asked = tls.server_name.as_deref().unwrap_or("-");
        let shown = tls.client_common_name.as_deref().unwrap_or("-");
        let mut told = format!("{scheme} {} {asked} {shown}", tls.version);
        for name in extensions.get().map_or(&[][..], TlsIdentity::names) {
            told.push_str(&format!(" {name}"));
        }
        told
    })
}

/// A directory of a test, which goes with it.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "tunnel-tls-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory of our own");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It is in the system's place for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
