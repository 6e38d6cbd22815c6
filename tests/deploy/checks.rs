//! A copy of the files as they are deployed, and checks of them.

use std::path::PathBuf;
use std::process::Command;

use harness::programs::succeed;
use serde_json::Value;

use crate::site::deploy;

/// The services of ours.
pub(crate) const SERVICES: [&str; 3] = ["order", "invoice", "shipping"];

/// The files of the deployment in a directory of their own, with secrets in them.
pub(crate) struct Copy {
    directory: tempfile::TempDir,
}

impl Copy {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut cp = Command::new("cp");
        cp.arg("-r")
            .arg(deploy())
            .arg(deploy().join("../compose.yaml"))
            .arg(directory.path());
        succeed(cp).await;
        let copy = Self { directory };
        // A developer's own settings must not affect the tests.
        let _ = std::fs::remove_dir_all(copy.path("deploy/secrets"));
        for _ in 0..2 {
            succeed(Command::new(copy.path("deploy/secrets.sh"))).await;
        }
        copy
    }

    /// Runs `protect.sh`, with this input.
    pub(crate) async fn protect(&self, argument: &str, input: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), input).unwrap();
        let mut protect = Command::new(self.path("deploy/protect.sh"));
        protect.arg(argument).stdin(file.reopen().unwrap());
        succeed(protect).await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

/// The documents in a text of YAML, by `python` of the tools.
pub(crate) async fn yaml(mut python: Command, text: &str) -> Vec<Value> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let script = "import json, sys, yaml\n\
                  print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    python.arg("-c").arg(script).arg(file.path());
    serde_json::from_str(&succeed(python).await).unwrap()
}

/// Fails unless the service knows each of these settings, and accepts its value.
pub(crate) async fn takes(service: &str, environment: &[(String, String)], copy: &Copy) {
    let mut help = harness::built(service);
    help.arg("--help");
    let help = succeed(help).await;
    let mut probe = harness::built(service);
    for (name, value) in environment {
        assert!(help.contains(&format!("[env: {name}")), "{service}: {name}");
        let secrets = copy.path("deploy/secrets/").display().to_string();
        probe.env(name, value.replace("/run/secrets/", &secrets));
    }
    // Whether anything listens there does not matter: a wrong setting ends with 2.
    probe.arg("--probe");
    let probed = harness::programs::run(probe).await;
    assert_ne!(probed.status.code(), Some(2), "{service}: {probed:?}");
}
