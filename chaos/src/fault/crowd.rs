//! More than can be done at once, callers that do not listen, and messages that end who takes them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mesos_conductor_sandbox::known::{OTHER_PROJECT, OTHER_USER};
use serde_json::json;
use uuid::Uuid;

use crate::load::{self, Stage};
use crate::row::{Ground, SETTLE};

/// The method of the messages that end their workers.
pub(crate) const POISON: &str = "conductor_poison";
/// How many messages end their workers.
pub(crate) const POISONED: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowd {
    Flood,
    DeafCaller,
    OneTenant,
    /// A message that ends its worker each time.
    Poison,
}

impl Crowd {
    /// What comes in a crowd, or beside what else is asked. How often it struck by that.
    pub(crate) async fn come(self, ground: &Ground<'_>, stage: &Arc<Stage>) -> anyhow::Result<u32> {
        match self {
            Self::Poison => return poison(ground, stage).await,
            Self::Flood => {
                let pool = ground.pool.lock().await;
                for which in 0..pool.len() {
                    pool.signal(which, "STOP").await?;
                }
                let context = load::context(&ground.sandbox);
                let args = || json!({ "uuid": Uuid::new_v4().to_string() });
                let crowd = std::iter::repeat_with(args).take(10_000).collect();
                stage.client.send_many("bay_delete", crowd, &context).await?;
                for which in 0..pool.len() {
                    pool.signal(which, "CONT").await?;
                }
            }
            Self::DeafCaller => {
                let deaf = stage.client.deaf_queue().await?;
                let context = load::context(&ground.sandbox);
                for queue in [deaf.as_str(), "reply_that_nobody_declared"] {
                    for _ in 0..500 {
                        let args = json!({ "uuid": Uuid::new_v4().to_string() });
                        stage.client.send_for(queue, "bay_delete", args, &context).await;
                    }
                }
            }
            Self::OneTenant => {
                let context = load::context_of(&ground.sandbox, OTHER_USER, OTHER_PROJECT);
                let model = load::create_model_as(&stage.client, &context).await?;
                for turn in 0..60 {
                    let args = load::bay_args(&model, &format!("crowd{turn}"));
                    stage.client.send("bay_create", args, &context).await;
                }
            }
        }
        Ok(1)
    }
}

/// Messages that end their workers, and somebody who starts these anew until the callers have been told. How many ended.
async fn poison(ground: &Ground<'_>, stage: &Arc<Stage>) -> anyhow::Result<u32> {
    let context = load::context(&ground.sandbox);
    for _ in 0..POISONED {
        stage.client.send(POISON, json!({}), &context).await;
    }
    let (mut ended, deadline) = (0, Instant::now() + SETTLE);
    let told = |stage: &Stage| {
        let asked = stage.client.asked();
        asked.iter().filter(|asked| asked.method == POISON).all(|asked| asked.answered.is_some())
    };
    while !told(stage) && Instant::now() < deadline {
        ended += ground.pool.lock().await.replace_ended()?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ground.pool.lock().await.replace_ended()?;
    Ok(ended)
}
