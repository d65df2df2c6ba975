// What happens in a second, out of what was counted since the process began.

// So many seconds are in a plot, and so many are looked at for the times of a rule and for errors.
export const PLOT = 300;
const RECENT = 10;
const ERRORS = 60;

// The time within which this share of the exchanges ended: between the borders of its power of two, as if they were spread evenly.
export function quantile(histogram, share) {
  const all = histogram.reduce((a, b) => a + b, 0);
  if (all === 0) return null;
  let left = share * all;
  for (let i = 0; i < histogram.length; i++) {
    if (histogram[i] >= left && histogram[i] > 0) {
      const low = i === 0 ? 0 : 2 ** (i - 1);
      return low + (2 ** i - low) * (left / histogram[i]);
    }
    left -= histogram[i];
  }
  return 2 ** (histogram.length - 1);
}

const zero = () => ({ requests: 0, open: 0, bytesIn: 0, bytesOut: 0, failed: 0, causes: {}, histogram: [] });

// Adds what a row has counted since another, which may be missing.
function add(into, row, old) {
  into.requests += Math.max(0, row.requests - (old?.requests ?? 0));
  into.bytesIn += Math.max(0, row.bytes_in - (old?.bytes_in ?? 0));
  into.bytesOut += Math.max(0, row.bytes_out - (old?.bytes_out ?? 0));
  into.failed += Math.max(0, (row.statuses["5xx"] ?? 0) - (old?.statuses["5xx"] ?? 0));
  into.open += row.open;
  for (const [cause, count] of Object.entries(row.failures)) {
    into.causes[cause] = (into.causes[cause] ?? 0) + Math.max(0, count - (old?.failures[cause] ?? 0));
  }
  row.latency_log2_us.forEach((count, i) => {
    into.histogram[i] = (into.histogram[i] ?? 0) + Math.max(0, count - (old?.latency_log2_us[i] ?? 0));
  });
  return into;
}

// What was counted from one sample to another. A row that was not there before is new if every row is there; else it has only come up
// among those with most requests, and nobody knows what is new in it.
function between(old, now, take = () => true) {
  const all = zero();
  for (const [key, row] of now.rows) {
    if (!take(row)) continue;
    const before = old.rows.get(key) ?? (old.complete ? null : row);
    add(all, row, before);
  }
  return all;
}

// What callers bring about themselves.
const CALLERS = new Set([
  "no-route", "unauthenticated", "forbidden", "rate-limited", "body-too-large", "head-too-large", "uri-too-long", "malformed",
  "method-not-served", "body-idle", "canceled",
]);

const count = causes => Object.entries(causes).reduce((all, [cause, count]) => all + (CALLERS.has(cause) ? 0 : count), 0);

export class Rates {
  constructor() {
    // For plots: the newest last; null where nobody knows.
    this.series = { requests: [], failures: [], p50: [], p99: [], in: [], out: [], open: [] };
    this.samples = [];
  }

  // Takes a snapshot's overview.
  take(overview) {
    const at = overview.at_unix_ms;
    // Another process counts from the beginning, though it may have the same name.
    const began = at - overview.uptime_ms;
    if (this.id !== overview.id || Math.abs(began - this.began) > 5_000) this.samples = [];
    this.id = overview.id;
    this.began = began;
    const last = this.samples.at(-1);
    if (last && at <= last.at) return;
    const rows = new Map(overview.traffic.map(row => [`${row.rule}\n${row.target}`, row]));
    const now = { at, rows, complete: overview.traffic_total <= rows.size };
    // A gap shows as one.
    const gap = last && at - last.at > 3_000;
    for (let i = gap ? Math.min(PLOT, Math.round((at - last.at) / 1_000)) - 1 : 0; i > 0; i--) this.push({});
    this.samples.push(now);
    while (this.samples[0].at < at - (ERRORS + 1) * 1_000) this.samples.shift();
    // Those of rules include what does not pass the tunnel; where nobody counts by rule there are still those that do.
    const open = Math.max(overview.traffic.reduce((all, row) => all + row.open, 0), overview.counts.exchanges);
    if (!last || gap) return this.push({ open });
    const seconds = (at - last.at) / 1_000;
    const news = between(last, now);
    // Times of a few exchanges would only flicker.
    const { histogram } = between(this.before(3), now);
    this.push({
      requests: news.requests / seconds,
      failures: Math.max(news.failed, count(news.causes)) / seconds,
      p50: quantile(histogram, 0.5),
      p99: quantile(histogram, 0.99),
      in: news.bytesIn / seconds,
      out: news.bytesOut / seconds,
      open,
    });
  }

  push(point) {
    for (const [name, values] of Object.entries(this.series)) {
      values.push(point[name] ?? null);
      if (values.length > PLOT) values.shift();
    }
  }

  // The oldest sample of the last so many seconds.
  before(seconds) {
    const newest = this.samples.at(-1);
    return this.samples.find(sample => sample.at >= newest.at - seconds * 1_000 - 300);
  }

  // What is known of each rule that was counted: all there was, and the rates of the last seconds.
  rules() {
    const now = this.samples.at(-1);
    const rules = new Map();
    if (!now) return rules;
    const old = this.before(RECENT);
    const seconds = (now.at - old.at) / 1_000;
    for (const id of new Set([...now.rows.values()].map(row => row.rule))) {
      const mine = row => row.rule === id;
      const all = between({ rows: new Map(), complete: true }, now, mine);
      const news = between(old, now, mine);
      rules.set(id, {
        requests: all.requests,
        open: all.open,
        rate: seconds > 0 ? news.requests / seconds : null,
        failed: news.requests > 0 ? (100 * news.failed) / news.requests : null,
        p50: quantile(news.histogram, 0.5),
        p99: quantile(news.histogram, 0.99),
      });
    }
    return rules;
  }

  // Failures by cause, those of the last minute first.
  causes() {
    const now = this.samples.at(-1);
    if (!now) return [];
    const recent = between(this.before(ERRORS), now).causes;
    const all = between({ rows: new Map(), complete: true }, now).causes;
    const rows = Object.entries(all).map(([cause, all]) => ({ cause, all, recent: recent[cause] ?? 0, ours: !CALLERS.has(cause) }));
    return rows.sort((a, b) => b.recent - a.recent || b.all - a.all || a.cause.localeCompare(b.cause));
  }
}
