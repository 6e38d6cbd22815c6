//! From the start of the order service's process to its first answer from the feed, with a long
//! history and with none. Both databases have their tables.

use anyhow::Result;

use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let (long, events) = lab.long_history().await?;
    let empty = lab.history(0).await?;
    let figure = Figure::new(
        format!("start to first answer, {events} events"),
        "ms",
        Goal::RatioAtMost(1.5),
    );
    let directory = lab.directory.clone();
    let start = async |url: &str| {
        let mut took = Vec::new();
        // One start is short, and the machine has other things to do now and then.
        for _ in 0..5 {
            let mut start = Start::service("order", url);
            start.probe = "/feed";
            let process = start.run(&directory).await?;
            took.push(process.started_in.as_secs_f64() * 1e3);
            process.stop().await?;
        }
        Ok([crate::measure::percentile(&mut took, 0.5)])
    };
    lab.compare(
        [figure.against("no events")],
        async || start(&long).await,
        async || start(&empty).await,
    )
    .await
}
