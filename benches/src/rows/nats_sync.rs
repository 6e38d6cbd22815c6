//! Against a newer NATS `JetStream`, which syncs a message before it confirms it (`peers::nats`).

use anyhow::Result;

use crate::lab::Lab;
use crate::peers::Peer;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    super::peers::run(lab, Peer::NatsSync).await
}
