//! A broker that takes messages and confirms none holds up nothing but its own.

use std::time::Duration;

use tokio::time::timeout;

use crate::amqp::broker::Proxy;
use crate::probes::via;
use crate::support::database::Backend;
use crate::support::peer::{Peer, outcome};
use crate::support::worker::Worker;
use crate::support::{Caller, World, eventually};

/// How soon a caller is answered meanwhile: half of what a confirm may take.
const PROMPT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_broker_of_notifications_holds_up_no_reply() {
    let world = World::on(Backend::Postgres).await;
    let proxy = Proxy::before(&world.broker).await;
    let own = format!("transport_url = \"{}\"", via(&world.amqp, proxy.port));
    let configuration = world
        .configuration("")
        .replace("[oslo_messaging_notifications]", &format!("[oslo_messaging_notifications]\n{own}"))
        .replace("amqp://", "rabbit://");
    let worker = Worker::start_with(&world, &configuration, None).await;
    let model = Caller::new(&world).await.create_model().await;
    let peer = Peer::open(&world).await;
    let create = || peer.request(&world, "bay_create", Caller::bay_args(&model, 1));
    // The first one has its notifications told: the connection is there.
    peer.send(&create()).await;
    peer.replies(1).await;
    let told = eventually(async || {
        let built = world.database.texts("SELECT status FROM cluster").await == ["CREATE_COMPLETE"];
        (built && world.database.texts("SELECT routing_key FROM outbox").await.is_empty()).then_some(())
    });
    assert!(told.await.is_some(), "{}", worker.log_text());
    proxy.set_silent(true);
    for answered in 2..5 {
        peer.send(&create()).await;
        timeout(PROMPT, peer.replies(answered)).await.expect("a reply does not wait for notifications");
    }
    let silent = "SELECT routing_key FROM outbox WHERE purpose = 'notification'";
    assert!(!world.database.texts(silent).await.is_empty(), "the notifications are still to be told");
    proxy.cut();
    proxy.set_silent(false);
    let told = eventually(async || world.database.texts(silent).await.is_empty().then_some(()));
    assert!(told.await.is_some(), "{}", worker.log_text());
    assert!(peer.seen().iter().all(|reply| outcome(reply).is_ok()));
    worker.stop().await;
    world.database.drop_it().await;
}
