//! What objects accept, refuse and write.

use proptest::prelude::*;

use super::*;

const LIBERTY: Version = Version::new(1, 0);
const MITAKA: Version = Version::new(1, 5);

fn primitive(name: &str, version: &str, data: &Value) -> Value {
    json!({ NAME_KEY: name, NAMESPACE_KEY: "magnum", VERSION_KEY: version, DATA_KEY: data })
}

fn bay(data: &Value) -> Result<Object, ObjectError> {
    Object::decode(&primitive("Bay", "1.5", data))
}

fn field_names(name: &str, version: Version) -> BTreeSet<&'static str> {
    Object::new(name, version).unwrap().fields().map(|field| field.name).collect()
}

#[test]
fn fields_come_and_go_with_versions() {
    let added = |name, old, new| {
        let (old, new) = (field_names(name, old), field_names(name, new));
        let added: Vec<_> = new.difference(&old).copied().collect();
        let gone: Vec<_> = old.difference(&new).copied().collect();
        (old.len(), added, gone)
    };
    let (old, new) = (Version::new(1, 7), Version::new(1, 10));
    let mitaka_bay = [
        "bay_create_timeout",
        "baymodel",
        "trust_id",
        "trustee_password",
        "trustee_user_id",
        "trustee_username",
    ];
    assert_eq!(added("Bay", LIBERTY, MITAKA), (19, mitaka_bay.to_vec(), vec![]));
    let mitaka_model = vec!["server_type", "volume_driver"];
    assert_eq!(added("BayModel", old, new), (27, mitaka_model, vec!["ssh_authorized_key"]));
    assert_eq!(field_names("Certificate", LIBERTY).len(), 7);
}

#[test]
fn every_definition_is_sound() {
    for name in ["Bay", "BayModel", "Certificate"] {
        let definition = definition(name).unwrap();
        assert_eq!(definition.name, name);
        for minor in 0..=definition.latest.minor {
            let version = Version::new(definition.latest.major, minor);
            let fields: Vec<_> = definition.fields_at(version).collect();
            let unique: BTreeSet<_> = fields.iter().map(|field| field.name).collect();
            assert_eq!(unique.len(), fields.len(), "{name} {version} has a field twice");
        }
        for field in definition.fields {
            assert!(field.since <= definition.latest, "{name}.{} never comes", field.name);
            if let Kind::Object(other) = field.kind {
                assert!(super::definition(other).is_some(), "{name}.{} has no definition", field.name);
            }
        }
    }
}

#[test]
fn the_same_bay_is_written_as_each_release_knows_it() {
    for version in [LIBERTY, MITAKA] {
        let mut object = Object::new("Bay", version).unwrap();
        object.set("node_count", 3).unwrap();
        assert_eq!(object.set("trust_id", "t").is_ok(), version == MITAKA);
        let written = object.to_primitive();
        assert_eq!(written[VERSION_KEY], version.to_string());
        assert_eq!(written[DATA_KEY].get("trust_id").is_some(), version == MITAKA);
        assert_eq!(Object::decode(&written), Ok(object));
    }
}

#[test]
fn what_we_cannot_serve_is_refused() {
    let check =
        |name: &str, version: &str| Object::decode(&primitive(name, version, &json!({}))).unwrap_err();
    let incompatible =
        |requested| ObjectError::IncompatibleVersion { name: "Bay", requested, supported: MITAKA };
    assert_eq!(check("Bay", "1.6"), incompatible(Version::new(1, 6)));
    assert_eq!(check("Bay", "2.0"), incompatible(Version::new(2, 0)));
    assert_eq!(check("Cluster", "1.9"), ObjectError::UnknownObject { name: "Cluster".to_owned() });
    let mut foreign = primitive("Bay", "1.5", &json!({}));
    foreign[NAMESPACE_KEY] = "nova".into();
    assert_eq!(Object::decode(&foreign), Err(ObjectError::ForeignNamespace { namespace: "nova".to_owned() }));
}

