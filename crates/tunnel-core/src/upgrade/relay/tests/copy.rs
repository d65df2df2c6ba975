//! Both directions, how they end, and how they fail.

use super::*;

#[test]
fn each_direction_ends_by_itself() {
    // The server ends first.
    let bench = Bench::opaque().listen();
    bench.source.give("hello");
    bench.source.end();
    bench.wire.say(b"one");
    bench.run();
    assert_eq!(bench.wire.take(), b"hello");
    assert!(bench.wire.is_shut());
    bench.assert_runs();
    bench.wire.say(b"two");
    bench.advance(3_600);
    bench.wire.end();
    bench.run();
    assert_eq!(
        (bench.heard(), bench.heard_end()),
        (b"onetwo".to_vec(), Some(None))
    );
    bench.assert_over();

    // The client does.
    let bench = Bench::opaque().listen();
    bench.wire.say(b"one");
    bench.wire.end();
    bench.run();
    assert_eq!((bench.heard(), bench.heard_end()), (b"one".to_vec(), Some(None)));
    bench.assert_runs();
    bench.advance(3_600);
    bench.source.give("hello");
    bench.run();
    assert_eq!(bench.wire.take(), b"hello");
    assert!(!bench.wire.is_shut());
    bench.source.end();
    bench.run();
    assert!(bench.wire.is_shut());
    bench.assert_over();
}

#[test]
fn what_is_ready_together_is_written_together() {
    let bench = Bench::opaque().listen();
    for _ in 0..100 {
        bench.source.give("0123456789");
    }
    bench.run();
    assert_eq!(bench.wire.take().len(), 1_000);
    assert_eq!(bench.wire.writes(), 1);
    // A large piece is written as it is, and what is small before it does not wait for it.
    bench.source.give("small");
    bench.source.give(vec![1; 20_000]);
    bench.source.give("small");
    bench.run();
    assert_eq!(bench.wire.take().len(), 20_010);
    assert_eq!(bench.wire.writes(), 4);
}

#[test]
fn pieces_stay_in_order_however_little_is_taken() {
    let bench = Bench::opaque().listen();
    bench.wire.room(0);
    let sizes = [1, 5_000, 3, 0, 17_000, 4_095, 4_096, 2, 2, 40_000, 1];
    let mut expected = Vec::new();
    for (index, size) in sizes.into_iter().enumerate() {
        let piece = vec![index as u8; size];
        expected.extend_from_slice(&piece);
        bench.source.give(piece);
    }
    bench.source.end();
    let mut taken = 0;
    for room in (1..).map(|step| step * 7) {
        bench.wire.room(room);
        bench.run();
        taken += room;
        if bench.wire.is_shut() {
            break;
        }
        assert!(taken < expected.len() + room, "it does not end");
    }
    assert_eq!(bench.wire.take(), expected);
}

#[test]
fn a_stalled_client_is_still_heard_and_holds_back_little() {
    let bench = Bench::opaque().listen();
    bench.wire.room(0);
    for _ in 0..100 {
        bench.source.give(vec![0; 1024]);
    }
    bench.run();
    assert_eq!(bench.source.left(), 100 - 16);
    bench.wire.say(b"still here");
    bench.run();
    assert_eq!(bench.heard(), b"still here");
    // Nothing limits how long it stands, unless a setting does.
    bench.advance(3_600);
    bench.assert_runs();
    bench.wire.room(usize::MAX);
    bench.run();
    assert_eq!(bench.wire.take().len(), 100 * 1024);
}

#[test]
fn a_far_end_that_does_not_read_does_not_stop_the_other_direction() {
    let bench = Bench::opaque();
    bench.wire.say(&[0; 100_000]);
    bench.source.give("hello");
    bench.run();
    assert_eq!(bench.wire.take(), b"hello");
    bench.assert_runs();
}

#[test]
fn a_client_that_breaks_off_is_gone_at_once() {
    let bench = Bench::opaque().listen();
    bench.wire.reset();
    bench.run();
    assert_eq!(bench.heard_end(), Some(Some(Cause::Canceled)));
    bench.assert_over();
    // Also where only writing shows it, while somebody waits to read.
    let bench = Bench::opaque().listen();
    bench.wire.refuse();
    bench.source.give("hello");
    bench.run();
    assert_eq!(bench.heard_end(), Some(Some(Cause::Canceled)));
    bench.assert_over();
}

