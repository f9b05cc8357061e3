//! Deployments as they are listed and as events tell of them.

use serde_json::{Value, json};

use super::group;
use crate::clock::marathon_time;
use crate::marathon::cluster::Cluster;
use crate::marathon::deployment::{Accepted, Deployment};
use crate::marathon::path::PathId;
use crate::marathon::plan::{Action, Plan};
use crate::marathon::profile::{PlanShape, Profile, StepShape};

/// The answer to a change that was accepted.
pub(crate) fn accepted(accepted: &Accepted) -> Value {
    json!({"version": marathon_time(accepted.version), "deploymentId": accepted.id})
}

pub(crate) fn steps(plan: &Plan, shape: StepShape) -> Value {
    let plain = |action: &Action| json!({"action": action.kind.name(), "app": action.app});
    let typed = |action: &Action| json!({"type": action.kind.name(), "app": action.app});
    let step = |step: &Vec<Action>| match shape {
        StepShape::Arrays => step.iter().map(plain).collect(),
        StepShape::Types => json!({"actions": step.iter().map(typed).collect::<Vec<_>>()}),
        StepShape::Actions => json!({"actions": step.iter().map(plain).collect::<Vec<_>>()}),
    };
    plan.steps.iter().map(step).collect()
}

fn current_actions(cluster: &Cluster, deployment: &Deployment) -> Value {
    let tell = |action: &Action| {
        let mut told = json!({"action": action.kind.name(), "app": action.app});
        if cluster.config.profile.since(1, 1) {
            told["readinessCheckResults"] = readiness(cluster, &action.app);
        }
        told
    };
    deployment.current_actions().iter().map(tell).collect()
}

/// What the readiness checks of an app's instances have found.
pub(super) fn readiness(cluster: &Cluster, app: &PathId) -> Value {
    let name = cluster.root.apps.get(app).and_then(|spec| spec.definition.readiness_check());
    let name = name.map_or(Value::Null, |check| check["name"].clone());
    let tasks = cluster.tasks_of(app).filter_map(|task| Some((task, task.ready?)));
    tasks
        .filter(|(task, _)| task.started.is_some())
        .map(|(task, ready)| {
            let (status, body) = if ready { (200, "ready") } else { (503, "not ready") };
            let response = json!({"body": body, "contentType": "text/plain", "status": status});
            json!({"name": name, "taskId": task.id, "ready": ready, "lastResponse": response})
        })
        .collect()
}

pub(crate) fn deployment(cluster: &Cluster, deployment: &Deployment) -> Value {
    let profile = &cluster.config.profile;
    let mut told = json!({
        "id": deployment.id(),
        "version": marathon_time(deployment.plan.target.version),
        "affectedApps": deployment.affected,
        "steps": steps(&deployment.plan, profile.steps),
        "currentActions": current_actions(cluster, deployment),
        "currentStep": deployment.current,
        "totalSteps": deployment.plan.steps.len(),
    });
    if profile.since(1, 4) {
        told["affectedPods"] = json!([]);
    }
    told
}

/// A plan in an event. Which listeners get the groups in it is decided when the event is sent.
pub(crate) fn plan_event(profile: &Profile, plan: &Plan) -> Value {
    let version = marathon_time(plan.target.version);
    let mut told = json!({"id": plan.id, "steps": steps(plan, profile.steps), "version": version});
    if profile.plans != PlanShape::Light {
        told["original"] = group(profile, &plan.original, &PathId::root());
        told["target"] = group(profile, &plan.target, &PathId::root());
    }
    told
}

pub(crate) fn step_event(profile: &Profile, deployment: &Deployment) -> Value {
    let actions = deployment.current_actions();
    let told = actions.iter().map(|action| json!({"action": action.kind.name(), "app": action.app}));
    json!({"plan": plan_event(profile, &deployment.plan), "currentStep": {"actions": told.collect::<Vec<_>>()}})
}
