//! Who is let in: every credential by every rule in every protocol, through the tunnel; and what the app is told of it.

mod certificates;
mod expiry;
mod hosts;
mod matrix;
mod refresh;
mod trailers;
mod world;
