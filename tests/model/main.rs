//! The two protocols that everything rests on, as small models of which a checker visits every
//! state: `sequencer` is how events get their sequences, `lease` how several instances share a
//! subscription; the models are in `harness::model`. Each holds as it is, and breaks as soon as one of its guards is removed: the
//! checker then finds the shortest path to that, which `cargo test -p harness --test model --
//! --nocapture` prints.
//!
//! A model that nothing real follows proves nothing. So `lives` records what real processes commit, and replays it in the
//! models, as `tests/instances` does with each of its seeds: each step must be one of the model. What a model forbids is
//! a fault of the code or of the model.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lease;
mod lives;
mod sequencer;

use std::collections::BTreeSet;
use std::fmt::{Debug, Display, Write};
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path, Property};

/// No path to a fault is as long as that.
const LONGEST: usize = 20;

/// Visits all states: each property holds, and what should be possible is. States with the same
/// `representative` are visited once.
fn holds<M>(model: M, representative: fn(&M::State) -> M::State)
where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync> + Send + Sync + 'static,
    M::Action: Clone + Debug + Display + PartialEq,
{
    let begin = Instant::now();
    let checker = model.checker().symmetry_fn(representative);
    let checker = checker.spawn_dfs().join();
    for Property {
        name, expectation, ..
    } in checker.model().properties()
    {
        match (expectation, checker.discovery(name)) {
            (Expectation::Sometimes, found) => assert!(found.is_some(), "never: {name}"),
            (_, Some(path)) => panic!("{}", describe(name, path)),
            (_, None) => {}
        }
    }
    println!(
        "{} steps to {} states in {:.1?}",
        checker.state_count(),
        checker.unique_state_count(),
        begin.elapsed()
    );
}

/// Finds and prints the shortest path to a state in which a property does not hold.
fn breaks<M>(model: M, name: &'static str)
where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync> + Clone + Send + Sync + 'static,
    M::Action: Clone + Debug + Display + PartialEq,
{
    let way = (1..LONGEST).find_map(|depth| {
        let found = HasDiscoveries::AnyOf(BTreeSet::from([name]));
        let checker = model.clone().checker().target_max_depth(depth);
        let checker = checker.finish_when(found).spawn_bfs().join();
        checker.discovery(name)
    });
    let way = way.unwrap_or_else(|| panic!("it holds all the same: {name}"));
    println!("{}", describe(name, way));
}

/// A path as text.
fn describe<S, A: Display>(name: &str, path: Path<S, A>) -> String {
    let mut text = format!("It is not so that {name}:");
    for (number, action) in path.into_actions().iter().enumerate() {
        write!(text, "\n{:3}. {action}", number + 1).unwrap();
    }
    text
}
