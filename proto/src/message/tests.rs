//! How requests are read and written, and how calls are answered.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::failure::Failure;

fn decode(value: &Value) -> Result<Request, Malformed> {
    Request::decode(Some("application/json"), value.to_string().as_bytes())
}

fn call(timeout: Option<Value>) -> Request {
    let mut message =
        json!({ "method": "m", "args": {}, "_msg_id": "call", "_reply_q": "queue", "_unique_id": "u" });
    if let Some(timeout) = timeout {
        message["_timeout"] = timeout;
    }
    decode(&message).unwrap()
}

fn opened(bodies: &[Vec<u8>]) -> Vec<Value> {
    bodies.iter().map(|body| Value::Object(codec::open(Encoding::Json, body).unwrap())).collect()
}

fn ids() -> [String; 2] {
    ["first".to_owned(), "second".to_owned()]
}

#[test]
fn what_a_request_leaves_out_has_its_default() {
    let request = decode(&json!({ "method": "m" })).unwrap();
    assert_eq!(request, Request { monitor: CallMonitor::Unsupported, ..Request::new("m", Map::new()) });
    assert_eq!(request.reply_address(), None);
    assert_eq!(request.dedupe_key(), None);
}

#[test]
fn a_wrong_type_is_an_error() {
    for message in [
        json!({ "args": {} }),
        json!({ "method": 1 }),
        json!({ "method": "m", "args": [] }),
        json!({ "method": "m", "version": "x" }),
        json!({ "method": "m", "version": 1.0 }),
        json!({ "method": "m", "namespace": {} }),
        json!({ "method": "m", "_msg_id": 1 }),
        json!({ "method": "m", "_context_roles": "admin" }),
    ] {
        assert!(decode(&message).is_err(), "{message}");
    }
    assert!(Request::decode(Some("text/plain"), b"{}").is_err());
}

#[test]
fn whoever_can_be_found_is_told_what_is_wrong() {
    let call = json!({ "_msg_id": "call", "_reply_q": "queue", "_timeout": null });
    for (key, value) in [
        ("args", json!([])),
        ("version", json!("1.99999999999999999999")),
        ("namespace", json!({})),
        ("method", json!(7)),
        ("_unique_id", json!([])),
        ("_context_roles", json!("admin")),
    ] {
        let mut message = call.clone();
        message["method"] = json!("m");
        message[key] = value;
        let malformed = decode(&message).unwrap_err();
        let address = malformed.reply_to.unwrap_or_else(|| panic!("{key}: nobody is told"));
        assert_eq!((&*address.queue, &*address.msg_id, address.form), ("queue", "call", ReplyForm::Single));
    }
    for nobody in [json!({ "_msg_id": 1 }), json!({ "_msg_id": "call", "_reply_q": {} }), json!({})] {
        assert_eq!(decode(&nobody).unwrap_err().reply_to, None, "{nobody}");
    }
}

#[test]
fn a_name_is_no_longer_than_a_queues_and_has_no_control_characters() {
    let with = |key: &str, name: &str| {
        let mut message = json!({ "method": "m", "_msg_id": "call" });
        message[key] = json!(name);
        decode(&message)
    };
    for key in ["method", "namespace", "_msg_id", "_reply_q", "_unique_id"] {
        assert!(with(key, &"n".repeat(255)).is_ok(), "{key}");
        assert!(with(key, "é\u{202e} ").is_ok(), "{key}");
        for bad in [&*"n".repeat(256), &"n".repeat(10_000), "a\nb", "\u{1b}[2J", "\0", "\u{85}"] {
            let error = with(key, bad).unwrap_err().to_string();
            assert!(error.contains(key) && error.len() < 100, "{key}: {error}");
        }
    }
}

#[test]
fn the_dedupe_key_is_the_message_and_else_the_call() {
    let both = json!({ "method": "m", "_msg_id": "call", "_unique_id": "message" });
    assert_eq!(decode(&both).unwrap().dedupe_key(), Some("message"));
    assert_eq!(decode(&json!({ "method": "m", "_msg_id": "call" })).unwrap().dedupe_key(), Some("call"));
}

