//! The resources for Kubernetes, as `kubectl` assembles them, checked against the schemas of its
//! API.

use std::collections::HashMap;
use std::process::Command;

use harness::programs::{succeed, tool};
use serde_json::Value;

use crate::checks::{Copy, SERVICES, takes, yaml};

/// All resources, as text and parsed; none without `kubectl`. A missing one fails the test, unless
/// `tests/run` has reported that there is none, and why.
async fn resources(copy: &Copy) -> Option<(String, Vec<Value>)> {
    let python = tool("python3")?;
    let mut kustomize = Command::new("kubectl");
    kustomize.arg("kustomize").arg(copy.path("deploy"));
    if let Ok(reason) = std::env::var("TEST_WITHOUT_KUBECTL") {
        println!("skipped: {reason}");
        return None;
    }
    let text = succeed(kustomize).await;
    let resources = yaml(python, &text).await;
    Some((text, resources))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_resource_fits_its_schema() {
    let Some(mut validate) = tool("kubernetes-validate") else {
        return;
    };
    let copy = Copy::new().await;
    let Some((text, resources)) = resources(&copy).await else {
        return;
    };
    let file = copy.path("resources.yaml");
    std::fs::write(&file, text).unwrap();
    validate.arg("--strict").arg(file);
    let said = succeed(validate).await;
    assert_eq!(said.matches(" passed ").count(), resources.len(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_container_has_limits_and_probes() {
    let copy = Copy::new().await;
    let Some((_, resources)) = resources(&copy).await else {
        return;
    };
    let named: HashMap<(&str, &str), &Value> = resources
        .iter()
        .map(|resource| {
            let name = resource["metadata"]["name"].as_str().unwrap();
            ((resource["kind"].as_str().unwrap(), name), resource)
        })
        .collect();
    let mut containers = 0;
    for workload in &resources {
        let pod = &workload["spec"]["template"]["spec"];
        let Some(container) = pod["containers"].get(0) else {
            continue;
        };
        containers += 1;
        let name = workload["metadata"]["name"].as_str().unwrap();
        assert!(!container["readinessProbe"].is_null(), "{name}");
        assert!(
            !container["resources"]["limits"]["memory"].is_null(),
            "{name}"
        );
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        if name != "postgres" {
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert!(!container["livenessProbe"].is_null(), "{name}");
        }
        // What it mounts exists.
        for volume in pod["volumes"].as_array().unwrap() {
            for (kind, key, field) in [
                ("Secret", "secret", "secretName"),
                ("ConfigMap", "configMap", "name"),
            ] {
                if let Some(source) = volume[key][field].as_str() {
                    assert!(named.contains_key(&(kind, source)), "{name}: {source}");
                }
            }
        }
        // And its hostname leads to it.
        let service = named[&("Service", name)];
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        assert_eq!(&service["spec"]["selector"], labels, "{name}");
    }
    assert_eq!(containers, 5);
    for name in SERVICES {
        let pod = &named[&("Deployment", name)]["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let shared = container["envFrom"][0]["configMapRef"]["name"]
            .as_str()
            .unwrap();
        let shared = named[&("ConfigMap", shared)]["data"].as_object().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let public = text(&shared["PUBLIC_URL"]);
        let own = container["env"].as_array().unwrap().iter().map(|variable| {
            let value = text(&variable["value"]).replace("$(PUBLIC_URL)", &public);
            (text(&variable["name"]), value)
        });
        let shared = shared
            .iter()
            .map(|(name, value)| (name.clone(), text(value)));
        let environment: Vec<_> = shared
            .filter(|(name, _)| name != "PUBLIC_URL")
            .chain(own)
            .collect();
        takes(name, &environment, &copy).await;
        assert_eq!(container["args"][0], name);
    }
}
