//! What else has to hold on the real services: failures, crashes, other people's deletes, things that vanished.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cloud::{Member, text};
use crate::conductor::expected;
use crate::life::{Stage, addresses};
use crate::mesos::Master;
use crate::worker::Worker;

/// How long a worker may hold an operation, and how long a paused one sleeps: past that.
pub(crate) const LEASE: Duration = Duration::from_secs(10);
const NAP: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    FailingCreate,
    FailingUpdate,
    DeletedInCreation,
    DeletedByColleague,
    TrustVanished,
    StackVanished,
    RemovedByAddress,
    BusyAgents,
    NamedAgent,
    LostMaster,
    Rotation,
    PausedPastTheLease,
}

impl Case {
    pub(crate) const ALL: &'static [Self] = &[
        Self::FailingCreate,
        Self::FailingUpdate,
        Self::DeletedInCreation,
        Self::DeletedByColleague,
        Self::TrustVanished,
        Self::StackVanished,
        Self::RemovedByAddress,
        Self::BusyAgents,
        Self::NamedAgent,
        Self::LostMaster,
        Self::Rotation,
        Self::PausedPastTheLease,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FailingCreate => {
                "a server that cannot be made: CREATE_FAILED, Heat's reason and the resource's name"
            }
            Self::FailingUpdate => {
                "a further server that cannot be made: UPDATE_FAILED, and deleted all the same"
            }
            Self::DeletedInCreation => "deleted while it is being built",
            Self::DeletedByColleague => {
                "deleted by another user of its project, and by nobody of another project"
            }
            Self::TrustVanished => "deleted after its trust was deleted behind its back",
            Self::StackVanished => "deleted after its stack was deleted behind its back",
            Self::RemovedByAddress => {
                "an agent that `slaves_to_remove` names by its address: Heat removes it"
            }
            Self::BusyAgents => {
                "the agents that go are those that run nothing, then the least, drained before"
            }
            Self::NamedAgent => "an agent that the caller named is the one that goes",
            Self::Rotation => "another authority: no server is replaced, and a new one is told of both",
            Self::LostMaster => "a lost master: replaced by the next update, at the same address",
            Self::PausedPastTheLease => {
                "the worker paused past its lease after it made the trust: one trust, one stack"
            }
        }
    }

    /// An error says what did not hold.
    pub(crate) async fn run(self, stage: &Stage) -> anyhow::Result<()> {
        match self {
            Self::FailingCreate => failing_create(stage).await,
            Self::FailingUpdate => failing_update(stage).await,
            Self::DeletedInCreation => deleted_in_creation(stage).await,
            Self::DeletedByColleague => deleted_by_colleague(stage).await,
            Self::TrustVanished => trust_vanished(stage).await,
            Self::StackVanished => stack_vanished(stage).await,
            Self::RemovedByAddress => removed_by_address(stage).await,
            Self::BusyAgents => busy_agents(stage).await,
            Self::NamedAgent => named_agent(stage).await,
            Self::LostMaster => lost_master(stage).await,
            Self::Rotation => rotation(stage).await,
            Self::PausedPastTheLease => anyhow::bail!("it needs workers of its own"),
        }
    }
}

/// A bay on its way, of one master and one node with that flavor.
async fn begun(stage: &Stage, flavor: &str) -> anyhow::Result<String> {
    begun_with(stage, flavor, 1, 1).await
}

async fn begun_with(stage: &Stage, flavor: &str, masters: i64, nodes: i64) -> anyhow::Result<String> {
    // Without TLS, since masters of ours are plain.
    let fields =
        Map::from_iter([("flavor_id".to_owned(), json!(flavor)), ("tls_disabled".to_owned(), json!(true))]);
    let model = stage.conductor.create_model(&stage.owner, fields).await?;
    let name = format!("e2e-{}", Uuid::new_v4().simple());
    stage.conductor.create(&stage.owner, &name, &model, masters, nodes).await
}

/// A bay that is complete.
async fn complete(stage: &Stage) -> anyhow::Result<(String, Value)> {
    let uuid = begun(stage, "m1.small").await?;
    let bay = stage.conductor.reaches(&stage.owner, &uuid, "CREATE_COMPLETE").await?;
    Ok((uuid, bay))
}

