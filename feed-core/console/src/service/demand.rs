//! A comparison of what a service has stored with what events demand, for services that keep one record for each
//! subject: an event demands the record, and another one may end it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};

use feed_core::Received;
use feed_core::consumer::{Compared, Difference, Kind, Sum};

/// Records that are read at once.
const PAGE: i64 = 500;

/// What the events demand, by the subject's key: `T` is what one demands of a record, `E` what another one says that ends
/// it. A subject takes less than a hundred bytes beside these.
#[derive(Debug)]
pub struct Demands<K, T, E> {
    by_key: HashMap<K, Demand<T, E>>,
    /// True if all events were seen, from the first one on.
    from_the_first: bool,
}

/// What the events of one subject demand.
#[derive(Debug)]
pub struct Demand<T, E> {
    /// The record that an event demands.
    pub record: Option<T>,
    /// What the event says that ends it.
    pub ended: Option<Box<E>>,
    /// True if an event of the subject has no effect, or not yet: then nothing is demanded.
    left_out: bool,
}

/// A stored record that is compared with its [`Demand`].
pub trait Demanded: Sized + Send {
    /// The key of its subject.
    type Key: Copy + Ord + Hash + Display + Send;
    /// What an event demands of it.
    type Demand: Send;
    /// What an event says that ends it.
    type End: Send;

    /// The kind of its subject, which stands before the key: `order`.
    const SUBJECT: &'static str;

    /// The key of its subject.
    fn key(&self) -> Self::Key;

    /// Describes what is wrong with the record.
    fn differences(&self, demand: &Demand<Self::Demand, Self::End>) -> Vec<String>;

    /// Returns an amount of the demand, in units of the last of its [`DECIMALS`](Self::DECIMALS), and the name of the
    /// sum that it belongs to.
    fn demanded_amount(_demand: &Self::Demand) -> Option<(String, i64)> {
        None
    }

    /// Returns the same amount of the record, and the name of its sum.
    fn amount(&self) -> Option<(String, i64)> {
        None
    }

    /// The decimals of amounts.
    const DECIMALS: usize = 2;

    /// Describes a record that no event demands.
    fn undemanded(&self) -> String;

    /// Describes that there is no record although events demand one, if they do.
    fn missing(demand: &Demand<Self::Demand, Self::End>) -> Option<String>;
}

impl<K, T, E> Default for Demands<K, T, E> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            from_the_first: false,
        }
    }
}

impl<T, E> Default for Demand<T, E> {
    fn default() -> Self {
        Self {
            record: None,
            ended: None,
            left_out: false,
        }
    }
}

impl<K: Copy + Ord + Hash, T, E> Demands<K, T, E> {
    /// Records that the event was seen, even if it demands nothing.
    pub fn see(&mut self, event: &Received) {
        self.from_the_first |= event.sequence == Some(1);
    }

    /// Leaves subjects out, since an event of them has no effect.
    pub fn leave_out(&mut self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            self.by_key.entry(key).or_default().left_out = true;
        }
    }

    /// Demands a record. What an earlier event has demanded stays.
    pub fn record(&mut self, key: K, record: T) {
        let demand = self.by_key.entry(key).or_default();
        demand.record.get_or_insert(record);
    }

    /// Returns the record that an event demands of the subject, if one does.
    pub fn demanded(&mut self, key: K) -> Option<&mut T> {
        self.by_key.get_mut(&key)?.record.as_mut()
    }

    /// Demands that the record is ended. What an earlier event has said stays.
    pub fn end(&mut self, key: K, end: E) {
        let demand = self.by_key.entry(key).or_default();
        demand.ended.get_or_insert_with(|| Box::new(end));
    }

    /// Compares all records with the demands. `page` reads so many with keys below a key, or of all at first, highest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn compare<R: Demanded<Key = K, Demand = T, End = E>, F>(
        mut self,
        page: impl Fn(Option<K>, i64) -> F,
    ) -> sqlx::Result<Compared>
    where
        F: Future<Output = sqlx::Result<Vec<R>>>,
    {
        let (mut differences, mut equal) = (Vec::new(), 0);
        let mut sums = Sums::default();
        let mut before = None;
        loop {
            let records = page(before, PAGE).await?;
            let Some(last) = records.last() else { break };
            before = Some(last.key());
            for record in &records {
                let (kind, wrong) = match self.by_key.remove(&record.key()) {
                    Some(demand) if demand.left_out => continue,
                    Some(demand) => {
                        if let Some(demanded) = &demand.record {
                            sums.demand(R::demanded_amount(demanded));
                            sums.store(record.amount());
                        }
                        (Kind::Different, record.differences(&demand))
                    }
                    None if self.from_the_first => (Kind::Unexplained, vec![record.undemanded()]),
                    None => continue,
                };
                equal += u64::from(wrong.is_empty());
                let about = |what| difference::<R>(record.key(), what, kind);
                differences.extend(wrong.into_iter().map(about));
            }
        }
        let mut missing: Vec<(K, Demand<T, E>)> = self.by_key.into_iter().collect();
        missing.sort_unstable_by_key(|(key, _)| *key);
        for (key, demand) in missing.iter().filter(|(_, demand)| !demand.left_out) {
            sums.demand(demand.record.as_ref().and_then(R::demanded_amount));
            let missing = R::missing(demand);
            differences.extend(missing.map(|what| difference::<R>(*key, what, Kind::Missing)));
        }
        Ok(Compared {
            differences,
            equal,
            sums: sums.written(R::DECIMALS),
        })
    }
}

fn difference<R: Demanded>(key: R::Key, what: String, kind: Kind) -> Difference {
    Difference {
        id: format!("{}/{key}", R::SUBJECT),
        what,
        kind,
    }
}

/// Sums by name: of what is demanded, and of what is stored. An `i128` holds more amounts than
/// there can be.
#[derive(Default)]
struct Sums(BTreeMap<String, [i128; 2]>);

impl Sums {
    fn demand(&mut self, amount: Option<(String, i64)>) {
        self.add(0, amount);
    }

    fn store(&mut self, amount: Option<(String, i64)>) {
        self.add(1, amount);
    }

    fn add(&mut self, side: usize, amount: Option<(String, i64)>) {
        if let Some((name, amount)) = amount {
            self.0.entry(name).or_default()[side] += i128::from(amount);
        }
    }

    fn written(self, decimals: usize) -> BTreeMap<String, Sum> {
        let sums = self.0.into_iter().map(|(name, sides)| {
            let [events, stored] = sides.map(|sum| decimal(sum, decimals));
            (name, Sum { events, stored })
        });
        sums.collect()
    }
}

/// Writes a number of units of the last decimal: `8400` with two decimals is `84.00`.
fn decimal(units: i128, decimals: usize) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>1$}", units.unsigned_abs(), decimals + 1);
    match digits.split_at(digits.len() - decimals) {
        (whole, "") => format!("{sign}{whole}"),
        (whole, rest) => format!("{sign}{whole}.{rest}"),
    }
}

/// A number that stands for a value: different values have the same one with a negligible probability.
#[must_use]
pub fn fingerprint(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
