//! Names of services: a resolver like that of Compose or Kubernetes.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

/// A resolver. A change takes effect with the next query.
#[derive(Debug)]
pub(crate) struct Names {
    /// The address for queries.
    pub(crate) address: SocketAddr,
    known: Known,
}

type Known = Arc<Mutex<HashMap<String, Vec<IpAddr>>>>;

impl Names {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let names = Self {
            address: socket.local_addr().unwrap(),
            known: Known::default(),
        };
        tokio::spawn(answer(socket, Arc::clone(&names.known)));
        names
    }

    pub(crate) fn add(&self, name: &str, address: IpAddr) {
        let mut known = self.known.lock().unwrap();
        known.entry(name.to_owned()).or_default().push(address);
    }

    pub(crate) fn remove(&self, name: &str, address: IpAddr) {
        let mut known = self.known.lock().unwrap();
        let addresses = known.entry(name.to_owned()).or_default();
        addresses.retain(|other| *other != address);
    }
}

async fn answer(socket: UdpSocket, known: Known) {
    let mut question = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut question).await.unwrap();
        let answer = reply(&question[..length], &known.lock().unwrap());
        // A client that is gone does not need the answer.
        let _ = socket.send_to(&answer, from).await;
    }
}

/// RFC 1035, RFC 3596: the addresses of the name in `question` of the type that it asks for, or that
/// there is no such name.
fn reply(question: &[u8], known: &HashMap<String, Vec<IpAddr>>) -> Vec<u8> {
    const HEADER: usize = 12;
    const A: u8 = 1;
    const AAAA: u8 = 28;
    let (mut labels, mut at) = (Vec::new(), HEADER);
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]));
        at = end;
    }
    let empty = Vec::new();
    let addresses = known.get(&labels.join(".")).unwrap_or(&empty);
    let code = if addresses.is_empty() { 3 } else { 0 };
    let asked = question[at + 2];
    let records = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) => (asked == A).then(|| address.octets().to_vec()),
        IpAddr::V6(address) => (asked == AAAA).then(|| address.octets().to_vec()),
    });
    let records: Vec<_> = records.collect();
    let count = u8::try_from(records.len()).unwrap();
    let mut reply = question[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    // The question again: its name, type and class.
    reply.extend(&question[HEADER..at + 5]);
    for record in records {
        // The same name, the type, class IN, for no time at all, and the length of the address.
        let length = u8::try_from(record.len()).unwrap();
        reply.extend([0xC0, 12, 0, asked, 0, 1, 0, 0, 0, 0, 0, length]);
        reply.extend(record);
    }
    reply
}
