//! What arrives.

use std::{
    collections::hash_map::Entry,
    fmt, mem,
    sync::{Arc, atomic::Ordering},
};

use super::{Phase, Session, table::Table};
use crate::{
    error::{Cause, Initiator, TunnelError},
    exchange::{Begun, Exchange, Place, RecvHalf, SendHalf, Violation},
    flow::{RecvCredit, SendCredit},
    head::{Protocol, RequestHead},
    id::{RequestId, TraceId},
    lane::Lane,
    message::{Data, Direction, Payload, RequestStart, Reset, TunnelMessage},
    reason::ResetReason,
    sync::lock,
};

/// An exchange that the other end has opened.
pub struct Accepted {
    /// The exchange's id.
    pub id: RequestId,
    /// What it carries.
    pub protocol: Protocol,
    /// The head of the request.
    pub head: RequestHead,
    /// The trace that it belongs to.
    pub trace_id: Option<TraceId>,
    /// Sends the response.
    pub send: SendHalf,
    /// Receives the request's body.
    pub recv: RecvHalf,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("id", &self.id)
            .field("protocol", &self.protocol)
            .field("trace_id", &self.trace_id)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Takes a message that came on `lane`. Never waits: what must be stored is bounded by the credit that was granted.
    ///
    /// A message that breaks the rules of its exchange resets that exchange and harms no other.
    ///
    /// # Errors
    ///
    /// The peer broke the rules of the session; the caller closes it.
    pub fn handle(&self, lane: &Lane, message: TunnelMessage) -> Result<Option<Accepted>, TunnelError> {
        let TunnelMessage {
            id,
            direction,
            protocol,
            payload,
        } = message;
        lane.on_message(&payload);
        match payload {
            Payload::Ping(_) | Payload::Pong(_) => Ok(None),
            Payload::Request(start) => self.accept(lane, (id, direction, protocol), start),
            payload => {
                match self.known(id) {
                    Some(exchange) => self.deliver(lane, &exchange, payload),
                    None => self.late(&payload)?,
                }
                Ok(None)
            }
        }
    }

    fn known(&self, id: RequestId) -> Option<Arc<Exchange>> {
        lock(&self.0.table).exchanges.get(&id).cloned()
    }

    /// Resets an exchange of which the peer sent something that cannot be read.
    ///
    /// # Errors
    ///
    /// The exchange is not open, and there were too many such messages.
    pub fn reject(&self, id: RequestId, reason: ResetReason, what: &'static str) -> Result<(), TunnelError> {
        match self.known(id) {
            Some(exchange) => {
                exchange.violate(Violation { reason, what });
                Ok(())
            }
            None => self.late(&Payload::Data(Data::default())),
        }
    }

    /// Resets an exchange that the peer wanted to open with a request that cannot be read: it waits for an answer, and there
    /// is no exchange that could give it.
    ///
    /// # Errors
    ///
    /// There were too many such messages, or the peer does not read their resets.
    pub fn reject_request(
        &self,
        lane: &Lane,
        opening: (RequestId, Direction, Protocol),
        reason: ResetReason,
        what: &'static str,
    ) -> Result<(), TunnelError> {
        let is_known = lock(&self.0.table).exchanges.contains_key(&opening.0);
        self.reject(opening.0, reason, what)?;
        if is_known {
            return Ok(());
        }
        let detail = Some(what.to_owned());
        self.refuse(lane, opening, Reset { reason, detail }).map(drop)
    }

    fn deliver(&self, lane: &Lane, exchange: &Arc<Exchange>, payload: Payload) {
        let result = if exchange.lane() == lane {
            exchange.update(|state, effects| match payload {
                Payload::Response(start) => state.on_response(*start, effects),
                Payload::Data(data) => state.on_data(data, effects),
                Payload::Frame(frame) => state.on_frame(frame, effects),
                Payload::Window(bytes) => state.on_window(bytes, effects),
                Payload::Reset(reset) => {
                    self.0.tally.received_reset(reset.reason);
                    state.on_reset(reset, effects)
                }
                Payload::Request(_) => Err(protocol("a second request came for one exchange")),
                Payload::Ping(_) | Payload::Pong(_) => Ok(()),
            })
        } else {
            Err(protocol("a message came on another lane than its exchange's"))
        };
        if let Err(violation) = result {
            exchange.violate(violation);
        }
    }

    /// Counts a message for an exchange that is not open.
    fn late(&self, payload: &Payload) -> Result<(), TunnelError> {
        self.0.tally.late();
        let now = self.now();
        lock(&self.0.table).late.spend(now, payload.cost()).map_err(|_| {
            let text = "too many messages came for exchanges that are not open";
            TunnelError::new(Cause::Protocol, Initiator::Peer, text)
        })
    }

