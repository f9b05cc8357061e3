//! The forms of certificates and the rules for requests. That OpenSSL reads all of it is shown in `tests/it`.

use std::sync::LazyLock;

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, KeyPair};
use secrecy::ExposeSecret as _;
use uuid::Uuid;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

use super::issue::authority_name;
use super::*;

/// Making keys takes its time.
static KEY: LazyLock<(SecretString, Vec<u8>)> = LazyLock::new(|| {
    use x509_cert::der::Encode as _;
    let (key, public) = PrivateKey::generate(2048).unwrap();
    (key.to_pem(), public.to_der().unwrap())
});

fn key() -> NewPair {
    use x509_cert::der::Decode as _;
    let public = x509_cert::spki::SubjectPublicKeyInfoOwned::from_der(&KEY.1).unwrap();
    (PrivateKey::read(&KEY.0, None).unwrap(), public)
}

fn authority() -> Authority {
    Authority::create(key(), "b1", 1825).unwrap().0
}

fn rules() -> Rules {
    let extensions =
        ["keyUsage", "extendedKeyUsage", "subjectAltName", "basicConstraints", "subjectKeyIdentifier"];
    let usages = ["Digital Signature", "Key Encipherment", "Non Repudiation"];
    Rules {
        allow_ca: false,
        extensions: extensions.map(|name| name.parse().unwrap()).to_vec(),
        usages: usages.map(|name| name.parse().unwrap()).to_vec(),
        valid_for: 1825,
    }
}

/// What is seen of a certificate: its extensions, each as `name critical: value`.
fn seen(pem: &str, look: impl FnOnce(&X509Certificate<'_>)) -> Vec<String> {
    let (_, document) = parse_x509_pem(pem.as_bytes()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&document.contents).unwrap();
    look(&certificate);
    let shown = certificate.extensions().iter().map(|extension| {
        let value = if let ParsedExtension::BasicConstraints(is) = extension.parsed_extension() {
            format!("basicConstraints {:?} {:?}", is.ca, is.path_len_constraint)
        } else if let ParsedExtension::KeyUsage(usage) = extension.parsed_extension() {
            format!("keyUsage {usage}")
        } else if let ParsedExtension::ExtendedKeyUsage(usage) = extension.parsed_extension() {
            format!("extendedKeyUsage {} {}", usage.server_auth, usage.client_auth)
        } else if let ParsedExtension::SubjectAlternativeName(name) = extension.parsed_extension() {
            let names: Vec<_> = name.general_names.iter().map(ToString::to_string).collect();
            format!("subjectAltName {}", names.join(" "))
        } else {
            extension.oid.to_id_string()
        };
        if extension.critical { format!("{value} !") } else { value }
    });
    shown.collect()
}

#[test]
fn an_authority_is_as_magnum_makes_it() {
    let (_, pair) = Authority::create(key(), "b1", 1825).unwrap();
    let extensions = seen(&pair.certificate, |certificate| {
        assert_eq!(certificate.subject().to_string(), "CN=b1");
        assert_eq!(certificate.issuer(), certificate.subject());
        assert_eq!(certificate.version().0, 2);
        certificate.verify_signature(None).unwrap();
        let validity = certificate.validity();
        let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
        assert_eq!(days, 1826);
        assert!(certificate.serial.bits() > 64 && certificate.serial.bits() <= 128);
    });
    assert_eq!(extensions, ["basicConstraints true None !", "keyUsage Key Cert Sign !"]);
}

#[test]
fn an_authority_is_signed_by_the_one_before_it_for_as_long_as_that_is_good() {
    let (old, old_pair) = Authority::create(key(), "b1", 1).unwrap();
    let other = PrivateKey::generate(2048).unwrap();
    let (_, new_pair) = Authority::create(other, "b1 2", 1825).unwrap();
    let cross = old.cross(&new_pair.certificate).unwrap();
    let of = |pem: &str, look: &mut dyn FnMut(&X509Certificate<'_>)| seen(pem, |found| look(found));
    let (mut old_ends, mut old_key, mut new_key) = (0, Vec::new(), Vec::new());
    of(&old_pair.certificate, &mut |old| {
        old_ends = old.validity().not_after.timestamp();
        old_key = old.public_key().raw.to_vec();
    });
    let extensions = of(&new_pair.certificate, &mut |new| new_key = new.public_key().raw.to_vec());
    let kept = of(&cross, &mut |cross| {
        assert_eq!(
            (cross.subject().to_string(), cross.issuer().to_string()),
            ("CN=b1 2".into(), "CN=b1".into())
        );
        assert_eq!(cross.public_key().raw, new_key);
        assert_eq!(cross.validity().not_after.timestamp(), old_ends);
        let (_, signer) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&old_key).unwrap();
        cross.verify_signature(Some(&signer)).unwrap();
    });
    assert_eq!(kept, extensions);
}

/// An authority that the deployment's former conductor, or somebody else, has made.
fn foreign(constraint: BasicConstraints, ends: i32) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "b1");
    params.is_ca = IsCa::Ca(constraint);
    params.not_after = rcgen::date_time_ymd(ends, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let private_key = key.serialize_pem().into();
    Authority::open(&Pair { certificate, private_key, passphrase: None, intermediates: None }, 1).unwrap()
}

