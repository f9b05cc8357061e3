//! Keystone, Heat and Marathon that fail, refuse, garble, say nothing, and lose what belongs to a bay.

use std::time::Duration;

use mesos_conductor_sandbox::{Action, Rule, Service};
use rand::seq::IndexedRandom as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::row::Ground;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cloud {
    Fails,
    Overloaded,
    /// Stacks are refused for good.
    Refuses,
    TokensRevoked,
    Conflicts,
    Garbles,
    Silent,
    AnswersLost,
    BehindOurBack,
}

impl Cloud {
    pub(super) async fn strike(self, ground: &Ground<'_>) -> anyhow::Result<u32> {
        let action = match self {
            Self::Fails => Action::html(500),
            Self::Overloaded => Action::retry_after(503, Duration::from_secs(1)),
            Self::TokensRevoked => {
                ground.sandbox.revoke_all_tokens();
                Action::status(401)
            }
            Self::Conflicts => Action::status(409),
            Self::Garbles => Action::Garbage("<html>{".to_owned()),
            Self::Silent => Action::Hang,
            Self::AnswersLost => Action::ResetAfter,
            Self::Refuses => return Ok(refuse(ground).await),
            Self::BehindOurBack => return behind(ground).await,
        };
        Ok(trouble(ground, action).await)
    }
}

/// A moment in which one request in a few goes wrong, whichever service it is to.
async fn trouble(ground: &Ground<'_>, action: Action) -> u32 {
    let services = [Service::Keystone, Service::Heat, Service::Marathon];
    let chosen = services.choose(&mut rand::rng()).copied();
    let skip = rand::random_range(0..4);
    let rule =
        Rule { service: chosen, skip, method: None, ..Rule::new(Service::Heat, "", "", action).times(2) };
    for_a_moment(ground, rule, Duration::from_millis(400)).await
}

/// The next stack is refused.
async fn refuse(ground: &Ground<'_>) -> u32 {
    let rule = Rule::new(Service::Heat, "POST", "/stacks$", Action::status(400)).once();
    for_a_moment(ground, rule, Duration::from_millis(500)).await
}

/// How many requests the rule has hit in that time.
async fn for_a_moment(ground: &Ground<'_>, rule: Rule, lasting: Duration) -> u32 {
    let id = ground.sandbox.faults().add(rule);
    sleep(lasting).await;
    let hits = ground.sandbox.faults().list().iter().find(|rule| rule.id == id).map_or(0, |rule| rule.hits);
    ground.sandbox.faults().remove(id);
    hits
}

/// Something that belongs to a bay vanishes from the cloud.
async fn behind(ground: &Ground<'_>) -> anyhow::Result<u32> {
    sleep(Duration::from_millis(700)).await;
    let (stacks, users) = (ground.sandbox.stacks(), ground.sandbox.trustees());
    // The bays for apps stay, so that there is something to delete apps from.
    let stacks: Vec<_> = stacks.iter().filter(|stack| stack.name.starts_with('b')).collect();
    let mut times = 0;
    if let Some(stack) = stacks.choose(&mut rand::rng())
        && ground.sandbox.remove_stack(&stack.id)
    {
        ground.removed.lock().await.insert(stack.id.clone());
        times += 1;
    }
    if rand::random_ratio(1, 3)
        && let Some(user) = users.choose(&mut rand::rng())
    {
        let trusts = ground.sandbox.trusts().into_iter().filter(|trust| trust.trustee_user_id == user.id);
        let mut removed = ground.removed.lock().await;
        removed.extend(trusts.map(|trust| trust.id));
        removed.insert(user.id.clone());
        ground.sandbox.remove_user(&user.id);
        times += 1;
    }
    let marathons = ground.sandbox.marathons();
    if let Some(marathon) = marathons.choose(&mut rand::rng())
        && let Some(app) = marathon.apps().first()
    {
        delete_app(&marathon.url(), app).await?;
        *ground.apps_removed.lock().await += 1;
        times += 1;
    }
    Ok(times)
}

/// Deletes an app from its Marathon as somebody else would.
async fn delete_app(url: &str, app: &str) -> anyhow::Result<()> {
    let host = url.trim_start_matches("http://");
    let mut connection = TcpStream::connect(host).await?;
    let request = format!(
        "DELETE /v2/apps{app}?force=true HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(())
}
