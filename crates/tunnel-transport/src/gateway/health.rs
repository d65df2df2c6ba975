//! `grpc.health.v1` over the registry.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, server::NamedService as _};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use super::{Registry, TunnelService, registry::Life};

/// What stands before a group's name where the health service is asked for it, as in `group:billing`. No gRPC service has
/// such a name.
pub const GROUP_PREFIX: &str = "group:";

/// Calls of `Watch` that may run at one time: each costs a task. Probes are few; the port is open to anybody.
const MAX_WATCHES: usize = 1_000;

/// The largest request, in bytes: the name of a group, and room.
const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// The health of a gateway and of its groups.
#[derive(Clone, Debug)]
pub(super) struct Probe(Registry);

/// The health service of a gateway.
pub(super) fn server(registry: Registry) -> HealthServer<Probe> {
    HealthServer::new(Probe(registry)).max_decoding_message_size(MAX_REQUEST_BYTES)
}

impl Probe {
    /// The health of what `service` names, if it names anything that is known.
    fn status(&self, service: &str) -> Option<ServingStatus> {
        let can_carry = match service.strip_prefix(GROUP_PREFIX) {
            Some(group) => self.0.can_carry(&group.parse().ok()?)?,
            None if service.is_empty() || service == TunnelService::NAME => true,
            None => return None,
        };
        Some(if can_carry && self.0.life() == Life::Serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        })
    }

    /// Sends the health of `service`, now and whenever it has changed, until the caller leaves or the gateway has stopped.
    /// Of changes that follow each other faster than the caller reads, it sees the last.
    async fn watch(self, service: String, sender: mpsc::Sender<Result<HealthCheckResponse, Status>>) {
        let (mut changes, mut last) = (self.0.watch(), None);
        if self.0.watchers() > MAX_WATCHES {
            let full = Status::resource_exhausted("the gateway has as many health watches as it takes");
            return drop(sender.send(Err(full)).await);
        }
        loop {
            if *changes.borrow_and_update() == Life::Stopped {
                let stopped = Status::unavailable("the gateway has stopped");
                return drop(sender.send(Err(stopped)).await);
            }
            let status = self.status(&service).unwrap_or(ServingStatus::ServiceUnknown);
            if last != Some(status) {
                last = Some(status);
                if sender.send(Ok(response(status))).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() {
                    return;
                },
                () = sender.closed() => return,
            }
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl Health for Probe {
    type WatchStream = Watch;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.status(&request.get_ref().service);
        let unknown =
            || Status::not_found("no such service; a group is group:NAME, once an agent has registered it");
        status.map(response).map(Response::new).ok_or_else(unknown)
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watch>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(self.clone().watch(request.into_inner().service, sender));
        Ok(Response::new(Watch(receiver)))
    }
}

/// The answers of one call of `Watch`.
#[derive(Debug)]
pub(super) struct Watch(mpsc::Receiver<Result<HealthCheckResponse, Status>>);

impl Stream for Watch {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn watches_are_bounded_and_give_their_places_back() {
        let probe = Probe(Registry::new());
        let start = || async {
            let request = Request::new(HealthCheckRequest::default());
            let Watch(mut answers) = Health::watch(&probe, request).await.unwrap().into_inner();
            (answers.recv().await.unwrap(), answers)
        };
        let mut running = Vec::new();
        for _ in 0..MAX_WATCHES {
            let (answer, watch) = start().await;
            assert_eq!(answer.unwrap().status(), ServingStatus::Serving);
            running.push(watch);
        }
        assert_eq!(
            start().await.0.unwrap_err().code(),
            tonic::Code::ResourceExhausted
        );
        running.clear();
        while probe.0.watchers() > 0 {
            tokio::task::yield_now().await;
        }
        start().await.0.unwrap();
    }
}
