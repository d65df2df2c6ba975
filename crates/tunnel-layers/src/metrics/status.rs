//! What an exchange came to, in a word of which there are few.

use tunnel_core::{Cause, grpc::CODES};

use crate::observe::Ended;

/// The places of statuses: no answer, five classes of HTTP, and seventeen codes of gRPC.
pub(super) const STATUSES: usize = Status::CLASSES + CODES.len();

const CLASSES: [&str; Status::CLASSES] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Which codes are the server's doing; UNKNOWN stands for those that nobody knows, too.
const SERVERS: [usize; 6] = [2, 4, 12, 13, 14, 15];

const UNKNOWN: u32 = 2;

/// Places in tables of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// One of [`STATUSES`].
    pub(super) place: usize,
    /// The class of HTTP that it counts as.
    pub(super) class: usize,
}

impl Status {
    /// No answer, and those of HTTP.
    pub(super) const CLASSES: usize = 6;

    /// No answer.
    pub(super) const NONE: Self = Self { place: 0, class: 0 };

    pub(super) fn of(ended: &Ended<'_>) -> Self {
        match (ended.grpc, ended.status) {
            (Some(code), _) => Self::of_grpc(code),
            (None, Some(status)) => Self::of_http(status.as_u16()),
            (None, None) => Self::NONE,
        }
    }

    pub(super) const fn of_http(status: u16) -> Self {
        let class = match status / 100 {
            class @ 1..=5 => class as usize,
            // Nothing that HTTP knows.
            _ => 5,
        };
        Self { place: class, class }
    }

    fn of_grpc(code: u32) -> Self {
        let code = if (code as usize) < CODES.len() {
            code
        } else {
            UNKNOWN
        };
        let place = CLASSES.len() + code as usize;
        let class = Self::class(place);
        Self { place, class }
    }

    /// The class of HTTP that a place counts as.
    pub(super) fn class(place: usize) -> usize {
        match place.checked_sub(CLASSES.len()) {
            None => place,
            Some(0) => 2,
            Some(code) if SERVERS.contains(&code) => 5,
            Some(_) => 4,
        }
    }

    /// The label for a place.
    pub(super) const fn word(place: usize) -> &'static str {
        if place < CLASSES.len() {
            CLASSES[place]
        } else {
            CODES[place - CLASSES.len()]
        }
    }
}

/// How it went for the agent: few words, since there are many agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    ClientError,
    ServerError,
    Canceled,
    Failed,
    /// It went to another agent.
    Retried,
}

impl Outcome {
    pub(super) const COUNT: usize = Self::ALL.len();

    pub(super) const ALL: [Self; 6] = [
        Self::Ok,
        Self::ClientError,
        Self::ServerError,
        Self::Canceled,
        Self::Failed,
        Self::Retried,
    ];

    pub(super) fn of(class: usize, cause: Option<Cause>) -> Self {
        match (cause, class) {
            (Some(Cause::Canceled), _) => Self::Canceled,
            (Some(_), _) => Self::Failed,
            (None, 5) => Self::ServerError,
            (None, 4) => Self::ClientError,
            (None, _) => Self::Ok,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client-error",
            Self::ServerError => "server-error",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
            Self::Retried => "retried",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_grpc_count_as_classes() {
        for (code, word, class) in [
            (0, "OK", 2),
            (5, "NOT_FOUND", 4),
            (14, "UNAVAILABLE", 5),
            (16, "UNAUTHENTICATED", 4),
            (99, "UNKNOWN", 5),
            (u32::MAX, "UNKNOWN", 5),
        ] {
            let status = Status::of_grpc(code);
            assert_eq!((Status::word(status.place), status.class), (word, class));
            assert!(status.place < STATUSES);
        }
    }

    #[test]
    fn statuses_that_nobody_knows_have_a_class() {
        for (status, expected) in [(101, 1), (204, 2), (404, 4), (503, 5), (799, 5)] {
            assert_eq!(Status::of_http(status).class, expected);
        }
    }
}
