//! Against the NATS `JetStream` of Debian, which confirms a message before it syncs it (`peers::nats`).

use anyhow::Result;

use crate::lab::Lab;
use crate::peers::Peer;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    super::peers::run(lab, Peer::Nats).await
}
