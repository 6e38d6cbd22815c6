//! nginx and Varnish, each with a configuration and a directory of its own.

use std::path::{Path, PathBuf};

use harness::programs::program;
use harness::{Client, Process, Service, free_address};

/// Which cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    Nginx,
    Varnish,
}

/// A cache in front of an order service.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Obeys the headers of the feed, without rules of its own.
    pub(crate) plain: Client,
    /// Passes the conditions of a reader on.
    pub(crate) eager: Client,
    /// Keeps the head while its origin is down.
    pub(crate) keeping: Client,
    directory: tempfile::TempDir,
    /// Dropped, and so killed, before its directory is.
    process: Option<Process>,
}

impl Cache {
    /// Starts it, and waits until it answers.
    pub(crate) async fn before(self, order: &Service) -> Proxy {
        let origin = order.client.url("");
        let origin = origin.trim_start_matches("http://").trim_end_matches('/');
        let directory = tempfile::tempdir().unwrap();
        let (mut command, [plain, eager, keeping]) = match self {
            Self::Nginx => {
                let addresses = [(); 3].map(|()| free_address());
                let text = include_str!("nginx.conf")
                    .replace("@ORIGIN@", origin)
                    .replace("@PLAIN@", &addresses[0])
                    .replace("@EAGER@", &addresses[1])
                    .replace("@KEEPING@", &addresses[2]);
                let mut nginx = program("nginx");
                nginx.arg("-p").arg(directory.path());
                nginx
                    .args(["-e", "stderr", "-c"])
                    .arg(write(&directory, "nginx.conf", &text));
                (nginx, addresses)
            }
            Self::Varnish => {
                let address = free_address();
                let (host, port) = origin.split_once(':').unwrap();
                let text = include_str!("varnish.vcl")
                    .replace("@HOST@", host)
                    .replace("@PORT@", port);
                let mut varnish = program("varnishd");
                varnish.args(["-F", "-j", "none", "-s", "malloc,16m", "-a", &address]);
                varnish.arg("-n").arg(directory.path().join("work"));
                varnish
                    .arg("-f")
                    .arg(write(&directory, "varnish.vcl", &text));
                (varnish, [(); 3].map(|()| address.clone()))
            }
        };
        let [plain, eager, keeping] =
            [plain, eager, keeping].map(|address| Client::new(&format!("http://{address}/")));
        let mut process = Process::start_command("cache", &mut command, &[], directory.path());
        process.ready(&order.client.at(&plain.url(""))).await;
        Proxy {
            plain,
            eager,
            keeping,
            directory,
            process: Some(process),
        }
    }
}

impl Proxy {
    /// What nginx has answered.
    pub(crate) fn answered(&self) -> Vec<Line> {
        let log = std::fs::read_to_string(self.directory.path().join("access.log")).unwrap();
        log.lines().map(Line::read).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process = None;
    }
}

/// A line of the access log.
#[derive(Debug)]
pub(crate) struct Line {
    /// Seconds.
    pub(crate) time: f64,
    pub(crate) path: String,
    /// `HIT`, `MISS` …
    pub(crate) cache: String,
}

impl Line {
    fn read(line: &str) -> Self {
        let mut fields = line.split(' ').map(str::to_owned);
        let mut next = || fields.next().unwrap();
        Self {
            time: next().parse().unwrap(),
            path: next(),
            cache: next(),
        }
    }
}

fn write(directory: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let directory: &Path = directory.path();
    let path = directory.join(name);
    let text = text.replace("@DIRECTORY@", directory.to_str().unwrap());
    std::fs::write(&path, text).unwrap();
    path
}
