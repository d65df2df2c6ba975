//! The tunnel with every layer, measured beside what people would use instead.
//!
//! ```text
//! cargo run --release -p tunnel-tests --bin compare -- --help
//! ```
//!
//! It starts a server, the operator's gateway and agent, and whatever is installed of nginx, haproxy and rathole, each as processes
//! of their own, and drives them one after the other in rounds. `tests/README.md` tells what each figure means. Used by
//! hand: it asserts nothing.

mod addr;
mod grid;
mod measures;
mod options;
mod proc_fs;
mod process;
mod raw;
mod readers;
mod relay;
mod report;
mod table;
mod targets;
mod tools;
mod upstream;
mod world;

use std::{env, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use self::{
    options::Options,
    process::Failure,
    report::Report,
    targets::{AUTHORIZATION, Server, hyper},
    world::World,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some(upstream::ROLE) => match upstream::run().await {},
        Some(hyper::ROLE) => match Server::parse(&env::args().nth(2).unwrap_or_default()) {
            Ok(to) => match hyper::run(to).await {},
            Err(failure) => return failed(&failure),
        },
        _ => {}
    }
    let measured = async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        // What was started is ended in each case.
        tokio::select! {
            measured = measure() => measured,
            _ = tokio::signal::ctrl_c() => Err("interrupted".to_owned()),
            _ = terminate.recv() => Err("ended".to_owned()),
        }
    };
    match measured.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    eprintln!("compare: {failure}");
    ExitCode::FAILURE
}

async fn measure() -> Result<(), Failure> {
    let world = World::start(Options::read()).await?;
    println!("{}", world.describe());
    if world.options.hold {
        println!("{}", world.ways_as_table().render(world.options.markdown));
        println!("curl -H 'authorization: {AUTHORIZATION}' http://ADDRESS/bench/small");
        return std::future::pending().await;
    }
    let mut report = Report::new(world.options.markdown);
    measures::all(&world, &mut report).await;
    report.finish();
    Ok(())
}
