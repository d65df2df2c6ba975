//! Tells of each exchange, in one line when it is over.
//!
//! [`AccessLogLayer`] makes an [`Entry`] of each exchange and gives it to a [`Sink`]: by default an event of `tracing` with the target
//! `access`, else a [`Writer`], which makes lines of JSON or of text, or a closure. What an exchange is and when it ends: see
//! [`observe`](crate::observe).
//!
//! An entry has what the layers further in have found out: the rule, the principal, the agent, the exchange's id and the trace, and what
//! failed if the tunnel did. An agent's log has the same id and the same trace, so that the lines of both ends can be joined:
//!
//! ```json
//! {"time":"2026-11-21T18:00:00.123Z","request_id":"019aa83b-…","trace_id":"0af7651916cd43dd8448eb211c80319c","peer":"192.0.2.7:50712",
//!  "principal":"alice","method":"GET","authority":"shop.example.com","path":"/cart?redacted","version":"HTTP/2.0","protocol":"http",
//!  "rule":"shop","group":"web","agent":"eu-1","status":200,"bytes_in":0,"bytes_out":5120,"first_byte":0.001203,"duration":0.002110}
//! ```
//!
//! # Secrets
//!
//! Queries are redacted unless [asked for](AccessLogLayer::query). Headers are logged only by an explicit
//! [list](AccessLogLayer::headers), and headers that hold secrets, such as `authorization` and `cookie`, cannot be listed. Bodies are never logged.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_layers::access_log::{AccessLogLayer, Entry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lines = Arc::new(Mutex::new(Vec::new()));
//! let to = Arc::clone(&lines);
//! let sink = move |entry: &Entry<'_>| {
//!     let mut line = Vec::new();
//!     entry.to_common(&mut line);
//!     to.lock().unwrap().push(String::from_utf8(line).unwrap());
//! };
//! let service = ServiceBuilder::new()
//!     .layer(AccessLogLayer::new().sink(sink).headers(["user-agent"])?)
//!     .service(service_fn(|_: Request<_>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(String::new()))
//!     }));
//!
//! let request = Request::builder()
//!     .uri("http://example.com/a?token=secret")
//!     .header("user-agent", "curl")
//!     .header("cookie", "secret")
//!     .body(String::new())?;
//! service.oneshot(request).await?;
//! let line = lines.lock().unwrap().remove(0);
//! assert!(line.contains(r#""GET /a?redacted HTTP/1.1" 200 0 "-" "curl" host=example.com"#));
//! assert!(!line.contains("secret"));
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! Outermost, beside [`MetricsLayer`](crate::metrics), so that it tells of every answer in its final form, and of requests that are
//! refused too. It changes nothing, and admits nothing. What inner layers find out reaches it through a
//! [`Record`](tunnel_core::Record).

mod digits;
mod entry;
mod headers;
mod json;
mod layer;
mod lines;
mod service;
mod sink;
mod text;
mod time;
mod writer;

#[cfg(feature = "metrics")]
pub(crate) use self::layer::Settings;
pub(crate) use self::lines::Line;
pub use self::{
    entry::{Entry, MAX_FIELD_BYTES},
    headers::RefusedHeader,
    layer::AccessLogLayer,
    service::AccessLog,
    sink::{Events, Sink},
    writer::{DEFAULT_MAX_BYTES, DEFAULT_MAX_LINES, Format, Writer},
};

#[cfg(all(test, feature = "full"))]
mod tests;
