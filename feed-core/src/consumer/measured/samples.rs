//! How far a subscription was at each minute of the last day, in memory: what charts show, and what
//! says whether it catches up. State without I/O.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::Serialize;

use crate::event::Sequence;

/// The time between two samples.
pub(in crate::consumer) const EVERY: Duration = Duration::from_secs(60);

/// A day of them, 32 bytes each.
const KEPT: usize = 24 * 60 + 1;

/// The pace is measured since a sample of at least this age, so that it is that of about a minute.
const USUAL: TimeDelta = TimeDelta::seconds(30);

/// A shorter time has no pace: a partition without events stores its cursor some seconds late.
const SHORTEST: TimeDelta = TimeDelta::seconds(10);

/// Seconds of work that may be on its way at any moment: a consumer that is so near keeps up, whichever
/// way the last events moved it.
const NEAR: f64 = 5.0;

/// How far all instances of a subscription were at a time, by what they had stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When that was.
    pub at: DateTime<Utc>,
    /// The last event taken, in the partition that was furthest behind.
    pub sequence: Sequence,
    /// The newest event seen in the feed.
    pub head: Sequence,
}

impl Sample {
    /// Returns the number of events that were not taken yet.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.head.saturating_sub(self.sequence).max(0)
    }
}

/// How fast a subscription follows its feed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Pace {
    /// Events a second that all instances took together.
    pub taken: f64,
    /// Events a second by which the newest event seen in the feed moved meanwhile.
    pub published: f64,
    /// The seconds in which both were measured: about a minute, less after a start.
    pub seconds: i64,
    /// The seconds until all events are taken, if the pace stays; 0 if they are; `null` if the
    /// subscription does not catch up. What it takes within five seconds is no lag to catch up from.
    pub level_in: Option<i64>,
}

impl Pace {
    /// Returns the pace between two samples; `None` if they are too close, or if the cursor or the
    /// feed moved back between them: by a replay, or to another feed.
    #[must_use]
    pub(in crate::consumer) fn between(then: &Sample, now: &Sample) -> Option<Self> {
        let time = now.at - then.at;
        let (taken, published) = (now.sequence - then.sequence, now.head - then.head);
        if time < SHORTEST || taken < 0 || published < 0 {
            return None;
        }
        let a_second = |events: i64| events as f64 / time.as_seconds_f64();
        let closing = a_second(taken - published);
        let level_in = match now.lag() {
            0 => Some(0),
            lag if lag as f64 <= NEAR * a_second(taken) => {
                Some((lag as f64 / a_second(taken)).ceil() as i64)
            }
            lag if closing > 0.0 => Some((lag as f64 / closing).ceil() as i64),
            _ => None,
        };
        let rounded = |pace: f64| (pace * 1000.0).round() / 1000.0;
        Some(Self {
            taken: rounded(a_second(taken)),
            published: rounded(a_second(published)),
            seconds: time.num_seconds(),
            level_in,
        })
    }
}

/// The samples of the last day, oldest first.
#[derive(Debug, Default)]
pub(in crate::consumer) struct Samples(Mutex<VecDeque<Sample>>);

impl Samples {
    /// Adds a sample, and drops those that are older than a day.
    pub(in crate::consumer) fn push(&self, sample: Sample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let day = EVERY * KEPT as u32;
        while samples.len() >= KEPT
            || samples.front().is_some_and(|oldest| {
                // Minutes without a sample: the database did not answer, or the machine slept.
                (sample.at - oldest.at).to_std().is_ok_and(|age| age > day)
            })
        {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Returns all samples, oldest first.
    pub(in crate::consumer) fn all(&self) -> Vec<Sample> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().copied().collect()
    }

    /// Returns the pace until `now`, since the newest sample that is old enough.
    pub(in crate::consumer) fn pace(&self, now: &Sample) -> Option<Pace> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old_enough = |sample: &&Sample| now.at - sample.at >= USUAL;
        let usual = samples.iter().rev().find(old_enough);
        Pace::between(usual.or(samples.front())?, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: i64, sequence: Sequence, head: Sequence) -> Sample {
        Sample {
            at: DateTime::UNIX_EPOCH + TimeDelta::seconds(second),
            sequence,
            head,
        }
    }

    #[test]
    fn the_time_until_it_is_level_counts_what_is_published_meanwhile() {
        let pace = |now: Sample| Pace::between(&sample(0, 1_000, 5_000), &now);
        // 20 a second are taken, 5 published, and 3,100 are missing.
        let catches_up = pace(sample(60, 2_200, 5_300)).expect("a pace");
        assert_eq!(catches_up.taken, 20.0);
        assert_eq!(catches_up.published, 5.0);
        assert_eq!(catches_up.seconds, 60);
        assert_eq!(catches_up.level_in, Some(207));
        let level = pace(sample(60, 5_300, 5_300)).expect("a pace");
        assert_eq!(level.level_in, Some(0));
        let falls_behind = pace(sample(60, 1_060, 5_120)).expect("a pace");
        assert_eq!(falls_behind.level_in, None);
        let keeps_its_distance = pace(sample(60, 1_060, 5_060)).expect("a pace");
        assert_eq!(keeps_its_distance.level_in, None);
        // Under load some events are always on their way: 10 a second came and were taken, but for 2.
        let keeps_up =
            Pace::between(&sample(0, 1_000, 1_000), &sample(60, 1_598, 1_600)).expect("a pace");
        assert_eq!(keeps_up.level_in, Some(1));
        // A replay moved the cursor back; another feed is shorter; too short a time.
        assert_eq!(pace(sample(60, 10, 5_000)), None);
        assert_eq!(pace(sample(60, 1_000, 5)), None);
        assert_eq!(pace(sample(5, 1_100, 5_000)), None);
    }

    #[test]
    fn the_pace_is_that_of_about_a_minute() {
        let samples = Samples::default();
        assert_eq!(samples.pace(&sample(0, 0, 0)), None);
        for minute in 0..5 {
            samples.push(sample(minute * 60, minute * 600, 10_000));
        }
        // The sample of this minute is too young to say anything.
        let pace = samples.pace(&sample(245, 2_500, 10_000)).expect("a pace");
        assert_eq!((pace.seconds, pace.taken), (65, 10.769));
        let pace = samples.pace(&sample(275, 2_500, 10_000)).expect("a pace");
        assert_eq!(pace.seconds, 35);
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let samples = Samples::default();
        for minute in 0..3_000 {
            samples.push(sample(minute * 60, minute, minute));
        }
        let kept = samples.all();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept.last().expect("a sample").sequence, 2_999);
        // The machine slept for two days.
        samples.push(sample(3_000 * 60 + 2 * 86_400, 3_000, 3_000));
        assert_eq!(samples.all().len(), 1);
    }
}
