//! A server that is well or ill.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, http::StatusCode, routing::get};
use tunnel_examples::program::listen;

/// A server on a port of its own, which says its name.
pub(crate) struct Server {
    /// Where it is.
    pub(crate) url: String,
    ill: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(name: &'static str) -> io::Result<Self> {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
        let url = format!("http://{}", listener.local_addr()?);
        let ill = Arc::new(AtomicBool::new(false));
        let known = ill.clone();
        let health = async move || match known.load(Ordering::Relaxed) {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::NO_CONTENT,
        };
        let app = Router::new()
            .route("/healthz", get(health))
            .fallback(async move || name);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { url, ill })
    }

    /// What it says when it is asked for its health.
    pub(crate) fn is_ill(&self, ill: bool) {
        self.ill.store(ill, Ordering::Relaxed);
    }
}
