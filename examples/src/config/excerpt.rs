//! The line that a problem is about, without secrets.

/// The longest line that is shown, in characters; a longer one would only be wrapped by the terminal.
const MAX_WIDTH: usize = 160;

/// The line and a caret below the column (both from 1), unless the line may hold a secret or is too long.
pub(super) fn excerpt(text: &str, line: usize, column: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let shown = lines.get(line.checked_sub(1)?)?.trim_end();
    if shown.is_empty() || shown.chars().count() > MAX_WIDTH || may_hold_secret(&lines) {
        return None;
    }
    let (number, indent) = (format!("{line:>4}"), " ".repeat(column.saturating_sub(1)));
    Some(format!("{number} | {shown}\n     | {indent}^"))
}

/// Words of lines whose values are not shown: keys of these files, and headers that a rule may set.
const SECRETS: [&str; 6] = [
    "token",
    "secret",
    "password",
    "authorization",
    "cookie",
    "api-key",
];

/// Whether the last of these lines names a secret, or goes on with a value that began in a line that does.
fn may_hold_secret(lines: &[&str]) -> bool {
    for line in lines.iter().rev() {
        let line = line.to_ascii_lowercase();
        if SECRETS.iter().any(|word| line.contains(word)) {
            return true;
        }
        let begins_with_key = line
            .split_once(':')
            .is_some_and(|(_, value)| value.is_empty() || value.starts_with(' '));
        if begins_with_key {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "listen: x\nagents:\n  tokens:\n    - name: web\n      token:\n        hush hush\n      groups: [a]\n";

    #[test]
    fn the_caret_stands_below_the_column() {
        assert_eq!(excerpt(TEXT, 1, 9).unwrap(), "   1 | listen: x\n     |         ^");
    }

    #[test]
    fn lines_with_secrets_are_not_shown() {
        for line in [3, 5, 6] {
            assert_eq!(excerpt(TEXT, line, 1), None, "line {line}");
        }
        assert!(excerpt(TEXT, 7, 7).is_some());
    }

    #[test]
    fn a_line_that_is_not_there_is_not_shown() {
        assert_eq!(excerpt(TEXT, 0, 1), None);
        assert_eq!(excerpt(TEXT, 99, 1), None);
    }
}
