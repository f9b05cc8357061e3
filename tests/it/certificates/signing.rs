//! `sign_certificate` and `get_ca_certificate` as clients of the bay era call them, and what they are refused with.

use std::collections::BTreeSet;

use mesos_conductor_sandbox::known::DEMO_PROJECT;
use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair};
use serde_json::json;

use super::{authority_of, bay_of, kept, model_without_tls, pem, sign, store};
use crate::support::{Caller, World, data, failure_class, object};

fn request(extension: Option<CustomExtension>) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "node1");
    params.custom_extensions.extend(extension);
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_answered_in_the_form_that_clients_of_bays_know() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    let mut args = bay_of(&bay);
    args["ca_cert_type"] = json!("kubernetes");
    let answer = caller.call("get_ca_certificate", args).await.unwrap();
    assert_eq!(answer["magnum_object.name"], "Certificate");
    assert_eq!(answer["magnum_object.version"], "1.0");
    let fields = data(&answer).as_object().unwrap();
    let names: BTreeSet<_> = fields.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["bay_uuid", "pem", "project_id", "user_id"]));
    assert_eq!(fields["bay_uuid"], bay.as_str());
    assert_eq!(fields["project_id"], DEMO_PROJECT.id);

    let signed = sign(&caller, &bay, &request(None)).await.unwrap();
    assert!(pem(&signed).starts_with("-----BEGIN CERTIFICATE-----"));
    let mut changes: Vec<_> = signed["magnum_object.changes"].as_array().unwrap().clone();
    changes.sort_by_key(ToString::to_string);
    assert_eq!(changes, ["bay_uuid", "csr", "pem"]);
    // Signing keeps nothing.
    assert_eq!(world.database.texts("SELECT uuid FROM x509keypair").await.len(), 2);
    // A newer client's object, with the name that it has there for the bay.
    let mut args = bay_of(&bay);
    args["certificate"] = object("Certificate", "1.2", json!({ "cluster_uuid": bay, "csr": request(None) }));
    let signed = caller.call("sign_certificate", args).await.unwrap();
    assert_eq!(signed["magnum_object.version"], "1.2");
    // A plain dict does as well.
    let args = json!({ "bay": { "uuid": bay }, "certificate": { "csr": request(None) } });
    assert!(pem(&caller.call("sign_certificate", args).await.unwrap()).contains("CERTIFICATE"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cannot_be_granted_are_refused_with_their_fault() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    let mut forbidden = CustomExtension::from_oid_content(&[2, 5, 29, 31], vec![0x30, 0]);
    forbidden.set_criticality(true);
    for (csr, class) in [
        ("no request".to_owned(), "InvalidCsr"),
        (String::new(), "InvalidCsr"),
        (request(Some(forbidden)), "CertificateValidationError"),
    ] {
        let refused = sign(&caller, &bay, &csr).await.unwrap_err();
        assert_eq!(failure_class(&refused), class, "{refused}");
    }
    // An authority that somebody removed.
    let store = store(&world).await;
    let mut tx = store.begin().await.unwrap();
    let bay_row = caller.bay(&bay).await.unwrap();
    let reference = data(&bay_row)["ca_cert_ref"].as_str().unwrap().parse().unwrap();
    assert!(tx.delete_key_pair(reference).await.unwrap());
    tx.commit().await.unwrap();
    store.close().await;
    let refused = authority_of(&caller, &bay).await.unwrap_err();
    assert_eq!(failure_class(&refused), "CertificateStorageException");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_without_tls_has_an_authority_and_no_secrets_for_nodes() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = model_without_tls(&caller).await;
    let bay = caller.create_bay(&model).await;
    assert!(authority_of(&caller, &bay).await.unwrap().contains("CERTIFICATE"));
    assert!(kept(&world, &bay).await.expect("the names are kept").secrets().is_none());
    worker.stop().await;
}
