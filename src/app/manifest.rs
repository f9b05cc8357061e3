//! What a caller wants to run: one app, several, or a group, checked before any framework sees it.
//!
//! Everything that is wrong is told at once, each with its place in the text. What is not known here is passed on as
//! it is: frameworks know more fields than anyone lists.

mod check;
mod fault;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use super::definition::{Definition, strip};
use super::id::{AppId, IdFault};
use fault::{Faults, Place};
pub use fault::{ManifestFault, ManifestFaults};

/// As many apps as one manifest may hold; Marathon computes one plan for all of them.
const APP_LIMIT: usize = 1000;

/// The longest text that is read.
pub const LENGTH_LIMIT: usize = 1024 * 1024;

/// A manifest without faults: ids are absolute and what only a server writes is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    body: Body,
    apps: Vec<Definition>,
}

/// How several apps belong together.
#[derive(Debug, Clone, PartialEq)]
enum Body {
    Single,
    Several,
    /// A group with everything in it, as it is sent.
    Group(AppId, Map<String, Value>),
}

/// What a manifest is about, as a framework addresses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    App(AppId),
    Apps(Vec<AppId>),
    Group(AppId),
}

impl Manifest {
    /// Reads an app, an array of apps, an object with nothing but `apps`, or a group.
    pub fn parse(text: &str) -> Result<Self, ManifestFaults> {
        if text.len() > LENGTH_LIMIT {
            return Err(ManifestFaults::one("/", format!("is longer than {LENGTH_LIMIT} bytes")));
        }
        let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|fault| {
            let at = format!("at line {}, column {}", fault.line(), fault.column());
            // The parser's own words say what it met, and repeat nothing of the text but single characters.
            let what = fault.to_string();
            let what = what.split(" at line ").next().unwrap_or_default().to_owned();
            ManifestFaults::one("/", format!("is no JSON {at}: {what}"))
        })?;
        Self::from_value(value)
    }

    pub fn from_value(value: Value) -> Result<Self, ManifestFaults> {
        let mut reader = Reader { faults: Faults::default(), apps: Vec::new(), groups: BTreeSet::new() };
        let root = Place::Root;
        let body = match value {
            Value::Array(apps) => reader.several(&root, apps),
            Value::Object(object) => reader.object(&root, object),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                reader.faults.add(&root, "must be an app, an array of apps or a group");
                None
            }
        };
        reader.together(&root);
        let Reader { faults, apps, .. } = reader;
        match body {
            Some(body) if faults.is_empty() => Ok(Self { body, apps }),
            Some(_) | None => Err(faults.into()),
        }
    }

    /// Every app, groups unfolded, in the order of the text.
    pub fn apps(&self) -> &[Definition] {
        &self.apps
    }

    pub fn subject(&self) -> Subject {
        match &self.body {
            Body::Single => Subject::App(self.apps[0].id().clone()),
            Body::Several => Subject::Apps(self.apps.iter().map(|app| app.id().clone()).collect()),
            Body::Group(id, _) => Subject::Group(id.clone()),
        }
    }

    /// How many instances all apps have together.
    pub fn instances(&self) -> u64 {
        self.apps.iter().map(|app| u64::from(app.instances())).sum()
    }

    /// The group as it is sent, when it is one.
    pub(crate) fn group(&self) -> Option<&Map<String, Value>> {
        match &self.body {
            Body::Group(_, group) => Some(group),
            Body::Single | Body::Several => None,
        }
    }

    /// The apps of an earlier manifest that are not in this one any more.
    pub fn removed_since<'a>(&self, earlier: &'a Self) -> Vec<&'a AppId> {
        let kept: BTreeSet<_> = self.apps.iter().map(Definition::id).collect();
        earlier.apps.iter().map(Definition::id).filter(|id| !kept.contains(id)).collect()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(id) | Self::Group(id) => id.fmt(f),
            Self::Apps(ids) => f.write_str(&ids.iter().map(AppId::as_str).collect::<Vec<_>>().join(",")),
        }
    }
}

/// Walks through a manifest, collecting what is in it and what is wrong with it.
struct Reader {
    faults: Faults,
    apps: Vec<Definition>,
    groups: BTreeSet<AppId>,
}

impl Reader {
    fn object(&mut self, at: &Place<'_>, object: Map<String, Value>) -> Option<Body> {
        let holds = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
        if !holds("apps") && !holds("groups") {
            let definition = self.app(at, object, None)?;
            self.apps.push(definition);
            return Some(Body::Single);
        }
        if holds("id") || holds("groups") {
            let (id, group) = self.group(at, object, None)?;
            return Some(Body::Group(id, group));
        }
        let mut rest = object;
        match rest.remove("apps") {
            Some(Value::Array(apps)) => self.several(&at.key("apps"), apps),
            Some(_) | None => {
                self.faults.add(&at.key("apps"), "must be an array");
                None
            }
        }
    }