#[test]
fn what_is_no_object_is_refused() {
    let with = |key: &str, value: Value| {
        let mut object = primitive("Bay", "1.5", &json!({}));
        object[key] = value;
        object
    };
    for value in [
        json!(null),
        json!("Bay"),
        json!([]),
        json!({}),
        with(NAME_KEY, json!(1)),
        with(NAMESPACE_KEY, json!(null)),
        with(VERSION_KEY, json!(1.5)),
        with(VERSION_KEY, json!("x")),
        with(DATA_KEY, json!([])),
        with(DATA_KEY, json!(null)),
        with(CHANGES_KEY, json!("name")),
        with(CHANGES_KEY, json!([1])),
    ] {
        assert!(Object::decode(&value).is_err(), "{value}");
    }
}

#[test]
fn values_are_made_to_fit_their_field() {
    let check = |name: &str, value: Value, expected: Option<Value>| {
        let model = ["coe", "public", "labels"].contains(&name);
        let (object, version) = if model { ("BayModel", "1.10") } else { ("Bay", "1.5") };
        let decoded = Object::decode(&primitive(object, version, &json!({ name: value })));
        let coerced = decoded.ok().map(|object| object.get(name).unwrap().to_value());
        assert_eq!(coerced, expected, "{name}: {value}");
    };
    let fits = |name: &str, value: Value, expected: Value| check(name, value, Some(expected));
    fits("node_count", json!(3), json!(3));
    fits("node_count", json!(" 3 "), json!(3));
    fits("node_count", json!("-3"), json!(-3));
    fits("node_count", json!(null), json!(null));
    fits("name", json!("n"), json!("n"));
    fits("name", json!(5), json!("5"));
    fits("name", json!(1.5), json!("1.5"));
    fits("name", json!(true), json!("True"));
    fits("status", json!("ADOPT_COMPLETE"), json!("ADOPT_COMPLETE"));
    fits("status", json!(null), json!(null));
    fits("coe", json!("mesos"), json!("mesos"));
    fits("node_addresses", json!(["a", 1]), json!(["a", "1"]));
    fits("labels", json!({ "a": 1, "b": "x" }), json!({ "a": "1", "b": "x" }));
    for (word, meaning) in [("true", true), ("YES", true), ("1", true), ("off", false), ("False", false)] {
        fits("public", json!(word), json!(meaning));
    }
    fits("public", json!(1), json!(true));
    fits("public", json!(0), json!(false));

    let refused = |name: &str, value: Value| check(name, value, None);
    for value in [json!("x"), json!(1.5), json!(true), json!([]), json!(u64::MAX), json!("")] {
        refused("node_count", value);
    }
    refused("name", json!([]));
    refused("name", json!({}));
    refused("status", json!("SUSPEND_COMPLETE"));
    refused("coe", json!("MESOS"));
    for value in [json!("maybe"), json!(2), json!(null), json!([])] {
        refused("public", value);
    }
    refused("node_addresses", json!(["a", null]));
    refused("node_addresses", json!("a"));
    refused("labels", json!({ "a": null }));
    refused("labels", json!(["a"]));
    refused("id", json!(null));
    refused("baymodel", json!(null));
}

#[test]
fn times_become_utc_to_the_second() {
    let check = |text: &str, expected: Option<&str>| {
        let decoded = bay(&json!({ "created_at": text })).ok();
        assert_eq!(decoded.as_ref().and_then(|bay| bay.text("created_at")), expected, "{text}");
    };
    check("2026-11-22T14:39:41Z", Some("2026-11-22T14:39:41Z"));
    check("2026-11-22T14:39:41.759584", Some("2026-11-22T14:39:41Z"));
    check("2026-11-22 14:39:41", Some("2026-11-22T14:39:41Z"));
    check("2026-11-22T14:39:41+02:00", Some("2026-11-22T12:39:41Z"));
    for bad in [
        "",
        "x",
        "2026-11-22",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00+23:00",
        "9999-12-31T23:59:59-23:00",
    ] {
        check(bad, None);
    }
}

