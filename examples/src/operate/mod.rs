//! The commands by which whoever operates a gateway or an agent asks its admin interface.

mod agent;
mod ask;
mod common;
mod file;
mod gateway;
mod problem;
mod show;
mod table;
mod target;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, error::ErrorKind};
use tokio::runtime::Builder;

use self::ask::Ask;
pub use self::{
    agent::AgentCommand, common::Common, gateway::GatewayCommand, problem::Problem, target::Target,
};
use crate::program::{self, Options, Threads};

#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine<C: Subcommand> {
    /// Says whether the file is right, and what is wrong in it, and starts nothing.
    #[arg(long)]
    check: bool,
    /// The threads that work: `current` for one that does everything, or a number from 1 to 1024 of them [default: `current` on
    /// one or two processors, otherwise one for each].
    #[arg(long, value_name = "N|current")]
    threads: Option<Threads>,
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Option<C>,
}

/// A command for a program that runs.
pub trait Command: Subcommand {
    /// What the program is called.
    const PROGRAM: &'static str;

    /// What it is, in a line.
    const ABOUT: &'static str;

    /// Does it, and prints what is there or what was done.
    ///
    /// # Errors
    ///
    /// Why not.
    fn run(self, target: &Target) -> impl Future<Output = Result<ExitCode, Problem>>;
}

/// Reads the command line: runs the program, or does the command that stands there. A wrong command line ends the process with the
/// code 2.
///
/// Commands exit with 0, with 1 if the program that runs has refused them (or is not ready, for `ready`), with 2 if it is not known
/// which program is meant, and with 3 if that could not be asked.
pub fn main<C: Command, F: Future<Output = ExitCode>>(start: impl FnOnce(Options) -> F) -> ExitCode {
    let mut known = CommandLine::<C>::command().name(C::PROGRAM).about(C::ABOUT);
    let matches = known.clone().get_matches();
    let CommandLine {
        check,
        threads,
        target,
        command,
    } = CommandLine::<C>::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let mut wrong = |kind, text: &str| -> ! { known.error(kind, text).exit() };
    match (command, target.config.clone()) {
        (Some(_), _) if check || threads.is_some() => wrong(
            ErrorKind::ArgumentConflict,
            "`--check` and `--threads` are for a program that starts, and not for commands",
        ),
        (Some(command), _) => ask(command, &target),
        (None, Some(config)) => {
            let options = Options {
                config,
                check,
                threads,
            };
            options.run(start)
        }
        (None, None) => wrong(
            ErrorKind::MissingRequiredArgument,
            "the following required arguments were not provided:\n  --config <FILE>",
        ),
    }
}

fn ask<C: Command>(command: C, target: &Target) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return program::fail("no runtime", &error),
    };
    match runtime.block_on(command.run(target)) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("{problem}");
            problem.code()
        }
    }
}

/// Prints lines; whoever reads them may leave.
fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // A pipe that is closed, as by `head`, is no failure.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