#[test]
fn the_monitor_timeout_gives_half_of_it_from_two_seconds_on() {
    let check = |timeout: Option<Value>, expected: CallMonitor| {
        assert_eq!(call(timeout.clone()).monitor, expected, "{timeout:?}");
    };
    let every = |millis| CallMonitor::Every(Duration::from_millis(millis));
    check(None, CallMonitor::Unsupported);
    check(Some(json!(4)), every(2000));
    check(Some(json!(3)), every(1500));
    check(Some(json!(5.9)), every(2500));
    check(Some(json!("10")), every(5000));
    for off in
        [json!(null), json!(1), json!(0), json!(-9), json!(-1e300), json!("x"), json!([4]), json!(true)]
    {
        check(Some(off), CallMonitor::Off);
    }
    for huge in [json!(u64::MAX), json!(1e18), json!(u64::MAX.to_string())] {
        check(Some(huge), every(15 * 24 * 3600 * 1000));
    }
    check(Some(json!(1e300)), CallMonitor::Off);
}

#[test]
fn clients_that_know_monitoring_get_one_reply_and_others_two() {
    let modern = call(Some(json!(null))).reply_address().unwrap();
    let reply = json!({ "result": 7, "failure": null, "_msg_id": "call", "_unique_id": "first" });
    let end = |result: Value, id: &str| {
        let mut end = reply.clone();
        end["result"] = result;
        end["ending"] = true.into();
        end["_unique_id"] = id.into();
        end
    };
    assert_eq!(modern.queue, "queue");
    assert_eq!(opened(&modern.bodies(&Ok(json!(7)), ids())), [end(json!(7), "first")]);

    let old = call(None).reply_address().unwrap();
    assert_eq!(opened(&old.bodies(&Ok(json!(7)), ids())), [reply.clone(), end(json!(null), "second")]);
}

#[test]
fn a_failure_travels_as_text_beside_a_null_result() {
    let failure = Failure::magnum("BayNotFound", 404, "no bay");
    for timeout in [None, Some(json!(null))] {
        let bodies = call(timeout).reply_address().unwrap().bodies(&Err(failure.clone()), ids());
        let first = &opened(&bodies)[0];
        assert_eq!(first["result"], Value::Null);
        assert_eq!(Failure::from_text(first["failure"].as_str().unwrap()), Ok(failure.clone()));
    }
}

#[test]
fn a_heartbeat_says_that_the_call_goes_on() {
    let address = call(Some(json!(4))).reply_address().unwrap();
    assert_eq!(address.heartbeat, Some(Duration::from_secs(2)));
    let expected =
        json!({ "result": null, "failure": null, "ending": false, "_msg_id": "call", "_unique_id": "h" });
    assert_eq!(opened(&[address.heartbeat_body("h".to_owned())]), [expected]);
}

#[test]
fn a_call_without_a_queue_is_answered_on_the_queue_of_its_id() {
    let address = decode(&json!({ "method": "m", "_msg_id": "call" })).unwrap().reply_address().unwrap();
    assert_eq!(address.queue, "call");
}

#[test]
fn an_address_survives_storage() {
    for timeout in [None, Some(json!(null)), Some(json!(7))] {
        let address = call(timeout).reply_address().unwrap();
        let text = serde_json::to_string(&address).unwrap();
        assert_eq!(serde_json::from_str::<ReplyAddress>(&text).unwrap(), address);
        let bytes = rmp_serde::to_vec(&address).unwrap();
        assert_eq!(rmp_serde::from_slice::<ReplyAddress>(&bytes).unwrap(), address);
    }
}

#[test]
fn a_client_assembles_either_form_into_the_outcome() {
    let outcomes = [Ok(json!({ "a": 1 })), Ok(Value::Null), Ok(json!(false)), Err(Failure::type_error("x"))];
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        for form in [ReplyForm::Single, ReplyForm::Double] {
            for outcome in &outcomes {
                let address =
                    ReplyAddress { form, encoding, ..call(Some(json!(4))).reply_address().unwrap() };
                let mut bodies = address.bodies(outcome, ids());
                bodies.insert(0, address.heartbeat_body("h".to_owned()));
                let mut assembly = Assembly::default();
                let mut ended = bodies.iter().map(|body| {
                    let reply = Reply::decode(Some(encoding.content_type()), body).unwrap();
                    assert_eq!(reply.msg_id, "call");
                    assembly.accept(reply.content)
                });
                let waiting = ended.by_ref().take(bodies.len() - 1).all(|outcome| outcome.is_none());
                assert!(waiting, "ended early: {form:?} {outcome:?}");
                assert_eq!(ended.next(), Some(Some(outcome.clone())), "{form:?}");
            }
        }
    }
}

