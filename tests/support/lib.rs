//! Support code of the suites.

pub mod tunnel;
