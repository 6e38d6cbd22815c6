//! The instances of one service, each a process: they are started, killed, frozen and stopped.

use std::path::Path;
use std::time::{Duration, Instant};

use harness::{Answer, Cluster, Instance};
use serde_json::json;

use crate::history::History;

/// How long an instance may take to say that it is ready.
const READY: Duration = Duration::from_secs(1);

/// The instances of one service.
pub(crate) struct Group {
    pub(crate) running: Vec<Instance>,
    /// Until when they are frozen.
    pub(crate) frozen: Vec<(Instant, Instance)>,
    pub(crate) wanted: usize,
    pub(crate) started: usize,
    /// The settings of each.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// With the logs, and so dropped last.
    pub(crate) cluster: Cluster,
}

impl Group {
    pub(crate) fn new(
        cluster: Cluster,
        wanted: usize,
        settings: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            cluster,
            wanted,
            running: Vec::new(),
            frozen: Vec::new(),
            started: 0,
            settings,
        }
    }

    /// True for no program of ours.
    pub(crate) fn is_foreign(&self) -> bool {
        Path::new(&self.cluster.program[0]).is_absolute()
    }

    /// A proxy does not know which are frozen.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = String> {
        let frozen = self.frozen.iter().map(|(_, instance)| instance);
        let instances = self.running.iter().chain(frozen);
        instances.map(|instance| instance.client.url(""))
    }

    /// Wakes up frozen instances by the end of their time.
    pub(crate) fn wake(&mut self, is_over: impl Fn(Instant) -> bool) {
        for (_, instance) in self.frozen.extract_if(.., |(until, _)| is_over(*until)) {
            instance.process.signal("CONT");
            self.running.push(instance);
        }
    }

    /// Starts instances until enough of them run. Records those of our programs that have ended by themselves, which none
    /// of them may.
    pub(crate) fn supervise(&mut self, history: &History) {
        let now = Instant::now();
        self.wake(|until| now >= until);
        let gone = (self.running).extract_if(.., |instance| instance.process.is_gone());
        for instance in gone.filter(|_| !Path::new(&self.cluster.program[0]).is_absolute()) {
            let log = instance.process.log();
            let last: Vec<&str> = log.lines().rev().take(3).collect();
            history.tell(json!({"gone": self.cluster.service, "said": last}));
        }
        while self.running.len() + self.frozen.len() < self.wanted {
            self.launch();
        }
    }

    pub(crate) fn launch(&mut self) -> &mut Instance {
        self.started += 1;
        let name = format!("{}{}", self.cluster.service, self.started);
        let settings: Vec<_> = self
            .settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let instance = self.cluster.launch_with(&name, &name, &settings);
        self.running.push(instance);
        self.running.last_mut().unwrap()
    }

    pub(crate) async fn answers(&mut self) -> bool {
        // A program that is not ours may have no address.
        let asked = match self.cluster.service {
            "bills" => &[],
            _ => &self.running[..],
        };
        for instance in asked {
            let answer = instance.client.try_send("GET", "health/ready", &[], "");
            // An instance that is halted has found an error, and the checker must see that.
            let ready = |answer: &Answer| answer.status == 200 || answer.body.contains("halted");
            if !answer.await.is_some_and(|answer| ready(&answer)) {
                return false;
            }
        }
        self.frozen.is_empty() && self.running.len() == self.wanted
    }

    pub(crate) fn kill(&mut self, which: usize) {
        if !self.running.is_empty() {
            let which = which % self.running.len();
            self.running.remove(which).process.kill();
        }
    }

    pub(crate) fn freeze(&mut self, which: usize, time: u64) {
        if !self.running.is_empty() {
            let which = which % self.running.len();
            let instance = self.running.remove(which);
            instance.process.signal("STOP");
            let until = Instant::now() + Duration::from_millis(time);
            self.frozen.push((until, instance));
        }
    }

    pub(crate) async fn stop(&mut self, which: usize, history: &History) {
        if !self.running.is_empty() {
            let which = which % self.running.len();
            let mut instance = self.running.remove(which);
            // A new one may not handle the signal yet, or not reach its database.
            let ready = instance.client.try_send("GET", "health/ready", &[], "");
            let ready = tokio::time::timeout(READY, ready).await.ok().flatten();
            let ready = ready.is_some_and(|answer| answer.status == 200);
            let from = history.now();
            let code = instance.process.stop("TERM").await;
            assert!(matches!(code, Some(0 | 1) | None), "ended with {code:?}");
            if !self.is_foreign() {
                history.tell(json!({
                    "stopped": self.cluster.service, "from": from, "code": code, "ready": ready,
                }));
            }
        }
    }

    pub(crate) async fn scale(&mut self, wanted: usize, history: &History) {
        self.wanted = wanted;
        while self.running.len() > wanted {
            self.stop(0, history).await;
        }
    }
}
