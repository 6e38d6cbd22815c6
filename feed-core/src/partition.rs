//! Partitions of the subjects of a feed, by which the instances of a consumer share its events.
//!
//! Public contract: a reader names its partitions in a request, and stored cursors rest on them.

use std::fmt;
use std::str::FromStr;

/// The number of partitions that the instances of a consumer share. Fixed: the partition of a subject must never change while its events
/// are in flight.
pub(crate) const PARTITIONS: i64 = 16;

/// Returns the partition of a subject.
pub(crate) fn partition_of(subject: &str) -> i64 {
    let hash = stable_hash(subject);
    // The low bits of FNV-1a depend on few bits of short keys; folding mixes the high ones in.
    let folded = hash ^ (hash >> 32);
    i64::from((folded % 16) as u8)
}

/// Returns FNV-1a of the bytes of `text`. It is implemented here, since a library's hash may change with
/// its version, and with it the order of events; what is stored rests on it.
pub(crate) fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Some of the partitions. As text: their numbers, ascending, with a space between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Partitions(u16);

impl Partitions {
    /// Returns true if `subject` is in one of them.
    #[cfg(any(test, feature = "publish"))]
    pub(crate) fn contain(self, subject: &str) -> bool {
        self.0 & (1 << partition_of(subject)) != 0
    }

    /// Returns true if all of `others` are among them.
    #[cfg(any(test, feature = "consume"))]
    pub(crate) fn include(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    pub(crate) fn are_all(self) -> bool {
        self.0 == u16::MAX
    }
}

impl FromIterator<i64> for Partitions {
    /// Ignores numbers that no partition has.
    fn from_iter<I: IntoIterator<Item = i64>>(numbers: I) -> Self {
        let known = numbers
            .into_iter()
            .filter(|number| (0..PARTITIONS).contains(number));
        Self(known.fold(0, |set, number| set | (1 << number)))
    }
}

impl fmt::Display for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = (0..PARTITIONS).filter(|number| self.0 & (1 << number) != 0);
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        f.write_str(&numbers.join(" "))
    }
}

/// The text names no partitions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidPartitions;

impl FromStr for Partitions {
    type Err = InvalidPartitions;

    fn from_str(text: &str) -> Result<Self, InvalidPartitions> {
        let numbers = text.split(' ').map(|number| {
            let number: i64 = number.parse().map_err(|_| InvalidPartitions)?;
            match (0..PARTITIONS).contains(&number) {
                true => Ok(number),
                false => Err(InvalidPartitions),
            }
        });
        numbers.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [i64; 3] = [4, 2, 1];

    #[test]
    fn subjects_spread_over_all_partitions_and_stay_there() {
        // Golden: a change here reorders events of a running system.
        assert_eq!(partition_of("order/1"), GOLDEN[0]);
        assert_eq!(partition_of("order/17"), GOLDEN[1]);
        assert_eq!(partition_of(""), GOLDEN[2]);
        let mut sizes = [0_u32; PARTITIONS as usize];
        for id in 1..=16_000 {
            let partition = partition_of(&format!("order/{id}"));
            sizes[usize::try_from(partition).expect("not negative")] += 1;
        }
        assert!(
            sizes.iter().all(|size| (800..1200).contains(size)),
            "{sizes:?}"
        );
    }

    #[test]
    fn some_partitions_have_a_text() {
        let some: Partitions = [4, 15, 0, 4].into_iter().collect();
        assert_eq!(some.to_string(), "0 4 15");
        assert_eq!("15 0 4".parse(), Ok(some));
        assert!(some.contain("order/1") && !some.contain("order/17"));
        assert!(some.include("0 15".parse().expect("two")));
        assert!(!some.include("0 1".parse().expect("two")));
        assert!(!some.are_all() && (0..16).collect::<Partitions>().are_all());
        for wrong in ["", "16", "-1", "1,2", "1  2", " 1", "x"] {
            assert_eq!(
                wrong.parse::<Partitions>(),
                Err(InvalidPartitions),
                "{wrong}"
            );
        }
    }
}
