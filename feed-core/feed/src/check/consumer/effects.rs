//! What a consumer has made of the events: whether each had one effect.

use std::collections::HashMap;

use super::producer::Published;

/// Effects, each by the number of its event.
#[derive(Debug, Default)]
pub(super) struct Effects {
    numbers: Vec<u64>,
    /// Lines that name no event of this run.
    strangers: Vec<String>,
}

impl Effects {
    /// Reads lines; each is the number of an event or its id.
    pub(super) fn read<'l>(
        lines: impl Iterator<Item = &'l str>,
        ids: &HashMap<String, u64>,
    ) -> Self {
        let mut effects = Self::default();
        for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
            let name = line.trim_matches('"');
            let name = name.to_ascii_lowercase();
            let id = name.strip_prefix("urn:uuid:").unwrap_or(&name);
            let number = name
                .parse()
                .ok()
                .filter(|number| ids.values().any(|known| known == number));
            match ids.get(id).copied().or(number) {
                Some(number) => effects.numbers.push(number),
                None => effects.strangers.push(line.to_owned()),
            }
        }
        effects
    }

    fn count(&self, number: u64) -> usize {
        self.numbers
            .iter()
            .filter(|known| **known == number)
            .count()
    }

    /// Returns an effect that is of no event, and was not there `before`.
    pub(super) fn stranger(&self, before: &Self) -> Option<String> {
        let mut known = before.strangers.clone();
        let is_new = |line: &&String| match known.iter().position(|known| known == *line) {
            Some(place) => {
                known.swap_remove(place);
                false
            }
            None => true,
        };
        let line = self.strangers.iter().find(is_new)?;
        let line: String = line.chars().filter(|c| !c.is_control()).take(80).collect();
        Some(format!("there is an effect of no event: {line}"))
    }

    /// Returns which of these events have no effect.
    pub(super) fn missing(&self, expected: &[Published]) -> Option<String> {
        let is_missing = |event: &&Published| self.count(event.number) == 0;
        let missing: Vec<&Published> = expected.iter().filter(is_missing).collect();
        let first = missing.first()?.number;
        let all = expected.len();
        Some(match missing.len() {
            1 => format!("event {first} has no effect"),
            count => format!("{count} of {all} events have no effect, the first is {first}"),
        })
    }

    /// Returns which of these events has more than one effect, or one before an earlier event of its subject.
    pub(super) fn wrong(&self, events: &[Published]) -> Option<String> {
        let doubled: Vec<u64> = events
            .iter()
            .map(|event| event.number)
            .filter(|number| self.count(*number) > 1)
            .collect();
        if let Some(first) = doubled.first() {
            let (count, all) = (doubled.len(), events.len());
            return Some(match count {
                1 => format!("event {first} has {} effects", self.count(*first)),
                _ => format!(
                    "{count} of {all} events have more than one effect, the first is {first}"
                ),
            });
        }
        let place = |event: &Published| {
            let mut effects = self.numbers.iter();
            effects.position(|number| *number == event.number)
        };
        events.windows(2).find_map(|two| {
            let (earlier, later) = (&two[0], &two[1]);
            let is_late = earlier.subject == later.subject && place(later)? < place(earlier)?;
            let (earlier, later) = (earlier.number, later.number);
            is_late.then(|| {
                format!("event {later} has its effect before event {earlier} of the same subject")
            })
        })
    }

    /// Returns how many of these events have an effect, which none should have.
    pub(super) fn foreign(&self, events: &[Published]) -> Option<String> {
        let taken = events.iter().filter(|event| self.count(event.number) > 0);
        match taken.count() {
            0 => None,
            count => Some(format!("{count} events of another feed have an effect")),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use feed_core::EventId;

    use super::*;

    fn events(numbers: &[u64]) -> Vec<Published> {
        let event = |number: &u64| Published {
            number: *number,
            id: EventId::new(),
            subject: format!("order/{}", number.div_ceil(2)),
        };
        numbers.iter().map(event).collect()
    }

    #[test]
    fn what_is_lost_doubled_foreign_or_too_early_is_named() {
        let known = events(&[1, 2, 3, 4]);
        let id = |event: &Published| (event.id.to_string(), event.number);
        let other = events(&[9]);
        let all = known.iter().chain(&other).map(id).collect();
        let of = |lines: &str| Effects::read(lines.lines(), &all);
        let missing = of("1\n2").missing(&known).unwrap();
        assert_eq!(missing, "2 of 4 events have no effect, the first is 3");
        let wrong = of("1\n2\n2\n3\n4").wrong(&known).unwrap();
        assert_eq!(wrong, "event 2 has 2 effects");
        let wrong = of("1\n2\n4\n3").wrong(&known).unwrap();
        assert!(wrong.starts_with("event 4 has its effect before event 3"));
        assert!(of("3\n4\n1\n2").wrong(&known).is_none(), "other subjects");
        assert!(of("1\n9").foreign(&other).is_some());
        // What was there before does not count, but another one like it does.
        let before = of("0\nhello");
        assert_eq!(of("hello\n1\n0").stranger(&before), None);
        let stranger = of("hello\n0\n0").stranger(&before).unwrap();
        assert_eq!(stranger, "there is an effect of no event: 0");
        // By their ids.
        let ids = format!("urn:uuid:{}\n\"{}\"\n3\n4", known[0].id, known[1].id).to_uppercase();
        assert_eq!(of(&ids).missing(&known), None);
    }
}
