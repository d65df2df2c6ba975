//! One simulation, from its seed to its verdict.

use std::{cell::RefCell, collections::HashMap, fmt::Write as _, sync::Once, time::Duration};

use tunnel_core::SessionId;
use turmoil::Sim;

use crate::{
    app::upstream,
    client::{Client, Outside},
    hosts::{self, Site},
    ledger::{Ledger, Outcome},
    plan::{Fault, Kind, Plan, Trouble},
};

/// The deadline of every exchange.
pub(crate) const WHOLE: Duration = Duration::from_secs(6);

/// How exactly time passes.
const TICK: Duration = Duration::from_millis(20);

/// The steps between two looks at the versions of configurations.
const LOOKS: u32 = 5;

/// What the way from one host to another takes.
const WAY: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(30)];

/// The time in which every table is empty once all clients have gone: that of the longest deadline, and of noticing who is not there.
const SETTLED: Duration = Duration::from_secs(15);

/// Nothing takes so long.
const END: Duration = Duration::from_secs(300);

thread_local! {
    /// The panics of this thread's simulation; tokio keeps those of tasks to itself.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What came of a seed.
pub(crate) struct Verdict {
    pub(crate) plan: Plan,
    pub(crate) ledger: Ledger,
    /// Simulated time.
    pub(crate) took: Duration,
}

/// Runs the simulation of a seed.
pub(crate) fn run(seed: u64) -> Verdict {
    note_panics();
    let plan = Plan::new(seed);
    let ledger = Ledger::default();
    let mut world = World::new(&plan, &ledger);
    if let Err(error) = world.play(&plan) {
        ledger.violation(format!("the simulation broke off: {error}"));
    }
    let took = world.sim.elapsed();
    drop(world);
    for panic in PANICS.take() {
        ledger.violation(format!("a panic: {panic}"));
    }
    judge(&plan, &ledger);
    Verdict { plan, ledger, took }
}

/// Whether every request ended as it should have.
fn judge(plan: &Plan, ledger: &Ledger) {
    let outcomes = ledger.outcomes();
    let host = |index| format!("agent-{index}");
    let of_agents = plan.agents.iter().enumerate();
    let of_agents = of_agents.flat_map(|(index, agent)| {
        // What goes with its host is not over, and not sent again.
        let may_go = plan.faults.iter().any(|fault| fault.hosts == [host(index)]);
        agent.requests.iter().map(move |request| (request, may_go))
    });
    let of_clients = plan.clients.iter().flat_map(|client| &client.requests);
    for (request, may_go) in of_clients.map(|request| (request, false)).chain(of_agents) {
        let id = request.id;
        match outcomes.get(&id) {
            None if !may_go => ledger.violation(format!("request {id} was never over")),
            None | Some(Outcome::Answered | Outcome::Canceled) => {}
            // A server that stops ends what has left HTTP.
            Some(_) if !plan.is_calm || request.kind == Kind::Upgrade => {}
            Some(outcome) => {
                ledger.violation(format!("request {id} noticed that hosts left: {outcome:?}"));
            }
        }
    }
}

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            usual(panic);
        }));
    });
}

struct World<'a> {
    sim: Sim<'a>,
    site: Site,
    ledger: Ledger,
    versions: Versions,
}

/// The versions of configurations that were seen last.
#[derive(Default)]
struct Versions {
    /// What each gateway has, of whichever process.
    newest: HashMap<usize, u64>,
    /// What runs at the other end of each session, as its gateway was told.
    running: HashMap<SessionId, u64>,
}

