//! Credit: the bytes that a receiver has allowed for one direction of one exchange.
//!
//! A message with body bytes costs their length and [`MESSAGE_COST`](crate::message::MESSAGE_COST), counted alike at both ends. The
//! sender never sends beyond its [`SendCredit`]; the receiver returns credit as its consumer reads, in parts of the window that suit the
//! link. All credit granted by a process comes from one [`CreditBudget`].

mod budget;
mod recv;
mod send;
#[cfg(test)]
mod tests;

pub use self::{
    budget::CreditBudget,
    recv::{Overrun, RecvCredit, Way},
    send::{Overflow, SendCredit},
};

/// Credit at the start of each direction, in bytes: four of the largest chunks, and enough for 250 MiB/s at one millisecond.
pub const DEFAULT_INITIAL_CREDIT: u32 = 256 * 1024;
/// What credit may grow to, in bytes: 140 MiB/s over a link with a round trip of 100 ms.
pub const MAX_CREDIT: u32 = 16 * 1024 * 1024;
/// What credit may grow to on a link whose round trip is not longer than 2 ms, in bytes. The link needs less; but each return of half a
/// window wakes the sender, and with small windows both ends spend their time on waking each other. It is only for a body that has the lane
/// for itself, since small messages of others wait behind all that a window allows.
pub const SHORT_LINK_CREDIT: u32 = 4 * DEFAULT_INITIAL_CREDIT;
/// What has to be read of a body on a short link before its window grows, in bytes: more than the sockets on the consumer's way hold,
/// since filling them looks like a fast consumer until they are full. The same again without a small message of another exchange.
pub const SHORT_LINK_PROOF: u64 = 8 * 1024 * 1024;
/// What an exchange gets when the budget is short, in bytes: one piece of a useful size, so that it always moves.
pub const MIN_CREDIT: u32 = 32 * 1024;
/// All credit that a process grants, in bytes.
pub const DEFAULT_BUDGET: usize = 256 * 1024 * 1024;
