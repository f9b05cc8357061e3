//! The places an option can be set, each turned into one layer; the crate `config` lays them over each other.

use std::{
    collections::HashMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use ::config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::{
    faults::{Fault, Warning},
    ini,
    option::OptionDef,
    settings,
};

/// The prefix of environment variables: `CONDUCTOR__SECTION__OPTION`.
const PREFIX: &str = "CONDUCTOR__";

/// Where settings come from; what comes later here wins: files, directories, environment, overrides.
#[derive(Clone, Default)]
pub struct Sources {
    /// `.toml` is TOML, everything else is oslo's INI. Later files win over earlier ones.
    pub files: Vec<PathBuf>,
    /// Every `*.conf` and `*.toml` in them, in the order of their names, after all files.
    pub directories: Vec<PathBuf>,
    /// Variables that are not ours are passed over.
    pub environment: Vec<(String, String)>,
    /// `section.option=value`, where `option=value` means the section DEFAULT.
    pub overrides: Vec<String>,
}

/// Values may be secrets, so only the places are shown.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("files", &self.files)
            .field("directories", &self.directories)
            .finish_non_exhaustive()
    }
}

impl Sources {
    /// The files given, and this process's environment.
    pub fn of_process(files: Vec<PathBuf>, directories: Vec<PathBuf>, overrides: Vec<String>) -> Self {
        // A variable that is not Unicode cannot be one of ours: option values are text.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { files, directories, environment, overrides }
    }
}

/// What the sources say, laid over each other; faults and notes of reading them are set apart.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) given: HashMap<(String, String), Said>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Warning>,
}

/// The text that counts for an option, not yet parted or interpreted.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) origin: String,
    pub(crate) words: Words,
}

/// Text that may still be parted at commas, or items that are parted already.
#[derive(Clone)]
pub(crate) enum Words {
    Text(String),
    Items(Vec<String>),
}

pub(crate) fn gather(sources: &Sources) -> Gathered {
    let mut gathered = Gathered::default();
    let mut layers = Vec::new();
    for file in gathered.all_files(sources) {
        layers.extend(gathered.file_layer(&file));
    }
    layers.push(environment_layer(&sources.environment));
    layers.push(gathered.override_layer(&sources.overrides));

    let mut builder = ::config::Config::builder();
    for mut layer in layers {
        layer.use_current_names(&mut gathered.warnings);
        builder = builder.add_source(layer);
    }
    match builder.build().and_then(|config| config.collect()) {
        Ok(sections) => {
            gathered.given = flatten(sections);
            use_url_options(&mut gathered.given);
        }
        Err(error) => gathered.faults.push(Fault {
            origin: None,
            option: None,
            problem: format!("the sources cannot be laid over each other: {error}"),
            remedy: "this is a bug of mesos-conductor".to_owned(),
        }),
    }
    gathered
}

impl Gathered {
    fn all_files(&mut self, sources: &Sources) -> Vec<PathBuf> {
        let mut files = sources.files.clone();
        for directory in &sources.directories {
            match fs::read_dir(directory).and_then(|entries| entries.collect::<Result<Vec<_>, _>>()) {
                Ok(entries) => {
                    let mut found: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
                    found.retain(|path| has_extension(path, "conf") || has_extension(path, "toml"));
                    found.sort();
                    files.extend(found);
                }
                Err(error) => self.unreadable(directory, &error),
            }
        }
        files
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        self.faults.push(Fault {
            origin: Some(path.display().to_string()),
            option: None,
            problem: format!("cannot be read: {error}"),
            remedy: "check the path and its permissions".to_owned(),
        });
    }