#[test]
fn unknown_fields_are_ignored_in_data_and_changes() {
    let mut value = primitive("Bay", "1.0", &json!({ "name": "n", "trust_id": "t", "colour": "red" }));
    value[CHANGES_KEY] = json!(["name", "trust_id", "colour"]);
    let object = Object::decode(&value).unwrap();
    assert!(object.is_set("name") && !object.is_set("trust_id") && !object.is_set("colour"));
    assert!(object.is_changed("name"));
    assert_eq!(object.changes().len(), 1);
}

#[test]
fn changes_are_marked_by_clients_only_and_written_only_when_there_are_any() {
    let mut object = Object::new("Bay", MITAKA).unwrap();
    object.set("name", "n").unwrap();
    assert_eq!(object.to_primitive().get(CHANGES_KEY), None);
    object.change("node_count", 2).unwrap();
    assert_eq!(object.to_primitive()[CHANGES_KEY], json!(["node_count"]));
    object.reset_changes();
    assert!(!object.is_changed("node_count") && object.integer("node_count") == Some(2));
}

#[test]
fn a_value_that_does_not_fit_changes_nothing() {
    let mut object = Object::new("Bay", MITAKA).unwrap();
    assert!(object.change("node_count", "many").is_err());
    assert!(object.change("colour", "red").is_err());
    assert_eq!(object, Object::new("Bay", MITAKA).unwrap());
}

#[test]
fn nested_objects_are_read_whole() {
    let model =
        primitive("BayModel", "1.10", &json!({ "name": "m", "labels": { "a": "b" }, "public": true }));
    let bay = bay(&json!({ "baymodel": model, "master_addresses": ["10.0.0.1"] })).unwrap();
    let model = bay.object("baymodel").unwrap();
    assert_eq!(
        (model.name(), model.text("name"), model.boolean("public")),
        ("BayModel", Some("m"), Some(true))
    );
    assert_eq!(model.dict("labels").unwrap()["a"], "b");
    assert_eq!(bay.list("master_addresses").unwrap(), ["10.0.0.1"]);
    assert_eq!(bay.text("master_addresses"), None);

    let certificate = primitive("Certificate", "1.0", &json!({}));
    assert!(super::tests::bay(&json!({ "baymodel": certificate })).is_err());
    let broken = primitive("BayModel", "1.10", &json!({ "coe": "nomad" }));
    assert!(super::tests::bay(&json!({ "baymodel": broken })).is_err());
}

#[test]
fn objects_nested_without_end_are_refused() {
    static SELF: Field = Field { kind: Kind::Object("Bay"), ..template() };
    let innermost = primitive("Bay", "1.5", &json!({}));
    let coerced = |depth| value::coerce("Bay", &SELF, &innermost, depth).err();
    assert_eq!(coerced(MAX_DEPTH - 2), None);
    assert_eq!(coerced(MAX_DEPTH - 1), Some(ObjectError::TooDeep));
}

const fn template() -> Field {
    Field {
        name: "self",
        key: "self",
        kind: Kind::Text,
        nullable: true,
        since: LIBERTY,
        until: None,
        default: None,
    }
}

#[test]
fn defaults_fill_only_what_is_not_set() {
    let mut object = Object::new("BayModel", Version::new(1, 10)).unwrap();
    object.set("public", true).unwrap();
    object.set_defaults();
    assert_eq!((object.boolean("public"), object.boolean("tls_disabled")), (Some(true), Some(false)));
    assert!(!object.is_set("name") && object.changes().is_empty());
}

#[test]
fn no_field_value_is_shown() {
    let object = bay(&json!({ "trustee_password": "S3CRET" })).unwrap();
    let shown = format!("{object:?} {:?}", object.get("trustee_password"));
    assert!(shown.contains("trustee_password") && !shown.contains("S3CRET"), "{shown}");
    for (field, value) in
        [("node_count", json!("S3CRET")), ("status", json!("S3CRET")), ("created_at", json!("S3CRET"))]
    {
        let error = bay(&json!({ field: value })).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("S3CRET"));
    }
}

