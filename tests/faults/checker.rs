//! The checker: reads what a run has left, and checks V1 to V12 one by one.

use std::path::Path;

use crate::evidence::Evidence;
use crate::operators;
use crate::rules::{self, Checked};
use crate::seen;
use crate::sent;

type Rule = fn(&Evidence) -> Checked;

/// All of them, by their names.
const RULES: [(&str, Rule); 12] = [
    ("V1 no loss", v1_no_loss),
    ("V2 no phantom", v2_no_phantom),
    ("V3 dense and immutable", v3_dense_and_immutable),
    ("V4 in order", v4_in_order),
    ("V5 exactly one effect", v5_exactly_one_effect),
    ("V6 cursors", rules::v6_cursors),
    ("V7 fencing", rules::v7_fencing),
    ("V8 no 304 hides an event", v8_no_304_hides_an_event),
    ("V9 durable", seen::v9_durable),
    ("V10 independent", seen::v10_independent),
    ("V11 live", v11_live),
    ("V12 bounded", rules::v12_bounded),
];

/// Every change is in the feed, and every event of the feed at every consumer and at the webhook.
fn v1_no_loss(evidence: &Evidence) -> Checked {
    rules::v1_no_loss(evidence)?;
    sent::v1_all_acknowledged(evidence)
}

/// Every event describes a change, and nothing but an event is sent to the webhook.
fn v2_no_phantom(evidence: &Evidence) -> Checked {
    rules::v2_no_phantom(evidence)?;
    sent::v2_nothing_else(evidence)
}

/// The events of one subject are published, applied and sent in their order.
fn v4_in_order(evidence: &Evidence) -> Checked {
    rules::v4_in_order(evidence)?;
    sent::v4_in_order(evidence)
}

/// One effect in a database, and hardly more than one at the webhook.
fn v5_exactly_one_effect(evidence: &Evidence) -> Checked {
    rules::v5_exactly_one_effect(evidence)?;
    sent::v5_no_more_than_needed(evidence)?;
    operators::v5_nothing_differs(evidence)
}

/// A `304` says that nothing is newer, a tag and a date say what they mean.
fn v8_no_304_hides_an_event(evidence: &Evidence) -> Checked {
    seen::v8_no_304_hides_an_event(evidence)?;
    seen::v8_a_tag_is_of_one_document(evidence)?;
    seen::v8_dates_never_go_back(evidence)
}

/// Soon after the last fault everything is applied and read, operators see that, and no program has failed.
fn v11_live(evidence: &Evidence) -> Checked {
    rules::v11_live(evidence)?;
    seen::v11_answers(evidence)?;
    seen::v11_all_is_read(evidence)?;
    operators::v11_status_is_right(evidence)?;
    operators::v11_no_panic(evidence)
}

/// The sequence is 1, 2, 3 …, no answer leaves one out, and the event of a sequence is the same in every answer.
fn v3_dense_and_immutable(evidence: &Evidence) -> Checked {
    rules::v3_dense(evidence)?;
    seen::v3_complete(evidence)?;
    seen::v3_immutable(evidence)
}

/// What a run that left `directory` has violated.
pub(crate) fn violations(directory: &Path) -> Vec<String> {
    violations_of(&Evidence::read(directory))
}

pub(crate) fn violations_of(evidence: &Evidence) -> Vec<String> {
    RULES
        .iter()
        .filter_map(|rule| violation(rule, evidence))
        .collect()
}

/// How the rule of this number is violated, such as `V1`.
pub(crate) fn violation_of(number: &str, evidence: &Evidence) -> Option<String> {
    let named = |(name, _): &&(&str, Rule)| name.split(' ').next() == Some(number);
    violation(RULES.iter().find(named).unwrap(), evidence)
}

fn violation((name, rule): &(&str, Rule), evidence: &Evidence) -> Option<String> {
    let wrong = rule(evidence).err()?;
    Some(format!("{name}: {wrong}"))
}

/// Fails if a run has violated a rule.
pub(crate) fn assert_no_violations(directory: &Path) {
    let violations = violations(directory);
    assert!(
        violations.is_empty(),
        "{}:\n{}",
        directory.display(),
        violations.join("\n")
    );
}

/// Fails unless one of these is violated, and prints how.
pub(crate) fn assert_violates(directory: &Path, rules: &[&str]) {
    let violations = violations(directory);
    let named = |violation: &&String| {
        rules
            .iter()
            .any(|rule| violation.starts_with(&format!("{rule} ")))
    };
    let found = violations.iter().find(named);
    println!(
        "  {}",
        found.unwrap_or_else(|| panic!("{rules:?} hold; violated: {violations:?}"))
    );
}
