//! A broker that restarts, closes, forgets, refuses and falls silent.

use std::time::Duration;

use tokio::time::sleep;

use super::cut;
use crate::proxy::Proxy;
use crate::row::Ground;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broker {
    Restarted,
    ConnectionsClosed,
    ChannelsClosed,
    QueueDeleted,
    MemoryAlarm,
    Cut,
    /// Two things at once: what a worker had to say cannot be said, and then the worker is gone.
    CutAndKilled,
    HalfOpen,
    /// One node after another, of three.
    NodeKilled,
}

impl Broker {
    pub(super) async fn strike(self, ground: &Ground<'_>) -> anyhow::Result<u32> {
        let broker = &ground.servers.rabbitmq;
        match self {
            Self::Restarted => {
                broker.tell("stop_app").await?;
                broker.tell("start_app").await?;
                sleep(Duration::from_secs(2)).await;
            }
            Self::ConnectionsClosed => {
                broker.tell("close_all_connections chaos").await?;
                sleep(Duration::from_millis(700)).await;
            }
            Self::ChannelsClosed => {
                // As if each client had acknowledged what it never got.
                let close = "eval [rabbit_channel:do(P, {'basic.ack', 99999999, false}) || \
                     P <- rabbit_channel:list_local()].";
                broker.tell(close).await?;
                sleep(Duration::from_millis(700)).await;
            }
            Self::QueueDeleted => {
                sleep(Duration::from_millis(500)).await;
                broker.tell(&format!("delete_queue {}", ground.place.topic)).await?;
            }
            Self::MemoryAlarm => {
                broker.tell("set_vm_memory_high_watermark absolute 1MB").await?;
                sleep(Duration::from_millis(1500)).await;
                broker.tell("set_vm_memory_high_watermark 0.6").await?;
                sleep(Duration::from_secs(1)).await;
            }
            Self::Cut => cut(&ground.to_broker).await,
            Self::CutAndKilled => cut_and_kill(ground).await?,
            Self::HalfOpen => half_open(&ground.to_broker).await,
            Self::NodeKilled => ground.kill_a_node().await?,
        }
        Ok(1)
    }
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
        pool.add(false).await?;
    }
    Ok(())
}

/// Nothing passes, and nobody is told: only heartbeats can notice.
async fn half_open(proxy: &Proxy) {
    proxy.set_silent(true);
    sleep(Duration::from_secs(5)).await;
    // What was held back is gone: the connection was broken all along.
    proxy.cut();
    proxy.set_silent(false);
    sleep(Duration::from_secs(2)).await;
}
