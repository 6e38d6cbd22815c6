//! Whether the subscription catches up: the last hour and day as charts.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::chart::{Chart, Line};
use crate::subscription::command::words::{counted, grouped};
use crate::subscription::pace::rate;
use feed_core::consumer::{Sample, Status};

/// Two samples further apart than this have minutes between them in which nothing is known.
const TOGETHER: TimeDelta = TimeDelta::seconds(150);

/// The least time between two samples whose difference is a throughput: shorter ones are all noise.
const SHORTEST: TimeDelta = TimeDelta::seconds(10);

/// A stretch of time that is shown.
struct Stretch {
    name: &'static str,
    length: TimeDelta,
    /// Samples of so long become one point, so that the line has no more points than can be seen.
    step: TimeDelta,
    /// What is below its left end, middle and right end.
    ticks: [&'static str; 3],
}

const HOUR: Stretch = Stretch {
    name: "the last hour",
    length: TimeDelta::hours(1),
    step: TimeDelta::minutes(1),
    ticks: ["60 min ago", "30 min ago", "now"],
};

const DAY: Stretch = Stretch {
    name: "the last day",
    length: TimeDelta::days(1),
    step: TimeDelta::minutes(10),
    ticks: ["24 h ago", "12 h ago", "now"],
};

/// Shows lag and throughput up to the status of `now`: of the last hour, and of the last day once more
/// than an hour is known.
pub(super) fn charts(samples: &[Sample], status: &Status, now: DateTime<Utc>) -> Markup {
    let Some(first) = samples.first() else {
        return html! {
            p.quiet {
                "Charts begin with the first sample. One is taken each minute while this process runs, "
                "of a feed that numbers its events."
            }
        };
    };
    let mut samples = samples.to_vec();
    samples.push(Sample {
        at: now,
        sequence: status.sequence,
        head: status.head,
    });
    let known = now - first.at;
    html! {
        div.charts {
            @for stretch in [HOUR, DAY] {
                @if stretch.length == HOUR.length || known > HOUR.length {
                    (lag(&samples, &stretch, now))
                    (throughput(&samples, &stretch, now))
                }
            }
        }
        p.quiet {
            @if known < DAY.length {
                "Known since " (clock(first.at)) " UTC, when this process began to take samples. "
                @if known <= HOUR.length { "The last day follows after the first hour." }
            } @else {
                "One sample a minute, of all instances together. In a gap there are no samples."
            }
        }
    }
}

/// A value at a time.
type Point = (DateTime<Utc>, f64);

fn lag(samples: &[Sample], stretch: &Stretch, now: DateTime<Utc>) -> Markup {
    let from = now - stretch.length;
    let within = samples.iter().filter(|sample| sample.at >= from);
    let points: Vec<Point> = within
        .map(|sample| (sample.at, sample.lag() as f64))
        .collect();
    // The highest of each step: a peak must not vanish in a mean.
    let line = steps(&points, from, stretch.step, |step| {
        step.iter().map(|(_, lag)| *lag).fold(0.0, f64::max)
    });
    let highest = points
        .iter()
        .copied()
        .reduce(|a, b| if b.1 > a.1 { b } else { a });
    let newest = points.last().map_or(0.0, |(_, lag)| *lag);
    let text = match highest {
        Some((at, lag)) if lag > 0.0 => format!(
            "Now {}; at most {}, at {} UTC",
            counted(newest as i64, "event"),
            grouped(lag as i64),
            clock(at)
        ),
        _ => "None in any sample".to_owned(),
    };
    let lines = [Line::solid(line)];
    chart("Lag", "events", &text, stretch, now, &lines)
}

fn throughput(samples: &[Sample], stretch: &Stretch, now: DateTime<Utc>) -> Markup {
    let from = now - stretch.length;
    let between = |moved: fn(&Sample) -> i64| {
        let pairs = samples.windows(2).filter_map(|pair| {
            let [then, now] = pair else { return None };
            let (time, events) = (now.at - then.at, moved(now) - moved(then));
            // A replay moves the cursor back: that is no throughput.
            let is_known = then.at >= from && time >= SHORTEST && time <= TOGETHER && events >= 0;
            is_known.then(|| (now.at, events as f64 / time.as_seconds_f64()))
        });
        let points: Vec<Point> = pairs.collect();
        steps(&points, from, stretch.step, |step| {
            step.iter().map(|(_, pace)| pace).sum::<f64>() / step.len() as f64
        })
    };
    let (mut taken, mut published) = (
        between(|sample| sample.sequence),
        between(|sample| sample.head),
    );
    let highest = taken.iter().map(|point| point.1).fold(0.0, f64::max);
    let newest = taken.last().map_or(0.0, |point| point.1);
    let text = match (newest, highest) {
        (_, 0.0) => "No event taken".to_owned(),
        (0.0, highest) => format!("Now no event; at most {}", rate(highest)),
        (newest, highest) => format!("Now {}; at most {}", rate(newest), rate(highest)),
    };
    let both = taken.iter().chain(&published);
    let mut unit = "events a second";
    if both.map(|point| point.1).fold(0.0, f64::max) < 1.0 {
        unit = "events a minute";
        for point in taken.iter_mut().chain(&mut published) {
            point.1 *= 60.0;
        }
    }
    let lines = [Line::solid(taken), Line::dashed(published)];
    chart("Throughput", unit, &text, stretch, now, &lines)
}

fn chart(
    title: &str,
    unit: &str,
    text: &str,
    stretch: &Stretch,
    now: DateTime<Utc>,
    lines: &[Line],
) -> Markup {
    let chart = Chart {
        about: format!("{title} in {}. {text}.", stretch.name),
        from: now - stretch.length,
        to: now,
        gap: TOGETHER.max(stretch.step * 2),
        ticks: stretch.ticks,
        lines,
    };
    html! {
        figure.chart {
            figcaption {
                strong { (title) ", " (stretch.name) } br;
                (text) "."
            }
            (chart.draw())
            p.quiet.key {
                (unit)
                @if lines.len() > 1 { "; solid: taken, dashed: published" }
            }
        }
    }
}

/// Joins the points of each step of time to one, at the time of its last point.
fn steps(
    points: &[Point],
    from: DateTime<Utc>,
    step: TimeDelta,
    join: impl Fn(&[Point]) -> f64,
) -> Vec<Point> {
    let number = |at: DateTime<Utc>| (at - from).num_seconds() / step.num_seconds().max(1);
    let same = |a: &Point, b: &Point| number(a.0) == number(b.0);
    let last = |step: &[Point]| step.last().map(|point| point.0);
    let joined = points.chunk_by(same);
    joined
        .filter_map(|step| Some((last(step)?, join(step))))
        .collect()
}

/// Formats the time of the day.
fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use feed_core::consumer::Lag;