    fn file_layer(&mut self, path: &Path) -> Option<Layer> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.unreadable(path, &error);
                return None;
            }
        };
        if has_extension(path, "toml") {
            self.toml_layer(path, &text)
        } else {
            Some(self.ini_layer(path, &text))
        }
    }

    fn ini_layer(&mut self, path: &Path, text: &str) -> Layer {
        let (assignments, faults) = ini::parse(text);
        for fault in faults {
            self.faults.push(Fault {
                origin: Some(format!("{}:{}", path.display(), fault.line)),
                option: None,
                problem: fault.problem.to_owned(),
                remedy: "correct the line or put a # before it".to_owned(),
            });
        }
        let mut layer = Layer::default();
        for given in assignments {
            let origin = format!("{}:{}", path.display(), given.line);
            layer.add_repeatable(&given.section, &given.name, given.value, origin);
        }
        layer
    }

    fn toml_layer(&mut self, path: &Path, text: &str) -> Option<Layer> {
        let sections = match File::from_str(text, FileFormat::Toml).collect() {
            Ok(sections) => sections,
            Err(error) => {
                self.faults.push(Fault {
                    origin: Some(path.display().to_string()),
                    option: None,
                    problem: format!("is not TOML: {}", without_excerpt(&error)),
                    remedy: "correct the file; a file of oslo's kind must not end in .toml".to_owned(),
                });
                return None;
            }
        };
        let mut layer = Layer::default();
        for (section, value) in sections {
            if let ValueKind::Table(options) = value.kind {
                for (name, value) in options {
                    self.toml_option(&mut layer, path, text, (&section, &name), value);
                }
            } else {
                // A line before the first section, which oslo calls DEFAULT.
                self.toml_option(&mut layer, path, text, ("DEFAULT", &section), value);
            }
        }
        Some(layer)
    }

    fn toml_option(
        &mut self,
        layer: &mut Layer,
        path: &Path,
        text: &str,
        (section, name): (&str, &str),
        value: Value,
    ) {
        let origin = match line_of(text, section, name) {
            Some(line) => format!("{}:{line}", path.display()),
            None => path.display().to_string(),
        };
        match words(value) {
            Some(words) => layer.add(section, name, words, origin),
            None => self.faults.push(Fault {
                origin: Some(origin),
                option: Some(format!("[{section}] {name}")),
                problem: "a table is not the value of an option".to_owned(),
                remedy: "write name = value".to_owned(),
            }),
        }
    }

    fn override_layer(&mut self, overrides: &[String]) -> Layer {
        let mut layer = Layer::default();
        for text in overrides {
            let parts = text.split_once('=').filter(|(name, _)| !name.trim().is_empty());
            let Some((name, value)) = parts else {
                self.faults.push(Fault {
                    origin: Some("--set".to_owned()),
                    option: None,
                    problem: "an override has no name or no =".to_owned(),
                    remedy: "write --set section.option=value".to_owned(),
                });
                continue;
            };
            let (section, name) = name.trim().split_once('.').unwrap_or_else(|| ("DEFAULT", name.trim()));
            layer.add_repeatable(section, name, value.to_owned(), format!("--set {section}.{name}"));
        }
        layer
    }
}

fn environment_layer(environment: &[(String, String)]) -> Layer {
    let mut layer = Layer::default();
    for (variable, value) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let (section, name) = rest.split_once("__").unwrap_or(("DEFAULT", rest));
        let words = Words::Text(value.clone());
        layer.add(section, &name.to_ascii_lowercase(), words, format!("environment variable {variable}"));
    }
    layer
}

/// One source, ready to be laid over the ones before it.
#[derive(Clone, Default)]
struct Layer {
    entries: Vec<(String, String, Said)>,
}

/// The values may be secrets.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("entries", &self.entries.len()).finish()
    }
}

impl Layer {
    fn add(&mut self, section: &str, name: &str, words: Words, origin: String) {
        self.entries.push((section_key(section), name.to_owned(), Said { origin, words }));
    }

    /// Adds to what the same source said before, when the option may be given several times.
    fn add_repeatable(&mut self, section: &str, name: &str, value: String, origin: String) {
        let section = section_key(section);
        let multi = settings::lookup(&section, name).is_some_and(|(option, _)| option.spec.kind.is_multi());
        let before = self.entries.iter_mut().find(|(s, n, _)| *s == section && n == name);
        match before {
            Some((_, _, Said { words: Words::Items(items), .. })) if multi => items.push(value),
            _ if multi && value.trim().is_empty() => {
                self.add(&section, name, Words::Text(value), origin);
            }
            _ if multi => self.add(&section, name, Words::Items(vec![value]), origin),
            _ => self.add(&section, name, Words::Text(value), origin),
        }
    }