/// Deletes a bay as its owner and sees that nothing is left.
async fn deleted(stage: &Stage, uuid: &str, stack: &str) -> anyhow::Result<()> {
    expected(stage.conductor.delete(&stage.owner, uuid).await?, "the delete")?;
    stage.conductor.vanishes(&stage.owner, uuid).await?;
    stage.nothing_left(uuid, stack).await
}

fn tells_of_the_server(bay: &Value) -> anyhow::Result<()> {
    let reason = text(&bay["status_reason"]);
    let told = ["agents", "server", "No valid host was found"].iter().all(|part| reason.contains(part));
    ensure!(told, "the reason is {reason:?}");
    Ok(())
}

async fn failing_create(stage: &Stage) -> anyhow::Result<()> {
    let uuid = begun(stage, "m1.fails").await?;
    let bay = stage.conductor.reaches(&stage.owner, &uuid, "CREATE_FAILED").await?;
    tells_of_the_server(&bay)?;
    deleted(stage, &uuid, &text(&bay["stack_id"])).await
}

async fn failing_update(stage: &Stage) -> anyhow::Result<()> {
    let uuid = begun(stage, "m1.fails-from1").await?;
    stage.conductor.reaches(&stage.owner, &uuid, "CREATE_COMPLETE").await?;
    expected(stage.conductor.resize(&stage.owner, &uuid, 2).await?, "the update")?;
    let bay = stage.conductor.reaches(&stage.owner, &uuid, "UPDATE_FAILED").await?;
    tells_of_the_server(&bay)?;
    deleted(stage, &uuid, &text(&bay["stack_id"])).await
}