    fn several(&mut self, at: &Place<'_>, apps: Vec<Value>) -> Option<Body> {
        self.all(at, apps, None);
        Some(Body::Several)
    }

    /// Reads each item as an app of that group, and returns them as they are sent.
    fn all(&mut self, at: &Place<'_>, apps: Vec<Value>, group: Option<&AppId>) -> Vec<Value> {
        let mut read = Vec::with_capacity(apps.len());
        for (index, app) in apps.into_iter().enumerate() {
            let at = at.index(index);
            let Value::Object(app) = app else {
                self.faults.add(&at, "must be an object");
                continue;
            };
            if let Some(definition) = self.app(&at, app, group) {
                read.push(Value::Object(definition.body().clone()));
                self.apps.push(definition);
            }
        }
        read
    }

    fn app(
        &mut self,
        at: &Place<'_>,
        mut app: Map<String, Value>,
        group: Option<&AppId>,
    ) -> Option<Definition> {
        strip(&mut app);
        check::app(at, &app, &mut self.faults);
        let id = self.id(at, &app, group, AppId::not_reserved)?;
        check::dependencies(at, &app, &id, &mut self.faults);
        Some(Definition::new(id, app))
    }

    fn group(
        &mut self,
        at: &Place<'_>,
        mut group: Map<String, Value>,
        parent: Option<&AppId>,
    ) -> Option<(AppId, Map<String, Value>)> {
        strip(&mut group);
        let id = self.id(at, &group, parent, Ok)?;
        if !self.groups.insert(id.clone()) {
            self.faults.add(&at.key("id"), format!("{id} is the id of another group of this manifest"));
        }
        for unsupported in ["pods", "scaleBy"] {
            if group.get(unsupported).is_some_and(|value| !matches!(value, Value::Null) && *value != empty())
            {
                self.faults.add(&at.key(unsupported), "is not supported in a manifest");
            }
        }
        group.insert("id".to_owned(), Value::from(id.as_str()));
        if let Some(apps) = self.array(at, &mut group, "apps") {
            let apps = self.all(&at.key("apps"), apps, Some(&id));
            group.insert("apps".to_owned(), Value::Array(apps));
        }
        if let Some(groups) = self.array(at, &mut group, "groups") {
            let mut read = Vec::with_capacity(groups.len());
            for (index, inner) in groups.into_iter().enumerate() {
                let place = at.key("groups");
                let place = place.index(index);
                let Value::Object(inner) = inner else {
                    self.faults.add(&place, "must be an object");
                    continue;
                };
                read.extend(self.group(&place, inner, Some(&id)).map(|(_, inner)| Value::Object(inner)));
            }
            group.insert("groups".to_owned(), Value::Array(read));
        }
        Some((id, group))
    }

    fn array(&mut self, at: &Place<'_>, group: &mut Map<String, Value>, name: &str) -> Option<Vec<Value>> {
        match group.remove(name)? {
            Value::Array(items) => Some(items),
            Value::Null => None,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.faults.add(&at.key(name), "must be an array");
                None
            }
        }
    }

    fn id(
        &mut self,
        at: &Place<'_>,
        object: &Map<String, Value>,
        parent: Option<&AppId>,
        admit: fn(AppId) -> Result<AppId, IdFault>,
    ) -> Option<AppId> {
        let at = at.key("id");
        let Some(text) = object.get("id").and_then(Value::as_str) else {
            self.faults.add(&at, "is required, and must be a text");
            return None;
        };
        let id = match AppId::resolve(text, parent).and_then(admit) {
            Ok(id) => id,
            Err(fault) => {
                self.faults.add(&at, fault.to_string());
                return None;
            }
        };
        if let Some(parent) = parent.filter(|parent| !id.is_below(parent)) {
            self.faults.add(&at, format!("{id} is not in its group {parent}; use a relative id"));
        }
        Some(id)
    }

    /// What only all apps together can violate.
    fn together(&mut self, at: &Place<'_>) {
        if self.apps.is_empty() && self.faults.is_empty() {
            self.faults.add(at, "names no app");
        }
        if self.apps.len() > APP_LIMIT {
            self.faults.add(at, format!("has more than {APP_LIMIT} apps"));
            return;
        }
        let mut ids = BTreeSet::new();
        for app in &self.apps {
            let id = app.id();
            if !ids.insert(id) {
                self.faults.add(at, format!("{id} is the id of two apps"));
            }
            let is_group = self.groups.contains(id) || self.apps.iter().any(|other| other.id().is_below(id));
            if is_group {
                self.faults.add(at, format!("{id} is the id of an app and of a group"));
            }
        }
        if let Some(id) = check::cycle(&self.apps) {
            self.faults.add(at, format!("the dependencies of {id} lead back to it"));
        }
    }
}

fn empty() -> Value {
    Value::Array(Vec::new())
}
