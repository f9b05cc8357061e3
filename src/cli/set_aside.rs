//! `set-aside list|show|retry|drop`: what an operator does about messages that came back too often. Asks the database
//! and the broker, not a worker: a worker may be what such a message ends.

mod redact;

use std::sync::Arc;

use clap::{Args, Subcommand};
use mesos_conductor_proto::codec::Encoding;
use mesos_conductor_proto::message::Request;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{Global, error::Error, output::Output};
use crate::amqp::settings::Broker;
use crate::amqp::{self, Message, Publisher};
use crate::config::Settings;
use crate::store::{Original, SetAside, Store};
use crate::worker;

const COLUMNS: &[&str] = &["id", "set_aside_at", "method", "project_id", "attempts", "bytes", "reason"];
const FIELDS: &[&str] = &[
    "id",
    "set_aside_at",
    "times",
    "method",
    "project_id",
    "request_id",
    "attempts",
    "bytes",
    "reason",
    "content_type",
    "compression",
    "body",
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists them, oldest first
    List,
    /// Shows one
    Show {
        id: Uuid,
        /// Shows the request too, without its secrets
        #[arg(long)]
        body: bool,
    },
    /// Sends them once more, as they were, and forgets them when the broker has them
    Retry(Which),
    /// Forgets them
    Drop {
        #[arg(required = true)]
        id: Vec<Uuid>,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    id: Vec<Uuid>,
    /// All that there are
    #[arg(long)]
    all: bool,
}

impl Command {
    pub(super) async fn run(self, global: &Global, output: &mut Output) -> Result<(), Error> {
        let settings = crate::config::load(&global.sources())?.settings;
        let store = worker::open_store(&settings).await?;
        let outcome = match self {
            Self::List => list(&store, output).await,
            Self::Show { id, body } => show(&store, &settings, id, body, output).await,
            Self::Retry(which) => retry(&store, &settings, which, output).await,
            Self::Drop { id } => drop_all(&store, &id, output).await,
        };
        store.close().await;
        outcome
    }
}

async fn list(store: &Store, output: &mut Output) -> Result<(), Error> {
    let rows: Vec<_> = store.all_set_aside().await.map_err(anyhow::Error::new)?.iter().map(row).collect();
    Ok(output.rows(&rows, COLUMNS)?)
}

async fn show(
    store: &Store,
    settings: &Settings,
    id: Uuid,
    body: bool,
    output: &mut Output,
) -> Result<(), Error> {
    let (message, original) = find(store, id).await?;
    let mut fields = row(&message);
    fields.insert("content_type".to_owned(), json!(original.content_type));
    fields.insert("compression".to_owned(), json!(original.compression));
    if body {
        fields.insert("body".to_owned(), request(original, settings.conductor.max_message_size).await?);
    }
    Ok(output.record(&fields, FIELDS)?)
}

/// The request in a body. Decoded here and nowhere else: whatever that does, it does not do to a worker.
async fn request(original: Original, limit: usize) -> Result<Value, Error> {
    let Original { content_type, compression, body } = original;
    let body = amqp::expand(body, compression.as_deref(), limit).await;
    let body = body.map_err(|error| Error::Garbage(error.to_string()))?;
    let request = Request::decode(content_type.as_deref(), &body);
    Ok(redact::request(&request.map_err(|error| Error::Garbage(error.to_string()))?))
}

async fn retry(store: &Store, settings: &Settings, which: Which, output: &mut Output) -> Result<(), Error> {
    let ids = if which.all {
        let all = store.all_set_aside().await.map_err(anyhow::Error::new)?;
        all.iter().map(|message| message.id).collect()
    } else {
        which.id
    };
    // As it was: what was compressed is so already, and what was not stays so.
    let broker = Arc::new(Broker { compression: None, ..worker::broker(settings)? });
    let publisher = Publisher::new(Arc::clone(&broker));
    let mut outcome = Ok(());
    for id in ids {
        outcome = send(store, &publisher, &broker, id).await;
        if outcome.is_err() {
            break;
        }
        output.note(&format!("{id} was sent"));
    }
    publisher.close().await;
    outcome
}

/// May end anywhere and be run again: what was done with the message meanwhile is known by its key.
async fn send(store: &Store, publisher: &Publisher, broker: &Broker, id: Uuid) -> Result<(), Error> {
    let (kept, original) = find(store, id).await?;
    store.release_set_aside(id).await.map_err(anyhow::Error::new)?;
    let encoding = Encoding::from_content_type(original.content_type.as_deref()).unwrap_or(Encoding::Json);
    let message = Message {
        exchange: broker.exchange.clone(),
        routing_key: broker.topic.clone(),
        content_type: original.content_type.unwrap_or_default(),
        content_encoding: encoding.content_encoding().to_owned(),
        compressed: original.compression,
        body: original.body,
        mandatory: true,
        expiration: None,
    };
    let sent = publisher.publish(&message).await;
    sent.map_err(|error| Error::Unreachable(format!("{id} stays where it is: {error}")))?;
    if !store.forget_set_aside(&kept).await.map_err(anyhow::Error::new)? {
        return Err(Error::Ended(format!("{id} was sent, and has been set aside again since")));
    }
    Ok(())
}

async fn drop_all(store: &Store, ids: &[Uuid], output: &mut Output) -> Result<(), Error> {
    for &id in ids {
        let message = store.one_set_aside(id).await.map_err(anyhow::Error::new)?;
        let message = message.ok_or_else(|| unknown(id))?;
        if !store.forget_set_aside(&message).await.map_err(anyhow::Error::new)? {
            return Err(Error::Ended(format!("{id} changed meanwhile; look at it again")));
        }
        output.note(&format!("{id} is forgotten"));
    }
    Ok(())
}

async fn find(store: &Store, id: Uuid) -> Result<(SetAside, Original), Error> {
    let message = store.one_set_aside(id).await.map_err(anyhow::Error::new)?;
    let original = store.original(id).await.map_err(anyhow::Error::new)?;
    message.zip(original).ok_or_else(|| unknown(id))
}

fn unknown(id: Uuid) -> Error {
    Error::Ended(format!("no message {id} is set aside"))
}

fn row(message: &SetAside) -> Map<String, Value> {
    let at = OffsetDateTime::from_unix_timestamp(message.created_ms / 1000).ok();
    let at = at.and_then(|at| at.format(&Rfc3339).ok());
    [
        ("id", json!(message.id)),
        ("set_aside_at", json!(at)),
        ("times", json!(message.times)),
        ("method", json!(message.method)),
        ("project_id", json!(message.project_id)),
        ("request_id", json!(message.request_id)),
        ("attempts", json!(message.attempts)),
        ("bytes", json!(message.bytes)),
        ("reason", json!(message.reason)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}
