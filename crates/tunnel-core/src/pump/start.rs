//! The first message of a direction.

use std::fmt;

use crate::message::{Data, Payload, RequestStart, ResponseStart};

/// The first message of a direction, before it is known what of the body goes with it.
pub enum Start {
    /// Of a request.
    Request(Box<RequestStart>),
    /// Of a response.
    Response(Box<ResponseStart>),
}

impl Start {
    /// The first message, with what of the body goes with it.
    pub(super) fn into_payload(self, Data { data, end }: Data) -> Payload {
        match self {
            Self::Request(mut start) => {
                (start.data, start.end) = (data, end);
                Payload::Request(start)
            }
            Self::Response(mut start) => {
                (start.data, start.end) = (data, end);
                Payload::Response(start)
            }
        }
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(_) => f.write_str("Start::Request(..)"),
            Self::Response(_) => f.write_str("Start::Response(..)"),
        }
    }
}
