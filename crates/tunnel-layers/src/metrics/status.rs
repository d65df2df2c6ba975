//! What an exchange came to, in a word of which there are few.

use http::StatusCode;
use tunnel_core::{Cause, grpc::CODES};

use crate::observe::Ended;

/// The places of statuses: no answer, five classes of HTTP, and seventeen codes of gRPC.
pub(super) const STATUSES: usize = 6 + CODES.len();

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Which codes are the server's doing; UNKNOWN stands for those that nobody knows, too.
const SERVERS: [u32; 6] = [2, 4, 12, 13, 14, 15];

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
    pub(super) fn of(ended: &Ended<'_>) -> Self {
        match (ended.grpc, ended.status) {
            (Some(code), _) => Self::of_grpc(code),
            (None, Some(status)) => {
                let class = class(status);
                Self { place: class, class }
            }
            (None, None) => Self { place: 0, class: 0 },
        }
    }

    fn of_grpc(code: u32) -> Self {
        let code = if (code as usize) < CODES.len() {
            code
        } else {
            UNKNOWN
        };
        let class = match code {
            0 => 2,
            code if SERVERS.contains(&code) => 5,
            _ => 4,
        };
        Self {
            place: CLASSES.len() + code as usize,
            class,
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

fn class(status: StatusCode) -> usize {
    match status.as_u16() / 100 {
        class @ 1..=5 => usize::from(class),
        // Nothing that HTTP knows.
        _ => 5,
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
    pub(super) const COUNT: usize = 6;

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
            assert_eq!(class(StatusCode::from_u16(status).unwrap()), expected);
        }
    }
}
