//! The file with the last configuration that was taken: a line with its version, then what it says.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::PushedConfig;

const FIRST_LINE: &str =
    "# The last configuration that this agent's gateway has pushed, kept for the next start. Version ";

/// More than what any gateway can send.
const MAX_BYTES: u64 = 128 * 1024;

/// What the file has; none if there is no file.
pub(super) fn read(path: &Path) -> io::Result<Option<PushedConfig>> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it is no file of this agent's");
    if size > MAX_BYTES {
        return Err(wrong());
    }
    let text = fs::read_to_string(path)?;
    let (first, text) = text.split_once('\n').ok_or_else(wrong)?;
    let version = first.strip_prefix(FIRST_LINE).ok_or_else(wrong)?;
    Ok(Some(PushedConfig {
        version: version.parse().map_err(|_| wrong())?,
        text: Bytes::copy_from_slice(text.as_bytes()),
    }))
}

/// Puts another file in its place, as a whole: whoever reads sees one or the other, also after a crash.
pub(super) fn write(path: &Path, config: &PushedConfig) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = fs::File::create(&new)?;
    writeln!(file, "{FIRST_LINE}{}", config.version)?;
    file.write_all(&config.text)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
