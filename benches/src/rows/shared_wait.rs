//! Ten thousand readers wait for the event after their cursor (`?after=`, `Prefer: wait`), behind Varnish as Debian
//! packages it, with its own rules. Events come one by one, each when all readers wait: how often is the order service
//! asked for an event, and how long after the order's commit does each reader have it?
//!
//! There is no limit to compare the times with: they are those of Varnish, which wakes the readers.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::waiting::placed;
use crate::bare::canned::now;
use crate::http::{Connection, get, once};
use crate::lab::Lab;
use crate::measure::{Figure, Goal, percentile};
use crate::process::{Process, Start, free_address};

/// Events of a round.
const EVENTS: i64 = 5;

/// How often a reader may lose its connection. Varnish closes what it cannot queue.
const RECONNECTS: usize = 100;

/// After this time all readers have reached the point where they wait.
const ALL_WAIT: Duration = Duration::from_secs(2);

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let count = usize::try_from(lab.many(10_000, 500))?;
    let url = lab.history(1_050).await?;
    let pool = lab.pool(&url).await?;
    let order = lab.start(Start::service("order", &url)).await?;
    let varnish = start_varnish(lab, order.address).await?;
    let (_, head) = once(order.address, &get("/feed", &[])).await?;
    let cursor = cursor(&head)?.to_owned();
    lab.say(format!("{count} readers connect"));
    let (received, mut answers) = mpsc::unbounded_channel();
    let mut readers = JoinSet::new();
    for _ in 0..count {
        let reader = Reader::open(varnish.address, cursor.clone()).await?;
        readers.spawn(reader.follow(received.clone()));
    }
    let figure = |what: &str, unit, goal| Figure::new(what, unit, goal);
    let mut asked = figure(
        &format!("{count} readers behind Varnish, requests at the origin"),
        "an event",
        Goal::AtMost(2.0),
    );
    let mut p50 = figure("commit to reader, p50", "ms", Goal::None);
    let mut p99 = figure("the same, p99", "ms", Goal::None);
    for round in 0..=lab.rounds {
        lab.say(format!("round {round} of {}", lab.rounds));
        let before = requests(order.address).await?;
        let mut took = Vec::new();
        for _ in 0..EVENTS {
            tokio::time::sleep(ALL_WAIT).await;
            took.extend(event(order.address, &pool, &mut answers, &mut readers, count).await?);
        }
        // The request that waits now is counted when it is answered.
        tokio::time::sleep(ALL_WAIT).await;
        let requests = requests(order.address).await? - before;
        if round > 0 {
            asked.ours.push(requests / EVENTS as f64);
            p50.ours.push(percentile(&mut took, 0.5));
            p99.ours.push(percentile(&mut took, 0.99));
        }
    }
    [asked, p50, p99]
        .into_iter()
        .for_each(|figure| lab.record(figure));
    readers.shutdown().await;
    varnish.stop().await
}

/// Places an order; returns how many milliseconds after its commit each reader had its event.
async fn event(
    order: SocketAddr,
    pool: &PgPool,
    answers: &mut mpsc::UnboundedReceiver<f64>,
    readers: &mut JoinSet<Result<()>>,
    count: usize,
) -> Result<Vec<f64>> {
    let committed = placed(order, pool).await?;
    let mut took = Vec::with_capacity(count);
    while took.len() < count {
        tokio::select! {
            answered = answers.recv() => {
                took.push((answered.context("no reader is left")? - committed) * 1e3);
            }
            Some(failed) = readers.join_next() => failed??,
        }
    }
    Ok(took)
}

/// A reader that waits after its cursor.
struct Reader {
    varnish: SocketAddr,
    connection: Connection,
    cursor: String,
}

impl Reader {
    async fn open(varnish: SocketAddr, cursor: String) -> Result<Self> {
        let connection = Connection::open(varnish).await?;
        Ok(Self {
            varnish,
            connection,
            cursor,
        })
    }

    /// Reads on for ever; reports when each event has arrived. It gets each of them once, one by one.
    async fn follow(mut self, received: mpsc::UnboundedSender<f64>) -> Result<()> {
        let mut reconnects = 0;
        loop {
            let asked = get(
                &format!("/feed?after={}", self.cursor),
                &[("Prefer", "wait=30")],
            );
            let Ok(answer) = self.connection.exchange(&asked).await else {
                reconnects += 1;
                ensure!(
                    reconnects < RECONNECTS,
                    "{reconnects} connections were lost"
                );
                self.connection = Connection::open(self.varnish).await?;
                continue;
            };
            ensure!(answer.status == 200, "{}", answer.status);
            let next = cursor(answer.body)?;
            let [before, after] = [sequence(&self.cursor)?, sequence(next)?];
            if before == after {
                // The answer is fresh for a second.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            ensure!(after == before + 1, "{after} follows {before}");
            next.clone_into(&mut self.cursor);
            received.send(now())?;
        }
    }
}

async fn start_varnish(lab: &Lab, origin: SocketAddr) -> Result<Process> {
    let directory = lab.directory.join("varnish");
    let address = free_address()?;
    let arguments = format!(
        "-F -j none -s malloc,256m -a {address} -b {origin} -n {}",
        directory.display()
    );
    let start = Start {
        program: "/usr/sbin/varnishd".to_owned(),
        arguments: arguments.split(' ').map(str::to_owned).collect(),
        address: Some(address),
        probe: "/health/started",
        ..Start::default()
    };
    lab.start(start).await
}

/// How many requests for the feed the order service has answered.
async fn requests(order: SocketAddr) -> Result<f64> {
    let (_, metrics) = once(order, &get("/metrics", &[])).await?;
    let metrics = String::from_utf8(metrics)?;
    let lines = metrics.lines().filter(|line| {
        line.starts_with("http_requests_total{") && line.contains("route=\"/feed\"")
    });
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum())
}

/// The cursor of a document.
fn cursor(document: &[u8]) -> Result<&str> {
    let document = std::str::from_utf8(document)?;
    let (_, rest) = document.split_once("<event:cursor>").context("no cursor")?;
    let (cursor, _) = rest.split_once('<').context("no cursor")?;
    Ok(cursor)
}

fn sequence(cursor: &str) -> Result<i64> {
    Ok(cursor.split('.').nth(1).context("no sequence")?.parse()?)
}