    fn accept(
        &self,
        lane: &Lane,
        (id, direction, protocol): (RequestId, Direction, Protocol),
        mut start: Box<RequestStart>,
    ) -> Result<Option<Accepted>, TunnelError> {
        let local = self.0.config.local;
        // The head stays where it is until it is given away: it is large.
        let (data, end) = (mem::take(&mut start.data), start.end.take());
        let is_ours = direction == self.0.config.opens || id.is_nil();
        let place = match is_ours {
            false => Place::take(&self.0.accepted, acceptable(local.max_exchanges)),
            true => None,
        };
        if place.is_none()
            && let Some(exchange) = self.known(id)
        {
            self.deliver(lane, &exchange, Payload::Request(start));
            return Ok(None);
        }
        if is_ours {
            let text = "a request came that the other end may not open: its direction or its id is wrong";
            return Err(TunnelError::new(Cause::Protocol, Initiator::Peer, text));
        }
        let Some(place) = place else {
            return self.refuse(lane, (id, direction, protocol), ResetReason::Refused.into());
        };
        let is_whole = data.is_empty() && end.is_some();
        let budget = &self.0.config.budget;
        let recv_credit = if is_whole {
            // Nothing may come that would need it.
            RecvCredit::promised(budget, 0)
        } else if end.is_none() && start.head.expects_continue() {
            RecvCredit::withheld(budget, local.initial_credit)
        } else {
            RecvCredit::promised(budget, local.initial_credit)
        };
        let granted = recv_credit.outstanding();
        let credit = start.credit.min(crate::flow::MAX_CREDIT);
        let has_body = !is_whole || end.as_ref().is_some_and(|end| end.trailers.is_some());
        let (end, first) = match is_whole {
            true => (end, None),
            false if data.is_empty() => (None, None),
            false => (None, Some(Data { data, end })),
        };
        let exchange = Arc::new(Exchange::new(Begun {
            session: self.clone(),
            lane: lane.clone(),
            id,
            direction,
            protocol,
            is_framed: self.is_framed(protocol, start.head.upgrade.as_deref()),
            opener: false,
            rule: None,
            since: self.now(),
            send_credit: SendCredit::new(credit, credit),
            recv_credit,
            end,
            place,
        }));
        {
            let mut table = lock(&self.0.table);
            let Table {
                phase,
                exchanges,
                lanes,
                ..
            } = &mut *table;
            let free = match exchanges.entry(id) {
                Entry::Vacant(free) => free,
                Entry::Occupied(known) => {
                    let known = known.get().clone();
                    drop(table);
                    self.deliver(lane, &known, Payload::Request(start));
                    return Ok(None);
                }
            };
            match phase {
                // The loss of a lane fails what is in the table then; nothing may come in behind it.
                Phase::Active | Phase::Draining if !lanes.contains(lane) => return Ok(None),
                Phase::Active => {}
                Phase::Closed(_) => return Ok(None),
                // An agent stays until its gateway, which has heard of it, ends the lanes. What was on its way is served: some of it
                // could not be sent to another agent any more.
                Phase::Draining if self.0.config.opens == Direction::ClientToServer => {}
                Phase::Draining => {
                    drop(table);
                    return self.refuse(lane, (id, direction, protocol), ResetReason::Draining.into());
                }
            }
            free.insert(exchange.clone());
        }
        self.0.has_carried.store(true, Ordering::Relaxed);
        self.0.tally.accepted(granted);
        let send = SendHalf::new(exchange.clone());
        if let Some(first) = first
            && let Err(violation) = exchange.update(|state, effects| state.on_data(first, effects))
        {
            exchange.violate(violation);
            return Ok(None);
        }
        let recv = RecvHalf::new(exchange);
        let recv = if has_body { recv } else { recv.without_body() };
        let RequestStart { head, trace_id, .. } = *start;
        Ok(Some(Accepted {
            id,
            protocol,
            head,
            trace_id,
            send,
            recv,
        }))
    }

    /// Refuses a request before anybody has seen it. It never had an entry.
    fn refuse(
        &self,
        lane: &Lane,
        (id, direction, protocol): (RequestId, Direction, Protocol),
        reset: Reset,
    ) -> Result<Option<Accepted>, TunnelError> {
        let now = self.now();
        let local = self.0.config.local;
        self.0.tally.refused();
        self.0.tally.sent_reset(reset.reason);
        lock(&self.0.table).late.allow(now, local.initial_credit as usize);
        let payload = Payload::Reset(reset);
        let limit = (local.max_exchanges as usize).max(MIN_REFUSALS);
        if lane.refuse(
            TunnelMessage {
                id,
                direction,
                protocol,
                payload,
            },
            limit,
        ) {
            return Ok(None);
        }
        let text = "the peer opens more exchanges than it may, and does not read that they are refused";
        Err(TunnelError::new(Cause::Protocol, Initiator::Peer, text))
    }
}

/// The exchanges that are taken when the peer was told `limit`. A peer frees a place when the end of its request is queued,
/// so that the next request may overtake that end; a little slack keeps that from being refused.
const fn acceptable(limit: u32) -> usize {
    limit as usize + limit as usize / 8 + 8
}

/// Refusals that may wait for a peer to read them, if it may not open more exchanges than that anyway.
const MIN_REFUSALS: usize = 1_024;

const fn protocol(what: &'static str) -> Violation {
    Violation {
        reason: ResetReason::Protocol,
        what,
    }
}
