//! An agent or an upstream dies: the client sees a 502 before the head, and a broken transfer after it, never a clean end.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use h2::RecvStream;
use http::Response;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tunnel_tests::tunnel::{GROUP, Tunnel, listener};
use tunnel_transport::Upstream;

use crate::{
    app::{App, FIRST, WHOLE},
    http1::Raw,
    http2::{self, H2},
    world::{Mortal, eventually, within},
};

/// How a download comes to the client.
#[derive(Clone, Copy, Debug)]
enum Form {
    Chunked,
    Length,
    /// HTTP/1.0: its end is that of the connection.
    Close,
    H2,
    H2Length,
}

const FORMS: [Form; 5] = [Form::Chunked, Form::Length, Form::Close, Form::H2, Form::H2Length];

/// A download of which the first bytes have come.
enum Download {
    Http1(Form, Raw),
    H2(RecvStream, H2),
}

impl Download {
    async fn start(addr: SocketAddr, form: Form) -> Self {
        let path = if matches!(form, Form::Length | Form::H2Length) {
            "/sized"
        } else {
            "/chunked"
        };
        if matches!(form, Form::H2 | Form::H2Length) {
            let client = H2::connect(addr).await;
            let (response, _) = client.get(path).await;
            let mut body = http2::head(response).await.into_body();
            http2::read(&mut body, FIRST).await;
            return Self::H2(body, client);
        }
        let mut client = Raw::connect(addr).await;
        let version = if matches!(form, Form::Close) { "1.0" } else { "1.1" };
        client
            .send(&format!(
                "GET {path} HTTP/{version}\r\nhost: demo.example\r\n\r\n"
            ))
            .await;
        let head = client.head().await;
        assert!(head.contains(" 200 "), "{head}");
        assert_eq!(
            head.contains("transfer-encoding: chunked"),
            matches!(form, Form::Chunked),
            "{head}"
        );
        assert_eq!(
            head.contains("content-length: "),
            matches!(form, Form::Length),
            "{head}"
        );
        client.read(FIRST).await;
        Self::Http1(form, client)
    }

    async fn assert_broken(self) {
        match self {
            Self::Http1(form, mut client) => {
                let (rest, end) = client.read_to_end().await;
                match form {
                    Form::Chunked => assert!(!rest.ends_with(b"0\r\n\r\n"), "a clean end"),
                    Form::Length => assert!(((FIRST + rest.len()) as u64) < WHOLE, "a clean end"),
                    _ => assert_eq!(
                        end.expect_err("a clean end").kind(),
                        std::io::ErrorKind::ConnectionReset
                    ),
                }
            }
            Self::H2(body, mut client) => {
                let error = http2::read_all(body).await.expect_err("a clean end");
                assert!(error.is_reset(), "{error}");
                assert_ne!(error.reason(), Some(h2::Reason::NO_ERROR));
                client.assert_open();
            }
        }
    }
}

/// A request without an answer yet must get this 502.
async fn assert_bad_gateway(addr: SocketAddr, cause: &str, die: impl AsyncFnOnce()) {
    let (mut http1, http2) = (Raw::get(addr, "/wait").await, H2::connect(addr).await);
    let (response, _) = http2.get("/wait").await;
    die().await;
    let head = http1.head().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(head.contains(&format!("x-tunnel-error: {cause}\r\n")), "{head}");
    assert!(
        head.contains("content-type: application/problem+json\r\n"),
        "{head}"
    );
    let response = http2::head(response).await;
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["x-tunnel-error"], cause);
}

