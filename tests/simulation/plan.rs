//! What a seed stands for: a world, what its clients ask, and what happens to it. All of it is drawn before the world begins.

use std::{fmt, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// When the last fault is over at the latest.
pub(crate) const REPAIRED: Duration = Duration::from_secs(8);

/// The longest fault.
pub(crate) const LONGEST: u64 = 2_500;

/// Where an agent's app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the agent itself.
    Agent,
    /// On the host `upstream-0`, which speaks HTTP/1.1.
    Http1,
    /// On the host `upstream-1`, which speaks HTTP/2.
    Http2,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A small GET.
    Get,
    /// A body that comes back whole.
    Echo,
    /// A body that comes back while it is sent.
    Stream,
    /// The same as a call of gRPC, with trailers.
    Call,
    /// The same after a switch to another protocol.
    Upgrade,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) at: Duration,
    pub(crate) kind: Kind,
    pub(crate) len: u64,
    pub(crate) frame: usize,
    pub(crate) pause: Duration,
    /// How long the app waits with its answer to a GET.
    pub(crate) wait: Duration,
    /// When the client goes away, if it does.
    pub(crate) cancel: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) is_http2: bool,
    pub(crate) requests: Vec<Request>,
}

/// An agent, and what it asks itself, in the other direction.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) place: Place,
    pub(crate) requests: Vec<Request>,
}

/// What happens to a link, or to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing comes through, and what was under way is lost: connections never recover from it.
    Partition,
    /// The same from the first host to the second only.
    OneWay,
    /// Nothing comes through, and everything comes later.
    Hold,
    /// Everything takes this long.
    Delay(Duration),
    /// The host's software is gone, and begins again.
    Crash,
    /// The same, but that it was asked to go, and had the time to finish what it has, or some of it.
    Leave,
}

#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) trouble: Trouble,
    /// One host, or the two ends of a link.
    pub(crate) hosts: Vec<String>,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How many there are; agents are connected to each.
    pub(crate) gateways: usize,
    pub(crate) agents: Vec<Agent>,
    pub(crate) clients: Vec<Client>,
    /// When the gateways have another configuration for the agents.
    pub(crate) changes: Vec<Duration>,
    pub(crate) faults: Vec<Fault>,
    /// Whether nothing happens but that hosts leave and come back, one after the other: then no request may notice.
    pub(crate) is_calm: bool,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let is_calm = rng.random_bool(0.2);
        let gateways = rng.random_range(1..=2);
        // Hosts that leave wait for what is open, but not for ever.
        let pause = if is_calm { 100 } else { 250 };
        let places = [Place::Agent, Place::Http1, Place::Http2];
        let mut ids = 0..;
        let agents = (0..rng.random_range(2..=3))
            .map(|_| Agent {
                place: places[rng.random_range(0..3)],
                requests: ids
                    .by_ref()
                    .take(2)
                    .map(|id| request(&mut rng, id, pause, true))
                    .collect(),
            })
            .collect();
        let clients = (0..2)
            .map(|_| Client {
                is_http2: rng.random_bool(0.6),
                requests: ids
                    .by_ref()
                    .take(8)
                    .map(|id| request(&mut rng, id, pause, false))
                    .collect(),
            })
            .collect();
        let changes =
            (0..rng.random_range(0..=6)).map(|_| Duration::from_millis(rng.random_range(200..7_500)));
        let mut changes: Vec<_> = changes.collect();
        changes.sort();
        let mut plan = Self {
            seed,
            gateways,
            agents,
            clients,
            changes,
            faults: Vec::new(),
            is_calm,
        };
        if is_calm {
            plan.leave_in_turn(&mut rng);
            for request in plan.clients.iter_mut().flat_map(|client| &mut client.requests) {
                // Nobody asks before the agents have connected.
                request.at = request.at.max(Duration::from_millis(700));
            }
            return plan;
        }
        for _ in 0..rng.random_range(2..=6) {
            let fault = plan.fault(&mut rng);
            // One trouble at a time for each link and each host.
            let clashes = |other: &Fault| {
                other.hosts == fault.hosts && other.from <= fault.to && fault.from <= other.to
            };
            if !plan.faults.iter().any(clashes) {
                plan.faults.push(fault);
            }
        }
        plan
    }

    /// Two hosts leave, one after the other, each where another one does the same.
    fn leave_in_turn(&mut self, rng: &mut StdRng) {
        let mut hosts: Vec<_> = (0..self.agents.len())
            .map(|index| format!("agent-{index}"))
            .collect();
        if self.gateways > 1 {
            hosts.extend((0..self.gateways).map(|index| format!("gateway-{index}")));
        }
        for [from, to] in [[1_100, 4_100], [5_300, 8_500]] {
            let host = hosts.swap_remove(rng.random_range(0..hosts.len()));
            self.faults.push(Fault {
                trouble: Trouble::Leave,
                hosts: vec![host],
                from: Duration::from_millis(rng.random_range(from..from + 200)),
                to: Duration::from_millis(to),
            });
        }
        // Agents ask a little before each, so that something of that direction is open.
        for agent in &mut self.agents {
            for (request, fault) in agent.requests.iter_mut().zip(&self.faults) {
                request.at = fault
                    .from
                    .saturating_sub(Duration::from_millis(rng.random_range(0..400)));
                if request.kind == Kind::Get {
                    request.wait = Duration::from_millis(rng.random_range(1_000..1_500));
                }
            }
        }
    }

    fn fault(&self, rng: &mut StdRng) -> Fault {
        let agent = rng.random_range(0..self.agents.len());
        let name = format!("agent-{agent}");
        let upstream = self.agents[agent].place.host().map(str::to_owned);
        let one_of = rng.random_range(0..self.gateways);
        let gateway = || format!("gateway-{one_of}");
        let (hosts, is_host) = match (rng.random_range(0..100), upstream) {
            (0..35, _) => (vec![gateway(), name], false),
            (35..50, Some(upstream)) => (vec![name, upstream], false),
            (50..60, Some(upstream)) => (vec![upstream], true),
            (60..70, _) => (vec![gateway()], true),
            (70..80, _) => (
                vec![format!("client-{}", rng.random_range(0..2)), gateway()],
                false,
            ),
            _ => (vec![name], true),
        };
        let millis = |range| Duration::from_millis(range);
        let trouble = match rng.random_range(0..4) {
            0 | 1 if is_host && !hosts[0].starts_with("upstream") => Trouble::Leave,
            _ if is_host => Trouble::Crash,
            0 => Trouble::Partition,
            1 => Trouble::OneWay,
            2 => Trouble::Hold,
            _ => Trouble::Delay(millis(rng.random_range(100..700))),
        };
        let from = millis(rng.random_range(300..5_500));
        let to = from + millis(rng.random_range(20..LONGEST));
        let mut hosts = hosts;
        if trouble == Trouble::OneWay && rng.random_bool(0.5) {
            hosts.reverse();
        }
        Fault {
            trouble,
            hosts,
            from,
            to,
        }
    }
}

