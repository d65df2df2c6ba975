//! What a lane writes, in which order, and who waits.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    Class, Lane, MAX_BULK_BYTES, MAX_SIGNALS, MAX_SMALL_BYTES, SMALL_BURST, SMALL_MESSAGE, Ticket, weight,
};
use crate::{
    error::{Cause, TunnelError},
    exchange::{Begun, Exchange, Place, Places},
    flow::{CreditBudget, RecvCredit, SendCredit},
    head::Protocol,
    id::RequestId,
    message::{Data, Direction, End, MESSAGE_COST, Payload, Reset, TunnelMessage},
    reason::ResetReason,
    session::tests::{
        pair::{Pair, lost, request_start},
        runtime::{Flag, poll_once},
    },
    sync::lock,
};

const CHUNK: usize = 32 * 1024;

impl Lane {
    /// Checks what must hold at any time.
    #[track_caller]
    pub(crate) fn check(&self) {
        lock(&self.0.state).queue.check();
    }

    /// The credit that an exchange's queued messages cost, and its pending window update.
    pub(crate) fn queued_of(&self, id: RequestId) -> (usize, usize) {
        lock(&self.0.state).queue.queued_of(id)
    }
}

fn lane() -> Lane {
    Lane::new(0, CHUNK)
}

/// An exchange that the other end opened, so that it knows of it.
fn exchange(lane: &Lane, number: u8) -> Arc<Exchange> {
    exchange_of(lane, number, false)
}

fn exchange_of(lane: &Lane, number: u8, opener: bool) -> Arc<Exchange> {
    let budget = CreditBudget::default();
    let place = Place::take(&Arc::default(), 1).unwrap();
    let id = RequestId::from_parts(1, [number; 10]);
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
    let since = std::time::Instant::now();
    Arc::new(Exchange::new(Begun {
        session: Pair::new().gateway.session,
        lane: lane.clone(),
        id,
        direction: Direction::ServerToClient,
        protocol: Protocol::Http,
        is_framed: false,
        opener,
        rule: None,
        since,
        send_credit: SendCredit::new(0, 0),
        recv_credit: RecvCredit::grant(&budget, 0),
        end: None,
        place,
    }))
}

fn data(len: usize) -> Payload {
    Payload::Data(Data {
        data: vec![1; len].into(),
        end: None,
    })
}

fn end() -> Payload {
    Payload::Data(Data {
        data: bytes::Bytes::new(),
        end: Some(End::default()),
    })
}

fn cancel() -> Reset {
    Reset {
        reason: ResetReason::Cancel,
        detail: None,
    }
}

/// One message that wants to be queued.
struct Pushing {
    exchange: Arc<Exchange>,
    ticket: Ticket,
    message: Option<TunnelMessage>,
    flag: Arc<Flag>,
}

impl Pushing {
    fn new(exchange: &Arc<Exchange>, payload: Payload) -> Self {
        Self {
            exchange: exchange.clone(),
            ticket: Ticket::new(Class::of(&payload), weight(&payload)),
            message: Some(exchange.message(payload)),
            flag: Flag::new(),
        }
    }

    fn poll(&mut self) -> Poll<Result<usize, TunnelError>> {
        assert!(self.flag.take(), "polled without being woken");
        let waker = Waker::from(self.flag.clone());
        let cx = &mut Context::from_waker(&waker);
        self.exchange
            .lane()
            .poll_push(&self.exchange, &mut self.ticket, &mut self.message, cx)
    }
}

/// Queues a message for which there is room, and gives the refund.
#[track_caller]
fn push(exchange: &Arc<Exchange>, payload: Payload) -> usize {
    match Pushing::new(exchange, payload).poll() {
        Poll::Ready(Ok(refund)) => refund,
        other => panic!("there is room, but {other:?}"),
    }
}

fn pop(lane: &Lane) -> Option<TunnelMessage> {
    lane.check();
    match poll_once(|cx| lane.poll_next(cx)) {
        Poll::Ready(message) => message,
        Poll::Pending => None,
    }
}

/// All that the lane has to write: whose it is, and how many bytes of body.
fn drain(lane: &Lane) -> Vec<(u8, usize)> {
    std::iter::from_fn(|| pop(lane))
        .map(|message| {
            (
                message.id.to_string().as_bytes()[35] - b'0',
                message.payload.data_len(),
            )
        })
        .collect()
}

#[test]
fn messages_of_one_exchange_stay_in_order() {
    let lane = lane();
    let one = exchange(&lane, 1);
    let lens = [CHUNK, 10, CHUNK, SMALL_MESSAGE, 1, 5_000];
    lens.iter().for_each(|len| {
        push(&one, data(*len));
    });
    push(&one, end());
    assert_eq!(drain(&lane).iter().map(|(_, len)| *len).collect::<Vec<_>>(), lens);
    assert_eq!(lane.queued_bytes(), 0);
}

