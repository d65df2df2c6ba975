//! The live page of the admin interface, in a real browser.
//!
//! The tests run where the environment variable `CHROMIUM` names one; `.ci/page` installs it, and prints where the pictures are. Everybody
//! else skips them, and says so.

mod agent;
mod changes;
mod many;
mod safe;
mod world;
