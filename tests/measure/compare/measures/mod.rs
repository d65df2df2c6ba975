//! What is measured; each file is one measure, or a few that are alike.

mod beside;
mod bulk;
mod cost;
mod first_byte;
mod grpc;
mod link;
mod memory;
mod memory_steps;
mod one;
mod small;
mod websocket;

use crate::{
    options::Measure::{
        Bulk, Cost, Download, Exchanges, FirstByte, Grpc, Link, Memory, One, Small50, Small256, Stalled,
        Upload, Websocket,
    },
    report::Report,
    world::World,
};

/// Measures what the command line asks for, in the order of the table that is to be reached.
pub(crate) async fn all(world: &World, report: &mut Report) {
    let has = |measure| world.options.has(measure);
    if has(Small50) {
        small::fifty(world, report).await;
    }
    if has(Small256) {
        small::many(world, report).await;
    }
    if has(Cost) {
        cost::measure(world, report).await;
    }
    if has(One) {
        one::measure(world, report).await;
    }
    if has(Download) {
        bulk::download(world, report).await;
    }
    if has(Upload) {
        bulk::upload(world, report).await;
    }
    if has(Grpc) {
        grpc::measure(world, report).await;
    }
    if has(Bulk) {
        beside::bulk(world, report).await;
    }
    if has(Stalled) {
        beside::stalled(world, report).await;
    }
    if has(Websocket) {
        websocket::measure(world, report).await;
    }
    if has(Link) {
        link::measure(world, report).await;
    }
    if has(FirstByte) {
        first_byte::measure(world, report).await;
    }
    if has(Memory) {
        memory::measure(world, report).await;
    }
    if has(Exchanges) {
        memory::exchanges(world, report).await;
    }
}
