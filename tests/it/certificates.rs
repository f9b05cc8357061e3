//! Certificates of bays, asked for over the broker: made, signed, kept in each store, rotated, and gone with the bay.

mod openssl;
mod rollover;
mod rotation;
mod signing;
mod stores;

use mesos_conductor::bay::secrets::Kept;
use mesos_conductor::client::CallError;
use mesos_conductor::store::{Store, StoreSettings, Vault};
use serde_json::{Value, json};

use crate::support::{Caller, ENCRYPTION_KEY, World, data, map, model_fields, object};

/// The world's database, as the workers see it.
pub(crate) async fn store(world: &World) -> Store {
    let vault = Vault::new(&[ENCRYPTION_KEY.into()]).unwrap();
    Store::connect(&StoreSettings::new(world.database_url.as_str()), vault).await.unwrap()
}

pub(crate) async fn kept(world: &World, bay: &str) -> Option<Kept> {
    let store = store(world).await;
    let kept = store.bay_secrets(bay.parse().unwrap()).await.unwrap();
    store.close().await;
    kept
}

fn bay_of(uuid: &str) -> Value {
    json!({ "bay": object("Bay", "1.5", json!({ "uuid": uuid })) })
}

async fn authority_of(caller: &Caller<'_>, bay: &str) -> Result<String, CallError> {
    let answer = caller.call("get_ca_certificate", bay_of(bay)).await?;
    Ok(data(&answer)["pem"].as_str().expect("a certificate").to_owned())
}

async fn sign(caller: &Caller<'_>, bay: &str, csr: &str) -> Result<Value, CallError> {
    let mut args = bay_of(bay);
    args["certificate"] = object("Certificate", "1.0", json!({ "bay_uuid": bay, "csr": csr }));
    caller.call("sign_certificate", args).await
}

fn pem(certificate: &Value) -> &str {
    data(certificate)["pem"].as_str().expect("a certificate")
}

/// A model whose bays have no TLS.
async fn model_without_tls(caller: &Caller<'_>) -> String {
    let mut fields = model_fields();
    fields["tls_disabled"] = json!(true);
    let args = json!({
        "objinst": object("BayModel", "1.10", fields), "objmethod": "create", "args": [], "kwargs": {},
    });
    let answer = caller.call("object_action", args).await.expect("the model is created");
    answer[0]["uuid"].as_str().expect("a uuid").to_owned()
}

async fn delete(caller: &Caller<'_>, bay: &str) {
    let options = caller.world.options();
    let args = map(json!({ "uuid": bay, "wait": true }));
    caller.client.call("bay_delete", args, options).await.expect("the bay is deleted");
}
