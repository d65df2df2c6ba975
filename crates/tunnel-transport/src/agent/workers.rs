//! Tasks that serve one exchange after the other, at both ends.
//!
//! To make and unmake a task for each exchange costs more than many a service does for a small request. So a task that is done waits
//! for the next exchange, if not too many wait already. How many work is up to the session's limits alone.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Poll, Waker},
};

/// Tasks that wait for something to do, at most. Each keeps about 2 KiB.
const MAX_IDLE: usize = 64;

/// The tasks of one service: of an agent's, or of that which answers what agents ask of a gateway. `W` makes the work of each job `J`,
/// which is an exchange. When this drops, those that wait end at once, and the others when their job is done.
pub(crate) struct Workers<W, J> {
    work: W,
    idle: Arc<Idle<J>>,
}

/// The desks of those who wait, the last to come on top; `None` when nothing more will come.
struct Idle<J>(Mutex<Option<Vec<Arc<Desk<J>>>>>);

/// Where one task finds its next job.
struct Desk<J>(Mutex<State<J>>);

struct State<J> {
    /// Boxed, because it is handed over from place to place until the work begins.
    next: Option<Box<J>>,
    waker: Option<Waker>,
    is_closed: bool,
}

impl<W, J, F> Workers<W, J>
where
    W: Fn(J) -> F + Clone + Send + 'static,
    J: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    pub(crate) fn new(work: W) -> Self {
        Self {
            work,
            idle: Arc::new(Idle(Mutex::new(Some(Vec::new())))),
        }
    }

    /// Has a job done, by a task that waits or by a new one. Never waits itself.
    pub(crate) fn serve(&self, job: J) {
        let mut job = Box::new(job);
        while let Some(desk) = self.idle.pop() {
            match desk.put(job) {
                None => return,
                Some(back) => job = back,
            }
        }
        let idle = Arc::downgrade(&self.idle);
        drop(tokio::spawn(work(self.work.clone(), job, idle)));
    }
}

impl<W, J> Drop for Workers<W, J> {
    fn drop(&mut self) {
        let desks = lock(&self.idle.0).take();
        for desk in desks.into_iter().flatten() {
            desk.close();
        }
    }
}

/// A panic of the service ends this task, and the exchange with it, and nothing else.
async fn work<W, J, F>(work: W, first: Box<J>, idle: Weak<Idle<J>>)
where
    W: Fn(J) -> F,
    F: Future<Output = ()>,
{
    let seat = Seat::default();
    let mut next = Some(first);
    while let Some(job) = next.take() {
        // Pinned where it is made: it is large, and to wait for it as it is would move it.
        pin!(work(*job)).await;
        next = seat.next(&idle).await;
    }
}

/// Closes its desk on every way out, so that nothing is put on one at which nobody sits.
struct Seat<J>(Arc<Desk<J>>);

impl<J> Default for Seat<J> {
    fn default() -> Self {
        let state = State {
            next: None,
            waker: None,
            is_closed: false,
        };
        Self(Arc::new(Desk(Mutex::new(state))))
    }
}

impl<J> Seat<J> {
    /// The next job; `None` if enough others wait for one, or none will come.
    async fn next(&self, idle: &Weak<Idle<J>>) -> Option<Box<J>> {
        let waits = idle.upgrade().is_some_and(|idle| idle.push(&self.0));
        if !waits {
            return None;
        }
        poll_fn(|cx| {
            let mut state = lock(&self.0.0);
            match state.next.take() {
                None if !state.is_closed => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                next => Poll::Ready(next),
            }
        })
        .await
    }
}

impl<J> Drop for Seat<J> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<J> Idle<J> {
    fn pop(&self) -> Option<Arc<Desk<J>>> {
        lock(&self.0).as_mut()?.pop()
    }

    /// Whether there was room.
    fn push(&self, desk: &Arc<Desk<J>>) -> bool {
        match &mut *lock(&self.0) {
            Some(desks) if desks.len() < MAX_IDLE => {
                desks.push(Arc::clone(desk));
                true
            }
            _ => false,
        }
    }
}

impl<J> Desk<J> {
    /// Gives the job back if nobody sits here any more.
    fn put(&self, job: Box<J>) -> Option<Box<J>> {
        let mut state = lock(&self.0);
        if state.is_closed {
            return Some(job);
        }
        state.next = Some(job);
        wake(state);
        None
    }

    fn close(&self) {
        let mut state = lock(&self.0);
        state.is_closed = true;
        wake(state);
    }
}

/// Wakes who sits there, once nothing is locked.
fn wake<J>(mut state: MutexGuard<'_, State<J>>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use bytes::Bytes;
    use http::{HeaderMap, Method, Response, StatusCode, uri::Scheme};
    use http_body_util::Empty;
    use tokio::{sync::mpsc, task};
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

    #[tokio::test]
    async fn who_waits_ends_with_the_agent() {
        let idle = Arc::new(Idle::<()>(Mutex::new(Some(Vec::new()))));
        let (seat, weak) = (Seat::default(), Arc::downgrade(&idle));
        let workers = Workers { work: (), idle };
        let mut waits = tokio_test::task::spawn(seat.next(&weak));
        tokio_test::assert_pending!(waits.poll());
        drop(workers);
        assert!(waits.is_woken());
        assert!(waits.await.is_none());
        assert!(soon(seat.next(&weak)).await.is_none(), "nothing more will come");
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let idle = Arc::new(Idle::<()>(Mutex::new(Some(Vec::new()))));
        for _ in 0..MAX_IDLE {
            assert!(idle.push(&Seat::default().0));
        }
        let seat = Seat::default();
        assert!(soon(seat.next(&Arc::downgrade(&idle))).await.is_none());
    }
}
