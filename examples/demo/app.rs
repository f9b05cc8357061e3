//! The part of the story about an app on the bay: it comes up, grows, is spoilt, explained, mended and deleted.

use anyhow::ensure;
use serde_json::json;

use super::observers::Observers;
use super::stage::Stage;
use super::step;

/// What the bad command says when it ends, and by which part of it the sandbox knows the bad version.
const COMPLAINT: &str = "unrecognized arguments: --no-such-option";
const BAD_PART: &str = "--no-such-option";

pub(crate) async fn play(stage: &Stage, observers: &Observers) -> anyhow::Result<()> {
    // Nothing runs in a stand-in: it is told how the tasks fare.
    behave(stage, "", json!({ "healthy": { "after_seconds": 4 } })).await?;
    behave(stage, BAD_PART, json!({ "crash_loop": { "message": COMPLAINT } })).await?;

    step("An app on the bay: two tasks of a web server with a health check");
    stage.cli("app create --bay demo --name web --manifest examples/demo/web.json").await?;
    observers.expect_app("CREATE_COMPLETE", 2).await?;

    step("One task more");
    stage.cli("app scale web --bay demo --instances 3").await?;
    observers.expect_app("UPDATE_COMPLETE", 3).await?;

    step(
        "A bad update: the new command exits at once. The deployment has 3 seconds, and is left as it is then",
    );
    let update = "app update web --bay demo --manifest examples/demo/web-bad.json --deadline 3 \
                  --on-deadline leave";
    stage.cli_fails(update).await?;
    observers.expect_app("UPDATE_FAILED", 3).await?;

    step("Why? The tasks of the version before still serve");
    let diagnosis = stage.cli_says("app diagnose web --bay demo").await?;
    ensure!(diagnosis.contains(COMPLAINT), "the diagnosis does not tell what the tasks said");

    step("Back to the version before, in the place of the deployment that hangs");
    stage.cli("app rollback web --bay demo --force").await?;
    observers.expect_app("UPDATE_COMPLETE", 3).await?;

    step("The app is not needed any more");
    stage.cli("app delete web --bay demo").await?;
    observers.expect_no_app().await
}

/// Scripts the tasks of every version of the app whose definition has that text in it.
async fn behave(stage: &Stage, containing: &str, behaviour: serde_json::Value) -> anyhow::Result<()> {
    let script = json!({ "app": "/web", "containing": containing, "behaviour": behaviour });
    stage.tell_cloud("marathons/demo/behaviours", &script).await
}
