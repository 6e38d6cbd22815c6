//! One planted fault: the producer with it, the consumer, and what must have become of the events.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::effects::Effects;
use super::gate::{Fault, Passed};
use super::process::{Consumer, PATIENCE, Printed, Shell};
use super::producer::{Producer, Published};
use super::{Checked, Events, Plan, Planted};
use crate::check::Verdict;

/// Events before the consumer starts.
const BACKLOG: usize = 12;

/// Answers with a fault before it is lifted.
const FAULTS: usize = 3;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The pause before a consumer that has ended is started again, as by a supervisor.
const RESTART: Duration = Duration::from_millis(300);

/// The most requests in a second to a feed that answers with errors.
const MOST_REQUESTS: usize = 8;

/// How often a consumer is killed.
const KILLS: u32 = 5;

type Outcome = (Verdict, Option<String>);

fn outcome(found: Option<String>) -> Outcome {
    match found {
        None => (Verdict::Good, None),
        Some(found) => (Verdict::Fault, Some(found)),
    }
}

/// A consumer that follows a feed with one fault.
pub(super) struct Case<'r> {
    plan: &'r Plan,
    events: &'r Events,
    planted: Planted,
    producer: Producer,
    consumer: Consumer,
    /// Effects before it.
    before: Effects,
    /// How the consumer ended last.
    ended: Option<ExitStatus>,
}

impl<'r> Case<'r> {
    /// Publishes the first events, plants the fault, and starts the consumer.
    pub(super) async fn new(
        plan: &'r Plan,
        consumer: &str,
        events: &'r Events,
        planted: Planted,
    ) -> Checked<Self> {
        let mut producer = Producer::start().await?;
        producer.publish(events, BACKLOG).await?;
        let fault = match planted {
            Planted::Duplicates => Fault::Duplicates,
            Planted::Gap => Fault::Gap(producer.published[BACKLOG / 2].id),
            Planted::Reordered => Fault::Reordered,
            Planted::ServerErrors => Fault::Errors,
            Planted::CutBody => Fault::Cut,
            Planted::NotModified => Fault::NotModified,
            Planted::LatePage => Fault::Late,
            Planted::SameSecond => Fault::Dates,
            Planted::Level
            | Planted::Redirect
            | Planted::Poison
            | Planted::Kill
            | Planted::AnotherHistory => Fault::None,
        };
        producer.gate.plant(fault);
        let shell = Shell {
            command: consumer.to_owned(),
            url: producer.url.clone(),
            fault: planted.name(),
        };
        let mut before = Effects::default();
        if let Some(command) = &plan.effects {
            // The consumer may still have to make its tables.
            let (status, text, _) = shell.of(command).output().await?;
            if status.success() {
                before = Effects::read(text.lines(), &events.ids());
            }
        }
        Ok(Self {
            consumer: Consumer::start(shell, plan.effects.is_none())?,
            plan,
            events,
            planted,
            producer,
            before,
            ended: None,
        })
    }

    pub(super) async fn run(mut self) -> Checked<Outcome> {
        let outcome = self.outcome().await?;
        // Lines on its own output may be anything.
        let stranger = match self.plan.effects {
            Some(_) => self.effects().await?.stranger(&self.before),
            None => None,
        };
        Ok(match stranger {
            Some(stranger) if outcome.0 == Verdict::Good => (Verdict::Fault, Some(stranger)),
            _ => outcome,
        })
    }

    async fn outcome(&mut self) -> Checked<Outcome> {
        match self.planted {
            Planted::Level => self.level().await,
            Planted::SameSecond => self.same_second().await,
            Planted::Redirect => self.redirect().await,
            Planted::Poison => self.poison().await,
            Planted::Kill => self.kill().await,
            Planted::AnotherHistory => self.another_history().await,
            _ => self.passes().await,
        }
    }

    async fn level(&mut self) -> Checked<Outcome> {
        if let Some(found) = self.all_taken(&self.published()).await? {
            if self.passed(|passed| passed.requests) == 0 {
                let url = &self.producer.url;
                return Err(format!(
                    "the consumer has not asked for {url} (FEED_URL): {found}"
                ));
            }
            return Ok(outcome(Some(found)));
        }
        // What it prints, it may print again.
        if self.plan.effects.is_some() {
            self.consumer.restart().await?;
        }
        self.becomes_level().await.map(outcome)
    }

