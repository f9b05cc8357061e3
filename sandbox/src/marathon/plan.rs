//! From a root to the next: which apps are stopped, started, scaled and restarted, in which steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::path::PathId;
use super::root::{Root, Spec};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActionKind {
    Start,
    Stop,
    Scale,
    Restart,
}

impl ActionKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "StartApplication",
            Self::Stop => "StopApplication",
            Self::Scale => "ScaleApplication",
            Self::Restart => "RestartApplication",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) kind: ActionKind,
    pub(crate) app: PathId,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) original: Arc<Root>,
    pub(crate) target: Arc<Root>,
    pub(crate) steps: Vec<Vec<Action>>,
}

impl Plan {
    /// `None` when apps of the target wait for each other.
    pub(crate) fn between(original: &Root, target: &Root) -> Option<Self> {
        let layers = target.layers()?;
        let action = |kind| move |id: &PathId| Action { kind, app: id.clone() };
        let gone = original.apps.keys().filter(|id| !target.apps.contains_key(*id));
        let new = target.apps.keys().filter(|id| !original.apps.contains_key(*id));
        let stop: Vec<Action> = gone.map(action(ActionKind::Stop)).collect();
        let start: Vec<Action> = new.map(action(ActionKind::Start)).collect();
        let mut by_layer: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
        for (id, spec) in &target.apps {
            if let Some(kind) = change(original.apps.get(id), spec) {
                by_layer.entry(layers[id]).or_default().push(Action { kind, app: id.clone() });
            }
        }
        let steps = [stop, start].into_iter().chain(by_layer.into_values());
        Some(Self {
            id: Uuid::new_v4().to_string(),
            original: Arc::new(original.clone()),
            target: Arc::new(target.clone()),
            steps: steps.filter(|step| !step.is_empty()).collect(),
        })
    }

    /// The apps that a deployment of this plan locks.
    pub(crate) fn affected(&self) -> Vec<PathId> {
        let mut apps: Vec<PathId> = self.steps.iter().flatten().map(|action| action.app.clone()).collect();
        apps.sort();
        apps.dedup();
        apps
    }

    /// What undoes this plan, and nothing else that happened since.
    pub(crate) fn reverted(&self, current: &Root, version: time::OffsetDateTime) -> Root {
        let mut root = current.next(version);
        for id in self.affected() {
            match self.original.apps.get(&id) {
                Some(spec) => {
                    root.put(&id, spec.definition.clone());
                    let restarted =
                        self.target.apps.get(&id).is_some_and(|t| t.definition == spec.definition);
                    if restarted {
                        root.restart(&id);
                    }
                }
                None => drop(root.apps.remove(&id)),
            }
        }
        let made: Vec<PathId> =
            self.target.groups.keys().filter(|id| !self.original.groups.contains_key(*id)).cloned().collect();
        for group in made {
            if root.apps_within(&group).next().is_none() {
                root.remove_group(&group);
            }
        }
        for (id, group) in self.original.groups.iter().filter(|(id, _)| !self.target.groups.contains_key(*id))
        {
            root.groups.entry(id.clone()).or_insert_with(|| group.clone());
        }
        root
    }
}

fn change(original: Option<&Arc<Spec>>, target: &Spec) -> Option<ActionKind> {
    let Some(original) = original else { return Some(ActionKind::Scale) };
    if original.configured != target.configured {
        Some(ActionKind::Restart)
    } else if original.definition.instances() != target.definition.instances() {
        Some(ActionKind::Scale)
    } else {
        None
    }
}

/// How a rolling restart begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replacement {
    /// How many of the old instances go at once.
    pub(crate) kill_at_once: usize,
    /// How many instances, old and new, there may be at most.
    pub(crate) capacity: usize,
}

impl Replacement {
    /// For an app that shall have `instances` and has so many `old` ones.
    pub(crate) fn of(instances: usize, (minimum, over): (f64, f64), resident: bool, old: usize) -> Self {
        let needed = share(instances, minimum, f64::ceil);
        let mut capacity = share(instances, 1.0 + over, f64::floor);
        let mut kill_at_once = old.saturating_sub(needed);
        // Neither one less nor one more is allowed: one of the two has to give.
        if needed == capacity && capacity <= old {
            if resident {
                kill_at_once = old - needed + 1;
            } else {
                capacity += 1;
            }
        }
        Self { kill_at_once, capacity }
    }
}

