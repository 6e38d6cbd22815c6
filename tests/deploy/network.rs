//! Which pod may reach which, by the network policies of the deployment on Kubernetes.

use serde_json::{Value, json};

use crate::checks::Copy;
use crate::kubernetes::{CLOUDNATIVE_PG, MONITORING, resources};

/// One end of a connection: the labels of a pod of the deployment, the namespace of another pod, or an
/// address outside the cluster.
#[derive(Debug, Clone)]
enum End {
    Pod(Value),
    Namespace(&'static str),
    Outside,
}

fn matches(labels: &Value, selector: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object();
    assert!(selector["matchExpressions"].is_null(), "{selector}");
    wanted.is_none_or(|wanted| wanted.iter().all(|(name, value)| &labels[name] == value))
}

/// True if `peer`, an element of `from` or `to`, includes `end`.
fn includes(peer: &Value, end: &End) -> bool {
    match end {
        End::Pod(labels) => !peer["podSelector"].is_null() && matches(labels, &peer["podSelector"]),
        End::Namespace(name) => {
            let labels = json!({"kubernetes.io/metadata.name": name});
            !peer["namespaceSelector"].is_null() && matches(&labels, &peer["namespaceSelector"])
        }
        End::Outside => false,
    }
}

/// True if the policies for `own` let it connect to `other`, or `other` to it.
fn lets(policies: &[&Value], own: &End, direction: [&str; 3], other: &End, port: u16) -> bool {
    let End::Pod(labels) = own else {
        return true;
    };
    let [kind, rules, peers] = direction;
    let own = policies
        .iter()
        .map(|policy| &policy["spec"])
        .filter(|spec| {
            let kinds = spec["policyTypes"].as_array().unwrap();
            kinds.iter().any(|each| each == kind) && matches(labels, &spec["podSelector"])
        });
    let own: Vec<_> = own.collect();
    assert!(!own.is_empty(), "no policy limits {labels}");
    let rules = own
        .iter()
        .filter_map(|spec| spec[rules].as_array())
        .flatten();
    let mut allowed = rules.filter(|rule| {
        let peers = rule[peers].as_array();
        let ports = rule["ports"].as_array().unwrap();
        // The name `http` is that of the services' and the proxy's port.
        let here = |each: &Value| each["port"] == port || port == 8080 && each["port"] == "http";
        ports.iter().any(here)
            && peers.is_none_or(|peers| peers.iter().any(|peer| includes(peer, other)))
    });
    allowed.next().is_some()
}

fn reaches(policies: &[&Value], from: &End, to: &End, port: u16) -> bool {
    lets(policies, from, ["Egress", "egress", "to"], to, port)
        && lets(policies, to, ["Ingress", "ingress", "from"], from, port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_reaches_only_what_it_needs() {
    for components in [&[][..], &[MONITORING, CLOUDNATIVE_PG]] {
        let copy = Copy::new().await;
        let Some((_, resources)) = resources(&copy, components).await else {
            return;
        };
        let all = !components.is_empty();
        let pod = |kind: &str, name: &str| {
            let found = resources
                .iter()
                .find(|resource| resource["kind"] == kind && resource["metadata"]["name"] == name);
            End::Pod(found.unwrap()["spec"]["template"]["metadata"]["labels"].clone())
        };
        let [order, invoice, proxy] =
            ["order", "invoice", "proxy"].map(|name| pod("Deployment", name));
        let postgres = if all {
            End::Pod(json!({"cnpg.io/cluster": "postgres"}))
        } else {
            pod("StatefulSet", "postgres")
        };
        let [prometheus, operator, names] =
            ["monitoring", "cnpg-system", "kube-system"].map(End::Namespace);
        let policies = resources
            .iter()
            .filter(|resource| resource["kind"] == "NetworkPolicy");
        let policies: Vec<&Value> = policies.collect();
        for (from, to, port, expected) in [
            (&End::Outside, &proxy, 8080, true),
            (&End::Outside, &order, 8080, false),
            (&End::Outside, &postgres, 5432, false),
            (&proxy, &order, 8080, true),
            (&proxy, &invoice, 8080, true),
            (&proxy, &postgres, 5432, false),
            (&invoice, &order, 8080, true),
            (&invoice, &proxy, 8080, false),
            (&order, &postgres, 5432, true),
            (&postgres, &order, 8080, false),
            (&postgres, &postgres, 5432, all),
            (&prometheus, &order, 8080, all),
            (&prometheus, &postgres, 5432, false),
            (&operator, &order, 8080, false),
            (&operator, &postgres, 8000, all),
            (&order, &names, 53, true),
            (&proxy, &names, 53, true),
            (&order, &names, 443, false),
            (&order, &End::Outside, 53, false),
            (&order, &End::Outside, 443, false),
            (&proxy, &End::Outside, 443, false),
            // The API of Kubernetes.
            (&postgres, &End::Outside, 6443, all),
        ] {
            let reached = reaches(&policies, from, to, port);
            assert_eq!(
                reached, expected,
                "{components:?}: {from:?} to {to:?}, port {port}"
            );
        }
    }
}
