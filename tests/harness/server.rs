//! A PostgreSQL server of a test's own, which can be stopped, killed and restarted.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{run, succeed};

/// A running server. Removed with its directory.
#[derive(Debug)]
pub struct Server {
    /// The address of its first database.
    pub url: String,
    bin: PathBuf,
    /// In effect from its next start.
    pub environment: Vec<(&'static str, String)>,
    directory: tempfile::TempDir,
}

#[expect(
    clippy::missing_panics_doc,
    reason = "an unexpected result ends the test"
)]
impl Server {
    /// With options beside its usual ones, such as `max_connections=30`.
    pub async fn start(options: &[&str], environment: &[(&'static str, String)]) -> Self {
        Self::set_up(&[], options, environment).await
    }

    /// Which finds damaged pages.
    pub async fn start_with_checksums() -> Self {
        Self::set_up(&["--data-checksums"], &["fsync=off"], &[]).await
    }

    async fn set_up(
        with: &[&str],
        options: &[&str],
        environment: &[(&'static str, String)],
    ) -> Self {
        let server = Self::in_a_new_directory(environment).await;
        let mut init = server.command("initdb");
        init.args(["--auth", "trust", "--username", "postgres", "--locale", "C"])
            .args(["--encoding", "UTF8", "--no-sync", "--wal-segsize", "1"])
            .args(with);
        succeed(init).await;
        let small = "max_wal_size=16MB";
        server.set(&[
            "listen_addresses=''",
            &server.sockets(),
            "max_connections=400",
            "max_prepared_transactions=4",
            small,
        ]);
        server.set(options);
        server.launch().await;
        server
    }

    /// A hot standby, which follows this server.
    pub async fn standby(&self) -> Self {
        let standby = Self::in_a_new_directory(&self.environment).await;
        let mut copy = standby.command("pg_basebackup");
        copy.args([
            "--username",
            "postgres",
            "--checkpoint",
            "fast",
            "--no-sync",
        ])
        .args(["--write-recovery-conf", "--host"])
        .arg(self.directory.path());
        succeed(copy).await;
        standby.set(&[&standby.sockets()]);
        standby.launch().await;
        standby
    }

    async fn in_a_new_directory(environment: &[(&'static str, String)]) -> Self {
        // A short path: a socket's address has 107 characters at most.
        let directory = tempfile::Builder::new()
            .prefix("pg")
            .tempdir_in("/tmp")
            .expect("a directory");
        let server = Self {
            url: format!(
                "postgres://postgres@localhost/postgres?host={}",
                directory.path().display()
            ),
            bin: installed(),
            environment: environment.to_vec(),
            directory,
        };
        if server.as_another_user() {
            let mut own = Command::new("chown");
            own.arg("postgres").arg(server.directory.path());
            succeed(own).await;
        }
        server
    }

    fn sockets(&self) -> String {
        format!(
            "unix_socket_directories='{}'",
            self.directory.path().display()
        )
    }

    /// Sets options, for its next start.
    pub fn set(&self, options: &[&str]) {
        let file = self.data().join("postgresql.auto.conf");
        let mut text = std::fs::read_to_string(&file).expect("the system");
        for option in options {
            text += &format!("{option}\n");
        }
        std::fs::write(file, text).expect("the system");
    }

    /// Restarts it, and waits until it answers.
    pub async fn launch(&self) {
        let mut start = self.command("pg_ctl");
        start.args(["start", "--wait", "--silent", "--log"]);
        let log = self.directory.path().join("log");
        start.arg(&log);
        if !run(start).await.status.success() {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("PostgreSQL does not start:\n{log}");
        }
    }

    /// Stops it; `immediate` is a crash, `fast` cuts all connections.
    pub async fn stop(&self, mode: &str) {
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "--silent", "--mode", mode]);
        succeed(stop).await;
    }

    /// Starts it unless it runs.
    pub async fn launch_if_down(&self) {
        let mut status = self.command("pg_ctl");
        let status = status.arg("status").output().expect("the system");
        if !status.status.success() {
            self.launch().await;
        }
    }

    /// Gives it the ownership of its data directory again.
    pub async fn own_data(&self) {
        let mut permissions = Command::new("chmod");
        permissions.arg("0700").arg(self.data());
        succeed(permissions).await;
        if self.as_another_user() {
            let mut own = Command::new("chown");
            own.arg("postgres").arg(self.data());
            succeed(own).await;
        }
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// PostgreSQL refuses to run as root; then it runs as the user that its package made.
    fn as_another_user(&self) -> bool {
        let id = Command::new("id").arg("-u").output().expect("the system");
        id.stdout == b"0\n"
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new("env");
        if self.as_another_user() {
            command = Command::new("setpriv");
            command.args([
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                "env",
            ]);
        }
        // Last: a process that was started before cannot use its content.
        for (name, value) in &self.environment {
            command.arg(format!("{name}={value}"));
        }
        command.arg(self.bin.join(name));
        command.current_dir("/").arg("--pgdata").arg(self.data());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        let _ = stop
            .args(["stop", "--silent", "--mode", "immediate"])
            .output();
    }
}

/// The programs of the server, as in `tests/postgres.sh`: that in `PATH`, or else the newest, which Debian keeps out of
/// `PATH`.
///
/// # Panics
///
/// There is none.
#[must_use]
pub fn installed() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_it = |bin: &PathBuf| bin.join("initdb").exists();
    if let Some(bin) = std::env::split_paths(&path).find(has_it) {
        // It may be a link alone, without the other programs.
        let initdb = std::fs::canonicalize(bin.join("initdb")).expect("the system");
        return initdb.parent().expect("a directory").to_owned();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    versions
        .map(|version| version.expect("the system").path().join("bin"))
        .filter(has_it)
        .max_by_key(|bin| version_of(bin))
        .expect("a PostgreSQL server: `tests/run` installs one")
}

fn version_of(bin: &Path) -> u32 {
    let version = bin.parent().and_then(Path::file_name);
    let version = version.and_then(|version| version.to_str()?.parse().ok());
    version.unwrap_or_default()
}
