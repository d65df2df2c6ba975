//! Several endpoints as one upstream.

mod members;

use std::sync::{Arc, Mutex, Once, atomic::AtomicBool};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tunnel_core::{
    Cause, TunnelError,
    balance::{AnyPick, Balancer, Choice},
    retry::Tried,
};

use self::members::{Members, Source, Sources};
use crate::upstream::{
    HashKey, HealthCheck, ResponseFuture, UpstreamBody, UpstreamEndpoint,
    body::On,
    error,
    failed::Failed,
    gate::Gate,
    marks::Marks,
    node::{Maker, Member},
    place::Place,
    resolve::LookUps,
    service::answer,
    target::Target,
    upgrade::{Ask, Asked},
    upload::Upload,
};

/// Endpoints that a request is tried on while none of it was written.
const ATTEMPTS: usize = 3;

/// The endpoints of an upstream, and how they are chosen.
pub(in crate::upstream) struct Cluster {
    maker: Maker,
    hash_key: Option<HashKey>,
    balancer: Balancer<AnyPick>,
    health: Option<HealthCheck>,
    look_ups: LookUps,
    members: ArcSwap<Members>,
    /// What was configured, each with the members that it has now.
    sources: Mutex<Sources>,
    /// Whether each name has been looked up once.
    resolved: watch::Sender<bool>,
    started: Once,
    closed: AtomicBool,
    initial_connections: usize,
}

/// What of a request decides where it goes.
struct Wish {
    /// What has to come to the same endpoint again.
    key: Option<u64>,
    /// Where it was sent before, if it is sent again.
    before: Option<Tried>,
}

/// What a cluster is made of.
pub(in crate::upstream) struct Parts {
    pub(in crate::upstream) endpoints: Vec<(UpstreamEndpoint, Target)>,
    pub(in crate::upstream) maker: Maker,
    pub(in crate::upstream) balancer: Balancer<AnyPick>,
    pub(in crate::upstream) hash_key: Option<HashKey>,
    pub(in crate::upstream) health: Option<HealthCheck>,
    pub(in crate::upstream) look_ups: LookUps,
    pub(in crate::upstream) initial_connections: usize,
}

