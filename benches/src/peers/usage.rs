//! What processes use, by the kernel's account: each with all that it has started, since a broker is
//! more than one process, and PostgreSQL is one for each connection.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};

/// What `/proc` counts in: a hundredth of a second, whatever the kernel's own clock (`proc(5)`,
/// `USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// What is used of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy)]
struct Stat {
    parent: u32,
    /// Its own, and that of children that have ended and were waited for.
    ticks: u32,
}

/// Processor time used so far by a process and its descendants, those that have ended too.
pub(super) fn cpu(root: u32) -> Result<Duration> {
    let all = all()?;
    let ticks = family(root, &all).iter().map(|id| all[id].ticks).sum();
    Ok(TICK.saturating_mul(ticks))
}

/// Memory in MiB of a process and its descendants now. A page that several processes share counts
/// once, by a part for each (`Pss`).
pub(super) fn memory(root: u32) -> Result<f64> {
    let mut kib = 0.0;
    for id in family(root, &all()?) {
        let rollup = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
        let line = rollup.lines().find(|line| line.starts_with("Pss:"));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        kib += value.context("no Pss")?.parse::<f64>()?;
    }
    Ok(kib / 1024.0)
}

/// The process that has started this one.
pub(super) fn parent(id: u32) -> Result<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    Ok(read(&stat).context("no parent")?.parent)
}

/// A process and its descendants.
pub(super) fn descendants(root: u32) -> Result<Vec<u32>> {
    Ok(family(root, &all()?))
}

fn all() -> Result<HashMap<u32, Stat>> {
    let mut all = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        if let Some(stat) = read(&stat) {
            all.insert(id, stat);
        }
    }
    Ok(all)
}

fn read(stat: &str) -> Option<Stat> {
    // A name may have spaces and parentheses in it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let times = fields.skip(9).take(4).map(str::parse::<u32>);
    let ticks = times.sum::<Result<u32, _>>().ok()?;
    Some(Stat { parent, ticks })
}

fn family(root: u32, all: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut family: Vec<u32> = all.keys().copied().filter(|id| *id == root).collect();
    let mut looked = 0;
    while let Some(&parent) = family.get(looked) {
        let children = all.iter().filter(|(_, stat)| stat.parent == parent);
        family.extend(children.map(|(id, _)| *id));
        looked += 1;
    }
    family
}
