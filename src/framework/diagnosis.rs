//! Why an app is not what it should be, in words: for a caller who asks, and for the reason of a failure.

use std::time::Duration;

use super::seen::{Delay, Deployment, Seen, TaskFailure, Unused, Waiting};

/// What operators call the reasons for which offers are declined.
const REASONS: &[(&str, &str)] = &[
    ("UnfulfilledRole", "they are for another role"),
    ("UnfulfilledConstraint", "they do not meet the constraints"),
    ("NoCorrespondingReservationFound", "nothing is reserved there"),
    ("AgentMaintenance", "the agent is in maintenance"),
    ("InsufficientCpus", "too little CPU"),
    ("InsufficientMemory", "too little memory"),
    ("InsufficientDisk", "too little disk"),
    ("InsufficientGpus", "too few GPUs"),
    ("InsufficientPorts", "ports are taken"),
    ("DeclinedScarceResources", "the agent is kept for apps that need its GPUs"),
];

/// Everything that is known of an app's troubles, the nearest cause first; nothing when there are none.
pub fn explain(seen: &Seen, waiting: &[Waiting], deployments: &[Deployment]) -> Vec<String> {
    let mut found = Vec::new();
    if !seen.is_up() {
        found.push(counts(seen));
    }
    // A failure of another version says nothing of this one.
    let current = |failure: &&TaskFailure| {
        failure.version.is_none() || seen.version.is_none() || failure.version >= seen.last_config_change_at
    };
    // While a deployment goes on, the tasks of the version before may all be up, and the new ones fail.
    if let Some(failure) = seen.last_failure.as_ref().filter(current).filter(|_| !seen.is_settled()) {
        found.push(failed(failure));
    }
    found.extend(waiting.iter().filter(|waiting| waiting.app == seen.id.as_str()).map(waits));
    let own = deployments.iter().filter(|deployment| {
        seen.deployments.contains(&deployment.id) || deployment.apps.iter().any(|app| app == seen.id.as_str())
    });
    found.extend(own.map(under_way));
    found
}

fn counts(seen: &Seen) -> String {
    let (running, asked) = (seen.tasks_running, seen.instances);
    let mut text = format!("{running} of {asked} instances are running");
    if seen.tasks_staged > 0 {
        text += &format!(", {} being started", seen.tasks_staged);
    }
    if seen.definition.has_health_checks() {
        text += &format!(", {} healthy", seen.tasks_healthy);
    }
    if seen.tasks_unhealthy > 0 {
        text += &format!(", {} unhealthy", seen.tasks_unhealthy);
    }
    text
}

fn failed(failure: &TaskFailure) -> String {
    let TaskFailure { task_id, state, message, host, timestamp, .. } = failure;
    let when = timestamp.as_ref().map(|when| format!(" at {when}")).unwrap_or_default();
    let said = if message.is_empty() { "no reason is given" } else { message.as_str() };
    format!("the last failure{when}: {state} of {task_id} on {host}: {said}")
}

fn waits(waiting: &Waiting) -> String {
    let Waiting { count, delay, offers_processed, unused, .. } = waiting;
    match delay {
        Delay::Backoff(left) => format!(
            "{count} to be started, in {} s at the soonest: tasks failed before, and are started ever more slowly",
            left.max(&Duration::from_secs(1)).as_secs()
        ),
        Delay::Offers if *offers_processed == 0 => {
            format!("{count} to be started, but no agent has offered anything yet")
        }
        Delay::Offers if unused.is_empty() => format!("{count} to be started, waiting for an offer"),
        Delay::Offers => {
            let reasons: Vec<_> = unused.iter().map(declined).collect();
            format!("{count} to be started, but no offer suits: {}", reasons.join("; "))
        }
    }
}

fn declined(unused: &Unused) -> String {
    let known = REASONS.iter().find(|(name, _)| *name == unused.reason).map(|(_, words)| *words);
    let words = known.unwrap_or(&unused.reason);
    format!("{words} ({} of {} offers)", unused.declined, unused.processed)
}

