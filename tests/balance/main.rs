//! How agents of a group share its requests, through real sessions, by every policy.

mod ejection;
mod gateway;
mod policies;
