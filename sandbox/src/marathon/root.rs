//! Everything that was asked for: apps and groups as they should be. Each change makes a new root.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use super::definition::Definition;
use super::path::PathId;

/// One version of an app.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    pub(crate) id: PathId,
    pub(crate) definition: Definition,
    pub(crate) version: OffsetDateTime,
    pub(crate) scaled: OffsetDateTime,
    /// When anything but the number of instances changed; instances launched before are out of date.
    pub(crate) configured: OffsetDateTime,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Group {
    pub(crate) dependencies: Vec<PathId>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Root {
    pub(crate) version: OffsetDateTime,
    pub(crate) apps: BTreeMap<PathId, Arc<Spec>>,
    /// Every group but the root itself.
    pub(crate) groups: BTreeMap<PathId, Group>,
}

impl Root {
    pub(crate) fn new(version: OffsetDateTime) -> Self {
        Self { version, apps: BTreeMap::new(), groups: BTreeMap::new() }
    }

    /// This root as the next change begins from it.
    pub(crate) fn next(&self, version: OffsetDateTime) -> Self {
        Self { version, ..self.clone() }
    }

    pub(crate) fn has_group(&self, id: &PathId) -> bool {
        id.is_root() || self.groups.contains_key(id)
    }

    pub(crate) fn add_group(&mut self, id: &PathId, dependencies: Vec<PathId>) {
        if !id.is_root() {
            self.groups.insert(id.clone(), Group { dependencies });
            self.add_groups_around(id);
        }
    }

    fn add_groups_around(&mut self, id: &PathId) {
        for group in id.ancestors() {
            self.groups.entry(group).or_default();
        }
    }

    /// Puts an app as it should be from this root's version on; one that is the same keeps its version.
    pub(crate) fn put(&mut self, id: &PathId, definition: Definition) {
        let at = self.version;
        let before = self.apps.get(id);
        if before.is_some_and(|spec| spec.definition == definition) {
            return;
        }
        let configured = match before {
            Some(spec) if spec.definition.differs_only_in_scale(&definition) => spec.configured,
            Some(_) | None => at,
        };
        let spec = Spec { id: id.clone(), definition, version: at, scaled: at, configured };
        self.apps.insert(id.clone(), Arc::new(spec));
        self.add_groups_around(id);
    }

    /// Has all instances of an app replaced although its definition stays.
    pub(crate) fn restart(&mut self, id: &PathId) {
        let at = self.version;
        if let Some(spec) = self.apps.get_mut(id) {
            let again = Spec { version: at, configured: at, ..Spec::clone(spec) };
            *spec = Arc::new(again);
        }
    }

    pub(crate) fn remove_group(&mut self, group: &PathId) {
        self.apps.retain(|id, _| !id.is_within(group));
        self.groups.retain(|id, _| !id.is_within(group));
    }

    pub(crate) fn apps_within(&self, group: &PathId) -> impl Iterator<Item = &Arc<Spec>> {
        self.apps.values().filter(move |spec| spec.id.is_within(group))
    }

    /// What an app waits for: what it and the groups around it name, a group standing for all of its apps.
    fn dependencies(&self, spec: &Spec) -> Vec<PathId> {
        let groups = spec.id.ancestors().filter_map(|id| self.groups.get(&id));
        let inherited = groups.flat_map(|group| group.dependencies.iter().cloned());
        let named = spec.definition.dependencies().chain(inherited);
        let apps =
            named.flat_map(|name| self.apps_within(&name).map(|spec| spec.id.clone()).collect::<Vec<_>>());
        apps.filter(|id| *id != spec.id).collect()
    }

    /// For each app how many others must be up before it, one after the other; `None` if some wait in a circle.
    pub(crate) fn layers(&self) -> Option<BTreeMap<PathId, usize>> {
        let mut layers = BTreeMap::new();
        // In each round at least the apps whose dependencies are placed find their place.
        while layers.len() < self.apps.len() {
            let before = layers.len();
            for spec in self.apps.values().filter(|spec| !layers.contains_key(&spec.id)).collect::<Vec<_>>() {
                let dependencies = self.dependencies(spec);
                let placed: Option<Vec<usize>> =
                    dependencies.iter().map(|id| layers.get(id).copied()).collect();
                if let Some(placed) = placed {
                    layers.insert(spec.id.clone(), placed.into_iter().max().map_or(0, |layer| layer + 1));
                }
            }
            if layers.len() == before {
                return None;
            }
        }
        Some(layers)
    }
}
