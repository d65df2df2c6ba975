//! Whatever two ends do, and in whatever order it arrives.

use std::time::Duration;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{
    body::{Feed, Reader},
    link::{Link, Way},
    pair::{Answer, Call, Pair, Side, expecting, get, lost},
};
use crate::{
    exchange::Exchange, id::RequestId, message::Payload, session::Session, settings::Settings, sync::lock,
};

/// What may happen. An index names an exchange, modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    Open {
        expects: bool,
    },
    Write {
        who: usize,
        response: bool,
        len: usize,
    },
    End {
        who: usize,
        response: bool,
    },
    Break {
        who: usize,
        response: bool,
    },
    Answer,
    Refuse,
    Read {
        who: usize,
        response: bool,
        frames: usize,
    },
    DropReader {
        who: usize,
        response: bool,
    },
    DropPump {
        who: usize,
        response: bool,
    },
    Hold {
        down: bool,
        writer: bool,
    },
    Let {
        down: bool,
        writer: bool,
        messages: usize,
    },
    Steps(usize),
    Drive,
    Release,
    Advance(u64),
    CutLane,
    Drain {
        gateway: bool,
    },
    Close {
        gateway: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let (who, frames) = (0..6_usize, 1..20_usize);
    let len = prop_oneof![3 => 0..100_usize, 2 => 1_000..10_000_usize, 1 => 10_000..100_000_usize];
    prop_oneof![
        8 => any::<bool>().prop_map(|rare| Op::Open { expects: rare }),
        16 => (who.clone(), any::<bool>(), len)
            .prop_map(|(who, response, len)| Op::Write { who, response, len }),
        4 => (who.clone(), any::<bool>()).prop_map(|(who, response)| Op::End { who, response }),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, response)| Op::Break { who, response }),
        8 => Just(Op::Answer),
        1 => Just(Op::Refuse),
        12 => (who.clone(), any::<bool>(), frames.clone())
            .prop_map(|(who, response, frames)| Op::Read { who, response, frames }),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, response)| Op::DropReader { who, response }),
        1 => (who, any::<bool>()).prop_map(|(who, response)| Op::DropPump { who, response }),
        3 => any::<(bool, bool)>().prop_map(|(down, writer)| Op::Hold { down, writer }),
        6 => (any::<(bool, bool)>(), frames)
            .prop_map(|((down, writer), messages)| Op::Let { down, writer, messages }),
        10 => (1..6_usize).prop_map(Op::Steps),
        6 => Just(Op::Drive),
        3 => Just(Op::Release),
        2 => (0..200_u64).prop_map(Op::Advance),
        1 => Just(Op::CutLane),
        1 => prop_oneof![9 => Just(None), 1 => any::<(bool, bool)>().prop_map(Some)].prop_map(|end| match end {
            None => Op::Drive,
            Some((gateway, true)) => Op::Drain { gateway },
            Some((gateway, false)) => Op::Close { gateway },
        }),
    ]
}

/// The settings of both ends, the budget, and the lanes.
fn setup() -> impl Strategy<Value = (Settings, usize, u32)> {
    let credit = prop::sample::select(vec![1_024, 5_000, 65_536, 262_144]);
    let chunk = prop::sample::select(vec![1_024, 32_768]);
    let budget = prop::sample::select(vec![0, 100_000, 256 << 20]);
    (credit, chunk, budget, 1..3_u32, 1..6_u32).prop_map(|(initial_credit, max_chunk, budget, lanes, max)| {
        let settings = Settings {
            initial_credit,
            max_chunk,
            max_exchanges: max,
            ..Settings::default()
        };
        (settings, budget, lanes)
    })
}

/// One direction: what is fed to it, and what came out.
struct Track {
    salt: usize,
    feed: Feed,
    written: usize,
    ended: bool,
    broken: bool,
}

impl Track {
    fn new(salt: usize, feed: Feed) -> Self {
        Self {
            salt,
            feed,
            written: 0,
            ended: false,
            broken: false,
        }
    }

    fn byte(&self, at: usize) -> u8 {
        (at.wrapping_mul(31) + (at >> 8) + self.salt) as u8
    }

    fn is_open(&self) -> bool {
        !self.ended && !self.broken
    }

