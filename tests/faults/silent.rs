//! Uploads that fall silent: the entry's limit ends them with 408, the app sees a body that breaks off, and nothing is left; a
//! rule may give them longer, for ever, or less.
//!
//! Nothing here is measured. What shows that a limit is over is another upload, which began later and was ended by it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{SendStream, client::ResponseFuture};
use tunnel_core::Limit;
use tunnel_layers::route::Rule;
use tunnel_tests::tunnel::{GROUP, Tunnel, group};
use tunnel_transport::entry::Entry;

use crate::{
    http1::{Raw, head},
    http2::{self, H2},
    world::{PLACES, Place, World, within},
};

/// The limit that a test waits for.
const SHORT: Duration = Duration::from_millis(300);
/// One that no test waits for.
const LONG: Duration = Duration::from_secs(3_600);

/// How an upload goes to the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Length,
    Chunked,
    H2,
    H2Length,
    /// A call over HTTP/2.
    Grpc,
}

const FORMS: [Form; 4] = [Form::Length, Form::Chunked, Form::H2, Form::H2Length];

/// An upload of four bytes, of which two have gone.
enum Upload {
    Http1(Form, Raw),
    H2(ResponseFuture, SendStream<Bytes>, H2),
}

impl Upload {
    async fn start(addr: SocketAddr, form: Form, path: &str) -> Self {
        if matches!(form, Form::Length | Form::Chunked) {
            let (field, first) = match form {
                Form::Length => ("content-length: 4\r\n", "ab"),
                _ => ("transfer-encoding: chunked\r\n", "2\r\nab\r\n"),
            };
            let mut client = Raw::connect(addr).await;
            client
                .send(&format!("{}{first}", head("POST", path, field)))
                .await;
            return Self::Http1(form, client);
        }
        let client = H2::connect(addr).await;
        let mut request = http2::request("POST", path);
        match form {
            Form::H2Length => request.headers_mut().insert("content-length", 4.into()),
            Form::Grpc => request
                .headers_mut()
                .insert("content-type", "application/grpc".parse().expect("a value")),
            _ => None,
        };
        let (answer, mut body) = client.open(request, false).await;
        http2::send(&mut body, Bytes::from_static(b"ab"))
            .await
            .expect("the entry reads");
        Self::H2(answer, body, client)
    }

    /// Sends the rest, which must come to the app.
    async fn finish(self) {
        match self {
            Self::Http1(form, mut client) => {
                let rest = if form == Form::Length {
                    "cd"
                } else {
                    "2\r\ncd\r\n0\r\n\r\n"
                };
                client.send(rest).await;
                let head = client.head().await;
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                assert_eq!(client.read(1).await, b"4");
            }
            Self::H2(answer, mut body, _client) => {
                body.send_data(Bytes::from_static(b"cd"), true)
                    .expect("the stream is open");
                let answer = http2::head(answer).await;
                assert_eq!(answer.status(), 200);
                assert_eq!(http2::read_all(answer.into_body()).await.expect("an answer"), "4");
            }
        }
    }

    /// It must be answered 408: then a connection of HTTP/1.1 is closed, and one of HTTP/2 goes on.
    async fn assert_refused(self) {
        match self {
            Self::Http1(form, mut client) => {
                let head = client.head().await.to_lowercase();
                assert!(head.starts_with("http/1.1 408 "), "{form:?}: {head}");
                assert!(head.contains("\r\nx-tunnel-error: body-idle\r\n"), "{head}");
                assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
                let (body, end) = client.read_to_end().await;
                end.expect("it is closed in order");
                let length = format!("\r\ncontent-length: {}\r\n", body.len());
                assert!(!body.is_empty() && head.contains(&length), "{head}");
            }
            Self::H2(answer, _body, mut client) => {
                let answer = http2::head(answer).await;
                assert_eq!(answer.status(), 408);
                assert_eq!(answer.headers()["x-tunnel-error"], "body-idle");
                let problem = http2::read_all(answer.into_body()).await;
                assert!(!problem.expect("a whole answer").is_empty());
                client.fast().await;
                client.assert_open();
            }
        }
    }