impl World<'_> {
    fn new(plan: &Plan, ledger: &Ledger) -> Self {
        let [min, max] = WAY;
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(TICK)
            .simulation_duration(END)
            .min_message_latency(min)
            .max_message_latency(max)
            .build();
        let (gateways, agents) = (plan.gateways, plan.agents.len());
        let site = Site::new(gateways, agents);
        for (name, is_http2) in [("upstream-0", false), ("upstream-1", true)] {
            let ledger = ledger.clone();
            sim.host(name, move || upstream(ledger.clone(), is_http2));
        }
        for index in 0..gateways {
            let site = site.clone();
            let name = format!("gateway-{index}");
            sim.host(name, move || hosts::gateway(site.clone(), index, agents));
        }
        for (index, planned) in plan.agents.iter().cloned().enumerate() {
            let (site, ledger) = (site.clone(), ledger.clone());
            sim.host(format!("agent-{index}"), move || {
                hosts::agent(site.clone(), index, planned.clone(), gateways, ledger.clone())
            });
        }
        for (index, planned) in plan.clients.iter().enumerate() {
            let name = format!("client-{index}");
            let outside = Outside {
                site: site.clone(),
                gateway: index % gateways,
                follows: plan.is_calm,
                gateways,
            };
            let client = Client::new(&name, ledger.clone(), planned.is_http2, outside);
            let paths =
                std::iter::once(String::new()).chain((0..agents).map(|index| format!("/agent-{index}")));
            let ids = (index as u64 + 1) * 1_000_000;
            sim.client(name, client.run(planned.clone(), paths.collect(), ids));
        }
        Self {
            sim,
            site,
            ledger: ledger.clone(),
            versions: Versions::default(),
        }
    }

    fn play(&mut self, plan: &Plan) -> turmoil::Result {
        let begins = plan.faults.iter().map(|fault| (fault.from, true, fault));
        let ends = plan.faults.iter().map(|fault| (fault.to, false, fault));
        let mut script: Vec<_> = begins.chain(ends).collect();
        script.sort_by_key(|(at, is_begin, _)| (*at, *is_begin));
        let mut script = script.into_iter().peekable();
        let mut changes = plan.changes.iter().peekable();
        for step in 0.. {
            while let Some((_, is_begin, fault)) = script.next_if(|(at, ..)| *at <= self.sim.elapsed()) {
                self.trouble(fault, is_begin);
            }
            while changes.next_if(|at| **at <= self.sim.elapsed()).is_some() {
                self.site.change();
                self.ledger
                    .fault(self.sim.elapsed(), &format!("change {}", self.site.newest()));
            }
            let is_over = self.sim.step()? && script.peek().is_none() && changes.peek().is_none();
            if step % LOOKS == 0 {
                self.versions.look(&self.site, &self.ledger);
            }
            if is_over {
                break;
            }
        }
        self.settle(plan.agents.len())?;
        for index in 0..plan.agents.len() {
            self.sim.crash(format!("agent-{index}"));
        }
        self.wait("a registry is not empty after all agents have gone", |site| {
            let gateways = site.gateways().into_iter();
            let mut lists = gateways.map(|(_, gateway)| gateway.agents().list());
            lists
                .find(|list| !list.is_empty())
                .map(|list| format!("{list:?}"))
        })
    }

    fn trouble(&mut self, fault: &Fault, is_begin: bool) {
        let hosts = fault.hosts.join(" - ");
        let word = if is_begin { "begins" } else { "ends" };
        let what = format!("{:?} of {hosts} {word}", fault.trouble);
        self.ledger.fault(self.sim.elapsed(), &what);
        let [a, b] = match &*fault.hosts {
            [a, b] => [&**a, &**b],
            [host, ..] if is_begin && fault.trouble == Trouble::Leave => return self.site.stop(host),
            [host, ..] if is_begin => return self.sim.crash(&**host),
            [host, ..] => return self.sim.bounce(&**host),
            [] => return,
        };
        let sim = &self.sim;
        match (fault.trouble, is_begin) {
            (Trouble::Partition, true) => sim.partition(a, b),
            (Trouble::Partition, false) => sim.repair(a, b),
            (Trouble::OneWay, true) => sim.partition_oneway(a, b),
            (Trouble::OneWay, false) => sim.repair_oneway(a, b),
            (Trouble::Hold, true) => sim.hold(a, b),
            (Trouble::Hold, false) => sim.release(a, b),
            (Trouble::Delay(time), true) => sim.set_link_latency(a, b, time),
            (Trouble::Delay(_), false) => sim.set_link_latency(a, b, WAY[1]),
            (Trouble::Crash | Trouble::Leave, _) => {}
        }
        if is_begin && matches!(fault.trouble, Trouble::Partition | Trouble::OneWay) {
            for client in fault.hosts.iter().filter(|host| host.starts_with("client")) {
                self.ledger.cut(client, fault.from, fault.to + TICK);
            }
        }
    }

    /// Waits until nothing is left of any exchange, and every agent stands in the registry once.
    fn settle(&mut self, agents: usize) -> turmoil::Result {
        let gateways = self.site.gateways().len();
        self.wait("something is left of exchanges that are over", |site| {
            let mut left = String::new();
            let mut credits = Vec::new();
            for (index, gateway) in site.gateways() {
                let list = gateway.agents().list();
                for status in &list {
                    if status.session.pending() > 0 {
                        let _ = write!(left, "pending at gateway-{index}: {:?}; ", status.session);
                    }
                }
                if list.len() != agents {
                    let _ = write!(left, "{} agents at gateway-{index}: {list:?}; ", list.len());
                }
                credits.push((format!("gateway-{index}"), gateway.credit()));
            }
            for (index, change) in site.behind() {
                let newest = site.newest();
                let _ = write!(left, "agent-{index} runs change {change} and not {newest}; ");
            }
            let agents = site.agents();
            credits.extend(
                agents
                    .iter()
                    .map(|agent| (agent.id().to_string(), agent.credit())),
            );
            for (name, credit) in credits.iter().filter(|(_, credit)| credit.used() > 0) {
                let _ = write!(left, "{} bytes of credit of {name}; ", credit.used());
            }
            for agent in &agents {
                let sessions = agent.sessions();
                for session in sessions.iter().filter(|session| session.pending() > 0) {
                    let _ = write!(left, "pending at {}: {session:?}; ", agent.id());
                }
                if sessions.len() != gateways {
                    let _ = write!(
                        left,
                        "{} is connected to {} gateways; ",
                        agent.id(),
                        sessions.len()
                    );
                }
            }
            (!left.is_empty()).then_some(left)
        })
    }

    /// Goes on until `left` says that nothing is left.
    fn wait(&mut self, what: &str, left: impl Fn(&Site) -> Option<String>) -> turmoil::Result {
        let deadline = self.sim.elapsed() + SETTLED;
        while let Some(left) = left(&self.site) {
            if self.sim.elapsed() > deadline {
                self.ledger.violation(format!("{what}: {left}"));
                break;
            }
            self.sim.step()?;
        }
        Ok(())
    }
}