    fn status(sequence: i64, head: i64) -> Status {
        Status {
            feed: String::new(),
            epoch: None,
            sequence,
            head,
            lag: Lag {
                events: head - sequence,
                seconds: None,
            },
            parked: 0,
            waiting: 0,
            skipped: 0,
            halted: None,
            paused: None,
            decision: None,
            begins: 0,
            last_contact: None,
            last_error: None,
            instances: 1,
            retired: 0,
        }
    }

    /// A day at 200 events a minute. Six hours ago 12,000 came at once, and were taken in half an hour;
    /// the process was down for an hour before that.
    fn a_day(now: DateTime<Utc>) -> Vec<Sample> {
        let minutes = (0..=1_440).filter(|minute| !(960..1_020).contains(minute));
        let sample = |minute: i64| {
            let burst = if minute > 1_080 { 12_000 } else { 0 };
            let left = (12_000 - 400 * (minute - 1_080)).clamp(0, burst);
            let head = minute * 200 + burst;
            Sample {
                at: now - TimeDelta::minutes(1_440 - minute),
                sequence: head - left,
                head,
            }
        };
        minutes.map(sample).collect()
    }

    #[test]
    fn the_charts_show_a_peak_and_a_time_without_samples() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let samples = a_day(now);
        let status = status(300_000, 300_000);
        let html = charts(&samples, &status, now).into_string();
        assert_eq!(html.matches("<svg").count(), 4, "{html}");
        // The first sample after the burst is a minute old: not its mean over ten minutes.
        let peak = "Lag in the last day. Now 0 events; at most 11,600, at 18:01 UTC.";
        assert!(html.contains(peak), "{html}");
        assert!(html.contains("Lag in the last hour. None in any sample."));
        let highest = "Throughput in the last day. Now 3.3 events a second; at most 10 events";
        assert!(html.contains(highest), "{html}");
        let day = html.split("Lag in the last day").nth(1).unwrap_or_default();
        let line = day.split("class=\"line\" d=\"").nth(1).unwrap_or_default();
        let line = line.split('"').next().unwrap_or_default();
        assert_eq!(line.matches('M').count(), 2, "a gap is no line: {line}");
        assert!(html.len() < 10_000, "{} bytes", html.len());
    }

    #[test]
    fn charts_say_since_when_something_is_known() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let none = charts(&[], &status(0, 0), now).into_string();
        assert!(!none.contains("<svg") && none.contains("begin with the first sample"));
        let samples = &a_day(now)[1_365..];
        let html = charts(samples, &status(300_000, 300_000), now).into_string();
        assert_eq!(html.matches("<svg").count(), 2, "{html}");
        assert!(html.contains("Known since 23:45 UTC"), "{html}");
        assert!(html.contains(">since 23:45</text>"), "{html}");
        // A replay moves the cursor back, which is no throughput.
        let back = charts(samples, &status(5, 300_000), now).into_string();
        assert!(back.contains("Now 3.3 events a second"), "{back}");
    }
}
