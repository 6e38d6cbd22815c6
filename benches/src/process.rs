//! Processes that are measured: the services as they were built for release, and bare servers in
//! this very program.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::http::{Connection, get};

/// How long a process may take to answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A process that listens; killed when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    /// From its start to its first answer.
    pub(crate) started_in: Duration,
}

/// How a process is started.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// The name of the binary beside this one, or the whole path of another program.
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) settings: Vec<(&'static str, String)>,
    /// The one core it may use; `None`: all of them.
    pub(crate) core: Option<usize>,
    /// Where it listens, if that is fixed.
    pub(crate) address: Option<SocketAddr>,
    /// The path that shows whether it answers; empty: whether it accepts a connection.
    pub(crate) probe: &'static str,
    /// It listens nowhere, so nothing shows when it is ready.
    pub(crate) unreachable: bool,
}

impl Start {
    /// Of a service: `order`, `invoice` or `shipping`.
    #[must_use]
    pub(crate) fn service(name: &str, database_url: &str) -> Self {
        Self {
            program: name.to_owned(),
            settings: vec![("DATABASE_URL", database_url.to_owned())],
            probe: "/health/started",
            ..Self::default()
        }
    }

    /// Of a bare server: a command of this program.
    #[must_use]
    pub(crate) fn bare(name: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&each| each.to_owned());
        Self {
            program: "bench".to_owned(),
            arguments: std::iter::once(name.to_owned()).chain(arguments).collect(),
            probe: "/",
            ..Self::default()
        }
    }

    #[must_use]
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// Leaves the other cores to the client, so that the server alone is measured.
    #[must_use]
    pub(crate) fn on_core(mut self, core: usize) -> Self {
        self.core = has_taskset().then_some(core);
        self
    }

    /// Starts it, and waits until it answers. Its log goes below `directory`.
    pub(crate) async fn run(self, directory: &Path) -> Result<Process> {
        let address = match self.address {
            Some(address) => address,
            None => free_address()?,
        };
        let here = std::env::current_exe()?;
        let program = here.with_file_name(&self.program);
        let mut command = match self.core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(&program);
                command
            }
            None => Command::new(&program),
        };
        let name = program.file_name().unwrap_or_default().display();
        let log = directory.join(format!("{name}.{}.log", address.port()));
        let begin = Instant::now();
        let child = command
            .args(&self.arguments)
            .env("LISTEN", address.to_string())
            .envs(self.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let mut process = Process {
            child,
            log,
            address,
            started_in: Duration::ZERO,
        };
        if !self.unreachable {
            process.answers(self.probe).await?;
        }
        process.started_in = begin.elapsed();
        Ok(process)
    }
}

impl Process {
    async fn answers(&mut self, path: &str) -> Result<()> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status}: {}", self.log());
            }
            if let Ok(mut connection) = Connection::open(self.address).await {
                if !path.is_empty() {
                    connection.exchange(&get(path, &[])).await?;
                }
                return Ok(());
            }
            if begin.elapsed() > DEADLINE {
                bail!("does not answer: {}", self.log());
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }

    #[cfg(feature = "peers")]
    #[must_use]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    #[must_use]
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Memory in MiB: what is resident now, and what was at most.
    pub(crate) fn memory(&self) -> Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find(|line| line.starts_with(name));
            let kib = line.and_then(|line| line.split_whitespace().nth(1));
            Ok(kib.context("no such field")?.parse::<f64>()? / 1024.0)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Processor time used so far, by all of its threads. In nanoseconds from the scheduler, since
    /// a waiting process uses less than the ticks of `/proc/PID/stat` can tell.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let path = thread?.path().join("schedstat");
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let first = text.split_whitespace().next().unwrap_or("0");
            nanoseconds += first.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        while self.child.try_wait()?.is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address below the ports that the system gives to outgoing connections.
pub(crate) fn free_address() -> Result<SocketAddr> {
    for _ in 0..100 {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(12_000..32_000)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}

/// True if processes can be put on one core, and there is another one.
fn has_taskset() -> bool {
    let cores = std::thread::available_parallelism();
    cores.is_ok_and(|cores| cores.get() > 1)
        && Command::new("taskset")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}
