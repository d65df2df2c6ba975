//! Files of user names and hashed passwords.

use std::{collections::HashMap, fmt, path::Path, str::FromStr, sync::Arc};

use argon2::{Argon2, Params, PasswordHash, PasswordVerifier as _};
use bcrypt::HashParts;

use crate::auth::AuthConfigError;

/// The most users in a file.
pub const MAX_USERS: usize = 10_000;

/// The largest file, in bytes: as many users with long names and hashes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The longest user name, in bytes: it goes into logs and headers.
pub const MAX_USER_BYTES: usize = 255;

/// The highest cost of bcrypt: one check takes some seconds, and each step doubles that.
const MAX_BCRYPT_COST: u32 = 15;

/// The most memory of Argon2 for one check, in KiB, and the most passes and lanes: far more than anybody recommends.
const MAX_ARGON2: (u32, u32, u32) = (256 * 1024, 16, 16);

/// Users and their hashed passwords, as Apache's `htpasswd` writes them: lines of a name, a colon and a hash. Empty lines, and
/// those that begin with `#`, are skipped.
///
/// Passwords are hashed by bcrypt (`htpasswd -B`) or Argon2id. Every other kind is refused by its name when the file is read:
/// files with weak hashes are passwords in clear to whoever gets them.
///
/// ```
/// use tunnel_layers::auth::Htpasswd;
///
/// let error = "alice:$apr1$x$y".parse::<Htpasswd>().unwrap_err();
/// assert!(error.to_string().contains("MD5 of Apache"));
/// ```
#[derive(Clone)]
pub struct Htpasswd {
    users: HashMap<Box<str>, Arc<Hash>>,
    /// One of them, against which the passwords of unknown users are checked, so that it takes as long.
    any: Arc<Hash>,
}

pub(super) enum Hash {
    Bcrypt(Box<str>),
    Argon2id(Box<PasswordHash>),
}

impl FromStr for Htpasswd {
    type Err = AuthConfigError;

    fn from_str(text: &str) -> Result<Self, AuthConfigError> {
        let mut users = HashMap::new();
        let mut any = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) = entry(line).map_err(|problem| at(index, &problem))?;
            any.get_or_insert_with(|| hash.clone());
            if users.insert(user.into(), hash).is_some() {
                return Err(at(index, &format!("the user {user:?} stands there twice")));
            }
            if users.len() > MAX_USERS {
                return Err(at(index, &format!("there are more than {MAX_USERS} users")));
            }
        }
        let any = any.ok_or_else(|| AuthConfigError::empty("htpasswd"))?;
        Ok(Self { users, any })
    }
}

/// The hash is in no message, since it may be a password in clear.
fn at(index: usize, problem: &str) -> AuthConfigError {
    AuthConfigError::new("htpasswd", format!("line {}: {problem}", index + 1))
}

fn entry(line: &str) -> Result<(&str, Arc<Hash>), String> {
    let (user, hash) = line
        .split_once(':')
        .ok_or("it has no colon: write a name, a colon and a hash")?;
    if !(1..=MAX_USER_BYTES).contains(&user.len()) || user.chars().any(char::is_control) {
        return Err(format!(
            "the name has to have 1 to {MAX_USER_BYTES} bytes that can be printed"
        ));
    }
    let hash = Hash::parse(hash).map_err(|problem| {
        format!("the password of {user:?} {problem}: use bcrypt (`htpasswd -B`) or Argon2id")
    })?;
    Ok((user, Arc::new(hash)))
}

impl Hash {
    fn parse(text: &str) -> Result<Self, String> {
        if ["$2y$", "$2b$", "$2a$"].iter().any(|kind| text.starts_with(kind)) {
            return bcrypt(text);
        }
        if text.starts_with("$argon2id$") {
            return argon2id(text);
        }
        let kind = WEAK
            .iter()
            .find(|(prefix, _)| text.starts_with(prefix))
            .map(|&(_, kind)| kind);
        Err(match kind {
            Some(kind) => format!("is hashed by {kind}, which is too weak"),
            None if is_des(text) => "is hashed by the DES of crypt, which is too weak".to_owned(),
            None => "is in clear, or hashed in a way that is not known".to_owned(),
        })
    }

    /// Whether this is the password. It takes a while: never call it where other work waits.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            // Longer ones are cut by bcrypt, so that others would do as well.
            Self::Bcrypt(hash) => bcrypt::non_truncating_verify(password, hash).unwrap_or(false),
            Self::Argon2id(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
        }
    }
}

/// How other hashes begin.
const WEAK: &[(&str, &str)] = &[
    ("$apr1$", "the MD5 of Apache"),
    ("$1$", "the MD5 of crypt"),
    ("$md5", "the MD5 of Solaris"),
    ("{SHA}", "SHA-1"),
    ("{SSHA}", "SHA-1 with a salt"),
    ("$sha1$", "SHA-1 of crypt"),
    ("$2x$", "a broken bcrypt"),
    ("$2$", "the first bcrypt"),
    ("$3$", "the hash of NT"),
    ("$5$", "the SHA-256 of crypt"),
    ("$6$", "the SHA-512 of crypt"),
    ("$argon2i$", "Argon2i"),
    ("$argon2d$", "Argon2d"),
    ("{PLAIN}", "nothing"),
];

fn is_des(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let extended = text.len() == 20 && text.starts_with('_');
    text.len() == 13 && text.bytes().all(digit) || extended && text.bytes().skip(1).all(digit)
}

fn bcrypt(text: &str) -> Result<Hash, String> {
    let broken = || "is no whole hash of bcrypt".to_owned();
    // The parser splits at bytes, and this one has as many in every version.
    if text.len() != 60 || !text.is_ascii() {
        return Err(broken());
    }
    let parts: HashParts = text.parse().map_err(|_| broken())?;
    match parts.get_cost() {
        4..=MAX_BCRYPT_COST => Ok(Hash::Bcrypt(text.into())),
        cost => Err(format!(
            "has the cost {cost} of bcrypt, and 4 to {MAX_BCRYPT_COST} can be checked"
        )),
    }
}

fn argon2id(text: &str) -> Result<Hash, String> {
    let broken = || "is no whole hash of Argon2id".to_owned();
    let hash = PasswordHash::new(text).map_err(|_| broken())?;
    let params = Params::try_from(&hash).map_err(|_| broken())?;
    let (memory, passes, lanes) = MAX_ARGON2;
    if hash.salt.is_none() || hash.hash.is_none() || !matches!(hash.version, None | Some(0x10 | 0x13)) {
        return Err(broken());
    }
    if params.m_cost() > memory || params.t_cost() > passes || params.p_cost() > lanes {
        return Err(format!(
            "needs more of Argon2id than can be checked: {memory} KiB, {passes} passes and {lanes} lanes"
        ));
    }
    Ok(Hash::Argon2id(Box::new(hash)))
}

impl Htpasswd {
    /// Reads a file. It blocks: call it before the runtime has anything to do, or beside it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is larger than 4 MiB, or what stands in it cannot be.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, AuthConfigError> {
        let path = path.as_ref();
        let text = AuthConfigError::text_of("htpasswd", path, MAX_FILE_BYTES)?;
        text.parse().map_err(|error: AuthConfigError| error.in_file(path))
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is no user; never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// What the password of this user has to match, and whether there is such a user.
    pub(super) fn find(&self, user: &str) -> (Arc<Hash>, bool) {
        match self.users.get(user) {
            Some(hash) => (hash.clone(), true),
            None => (self.any.clone(), false),
        }
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Htpasswd")
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}
