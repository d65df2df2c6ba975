//! Where a token comes from.

use serde_saphyr::{Location, Spanned};

use super::{Surroundings, error::Checker, units::Secret};

/// The three keys that may give a token; exactly one of them has to.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenKeys<'a> {
    pub(super) token: Option<&'a Spanned<Secret>>,
    pub(super) token_env: Option<&'a Spanned<String>>,
    pub(super) token_file: Option<&'a Spanned<String>>,
}

impl TokenKeys<'_> {
    pub(super) const fn is_empty(&self) -> bool {
        self.token.is_none() && self.token_env.is_none() && self.token_file.is_none()
    }

    /// The token and the place of the key that gave it. `owner` is what the token belongs to, at `location`.
    pub(super) fn resolve(
        self,
        owner: &str,
        location: Location,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<(Secret, Location)> {
        match (self.token, self.token_env, self.token_file) {
            (Some(token), None, None) => Some((token.value.clone(), token.referenced)),
            (None, Some(name), None) => {
                let secret = checker.take(name.referenced, from_env(&name.value, around))?;
                Some((secret, name.referenced))
            }
            (None, None, Some(path)) => {
                let secret = checker.take(path.referenced, from_file(&path.value, around))?;
                Some((secret, path.referenced))
            }
            (None, None, None) => {
                let right = "give it one of `token_env: NAME`, `token_file: PATH` or `token: TEXT`";
                checker.wrong(location, format!("{owner} has no secret: {right}"));
                None
            }
            _ => {
                let right = "keep one of `token`, `token_env` and `token_file`";
                checker.wrong(location, format!("{owner} has more than one secret: {right}"));
                None
            }
        }
    }
}

fn from_env(name: &str, around: &Surroundings<'_>) -> Result<Secret, String> {
    match (around.env)(name) {
        Some(value) if !value.is_empty() => Ok(Secret(value)),
        Some(_) => Err(format!(
            "the environment variable `{name}` is empty: put the token into it"
        )),
        None => Err(format!(
            "the environment variable `{name}` is not set: put the token into it"
        )),
    }
}

fn from_file(path: &str, around: &Surroundings<'_>) -> Result<Secret, String> {
    let path = around.reads(path);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!(
            "`{}` cannot be read ({error}): name a file that holds the token alone",
            path.display()
        )
    })?;
    let text = text.trim_end();
    if text.is_empty() {
        return Err(format!("`{}` is empty: put the token into it", path.display()));
    }
    Ok(Secret(text.to_owned()))
}
