//! How notifications are read and written.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn example(context: Map) -> Notification {
    Notification {
        message_id: "0bdb6e5e-cb37-45c0-9a69-943ddd50c66f".to_owned(),
        publisher_id: "container-infra.host".to_owned(),
        event_type: "magnum.cluster.create".to_owned(),
        priority: Priority::Info,
        payload: json!({ "outcome": "pending" }),
        timestamp: "2026-11-22 15:04:16.160189".to_owned(),
        unique_id: "cbfd4dfa8cbb4324bc4ffe6df38c8cdd".to_owned(),
        context,
    }
}

#[test]
fn both_drivers_are_read_back() {
    let notification = example(json!({ "user_id": "u" }).as_object().unwrap().clone());
    for driver in [Driver::Messagingv2, Driver::Messaging] {
        let decoded = Notification::decode(Some("application/json"), &notification.encode(driver));
        assert_eq!(decoded, Ok(notification.clone()), "{driver:?}");
    }
}

#[test]
fn the_bare_driver_writes_no_envelope() {
    let body: Value = serde_json::from_slice(&example(Map::new()).encode(Driver::Messaging)).unwrap();
    assert_eq!(body["priority"], "INFO");
    assert_eq!(body.get("oslo.version"), None);
    assert_eq!(body.get("_msg_id"), None);
    let body: Value = serde_json::from_slice(&example(Map::new()).encode(Driver::Messagingv2)).unwrap();
    assert_eq!(body["oslo.version"], "2.0");
}

#[test]
fn priorities_are_read_in_either_case() {
    for priority in Priority::ALL {
        assert_eq!(Priority::parse(priority.lower()), Some(priority));
        assert_eq!(Priority::parse(priority.upper()), Some(priority));
        assert_eq!(priority.lower().to_uppercase(), priority.upper());
    }
    assert_eq!(Priority::parse("loud"), None);
}

#[test]
fn a_publisher_may_leave_out_what_only_listeners_use() {
    let body = json!({ "event_type": "orchestration.stack.create.end", "priority": "info" });
    let notification = Notification::decode(None, body.to_string().as_bytes()).unwrap();
    assert_eq!((notification.unique_id.as_str(), &notification.payload), ("", &Value::Null));
    let body: Value = serde_json::from_slice(&notification.encode(Driver::Messaging)).unwrap();
    assert_eq!(body.get("_unique_id"), None, "an empty id would make every such message a duplicate");
}

#[test]
fn what_is_no_notification_is_an_error() {
    for body in [
        json!({ "priority": "INFO" }),
        json!({ "event_type": "e" }),
        json!({ "event_type": "e", "priority": "LOUD" }),
        json!({ "event_type": "e", "priority": 1 }),
        json!({ "event_type": ["e"], "priority": "INFO" }),
    ] {
        assert!(Notification::decode(None, body.to_string().as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn debug_shows_no_values() {
    let mut notification = example(json!({ "auth_token": "S3CRET" }).as_object().unwrap().clone());
    notification.payload = json!({ "password": "S3CRET" });
    let shown = format!("{notification:?}");
    assert!(shown.contains("magnum.cluster.create") && !shown.contains("S3CRET"), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..512)) {
        for content_type in ["application/json", "application/x-msgpack"] {
            drop(Notification::decode(Some(content_type), &body));
        }
    }
}
