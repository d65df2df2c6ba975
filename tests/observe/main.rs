//! What can be seen of a real gateway and real agents: metrics with the values that a counted workload implies, and access logs of
//! both sides that join.

mod app;
mod cardinality;
mod flow;
mod joined;
mod secrets;
mod values;
mod world;
