//! The tables: what was seen, and how it compares with what is aimed at.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::figure::Figure;
use crate::load::Sample;
use crate::machine::Machine;
use crate::run::{Cell, IN_FLIGHT, Method, Seen, Subject};
use crate::server::Kind;

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) python: String,
    pub(crate) postgres: String,
    pub(crate) seen: Seen,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
}

/// Beyond this a goal is missed.
const PING: f64 = 1.25;
const READ: f64 = 4.0;
const MEMORY: f64 = 2.5;
const START: f64 = 5.0;

impl Report {
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        self.provenance(&mut text)?;
        self.loads(&mut text)?;
        self.processes(&mut text)?;
        self.goals(&mut text)?;
        Ok(text)
    }

    fn provenance(&self, text: &mut String) -> anyhow::Result<()> {
        let Machine { date, commit, processor, memory_gib, kernel, load } = &self.machine;
        writeln!(
            text,
            "Measured on {date} at commit {commit} by `make bench`: {} rounds, {} s for each line of the first table in\n\
             each of them. Machine: {processor}, {memory_gib} GiB, Linux {kernel}; load average at the start {load}.\n\
             PostgreSQL {}. {}.\n\
             Every number is the median of the rounds, with the least and the greatest.\n",
            self.rounds, self.seconds, self.postgres, self.python
        )?;
        Ok(())
    }

    fn loads(&self, text: &mut String) -> anyhow::Result<()> {
        writeln!(text, "| call | in flight | server | calls/s | p50 ms | p99 ms | CPU s per 1,000 calls |")?;
        writeln!(text, "|---|---|---|---|---|---|---|")?;
        for method in Method::ALL {
            for in_flight in IN_FLIGHT {
                for subject in method.subjects() {
                    let cell = (method, in_flight, subject);
                    let of = |part: fn(&Sample) -> f64| self.seen.figure(cell, part).map(Figure::text);
                    writeln!(
                        text,
                        "| {} | {in_flight} | {} | {} | {} | {} | {} |",
                        method.name(),
                        subject.name(),
                        of(|sample| sample.calls_per_second)?,
                        of(|sample| sample.p50_ms)?,
                        of(|sample| sample.p99_ms)?,
                        of(|sample| sample.cpu_per_thousand)?,
                    )?;
                }
            }
        }
        writeln!(text)?;
        Ok(())
    }

    fn processes(&self, text: &mut String) -> anyhow::Result<()> {
        writeln!(
            text,
            "| server | start to first answer, ms | resident then, MiB | resident after a round, MiB |"
        )?;
        writeln!(text, "|---|---|---|---|")?;
        for kind in Kind::ALL {
            let seen = &self.seen;
            writeln!(
                text,
                "| {} | {} | {} | {} |",
                Subject::Server(kind).name(),
                seen.start(kind)?.text(),
                Figure::of(seen.fresh[&kind].iter().copied()).context("no start")?.text(),
                seen.memory(kind)?.text(),
            )?;
        }
        writeln!(text)?;
        Ok(())
    }

    fn goals(&self, text: &mut String) -> anyhow::Result<()> {
        writeln!(text, "| goal | at most | seen | |")?;
        writeln!(text, "|---|---|---|---|")?;
        let mut line = |goal: &str, limit: f64, seen: Figure| {
            let met = if seen.median <= limit { "met" } else { "missed" };
            writeln!(text, "| {goal} | {limit} | {} | {met} |", seen.text())
        };
        for in_flight in [64, 512] {
            let goal = format!("CPU of a ping / the bare server's, {in_flight} in flight");
            line(&goal, PING, self.seen.ping_ratio(in_flight, Kind::Bare)?)?;
            let goal = format!(
                "CPU of a ping / the bare server's with a channel per message, {in_flight} in flight"
            );
            line(&goal, PING, self.seen.ping_ratio(in_flight, Kind::BareChannels)?)?;
        }
        for in_flight in [64, 512] {
            let goal = format!("CPU of a bay read / (bare server's ping + driver), {in_flight} in flight");
            line(&goal, READ, self.seen.read_ratio(in_flight)?)?;
            let goal =
                format!("CPU of a bay read less the driver's / bare server's ping, {in_flight} in flight");
            line(&goal, READ, self.seen.rest_ratio(in_flight)?)?;
        }
        let ratio = |ours: Figure, bare: Figure| Figure {
            median: ours.median / bare.median,
            least: ours.least / bare.most,
            most: ours.most / bare.least,
        };
        let seen = &self.seen;
        let memory = ratio(seen.memory(Kind::Conductor)?, seen.memory(Kind::Bare)?);
        line("resident memory after a round / the bare server's", MEMORY, memory)?;
        let start = ratio(seen.start(Kind::Conductor)?, seen.start(Kind::Bare)?);
        line("start to first answer / the bare server's", START, start)?;
        Ok(())
    }
}