async fn deleted_in_creation(stage: &Stage) -> anyhow::Result<()> {
    let uuid = begun(stage, "m1.slow300").await?;
    let stack = loop {
        let bay = stage.conductor.bay(&stage.owner, &uuid).await?.context("the bay is there")?;
        ensure!(bay["status"] == "CREATE_IN_PROGRESS", "the bay is {}", bay["status"]);
        if let Some(stack) = bay["stack_id"].as_str() {
            break stack.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    deleted(stage, &uuid, &stack).await
}

/// G-33: the delete is done with the bay's trust, whoever asks for it.
async fn deleted_by_colleague(stage: &Stage) -> anyhow::Result<()> {
    let (uuid, bay) = complete(stage).await?;
    let refusal =
        stage.conductor.delete(&stage.stranger, &uuid).await?.err().context("a stranger may delete")?;
    ensure!(refusal.class == "BayNotFound", "a stranger hears {refusal:?}");
    expected(stage.conductor.delete(&stage.colleague, &uuid).await?, "a colleague's delete")?;
    stage.conductor.vanishes(&stage.owner, &uuid).await?;
    stage.nothing_left(&uuid, &text(&bay["stack_id"])).await
}

async fn trust_vanished(stage: &Stage) -> anyhow::Result<()> {
    let (uuid, bay) = complete(stage).await?;
    let trusts = stage.trusts(&uuid).await?;
    ensure!(trusts.len() == 1, "the bay has {} trusts", trusts.len());
    for trust in &trusts {
        stage.cloud.delete_trust(&stage.owner, trust).await?;
    }
    deleted(stage, &uuid, &text(&bay["stack_id"])).await
}

async fn stack_vanished(stage: &Stage) -> anyhow::Result<()> {
    let (uuid, bay) = complete(stage).await?;
    let stack = text(&bay["stack_id"]);
    stage.cloud.delete_stack(&stage.owner, &stack).await?;
    while stage.cloud.stack(&stage.owner, &stack).await?.is_some() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    deleted(stage, &uuid, &stack).await
}

/// G-17: not the one with the highest number, as when nobody is named.
async fn removed_by_address(stage: &Stage) -> anyhow::Result<()> {
    let uuid = begun_with(stage, "m1.small", 1, 3).await?;
    let bay = stage.conductor.reaches(&stage.owner, &uuid, "CREATE_COMPLETE").await?;
    let stack = text(&bay["stack_id"]);
    let before = stage.cloud.members(&stage.owner, &stack).await?;
    let agents = stage.cloud.output(&stage.owner, &stack, "mesos_slaves_private").await?;
    let named = text(&agents[0]);
    let parameters = json!({ "number_of_slaves": 2, "slaves_to_remove": [named] });
    stage.cloud.patch_stack(&stage.owner, &stack, parameters).await?;
    let after = stage.cloud.members(&stage.owner, &stack).await?;
    let gone: Vec<&str> =
        before.iter().filter(|was| !after.contains(was)).map(|was| was.index.as_str()).collect();
    ensure!(gone == ["0"], "{named} was named, and the agents {gone:?} are gone");
    let left = addresses(&stage.cloud.output(&stage.owner, &stack, "mesos_slaves_private").await?);
    ensure!(left.len() == 2 && !left.contains(&named), "{named} was named, and {left:?} are left");
    deleted(stage, &uuid, &stack).await
}

/// G-17 to G-20: whoever runs what, the masters are asked, and Heat removes those that were chosen.
async fn busy_agents(stage: &Stage) -> anyhow::Result<()> {
    let uuid = begun_with(stage, "m1.small", 1, 4).await?;
    let bay = stage.conductor.reaches(&stage.owner, &uuid, "CREATE_COMPLETE").await?;
    let stack = text(&bay["stack_id"]);
    let output = stage.cloud.output(&stage.owner, &stack, "mesos_slaves_private").await?;
    let agents: Vec<String> = output.as_array().into_iter().flatten().map(text).collect();
    let [first, second, third, fourth] = &agents[..] else { bail!("the agents are {agents:?}") };
    let tasks = [(first.as_str(), 2), (second, 0), (third, 0), (fourth, 1)];
    let master = Master::start(&text(&bay["master_addresses"][0]), &tasks).await?;
    let gone = shrunk_to(stage, &uuid, &stack, 2).await?;
    ensure!(gone == ["1", "2"], "1 and 2 run nothing, and {gone:?} are gone");
    let gone = shrunk_to(stage, &uuid, &stack, 1).await?;
    ensure!(gone == ["3"], "3 runs less than 0, and {gone:?} are gone");
    ensure!(master.drained().contains(fourth), "{fourth} was not drained: {:?}", master.drained());
    ensure!(!master.drained().contains(first), "{first} stays, and was drained");
    deleted(stage, &uuid, &stack).await
}

/// G-18: whatever it runs.
async fn named_agent(stage: &Stage) -> anyhow::Result<()> {
    let uuid = begun_with(stage, "m1.small", 1, 3).await?;
    let bay = stage.conductor.reaches(&stage.owner, &uuid, "CREATE_COMPLETE").await?;
    let stack = text(&bay["stack_id"]);
    let agents = stage.cloud.output(&stage.owner, &stack, "mesos_slaves_private").await?;
    let (named, idle) = (text(&agents[0]), text(&agents[2]));
    let _master = Master::start(&text(&bay["master_addresses"][0]), &[(&named, 5), (&idle, 0)]).await?;
    let before = stage.cloud.members(&stage.owner, &stack).await?;
    let update = stage.conductor.resize_without(&stage.owner, &uuid, 2, &[&named]).await?;
    expected(update, "the scale-down")?;
    stage.conductor.reaches(&stage.owner, &uuid, "UPDATE_COMPLETE").await?;
    let after = stage.cloud.members(&stage.owner, &stack).await?;
    let gone: Vec<&str> =
        before.iter().filter(|was| !after.contains(was)).map(|was| was.index.as_str()).collect();
    ensure!(gone == ["0"], "{named} was named, and the agents {gone:?} are gone");
    deleted(stage, &uuid, &stack).await
}

/// Which agents go when there are to be so many, by their numbers.
async fn shrunk_to(stage: &Stage, uuid: &str, stack: &str, nodes: i64) -> anyhow::Result<Vec<String>> {
    let before = stage.cloud.members(&stage.owner, stack).await?;
    expected(stage.conductor.resize(&stage.owner, uuid, nodes).await?, "the scale-down")?;
    stage.conductor.reaches(&stage.owner, uuid, "UPDATE_COMPLETE").await?;
    let after = stage.cloud.members(&stage.owner, stack).await?;
    Ok(before.into_iter().filter(|was| !after.contains(was)).map(|was| was.index).collect())
}

/// G-12: the ensemble is told by addresses, and those stay.
async fn lost_master(stage: &Stage) -> anyhow::Result<()> {
    let uuid = begun_with(stage, "m1.small", 3, 1).await?;
    let bay = stage.conductor.reaches(&stage.owner, &uuid, "CREATE_COMPLETE").await?;
    let stack = text(&bay["stack_id"]);
    let ensemble = stage.cloud.output(&stage.owner, &stack, "mesos_master_private").await?;
    let before = stage.cloud.members(&stage.owner, &stack).await?;
    let lost = before.iter().find(|was| was.group == "masters" && was.index == "1").context("a master 1")?;
    stage.cloud.mark_unhealthy(&stage.owner, lost).await?;
    expected(stage.conductor.resize(&stage.owner, &uuid, 2).await?, "the update")?;
    stage.conductor.reaches(&stage.owner, &uuid, "UPDATE_COMPLETE").await?;
    let after = stage.cloud.members(&stage.owner, &stack).await?;
    let gone: Vec<&Member> = before.iter().filter(|was| !after.contains(was)).collect();
    ensure!(gone == [lost], "{gone:?} are gone");
    ensure!(after.len() == before.len() + 1, "{after:?}");
    let now = stage.cloud.output(&stage.owner, &stack, "mesos_master_private").await?;
    ensure!(now == ensemble, "the masters were {ensemble} and are {now}");
    deleted(stage, &uuid, &stack).await
}

/// Servers keep what they were told; what is built later is told of the older authority too.
async fn rotation(stage: &Stage) -> anyhow::Result<()> {
    let model = stage.conductor.create_model(&stage.owner, Map::new()).await?;
    let name = format!("e2e-{}", Uuid::new_v4().simple());
    let uuid = stage.conductor.create(&stage.owner, &name, &model, 1, 1).await?;
    let bay = stage.conductor.reaches(&stage.owner, &uuid, "CREATE_COMPLETE").await?;
    let stack = text(&bay["stack_id"]);
    let (first, before) = (
        stage.conductor.authority(&stage.owner, &uuid).await?,
        stage.cloud.members(&stage.owner, &stack).await?,
    );
    expected(stage.conductor.rotate(&stage.owner, &uuid).await?, "the rotation")?;
    stage.conductor.reaches(&stage.owner, &uuid, "UPDATE_COMPLETE").await?;
    let second = stage.conductor.authority(&stage.owner, &uuid).await?;
    ensure!(first != second, "the authority is the same");
    let shown = stage.cloud.stack(&stage.owner, &stack).await?.context("the stack is there")?;
    let told = text(&shown["parameters"]["ca_certificate"]);
    ensure!(told.starts_with(second.trim_end()) && told.contains(first.trim_end()), "Heat was told {told}");
    let after = stage.cloud.members(&stage.owner, &stack).await?;
    ensure!(before == after, "the servers were {before:?} and are {after:?}");
    expected(stage.conductor.resize(&stage.owner, &uuid, 2).await?, "the update")?;
    stage.conductor.reaches(&stage.owner, &uuid, "UPDATE_COMPLETE").await?;
    deleted(stage, &uuid, &stack).await
}

/// The sleeper has made the trust and not recorded it when it is paused; another takes over, and the sleeper wakes.
pub(crate) async fn paused_past_the_lease(
    stage: &Stage,
    sleeper: &Worker,
    begin_other: impl AsyncFnOnce() -> anyhow::Result<Worker>,
) -> anyhow::Result<Worker> {
    let before = stage.cloud.trusts_of(&stage.owner).await?.len();
    // The create is answered when the stack is there, which the sleeper does not live to see.
    let interlude = async {
        sleeper.paused().await?;
        let made = stage.cloud.trusts_of(&stage.owner).await?.len() - before;
        ensure!(made == 1, "the sleeper has made {made} trusts");
        let other = begin_other().await?;
        tokio::time::sleep(NAP).await;
        sleeper.signal("CONT").await?;
        Ok(other)
    };
    let (uuid, other) = tokio::try_join!(begun(stage, "m1.small"), interlude)?;
    let bay = stage.conductor.reaches(&stage.owner, &uuid, "CREATE_COMPLETE").await?;
    let (trusts, trustees) = (stage.trusts(&uuid).await?, stage.trustees(&uuid).await?);
    ensure!((trusts.len(), trustees.len()) == (1, 1), "trusts {trusts:?}, trustees {trustees:?}");
    deleted(stage, &uuid, &text(&bay["stack_id"])).await?;
    Ok(other)
}
