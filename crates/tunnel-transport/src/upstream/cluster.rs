//! Several endpoints as one upstream.

use std::{
    sync::{Arc, Mutex, Once, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tunnel_core::{
    TunnelError,
    balance::{Balancer, Choice},
};

use crate::upstream::{
    HealthCheck, ResponseFuture, UpstreamBody, UpstreamEndpoint, UpstreamPolicy,
    body::On,
    error,
    failed::Failed,
    gate::Gate,
    health,
    node::{Maker, Member},
    place::Place,
    resolve::{self, Resolver},
    service::answer,
    target::{Address, Target},
    upgrade::{Ask, Asked},
    upload::Upload,
};

/// Endpoints that a request is tried on while none of it was written.
const ATTEMPTS: usize = 3;

/// The endpoints of an upstream, and how they are chosen.
pub(super) struct Cluster {
    maker: Maker,
    policy: UpstreamPolicy,
    balancer: Balancer<UpstreamPolicy>,
    health: Option<HealthCheck>,
    resolver: Option<(Resolver, Duration)>,
    members: ArcSwap<Vec<Member>>,
    /// What was configured, each with the members that it has now.
    sources: Mutex<Vec<Source>>,
    /// Whether each name has been looked up once.
    resolved: watch::Sender<bool>,
    started: Once,
    initial_connections: usize,
}

pub(super) struct Source {
    pub(super) endpoint: UpstreamEndpoint,
    pub(super) target: Target,
    pub(super) members: Vec<Member>,
}

/// What a cluster is made of.
pub(super) struct Parts {
    pub(super) endpoints: Vec<(UpstreamEndpoint, Target)>,
    pub(super) maker: Maker,
    pub(super) balancer: Balancer<UpstreamPolicy>,
    pub(super) policy: UpstreamPolicy,
    pub(super) health: Option<HealthCheck>,
    pub(super) resolver: Option<(Resolver, Duration)>,
    pub(super) initial_connections: usize,
}

impl Cluster {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            endpoints,
            maker,
            balancer,
            policy,
            health,
            resolver,
            initial_connections,
        } = parts;
        let mut waits = false;
        let sources: Vec<_> = endpoints
            .into_iter()
            .map(|(endpoint, target)| {
                let is_looked_up = resolver.is_some() && matches!(target.address, Address::Name(..));
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
            policy,
            balancer,
            health,
            resolver,
            members: ArcSwap::from_pointee(all(&sources)),
            sources: Mutex::new(sources),
            resolved: watch::Sender::new(!waits),
            started: Once::new(),
            initial_connections,
        })
    }

    /// Starts what runs beside requests, once: look-ups, health checks and first connections.
    pub(super) fn start(self: &Arc<Self>) {
        self.started.call_once(|| {
            for member in &**self.members.load() {
                self.attend(member);
            }
            if let Some((resolver, interval)) = &self.resolver {
                tokio::spawn(resolve::run(Arc::downgrade(self), resolver.clone(), *interval));
            }
        });
    }

    fn attend(&self, member: &Member) {
        if self.initial_connections > 0 {
            let (member, connections) = (member.clone(), self.initial_connections);
            tokio::spawn(async move { member.pool.prepare(connections).await });
        }
        if let Some(check) = &self.health {
            tokio::spawn(health::run(Arc::downgrade(&member.0), check.clone()));
        }
    }

    /// The names that are looked up, with their places in the list.
    pub(super) fn names(&self) -> Vec<(usize, Arc<str>, u16)> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let names = sources.iter().enumerate();
        names
            .filter_map(|(index, source)| match &source.target.address {
                Address::Name(host, port) => Some((index, Arc::clone(host), *port)),
                _ => None,
            })
            .collect()
    }

    /// The addresses that a name has now. Members at addresses that stay are the same; others take nothing new, and what they have
    /// open goes on.
    pub(super) fn update(&self, source: usize, addresses: &[std::net::SocketAddr]) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(source) = sources.get_mut(source) else {
            return;
        };
        let mut old = std::mem::take(&mut source.members);
        for address in addresses {
            let wanted = Address::Socket(*address);
            if source
                .members
                .iter()
                .any(|member| member.target.address == wanted)
            {
                continue;
            }
            let known = old.iter().position(|member| member.target.address == wanted);
            source.members.push(match known {
                Some(index) => old.swap_remove(index),
                None => {
                    let target = source.target.at(*address);
                    let member = Member(self.maker.node(target, &source.endpoint, address.to_string()));
                    self.attend(&member);
                    member
                }
            });
        }
        self.members.store(Arc::new(all(&sources)));
        drop(sources);
        for gone in old {
            gone.close();
        }
    }

    /// Every name was looked up, whatever came out.
    pub(super) fn has_resolved(&self) {
        self.resolved
            .send_if_modified(|resolved| !std::mem::replace(resolved, true));
    }

    pub(super) fn close(&self) {
        for member in &**self.members.load() {
            member.close();
        }
    }

    pub(super) fn members(&self) -> Arc<Vec<Member>> {
        self.members.load_full()
    }

    /// An endpoint for a request with this key that is none of `tried`: one that has room, else one where the request waits, else
    /// one that could not be reached just now.
    fn choose(&self, key: Option<u64>, tried: &[Member]) -> Option<Place> {
        let members = self.members.load();
        let mut choice = Choice::at(Instant::now().into_std());
        choice.key = key;
        let may = |member: &Member| {
            member.is_healthy() && !tried.iter().any(|tried| Arc::ptr_eq(&tried.0, &member.0))
        };
        let pick = |can: &dyn Fn(&Member) -> bool| self.balancer.choose(members.iter(), can, &choice);
        let found = pick(&|one| may(one) && !one.is_backing_off() && one.pool.has_room())
            .or_else(|| pick(&|one| may(one) && !one.is_backing_off()))
            .or_else(|| pick(&may))?;
        Some(Place::new(found.clone(), self.balancer.when_ejected().copied()))
    }

    /// The first endpoint of a request, when names have been looked up.
    async fn first(&self, key: Option<u64>) -> Result<Place, TunnelError> {
        if !*self.resolved.borrow() {
            let mut resolved = self.resolved.subscribe();
            // Whether it came or not, the members say what there is.
            let _ = timeout(
                self.maker.settings.dial_timeout,
                resolved.wait_for(|resolved| *resolved),
            )
            .await;
        }
        self.choose(key, &[]).ok_or_else(error::no_endpoint)
    }

    pub(super) fn call(self: &Arc<Self>, request: Request<Upload>, gate: Gate) -> ResponseFuture {
        self.start();
        let key = self.policy.key(&request);
        let cluster = Arc::clone(self);
        let Some(place) = self.choose(key, &[]) else {
            return ResponseFuture::new(async move {
                let place = cluster.first(key).await?;
                cluster.exchange(request, gate, key, place).await
            });
        };
        let node = Arc::clone(&place.member().0);
        match node.on_idle(request) {
            Ok((sent, lease, pool)) => ResponseFuture::new(async move {
                let sent = pool.sent_on_idle(sent, lease).await;
                match sent.map(|(response, lease)| (response, On::Http1(lease))) {
                    Err(Failed {
                        error,
                        request: Some(request),
                    }) => Box::pin(cluster.after(error, *request, gate, key, place)).await,
                    sent => answer(sent, gate, Some(place)),
                }
            }),
            Err(request) => {
                ResponseFuture::new(async move { cluster.exchange(request, gate, key, place).await })
            }
        }
    }

    /// The way of a request whose first endpoint has taken none of it.
    async fn after(
        &self,
        error: TunnelError,
        request: Request<Upload>,
        gate: Gate,
        key: Option<u64>,
        place: Place,
    ) -> Result<Response<UpstreamBody>, TunnelError> {
        let tried = [place.member().clone()];
        place.fail(&error);
        match self.choose(key, &tried) {
            Some(next) => self.exchange(request, gate, key, next).await,
            None => Err(gate.blame(error)),
        }
    }

    async fn exchange(
        &self,
        mut request: Request<Upload>,
        gate: Gate,
        key: Option<u64>,
        mut place: Place,
    ) -> Result<Response<UpstreamBody>, TunnelError> {
        let mut tried = Vec::new();
        loop {
            let failed = match place.member().send(request).await {
                Ok(sent) => return answer(Ok(sent), gate, Some(place)),
                Err(failed) => failed,
            };
            (request, place) = self
                .next(failed, key, place, &mut tried)
                .map_err(|error| gate.blame(error))?;
        }
    }

    /// Another endpoint for a request of which nothing was written.
    fn next(
        &self,
        failed: Failed,
        key: Option<u64>,
        place: Place,
        tried: &mut Vec<Member>,
    ) -> Result<(Request<Upload>, Place), TunnelError> {
        tried.push(place.member().clone());
        place.fail(&failed.error);
        match failed.request {
            Some(request) if tried.len() < ATTEMPTS => match self.choose(key, tried) {
                Some(place) => Ok((*request, place)),
                None => Err(failed.error),
            },
            _ => Err(failed.error),
        }
    }

    /// Asks an endpoint to switch to `protocol`.
    pub(super) async fn ask(
        self: &Arc<Self>,
        mut request: Request<Upload>,
        protocol: &HeaderValue,
    ) -> Result<Asked, TunnelError> {
        self.start();
        let key = self.policy.key(&request);
        let mut place = self.first(key).await?;
        let mut tried = Vec::new();
        loop {
            match place.member().ask(request, protocol).await {
                Ok((response, on)) => return Ok((response, Ask::new(on, Some(place)))),
                Err(failed) => (request, place) = self.next(failed, key, place, &mut tried)?,
            }
        }
    }
}

fn all(sources: &[Source]) -> Vec<Member> {
    let members = sources.iter().flat_map(|source| &source.members);
    members.cloned().collect()
}