impl Cluster {
    pub(in crate::upstream) fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            endpoints,
            maker,
            balancer,
            hash_key,
            health,
            look_ups,
            initial_connections,
        } = parts;
        let mut waits = false;
        let sources: Vec<_> = endpoints
            .into_iter()
            .map(|(endpoint, target)| {
                let is_looked_up = look_ups.concern(&target.address);
                waits |= is_looked_up;
                let members = if is_looked_up {
                    Vec::new()
                } else {
                    let name = endpoint.uri.clone();
                    vec![Member(maker.node(target.clone(), &endpoint, name))]
                };
                Source {
                    endpoint,
                    target,
                    members,
                }
            })
            .collect();
        Arc::new(Self {
            maker,
            hash_key,
            balancer,
            health,
            look_ups,
            members: ArcSwap::from_pointee(Members::of(&sources)),
            sources: Mutex::new(Sources {
                list: sources,
                marks: Marks::default(),
                are_attended: false,
            }),
            resolved: watch::Sender::new(!waits),
            started: Once::new(),
            closed: AtomicBool::new(false),
            initial_connections,
        })
    }

    /// An endpoint for a request that is none of `tried`, if possible one that has not had it before.
    fn choose(&self, wish: &Wish, tried: &[Member]) -> Option<Place> {
        let members = self.members.load();
        let mut choice = Choice::at(Instant::now().into_std());
        choice.key = wish.key;
        let may = |member: &Member| {
            member.is_healthy()
                && !member.is_draining()
                && !tried.iter().any(|tried| Arc::ptr_eq(&tried.0, &member.0))
        };
        let found = match &wish.before {
            None => self.best(&members, &choice, &may),
            Some(before) => {
                let other = |member: &Member| may(member) && !before.has(member.id);
                let found = self.best(&members, &choice, &other);
                let found = found.or_else(|| self.best(&members, &choice, &may));
                found.inspect(|found| before.note(found.id))
            }
        };
        let found = found?.clone();
        Some(Place::new(found, self.balancer.when_ejected().copied()))
    }

    /// Of those with the lowest priority number one that has room, else one where the request waits; then of those with the next; and
    /// in the end one that could not be reached just now.
    fn best<'m>(
        &self,
        members: &'m Members,
        choice: &Choice,
        may: &dyn Fn(&Member) -> bool,
    ) -> Option<&'m Member> {
        let pick = |can: &dyn Fn(&Member) -> bool| self.balancer.choose(members.all.iter(), can, choice);
        let reachable = |tier: u16| {
            let may = |one: &Member| one.priority() == tier && may(one) && !one.is_backing_off();
            pick(&|one| may(one) && one.pool.has_room()).or_else(|| pick(&may))
        };
        let mut tiers = members.tiers.iter();
        let found = tiers.find_map(|tier| reachable(*tier));
        let mut tiers = members.tiers.iter();
        found.or_else(|| tiers.find_map(|tier| pick(&|one| one.priority() == *tier && may(one))))
    }

    fn wish<B>(&self, request: &Request<B>) -> Wish {
        Wish {
            key: self.hash_key.as_ref().and_then(|key| key.hash(request)),
            before: request.extensions().get().cloned(),
        }
    }

    /// The first endpoint of a request, when names have been looked up.
    async fn first(&self, wish: &Wish) -> Result<Place, TunnelError> {
        if !*self.resolved.borrow() {
            let mut resolved = self.resolved.subscribe();
            // Whether it came or not, the members say what there is.
            let _ = timeout(
                self.maker.settings.dial_timeout,
                resolved.wait_for(|resolved| *resolved),
            )
            .await;
        }
        self.choose(wish, &[]).ok_or_else(|| self.nobody())
    }

    /// Why there is no endpoint for a request.
    fn nobody(&self) -> TunnelError {
        let members = self.members.load();
        if members.all.is_empty() {
            return error::no_address();
        }
        match members.all.iter().all(|member| member.is_draining()) {
            true => error::drained(),
            false => error::no_endpoint(),
        }
    }

    pub(in crate::upstream) fn call(
        self: &Arc<Self>,
        request: Request<Upload>,
        gate: Gate,
    ) -> ResponseFuture {
        self.start();
        let wish = self.wish(&request);
        let cluster = Arc::clone(self);
        let Some(place) = self.choose(&wish, &[]) else {
            return ResponseFuture::new(async move {
                let place = cluster.first(&wish).await?;
                cluster.exchange(request, gate, wish, place).await
            });
        };
        let node = Arc::clone(&place.member().0);
        match node.on_idle(request) {
            Ok((given, pool)) => ResponseFuture::new(async move {
                let sent = pool.given(given).await;
                match sent.map(|(response, lease)| (response, On::Http1(lease))) {
                    Err(Failed {
                        error,
                        request: Some(request),
                    }) => Box::pin(cluster.after(error, *request, gate, wish, place)).await,
                    sent => answer(sent, gate, place),
                }
            }),
            Err(request) => {
                ResponseFuture::new(async move { cluster.exchange(request, gate, wish, place).await })
            }
        }
    }

    /// The way of a request whose first endpoint has taken none of it.
    async fn after(
        &self,
        error: TunnelError,
        request: Request<Upload>,
        gate: Gate,
        wish: Wish,
        place: Place,
    ) -> Result<Response<UpstreamBody>, TunnelError> {
        let tried = [place.member().clone()];
        place.fail(&error);
        match self.choose(&wish, &tried) {
            Some(next) => self.exchange(request, gate, wish, next).await,
            None => Err(gate.blame(error)),
        }
    }

    async fn exchange(
        &self,
        mut request: Request<Upload>,
        gate: Gate,
        wish: Wish,
        mut place: Place,
    ) -> Result<Response<UpstreamBody>, TunnelError> {
        let mut tried = Vec::new();
        loop {
            let failed = match place.member().send(request).await {
                Ok(sent) => return answer(Ok(sent), gate, place),
                Err(failed) => failed,
            };
            (request, place) = self
                .next(failed, &wish, place, &mut tried)
                .map_err(|error| gate.blame(error))?;
        }
    }

    /// Another endpoint for a request of which nothing was written.
    fn next(
        &self,
        failed: Failed,
        wish: &Wish,
        place: Place,
        tried: &mut Vec<Member>,
    ) -> Result<(Request<Upload>, Place), TunnelError> {
        let member = place.member().clone();
        tried.push(member.clone());
        place.fail(&failed.error);
        match failed.request {
            // Who has waited for a place once does not wait again.
            Some(request) if tried.len() < ATTEMPTS && failed.error.cause() != Cause::Overloaded => {
                match self.choose(wish, tried) {
                    Some(place) => Ok((*request, place)),
                    None if member.is_draining() => Err(self.nobody()),
                    None => Err(failed.error),
                }
            }
            _ => Err(failed.error),
        }
    }

    /// Asks an endpoint to switch to `protocol`.
    pub(in crate::upstream) async fn ask(
        self: &Arc<Self>,
        mut request: Request<Upload>,
        protocol: &HeaderValue,
    ) -> Result<Asked, TunnelError> {
        self.start();
        let wish = self.wish(&request);
        let mut place = self.first(&wish).await?;
        let mut tried = Vec::new();
        loop {
            match place.member().ask(request, protocol).await {
                Ok((response, on)) => return Ok((response, Ask::new(on, place))),
                Err(failed) => (request, place) = self.next(failed, &wish, place, &mut tried)?,
            }
        }
    }
}
