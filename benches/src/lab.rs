//! What benchmarks work with: fresh databases, processes, rounds that take turns, a progress bar.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::measure::Figure;
use crate::process::{Process, Start};

/// Everything a benchmark needs; it leaves its figures here.
#[derive(Debug)]
pub(crate) struct Lab {
    server: PgConnectOptions,
    server_url: String,
    admin: PgPool,
    /// On a real disk; removed after the run.
    pub(crate) directory: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) figures: Vec<Figure>,
    row: &'static str,
    bar: ProgressBar,
    opened: Instant,
    databases: usize,
    /// The order service's database with the long history, once it is made.
    long_history: Option<String>,
}

/// How often a database was asked what.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) calls: i64,
}

impl Lab {
    pub(crate) async fn open(
        server_url: String,
        directory: PathBuf,
        rounds: usize,
        quick: bool,
    ) -> Result<Self> {
        let server: PgConnectOptions = server_url.parse()?;
        let admin = PgPoolOptions::new().max_connections(1);
        let admin = admin.connect_with(server.clone()).await?;
        admin
            .execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            .await?;
        Ok(Self {
            server,
            server_url,
            admin,
            directory,
            rounds,
            quick,
            figures: Vec::new(),
            row: "",
            bar: ProgressBar::hidden(),
            opened: Instant::now(),
            databases: 0,
            long_history: None,
        })
    }

