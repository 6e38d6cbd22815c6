//! A durable quorum queue of `RabbitMQ` with persistent messages.
//!
//! It is the queue whose confirmation means the same as a commit of PostgreSQL. Its write-ahead log
//! writes what has arrived, calls `fdatasync`, and notifies the queue after that; then the queue
//! confirms (`ra_log_wal.erl`: write strategy `default`, sync method `datasync`).

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use feed_core::Received;
use futures_util::future::try_join_all;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Acker, BasicProperties, Channel, Connection, ConnectionProperties, Consumer};

use super::{consumer, message};
use crate::bare::relay::Target;

const QUEUE: &str = "orders";

/// AMQP's number for a message that survives a restart.
const PERSISTENT: u8 = 2;

async fn open(address: SocketAddr) -> Result<(Connection, Channel)> {
    let url = format!("amqp://guest:guest@{address}/%2f");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    let kind = AMQPValue::LongString("quorum".into());
    arguments.insert("x-queue-type".into(), kind);
    let durable = QueueDeclareOptions::durable();
    channel
        .queue_declare(QUEUE.into(), durable, arguments)
        .await?;
    Ok((connection, channel))
}

pub(super) struct Publisher {
    _connection: Connection,
    channel: Channel,
}

impl Publisher {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let (connection, channel) = open(address).await?;
        let confirm = ConfirmSelectOptions::default();
        channel.confirm_select(confirm).await?;
        Ok(Self {
            _connection: connection,
            channel,
        })
    }
}

impl Target for Publisher {
    async fn keep(&mut self, events: Vec<Received>) -> Result<()> {
        let messages = events.into_iter().map(message::write);
        let messages: Vec<Bytes> = messages.collect::<Result<_>>()?;
        // All at once: each waits until it is written to the socket.
        let written = try_join_all(messages.iter().map(|message| {
            self.channel.basic_publish(
                "".into(),
                QUEUE.into(),
                BasicPublishOptions::default(),
                message,
                BasicProperties::default().with_delivery_mode(PERSISTENT),
            )
        }));
        for confirmation in written.await? {
            ensure!(confirmation.await?.is_ack(), "a message is refused");
        }
        Ok(())
    }
}

pub(super) struct Inbox {
    _connection: Connection,
    deliveries: Consumer,
    batch: usize,
}

impl Inbox {
    pub(super) async fn open(address: SocketAddr, batch: usize) -> Result<Self> {
        let (connection, channel) = open(address).await?;
        let ahead = consumer::ahead(batch).try_into()?;
        channel.basic_qos(ahead, BasicQosOptions::default()).await?;
        let deliveries = channel
            .basic_consume(
                QUEUE.into(),
                "invoice".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(Self {
            _connection: connection,
            deliveries,
            batch,
        })
    }
}

impl consumer::Inbox for Inbox {
    type Receipt = Acker;

    async fn take(&mut self) -> Result<(Vec<Received>, Acker)> {
        let deliveries = consumer::arrived(&mut self.deliveries, self.batch).await?;
        let last = deliveries.last().context("a message")?.acker.clone();
        let events = deliveries
            .iter()
            .map(|delivery| message::read(&delivery.data));
        Ok((events.collect::<Result<_>>()?, last))
    }

    async fn acknowledge(&mut self, last: Acker) -> Result<()> {
        // Of this channel alone: deliveries to another process stay as they are.
        let acknowledged = last.ack(BasicAckOptions { multiple: true }).await?;
        ensure!(acknowledged, "the channel is closed");
        Ok(())
    }
}
