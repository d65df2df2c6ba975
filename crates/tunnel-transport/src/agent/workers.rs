//! Tasks that serve one exchange after the other, at both ends.
//!
//! To make and unmake a task for each exchange costs more than many a service does for a small request. So a task that is done waits
//! for the next exchange, if not too many wait already. How many work is up to the session's limits alone.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tunnel_core::turn::Turns;

/// Tasks that wait for something to do, at most. Each keeps about 2 KiB.
const MAX_IDLE: usize = 64;

/// The tasks of one service: of an agent's, or of that which answers what agents ask of a gateway. `W` makes the work of each job `J`,
/// which is an exchange. When this drops, those that wait end at once, and the others when their job is done.
pub(crate) struct Workers<W, J> {
    work: W,
    room: Arc<Room<J>>,
}

/// Where tasks wait.
struct Room<J>(Mutex<State<J>>);

struct State<J> {
    /// One for each task that was woken and has not looked yet; it does not matter which of them takes it. Boxed, because it is handed
    /// over from place to place until the work begins.
    jobs: VecDeque<Box<J>>,
    /// Those who wait, the last to come on top. A place stays what it is until it is taken from the top.
    waiting: Vec<Idle>,
    /// How many have begun to wait.
    count: u64,
    is_closed: bool,
}

/// A task that waits.
struct Idle {
    number: u64,
    /// None if it has found something to do without being asked.
    waker: Option<Waker>,
}

/// Where in the line a task is, if it waits.
#[derive(Default)]
struct Seat(Option<(usize, u64)>);

impl<W, J, F> Workers<W, J>
where
    W: Fn(J) -> F + Clone + Send + 'static,
    J: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    pub(crate) fn new(work: W) -> Self {
        let room = Arc::default();
        Self { work, room }
    }

    /// Has a job done, by a task that waits or by a new one. Never waits itself.
    pub(crate) fn serve(&self, job: J) {
        let job = Box::new(job);
        match self.room.put(job) {
            Ok(waker) => waker.wake(),
            Err(job) => drop(tokio::spawn(Turns::new(work(
                self.work.clone(),
                job,
                self.room.clone(),
            )))),
        }
    }
}

impl<W, J> Drop for Workers<W, J> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.room.lock();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        let wakers = waiting.into_iter().filter_map(|idle| idle.waker);
        wakers.for_each(Waker::wake);
    }
}

/// A panic of the service ends this task, and the exchange with it, and nothing else.
async fn work<W, J, F>(work: W, first: Box<J>, room: Arc<Room<J>>)
where
    W: Fn(J) -> F,
    F: Future<Output = ()>,
{
    let mut next = Some(first);
    while let Some(job) = next.take() {
        // Pinned where it is made: it is large, and to wait for it as it is would move it.
        pin!(work(*job)).await;
        let mut seat = Seat::default();
        next = poll_fn(|cx| room.poll_next(&mut seat, cx)).await;
    }
}

impl<J> Room<J> {
    /// Leaves a job for whoever waits, and says whom to wake; gives it back if nobody does.
    fn put(&self, job: Box<J>) -> Result<Waker, Box<J>> {
        let mut state = self.lock();
        while let Some(idle) = state.waiting.pop() {
            if let Some(waker) = idle.waker {
                state.jobs.push_back(job);
                return Ok(waker);
            }
        }
        Err(job)
    }