impl Seen {
    fn of(&self, cell: Cell) -> anyhow::Result<&[Sample]> {
        self.samples.get(&cell).map(Vec::as_slice).with_context(|| format!("{cell:?} was not measured"))
    }

    pub(crate) fn figure(&self, cell: Cell, part: fn(&Sample) -> f64) -> anyhow::Result<Figure> {
        Figure::of(self.of(cell)?.iter().map(part)).context("no round")
    }

    fn start(&self, kind: Kind) -> anyhow::Result<Figure> {
        let starts = self.starts.get(&kind).into_iter().flatten();
        Figure::of(starts.map(|start| start.as_secs_f64() * 1000.0)).context("no start")
    }

    fn memory(&self, kind: Kind) -> anyhow::Result<Figure> {
        Figure::of(self.loaded.get(&kind).into_iter().flatten().copied()).context("no round")
    }

    /// Round by round: what disturbs one server of a round disturbs the others.
    fn ping_ratio(&self, in_flight: usize, bare: Kind) -> anyhow::Result<Figure> {
        let ours = self.of((Method::Ping, in_flight, Subject::Server(Kind::Conductor)))?;
        let bare = self.of((Method::Ping, in_flight, Subject::Server(bare)))?;
        let ratios = ours.iter().zip(bare).map(|(ours, bare)| ours.cpu_per_thousand / bare.cpu_per_thousand);
        Figure::of(ratios).context("no round")
    }

    fn read_ratio(&self, in_flight: usize) -> anyhow::Result<Figure> {
        self.read_figure(in_flight, |ours, bare, driver| ours / (bare + driver))
    }

    /// The stricter reading: what a read costs beside the driver, compared with a bare ping.
    fn rest_ratio(&self, in_flight: usize) -> anyhow::Result<Figure> {
        self.read_figure(in_flight, |ours, bare, driver| (ours - driver) / bare)
    }

    fn read_figure(&self, in_flight: usize, figure: impl Fn(f64, f64, f64) -> f64) -> anyhow::Result<Figure> {
        let cpu = |cell| self.of(cell).map(|samples| samples.iter().map(|sample| sample.cpu_per_thousand));
        let ours = cpu((Method::Read, in_flight, Subject::Server(Kind::Conductor)))?;
        let bare = cpu((Method::Ping, in_flight, Subject::Server(Kind::Bare)))?;
        let driver = cpu((Method::Read, in_flight, Subject::Driver))?;
        let rounds = ours.zip(bare).zip(driver);
        Figure::of(rounds.map(|((ours, bare), driver)| figure(ours, bare, driver))).context("no round")
    }
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ping => "`ping_conductor`",
            Self::Read => "`Bay.get_by_uuid`",
        }
    }
}

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server(Kind::Conductor) => "mesos-conductor",
            Self::Server(Kind::Bare) => "bare lapin",
            Self::Server(Kind::BareChannels) => "bare, channels",
            Self::Server(Kind::Python) => "oslo.messaging",
            Self::Driver => "sqlx alone",
        }
    }
}

/// Writes a generated part of the document; everything around it is people's, or another part.
pub(crate) fn write(document: &Path, part: &str, measured: &str) -> anyhow::Result<()> {
    let (opening, closing) = (format!("<!-- generated: {part} -->\n"), format!("<!-- end: {part} -->"));
    let text = fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let parts = text.split_once(&opening).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&closing)?;
        Some((before, after))
    });
    let (before, after) = parts.with_context(|| format!("{} has no part `{part}`", document.display()))?;
    Ok(fs::write(document, format!("{before}{opening}{measured}{closing}{after}"))?)
}
