use std::{fs, path::PathBuf, time::Duration};

use proptest::prelude::*;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

const MAGNUM_CONF: &str = include_str!("tests/magnum.conf");
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Files in a directory of their own, which lives as long as this.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn one_file(name: &str, text: &str) -> (Files, Sources) {
    let files = Files::new();
    let path = files.write(name, text);
    (files, Sources { files: vec![path], ..Sources::default() })
}

fn settings_of(name: &str, text: &str) -> Settings {
    let (_files, sources) = one_file(name, text);
    load(&sources).unwrap_or_else(|faults| panic!("{faults}")).settings
}

/// The faults of an INI text, without the path of its file.
fn faults_of(text: &str) -> Vec<String> {
    let (_files, sources) = one_file("x.conf", text);
    let place = format!("{}:", sources.files[0].display());
    let Err(ConfigFaults(faults)) = load(&sources) else { return Vec::new() };
    faults.iter().map(|fault| fault.to_string().replace(&place, "")).collect()
}

#[test]
fn every_default_is_what_its_option_admits() {
    let settings = Settings::default();
    assert_eq!(settings.conductor.topic, "magnum-conductor");
    assert_eq!(settings.conductor.operation_lease, Duration::from_secs(10));
    assert_eq!(settings.default.password_symbols.len(), 3);
    assert_eq!(
        settings.database.connection.expose_secret(),
        "sqlite:////var/lib/mesos-conductor/mesos-conductor.sqlite"
    );
    let loaded = load(&Sources::default()).unwrap();
    assert_eq!(loaded.warnings, []);
}

#[test]
fn an_existing_magnum_conf_loads_as_it_is() {
    let (_files, mut sources) = one_file("magnum.conf", MAGNUM_CONF);
    sources.overrides = vec![format!("conductor.encryption_key={KEY}")];
    let Loaded { settings, warnings, .. } = load(&sources).unwrap_or_else(|faults| panic!("{faults}"));

    assert_eq!(settings.default.executor_thread_pool_size, 32);
    assert_eq!(settings.database.max_pool_size, 20);
    assert_eq!(settings.database.connection_recycle_time, Duration::from_secs(600));
    assert_eq!(settings.cluster_heat.create_timeout, 90);
    assert_eq!(settings.heat_client.endpoint_type, "internalURL");
    assert_eq!(settings.trust.roles, ["heat_stack_owner", "member"]);
    assert_eq!(settings.oslo_messaging_rabbit.kombu_missing_consumer_retry_timeout, Duration::from_secs(45));
    let notifications = &settings.oslo_messaging_notifications;
    assert_eq!(notifications.driver, [NotificationDriver::MessagingV2, NotificationDriver::Log]);
    let broker = settings.default.transport_url.expose_secret();
    assert_eq!(notifications.transport_url.as_ref().unwrap().expose_secret(), broker);

    let user = settings.service_user().unwrap();
    assert_eq!(user.section, "keystone_authtoken");
    assert_eq!(user.auth_url.as_deref(), Some("http://ctl-vip:35357/v3"));
    assert_eq!(user.password.unwrap().expose_secret(), "ks-s3cret ", "quotes keep the blank");
    assert_eq!(settings.auth_uri(), Some("http://ctl-vip:5000/v3"));

    let urgent: Vec<_> = warnings.iter().filter(|w| w.is_urgent()).map(ToString::to_string).collect();
    assert_eq!(urgent.len(), 1, "{urgent:?}");
    assert!(urgent[0].ends_with("magnum.conf:12: [DEFAULT] trustee_hint is not an option; it is left out"));
    let notes: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    for part in [
        "[bay_heat] bay_create_timeout is an older name of [cluster_heat] create_timeout",
        "[conductor] workers is not used here",
        "[quotas] max_clusters_per_project is not used here: it belongs to magnum-api",
        "[DEFAULT] log_dir is not used here: log lines go to standard error",
    ] {
        assert!(notes.iter().any(|note| note.contains(part)), "{part} is not in {notes:#?}");
    }
}

