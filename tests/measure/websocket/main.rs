//! What a WebSocket costs: memory of idle ones at the gateway and at the agent, and the time of a round trip.
//!
//! ```text
//! cargo run --release -p tunnel-tests --bin websocket_measure -- [SOCKETS [ROUNDS]]
//! ```
//!
//! Gateway, agent and server are processes of their own, made of this program. Where nginx is installed, two of it in a row
//! stand for a tunnel of the same number of hops. Used by hand: it asserts nothing.

mod hops;
mod memory;
mod process;
mod roles;
mod rounds;

use std::env;

use self::{
    hops::{Hops, Kind},
    rounds::Times,
};

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let first = arguments.next();
    if let Some(role) = first.as_deref().filter(|word| word.parse::<usize>().is_err()) {
        let rest: Vec<_> = arguments.collect();
        return roles::run(role, &rest).await;
    }
    let number = |word: Option<String>, default| word.map_or(default, |word| word.parse().expect("a number"));
    let (sockets, rounds) = (number(first, 1_000), number(arguments.next(), 5_000));
    let mut all = Vec::new();
    for kind in Kind::ALL {
        match Hops::start(kind, sockets).await {
            Some(hops) => all.push(hops),
            None => println!("{kind}: skipped, since nginx is not installed"),
        }
    }
    println!(
        "\nRound trips of 64 bytes, {rounds} of them, in µs:\n\n{}",
        Times::HEADER
    );
    for hops in &all {
        println!("| {} | {} |", hops.kind, rounds::measure(hops.addr, rounds).await);
    }
    println!(
        "\nMemory of {sockets} idle WebSockets, in KiB of resident memory:\n\n{}",
        memory::HEADER
    );
    for hops in &all {
        memory::measure(hops, sockets).await;
    }
}
