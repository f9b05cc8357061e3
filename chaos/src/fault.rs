//! What breaks, how it is broken again and again, and how it is mended.

use std::time::{Duration, Instant};

use mesos_conductor_sandbox::{Action, Rule, Service};
use rand::seq::IndexedRandom as _;
use tokio::time::sleep;

use crate::row::Ground;

/// What is done to the pool, or to what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Every request is sent three times.
    Copies,
    WorkerKilled,
    /// Each is stopped in order, one after another, when a new one serves.
    RollingRestart,
    /// Stopped for longer than a lease, then woken.
    WorkerPaused,
    /// Workers of an earlier build and of this one take turns.
    TwoVersions,
    BrokerRestarted,
    ConnectionsClosed,
    ChannelsClosed,
    QueueDeleted,
    MemoryAlarm,
    BrokerCut,
    /// Two things at once: what a worker had to say cannot be said, and then the worker is gone.
    BrokerCutAndKilled,
    BrokerHalfOpen,
    NodeKilled,
    DatabaseRestarted,
    DatabaseCut,
    WritesRefused,
    Serializable,
    PoolExhausted,
    CommitUnanswered,
    DiskFull,
    CloudFails,
    CloudOverloaded,
    /// Stacks are refused for good.
    CloudRefuses,
    TokensRevoked,
    CloudConflicts,
    CloudGarbles,
    CloudSilent,
    AnswersLost,
    BehindOurBack,
    Flood,
    DeafCaller,
    OneTenant,
    /// A message that ends its worker each time.
    Poison,
}

/// The method of the messages that end their workers.
pub(crate) const POISON: &str = "conductor_poison";

/// How long the workers' lease is.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

impl Fault {
    /// How many copies of each request are sent.
    pub(crate) fn copies(self) -> u32 {
        if self == Self::Copies { 3 } else { 1 }
    }

    /// Whether an operation may end otherwise than asked, with the truth about it.
    pub(crate) fn may_fail(self) -> bool {
        matches!(
            self,
            Self::CloudFails
                | Self::CloudOverloaded
                | Self::CloudRefuses
                | Self::TokensRevoked
                | Self::CloudConflicts
                | Self::CloudGarbles
                | Self::CloudSilent
                | Self::AnswersLost
                | Self::BehindOurBack
                | Self::DeafCaller
                | Self::Flood
                | Self::Poison
        )
    }

    fn action(self) -> Option<Action> {
        Some(match self {
            Self::CloudFails => Action::html(500),
            Self::CloudOverloaded => Action::retry_after(503, Duration::from_secs(1)),
            Self::TokensRevoked => Action::status(401),
            Self::CloudConflicts => Action::status(409),
            Self::CloudGarbles => Action::Garbage("<html>{".to_owned()),
            Self::CloudSilent => Action::Hang,
            Self::AnswersLost => Action::ResetAfter,
            _ => return None,
        })
    }

    /// The point at which workers end themselves, if this is that fault.
    pub(crate) fn point(self) -> Option<String> {
        (self == Self::Poison).then(|| format!("kill:request/{POISON}/begin"))
    }

    /// Strikes again and again until then. How often it struck.
    pub(crate) async fn strike(self, ground: &Ground<'_>, until: Instant) -> anyhow::Result<u32> {
        let mut times = 0;
        while Instant::now() < until {
            times += match self.action() {
                Some(action) => trouble(ground, action, until).await,
                None => self.once(ground, until).await?,
            };
        }
        Ok(times)
    }