    /// A fault that passes after some answers.
    async fn passes(&mut self) -> Checked<Outcome> {
        let begin = Instant::now();
        let is_outage = matches!(
            self.planted,
            Planted::ServerErrors | Planted::NotModified | Planted::CutBody
        );
        let mut published_meanwhile = false;
        loop {
            let (faults, busiest) = self.passed(|passed| (passed.faults, passed.busiest));
            if self.planted == Planted::LatePage && faults > 0 && !published_meanwhile {
                published_meanwhile = true;
                self.producer.publish(self.events, 3).await?;
            }
            // A slow machine lets a consumer that asks again at once look almost like one that waits.
            let is_unclear = (MOST_REQUESTS / 2..=MOST_REQUESTS).contains(&busiest);
            let least = Duration::from_secs(if is_unclear { 10 } else { 2 });
            let enough = faults >= FAULTS && (!is_outage || begin.elapsed() >= least);
            // Where it cannot be planted, or only once, nothing more comes.
            if enough || self.is_level().await? || begin.elapsed() > self.plan.patience {
                break;
            }
            self.supervise().await?;
            sleep(LOOK).await;
        }
        let (faults, busiest) = self.passed(|passed| (passed.faults, passed.busiest));
        self.producer.gate.plant(Fault::None);
        let found = self.becomes_level().await?;
        if found.is_none() && faults == 0 {
            let why = match self.planted {
                Planted::Gap | Planted::Reordered => {
                    "it has read no Atom, and JSON does not have this fault"
                }
                _ => "it has not asked for anything that can have this fault",
            };
            return Ok((Verdict::None, Some(why.to_owned())));
        }
        let hurry = (is_outage && busiest > MOST_REQUESTS)
            .then(|| format!("it asked {busiest} times in a second, while no answer was good"));
        Ok(outcome(found.or(hurry)))
    }

    /// Publishes two events in a second, the second one when the first was shown.
    async fn same_second(&mut self) -> Checked<Outcome> {
        if let Some(found) = self.all_taken(&self.published()).await? {
            return Ok(outcome(Some(found)));
        }
        for _ in 0..3 {
            let in_second = chrono::Utc::now().timestamp_subsec_millis();
            sleep(Duration::from_millis(1_000 - u64::from(in_second.min(999)))).await;
            self.producer.publish(self.events, 1).await?;
            let newest = self.producer.published.last().map(|event| event.id);
            let begin = Instant::now();
            let second = Duration::from_millis(900);
            while begin.elapsed() < second
                && !newest.is_some_and(|id| self.passed(|passed| passed.has_shown(id)))
            {
                sleep(Duration::from_millis(5)).await;
            }
            self.producer.publish(self.events, 1).await?;
        }
        // No newer event shows it.
        match self.all_taken(&self.published()).await? {
            Some(found) => Ok(outcome(Some(found))),
            None => self.becomes_level().await.map(outcome),
        }
    }

    /// Sends the consumer to another origin, which has another feed.
    async fn redirect(&mut self) -> Checked<Outcome> {
        if let Some(found) = self.all_taken(&self.published()).await? {
            return Ok(outcome(Some(found)));
        }
        let mut elsewhere = Producer::start().await?;
        elsewhere.publish(self.events, 2 * BACKLOG).await?;
        elsewhere.gate.plant(Fault::FromStart);
        let there = elsewhere.url.clone();
        self.producer.gate.plant(Fault::Redirect(there));
        self.producer.publish(self.events, 1).await?;
        let begin = Instant::now();
        while self.passed(|passed| passed.faults) < FAULTS && begin.elapsed() < self.plan.patience {
            self.supervise().await?;
            sleep(LOOK).await;
        }
        self.producer.gate.plant(Fault::None);
        let found = self.becomes_level().await?;
        let foreign = self.effects().await?.foreign(&elsewhere.published);
        let shown = elsewhere.gate.passed(|passed| passed.authorized);
        let shown = shown.then(|| "it has shown its credentials to another origin".to_owned());
        Ok(outcome(foreign.or(shown).or(found)))
    }

    async fn poison(&mut self) -> Checked<Outcome> {
        if let Some(found) = self.all_taken(&self.published()).await? {
            return Ok(outcome(Some(found)));
        }
        let poison = self.producer.poison(self.events).await?;
        self.producer.publish(self.events, 3).await?;
        let others: Vec<Published> = self
            .published()
            .into_iter()
            .filter(|event| event.number != poison)
            .collect();
        let found = match self.all_taken(&others).await? {
            Some(found) => Some(found),
            None => self.effects().await?.wrong(&others),
        };
        Ok(outcome(found))
    }

