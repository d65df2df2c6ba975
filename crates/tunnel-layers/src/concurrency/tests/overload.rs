//! More than there is room for, in simulated time: what callers get who do not wait for ever.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{
    concurrency::ConcurrencyLayer,
    test_util::{Scripted, request},
};

/// How many exchanges the service works on without slowing down, and how long each takes then.
const WIDTH: u32 = 10;
const WORK: Duration = Duration::from_millis(50);
/// Exchanges per second that this makes.
const CAPACITY: u32 = 200;
/// How long a caller waits for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
const TIME: Duration = Duration::from_secs(5);

/// Beyond its width the service gets slower for all, and wastes a tenth of the excess on changing between them.
fn busy()
-> impl Service<Request<Scripted>, Response = Response<Scripted>, Error = Infallible, Future: Send> + Clone + Send
{
    let running = Arc::new(AtomicU32::new(0));
    service_fn(move |_: Request<Scripted>| {
        let running = Running::new(&running);
        async move {
            let load = f64::from(running.0.load(Ordering::SeqCst)) / f64::from(WIDTH);
            let slower = load.max(1.0) + 0.1 * (load - 1.0).max(0.0);
            sleep(WORK.mul_f64(slower)).await;
            Ok(Response::new(Scripted::default()))
        }
    })
}

struct Running(Arc<AtomicU32>);

impl Running {
    fn new(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How many callers got what they asked for in each second, at this multiple of the capacity.
async fn goodput(layer: &ConcurrencyLayer, times: u32) -> u32 {
    let service = layer.layer(busy());
    let mut callers = JoinSet::new();
    let start = Instant::now();
    let mut arrivals = interval(Duration::from_secs(1) / (CAPACITY * times));
    while start.elapsed() < TIME {
        arrivals.tick().await;
        let call = service.clone().oneshot(request("/"));
        callers.spawn(async move {
            matches!(timeout(PATIENCE, call).await, Ok(Ok(answer)) if answer.status() == 200)
        });
    }
    let served = callers
        .join_all()
        .await
        .into_iter()
        .filter(|is_served| *is_served)
        .count();
    u32::try_from(served).unwrap() / u32::try_from(TIME.as_secs()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn goodput_stays_under_three_times_the_capacity() {
    let places = WIDTH as usize;
    let table = async |name, layer: ConcurrencyLayer| {
        let mut row = [0; 3];
        for (times, cell) in (1..).zip(&mut row) {
            *cell = goodput(&layer, times).await;
        }
        println!("{name:>8}: {row:?} exchanges/s at 1x, 2x, 3x of {CAPACITY}/s");
        row
    };
    let limited = table("limited", ConcurrencyLayer::new().max(places).queue(100)).await;
    let free = table("free", ConcurrencyLayer::new().max(usize::MAX)).await;
    let peak = *limited.iter().max().unwrap();
    assert!(peak > CAPACITY * 9 / 10, "{limited:?}");
    assert!(
        limited.iter().all(|goodput| *goodput > peak * 9 / 10),
        "{limited:?}"
    );
    // The service is one that needs this.
    assert!(free[2] < peak / 2, "{free:?}");
}