#[test]
fn an_authority_that_may_have_none_below_it_signs_none() {
    let new = Authority::create(key(), "b1 2", 1).unwrap().1.certificate;
    for limit in [0, 1] {
        let refused = foreign(BasicConstraints::Constrained(limit), 2049).cross(&new).unwrap_err();
        assert_eq!(refused.to_string(), "an authority may not sign another");
    }
    let refused = foreign(BasicConstraints::Unconstrained, 2001).cross(&new).unwrap_err();
    assert_eq!(refused.to_string(), "an authority is out of date");
}

#[test]
fn what_is_out_of_date_is_known() {
    let certificate = |ends| foreign(BasicConstraints::Unconstrained, ends).certificate().unwrap();
    assert!(is_expired(&certificate(2001)));
    assert!(!is_expired(&certificate(2049)));
    assert!(!is_expired("no certificate"));
}

#[test]
fn the_conductors_certificate_is_as_magnum_makes_it() {
    let pair = authority().client(key()).unwrap();
    let extensions = seen(&pair.certificate, |certificate| {
        assert_eq!(certificate.subject().to_string(), "CN=Magnum-Conductor");
        assert_eq!(certificate.issuer().to_string(), "CN=b1");
    });
    let expected = [
        "keyUsage Digital Signature, Key Encipherment !",
        "extendedKeyUsage false true",
        "basicConstraints false None !",
    ];
    assert_eq!(extensions, expected);
}

