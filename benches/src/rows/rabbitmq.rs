//! Against a quorum queue of `RabbitMQ`, which syncs a message before it confirms it
//! (`peers::rabbitmq`).

use anyhow::Result;

use crate::lab::Lab;
use crate::peers::Peer;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    super::peers::run(lab, Peer::Rabbitmq).await
}