fn under_way(deployment: &Deployment) -> String {
    let Deployment { id, current_step, total_steps, actions, .. } = deployment;
    let doing = if actions.is_empty() { String::new() } else { format!(": {}", actions.join(", ")) };
    format!("deployment {id} is at step {current_step} of {total_steps}{doing}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::{AppId, Definition};
    use crate::framework::seen::{DeploymentId, Version};

    fn seen(running: u32, failure_version: &str) -> Seen {
        let id = AppId::parse("/web").unwrap();
        let body = json!({"instances": 2, "healthChecks": [{}]});
        let version = |text: &str| Some(Version::new(text));
        Seen {
            definition: Definition::new(id.clone(), body.as_object().unwrap().clone()),
            id,
            instances: 2,
            tasks_staged: 1,
            tasks_running: running,
            tasks_healthy: running,
            tasks_unhealthy: 0,
            version: version("2026-02"),
            last_config_change_at: version("2026-02"),
            deployments: vec![DeploymentId::new("d")],
            last_failure: Some(TaskFailure {
                task_id: "web.1".to_owned(),
                state: "TASK_FAILED".to_owned(),
                message: "Command exited with status 1".to_owned(),
                host: "10.0.0.1".to_owned(),
                timestamp: None,
                version: version(failure_version),
            }),
            endpoints: Vec::new(),
            tasks: Vec::new(),
        }
    }

    fn waiting(app: &str, delay: Delay, unused: Vec<Unused>) -> Waiting {
        let (app, since) = (app.to_owned(), None);
        Waiting { app, count: 1, delay, since, offers_processed: 10, offers_unused: 9, unused }
    }

    #[test]
    fn an_app_that_does_not_come_up_is_explained() {
        let cpus = Unused { reason: "InsufficientCpus".to_owned(), declined: 9, processed: 10 };
        let new = Unused { reason: "SomethingNew".to_owned(), declined: 1, processed: 10 };
        let deployment = Deployment {
            id: DeploymentId::new("d"),
            version: None,
            apps: vec!["/web".to_owned()],
            current_step: 1,
            total_steps: 2,
            steps: Vec::new(),
            actions: vec!["RestartApplication /web".to_owned()],
        };
        let queue = [
            waiting("/web", Delay::Offers, vec![cpus, new]),
            waiting("/other", Delay::Offers, Vec::new()),
            waiting("/web", Delay::Backoff(Duration::from_secs(12)), Vec::new()),
        ];
        assert_eq!(
            explain(&seen(1, "2026-02"), &queue, &[deployment]),
            [
                "1 of 2 instances are running, 1 being started, 1 healthy",
                "the last failure: TASK_FAILED of web.1 on 10.0.0.1: Command exited with status 1",
                "1 to be started, but no offer suits: too little CPU (9 of 10 offers); SomethingNew (1 of 10 offers)",
                "1 to be started, in 12 s at the soonest: tasks failed before, and are started ever more slowly",
                "deployment d is at step 1 of 2: RestartApplication /web",
            ]
        );
    }

    #[test]
    fn a_failure_of_an_earlier_version_is_not_told() {
        assert_eq!(explain(&seen(1, "2026-01"), &[], &[]).len(), 1);
    }

    #[test]
    fn a_failure_of_the_new_version_is_told_while_the_old_one_is_up() {
        let up = Seen { tasks_staged: 0, ..seen(2, "2026-02") };
        let told = explain(&up, &[], &[]);
        assert!(matches!(&told[..], [only] if only.ends_with("Command exited with status 1")), "{told:?}");
    }

    #[test]
    fn an_app_that_is_up_has_no_troubles() {
        let up = Seen { tasks_staged: 0, deployments: Vec::new(), ..seen(2, "2026-02") };
        assert_eq!(explain(&up, &[], &[]), [""; 0]);
    }
}
