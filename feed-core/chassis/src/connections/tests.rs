use super::*;
use crate::read_body;
use crate::requests::Requests as Counters;
use axum::body::Bytes;
use axum::routing::{get, post};
use feed_http::metrics::Measured;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// More than the system buffers for a client that does not read.
const MUCH: usize = 64 * 1024 * 1024;

/// A limit on clients that has no effect, and short timeouts.
const SHORT: Limits = Limits {
    connections: 8,
    large: 2,
    headers_when_busy: Duration::from_millis(100),
    headers: Duration::from_millis(200),
    body: Duration::from_millis(200),
    request: Duration::from_millis(600),
    answer: Duration::from_millis(200),
    keep_alive: true,
};

/// A server with some routes.
struct Server {
    /// How often a request has failed in a way that is reported.
    doubts: Arc<AtomicUsize>,
    /// How often by when the last `GET /wait` ended.
    before: Arc<AtomicUsize>,
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    counters: Counters,
}

/// What a handler holds, such as a connection; records the doubts at its end.
struct Held(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.1
            .store(self.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let doubts = Arc::new(AtomicUsize::new(0));
        let before = Arc::new(AtomicUsize::new(0));
        let known = (Arc::clone(&doubts), Arc::clone(&before));
        let much = Bytes::from(vec![b'x'; MUCH]);
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route(
                "/body",
                post(async |request: Request| read_body(request, &(), "text/plain", MUCH).await),
            )
            .route(
                "/wait",
                get(async move || {
                    let _held = Held(known.0.clone(), known.1.clone());
                    std::future::pending::<()>().await;
                })
                .post(std::future::pending::<()>),
            )
            .route(
                "/wait/read",
                post(async |request: Request| {
                    read_body(request, &(), "text/plain", MUCH).await?;
                    std::future::pending::<Result<(), Problem>>().await
                }),
            )
            .route("/panic", get(divide))
            .route("/much", get(move || async { much }))
            .route("/304", get(|| async { StatusCode::NOT_MODIFIED }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let mut failures = Failures::default();
        let counted = Arc::clone(&doubts);
        failures.add(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let counters = Counters::default();
        let router = (router, Some(counters.layer("")));
        let serving = serve(listener, router, failures, limits, shutdown.clone());
        let serving = tokio::spawn(serving);
        Self {
            doubts,
            before,
            address,
            shutdown,
            serving,
            counters,
        }
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await;
        stream.expect("a connection")
    }

    /// Sends `request` with a head that ends the connection after it, and reads until the
    /// server closes the connection.
    async fn send(&self, request: &str, body: &str) -> String {
        let head = format!("{request}\r\nHost: x\r\nConnection: close\r\n");
        self.send_raw(&format!("{head}{body}")).await
    }

    async fn send_raw(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.expect("sent");
        rest(stream).await
    }

    /// The routes and statuses of all requests that have been counted.
    async fn counted(&self) -> Vec<(String, String)> {
        let totals = self.counters.measure().await;
        let totals = totals
            .iter()
            .filter(|metric| metric.name.ends_with("_total"));
        let labels = totals.map(|total| (total.labels[1].1.clone(), total.labels[2].1.clone()));
        labels.collect()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.expect("it stops");
    }
}

async fn divide() -> &'static str {
    panic!("attempt to divide by zero")
}

/// Reads until the server closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    let closed = tokio::time::timeout(Duration::from_secs(20), read).await;
    // A reset is an end too.
    let _ = closed.expect("the server closes the connection");
    answer
}

#[tokio::test]
async fn a_silent_client_is_disconnected_and_others_are_served() {
    let server = Server::start(SHORT).await;
    // More of them than the limit: each is closed, and the next one served.
    for _ in 0..3 {
        let silent = (0..SHORT.connections).map(|_| server.send_raw("GET / HTTP/1.1\r\nHost"));
        futures_util::future::join_all(silent).await;
    }
    let half = "Content-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf";
    let slow = server.send("POST /body HTTP/1.1", half).await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    assert!(slow.contains("application/problem+json"), "{slow}");
    let here = server.send("GET / HTTP/1.1", "\r\n").await;
    assert!(here.ends_with("here"), "{here}");
    for method in ["GET", "HEAD"] {
        let unmodified = server
            .send(&format!("{method} /304 HTTP/1.1"), "\r\n")
            .await;
        let unmodified = unmodified.to_lowercase();
        assert!(unmodified.starts_with("http/1.1 304"), "{unmodified}");
        assert!(!unmodified.contains("content-length"), "{unmodified}");
    }
    server.stop().await;
}

/// Otherwise slow senders would fill the memory.
#[tokio::test]
async fn there_are_few_large_bodies_at_a_time() {
    let server = Server::start(Limits {
        body: Duration::from_secs(20),
        request: Duration::from_secs(20),
        ..SHORT
    });
    let server = server.await;
    let text = "/body HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n";
    let large = format!("POST {text}Content-Length: 1000000\r\n\r\n");
    let unknown = format!("POST {text}Transfer-Encoding: chunked\r\n\r\n");
    // Nobody reads the bodies of these: as many readers of a feed must not keep out all others.
    let unread = "GET /wait HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..SHORT.large {
        let mut stream = server.connect().await;
        stream.write_all(unread.as_bytes()).await.expect("sent");
        waiting.push(stream);
    }
    let chunk =
        "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhere\r\n0\r\n\r\n";
    let read = server.send("POST /body HTTP/1.1", chunk).await;
    assert!(read.starts_with("HTTP/1.1 200"), "{read}");
    let mut slow = Vec::new();
    for head in [&large, &unknown] {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.expect("sent");
        slow.push(stream);
    }
    // The two may get their permits after this one.
    let begin = tokio::time::Instant::now();
    loop {
        match server.send("POST /body HTTP/1.1", chunk).await {
            refused if refused.starts_with("HTTP/1.1 503") => break,
            early => assert!(begin.elapsed() < Duration::from_secs(20), "{early}"),
        }
    }
    let refused = ("/body".to_owned(), "503".to_owned());
    assert!(server.counted().await.contains(&refused));
    let small = "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nhere";
    let small = server.send("POST /body HTTP/1.1", small).await;
    assert!(small.ends_with("here"), "{small}");
    // Dropping the senders frees the permits.
    drop(slow);
    loop {
        match server.send("POST /body HTTP/1.1", chunk).await {
            taken if taken.starts_with("HTTP/1.1 200") => break,
            early => assert!(begin.elapsed() < Duration::from_secs(20), "{early}"),
        }
    }
}

