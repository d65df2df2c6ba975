//! What the test suites share.
//!
//! * [`raw`]: scripted peers, which speak the wire and nothing else, and break its rules when told to.
//! * [`call`]: requests through a session, without the layers.
//! * [`wait`]: waiting for events, and a bound for every test.

pub mod call;
pub mod raw;
pub mod wait;