    async fn once(self, ground: &Ground<'_>, until: Instant) -> anyhow::Result<u32> {
        match self {
            Self::Nothing
            | Self::Copies
            | Self::Flood
            | Self::DeafCaller
            | Self::OneTenant
            | Self::Poison => {
                sleep(until.saturating_duration_since(Instant::now())).await;
            }
            Self::WorkerKilled => {
                sleep(Duration::from_millis(900)).await;
                let mut pool = ground.pool.lock().await;
                pool.kill_oldest().await?;
                pool.add().await?;
            }
            Self::RollingRestart => {
                let mut pool = ground.pool.lock().await;
                pool.add().await?;
                pool.stop_oldest().await?;
            }
            Self::TwoVersions => {
                let mut pool = ground.pool.lock().await;
                for old in [true, false] {
                    pool.add_of(old).await?;
                    pool.stop_oldest().await?;
                }
            }
            Self::WorkerPaused => return pause(ground).await,
            Self::BrokerRestarted => {
                ground.broker()?.tell("stop_app").await?;
                ground.broker()?.tell("start_app").await?;
                sleep(Duration::from_secs(2)).await;
            }
            Self::ConnectionsClosed => {
                ground.broker()?.tell("close_all_connections chaos").await?;
                sleep(Duration::from_millis(700)).await;
            }
            Self::ChannelsClosed => {
                // As if each client had acknowledged what it never got.
                let close = "eval [rabbit_channel:do(P, {'basic.ack', 99999999, false}) || \
                     P <- rabbit_channel:list_local()].";
                ground.broker()?.tell(close).await?;
                sleep(Duration::from_millis(700)).await;
            }
            Self::QueueDeleted => {
                sleep(Duration::from_millis(500)).await;
                ground.broker()?.tell(&format!("delete_queue {}", ground.place.topic)).await?;
            }
            Self::MemoryAlarm => {
                ground.broker()?.tell("set_vm_memory_high_watermark absolute 1MB").await?;
                sleep(Duration::from_millis(1500)).await;
                ground.broker()?.tell("set_vm_memory_high_watermark 0.6").await?;
                sleep(Duration::from_millis(1000)).await;
            }
            Self::NodeKilled => ground.kill_a_node().await?,
            Self::BrokerCutAndKilled => cut_and_kill(ground).await?,
            Self::BrokerCut => cut(&ground.to_broker, Duration::from_millis(800)).await,
            Self::DatabaseCut => cut(&ground.to_database, Duration::from_millis(800)).await,
            Self::BrokerHalfOpen => half_open(&ground.to_broker).await,
            Self::DatabaseRestarted => {
                ground.servers.postgres.tell("restart").await?;
                sleep(Duration::from_secs(1)).await;
            }
            Self::WritesRefused => {
                ground.alter("SET default_transaction_read_only = on").await?;
                ground.end_sessions().await?;
                sleep(Duration::from_millis(800)).await;
                ground.alter("RESET default_transaction_read_only").await?;
                ground.end_sessions().await?;
                sleep(Duration::from_millis(800)).await;
            }
            Self::Serializable => {
                ground.alter("SET default_transaction_isolation = 'serializable'").await?;
                ground.end_sessions().await?;
                sleep(Duration::from_secs(3)).await;
            }
            Self::PoolExhausted => {
                ground.alter("CONNECTION LIMIT 3").await?;
                ground.end_sessions().await?;
                sleep(Duration::from_millis(1500)).await;
                ground.alter("CONNECTION LIMIT -1").await?;
                sleep(Duration::from_millis(1000)).await;
            }
            Self::CommitUnanswered => {
                ground.to_database.swallow_commits(9);
                sleep(until.saturating_duration_since(Instant::now())).await;
                ground.to_database.swallow_commits(0);
                return Ok(ground.to_database.swallowed());
            }
            Self::DiskFull => ground.fill_disk().await?,
            Self::BehindOurBack => return behind(ground).await,
            Self::CloudRefuses => return Ok(refuse(ground).await),
            Self::CloudFails
            | Self::CloudOverloaded
            | Self::TokensRevoked
            | Self::CloudConflicts
            | Self::CloudGarbles
            | Self::CloudSilent
            | Self::AnswersLost => {}
        }
        Ok(1)
    }