fn any_field_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9T: .Z+-]{0,30}".prop_map(Value::from),
        proptest::sample::select(vec!["mesos", "CREATE_COMPLETE", "true", "7", "2026-11-22T14:39:41Z"])
            .prop_map(Value::from),
        proptest::collection::vec(any::<Option<String>>(), 0..3).prop_map(Value::from),
        proptest::collection::btree_map(any::<String>(), any::<String>(), 0..3).prop_map(|map| json!(map)),
        Just(primitive("BayModel", "1.10", &json!({ "name": "m" }))),
    ]
}

prop_compose! {
    /// A primitive of a known object with any values in its fields.
    fn any_primitive()(definition in proptest::sample::select(vec!["Bay", "BayModel", "Certificate"]))(
        values in proptest::collection::vec(any_field_value(), 30),
        chosen in proptest::collection::vec(any::<bool>(), 30),
        minor in 0..=super::definition(definition).unwrap().latest.minor,
        definition in Just(definition),
    ) -> Value {
        let names = super::definition(definition).unwrap().fields.iter().map(|field| field.name);
        let data = names.zip(values).zip(chosen).filter(|(_, chosen)| *chosen).map(|(entry, _)| entry);
        let data: BTreeMap<_, _> = data.collect();
        let mut value = primitive(definition, &format!("1.{minor}"), &json!(data));
        value[CHANGES_KEY] = json!(data.keys().take(2).collect::<Vec<_>>());
        value
    }
}

proptest! {
    #[test]
    fn any_values_decode_or_are_refused(value in any_primitive()) {
        if let Ok(object) = Object::decode(&value) {
            prop_assert_eq!(Object::decode(&object.to_primitive()), Ok(object));
        }
    }

    /// Keeps of a primitive only the fields that fit, so that objects with many fields are tried too.
    #[test]
    fn an_object_round_trips(value in any_primitive()) {
        let version = value[VERSION_KEY].as_str().unwrap().parse().unwrap();
        let mut object = Object::new(value[NAME_KEY].as_str().unwrap(), version).unwrap();
        for (index, (name, value)) in value[DATA_KEY].as_object().unwrap().iter().enumerate() {
            let set = if index % 2 == 0 { Object::set } else { Object::change };
            drop(set(&mut object, name, value.clone()));
        }
        prop_assert_eq!(Object::decode(&object.to_primitive()), Ok(object));
    }
}

#[test]
fn a_plain_dict_of_fields_is_an_object_of_the_newest_version() {
    let fields =
        json!({ "name": "b1", "node_count": "3", "baymodel": { "name": "m", "labels": { "a": 1 } } });
    let bay = Object::from_fields("Bay", fields.as_object().unwrap()).unwrap();
    assert_eq!((bay.version(), bay.integer("node_count")), (Version::new(1, 5), Some(3)));
    assert_eq!(bay.changes().iter().collect::<Vec<_>>(), ["baymodel", "name", "node_count"]);
    assert_eq!(bay.object("baymodel").unwrap().version(), Version::new(1, 10));
}

#[test]
fn a_plain_dict_with_keys_that_are_no_fields_is_refused_by_their_names() {
    let fields = json!({ "name": "b1", "node_cuont": 3, "flavour": "x" });
    let error = Object::from_fields("Bay", fields.as_object().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "Bay 1.5 has no field flavour, node_cuont");
    let nested = json!({ "baymodel": { "nmae": "m" } });
    let error = Object::from_fields("Bay", nested.as_object().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "BayModel 1.10 has no field nmae");
}

#[test]
fn an_object_has_a_form_from_each_version_that_changed_it() {
    let forms = |name| definition(name).unwrap().forms();
    assert_eq!(forms("Bay"), [Version::new(1, 0), Version::new(1, 5)]);
    assert_eq!(forms("BayModel"), [Version::new(1, 0), Version::new(1, 10)]);
}
