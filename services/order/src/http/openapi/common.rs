//! What several operations have in common.

use feed_chassis::list;
use feed_chassis::openapi::Operation;

/// When an address without parameters refuses a request.
pub(super) const NO_PARAMETERS: &str = "There is a parameter, and the address takes none";

/// Describes a list that can be searched, by number or by text in `about`.
pub(super) fn searched(operation: Operation, about: &'static str) -> Operation {
    operation.parameter(list::describe_search(about))
}

/// Describes the refusal of a request that a page of another site had a browser send.
pub(super) fn same_origin(change: Operation) -> Operation {
    change.problem(
        403,
        "A page of another site had a browser send this, or the credentials are for reading the feed",
    )
}
