//! Draws lines over time as SVG: no script, no inline style, and no meaning in a colour.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use feed_chassis::grouped;
use maud::{Markup, html};

/// The drawing in its own units; a page scales it to the width that it has.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 120.0;

/// The part with the lines: the numbers are left of it, the times below.
const LEFT: f64 = 42.0;
const RIGHT: f64 = WIDTH - 4.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = HEIGHT - 18.0;

/// The space that `since` needs left of the first point.
const ROOM: f64 = 60.0;

/// A line through values at times, in their order.
pub(super) struct Line {
    points: Vec<(DateTime<Utc>, f64)>,
    dashed: bool,
}

impl Line {
    /// A line with the area below it.
    pub(super) fn solid(points: Vec<(DateTime<Utc>, f64)>) -> Self {
        let dashed = false;
        Self { points, dashed }
    }

    /// A second line, for comparison.
    pub(super) fn dashed(points: Vec<(DateTime<Utc>, f64)>) -> Self {
        let dashed = true;
        Self { points, dashed }
    }
}

/// A chart of values that are not negative.
pub(super) struct Chart<'a> {
    /// What it shows, in words, for those who do not see it.
    pub(super) about: String,
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    /// Points that are further apart are not joined: nothing is known between them.
    pub(super) gap: TimeDelta,
    /// The names of its left end, middle and right end.
    pub(super) ticks: [&'static str; 3],
    pub(super) lines: &'a [Line],
}

impl Chart<'_> {
    pub(super) fn draw(&self) -> Markup {
        let all = self.lines.iter().flat_map(|line| &line.points);
        let top = round_up(all.map(|point| point.1).fold(0.0, f64::max));
        let middle = (TOP + BOTTOM) / 2.0;
        let begin = self.lines.iter().filter_map(|line| line.points.first());
        let begin = begin.map(|point| point.0).min();
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.about) {
                @for y in [TOP, middle, BOTTOM] {
                    line.grid x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
                }
                text x=(LEFT - 5.0) y=(TOP + 3.0) text-anchor="end" { (short(top)) }
                text x=(LEFT - 5.0) y=(BOTTOM + 3.0) text-anchor="end" { "0" }
                @for (tick, (x, anchor)) in self.ticks.iter().zip([
                    (LEFT, "start"), ((LEFT + RIGHT) / 2.0, "middle"), (RIGHT, "end"),
                ]) {
                    text x=(x) y=(HEIGHT - 4.0) text-anchor=(anchor) { (tick) }
                }
                @if let Some(begin) = begin && self.x(begin) > LEFT + ROOM {
                    line.since x1=(number(self.x(begin))) x2=(number(self.x(begin))) y1=(TOP) y2=(BOTTOM) {}
                    text x=(number(self.x(begin) - 5.0)) y=(TOP + 14.0) text-anchor="end" {
                        "since " (begin.format("%H:%M"))
                    }
                }
                @for line in self.lines.iter().rev() {
                    @let (area, stroke) = self.path(line, top);
                    @if line.dashed {
                        path.dashed d=(stroke) {}
                    } @else {
                        path.area d=(area) {}
                        path.line d=(stroke) {}
                    }
                }
            }
        }
    }

    /// Returns the outline of the area below a line, and the line.
    fn path(&self, line: &Line, top: f64) -> (String, String) {
        let (mut area, mut stroke) = (String::new(), String::new());
        let joined = |a: &(DateTime<Utc>, f64), b: &(DateTime<Utc>, f64)| b.0 - a.0 <= self.gap;
        for part in line.points.chunk_by(joined) {
            let Some(first) = part.first() else {
                continue;
            };
            let begin = stroke.len();
            let height = |n: usize| part.get(n).map(|point| number(y(point.1, top)));
            for (n, (at, _)) in part.iter().enumerate() {
                // A point between two of its height changes nothing: an idle hour is one line.
                if n > 0 && height(n - 1) == height(n) && height(n + 1) == height(n) {
                    continue;
                }
                let step = if n == 0 { 'M' } else { 'L' };
                let (x, y) = (number(self.x(*at)), height(n).unwrap_or(BOTTOM));
                let _ = write!(stroke, "{step}{x} {y}");
            }
            let left = number(self.x(first.0));
            let _ = write!(area, "{}V{BOTTOM}H{left}Z", &stroke[begin..]);
            // A point alone is a dot: a line without length, with round ends.
            if part.len() == 1 {
                stroke.push_str("h0.01");
            }
        }
        (area, stroke)
    }

    fn x(&self, at: DateTime<Utc>) -> f64 {
        let whole = (self.to - self.from).as_seconds_f64().max(1.0);
        let part = (at - self.from).as_seconds_f64() / whole;
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }
}

fn y(value: f64, top: f64) -> f64 {
    BOTTOM - (value / top).clamp(0.0, 1.0) * (BOTTOM - TOP)
}

/// Rounds a coordinate: more digits than can be seen only make the page longer.
fn number(coordinate: f64) -> f64 {
    (coordinate * 10.0).round() / 10.0
}

/// Rounds up to a number with one digit that is easy to halve: 1, 2, 5, 10, 20 …
fn round_up(value: f64) -> f64 {
    if value <= 1.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let rounded = [1.0, 2.0, 5.0].map(|digit| digit * power);
    let fits = rounded.into_iter().find(|rounded| *rounded >= value);
    fits.unwrap_or(10.0 * power)
}

/// Formats such a number in a few characters.
fn short(value: f64) -> String {
    let value = value as i64;
    match value {
        1_000_000.. => format!("{} M", grouped(value / 1_000_000)),
        100_000.. => format!("{} k", value / 1_000),
        _ => grouped(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_ends_with_a_round_number() {
        for (value, top, text) in [
            (0.0, 1.0, "1"),
            (0.4, 1.0, "1"),
            (1.0, 1.0, "1"),
            (3.0, 5.0, "5"),
            (10.0, 10.0, "10"),
            (5_211.0, 10_000.0, "10,000"),
            (123_456.0, 200_000.0, "200 k"),
            (1_234_567.0, 2_000_000.0, "2 M"),
        ] {
            assert_eq!(round_up(value), top, "{value}");
            assert_eq!(short(top), text);
        }
    }

    #[test]
    fn minutes_without_samples_are_no_line() {
        let minute = |n: i64| DateTime::UNIX_EPOCH + TimeDelta::minutes(n);
        let points = [0, 1, 2, 30, 31, 45].map(|n| (minute(n), 5.0)).to_vec();
        let lines = [Line::solid(points)];
        let chart = Chart {
            about: "a <chart>".to_owned(),
            from: minute(0),
            to: minute(60),
            gap: TimeDelta::seconds(150),
            ticks: ["then", "", "now"],
            lines: &lines,
        };
        let (area, stroke) = chart.path(&lines[0], 10.0);
        assert_eq!(stroke.matches('M').count(), 3, "{stroke}");
        assert_eq!(area.matches('Z').count(), 3, "{area}");
        assert!(stroke.ends_with("h0.01"), "{stroke}");
        let svg = chart.draw().into_string();
        assert!(svg.contains("role=\"img\" aria-label=\"a &lt;chart&gt;\""));
        assert!(!svg.contains("style="), "{svg}");
    }
}
