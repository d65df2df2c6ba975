//! Two sessions, gateway and agent, joined in memory.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, uri::PathAndQuery, uri::Scheme};
use tower_service::Service;

use super::{
    body::{FedBody, Reader},
    link::{Link, Way},
    runtime::{Join, TestRuntime},
};
use crate::{
    body::TunnelBody,
    error::{Cause, Initiator, TunnelError},
    exchange::{RecvHalf, SendHalf},
    flow::CreditBudget,
    head::{Protocol, RequestHead, ResponseHead},
    id::{AgentId, InstanceId, RequestId, SessionId},
    lane::Lane,
    message::{Data, Direction, End, Payload, RequestStart, Reset, ResponseStart, TunnelMessage},
    outgoing::{Enqueue, Outgoing},
    pump::{Pump, Start},
    reason::ResetReason,
    session::{Accepted, Session, SessionConfig},
    settings::{Features, Settings},
};

/// What the transport of a pair does with a message: it goes to its lane.
#[derive(Clone, Debug)]
pub(crate) struct Direct;

impl Service<Outgoing> for Direct {
    type Response = ();
    type Error = TunnelError;
    type Future = Enqueue;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, message: Outgoing) -> Enqueue {
        message.enqueue()
    }
}

/// One end.
pub(crate) struct Side {
    pub(crate) session: Session,
    pub(crate) budget: CreditBudget,
    pub(crate) accepted: VecDeque<Accepted>,
    runtime: Arc<TestRuntime>,
}

pub(crate) type Pumping = Join<Result<(), TunnelError>>;

/// An exchange at the end that opened it.
pub(crate) struct Call {
    pub(crate) id: RequestId,
    pub(crate) pump: Pumping,
    pub(crate) reader: Reader,
}

/// An exchange at the end that answers.
pub(crate) struct Answer {
    pub(crate) pump: Pumping,
    pub(crate) reader: Reader,
}

impl Side {
    fn new(
        runtime: &Arc<TestRuntime>,
        opens: Direction,
        local: Settings,
        remote: Settings,
        (features, budget): (Features, usize),
    ) -> Self {
        let budget = CreditBudget::new(budget);
        let session = Session::new(SessionConfig {
            id: SessionId::from_random([1; 16]),
            agent: "agent".parse::<AgentId>().unwrap(),
            instance: InstanceId::from_random([2; 16]),
            opens,
            local,
            remote,
            features,
            budget: budget.clone(),
            runtime: runtime.clone(),
        });
        Self {
            session,
            budget,
            accepted: VecDeque::new(),
            runtime: runtime.clone(),
        }
    }

    /// Opens an exchange, sends `body`, and reads the head of the response. Its body is read as the reader is allowed.
    pub(crate) fn call(&self, head: RequestHead, body: FedBody) -> Call {
        self.try_call(head, body).unwrap()
    }

    pub(crate) fn try_call(&self, head: RequestHead, body: FedBody) -> Result<Call, TunnelError> {
        let (start, send, recv) = self.open(head)?;
        let id = send.id();
        let pump = self.runtime.start(Pump::new(start, body, send, Direct));
        let reader = Reader::new(&self.runtime, recv, true);
        Ok(Call { id, pump, reader })
    }

    pub(crate) fn open(&self, head: RequestHead) -> Result<(Start, SendHalf, RecvHalf), TunnelError> {
        let opened = self.session.open(
            Protocol::of_head(&head),
            head.upgrade.as_deref(),
            !head.expects_continue(),
        );
        let (credit, send, recv) = opened?;
        let start = Start::Request(Box::new(request_start(head, credit)));
        Ok((start, send, recv))
    }

    /// The next request that has come.
    pub(crate) fn accept(&mut self) -> Accepted {
        self.accepted.pop_front().expect("a request has come")
    }

    /// Answers the next request with `body`.
    pub(crate) fn answer(&mut self, body: FedBody) -> Answer {
        self.answer_with(response_start(), body)
    }

