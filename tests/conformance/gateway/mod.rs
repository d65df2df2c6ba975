//! A real gateway against scripted agents.

mod registration;
