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

/// What a run has seen.
pub(crate) struct Seen<'a> {
    /// How long each row was to last.
    pub(crate) seconds: f64,
    pub(crate) lines: &'a [String],
    pub(crate) left_out: &'a [String],
}

const BEGIN: &str = "<!-- generated: chaos -->\n";
const END: &str = "<!-- end: chaos -->";

impl Seen<'_> {
    /// When and how, in words.
    fn how(&self) -> anyhow::Result<String> {
        let now =
            OffsetDateTime::now_utc().format(format_description!("[year]-[month]-[day] [hour]:[minute]"))?;
        // The worker is built as this program is.
        let build = if cfg!(debug_assertions) { "development build" } else { "release build" };
        Ok(format!("on {now} UTC with a {build}, {:.0} s of faults or more in each row", self.seconds))
    }

    /// Writes the part `chaos` of a document.
    pub(crate) fn write(&self, document: &Path) -> anyhow::Result<()> {
        let mut text = format!("Seen {}.\n\n{HEAD}\n", self.how()?);
        for line in self.lines {
            writeln!(text, "{line}")?;
        }
        for reason in self.left_out {
            write!(text, "\nLeft out: {reason}.\n")?;
        }
        change(document, |_| Ok(text))
    }

    /// Replaces these rows of the part, and says that they are of another run.
    pub(crate) fn replace(&self, document: &Path) -> anyhow::Result<()> {
        let how = self.how()?;
        change(document, |part| {
            let mut text = part.to_owned();
            for line in self.lines {
                let name = line.trim_start_matches("| ").split(" |").next().unwrap_or_default();
                let old = text.lines().find(|old| old.starts_with(&format!("| {name} |")));
                let old = old.with_context(|| format!("the part `chaos` has no row {name}"))?.to_owned();
                text = text.replace(&old, line);
                writeln!(text, "\nThe row `{name}` was seen again {how}.")?;
            }
            Ok(text)
        })
    }
}

fn change(document: &Path, part: impl FnOnce(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let whole = std::fs::read_to_string(document)?;
    let (head, rest) = whole.split_once(BEGIN).context("the document has no part `chaos`")?;
    let (old, tail) = rest.split_once(END).context("the part `chaos` has no end")?;
    std::fs::write(document, format!("{head}{BEGIN}{}{END}{tail}", part(old)?))?;
    Ok(())
}
