//! What the database driver costs by itself: the very statements of a bay read, run through sqlx in a loop, with
//! as many callers and connections as the worker has. No row is decoded.
//!
//! The statements are not written down here: the worker's store runs one read, and sqlx tells what it was asked.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use mesos_conductor::store::{Key, Scope, Visibility};
use sqlx::postgres::PgPoolOptions;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};
use uuid::Uuid;

use crate::database::{Database, PROJECT};
use crate::load::{self, Sample};
use crate::process::Cpu;

/// What one loop is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[arg(long)]
    pub(crate) database: String,
    #[arg(long)]
    pub(crate) connections: u32,
    #[arg(long)]
    pub(crate) in_flight: usize,
    #[arg(long)]
    pub(crate) seconds: f64,
    #[arg(long)]
    pub(crate) bay: Uuid,
    #[arg(long)]
    pub(crate) model: Uuid,
}

/// Prints a [`Sample`] as JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let statements = statements(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sample = runtime.block_on(repeat(options, statements))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&sample)?)?;
    Ok(())
}

/// The statements of a bay read: for the bay, and for its model.
#[derive(Debug, Clone, Copy)]
struct Statements {
    bay: &'static str,
    model: &'static str,
}

async fn repeat(options: &Options, statements: Statements) -> anyhow::Result<Sample> {
    // Nothing is asked of a connection but the statements: whatever else the worker's pool does is the worker's.
    let pool = PgPoolOptions::new().max_connections(options.connections).test_before_acquire(false);
    let pool = pool.connect(&options.database).await?;
    let (bay, model) = (options.bay.to_string(), options.model.to_string());
    let call = move |_| {
        let (pool, bay, model) = (pool.clone(), bay.clone(), model.clone());
        async move {
            let rows = sqlx::query(statements.bay).bind(PROJECT).bind(bay).fetch_all(&pool).await?;
            anyhow::ensure!(rows.len() == 1, "the bay is not there");
            let rows = sqlx::query(statements.model).bind(model).fetch_all(&pool).await?;
            anyhow::ensure!(rows.len() == 1, "the model is not there");
            Ok(())
        }
    };
    let cpu = Cpu::of(std::process::id())?;
    // Connections are made and statements prepared before it counts.
    load::measure(options.in_flight, Duration::from_millis(300), &cpu, call.clone()).await?;
    load::measure(options.in_flight, Duration::from_secs_f64(options.seconds), &cpu, call).await
}

/// Reads a bay through the worker's store, and listens.
fn statements(options: &Options) -> anyhow::Result<Statements> {
    let heard = Heard::default();
    let subscriber = tracing_subscriber::registry().with(heard.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let store = Database::store(&options.database).await?;
            let bay = store.bay(&Scope::Project(PROJECT.to_owned()), Key::Uuid(options.bay)).await?;
            bay.context("the bay is not there")?;
            let model = store.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(options.model)).await?;
            model.context("the model is not there")?;
            store.close().await;
            anyhow::Ok(())
        })
    })?;
    let heard = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut selects = heard.iter().filter(|statement| statement.starts_with("SELECT"));
    let mut next = || selects.next().map(|text| &*text.clone().leak()).context("sqlx tells no statement");
    Ok(Statements { bay: next()?, model: next()? })
}

/// Keeps every statement that sqlx logs.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Heard {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            event.record(&mut Statement(self));
        }
    }
}

struct Statement<'a>(&'a Heard);

impl Visit for Statement<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "db.statement" {
            self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(value.trim().to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
