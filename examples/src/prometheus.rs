//! What the programs measure, in the text format of Prometheus.
//!
//! Whatever was measured stands in its bucket at once, so that nothing grows until somebody asks, and nobody has to put it in order.
//! Each thread counts in a part of its own, which needs no locked operation, and whoever asks gets the sum. What is counted elsewhere
//! already, as exchanges are, is asked for there.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata, Recorder,
    SharedString, Unit,
};
use thread_local::ThreadLocal;
use tunnel_layers::metrics::{AGENT_TIME_BOUNDS, Family, Sample, TIME_BOUNDS};

/// The names of what is measured for each agent begin with it.
const OF_AGENTS: &str = "tunnel_agent_";

/// A recorder of the crate `metrics`. Clones are the same one.
#[derive(Clone, Default)]
pub struct Prometheus(Arc<Mutex<BTreeMap<String, Metric>>>);

/// All series of one name.
#[derive(Default)]
struct Metric {
    help: Option<SharedString>,
    /// By their labels, as they stand in the text.
    series: BTreeMap<String, Series>,
}

enum Series {
    Counter(Arc<Count>),
    Gauge(Arc<Sum>),
    Histogram(Arc<Buckets>),
}

impl Series {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => COUNTER,
            Self::Gauge(_) => GAUGE,
            Self::Histogram(_) => HISTOGRAM,
        }
    }
}

// The words for what a metric is.
const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";
const HISTOGRAM: &str = "histogram";

/// A count to which each thread adds for itself.
#[derive(Default)]
struct Count {
    /// What it was said to be, less what the threads had counted by then.
    base: AtomicU64,
    threads: ThreadLocal<AtomicU64>,
}

impl Count {
    fn counted(&self) -> u64 {
        let counts = self.threads.iter().map(|mine| mine.load(Relaxed));
        counts.fold(0, u64::wrapping_add)
    }

    fn get(&self) -> u64 {
        self.base.load(Relaxed).wrapping_add(self.counted())
    }
}

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        let mine = self.threads.get_or_default();
        // Nobody else writes it.
        mine.store(mine.load(Relaxed).wrapping_add(value), Relaxed);
    }

    fn absolute(&self, value: u64) {
        let base = value.saturating_sub(self.counted());
        self.base.fetch_max(base, Relaxed);
    }
}

/// A number to which each thread adds for itself.
#[derive(Default)]
struct Sum {
    /// What was set, less what the threads had added by then.
    base: Bits,
    threads: ThreadLocal<Bits>,
}

/// A number by its bits.
#[derive(Default)]
struct Bits(AtomicU64);

impl Bits {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

impl Sum {
    fn add(&self, value: f64) {
        let mine = self.threads.get_or_default();
        // Nobody else writes it.
        mine.set(mine.get() + value);
    }

    fn added(&self) -> f64 {
        self.threads.iter().fold(0.0, |sum, mine| sum + mine.get())
    }

    fn get(&self) -> f64 {
        self.base.get() + self.added()
    }
}

impl GaugeFn for Sum {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.base.set(value - self.added());
    }
}

/// How often something was measured, by what it was.
struct Buckets {
    bounds: &'static [f64],
    threads: ThreadLocal<Counted>,
}

/// What one thread has measured.
struct Counted {
    /// One for each bound, for what is not above it and above the one before, and one for what is above all.
    counts: Box<[AtomicU64]>,
    sum: Bits,
}

impl Buckets {
    fn of(name: &str) -> Self {
        let bounds = match name.starts_with(OF_AGENTS) {
            true => AGENT_TIME_BOUNDS,
            false => TIME_BOUNDS,
        };
        Self {
            bounds,
            threads: ThreadLocal::new(),
        }
    }

    fn count(&self, place: usize) -> u64 {
        let counts = self.threads.iter().map(|thread| &thread.counts[place]);
        counts.map(|count| count.load(Relaxed)).sum()
    }

