//! Sums of what was counted.

use super::view::Traffic;

/// What was counted of a rule, whoever served it.
pub(super) fn of_rule(rows: &[Traffic], rule: &str) -> Option<Traffic> {
    let mut sum: Option<Traffic> = None;
    for row in rows.iter().filter(|row| row.rule == rule) {
        match &mut sum {
            None => sum = Some(row.clone()),
            Some(sum) => add(sum, row),
        }
    }
    sum
}

fn add(sum: &mut Traffic, row: &Traffic) {
    if sum.target != row.target {
        sum.target.clear();
    }
    sum.requests += row.requests;
    sum.open += row.open;
    sum.bytes_in += row.bytes_in;
    sum.bytes_out += row.bytes_out;
    sum.latency_sum_us += row.latency_sum_us;
    for (cause, count) in &row.failures {
        *sum.failures.entry(cause.clone()).or_default() += count;
    }
    for (class, count) in &row.statuses {
        *sum.statuses.entry(class.clone()).or_default() += count;
    }
    let longest = sum.latency_log2_us.len().max(row.latency_log2_us.len());
    sum.latency_log2_us.resize(longest, 0);
    for (sum, count) in sum.latency_log2_us.iter_mut().zip(&row.latency_log2_us) {
        *sum += count;
    }
}

/// Those with most requests first, at most so many.
pub(super) fn busiest(mut rows: Vec<Traffic>, most: usize) -> Vec<Traffic> {
    rows.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.rule.cmp(&b.rule)));
    rows.truncate(most);
    rows
}
