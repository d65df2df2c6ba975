use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{recv::SHORT_LINK, *};
use crate::{lane::SMALL_MESSAGE, message::MESSAGE_COST, settings::Settings};

const WINDOW: usize = DEFAULT_INITIAL_CREDIT as usize;

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
    Instant::now()
}

/// A link that carries nothing else.
fn over(round_trip: Option<Duration>) -> Way {
    Way { round_trip, small: 0 }
}

/// Lets the peer fill the window and the consumer empty it, and gives back what is returned.
fn round(credit: &mut RecvCredit, now: Instant, round_trip: Duration) -> Option<u32> {
    let all = credit.outstanding();
    credit.receive(all).unwrap();
    credit.read(all);
    credit.claim(now, over(Some(round_trip)))
}

#[test]
fn an_empty_frame_waits_for_the_credit_of_its_message() {
    let mut credit = SendCredit::new(2 * MESSAGE_COST as u32 + 10, 1024);
    assert_eq!(credit.take_frame(10), Some(10));
    assert_eq!(
        credit.take_frame(1),
        None,
        "what is left is the cost of a message"
    );
    assert_eq!(credit.take_frame(0), Some(0));
    assert_eq!((credit.take_frame(0), credit.available()), (None, 0));
}

#[test]
fn a_sender_takes_no_more_than_it_has() {
    let mut credit = SendCredit::new(100_000, 256 * 1024);
    assert_eq!(credit.take(60_000), Some(60_000));
    assert_eq!(credit.take(60_000), Some(100_000 - 60_000 - 2 * MESSAGE_COST));
    assert_eq!(credit.take(1), None);
    credit.grow(MESSAGE_COST as u32 + 1).unwrap();
    assert_eq!(credit.take(1), Some(1));
}

#[test]
fn a_sender_does_not_cut_tiny_pieces() {
    let mut credit = SendCredit::new(1_000, 256 * 1024);
    assert_eq!(credit.take(10_000), None);
    assert_eq!(credit.take(900), Some(900));
}

#[test]
fn too_much_credit_is_an_error() {
    let mut credit = SendCredit::new(u32::MAX >> 1, 0);
    assert_eq!(credit.grow(1), Err(Overflow));
    assert_eq!(credit.available(), SendCredit::MAX);
}

#[test]
fn credit_is_returned_at_half_and_never_per_message() {
    let budget = CreditBudget::default();
    let mut credit = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
    let half = WINDOW / 2;
    credit.receive(half).unwrap();
    credit.read(half - 1);
    assert_eq!(credit.claim(start(), Way::default()), None);
    credit.read(1);
    assert_eq!(credit.claim(start(), Way::default()), Some(half as u32));
    assert_eq!(credit.window(), WINDOW);
}

#[test]
fn what_was_lent_counts_until_it_is_settled() {
    let budget = CreditBudget::default();
    let mut credit = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
    credit.receive(WINDOW).unwrap();
    credit.lend(WINDOW);
    assert_eq!(
        (credit.unread(), credit.claim(start(), Way::default())),
        (WINDOW, None)
    );
    credit.settle();
    assert_eq!(credit.unread(), 0);
    assert_eq!(credit.claim(start(), Way::default()), Some(WINDOW as u32));
    credit.settle();
    assert_eq!(
        credit.claim(start(), Way::default()),
        None,
        "it was settled before"
    );
    credit.receive(WINDOW).unwrap();
    credit.lend(WINDOW);
    credit.discard();
    credit.settle();
    assert_eq!((credit.unread(), credit.window()), (0, WINDOW));
}

#[test]
fn a_long_link_has_its_credit_returned_in_eighths() {
    let mut credit = RecvCredit::grant(&CreditBudget::default(), DEFAULT_INITIAL_CREDIT);
    let (part, trip) = (WINDOW / 8, Some(SHORT_LINK * 2));
    credit.receive(WINDOW / 2).unwrap();
    credit.read(part - 1);
    assert_eq!(credit.claim(start(), over(trip)), None);
    credit.read(1);
    assert_eq!(credit.claim(start(), over(trip)), Some(part as u32));
}

