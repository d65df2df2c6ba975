//! Tables for people.

use std::fmt::{self, Write as _};

/// Rows under headings, in columns that are as wide as what stands in them.
#[derive(Debug)]
pub(super) struct Table {
    headings: Vec<&'static str>,
    /// Which columns are numbers, and stand at the right.
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

/// The widest that a cell but the last one may be, in characters; the rest is cut.
const WIDEST: usize = 48;

impl Table {
    /// Headings; those that begin with `>` are of columns with numbers.
    pub(super) fn new(headings: &[&'static str]) -> Self {
        Self {
            right: headings.iter().map(|heading| heading.starts_with('>')).collect(),
            headings: headings
                .iter()
                .map(|heading| heading.trim_start_matches('>'))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, which has a cell for each heading.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.headings.len(), "a cell for each heading");
        let clean = cells.into_iter().map(|cell| clean(&cell));
        let last = self.headings.len().saturating_sub(1);
        let cut = clean
            .enumerate()
            .map(|(index, cell)| if index < last { cut(cell) } else { cell });
        self.rows.push(cut.collect());
    }
}

/// Without what would move the cursor: names come from elsewhere.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn cut(text: String) -> String {
    if text.chars().count() <= WIDEST {
        return text;
    }
    let mut short: String = text.chars().take(WIDEST - 1).collect();
    short.push('…');
    short
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.headings[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for (index, cell) in cells.enumerate() {
                let (space, width) = (if index > 0 { "  " } else { "" }, widths[index]);
                match self.right[index] {
                    true => write!(text, "{space}{cell:>width$}")?,
                    false => write!(text, "{space}{cell:<width$}")?,
                }
            }
            writeln!(f, "{}", text.trim_end())
        };
        line(&mut self.headings.iter().copied())?;
        for row in &self.rows {
            line(&mut row.iter().map(String::as_str))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let mut table = Table::new(&["NAME", ">SIZE", "WHY"]);
        table.row(["a".into(), "5".into(), "x\u{1b}[31m".into()]);
        table.row(["w".repeat(60), "12345".into(), "y".repeat(60)]);
        let text = table.to_string();
        let lines: Vec<_> = text.lines().collect();
        let name = format!("{}…", "w".repeat(47));
        assert_eq!(lines[0], format!("{:<48}   SIZE  WHY", "NAME"));
        assert_eq!(lines[1], format!("{:<48}      5  x [31m", "a"));
        assert_eq!(lines[2], format!("{name}  12345  {}", "y".repeat(60)));
    }
}
