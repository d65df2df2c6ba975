//! Samples: for each way and column one of every round.

use crate::table::Table;

/// What the figures of a column are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Places behind the point.
    pub(crate) digits: usize,
}

pub(crate) const fn column(name: &'static str, digits: usize) -> Column {
    Column { name, digits }
}

/// The samples of one measure.
#[derive(Debug)]
pub(crate) struct Grid {
    columns: &'static [Column],
    rows: Vec<(String, Vec<Vec<f64>>)>,
}

impl Grid {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds the sample of a round. What could not be measured is not a number.
    pub(crate) fn push(&mut self, way: &str, sample: &[f64]) {
        let index = self.rows.iter().position(|(name, _)| name == way);
        let index = index.unwrap_or_else(|| {
            self.rows
                .push((way.to_owned(), vec![Vec::new(); self.columns.len()]));
            self.rows.len() - 1
        });
        for (column, value) in self.rows[index].1.iter_mut().zip(sample) {
            column.push(*value);
        }
    }

    /// A round of this way failed.
    pub(crate) fn push_failure(&mut self, way: &str) {
        self.push(way, &vec![f64::NAN; self.columns.len()]);
    }

    fn samples(&self, way: &str, column: &str) -> Option<&[f64]> {
        let index = self.columns.iter().position(|known| known.name == column)?;
        let (_, columns) = self.rows.iter().find(|(name, _)| name == way)?;
        columns.get(index).map(Vec::as_slice)
    }

    /// The sample of a round; not a number if there is none.
    pub(crate) fn sample(&self, way: &str, column: &str, round: usize) -> f64 {
        let samples = self.samples(way, column).unwrap_or_default();
        samples.get(round).copied().unwrap_or(f64::NAN)
    }

    /// The median of a way, if it was measured.
    pub(crate) fn median(&self, way: &str, column: &str) -> Option<f64> {
        median(self.samples(way, column)?.to_vec())
    }

    /// The median of the ratios of two ways' samples of the same round.
    pub(crate) fn pairs(&self, (way, column): (&str, &str), (other, beside): (&str, &str)) -> Option<f64> {
        let (ours, theirs) = (self.samples(way, column)?, self.samples(other, beside)?);
        median(
            ours.iter()
                .zip(theirs)
                .map(|(ours, theirs)| ours / theirs)
                .collect(),
        )
    }

    /// The medians, and the spread of the first column.
    pub(crate) fn table(&self) -> Table {
        let mut header = vec![String::new()];
        header.extend(self.columns.iter().map(|column| column.name.to_owned()));
        header.push(format!("{} least..most", self.columns[0].name));
        let mut table = Table::from_header(header);
        for (way, columns) in &self.rows {
            let mut cells = vec![way.clone()];
            for (samples, column) in columns.iter().zip(self.columns) {
                cells.push(figure(median(samples.clone()), column.digits));
            }
            let finite = columns[0].iter().copied().filter(|value| value.is_finite());
            let least = finite.clone().reduce(f64::min);
            let most = finite.reduce(f64::max);
            let digits = self.columns[0].digits;
            cells.push(format!("{}..{}", figure(least, digits), figure(most, digits)));
            table.row(cells);
        }
        table
    }
}

/// A figure, or a dash for what was not measured.
pub(crate) fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// The median of those that are numbers: the mean of the two in the middle if their number is even.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The value that so many of 100 are at most; the values have to be sorted.
pub(crate) fn percentile(sorted: &[f64], hundredth: f64) -> f64 {
    let index = (sorted.len() as f64 * hundredth / 100.0) as usize;
    let index = index.min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