/// How long a body of so many bytes takes over a link, of which this much goes through in a second, when the consumer reads
/// at once.
fn transfer(bytes: usize, one_way: Duration, per_second: usize) -> Duration {
    const CHUNK: usize = 32 * 1024;
    let epoch = start();
    let mut receiver = RecvCredit::grant(&CreditBudget::default(), DEFAULT_INITIAL_CREDIT);
    let mut sender = SendCredit::new(DEFAULT_INITIAL_CREDIT, DEFAULT_INITIAL_CREDIT);
    // What is on its way, by the time at which it arrives: pieces of the body, and credit.
    let (mut pieces, mut credits) = (VecDeque::new(), VecDeque::new());
    let (mut now, mut free, mut left) = (Duration::ZERO, Duration::ZERO, bytes);
    loop {
        while let Some(piece) = (left > 0).then(|| sender.take(left.min(CHUNK))).flatten() {
            free = free.max(now) + Duration::from_secs_f64(piece as f64 / per_second as f64);
            pieces.push_back((free + one_way, piece));
            left -= piece;
        }
        let credit_comes = credits.front().map(|(at, _)| *at);
        match pieces.front().copied() {
            None if left == 0 => return now,
            Some((at, piece)) if credit_comes.is_none_or(|credit| at <= credit) => {
                pieces.pop_front();
                now = at;
                receiver.receive(piece + MESSAGE_COST).unwrap();
                receiver.read(piece + MESSAGE_COST);
                if let Some(more) = receiver.claim(epoch + now, over(Some(one_way * 2))) {
                    credits.push_back((now + one_way, more));
                }
            }
            _ => {
                let (at, more) = credits.pop_front().expect("else the flow stands still for ever");
                now = at;
                sender.grow(more).unwrap();
            }
        }
    }
}

#[test]
fn a_long_link_is_filled() {
    const MIB: usize = 1024 * 1024;
    for (milliseconds, per_second) in [(50, 60 * MIB), (50, 8 * MIB), (10, 400 * MIB), (150, 12 * MIB)] {
        let one_way = Duration::from_millis(milliseconds);
        let alone = one_way.as_secs_f64() + (100 * MIB) as f64 / per_second as f64;
        let took = transfer(100 * MIB, one_way, per_second).as_secs_f64();
        // The first four round trips are spent with little credit.
        let allowed = alone * 1.02 + 8.0 * one_way.as_secs_f64();
        assert!(
            took <= allowed,
            "{milliseconds} ms: {took} s, and {alone} s without credit"
        );
    }
}

#[test]
fn an_overrun_is_noticed() {
    let mut credit = RecvCredit::grant(&CreditBudget::default(), 1_000);
    credit.receive(1_000).unwrap();
    assert_eq!(credit.receive(1), Err(Overrun));
}

#[test]
fn a_window_that_limits_a_long_link_grows_up_to_its_bound() {
    let budget = CreditBudget::default();
    let mut credit = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
    let (mut now, trip) = (start(), Duration::from_millis(100));
    for _ in 0..20 {
        now += trip;
        round(&mut credit, now, trip).unwrap();
    }
    assert_eq!(credit.window(), MAX_CREDIT as usize);
    assert_eq!(budget.used(), MAX_CREDIT as usize);
}

#[test]
fn each_round_trip_grows_a_window_fourfold_whatever_the_size_of_the_pieces() {
    for initial in [Settings::MIN_BYTES, 4_096, MIN_CREDIT, DEFAULT_INITIAL_CREDIT] {
        for piece in [1_000, 16_384, Settings::DEFAULT_CHUNK as usize, 65_536] {
            let budget = CreditBudget::default();
            let mut recv = RecvCredit::grant(&budget, initial);
            let mut send = SendCredit::new(initial, initial);
            let (mut now, trip) = (start(), Duration::from_millis(100));
            // The first one is not measured.
            for _ in 0..=(MAX_CREDIT / initial).ilog2().div_ceil(2) {
                now += trip;
                while let Some(taken) = send.take(piece) {
                    recv.receive(taken + MESSAGE_COST).unwrap();
                    recv.read(taken + MESSAGE_COST);
                }
                if let Some(returned) = recv.claim(now, over(Some(trip))) {
                    send.grow(returned).unwrap();
                }
            }
            assert_eq!(
                recv.window(),
                MAX_CREDIT as usize,
                "pieces of {piece} in {initial}"
            );
        }
    }
}

#[test]
fn a_short_link_gains_less_and_only_for_a_fast_consumer_of_much() {
    for trip in [None, Some(Duration::from_micros(50)), Some(SHORT_LINK)] {
        for (pause, initial, most) in [
            (4, DEFAULT_INITIAL_CREDIT, SHORT_LINK_CREDIT),
            (4, MIN_CREDIT, SHORT_LINK_CREDIT),
            (5, DEFAULT_INITIAL_CREDIT, DEFAULT_INITIAL_CREDIT),
        ] {
            let mut credit = RecvCredit::grant(&CreditBudget::default(), initial);
            let mut now = start();
            let mut pass = |bytes: u64| {
                let mut read = 0;
                while read < bytes {
                    now += Duration::from_millis(pause);
                    let all = credit.outstanding();
                    credit.receive(all).unwrap();
                    credit.read(all);
                    read += all as u64;
                    credit.claim(now, over(trip)).unwrap();
                }
                credit.window()
            };
            assert_eq!(
                pass(SHORT_LINK_PROOF - u64::from(initial)),
                initial as usize,
                "sockets may hold that much"
            );
            assert_eq!(pass(SHORT_LINK_PROOF), most as usize, "{trip:?}, {pause} ms");
        }
    }
}

