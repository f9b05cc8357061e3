//! The life of a bay, from its creation until nothing is left of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use uuid::Uuid;

use crate::cloud::{Cloud, Member, User, text};
use crate::conductor::{Conductor, expected};
use crate::row::Rows;
use crate::variants::Variant;

/// How many nodes a bay begins with, and how many it has for a while.
const NODES: i64 = 2;
const MORE_NODES: i64 = 4;

/// Who is on the stage.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) cloud: Cloud,
    pub(crate) conductor: Conductor,
    pub(crate) rows: Rows,
    pub(crate) admin: User,
    /// Whose bays they are.
    pub(crate) owner: User,
    /// Of the same project.
    pub(crate) colleague: User,
    /// Of another project.
    pub(crate) stranger: User,
}

/// How long each part of a life took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) create: Duration,
    pub(crate) update: Duration,
    pub(crate) scale: Duration,
    pub(crate) delete: Duration,
}

/// What was seen of a life.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) times: Times,
    /// Whether Heat was told to make it one with TLS.
    pub(crate) tls: bool,
    pub(crate) nodes: String,
    pub(crate) removed: String,
}

impl Stage {
    /// A variant's whole life; an error says what did not hold.
    pub(crate) async fn live(&self, variant: &Variant) -> anyhow::Result<Seen> {
        let model = self.conductor.create_model(&self.owner, variant.model()).await?;
        self.rows.fill(&model, variant.columns()).await?;
        let began = Instant::now();
        let name = format!("e2e-{}", Uuid::new_v4().simple());
        let uuid = self.conductor.create(&self.owner, &name, &model, variant.masters, NODES).await?;
        let seen = self.lived(variant, &uuid, began).await;
        if seen.is_err() {
            // So that what is left at the end is what nobody could delete.
            drop(self.conductor.delete(&self.owner, &uuid).await);
            drop(self.conductor.at_rest(&self.owner, &uuid).await);
        }
        seen
    }

    async fn lived(&self, variant: &Variant, uuid: &str, began: Instant) -> anyhow::Result<Seen> {
        let bay = self.created(uuid, variant).await.context("create")?;
        let create = began.elapsed();
        let stack = text(&bay["stack_id"]);

        let tls = self.has_tls(&stack).await?;
        ensure!(tls == variant.has_tls(), "it has TLS or not, and its model wants the other");

        let (update, members) = self.grown(uuid, &stack).await.context("update")?;
        let (scale, removed) = self.shrunk(uuid, &stack, &members).await.context("scale")?;

        let began = Instant::now();
        expected(self.conductor.delete(&self.owner, uuid).await?, "the delete")?;
        self.conductor.vanishes(&self.owner, uuid).await.context("delete")?;
        let delete = began.elapsed();
        self.nothing_left(uuid, &stack).await.context("delete")?;
        let nodes = format!("{NODES}, {MORE_NODES}, {NODES}");
        Ok(Seen { times: Times { create, update, scale, delete }, tls, nodes, removed })
    }

    /// While it is being built it takes no update; then it shows what Heat shows.
    async fn created(&self, uuid: &str, variant: &Variant) -> anyhow::Result<Value> {
        let refusal = self.conductor.resize(&self.owner, uuid, MORE_NODES).await?.err();
        let refusal = refusal.context("an update was accepted while the bay was being built")?;
        ensure!(refusal.class == "NotSupported", "an early update was refused with {refusal:?}");
        let bay = self.conductor.reaches(&self.owner, uuid, "CREATE_COMPLETE").await?;
        let stack = text(&bay["stack_id"]);
        self.shows_outputs(&bay, &stack).await?;
        asked_where_it_should_be(&bay, variant)?;
        let members = self.cloud.members(&self.owner, &stack).await?;
        let count = |group| members.iter().filter(|member| member.group == group).count();
        let (seen, wanted) = ((count("masters"), count("agents")), (variant.masters, NODES));
        ensure!(i64::try_from(seen.0)? == wanted.0, "Heat has {} masters: {members:?}", seen.0);
        ensure!(i64::try_from(seen.1)? == wanted.1, "Heat has {} agents: {members:?}", seen.1);
        Ok(bay)
    }

    /// The bay's addresses are those of the stack's outputs, as many as there are nodes, each another.
    async fn shows_outputs(&self, bay: &Value, stack: &str) -> anyhow::Result<()> {
        let pairs = [
            ("api_address", "api_address"),
            ("master_addresses", "mesos_master"),
            ("node_addresses", "mesos_slaves"),
        ];
        for (field, output) in pairs {
            let said = self.cloud.output(&self.owner, stack, output).await?;
            ensure!(
                bay[field] == said,
                "the bay's {field} is {} and the stack's {output} {said}",
                bay[field]
            );
        }
        for (field, count) in [("master_addresses", "master_count"), ("node_addresses", "node_count")] {
            let addresses: BTreeSet<String> = addresses(&bay[field]);
            ensure!(
                Some(addresses.len()) == bay[count].as_u64().and_then(|count| usize::try_from(count).ok()),
                "{} is {} and the {field} are {}",
                count,
                bay[count],
                bay[field]
            );
        }
        Ok(())
    }

