//! Messages that nobody should send: a dozen kinds, and recorded messages that were damaged. The same seed gives the
//! same messages.

use std::path::Path;

use mesos_conductor_proto::codec::Encoding;
use mesos_conductor_proto::message::Request;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const PACKED: &str = "application/x-msgpack";

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Undecodable,
    TooLarge,
    /// It is a request, which is refused.
    Refused,
}

/// A message, and what becomes of it.
pub(crate) struct Hostile {
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) verdict: Verdict,
    /// Its sender is told.
    pub(crate) answered: bool,
}

impl Hostile {
    fn undecodable(content_type: &'static str, body: Vec<u8>) -> Self {
        Self { content_type, body, verdict: Verdict::Undecodable, answered: false }
    }
}

pub(crate) struct Generator {
    random: StdRng,
    recorded: Vec<Vec<u8>>,
    /// The largest body that the worker reads.
    max_size: usize,
    /// A queue that exists.
    reply_q: String,
}

type Kind = fn(&mut Generator) -> Hostile;

/// Out of a thousand.
const KINDS: &[(u32, Kind)] = &[
    (100, garbage),
    (150, truncated),
    (200, damaged),
    (60, deep_json),
    (60, deep_packed),
    (60, lying_lengths),
    (150, wrong_types),
    (60, no_values),
    (50, wrong_envelopes),
    (30, foreign_content_types),
    (30, impossible_names),
    (1, too_many_values),
    (2, oversized),
    (45, refused_calls),
    (2, refused_commands),
];

impl Generator {
    pub(crate) fn new(seed: u64, max_size: usize, reply_q: String) -> Self {
        assert_eq!(KINDS.iter().map(|(share, _)| share).sum::<u32>(), 1000);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tests/recorded");
        let files = std::fs::read_dir(folder).expect("the recordings are there");
        let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        paths.sort();
        let recorded = paths.iter().map(|path| std::fs::read(path).expect("a recording")).collect();
        Self { random: StdRng::seed_from_u64(seed), recorded, max_size, reply_q }
    }

    pub(crate) fn next(&mut self) -> Hostile {
        let mut drawn: u32 = self.random.random_range(0..1000);
        for (share, kind) in KINDS {
            match drawn.checked_sub(*share) {
                Some(rest) => drawn = rest,
                None => return kind(self),
            }
        }
        unreachable!("the shares are a thousand");
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit)
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.random.random_range(1..=longest)];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    fn recording(&mut self) -> Vec<u8> {
        self.recorded.choose(&mut self.random).expect("there are recordings").clone()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from.choose(&mut self.random).expect("there is a choice").clone()
    }

    /// Now and then somebody waits for the answer.
    fn caller(&mut self, message: &mut Value) -> bool {
        let waits = self.random.random_ratio(1, 50);
        if waits {
            message["_msg_id"] = json!("hostile");
            message["_reply_q"] = json!(self.reply_q);
            message["_timeout"] = Value::Null;
        }
        waits
    }
}

fn envelope(message: &Value) -> Vec<u8> {
    json!({ "oslo.version": "2.0", "oslo.message": message.to_string() }).to_string().into_bytes()
}

fn pack(value: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("it can be packed")
}

fn is_request(content_type: &str, body: &[u8]) -> bool {
    Request::decode(Some(content_type), body).is_ok()
}

fn garbage(from: &mut Generator) -> Hostile {
    let content_type = from.pick(&[JSON, PACKED]);
    loop {
        let body = from.bytes(600);
        if !is_request(content_type, &body) {
            return Hostile::undecodable(content_type, body);
        }
    }
}

fn truncated(from: &mut Generator) -> Hostile {
    let mut body = from.recording();
    body.truncate(from.below(body.trim_ascii_end().len()));
    Hostile::undecodable(JSON, body)
}

/// Bytes of a recording are changed, lost or made up, until it is no request any more.
fn damaged(from: &mut Generator) -> Hostile {
    let mut body = from.recording();
    // Those who sent the recording do not wait any more.
    loop {
        for _ in 0..=from.below(4) {
            let at = from.below(body.len());
            match from.below(3) {
                0 => body[at] ^= 1 << from.below(8),
                1 => drop(body.remove(at)),
                _ => body.insert(at, b"\\\"{}[],:\x00\xff"[from.below(10)]),
            }
        }
        if !is_request(JSON, &body) {
            return Hostile::undecodable(JSON, body);
        }
    }
}

