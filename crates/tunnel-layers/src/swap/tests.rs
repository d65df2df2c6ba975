use std::{convert::Infallible, future::Ready, future::ready, task::Poll};

use tokio_test::{assert_pending, assert_ready, task};
use tower::Service as _;
use tower::ServiceExt as _;

use super::*;

/// Answers with its name, once its gate is open.
#[derive(Clone, Debug)]
struct Named(&'static str, tokio::sync::watch::Receiver<bool>);

impl tower_service::Service<()> for Named {
    type Response = &'static str;
    type Error = Infallible;
    type Future = Ready<Result<&'static str, Infallible>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        let opened = std::pin::pin!(self.1.wait_for(|open| *open));
        opened.poll(cx).map(|_| Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.0))
    }
}

fn named(name: &'static str) -> (Named, tokio::sync::watch::Sender<bool>) {
    let (sender, receiver) = tokio::sync::watch::channel(false);
    (Named(name, receiver), sender)
}

#[test]
fn a_call_stays_with_the_service_that_it_began_with() {
    let ((old, open_old), (new, open_new)) = (named("old"), named("new"));
    let (mut service, handle) = Swap::new(old);
    let mut first = task::spawn(service.call(()));
    assert_pending!(first.poll());
    handle.replace(new);
    let mut second = task::spawn(service.clone().oneshot(()));
    open_new.send_replace(true);
    assert_eq!(assert_ready!(second.poll()), Ok("new"));
    assert_pending!(first.poll());
    open_old.send_replace(true);
    assert_eq!(assert_ready!(first.poll()), Ok("old"));
}

#[test]
fn the_old_service_goes_with_its_last_call() {
    let ((old, open), (new, _open)) = (named("old"), named("new"));
    let (mut service, handle) = Swap::new(old);
    let call = service.call(());
    handle.replace(new);
    drop(service.call(()));
    assert_eq!(open.receiver_count(), 1, "the call has it");
    drop(call);
    assert_eq!(open.receiver_count(), 0);
    assert_eq!(handle.current().0, "new");
}

#[test]
fn debug_shows_a_type() {
    let ((old, _open), text) = (named("secret"), "Named");
    let (service, handle) = Swap::new(old);
    let printed = format!("{service:?} {handle:?}");
    assert!(printed.contains(text) && !printed.contains("secret"), "{printed}");
}
