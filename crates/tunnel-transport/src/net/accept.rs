use std::{io, time::Duration};

use tokio::time::sleep;
use tunnel_core::PeerInfo;

use crate::net::Listener;

/// The first pause after an error that accepting again at once would only repeat, such as EMFILE.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause: a process that has file descriptors again serves after at most this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts connections whatever happens.
pub(crate) struct Acceptor<L> {
    listener: L,
    pause: Duration,
}

impl<L: Listener> Acceptor<L> {
    pub(crate) fn new(listener: L) -> Self {
        Self {
            listener,
            pause: Duration::ZERO,
        }
    }

    /// The next connection. Errors of a connection that broke before it was accepted are skipped; after others it waits,
    /// longer each time, and reports only the first of them. Cancel safe.
    pub(crate) async fn accept(&mut self) -> (L::Io, PeerInfo) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    if !self.pause.is_zero() {
                        tracing::info!("accepting connections again");
                        self.pause = Duration::ZERO;
                    }
                    return accepted;
                }
                Err(error) if broke_before_accept(&error) => {}
                Err(error) => self.back_off(&error).await,
            }
        }
    }

    async fn back_off(&mut self, error: &io::Error) {
        if self.pause.is_zero() {
            tracing::error!(%error, "cannot accept connections");
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        sleep(self.pause).await;
    }
}

fn broke_before_accept(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::{
        io::{DuplexStream, duplex},
        time::Instant,
    };

    use super::*;

    struct Script(VecDeque<io::Result<()>>);

    impl Listener for Script {
        type Io = DuplexStream;

        async fn accept(&mut self) -> io::Result<(DuplexStream, PeerInfo)> {
            self.0.pop_front().expect("script has another step")?;
            Ok((duplex(1).0, PeerInfo::unknown()))
        }
    }

    fn out_of_files() -> io::Result<()> {
        Err(io::Error::other("too many open files"))
    }

    #[tokio::test(start_paused = true)]
    async fn errors_end_nothing_and_the_pause_has_a_bound() {
        let steps = std::iter::repeat_with(out_of_files).take(12);
        let mut acceptor = Acceptor::new(Script(steps.chain([Ok(()), out_of_files(), Ok(())]).collect()));

        let start = Instant::now();
        acceptor.accept().await;
        // 5, 10, ... 640 ms, and then four times the bound.
        assert_eq!(start.elapsed(), Duration::from_millis(1275 + 4000));

        let start = Instant::now();
        acceptor.accept().await;
        assert_eq!(start.elapsed(), FIRST_PAUSE, "the pause starts anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_broke_early_costs_no_pause() {
        let aborted = || Err(io::ErrorKind::ConnectionAborted.into());
        let mut acceptor = Acceptor::new(Script([aborted(), aborted(), Ok(())].into()));
        let start = Instant::now();
        acceptor.accept().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