    /// Begins a benchmark.
    pub(crate) fn begin(&mut self, row: &'static str, bar: ProgressBar) {
        let style = ProgressStyle::with_template("{prefix:16} [{elapsed_precise}] {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(row);
        bar.enable_steady_tick(Duration::from_millis(500));
        self.row = row;
        self.bar = bar;
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Shows what is being done; in a line of its own where the output is no terminal, so that a run
    /// can be watched in a file.
    pub(crate) fn say(&self, message: impl Into<String>) {
        let message = message.into();
        if self.bar.is_hidden() {
            let minutes = self.opened.elapsed().as_secs_f64() / 60.0;
            eprintln!("{minutes:>6.1} min  {:<16} {message}", self.row);
        }
        self.bar.set_message(message);
    }

    /// This long, or that with `--quick`.
    #[must_use]
    pub(crate) fn seconds(&self, full: f64, quick: f64) -> Duration {
        Duration::from_secs_f64(if self.quick { quick } else { full })
    }

    /// So many, or that with `--quick`.
    #[must_use]
    pub(crate) fn many(&self, full: i64, quick: i64) -> i64 {
        if self.quick { quick } else { full }
    }

    /// Measures both sides in turns, after one round that does not count; each gives one value for
    /// each of `figures`. The side that goes first changes from round to round.
    pub(crate) async fn compare<const N: usize>(
        &mut self,
        figures: [Figure; N],
        mut ours: impl AsyncFnMut() -> Result<[f64; N]>,
        mut limit: impl AsyncFnMut() -> Result<[f64; N]>,
    ) -> Result<()> {
        self.compare_set_up(
            figures,
            async |_: &mut Self| ours().await,
            async |_: &mut Self| limit().await,
        )
        .await
    }

    /// The same, for sides that are set up anew in each round, so that the side that waits for its
    /// turn uses nothing of the machine.
    pub(crate) async fn compare_set_up<const N: usize>(
        &mut self,
        mut figures: [Figure; N],
        mut ours: impl AsyncFnMut(&mut Self) -> Result<[f64; N]>,
        mut limit: impl AsyncFnMut(&mut Self) -> Result<[f64; N]>,
    ) -> Result<()> {
        for round in 0..=self.rounds {
            let name = match round {
                0 => "warming up".to_owned(),
                _ => format!("round {round} of {}", self.rounds),
            };
            let (a, b);
            if round % 2 == 0 {
                self.say(format!("{name}: ours"));
                a = ours(self).await?;
                self.say(format!("{name}: the limit"));
                b = limit(self).await?;
            } else {
                self.say(format!("{name}: the limit"));
                b = limit(self).await?;
                self.say(format!("{name}: ours"));
                a = ours(self).await?;
            }
            if round == 0 {
                continue;
            }
            for (n, figure) in figures.iter_mut().enumerate() {
                figure.ours.push(a[n]);
                figure.limit.push(b[n]);
            }
        }
        for figure in figures {
            self.record(figure);
        }
        Ok(())
    }

    /// Records a figure.
    pub(crate) fn record(&mut self, mut figure: Figure) {
        self.row.clone_into(&mut figure.row);
        self.bar
            .suspend(|| println!("{}", crate::report::line(&figure)));
        self.figures.push(figure);
    }

    /// An empty database on the private PostgreSQL.
    pub(crate) async fn database(&mut self) -> Result<String> {
        self.create(None).await
    }

    /// A copy of a database that has no connections.
    pub(crate) async fn copy(&mut self, template: &str) -> Result<String> {
        let template = database_of(template)?.to_owned();
        self.create(Some(&template)).await
    }

    async fn create(&mut self, template: Option<&str>) -> Result<String> {
        self.databases += 1;
        // Of this process: another run may have left some behind.
        let name = format!("bench_{}_{}", std::process::id(), self.databases);
        let template = template.map(|name| format!(" TEMPLATE {name}"));
        let sql = format!("CREATE DATABASE {name}{}", template.unwrap_or_default());
        self.admin.execute(AssertSqlSafe(sql)).await?;
        let (base, options) = self.server_url.split_once('?').context("a socket")?;
        let (base, _) = base.rsplit_once('/').context("a database in the URL")?;
        Ok(format!("{base}/{name}?{options}"))
    }

    /// Drops a database, so that the disk does not fill up.
    pub(crate) async fn drop(&self, url: &str) -> Result<()> {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", database_of(url)?);
        self.admin.execute(AssertSqlSafe(sql)).await?;
        Ok(())
    }

    /// Connections to a database.
    pub(crate) async fn pool(&self, url: &str) -> Result<PgPool> {
        let options = self.server.clone().database(database_of(url)?);
        let pool = PgPoolOptions::new().max_connections(4);
        Ok(pool.connect_with(options).await?)
    }

    /// The tables of a consumer, which the service itself creates in its database.
    pub(crate) async fn prepare(&self, service: &str, url: &str) -> Result<()> {
        let start = Start::service(service, url);
        let nowhere = start.set("FEED_URL", "http://127.0.0.1:9/feed");
        nowhere.run(&self.directory).await?.stop().await
    }

    /// The order service's database with a history of 1,000,000 events (fewer with `--quick`), one
    /// for the whole run; and the number of its events.
    pub(crate) async fn long_history(&mut self) -> Result<(String, i64)> {
        let events = self.many(1_000_000, 200_000);
        if let Some(url) = &self.long_history {
            return Ok((url.clone(), events));
        }
        let url = self.history(events).await?;
        self.long_history = Some(url.clone());
        Ok((url, events))
    }

    /// A database of the order service with so many events.
    pub(crate) async fn history(&mut self, events: i64) -> Result<String> {
        let url = self.database().await?;
        self.prepare("order", &url).await?;
        if events > 0 {
            self.say(format!("loading a history of {events} events"));
            let pool = self.pool(&url).await?;
            crate::history::load(&pool, events).await?;
            pool.close().await;
        }
        Ok(url)
    }

    /// Starts a process, with its log in our directory.
    pub(crate) async fn start(&self, start: Start) -> Result<Process> {
        start.run(&self.directory).await
    }

    /// Forgets which statements were sent until now.
    pub(crate) async fn forget_statements(&self) -> Result<()> {
        self.admin
            .execute("SELECT pg_stat_statements_reset()")
            .await?;
        Ok(())
    }

    /// The statements a database got since then, and how often.
    pub(crate) async fn statements(&self, url: &str) -> Result<Vec<Statement>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT query, calls FROM pg_stat_statements AS statements
             JOIN pg_database ON pg_database.oid = dbid
             WHERE datname = $1 ORDER BY calls DESC",
        )
        .bind(database_of(url)?)
        .fetch_all(&self.admin)
        .await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(text, calls)| Statement { text, calls })
            .collect())
    }

    /// A value of the server's configuration.
    pub(crate) async fn setting(&self, name: &str) -> Result<String> {
        let sql = AssertSqlSafe(format!("SHOW {name}"));
        Ok(sqlx::query_scalar(sql).fetch_one(&self.admin).await?)
    }
}

impl Statement {
    /// What our code calls it: `feed::look` in `SELECT -- feed::look`.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        let first = self.text.lines().next().unwrap_or_default();
        first.split_once(" -- ").map_or(first, |(_, name)| name)
    }
}

fn database_of(url: &str) -> Result<&str> {
    let path = url.split('?').next().unwrap_or_default();
    path.rsplit('/').next().context("a database in the URL")
}
