//! What is known of every gateway of an agent.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::Uri;
use tokio::sync::watch;
use tunnel_core::{Session, SessionId};

use super::{Status, target::Place};

/// What an agent is about with one address of one of its gateways.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GatewayStatus {
    /// The gateway, as the agent was given it.
    pub gateway: Uri,
    /// The address that is dialled.
    pub address: SocketAddr,
    /// Who answered there last: the name of the gateway's process. Empty before the first session.
    pub gateway_id: String,
    /// What the agent is about with it.
    pub status: Status,
}

/// What is known of every link, and what that is in all.
pub(super) struct Board {
    links: Mutex<Links>,
    status: watch::Sender<Status>,
    /// How many sessions have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct Links {
    next: u64,
    all: BTreeMap<u64, Link>,
    /// Whether there was ever a session.
    was_connected: bool,
}

struct Link {
    place: Place,
    gateway_id: String,
    status: Status,
    /// The session with that gateway, which no other link needs to connect to then.
    holds: Option<SessionId>,
    has_failed: bool,
}

/// One link's place on the board; dropping it takes it off.
pub(super) struct Seat {
    board: Arc<Board>,
    number: u64,
}

impl Board {
    pub(super) fn new() -> Self {
        Self {
            links: Mutex::default(),
            status: watch::Sender::new(Status::Connecting),
            ended: watch::Sender::new(0),
        }
    }

    /// What the agent is about, with whichever gateway.
    pub(super) const fn status(&self) -> &watch::Sender<Status> {
        &self.status
    }

    pub(super) fn list(&self) -> Vec<GatewayStatus> {
        let status = |link: &Link| GatewayStatus {
            gateway: link.place.target.named.clone(),
            address: link.place.addr,
            gateway_id: link.gateway_id.clone(),
            status: link.status.clone(),
        };
        self.links().all.values().map(status).collect()
    }

    pub(super) fn seat(self: &Arc<Self>, place: Place) -> Seat {
        let mut links = self.links();
        let number = links.next;
        links.next += 1;
        let link = Link {
            place,
            gateway_id: String::new(),
            status: Status::Connecting,
            holds: None,
            has_failed: false,
        };
        links.all.insert(number, link);
        Seat {
            board: self.clone(),
            number,
        }
    }

    /// Says what the agent is about while it has no link.
    pub(super) fn say(&self, status: Status) {
        self.summarise(&self.links(), status);
    }

    /// The sessions that are open, by the order of the links.
    pub(super) fn sessions(&self) -> Vec<Session> {
        self.links().sessions()
    }

    /// Those of them whose gateway stays, if there is one: a gateway that leaves refuses what is new before long.
    pub(super) fn uplinks(&self) -> Vec<Session> {
        let links = self.links();
        let stays = links.all.values().filter_map(|link| match &link.status {
            Status::Connected(session) if link.holds == Some(session.id()) => Some(session.clone()),
            _ => None,
        });
        let staying: Vec<Session> = stays.collect();
        if staying.is_empty() {
            links.sessions()
        } else {
            staying
        }
    }

    /// Connected while any link is; else what a link said last.
    fn summarise(&self, links: &Links, said: Status) {
        let sessions = links.sessions();
        let is_one_of_them = |status: &Status| match status {
            Status::Connected(session) => sessions.contains(session),
            _ => false,
        };
        if is_one_of_them(&self.status.borrow()) {
            return;
        }
        let first = sessions.first().cloned().map(Status::Connected);
        self.status.send_replace(first.unwrap_or(said));
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links {
    fn sessions(&self) -> Vec<Session> {
        let session = |link: &Link| match &link.status {
            Status::Connected(session) => Some(session.clone()),
            _ => None,
        };
        self.all.values().filter_map(session).collect()
    }
}

impl Seat {
    /// Says what the link is about. While it has a session that is still open, only another one is news.
    pub(super) fn say(&self, status: Status) {
        let mut links = self.board.links();
        links.was_connected |= matches!(status, Status::Connected(_));
        let Some(link) = links.all.get_mut(&self.number) else {
            return;
        };
        link.has_failed |= matches!(status, Status::Waiting { .. });
        let is_open = matches!(&link.status, Status::Connected(session) if session.closed().is_none());
        if is_open && matches!(status, Status::Connecting | Status::Waiting { .. }) {
            return;
        }
        link.status = status.clone();
        self.board.summarise(&links, status);
    }

    /// A session of this link has ended.
    pub(super) fn lost(&self, session: &Session) {
        let mut links = self.board.links();
        if let Some(link) = links.all.get_mut(&self.number) {
            link.holds.take_if(|held| *held == session.id());
            if matches!(&link.status, Status::Connected(shown) if shown == session) {
                link.status = Status::Connecting;
                self.board.summarise(&links, Status::Connecting);
            }
        }
        drop(links);
        self.board.ended.send_modify(|ended| *ended += 1);
    }

    /// Notes who is at the other end; false if another link has a session with that gateway, whose other end is alive.
    pub(super) fn hold(&self, gateway_id: &str, session: &Session) -> bool {
        let mut links = self.board.links();
        let is_alive = |link: &Link| match &link.status {
            Status::Connected(session) => !session.is_suspect() && session.closed().is_none(),
            _ => true,
        };
        let is_taken = !gateway_id.is_empty()
            && links.all.iter().any(|(number, link)| {
                *number != self.number
                    && link.holds.is_some()
                    && link.gateway_id == gateway_id
                    && is_alive(link)
            });
        if let Some(link) = links.all.get_mut(&self.number) {
            gateway_id.clone_into(&mut link.gateway_id);
            link.holds = (!is_taken).then(|| session.id());
        }
        !is_taken
    }

    /// The gateway at the other end is not, or will not be, this link's any more.
    pub(super) fn release(&self) {
        if let Some(link) = self.board.links().all.get_mut(&self.number) {
            link.holds = None;
        }
    }

    /// Changes whenever a session ends, of whichever link.
    pub(super) fn ended(&self) -> watch::Receiver<u64> {
        self.board.ended.subscribe()
    }

    /// Whether another link has a session.
    pub(super) fn others_are_connected(&self) -> bool {
        let links = self.board.links();
        let mut others = links.all.iter().filter(|(number, _)| **number != self.number);
        others.any(|(_, link)| matches!(link.status, Status::Connected(_)))
    }

    /// Whether there was never a session, and every other link has failed.
    pub(super) fn is_hopeless(&self) -> bool {
        let links = self.board.links();
        let mut others = links.all.iter().filter(|(number, _)| **number != self.number);
        !links.was_connected && others.all(|(_, link)| link.has_failed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut links = self.board.links();
        if let Some(Link { status, .. }) = links.all.remove(&self.number) {
            let said = match status {
                Status::Connected(_) => Status::Connecting,
                other => other,
            };
            self.board.summarise(&links, said);
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("number", &self.number).finish()
    }
}
