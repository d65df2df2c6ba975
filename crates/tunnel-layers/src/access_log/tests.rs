use std::{
    convert::Infallible,
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
};

use axum::{Router, extract::ConnectInfo, routing::get};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tunnel_core::{Cause, Initiator, PeerInfo, Principal, Record, RequestId, Target, TraceId, TunnelError};

use super::*;
use crate::{
    observe::RequestBody,
    test_util::{
        Probe, Scripted, Step, assert_send, assert_shareable, axum_request, grpc_request, ready, request,
    },
    trace_id::TraceIdLayer,
};

type Lines = Arc<Mutex<Vec<Value>>>;

/// A layer, and the lines that it has written.
fn logging() -> (AccessLogLayer, Lines) {
    let lines = Lines::default();
    let to = Arc::clone(&lines);
    let sink = move |entry: &Entry<'_>| {
        let mut line = Vec::new();
        entry.to_json(&mut line);
        to.lock().unwrap().push(serde_json::from_slice(&line).unwrap());
    };
    (AccessLogLayer::new().sink(sink), lines)
}

fn only(lines: &Lines) -> Value {
    let mut lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

const ID: &str = "0191e9a2-7b6d-7cc0-98c5-0a1b2c3d4e5f";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A service that notes everything that can be found out.
fn finding()
-> impl Service<Request<RequestBody<Scripted>>, Response = Response<Scripted>, Error = Infallible, Future: Send>
+ Clone {
    service_fn(|request: Request<RequestBody<Scripted>>| {
        let record = request.extensions().get::<Record>().unwrap();
        record.note_rule(&"shop".into(), Some(&Target::Group("web".parse().unwrap())));
        record.note_principal(&Principal::new("alice", "basic"));
        record.note_sent(&"first".parse().unwrap(), RequestId::NIL);
        record.note_sent(&"eu-1".parse().unwrap(), ID.parse().unwrap());
        record.note_upstream(&"http://10.0.0.1:80".into());
        record.note_trace(TraceId::from_text(TRACE.as_bytes()).unwrap());
        async {
            let received = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(received, "ping");
            Ok(Response::new(Scripted::of(["hello"])))
        }
    })
}

fn posted() -> Request<Scripted> {
    let mut request = request("/cart?token=secret").map(|_| Scripted::of(["ping"]));
    *request.method_mut() = http::Method::POST;
    let headers = request.headers_mut();
    headers.insert("user-agent", HeaderValue::from_static("curl \"8\""));
    headers.insert("cookie", HeaderValue::from_static("secret"));
    headers.insert("authorization", HeaderValue::from_static("Bearer secret"));
    let peer = PeerInfo::plaintext("192.0.2.7:50712".parse().unwrap());
    request.extensions_mut().insert(peer);
    request
}

#[tokio::test(start_paused = true)]
async fn an_entry_has_what_was_found_out() {
    let (layer, lines) = logging();
    let service = layer.headers(["user-agent"]).unwrap().layer(finding());
    let answer = service.oneshot(posted()).await.unwrap();
    assert!(lines.lock().unwrap().is_empty(), "it is not over");
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    answer.into_body().collect().await.unwrap();
    let mut line = only(&lines);
    let time = line["time"].take();
    assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    let expected = serde_json::json!({
        "time": null, "request_id": ID, "trace_id": TRACE, "peer": "192.0.2.7:50712", "principal": "alice",
        "method": "POST", "authority": "example.com", "path": "/cart?redacted", "version": "HTTP/1.1",
        "protocol": "http", "rule": "shop", "group": "web", "agent": "eu-1", "endpoint": "http://10.0.0.1:80",
        "attempts": 2, "status": 200, "bytes_in": 4, "bytes_out": 5, "first_byte": 0.0, "duration": 1.5,
        "headers": {"user-agent": "curl \"8\""},
    });
    // The first byte took no time at all.
    line["first_byte"] = (line["first_byte"].as_f64().unwrap().floor()).into();
    assert_eq!(line, expected);
}

#[tokio::test(start_paused = true)]
async fn a_line_of_text_is_that_of_web_servers_and_more() {
    let text = Arc::new(Mutex::new(String::new()));
    let to = Arc::clone(&text);
    let layer = AccessLogLayer::new()
        .sink(move |entry: &Entry<'_>| {
            let mut line = Vec::new();
            entry.to_common(&mut line);
            *to.lock().unwrap() = String::from_utf8(line).unwrap();
        })
        .headers(["user-agent"])
        .unwrap();
    let service = layer.layer(finding());
    let answer = service.oneshot(posted()).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let line = text.lock().unwrap().clone();
    let (head, rest) = line.split_once('[').unwrap();
    let rest = rest.split_once(']').unwrap().1;
    assert_eq!(head, "192.0.2.7 - alice ");
    assert_eq!(
        rest,
        format!(
            " \"POST /cart?redacted HTTP/1.1\" 200 5 \"-\" \"curl \\x228\\x22\" host=example.com protocol=http \
             request_id={ID} trace_id={TRACE} rule=shop group=web agent=eu-1 endpoint=http://10.0.0.1:80 attempts=2 \
             bytes_in=4 first_byte=0.000000 duration=0.000000"
        )
    );
}

