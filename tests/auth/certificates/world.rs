//! An entry that asks for certificates, an agent behind it, and clients of every protocol.

use std::{
    error::Error,
    future::IntoFuture as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State, ws::WebSocketUpgrade},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::any,
};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};
use tonic::{Code, service::Routes, transport::Endpoint};
use tower::{ServiceBuilder, service_fn};
use tunnel_examples::greeter::{GreetRequest, GreeterClient, GreeterServer, Hello};
use tunnel_layers::{
    auth::{AuthLayer, Authenticator as _, MutualTls, Policies},
    balance::{BalanceLayer, LeastPending},
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    rescue::RescueLayer,
    route::{RouteLayer, Rule, Rules},
    trace_id::TraceIdLayer,
    upgrade::UpgradeLayer,
};
use tunnel_tests::{
    pki::{Ca, HttpsClient, Issued, TlsClient},
    tunnel::{GROUP, address, group, listener},
    websocket::echo,
};
use tunnel_transport::{Agent, Gateway, entry::Entry, tls::ServerTls};

use crate::world::{CALLER, SAW};

/// The entry's name.
const NAME: &str = "out.test";

/// An entry that asks for certificates, and whose rules want one, but for `/public`.
pub(super) struct World {
    servers: Ca,
    pub(super) clients: Ca,
    addr: SocketAddr,
    calls: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The app has seen it, and was told who calls.
    In(String),
    /// 401, and UNAUTHENTICATED.
    Unknown,
    /// 403, and PERMISSION_DENIED.
    Forbidden,
    /// There was no connection, because of this alert.
    NoConnection(String),
}

impl World {
    pub(super) async fn new() -> Self {
        let (servers, clients) = (Ca::new("servers"), Ca::new("clients"));
        let tls = ServerTls::builder()
            .certificate(servers.server(&[NAME]).identity())
            .request_client_certificates([clients.believed()]);
        let entry = Entry::new().tls(tls.build().expect("certificates"));
        let gateway = Gateway::builder().open_to_any_agent().build();
        let stack = ServiceBuilder::new()
            .layer(TraceIdLayer::new())
            .layer(RescueLayer::new())
            .layer(RouteLayer::new(rules()))
            .layer(auth())
            .layer(BalanceLayer::new(gateway.agents(), LeastPending::new()))
            .layer(UpgradeLayer::new())
            .layer(ChunkLayer::new())
            .layer(CorrelateLayer::new())
            .service(gateway.transport());
        let (outside, agents) = (listener().await, listener().await);
        let (addr, agents_addr) = (address(&outside), address(&agents));
        let agent = Agent::builder(format!("http://{agents_addr}")).group(GROUP);
        let agent = agent.build().expect("the agent's settings are right");
        let calls = Arc::default();
        let serve = agent.serve(app(&calls));
        let mut tasks = JoinSet::new();
        tasks.spawn(entry.serve(outside, stack).into_future());
        tasks.spawn(gateway.serve_agents(agents).into_future());
        tasks.spawn(async move { serve.await.expect("the agent is not refused") });
        agent.connected().await;
        Self {
            servers,
            clients,
            addr,
            calls,
            _tasks: tasks,
        }
    }

    pub(super) fn client(&self, shown: Option<&Issued>) -> TlsClient {
        let client = TlsClient::new(&self.servers);
        match shown {
            Some(issued) => client.showing(issued),
            None => client,
        }
    }

    pub(super) async fn connect(&self, client: &TlsClient) -> std::io::Result<TlsStream<TcpStream>> {
        client.connect(self.addr, NAME).await
    }

    /// A GET that claims to be somebody else.
    pub(super) async fn http(&self, client: &TlsClient, alpn: &'static str, path: &str) -> Came {
        let call = async {
            let stream = self.connect(&client.clone().offering(&[alpn])).await?;
            HttpsClient::on(stream).await?.send(get(path)).await
        };
        match call.await {
            Ok(answer) => came(answer.status().as_u16(), answer.headers()),
            Err(error) => Came::NoConnection(root(&error)),
        }
    }

