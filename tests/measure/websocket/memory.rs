//! What idle WebSockets hold.

use crate::{
    hops::Hops,
    rounds::{connect, round},
};

pub(crate) const HEADER: &str = "| way | process | before | with them | for each | after a message on each | for each |\n| --- | --- | --- | --- | --- | --- | --- |";

/// Opens so many, and then says something on each.
pub(crate) async fn measure(hops: &Hops, sockets: usize) {
    // The first one takes what is taken once.
    round(&mut connect(hops.addr).await).await;
    let resident = || hops.processes.iter().map(|process| process.resident());
    let before: Vec<_> = resident().collect();
    let mut peers = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        peers.push(connect(hops.addr).await);
    }
    let idle: Vec<_> = resident().collect();
    for peer in &mut peers {
        round(peer).await;
    }
    let used: Vec<_> = resident().collect();
    for (index, process) in hops.processes.iter().enumerate() {
        let each = |now: i64| (now - before[index]) as f64 / sockets as f64;
        println!(
            "| {} | {} | {} | {} | {:.1} | {} | {:.1} |",
            hops.kind,
            process.name,
            before[index],
            idle[index],
            each(idle[index]),
            used[index],
            each(used[index])
        );
    }
}
