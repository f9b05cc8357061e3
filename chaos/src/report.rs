//! The table, for the terminal and for the document.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::audit::Count;

pub(crate) const HEAD: &str = "| fault | struck | requests | replies | client timeouts | operations ended | duplicates | lost | leaked | longest stall, s |\n\
     |---|---|---|---|---|---|---|---|---|---|";

pub(crate) fn line(name: &str, count: &Count) -> String {
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} |",
        count.struck,
        count.requests,
        count.replies,
        count.timeouts,
        count.operations,
        count.duplicates,
        count.lost,
        count.leaked,
        count.stall.as_secs_f64()
    )
}

/// Writes the part `chaos` of a document.
pub(crate) fn write(
    document: &Path,
    seconds: f64,
    lines: &[String],
    left_out: &[String],
) -> anyhow::Result<()> {
    let now =
        OffsetDateTime::now_utc().format(format_description!("[year]-[month]-[day] [hour]:[minute]"))?;
    // The worker is built as this program is.
    let build = if cfg!(debug_assertions) { "development build" } else { "release build" };
    let mut text = format!(
        "Seen on {now} UTC with a {build}, {seconds:.0} s of faults or more in each row.\n\n{HEAD}\n"
    );
    for line in lines {
        writeln!(text, "{line}")?;
    }
    for reason in left_out {
        write!(text, "\nLeft out: {reason}.\n")?;
    }
    let whole = std::fs::read_to_string(document)?;
    let (begin, end) = ("<!-- generated: chaos -->\n", "<!-- end: chaos -->");
    let (head, rest) = whole.split_once(begin).context("the document has no part `chaos`")?;
    let (_, tail) = rest.split_once(end).context("the part `chaos` has no end")?;
    std::fs::write(document, format!("{head}{begin}{text}{end}{tail}"))?;
    Ok(())
}
