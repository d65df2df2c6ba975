//! One simulation, from its seed to its verdict.

use std::{cell::RefCell, fmt::Write as _, sync::Once, time::Duration};

use turmoil::Sim;

use crate::{
    app::upstream,
    client::Client,
    hosts::{self, Site},
    ledger::{Ledger, Outcome},
    plan::{Fault, Plan, Trouble},
};

/// The deadline of every exchange.
pub(crate) const WHOLE: Duration = Duration::from_secs(6);

/// How exactly time passes.
const TICK: Duration = Duration::from_millis(20);

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
    for request in plan.clients.iter().flat_map(|client| &client.requests) {
        if !ledger.outcomes().contains_key(&request.id) {
            ledger.violation(format!("request {} was never over", request.id));
        }
    }
    Verdict { plan, ledger, took }
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
        let agents = plan.agents.len();
        let site = Site::new(agents);
        for (name, is_http2) in [("upstream-0", false), ("upstream-1", true)] {
            let ledger = ledger.clone();
            sim.host(name, move || upstream(ledger.clone(), is_http2));
        }
        let there = site.clone();
        sim.host("gateway", move || hosts::gateway(there.clone(), agents));
        for (index, place) in plan.agents.iter().copied().enumerate() {
            let (site, ledger) = (site.clone(), ledger.clone());
            sim.host(format!("agent-{index}"), move || {
                hosts::agent(site.clone(), index, place, ledger.clone())
            });
        }
        for (index, planned) in plan.clients.iter().enumerate() {
            let name = format!("client-{index}");
            let client = Client::new(&name, ledger.clone(), planned.is_http2);
            let paths =
                std::iter::once(String::new()).chain((0..agents).map(|index| format!("/agent-{index}")));
            let ids = (index as u64 + 1) * 1_000_000;
            sim.client(name, client.run(planned.clone(), paths.collect(), ids));
        }
        Self {
            sim,
            site,
            ledger: ledger.clone(),
        }
    }

    fn play(&mut self, plan: &Plan) -> turmoil::Result {
        let begins = plan.faults.iter().map(|fault| (fault.from, true, fault));
        let ends = plan.faults.iter().map(|fault| (fault.to, false, fault));
        let mut script: Vec<_> = begins.chain(ends).collect();
        script.sort_by_key(|(at, is_begin, _)| (*at, *is_begin));
        let mut script = script.into_iter().peekable();
        loop {
            while let Some((_, is_begin, fault)) = script.next_if(|(at, ..)| *at <= self.sim.elapsed()) {
                self.trouble(fault, is_begin);
            }
            // What may never go back is looked at here, after each step: the gateway's registry is in `site`.
            if self.sim.step()? && script.peek().is_none() {
                break;
            }
        }
        self.settle(plan.agents.len())?;
        for index in 0..plan.agents.len() {
            self.sim.crash(format!("agent-{index}"));
        }
        self.wait("the registry is not empty after all agents have gone", |site| {
            let list = site.gateway().map(|gateway| gateway.agents().list());
            list.filter(|list| !list.is_empty())
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
            (Trouble::Crash, _) => {}
        }
        if is_begin && matches!(fault.trouble, Trouble::Partition | Trouble::OneWay) {
            for client in fault.hosts.iter().filter(|host| host.starts_with("client")) {
                self.ledger.cut(client, fault.from, fault.to + TICK);
            }
        }
    }

    /// Waits until nothing is left of any exchange, and every agent stands in the registry once.
    fn settle(&mut self, agents: usize) -> turmoil::Result {
        self.wait("something is left of exchanges that are over", |site| {
            let gateway = site.gateway()?;
            let mut left = String::new();
            let list = gateway.agents().list();
            for status in &list {
                if status.session.pending() > 0 {
                    let _ = write!(left, "pending at the gateway: {:?}; ", status.session);
                }
            }
            if list.len() != agents {
                let _ = write!(left, "{} agents in the registry: {list:?}; ", list.len());
            }
            let credit = std::iter::once(("the gateway".to_owned(), gateway.credit()));
            let agents = site.agents();
            let credits = credit.chain(
                agents
                    .iter()
                    .map(|agent| (agent.id().to_string(), agent.credit())),
            );
            for (name, credit) in credits.filter(|(_, credit)| credit.used() > 0) {
                let _ = write!(left, "{} bytes of credit of {name}; ", credit.used());
            }
            for agent in &agents {
                if let tunnel_transport::Status::Connected(session) = &*agent.status().borrow() {
                    if session.pending() > 0 {
                        let _ = write!(left, "pending at {}: {session:?}; ", agent.id());
                    }
                } else {
                    let _ = write!(left, "{} is not connected; ", agent.id());
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
