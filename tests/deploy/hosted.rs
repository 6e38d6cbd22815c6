//! The workflow of the hosted CI, as far as it can be checked without its host.

use harness::programs::{succeed, tool};

use crate::checks::yaml;
use crate::site::deploy;

/// The required checks are listed once, in `.ci/run`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workflow_runs_what_a_commit_has_to_pass() {
    let (Some(mut schema), Some(python)) = (tool("check-jsonschema"), tool("python3")) else {
        return;
    };
    let workflow = deploy().join("../.github/workflows/ci.yml");
    schema.args(["--builtin-schema", "vendor.github-workflows"]);
    schema.arg(&workflow);
    succeed(schema).await;
    let text = std::fs::read_to_string(&workflow).unwrap();
    let workflow = yaml(python, &text).await.remove(0);
    let jobs = workflow["jobs"].as_object().unwrap();
    let steps = jobs
        .values()
        .flat_map(|job| job["steps"].as_array().unwrap());
    let runs: Vec<&str> = steps.filter_map(|step| step["run"].as_str()).collect();
    assert!(runs.contains(&".ci/run"), "{runs:?}");
    let builds = |run: &&str| run.contains("cargo ") || run.contains("tests/");
    let beside: Vec<&&str> = runs.iter().filter(|run| builds(run)).collect();
    assert!(
        beside.is_empty(),
        "checked in the hosted CI alone: {beside:?}"
    );
}
