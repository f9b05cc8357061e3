//! The tables, for the terminal and for the document.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::life::Seen;

const LIVES: &str = "| bay | create, s | update, s | scale down, s | delete, s | TLS | nodes | agents that went |\n|---|---|---|---|---|---|---|---|";
const CASES: &str = "| what else | s |\n|---|---|";

pub(crate) fn life(name: &str, seen: &anyhow::Result<Seen>) -> String {
    let Ok(Seen { times, tls, nodes, removed }) = seen else {
        return format!("| {name} | **no** | | | | | | |");
    };
    let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
    let [create, update, scale, delete] =
        [times.create, times.update, times.scale, times.delete].map(seconds);
    let tls = if *tls { "yes" } else { "no" };
    format!("| {name} | {create} | {update} | {scale} | {delete} | {tls} | {nodes} | {removed} |")
}

pub(crate) fn case(name: &str, took: Option<Duration>) -> String {
    let took = took.map_or_else(|| "**no**".to_owned(), |took| format!("{:.1}", took.as_secs_f64()));
    format!("| {name} | {took} |")
}

/// Those of the two tables that have a row.
pub(crate) fn tables(lives: &[String], cases: &[String]) -> String {
    let table = |(head, rows): &(&str, &[String])| format!("{head}\n{}\n", rows.join("\n"));
    let tables = [(LIVES, lives), (CASES, cases)];
    let told = tables.iter().filter(|(_, rows)| !rows.is_empty()).map(table);
    told.collect::<Vec<_>>().join("\n")
}

/// Writes the part `e2e` of a document.
pub(crate) fn write(document: &Path, on: &str, jobs: usize, tables: &str) -> anyhow::Result<()> {
    let now =
        OffsetDateTime::now_utc().format(format_description!("[year]-[month]-[day] [hour]:[minute]"))?;
    let text = format!("Seen on {now} UTC, on {on}, {jobs} bays at a time.\n\n{tables}");
    let whole = std::fs::read_to_string(document)?;
    let (begin, end) = ("<!-- generated: e2e -->\n", "<!-- end: e2e -->");
    let (head, rest) = whole.split_once(begin).context("the document has no part `e2e`")?;
    let (_, tail) = rest.split_once(end).context("the part `e2e` has no end")?;
    std::fs::write(document, format!("{head}{begin}{text}{end}{tail}"))?;
    Ok(())
}