    pub(crate) fn answer_with(&mut self, start: ResponseStart, body: FedBody) -> Answer {
        let Accepted { send, recv, .. } = self.accept();
        let start = Start::Response(Box::new(start));
        let pump = self.runtime.start(Pump::new(start, body, send, Direct));
        let reader = Reader::new(&self.runtime, recv, false);
        Answer { pump, reader }
    }

    /// Answers every request that has come with its own body.
    pub(crate) fn echo(&mut self) -> Vec<Pumping> {
        let accepted: Vec<_> = self.accepted.drain(..).collect();
        let echo = |Accepted { send, recv, .. }| {
            let start = Start::Response(Box::new(response_start()));
            let body = TunnelBody::new(recv, &HeaderMap::new());
            self.runtime.start(Pump::new(start, body, send, Direct))
        };
        accepted.into_iter().map(echo).collect()
    }

    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.session.pending(), 0, "entries in the table");
        assert_eq!(self.session.load(), 0, "places taken by exchanges that we opened");
        assert_eq!(
            self.session.accepted_load(),
            0,
            "places taken by exchanges of the peer"
        );
        assert_eq!(self.budget.used(), 0, "credit charged");
    }
}

impl Session {
    /// Exchanges of the other end that count against our limit.
    pub(crate) fn accepted_load(&self) -> usize {
        self.0.accepted.taken()
    }
}

pub(crate) struct Pair {
    pub(crate) runtime: Arc<TestRuntime>,
    pub(crate) gateway: Side,
    pub(crate) agent: Side,
    pub(crate) links: Vec<Link>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::of(settings, crate::flow::DEFAULT_BUDGET, 1)
    }

    pub(crate) fn of(settings: Settings, budget: usize, lanes: u32) -> Self {
        Self::made(settings, (Features::ALL, budget), lanes)
    }

    /// A pair that has agreed on these features.
    pub(crate) fn featuring(features: Features) -> Self {
        Self::made(Settings::default(), (features, crate::flow::DEFAULT_BUDGET), 1)
    }

    fn made(settings: Settings, budget: (Features, usize), lanes: u32) -> Self {
        let runtime = TestRuntime::new();
        let gateway = Side::new(&runtime, Direction::ServerToClient, settings, settings, budget);
        let agent = Side::new(&runtime, Direction::ClientToServer, settings, settings, budget);
        let mut pair = Self {
            runtime,
            gateway,
            agent,
            links: Vec::new(),
        };
        (0..lanes).for_each(|index| pair.add_lane(index));
        pair
    }

    pub(crate) fn add_lane(&mut self, index: u32) {
        self.links.push(Link {
            down: Way::new(self.gateway.session.add_lane(index).unwrap()),
            up: Way::new(self.agent.session.add_lane(index).unwrap()),
        });
    }

    pub(crate) fn down(&mut self) -> &mut Way {
        &mut self.links[0].down
    }

    pub(crate) fn up(&mut self) -> &mut Way {
        &mut self.links[0].up
    }

    /// Runs everything until nothing moves any more.
    pub(crate) fn drive(&mut self) {
        while self.step() {}
    }

    /// Lets everybody do a little.
    pub(crate) fn step(&mut self) -> bool {
        let mut any = self.runtime.run();
        for Link { down, up } in &mut self.links {
            any |= down.write() | up.write();
            if let Some(message) = down.take() {
                deliver(&mut self.agent, &up.lane, message);
                any = true;
            }
            if let Some(message) = up.take() {
                deliver(&mut self.gateway, &down.lane, message);
                any = true;
            }
        }
        any
    }

    /// Releases all that is held, and runs.
    pub(crate) fn release(&mut self) {
        for Link { down, up } in &mut self.links {
            down.release();
            up.release();
        }
        self.drive();
    }

    /// Brings a forged message from the gateway to the agent.
    pub(crate) fn forge(&mut self, id: RequestId, payload: Payload) -> Result<(), TunnelError> {
        let protocol = match &payload {
            Payload::Request(start) => Protocol::of_head(&start.head),
            _ => Protocol::Http,
        };
        let message = TunnelMessage {
            id,
            direction: Direction::ServerToClient,
            protocol,
            payload,
        };
        let accepted = self.agent.session.handle(&self.links[0].up.lane, message)?;
        self.agent.accepted.extend(accepted);
        Ok(())
    }

    /// Brings a forged message from the agent to the gateway.
    pub(crate) fn forge_up(&mut self, id: RequestId, payload: Payload) -> Result<(), TunnelError> {
        let message = TunnelMessage {
            id,
            direction: Direction::ServerToClient,
            protocol: Protocol::Http,
            payload,
        };
        let accepted = self.gateway.session.handle(&self.links[0].down.lane, message)?;
        self.gateway.accepted.extend(accepted);
        Ok(())
    }

    /// Cuts a lane at both ends.
    pub(crate) fn cut(&mut self, index: usize) {
        let Link { down, up } = self.links.remove(index);
        self.gateway.session.lose_lane(&down.lane, &lost());
        self.agent.session.lose_lane(&up.lane, &lost());
    }

    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        self.gateway.assert_empty();
        self.agent.assert_empty();
        for Link { down, up } in &self.links {
            assert_eq!((down.lane.queued_bytes(), up.lane.queued_bytes()), (0, 0));
        }
    }

    /// A small exchange works, from its beginning to its end.
    #[track_caller]
    pub(crate) fn assert_works(&mut self) {
        let call = self.gateway.call(get(), full_text());
        self.drive();
        let answer = self.agent.answer(full_text());
        answer.reader.allow(usize::MAX);
        call.reader.allow(usize::MAX);
        self.drive();
        assert_eq!(call.reader.complete(), b"hello");
        assert_eq!(answer.reader.complete(), b"hello");
    }
}