#[tokio::test]
async fn an_agent_that_dies_in_mid_body_breaks_the_transfer() {
    within(async {
        for form in FORMS {
            let (tunnel, app) = (Tunnel::builder().start().await, App::new());
            let agent = Mortal::start(tunnel.agent(GROUP), app.router()).await;
            let download = Download::start(tunnel.addr, form).await;
            agent.kill().await;
            download.assert_broken().await;
            settled(&tunnel, &app).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_dies_before_the_head_is_a_502() {
    within(async {
        let (tunnel, app) = (Tunnel::builder().start().await, App::new());
        let agent = Mortal::start(tunnel.agent(GROUP), app.router()).await;
        assert_bad_gateway(tunnel.addr, "agent-lost", async || {
            app.serving(2).await;
            agent.kill().await;
        })
        .await;
        settled(&tunnel, &app).await;
    })
    .await;
}

/// With the agent gone, nothing of it may be left.
async fn settled(tunnel: &Tunnel, app: &App) {
    app.idle().await;
    eventually(|| tunnel.gateway.agents().list().is_empty()).await;
    eventually(|| tunnel.gateway.credit().used() == 0).await;
}

/// How an upstream dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Fin,
    Reset,
}

/// An upstream that answers in part, and dies when it is told to.
struct Dying {
    addr: SocketAddr,
    asked: Arc<Notify>,
    die: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl Dying {
    async fn start<F>(serve: impl FnOnce(TcpListener, Arc<Notify>, Arc<Notify>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = listener().await;
        let addr = listener.local_addr().expect("bound");
        let (asked, die, mut tasks) = (Arc::<Notify>::default(), Arc::<Notify>::default(), JoinSet::new());
        tasks.spawn(serve(listener, asked.clone(), die.clone()));
        Self {
            addr,
            asked,
            die,
            _tasks: tasks,
        }
    }

    async fn http1(death: Death) -> Self {
        Self::start(async move |listener, asked, die| {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                connections.spawn(die_over_http1(socket, death, asked.clone(), die.clone()));
            }
        })
        .await
    }

    async fn h2c(death: Death) -> Self {
        Self::start(async move |listener, asked, die| {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                connections.spawn(die_over_h2c(socket, death, asked.clone(), die.clone()));
            }
        })
        .await
    }
}

async fn die_over_http1(mut socket: TcpStream, death: Death, asked: Arc<Notify>, die: Arc<Notify>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("a whole head"));
    }
    let head = String::from_utf8(head).expect("text");
    let (fields, first) = if head.starts_with("GET /sized") {
        (format!("content-length: {WHOLE}\r\n\r\n"), "x".repeat(FIRST))
    } else {
        (
            "transfer-encoding: chunked\r\n\r\n".to_owned(),
            format!("{FIRST:x}\r\n{}\r\n", "x".repeat(FIRST)),
        )
    };
    if !head.starts_with("GET /wait") {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}{first}");
        socket
            .write_all(answer.as_bytes())
            .await
            .expect("the agent reads");
    }
    asked.notify_one();
    die.notified().await;
    if death == Death::Reset {
        socket.set_zero_linger().expect("the connection is open");
    }
}

async fn die_over_h2c(socket: TcpStream, death: Death, asked: Arc<Notify>, die: Arc<Notify>) {
    let mut connection = h2::server::handshake(socket).await.expect("HTTP/2");
    let mut streams = JoinSet::new();
    let end = Arc::new(Notify::new());
    loop {
        let next = tokio::select! {
            next = connection.accept() => next,
            () = end.notified() => return,
        };
        let Some(Ok((request, mut respond))) = next else {
            return;
        };
        let (asked, die, end) = (asked.clone(), die.clone(), end.clone());
        streams.spawn(async move {
            let path = request.uri().path().to_owned();
            let mut stream = None;
            if path != "/wait" {
                let mut head = Response::builder();
                if path == "/sized" {
                    head = head.header("content-length", WHOLE);
                }
                let head = head.body(()).expect("a valid head");
                let mut body = respond.send_response(head, false).expect("the agent is there");
                http2::send(&mut body, Bytes::from(vec![b'x'; FIRST / 2]))
                    .await
                    .expect("the agent reads");
                http2::send(&mut body, Bytes::from(vec![b'x'; FIRST / 2]))
                    .await
                    .expect("the agent reads");
                stream = Some(body);
            }
            asked.notify_one();
            die.notified().await;
            match (death, &mut stream) {
                (Death::Fin, _) => end.notify_one(),
                (Death::Reset, Some(stream)) => stream.send_reset(h2::Reason::INTERNAL_ERROR),
                (Death::Reset, None) => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            }
        });
    }
}

#[tokio::test]
async fn an_upstream_that_dies_in_mid_body_breaks_the_transfer() {
    within(async {
        for death in [Death::Fin, Death::Reset] {
            for form in FORMS {
                let dying = Dying::http1(death).await;
                upstream_dies(&dying, Upstream::http1(format!("http://{}", dying.addr)), form).await;
                let dying = Dying::h2c(death).await;
                upstream_dies(&dying, Upstream::h2c(format!("http://{}", dying.addr)), form).await;
            }
        }
    })
    .await;
}

async fn upstream_dies<E: std::fmt::Debug>(dying: &Dying, upstream: Result<Upstream, E>, form: Form) {
    let tunnel = Tunnel::serve(upstream.expect("an address of our own")).await;
    let download = Download::start(tunnel.addr, form).await;
    dying.die.notify_one();
    download.assert_broken().await;
    tunnel.settled().await;
}

#[tokio::test]
async fn an_upstream_that_dies_before_the_head_is_a_502() {
    within(async {
        for death in [Death::Fin, Death::Reset] {
            for is_h2c in [false, true] {
                let dying = if is_h2c {
                    Dying::h2c(death).await
                } else {
                    Dying::http1(death).await
                };
                let uri = format!("http://{}", dying.addr);
                let upstream = if is_h2c {
                    Upstream::h2c(uri)
                } else {
                    Upstream::http1(uri)
                };
                let tunnel = Tunnel::serve(upstream.expect("an address of our own")).await;
                assert_bad_gateway(tunnel.addr, "upstream", async || {
                    for _ in 0..2 {
                        dying.asked.notified().await;
                        dying.die.notify_one();
                    }
                })
                .await;
                tunnel.settled().await;
            }
        }
    })
    .await;
}
