//! The tables: what each worker took, and polling beside the streams.

use std::fmt::Write as _;

use super::{Seen, Way};
use crate::machine::Machine;

/// A run that has ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) postgres: String,
    pub(super) seen: Vec<Seen>,
    pub(super) seconds: f64,
    pub(super) changes: f64,
}

impl Report {
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        let Machine { date, commit, processor, memory_gib, kernel, load } = &self.machine;
        writeln!(
            text,
            "Measured on {date} at commit {commit} by `make bench`: one run, {} s at rest, then {} changes a second.\n\
             Machine: {processor}, {memory_gib} GiB, Linux {kernel}; load average at the start {load}. PostgreSQL {}.\n",
            self.seconds, self.changes, self.postgres
        )?;
        writeln!(
            text,
            "| bays | watched by | s until all are watched | requests/min | connections | MiB at rest, after the changes | CPU, % of a core \
             | requests per change | CPU ms per change | ms until shown, p50 | p99 |"
        )?;
        writeln!(text, "|---|---|---|---|---|---|---|---|---|---|---|")?;
        for (stream, polling) in self.pairs() {
            for seen in [stream, polling] {
                line(&mut text, seen)?;
            }
        }
        writeln!(text)?;
        writeln!(
            text,
            "| bays | polling / stream: requests at rest | CPU at rest | ms until shown, p50 | p99 |"
        )?;
        writeln!(text, "|---|---|---|---|---|")?;
        for (stream, polling) in self.pairs() {
            // A stream's bay may not be looked at once in a short rest.
            let ratio = |of: fn(&Seen) -> f64| match of(polling) / of(stream) {
                ratio if ratio.is_finite() => format!("{ratio:.1}"),
                _ => "-".to_owned(),
            };
            writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                stream.bays,
                ratio(|seen| seen.rest.requests_per_minute),
                ratio(|seen| seen.rest.cpu),
                ratio(|seen| seen.changed.p50_ms),
                ratio(|seen| seen.changed.p99_ms),
            )?;
        }
        Ok(text)
    }

    /// The two workers of each number of bays.
    fn pairs(&self) -> impl Iterator<Item = (&Seen, &Seen)> {
        let of = |way| self.seen.iter().filter(move |seen| seen.way == way);
        of(Way::Stream).zip(of(Way::Polling))
    }
}

fn line(text: &mut String, seen: &Seen) -> anyhow::Result<()> {
    let Seen { bays, way, watched_in, rest, changed } = seen;
    let way = match way {
        Way::Stream => "stream",
        Way::Polling => "polling",
    };
    writeln!(
        text,
        "| {bays} | {way} | {:.1} | {:.0} | {} | {:.1}, {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} |",
        watched_in.as_secs_f64(),
        rest.requests_per_minute,
        rest.connections,
        rest.mebibytes,
        changed.mebibytes,
        rest.cpu,
        changed.requests_each,
        changed.cpu_ms_each,
        changed.p50_ms,
        changed.p99_ms,
    )?;
    Ok(())
}
