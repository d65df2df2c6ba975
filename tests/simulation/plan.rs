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
    pub(crate) agents: Vec<Place>,
    pub(crate) clients: Vec<Client>,
    pub(crate) faults: Vec<Fault>,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let places = [Place::Agent, Place::Http1, Place::Http2];
        let agents = (0..rng.random_range(2..=3))
            .map(|_| places[rng.random_range(0..3)])
            .collect();
        let mut ids = 0..;
        let clients = (0..2)
            .map(|_| Client {
                is_http2: rng.random_bool(0.6),
                requests: ids.by_ref().take(8).map(|id| request(&mut rng, id)).collect(),
            })
            .collect();
        let mut plan = Self {
            seed,
            agents,
            clients,
            faults: Vec::new(),
        };
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

    fn fault(&self, rng: &mut StdRng) -> Fault {
        let agent = rng.random_range(0..self.agents.len());
        let name = format!("agent-{agent}");
        let upstream = self.agents[agent].host().map(str::to_owned);
        let gateway = || "gateway".to_owned();
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

fn request(rng: &mut StdRng, id: u64) -> Request {
    let kind = match rng.random_range(0..10) {
        0..3 => Kind::Get,
        3..5 => Kind::Echo,
        5..8 => Kind::Stream,
        _ => Kind::Call,
    };
    let len = match kind {
        Kind::Get => 0,
        Kind::Echo => rng.random_range(1..40_000),
        Kind::Stream | Kind::Call => rng.random_range(1..120_000),
    };
    let pauses = matches!(kind, Kind::Stream | Kind::Call) && rng.random_bool(0.7);
    let frame = rng.random_range(1_000..20_000).max(len as usize / 12);
    let pause = if pauses { rng.random_range(10..250) } else { 0 };
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
        writeln!(f, "seed {}: the agents' apps are {:?}", self.seed, self.agents)?;
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
