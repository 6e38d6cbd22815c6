//! Answers of the fake producer, and their errors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Bytes of a body that are written at a time, so that the bytes a client accepts can be counted.
const PIECE: usize = 64 * 1024;

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    manner: Manner,
    after: Duration,
}

/// How the body is sent.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Whole,
    /// `Content-Length` promises more than there is.
    CutShort,
    /// The connection ends within a chunk.
    CutChunk,
    /// A byte each second.
    Drip,
    /// Not even a status.
    Never,
    /// The body, and then so many bytes of filling.
    Endless(u64),
    /// The body is the whole message.
    Raw,
    /// The connection is reset.
    Reset,
}

impl Reply {
    /// An answer without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            manner: Manner::Whole,
            after: Duration::ZERO,
        }
    }

    /// `200` with a body of that type.
    #[must_use]
    pub fn ok(media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::status(200)
            .header("content-type", media_type)
            .body(body)
    }

    /// `200` with a feed document.
    #[must_use]
    pub fn feed(document: impl Into<Vec<u8>>) -> Self {
        Self::ok("application/atom+xml", document)
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("location", location)
    }

    /// These bytes, whatever they are, and the end of the connection.
    #[must_use]
    pub fn raw(message: impl Into<Vec<u8>>) -> Self {
        Self::status(0).body(message).manner(Manner::Raw)
    }

    /// No answer.
    #[must_use]
    pub fn never() -> Self {
        Self::status(0).manner(Manner::Never)
    }

    /// A reset of the connection.
    #[must_use]
    pub fn reset() -> Self {
        Self::status(0).manner(Manner::Reset)
    }

    /// All of it, so much later.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Adds a header; its value may be any bytes.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Gives it a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The connection ends after the body, although more was promised by `Content-Length`.
    #[must_use]
    pub fn cut_short(self) -> Self {
        self.manner(Manner::CutShort)
    }

    /// The connection ends after the body, within a chunk.
    #[must_use]
    pub fn cut_chunk(self) -> Self {
        self.manner(Manner::CutChunk)
    }

    /// The body comes a byte each second.
    #[must_use]
    pub fn drip(self) -> Self {
        self.manner(Manner::Drip)
    }

    /// After the body come so many spaces, in chunks.
    #[must_use]
    pub fn endless(self, bytes: u64) -> Self {
        self.manner(Manner::Endless(bytes))
    }

    fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// Returns true if the connection can be used again.
    pub(super) async fn send(
        &self,
        socket: &mut TcpStream,
        sent: &AtomicU64,
    ) -> std::io::Result<bool> {
        tokio::time::sleep(self.after).await;
        match self.manner {
            Manner::Reset => {
                socket.set_zero_linger()?;
                Ok(false)
            }
            Manner::Whole if self.bodiless() => {
                self.head(socket, "x-body: none").await?;
                Ok(true)
            }
            Manner::Whole => {
                self.head(socket, &format!("content-length: {}", self.body.len()))
                    .await?;
                write(socket, &self.body, sent).await?;
                Ok(true)
            }
            Manner::CutShort => {
                let promised = format!("content-length: {}", self.body.len() + 1_000);
                self.head(socket, &promised).await?;
                write(socket, &self.body, sent).await?;
                socket.shutdown().await?;
                Ok(false)
            }
            Manner::CutChunk => {
                self.head(socket, "transfer-encoding: chunked").await?;
                chunk(socket, &self.body, sent).await?;
                socket.write_all(b"3e8\r\nand").await?;
                socket.shutdown().await?;
                Ok(false)
            }
            Manner::Drip => {
                self.head(socket, &format!("content-length: {}", self.body.len()))
                    .await?;
                for byte in self.body.chunks(1) {
                    write(socket, byte, sent).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Ok(true)
            }
            Manner::Never => std::future::pending().await,
            Manner::Endless(bytes) => {
                self.head(socket, "transfer-encoding: chunked").await?;
                chunk(socket, &self.body, sent).await?;
                let filling = vec![b' '; PIECE];
                for _ in 0..bytes / PIECE as u64 {
                    chunk(socket, &filling, sent).await?;
                }
                socket.write_all(b"0\r\n\r\n").await?;
                Ok(true)
            }
            Manner::Raw => {
                write(socket, &self.body, sent).await?;
                socket.shutdown().await?;
                Ok(false)
            }
        }
    }

    /// True for an answer that ends with its head, whatever that says (RFC 9112, 6.3).
    fn bodiless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    async fn head(&self, socket: &mut TcpStream, framing: &str) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend([framing.as_bytes(), b"\r\n\r\n"].concat());
        socket.write_all(&head).await
    }
}

async fn chunk(socket: &mut TcpStream, bytes: &[u8], sent: &AtomicU64) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let size = format!("{:x}\r\n", bytes.len());
    socket.write_all(size.as_bytes()).await?;
    write(socket, bytes, sent).await?;
    socket.write_all(b"\r\n").await
}

async fn write(socket: &mut TcpStream, bytes: &[u8], sent: &AtomicU64) -> std::io::Result<()> {
    for piece in bytes.chunks(PIECE) {
        socket.write_all(piece).await?;
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}
