//! The request context: who asks, on whose behalf. Every key is kept, known or not, so that a context can be
//! passed on without loss; the keys that the conductor reads are checked once, when it arrives.

use std::fmt;

use serde_json::Value;

use crate::codec::{Keys, Map, is_name};

/// Keys whose value is text or null.
const TEXT_KEYS: &[&str] = &[
    "auth_token",
    "auth_url",
    "domain_id",
    "domain_name",
    "global_request_id",
    "password",
    "project_id",
    "project_name",
    "request_id",
    "tenant",
    "trust_id",
    "user",
    "user_domain_id",
    "user_domain_name",
    "user_id",
    "user_name",
];

/// Keys whose value is a boolean or null.
const BOOLEAN_KEYS: &[&str] = &["all_tenants", "is_admin", "read_only", "show_deleted"];

/// Keys that may be shown to others. A list of what is harmless, because new secrets come with new releases.
const HARMLESS_KEYS: &[&str] = &[
    "all_tenants",
    "domain",
    "domain_id",
    "domain_name",
    "global_request_id",
    "is_admin",
    "is_admin_project",
    "project",
    "project_domain",
    "project_domain_id",
    "project_domain_name",
    "project_id",
    "project_name",
    "read_only",
    "request_id",
    "resource_uuid",
    "roles",
    "show_deleted",
    "tenant",
    "user",
    "user_domain",
    "user_domain_id",
    "user_domain_name",
    "user_id",
    "user_identity",
    "user_name",
];

/// A key of the context has the wrong type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("context key {key:?} is not {expected}")]
pub struct ContextError {
    /// The key.
    pub key: &'static str,
    /// What it should have been.
    pub expected: &'static str,
}

/// The context of a request, as its client sent it.
///
/// `Debug` shows harmless keys only.
#[derive(Clone, Default, PartialEq)]
pub struct RequestContext {
    map: Map,
}

impl RequestContext {
    /// Checks the keys that the conductor reads and keeps all others as they are. Null is fine everywhere.
    ///
    /// # Errors
    /// Names the first key whose value has the wrong type.
    pub fn from_map(map: Map) -> Result<Self, ContextError> {
        let check = |key: &'static str, expected: &'static str, fits: fn(&Value) -> bool| match map.get(key) {
            Some(value) if !value.is_null() && !fits(value) => Err(ContextError { key, expected }),
            Some(_) | None => Ok(()),
        };
        for &key in TEXT_KEYS {
            check(key, "text", Value::is_string)?;
        }
        for &key in BOOLEAN_KEYS {
            check(key, "a boolean", Value::is_boolean)?;
        }
        check("auth_token_info", "a map", Value::is_object)?;
        check("roles", "a list of texts", |roles| {
            roles.as_array().is_some_and(|roles| roles.iter().all(Value::is_string))
        })?;
        Ok(Self { map })
    }

