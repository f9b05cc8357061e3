//! What the codec must bear.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::MessagePack];

fn map(value: Value) -> Map {
    value.as_object().unwrap().clone()
}

fn pack(value: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

/// A `MessagePack` map of one entry whose value is given as raw bytes.
fn packed_entry(key: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x81];
    bytes.extend(pack(&key.into()));
    bytes.extend(value);
    bytes
}

/// Lists inside of each other, innermost empty.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!([]), |inner, _| json!([inner]))
}

#[test]
fn content_types_choose_the_encoding() {
    let check = |text: Option<&str>, expected: Option<Encoding>| {
        assert_eq!(Encoding::from_content_type(text).ok(), expected, "{text:?}");
    };
    check(None, Some(Encoding::Json));
    check(Some("application/json"), Some(Encoding::Json));
    check(Some("Application/JSON; charset=utf-8"), Some(Encoding::Json));
    check(Some("application/x-msgpack"), Some(Encoding::MessagePack));
    for other in ["", "text/plain", "application/x-python-serialize", "application/jsonx"] {
        check(Some(other), None);
    }
    let long = "x".repeat(10_000);
    assert!(Encoding::from_content_type(Some(&long)).unwrap_err().to_string().len() < 200);
}

#[test]
fn json_is_sealed_as_python_does() {
    let body = seal(Encoding::Json, &map(json!({ "a": "é" })));
    let outer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(outer, json!({ "oslo.version": "2.0", "oslo.message": "{\"a\":\"é\"}" }));
}

#[test]
fn messagepack_nests_the_message_itself() {
    let body = seal(Encoding::MessagePack, &map(json!({ "a": 1 })));
    let outer: Value = rmp_serde::from_slice(&body).unwrap();
    assert_eq!(outer, json!({ "oslo.version": "2.0", "oslo.message": { "a": 1 } }));
}

#[test]
fn messagepack_envelopes_open_in_every_form() {
    let message = json!({ "a": [1, -1, 1.5, true, null, "é"] });
    let bytes = pack(&message);
    let mut bin = vec![0x82];
    bin.extend(pack(&json!("oslo.version")));
    bin.extend(pack(&json!("2.0")));
    bin.extend(pack(&json!("oslo.message")));
    bin.extend([0xc4, u8::try_from(bytes.len()).unwrap()]);
    bin.extend(&bytes);
    for body in [
        pack(&json!({ "oslo.version": "2.0", "oslo.message": message })),
        pack(&json!({ "oslo.version": "2.0", "oslo.message": message.to_string() })),
        bin,
        bytes,
    ] {
        assert_eq!(open(Encoding::MessagePack, &body).map(Value::Object), Ok(message.clone()));
    }
}

#[test]
fn a_body_without_both_envelope_keys_is_the_message() {
    for message in
        [json!({ "method": "m" }), json!({ "oslo.version": "9.9" }), json!({ "oslo.message": "x" })]
    {
        assert_eq!(open(Encoding::Json, message.to_string().as_bytes()), Ok(map(message.clone())));
        assert_eq!(open(Encoding::MessagePack, &pack(&message)), Ok(map(message)));
    }
}

#[test]
fn only_envelopes_that_2_0_can_serve_are_opened() {
    let check = |version: Value, expected: Result<Map, DecodeError>| {
        let body = json!({ "oslo.version": version, "oslo.message": "{}" }).to_string();
        assert_eq!(open(Encoding::Json, body.as_bytes()), expected, "{body}");
    };
    check(json!("2.0"), Ok(Map::new()));
    check(json!("2"), Ok(Map::new()));
    for other in [json!("2.1"), json!("1.0"), json!("3.0"), json!("x"), json!(2.0), json!(null)] {
        check(other, Err(DecodeError::EnvelopeVersion));
    }
}