    /// The next job; `None` if enough others wait for one, or none will come.
    fn poll_next(&self, seat: &mut Seat, cx: &mut Context<'_>) -> Poll<Option<Box<J>>> {
        let mut state = self.lock();
        let State {
            jobs,
            waiting,
            count,
            is_closed,
        } = &mut *state;
        let mine = seat.0.and_then(|(place, number)| {
            let idle = waiting.get_mut(place)?;
            (idle.number == number).then_some(idle)
        });
        let job = jobs.pop_front();
        if let Some(idle) = mine {
            // It was not woken for the job. Whoever was finds nothing, and waits again.
            idle.waker = job.is_none().then(|| cx.waker().clone());
            return job.map_or(Poll::Pending, |job| Poll::Ready(Some(job)));
        }
        if job.is_some() || *is_closed || waiting.len() >= MAX_IDLE {
            return Poll::Ready(job);
        }
        *count += 1;
        seat.0 = Some((waiting.len(), *count));
        let (number, waker) = (*count, Some(cx.waker().clone()));
        waiting.push(Idle { number, waker });
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> Default for Room<J> {
    fn default() -> Self {
        Self(Mutex::new(State {
            jobs: VecDeque::new(),
            waiting: Vec::new(),
            count: 0,
            is_closed: false,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use bytes::Bytes;
    use http::{HeaderMap, Method, Response, StatusCode, uri::Scheme};
    use http_body_util::Empty;
    use tokio::{sync::mpsc, task};
    use tokio_test::{assert_pending, assert_ready, task::spawn};
    use tower::service_fn;
    use tunnel_core::{
        Protocol, Pump, RecvHalf, RequestHead, Session, Start,
        message::{End, RequestStart},
    };

    use super::*;
    use crate::{
        ServedRequest, TunnelTransport,
        agent::tests::{soon, world},
    };

    /// Opens an exchange with a GET for this path.
    async fn get(session: &Session, path: &'static str) -> RecvHalf {
        let (credit, send, recv) = session.open(Protocol::Http, None, true).unwrap();
        let head = RequestHead {
            method: Method::GET,
            scheme: Scheme::HTTP,
            authority: None,
            path: path.parse().unwrap(),
            headers: HeaderMap::new(),
            upgrade: None,
        };
        let (data, end) = (Bytes::new(), Some(End::default()));
        let start = Start::Request(Box::new(RequestStart {
            head,
            data,
            end,
            credit,
            trace_id: None,
        }));
        soon(Pump::new(
            start,
            Empty::<Bytes>::new(),
            send,
            TunnelTransport::new(),
        ))
        .await
        .unwrap();
        recv
    }

    async fn status(mut recv: RecvHalf) -> Option<StatusCode> {
        let head = soon(poll_fn(|cx| recv.poll_head(cx))).await;
        head.ok().map(|head| head.status)
    }

    #[tokio::test]
    async fn a_task_serves_one_exchange_after_the_other_and_never_two_at_once() {
        let (sender, mut ids) = mpsc::channel(16);
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let service = service_fn(move |request: ServedRequest| {
            let (sender, gate) = (sender.clone(), Arc::clone(&gate));
            async move {
                sender.send(task::id()).await.unwrap();
                match request.uri().path() {
                    "/wait" => drop(gate.acquire().await.unwrap()),
                    "/go" => gate.add_permits(2),
                    "/panic" => panic!("a defect of the service"),
                    _ => {}
                }
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let world = world(service).await;
        let session = &world.session;
        let mut of = async |path: &'static str| (get(session, path).await, soon(ids.recv()).await.unwrap());

        let (recv, first) = of("/").await;
        assert_eq!(status(recv).await, Some(StatusCode::OK));
        let (one, waits) = of("/wait").await;
        assert_eq!(waits, first, "it waited for this");
        let (other, also_waits) = of("/wait").await;
        assert_ne!(also_waits, first, "it is busy");
        let (recv, third) = of("/go").await;
        assert!(third != first && third != also_waits);
        for recv in [recv, one, other] {
            assert_eq!(status(recv).await, Some(StatusCode::OK));
        }

        let (recv, broken) = of("/panic").await;
        assert_eq!(status(recv).await, None);
        for _ in 0..4 {
            let (recv, id) = of("/").await;
            assert_eq!(status(recv).await, Some(StatusCode::OK));
            assert!(id != broken && [first, also_waits, third].contains(&id));
        }
    }

    fn workers() -> Workers<(), ()> {
        Workers {
            work: (),
            room: Arc::default(),
        }
    }

    #[test]
    fn who_waits_ends_with_the_agent() {
        let workers = workers();
        let room = workers.room.clone();
        let (mut seat, mut other) = (Seat::default(), Seat::default());
        let mut waits = spawn(poll_fn(|cx| room.poll_next(&mut seat, cx)));
        assert_pending!(waits.poll());
        drop(workers);
        assert!(waits.is_woken());
        assert_eq!(assert_ready!(waits.poll()), None);
        let mut late = spawn(poll_fn(|cx| room.poll_next(&mut other, cx)));
        assert_eq!(assert_ready!(late.poll()), None, "nothing more will come");
    }

    #[test]
    fn only_so_many_wait() {
        let room = Room::<()>::default();
        let mut seats: Vec<_> = (0..=MAX_IDLE).map(|_| Seat::default()).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let (last, seats) = seats.split_last_mut().unwrap();
        for seat in seats {
            assert!(room.poll_next(seat, &mut cx).is_pending());
        }
        assert_eq!(room.poll_next(last, &mut cx), Poll::Ready(None));
    }

    #[test]
    fn who_is_polled_without_a_reason_takes_a_job_or_keeps_its_place() {
        let room = Room::default();
        let (mut first, mut second, mut third) = (Seat::default(), Seat::default(), Seat::default());
        let mut waits = spawn(poll_fn(|cx| room.poll_next(&mut first, cx)));
        let mut takes = spawn(poll_fn(|cx| room.poll_next(&mut second, cx)));
        let mut is_woken = spawn(poll_fn(|cx| room.poll_next(&mut third, cx)));
        assert_pending!(waits.poll());
        assert_pending!(waits.poll());
        assert_pending!(takes.poll());
        assert_pending!(is_woken.poll());
        let put = |job| room.put(Box::new(job)).map(Waker::wake).is_ok();

        assert!(put(1));
        assert!(is_woken.is_woken() && !takes.is_woken() && !waits.is_woken());
        assert_eq!(assert_ready!(takes.poll()), Some(Box::new(1)));
        assert_pending!(is_woken.poll());
        assert!(put(2));
        assert_eq!(assert_ready!(is_woken.poll()), Some(Box::new(2)));
        // It has gone to work, and is not asked.
        assert!(put(3));
        assert!(waits.is_woken());
        assert_eq!(assert_ready!(waits.poll()), Some(Box::new(3)));
        assert!(!put(4), "nobody waits");
    }
}
