//! What users of the crates and contributors rely on.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::words::root;

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The members of the workspace, as cargo describes them.
pub(crate) fn members() -> Vec<Value> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let mut metadata: Value = serde_json::from_str(&metadata).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

/// The members that other projects depend on: feed-core and the crates below it.
fn libraries() -> Vec<Value> {
    let is_library = |member: &Value| {
        let manifest = Path::new(member["manifest_path"].as_str().unwrap());
        manifest.starts_with(root().join("feed-core"))
    };
    members().into_iter().filter(is_library).collect()
}

/// Both licences require it, and a package is read without this repository.
#[test]
fn each_published_package_holds_its_licences_and_readme() {
    let libraries = libraries();
    assert!(
        libraries
            .iter()
            .any(|library| library["name"] == "feed-core")
    );
    for library in libraries {
        let name = library["name"].as_str().unwrap();
        assert!(library["publish"].is_null(), "{name} cannot be published");
        let list = cargo(&["package", "--list", "--allow-dirty", "--package", name]);
        let source = match library["targets"][0]["kind"][0] == "bin" {
            true => "src/main.rs",
            false => "src/lib.rs",
        };
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", source] {
            assert!(
                list.lines().any(|line| line == file),
                "{name} has no {file}"
            );
        }
        let has_tests = list.lines().any(|line| line.starts_with("tests/"));
        assert!(
            !has_tests,
            "{name}: its tests need the harness, which is not published"
        );
        for field in ["description", "license", "readme", "rust_version"] {
            assert!(library[field].is_string(), "{name} has no {field}");
        }
        for field in ["categories", "keywords"] {
            assert_ne!(
                library[field],
                Value::Array(Vec::new()),
                "{name} has no {field}"
            );
        }
    }
}

/// As Keep a Changelog has it, so that programs can read it.
#[test]
fn the_changelog_has_its_usual_sections() {
    let kinds = [
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    ];
    let changelog = include_str!("../../CHANGELOG.md");
    assert_eq!(changelog.matches("\n## [Unreleased]\n").count(), 1);
    for line in changelog.lines() {
        if let Some(kind) = line.strip_prefix("### ") {
            assert!(kinds.contains(&kind), "{line}");
        }
    }
}