    fn sample(&self) -> Sample {
        let mut count = 0;
        let mut up_to = |place| {
            count += self.count(place);
            count
        };
        let bounds = self.bounds.iter().enumerate();
        Sample::Histogram {
            below: bounds.map(|(place, bound)| (*bound, up_to(place))).collect(),
            count: up_to(self.bounds.len()),
            sum: self
                .threads
                .iter()
                .fold(0.0, |sum, thread| sum + thread.sum.get()),
        }
    }
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        let mine = self.threads.get_or(|| Counted {
            counts: (0..=self.bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: Bits::default(),
        });
        let place = self.bounds.partition_point(|bound| *bound < value);
        // Nobody else writes them.
        let count = &mine.counts[place];
        count.store(count.load(Relaxed) + 1, Relaxed);
        mine.sum.set(mine.sum.get() + value);
    }
}

impl Prometheus {
    /// One that has measured nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that was recorded, by name and labels, and with it what was counted elsewhere.
    #[must_use]
    pub fn render(&self, counted: impl IntoIterator<Item = Family>) -> String {
        let mut text = String::new();
        let recorded = self.metrics();
        let mut all: BTreeMap<&str, Shown<'_>> = BTreeMap::new();
        for (name, metric) in &*recorded {
            all.entry(name).or_default().recorded = Some(metric);
        }
        let counted: Vec<_> = counted.into_iter().collect();
        for family in &counted {
            all.entry(family.name).or_default().counted.push(family);
        }
        for (name, shown) in all {
            // Writing to a string never fails.
            let _ = shown.write(name, &mut text);
        }
        text
    }

    fn metrics(&self) -> MutexGuard<'_, BTreeMap<String, Metric>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self, name: &KeyName, help: SharedString) {
        self.metrics().entry(named(name.as_str())).or_default().help = Some(help);
    }

    /// The series of this key, which `make` makes, and in which `find` finds what is asked for: nothing if there is something else
    /// with the same name.
    fn series<T>(
        &self,
        key: &Key,
        make: impl FnOnce(&str) -> Series,
        find: impl FnOnce(&Series) -> Option<Arc<T>>,
    ) -> Option<Arc<T>> {
        let name = named(key.name());
        let mut metrics = self.metrics();
        let metric = metrics.entry(name.clone()).or_default();
        let labels = labeled(key.labels());
        let fits = |other: &Series, new: &Series| other.kind() == new.kind();
        match metric.series.get(&labels) {
            Some(series) => find(series),
            None => {
                let new = make(&name);
                if metric
                    .series
                    .values()
                    .next()
                    .is_some_and(|other| !fits(other, &new))
                {
                    return None;
                }
                find(metric.series.entry(labels).or_insert(new))
            }
        }
    }
}

impl Recorder for Prometheus {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let find = |series: &Series| match series {
            Series::Counter(count) => Some(count.clone()),
            Series::Gauge(_) | Series::Histogram(_) => None,
        };
        let found = self.series(key, |_| Series::Counter(Arc::default()), find);
        found.map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let find = |series: &Series| match series {
            Series::Gauge(value) => Some(value.clone()),
            Series::Counter(_) | Series::Histogram(_) => None,
        };
        let found = self.series(key, |_| Series::Gauge(Arc::default()), find);
        found.map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let find = |series: &Series| match series {
            Series::Histogram(buckets) => Some(buckets.clone()),
            Series::Counter(_) | Series::Gauge(_) => None,
        };
        let make = |name: &str| Series::Histogram(Arc::new(Buckets::of(name)));
        let found = self.series(key, make, find);
        found.map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

/// What there is of a name.
#[derive(Default)]
struct Shown<'a> {
    recorded: Option<&'a Metric>,
    counted: Vec<&'a Family>,
}

