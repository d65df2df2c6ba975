//! A real agent and what it serves.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::task::JoinHandle;
use tower::{Service, service_fn};
use tunnel_core::TunnelBody;
use tunnel_tests::{
    raw::{
        RawGateway, RawStream,
        message::{http_request, new_id},
    },
    wait::{eventually, idle},
};
use tunnel_transport::{Agent, AgentBuilder, AgentError, AgentService, Backoff, ServedRequest, Status};

/// An agent that serves.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) agent: Agent,
    pub(super) serving: JoinHandle<Result<(), AgentError>>,
}

/// The usual agent of `gateway`: it tries again at once.
pub(super) fn builder(gateway: &RawGateway) -> AgentBuilder {
    let backoff = Backoff {
        first: Duration::from_millis(1),
        cap: Duration::from_millis(10),
    };
    Agent::builder(gateway.url())
        .id("a-1")
        .group("demo")
        .backoff(backoff)
}

impl Actor {
    pub(super) fn of(builder: AgentBuilder, service: impl AgentService + Sync) -> Self {
        let agent = builder.build().expect("the settings are good");
        let serving = tokio::spawn(agent.serve(service).into_future());
        Self { agent, serving }
    }

    pub(super) fn at(gateway: &RawGateway, service: impl AgentService + Sync) -> Self {
        Self::of(builder(gateway), service)
    }

    /// The end of a test: nothing is pending, and no credit is granted.
    pub(super) async fn finish(self) {
        idle(&self.agent.connected().await).await;
        let credit = self.agent.credit();
        eventually(|| credit.used() == 0).await;
        self.serving.abort();
    }

    /// Waits until the agent's status is as `wanted`.
    pub(super) async fn status(&self, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.agent.status();
        status.wait_for(wanted).await.expect("the agent lives").clone()
    }
}

/// Answers every request with its own body.
pub(super) fn echo() -> impl AgentService + Sync {
    service_fn(async |request: ServedRequest| Ok::<_, Infallible>(Response::new(request.into_body())))
}

/// Reads each request to its end, then answers with what `answer` says.
pub(super) fn answering<A>(answer: A) -> impl AgentService + Sync
where
    A: Fn(Request<Bytes>) -> Response<&'static str> + Clone + Send + Sync + 'static,
{
    service_fn(move |request: ServedRequest| {
        let answer = answer.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let answer = answer(Request::from_parts(parts, body));
            Ok::<_, tunnel_core::TunnelError>(answer.map(Full::<Bytes>::from))
        }
    })
}

/// What a service is that never answers, and keeps the request until it is dropped itself.
pub(super) fn silent()
-> impl Service<ServedRequest, Response = Response<TunnelBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync {
    service_fn(async |request: ServedRequest| {
        let _request = request;
        std::future::pending::<Result<Response<TunnelBody>, Infallible>>().await
    })
}

/// A small exchange with an agent that serves [`echo`].
pub(super) async fn round_trip(lane: &mut RawStream) {
    let id = new_id();
    lane.send(http_request(&id, "POST", "/round-trip").body("well").end())
        .await;
    let response = lane.expect_response(&id).await;
    assert_eq!(
        (response.status, &*response.body, response.end),
        (200, &b"well"[..], true)
    );
}
