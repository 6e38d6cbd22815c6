//! A `PgBouncer` between services and the PostgreSQL of the tests.

use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use url::Url;

use crate::process::Process;
use crate::programs::{program, run};
use crate::{free_address, until};

/// A running `PgBouncer`. Removed with its directory.
#[derive(Debug)]
pub struct Pooler {
    address: String,
    process: Process,
    directory: tempfile::TempDir,
}

#[expect(
    clippy::missing_panics_doc,
    reason = "an unexpected result ends the test"
)]
impl Pooler {
    /// In a pool mode (`session`, `transaction`, `statement`), with additional settings, a line
    /// each, before the server of the database at `url`, which names the directory of a socket.
    pub async fn start(url: &str, mode: &str, settings: &str) -> Self {
        let parsed: Url = url.parse().expect("a URL");
        let host = parsed.query_pairs().find(|(name, _)| name == "host");
        let (_, socket) = host.expect("a private server has a socket");
        let address = free_address();
        let (_, port) = address.rsplit_once(':').expect("a port");
        let directory = tempfile::Builder::new()
            .prefix("pgbouncer")
            .tempdir_in("/tmp")
            .expect("a directory");
        let path = directory.path().display();
        let config = format!(
            "[databases]\n* = host={socket}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {path}/users\npool_mode = {mode}\n\
             max_client_conn = 1000\nserver_login_retry = 1\n{settings}\n"
        );
        std::fs::write(directory.path().join("pgbouncer.ini"), config).expect("a file");
        std::fs::write(directory.path().join("users"), "\"postgres\" \"\"\n").expect("a file");
        let process = Self::launch(directory.path()).await;
        let pooler = Self {
            address,
            process,
            directory,
        };
        pooler.listens().await;
        pooler
    }

    /// It refuses to run as root; then it runs as the user that PostgreSQL's package made.
    async fn launch(directory: &Path) -> Process {
        let mut id = Command::new("id");
        id.args(["-u", "postgres"]);
        let mut command = program("pgbouncer");
        if let Some(postgres) = owner_of_postgres(directory, id).await {
            let bouncer = command;
            command = Command::new("setpriv");
            command
                .args([format!("--reuid={postgres}"), format!("--regid={postgres}")])
                .arg("--clear-groups")
                .arg(bouncer.get_program());
        }
        command.arg(directory.join("pgbouncer.ini"));
        Process::start_command("pgbouncer", &mut command, &[], directory)
    }

    /// Sends it a signal by name, such as `STOP`.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    async fn listens(&self) {
        until("PgBouncer listens", async || {
            TcpStream::connect(&self.address).ok()
        })
        .await;
    }

    /// The address of the database at `url` through the pooler.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let url: Url = url.parse().expect("a URL");
        format!("postgres://postgres@{}{}", self.address, url.path())
    }

    /// Ends it, and so all its connections, and starts it again.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = Self::launch(self.directory.path()).await;
        self.listens().await;
    }
}

/// The id of the user that runs PostgreSQL, if we are root; it then owns everything in `directory`.
async fn owner_of_postgres(directory: &Path, id: Command) -> Option<u32> {
    let mut ours = Command::new("id");
    ours.arg("-u");
    if run(ours).await.stdout != b"0\n" {
        return None;
    }
    let id = String::from_utf8(run(id).await.stdout).expect("a number");
    let id = id.trim().parse().expect("a user postgres");
    for path in [directory.to_owned(), directory.join("users")] {
        chown(path, Some(id), Some(id)).expect("root may do that");
    }
    Some(id)
}
