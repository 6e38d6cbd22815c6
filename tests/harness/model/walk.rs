//! A walk through the states of a model along what a real run has committed.

use std::fmt::Display;

use stateright::{Expectation, Model};

/// The lines before a refused step that are shown.
const SHOWN: usize = 16;

/// Where the walk is, and what came before.
#[derive(Debug, Clone)]
pub(super) struct Walk<M: Model> {
    pub(super) model: M,
    pub(super) state: M::State,
    pub(super) steps: usize,
    before: Vec<String>,
}

impl<M: Model<Action: Clone + Display + PartialEq>> Walk<M> {
    /// At the only state in which `model` begins.
    pub(super) fn new(model: M) -> Self {
        Self {
            state: model.init_states().remove(0),
            model,
            steps: 0,
            before: Vec::new(),
        }
    }

    pub(super) fn allows(&self, action: &M::Action) -> bool {
        let mut actions = Vec::new();
        self.model.actions(&self.state, &mut actions);
        actions.contains(action)
    }

    /// Takes a step, if the model allows it and everything still holds.
    pub(super) fn take(&mut self, action: M::Action) -> Result<(), String> {
        if !self.allows(&action) {
            return Err(format!("the model forbids that {action}"));
        }
        self.before.push(format!("    {action}"));
        let next = self.model.next_state(&self.state, action);
        self.state = next.ok_or("the model does nothing then")?;
        self.steps += 1;
        let broken = self.model.properties().into_iter().find(|property| {
            property.expectation == Expectation::Always
                && !(property.condition)(&self.model, &self.state)
        });
        match broken {
            Some(property) => Err(format!("it is not so that {}", property.name)),
            None => Ok(()),
        }
    }

    /// Records what was committed by the steps before.
    pub(super) fn record(&mut self, committed: &impl Display) {
        self.before.push(committed.to_string());
    }

    /// Says what the model forbids, and what came before.
    pub(super) fn describe(&self, committed: &impl Display, why: &str) -> String {
        let before = &self.before[self.before.len().saturating_sub(SHOWN)..];
        format!("{}\nand then {committed}:\n{why}", before.join("\n"))
    }
}
