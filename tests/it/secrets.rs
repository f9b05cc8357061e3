//! Tokens and passwords are found nowhere that a worker writes: not in its logs, its database, its messages.

use std::path::Path;
use std::time::Duration;

use mesos_conductor::client::NotificationListener;
use mesos_conductor::store::{KeyPairFilter, Page, Scope};
use mesos_conductor_sandbox::known::{SERVICE_USER, TRUSTEE_DOMAIN_ADMIN};
use mesos_conductor_sandbox::{Action, Rule, Service};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::certificates::{kept, store};
use crate::support::peer::{Peer, outcome};
use crate::support::{Caller, World, data, object};

/// What a client echoes in an object though it is none of its business.
const PLANTED: &str = "planted-trustee-password-4711";

fn assert_absent(secrets: &[String], place: &str, bytes: &[u8]) {
    for secret in secrets {
        let found = bytes.windows(secret.len()).position(|window| window == secret.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(300)..(at + secret.len() + 20).min(bytes.len())];
            panic!("{secret} is in {place}: {}", String::from_utf8_lossy(around));
        }
    }
}

fn files(directory: &Path, part: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.filter(|path| path.to_string_lossy().contains(part));
    named.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

/// What was made for a bay and only its nodes, or nobody, may know.
async fn made_for(world: &World, bay: &str) -> Vec<String> {
    let exposed = |secret: &SecretString| secret.expose_secret().to_owned();
    let secrets = kept(world, bay).await.expect("it is kept").secrets().expect("TLS is on");
    // A line of it: line ends are written in many ways.
    let key = exposed(&secrets.node_key).lines().nth(2).expect("a key has lines").to_owned();
    let mut made = vec![
        key,
        exposed(&secrets.mesos_secret),
        exposed(&secrets.marathon_password),
        exposed(&secrets.zookeeper_password),
    ];
    let store = store(world).await;
    for pair in store.key_pairs(&Scope::All, &KeyPairFilter::default(), &Page::default()).await.unwrap() {
        made.push(exposed(&pair.passphrase.expect("it is encrypted")));
        made.push(exposed(&pair.private_key.expect("a key")).lines().nth(2).expect("lines").to_owned());
    }
    store.close().await;
    assert_eq!(made.len(), 8);
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g35_no_secret_is_in_logs_database_notifications_or_replies() {
    let mut world = World::new().await;
    world.log_filter = "trace".to_owned();
    let worker = world.worker().await;
    let mut listener = NotificationListener::open(&world.broker, &["notifications"]).await.unwrap();
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let mut secrets =
        vec![SERVICE_USER.password.to_owned(), TRUSTEE_DOMAIN_ADMIN.password.to_owned(), PLANTED.to_owned()];
    let peer = Peer::open(&world).await;
    let mut send = async |method: &str, args: Value, sent: usize| {
        let request = peer.request(&world, method, args);
        secrets.push(request.context.auth_token().expect("a token").to_owned());
        peer.send(&request).await;
        peer.replies(sent).await.pop().expect("a reply")
    };
    // A request that goes wrong says the most.
    let faults = world.sandbox.faults();
    faults.add(Rule::new(Service::Heat, "POST", "/stacks$", Action::status(503)).once());
    faults
        .add(Rule::new(Service::Keystone, "POST", "/auth/tokens$", Action::Garbage("{]".to_owned())).once());
    let mut args = Caller::bay_args(&model, 2);
    args["bay"]["magnum_object.data"]["trustee_password"] = json!(PLANTED);
    args["bay"]["magnum_object.data"]["registry_trust_id"] = json!(PLANTED);
    let bay = outcome(&send("bay_create", args, 1).await).expect("the bay is accepted");
    let uuid = data(&bay)["uuid"].as_str().unwrap().to_owned();
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    let made = made_for(&world, &uuid).await;
    let rotated = json!({ "bay": { "uuid": uuid }, "wait": true });
    caller.call("rotate_ca_certificate", rotated).await.expect("it is rotated");
    let changed = object("Bay", "1.5", json!({ "uuid": uuid, "node_count": 3 }));
    outcome(&send("bay_update", json!({ "bay": changed }), 2).await).expect("it is scaled");
    caller.wait_for_status(&uuid, "UPDATE_COMPLETE").await;
    // The row is there now, with all it ever holds.
    let mut found = files(world.directory.path(), ".sqlite");
    assert!(
        found.iter().any(|(_, bytes)| bytes.windows(36).any(|window| window == uuid.as_bytes())),
        "the bay is kept"
    );
    outcome(&send("bay_delete", json!({ "uuid": uuid }), 3).await).expect("it is deleted");
    caller.wait_until_gone(&uuid).await;
    // One that cannot work, by somebody who may not.
    faults.add(Rule::new(Service::Heat, "POST", "/stacks$", Action::status(403)).once());
    outcome(&send("bay_create", Caller::bay_args(&model, 2), 4).await).expect_err("it is refused");
    worker.stop().await;

    secrets.extend(made);
    found.extend(files(world.directory.path(), ".sqlite"));
    found.extend(files(world.directory.path(), ".log"));
    found.extend(peer.seen().into_iter().map(|body| ("a reply".to_owned(), body)));
    // pending and success of create, rotation, update, delete; pending and failure of the last create
    for _ in 0..10 {
        let next = tokio::time::timeout(Duration::from_secs(10), listener.next()).await;
        let notification = next.expect("every change is told");
        let text = format!("{} {} {:?}", notification.event_type, notification.payload, notification.context);
        found.push(("a notification".to_owned(), text.into_bytes()));
    }
    assert!(found.iter().any(|(place, bytes)| place.ends_with(".log") && bytes.len() > 10_000));
    for (place, bytes) in &found {
        assert_absent(&secrets, place, bytes);
    }
}