#[tokio::test]
async fn secrets_are_not_logged_whatever_is_asked_for() {
    for name in [
        "Authorization",
        "cookie",
        "Set-Cookie",
        "proxy-authorization",
        "x-api-key",
    ] {
        let refused = AccessLogLayer::new().headers(["accept", name]).unwrap_err();
        assert!(refused.to_string().contains("holds secrets"), "{refused}");
    }
    let refused = AccessLogLayer::new().headers(["a b"]).unwrap_err();
    assert!(refused.to_string().contains("no name"), "{refused}");

    let (layer, lines) = logging();
    let mut request = posted();
    let mut sensitive = HeaderValue::from_static("secret");
    sensitive.set_sensitive(true);
    request.headers_mut().insert("x-mine", sensitive);
    let layer = layer.headers(["x-mine"]).unwrap();
    assert!(!format!("{layer:?}").contains("secret"));
    let answer = layer.layer(finding()).oneshot(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let line = only(&lines).to_string();
    assert!(!line.contains("secret"), "{line}");

    let (layer, lines) = logging();
    let answer = layer
        .query(true)
        .layer(finding())
        .oneshot(posted())
        .await
        .unwrap();
    answer.into_body().collect().await.unwrap();
    assert_eq!(only(&lines)["path"], "/cart?token=secret", "it was asked for");
}

#[tokio::test]
async fn what_outsiders_choose_cannot_forge_a_line() {
    let header = HeaderValue::from_bytes(b"a\" \\ \xff\t{}").unwrap();
    let (layer, lines) = logging();
    let text = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&text);
    let common = AccessLogLayer::new()
        .sink(move |entry: &Entry<'_>| entry.to_common(&mut to.lock().unwrap()))
        .headers(["x-mine", "user-agent"])
        .unwrap();
    let service = ServiceBuilder::new()
        .layer(layer.headers(["x-mine"]).unwrap())
        .layer(common)
        .service(service_fn(
            |request: Request<RequestBody<RequestBody<Scripted>>>| {
                let record = request.extensions().get::<Record>().unwrap();
                record.note_principal(&Principal::new("mallory \"\n[1/Jan/1970]", "basic"));
                std::future::ready(Ok::<_, Infallible>(Response::new(Scripted::default())))
            },
        ));
    let mut request = request(&format!("/{}", "x".repeat(9_000)));
    request.headers_mut().insert("x-mine", header.clone());
    request.headers_mut().insert("user-agent", header);
    service.oneshot(request).await.unwrap();
    let line = only(&lines);
    assert_eq!(line["principal"], "mallory \"\n[1/Jan/1970]");
    assert_eq!(line["headers"]["x-mine"], "a\" \\ \u{fffd}\t{}");
    let path = line["path"].as_str().unwrap();
    assert_eq!(path.len(), MAX_FIELD_BYTES + 3);
    let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    assert!(
        text.starts_with("- - mallory\\x20\\x22\\x0a[1/Jan/1970] ["),
        "{text}"
    );
    assert!(
        text.contains(" x-mine=a\\x22\\x20\\x5c\\x20\\xef\\xbf\\xbd\\x09{}"),
        "{text}"
    );
    assert_eq!(text.matches('"').count(), 6, "{text}");
}

#[tokio::test]
async fn each_end_has_its_cause() {
    let lost = || TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost");
    // Given up before the answer.
    let (layer, lines) = logging();
    let mut service = layer.layer(service_fn(|_: Request<_>| {
        std::future::pending::<Result<Response<Scripted>, Infallible>>()
    }));
    drop(ready(&mut service).await.call(request("/")));
    let line = only(&lines);
    assert_eq!(
        (&line["cause"], &line["status"]),
        (&"canceled".into(), &Value::Null)
    );
    assert_eq!(line["first_byte"], Value::Null);
    // Failed before the answer, and after it.
    let (layer, lines) = logging();
    let service = layer.layer(service_fn(move |_: Request<_>| async move {
        Err::<Response<Scripted>, _>(lost())
    }));
    service.oneshot(request("/")).await.unwrap_err();
    assert_eq!(only(&lines)["cause"], "agent-lost");
    let (layer, lines) = logging();
    let service = layer.layer(service_fn(move |_: Request<_>| {
        let body = Scripted::new([Step::Data("x"), Step::Fail(lost().into())]);
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    }));
    let body = service.oneshot(request("/")).await.unwrap().into_body();
    body.collect().await.unwrap_err();
    let line = only(&lines);
    assert_eq!(
        (&line["cause"], &line["status"]),
        (&"agent-lost".into(), &200.into())
    );
    // Calls tell in trailers.
    let (layer, lines) = logging();
    let service = layer.layer(service_fn(move |_: Request<_>| {
        let trailers = crate::reject::Caller::trailers(&lost());
        let body = Scripted::new([Step::Data("x"), Step::Trailers(trailers)]);
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    }));
    let body = service.oneshot(grpc_request()).await.unwrap().into_body();
    body.collect().await.unwrap();
    let line = only(&lines);
    assert_eq!(
        (&line["cause"], &line["grpc_status"]),
        (&"agent-lost".into(), &14.into())
    );
    assert_eq!(line["protocol"], "grpc");
}

#[tokio::test]
async fn the_trace_is_that_of_the_head_or_of_the_layer() {
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let traced = || {
        let mut request = request("/");
        let value = HeaderValue::from_str(&traceparent).unwrap();
        request.headers_mut().insert("traceparent", value);
        request.extensions_mut().insert(ID.parse::<RequestId>().unwrap());
        request
    };
    let answer =
        || service_fn(|_: Request<_>| async { Ok::<_, Infallible>(Response::new(Scripted::default())) });
    let (layer, lines) = logging();
    layer.layer(answer()).oneshot(traced()).await.unwrap();
    let line = only(&lines);
    assert_eq!(
        (&line["trace_id"], &line["request_id"]),
        (&TRACE.into(), &ID.into())
    );

    let (layer, lines) = logging();
    let service = layer.layer(TraceIdLayer::new().trust(false).layer(answer()));
    let answer = service.oneshot(traced()).await.unwrap();
    let line = only(&lines);
    assert_eq!(line["trace_id"], answer.headers()["x-trace-id"].to_str().unwrap());
    assert_ne!(line["trace_id"], TRACE);
}

#[tokio::test]
async fn it_stands_alone_around_axum_and_a_bare_service() {
    let (layer, lines) = logging();
    let app = Router::new()
        .route("/", get(|| async { "hi" }))
        .layer(layer.clone());
    let mut request = axum_request("/");
    let peer: SocketAddr = "192.0.2.9:9".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    let answer = app.oneshot(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let line = only(&lines);
    assert_eq!(
        (&line["peer"], &line["bytes_out"]),
        (&"192.0.2.9:9".into(), &2.into())
    );

    let mut service = layer.layer(Probe::new());
    assert_shareable(&service);
    let call = ready(&mut service).await.call(self::request("/"));
    assert_send(&call);
    call.await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(only(&lines)["bytes_out"], 5);
}

/// A writer that waits until it is let.
struct Gate(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Without anybody at the other end, it is open.
        let _ = self.0.recv();
        self.1.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_writer_that_stands_still_loses_lines_and_nobody_waits() {
    let (open, gate) = mpsc::channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let writer = Writer::with_bounds(Format::Json, Gate(gate, Arc::clone(&written)), 4, 1 << 20).unwrap();
    let service = AccessLogLayer::new()
        .sink(writer.clone())
        .layer(service_fn(|_: Request<_>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Scripted::default())))
        }));
    for _ in 0..1_000 {
        service.clone().oneshot(request("/")).await.unwrap();
    }
    let lost = writer.dropped();
    assert!(lost > 0, "nothing was lost");
    drop(open);
    writer.flush();
    assert_eq!(writer.written() + writer.dropped(), 1_000);
    assert_eq!(writer.dropped(), lost, "what was taken is written");
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count() as u64, writer.written());
    for line in text.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[tokio::test]
async fn a_writer_is_bounded_in_bytes_and_ends_when_all_is_written() {
    let written = Arc::new(Mutex::new(Vec::new()));
    let (_, open) = mpsc::channel();
    let writer = Writer::with_bounds(Format::Common, Gate(open, Arc::clone(&written)), 1_000, 1).unwrap();
    let layer = AccessLogLayer::new().sink(writer.clone());
    let answer =
        || service_fn(|_: Request<_>| async { Ok::<_, Infallible>(Response::new(Scripted::default())) });
    layer.layer(answer()).oneshot(request("/")).await.unwrap();
    assert_eq!((writer.dropped(), writer.written()), (1, 0));

    let (_, open) = mpsc::channel();
    let writer = Writer::new(Format::Common, Gate(open, Arc::clone(&written))).unwrap();
    let service = AccessLogLayer::new().sink(writer).layer(answer());
    for _ in 0..10 {
        service.clone().oneshot(request("/")).await.unwrap();
    }
    drop(service);
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 10);
}
