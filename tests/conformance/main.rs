//! What the wire promises, shown with scripted peers: a real gateway against scripted agents, and a real agent against
//! scripted gateways.
//!
//! After every fault the test looks at those who had no part in it: their exchanges finish, no pending table keeps an
//! entry, and no credit stays granted.

mod agent;
mod gateway;
mod stage;