fn full_text() -> FedBody {
    super::body::full(&b"hello"[..])
}

fn deliver(end: &mut Side, lane: &Lane, message: TunnelMessage) {
    match end.session.handle(lane, message) {
        Ok(accepted) => end.accepted.extend(accepted),
        Err(error) => end.session.close(&error),
    }
}

pub(crate) fn lost() -> TunnelError {
    TunnelError::new(Cause::AgentLost, Initiator::Peer, "the lane was cut")
}

/// A request that asks to switch to `protocol`.
pub(crate) fn asking(protocol: &'static str) -> RequestHead {
    RequestHead {
        upgrade: Some(Box::new(http::HeaderValue::from_static(protocol))),
        ..get()
    }
}

/// The head of an answer that switches.
pub(crate) fn switching() -> ResponseStart {
    let mut start = response_start();
    start.head.status = StatusCode::SWITCHING_PROTOCOLS;
    start
}

pub(crate) fn get() -> RequestHead {
    RequestHead {
        upgrade: None,
        method: Method::POST,
        scheme: Scheme::HTTP,
        authority: None,
        path: PathAndQuery::from_static("/"),
        headers: HeaderMap::new(),
    }
}

pub(crate) fn expecting() -> RequestHead {
    let mut head = get();
    let value = http::HeaderValue::from_static("100-continue");
    head.headers.insert(http::header::EXPECT, value);
    head
}

pub(crate) fn request_start(head: RequestHead, credit: u32) -> RequestStart {
    RequestStart {
        head,
        data: Bytes::new(),
        end: None,
        credit,
        trace_id: None,
    }
}

pub(crate) fn response_start() -> ResponseStart {
    ResponseStart {
        head: ResponseHead {
            upgrade: None,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
        },
        data: Bytes::new(),
        end: None,
    }
}

pub(crate) fn request(credit: u32) -> Payload {
    Payload::Request(Box::new(request_start(get(), credit)))
}

pub(crate) fn response() -> Payload {
    Payload::Response(Box::new(response_start()))
}

pub(crate) fn data(len: usize, end: bool) -> Payload {
    Payload::Data(Data {
        data: vec![7; len].into(),
        end: end.then(End::default),
    })
}

pub(crate) fn reset(reason: ResetReason) -> Payload {
    Payload::Reset(Reset { reason, detail: None })
}