#[test]
fn nothing_shown_holds_a_secret() {
    let (_files, mut sources) = one_file("magnum.conf", MAGNUM_CONF);
    sources.overrides = vec![format!("conductor.encryption_key={KEY}")];
    let loaded = load(&sources).unwrap();
    let everything = [
        show(&loaded.effective),
        show_json(&loaded.effective).to_string(),
        format!("{loaded:?} {sources:?} {:?}", loaded.settings.service_user()),
        loaded.warnings.iter().map(ToString::to_string).collect(),
    ];
    for text in everything {
        assert!(!text.contains("s3cret"), "{text}");
        assert!(!text.contains(KEY), "{text}");
    }
    let shown = show(&loaded.effective);
    assert!(shown.contains("transport_url = rabbit://openstack:***@ctl-1:5672,openstack:***@ctl-2:5672//\n"));
    assert!(
        shown.contains("connection = mysql+pymysql://magnum:***@ctl-vip/magnum?charset=***\n"),
        "{shown}"
    );
    assert!(shown.contains("encryption_key = ***\n"));
    let json = show_json(&loaded.effective);
    assert_eq!(json["database"]["max_pool_size"]["value"], "20");
    assert_eq!(json["conductor"]["encryption_key"]["origin"], "--set conductor.encryption_key");
    assert_eq!(json["conductor"]["topic"]["value"], "magnum-conductor");
}

#[test]
fn what_is_shown_can_be_read_again() {
    let (_files, sources) = one_file(
        "x.conf",
        "[conductor]\ntopic = t\nhttp_timeout = 1m\n[oslo_messaging_notifications]\ndriver = log\ndriver = \
         noop\n\
         topics = a, b\n",
    );
    let first = show(&load(&sources).unwrap().effective);
    let (_files, again) = one_file("y.conf", &first);
    let second = show(&load(&again).unwrap().effective);
    let without_origins =
        |text: &str| text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_origins(&first), without_origins(&second));
    assert!(second.contains("driver = log\ndriver = noop\n"), "{second}");
}

