//! What agents ask of their gateway.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
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
    agent::{ServedRequest, Workers},
    dispatch::OnAccept,
};

/// Makes what serves the exchanges that one agent opens on one lane.
pub(super) struct Callee(Box<dyn Fn(&Identity) -> OnAccept + Send + Sync>);

/// Who opens exchanges on one lane.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) caller: AgentCaller,
    pub(super) peer: PeerInfo,
}

impl Gateway {
    /// Hands the requests that agents carry here to `service`, from now on, in the place of the one that was there before; what is
    /// open goes on where it is. Without a service they are refused.
    ///
    /// The service is a stack of layers as for traffic from outside, and treats these requests as such: they are not admitted yet,
    /// and what an agent says of hosts, forwarding fields and upgrades is checked like what any caller says. In their extensions
    /// are an [`AgentCaller`], its [`Principal`](tunnel_core::Principal), and the agent's [`PeerInfo`]. Nobody has decided yet what the agent may call:
    /// rules do, by an authenticator such as `AgentCallers` of the layers.
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
        let callee = Callee(Box::new(move |identity| {
            let workers = Workers::new(Identified {
                inner: service.clone(),
                identity: identity.clone(),
            });
            Arc::new(move |accepted| workers.serve(accepted))
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
        let current: Mutex<Option<(Arc<Callee>, OnAccept)>> = Mutex::default();
        Arc::new(move |accepted| {
            let Some(callee) = gateway.0.calls.load_full() else {
                return refuse(accepted);
            };
            let serve = {
                let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
                match &*current {
                    Some((of, serve)) if Arc::ptr_eq(of, &callee) => serve.clone(),
                    _ => {
                        let serve = (callee.0)(&identity);
                        *current = Some((callee, serve.clone()));
                        serve
                    }
                }
            };
            serve(accepted);
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
