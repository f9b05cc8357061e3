//! Commands on apps: however often a worker dies, the framework deploys once.

use std::time::Duration;

use mesos_conductor::client::CallError;
use mesos_conductor::operation::record::Kind;
use mesos_conductor_sandbox::{Action, Behaviour, Marathon, Rule, Script, Service};
use serde_json::{Value, json};

use crate::support::app::{Town, manifest};
use crate::support::{Caller, World, data, eventually, failure_class};
use crate::{assert_one_reply, call_the_doomed};

const APP: &str = "/web";

/// Which way an operation is to go, so that it comes to the point at which its worker dies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Straight,
    /// The deployment takes too long, and its changes are taken back.
    TakenBack,
    /// The framework refuses what it had taken on, without saying so.
    Undone,
}

impl Way {
    fn to(point: &str) -> Self {
        if point.contains("taken_back") || point.contains("take_back") {
            return Self::TakenBack;
        }
        if point.contains("/undo") { Self::Undone } else { Self::Straight }
    }
}

/// One command whose worker dies at `point`.
pub(crate) async fn survives(kind: Kind, point: &str) {
    let way = Way::to(point);
    let world = World::new().await;
    let caller = Caller::new(&world).await;
    let worker = world.worker().await;
    let town = Town::build(&caller).await;
    let marathon = town.marathon();
    let mut scene = Scene { town: &town, marathon: &marathon, kind, way, version: None, deployment: None };
    scene.prepare().await;
    worker.stop().await;
    let begun = marathon.deployments_begun();
    let (method, args) = scene.command().await;
    let called = call_the_doomed(&caller, point, method, args);
    let ((answer, worker), ()) = tokio::join!(called, scene.relent());
    scene.check_end(answer).await;
    assert_one_reply(&caller);
    let deployments = marathon.deployments_begun() - begun;
    assert_eq!(deployments, scene.expected_deployments(), "{:?}\n{}", marathon.events(), worker.log_text());
    let idle = eventually(|| async {
        let busy = world.database.texts("SELECT operation_uuid FROM active_operation").await;
        busy.is_empty().then_some(())
    });
    assert!(idle.await.is_some(), "every operation ends");
    worker.stop().await;
}

struct Scene<'a> {
    town: &'a Town<'a>,
    marathon: &'a Marathon,
    kind: Kind,
    way: Way,
    version: Option<String>,
    deployment: Option<String>,
}