#[test]
fn a_reply_of_the_wrong_types_is_an_error() {
    for message in [
        json!({ "result": 1, "failure": null }),
        json!({ "_msg_id": "c", "failure": 1 }),
        json!({ "_msg_id": "c", "failure": "not json" }),
        json!({ "_msg_id": "c", "ending": "yes" }),
    ] {
        assert!(Reply::decode(None, message.to_string().as_bytes()).is_err(), "{message}");
    }
}

#[test]
fn debug_shows_no_values() {
    let args = json!({ "bay": { "trustee_password": "S3CRET" } });
    let message = json!({ "method": "m", "args": args, "_context_auth_token": "S3CRET" });
    let shown = format!("{:?}", decode(&message).unwrap());
    assert!(shown.contains("bay") && !shown.contains("S3CRET"), "{shown}");
    let content = ReplyContent::Result { value: json!({ "trustee_password": "S3CRET" }), ending: true };
    assert!(!format!("{content:?}").contains("S3CRET"));
}

#[test]
fn a_context_entry_cannot_replace_a_key_of_the_request() {
    let mut request = call(None);
    request.context = request.context.with("x", 1);
    let message = codec::open(Encoding::Json, &request.encode()).unwrap();
    assert_eq!((&message["_context_x"], &message["_msg_id"]), (&json!(1), &json!("call")));
}

fn any_monitor() -> impl Strategy<Value = CallMonitor> {
    prop_oneof![
        Just(CallMonitor::Unsupported),
        Just(CallMonitor::Off),
        (2u64..100_000).prop_map(|seconds| CallMonitor::Every(Duration::from_secs(seconds) / 2)),
    ]
}

prop_compose! {
    fn any_request()(
        method in any::<String>(),
        [namespace, reply_q, unique_id] in any::<[Option<String>; 3]>(),
        (major, minor, msg_id, monitor) in (any::<u32>(), any::<u32>(), "[ -~]{1,8}", any_monitor()),
        args in proptest::collection::btree_map(any::<String>(), any::<Option<String>>(), 0..4),
        context in proptest::collection::btree_map("x_[a-z]{0,8}", any::<i64>(), 0..4),
        packed in any::<bool>(),
    ) -> Request {
        let context = context.into_iter().map(|(key, value)| (key, value.into())).collect();
        Request {
            namespace, reply_q, unique_id, monitor,
            version: Version::new(major, minor),
            msg_id: Some(msg_id),
            context: RequestContext::from_map(context).unwrap(),
            encoding: if packed { Encoding::MessagePack } else { Encoding::Json },
            ..Request::new(method, args.into_iter().map(|(key, value)| (key, value.into())).collect())
        }
    }
}

proptest! {
    #[test]
    fn a_request_round_trips(request in any_request()) {
        let decoded = Request::decode(Some(request.encoding.content_type()), &request.encode());
        prop_assert_eq!(decoded, Ok(request));
    }

    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..512)) {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            drop(Request::decode(Some(encoding.content_type()), &body));
            drop(Reply::decode(Some(encoding.content_type()), &body));
        }
    }

    /// Random bytes rarely get past the parser; maps with the right keys and any values do.
    #[test]
    fn no_values_panic(
        values in proptest::collection::btree_map(
            proptest::sample::select(vec![
                "method", "args", "version", "namespace", "_msg_id", "_reply_q", "_timeout", "_unique_id",
                "_context_roles", "_context_is_admin", "result", "failure", "ending",
            ]),
            prop_oneof![
                any::<String>().prop_map(Value::from),
                any::<f64>().prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                any::<bool>().prop_map(Value::from),
                Just(json!({})), Just(json!([null])), Just(json!("{\"class\":\"A\"}")),
            ],
            0..13,
        )
    ) {
        let body = Value::Object(values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
        let body = body.to_string();
        if let Ok(request) = Request::decode(None, body.as_bytes()) {
            drop((request.encode(), request.reply_address()));
        }
        drop(Reply::decode(None, body.as_bytes()));
    }
}
