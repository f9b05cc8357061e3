//! A request as it may be shown: of the context what is harmless, of the arguments what does not look like a secret.

use mesos_conductor_proto::message::Request;
use serde_json::{Map, Value, json};

const HIDDEN: &str = "***";
/// Parts of the names under which secrets go.
const SECRET: &[&str] = &["auth", "credential", "key", "pass", "secret", "token", "trust"];
/// What these hold is the caller's own, and may hold anything: passwords in an environment, credentials in a URL.
const PRIVATE: &[&str] = &["manifest", "manifest_url", "labels"];
/// Names with such a part that hold none.
const HARMLESS: &[&str] = &["keypair_id", "key_pair_id", "sort_key"];

pub(super) fn request(request: &Request) -> Value {
    let shown = request.context.without_secrets();
    let hidden = request.context.as_map().keys().filter(|key| !shown.contains_key(*key));
    let context: Map<String, Value> =
        hidden.map(|key| (key.clone(), HIDDEN.into())).chain(shown.clone()).collect();
    json!({
        "method": request.method,
        "args": map(&request.args),
        "namespace": request.namespace,
        "version": request.version.to_string(),
        "_msg_id": request.msg_id,
        "_reply_q": request.reply_q,
        "_unique_id": request.unique_id,
        "context": context,
    })
}

fn map(map: &Map<String, Value>) -> Value {
    let shown = |(name, value): (&String, &Value)| {
        let value = if value.is_null() || !is_secret(name) { visible(value) } else { HIDDEN.into() };
        (name.clone(), value)
    };
    Value::Object(map.iter().map(shown).collect())
}

fn visible(value: &Value) -> Value {
    match value {
        Value::Object(fields) => map(fields),
        Value::Array(items) => items.iter().map(visible).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if HARMLESS.contains(&name.as_str()) {
        return false;
    }
    PRIVATE.contains(&name.as_str()) || SECRET.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use mesos_conductor_proto::context::RequestContext;

    use super::*;

    #[test]
    fn no_secret_is_shown_at_any_depth() {
        let args = json!({
            "bay": { "magnum_object.data": {
                "name": "b1", "keypair_id": "k1", "trustee_password": "S3CRET", "trust_id": null,
                "labels": { "a": "S3CRET" },
            } },
            "app": [{ "manifest": "{\"env\": {\"X\": \"S3CRET\"}}", "private_key": "S3CRET", "instances": 2 }],
        });
        let Value::Object(args) = args else { unreachable!("it is a map") };
        let context = RequestContext::default().with("auth_token", "S3CRET").with("user_id", "u1");
        let shown = request(&Request { context, ..Request::new("bay_create", args) });
        assert!(!shown.to_string().contains("S3CRET"), "{shown}");
        assert_eq!(shown["args"]["bay"]["magnum_object.data"]["trust_id"], Value::Null);
        assert_eq!(shown["args"]["bay"]["magnum_object.data"]["keypair_id"], "k1");
        assert_eq!(shown["args"]["app"][0]["instances"], 2);
        assert_eq!(shown["context"], json!({ "auth_token": "***", "user_id": "u1" }));
    }
}
