//! What the chunking layer and the correlating layer say to each other.

use std::sync::Arc;

use crate::{
    body::TunnelBody,
    head::{Protocol, RequestHead, ResponseHead},
    id::{RequestId, TraceId},
    record::Record,
    session::Session,
};

/// A request on its way into a session: its body is cut to pieces that fit into one message.
#[derive(Debug)]
pub struct ExchangeRequest<B> {
    /// The session that carries it.
    pub session: Session,
    /// What it carries.
    pub protocol: Protocol,
    /// The head.
    pub head: RequestHead,
    /// The body.
    pub body: B,
    /// The trace that it belongs to.
    pub trace_id: Option<TraceId>,
    /// The id of the rule that it has matched, if it has.
    pub rule: Option<Arc<str>>,
    /// Where its agent and its id are noted, if anybody asks.
    pub record: Option<Record>,
}

/// The response of an exchange.
#[derive(Debug)]
pub struct ExchangeResponse {
    /// The exchange's id.
    pub id: RequestId,
    /// The head.
    pub head: ResponseHead,
    /// The body.
    pub body: TunnelBody,
}
