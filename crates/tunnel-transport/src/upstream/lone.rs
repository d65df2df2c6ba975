//! One endpoint as an upstream: nothing is chosen, and nothing asked of it but to take requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request};
use tunnel_core::{Cause, TunnelError};

use crate::upstream::{
    EndpointState, ResponseFuture, UpstreamEndpoint, error,
    failed::Failed,
    gate::Gate,
    marks::Marks,
    node::{Maker, Member, Node},
    place::Place,
    service::{OnIdleFuture, answer},
    target::Target,
    upgrade::{Ask, Asked},
    upload::Upload,
};

/// The only endpoint of an upstream.
pub(super) struct Lone {
    /// Another one after a drain.
    node: ArcSwap<Node>,
    maker: Maker,
    endpoint: UpstreamEndpoint,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    marks: Marks,
    has_started: bool,
    is_closed: bool,
}

impl Lone {
    pub(super) fn new(maker: Maker, endpoint: UpstreamEndpoint, target: Target) -> Self {
        let name = endpoint.uri.clone();
        Self {
            node: ArcSwap::new(maker.node(target, &endpoint, name)),
            maker,
            endpoint,
            state: Mutex::default(),
        }
    }

    pub(super) fn start(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.has_started, true) {
            self.prepare();
        }
    }

    fn prepare(&self) {
        let connections = self.maker.settings.initial_connections;
        if connections > 0 {
            let node = self.node.load_full();
            tokio::spawn(async move { node.pool.prepare(connections).await });
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        self.node.load().close();
    }

    pub(super) fn node(&self) -> Member {
        Member(self.node.load_full())
    }

    pub(super) fn state(&self) -> EndpointState {
        EndpointState::of(&self.node(), &self.endpoint.uri)
    }

    pub(super) fn marks(&self) -> Marks {
        self.lock().marks.clone()
    }

    /// Changes what is drained; gives the endpoint if that takes nothing new by now.
    pub(super) fn mark<R>(&self, change: impl FnOnce(&mut Marks, &dyn Fn(&str) -> bool) -> R) -> R {
        let mut state = self.lock();
        let uri = self.endpoint.uri.as_str();
        let changed = change(&mut state.marks, &|name| name == uri);
        let node = self.node.load();
        if state.marks.cover(uri, uri) {
            node.drain();
        } else if node.is_draining() && !state.is_closed {
            let next = self.maker.successor(&node, &self.endpoint);
            self.node.swap(next).resumed();
            if state.has_started {
                self.prepare();
            }
        }
        changed
    }

    /// The way of an exchange.
    pub(super) fn call(&self, request: Request<Upload>, gate: Gate) -> ResponseFuture {
        let node = self.node.load();
        let place = Place::unmeasured(Member(Arc::clone(&node)));
        match node.on_idle(request) {
            Ok((given, pool)) => {
                let held = Some((pool, gate, place));
                ResponseFuture::new(OnIdleFuture::Given { given, held })
            }
            Err(request) => ResponseFuture::new(async move {
                check(&place)?;
                let sent = place.member().send(request).await;
                answer(sent.map_err(|failed| told(failed, &place)), gate, place)
            }),
        }
    }

    /// Asks the endpoint to switch to `protocol`.
    pub(super) async fn ask(
        &self,
        request: Request<Upload>,
        protocol: &HeaderValue,
    ) -> Result<Asked, TunnelError> {
        let place = Place::unmeasured(self.node());
        check(&place)?;
        match place.member().ask(request, protocol).await {
            Ok((response, on)) => Ok((response, Ask::new(on, place))),
            Err(failed) => Err(told(failed, &place).error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the endpoint takes anything, where there is no other one to go to.
fn check(place: &Place) -> Result<(), TunnelError> {
    match place.member().is_draining() {
        true => Err(error::drained()),
        false => Ok(()),
    }
}

/// The same for who waited for a connection when the endpoint was drained.
fn told(failed: Failed, place: &Place) -> Failed {
    match failed.error.cause() {
        Cause::Draining if place.member().is_draining() => error::drained().into(),
        _ => failed,
    }
}