#[test]
fn a_far_end_that_breaks_off_takes_the_client_with_it() {
    for is_stalled in [false, true] {
        let bench = Bench::opaque().listen();
        if is_stalled {
            bench.wire.room(0);
            bench.source.give("unwritten");
            bench.run();
        }
        bench.source.fail(error(Cause::AgentLost));
        bench.run();
        assert!(!bench.wire.is_shut(), "it looks like an end in order");
        assert_eq!(bench.heard_end(), Some(Some(Cause::AgentLost)));
        bench.assert_over();
    }
}

#[test]
fn what_came_before_the_failure_is_given_if_it_is_taken() {
    let bench = Bench::opaque().listen();
    bench.source.give("before");
    bench.run();
    bench.source.fail(error(Cause::Upstream));
    bench.run();
    assert_eq!(bench.wire.take(), b"before");
    bench.assert_over();
}

#[test]
fn a_failure_is_noticed_though_the_queue_is_full() {
    let mut bench = Bench::opaque().listen();
    bench.wire.room(0);
    for _ in 0..3 {
        bench.source.give(vec![0; 16 * 1024]);
    }
    bench.run();
    assert_eq!(bench.source.left(), 2);
    // As when the exchange is reset: the body fails, and the pump drops what it reads.
    bench.source.fail(error(Cause::Canceled));
    bench.abandon();
    bench.assert_over();
}

#[test]
fn a_stalled_client_of_a_far_end_that_left_has_half_a_minute() {
    let mut bench = Bench::opaque().listen();
    bench.wire.room(0);
    bench.source.give(vec![0; 16 * 1024]);
    bench.run();
    bench.abandon();
    bench.advance(29);
    bench.wire.room(1_000);
    bench.run();
    bench.advance(29);
    bench.assert_runs();
    bench.advance(1);
    bench.assert_over();
}

#[test]
fn what_nobody_wants_is_dropped_until_the_client_ends() {
    let mut bench = Bench::opaque().listen();
    bench.abandon();
    bench.wire.say(&[0; 100_000]);
    bench.source.give("last words");
    bench.source.end();
    bench.run();
    assert_eq!(bench.wire.take(), b"last words");
    assert!(bench.wire.is_shut());
    bench.assert_runs();
    bench.wire.end();
    bench.run();
    bench.assert_over();
}

#[test]
fn a_client_that_does_not_end_is_cut_off_once_nobody_hears_it() {
    let mut bench = Bench::opaque().listen();
    bench.abandon();
    bench.source.end();
    bench.run();
    bench.advance(29);
    bench.assert_runs();
    bench.advance(1);
    bench.assert_over();
}

#[test]
fn a_client_that_goes_on_talking_to_nobody_is_cut_off_as_well() {
    let mut bench = Bench::opaque().listen();
    bench.abandon();
    bench.source.end();
    bench.run();
    for _ in 0..29 {
        bench.wire.say(&[0; 100_000]);
        bench.advance(1);
        bench.assert_runs();
    }
    bench.wire.say(&[0; 100_000]);
    bench.advance(1);
    bench.assert_over();
}

#[test]
fn a_relay_that_is_dropped_ends_the_stream() {
    let bench = Bench::opaque().listen();
    bench.relay.abort();
    bench.run();
    assert_eq!(bench.heard_end(), Some(Some(Cause::Canceled)));
    assert!(bench.wire.is_dropped() && bench.source.is_dropped() && bench.alive.upgrade().is_none());
}

#[test]
fn a_failure_is_called_what_it_is() {
    let (wire, stream) = Wire::new();
    let (body, _writer) = split(stream);
    let mut body = body.failing_as(error(Cause::Upstream));
    wire.reset();
    let frame = crate::session::tests::runtime::poll_once(|cx| Pin::new(&mut body).poll_frame(cx));
    let Poll::Ready(Some(Err(error))) = frame else {
        panic!("it does not fail");
    };
    assert_eq!(error.cause(), Cause::Upstream);
    assert!(std::error::Error::source(&error).is_some());
    assert!(wire.is_dropped() && !body.is_end_stream());
}

#[test]
fn an_idle_stream_costs_little() {
    let relay = size_of::<Relay<crate::TunnelBody, WireStream>>();
    assert!(relay <= 640, "{relay} bytes");
    let shared = size_of::<crate::upgrade::state::State<WireStream>>();
    assert!(shared <= 128, "{shared} bytes");
}