impl Shown<'_> {
    fn write(&self, name: &str, text: &mut String) -> fmt::Result {
        let recorded = self.recorded.into_iter().flat_map(|metric| &metric.series);
        let counted = self.counted.iter().flat_map(|family| &family.samples);
        let first = recorded.clone().next().map(|(_, series)| series.kind());
        let Some(kind) = first.or_else(|| counted.clone().next().map(|(_, sample)| kind(sample))) else {
            return Ok(());
        };
        let help = self.recorded.and_then(|metric| metric.help.as_deref());
        if let Some(help) = help.or_else(|| self.counted.first().map(|family| family.help)) {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            writeln!(text, "# HELP {name} {help}")?;
        }
        writeln!(text, "# TYPE {name} {kind}")?;
        for (labels, series) in recorded {
            write(text, name, labels, &series.sample())?;
        }
        for (labels, sample) in counted.filter(|(_, sample)| self::kind(sample) == kind) {
            write(text, name, &labeled(labels.iter()), sample)?;
        }
        text.write_char('\n')
    }
}

const fn kind(sample: &Sample) -> &'static str {
    match sample {
        Sample::Counter(_) => COUNTER,
        Sample::Gauge(_) => GAUGE,
        Sample::Histogram { .. } => HISTOGRAM,
    }
}

/// The lines of a sample.
fn write(text: &mut String, name: &str, labels: &str, sample: &Sample) -> fmt::Result {
    let braced = |more: &str| match (labels.is_empty(), more.is_empty()) {
        (true, true) => String::new(),
        (false, false) => format!("{{{labels},{more}}}"),
        _ => format!("{{{labels}{more}}}"),
    };
    match sample {
        Sample::Counter(count) => writeln!(text, "{name}{} {count}", braced("")),
        Sample::Gauge(value) => writeln!(text, "{name}{} {value}", braced("")),
        Sample::Histogram { below, count, sum } => {
            for (bound, count) in below {
                writeln!(
                    text,
                    "{name}_bucket{} {count}",
                    braced(&format!("le=\"{bound}\""))
                )?;
            }
            writeln!(text, "{name}_bucket{} {count}", braced("le=\"+Inf\""))?;
            writeln!(text, "{name}_sum{} {sum}", braced(""))?;
            writeln!(text, "{name}_count{} {count}", braced(""))
        }
    }
}

impl Series {
    fn sample(&self) -> Sample {
        match self {
            Self::Counter(count) => Sample::Counter(count.get()),
            Self::Gauge(sum) => Sample::Gauge(sum.get()),
            Self::Histogram(buckets) => buckets.sample(),
        }
    }
}

/// A name with nothing in it that has no place there.
fn named(name: &str) -> String {
    let allowed = |byte: char| byte.is_ascii_alphanumeric() || byte == '_' || byte == ':';
    let begins = name.starts_with(|first: char| !first.is_ascii_digit());
    let before = if begins { "" } else { "_" };
    let rest = name.chars().map(|byte| if allowed(byte) { byte } else { '_' });
    before.chars().chain(rest).collect()
}