    /// The answer has begun, and says back what has gone. Then it must break off.
    async fn assert_broken(self) {
        match self {
            Self::Http1(form, mut client) => {
                let head = client.head().await;
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                let (rest, _) = client.read_to_end().await;
                let sent = if form == Form::Length { "ab" } else { "2\r\nab\r\n" };
                assert_eq!(rest, sent.as_bytes(), "what was sent, and no end");
            }
            Self::H2(answer, _body, mut client) => {
                let mut answer = http2::head(answer).await.into_body();
                http2::read(&mut answer, 2).await;
                let error = http2::read_all(answer).await.expect_err("a clean end");
                assert!(error.is_reset(), "{error}");
                assert_ne!(error.reason(), Some(h2::Reason::NO_ERROR));
                client.fast().await;
                client.assert_open();
            }
        }
    }
}

/// A tunnel whose entry has this limit, with these rules before the one for everything.
async fn world(place: Place, limit: Option<Duration>, rules: impl IntoIterator<Item = Rule>) -> World {
    let all = Rule::group("all", group(GROUP));
    let builder = Tunnel::builder()
        .entry(Entry::new().body_idle_timeout(limit))
        .rules(rules.into_iter().chain([all]));
    let mut world = World::without_agent(builder).await;
    world.add(place).await;
    world
}

/// A rule for what stands below `/NAME`.
fn rule(name: &str, idle: impl Into<Limit<Duration>>) -> Rule {
    Rule::group(name, group(GROUP))
        .path_prefix(format!("/{name}"))
        .replace_prefix("/")
        .request_idle_timeout(idle)
}

#[tokio::test]
async fn a_silent_upload_is_answered_408_and_the_app_sees_no_end_of_it() {
    within(async {
        for place in PLACES {
            let world = world(place, Some(SHORT), []).await;
            for (index, form) in (1..).zip(FORMS) {
                Upload::start(world.addr(), form, "/apart")
                    .await
                    .assert_refused()
                    .await;
                world.settled().await;
                assert_eq!(world.app.bodies(), (0, index), "{place:?}, {form:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_has_begun_breaks_off_with_the_upload() {
    within(async {
        for place in PLACES {
            let world = world(place, Some(SHORT), []).await;
            for form in FORMS {
                Upload::start(world.addr(), form, "/echo")
                    .await
                    .assert_broken()
                    .await;
                world.settled().await;
                assert_eq!(world.app.bodies().0, 0, "{place:?}, {form:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_rule_lifts_the_limit_and_calls_of_grpc_have_none() {
    within(async {
        for place in PLACES {
            let rules = [rule("forever", Limit::Unlimited), rule("longer", LONG)];
            let world = world(place, Some(SHORT), rules).await;
            let mut patient = vec![Upload::start(world.addr(), Form::Grpc, "/apart").await];
            for form in FORMS {
                for path in ["/forever/apart", "/longer/apart"] {
                    patient.push(Upload::start(world.addr(), form, path).await);
                }
            }
            world.app.serving(patient.len() as u64).await;
            // These begin when the others are silent already.
            join_all(FORMS.map(async |form| {
                let impatient = Upload::start(world.addr(), form, "/apart").await;
                impatient.assert_refused().await;
            }))
            .await;
            let silent = patient.len() as u64;
            for upload in patient {
                upload.finish().await;
            }
            world.settled().await;
            assert_eq!(world.app.bodies(), (silent, 4), "{place:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_rule_may_allow_less_than_the_entry() {
    within(async {
        for limit in [Some(LONG), None] {
            let world = world(Place::Agent, limit, [rule("short", SHORT)]).await;
            for (index, form) in (1..).zip(FORMS) {
                Upload::start(world.addr(), form, "/short/apart")
                    .await
                    .assert_refused()
                    .await;
                world.settled().await;
                assert_eq!(world.app.bodies(), (0, index), "{form:?}");
            }
            let call = Upload::start(world.addr(), Form::Grpc, "/short/apart").await;
            let Upload::H2(answer, _body, _client) = call else {
                unreachable!("gRPC is HTTP/2")
            };
            let answer = http2::head(answer).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["grpc-status"], "4");
            world.settled().await;
            assert_eq!(world.app.bodies(), (0, 5));
        }
    })
    .await;
}