impl Place {
    /// The host of its own, if it has one.
    pub(crate) fn host(self) -> Option<&'static str> {
        match self {
            Self::Agent => None,
            Self::Http1 => Some("upstream-0"),
            Self::Http2 => Some("upstream-1"),
        }
    }
}

fn request(rng: &mut StdRng, id: u64, longest_pause: u64, is_agents: bool) -> Request {
    let kind = match rng.random_range(0..11) {
        0..3 => Kind::Get,
        3..5 => Kind::Echo,
        5..8 => Kind::Stream,
        // An agent's client is no connection that could be switched.
        8 if !is_agents => Kind::Upgrade,
        _ => Kind::Call,
    };
    let len = match kind {
        Kind::Get => 0,
        Kind::Echo => rng.random_range(1..40_000),
        Kind::Stream | Kind::Call | Kind::Upgrade => rng.random_range(1..120_000),
    };
    let pauses = matches!(kind, Kind::Stream | Kind::Call | Kind::Upgrade) && rng.random_bool(0.7);
    let frame = rng.random_range(1_000..20_000).max(len as usize / 12);
    let pause = if pauses {
        rng.random_range(10..longest_pause)
    } else {
        0
    };
    let wait = if kind == Kind::Get {
        rng.random_range(0..1_500)
    } else {
        0
    };
    let cancel = rng
        .random_bool(0.1)
        .then(|| Duration::from_millis(rng.random_range(0..1_000)));
    Request {
        id,
        at: Duration::from_millis(rng.random_range(100..6_500)),
        kind,
        len,
        frame,
        pause: Duration::from_millis(pause),
        wait: Duration::from_millis(wait),
        cancel,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calm = if self.is_calm { ", nothing breaks" } else { "" };
        writeln!(
            f,
            "seed {}: {} gateways, changes at {:?}{calm}",
            self.seed, self.gateways, self.changes
        )?;
        for (index, agent) in self.agents.iter().enumerate() {
            writeln!(f, "agent-{index} with an app at {:?}", agent.place)?;
            for request in &agent.requests {
                writeln!(f, "  {request:?}")?;
            }
        }
        for (index, client) in self.clients.iter().enumerate() {
            let version = if client.is_http2 { "HTTP/2" } else { "HTTP/1.1" };
            writeln!(f, "client-{index} by {version}")?;
            for request in &client.requests {
                writeln!(f, "  {request:?}")?;
            }
        }
        Ok(())
    }
}