    async fn grpc(&self, client: &TlsClient) -> Came {
        let (client, addr) = (client.clone().offering(&["h2"]), self.addr);
        let connector = service_fn(move |_: http::Uri| {
            let client = client.clone();
            async move { client.connect(addr, NAME).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("https://out.test");
        let channel = match endpoint.connect_with_connector(connector).await {
            Ok(channel) => channel,
            Err(error) => return Came::NoConnection(root(&error)),
        };
        let mut request = tonic::Request::new(GreetRequest {
            name: "you".to_owned(),
        });
        request
            .metadata_mut()
            .insert(CALLER, "root".parse().expect("a value"));
        match GreeterClient::new(channel).greet(request).await {
            Ok(answer) => {
                assert_eq!(answer.get_ref().greeting, "hello you");
                saw(answer.metadata().as_ref())
            }
            Err(status) => match status.code() {
                Code::Unauthenticated => Came::Unknown,
                Code::PermissionDenied => Came::Forbidden,
                _ => Came::NoConnection(root(&status)),
            },
        }
    }

    async fn websocket(&self, client: &TlsClient) -> Came {
        let stream = match self.connect(client).await {
            Ok(stream) => stream,
            Err(error) => return Came::NoConnection(root(&error)),
        };
        let mut request = "wss://out.test/talk".into_client_request().expect("a request");
        request
            .headers_mut()
            .insert(CALLER, HeaderValue::from_static("root"));
        match client_async(request, stream).await {
            Ok((mut socket, answer)) => {
                socket.send(Message::text("hello")).await.expect("it is open");
                let back = socket.next().await.expect("it is open").expect("a message");
                assert_eq!(back, Message::text("hello"));
                came(answer.status().as_u16(), answer.headers())
            }
            Err(tungstenite::Error::Http(answer)) => came(answer.status().as_u16(), answer.headers()),
            Err(error) => Came::NoConnection(root(&error)),
        }
    }

    /// What comes of this client in HTTP/1.1, HTTP/2, gRPC and as a WebSocket.
    pub(super) async fn everywhere(&self, client: &TlsClient) -> [Came; 4] {
        [
            self.http(client, "http/1.1", "/").await,
            self.http(client, "h2", "/").await,
            self.grpc(client).await,
            self.websocket(client).await,
        ]
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn rules() -> Rules {
    let everything = Rule::group("all", group(GROUP)).policy("web");
    let public = Rule::group("public", group(GROUP))
        .path_prefix("/public")
        .public();
    Rules::compile([public, everything]).expect("the rules are right")
}

/// Takes the certificates of `web`, and of what stands below `fleet`.
fn auth() -> AuthLayer<tunnel_core::auth::BoxAuthenticator> {
    let patterns = ["uri:spiffe://test/web", "dns:*.fleet.clients.test"];
    let patterns = patterns.map(|pattern| pattern.parse().expect("a pattern"));
    let certificates = MutualTls::new(patterns).expect("patterns").boxed();
    let policies = Policies::new([("web", certificates)]).expect("one name");
    AuthLayer::policies(policies)
        .principal_header(CALLER.parse().expect("a name"))
        .expect("a name of our own")
}

fn app(calls: &Arc<AtomicUsize>) -> Router {
    Routes::new(GreeterServer::new(Hello))
        .into_axum_router()
        .route(
            "/talk",
            any(async |upgrade: WebSocketUpgrade| echo::answer(upgrade)),
        )
        .fallback(async || "hello")
        .layer(from_fn_with_state(calls.clone(), tell))
}

/// Counts, and says in the answer whom the app was told of.
async fn tell(State(calls): State<Arc<AtomicUsize>>, request: Request, next: Next) -> Response {
    calls.fetch_add(1, Ordering::SeqCst);
    let told: Vec<_> = request.headers().get_all(CALLER).iter().cloned().collect();
    let saw = match told.as_slice() {
        [] => HeaderValue::from_static("nobody"),
        [one] => one.clone(),
        _ => HeaderValue::from_static("several"),
    };
    let mut answer = next.run(request).await;
    answer.headers_mut().insert(SAW, saw);
    answer
}

pub(super) fn get(path: &str) -> http::Request<Body> {
    http::Request::get(format!("https://{NAME}{path}"))
        .header(header::HOST, NAME)
        .header(CALLER, "root")
        .body(Body::empty())
        .expect("a request")
}

pub(super) fn came(status: u16, headers: &HeaderMap) -> Came {
    match status {
        101 | 200 => saw(headers),
        401 => {
            let challenge = headers.get(header::WWW_AUTHENTICATE);
            let challenge = challenge.and_then(|challenge| challenge.to_str().ok());
            assert!(
                challenge.is_some_and(|text| text.starts_with("ClientCertificate realm=")),
                "{headers:?}"
            );
            Came::Unknown
        }
        403 => Came::Forbidden,
        status => panic!("answered {status}: {headers:?}"),
    }
}

fn saw(headers: &HeaderMap) -> Came {
    Came::In(headers[SAW].to_str().expect("text").to_owned())
}

/// The last of an error and its sources.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
