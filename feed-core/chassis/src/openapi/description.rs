//! What a service says of its operations.

use super::operation::Operation;

/// The service that is described.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The name of the service.
    pub title: &'static str,
    /// Its purpose, in a few sentences of Markdown.
    pub description: &'static str,
    /// The version of its interface.
    pub version: &'static str,
}

/// The operations of a service, or of a part of one, in groups.
#[derive(Debug, Default)]
pub struct Description {
    pub(super) groups: Vec<Group>,
}

/// Operations that belong together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) operations: Vec<Operation>,
}

impl Description {
    /// Creates one group of operations.
    #[must_use]
    pub fn of(
        name: &'static str,
        about: &'static str,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Self {
        let group = Group {
            name,
            about,
            operations: operations.into_iter().collect(),
        };
        Self {
            groups: vec![group],
        }
    }

    /// Appends another description.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.groups.extend(other.groups);
        self
    }
}
