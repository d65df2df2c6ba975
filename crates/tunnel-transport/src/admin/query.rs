//! What stands behind the question mark.

use super::answer::Problem;

/// The entries of a page, if nobody says.
const DEFAULT_LIMIT: usize = 100;

/// The most entries of a page.
pub(super) const MAX_LIMIT: usize = 1_000;

/// The most entries that are left out before a page: what is found has to be sorted.
pub(super) const MAX_OFFSET: usize = 100_000;

/// The fields of a query, decoded.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query such as `agent=a%20b&limit=5`, of which only these fields are known.
    pub(super) fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut fields = Vec::new();
        let pairs = text
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value));
            let (name, value) =
                decoded.ok_or_else(|| Problem::bad(format!("`{pair}` is not encoded as URLs are")))?;
            if !known.contains(&name.as_str()) {
                let known = known.join("`, `");
                return Err(Problem::bad(format!(
                    "there is no parameter `{name}` here: there are `{known}`"
                )));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Where a page begins, and how long it is at most.
    pub(super) fn page(&self) -> Result<(usize, usize), Problem> {
        let offset = self.number("offset", 0, 0, MAX_OFFSET)?;
        let limit = self.number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?;
        Ok((offset, limit))
    }

    fn number(&self, name: &str, default: usize, least: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Problem::bad(format!("`{name}` must be a number from {least} to {most}")))
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                rest = tail;
                // A sign is none.
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_unknown_ones_refused() {
        let query = Query::parse(Some("agent=a%20b+c&limit=5&"), &["agent", "limit", "offset"]).unwrap();
        assert_eq!(query.get("agent"), Some("a b c"));
        assert_eq!(query.page().unwrap(), (0, 5));
        assert_eq!(Query::default().page().unwrap(), (0, DEFAULT_LIMIT));
        for wrong in ["agents=a", "agent=%", "agent=%ff", "agent=%+1"] {
            assert!(Query::parse(Some(wrong), &["agent"]).is_err(), "{wrong}");
        }
        for wrong in ["limit=0", "limit=1001", "limit=x", "offset=-1"] {
            let query = Query::parse(Some(wrong), &["limit", "offset"]).unwrap();
            assert!(query.page().is_err(), "{wrong}");
        }
    }
}
