//! What the services cost, measured against what the machine allows: `benches/run`.
//!
//! Each benchmark is a file below `rows`, and says in its first lines what is compared with what
//! and why that is a fair limit. The limits that are servers of their own are below `bare`. Both
//! sides run in turns (`lab`), so that a machine that is slow for a while is slow for both; what
//! counts is the ratio within a round (`measure`).
//!
//! Brokers and `PgQ` in place of the feed (`peers`) are measured on demand: `benches/run --peers`.

mod bare;
mod conditions;
mod history;
mod http;
mod lab;
mod measure;
#[cfg(feature = "peers")]
mod peers;
mod process;
mod report;
mod rows;
mod way;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;
use indicatif::ProgressBar;

use lab::Lab;
use report::{Report, Row};

/// Measures the services of this workspace; `benches/run` builds them and starts a PostgreSQL first
#[derive(Debug, Parser)]
struct Options {
    /// Run these benchmarks alone
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,

    /// Rounds of each benchmark, besides one that does not count [default: 5, with --quick 3]
    #[arg(long)]
    rounds: Option<usize>,

    /// Smaller and shorter, to see that it works; such figures do not go into RESULTS.md
    #[arg(long)]
    quick: bool,

    /// Measure peers in place of the feed too: `benches/run` installs NATS, `RabbitMQ` and `PgQ` from
    /// Debian's packages, fetches a newer NATS, and runs them privately
    #[arg(long)]
    peers: bool,

    /// Measure some rows on a second PostgreSQL as well: `18`, which `benches/run` fetches, or the
    /// directory of its programs
    #[arg(long, value_name = "VERSION")]
    postgres: Option<String>,

    /// List the benchmarks
    #[arg(long)]
    list: bool,

    /// Put the figures into RESULTS.md, those of earlier runs apart
    #[arg(long)]
    write: bool,

    /// Where the figures go
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,

    /// A PostgreSQL that we may use up
    #[arg(long, env = "BENCH_SERVER", hide = true, default_value = "")]
    server: String,

    /// A directory on a real disk
    #[arg(long, env = "BENCH_DIRECTORY", hide = true, default_value = "target")]
    directory: PathBuf,

    #[command(subcommand)]
    bare: Option<bare::Command>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.peers && cfg!(not(feature = "peers")) {
        bail!("built without its feature `peers`: `benches/run --peers` builds with it");
    }
    if options.write && cfg!(not(feature = "peers")) {
        bail!("--write needs --peers: without it the rows of the peers would be lost");
    }
    if options.list {
        rows::ROWS
            .iter()
            .for_each(|(name, what)| println!("{name:<16} {what}"));
        return Ok(());
    }
    match options.bare {
        // As the services: on all cores that it may use.
        Some(command) => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(bare::run(command)),
        // The client takes one core at most.
        None => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(measure(options)),
    }
}

impl Options {
    /// True if a benchmark runs on this server.
    fn wants(&self, name: &str) -> bool {
        let only = &self.only;
        (only.is_empty() || only.iter().any(|each| each == name))
            && (self.postgres.is_none() || rows::ON_BOTH_SERVERS.contains(&name))
    }
}

async fn measure(options: Options) -> Result<()> {
    let names: Vec<&str> = rows::ROWS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = options
        .only
        .iter()
        .find(|only| !names.contains(&only.as_str()))
    {
        bail!("there is no benchmark {unknown}; --list says which there are");
    }
    let wanted: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| options.wants(name))
        .collect();
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 5 });
    let mut lab = Lab::open(options.server, options.directory, rounds, options.quick).await?;
    let conditions = conditions::conditions(&lab).await?;
    for (name, value) in &conditions {
        println!("{name:<20} {value}");
    }
    if !options.quick {
        let minutes: f64 = wanted.iter().map(|name| rows::minutes(name)).sum();
        let minutes = minutes * (rounds + 1) as f64 / 6.0;
        println!("{} benchmarks, some {minutes:.0} minutes", wanted.len());
    }
    println!();
    let mut report = Report::read(&options.json);
    let mut failed = Vec::new();
    for name in &wanted {
        lab.begin(name, ProgressBar::new_spinner());
        let done = rows::run(name, &mut lab).await;
        lab.end();
        let mut row = Row {
            name: (*name).to_owned(),
            conditions: conditions.clone(),
            quick: options.quick,
            figures: std::mem::take(&mut lab.figures),
        };
        if let Err(error) = done {
            println!("{name:<16} failed: {error:#}");
            failed.push(*name);
            row.figures.clear();
        }
        report.replace(row);
        // After each, so that an interrupted run keeps what was measured.
        report.save(&options.json)?;
    }
    println!("\nwritten to {}", options.json.display());
    if options.write {
        report.write_into("benches/RESULTS.md".as_ref(), &names)?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}
