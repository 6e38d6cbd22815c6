//! Health checks without a shell or `curl`: a program requests its own service. It is one request,
//! and the chassis has no HTTP client.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The timeout: a slower service is unhealthy.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The most bytes read of an answer; `/health/ready` needs less.
const LONGEST: u64 = 16 * 1024;

/// Asks the service that listens on `address` whether it is ready, and prints to standard error why
/// it is not.
pub(super) async fn probe(address: SocketAddr) -> ExitCode {
    match tokio::time::timeout(TIMEOUT, ask(reachable(address))).await {
        Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") => ExitCode::SUCCESS,
        Ok(Ok(answer)) => refused(&answer),
        Ok(Err(error)) => refused(&format!("{address} (LISTEN): {error}")),
        Err(_) => refused(&format!("no answer from {address} (LISTEN)")),
    }
}

fn refused(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

async fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Returns where this machine reaches a listener at that address: a wildcard is reached at the loopback address.
#[must_use]
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    address.set_ip(match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    });
    address
}