fn share(instances: usize, factor: f64, round: fn(f64) -> f64) -> usize {
    let instances = u32::try_from(instances).unwrap_or(u32::MAX);
    let exact = round(f64::from(instances) * factor);
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and not larger than twice a u32")]
    let whole = exact as i64;
    usize::try_from(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use time::OffsetDateTime;
    use time::ext::NumericalDuration as _;

    use super::*;
    use crate::marathon::definition::Definition;
    use crate::marathon::profile::Profile;

    fn put(root: &mut Root, id: &str, sent: Value) {
        let id = PathId::parse(id);
        root.put(&id, Definition::new(&id, sent.as_object().unwrap().clone(), &Profile::V1_11));
    }

    fn told(plan: &Plan) -> Vec<Vec<String>> {
        let tell = |action: &Action| format!("{} {}", action.kind.name(), action.app);
        plan.steps.iter().map(|step| step.iter().map(tell).collect()).collect()
    }

    fn next(root: &Root) -> Root {
        root.next(root.version + 1.seconds())
    }

    #[test]
    fn dependencies_come_first_and_what_is_gone_stops_before_all() {
        let empty = Root::new(OffsetDateTime::UNIX_EPOCH);
        let mut first = next(&empty);
        put(&mut first, "/old", json!({"cmd": "a b"}));
        let mut second = next(&empty);
        put(&mut second, "/shop/web", json!({"cmd": "a b", "dependencies": ["/shop/db"]}));
        put(&mut second, "/shop/db", json!({"cmd": "a b"}));
        let plan = Plan::between(&first, &second).unwrap();
        assert_eq!(
            told(&plan),
            [
                vec!["StopApplication /old"],
                vec!["StartApplication /shop/db", "StartApplication /shop/web"],
                vec!["ScaleApplication /shop/db"],
                vec!["ScaleApplication /shop/web"],
            ]
        );
        let back = plan.reverted(&second, second.version + 1.seconds());
        assert_eq!(back.apps.keys().map(PathId::as_str).collect::<Vec<_>>(), ["/old"]);
        assert!(back.groups.is_empty());
    }

    #[test]
    fn scale_restart_and_nothing_are_told_apart() {
        let mut root = Root::new(OffsetDateTime::UNIX_EPOCH);
        put(&mut root, "/a", json!({"cmd": "a b"}));
        let check = |sent: Value, expected: &[&str]| {
            let mut target = next(&root);
            put(&mut target, "/a", sent);
            let plan = Plan::between(&root, &target).unwrap();
            assert_eq!(told(&plan).concat(), expected);
        };
        check(json!({"cmd": "a b", "cpus": 1}), &[]);
        check(json!({"cmd": "a b", "instances": 3}), &["ScaleApplication /a"]);
        check(json!({"cmd": "a b", "labels": {"x": "y"}}), &["RestartApplication /a"]);
        let mut again = next(&root);
        again.restart(&PathId::parse("/a"));
        assert_eq!(told(&Plan::between(&root, &again).unwrap()).concat(), ["RestartApplication /a"]);
    }

    #[test]
    fn a_circle_of_dependencies_has_no_plan() {
        let mut root = Root::new(OffsetDateTime::UNIX_EPOCH);
        put(&mut root, "/a", json!({"cmd": "a b", "dependencies": ["/b"]}));
        put(&mut root, "/b", json!({"cmd": "a b", "dependencies": ["/a"]}));
        assert!(Plan::between(&Root::new(OffsetDateTime::UNIX_EPOCH), &root).is_none());
    }

    #[test]
    fn a_replacement_keeps_within_its_capacities() {
        let check = |instances, capacities, resident, old, kill_at_once, capacity| {
            let expected = Replacement { kill_at_once, capacity };
            assert_eq!(Replacement::of(instances, capacities, resident, old), expected);
        };
        check(10, (1.0, 1.0), false, 10, 0, 20);
        check(10, (0.5, 0.0), false, 10, 5, 10);
        check(3, (0.5, 0.2), false, 3, 1, 3);
        check(4, (1.0, 0.0), false, 4, 0, 5);
        check(4, (1.0, 0.0), true, 4, 1, 4);
        check(4, (1.0, 0.0), false, 2, 0, 4);
        check(1, (0.0, 0.0), false, 1, 1, 1);
    }
}