    /// Leaves everything as it should be.
    pub(crate) async fn mend(self, ground: &Ground<'_>) -> anyhow::Result<()> {
        ground.sandbox.faults().clear();
        for proxy in [&ground.to_broker, &ground.to_database] {
            proxy.set_open(true);
            proxy.set_silent(false);
            proxy.swallow_commits(0);
        }
        match self {
            Self::Serializable => {
                ground.alter("RESET default_transaction_isolation").await?;
                ground.end_sessions().await?;
            }
            Self::DiskFull => ground.empty_disk()?,
            Self::WorkerPaused => ground.pool.lock().await.kill_sleeper().await?,
            _ => {}
        }
        Ok(())
    }
}

/// Half a second in which one request in a few goes wrong, whichever service it is to.
async fn trouble(ground: &Ground<'_>, action: Action, until: Instant) -> u32 {
    let services = [Service::Keystone, Service::Heat, Service::Marathon];
    if action == Action::status(401) {
        ground.sandbox.revoke_all_tokens();
    }
    let chosen = services.choose(&mut rand::rng()).copied();
    let skip = rand::random_range(0..4);
    let rule =
        Rule { service: chosen, host: None, method: None, path: String::new(), skip, times: Some(2), action };
    let id = ground.sandbox.faults().add(rule);
    sleep(Duration::from_millis(400).min(until.saturating_duration_since(Instant::now()))).await;
    let hits = ground.sandbox.faults().list().iter().find(|rule| rule.id == id).map_or(0, |rule| rule.hits);
    ground.sandbox.faults().remove(id);
    hits
}

/// The next stack is refused.
async fn refuse(ground: &Ground<'_>) -> u32 {
    let rule = Rule::new(Service::Heat, "POST", "/stacks$", Action::status(400)).once();
    let id = ground.sandbox.faults().add(rule);
    sleep(Duration::from_millis(500)).await;
    let hits = ground.sandbox.faults().list().iter().find(|rule| rule.id == id).map_or(0, |rule| rule.hits);
    ground.sandbox.faults().remove(id);
    hits
}

/// A worker falls asleep right before it records that a bay is deleted, and wakes up when others have long done its work.
/// Another one sleeps wherever it happens to be: a request that it waits for has timed out when it wakes, so that it
/// would rarely write.
async fn pause(ground: &Ground<'_>) -> anyhow::Result<u32> {
    let mut pool = ground.pool.lock().await;
    let sleeper = match pool.sleeper() {
        Some(sleeper) => sleeper,
        None => pool.add_sleeper("pause:bay_delete/bay/effect").await?,
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while !pool.is_asleep(sleeper) && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    let other = rand::random_range(0..sleeper);
    pool.signal(other, "STOP").await?;
    sleep(LEASE + Duration::from_secs(1)).await;
    pool.signal(other, "CONT").await?;
    sleep(Duration::from_millis(1500)).await;
    let times = if pool.is_asleep(sleeper) { 2 } else { 1 };
    pool.signal(sleeper, "CONT").await?;
    Ok(times)
}

async fn cut_and_kill(ground: &Ground<'_>) -> anyhow::Result<()> {
    sleep(Duration::from_millis(600)).await;
    ground.to_broker.set_open(false);
    ground.to_broker.cut();
    sleep(Duration::from_millis(900)).await;
    let mut pool = ground.pool.lock().await;
    let workers = pool.len();
    for _ in 0..workers {
        pool.kill_oldest().await?;
    }
    ground.to_broker.set_open(true);
    for _ in 0..workers {
        pool.add().await?;
    }
    Ok(())
}

async fn cut(proxy: &crate::proxy::Proxy, away: Duration) {
    proxy.set_open(false);
    proxy.cut();
    sleep(away).await;
    proxy.set_open(true);
    sleep(Duration::from_millis(1200)).await;
}

/// Nothing passes, and nobody is told: only heartbeats can notice.
async fn half_open(proxy: &crate::proxy::Proxy) {
    proxy.set_silent(true);
    sleep(Duration::from_secs(5)).await;
    // What was held back is gone: the connection was broken all along.
    proxy.cut();
    proxy.set_silent(false);
    sleep(Duration::from_secs(2)).await;
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
        crate::row::delete_app(&marathon.url(), app).await?;
        *ground.apps_removed.lock().await += 1;
        times += 1;
    }
    Ok(times)
}