    /// Moves values from older names of an option to its current one, unless that is given as well.
    fn use_current_names(&mut self, warnings: &mut Vec<Warning>) {
        let (current, old): (Vec<_>, Vec<_>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|(section, name, _)| settings::find(section, name).is_some());
        for (section, name, said) in old {
            let Some((option, _)) = settings::lookup(&section, &name) else {
                self.entries.push((section, name, said));
                continue;
            };
            warnings.push(Warning::OlderName {
                origin: said.origin.clone(),
                older: format!("[{section}] {name}"),
                current: option.label(),
            });
            self.entries.push((option.section.to_owned(), option.name.to_owned(), said));
        }
        // The layer is turned into a map in this order, so what is given by its current name wins.
        self.entries.extend(current);
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut sections: Map<String, Map<String, Value>> = Map::new();
        for (section, name, said) in &self.entries {
            let kind = match &said.words {
                Words::Text(text) => ValueKind::String(text.clone()),
                Words::Items(items) => {
                    let items = items.iter().map(|item| Value::new(None, item.as_str()));
                    ValueKind::Array(items.collect())
                }
            };
            let value = Value::new(Some(&said.origin), kind);
            sections.entry(section.clone()).or_default().insert(name.clone(), value);
        }
        Ok(sections.into_iter().map(|(section, options)| (section, Value::new(None, options))).collect())
    }

    /// Sets the keys as they are: the default would read a name with a dot or a bracket as a path.
    fn collect_to(&self, cache: &mut Value) -> Result<(), ConfigError> {
        let under = std::mem::replace(cache, Value::new(None, ValueKind::Nil));
        let mut sections = under.into_table().unwrap_or_default();
        for (section, options) in self.collect()? {
            let under = sections.remove(&section).and_then(|under| under.into_table().ok());
            let mut merged = under.unwrap_or_default();
            merged.extend(options.into_table()?);
            sections.insert(section, merged.into());
        }
        cache.kind = ValueKind::Table(sections);
        Ok(())
    }
}

fn flatten(sections: Map<String, Value>) -> HashMap<(String, String), Said> {
    let mut given = HashMap::new();
    for (section, options) in sections {
        for (name, value) in options.into_table().unwrap_or_default() {
            let origin = value.origin().unwrap_or_default().to_owned();
            if let Some(words) = words(value) {
                given.insert((section.clone(), name), Said { origin, words });
            }
        }
    }
    given
}

fn words(value: Value) -> Option<Words> {
    match value.kind {
        ValueKind::Array(items) => {
            items.into_iter().map(Value::into_string).collect::<Result<_, _>>().ok().map(Words::Items)
        }
        ValueKind::Table(_) => None,
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_) => value.into_string().ok().map(Words::Text),
    }
}

/// Options in the query of `transport_url` win over all others, as in oslo.messaging.
fn use_url_options(given: &mut HashMap<(String, String), Said>) {
    let Some(Said { origin, words: Words::Text(url) }) = given.get(&transport_url()).cloned() else { return };
    let mut say = |name: &str, value: String| {
        let said = Said { origin: format!("{origin} (in transport_url)"), words: Words::Text(value) };
        given.insert(("oslo_messaging_rabbit".to_owned(), name.to_owned()), said);
    };
    if url.trim().starts_with("amqps://") {
        say("ssl", "true".to_owned());
    }
    let Some((_, query)) = url.split_once('?') else { return };
    for pair in query.split('&') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        say(name, percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned());
    }
}

fn transport_url() -> (String, String) {
    ("DEFAULT".to_owned(), "transport_url".to_owned())
}

/// oslo compares sections without case, and DEFAULT is written in capitals.
fn section_key(section: &str) -> String {
    if section.eq_ignore_ascii_case("default") { "DEFAULT".to_owned() } else { section.to_ascii_lowercase() }
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// The parser of TOML quotes the faulty line, which may hold a secret: those lines have a bar in them.
fn without_excerpt(error: &ConfigError) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text.lines().map(str::trim).filter(|l| !l.contains('|') && !l.is_empty()).collect();
    lines.join(": ")
}

/// The line on which a TOML file most likely sets the option. Only for messages, so it need not be exact.
fn line_of(text: &str, section: &str, name: &str) -> Option<usize> {
    let mut current = "DEFAULT".to_owned();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').trim().clone_into(&mut current);
        } else if current.eq_ignore_ascii_case(section)
            && line.split_once('=').is_some_and(|(key, _)| key.trim().trim_matches('"') == name)
        {
            return Some(index + 1);
        }
    }
    None
}

/// Used by [`settings::lookup`]: whether an option is also known by this name.
pub(crate) fn is_alias(option: &OptionDef, section: &str, name: &str) -> bool {
    option.spec.aliases.iter().any(|(s, n)| section_key(s) == section && *n == name)
}
