//! The demo: a bay is created and scaled, runs an app, and is deleted, through a real RabbitMQ, by the programs as
//! they are built.
//!
//! The cloud is the sandbox; everything else is what a deployment has. It checks what it shows, and what it starts
//! or declares it takes away, also after Ctrl-C. `make demo` names the broker in `CONDUCTOR_DEMO_AMQP_URL`.

mod app;
mod observers;
mod stage;
mod timeline;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

use self::observers::Observers;
use self::stage::Stage;

#[tokio::main]
async fn main() -> ExitCode {
    let began = Instant::now();
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut stage = Stage::default();
    let outcome = tokio::select! {
        outcome = play(&mut stage) => Some(outcome),
        () = interrupted() => None,
    };
    if matches!(outcome, Some(Err(_))) {
        say(&stage.last_words());
    }
    let cleared = stage.clear().await.context("cleaning up");
    let outcome = match outcome {
        Some(outcome) => Some(outcome.and(cleared)),
        None => cleared.err().map(Err),
    };
    match outcome {
        Some(Ok(())) => {
            say(&format!(
                "\nAll as expected, and nothing is left behind ({:.1} s).",
                began.elapsed().as_secs_f64()
            ));
            ExitCode::SUCCESS
        }
        Some(Err(error)) => {
            say(&format!("\nThe demo failed: {error:#}"));
            ExitCode::FAILURE
        }
        None => {
            say("\nInterrupted; what was started is ended.");
            ExitCode::from(130)
        }
    }
}

/// The story.
async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    step("A stand-in cloud (Keystone, Heat, and a Marathon for each bay) and one worker on SQLite");
    stage.set().await?;
    let observers = Observers::start(stage).await?;

    step("A bay model: what the nodes of a bay are made of");
    stage.cli(MODEL).await?;
    stage.cli("baymodel list").await?;

    step("A bay of one master and two nodes");
    stage.cli("bay create --name demo --baymodel mesos --node-count 2").await?;
    observers.expect("CREATE_COMPLETE", 2).await?;

    step("One node more");
    stage.cli("bay update demo --node-count 3").await?;
    observers.expect("UPDATE_COMPLETE", 3).await?;

    app::play(stage, &observers).await?;

    step("And away with the bay");
    stage.cli("bay delete demo").await?;
    observers.expect_gone().await?;
    stage.cli("baymodel delete mesos").await?;

    let story = observers.finish().await?;
    step("What went over the wire, what the bay was, what the cloud was asked");
    let timeline = story.timeline(&stage.worker_log()?, &stage.cloud_requests().await?)?;
    say(timeline.to_string().trim_end());
    timeline.check()?;
    nothing_is_left(stage).await
}

const MODEL: &str = "baymodel create --name mesos --image ubuntu-mesos --flavor m1.small --keypair testkey \
                     --external-network public";

/// The cloud after the delete: no stack, no trust, no trustee.
async fn nothing_is_left(stage: &Stage) -> anyhow::Result<()> {
    let state = stage.ask_cloud("state").await?;
    let stacks = state["stacks"].as_array().context("the sandbox lists its stacks")?;
    let living: Vec<_> = stacks.iter().filter(|stack| stack["status"] != "DELETE_COMPLETE").collect();
    ensure!(living.is_empty(), "stacks are left in the cloud: {living:?}");
    let trusts = state["trusts"].as_array().context("the sandbox lists its trusts")?;
    ensure!(trusts.is_empty(), "trusts are left in the cloud: {trusts:?}");
    if stacks.len() != 1 {
        bail!("one bay made {} stacks", stacks.len());
    }
    Ok(())
}

async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn step(title: &str) {
    say(&format!("\n== {title}"));
}

/// A line of standard output. Nobody to read it is no reason to stop before everything is cleaned up.
fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}

/// Asks again and again; the error of the last try when the time is up.
async fn eventually<T>(
    patience: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match ask().await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(100)).await,
            outcome => return outcome,
        }
    }
}