#[test]
fn small_goes_before_bulk() {
    let lane = lane();
    let (one, two) = (exchange(&lane, 1), exchange(&lane, 2));
    push(&one, data(CHUNK));
    push(&one, data(CHUNK));
    push(&two, data(SMALL_MESSAGE));
    assert_eq!(drain(&lane), [(2, SMALL_MESSAGE), (1, CHUNK), (1, CHUNK)]);
}

#[test]
fn after_a_burst_of_small_messages_one_bulk_message_goes() {
    let lane = lane();
    let (bulk, small) = (exchange(&lane, 1), exchange(&lane, 2));
    (0..3).for_each(|_| {
        push(&bulk, data(CHUNK));
    });
    // Not joined: two of them together are not small.
    (0..24).for_each(|_| {
        push(&small, data(SMALL_MESSAGE / 2 + 1));
    });
    let order: Vec<_> = drain(&lane).into_iter().map(|(who, _)| who).collect();
    let burst = SMALL_BURST as usize;
    assert!(order[..burst].iter().all(|who| *who == 2));
    assert_eq!(order[burst], 1);
    assert!(order[burst + 1..25].iter().all(|who| *who == 2));
    assert_eq!(order[25..], [1, 1]);
}

#[test]
fn small_messages_written_earlier_are_no_debt_to_bulk_ones() {
    let lane = lane();
    let (bulk, small) = (exchange(&lane, 1), exchange(&lane, 2));
    for _ in 0..100 {
        push(&small, data(10));
        pop(&lane).unwrap();
    }
    push(&bulk, data(CHUNK));
    push(&bulk, data(CHUNK));
    push(&small, data(10));
    assert_eq!(drain(&lane), [(1, CHUNK), (2, 10), (1, CHUNK)]);
}

