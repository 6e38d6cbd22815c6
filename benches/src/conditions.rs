//! The conditions under which figures were measured.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::lab::Lab;
use crate::measure::percentile;

/// Settings of the server that figures depend on.
const SETTINGS: [&str; 7] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
];

/// Name and value, in the order of the names.
pub(crate) async fn conditions(lab: &Lab) -> Result<BTreeMap<String, String>> {
    let mut settings = Vec::new();
    for name in SETTINGS {
        settings.push(format!("{name}={}", lab.setting(name).await?));
    }
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(':'));
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default();
    let memory = memory.split_whitespace().nth(1).unwrap_or("0");
    let memory: u64 = memory.parse().unwrap_or(0) / 1024;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let directory = lab.directory.display().to_string();
    // The page with the results is being written by this very run.
    let others = ["status", "--porcelain", "--", ".", ":!benches/RESULTS.md"];
    let dirty = match output_of("git", &others).is_empty() {
        true => "",
        false => " with changes",
    };
    let conditions = [
        (
            "processor",
            format!("{} × {}", cores, model.map_or("", |(_, name)| name.trim())),
        ),
        ("memory", format!("{memory} MiB")),
        ("kernel", output_of("uname", &["-sr"])),
        (
            "disk",
            output_of(
                "findmnt",
                &["-no", "SOURCE,FSTYPE,OPTIONS", "-T", &directory],
            ),
        ),
        ("fdatasync of 8 KiB", sync_time(&lab.directory)?),
        ("PostgreSQL", lab.setting("server_version").await?),
        ("settings", settings.join(" ")),
        ("SQLite", "WAL, synchronous=FULL".to_owned()),
        ("compiler", output_of("rustc", &["--version"])),
        (
            "commit",
            output_of("git", &["rev-parse", "--short", "HEAD"]) + dirty,
        ),
        ("at", output_of("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("rounds", lab.rounds.to_string()),
        (
            "load before",
            std::fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        ),
    ];
    Ok(conditions
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// The least that a commit costs: a write that is synced.
fn sync_time(directory: &Path) -> Result<String> {
    let path = directory.join("sync");
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .write(true)
        .truncate(true)
        .open(&path)?;
    let block = [7_u8; 8192];
    let mut times = Vec::new();
    for _ in 0..200 {
        let begin = Instant::now();
        // Overwrites the same bytes, as a write-ahead log that is reused does.
        file.rewind()?;
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(path)?;
    let (median, slow) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    Ok(format!("{median:.2} ms, p99 {slow:.2} ms"))
}

/// What a program prints; empty if it is not installed.
pub(crate) fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}