    fn write(&mut self, len: usize) {
        if self.is_open() {
            let bytes: Vec<u8> = (self.written..self.written + len)
                .map(|at| self.byte(at))
                .collect();
            self.feed.push(bytes);
            self.written += len;
        }
    }

    fn end(&mut self) {
        if self.is_open() {
            self.feed.end();
            self.ended = true;
        }
    }

    fn fail(&mut self) {
        if self.is_open() {
            self.feed.fail("broken");
            self.broken = true;
        }
    }

    /// What came out is a beginning of what went in, and all of it if it ended well.
    fn check(&self, reader: &Reader) {
        reader.look(|got| {
            assert!(got.data.len() <= self.written);
            let is_same = got
                .data
                .iter()
                .enumerate()
                .all(|(at, byte)| *byte == self.byte(at));
            assert!(is_same, "other bytes came out than went in");
            if let Some(Ok(())) = got.end {
                assert!(
                    self.ended && got.data.len() == self.written,
                    "a part was given as the whole"
                );
            }
        });
    }
}

/// One exchange, as the test knows it.
struct Run {
    call: Call,
    request: Track,
    answer: Option<(Answer, Track)>,
    dropped: [bool; 4],
}

struct World {
    pair: Pair,
    runs: Vec<Run>,
    lanes: u32,
    settings: Settings,
}

impl World {
    fn new((settings, budget, lanes): (Settings, usize, u32)) -> Self {
        let pair = Pair::of(settings, budget, lanes);
        for side in [&pair.gateway, &pair.agent] {
            side.session.on_round_trip(Duration::from_millis(50));
        }
        Self {
            pair,
            runs: Vec::new(),
            lanes,
            settings,
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Open { expects } => self.open(expects),
            Op::Answer => self.answer(),
            Op::Refuse => drop(self.pair.agent.accepted.pop_front()),
            Op::Write { who, response, len } => self.track(who, response, |track| track.write(len)),
            Op::End { who, response } => self.track(who, response, Track::end),
            Op::Break { who, response } => self.track(who, response, Track::fail),
            Op::Read {
                who,
                response,
                frames,
            } => self.with_reader(who, response, |reader| reader.allow(frames)),
            Op::DropReader { who, response } => {
                self.with_reader(who, response, Reader::abort);
                self.note_drop(who, usize::from(response));
            }
            Op::DropPump { who, response } => self.drop_pump(who, response),
            Op::Hold { down, writer } => self.let_through(down, writer, 0),
            Op::Let {
                down,
                writer,
                messages,
            } => self.let_through(down, writer, messages),
            Op::Steps(count) => drop((0..count).take_while(|_| self.pair.step()).count()),
            Op::Drive => self.pair.drive(),
            Op::Release => self.pair.release(),
            Op::Advance(millis) => self.pair.runtime.advance(Duration::from_millis(millis)),
            Op::CutLane => self.cut(),
            Op::Drain { gateway } => self.side(gateway).session.drain(),
            Op::Close { gateway } => self.side(gateway).session.close(&lost()),
        }
    }

    fn side(&self, gateway: bool) -> &Side {
        if gateway {
            &self.pair.gateway
        } else {
            &self.pair.agent
        }
    }

    fn open(&mut self, expects: bool) {
        let (feed, body) = Feed::new();
        let head = if expects { expecting() } else { get() };
        if let Ok(call) = self.pair.gateway.try_call(head, body) {
            let request = Track::new(self.runs.len() * 2, feed);
            self.runs.push(Run {
                call,
                request,
                answer: None,
                dropped: [false; 4],
            });
        }
    }

    fn answer(&mut self) {
        let Some(id) = self.pair.agent.accepted.front().map(|accepted| accepted.id) else {
            return;
        };
        let (feed, body) = Feed::new();
        let answer = self.pair.agent.answer(body);
        let at = self
            .runs
            .iter()
            .position(|run| run.call.id == id)
            .expect("a known id");
        self.runs[at].answer = Some((answer, Track::new(at * 2 + 1, feed)));
    }

    fn run(&mut self, who: usize) -> Option<&mut Run> {
        // The newest, so that what happens meets what is alive.
        let last = self.runs.len().checked_sub(1)?;
        self.runs.get_mut(last.saturating_sub(who))
    }