#[test]
fn bulk_exchanges_take_turns() {
    let lane = lane();
    let all: Vec<_> = (1..=3).map(|number| exchange(&lane, number)).collect();
    for exchange in &all {
        push(exchange, data(CHUNK));
        push(exchange, data(CHUNK));
    }
    let order: Vec<_> = drain(&lane).into_iter().map(|(who, _)| who).collect();
    assert_eq!(order, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn control_goes_first_and_window_updates_are_summed() {
    let lane = lane();
    let (one, two) = (exchange(&lane, 1), exchange(&lane, 2));
    push(&one, data(10));
    lane.window(&two, 100);
    lane.window(&one, 5);
    lane.window(&two, 20);
    assert!(
        matches!(pop(&lane), Some(TunnelMessage { id, payload: Payload::Window(120), .. }) if id == two.id())
    );
    assert!(
        matches!(pop(&lane), Some(TunnelMessage { id, payload: Payload::Window(5), .. }) if id == one.id())
    );
    assert_eq!(drain(&lane), [(1, 10)]);
}

#[test]
fn a_ping_goes_before_all_and_there_are_not_many() {
    let lane = lane();
    let one = exchange(&lane, 1);
    lane.window(&one, 5);
    for number in 0..100 {
        lane.signal(one.message(Payload::Pong(number)));
    }
    for number in 0..MAX_SIGNALS as u64 {
        assert!(matches!(pop(&lane), Some(TunnelMessage { payload: Payload::Pong(n), .. }) if n == number));
    }
    assert!(matches!(
        pop(&lane),
        Some(TunnelMessage {
            payload: Payload::Window(5),
            ..
        })
    ));
}

#[test]
fn a_reset_discards_what_it_overtakes_and_nothing_follows_it() {
    let lane = lane();
    let (one, two) = (exchange(&lane, 1), exchange(&lane, 2));
    push(&one, data(CHUNK));
    push(&one, data(10));
    push(&two, data(CHUNK));
    lane.window(&one, 100);
    lane.reset(&one, cancel(), None);
    lane.check();
    lane.window(&one, 100);
    lane.push_last(&one, one.message(Payload::Reset(cancel())));
    let Poll::Ready(Err(error)) = Pushing::new(&one, data(1)).poll() else {
        panic!("nothing may follow a reset");
    };
    assert_eq!(error.cause(), Cause::Canceled);
    assert!(matches!(
        pop(&lane),
        Some(TunnelMessage {
            payload: Payload::Reset(_),
            ..
        })
    ));
    assert_eq!(drain(&lane), [(2, CHUNK)]);
}

#[test]
fn a_reset_of_what_was_never_written_is_not_written_either() {
    let lane = lane();
    let taken = Arc::new(Places::default());
    let one = exchange_of(&lane, 1, true);
    push(&one, data(10));
    lane.reset(&one, cancel(), Place::take(&taken, 1));
    assert_eq!(drain(&lane), []);
    assert_eq!(taken.taken(), 0);
}

#[test]
fn a_place_is_free_when_its_reset_is_written_or_the_lane_closes() {
    for close in [true, false] {
        let lane = lane();
        let taken = Arc::new(Places::default());
        let one = exchange(&lane, 1);
        lane.reset(&one, cancel(), Place::take(&taken, 1));
        assert_eq!(taken.taken(), 1);
        if close {
            lane.close(lost());
        } else {
            pop(&lane).unwrap();
        }
        assert_eq!(taken.taken(), 0);
    }
}

#[test]
fn small_pieces_are_joined_and_their_cost_comes_back() {
    let lane = lane();
    let one = exchange(&lane, 1);
    assert_eq!(push(&one, data(6)), 0);
    assert_eq!(push(&one, data(6)), MESSAGE_COST);
    assert_eq!(push(&one, end()), 0);
    lane.check();
    let message = pop(&lane).unwrap();
    assert!(matches!(&message.payload, Payload::Data(Data { data, end: Some(_) }) if data.len() == 12));
    assert_eq!(message.payload.cost(), 12 + MESSAGE_COST);
}

#[test]
fn the_first_piece_joins_its_head_for_its_own_cost() {
    let lane = lane();
    let one = exchange_of(&lane, 1, true);
    let head = request_start(crate::session::tests::pair::get(), 0);
    push(&one, Payload::Request(Box::new(head)));
    assert_eq!(push(&one, data(6)), 0, "the head cost nothing before");
    assert_eq!(push(&one, data(6)), MESSAGE_COST);
    let message = pop(&lane).unwrap();
    assert!(matches!(&message.payload, Payload::Request(start) if start.data.len() == 12));
}

#[test]
fn nothing_joins_what_has_ended_or_grows_beyond_small() {
    let lane = lane();
    let one = exchange(&lane, 1);
    push(&one, data(SMALL_MESSAGE));
    assert_eq!(push(&one, data(1)), 0);
    push(&one, end());
    assert_eq!(drain(&lane).len(), 2);
    let tiny = Lane::new(0, 1_024);
    let two = exchange(&tiny, 2);
    push(&two, data(1_000));
    assert_eq!(push(&two, data(25)), 0, "no message is larger than the chunk");
    assert_eq!(drain(&tiny), [(2, 1_000), (2, 25)]);
}

#[test]
fn the_bounds_in_bytes_hold() {
    for (len, limit) in [(CHUNK, MAX_BULK_BYTES), (SMALL_MESSAGE, MAX_SMALL_BYTES)] {
        let lane = lane();
        let one = exchange(&lane, 1);
        let count = (0..1_000)
            .take_while(|_| Pushing::new(&one, data(len)).poll().is_ready())
            .count();
        assert_eq!(count, limit / (len + MESSAGE_COST));
        assert!(lane.queued_bytes() <= limit);
        lane.check();
    }
}

#[test]
fn trailers_count_like_headers() {
    let lane = lane();
    let one = exchange(&lane, 1);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-long", http::HeaderValue::from_str(&"v".repeat(1_000)).unwrap());
    push(&one, data(10));
    push(
        &one,
        Payload::Data(Data {
            data: bytes::Bytes::new(),
            end: Some(End {
                trailers: Some(Box::new(trailers)),
            }),
        }),
    );
    lane.check();
    assert_eq!(lane.queued_bytes(), 10 + MESSAGE_COST + 6 + 1_000);
    pop(&lane).unwrap();
    assert_eq!(lane.queued_bytes(), 0);
}

/// A lane whose bulk line is full, and the exchange that filled it.
fn full_lane() -> (Lane, Arc<Exchange>) {
    let lane = lane();
    let one = exchange(&lane, 1);
    while Pushing::new(&one, data(CHUNK)).poll().is_ready() {}
    (lane, one)
}

#[test]
fn who_waits_for_room_is_served_in_order() {
    let (lane, _one) = full_lane();
    let others: Vec<_> = (2..=4).map(|number| exchange(&lane, number)).collect();
    let mut waiting: Vec<_> = others
        .iter()
        .map(|other| Pushing::new(other, data(CHUNK)))
        .collect();
    waiting
        .iter_mut()
        .for_each(|pushing| assert!(pushing.poll().is_pending()));
    let small = exchange(&lane, 5);
    push(&small, data(10));
    for turn in 0..3 {
        while !waiting[turn].flag.is_woken() || waiting[turn].poll().is_pending() {
            let later = &waiting[turn + 1..];
            assert!(
                later.iter().all(|later| later.flag.wakes() == 0),
                "nobody is overtaken"
            );
            pop(&lane).unwrap();
        }
    }
}

#[test]
fn a_newcomer_does_not_take_the_room_of_one_who_waits() {
    let (lane, _one) = full_lane();
    let (two, three) = (exchange(&lane, 2), exchange(&lane, 3));
    let mut first = Pushing::new(&two, data(CHUNK));
    assert!(first.poll().is_pending());
    pop(&lane).unwrap();
    pop(&lane).unwrap();
    let mut newcomer = Pushing::new(&three, data(CHUNK));
    assert!(newcomer.poll().is_pending());
    assert!(first.poll().is_ready());
    assert!(
        newcomer.poll().is_ready(),
        "there was room for both, and the first passed the wake on"
    );
}

#[test]
fn who_leaves_the_line_passes_the_wake_on() {
    let (lane, _one) = full_lane();
    let (two, three) = (exchange(&lane, 2), exchange(&lane, 3));
    let (mut first, mut second) = (Pushing::new(&two, data(CHUNK)), Pushing::new(&three, data(CHUNK)));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    pop(&lane).unwrap();
    assert_eq!((first.flag.wakes(), second.flag.wakes()), (1, 0));
    drop(first);
    assert!(second.poll().is_ready());
    lane.check();
}

#[test]
fn a_reset_makes_room_for_those_who_wait() {
    let (lane, one) = full_lane();
    let two = exchange(&lane, 2);
    let mut waiting = Pushing::new(&two, data(CHUNK));
    assert!(waiting.poll().is_pending());
    lane.reset(&one, cancel(), None);
    assert!(waiting.poll().is_ready());
    lane.check();
}

#[test]
fn a_message_larger_than_the_bound_goes_alone() {
    let lane = lane();
    let (one, two) = (exchange(&lane, 1), exchange(&lane, 2));
    push(&one, data(2 * MAX_BULK_BYTES));
    let mut waiting = Pushing::new(&two, data(2 * MAX_BULK_BYTES));
    assert!(waiting.poll().is_pending());
    pop(&lane).unwrap();
    assert!(waiting.poll().is_ready());
}

#[test]
fn a_closed_lane_takes_nothing_and_wakes_everybody() {
    let (lane, _one) = full_lane();
    let two = exchange(&lane, 2);
    let mut waiting = Pushing::new(&two, data(CHUNK));
    assert!(waiting.poll().is_pending());
    let (writer, written) = (Flag::new(), Flag::new());
    let waker = Waker::from(written.clone());
    assert!(lane.poll_written(&mut Context::from_waker(&waker)).is_pending());
    lane.close(lost());
    assert!(matches!(waiting.poll(), Poll::Ready(Err(error)) if error.cause() == Cause::AgentLost));
    assert_eq!(written.wakes(), 1);
    let waker = Waker::from(writer);
    assert!(matches!(
        lane.poll_next(&mut Context::from_waker(&waker)),
        Poll::Ready(None)
    ));
    assert_eq!(lane.queued_bytes(), 0);
    lane.window(&two, 1);
    lane.reset(&two, cancel(), None);
    lane.check();
}

#[test]
fn whatever_is_queued_wakes_the_writer() {
    let actions: [fn(&Lane, &Arc<Exchange>); 6] = [
        |_, one| assert_eq!(push(one, data(1)), 0),
        |lane, one| lane.window(one, 1),
        |lane, one| lane.reset(one, cancel(), None),
        |lane, one| lane.push_last(one, one.message(Payload::Reset(cancel()))),
        |lane, one| lane.signal(one.message(Payload::Ping(1))),
        |lane, one| assert!(lane.refuse(one.message(Payload::Reset(cancel())), 1)),
    ];
    for (index, action) in actions.into_iter().enumerate() {
        let lane = lane();
        let one = exchange(&lane, 1);
        let flag = Flag::new();
        let waker = Waker::from(flag.clone());
        assert!(lane.poll_next(&mut Context::from_waker(&waker)).is_pending());
        action(&lane, &one);
        assert_eq!(flag.wakes(), 1, "action {index}");
        assert!(lane.poll_next(&mut Context::from_waker(&waker)).is_ready());
    }
}

#[test]
fn who_waits_for_all_to_be_written_is_woken_by_the_last_message() {
    let lane = lane();
    let one = exchange(&lane, 1);
    push(&one, data(CHUNK));
    lane.window(&one, 5);
    let flag = Flag::new();
    let waker = Waker::from(flag.clone());
    assert!(lane.poll_written(&mut Context::from_waker(&waker)).is_pending());
    pop(&lane).unwrap();
    assert_eq!(flag.wakes(), 0);
    pop(&lane).unwrap();
    assert_eq!(flag.wakes(), 1);
    assert!(poll_once(|cx| lane.poll_written(cx)).is_ready());
}
