//! What OpenSSL says of the certificates and keys: the program, which shares no code with ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mesos_conductor::bay::secrets::node_name;
use mesos_conductor::certificate::PrivateKey;
use mesos_conductor::store::{Key, Scope};
use secrecy::ExposeSecret as _;

use super::{authority_of, kept, pem, sign, store};
use crate::support::{Caller, World, data};

/// Runs `openssl` and returns what it says, and whether it was content.
pub(super) fn openssl(arguments: &[&str]) -> (bool, String) {
    let run = Command::new("openssl").args(arguments).stdin(Stdio::null()).output();
    let output = run.expect("openssl is installed");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

pub(super) fn said(arguments: &[&str]) -> String {
    let (content, text) = openssl(arguments);
    assert!(content, "openssl {arguments:?}: {text}");
    text
}

/// A directory to hand files to OpenSSL in.
pub(super) struct Desk(PathBuf);

impl Desk {
    pub(super) fn put(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// A request for a certificate, made with these arguments, and its key beside it.
    fn request(&self, arguments: &[&str]) -> String {
        let (key, out) = (self.path("asked.key"), self.path("asked.csr"));
        let mut all = vec!["req", "-new", "-nodes", "-keyout", &key, "-out", &out];
        all.extend(arguments);
        said(&all);
        std::fs::read_to_string(out).unwrap()
    }
}

pub(super) fn desk(world: &World) -> Desk {
    Desk(Path::new(world.directory.path()).to_owned())
}

fn shown(certificate: &str) -> String {
    said(&["x509", "-in", certificate, "-noout", "-text", "-nameopt", "RFC2253"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bays_chain_names_and_usages_are_verified_by_openssl() {
    let mut world = World::new().await;
    world.key_size = 2048;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    let desk = desk(&world);

    let ca = desk.put("ca.crt", &authority_of(&caller, &bay).await.unwrap());
    let text = shown(&ca);
    for expected in [
        "Issuer: CN=b1",
        "Subject: CN=b1",
        "2048 bit",
        "sha256WithRSAEncryption",
        "CA:TRUE\n",
        "Certificate Sign",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    said(&["verify", "-CAfile", &ca, &ca]);

    // A subject of several parts of one kind, an elliptic key, and what the rules grant.
    let csr = desk.request(&[
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-subj",
        "/O=one/OU=two/OU=three/CN=node1",
        "-addext",
        "subjectAltName=DNS:node1.example,IP:192.0.2.1",
        "-addext",
        "keyUsage=critical,digitalSignature",
        "-addext",
        "extendedKeyUsage=clientAuth",
    ]);
    let signed = sign(&caller, &bay, &csr).await.unwrap();
    assert_eq!(data(&signed)["csr"], csr.as_str());
    let leaf = desk.put("leaf.crt", pem(&signed));
    let text = shown(&leaf);
    for expected in [
        "Subject: CN=node1,OU=three,OU=two,O=one",
        "DNS:node1.example, IP Address:192.0.2.1",
        "TLS Web Client Authentication",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    said(&["verify", "-CAfile", &ca, "-purpose", "sslclient", &leaf]);
    assert!(!openssl(&["verify", "-CAfile", &ca, "-purpose", "sslserver", &leaf]).0);

    // What the nodes serve with.
    let secrets = kept(&world, &bay).await.unwrap().secrets().expect("TLS is on");
    let (node, key) = (desk.put("node.crt", &secrets.node_certificate), secrets.node_key.expose_secret());
    let name = node_name(bay.parse().unwrap());
    for purpose in ["sslserver", "sslclient"] {
        said(&["verify", "-CAfile", &ca, "-purpose", purpose, "-verify_hostname", &name, &node]);
        said(&["verify", "-CAfile", &ca, "-purpose", purpose, "-verify_hostname", "localhost", &node]);
    }
    assert!(!openssl(&["verify", "-CAfile", &ca, "-verify_hostname", "other.mesos.bay", &node]).0);
    let key = desk.put("node.key", key);
    assert_eq!(said(&["pkey", "-in", &key, "-pubout"]), said(&["x509", "-in", &node, "-noout", "-pubkey"]));
    assert_eq!(secrets.ca_certificate, std::fs::read_to_string(&ca).unwrap());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kept_pairs_are_opened_by_openssl_with_their_passphrases() {
    let mut world = World::new().await;
    world.key_size = 2048;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.bay(&caller.create_bay(&model).await).await.unwrap();
    let desk = desk(&world);
    let store = store(&world).await;
    for (reference, purpose) in [("ca_cert_ref", "any"), ("magnum_cert_ref", "sslclient")] {
        let uuid = data(&bay)[reference].as_str().expect("a reference").parse().unwrap();
        let pair = store.key_pair(&Scope::All, Key::Uuid(uuid)).await.unwrap().expect("it is kept");
        let key = desk.put("kept.key", pair.private_key.unwrap().expose_secret());
        let certificate = desk.put("kept.crt", &pair.certificate.unwrap());
        let passphrase = format!("pass:{}", pair.passphrase.unwrap().expose_secret());
        let opened = said(&["pkey", "-in", &key, "-passin", &passphrase, "-pubout"]);
        assert_eq!(opened, said(&["x509", "-in", &certificate, "-noout", "-pubkey"]));
        assert!(!openssl(&["pkey", "-in", &key, "-passin", "pass:wrong", "-noout"]).0);
        if reference == "magnum_cert_ref" {
            let ca = desk
                .put("ca.crt", &authority_of(&caller, data(&bay)["uuid"].as_str().unwrap()).await.unwrap());
            said(&["verify", "-CAfile", &ca, "-purpose", purpose, &certificate]);
            assert!(shown(&certificate).contains("Subject: CN=Magnum-Conductor"));
        }
    }
    store.close().await;
    worker.stop().await;
}

#[tokio::test]
async fn keys_as_older_releases_encrypted_them_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk(directory.path().to_owned());
    let clear = desk.path("clear.key");
    said(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &clear]);
    for digest in ["hmacWithSHA1", "hmacWithSHA256"] {
        let sealed = desk.path(digest);
        said(&[
            "pkcs8",
            "-topk8",
            "-in",
            &clear,
            "-v2",
            "aes-256-cbc",
            "-v2prf",
            digest,
            "-passout",
            "pass:old",
            "-out",
            &sealed,
        ]);
        let sealed = std::fs::read_to_string(sealed).unwrap();
        let key = PrivateKey::read(&sealed.into(), Some(&"old".into())).unwrap();
        let read = desk.put("read.key", key.to_pem().expose_secret());
        assert_eq!(
            said(&["pkey", "-in", &read, "-pubout"]),
            said(&["pkey", "-in", &clear, "-pubout"]),
            "{digest}"
        );
    }
}
