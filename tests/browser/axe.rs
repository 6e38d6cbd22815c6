//! Barriers on a page, found by axe-core: WCAG 2 at levels A and AA, and its best practices.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::Value;

use crate::page::Page;

/// What is checked.
const RUN: &str = "
    const done = arguments[arguments.length - 1];
    const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    axe.run(document, {runOnly: rules, resultTypes: ['violations']})
        .then(result => done(result.violations), error => done(String(error)));
";

/// The script, which `tests/run` fetches; none where it has reported that it could not, and why.
static AXE: LazyLock<Option<String>> = LazyLock::new(|| {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../target/tools/axe.min.js"]
        .iter()
        .collect();
    match (
        std::fs::read_to_string(&path),
        std::env::var("TEST_WITHOUT_AXE"),
    ) {
        (Ok(script), _) => Some(script),
        (Err(_), Ok(reason)) => {
            println!("PAGES ARE NOT CHECKED FOR BARRIERS: {reason}");
            None
        }
        (Err(error), Err(_)) => panic!("{}: {error}; `tests/run` fetches it", path.display()),
    }
});

/// Fails if the page has barriers; `what` names it.
pub(crate) async fn check(page: &Page, what: &str) {
    let Some(axe) = &*AXE else { return };
    page.run(axe).await;
    let found = page.session.run_async(RUN).await.unwrap();
    let violations = found.as_array();
    let violations = violations.unwrap_or_else(|| panic!("axe-core failed on {what}: {found}"));
    assert!(
        violations.is_empty(),
        "barriers on {what}:\n{}",
        report(violations)
    );
}

/// Each rule that is broken, with the elements that break it and why.
fn report(violations: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for violation in violations {
        lines.push(format!(
            "{} ({}): {}",
            text(&violation["id"]),
            text(&violation["impact"]),
            text(&violation["help"])
        ));
        for node in violation["nodes"].as_array().into_iter().flatten() {
            lines.push(format!("    {}", text(&node["html"])));
            let summary = text(&node["failureSummary"]);
            lines.extend(summary.lines().map(|line| format!("        {line}")));
        }
    }
    lines.join("\n")
}
