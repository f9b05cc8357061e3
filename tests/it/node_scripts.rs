//! What a node's first boot does: the scripts of the templates, run in a throw-away root
//! (`tests/nodes/run.py`).
//!
//! Each distribution's user data is rendered as Heat would, laid down and run, twice, with stand-ins for systemd,
//! for package managers and for the services. What the services themselves make of it is not shown here.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::process::Command;

use super::python;

const TOKEN: &str = "a \"token\" \\";
const SECRETS: [&str; 3] = ["mesos \"secret\" \\ $x", "marathon 'password' `y`", "zookeeperpassword"];

#[derive(Deserialize)]
struct Outcome {
    runs: Vec<Run>,
    told: Vec<Told>,
}

#[derive(Deserialize)]
struct Run {
    status: i32,
    said: String,
    /// The files that the root has beside the machine's own: mode and text.
    files: BTreeMap<String, (String, String)>,
}

#[derive(Debug, Deserialize)]
struct Told {
    status: String,
    reason: String,
    token: String,
}

impl Outcome {
    fn file(&self, path: &str) -> &str {
        let files = &self.runs[0].files;
        let (_, text) = files.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", files.keys()));
        text
    }

    /// The variables that a stand-in of a service was started with.
    fn variables(&self, service: &str) -> Map<String, Value> {
        let started: Value = serde_json::from_str(self.file(&format!("/var/log/{service}.json"))).unwrap();
        assert_eq!(started["arguments"], json!([]), "options could be read by every user of the node");
        started["variables"].as_object().unwrap().clone()
    }
}

/// A node that finds all packages, with TLS or without.
fn node(distribution: &str, role: &str, tls: bool) -> Value {
    let mut parameters = json!({
        "cluster_name": "a \"name\" $x",
        "mesos_slave_executor_env_variables": {"PATH": "/bin:\"x\" 'y' $HOME \\"},
    });
    if tls {
        let given = json!({
            "tls_enabled": true, "node_name": "1234.mesos.bay", "mesos_principal": "mesos",
            "mesos_secret": SECRETS[0], "marathon_username": "marathon", "marathon_password": SECRETS[1],
            "zookeeper_password": SECRETS[2],
        });
        parameters.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    }
    json!({
        "distribution": distribution, "role": role, "token": TOKEN, "parameters": parameters,
        "packages": ["zookeeper", "mesos", "marathon", "java", "docker"],
    })
}

