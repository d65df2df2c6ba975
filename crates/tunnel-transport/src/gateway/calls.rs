//! What agents ask of their gateway.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tower_service::Service;
use tunnel_core::{
    Accepted, AgentCaller, BoxError, Canonical, PeerInfo, ResetReason, TunnelError, admit::UpgradeRequest,
    upgrade::StreamClaim,
};

use super::Gateway;
use crate::{
    agent::{AgentService as _, ServedRequest, Workers},
    dispatch::OnAccept,
};

/// What serves the exchanges that agents open, of all of them. It must not wait.
pub(super) struct Callee(Box<dyn Fn(Identity, Accepted) + Send + Sync>);

/// Who opens exchanges on one lane.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) caller: AgentCaller,
    pub(super) peer: PeerInfo,
}

impl Gateway {
    /// Hands the requests that agents carry here to `service`, from now on, in the place of the one that was there before; what is
    /// open goes on where it is, and the old service goes with the last of it. Without a service they are refused.
    ///
    /// The service is a stack of layers as for traffic from outside, and treats these requests as such: they are not admitted yet,
    /// and what an agent says of hosts, forwarding fields and upgrades is checked like what any caller says. In their extensions
    /// are an [`AgentCaller`], its [`Principal`](tunnel_core::Principal), and the agent's [`PeerInfo`]. Nobody has decided yet what
    /// the agent may call: rules do, by an authenticator such as `AgentCallers` of the layers. A request that goes round in a circle
    /// ends at admission (see [`HOPS_HEADER`](tunnel_core::admit::HOPS_HEADER)).
    ///
    /// A call ends with its session: when that is lost, or its agent's credentials are taken back.
    ///
    /// The gateway keeps the service, so the service should not keep the gateway, but its [`agents`](Self::agents) and its
    /// [`transport`](Self::transport).
    pub fn serve_calls<S, B>(&self, service: S)
    where
        S: Service<ServedRequest, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let workers = Workers::new(move |(identity, accepted)| {
            let inner = service.clone();
            Identified { inner, identity }.handle(accepted)
        });
        let callee = Callee(Box::new(move |identity, accepted| {
            workers.serve((identity, accepted));
        }));
        self.0.calls.store(Some(Arc::new(callee)));
    }

    /// Refuses what agents ask from now on, as before [`serve_calls`](Self::serve_calls).
    pub fn refuse_calls(&self) {
        self.0.calls.store(None);
    }

    /// What is done with the exchanges that this agent opens on one lane.
    pub(super) fn on_call(&self, identity: Identity) -> OnAccept {
        let gateway = self.clone();
        Arc::new(move |accepted| match &*gateway.0.calls.load() {
            Some(callee) => (callee.0)(identity.clone(), accepted),
            None => refuse(accepted),
        })
    }
}

/// Without a service.
fn refuse(accepted: Accepted) {
    let error = TunnelError::internal("this gateway takes no requests from agents");
    accepted.send.reset(ResetReason::Refused, &error);
}

/// Says who calls, and that nobody has checked the request yet.
#[derive(Clone)]
struct Identified<S> {
    inner: S,
    identity: Identity,
}

impl<S: Service<ServedRequest>> Service<ServedRequest> for Identified<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: ServedRequest) -> S::Future {
        let Identity { caller, peer } = &self.identity;
        let extensions = request.extensions_mut();
        // What the agent's layers made of the request. An upgrade is asked for by the fields as well, and the stack carries it
        // out by the connection inside this process.
        extensions.remove::<Canonical>();
        extensions.remove::<UpgradeRequest>();
        extensions.remove::<StreamClaim>();
        extensions.insert(peer.clone());
        extensions.insert(caller.principal().clone());
        extensions.insert(caller.clone());
        self.inner.call(request)
    }
}

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callee").finish_non_exhaustive()
    }
}