    fn track(&mut self, who: usize, response: bool, change: impl FnOnce(&mut Track)) {
        match self.run(who) {
            Some(run) if !response => change(&mut run.request),
            Some(Run {
                answer: Some((_, track)),
                ..
            }) => change(track),
            _ => {}
        }
    }

    fn with_reader(&mut self, who: usize, response: bool, act: impl FnOnce(&Reader)) {
        match self.run(who) {
            Some(run) if response => act(&run.call.reader),
            Some(Run {
                answer: Some((answer, _)),
                ..
            }) => act(&answer.reader),
            _ => {}
        }
    }

    fn drop_pump(&mut self, who: usize, response: bool) {
        match self.run(who) {
            Some(run) if !response => run.call.pump.abort(),
            Some(Run {
                answer: Some((answer, _)),
                ..
            }) => answer.pump.abort(),
            _ => return,
        }
        self.note_drop(who, 2 + usize::from(response));
    }

    fn note_drop(&mut self, who: usize, what: usize) {
        if let Some(run) = self.run(who) {
            run.dropped[what] = true;
        }
    }

    fn let_through(&mut self, down: bool, writer: bool, messages: usize) {
        for link in &mut self.pair.links {
            let way = if down { &mut link.down } else { &mut link.up };
            let count = if writer {
                &mut way.writes
            } else {
                &mut way.delivers
            };
            *count = messages;
        }
    }

    /// Cuts one lane, and opens another in its stead.
    fn cut(&mut self) {
        if self.pair.links.is_empty() {
            return;
        }
        let index = self.pair.links[0].down.lane.index();
        self.pair.cut(0);
        let is_closed = |side: &Side| side.session.closed().is_some();
        if !is_closed(&self.pair.gateway) && !is_closed(&self.pair.agent) {
            self.pair.add_lane(index);
            assert_eq!(self.pair.links.len(), self.lanes as usize);
        }
    }

    fn check(&self) {
        let Pair {
            gateway,
            agent,
            links,
            ..
        } = &self.pair;
        for side in [gateway, agent] {
            check_side(side, &self.settings);
        }
        for Link { down, up } in links {
            down.lane.check();
            up.lane.check();
            check_credit(gateway, down, agent, up);
            check_credit(agent, up, gateway, down);
        }
        for run in &self.runs {
            if let Some((answer, response)) = &run.answer {
                run.request.check(&answer.reader);
                response.check(&run.call.reader);
            }
        }
    }

    /// Once everything was let through, and nothing moves any more, no credit is missing.
    fn check_rest(&self) {
        let Pair {
            gateway,
            agent,
            links,
            ..
        } = &self.pair;
        for Link { down, up } in links {
            for (sender, way, receiver) in [(gateway, down, agent), (agent, up, gateway)] {
                for (known, allowed) in credits(sender, way, receiver) {
                    assert_eq!(known, allowed, "credit was lost");
                }
            }
        }
    }

    /// Lets everything come to its end, and checks that it does.
    fn finish(&mut self) {
        let closed = [&self.pair.gateway, &self.pair.agent].map(|side| side.session.closed());
        if let Some(error) = closed.into_iter().flatten().next() {
            self.pair.gateway.session.close(&error);
            self.pair.agent.session.close(&error);
        }
        self.pair.release();
        while !self.pair.agent.accepted.is_empty() {
            self.answer();
            self.pair.drive();
        }
        for run in &mut self.runs {
            run.request.end();
            run.call.reader.allow(usize::MAX);
            if let Some((answer, response)) = &mut run.answer {
                response.end();
                answer.reader.allow(usize::MAX);
            }
        }
        self.pair.drive();
        self.check();
        for run in &self.runs {
            let [request_reader, response_reader, request_pump, response_pump] = run.dropped;
            assert!(
                response_reader || run.call.reader.is_over(),
                "a response without an end"
            );
            assert!(
                request_pump || run.call.pump.take().is_some(),
                "a request that is still sent"
            );
            if let Some((answer, _)) = &run.answer {
                assert!(
                    request_reader || answer.reader.is_over(),
                    "a request without an end"
                );
                assert!(
                    response_pump || answer.pump.take().is_some(),
                    "a response that is still sent"
                );
            }
        }
    }
}