async fn boot(specification: &Value) -> Outcome {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nodes/run.py");
    let directory = tempfile::tempdir().unwrap();
    let mut unshare = Command::new("unshare");
    // Namespaces of its own: what it mounts, and its addresses, are gone with it.
    unshare.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if std::env::var_os("USER").is_some_and(|user| user != "root") {
        unshare.arg("--map-root-user");
    }
    unshare.arg(python::interpreter()).arg(script).arg(directory.path()).arg(specification.to_string());
    let output = unshare.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("unshare starts");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {err}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A boot that Heat hears well of, twice, with the same files after both runs.
async fn good_boot(specification: &Value) -> Outcome {
    let outcome = boot(specification).await;
    for run in &outcome.runs {
        assert_eq!(run.status, 0, "{}", run.said);
    }
    for told in &outcome.told {
        assert_eq!((told.status.as_str(), told.token.as_str()), ("SUCCESS", TOKEN), "{}", told.reason);
    }
    assert_eq!(outcome.told.len(), 2);
    let lasting = |run: &Run| {
        let files = run.files.iter().filter(|(path, _)| !path.starts_with("/var/log/"));
        files.map(|(path, file)| (path.clone(), file.clone())).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(lasting(&outcome.runs[0]), lasting(&outcome.runs[1]), "a second run changes nothing");
    outcome
}

/// A boot that ends, and what Heat is told of it.
async fn refused(specification: &Value) -> String {
    let outcome = boot(specification).await;
    let told = outcome.told.first().expect("Heat is told");
    assert!(outcome.runs[0].status != 0 && told.status == "FAILURE", "{}", outcome.runs[0].said);
    told.reason.clone()
}

/// Secrets stand only in files that only root (or the service itself) reads, and in no command.
fn assert_secrets_are_kept(outcome: &Outcome) {
    let files = outcome.runs[0].files.iter();
    // The stand-ins of services write down what they were started with.
    for (path, (mode, text)) in files.filter(|(path, _)| !path.ends_with(".json") || path.starts_with("/etc"))
    {
        let holds = SECRETS.iter().any(|secret| text.contains(secret) || text.contains(&escaped(secret)));
        if holds || text.contains("PRIVATE KEY") {
            assert_eq!(mode, "-rw-------", "{path}");
        }
    }
}

/// A master serves with the whole chain, and trusts the authority from before the rotation too.
fn assert_generations_are_known(outcome: &Outcome) {
    let certificates = |text: &str| -> Vec<String> {
        let parts = text.split_inclusive("-----END CERTIFICATE-----\n");
        parts.filter_map(|part| Some(part.get(part.rfind("-----BEGIN CERTIFICATE")?..)?.to_owned())).collect()
    };
    let authorities = certificates(outcome.file("/etc/mesos-bay/tls/ca.pem"));
    let chain = certificates(outcome.file("/etc/mesos-bay/tls/certificate.pem"));
    assert_eq!((authorities.len(), chain.len()), (2, 2));
    let (_, store) = &outcome.runs[0].files["/etc/mesos-bay/marathon.jks"];
    let mut entries = store.split("entry ").skip(1).map(|entry| {
        let (alias, _) = entry.split_once('\n').unwrap();
        (alias, certificates(entry))
    });
    assert_eq!(entries.next(), Some(("marathon", chain.clone())));
    for (alias, authority) in ["authority-1", "authority-2"].into_iter().zip(authorities) {
        assert_eq!(entries.next(), Some((alias, vec![authority])));
    }
    assert_eq!(entries.next(), None);
    assert_eq!(outcome.runs[0].files["/etc/mesos-bay/marathon.jks"].0, "-rw-------");
    let keys = outcome.file("/etc/mesos-bay/zookeeper.pem");
    let (_, served) = keys.split_once("-----END PRIVATE KEY-----\n").unwrap();
    assert_eq!(certificates(served), chain);
    assert!(!outcome.runs[0].files.contains_key("/etc/mesos-bay/marathon.p12"), "what was in between goes");
}

fn escaped(secret: &str) -> String {
    json!(secret).to_string().trim_matches('"').to_owned()
}

#[tokio::test]
async fn a_master_with_tls_is_set_up_on_every_distribution() {
    for distribution in ["ubuntu", "centos", "coreos"] {
        let outcome = good_boot(&node(distribution, "master", true)).await;
        let zookeeper = outcome.file("/etc/mesos-bay/zoo.cfg");
        for line in ["secureClientPort=2281", "sslQuorum=true", "server.1=10.9.0.1:2888:3888"] {
            assert!(zookeeper.lines().any(|found| found == line), "{distribution}: {zookeeper}");
        }
        assert!(!zookeeper.contains("\nclientPort="), "{distribution}: no port without TLS");
        let mesos = outcome.variables("mesos-master");
        assert_eq!(mesos["MESOS_CLUSTER"], "a \"name\" $x");
        for name in ["AGENTS", "FRAMEWORKS", "HTTP_READONLY", "HTTP_READWRITE", "HTTP_FRAMEWORKS"] {
            assert_eq!(mesos[&format!("MESOS_AUTHENTICATE_{name}")], "true");
        }
        assert_eq!(mesos["LIBPROCESS_SSL_SUPPORT_DOWNGRADE"], "false");
        let credentials: Value =
            serde_json::from_str(outcome.file("/etc/mesos-bay/credentials.json")).unwrap();
        assert_eq!(credentials, json!({"credentials": [{"principal": "mesos", "secret": SECRETS[0]}]}));
        let marathon = outcome.variables("marathon");
        assert_eq!(marathon["MESOSPHERE_HTTP_CREDENTIALS"], format!("marathon:{}", SECRETS[1]));
        assert_eq!(marathon["MARATHON_ZK"], format!("zk://mesos:{}@127.0.0.1:2181/marathon", SECRETS[2]));
        assert!(
            marathon.contains_key("MARATHON_DISABLE_HTTP") && !marathon.contains_key("MARATHON_HTTP_PORT")
        );
        assert_eq!(marathon["LIBPROCESS_SSL_VERIFY_CERT"], "true");
        assert_eq!(marathon["MESOSPHERE_KEYSTORE_PATH"], "/etc/mesos-bay/marathon.jks");
        assert_generations_are_known(&outcome);
        assert!(outcome.file("/etc/hosts").contains("10.9.0.1 1234.mesos.bay"));
        assert!(outcome.file("/etc/mesos-bay/stunnel.conf").contains("checkHost = 1234.mesos.bay"));
        assert_secrets_are_kept(&outcome);
    }
}

#[tokio::test]
async fn an_agent_with_tls_is_set_up_on_every_distribution() {
    for distribution in ["ubuntu", "centos", "coreos"] {
        let outcome = good_boot(&node(distribution, "agent", true)).await;
        let mesos = outcome.variables("mesos-agent");
        assert_eq!(mesos["MESOS_CREDENTIAL"], "file:///etc/mesos-bay/credential.json");
        assert_eq!(mesos["MESOS_MASTER"], "file:///etc/mesos-bay/zk");
        let executors: Value =
            serde_json::from_str(outcome.file("/etc/mesos-bay/executor-environment.json")).unwrap();
        assert_eq!(executors["PATH"], "/bin:\"x\" 'y' $HOME \\", "{distribution}");
        // Without these an executor could not speak to its agent.
        assert_eq!(executors["LIBPROCESS_SSL_ENABLED"], "true", "{distribution}");
        assert_secrets_are_kept(&outcome);
    }
}

/// Nova takes 65535 bytes, in base64, and with them ends how many authorities a node can be told of.
#[tokio::test]
async fn user_data_fits_with_as_much_of_the_past_as_a_node_is_told() {
    const PAST: usize = 10_000;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let full = std::fs::read_to_string(root.join("tests/nodes/full.json")).unwrap();
    let mut parameters: Value = serde_json::from_str(&full).unwrap();
    for name in ["ca_certificate", "node_certificate"] {
        let now = parameters[name].as_str().unwrap();
        parameters[name] = json!(now.to_owned() + &format!("{}\n", "x".repeat(64)).repeat(PAST / 2 / 65 + 1));
    }
    let directory = tempfile::tempdir().unwrap();
    for distribution in ["ubuntu", "centos", "coreos"] {
        for role in ["master", "agent"] {
            let mut render = Command::new(python::interpreter());
            render.arg(root.join("tests/nodes/render.py")).arg(root.join("config/heat"));
            render.args([distribution, role]).arg(parameters.to_string()).arg(directory.path());
            let output = render.stdin(Stdio::null()).output().await.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let told = std::fs::metadata(directory.path().join("user-data")).unwrap().len();
            let sent = told.div_ceil(3) * 4;
            assert!(sent <= 65_535, "{distribution} {role}: {told} bytes, {sent} in base64");
        }
    }
}

#[tokio::test]
async fn without_tls_the_plain_ports_answer() {
    let outcome = good_boot(&node("ubuntu", "master", false)).await;
    assert!(outcome.file("/etc/mesos-bay/zoo.cfg").contains("\nclientPort=2181\n"));
    assert_eq!(outcome.variables("marathon")["MARATHON_HTTP_PORT"], "8080");
    assert!(!outcome.variables("mesos-master").contains_key("LIBPROCESS_SSL_ENABLED"));
}

#[tokio::test]
async fn g16_executor_variables_arrive_intact() {
    let outcome = good_boot(&node("ubuntu", "agent", false)).await;
    let executors: Value =
        serde_json::from_str(outcome.file("/etc/mesos-bay/executor-environment.json")).unwrap();
    assert_eq!(executors, json!({"PATH": "/bin:\"x\" 'y' $HOME \\"}));
}

#[tokio::test]
async fn services_that_fetch_are_told_of_the_proxy() {
    let mut specification = node("centos", "agent", false);
    // What is fetched is inside the bay here, so the proxy is not asked for it.
    specification["parameters"]["http_proxy"] = json!("http://user:pass@proxy.example.org:3128");
    specification["parameters"]["no_proxy"] = json!("example.org,10.9.0.100");
    let outcome = good_boot(&specification).await;
    let mesos = outcome.variables("mesos-agent");
    assert_eq!(mesos["http_proxy"], "http://user:pass@proxy.example.org:3128");
    let none = mesos["no_proxy"].as_str().unwrap();
    assert!(none.starts_with("example.org,10.9.0.100,127.0.0.1,localhost,"), "{none}");
    assert!(none.ends_with(",10.9.0.1,10.9.0.0/24"), "{none}");
    assert!(outcome.file("/etc/systemd/system/docker.service.d/proxy.conf").contains("proxy.env"));
    specification["role"] = json!("master");
    let marathon = good_boot(&specification).await.variables("marathon");
    let options = marathon["JAVA_OPTS"].as_str().unwrap();
    assert!(options.contains("-Dhttp.proxyHost=proxy.example.org -Dhttp.proxyPort=3128"), "{options}");
}

#[tokio::test]
async fn g08_a_package_is_used_only_with_its_checksum() {
    let mut specification = node("ubuntu", "agent", false);
    specification["parameters"]["mesos_package_sha256"] = json!("0".repeat(64));
    let reason = refused(&specification).await;
    assert!(reason.contains("the SHA-256 of http://10.9.0.100:8000/mesos.tgz is not 0000"), "{reason}");
}

#[tokio::test]
async fn a_component_that_nothing_has_is_named() {
    for distribution in ["ubuntu", "centos", "coreos"] {
        let mut specification = node(distribution, "agent", false);
        specification["packages"] = json!(["docker"]);
        let reason = refused(&specification).await;
        let expected = "neither the image nor its distribution has mesos: set mesos_package_url";
        assert!(reason.ends_with(expected), "{distribution}: {reason}");
    }
}

#[tokio::test]
async fn a_node_of_an_image_with_the_element_needs_no_source() {
    let mut specification = node("centos", "master", false);
    specification["image"] = json!(["zookeeper", "mesos", "marathon"]);
    specification["packages"] = json!(["java"]);
    good_boot(&specification).await;
}

#[tokio::test]
async fn a_zookeeper_without_tls_is_not_used_where_tls_is_wanted() {
    let mut specification = node("ubuntu", "master", true);
    specification["zookeeper"] = json!("3.4.13");
    let reason = refused(&specification).await;
    assert!(reason.contains("ZooKeeper 3.4.13 has no TLS"), "{reason}");
}

#[tokio::test]
async fn g25_the_cloud_s_authority_goes_to_the_system() {
    for (distribution, anchor, command) in [
        ("ubuntu", "/usr/local/share/ca-certificates/mesos-bay-openstack.crt", "update-ca-certificates"),
        ("centos", "/etc/pki/ca-trust/source/anchors/mesos-bay-openstack.pem", "update-ca-trust"),
    ] {
        let mut specification = node(distribution, "agent", false);
        specification["parameters"]["openstack_ca"] = json!("-----BEGIN CERTIFICATE-----\nx\n");
        specification["parameters"]["verify_ca"] = json!(false);
        let outcome = good_boot(&specification).await;
        assert_eq!(outcome.file(anchor), "-----BEGIN CERTIFICATE-----\nx\n");
        assert!(outcome.file("/var/log/packages").contains(command), "{distribution}");
    }
}
