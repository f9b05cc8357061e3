//! Nodes of one generation and of another: what was built before a rotation runs on with what it was told then, and
//! both have to trust each other.

use std::sync::Arc;
use std::time::Duration;

use mesos_conductor::bay::secrets::{Secrets, node_name};
use mesos_conductor::certificate::Certificates as _;
use mesos_conductor::certificate::keep::database::Database;
use mesos_conductor_sandbox::{Doom, StackAction};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::openssl::{Desk, desk, openssl, said};
use super::rotation::waiting;
use super::{authority_of, kept, store};
use crate::support::{Caller, World, data};

async fn secrets(world: &World, bay: &str) -> Secrets {
    kept(world, bay).await.unwrap().secrets().expect("TLS is on")
}

async fn rotate(caller: &Caller<'_>, bay: &str) {
    let done: Value = caller.call("rotate_ca_certificate", waiting(bay)).await.expect("it is rotated");
    assert_eq!(data(&done)["status"], "UPDATE_COMPLETE");
}

/// Whether OpenSSL, with these authorities, believes what a node shows.
fn verified(desk: &Desk, authorities: &str, shown: &str, name: &str) -> bool {
    let (trusted, shown) = (desk.put("trusted.pem", authorities), desk.put("shown.pem", shown));
    ["sslserver", "sslclient"].iter().all(|purpose| {
        let arguments = ["verify", "-CAfile", &trusted, "-untrusted", &shown, "-purpose", purpose];
        openssl(&[&arguments[..], &["-verify_hostname", name, &shown]].concat()).0
    })
}

/// A handshake of a client with these authorities and a server with what a node has.
async fn shake_hands(authorities: &str, node: &Secrets, name: &str) -> std::io::Result<()> {
    let certificates = |pem: &str| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(authorities) {
        roots.add(authority).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(roots).with_no_client_auth();
    let key = PrivateKeyDer::from_pem_slice(node.node_key.expose_secret().as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(certificates(&node.node_certificate), key);
    let (near, far) = tokio::io::duplex(65_536);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (connector, acceptor) =
        (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server.unwrap())));
    let (connected, _) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    connected.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_every_generation_and_their_clients_trust_each_other() {
    let mut world = World::new().await;
    // OpenSSL and rustls believe no less.
    world.key_size = 2048;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    let (desk, name) = (desk(&world), node_name(bay.parse().unwrap()));
    let mut generations = vec![secrets(&world, &bay).await];
    for _ in 0..2 {
        rotate(&caller, &bay).await;
        generations.push(secrets(&world, &bay).await);
    }
    for (old, trusting) in generations.iter().enumerate() {
        for (new, serving) in generations.iter().enumerate() {
            let seen = verified(&desk, &trusting.ca_certificate, &serving.node_certificate, &name);
            assert!(seen, "OpenSSL: generation {old} does not trust {new}");
            let seen = shake_hands(&trusting.ca_certificate, serving, &name).await;
            seen.unwrap_or_else(|error| panic!("rustls: generation {old} does not trust {new}: {error}"));
        }
    }
    let [first, _, third] = generations.as_slice() else { panic!("three were made") };
    // It is the way there that does it.
    let (leaf, _) = third.node_certificate.split_once("-----END").unwrap();
    let leaf = format!("{leaf}-----END CERTIFICATE-----\n");
    assert!(!verified(&desk, &first.ca_certificate, &leaf, &name));
    assert!(shake_hands("", first, &name).await.is_err());
    // Who asks is told of the one in force.
    let current = authority_of(&caller, &bay).await.unwrap();
    assert_eq!(current.matches("BEGIN CERTIFICATE").count(), 1);
    assert!(third.ca_certificate.starts_with(&current));
    assert!(verified(&desk, &current, &third.node_certificate, &name));
    said(&["verify", "-CAfile", &desk.put("current.pem", &current), &desk.put("leaf.pem", &leaf)]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_fails_changes_nothing_of_the_generations() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    rotate(&caller, &bay).await;
    let before = kept(&world, &bay).await.unwrap();
    assert!(before.retired.is_none() && before.next.is_none());
    world.sandbox.fail_stack(Doom::new("b1", "no more nodes").of(StackAction::Update));
    caller.call("rotate_ca_certificate", waiting(&bay)).await.expect_err("the stack does not take it");
    let after = kept(&world, &bay).await.unwrap();
    assert!(before.encode() == after.encode(), "what is kept is what was kept");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_without_its_key_is_replaced_and_the_log_says_what_that_means() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    let before = secrets(&world, &bay).await;
    let reference = kept(&world, &bay).await.unwrap().current.ca_ref.unwrap();
    Database(store(&world).await).delete(&reference, Duration::from_secs(10)).await.unwrap();
    rotate(&caller, &bay).await;
    assert!(worker.logged("the nodes there are will not trust those to come").await);
    let after = secrets(&world, &bay).await;
    assert!(after.ca_certificate.ends_with(&before.ca_certificate), "new nodes trust the old ones");
    assert_eq!(after.node_certificate.matches("BEGIN CERTIFICATE").count(), 1);
    // From there on it is as ever.
    rotate(&caller, &bay).await;
    let last = secrets(&world, &bay).await;
    assert_eq!(last.ca_certificate.matches("BEGIN CERTIFICATE").count(), 3);
    assert_eq!(last.node_certificate.matches("BEGIN CERTIFICATE").count(), 2);
    worker.stop().await;
}
