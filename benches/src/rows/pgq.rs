//! Against a queue of `PgQ` in the order database, which the consumer reads there (`peers::pgq`).

use anyhow::Result;

use crate::lab::Lab;
use crate::peers::Peer;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    super::peers::run(lab, Peer::Pgq).await
}