    /// The keys whose value is text.
    #[must_use]
    pub const fn text_keys() -> &'static [&'static str] {
        TEXT_KEYS
    }

    /// The keys whose value is a boolean.
    #[must_use]
    pub const fn boolean_keys() -> &'static [&'static str] {
        BOOLEAN_KEYS
    }

    /// The keys that may be shown to others, and so may be in a notification.
    #[must_use]
    pub const fn harmless_keys() -> &'static [&'static str] {
        HARMLESS_KEYS
    }

    /// Adds or replaces a key; for clients that make a context.
    ///
    /// A known key with a value of the wrong type reads as absent.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.map.insert(key.into(), value.into());
        self
    }

    /// Everything, secrets included, for encoding.
    #[must_use]
    pub fn to_map(&self) -> Map {
        self.map.clone()
    }

    /// Everything, secrets included, without a copy.
    #[must_use]
    pub const fn as_map(&self) -> &Map {
        &self.map
    }

    /// What may be shown to others, for notifications and logs.
    #[must_use]
    pub fn without_secrets(&self) -> Map {
        let harmless = |(key, _): &(&String, &Value)| HARMLESS_KEYS.contains(&key.as_str());
        self.map.iter().filter(harmless).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The value of any key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    fn flag(&self, key: &str) -> bool {
        self.map.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// An id, or its alias of other library versions. Older libraries put the *name* under the alias, so only
    /// what looks like an id counts, and only when the key of the id is absent.
    fn id(&self, key: &str, alias: &str) -> Option<&str> {
        if self.map.contains_key(key) { self.text(key) } else { self.text(alias).filter(|text| is_id(text)) }
    }

    /// The caller's token. Secret.
    #[must_use]
    pub fn auth_token(&self) -> Option<&str> {
        self.text("auth_token")
    }

    /// The password of a trustee, in contexts that act for a bay. Secret.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.text("password")
    }

    /// Where Keystone is, as the API process knows it.
    #[must_use]
    pub fn auth_url(&self) -> Option<&str> {
        self.text("auth_url")
    }

    /// The caller's project.
    #[must_use]
    pub fn project_id(&self) -> Option<&str> {
        self.id("project_id", "tenant")
    }

    /// The name of the caller's project.
    #[must_use]
    pub fn project_name(&self) -> Option<&str> {
        self.text("project_name")
    }

    /// The caller.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.id("user_id", "user")
    }

    /// The caller's name.
    #[must_use]
    pub fn user_name(&self) -> Option<&str> {
        self.text("user_name")
    }

    /// The domain, in the sense of the release that sent it.
    #[must_use]
    pub fn domain_id(&self) -> Option<&str> {
        self.text("domain_id")
    }

    /// The name of the domain.
    #[must_use]
    pub fn domain_name(&self) -> Option<&str> {
        self.text("domain_name")
    }

    /// The caller's domain (Newton and later).
    #[must_use]
    pub fn user_domain_id(&self) -> Option<&str> {
        self.text("user_domain_id")
    }

    /// The name of the caller's domain (Newton and later).
    #[must_use]
    pub fn user_domain_name(&self) -> Option<&str> {
        self.text("user_domain_name")
    }

    /// The trust that the caller acts through.
    #[must_use]
    pub fn trust_id(&self) -> Option<&str> {
        self.text("trust_id")
    }

    /// The id that ties the logs of all services together. What could not stand in a line of a log reads as absent.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.text("request_id").filter(|id| is_name(id))
    }

    /// The request id of the service that called the API.
    #[must_use]
    pub fn global_request_id(&self) -> Option<&str> {
        self.text("global_request_id")
    }

    /// The caller's role names.
    #[must_use]
    pub fn roles(&self) -> Vec<&str> {
        let roles = self.map.get("roles").and_then(Value::as_array);
        roles.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether the API judged the caller an administrator.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.flag("is_admin")
    }

    /// Whether an administrator asks for the objects of all projects.
    #[must_use]
    pub fn all_tenants(&self) -> bool {
        self.flag("all_tenants")
    }

    /// Whether the context may only read.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.flag("read_only")
    }

    /// Whether deleted objects count too.
    #[must_use]
    pub fn show_deleted(&self) -> bool {
        self.flag("show_deleted")
    }

    /// When the caller's token ends, as Keystone wrote it.
    #[must_use]
    pub fn token_expires_at(&self) -> Option<&str> {
        self.token()?.get("expires_at")?.as_str()
    }

    /// The service catalog that came with the caller's token.
    #[must_use]
    pub fn catalog(&self) -> Option<&Value> {
        self.token()?.get("catalog")
    }

    fn token(&self) -> Option<&Value> {
        self.map.get("auth_token_info")?.get("token")
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.without_secrets();
        let hidden = self.map.iter().filter(|(key, _)| !shown.contains_key(*key));
        let hidden: Map = hidden.map(|(key, _)| (key.clone(), Value::Null)).collect();
        f.debug_struct("RequestContext").field("shown", &shown).field("hidden", &Keys(&hidden)).finish()
    }
}

