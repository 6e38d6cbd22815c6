//! A link between two networks: a cable of our own (`cable.py`) between this network namespace and
//! another, on which packets get lost, doubled, damaged, or overtake each other. The kernel does that
//! too, but not every kernel.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use harness::{Process, patiently};

use crate::front::Front;

/// What happens to packets. The shares are of all of them.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Weather {
    /// Whether anything passes from here to there …
    pub(crate) there: bool,
    /// … and back.
    pub(crate) back: bool,
    pub(crate) lost: f64,
    pub(crate) doubled: f64,
    pub(crate) damaged: f64,
    /// Take twice as long as others.
    pub(crate) late: f64,
    /// The delay of each packet, in seconds.
    pub(crate) delay: f64,
}

/// All packets pass, at once and in order.
pub(crate) const FAIR: Weather = Weather {
    there: true,
    back: true,
    lost: 0.0,
    doubled: 0.0,
    damaged: 0.0,
    late: 0.0,
    delay: 0.0,
};

/// Two ends of a cable, one of them in a network namespace of its own.
pub(crate) struct Link {
    /// The name of the namespace, and of the ends.
    name: String,
    here: String,
    /// The address of the other end.
    pub(crate) there: String,
    weather: PathBuf,
    processes: Vec<Process>,
}

impl Link {
    /// Without errors. `None`: only root can create one.
    pub(crate) async fn new(directory: &Path) -> Option<Self> {
        if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
            println!("SKIPPED, only root can make a network namespace");
            return None;
        }
        // Unused by others.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let id = std::process::id() + MADE.fetch_add(1, Ordering::Relaxed) * 40_000;
        let address = |end| format!("10.{}.{}.{end}", id / 250 % 250, id % 250);
        let mut link = Self {
            name: format!("feed{id}"),
            here: address(1),
            there: address(2),
            weather: directory.join("weather"),
            processes: Vec::new(),
        };
        link.set(FAIR);
        let Self {
            name,
            here,
            there,
            weather,
            ..
        } = &link;
        let mut cable = python("cable.py");
        cable
            .args([format!("{name}a"), format!("{name}b")])
            .arg(weather);
        let cable = Process::start_command("cable", &mut cable, &[], directory);
        patiently("the cable is there", async || {
            ip(&format!("link show {name}b")).then_some(())
        })
        .await;
        for command in [
            format!("netns add {name}"),
            format!("link set {name}b netns {name}"),
            format!("addr add {here} peer {there} dev {name}a"),
            format!("link set {name}a up"),
            format!("-n {name} addr add {there} peer {here} dev {name}b"),
            format!("-n {name} link set {name}b up"),
        ] {
            assert!(ip(&command), "{command}");
        }
        link.processes.push(cable);
        Some(link)
    }

    /// Sets the errors from now on.
    pub(crate) fn set(&self, weather: Weather) {
        let new = self.weather.with_extension("new");
        std::fs::write(&new, serde_json::to_string(&weather).unwrap()).unwrap();
        std::fs::rename(&new, &self.weather).unwrap();
    }

    /// A front that listens here and only the other end reaches.
    pub(crate) async fn front(&self) -> Front {
        Front::at(&format!("{}:0", self.here), false).await
    }

    /// Listens at the other end, on port 8080, and connects to `front`: so all that passes crosses the
    /// link twice.
    pub(crate) async fn relay(&mut self, front: &Front, directory: &Path) {
        let mut relay = Command::new("ip");
        relay.args(["netns", "exec", &self.name]);
        let python = python("relay.py");
        relay.arg(python.get_program()).args(python.get_args());
        let authority = front.url.trim_start_matches("http://");
        relay.args(authority.trim_end_matches('/').split(':'));
        let relay = Process::start_command("relay", &mut relay, &[], directory);
        self.processes.push(relay);
        let address = format!("{}:8080", self.there);
        patiently("the relay listens", async || {
            let connect = tokio::net::TcpStream::connect(&address);
            let connected = tokio::time::timeout(Duration::from_secs(1), connect).await;
            connected.ok()?.ok().map(drop)
        })
        .await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The devices go with the cable.
        self.processes.clear();
        ip(&format!("netns del {}", self.name));
    }
}

fn python(script: &str) -> Command {
    let mut python = Command::new("python3");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults");
    python.arg("-u").arg(directory.join(script));
    python
}

fn ip(words: &str) -> bool {
    let output = Command::new("ip").args(words.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}
