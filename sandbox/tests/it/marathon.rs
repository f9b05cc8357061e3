//! Marathon: what a client of each version sees, and how deployments move.

mod apps;
mod bays;
mod deployments;
mod events;
mod groups;
mod nodes;
mod peers;
mod refusals;
mod service;
mod tasks;
mod versions;

use std::time::Duration;

use mesos_conductor_sandbox::{Config, Marathon, MarathonConfig, Profile};
use serde_json::{Value, json};

use crate::support::{Answer, Cloud, DEADLINE};

/// One Marathon and a client of it.
struct Town {
    cloud: Cloud,
    marathon: Marathon,
}

/// A Marathon in which a second is a second, so that only [`Town::pass`] moves it.
fn still(profile: Profile) -> MarathonConfig {
    MarathonConfig { speed: 1, ..MarathonConfig::of(profile) }
}

impl Town {
    async fn start(config: MarathonConfig) -> Self {
        let cloud = Cloud::start(Config::default()).await;
        let marathon = cloud.sandbox.start_marathon("town", config).unwrap();
        Self { cloud, marathon }
    }

    async fn still() -> Self {
        Self::start(still(Profile::V1_11)).await
    }

    /// Asks the first node.
    async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = Some(body).filter(|body| !body.is_null());
        self.cloud.try_send(method, &format!("{}{path}", self.marathon.url()), None, body).await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Asks for a change that is accepted; says the deployment's id.
    async fn change(&self, method: &str, path: &str, body: Value) -> String {
        let answer = self.call(method, path, body).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {} {}", answer.status, answer.body);
        let shown = &answer.body["deploymentId"];
        let id = shown.as_str().or_else(|| answer.body["deployments"][0]["id"].as_str());
        id.unwrap().to_owned()
    }

    async fn create(&self, app: Value) -> String {
        self.change("POST", "/v2/apps", app).await
    }

    async fn app(&self, id: &str) -> Value {
        self.get(&format!("/v2/apps{id}")).await["app"].clone()
    }

    /// Lets that much time pass at once.
    fn pass(&self, seconds: f64) {
        self.cloud.sandbox.advance(Duration::from_secs_f64(seconds));
    }

    /// Lets time pass until nothing is deployed any more.
    fn finish(&self) {
        for _ in 0..2000 {
            if self.marathon.deployments().is_empty() {
                return;
            }
            self.pass(0.5);
        }
        panic!("still under way: {:?}", self.marathon.deployments());
    }

    /// The kinds of the events that were told of a deployment, in order.
    fn told_of(&self, deployment: &str) -> Vec<&'static str> {
        let of = |event: &mesos_conductor_sandbox::MarathonEvent| event.body["plan"]["id"] == deployment;
        self.marathon.events().iter().filter(|event| of(event)).map(|event| event.kind).collect()
    }

    async fn wait(&self, condition: impl Fn(&Marathon) -> bool) {
        let held = self.cloud.sandbox.wait_until(DEADLINE, |_| condition(&self.marathon)).await;
        assert!(held, "{:?}", self.marathon.deployments());
    }
}

fn web(instances: u32) -> Value {
    json!({"id": "/web", "cmd": "sleep 100", "cpus": 0.1, "mem": 16, "instances": instances})
}

fn counts(app: &Value) -> (u64, u64, u64, u64) {
    let count = |name: &str| app[name].as_u64().unwrap();
    (count("tasksStaged"), count("tasksRunning"), count("tasksHealthy"), count("tasksUnhealthy"))
}