/// 32 hexadecimal digits, with or without the dashes of a uuid: what Keystone makes ids of.
fn is_id(text: &str) -> bool {
    let digits = text.bytes().filter(|&byte| byte != b'-');
    let dashes = text.len() - digits.clone().count();
    matches!(dashes, 0 | 4)
        && digits.clone().count() == 32
        && digits.clone().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context(value: Value) -> Result<RequestContext, ContextError> {
        RequestContext::from_map(value.as_object().unwrap().clone())
    }

    const ID: &str = "11111111111111111111111111111111";

    #[test]
    fn null_is_tolerated_in_every_known_key() {
        let keys = TEXT_KEYS.iter().chain(BOOLEAN_KEYS).chain(&["roles", "auth_token_info"]);
        let map: Map = keys.map(|key| ((*key).to_owned(), Value::Null)).collect();
        let context = RequestContext::from_map(map.clone()).unwrap();
        assert!(!context.is_admin() && context.roles().is_empty() && context.user_id().is_none());
        assert_eq!(context.to_map(), map);
    }

    #[test]
    fn a_wrong_type_names_its_key() {
        let check = |key: &'static str, value: Value| {
            assert_eq!(context(json!({ key: value })).unwrap_err().key, key);
        };
        check("project_id", json!(7));
        check("auth_token", json!(["secret"]));
        check("is_admin", json!("true"));
        check("roles", json!("admin"));
        check("roles", json!(["admin", 1]));
        check("auth_token_info", json!("secret"));
    }

    #[test]
    fn a_request_id_that_could_not_stand_in_a_line_reads_as_absent() {
        for (id, read) in [
            ("req-1", Some("req-1")),
            ("req-1\nERROR forged", None),
            (&*"r".repeat(256), None),
            ("", Some("")),
        ] {
            assert_eq!(context(json!({ "request_id": id })).unwrap().request_id(), read);
        }
    }

    #[test]
    fn ids_fall_back_to_aliases_that_look_like_ids_only_when_absent() {
        let check = |value: Value, project: Option<&str>| {
            assert_eq!(context(value.clone()).unwrap().project_id(), project, "{value}");
        };
        check(json!({ "tenant": ID }), Some(ID));
        check(json!({ "tenant": "demo" }), None);
        check(json!({ "tenant": ID, "project_id": null }), None);
        check(json!({ "tenant": ID, "project_id": "p" }), Some("p"));
        let dashed = "6182a4b0-32ec-4df8-8138-eacf02f38708";
        assert_eq!(context(json!({ "user": dashed })).unwrap().user_id(), Some(dashed));
    }

    #[test]
    fn secrets_stay_out_of_debug_and_of_notifications() {
        let context = context(json!({
            "auth_token": "S3CRET", "password": "S3CRET", "trust_id": "S3CRET", "new_key": "S3CRET",
            "auth_token_info": { "token": { "x": "S3CRET" } }, "trace_info": { "hmac_key": "S3CRET" },
            "user_id": "u", "roles": ["member"],
        }))
        .unwrap();
        let shown = format!("{context:?}");
        assert!(!shown.contains("S3CRET"), "{shown}");
        assert!(shown.contains("auth_token") && shown.contains("member"));
        assert_eq!(Value::Object(context.without_secrets()), json!({ "user_id": "u", "roles": ["member"] }));
    }

    #[test]
    fn token_details_are_read_from_the_token_body() {
        let context =
            context(json!({ "auth_token_info": { "token": { "expires_at": "2099", "catalog": [1] } } }));
        let context = context.unwrap();
        assert_eq!(context.token_expires_at(), Some("2099"));
        assert_eq!(context.catalog(), Some(&json!([1])));
        assert_eq!(RequestContext::default().with("auth_token_info", json!([])).catalog(), None);
    }
}
