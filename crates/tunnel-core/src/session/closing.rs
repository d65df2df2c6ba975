//! The end of a session: draining, loss of a lane, closing.

use std::task::{Context, Poll, Waker};

use super::{Phase, Session};
use crate::{
    error::{Cause, Initiator, Sent, TunnelError},
    lane::Lane,
    message::Direction,
    sync::{lock, watch},
};

impl Session {
    /// Opens nothing new from now on; what is open goes on. A gateway refuses what agents open after this. An agent still takes what comes,
    /// because its gateway cannot have heard of it yet, and what is on its way may be too long to be sent to another agent.
    pub fn drain(&self) {
        let watchers = {
            let mut table = lock(&self.0.table);
            if !matches!(table.phase, Phase::Active) {
                return;
            }
            table.phase = Phase::Draining;
            self.changed(&mut table)
        };
        watchers.into_iter().for_each(Waker::wake);
    }

    /// Whether the session is draining or closed.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        !matches!(lock(&self.0.table).phase, Phase::Active)
    }

    /// Ready when no exchange is open and nothing waits to be written, or when the session is closed.
    ///
    /// An exchange is over when its last message is queued, which says nothing of when that is written. Any number of tasks
    /// may poll this.
    pub fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut table = lock(&self.0.table);
        if matches!(table.phase, Phase::Closed(_)) {
            return Poll::Ready(());
        }
        if !table.exchanges.is_empty() {
            watch(&mut table.idle_watchers, cx.waker());
            return Poll::Pending;
        }
        let is_written = |lane: &Lane| lane.poll_written(cx).is_ready();
        if table.lanes.iter().all(is_written) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Ready when nothing that this end has opened is open any more, or when the session is closed; what the other end has opened does not
    /// count. Any number of tasks may poll this.
    pub fn poll_answered(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.load() == 0 || self.poll_closed(cx).is_ready() {
            return Poll::Ready(());
        }
        self.watch_room(cx.waker());
        // The last one may have ended in between.
        if self.load() == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Ready when the session is closed, with the reason. Any number of tasks may poll this.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<TunnelError> {
        let mut table = lock(&self.0.table);
        if let Phase::Closed(error) = &table.phase {
            return Poll::Ready(error.clone());
        }
        watch(&mut table.close_watchers, cx.waker());
        Poll::Pending
    }

    /// Ready when [`is_available`](Self::is_available) or [`is_suspect`](Self::is_suspect) may have changed since the same `seen`
    /// was last given: the session got or lost a lane, fell silent or was heard again, drains, or is closed. Start with 0. Any number of tasks may poll this.
    pub fn poll_changed(&self, seen: &mut u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut table = lock(&self.0.table);
        if table.changes != *seen {
            *seen = table.changes;
            return Poll::Ready(());
        }
        watch(&mut table.change_watchers, cx.waker());
        Poll::Pending
    }

    /// Why the session is closed, if it is.
    #[must_use]
    pub fn closed(&self) -> Option<TunnelError> {
        match &lock(&self.0.table).phase {
            Phase::Closed(error) => Some(error.clone()),
            Phase::Active | Phase::Draining => None,
        }
    }

    /// Ends the session: every exchange fails with `error`, and every lane closes. Only the first call has an effect.
    pub fn close(&self, error: &TunnelError) {
        let (exchanges, lanes, watchers) = {
            let mut table = lock(&self.0.table);
            if matches!(table.phase, Phase::Closed(_)) {
                return;
            }
            table.phase = Phase::Closed(error.clone());
            let mut watchers = std::mem::take(&mut table.close_watchers);
            watchers.append(&mut table.idle_watchers);
            watchers.append(&mut self.changed(&mut table));
            (
                std::mem::take(&mut table.exchanges),
                std::mem::take(&mut table.lanes),
                watchers,
            )
        };
        // Lanes first: what has not been written by then never will be, so that the exchanges know what was sent.
        for lane in lanes {
            lane.close(error.clone().with_sent(Sent::No));
        }
        for exchange in exchanges.values() {
            exchange.fail(error);
        }
        watchers.into_iter().for_each(Waker::wake);
    }

    /// Ends every lane once what is queued there has been written. For a session that is drained.
    pub fn finish(&self) {
        let lanes = lock(&self.0.table).lanes.clone();
        lanes.iter().for_each(Lane::finish);
    }

    /// Ends one lane and the exchanges on it. The session goes on, and may get the lane again.
    pub fn lose_lane(&self, lane: &Lane, error: &TunnelError) {
        let (lost, watchers): (Vec<_>, _) = {
            let mut table = lock(&self.0.table);
            table.lanes.retain(|other| other != lane);
            self.0.suspicion.of_lanes(&table.lanes);
            let lost = table
                .exchanges
                .values()
                .filter(|exchange| exchange.lane() == lane);
            (lost.cloned().collect(), self.changed(&mut table))
        };
        lane.close(error.clone().with_sent(Sent::No));
        for exchange in lost {
            exchange.fail(error);
        }
        watchers.into_iter().for_each(Waker::wake);
    }

    /// A guard for whoever drives a lane: on every way out, panics included, the lane is lost.
    #[must_use]
    pub fn guard(&self, lane: Lane) -> LaneGuard {
        LaneGuard {
            session: self.clone(),
            lane,
        }
    }
}

/// Ends its lane, and the exchanges on it, when it drops.
#[derive(Debug)]
pub struct LaneGuard {
    session: Session,
    lane: Lane,
}

impl LaneGuard {
    /// The lane.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        &self.lane
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        let text = match self.session.0.config.opens {
            Direction::ServerToClient => "the connection to the agent was lost",
            Direction::ClientToServer => "the connection to the gateway was lost",
        };
        let error = TunnelError::new(Cause::AgentLost, Initiator::Peer, text);
        self.session.lose_lane(&self.lane, &error);
    }
}
