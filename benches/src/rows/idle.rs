//! What a consumer costs while it waits for the next event: processor time, as the scheduler
//! accounts for it, and the statements that its database gets meanwhile.

use anyhow::Result;

use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let orders = lab.history(1_000).await?;
    let order = lab.start(Start::service("order", &orders)).await?;
    let url = lab.database().await?;
    let invoice = Start::service("invoice", &url).set("FEED_URL", order.url("/feed"));
    let invoice = lab.start(invoice).await?;
    // Until it has read everything, and the work after a start is done.
    tokio::time::sleep(lab.seconds(75.0, 5.0)).await;
    let time = lab.seconds(60.0, 10.0);
    lab.forget_statements().await?;
    let before = (invoice.cpu()?, order.cpu()?);
    lab.say("watching a consumer wait");
    tokio::time::sleep(time).await;
    let share = |used: std::time::Duration| used.as_secs_f64() / time.as_secs_f64() * 100.0;
    let mut figure = Figure::new("a consumer that waits", "% of a core", Goal::AtMost(0.2));
    figure.ours = vec![share(invoice.cpu()?.saturating_sub(before.0))];
    lab.record(figure);
    let mut figure = Figure::new("the order service meanwhile", "% of a core", Goal::None);
    figure.ours = vec![share(order.cpu()?.saturating_sub(before.1))];
    lab.record(figure);
    let statements = lab.statements(&url).await?;
    let (leases, others): (Vec<_>, Vec<_>) = statements
        .iter()
        .partition(|each| each.name().starts_with("lease::"));
    let calls = |of: &[&crate::lab::Statement]| of.iter().map(|each| each.calls).sum::<i64>();
    let per_minute = |calls: i64| calls as f64 * 60.0 / time.as_secs_f64();
    let mut figure = Figure::new("its statements: the lease's", "a minute", Goal::None);
    figure.ours = vec![per_minute(calls(&leases))];
    lab.record(figure);
    let names: Vec<&str> = others.iter().map(|each| each.name()).collect();
    let what = match names.is_empty() {
        true => "its statements: others".to_owned(),
        false => format!("its statements: others ({})", names.join(", ")),
    };
    let mut figure = Figure::new(what, "a minute", Goal::AtMost(0.0));
    figure.ours = vec![per_minute(calls(&others))];
    lab.record(figure);
    Ok(())
}
