//! Apps on a bay, as a client lives with them.

use mesos_conductor::client::CallError;
use mesos_conductor_sandbox::{Behaviour, Marathon, Script};
use serde_json::{Value, json};

use super::{Caller, data, eventually, failure_class};

/// A bay whose Marathon runs, and what a test does most with its apps.
pub(crate) struct Town<'a> {
    pub(crate) caller: &'a Caller<'a>,
    pub(crate) bay: String,
}

/// A manifest whose instances are healthy only so many of Marathon's seconds after their start, once a script says so.
pub(crate) fn checked(id: &str) -> Value {
    let mut checked = manifest(id);
    checked["healthChecks"] =
        json!([{ "protocol": "HTTP", "path": "/", "gracePeriodSeconds": 100_000, "intervalSeconds": 10 }]);
    checked
}

/// The message of a refusal.
pub(crate) fn message(error: &CallError) -> String {
    let CallError::Remote(failure) = error else { panic!("not a failure of the conductor: {error}") };
    failure.message.clone()
}

/// A definition that is enough to run.
pub(crate) fn manifest(id: &str) -> Value {
    json!({ "id": id, "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, "instances": 1 })
}

impl<'a> Town<'a> {
    /// Builds the bay; a worker has to be there.
    pub(crate) async fn build(caller: &'a Caller<'a>) -> Self {
        let model = caller.create_model().await;
        let bay = caller.create_bay(&model).await;
        Self { caller, bay }
    }

    /// With so many masters.
    pub(crate) async fn with_masters(caller: &'a Caller<'a>, masters: u32) -> Self {
        let model = caller.create_model().await;
        let mut args = Caller::bay_args(&model, 2);
        args["bay"]["magnum_object.data"]["master_count"] = json!(masters);
        let bay = caller.call("bay_create", args).await.expect("the bay is created");
        let bay = data(&bay)["uuid"].as_str().expect("a uuid").to_owned();
        caller.wait_for_status(&bay, "CREATE_COMPLETE").await;
        Self { caller, bay }
    }

    /// On a bay that was built before.
    pub(crate) fn of(caller: &'a Caller<'a>, bay: &str) -> Self {
        Self { caller, bay: bay.to_owned() }
    }

    pub(crate) fn marathon(&self) -> Marathon {
        let marathons = self.caller.world.sandbox.marathons();
        marathons.into_iter().next().expect("the bay has a Marathon")
    }

    pub(crate) fn create_args(&self, name: &str, manifest: &Value) -> Value {
        json!({ "app": { "name": name, "bay_uuid": self.bay, "manifest": manifest.to_string() } })
    }

    /// The arguments of a call about an app.
    pub(crate) fn args(&self, app: &str, more: Value) -> Value {
        let mut args = json!({ "app_ident": app, "bay_ident": self.bay });
        for (name, value) in more.as_object().expect("arguments by name") {
            args[name] = value.clone();
        }
        args
    }

    pub(crate) async fn ask(&self, method: &str, app: &str, more: Value) -> Result<Value, CallError> {
        self.caller.call(method, self.args(app, more)).await
    }

    /// Asks Marathon itself, past the conductor, as somebody else would.
    pub(crate) async fn behind(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.marathon().url());
        let method = method.parse().expect("a method");
        let mut request = reqwest::Client::new().request(method, url).header("accept", "application/json");
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("Marathon answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a text"));
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Has somebody else begin a deployment of a running app that does not end, and returns its id.
    pub(crate) async fn lock(&self, id: &str) -> String {
        self.marathon().behave(Script::new(id, Behaviour::StuckStaging));
        let begun = self.behind("PUT", &format!("/v2/apps/{id}"), json!({ "instances": 7 })).await;
        let launched = eventually(|| async { (self.marathon().app(id)?["tasksStaged"] != 0).then_some(()) });
        assert!(launched.await.is_some(), "nothing is launched for {id}");
        self.marathon().clear_scripts();
        begun["deploymentId"].as_str().expect("a deployment").to_owned()
    }

    /// Has somebody else take a deployment back.
    pub(crate) async fn unlock(&self, deployment: &str) {
        self.behind("DELETE", &format!("/v2/deployments/{deployment}"), Value::Null).await;
    }

    /// Waits until Marathon has nothing under way.
    pub(crate) async fn until_quiet(&self) {
        let quiet = eventually(|| async { self.marathon().deployments().is_empty().then_some(()) });
        assert!(quiet.await.is_some(), "still under way: {:?}", self.marathon().deployments());
    }

    /// Asks and waits for the end of the deployment.
    pub(crate) async fn done(&self, method: &str, app: &str, more: Value) -> Result<Value, CallError> {
        let mut args = self.args(app, more);
        args["wait"] = json!(true);
        self.caller.call(method, args).await
    }

    /// Creates an app and waits until it is complete.
    pub(crate) async fn run(&self, name: &str, manifest: &Value) -> Value {
        let mut args = self.create_args(name, manifest);
        args["wait"] = json!(true);
        let app = self.caller.call("app_create", args).await.expect("the app is created");
        assert_eq!(data(&app)["status"], "CREATE_COMPLETE", "{app}");
        app
    }

    pub(crate) async fn show(&self, app: &str) -> Result<Value, CallError> {
        self.ask("app_show", app, json!({})).await
    }

    /// Waits until the app is shown as the test wants it.
    pub(crate) async fn until(&self, app: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = eventually(|| async {
            let shown = self.show(app).await.ok()?;
            fits(data(&shown)).then_some(shown)
        });
        match found.await {
            Some(shown) => data(&shown).clone(),
            None => panic!("the app never was as expected; it is {:?}", self.show(app).await),
        }
    }

    pub(crate) async fn until_status(&self, app: &str, status: &str) -> Value {
        self.until(app, |app| app["status"] == status).await
    }

    pub(crate) async fn until_gone(&self, app: &str) {
        let gone = eventually(|| async {
            let error = self.show(app).await.err()?;
            (failure_class(&error) == "AppNotFound").then_some(())
        });
        assert!(gone.await.is_some(), "the app is still there: {:?}", self.show(app).await);
    }

    pub(crate) async fn refused(&self, method: &str, app: &str, more: Value) -> (String, String) {
        let error = self.ask(method, app, more).await.expect_err("it is refused");
        (failure_class(&error).to_owned(), error.to_string())
    }
}
