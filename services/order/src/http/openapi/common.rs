//! What several operations have in common.

use feed_chassis::list;
use feed_chassis::openapi::Operation;

/// Describes a list that can be searched.
pub(super) fn searched(operation: Operation) -> Operation {
    operation.parameter(list::describe_search("Only what has this text in it"))
}

/// Describes the refusal of a request that a page of another site had a browser send.
pub(super) fn same_origin(change: Operation) -> Operation {
    change.problem(403, "A page of another site had a browser send this")
}