#[test]
fn a_short_link_has_no_large_windows_beside_small_messages_of_others() {
    let mut credit = RecvCredit::grant(&CreditBudget::default(), DEFAULT_INITIAL_CREDIT);
    let (now, mut way) = (start(), over(Some(SHORT_LINK)));
    // The lane counts the messages of this exchange too.
    let mut pass = |bytes: u64, small: u32| {
        way.small += small;
        let mut read = 0;
        while read < bytes {
            credit.receive(SMALL_MESSAGE + MESSAGE_COST).unwrap();
            way.small += 1;
            credit.receive(credit.outstanding()).unwrap();
            let all = credit.unread();
            credit.read(all);
            read += all as u64;
            credit.claim(now, way).unwrap();
        }
        credit.window()
    };
    let large = SHORT_LINK_CREDIT as usize;
    assert_eq!(pass(2 * SHORT_LINK_PROOF, 0), large, "they are its own");
    assert_eq!(pass(1, 1), WINDOW);
    assert_eq!(pass(SHORT_LINK_PROOF - WINDOW as u64, 0), WINDOW);
    assert_eq!(pass(SHORT_LINK_PROOF, 1), WINDOW, "the proof begins anew");
    assert_eq!(pass(SHORT_LINK_PROOF, 0), large, "they have been quiet");
}

#[test]
fn a_long_link_keeps_its_windows_beside_others() {
    let (mut now, trip) = (start(), Duration::from_millis(10));
    let mut credit = RecvCredit::grant(&CreditBudget::default(), DEFAULT_INITIAL_CREDIT);
    for small in 0..40 {
        now += trip / 8;
        let all = credit.outstanding();
        credit.receive(all).unwrap();
        credit.read(all);
        let way = Way {
            round_trip: Some(trip),
            small,
        };
        credit.claim(now, way).unwrap();
    }
    assert_eq!(credit.window(), MAX_CREDIT as usize);
}

#[test]
fn a_slow_consumer_gains_no_credit() {
    let mut credit = RecvCredit::grant(&CreditBudget::default(), DEFAULT_INITIAL_CREDIT);
    let mut now = start();
    for _ in 0..20 {
        now += Duration::from_secs(1);
        round(&mut credit, now, Duration::from_millis(100)).unwrap();
    }
    assert_eq!(credit.window(), WINDOW);
}

#[test]
fn a_short_budget_gives_little_and_grows_nothing() {
    let budget = CreditBudget::new(WINDOW + WINDOW / 2);
    let mut first = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
    let second = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
    assert_eq!(second.window(), MIN_CREDIT as usize);
    let (mut now, trip) = (start(), Duration::from_millis(100));
    for _ in 0..5 {
        now += trip;
        round(&mut first, now, trip).unwrap();
    }
    assert_eq!(first.window(), WINDOW);
    let third = RecvCredit::promised(&budget, DEFAULT_INITIAL_CREDIT);
    round(&mut first, now, trip).unwrap();
    assert_eq!(
        first.window(),
        MIN_CREDIT as usize,
        "what was promised must come back"
    );
    drop((first, second, third));
    assert_eq!(budget.used(), 0);
}

#[test]
fn the_end_of_a_direction_frees_what_is_not_unread() {
    let budget = CreditBudget::default();
    let mut credit = RecvCredit::grant(&budget, DEFAULT_INITIAL_CREDIT);
    credit.receive(1_000).unwrap();
    credit.end();
    assert_eq!(budget.used(), 1_000);
    assert_eq!(credit.receive(1), Err(Overrun));
}

#[test]
fn withheld_credit_comes_with_the_first_claim() {
    let mut credit = RecvCredit::withheld(&CreditBudget::default(), 1_000);
    assert_eq!(credit.receive(1), Err(Overrun));
    assert_eq!(credit.claim_discarded(), None, "nobody asked for the body");
    assert_eq!(credit.claim(start(), Way::default()), Some(1_000));
    assert_eq!(credit.outstanding(), 1_000);
}