impl Versions {
    /// Looks whether one has gone back.
    fn look(&mut self, site: &Site, ledger: &Ledger) {
        for (index, gateway) in site.gateways() {
            let now = gateway.agent_configs().version();
            let last = self.newest.insert(index, now).unwrap_or(0);
            if now < last {
                ledger.violation(format!("gateway-{index} went back from version {last} to {now}"));
            }
            for status in gateway.agents().list() {
                let now = status.config.running;
                if now > status.config.sent {
                    // Another gateway's, which has a count of its own.
                    continue;
                }
                let last = self.running.insert(status.session.id(), now).unwrap_or(0);
                if now < last {
                    let agent = status.session.agent();
                    ledger.violation(format!("{agent} went back from version {last} to {now}"));
                }
            }
        }
    }
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.ledger.violations().is_empty()
    }

    pub(crate) fn answered(&self) -> usize {
        let outcomes = self.ledger.outcomes();
        let is_answered = |outcome: &&Outcome| matches!(outcome, Outcome::Answered);
        outcomes.values().filter(is_answered).count()
    }

    /// All that one needs to look into a seed.
    pub(crate) fn story(&self) -> String {
        let mut story = self.plan.to_string();
        let _ = writeln!(story, "faults:\n  {}", self.ledger.faults().join("\n  "));
        for (id, outcome) in self.ledger.outcomes() {
            let _ = writeln!(story, "  request {id}: {outcome:?}");
        }
        let _ = writeln!(story, "all was over after {:?}", self.took);
        let _ = writeln!(
            story,
            "what is wrong:\n  {}",
            self.ledger.violations().join("\n  ")
        );
        story
    }
}