fn entries(session: &Session) -> Vec<std::sync::Arc<Exchange>> {
    lock(&session.0.table).exchanges.values().cloned().collect()
}

fn check_side(side: &Side, settings: &Settings) {
    let mut windows = 0;
    for exchange in entries(&side.session) {
        let state = lock(&exchange.state);
        assert!(
            state.is_send_open() || state.is_recv_open(),
            "an entry that is over"
        );
        assert_eq!(state.recv_credit.charged(), state.recv_credit.window());
        windows += state.recv_credit.window();
    }
    assert!(side.budget.used() >= windows);
    let limit = settings.max_exchanges as usize;
    assert!(side.session.load() <= limit && side.session.accepted_load() <= limit);
    assert!(side.session.pending() <= side.session.load() + side.session.accepted_load());
    assert!(
        side.session
            .closed()
            .is_none_or(|error| error.message() == lost().message())
    );
}

/// What a sender believes it may send, and what is on its way in either direction, is what the receiver has allowed.
fn check_credit(sender: &Side, way: &Way, receiver: &Side, back: &Way) {
    for exchange in entries(&sender.session) {
        let id = exchange.id();
        if *exchange.lane() != way.lane || !lock(&exchange.state).is_send_open() {
            continue;
        }
        let Some(peer) = lock(&receiver.session.0.table).exchanges.get(&id).cloned() else {
            continue;
        };
        let available = lock(&exchange.state).send_credit.available();
        let state = lock(&peer.state);
        if !state.is_recv_open() || is_reset(way, id) || is_reset(back, id) {
            continue;
        }
        let sent = way.lane.queued_of(id).0 + on_the_wire(way, id, Payload::cost);
        let returned = back.lane.queued_of(id).1
            + on_the_wire(back, id, |payload| match payload {
                Payload::Window(bytes) => *bytes as usize,
                _ => 0,
            });
        let (known, allowed) = (available + sent + returned, state.recv_credit.outstanding());
        assert!(
            known <= allowed,
            "{known} bytes may come, and {allowed} are allowed"
        );
    }
}

/// What a sender may send, and what its receiver has allowed, of each direction that is open at both ends.
fn credits(sender: &Side, way: &Way, receiver: &Side) -> Vec<(usize, usize)> {
    let of = |exchange: std::sync::Arc<Exchange>| {
        let peer = lock(&receiver.session.0.table)
            .exchanges
            .get(&exchange.id())
            .cloned()?;
        let state = lock(&exchange.state);
        let is_here = *exchange.lane() == way.lane && state.is_send_open();
        let known = state.send_credit.available();
        drop(state);
        let state = lock(&peer.state);
        (is_here && state.is_recv_open()).then(|| (known, state.recv_credit.outstanding()))
    };
    entries(&sender.session).into_iter().filter_map(of).collect()
}

fn is_reset(way: &Way, id: RequestId) -> bool {
    let is_reset = |payload: &Payload| usize::from(matches!(payload, Payload::Reset(_)));
    on_the_wire(way, id, is_reset) > 0
}

fn on_the_wire(way: &Way, id: RequestId, of: impl Fn(&Payload) -> usize) -> usize {
    let own = way.wire.iter().filter(|message| message.id == id);
    own.map(|message| of(&message.payload)).sum()
}

#[test]
fn whatever_happens_no_rule_is_broken_and_nothing_is_left() {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let cases = (setup(), prop::collection::vec(op(), 1..120), any::<bool>());
    let result = runner.run(&cases, |(setup, ops, is_finished)| {
        let mut world = World::new(setup);
        for op in ops {
            world.apply(&op);
            world.check();
            if matches!(op, Op::Release) {
                world.check_rest();
            }
        }
        if is_finished {
            world.finish();
        }
        let World { mut pair, runs, .. } = world;
        for run in runs {
            run.call.pump.abort();
            run.call.reader.abort();
            if let Some((answer, _)) = run.answer {
                answer.pump.abort();
                answer.reader.abort();
            }
        }
        pair.agent.accepted.clear();
        pair.release();
        pair.agent.accepted.clear();
        pair.release();
        pair.assert_empty();
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