#[test]
fn a_nodes_certificate_is_for_both_sides_and_has_the_bays_name() {
    let node = authority().node(key(), "u.mesos.bay").unwrap();
    let extensions = seen(&node.certificate, |_| {});
    assert!(extensions.contains(&"extendedKeyUsage true true".to_owned()), "{extensions:?}");
    let names = "subjectAltName DNSName(u.mesos.bay) DNSName(localhost)";
    assert!(extensions.contains(&names.to_owned()), "{extensions:?}");
    assert!(node.key.expose_secret().starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(!format!("{node:?}").contains("PRIVATE KEY"));
}

#[test]
fn what_a_century_may_bring_is_written_with_four_digits() {
    let (_, pair) = Authority::create(key(), "b1", 36_500).unwrap();
    seen(&pair.certificate, |certificate| {
        let validity = certificate.validity();
        assert!(validity.not_before.is_utctime() && validity.not_after.is_generalizedtime());
    });
}

#[test]
fn a_kept_key_opens_with_its_passphrase_only() {
    let (_, pair) = Authority::create(key(), "b1", 1).unwrap();
    let sealed = pair.private_key.expose_secret();
    assert!(sealed.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{sealed}");
    assert!(Authority::open(&pair, 1).is_ok());
    for passphrase in [None, Some(SecretString::from("wrong"))] {
        let error = Authority::open(&Pair { passphrase, ..pair.clone() }, 1).unwrap_err();
        assert!(matches!(error, Error::Unusable(_)), "{error}");
    }
    assert!(!format!("{pair:?}").contains("PRIVATE KEY"));
}

#[test]
fn an_authority_is_called_as_its_bay_where_x509_can_hold_that() {
    let uuid = Uuid::new_v4();
    assert_eq!(authority_name(uuid, Some("b1"), None), "b1");
    for name in [None, Some(""), Some(&*"x".repeat(65))] {
        assert_eq!(authority_name(uuid, name, None), uuid.to_string());
    }
}

#[test]
fn a_successor_has_another_name_that_x509_can_hold() {
    let (uuid, pair) = (Uuid::new_v4(), Uuid::from_u128(0x0123_4567 << 96 | 1));
    assert_eq!(authority_name(uuid, Some("b1"), Some(pair)), "b1 01234567");
    let long = "x".repeat(56);
    for name in [None, Some(long.as_str())] {
        assert_eq!(authority_name(uuid, name, Some(pair)), format!("{uuid} 01234567"));
    }
}

/// A request with these extensions: object id, critical, content.
fn request(extensions: &[(&[u64], bool, &[u8])]) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "node1");
    params.custom_extensions = extensions
        .iter()
        .map(|(oid, critical, content)| {
            let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
            extension.set_criticality(*critical);
            extension
        })
        .collect();
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const CRL_POINTS: &[u64] = &[2, 5, 29, 31];
const UNHEARD_OF: &[u64] = &[1, 3, 6, 1, 4, 1, 99999, 1];
/// digitalSignature; with keyAgreement; with keyCertSign.
const SIGNS: &[u8] = &[3, 2, 7, 0x80];
const AGREES: &[u8] = &[3, 2, 3, 0x88];
const CERTIFIES: &[u8] = &[3, 2, 2, 0x84];
const CA: &[u8] = &[0x30, 3, 1, 1, 0xff];
const NO_CA: &[u8] = &[0x30, 0];

#[test]
fn extensions_are_granted_weakened_left_out_or_refused() {
    let authority = authority();
    let strict = rules();
    let ca = Rules { allow_ca: true, usages: Usage::ALL.to_vec(), ..rules() };
    let granted = |rules: &Rules, oid: &[u64], critical: bool, content: &[u8]| {
        let signed = authority.sign_request(&request(&[(oid, critical, content)]), rules);
        signed.map(|pem| seen(&pem, |_| {}))
    };
    let kept = |text: &str| Ok(vec![text.to_owned()]);
    let refused = |name: &str| Err(Error::Extension(name.to_owned()));
    let left_out = || Ok(vec![]);
    for (rules, oid, critical, content, expected) in [
        (&strict, KEY_USAGE, true, SIGNS, kept("keyUsage Digital Signature !")),
        (&strict, KEY_USAGE, false, AGREES, kept("keyUsage Digital Signature")),
        (&strict, KEY_USAGE, true, AGREES, refused("keyUsage")),
        (&strict, KEY_USAGE, false, CERTIFIES, kept("keyUsage Digital Signature")),
        (&strict, KEY_USAGE, true, CERTIFIES, refused("keyUsage")),
        (&ca, KEY_USAGE, true, CERTIFIES, kept("keyUsage Digital Signature, Key Cert Sign !")),
        (&strict, BASIC_CONSTRAINTS, true, NO_CA, kept("basicConstraints false None !")),
        (&strict, BASIC_CONSTRAINTS, false, CA, kept("basicConstraints false None")),
        (&strict, BASIC_CONSTRAINTS, true, CA, refused("basicConstraints")),
        (&ca, BASIC_CONSTRAINTS, true, CA, kept("basicConstraints true None !")),
        (&strict, CRL_POINTS, false, NO_CA, left_out()),
        (&strict, CRL_POINTS, true, NO_CA, refused("cRLDistributionPoints")),
        (&strict, UNHEARD_OF, false, NO_CA, left_out()),
        (&strict, UNHEARD_OF, true, NO_CA, refused("1.3.6.1.4.1.99999.1")),
    ] {
        assert_eq!(granted(rules, oid, critical, content), expected, "{oid:?} {critical} {content:?}");
    }
}

#[test]
fn usages_that_sign_certificates_need_more_than_their_name_in_the_list() {
    let authority = authority();
    let listed = Rules { usages: Usage::ALL.to_vec(), ..rules() };
    let signed = authority.sign_request(&request(&[(KEY_USAGE, true, CERTIFIES)]), &listed);
    assert_eq!(signed, Err(Error::Extension("keyUsage".to_owned())));
}

#[test]
fn what_is_no_request_is_refused_with_the_reason() {
    let authority = authority();
    let good = request(&[]);
    let said = |text: &str| match authority.sign_request(text, &rules()) {
        Err(Error::Request(reason)) => reason,
        other => panic!("{text}: {other:?}"),
    };
    assert!(said("").starts_with("It is no request"));
    assert!(
        said("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
            .starts_with("It")
    );
    let certificate = Authority::create(key(), "b1", 1).unwrap().1.certificate;
    assert!(said(&certificate).contains("it is a CERTIFICATE"));
    // Somebody else's key under the name: the signature does not fit any more.
    let (_, document) = parse_x509_pem(good.as_bytes()).unwrap();
    let mut forged = document.contents;
    let at = forged.windows(5).position(|window| window == b"node1").unwrap();
    forged[at] = b'm';
    let forged = pem_of(&forged);
    assert!(said(&forged).starts_with("That its sender has the key"), "{}", said(&forged));
    let twice = request(&[(KEY_USAGE, false, SIGNS), (KEY_USAGE, false, SIGNS)]);
    assert!(said(&twice).starts_with("It"), "{}", said(&twice));
    assert!(authority.sign_request(&good, &rules()).is_ok());
}

fn pem_of(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", lines.join("\n"))
}