impl Scene<'_> {
    /// What is there before the command.
    async fn prepare(&mut self) {
        let first = manifest(APP);
        match self.kind {
            Kind::AppCreate => {}
            Kind::DeploymentCancel => {
                self.stick();
                let args = self.town.create_args("web", &first);
                let app = self.town.caller.call("app_create", args).await.expect("it is taken on");
                self.deployment = data(&app)["deployment_id"].as_str().map(str::to_owned);
            }
            Kind::AppRollback => {
                let app = self.town.run("web", &first).await;
                self.version = data(&app)["version"].as_str().map(str::to_owned);
                let args = json!({ "manifest": second().to_string(), "wait": true });
                self.town.ask("app_update", "web", args).await.expect("it is updated");
            }
            Kind::AppUpdate | Kind::AppDelete | Kind::AppScale | Kind::AppRestart | Kind::AppTaskKill => {
                let mut first = first;
                first["instances"] = json!(2);
                self.town.run("web", &first).await;
            }
            Kind::BayCreate | Kind::BayUpdate | Kind::BayDelete | Kind::CaRotate => {
                panic!("no command on an app")
            }
        }
        match self.way {
            Way::Straight => {}
            Way::TakenBack => self.stick(),
            Way::Undone => self.refuse_what_was_taken_on(),
        }
    }

    /// New tasks never come up.
    fn stick(&self) {
        self.marathon.behave(Script::new(APP, Behaviour::StuckStaging));
    }

    /// What is stuck stays so; what takes the changes back finds agents that start tasks again.
    async fn relent(&self) {
        if self.way == Way::TakenBack {
            let staged = |app: &Value| app["tasksStaged"].as_u64().unwrap_or_default() > 0;
            let stuck = self.until(|marathon| marathon.app(APP).is_some_and(|app| staged(&app))).await;
            assert!(stuck, "its new tasks do not come up");
            self.marathon.clear_scripts();
        }
    }

    /// The first answer is lost after its effect, the second is a refusal.
    fn refuse_what_was_taken_on(&self) {
        let faults = self.town.caller.world.sandbox.faults();
        let body = json!({ "message": "Object is not valid", "details": [] }).to_string();
        let refused = Action::Status { code: 422, body, headers: [].into() };
        faults.add(Rule::new(Service::Marathon, "POST", "/v2/apps$", Action::ResetAfter).once());
        faults.add(Rule::new(Service::Marathon, "POST", "/v2/apps$", refused));
    }

    async fn command(&self) -> (&'static str, Value) {
        let (method, more) = match self.kind {
            Kind::AppCreate => {
                let mut args = self.town.create_args("web", &manifest(APP));
                self.add_deadline(&mut args);
                return ("app_create", args);
            }
            Kind::DeploymentCancel => {
                let args = json!({ "bay_ident": self.town.bay, "deployment_id": self.deployment });
                return ("deployment_cancel", args);
            }
            Kind::AppUpdate => ("app_update", json!({ "manifest": second().to_string() })),
            Kind::AppScale => ("app_scale", json!({ "instances": 3 })),
            Kind::AppRestart => ("app_restart", json!({})),
            Kind::AppRollback => ("app_rollback", json!({ "version": self.version })),
            Kind::AppTaskKill => {
                let app = self.marathon.app(APP).expect("the app runs");
                ("app_task_kill", json!({ "task_id": app["tasks"][0]["id"], "scale": true }))
            }
            Kind::AppDelete => ("app_delete", json!({})),
            Kind::BayCreate | Kind::BayUpdate | Kind::BayDelete | Kind::CaRotate => {
                panic!("no command on an app")
            }
        };
        let mut args = self.town.args("web", more);
        self.add_deadline(&mut args);
        (method, args)
    }

    fn add_deadline(&self, args: &mut Value) {
        if self.way == Way::TakenBack {
            args["deadline"] = json!(1);
            args["on_deadline"] = json!("rollback");
            args["wait"] = json!(true);
        }
    }

    /// What is taken back takes another deployment, and so does what is undone.
    fn expected_deployments(&self) -> usize {
        if self.way == Way::Straight { 1 } else { 2 }
    }

    async fn check_end(&self, answer: Result<Value, CallError>) {
        match self.way {
            Way::Straight => self.check_done(answer.expect("the command is answered")).await,
            Way::TakenBack => {
                let error = answer.expect_err("it is taken back");
                assert_eq!(failure_class(&error), "DeploymentFailed", "{error}");
                let still = self.until(|marathon| marathon.deployments().is_empty()).await;
                assert!(still, "nothing moves any more: {:?}", self.marathon.deployments());
                let command = self.marathon.app(APP).map(|app| app["cmd"].clone());
                let before = if self.kind == Kind::AppRollback { "sleep 2000" } else { "sleep 1000" };
                let expected = (self.kind != Kind::AppCreate).then(|| json!(before));
                assert_eq!(command, expected, "it is as it was");
            }
            Way::Undone => {
                let error = answer.expect_err("it is refused");
                assert_eq!(failure_class(&error), "InvalidManifest", "{error}");
                assert!(self.until(|marathon| marathon.apps().is_empty()).await, "nothing is left");
                self.town.until_gone("web").await;
            }
        }
    }

    async fn check_done(&self, answer: Value) {
        let status = |status: &'static str| self.town.until_status("web", status);
        match self.kind {
            Kind::AppCreate => {
                assert_eq!(status("CREATE_COMPLETE").await["tasks_running"], 1);
            }
            Kind::AppUpdate => {
                status("UPDATE_COMPLETE").await;
                assert_eq!(self.marathon.app(APP).expect("it runs")["cmd"], "sleep 2000");
            }
            Kind::AppScale => {
                assert_eq!(status("UPDATE_COMPLETE").await["tasks_running"], 3);
            }
            Kind::AppRestart => {
                status("UPDATE_COMPLETE").await;
            }
            Kind::AppRollback => {
                assert!(answer["magnum_object.data"]["manifest"].as_str().is_some());
                status("UPDATE_COMPLETE").await;
                assert_eq!(self.marathon.app(APP).expect("it runs")["cmd"], "sleep 1000");
            }
            Kind::AppTaskKill => {
                self.town.until("web", |app| app["instances"] == 1).await;
            }
            Kind::DeploymentCancel => {
                assert!(answer.get("deployment_id").is_some(), "{answer}");
                assert!(self.until(|marathon| marathon.deployments().is_empty()).await, "it is cancelled");
                status("CREATE_FAILED").await;
            }
            Kind::AppDelete => {
                assert_eq!(answer, Value::Null);
                self.town.until_gone("web").await;
                assert!(self.marathon.apps().is_empty());
            }
            Kind::BayCreate | Kind::BayUpdate | Kind::BayDelete | Kind::CaRotate => {
                panic!("no command on an app")
            }
        }
    }

    async fn until(&self, fits: impl Fn(&Marathon) -> bool) -> bool {
        let fits = &fits;
        tokio::time::timeout(
            Duration::from_secs(30),
            eventually(|| async { fits(self.marathon).then_some(()) }),
        )
        .await
        .is_ok_and(|found| found.is_some())
    }
}

fn second() -> Value {
    let mut second = manifest(APP);
    second["cmd"] = json!("sleep 2000");
    second
}
