//! compose.yaml and the Dockerfile, as far as they can be checked without a container engine.

use std::process::Command;

use harness::programs::{available, program, run, succeed, tool};
use serde_json::Value;

use crate::checks::{Copy, SERVICES, takes, yaml};
use crate::site::deploy;

/// The result of Compose, with all profiles; none without Compose.
async fn configured(copy: &Copy) -> Option<Value> {
    let python = tool("python3")?;
    if !available(&["docker-compose"]) {
        return None;
    }
    let mut compose = program("docker-compose");
    compose.args(["--profile", "observe", "--project-name", "shop"]);
    compose.arg("--file").arg(copy.path("compose.yaml"));
    compose.arg("config").env("SHIPPING_INSTANCES", "3");
    compose.env("SHOP_VERSION", "2026-11");
    Some(yaml(python, &succeed(compose).await).await.remove(0))
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|text| text.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_follow_the_compose_specification() {
    let (Some(mut schema), Some(mut docker)) = (tool("check-jsonschema"), tool("hadolint")) else {
        return;
    };
    schema.args(["--builtin-schema", "vendor.compose-spec"]);
    schema.arg(deploy().join("../compose.yaml"));
    succeed(schema).await;
    docker.arg(deploy().join("../Dockerfile"));
    succeed(docker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_container_has_limits_a_health_check_and_restarts() {
    let copy = Copy::new().await;
    let Some(config) = configured(&copy).await else {
        return;
    };
    let services = config["services"].as_object().unwrap();
    assert_eq!(services.len(), 6, "{services:#?}");
    for (name, service) in services {
        for key in ["mem_limit", "healthcheck", "logging", "stop_grace_period"] {
            assert!(!service[key].is_null(), "{name} has no {key}");
        }
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"]);
        // No registry is asked for an image of ours, whose name anyone may take there.
        let image = service["image"].as_str().unwrap();
        let ours = !service["build"].is_null();
        assert_eq!(image.starts_with("localhost/"), ours, "{name}: {image}");
        if ours {
            // The version that `.env` names, so that the one before is still there.
            assert!(image.ends_with("services:2026-11"), "{name}: {image}");
        }
        assert_eq!(service["pull_policy"] == "never", ours, "{name}: {image}");
        assert!(ours || image.contains(':'), "{name}: {image}");
        // Public ports are bound to the loopback address only.
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for volume in texts(&service["volumes"]) {
            let mut parts = volume.split(':');
            let (source, mode) = (parts.next().unwrap(), parts.next_back().unwrap());
            if source.starts_with('/') {
                assert!(std::path::Path::new(source).exists(), "{name}: {source}");
                assert_eq!(mode, "ro", "{name}: {source}");
            }
        }
        assert_eq!(service["read_only"] == true, name != "postgres", "{name}");
    }
    for name in SERVICES {
        let service = &services[name];
        // Several can run in parallel, as many after each `up`.
        let instances = if name == "shipping" { 3 } else { 1 };
        assert_eq!(service["scale"], instances, "{name}");
        assert!(service["ports"].is_null() && service["container_name"].is_null());
        assert_eq!(service["user"], "65532:65532");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"]);
        assert_eq!(texts(&service["command"]), [name]);
        assert_eq!(
            texts(&service["healthcheck"]["test"]),
            ["CMD", name, "--probe"]
        );
        let environment = service["environment"].as_object().unwrap();
        let environment: Vec<(String, String)> = environment
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        takes(name, &environment, &copy).await;
    }
    // Only the services reach the database.
    let on_database = services
        .iter()
        .filter(|(_, service)| service["networks"].get("database").is_some());
    assert_eq!(on_database.count(), 4);
    assert_eq!(config["networks"]["database"]["internal"], true);
    // No secret is where other users can read it.
    let secrets = config["secrets"].as_object().unwrap();
    assert_eq!(secrets.len(), 7);
    for secret in secrets.values() {
        let file = secret["file"].as_str().unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!config.to_string().contains(text.trim()), "{file}");
    }
}

/// No other file or argument is needed, which one command could leave out: tests of the proxy show what
/// it does with that directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_has_the_directory_that_says_which_clients_it_accepts() {
    let copy = Copy::new().await;
    let Some(config) = configured(&copy).await else {
        return;
    };
    let volumes = texts(&config["services"]["proxy"]["volumes"]);
    let protect = copy.path("deploy/secrets/protect");
    let protect = format!("{}:/run/secrets/protect:ro", protect.display());
    assert!(volumes.contains(&protect.as_str()), "{volumes:?}");
}

/// An empty password would become none in PostgreSQL, and others must not change the URL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_cannot_be_used_is_refused() {
    let copy = Copy::new().await;
    for password in ["\n", "a/b", "a\nb"] {
        std::fs::write(copy.path("deploy/secrets/order-password"), password).unwrap();
        let output = run(Command::new(copy.path("deploy/secrets.sh"))).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{password:?}: {said}");
        assert!(
            said.contains("deploy/secrets/order-password must"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_missing_secrets_are_created() {
    let copy = Copy::new().await;
    let before = copy.read("deploy/secrets/order-database-url");
    let password = copy.read("deploy/secrets/order-password");
    assert_eq!(
        before,
        format!("postgres://order:{password}@postgres/order\n")
    );
    assert!(password.len() >= 32 && !password.contains('\n'));
    let invoice = copy.read("deploy/secrets/invoice-database-url");
    std::fs::remove_file(copy.path("deploy/secrets/order-password")).unwrap();
    succeed(Command::new(copy.path("deploy/secrets.sh"))).await;
    let password = copy.read("deploy/secrets/order-password");
    let after = copy.read("deploy/secrets/order-database-url");
    assert_ne!(after, before);
    assert_eq!(
        after,
        format!("postgres://order:{password}@postgres/order\n")
    );
    assert_eq!(copy.read("deploy/secrets/invoice-database-url"), invoice);
}
