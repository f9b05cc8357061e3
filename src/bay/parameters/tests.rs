//! What a stack is asked for, and that the embedded template takes exactly that.

use std::collections::BTreeSet;

use proptest::prelude::*;
use secrecy::SecretString;
use uuid::Uuid;

use super::*;
use crate::bay::Labels;
use crate::bay::template::Templates;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn bay() -> Bay {
    Bay {
        uuid: Uuid::from_u128(0x1234),
        name: some("prod"),
        master_count: Some(3),
        node_count: Some(5),
        ..Bay::default()
    }
}

fn model() -> BayModel {
    BayModel {
        external_network_id: some("public"),
        server_type: some("vm"),
        cluster_distro: some("ubuntu"),
        coe: some("mesos"),
        floating_ip_enabled: true,
        ..BayModel::default()
    }
}

/// A model with a value wherever a model can have one that ends in a parameter.
fn full_model() -> BayModel {
    let sha256 = "0".repeat(64);
    let labels = [
        ("mesos_slave_isolation", "docker/runtime,filesystem/linux"),
        ("mesos_slave_image_providers", "docker"),
        ("mesos_slave_work_dir", "/data"),
        ("mesos_slave_executor_env_variables", r#"{"PATH": "/bin:\"x\""}"#),
        ("allowed_cidrs", "192.0.2.0/24"),
        ("zookeeper_package_url", "https://example.org/zookeeper.deb"),
        ("zookeeper_package_sha256", &sha256),
        ("mesos_package_url", "https://example.org/mesos.deb"),
        ("mesos_package_sha256", &sha256),
        ("marathon_package_url", "https://example.org/marathon.tgz"),
        ("marathon_package_sha256", &sha256),
        ("java_package_url", "https://example.org/java.tgz"),
        ("java_package_sha256", &sha256),
        ("docker_package_url", "https://example.org/docker.tgz"),
        ("docker_package_sha256", &sha256),
        ("rexray_preempt", "false"),
    ];
    BayModel {
        image_id: some("ubuntu-mesos"),
        flavor_id: some("small"),
        master_flavor_id: some("large"),
        keypair_id: some("key"),
        dns_nameserver: some("192.0.2.53"),
        fixed_network: some("net"),
        fixed_subnet: some("subnet"),
        http_proxy: some("http://proxy:3128"),
        https_proxy: some("http://proxy:3129"),
        no_proxy: some("localhost"),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..model()
    }
}

fn secrets() -> Secrets {
    let secret = |text: &str| SecretString::from(text.to_owned());
    Secrets {
        ca_certificate: "the authority".to_owned(),
        node_certificate: "the nodes".to_owned(),
        node_key: secret("their key"),
        mesos_principal: "mesos".to_owned(),
        mesos_secret: secret("one"),
        marathon_username: "marathon".to_owned(),
        marathon_password: secret("two"),
        zookeeper_password: secret("three"),
    }
}

fn parameters(bay: &Bay, model: &BayModel) -> Map<String, Value> {
    stack_parameters(bay, model, &Placement::default(), None).unwrap()
}

fn error(bay: &Bay, model: &BayModel) -> String {
    stack_parameters(bay, model, &Placement::default(), None).unwrap_err().to_string()
}

/// The parameters a template declares, each with whether it has a default.
fn declared(template: &str) -> BTreeMap<&str, bool> {
    let mut declared = BTreeMap::new();
    let mut name = "";
    let section = template.lines().skip_while(|line| *line != "parameters:").skip(1);
    for line in section.take_while(|line| line.is_empty() || line.starts_with("  ")) {
        match line.strip_prefix("  ") {
            Some(inner) if inner.starts_with("  ") => {
                let default = declared.entry(name).or_insert(false);
                *default |= inner.trim_start().starts_with("default:");
            }
            Some(inner) => name = inner.trim_end_matches(':'),
            None => {}
        }
    }
    declared
}

#[test]
fn a_full_model_becomes_these_parameters() {
    let placement =
        Placement { openstack_ca: some("the cloud's authority"), verify_ca: false, ..Placement::default() };
    let parameters = stack_parameters(&bay(), &full_model(), &placement, Some(&secrets())).unwrap();
    insta::assert_json_snapshot!(parameters);
}

#[test]
fn what_has_no_value_is_left_out() {
    let bay = Bay { name: None, master_count: None, node_count: None, ..bay() };
    let expected = json!({
        "external_network": "public", "number_of_masters": 1, "quorum": 1, "allowed_cidrs": [],
        "floating_ip_enabled": true, "master_lb_enabled": false, "verify_ca": true,
    });
    assert_eq!(Value::Object(parameters(&bay, &model())), expected);
    let cleared = BayModel { http_proxy: some(""), fixed_network: some(""), ..model() };
    assert_eq!(Value::Object(parameters(&bay, &cleared)), expected);
}

#[test]
fn g15_the_template_declares_what_is_sent_and_is_sent_what_it_requires() {
    let templates = Templates::embedded();
    let declared = declared(&templates.for_distro("ubuntu").unwrap().root);
    assert!(declared.len() > 45, "the reader of this test missed some: {declared:?}");
    let names = |parameters: Map<String, Value>| parameters.into_iter().map(|(name, _)| name);
    let cidr = BayModel { fixed_network: some("10.1.0.0/24"), ..full_model() };
    let placement = Placement { openstack_ca: some("the cloud's authority"), ..Placement::default() };
    let full = stack_parameters(&bay(), &full_model(), &placement, Some(&secrets())).unwrap();
    let sent: BTreeSet<String> = names(full)
        .chain(names(parameters(&bay(), &cidr)))
        .chain(names(scale_parameters(&bay(), &[]).unwrap()))
        .collect();
    for name in &sent {
        assert!(declared.contains_key(name.as_str()), "{name} is sent but not declared");
    }
    let least = parameters(&Bay::default(), &model());
    for (name, _) in declared.iter().filter(|(_, default)| !**default) {
        assert!(least.contains_key(*name), "{name} is required but not always sent");
    }
    let unsent: Vec<_> = declared.keys().filter(|name| !sent.contains(**name)).collect();
    assert_eq!(
        unsent,
        [&"executor_registration_timeout", &"nodes_affinity_policy", &"wait_condition_timeout"],
        "declared for operators with templates of their own"
    );
}

#[test]
fn a_network_is_named_or_described() {
    let named = parameters(&bay(), &full_model());
    assert_eq!(named["fixed_network"], "net");
    assert_eq!(named["fixed_subnet"], "subnet");
    let cidr = BayModel { fixed_network: some("10.1.0.0/24"), ..full_model() };
    let described = parameters(&bay(), &cidr);
    assert_eq!(described["fixed_network_cidr"], "10.1.0.0/24");
    assert!(!described.contains_key("fixed_network") && !described.contains_key("fixed_subnet"));
}

#[test]
fn a_bays_own_key_pair_and_labels_win_over_its_models() {
    let labels = BTreeMap::from([("mesos_slave_work_dir".to_owned(), "/own".to_owned())]);
    let bay = Bay { keypair: some("own"), labels, ..bay() };
    let parameters = parameters(&bay, &full_model());
    assert_eq!(parameters["ssh_key_name"], "own");
    assert_eq!(parameters["mesos_slave_work_dir"], "/own");
    assert_eq!(parameters["mesos_slave_image_providers"], "docker");
}

#[test]
fn executor_variables_arrive_as_they_were_written() {
    let text = r#"{"PATH": "/bin:\"x\" 'y' $HOME \\"}"#;
    let labels = BTreeMap::from([("mesos_slave_executor_env_variables".to_owned(), text.to_owned())]);
    let parameters = parameters(&bay(), &BayModel { labels, ..model() });
    assert_eq!(parameters["mesos_slave_executor_env_variables"], text);
}

#[test]
fn nobody_reaches_the_nodes_unless_allowed() {
    assert_eq!(parameters(&bay(), &model())["allowed_cidrs"], json!([]));
    let placement = Placement { allowed_cidrs: vec!["198.51.100.7/32".to_owned()], ..Placement::default() };
    let both = stack_parameters(&bay(), &full_model(), &placement, None).unwrap();
    assert_eq!(both["allowed_cidrs"], json!(["198.51.100.7/32", "192.0.2.0/24"]));
}

#[test]
fn what_cannot_be_built_is_refused_with_the_reason() {
    let labelled = |name: &str, value: &str| BayModel {
        labels: [(name.to_owned(), value.to_owned())].into(),
        ..model()
    };
    let no_network = BayModel { external_network_id: None, ..model() };
    let volumes = BayModel { volume_driver: some("rexray"), ..model() };
    for (bay, model, reason) in [
        (bay(), no_network, "the required Heat parameter `external_network` has no value"),
        (bay(), volumes, "volume driver `rexray` is not offered"),
        (
            bay(),
            BayModel { registry_enabled: true, ..model() },
            "a private registry (`registry_enabled`) is not",
        ),
        (bay(), labelled("allowed_cidrs", "0.0.0.0/33"), "`0.0.0.0/33` is not an IPv4 address range"),
        (bay(), labelled("allowed_cidrs", "2001:db8::/32"), "`2001:db8::/32` is not an IPv4 address range"),
        (bay(), labelled("mesos_slave_executor_env_variables", "[1]"), "label `mesos_slave_executor_env_"),
        (bay(), labelled("mesos_slave_executor_env_variables", "{\"A\": 1}"), "label `mesos_slave_executor"),
        (bay(), labelled("mesos_package_url", "https://example.org/m.deb"), "label `mesos_package_sha256`"),
        (
            Bay { master_count: Some(2), ..bay() },
            model(),
            "2 masters: the count must be odd, since an even one",
        ),
        (Bay { master_count: Some(0), ..bay() }, model(), "`master_count` is 0: it must be at least 1"),
        (Bay { node_count: Some(-1), ..bay() }, model(), "`node_count` is -1: it must be at least 0"),
    ] {
        let error = error(&bay, &model);
        assert!(error.starts_with(reason), "{error}");
    }
}

#[test]
fn g11_a_quorum_is_a_true_majority() {
    for (masters, majority) in [(1, 1), (3, 2), (5, 3), (7, 4)] {
        assert_eq!(quorum(masters), Ok(majority));
    }
    for even in [2, 4, 6] {
        assert_eq!(quorum(even), Err(ParameterError::EvenMasters(even)));
    }
    assert!(quorum(0).is_err() && quorum(-1).is_err());
}

#[test]
fn secrets_turn_tls_on_and_are_hidden_in_the_template() {
    let plain = parameters(&bay(), &model());
    let sent = stack_parameters(&bay(), &model(), &Placement::default(), Some(&secrets())).unwrap();
    assert!(!plain.contains_key("tls_enabled"));
    assert_eq!(sent["tls_enabled"], true);
    assert_eq!(sent["node_name"], "00000000-0000-0000-0000-000000001234.mesos.bay");
    let templates = Templates::embedded();
    let root = &templates.for_distro("ubuntu").unwrap().root;
    for name in ["node_key", "mesos_secret", "marathon_password", "zookeeper_password"] {
        let (_, declaration) = root.split_once(&format!("\n  {name}:\n")).unwrap();
        let own: Vec<_> = declaration.lines().take_while(|line| line.starts_with("    ")).collect();
        assert!(own.contains(&"    hidden: true"), "{name}: {own:?}");
    }
}

#[test]
fn coreos_is_asked_where_its_packages_come_from() {
    let coreos = |labels: Labels| BayModel { cluster_distro: some("fedora-coreos"), labels, ..model() };
    let mut labels = full_model().labels;
    assert!(stack_parameters(&bay(), &coreos(labels.clone()), &Placement::default(), None).is_ok());
    labels.remove("mesos_package_url");
    let error = stack_parameters(&bay(), &coreos(labels), &Placement::default(), None).unwrap_err();
    assert_eq!(error, ParameterError::Missing("mesos_package_url"));
}

#[test]
fn g13_rexray_is_refused_and_its_label_alone_is_not() {
    let volumes = BayModel { volume_driver: some("rexray"), ..model() };
    let error = error(&bay(), &volumes);
    assert!(error.contains("a trust or a password of the bay's owner on every node"), "{error}");
    let labels = BTreeMap::from([("rexray_preempt".to_owned(), "False".to_owned())]);
    assert!(!parameters(&bay(), &BayModel { labels, ..model() }).contains_key("rexray_preempt"));
}

#[test]
fn g14_no_region_is_asked_for() {
    let templates = Templates::embedded();
    for name in declared(&templates.for_distro("ubuntu").unwrap().root).keys() {
        assert!(!name.contains("region"), "{name}");
    }
}

#[test]
fn g22_g23_a_load_balancer_admits_the_same_ranges_and_has_an_address() {
    let templates = Templates::embedded();
    let set = templates.for_distro("ubuntu").unwrap();
    let balanced = parameters(&bay(), &BayModel { master_lb_enabled: true, ..model() });
    assert_eq!(balanced["master_lb_enabled"], true);
    let balancer = &set.files["balancer.yaml"];
    assert!(balancer.contains("allowed_cidrs: {get_param: allowed_cidrs}"), "of the listener");
    assert!(balancer.contains("port_id: {get_attr: [balancer, vip_port_id]}"), "of the floating IP");
    // An empty list would admit everybody, so the nodes' own range is always in it.
    let (_, passed) = set.root.split_once("type: balancer.yaml").unwrap();
    let (_, passed) = passed.split_once("allowed_cidrs:").unwrap();
    assert!(
        passed
            .trim_start()
            .starts_with("list_concat:\n          - [{get_attr: [master_ports, resource.0.cidr]}]")
    );
}

#[test]
fn g24_the_policy_of_server_groups_has_a_default() {
    let templates = Templates::embedded();
    assert!(declared(&templates.for_distro("ubuntu").unwrap().root)["nodes_affinity_policy"]);
}

#[test]
fn g26_no_script_knows_the_name_of_an_interface() {
    let templates = Templates::embedded();
    for distribution in ["ubuntu", "centos", "coreos"] {
        let set = templates.for_distro(distribution).unwrap();
        for (name, text) in &set.files {
            assert!(!["eth0", "ens3", "hostname -I"].iter().any(|word| text.contains(word)), "{name}");
        }
    }
}

#[test]
fn g12_a_master_s_address_does_not_go_with_its_server() {
    let templates = Templates::embedded();
    let set = templates.for_distro("ubuntu").unwrap();
    let master = &set.files["master.yaml"];
    assert!(master.contains("OS::Nova::Server") && !master.contains("OS::Neutron::Port"));
    assert!(master.contains("- port: {get_param: [ports, {get_param: index}]}"));
}

#[test]
fn scaling_forgets_the_agents_removed_before() {
    let expected = json!({"number_of_slaves": 5, "slaves_to_remove": []});
    assert_eq!(Value::Object(scale_parameters(&bay(), &[]).unwrap()), expected);
    let unknown = Bay { node_count: None, ..bay() };
    assert_eq!(scale_parameters(&unknown, &[]), Err(ParameterError::Missing("number_of_slaves")));
}

#[test]
fn only_mesos_on_machines_of_a_known_distribution_is_supported() {
    for distribution in ["ubuntu", "centos", "coreos", "fedora-coreos"] {
        let model = BayModel { cluster_distro: some(distribution), ..model() };
        assert_eq!(driver_supported(&model), Ok(()));
    }
    assert_eq!(driver_supported(&BayModel { server_type: None, ..model() }), Ok(()));
    for other in [
        BayModel { server_type: some("bm"), ..model() },
        BayModel { cluster_distro: some("fedora-atomic"), ..model() },
        BayModel { cluster_distro: None, ..model() },
        BayModel { coe: some("swarm"), ..model() },
        BayModel { coe: some("Mesos"), ..model() },
    ] {
        let refused = driver_supported(&other).unwrap_err();
        assert_eq!(refused.coe, other.coe.unwrap_or_default());
    }
}

#[test]
fn outputs_go_to_their_fields() {
    let mut bay = bay();
    let outputs = json!({
        "api_address": "203.0.113.1",
        "mesos_master": ["203.0.113.1", "203.0.113.2"],
        "mesos_slaves": ["203.0.113.3", null],
        "mesos_slaves_private": ["10.0.0.3"],
    });
    let outputs: BTreeMap<String, Value> = serde_json::from_value(outputs).unwrap();
    assert!(apply_outputs(&mut bay, &outputs).is_empty());
    assert_eq!(bay.api_address.as_deref(), Some("203.0.113.1"));
    assert_eq!(bay.master_addresses, ["203.0.113.1", "203.0.113.2"]);
    assert_eq!(bay.node_addresses, ["203.0.113.3"]);
}

#[test]
fn an_output_that_is_missing_changes_nothing() {
    let mut bay = Bay {
        api_address: some("203.0.113.1"),
        master_addresses: vec!["203.0.113.1".to_owned()],
        node_addresses: vec!["203.0.113.2".to_owned()],
        ..bay()
    };
    let before = format!("{bay:?}");
    let outputs = BTreeMap::from([("api_address".to_owned(), Value::Null), ("other".to_owned(), json!("x"))]);
    assert_eq!(apply_outputs(&mut bay, &outputs), ["api_address", "mesos_master", "mesos_slaves"]);
    assert_eq!(format!("{bay:?}"), before);
}

#[test]
fn a_bay_scaled_to_nothing_has_no_addresses_left() {
    let mut bay = Bay { node_addresses: vec!["203.0.113.2".to_owned()], ..bay() };
    apply_outputs(&mut bay, &BTreeMap::from([("mesos_slaves".to_owned(), json!([]))]));
    assert!(bay.node_addresses.is_empty());
}

#[test]
fn a_stack_is_named_after_its_bay() {
    let uuid = "00000000000000000000000000001234";
    for (name, readable) in [
        (Some("prod"), "prod"),
        (Some("Prod_1.west"), "prod-1-west"),
        (Some("2024"), "bay-2024"),
        (Some("-x-"), "bay--x"),
        (Some("größe €"), "gre"),
        (Some(""), "bay"),
        (None, "bay"),
        (Some("a-name-that-is-cut-right-here--and-then-some"), "a-name-that-is-cut-right-here"),
    ] {
        let bay = Bay { name: name.map(str::to_owned), ..bay() };
        assert_eq!(stack_name(&bay), format!("{readable}-{uuid}"));
    }
}

proptest! {
    #[test]
    fn every_stack_name_is_one_heat_takes(name in any::<Option<String>>(), uuid in any::<u128>()) {
        let bay = Bay { uuid: Uuid::from_u128(uuid), name, ..Bay::default() };
        let stack = stack_name(&bay);
        prop_assert!(stack.starts_with(|c: char| c.is_ascii_lowercase()));
        prop_assert!(stack.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        prop_assert!(stack.len() <= 63);
        let unique = format!("-{}", bay.uuid.simple());
        prop_assert!(stack.ends_with(&unique));
        prop_assert_eq!(stack, stack_name(&bay));
    }
}
