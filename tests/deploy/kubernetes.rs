//! The resources for Kubernetes, as `kubectl` assembles them, checked against the schemas of its
//! API.

use std::collections::HashMap;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::programs::{succeed, tool};
use serde_json::{Value, json};
use url::Url;

use crate::checks::{Copy, SERVICES, takes, yaml};
use crate::site::deploy;

/// What a cluster may have besides, as `kustomization.yaml` names it.
pub(crate) const MONITORING: &str = "kubernetes/monitoring";
pub(crate) const CLOUDNATIVE_PG: &str = "kubernetes/cloudnative-pg";

/// All resources with these components, as text and parsed; none without `kubectl`. A missing one fails the
/// test, unless `tests/run` has reported that there is none, and why.
pub(crate) async fn resources(copy: &Copy, components: &[&str]) -> Option<(String, Vec<Value>)> {
    let python = tool("python3")?;
    let file = copy.path("deploy/kustomization.yaml");
    let mut text = copy.read("deploy/kustomization.yaml");
    for component in components {
        assert!(text.contains(&format!("#   {component} ")), "{text}");
    }
    assert!(text.contains("components: []\n"), "{text}");
    let named = format!("components: [{}]\n", components.join(", "));
    text = text.replace("components: []\n", &named);
    std::fs::write(&file, text).unwrap();
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

/// The kinds of operators have no schema here.
fn is_of_an_operator(text: &str) -> bool {
    ["monitoring.coreos.com", "postgresql.cnpg.io"]
        .iter()
        .any(|group| text.contains(&format!("apiVersion: {group}/v1\n")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_resource_fits_its_schema() {
    for (components, operators) in [(&[][..], 0), (&[MONITORING, CLOUDNATIVE_PG], 3)] {
        // The oldest version that the deployment names, and the newest of the schemas.
        for version in [&["-k", "1.30.0"][..], &[]] {
            let Some(mut validate) = tool("kubernetes-validate") else {
                return;
            };
            let copy = Copy::new().await;
            let Some((text, resources)) = resources(&copy, components).await else {
                return;
            };
            let file = copy.path("resources.yaml");
            let own: Vec<&str> = text
                .split("\n---\n")
                .filter(|text| !is_of_an_operator(text))
                .collect();
            std::fs::write(&file, own.join("\n---\n")).unwrap();
            validate.args(version).arg("--strict").arg(file);
            let said = succeed(validate).await;
            let passed = said.matches(" passed ").count();
            assert_eq!(
                (passed, passed + operators),
                (own.len(), resources.len()),
                "{said}"
            );
        }
    }
}

/// The level `restricted` of the Pod Security Standards, which the namespace enforces.
fn assert_restricted(name: &str, pod: &Value) {
    for shared in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
        assert!(pod[shared].is_null(), "{name}: {shared}");
    }
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"], true, "{name}");
    assert_ne!(security["runAsUser"], 0, "{name}");
    assert_eq!(
        security["seccompProfile"]["type"], "RuntimeDefault",
        "{name}"
    );
    for volume in pod["volumes"].as_array().unwrap() {
        let kind = volume
            .as_object()
            .unwrap()
            .keys()
            .find(|key| *key != "name");
        let allowed = ["configMap", "emptyDir", "secret"];
        assert!(
            allowed.contains(&kind.unwrap().as_str()),
            "{name}: {volume}"
        );
    }
    for container in pod["containers"].as_array().unwrap() {
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{name}");
        assert!(security["privileged"].is_null(), "{name}");
        for port in container["ports"].as_array().unwrap() {
            assert!(port["hostPort"].is_null(), "{name}");
        }
    }
}

/// An instance that is stopped finishes what it has, nodes are drained without an outage, and instances are
/// on different nodes.
fn assert_continues(name: &str, pod: &Value, resources: &[Value]) {
    let pre_stop = &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace >= pre_stop.as_u64().unwrap() + 8, "{name}: {grace}");
    let spread = &pod["topologySpreadConstraints"][0];
    assert_eq!(spread["topologyKey"], "kubernetes.io/hostname", "{name}");
    assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway", "{name}");
    let budget = resources.iter().find(|resource| {
        resource["kind"] == "PodDisruptionBudget"
            && resource["spec"]["selector"]["matchLabels"] == json!({"app": name})
    });
    assert_eq!(budget.unwrap()["spec"]["maxUnavailable"], 1, "{name}");
}

/// The variables of a container.
fn environment(container: &Value, named: &HashMap<(&str, &str), &Value>) -> Vec<(String, String)> {
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
    shared
        .filter(|(name, _)| name != "PUBLIC_URL")
        .chain(own)
        .collect()
}

fn by_kind_and_name(resources: &[Value]) -> HashMap<(&str, &str), &Value> {
    let keys = resources.iter().map(|resource| {
        let name = resource["metadata"]["name"].as_str().unwrap();
        ((resource["kind"].as_str().unwrap(), name), resource)
    });
    keys.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_container_has_limits_and_probes() {
    let copy = Copy::new().await;
    let Some((text, resources)) = resources(&copy, &[]).await else {
        return;
    };
    // They are of one cluster; others have other names.
    for name in ["kube-dns", "cluster.local"] {
        assert!(!text.contains(name), "{name}");
    }
    let named = by_kind_and_name(&resources);
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
        assert_restricted(name, pod);
        if name != "postgres" {
            let security = &container["securityContext"];
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_continues(name, pod, &resources);
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
        assert_eq!(
            service["spec"]["selector"],
            json!({"app": labels["app"]}),
            "{name}"
        );
    }
    assert_eq!(containers, 5);
    let labels = &named[&("Namespace", "shop")]["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    for name in SERVICES {
        let pod = &named[&("Deployment", name)]["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let environment = environment(container, &named);
        takes(name, &environment, &copy).await;
        assert_eq!(container["args"][0], name);
        // No registry is asked for an image of ours, whose name anyone may take there.
        let image = container["image"].as_str().unwrap();
        assert!(image.starts_with("localhost/"), "{image}");
        // The one before is still there, and another one replaces the pods.
        assert!(image.ends_with(":1"), "{image}");
        assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{name}");
        // A service that waits for its database, or migrates it, is alive, and gets no requests yet: `tests/system/waiting.rs`.
        let path = |probe: &str| &container[probe]["httpGet"]["path"];
        assert_eq!(path("livenessProbe"), "/health/live", "{name}");
        assert_eq!(path("readinessProbe"), "/health/started", "{name}");
        assert!(container["startupProbe"].is_null(), "{name}");
    }
}

/// What docs/backup.md says to run while `order` has no pods.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_of_another_service_gives_the_feed_a_new_epoch() {
    const BACKUP: &str = include_str!("../../docs/backup.md");
    let copy = Copy::new().await;
    let Some((_, resources)) = resources(&copy, &[]).await else {
        return;
    };
    let named = by_kind_and_name(&resources);
    let invoice = &named[&("Deployment", "invoice")]["spec"]["template"]["spec"]["containers"][0];
    let command = "$ kubectl -n shop exec -i deployment/invoice -- order ";
    let line = BACKUP.lines().find_map(|line| line.strip_prefix(command));
    let (arguments, _) = line.unwrap().split_once(" <").unwrap();
    let mut order = harness::built("order");
    order.args(arguments.split(' '));
    for (name, value) in environment(invoice, &named) {
        let secrets = copy.path("deploy/secrets/").display().to_string();
        order.env(name, value.replace("/run/secrets/", &secrets));
    }
    let url = copy.path("order-database-url");
    let database = copy.path("order.db").display().to_string();
    std::fs::write(&url, format!("sqlite:{database}\n")).unwrap();
    // A command makes no database.
    std::fs::File::create(database).unwrap();
    order.stdin(std::fs::File::open(url).unwrap());
    let said = succeed(order).await;
    let next = "The next order is 1241, the next customer 301, the next item 41.";
    assert!(said.contains(next), "{said}");
}

/// As with Compose: what `protect.sh` has set is part of each `kubectl apply`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_requires_credentials_until_it_is_opened() {
    let copy = Copy::new().await;
    for (argument, input, expected) in [
        (None, "", "open"),
        (Some("eve"), "secret\n", "readers"),
        (Some("--open"), "", "open"),
        (Some("--close"), "", "readers"),
    ] {
        if let Some(argument) = argument {
            copy.protect(argument, input).await;
        }
        succeed(Command::new(copy.path("deploy/secrets.sh"))).await;
        let Some((_, resources)) = resources(&copy, &[]).await else {
            return;
        };
        let find = |kind, name: &str| {
            let found = resources.iter().find(|resource| {
                let full = resource["metadata"]["name"].as_str().unwrap();
                resource["kind"] == kind && full.starts_with(name)
            });
            found.unwrap()
        };
        let secret = find("Secret", "protect-");
        let files: Vec<_> = secret["data"].as_object().unwrap().keys().collect();
        assert_eq!(files, [expected], "{argument:?}");
        let pod = &find("Deployment", "proxy")["spec"]["template"]["spec"];
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == "protect");
        assert_eq!(
            volume.unwrap()["secret"]["secretName"],
            secret["metadata"]["name"]
        );
    }
}

/// `CloudNativePG` makes what `roles.sh` makes, and the services reach its primary by the name in their URLs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloudnative_pg_takes_the_place_of_the_single_postgresql() {
    let copy = Copy::new().await;
    let Some((text, resources)) = resources(&copy, &[CLOUDNATIVE_PG]).await else {
        return;
    };
    assert!(
        !text.contains("kind: StatefulSet") && !text.contains("roles.sh"),
        "{text}"
    );
    let secret = |name: &Value| {
        let secret = resources
            .iter()
            .find(|resource| resource["kind"] == "Secret" && &resource["metadata"]["name"] == name);
        let secret = secret.unwrap_or_else(|| panic!("no secret {name}"));
        assert_eq!(secret["type"], "kubernetes.io/basic-auth");
        secret["data"].clone()
    };
    let cluster = resources
        .iter()
        .find(|resource| resource["kind"] == "Cluster");
    let spec = &cluster.unwrap()["spec"];
    let first = &spec["bootstrap"]["initdb"];
    let mut roles = vec![(&first["owner"], &first["secret"]["name"])];
    for role in spec["managed"]["roles"].as_array().unwrap() {
        roles.push((&role["name"], &role["passwordSecret"]["name"]));
    }
    let services = &spec["managed"]["services"]["additional"];
    assert_eq!(services[0]["selectorType"], "rw");
    let host = services[0]["serviceTemplate"]["metadata"]["name"].as_str();
    assert_eq!(roles.len(), SERVICES.len());
    for (service, (role, name)) in SERVICES.iter().zip(roles) {
        assert_eq!(role, service);
        let data = secret(name);
        let url = copy.read(&format!("deploy/secrets/{service}-database-url"));
        let url = Url::parse(url.trim()).unwrap();
        assert_eq!(url.host_str(), host);
        assert_eq!(
            (url.username(), url.path()),
            (*service, &*format!("/{service}"))
        );
        for (key, value) in [
            ("username", *service),
            ("password", url.password().unwrap()),
        ] {
            assert_eq!(data[key], STANDARD.encode(value), "{service}: {key}");
        }
    }
    // One standby at least has what is acknowledged.
    assert_eq!(spec["instances"], 3);
    assert_eq!(
        spec["postgresql"]["synchronous"]["dataDurability"],
        "required"
    );
}

/// The Prometheus Operator evaluates the alerts that the tests of `alerts.yml` check, for the same jobs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prometheus_operator_has_the_same_alerts() {
    let copy = Copy::new().await;
    let (Some((_, resources)), Some(python)) =
        (resources(&copy, &[MONITORING]).await, tool("python3"))
    else {
        return;
    };
    let spec = |kind| {
        let found = resources.iter().find(|resource| resource["kind"] == kind);
        &found.unwrap()["spec"]
    };
    let alerts = std::fs::read_to_string(deploy().join("alerts.yml")).unwrap();
    assert!(!alerts.contains("docker"), "they are for Kubernetes too");
    let alerts = yaml(python, &alerts).await.remove(0);
    let same = spec("PrometheusRule") == &alerts;
    assert!(
        same,
        "indent deploy/alerts.yml below `spec:` of kubernetes/monitoring/rules.yaml"
    );
    let pods = spec("PodMonitor");
    assert_eq!(
        (
            &pods["jobLabel"],
            pods["podMetricsEndpoints"][0]["path"].as_str()
        ),
        (&json!("app"), Some("/metrics"))
    );
}
