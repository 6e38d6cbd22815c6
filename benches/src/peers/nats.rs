//! A stream of NATS `JetStream` with file storage, and a durable pull consumer of it.
//!
//! The server writes a message to its file before it confirms it, but syncs that file once a minute
//! only (`defaultSyncInterval` in `filestore.go` of 2.9; a setting for it came with 2.10): a loss
//! of power loses events that were confirmed. Our feed has them in PostgreSQL, which syncs each
//! commit.

use std::net::SocketAddr;

use anyhow::Result;
use async_nats::jetstream::consumer::pull::{Config, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::stream::{self, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use feed_core::Received;

use super::consumer::AHEAD;
use super::{consumer, message};
use crate::bare::relay::Target;

const SUBJECT: &str = "orders";

async fn open(address: SocketAddr) -> Result<(Context, Stream)> {
    let client = async_nats::connect(format!("nats://{address}")).await?;
    let context = jetstream::new(client);
    // Its events stay, as those of our feed do: an acknowledgement removes nothing.
    let stream = stream::Config {
        name: SUBJECT.to_owned(),
        storage: StorageType::File,
        ..Default::default()
    };
    let stream = context.get_or_create_stream(stream).await?;
    Ok((context, stream))
}

#[derive(Debug)]
pub(super) struct Publisher {
    context: Context,
}

impl Publisher {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let (context, _) = open(address).await?;
        Ok(Self { context })
    }
}

impl Target for Publisher {
    async fn keep(&mut self, events: Vec<Received>) -> Result<()> {
        let mut confirmations = Vec::with_capacity(events.len());
        for event in events {
            let message = message::write(event)?;
            confirmations.push(self.context.publish(SUBJECT, message).await?);
        }
        for confirmation in confirmations {
            confirmation.await?;
        }
        Ok(())
    }
}

pub(super) struct Inbox {
    messages: Messages,
}

impl Inbox {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let (_, stream) = open(address).await?;
        let config = Config {
            durable_name: Some("invoice".to_owned()),
            // One acknowledgement for all would also acknowledge what was sent ahead to a process
            // that has died, and these events would have no effect.
            ack_policy: AckPolicy::Explicit,
            max_ack_pending: i64::from(AHEAD) * 4,
            ..Default::default()
        };
        let consumer: PullConsumer = stream.get_or_create_consumer("invoice", config).await?;
        // Requests more when half of them have arrived.
        let messages = consumer.stream().max_messages_per_batch(AHEAD.into());
        let messages = messages.messages().await?;
        Ok(Self { messages })
    }
}

impl consumer::Inbox for Inbox {
    type Receipt = Vec<Acker>;

    async fn take(&mut self) -> Result<(Vec<Bytes>, Vec<Acker>)> {
        let messages = consumer::arrived(&mut self.messages).await?;
        let parts = messages.into_iter().map(jetstream::Message::split);
        Ok(parts
            .map(|(message, receipt)| (message.payload, receipt))
            .unzip())
    }

    async fn acknowledge(&mut self, batch: Vec<Acker>) -> Result<()> {
        for receipt in batch {
            // Into a buffer: there is no answer.
            receipt.ack().await.map_err(anyhow::Error::from_boxed)?;
        }
        Ok(())
    }
}
