//! Signals: the first asks a program to stop gracefully, the second forces it.

use std::{io, process::ExitCode};

use tokio::sync::watch;

/// What the signals of this process have asked for so far. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Asked>);

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    times: u32,
    /// 128 and the number of the last signal, as shells count.
    code: u8,
}

impl Shutdown {
    /// Listens to SIGINT and SIGTERM (Ctrl-C where there are no signals) from now on.
    ///
    /// # Errors
    ///
    /// The system does not let this process handle signals.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn on_signals() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (sender, receiver) = watch::channel(Asked::default());
        tokio::spawn(async move {
            while let Some(code) = signals.next().await {
                sender.send_modify(|asked| {
                    *asked = Asked {
                        times: asked.times + 1,
                        code,
                    }
                });
            }
        });
        Ok(Self(receiver))
    }

    /// Ends at the first signal. Cancel safe.
    pub async fn asked(self) {
        self.times(1).await;
    }

    /// Ends at the second signal, with the code to exit with. Cancel safe.
    pub async fn forced(self) -> ExitCode {
        ExitCode::from(self.times(2).await)
    }

    async fn times(mut self, times: u32) -> u8 {
        let code = self
            .0
            .wait_for(|asked| asked.times >= times)
            .await
            .map(|asked| asked.code);
        match code {
            Ok(code) => code,
            // Without the task that listens no signal comes any more.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Option<u8> {
        tokio::select! {
            received = self.interrupt.recv() => received.map(|()| 128 + 2),
            received = self.terminate.recv() => received.map(|()| 128 + 15),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Option<u8> {
        tokio::signal::ctrl_c().await.ok().map(|()| 128 + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_signal_forces() {
        let (sender, receiver) = watch::channel(Asked::default());
        let shutdown = Shutdown(receiver);
        let forced = shutdown.clone().forced();
        tokio::pin!(forced);
        sender.send_replace(Asked { times: 1, code: 143 });
        shutdown.clone().asked().await;
        assert!(futures_now(&mut forced).is_none());
        sender.send_replace(Asked { times: 2, code: 130 });
        assert_eq!(forced.await, ExitCode::from(130));
    }

    fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
