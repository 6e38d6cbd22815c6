//! What the image says of itself, as far as it can be checked without a container engine.

use std::collections::HashSet;
use std::process::Command;

use harness::programs::succeed;

use crate::site::deploy;

fn dockerfile() -> String {
    std::fs::read_to_string(deploy().join("../Dockerfile")).unwrap()
}

/// `licences.sh` names each package that is linked, and has the texts that come with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_has_the_licences_of_what_it_contains() {
    let directory = tempfile::tempdir().unwrap();
    let root = deploy().join("..");
    let mut tree = Command::new(env!("CARGO"));
    let packages = ["--package=order", "--package=invoice", "--package=shipping"];
    tree.args(["tree", "--locked", "--edges=normal", "--prefix=none"])
        .args(packages)
        .current_dir(&root);
    let tree = succeed(tree).await;
    let linked: HashSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| line.split_once(" v"))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap()))
        .collect();
    assert!(linked.len() > 100, "{tree}");

    let mut licences = Command::new(deploy().join("licences.sh"));
    let host = succeed({
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "host-tuple"]);
        rustc
    })
    .await;
    licences
        .arg(directory.path())
        .arg(host.trim())
        .current_dir(&root);
    succeed(licences).await;
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let (packages, texts) = (read("packages"), read("texts"));
    let listed: HashSet<(&str, &str)> = packages
        .lines()
        .map(|line| {
            let (package, licence) = line.split_once(';').unwrap();
            assert!(!licence.starts_with(';'), "{line}");
            package.split_once(' ').unwrap()
        })
        .collect();
    let differ: Vec<_> = listed.symmetric_difference(&linked).collect();
    assert!(differ.is_empty(), "{differ:?}");
    let headings: String = texts
        .lines()
        .filter(|line| line.starts_with("==== "))
        .collect();
    let without: Vec<_> = linked
        .iter()
        .filter(|(name, version)| !headings.contains(&format!("{name} {version}")))
        .filter(|(name, version)| !tree.contains(&format!("{name} v{version} (/")))
        .map(|(name, _)| *name)
        .collect();
    // Some come without a text; their licences are in the list.
    assert!(without.len() < 5, "{without:?}");
    for text in ["this workspace", "Rust or glibc", "axum ", "sqlx-postgres "] {
        assert!(headings.contains(text), "{text}");
    }
}

#[test]
fn the_image_has_labels_and_a_bill_of_materials() {
    let dockerfile = dockerfile();
    for label in [
        "title",
        "description",
        "version",
        "revision",
        "licenses",
        "base.name",
    ] {
        let label = format!("org.opencontainers.image.{label}=\"");
        assert!(dockerfile.contains(&label), "{label}");
    }
    let version = format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION"));
    assert!(dockerfile.contains(&version), "{version}");
    assert!(dockerfile.contains("cargo auditable build "));
    assert!(dockerfile.contains("deploy/licences.sh /out/share/licenses/shop "));
    let ignored = std::fs::read_to_string(deploy().join("../.dockerignore")).unwrap();
    assert!(
        ignored.contains("deploy/*\n!deploy/licences.sh\n"),
        "{ignored}"
    );
}
