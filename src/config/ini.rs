//! The INI dialect of oslo.config, so that a magnum.conf reads here as it reads there.
//!
//! Its peculiarities are kept: `:` parts name and value as `=` does, an indented line goes on with the value
//! above it (even one that looks like a comment), one pair of quotes around a value is taken off, and a name
//! may be given again.

/// One option as a file gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) value: String,
    /// The line on which it begins, from 1.
    pub(crate) line: usize,
}

/// A line that is none of the things a line can be. The line's text is not kept: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineFault {
    pub(crate) line: usize,
    pub(crate) problem: &'static str,
}

/// Reads the whole text; a faulty line does not hide the ones after it.
pub(crate) fn parse(text: &str) -> (Vec<Assignment>, Vec<LineFault>) {
    let mut parser = Parser::default();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if let Err(problem) = parser.line(index + 1, line.trim_end()) {
            parser.faults.push(LineFault { line: index + 1, problem });
            // What is indented below a faulty line belongs to it, not to the option above it.
            parser.flush();
            parser.skipping = true;
        }
    }
    parser.flush();
    (parser.assignments, parser.faults)
}

#[derive(Default)]
struct Parser {
    section: Option<String>,
    pending: Option<Assignment>,
    skipping: bool,
    assignments: Vec<Assignment>,
    faults: Vec<LineFault>,
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) -> Result<(), &'static str> {
        if line.is_empty() {
            self.flush();
            return Ok(());
        }
        if line.starts_with([' ', '\t']) {
            return self.continuation(line.trim_start());
        }
        self.flush();
        if line.starts_with(['#', ';']) {
            return Ok(());
        }
        if let Some(header) = line.strip_prefix('[') {
            // A faulty header ends the section above it: its options must not land there.
            self.section = None;
            self.section = Some(section_name(header)?);
            return Ok(());
        }
        self.assignment(number, line)
    }

    fn continuation(&mut self, text: &str) -> Result<(), &'static str> {
        match &mut self.pending {
            Some(pending) => {
                pending.value.push('\n');
                pending.value.push_str(text);
                Ok(())
            }
            None if self.skipping => Ok(()),
            None => Err("an indented line goes on with the option above it, but there is none"),
        }
    }

    fn assignment(&mut self, line: usize, text: &str) -> Result<(), &'static str> {
        let (name, value) =
            text.split_once([':', '=']).ok_or("neither an option (name = value) nor a [section]")?;
        let name = name.trim();
        if name.is_empty() {
            return Err("the name before the = is missing");
        }
        let section = self.section.clone().ok_or("no valid [section] line comes before this option")?;
        let value = unquoted(value.trim()).to_owned();
        self.pending = Some(Assignment { section, name: name.to_owned(), value, line });
        Ok(())
    }

    fn flush(&mut self) {
        self.assignments.extend(self.pending.take());
        self.skipping = false;
    }
}

fn section_name(header: &str) -> Result<String, &'static str> {
    let name = header.strip_suffix(']').ok_or("the ] at the end of the section's name is missing")?;
    if name.trim().is_empty() { Err("the section has no name") } else { Ok(name.trim().to_owned()) }
}

fn unquoted(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

#[cfg(test)]
mod tests;
