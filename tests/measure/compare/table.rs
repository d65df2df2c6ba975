//! Tables for people and for Markdown.

/// A table of texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self {
            rows: vec![header.map(str::to_owned).to_vec()],
        }
    }

    pub(crate) fn from_header(header: Vec<String>) -> Self {
        Self { rows: vec![header] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table without its header has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    pub(crate) fn render(&self, markdown: bool) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns).map(|column| self.width(column)).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            if markdown {
                text.push_str(&format!("| {} |\n", row.join(" | ")));
                if index == 0 {
                    text.push_str(&format!("|{}\n", " --- |".repeat(columns)));
                }
                continue;
            }
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let gap = " ".repeat(width - cell.chars().count());
                // Names to the left, figures to the right.
                text.push_str(&match column {
                    0 => format!("{cell}{gap}"),
                    _ => format!("  {gap}{cell}"),
                });
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}
