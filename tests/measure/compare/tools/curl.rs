//! `curl`: one large body.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::run;
use crate::{process::Failure, targets::AUTHORIZATION};

/// What curl exits with when its time is over.
const TIME_IS_OVER: i32 = 28;

/// What curl has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curl {
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
}

impl Curl {
    pub(crate) fn mib_per_second(self) -> f64 {
        self.bytes / f64::from(1 << 20) / self.seconds
    }
}

fn curl(path: &str, to: SocketAddr) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--output", "/dev/null", "--http1.1"])
        .args(["--header", &format!("authorization: {AUTHORIZATION}")])
        .args([
            "--write-out",
            "%{http_code} %{size_download} %{size_upload} %{time_total}",
        ])
        .arg(format!("http://{to}{path}"));
    command
}

/// Downloads so many bytes.
///
/// # Errors
///
/// Not 200, or not all of it came.
pub(crate) async fn download(to: SocketAddr, bytes: u64) -> Result<Curl, Failure> {
    let text = run(&mut curl(&format!("/bench/bytes/{bytes}"), to), None).await?;
    let [down, _, seconds] = parse(&text)?;
    if down != bytes as f64 {
        return Err(format!("curl: {down} bytes came, and not {bytes}"));
    }
    Ok(Curl { bytes: down, seconds })
}

/// Downloads for so many seconds, as fast as it goes.
///
/// # Errors
///
/// Not 200.
pub(crate) async fn download_for(to: SocketAddr, seconds: f64) -> Result<Curl, Failure> {
    let mut command = curl(&format!("/bench/bytes/{}", 1_u64 << 40), to);
    command.args(["--max-time", &seconds.to_string()]);
    let [bytes, _, seconds] = parse(&run(&mut command, Some(TIME_IS_OVER)).await?)?;
    Ok(Curl { bytes, seconds })
}

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// A file of zeros, which goes when this is dropped.
///
/// It is nothing but a hole, and lies in memory if it can: a hole there is read from one page, over and over, as the server's bodies
/// are. In a file of a disk each piece has pages of its own, and to fetch them from memory costs curl about as much as a tunnel's
/// two ends spend on them.
pub(crate) struct Zeros {
    path: PathBuf,
    bytes: u64,
}

impl Zeros {
    /// # Errors
    ///
    /// It cannot be written.
    pub(crate) fn new(bytes: u64) -> Result<Self, Failure> {
        let memory = Path::new(MEMORY);
        let directory = match memory.is_dir() {
            true => memory.to_owned(),
            false => env::temp_dir(),
        };
        let path = directory.join(format!("tunnel-compare-{}.zeros", std::process::id()));
        match File::create(&path).and_then(|file| file.set_len(bytes)) {
            Ok(()) => Ok(Self { path, bytes }),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }
}

impl Drop for Zeros {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Uploads these.
///
/// # Errors
///
/// Not 200, or not all of it went.
pub(crate) async fn upload(to: SocketAddr, zeros: &Zeros) -> Result<Curl, Failure> {
    let mut command = curl("/bench/sink", to);
    command
        .args(["--header", "expect:", "--upload-file"])
        .arg(&zeros.path);
    let [_, up, seconds] = parse(&run(&mut command, None).await?)?;
    if up != zeros.bytes as f64 {
        return Err(format!("curl: {up} bytes went, and not {}", zeros.bytes));
    }
    Ok(Curl { bytes: up, seconds })
}

/// Bytes down, bytes up, and seconds, of an answer that is 200.
fn parse(text: &str) -> Result<[f64; 3], Failure> {
    let words: Vec<_> = text.split(' ').collect();
    let number = |index: usize| words.get(index).and_then(|word| word.trim().parse::<f64>().ok());
    match (words.first(), number(1), number(2), number(3)) {
        (Some(&"200"), Some(down), Some(up), Some(seconds)) => Ok([down, up, seconds]),
        _ => Err(format!("curl: {text}")),
    }
}
