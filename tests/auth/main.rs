//! Who is let in: every credential by every rule in every protocol, through the tunnel; and what the app is told of it.

mod certificates;
mod matrix;
mod world;
