//! What the services cost, measured against what the machine allows: `benches/run`.
//!
//! Each benchmark is a file below `rows`, and says in its first lines what is compared with what
//! and why that is a fair limit. The limits that are servers of their own are below `bare`. Both
//! sides run in turns (`lab`), so that a machine that is slow for a while is slow for both; what
//! counts is the ratio within a round (`measure`).
//!
//! Brokers in place of the feed (`peers`) are measured on demand: `benches/run --peers`.

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

    /// Measure brokers in place of the feed too: `benches/run` installs NATS and `RabbitMQ` from
    /// Debian's packages, and runs them privately
    #[arg(long)]
    peers: bool,

    /// List the benchmarks
    #[arg(long)]
    list: bool,

    /// Put the figures into RESULTS.md
    #[arg(long)]
    write: bool,

    /// Where the figures go
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,

    /// A PostgreSQL that we may use up
    #[arg(long, env = "BENCH_POSTGRES_URL", hide = true, default_value = "")]
    postgres: String,

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

async fn measure(options: Options) -> Result<()> {
    let names: Vec<&str> = rows::ROWS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = options
        .only
        .iter()
        .find(|only| !names.contains(&only.as_str()))
    {
        bail!("there is no benchmark {unknown}; --list says which there are");
    }
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 5 });
    let mut lab = Lab::open(options.postgres, options.directory, rounds, options.quick).await?;
    let conditions = conditions::conditions(&lab).await?;
    for (name, value) in &conditions {
        println!("{name:<20} {value}");
    }
    println!();
    let mut report = Report::read(&options.json);
    let mut failed = Vec::new();
    for name in &names {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        lab.begin(name, ProgressBar::new_spinner());
        let done = rows::run(name, &mut lab).await;
        lab.end();
        let figures = std::mem::take(&mut lab.figures);
        if let Err(error) = done {
            println!("{name:<16} failed: {error:#}");
            failed.push(*name);
            continue;
        }
        let row = Row {
            conditions: conditions.clone(),
            rounds,
            quick: options.quick,
            figures,
        };
        report.rows.insert((*name).to_owned(), row);
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
