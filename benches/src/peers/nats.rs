//! A stream of NATS `JetStream` with file storage, and a durable pull consumer of it.
//!
//! Debian's server writes a message to its file before it confirms it, but syncs that file once a
//! minute only (`defaultSyncInterval` in `filestore.go` of 2.9): a loss of power loses events that
//! were confirmed. Our feed has them in PostgreSQL, which syncs each commit. The setting
//! `sync_interval: always`, which came with 2.10, makes a newer server sync each message before it
//! confirms it.

use std::net::SocketAddr;

use anyhow::Result;
use async_nats::jetstream::consumer::pull::{Config, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::stream::{self, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use feed_core::Received;

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
    batch: usize,
}

impl Inbox {
    pub(super) async fn open(address: SocketAddr, batch: usize) -> Result<Self> {
        let ahead = consumer::ahead(batch);
        let (_, stream) = open(address).await?;
        let config = Config {
            durable_name: Some("invoice".to_owned()),
            // One acknowledgement for all would also acknowledge what was sent ahead to a process
            // that has died, and these events would have no effect.
            ack_policy: AckPolicy::Explicit,
            max_ack_pending: 4 * i64::try_from(ahead)?,
            ..Default::default()
        };
        let consumer: PullConsumer = stream.get_or_create_consumer("invoice", config).await?;
        // Requests more when half of them have arrived.
        let messages = consumer.stream().max_messages_per_batch(ahead);
        let messages = messages.messages().await?;
        Ok(Self { messages, batch })
    }
}

impl consumer::Inbox for Inbox {
    type Receipt = Vec<Acker>;

    async fn take(&mut self) -> Result<(Vec<Received>, Vec<Acker>)> {
        let messages = consumer::arrived(&mut self.messages, self.batch).await?;
        let parts = messages.into_iter().map(jetstream::Message::split);
        let events =
            parts.map(|(message, receipt)| anyhow::Ok((message::read(&message.payload)?, receipt)));
        events.collect()
    }

    async fn acknowledge(&mut self, batch: Vec<Acker>) -> Result<()> {
        for receipt in batch {
            // Into a buffer: there is no answer.
            receipt.ack().await.map_err(anyhow::Error::from_boxed)?;
        }
        Ok(())
    }
}
