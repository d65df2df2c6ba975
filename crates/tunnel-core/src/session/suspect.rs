//! Silence: whether the other end may be dead, before anybody is sure of it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    task::Waker,
};

use super::Session;
use crate::{
    error::{Cause, Initiator, TunnelError},
    lane::Lane,
    sync::lock,
};

/// What is suspected of a session. Asked for each request, so it is no question of the table's lock.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    control: AtomicBool,
    /// Every open lane, of which there is at least one.
    lanes: AtomicBool,
}

impl Suspicion {
    /// Notes what is suspected of the open lanes. The table must be locked meanwhile.
    pub(super) fn of_lanes(&self, lanes: &[Lane]) {
        let mut open = lanes.iter().filter(|lane| !lane.is_closed()).peekable();
        let is_suspect = open.peek().is_some() && open.all(Lane::is_suspect);
        self.lanes.store(is_suspect, Ordering::Relaxed);
    }
}

impl Session {
    /// Whether the other end may be dead: its ControlStream, or every lane, has been silent for a heartbeat. Such a session
    /// should get nothing new while there is another one that could take it.
    ///
    /// It ends with whatever is heard next, or with the session.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        let Suspicion { control, lanes } = &self.0.suspicion;
        control.load(Ordering::Relaxed) || lanes.load(Ordering::Relaxed)
    }

    /// Notes whether the ControlStream has been silent for a heartbeat.
    pub fn suspect(&self, is_suspect: bool) {
        if self.0.suspicion.control.swap(is_suspect, Ordering::Relaxed) != is_suspect {
            self.wake_changed();
        }
    }

    /// Notes whether a lane has been silent for a heartbeat. New exchanges go by other lanes, if there are any.
    pub fn suspect_lane(&self, lane: &Lane, is_suspect: bool) {
        if lane.suspect(is_suspect) {
            self.0.suspicion.of_lanes(&lock(&self.0.table).lanes);
            self.wake_changed();
        }
    }

    /// Gives up an open lane that is suspect, so that the other end, which has noticed as well, may open it again.
    pub(super) fn lose_suspect_lane(&self, index: u32) {
        let found = {
            let table = lock(&self.0.table);
            let is_it = |lane: &&Lane| lane.index() == index && !lane.is_closed() && lane.is_suspect();
            table.lanes.iter().find(is_it).cloned()
        };
        if let Some(lane) = found {
            let text = "the lane was silent, and was opened again";
            self.lose_lane(&lane, &TunnelError::new(Cause::AgentLost, Initiator::Peer, text));
        }
    }

    fn wake_changed(&self) {
        let watchers = self.changed(&mut lock(&self.0.table));
        watchers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        head::Protocol,
        lane::Lane,
        session::{
            Session,
            tests::{pair::Pair, runtime::poll_once},
        },
        sync::lock,
    };

    /// A session with two lanes.
    fn session() -> (Session, [Lane; 2]) {
        let session = Pair::of(crate::Settings::default(), 1 << 20, 0).gateway.session;
        let lanes = [0, 1].map(|index| session.add_lane(index).unwrap());
        (session, lanes)
    }

    #[test]
    fn a_session_is_suspect_while_its_control_stream_or_every_lane_is() {
        let (session, [first, second]) = session();
        session.suspect_lane(&second, true);
        assert!(!session.is_suspect(), "one lane is heard");
        session.suspect_lane(&first, true);
        assert!(session.is_suspect() && session.is_available());
        session.suspect_lane(&first, false);
        assert!(!session.is_suspect());
        session.suspect(true);
        assert!(session.is_suspect());
        session.suspect(false);
        assert!(!session.is_suspect());
    }

    #[test]
    fn new_exchanges_leave_a_silent_lane_out_and_it_may_be_opened_again() {
        let (session, [silent, other]) = session();
        session.suspect_lane(&silent, true);
        let _halves: Vec<_> = (0..4)
            .map(|_| session.open(Protocol::Http, None, true).unwrap())
            .collect();
        let table = lock(&session.0.table);
        assert_eq!(table.exchanges.len(), 4);
        assert!(table.exchanges.values().all(|exchange| *exchange.lane() == other));
        drop(table);
    }

    #[test]
    fn a_silent_lane_gives_way_to_the_same_opened_again() {
        let (session, [silent, other]) = session();
        session.suspect_lane(&silent, true);
        session.add_lane(other.index()).unwrap_err();
        let again = session.add_lane(silent.index()).unwrap();
        assert!(silent.is_closed() && again != silent && !again.is_suspect());
        session.suspect_lane(&other, true);
        session.lose_lane(&again, &crate::TunnelError::canceled());
        assert!(session.is_suspect(), "the silent one is left");
    }

    #[test]
    fn who_watches_hears_of_it() {
        let (session, _lanes) = session();
        let mut seen = 0;
        let mut changed = || poll_once(|cx| session.poll_changed(&mut seen, cx)).is_ready();
        assert!(changed() && !changed());
        session.suspect(true);
        assert!(changed() && !changed());
        session.suspect(true);
        assert!(!changed(), "it is no news");
    }
}
