//! A flood of messages that are no requests, or bad ones, costs the worker nothing but their reading.

mod generator;

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::generator::{Generator, Hostile, Verdict};
use crate::support::peer::Peer;
use crate::support::worker::Worker;
use crate::support::{Caller, World, eventually};

const MESSAGES: u64 = 100_000;
/// After so many the worker has seen every kind, and its memory has the size that it keeps.
const WARM: u64 = 20_000;
/// How many may wait in the queue: more would only measure how long the queue is.
const AHEAD: u32 = 1_000;
const MAX_SIZE: usize = 192 * 1024;
/// What memory may grow by while 80,000 messages are rejected: a leak of 200 bytes each would be as much.
const GROWTH: u64 = 16 * 1024;
/// Of the worker's log, in bytes.
const LONGEST_LINE: usize = 2048;

/// What has to be counted.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Tally {
    undecodable: u64,
    too_large: u64,
    refused: u64,
}

impl Tally {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Undecodable => self.undecodable += 1,
            Verdict::TooLarge => self.too_large += 1,
            Verdict::Refused => self.refused += 1,
        }
    }

    fn sum(self) -> u64 {
        self.undecodable + self.too_large + self.refused
    }

    async fn counted_by(worker: &Worker) -> Self {
        let (_, metrics) = worker.probe("/metrics").await;
        let count = |name: &str, label: &str| {
            let lines = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        Self {
            undecodable: count("mesos_conductor_rejects_total{", r#"reason="undecodable""#),
            too_large: count("mesos_conductor_rejects_total{", r#"reason="too_large""#),
            refused: count("mesos_conductor_requests_total{", r#"outcome="refused""#),
        }
    }
}

/// Resident memory, in KiB.
fn resident(worker: &Worker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).expect("the worker runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory is known");
    line.trim().trim_end_matches(" kB").parse().expect("in KiB")
}

/// Publishes until the worker has been sent so many; returns how many answers are due.
async fn flood(peer: &Peer, generator: &mut Generator, sent: &mut Tally, until: u64) -> usize {
    let mut answers = 0;
    while sent.sum() < until {
        for _ in 0..AHEAD / 4 {
            let Hostile { content_type, body, verdict, answered } = generator.next();
            peer.send_bytes(content_type, &body).await;
            sent.add(verdict);
            answers += usize::from(answered);
        }
        let room = eventually(|| async { (peer.waiting().await < AHEAD).then_some(()) });
        room.await.expect("the worker takes messages");
    }
    answers
}

async fn settled(worker: &Worker, sent: Tally) {
    let counted = eventually(|| async { (Tally::counted_by(worker).await == sent).then_some(()) }).await;
    assert!(counted.is_some(), "sent {sent:?}, counted {:?}", Tally::counted_by(worker).await);
}

/// Calls one after the other until told to stop; returns how long each took.
async fn call_on(world: &World, stop: &CancellationToken) -> Vec<Duration> {
    let caller = Caller::new(world).await;
    let mut took = Vec::new();
    let mut every = tokio::time::interval(Duration::from_millis(20));
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        let began = Instant::now();
        let answer = caller.call("ping_conductor", json!({})).await;
        answer.expect("a call is answered whatever else is in the queue");
        took.push(began.elapsed());
    }
    took.sort();
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_hostile_messages_are_rejected_while_calls_are_answered() {
    let mut world = World::new().await;
    world.log_filter = "info".to_owned();
    let limit = format!("[conductor]\nmax_message_size = {MAX_SIZE}");
    let configuration = world.configuration("").replace("[conductor]", &limit);
    let worker = Worker::start_with(&world, &configuration, None).await;
    let peer = Peer::open(&world).await;
    let mut generator = Generator::new(20_150_801, MAX_SIZE, peer.queue().to_owned());

    let stop = CancellationToken::new();
    let attack = async {
        let began = Instant::now();
        let mut sent = Tally::default();
        let mut answers = flood(&peer, &mut generator, &mut sent, WARM).await;
        settled(&worker, sent).await;
        let warm = resident(&worker);
        answers += flood(&peer, &mut generator, &mut sent, MESSAGES).await;
        settled(&worker, sent).await;
        stop.cancel();
        (sent, answers, warm, resident(&worker), began.elapsed())
    };
    let ((sent, answers, warm, full, lasted), took) = tokio::join!(attack, call_on(&world, &stop));

    assert_eq!(sent.sum(), MESSAGES);
    let [p50, p99] = [took.len() / 2, took.len() * 99 / 100].map(|index| took[index]);
    let longest = *took.last().expect("calls were made");
    eprintln!(
        "{sent:?} in {lasted:.1?}; {} calls meanwhile: p50 {p50:.1?}, p99 {p99:.1?}, longest {longest:.1?}; \
         resident {warm} KiB after {WARM}, {full} KiB after {MESSAGES}",
        took.len()
    );
    assert!(longest < Duration::from_secs(10), "a call took {longest:?}");
    assert!(full < warm + GROWTH, "memory grew from {warm} to {full} KiB");
    assert_eq!(peer.replies(answers).await.len(), answers, "each caller is told once");
    assert_eq!(peer.waiting().await, 0);
    assert_eq!(worker.metric("mesos_conductor_redeliveries_total").await, 0.0, "nothing came twice");
    assert_eq!(worker.metric("mesos_conductor_panics_total").await, 0.0);

    let log = worker.log_text();
    worker.stop().await;
    assert_eq!(peer.waiting().await, 0, "nothing went back to the queue");
    for (message, count) in [
        ("a message that is no request is rejected", sent.undecodable),
        ("a message over [conductor] max_message_size is rejected", sent.too_large),
        ("the request is refused", sent.refused),
    ] {
        let field = format!("\"message\":\"{message}\"");
        assert_eq!(log.lines().filter(|line| line.contains(&field)).count() as u64, count, "{message}");
    }
    let long = log.lines().find(|line| line.len() > LONGEST_LINE);
    assert_eq!(long, None, "a line is too long");
}