fn deep_json(from: &mut Generator) -> Hostile {
    let depth = from.random.random_range(200..5_000);
    let (open, close) = from.pick(&[("[", "]"), (r#"{"a":"#, "}"), (r#"[{"":"#, "}]")]);
    let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let message = format!(r#"{{"method":"ping_conductor","args":{{"a":{nested}}}}}"#);
    let body = match from.below(3) {
        0 => message,
        1 => open.repeat(depth),
        _ => json!({ "oslo.version": "2.0", "oslo.message": message }).to_string(),
    };
    Hostile::undecodable(JSON, body.into_bytes())
}

fn deep_packed(from: &mut Generator) -> Hostile {
    let depth = from.random.random_range(200..5_000);
    let level =
        from.pick(&[&b"\x91"[..], b"\x81\xa1a", b"\xdd\x00\x00\x00\x01", b"\xdf\x00\x00\x00\x01\xa0"]);
    let mut body = b"\x82\xa6method\xa1m\xa4args\x81\xa1a".to_vec();
    body.extend(level.repeat(depth));
    body.push(0xc0);
    Hostile::undecodable(PACKED, body)
}

/// Lengths of four billion, extension types, and bytes where no bytes may be.
fn lying_lengths(from: &mut Generator) -> Hostile {
    let lies: [&[u8]; 8] = [
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff\x01\x01",
        b"\xdb\xff\xff\xff\xffx",
        b"\xc6\xff\xff\xff\xffx",
        b"\xc9\xff\xff\xff\xff\x05x",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xc4\x03abc",
        b"\x81\x01\x01",
    ];
    let lie = from.pick(&lies);
    let body = [b"\x82\xa6method\xa1m\xa4args\x81\xa1a", lie].concat();
    Hostile::undecodable(PACKED, body)
}

/// A request, but for the type of one value.
fn wrong_types(from: &mut Generator) -> Hostile {
    let mut message =
        json!({ "method": "ping_conductor", "args": {}, "version": "1.0", "_unique_id": "hostile" });
    let answered = from.caller(&mut message);
    let wrong: [(&str, &[Value]); 12] = [
        ("method", &[json!(7), json!(null), json!([]), json!({}), json!("")]),
        ("args", &[json!([]), json!("{}"), json!(1e300), json!(true)]),
        ("namespace", &[json!(1), json!([]), json!({})]),
        (
            "version",
            &[json!("1.99999999999999999999"), json!(1.0), json!("-1.0"), json!("1.0.0.0"), json!({})],
        ),
        ("_unique_id", &[json!(1), json!([null]), json!("u".repeat(10_000)), json!("a\nb")]),
        ("_context_roles", &[json!("admin"), json!([1]), json!({ "admin": true })]),
        ("_context_is_admin", &[json!("True"), json!(1)]),
        ("_context_project_id", &[json!(7), json!(["p"])]),
        ("_context_auth_token", &[json!({}), json!(1)]),
        ("_context_auth_token_info", &[json!("token"), json!([])]),
        ("_context_user_id", &[json!(false), json!([])]),
        ("_context_request_id", &[json!(17), json!({})]),
    ];
    let (key, values) = from.pick(&wrong);
    message[key] = from.pick(values);
    // An empty name is a name: nobody has such a method.
    let verdict = if message["method"] == "" { Verdict::Refused } else { Verdict::Undecodable };
    let (content_type, body) =
        if from.below(4) == 0 && !answered { (PACKED, pack(&message)) } else { (JSON, envelope(&message)) };
    Hostile { content_type, body, verdict, answered }
}

/// What Python writes and JSON does not have, and text that is none.
fn no_values(from: &mut Generator) -> Hostile {
    let values: [&[u8]; 9] = [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"\"\\ud800\"",
        b"\"\xff\xfe\"",
        b"01",
        b"'a'",
        b"\"\n\"",
    ];
    let body = [&br#"{"method":"ping_conductor","args":{"a":"#[..], from.pick(&values), b"}}"].concat();
    Hostile::undecodable(JSON, body)
}

fn wrong_envelopes(from: &mut Generator) -> Hostile {
    let version =
        from.pick(&[json!("2.1"), json!("3.0"), json!("1.0"), json!(2.0), json!(null), json!("2.0.0.0")]);
    let message = from.pick(&[json!("[]"), json!("null"), json!("\"\""), json!(7), json!([]), json!("")]);
    let good = json!({ "method": "ping_conductor", "args": {} }).to_string();
    let body = match from.below(3) {
        0 => json!({ "oslo.version": version, "oslo.message": good }),
        1 => json!({ "oslo.version": "2.0", "oslo.message": message }),
        _ => from.pick(&[
            json!([]),
            json!("x"),
            json!(null),
            json!(1),
            json!({}),
            json!({ "oslo.version": "2.0" }),
        ]),
    };
    let (content_type, body) =
        if from.below(2) == 0 { (PACKED, pack(&body)) } else { (JSON, body.to_string().into_bytes()) };
    Hostile::undecodable(content_type, body)
}

fn foreign_content_types(from: &mut Generator) -> Hostile {
    let types =
        ["", "text/plain", "application/x-python-serialize", "application/x-yaml", "application/jsonx"];
    Hostile::undecodable(from.pick(&types), from.recording())
}

fn impossible_names(from: &mut Generator) -> Hostile {
    let key = from.pick(&["method", "namespace", "_msg_id", "_reply_q", "_unique_id"]);
    let name = from.pick(&[
        "n".repeat(10_000),
        "a\u{1b}[2Jb".to_owned(),
        "line\nERROR line".to_owned(),
        "\0".to_owned(),
    ]);
    let mut message = json!({ "method": "ping_conductor", "args": {} });
    message[key] = json!(name);
    Hostile::undecodable(JSON, envelope(&message))
}

fn too_many_values(from: &mut Generator) -> Hostile {
    let item = from.pick(&["0,", "[],"]);
    let body = format!(r#"{{"method":"ping_conductor","args":{{"a":[{}0]}}}}"#, item.repeat(60_000));
    let verdict = if body.len() > from.max_size { Verdict::TooLarge } else { Verdict::Undecodable };
    Hostile { content_type: JSON, body: body.into_bytes(), verdict, answered: false }
}

fn oversized(from: &mut Generator) -> Hostile {
    let padding = "x".repeat(from.max_size + from.below(1000));
    let body = envelope(&json!({ "method": "ping_conductor", "args": { "a": padding } }));
    Hostile { content_type: JSON, body, verdict: Verdict::TooLarge, answered: false }
}

/// Requests that are read, and make no sense.
fn refused_calls(from: &mut Generator) -> Hostile {
    let long = "x".repeat(5_000);
    let query = |name: &str, method: &str, version: &str, args: Value| {
        let args = json!({
            "objname": name, "objmethod": method, "objver": version, "args": args, "kwargs": {},
        });
        json!({ "method": "object_class_action", "args": args })
    };
    let mut message = from.pick(&[
        json!({ "method": "no_such_method\u{202e}" }),
        json!({ "method": "__init__", "args": { "self": null } }),
        json!({ "method": "ping_conductor", "namespace": "elsewhere" }),
        json!({ "method": "ping_conductor", "version": "4294967295.4294967295" }),
        json!({ "method": "ping_conductor", "args": { long.clone(): 1, "a\nERROR b": 2 } }),
        query(&long, "list", "1.5", json!([])),
        query("Bay", &long, "1.5", json!([])),
        query("Bay", "get_by_uuid", "1.99", json!([7])),
        query("Bay", "get_by_uuid", "1.5", json!([{ "a": [[[[]]]] }])),
    ]);
    message["_context_request_id"] =
        json!(from.pick(&["req-1".to_owned(), long, "req\nERROR forged".to_owned()]));
    let answered = from.caller(&mut message);
    Hostile { content_type: JSON, body: envelope(&message), verdict: Verdict::Refused, answered }
}

/// Commands whose objects are none, or nest without an end in sight.
fn refused_commands(from: &mut Generator) -> Hostile {
    let bay = |data: Value, changes: Value| {
        json!({
            "magnum_object.name": "Bay", "magnum_object.namespace": "magnum", "magnum_object.version": "1.5",
            "magnum_object.data": data, "magnum_object.changes": changes,
        })
    };
    let endless =
        (0..40).fold(json!(null), |inner, _| bay(json!({ "baymodel": inner }), json!(["baymodel"])));
    let object = from.pick(&[
        bay(json!({ "node_count": 1e300 }), json!(["node_count"])),
        bay(json!({ "node_count": "9".repeat(400) }), json!(["made", "up"])),
        bay(json!({ "name": { "a": 1 } }), json!({})),
        bay(json!([]), json!(null)),
        endless,
        json!("bay"),
        json!({ "magnum_object.name": "Bay" }),
        json!({ "magnum_object.name": "Certificate", "magnum_object.version": "1.0" }),
    ]);
    let id = format!("{:032x}", from.random.random::<u128>());
    let args = json!({ "bay": object, "bay_create_timeout": 10 });
    let mut message = json!({ "method": "bay_create", "args": args, "_unique_id": id });
    let answered = from.caller(&mut message);
    Hostile { content_type: JSON, body: envelope(&message), verdict: Verdict::Refused, answered }
}

#[test]
fn a_generated_message_is_a_request_exactly_when_it_is_to_be_refused() {
    let mut generator = Generator::new(7, 1 << 20, "reply".to_owned());
    for _ in 0..5_000 {
        let Hostile { content_type, body, verdict, .. } = generator.next();
        let decoded = Request::decode(Some(content_type), &body);
        let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
        assert_eq!(decoded.is_ok(), verdict != Verdict::Undecodable, "{verdict:?} {content_type}: {text}");
        assert!(Encoding::from_content_type(Some(content_type)).is_ok() || decoded.is_err());
    }
}
