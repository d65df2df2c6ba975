//! Any sequence of what exchanges do, through the layer: nothing of them is left.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use http_body::Body;
use proptest::{prelude::*, sample::Index};
use tower::{Layer, Service, service_fn};

use crate::{
    concurrency::{ConcurrencyBody, ConcurrencyLayer, Load, tests::by_header},
    test_util::{Scripted, Step, request},
};

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A request, answered in this way, perhaps of this key.
    Call(Way, Option<u8>),
    /// Whoever polls it: the call, or the response's body.
    Poll(Index),
    /// The caller goes.
    Drop(Index),
    /// Time passes, in milliseconds: enough of it ends the wait in line.
    Advance(u16),
}

/// How the service answers.
#[derive(Clone, Copy, Debug)]
enum Way {
    Whole,
    Endless,
    Broken,
    Fails,
    Panics,
    Never,
}

fn op() -> impl Strategy<Value = Op> {
    use Way::{Broken, Endless, Fails, Never, Panics, Whole};
    let way = prop_oneof![
        Just(Whole),
        Just(Endless),
        Just(Broken),
        Just(Fails),
        Just(Panics),
        Just(Never)
    ];
    prop_oneof![
        3 => (way, proptest::option::of(0..2_u8)).prop_map(|(way, key)| Op::Call(way, key)),
        5 => any::<Index>().prop_map(Op::Poll),
        1 => any::<Index>().prop_map(Op::Drop),
        1 => (0..700_u16).prop_map(Op::Advance),
    ]
}

type Call = Pin<Box<dyn Future<Output = Result<Response<ConcurrencyBody<Scripted>>, &'static str>>>>;

/// One exchange, as far as it has come.
enum Exchange {
    Call(Call),
    Body(Pin<Box<ConcurrencyBody<Scripted>>>),
}

impl Exchange {
    /// One step further; none when it is over.
    fn poll(self) -> Option<Self> {
        let mut cx = Context::from_waker(Waker::noop());
        match self {
            Self::Call(mut call) => match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx))) {
                Ok(Poll::Pending) => Some(Self::Call(call)),
                Ok(Poll::Ready(Ok(response))) => Some(Self::Body(Box::pin(response.into_body()))),
                Ok(Poll::Ready(Err(_))) | Err(_) => None,
            },
            Self::Body(mut body) => match body.as_mut().poll_frame(&mut cx) {
                Poll::Pending | Poll::Ready(Some(Ok(_))) => Some(Self::Body(body)),
                Poll::Ready(None | Some(Err(_))) => None,
            },
        }
    }
}

async fn answer(way: Way) -> Result<Response<Scripted>, &'static str> {
    Ok(Response::new(match way {
        Way::Whole => Scripted::of(["a", "b"]),
        Way::Endless => Scripted::new([Step::Data("a"), Step::Hang]),
        Way::Broken => Scripted::new([Step::Data("a"), Step::Fail("broken".into())]),
        Way::Fails => return Err("it failed"),
        Way::Panics => resume_unwind(Box::new("on purpose")),
        Way::Never => std::future::pending().await,
    }))
}

fn call(layer: &ConcurrencyLayer<crate::key::ByHeader>, way: Way, key: Option<u8>) -> Exchange {
    let mut request = request("/");
    if let Some(key) = key {
        request
            .headers_mut()
            .insert("x-key", HeaderValue::from(u16::from(key)));
    }
    let mut service = layer.layer(service_fn(move |_: Request<Scripted>| answer(way)));
    Exchange::Call(Box::pin(service.call(request)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_left_of_exchanges(ops in proptest::collection::vec(op(), 0..100)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let layer = ConcurrencyLayer::new().max(4).queue(5).per_key(by_header(), 2).queue_of_key(2);
            let mut exchanges = Vec::new();
            for op in ops {
                match op {
                    Op::Call(way, key) => exchanges.push(call(&layer, way, key)),
                    Op::Poll(at) if !exchanges.is_empty() => {
                        let exchange: Exchange = exchanges.swap_remove(at.index(exchanges.len()));
                        exchanges.extend(exchange.poll());
                    }
                    Op::Drop(at) if !exchanges.is_empty() => {
                        drop(exchanges.swap_remove(at.index(exchanges.len())));
                    }
                    Op::Advance(time) => tokio::time::advance(Duration::from_millis(time.into())).await,
                    Op::Poll(_) | Op::Drop(_) => {}
                }
                let Load { running, waiting } = layer.load();
                assert!(running <= 4 && waiting <= 5 && running + waiting <= exchanges.len(), "{layer:?}");
            }
            drop(exchanges);
            assert_eq!(layer.load(), Load { running: 0, waiting: 0 });
        });
    }
}