/// Labels as they stand in the text, without the braces.
fn labeled<'a>(labels: impl Iterator<Item = &'a Label>) -> String {
    let mut text = String::new();
    for label in labels {
        let before = if text.is_empty() { "" } else { "," };
        let value = label
            .value()
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let _ = write!(text, "{before}{}=\"{value}\"", named(label.key()));
    }
    text
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("names", &self.metrics().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::ready, thread};

    use futures_util::FutureExt as _;
    use http::{Request, Response};
    use metrics::{counter, describe_counter, gauge, histogram, with_local_recorder};
    use tower::{Layer, Service, service_fn};
    use tunnel_layers::{
        metrics::{MetricsLayer, Overview},
        observe::RequestBody,
    };

    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let recorder = Prometheus::new();
        with_local_recorder(&recorder, || {
            describe_counter!("a_total", "Lines.\nAnd \\ more.");
            counter!("a_total", "x" => "say \"hi\"\n\\").increment(3);
            counter!("a_total", "x" => "say \"hi\"\n\\").increment(1);
            gauge!("b").set(1.5);
            for seconds in [0.001, 0.002, 7.0, 1_000.0] {
                histogram!("c_seconds", "y" => "z").record(seconds);
            }
            histogram!("tunnel_agent_d").record(0.5);
            // There is a counter with this name.
            gauge!("a_total").set(9.0);
        });
        let text = recorder.render([]);
        let expected = "# HELP a_total Lines.\\nAnd \\\\ more.\n# TYPE a_total counter\n\
                        a_total{x=\"say \\\"hi\\\"\\n\\\\\"} 4\n\n# TYPE b gauge\nb 1.5\n\n";
        assert!(text.starts_with(expected), "{text}");
        for line in [
            "c_seconds_bucket{y=\"z\",le=\"0.001\"} 1",
            "c_seconds_bucket{y=\"z\",le=\"0.0025\"} 2",
            "c_seconds_bucket{y=\"z\",le=\"5\"} 2",
            "c_seconds_bucket{y=\"z\",le=\"10\"} 3",
            "c_seconds_bucket{y=\"z\",le=\"+Inf\"} 4",
            "c_seconds_sum{y=\"z\"} 1007.003",
            "c_seconds_count{y=\"z\"} 4",
            "tunnel_agent_d_bucket{le=\"0.1\"} 0",
            "tunnel_agent_d_bucket{le=\"1\"} 1",
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "{line} is not in\n{text}"
            );
        }
        assert_eq!(
            text.matches("tunnel_agent_d_bucket").count(),
            AGENT_TIME_BOUNDS.len() + 1
        );
    }

    #[test]
    fn threads_count_together() {
        let recorder = Prometheus::new();
        let (count, gauge) = with_local_recorder(&recorder, || (counter!("a"), gauge!("b")));
        let histogram = with_local_recorder(&recorder, || histogram!("c"));
        count.absolute(7);
        gauge.increment(3.0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    count.increment(2);
                    gauge.decrement(1.5);
                    histogram.record(0.25);
                });
            }
        });
        count.absolute(9);
        let text = recorder.render([]);
        for line in ["a 15", "b -3", "c_count 4", "c_sum 1"] {
            assert!(text.lines().any(|other| other == line), "{line}: {text}");
        }
        gauge.set(5.0);
        count.absolute(20);
        let text = recorder.render([]);
        for line in ["a 20", "b 5"] {
            assert!(text.lines().any(|other| other == line), "{line}: {text}");
        }
    }

    #[test]
    fn what_is_counted_elsewhere_stands_beside() {
        let overview = Overview::new();
        let recorder = Prometheus::new();
        let _of_this_thread = metrics::set_default_local_recorder(&recorder);
        let answer =
            |_: Request<RequestBody<String>>| ready(Ok::<_, Infallible>(Response::new(String::new())));
        let layers = [
            MetricsLayer::new()
                .role("counted")
                .overview(overview.clone())
                .recorded(false),
            MetricsLayer::new().role("recorded"),
        ];
        for layer in &layers {
            let call = layer.layer(service_fn(answer)).call(Request::new(String::new()));
            drop(call.now_or_never().unwrap().unwrap());
        }
        let all = recorder.render(overview.families());
        // They say it in the same words, and in one place.
        for role in ["counted", "recorded"] {
            let labels = format!(r#"role="{role}",rule="",group="",upstream="",protocol="http""#);
            for line in [
                format!(r#"tunnel_exchanges_total{{{labels},status="2xx"}} 1"#),
                format!("tunnel_exchanges_open{{{labels}}} 0"),
                format!("tunnel_exchange_sent_bytes_total{{{labels}}} 0"),
                format!(r#"tunnel_exchange_duration_seconds_bucket{{{labels},le="120"}} 1"#),
                format!("tunnel_exchange_first_byte_seconds_count{{{labels}}} 1"),
            ] {
                assert_eq!(
                    all.lines().filter(|other| **other == line).count(),
                    1,
                    "{line}\n{all}"
                );
            }
        }
        for word in ["TYPE", "HELP"] {
            let line = format!("# {word} tunnel_exchanges_total ");
            assert_eq!(all.matches(&line).count(), 1, "{all}");
        }
        let recorded = recorder.render([]);
        assert!(
            !recorded.contains(r#"tunnel_exchanges_total{role="counted""#),
            "{recorded}"
        );
    }

    #[test]
    fn names_are_made_valid() {
        assert_eq!(named("a.b-c:d_9"), "a_b_c:d_9");
        assert_eq!(named("9a"), "_9a");
    }
}
