//! What every option finally is: the text that won, with references replaced, and where it came from.

use std::collections::HashMap;

use super::{
    faults::{Fault, Warning},
    foreign,
    interpolate::{self, Problem},
    option::OptionDef,
    settings,
    sources::{Gathered, Said, Words},
};

/// One option and its final text.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) option: &'static OptionDef,
    /// Where the value was given; `None` for a default.
    pub(crate) origin: Option<String>,
    pub(crate) items: Vec<String>,
}

/// All options, in the order of the table.
#[derive(Clone)]
pub struct Effective {
    entries: Vec<Entry>,
}

/// Values may be secrets: [`super::show`] masks them.
impl std::fmt::Debug for Effective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effective").field("entries", &self.entries.len()).finish()
    }
}

impl Effective {
    pub(crate) fn entry(&self, section: &str, name: &str) -> &Entry {
        self.entries
            .iter()
            .find(|entry| entry.option.section == section && entry.option.name == name)
            .expect("every option of the table has an entry")
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Replaces references and parts the texts; notes what nobody knows.
    pub(crate) fn resolve(gathered: &mut Gathered) -> Self {
        let given = std::mem::take(&mut gathered.given);
        note_strangers(&given, &mut gathered.warnings);
        let resolver = Resolver { given: &given };
        let mut entries = Vec::new();
        for option in settings::options() {
            let said = given.get(&(option.section.to_owned(), option.name.to_owned()));
            let items = resolver.items(option, said).unwrap_or_else(|problem| {
                gathered.faults.push(unresolved(option, said, problem));
                option.default_items()
            });
            let origin = said.map(|said| said.origin.clone());
            entries.push(Entry { option, origin, items });
        }
        Self { entries }
    }
}

struct Resolver<'a> {
    given: &'a HashMap<(String, String), Said>,
}

type Trail = Vec<(String, String)>;

impl Resolver<'_> {
    fn items(&self, option: &OptionDef, said: Option<&Said>) -> Result<Vec<String>, Problem> {
        let mut trail = vec![(option.section.to_owned(), option.name.to_owned())];
        let kind = &option.spec.kind;
        let items = match said.map(|said| &said.words) {
            Some(Words::Items(items)) => items
                .iter()
                .map(|item| self.expand(item, option.section, &mut trail))
                .collect::<Result<_, _>>()?,
            Some(Words::Text(text)) => kind.items(&self.expand(text, option.section, &mut trail)?),
            None => Vec::new(),
        };
        // An empty text means "not set", except that a list can be meant to be empty.
        if items.is_empty() && (said.is_none() || !kind.is_list()) {
            return Ok(kind.items(&self.expand(option.spec.default, option.section, &mut trail)?));
        }
        Ok(items)
    }

    fn expand(&self, text: &str, section: &str, trail: &mut Trail) -> Result<String, Problem> {
        interpolate::expand(text, &mut |reference| self.reference(reference, section, trail))
    }

    /// A name is looked for in the section that refers to it, then in DEFAULT.
    fn reference(&self, reference: &str, section: &str, trail: &mut Trail) -> Result<String, Problem> {
        let candidates = match reference.split_once('.') {
            Some((section, name)) => vec![(section, name)],
            None => vec![(section, reference), ("DEFAULT", reference)],
        };
        for (section, name) in candidates {
            let key = settings::lookup(section, name)
                .map_or((section, name), |(option, _)| (option.section, option.name));
            let key = (key.0.to_owned(), key.1.to_owned());
            let Some(text) = self.text(&key) else { continue };
            if trail.contains(&key) {
                return Err(Problem::Circle(reference.to_owned()));
            }
            trail.push(key.clone());
            let expanded = self.expand(&text, &key.0, trail);
            trail.pop();
            return expanded;
        }
        Err(Problem::Unknown(reference.to_owned()))
    }

    /// The text of an option of the table, or of any other that a source mentions.
    fn text(&self, key: &(String, String)) -> Option<String> {
        match self.given.get(key).map(|said| &said.words) {
            Some(Words::Text(text)) if !text.is_empty() => Some(text.clone()),
            Some(Words::Items(items)) if !items.is_empty() => Some(items.join(",")),
            Some(_) | None => settings::find(&key.0, &key.1)
                .map(|option| option.spec.default.to_owned())
                .or_else(|| self.given.get(key).map(|_| String::new())),
        }
    }
}

fn unresolved(option: &OptionDef, said: Option<&Said>, problem: Problem) -> Fault {
    // What follows a dollar sign may be the middle of a password, so a secret's reference is not shown.
    let show = |name: String| if option.spec.secret { "...".to_owned() } else { name };
    let problem = match problem {
        Problem::Unknown(name) => format!("${} refers to no option", show(name)),
        Problem::Circle(name) => format!("${} leads back to this option", show(name)),
    };
    Fault {
        origin: said.map(|said| said.origin.clone()),
        option: Some(option.label()),
        problem,
        remedy: "correct the name, or write $$ for a dollar sign".to_owned(),
    }
}

/// Notes options that are not in the table: those that belong to others, and those that nobody knows.
fn note_strangers(given: &HashMap<(String, String), Said>, warnings: &mut Vec<Warning>) {
    let mut strangers: Vec<_> =
        given.iter().filter(|((section, name), _)| settings::lookup(section, name).is_none()).collect();
    strangers.sort_by_key(|((section, name), _)| (section.clone(), name.clone()));
    for ((section, name), said) in strangers {
        let option = format!("[{section}] {name}");
        let origin = said.origin.clone();
        warnings.push(match foreign::why_unused(section, name) {
            Some(because) => Warning::NotUsed { origin, option, because },
            None => Warning::Unknown { origin, option, suggestion: suggestion(section, name) },
        });
    }
}

/// The option that was most likely meant: the same name in another section, or a similar name.
fn suggestion(section: &str, name: &str) -> Option<String> {
    let wanted = format!("[{section}] {name}");
    let same_name = settings::options().filter(|option| option.name == name);
    let mut same_name = same_name.peekable();
    let candidates: Vec<_> = match same_name.peek() {
        Some(_) => same_name.collect(),
        None => settings::options().collect(),
    };
    let misspelt_section = candidates.iter().any(|option| option.name == name);
    candidates
        .into_iter()
        .map(|option| (strsim::normalized_damerau_levenshtein(&option.label(), &wanted), option.label()))
        .filter(|(likeness, _)| misspelt_section || *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, label)| label)
}