#[tokio::test]
async fn an_idle_connection_makes_room_when_a_tenth_are_in_use() {
    let server = Server::start(Limits {
        headers: Duration::from_secs(600),
        ..SHORT
    });
    let server = server.await;
    let mut silent = Vec::new();
    for _ in 0..2 * SHORT.connections {
        silent.push(server.connect().await);
    }
    // All but the first of them.
    rest(silent.remove(1)).await;
    let here = server.send("GET / HTTP/1.1", "\r\n").await;
    assert!(here.ends_with("here"), "{here}");
    drop(silent);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_comes_to_an_end() {
    let server = Server::start(Limits {
        body: Duration::from_secs(20),
        ..SHORT
    });
    let server = server.await;
    let mut stream = server.connect().await;
    let head = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\
                    Content-Length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let (mut read, mut write) = stream.into_split();
    let dripping = tokio::spawn(async move {
        // Never pauses for long; ends when the server closes the connection.
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = vec![0; 12];
    let answered = tokio::time::timeout(Duration::from_secs(20), read.read_exact(&mut answer));
    answered.await.expect("in time").expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 408");
    let doubts = server.doubts.load(Ordering::Relaxed);
    assert_eq!(doubts, 0, "a slow client throws no doubt on the database");
    let counted = server.counted().await;
    assert_eq!(counted, [("/body".to_owned(), "408".to_owned())]);
    dripping.abort();
    server.stop().await;
}

/// Also what the router does not answer itself: alerts are made from the counters.
#[tokio::test]
async fn every_answer_is_counted_as_the_client_gets_it() {
    let server = Server::start(SHORT).await;
    let body = "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nhere";
    let half = "Content-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf";
    let requests = [
        ("GET /panic HTTP/1.1", "\r\n", "500", 0),
        ("GET /wait HTTP/1.1", "\r\n", "503", 1),
        ("POST /wait HTTP/1.1", body, "503", 2),
        // Its body is there, and was read: the client is not what it waits for.
        ("POST /wait/read HTTP/1.1", body, "503", 3),
        ("POST /wait/read HTTP/1.1", half, "408", 3),
    ];
    for (index, (request, rest, status, doubts)) in requests.into_iter().enumerate() {
        let answer = server.send(request, rest).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(answer.contains("application/problem+json"), "{answer}");
        let path = request.split(' ').nth(1).expect("a path").to_owned();
        let counted = server.counted().await;
        // Each has a method, a route or a status of its own.
        assert_eq!(counted.len(), index + 1, "{counted:?}");
        assert!(counted.contains(&(path, status.to_owned())), "{counted:?}");
        // Only a request that waited for the service itself throws doubt on what that waits for.
        assert_eq!(server.doubts.load(Ordering::Relaxed), doubts, "{request}");
        if request.starts_with("GET /wait") {
            let before = server.before.load(Ordering::Relaxed);
            assert_eq!(
                before, doubts,
                "what it held is in doubt when it comes back"
            );
        }
    }
    // A client that goes away gets nothing.
    let mut stream = server.connect().await;
    let head = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    drop(stream);
    let begin = tokio::time::Instant::now();
    while !server
        .counted()
        .await
        .contains(&("/wait".to_owned(), "499".to_owned()))
    {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{:?}",
            server.counted().await
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let one = Limits {
        connections: 1,
        headers: Duration::from_secs(20),
        answer: Duration::from_secs(1),
        ..SHORT
    };
    let server = Server::start(one).await;
    let mut deaf = server.connect().await;
    let much = "GET /much HTTP/1.1\r\nHost: x\r\n\r\n";
    deaf.write_all(much.as_bytes()).await.expect("sent");
    // There is one permit, and this request gets it.
    let here = server.send("GET / HTTP/1.1", "\r\n").await;
    assert!(here.ends_with("here"), "{here}");
    // A slow reader gets everything.
    let mut slow = server.connect().await;
    let last = much.replace("Host", "Connection: close\r\nHost");
    slow.write_all(last.as_bytes()).await.expect("sent");
    let (mut all, mut part) = (0, vec![0; MUCH / 16]);
    loop {
        let read = slow.read(&mut part).await.expect("the answer continues");
        if read == 0 {
            break;
        }
        all += read;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(all > MUCH, "{all}");
    drop(deaf);
    server.stop().await;
}

/// Without the pause after any other, a service that has no file descriptor left would use a whole processor.
#[test]
fn only_a_client_that_went_away_is_no_reason_to_pause() {
    use std::io::Error;
    assert!(is_of_client(&Error::from(ErrorKind::ConnectionAborted)));
    for kind in [
        ErrorKind::ConnectionReset,
        ErrorKind::OutOfMemory,
        ErrorKind::Other,
    ] {
        assert!(!is_of_client(&Error::from(kind)), "{kind:?}");
    }
}

#[tokio::test]
async fn a_head_is_bounded() {
    let server = Server::start(SHORT).await;
    let (most, each) = (Limits::default().connections, LONGEST_HEAD);
    assert!(most * each <= 160 * 1024 * 1024, "{most} heads of {each}");
    let usual = format!("X: {}\r\n\r\n", "x".repeat(LONGEST_HEAD * 3 / 4));
    let here = server.send("GET / HTTP/1.1", &usual).await;
    assert!(here.ends_with("here"), "{here}");
    let long = format!("X: {}\r\n\r\n", "x".repeat(2 * LONGEST_HEAD));
    let many = "X: x\r\n".repeat(1_000) + "\r\n";
    let path = format!("GET /{} HTTP/1.1", "x".repeat(2 * LONGEST_HEAD));
    for (request, headers) in [
        ("GET / HTTP/1.1", "Host: y\r\n\r\n"),
        ("GET / HTTP/1.1", &*long),
        ("GET / HTTP/1.1", &many),
        (&path, "\r\n"),
    ] {
        let mut stream = server.connect().await;
        let head = format!("{request}\r\nHost: x\r\n{headers}");
        // The server may close before it has read everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = rest(stream).await;
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused, "{answer}");
    }
    let here = server.send("GET / HTTP/1.1", "\r\n").await;
    assert!(here.ends_with("here"), "{here}");
    server.stop().await;
}