#[test]
fn later_sources_win() {
    let files = Files::new();
    let conf_d = files.0.path().join("conf.d");
    fs::create_dir(&conf_d).unwrap();
    fs::write(conf_d.join("20.toml"), "[conductor]\nmax_deliveries = 4\n").unwrap();
    fs::write(conf_d.join("10.conf"), "[conductor]\nmax_deliveries = 3\ntopic = d\n").unwrap();
    fs::write(conf_d.join("notes.txt"), "not a configuration").unwrap();
    let sources = Sources {
        files: vec![
            files.write(
                "a.conf",
                "[conductor]\nmax_deliveries = 1\ntopic = a\nretention = 1h\n[DEFAULT]\nhost = a\n",
            ),
            files.write("b.toml", "[conductor]\nmax_deliveries = 2\n[default]\nhost = \"b\"\n"),
        ],
        directories: vec![conf_d],
        environment: vec![
            ("CONDUCTOR__CONDUCTOR__TOPIC".to_owned(), "e".to_owned()),
            ("CONDUCTOR__DEFAULT__HOST".to_owned(), "e".to_owned()),
            ("CONDUCTOR_TEST_AMQP_URL".to_owned(), "not ours".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ],
        overrides: vec!["conductor.topic=f".to_owned(), "debug=yes".to_owned()],
    };
    let Loaded { settings, warnings, .. } = load(&sources).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(settings.conductor.retention, Duration::from_secs(3600), "only a.conf says it");
    assert_eq!(settings.conductor.max_deliveries, 4, "the last file of the directory");
    assert_eq!(settings.default.host.as_deref(), Some("e"), "the environment over files");
    assert_eq!(settings.conductor.topic, "f", "a flag over the environment");
    assert!(settings.default.debug, "a flag without a section is one of DEFAULT");
}

#[test]
fn toml_types_and_the_forms_of_ini_mean_the_same() {
    let toml = settings_of(
        "x.toml",
        "debug = true\n[conductor]\nmax_deliveries = 7\nhttp_timeout = \"90s\"\n[trust]\nroles = [\"a,b\", \
         \"c\"]\n\
         trustee_domain_id = \"d\"\ntrustee_domain_admin_id = \"i\"\ntrustee_domain_admin_password = \
         \"p$$w\"\n\
         [oslo_messaging_rabbit]\nkombu_reconnect_delay = 0.5\n[oslo_messaging_notifications]\n\
         driver = [\"messagingv2\", \"log\"]\n",
    );
    let ini = settings_of(
        "x.conf",
        "[default]\ndebug = on\n[Conductor]\nmax_deliveries : 7\nhttp_timeout = 1m30s\n\
         [oslo_messaging_rabbit]\n\
         kombu_reconnect_delay = 0.5\n[oslo_messaging_notifications]\ndriver = messagingv2\ndriver = log\n",
    );
    assert_eq!(toml.trust.roles, ["a,b", "c"], "an item of a TOML list is not parted again");
    assert_eq!(toml.trust.trustee_domain_admin_password.unwrap().expose_secret(), "p$w");
    for settings in [&toml.default, &ini.default] {
        assert!(settings.debug);
    }
    for settings in [&toml.conductor, &ini.conductor] {
        assert_eq!((settings.max_deliveries, settings.http_timeout), (7, Duration::from_secs(90)));
    }
    let (toml, ini) = (toml.oslo_messaging_notifications, ini.oslo_messaging_notifications);
    assert_eq!(toml.driver, ini.driver);
}

#[test]
fn an_empty_value_is_the_default_except_for_lists() {
    let settings = settings_of(
        "x.conf",
        "[conductor]\ntopic =\nmax_deliveries =\n[oslo_messaging_notifications]\ntopics =\n",
    );
    assert_eq!(settings.conductor.topic, "magnum-conductor");
    assert_eq!(settings.conductor.max_deliveries, 5);
    assert!(
        settings.oslo_messaging_notifications.topics.is_empty(),
        "an operator who allows nothing means it"
    );
}

#[test]
fn references_are_replaced() {
    let settings = settings_of(
        "x.conf",
        "[DEFAULT]\nstate_path = /srv\nmy_host = h1\nhost = ${my_host}.example.org\n[conductor]\n\
         heat_template_dir = $state_path/templates\nencryption_key_file = \
         ${conductor.heat_template_dir}/key\n",
    );
    assert_eq!(settings.default.host.as_deref(), Some("h1.example.org"));
    assert_eq!(settings.conductor.heat_template_dir, Some(PathBuf::from("/srv/templates")));
    assert_eq!(settings.conductor.encryption_key_file, Some(PathBuf::from("/srv/templates/key")));
    assert_eq!(settings.database.embedded_file(), Some(PathBuf::from("/srv/mesos-conductor.sqlite")));
}

#[test]
fn options_in_the_transport_url_win_over_the_file() {
    let text = "[DEFAULT]\ntransport_url = \
        rabbit://u:p@h/v?rabbit_quorum_queue=true&ssl_ca_file=%2Fca&bogus=1\n\
                [oslo_messaging_rabbit]\nrabbit_quorum_queue = false\nheartbeat_timeout_threshold = 7\n";
    let (_files, sources) = one_file("x.conf", text);
    let Loaded { settings, warnings, .. } = load(&sources).unwrap();
    let rabbit = settings.oslo_messaging_rabbit;
    assert!(rabbit.rabbit_quorum_queue);
    assert_eq!(rabbit.ssl_ca_file, Some(PathBuf::from("/ca")));
    assert_eq!(rabbit.heartbeat_timeout_threshold, Duration::from_secs(7));
    assert!(warnings[0].to_string().contains("x.conf:2 (in transport_url): [oslo_messaging_rabbit] bogus"));
}

#[test]
fn every_fault_is_listed_at_once() {
    let faults = faults_of(
        "[DEFAULT]\n\
         executor_thread_pool_size = many\n\
         debug = perhaps\n\
         transport_url = http://openstack:s3cret@h\n\
         this is nothing\n\
         host = $nobody\n\
         [conductor]\n\
         operation_lease = 1s\n\
         reply_queue_pattern = (\n\
         encryption_key = c2hvcnQ=\n\
         [telemetry]\n\
         log_format = xml\n\
         health_listen = localhost\n\
         [trust]\n\
         trustee_domain_id = d\n\
         [oslo_messaging_notifications]\n\
         driver = pigeon\n\
         [keystone_auth]\n\
         username = u\n\
         certfile = c\n",
    );
    let expected = [
        "5: neither an option (name = value) nor a [section]; correct the line or put a # before it",
        "6: [DEFAULT] host: $nobody refers to no option; correct the name, or write $$ for a dollar sign",
        "4: [DEFAULT] transport_url: the value (not shown) is not a URL that starts with one of rabbit, \
         kombu, \
         amqp, amqps; correct it, or remove it to use rabbit://",
        "2: [DEFAULT] executor_thread_pool_size: \"many\" is not a whole number from 1 to 10000; correct \
         it, or \
         remove it to use 64",
        "3: [DEFAULT] debug: \"perhaps\" is not true or false (also yes/no, on/off, 1/0); correct it, or \
         remove \
         it to use false",
        "8: [conductor] operation_lease: \"1s\" is not a duration of at least 2s, such as 10s, 5m, 1h30m, or \
         plain seconds; correct it, or remove it to use 10s",
        "9: [conductor] reply_queue_pattern: \"(\" is not a regular expression; correct it, or remove it to \
         use \
         ^reply_",
        "13: [telemetry] health_listen: \"localhost\" is not an address and port such as 127.0.0.1:9517; \
         correct \
         it, or remove it to use 127.0.0.1:9517",
        "12: [telemetry] log_format: \"xml\" is not one of text, json; correct it, or remove it to use text",
        "17: [oslo_messaging_notifications] driver: \"pigeon\" is not one of messaging, messagingv2, \
         routing, \
         log, test, noop, given once per item; correct it or remove it",
        "10: [conductor] encryption_key: key 1 is not base64 of 32 bytes; make one with: mesos-conductor \
         config \
         keygen",
        "[keystone_auth] auth_url: is missing, though a service user is named; set it in [keystone_auth]",
        "[keystone_auth] password: is missing, though a service user is named; set it in [keystone_auth]",
        "[keystone_auth] project_name: is missing, though a service user is named; set it in [keystone_auth]",
        "[keystone_auth] keyfile: is missing, though certfile is given; set both certfile and keyfile, or \
         neither",
        "[trust] trustee_domain_admin_id: is missing, though other options of [trust] are given; set \
         trustee_domain_admin_id or trustee_domain_admin_name; a trustee needs its domain, an administrator \
         and \
         a password",
        "[trust] trustee_domain_admin_password: is missing, though other options of [trust] are given; set \
         trustee_domain_admin_password; a trustee needs its domain, an administrator and a password",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn options_that_do_not_fit_together_are_faults() {
    let check = |text: &str, expected: &str| {
        let faults = faults_of(text);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{text}: {faults:#?}");
    };
    check("[database]\nconnection = postgresql://u:p@h/d\n", "secrets in this database need a key");
    check(
        "[oslo_messaging_rabbit]\nrabbit_quorum_queue = 1\nrabbit_ha_queues = 1\n",
        "mirrored and quorum queues exclude each other",
    );
    check(
        "[oslo_messaging_rabbit]\nrabbit_stream_fanout = 1\nrabbit_transient_quorum_queue = 1\n",
        "a stream needs a prefetch count",
    );
    check(
        "[oslo_messaging_rabbit]\nrabbit_stream_fanout = 1\nrabbit_qos_prefetch_count = 1\n",
        "needs rabbit_transient_quorum_queue",
    );
    check("[conductor]\ntopic = a b\n", "is not a name");
    check("[conductor]\nhttp_connect_timeout = 1h\n", "is longer than http_timeout");
    check("[conductor]\noperation_deadline = 10s\n", "is not longer than operation_lease");
    check("[keystone_auth]\nauth_section = elsewhere\n", "the section \"elsewhere\" is not read");
    check("[keystone_auth]\nauth_type = v3token\n", "is not supported");
    check(
        &format!("[conductor]\nencryption_key = {KEY}\nencryption_key_file = /k\n"),
        "keep them in one place",
    );
    check("[DEFAULT]\npassword_symbols =\n", "no characters are left");
    check("[DEFAULT]\nhost = $host\n", "leads back to this option");
}

#[test]
fn a_client_needs_no_key_and_no_whole_trust() {
    let (_files, sources) =
        one_file("x.conf", "[database]\nconnection = mysql://u:p@h/d\n[trust]\ntrustee_domain_id = d\n");
    assert!(read(&sources).is_ok());
    assert_eq!(load(&sources).unwrap_err().0.len(), 3, "a key, an administrator and a password");
}

#[test]
fn files_that_cannot_be_read_are_faults() {
    let files = Files::new();
    let toml = files.write("bad.toml", "[a]\npassword = \"hunter2\nx = 1\n");
    let table = files.write("table.toml", "[conductor.topic]\nx = 1\n");
    let sources = Sources {
        files: vec![files.0.path().join("missing.conf"), toml, table],
        directories: vec![files.0.path().join("missing.d")],
        overrides: vec!["nothing".to_owned()],
        ..Sources::default()
    };
    let faults = load(&sources).unwrap_err();
    let text = faults.to_string();
    assert_eq!(faults.0.len(), 5, "{text}");
    for part in
        ["missing.conf: cannot be read", "missing.d: cannot be read", "bad.toml: is not TOML", "line 2"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(text.contains("[conductor] topic: a table is not the value of an option"), "{text}");
    assert!(text.contains("write --set section.option=value"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_wrong_value_of_toml_names_its_line() {
    let (_files, sources) =
        one_file("x.toml", "# c\n[conductor]\n\nmax_deliveries = \"x\"\ntopic = [\"a\", \"b\"]\n");
    let text = load(&sources).unwrap_err().to_string();
    assert!(text.contains("x.toml:4: [conductor] max_deliveries: \"x\" is not a whole number"), "{text}");
    assert!(text.contains("x.toml:5: [conductor] topic: a list is not text"), "{text}");
}

#[test]
fn an_unknown_option_is_told_with_the_one_that_was_meant() {
    let unknown = |text: &str| {
        let (_files, sources) = one_file("x.conf", text);
        load(&sources).unwrap().warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let check = |text: &str, expected: &str| {
        let warning = unknown(text);
        assert!(warning.ends_with(expected), "{warning}");
    };
    check("[DEFAULT]\ntransport_ulr = x\n", "did you mean [DEFAULT] transport_url?");
    check("[conductr]\ntopic = x\n", "did you mean [conductor] topic?");
    check("[DEFAULT]\ntopic = x\n", "did you mean [conductor] topic?");
    check("[conductor]\nbanana = x\n", "[conductor] banana is not an option; it is left out");
    let (_files, mut sources) = one_file("x.conf", "");
    sources.environment = vec![("CONDUCTOR__DATABASE__CONECTION".to_owned(), "x".to_owned())];
    let warnings = load(&sources).unwrap().warnings;
    assert_eq!(
        warnings[0].to_string(),
        "environment variable CONDUCTOR__DATABASE__CONECTION: [database] conection is not an option; did you \
         mean [database] connection?"
    );
}

#[test]
fn a_current_name_wins_over_an_older_one_beside_it() {
    let settings = settings_of(
        "x.conf",
        "[cluster_heat]\ncreate_timeout = 5\n[bay_heat]\nbay_create_timeout = 6\n[DEFAULT]\nrabbit_host = r\n\
         rabbit_password = p@ss\n",
    );
    assert_eq!(settings.cluster_heat.create_timeout, 5);
    assert_eq!(settings.transport_url().expose_secret(), "rabbit://guest:p%40ss@r:5672/%2F");
}

#[test]
fn the_host_of_transport_url_wins_over_the_options_of_liberty() {
    let settings = settings_of("x.conf", "[DEFAULT]\ntransport_url = rabbit://h/\nrabbit_host = r\n");
    assert_eq!(settings.transport_url().expose_secret(), "rabbit://h/");
    let several =
        settings_of("x.conf", "[oslo_messaging_rabbit]\nrabbit_hosts = a:1, b\nrabbit_virtual_host = /v\n");
    assert_eq!(several.transport_url().expose_secret(), "rabbit://guest:guest@a:1,guest:guest@b:5672/%2Fv");
}

#[test]
fn the_service_user_is_found_in_any_release() {
    let check = |text: &str, expected: (&str, &str, &str, &str)| {
        let user = settings_of("x.conf", text).service_user().unwrap();
        let domain = user.user_domain_id.or(user.user_domain_name).unwrap();
        assert_eq!((user.section, &*user.username.unwrap(), &*user.auth_url.unwrap(), &*domain), expected);
    };
    check(
        "[keystone_authtoken]\nadmin_user = m\nadmin_password = p\nadmin_tenant_name = service\n\
         identity_uri = http://k:35357\nauth_uri = http://k:5000\n",
        ("keystone_authtoken", "m", "http://k:35357", "default"),
    );
    check(
        "[keystone_auth]\nusername = m\npassword = p\nproject_name = service\nuser_domain_name = d\n\
         [keystone_authtoken]\nwww_authenticate_uri = http://k/identity\nusername = other\npassword = p\n",
        ("keystone_auth", "m", "http://k/identity", "d"),
    );
    assert!(Settings::default().service_user().is_none());
}

#[test]
fn the_default_file_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/mesos-conductor.toml");
    let file = fs::read_to_string(path).unwrap();
    assert!(
        file == default_file(),
        "config/mesos-conductor.toml is out of date; run: cargo run -- config show --defaults > {path}"
    );
}

#[test]
fn the_default_file_changes_nothing_even_when_every_line_is_in_force() {
    let commented = default_file();
    let in_force: String = commented
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(option) if option.contains(" = ") && !option.starts_with(' ') => format!("{option}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let expected = show(&load(&Sources::default()).unwrap().effective);
    for text in [commented, in_force] {
        let (_files, sources) = one_file("x.toml", &text);
        let loaded = load(&sources).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(loaded.warnings, []);
        let shown = show(&loaded.effective);
        let lines = shown.lines().filter(|line| !line.starts_with("# from"));
        assert_eq!(lines.collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>());
    }
}

#[test]
fn names_in_the_table_are_unique() {
    let mut seen = std::collections::BTreeSet::new();
    for option in settings::options() {
        assert!(!option.help.trim().is_empty(), "{} has no help text", option.label());
        assert!(seen.insert((option.section.to_owned(), option.name)), "{} twice", option.label());
        assert!(foreign::why_unused(option.section, option.name).is_none(), "{} is used", option.label());
        for (section, name) in option.spec.aliases {
            assert!(seen.insert(((*section).to_owned(), *name)), "[{section}] {name} twice");
        }
    }
}

#[test]
fn durations_are_read_in_units_and_plain_seconds() {
    let check = |text: &str, seconds: Option<f64>| {
        assert_eq!(kind::parse_duration(text).map(|d| d.as_secs_f64()), seconds, "{text}");
    };
    check("60", Some(60.0));
    check("0.5", Some(0.5));
    check("250ms", Some(0.25));
    check("1h30m", Some(5400.0));
    check("1d 2s", Some(86402.0));
    for wrong in ["", "-1", "s", "1x", "1h30", "nan", "inf", "99999999999999999999h", "1.5h"] {
        if wrong.is_empty() {
            continue;
        }
        check(wrong, None);
    }
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_a_list_of_faults(
        value in "\\PC{0,20}", name in "(topic|encryption_key|poll_interval|\\PC{0,5})", as_toml: bool
    ) {
        let (name_of_file, text) = match as_toml {
            true => ("x.toml", format!("[conductor]\n{name} = {value}\n")),
            false => ("x.conf", format!("[conductor]\n{name} = {value}\n")),
        };
        let (_files, mut sources) = one_file(name_of_file, &text);
        sources.overrides = vec![format!("{name}={value}"), value.clone()];
        sources.environment = vec![(format!("CONDUCTOR__{name}"), value)];
        if let Err(faults) = load(&sources) {
            prop_assert!(!faults.0.is_empty());
        }
    }
}