#[test]
fn what_is_not_a_map_is_refused() {
    for value in [json!(null), json!(1), json!("text"), json!([])] {
        assert!(open(Encoding::Json, value.to_string().as_bytes()).is_err());
        assert!(open(Encoding::MessagePack, &pack(&value)).is_err());
        let wrapped = json!({ "oslo.version": "2.0", "oslo.message": value });
        assert!(open(Encoding::Json, wrapped.to_string().as_bytes()).is_err());
        assert!(open(Encoding::MessagePack, &pack(&wrapped)).is_err());
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for text in [r#"{"a":NaN}"#, r#"{"a":Infinity}"#, r#"{"a":-Infinity}"#, r#"{"a":1e999}"#] {
        assert!(open(Encoding::Json, text.as_bytes()).is_err(), "{text}");
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let body = packed_entry("a", &rmp_serde::to_vec(&number).unwrap());
        assert!(open(Encoding::MessagePack, &body).is_err(), "{number}");
    }
}

#[test]
fn deep_nesting_is_refused_and_reasonable_nesting_is_not() {
    for encoding in BOTH {
        let message = map(json!({ "args": nested(100) }));
        assert_eq!(open(encoding, &seal(encoding, &message)), Ok(message));
        let body = seal(encoding, &map(json!({ "args": nested(200) })));
        assert!(open(encoding, &body).is_err(), "{encoding:?}");
    }
    assert!(open(Encoding::Json, "[".repeat(1_000_000).as_bytes()).is_err());
    assert!(open(Encoding::MessagePack, &[0x91; 1_000_000]).is_err());
}

#[test]
fn lengths_that_lie_are_refused() {
    let map_of_four_billion: &[u8] = &[0xdf, 0xff, 0xff, 0xff, 0xff];
    let list_of_four_billion: &[u8] = &[0xdd, 0xff, 0xff, 0xff, 0xff];
    let text_of_four_billion: &[u8] = &[0xdb, 0xff, 0xff, 0xff, 0xff, b'x'];
    let bytes_of_four_billion: &[u8] = &[0xc6, 0xff, 0xff, 0xff, 0xff, b'x'];
    assert!(open(Encoding::MessagePack, map_of_four_billion).is_err());
    for value in [list_of_four_billion, text_of_four_billion, bytes_of_four_billion] {
        assert!(open(Encoding::MessagePack, &packed_entry("a", value)).is_err());
    }
}

#[test]
fn what_json_cannot_hold_is_refused() {
    let extension: &[u8] = &[0xd4, 0x01, 0x00];
    let bytes: &[u8] = &[0xc4, 0x01, 0x00];
    let not_utf8: &[u8] = &[0xa1, 0xff];
    let number_as_key: &[u8] = &[0x81, 0x01, 0x01];
    for value in [extension, bytes, not_utf8, number_as_key] {
        assert!(open(Encoding::MessagePack, &packed_entry("a", value)).is_err(), "{value:?}");
    }
    assert!(open(Encoding::Json, br#"{"a":"\ud800"}"#).is_err(), "a lone surrogate");
}

#[test]
fn more_values_than_a_budget_has_are_refused() {
    let message = json!({ "a": [{}, null] });
    // JSON's outermost map counts too.
    for (encoding, body, needs) in
        [(Encoding::Json, message.to_string().into_bytes(), 4), (Encoding::MessagePack, pack(&message), 3)]
    {
        assert_eq!(open_within(&Budget::of(needs), encoding, &body), Ok(map(message.clone())));
        let limit = needs - 1;
        assert_eq!(
            open_within(&Budget::of(limit), encoding, &body),
            Err(DecodeError::TooManyValues { limit })
        );
    }
}

#[test]
fn the_message_in_an_envelope_draws_on_the_budget_of_its_body() {
    let message = map(json!({ "a": [1, 2, 3] }));
    for encoding in BOTH {
        let body = seal(encoding, &message);
        let least = (0..20).find(|limit| open_within(&Budget::of(*limit), encoding, &body).is_ok());
        // JSON: the body, its two values, the message, the list and three numbers.
        assert_eq!(least, Some(if encoding == Encoding::Json { 8 } else { 6 }), "{encoding:?}");
    }
}

#[test]
fn a_request_of_tiny_values_is_refused_while_it_is_small_in_memory() {
    for item in ["0,", "[],", "{},", r#"{"":0},"#] {
        let body = format!(r#"{{"method":"m","args":{{"a":[{}0]}}}}"#, item.repeat(200_000));
        let refused = crate::message::Request::decode(None, body.as_bytes()).unwrap_err();
        assert!(matches!(refused.error, DecodeError::TooManyValues { .. }), "{item} {refused}");
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut body = seal(Encoding::Json, &Map::new());
    body.extend(b"{}");
    assert!(open(Encoding::Json, &body).is_err());
    let mut body = seal(Encoding::MessagePack, &Map::new());
    body.push(0xc0);
    assert!(open(Encoding::MessagePack, &body).is_err());
}

#[test]
fn of_a_key_that_comes_twice_the_last_value_holds() {
    assert_eq!(open(Encoding::Json, br#"{"a":1,"a":2}"#), Ok(map(json!({ "a": 2 }))));
    let twice = [&[0x82][..], &pack(&json!("a")), &[1], &pack(&json!("a")), &[2]].concat();
    assert_eq!(open(Encoding::MessagePack, &twice), Ok(map(json!({ "a": 2 }))));
}

#[test]
fn errors_do_not_repeat_the_body() {
    let packed_text = pack(&json!("S3CRET"));
    let bodies: [(Encoding, &[u8]); 5] = [
        (Encoding::Json, br#""S3CRET""#),
        (Encoding::Json, br#"{"S3CRET": S3CRET}"#),
        (Encoding::Json, br#"{"oslo.version":"2.0","oslo.message":"S3CRET"}"#),
        (Encoding::MessagePack, &packed_text),
        (Encoding::MessagePack, b"\x81\xa6S3CRET\xd4S3CRET"),
    ];
    for (encoding, body) in bodies {
        let error = open(encoding, body).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("S3CRET"), "{error}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Quarters: serde_json reads longer fractions to within the last bit only.
        any::<i32>().prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_sealed_opens_again(
        entries in proptest::collection::btree_map(any::<String>(), any_value(), 0..6),
    ) {
        let message: Map = entries.into_iter().collect();
        for encoding in BOTH {
            prop_assert_eq!(open(encoding, &seal(encoding, &message)), Ok(message.clone()));
        }
    }

    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..512)) {
        for encoding in BOTH {
            drop(open(encoding, &body));
        }
    }

    #[test]
    fn no_damage_to_a_body_panics(
        entries in proptest::collection::btree_map(any::<String>(), any_value(), 0..6),
        damage in any::<u8>(),
        place in any::<proptest::sample::Index>(),
    ) {
        let message: Map = entries.into_iter().collect();
        for encoding in BOTH {
            let mut body = seal(encoding, &message);
            let place = place.index(body.len());
            body[place] ^= damage;
            drop(open(encoding, &body));
            drop(open(encoding, &body[..place]));
        }
    }
}