    /// By the parameter that Heat has; without it there is none.
    async fn has_tls(&self, stack: &str) -> anyhow::Result<bool> {
        let stack = self.cloud.stack(&self.owner, stack).await?.context("the stack is there")?;
        Ok(text(&stack["parameters"]["tls_enabled"]).eq_ignore_ascii_case("true"))
    }

    /// More nodes: those that were there stay the same servers.
    async fn grown(&self, uuid: &str, stack: &str) -> anyhow::Result<(Duration, Vec<Member>)> {
        let before = self.cloud.members(&self.owner, stack).await?;
        let began = Instant::now();
        expected(self.conductor.resize(&self.owner, uuid, MORE_NODES).await?, "the update")?;
        let bay = self.conductor.reaches(&self.owner, uuid, "UPDATE_COMPLETE").await?;
        let took = began.elapsed();
        self.shows_outputs(&bay, stack).await?;
        let after = self.cloud.members(&self.owner, stack).await?;
        let lost: Vec<&Member> = before.iter().filter(|member| !after.contains(member)).collect();
        ensure!(lost.is_empty(), "servers were replaced or removed: {lost:?}");
        let more = i64::try_from(after.len() - before.len())?;
        ensure!(more == MORE_NODES - NODES, "{more} servers were added");
        Ok((took, after))
    }

    /// Fewer nodes: so many agents go as were asked for, and no other server is touched.
    async fn shrunk(&self, uuid: &str, stack: &str, before: &[Member]) -> anyhow::Result<(Duration, String)> {
        let began = Instant::now();
        expected(self.conductor.resize(&self.owner, uuid, NODES).await?, "the scale-down")?;
        let bay = self.conductor.reaches(&self.owner, uuid, "UPDATE_COMPLETE").await?;
        let took = began.elapsed();
        self.shows_outputs(&bay, stack).await?;
        let after = self.cloud.members(&self.owner, stack).await?;
        let new: Vec<&Member> = after.iter().filter(|member| !before.contains(member)).collect();
        ensure!(new.is_empty(), "a scale-down made servers: {new:?}");
        let gone: Vec<&Member> = before.iter().filter(|member| !after.contains(member)).collect();
        ensure!(gone.iter().all(|member| member.group == "agents"), "no agent: {gone:?}");
        ensure!(i64::try_from(gone.len())? == MORE_NODES - NODES, "{gone:?} are gone");
        let indexes: Vec<&str> = gone.iter().map(|member| member.index.as_str()).collect();
        Ok((took, indexes.join(" and ")))
    }

    /// Nothing of the bay is left in Heat or Keystone.
    pub(crate) async fn nothing_left(&self, uuid: &str, stack: &str) -> anyhow::Result<()> {
        if !stack.is_empty() {
            let left = self.cloud.stack(&self.owner, stack).await?;
            ensure!(left.is_none(), "its stack is left: {left:?}");
        }
        let trustees = self.trustees(uuid).await?;
        ensure!(trustees.is_empty(), "its trustee is left: {trustees:?}");
        Ok(())
    }

    /// Ids of the users that were made for a bay.
    pub(crate) async fn trustees(&self, uuid: &str) -> anyhow::Result<Vec<String>> {
        let users = self.cloud.users_in(&self.admin, "bays").await?;
        let of_bay = users.iter().filter(|user| text(&user["name"]).contains(uuid));
        Ok(of_bay.map(|user| text(&user["id"])).collect())
    }

    /// Ids of the trusts that let a bay's users act.
    pub(crate) async fn trusts(&self, uuid: &str) -> anyhow::Result<Vec<String>> {
        let trustees = self.trustees(uuid).await?;
        let trusts = self.cloud.trusts_of(&self.owner).await?;
        let of_bay = trusts.iter().filter(|trust| trustees.contains(&text(&trust["trustee_user_id"])));
        Ok(of_bay.map(|trust| text(&trust["id"])).collect())
    }
}

/// At the first master's address or at one in front of all of them, of the kind that the variant has.
fn asked_where_it_should_be(bay: &Value, variant: &Variant) -> anyhow::Result<()> {
    let asked = text(&bay["api_address"]);
    ensure!(asked.starts_with(variant.api_range()), "api_address is {asked:?}");
    let masters = addresses(&bay["master_addresses"]);
    ensure!(
        masters.contains(&asked) != variant.has_balancer(),
        "api_address is {asked}, masters are {masters:?}"
    );
    let nodes = addresses(&bay["node_addresses"]);
    let elsewhere = masters.iter().chain(&nodes).find(|address| !address.starts_with(variant.node_range()));
    ensure!(elsewhere.is_none(), "{elsewhere:?} is not the kind of address that nodes have");
    Ok(())
}

pub(crate) fn addresses(field: &Value) -> BTreeSet<String> {
    field.as_array().into_iter().flatten().map(text).collect()
}
