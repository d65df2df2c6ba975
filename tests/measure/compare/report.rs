//! What is printed.

use tokio::time::Instant;

use crate::{
    grid::{Grid, figure},
    proc_fs::{self, Machine},
    table::Table,
};

/// A share of the machine that others take, from which on figures are not to be believed.
const BUSY: f64 = 0.05;

/// Everything that is found out, printed as it comes.
#[derive(Debug, Default)]
pub(crate) struct Report {
    markdown: bool,
    goals: Vec<Goal>,
    remarks: Vec<String>,
    busy: Vec<String>,
}

/// A row of the table of what is to be reached.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) value: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) least: Bound,
    pub(crate) aim: Option<Bound>,
}

/// What a figure ought to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(bound) => format!("{bound}{unit} or more"),
            Self::AtMost(bound) => format!("{bound}{unit} or less"),
        }
    }
}

/// A measure that has begun, for what the machine does meanwhile.
#[derive(Debug)]
pub(crate) struct Begun {
    title: String,
    at: Instant,
    machine: Machine,
    ours: std::time::Duration,
}

impl Report {
    pub(crate) fn new(markdown: bool) -> Self {
        Self {
            markdown,
            ..Self::default()
        }
    }

    /// Begins a measure.
    pub(crate) fn begin(&mut self, title: &str) -> Begun {
        eprintln!("... {title}");
        Begun {
            title: title.to_owned(),
            at: Instant::now(),
            machine: Machine::now(),
            ours: proc_fs::processor_time(&[std::process::id()]),
        }
    }

    /// Something that a reader of the figures should know.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("    {text}");
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// Ends a measure, and prints its samples.
    pub(crate) fn grid(&mut self, begun: &Begun, grid: &Grid) {
        self.table(begun, &grid.table());
    }

    /// Ends a measure, and prints its table, its remarks, and whether the machine was busy.
    pub(crate) fn table(&mut self, begun: &Begun, table: &Table) {
        let heading = if self.markdown { "### " } else { "== " };
        println!("\n{heading}{}\n\n{}", begun.title, table.render(self.markdown));
        for remark in self.remarks.drain(..) {
            println!("{}{remark}", if self.markdown { "* " } else { "note: " });
        }
        let line = self.machine(begun);
        println!("{}{line}", if self.markdown { "* " } else { "" });
    }

    fn machine(&mut self, begun: &Begun) -> String {
        let (_, processors) = proc_fs::processors();
        let all = begun.at.elapsed().as_secs_f64() * processors as f64;
        let machine = Machine::now() - begun.machine;
        let ours = proc_fs::processor_time(&[std::process::id()]).saturating_sub(begun.ours);
        let others = machine.busy.saturating_sub(ours).as_secs_f64() / all;
        let stolen = machine.stolen.as_secs_f64() / all;
        let busy = others + stolen > BUSY;
        if busy {
            self.busy.push(begun.title.clone());
        }
        format!(
            "machine: others took {:.1} % of the processors, {:.1} % were stolen, load {}{}",
            others * 100.0,
            stolen * 100.0,
            proc_fs::load(),
            if busy { ": BUSY, measure again" } else { "" },
        )
    }

    pub(crate) fn goal(&mut self, goal: Goal) {
        self.goals.push(goal);
    }

    /// A goal that is a ratio.
    pub(crate) fn ratio(&mut self, what: &'static str, value: Option<f64>, least: Bound, aim: Bound) {
        self.goal(Goal {
            what,
            value,
            unit: "",
            least,
            aim: Some(aim),
        });
    }

    /// Prints what was to be reached, and what was.
    pub(crate) fn finish(self) {
        let mut table = Table::new(["what is to be reached", "measured", "at least", "aim", ""]);
        for goal in &self.goals {
            let verdict = match (goal.value, goal.aim) {
                (None, _) => "not measured",
                (Some(value), Some(aim)) if aim.holds(value) => "aim",
                (Some(value), _) if goal.least.holds(value) => "reached",
                (Some(_), _) => "MISSED",
            };
            table.row(vec![
                goal.what.to_owned(),
                format!("{}{}", figure(goal.value, 2), goal.unit),
                goal.least.text(goal.unit),
                goal.aim.map_or("-".to_owned(), |aim| aim.text(goal.unit)),
                verdict.to_owned(),
            ]);
        }
        if !table.is_empty() {
            let heading = if self.markdown { "### " } else { "== " };
            println!(
                "\n{heading}What is to be reached\n\n{}",
                table.render(self.markdown)
            );
        }
        if !self.busy.is_empty() {
            println!(
                "The machine was busy during: {}. These figures are not to be believed.",
                self.busy.join("; ")
            );
        }
    }
}
