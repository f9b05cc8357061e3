//! The stores behind one port, held to one suite; and a bay's life with each, undisturbed and disturbed.

use std::time::Duration;

use mesos_conductor::bay::Bay;
use mesos_conductor::certificate::keep::Stores;
use mesos_conductor::certificate::{Certificates, Forge, Label, Pair, Role};
use mesos_conductor::config::{Settings, Sources};
use mesos_conductor::worker;
use mesos_conductor_sandbox::{Action, Rule, Service};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::{authority_of, delete, model_without_tls, store};
use crate::support::worker::migrate;
use crate::support::{Caller, World, assert_remaining, data};

const WITHIN: Duration = Duration::from_secs(20);

/// A world whose certificates are kept there, and its configuration as a worker reads it.
async fn world(kind: &'static str) -> (World, Settings) {
    let mut world = World::new().await;
    world.certificates = kind;
    let text = settled(&world);
    let path = world.directory.path().join("stores.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources { files: vec![path], ..Sources::default() };
    let (settings, _) = Settings::load(&sources).unwrap_or_else(|faults| panic!("{faults}"));
    (world, settings)
}

/// The configuration with a directory for local certificates.
fn settled(world: &World) -> String {
    let path = world.directory.path().join("certificates");
    let chosen = format!("cert_manager_type = \"{}\"\n", world.certificates);
    let with_path = format!("{chosen}storage_path = \"{}\"\n", path.display());
    world.configuration("").replace(&chosen, &with_path)
}

/// All that any store still has, beside what a bay's own row says.
async fn left(world: &World) -> Vec<String> {
    let mut left = world.database.texts("SELECT uuid FROM x509keypair").await;
    let (containers, secrets) = world.sandbox.kept_secrets();
    left.extend(containers);
    left.extend(secrets);
    let files = std::fs::read_dir(world.directory.path().join("certificates")).into_iter().flatten();
    left.extend(files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()));
    left
}

fn label(role: Role) -> Label {
    Label { bay: Uuid::new_v4(), pair: Uuid::new_v4(), role }
}

async fn pair(forge: &Forge) -> Pair {
    let key = forge.keys(1).await.unwrap().pop().unwrap();
    forge.authority(&Bay { uuid: Uuid::new_v4(), ..Bay::default() }, None, key).await.unwrap().1
}

fn assert_same(one: &Pair, other: &Pair) {
    let secret = |pair: &Pair| {
        (
            pair.private_key.expose_secret().to_owned(),
            pair.passphrase.as_ref().map(|text| text.expose_secret().to_owned()),
        )
    };
    assert_eq!(one.certificate, other.certificate);
    assert_eq!(secret(one), secret(other));
    assert_eq!(one.intermediates, other.intermediates);
}

/// What every store must do.
async fn conforms(kind: &'static str) {
    let (world, settings) = world(kind).await;
    migrate(&world).await;
    let store = store(&world).await;
    let cloud = worker::open_cloud(&settings).unwrap();
    let stores: Stores = worker::stores(&settings, &store, &cloud);
    let forge = worker::forge(&settings).unwrap();
    let (first, second) = (pair(&forge).await, pair(&forge).await);
    let (ca, client) = (label(Role::Authority), label(Role::Client));

    assert_eq!(stores.find(&ca, WITHIN).await.unwrap(), None);
    let reference = stores.put(&ca, &first, WITHIN).await.unwrap();
    assert_eq!(stores.find(&ca, WITHIN).await.unwrap().as_ref(), Some(&reference));
    assert_same(&stores.get(&reference, WITHIN).await.unwrap().unwrap(), &first);
    // Twice is once: what is there stays.
    assert_eq!(stores.put(&ca, &second, WITHIN).await.unwrap(), reference);
    assert_same(&stores.get(&reference, WITHIN).await.unwrap().unwrap(), &first);
    let whole = Pair { intermediates: Some("-----BEGIN CERTIFICATE-----\n".to_owned()), ..second };
    let other = stores.put(&client, &whole, WITHIN).await.unwrap();
    assert_ne!(other, reference);
    assert_same(&stores.get(&other, WITHIN).await.unwrap().unwrap(), &whole);

    for _ in 0..2 {
        stores.delete(&reference, WITHIN).await.unwrap();
        assert!(stores.get(&reference, WITHIN).await.unwrap().is_none());
    }
    assert_eq!(stores.find(&ca, WITHIN).await.unwrap(), None);
    assert!(stores.get(&other, WITHIN).await.unwrap().is_some());
    for _ in 0..2 {
        stores.forget(&client, WITHIN).await.unwrap();
        assert_eq!(stores.find(&client, WITHIN).await.unwrap(), None);
    }
    assert_eq!(left(&world).await, Vec::<String>::new());
    // What never was, and what is no reference at all.
    for unknown in [Uuid::new_v4().to_string(), "../../etc/passwd".to_owned()] {
        assert!(stores.get(&unknown, WITHIN).await.unwrap().is_none(), "{unknown}");
        stores.delete(&unknown, WITHIN).await.unwrap();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_keeps_pairs() {
    conforms("x509keypair").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_keep_pairs() {
    conforms("local").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn barbican_keeps_pairs() {
    conforms("barbican").await;
}

/// From beginning to end of a bay, with nothing left behind.
async fn a_bays_life(kind: &'static str, rules: Vec<Rule>) {
    let (world, _) = world(kind).await;
    let worker = crate::support::worker::Worker::start_with(&world, &settled(&world), None).await;
    let caller = Caller::new(&world).await;
    let model = model_without_tls(&caller).await;
    let faults = rules.len();
    for rule in rules {
        world.sandbox.faults().add(rule);
    }
    let bay = caller.create_bay(&model).await;
    let shown = caller.bay(&bay).await.unwrap();
    let reference = data(&shown)["ca_cert_ref"].as_str().expect("a reference").to_owned();
    assert_eq!(reference.starts_with("http"), kind == "barbican", "{reference}");
    assert!(authority_of(&caller, &bay).await.unwrap().contains("BEGIN CERTIFICATE"));
    assert!(!left(&world).await.is_empty());
    delete(&caller, &bay).await;
    assert_eq!(left(&world).await, Vec::<String>::new());
    assert_remaining(&world.sandbox, 0);
    assert_eq!(world.database.texts("SELECT bay_uuid FROM bay_secret").await.len(), 0);
    let hits = world.sandbox.faults().list().iter().filter(|rule| rule.hits > 0).count();
    assert_eq!(hits, faults, "a fault never came to pass");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_leaves_no_files() {
    a_bays_life("local", vec![]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_leaves_nothing_in_barbican_whatever_answers_are_lost() {
    let lost = |method, path| Rule::new(Service::Barbican, method, path, Action::ResetAfter).once();
    let lost_later = |method, path, n| Rule::new(Service::Barbican, method, path, Action::ResetAfter).nth(n);
    a_bays_life(
        "barbican",
        vec![
            lost_later("POST", "/secrets$", 2),
            lost("POST", "/containers$"),
            lost("POST", "/consumers$"),
            lost("DELETE", "/containers/"),
            lost_later("DELETE", "/secrets/", 2),
            Rule::new(Service::Barbican, "GET", "/payload$", Action::status(503)).once(),
        ],
    )
    .await;
}