    /// Kills the consumer at other moments each time: soon after it got events.
    async fn kill(&mut self) -> Checked<Outcome> {
        if self.plan.effects.is_none() {
            let why = "what it prints is not undone by a crash: give --effects";
            return Ok((Verdict::None, Some(why.to_owned())));
        }
        for kill in 0..KILLS {
            let known = self.passed(|passed| passed.documents);
            self.producer.publish(self.events, 6).await?;
            let begin = Instant::now();
            while self.passed(|passed| passed.documents) == known
                && begin.elapsed() < self.plan.patience
            {
                sleep(Duration::from_millis(2)).await;
            }
            sleep(Duration::from_millis(u64::from(kill * 11))).await;
            self.consumer.kill().await?;
        }
        self.becomes_level().await.map(outcome)
    }

    /// Replaces the feed by one with more events, as if its database had been lost.
    async fn another_history(&mut self) -> Checked<Outcome> {
        let before = self.published();
        if let Some(found) = self.all_taken(&before).await? {
            return Ok(outcome(Some(found)));
        }
        let known = self.consumer.printed(|printed| printed.lines);
        self.producer.become_another().await?;
        self.producer.publish(self.events, 2 * BACKLOG).await?;
        let begin = Instant::now();
        let mut says_so = false;
        while begin.elapsed() < self.plan.patience {
            let ended = self.consumer.ended();
            let has_ended = ended.is_some();
            says_so = ended.is_some_and(|status| !status.success())
                || self.consumer.printed(|printed| printed.lines) > known;
            let foreign = self.effects().await?.foreign(&self.producer.published);
            let has_asked = self.passed(|passed| passed.requests) > FAULTS;
            if foreign.is_some() || has_ended || (says_so && has_asked) {
                break;
            }
            sleep(LOOK).await;
        }
        // What it is doing now.
        sleep(Duration::from_secs(1)).await;
        let effects = self.effects().await?;
        let found = effects
            .foreign(&self.producer.published)
            .or_else(|| effects.wrong(&before));
        let silent = (!says_so).then(|| "it has stopped, and has printed no reason".to_owned());
        Ok(outcome(found.or(silent)))
    }

    /// Publishes more events, and returns what is wrong when all have been taken, or when patience ends.
    async fn becomes_level(&mut self) -> Checked<Option<String>> {
        // When the effect of the last one is there, another effect of an earlier one is there too.
        for count in [3, 1] {
            self.producer.publish(self.events, count).await?;
            if let Some(found) = self.all_taken(&self.published()).await? {
                return Ok(Some(found));
            }
        }
        Ok(self.effects().await?.wrong(&self.published()))
    }

    /// Waits until these events have an effect; returns which have none when patience ends.
    async fn all_taken(&mut self, events: &[Published]) -> Checked<Option<String>> {
        let begin = Instant::now();
        loop {
            let effects = self.effects().await?;
            let Some(missing) = effects.missing(events) else {
                return Ok(None);
            };
            if begin.elapsed() > self.plan.patience {
                let stranger = effects.stranger(&self.before);
                let ended = self.ended.map(|status| format!("it has ended: {status}"));
                let said = self.consumer.printed(Printed::last);
                let said = said.map(|said| format!("it said: {said}"));
                let more = [stranger, ended, said].into_iter().flatten();
                return Ok(Some(
                    more.fold(missing, |text, more| text + "\n       " + &more),
                ));
            }
            self.supervise().await?;
            sleep(LOOK).await;
        }
    }

    async fn is_level(&self) -> Checked<bool> {
        let missing = self.effects().await?.missing(&self.producer.published);
        Ok(missing.is_none())
    }

    /// Starts a consumer again that has ended.
    async fn supervise(&mut self) -> Checked<()> {
        if let Some(status) = self.consumer.ended() {
            self.ended = Some(status);
            sleep(RESTART).await;
            self.consumer.restart().await?;
        }
        Ok(())
    }

    async fn effects(&self) -> Checked<Effects> {
        let Some(command) = &self.plan.effects else {
            return Ok(self.consumer.printed(|printed| {
                let lines = printed.effects.iter().map(String::as_str);
                Effects::read(lines, &self.events.ids())
            }));
        };
        let shell = self.consumer.shell().of(command);
        let begin = Instant::now();
        loop {
            let (status, out, err) = shell.output().await?;
            if status.success() {
                return Ok(Effects::read(out.lines(), &self.events.ids()));
            }
            // The consumer may still have to make its tables, or have locked them.
            if begin.elapsed() > PATIENCE {
                return Err(format!("`{command}` failed ({status}): {err}"));
            }
            sleep(LOOK).await;
        }
    }

    fn published(&self) -> Vec<Published> {
        self.producer.published.clone()
    }

    fn passed<T>(&self, look: impl FnOnce(&Passed) -> T) -> T {
        self.producer.gate.passed(look)
    }
}
