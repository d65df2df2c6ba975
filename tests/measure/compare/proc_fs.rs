//! What Linux tells about processes and the machine.

use std::{
    collections::HashSet,
    fs,
    ops::{Add, Sub},
    process::Command,
    time::Duration,
};

use crate::process::Failure;

/// The unit of times in `/proc` that are no nanoseconds; Linux shows 100 in a second on every machine.
const TICK: Duration = Duration::from_millis(10);

/// One process as `/proc/PID/stat` has it, in ticks.
struct Stat {
    parent: u32,
    /// User and system time of its threads, those that have ended as well.
    own: u64,
    /// The same of its children that have ended.
    children: u64,
}

fn stat(process: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may have spaces and parentheses in it.
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(field(1)?).ok()?,
        own: field(11)? + field(12)?,
        children: field(13)? + field(14)?,
    })
}

/// These processes and all that they have started.
pub(crate) fn with_descendants(roots: &[u32]) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<_> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, stat(process)?.parent)))
        .collect();
    let mut found: HashSet<u32> = roots.iter().copied().collect();
    loop {
        let before = found.len();
        let children = parents.iter().filter(|(_, parent)| found.contains(parent));
        let children: Vec<_> = children.map(|(process, _)| *process).collect();
        found.extend(children);
        if found.len() == before {
            return found.into_iter().collect();
        }
    }
}

/// User and system time of these processes, of all that they have started, and of what has ended of that.
pub(crate) fn processor_time(roots: &[u32]) -> Duration {
    let ticks: u64 = with_descendants(roots)
        .into_iter()
        .filter_map(stat)
        .map(|stat| stat.own + stat.children)
        .sum();
    TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Bytes of memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// The most since the process began or [`forget_peak`] was called.
    pub(crate) peak: u64,
}

impl Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            resident: self.resident + other.resident,
            peak: self.peak + other.peak,
        }
    }
}

/// The memory of a process and of those that it has started, each with its own peak.
pub(crate) fn memory(root: u32) -> Memory {
    let all = with_descendants(&[root]).into_iter();
    all.filter_map(of_one).fold(Memory::default(), Memory::add)
}

fn of_one(process: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = rest.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib << 10)
    };
    Some(Memory {
        resident: value("VmRSS:")?,
        peak: value("VmHWM:")?,
    })
}

/// From now on the peak of these processes is that of what comes.
pub(crate) fn forget_peak(roots: &[u32]) {
    for process in with_descendants(roots) {
        // Where the system does not do it, the peak is that of the whole life.
        let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
    }
}

/// Lets these processes run on this processor only, whatever they start later as well.
///
/// # Errors
///
/// `taskset` (Debian: util-linux) is missing or is refused.
pub(crate) fn bind(processes: &[u32], processor: usize) -> Result<(), Failure> {
    for process in processes {
        let mut taskset = Command::new("taskset");
        taskset.args(["--all-tasks", "--cpu-list", "--pid"]);
        let output = taskset
            .args([processor.to_string(), process.to_string()])
            .output();
        let output = output.map_err(|error| format!("taskset cannot be started: {error}"))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("taskset: {}", errors.trim()));
        }
    }
    Ok(())
}

/// Times of all processors of the machine since it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// Doing something for some process.
    pub(crate) busy: Duration,
    /// Taken away by whoever runs this virtual machine.
    pub(crate) stolen: Duration,
}

impl Machine {
    pub(crate) fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields = text.lines().next().unwrap_or_default().split_whitespace();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let times: Vec<u32> = fields.skip(1).map(|field| field.parse().unwrap_or(0)).collect();
        let sum = |indexes: &[usize]| indexes.iter().filter_map(|index| times.get(*index)).sum::<u32>();
        Self {
            // Without interrupts: those of the loopback belong to whoever sends.
            busy: TICK * sum(&[0, 1, 2]),
            stolen: TICK * sum(&[7]),
        }
    }
}

impl Sub for Machine {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            busy: self.busy.saturating_sub(earlier.busy),
            stolen: self.stolen.saturating_sub(earlier.stolen),
        }
    }
}

/// The load average of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The name of the processors, and how many there are.
pub(crate) fn processors() -> (String, usize) {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name"));
    let name = name.map_or("?", |name| name.trim_start_matches([' ', '\t', ':']));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    (name.to_owned(), count)
}
