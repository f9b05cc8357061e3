//! The definitions: one table per object, in which a release is a version and a row is a field.

use std::collections::BTreeSet;

use crate::version::Version;

/// What an object is made of.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectDef {
    /// The name on the wire.
    pub name: &'static str,
    /// The newest version that we speak; all older minor versions are served too.
    pub latest: Version,
    /// Every field of every version.
    pub fields: &'static [Field],
}

/// A field of an object.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The name on the wire.
    pub name: &'static str,
    /// The attribute of the domain that it stands for: releases renamed fields, the attribute stays.
    pub key: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Whether its value may be null.
    pub nullable: bool,
    /// The version at which it came.
    pub since: Version,
    /// The first version without it.
    pub until: Option<Version>,
    /// Its value when nobody sets it.
    pub default: Option<DefaultValue>,
}

/// What a field's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Integer,
    /// A truth value.
    Boolean,
    /// Any text.
    Text,
    /// Text that names something; like Python, we do not insist on the form.
    Uuid,
    /// One of these texts.
    Enum(&'static [&'static str]),
    /// A time in UTC, to the second.
    DateTime,
    /// A list of texts.
    TextList,
    /// Texts by name.
    TextDict,
    /// An object of this name.
    Object(&'static str),
}

/// The value of a field that nobody set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
}

impl ObjectDef {
    /// The versions at which the fields change: each form of the object begins at one of them.
    #[must_use]
    pub fn forms(&self) -> Vec<Version> {
        let changes = self.fields.iter().flat_map(|field| [Some(field.since), field.until]).flatten();
        let forms: BTreeSet<_> = changes.chain([FIRST]).filter(|version| *version <= self.latest).collect();
        forms.into_iter().collect()
    }

    /// The fields that the object has at a version.
    pub fn fields_at(&'static self, version: Version) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().filter(move |field| field.exists_at(version))
    }

    /// The field of that name at a version.
    #[must_use]
    pub fn field(&'static self, name: &str, version: Version) -> Option<&'static Field> {
        self.fields_at(version).find(|field| field.name == name)
    }
}

impl Field {
    /// Whether the object has the field at a version.
    #[must_use]
    pub fn exists_at(&self, version: Version) -> bool {
        self.since <= version && self.until.is_none_or(|until| version < until)
    }

    /// A nullable field of every version, named like its attribute: most are.
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, key: name, kind, nullable: true, since: FIRST, until: None, default: None }
    }

    const fn key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    const fn required(self) -> Self {
        Self { nullable: false, ..self }
    }

    const fn since(self, since: Version) -> Self {
        Self { since, ..self }
    }

    const fn until(self, until: Version) -> Self {
        Self { until: Some(until), ..self }
    }

    /// A field with a default is never null.
    const fn default(self, default: DefaultValue) -> Self {
        Self { nullable: false, default: Some(default), ..self }
    }
}

/// Every object, in the order of its description.
pub static DEFINITIONS: &[&ObjectDef] =
    &[&APP, &BAY, &BAY_LOCK, &BAY_MODEL, &CERTIFICATE, &MAGNUM_SERVICE, &X509_KEY_PAIR];

/// The definition of that name.
#[must_use]
pub fn definition(name: &str) -> Option<&'static ObjectDef> {
    DEFINITIONS.iter().copied().find(|definition| definition.name == name)
}

const FIRST: Version = Version::new(1, 0);
const FALSE: DefaultValue = DefaultValue::Boolean(false);

/// Mitaka's list, of which Liberty knows the first nine. Sending one of the others to Liberty fails there, as
/// with its own conductor.
const BAY_STATUS: &[&str] = &[
    "CREATE_IN_PROGRESS",
    "CREATE_FAILED",
    "CREATE_COMPLETE",
    "UPDATE_IN_PROGRESS",
    "UPDATE_FAILED",
    "UPDATE_COMPLETE",
    "DELETE_IN_PROGRESS",
    "DELETE_FAILED",
    "DELETE_COMPLETE",
    "RESUME_COMPLETE",
    "RESTORE_COMPLETE",
    "ROLLBACK_COMPLETE",
    "SNAPSHOT_COMPLETE",
    "CHECK_COMPLETE",
    "ADOPT_COMPLETE",
];

const COE: &[&str] = &["kubernetes", "swarm", "mesos"];

/// The version of Bay in Mitaka; 1.0 is Liberty's. No release carries the versions between.
const BAY_MITAKA: Version = Version::new(1, 5);

static BAY: ObjectDef = ObjectDef {
    name: "Bay",
    latest: BAY_MITAKA,
    fields: &[
        Field::new("id", Kind::Integer).required(),
        Field::new("uuid", Kind::Uuid),
        Field::new("name", Kind::Text),
        Field::new("project_id", Kind::Text),
        Field::new("user_id", Kind::Text),
        Field::new("baymodel_id", Kind::Text).key("cluster_template_id"),
        Field::new("stack_id", Kind::Text),
        Field::new("status", Kind::Enum(BAY_STATUS)),
        Field::new("status_reason", Kind::Text),
        Field::new("api_address", Kind::Text),
        Field::new("node_addresses", Kind::TextList),
        Field::new("node_count", Kind::Integer),
        Field::new("master_count", Kind::Integer),
        Field::new("discovery_url", Kind::Text),
        Field::new("master_addresses", Kind::TextList),
        Field::new("ca_cert_ref", Kind::Text),
        Field::new("magnum_cert_ref", Kind::Text),
        Field::new("created_at", Kind::DateTime),
        Field::new("updated_at", Kind::DateTime),
        Field::new("bay_create_timeout", Kind::Integer).key("create_timeout").since(BAY_MITAKA),
        Field::new("baymodel", Kind::Object("BayModel")).key("cluster_template").required().since(BAY_MITAKA),
        Field::new("trust_id", Kind::Text).since(BAY_MITAKA),
        Field::new("trustee_username", Kind::Text).since(BAY_MITAKA),
        Field::new("trustee_password", Kind::Text).since(BAY_MITAKA),
        Field::new("trustee_user_id", Kind::Text).since(BAY_MITAKA),
    ],
};

/// The version of `BayModel` in Mitaka; 1.7 is Liberty's. Earlier versions were never released, so what
/// Liberty has is taken to be there from the start.
const BAY_MODEL_MITAKA: Version = Version::new(1, 10);

static BAY_MODEL: ObjectDef = ObjectDef {
    name: "BayModel",
    latest: BAY_MODEL_MITAKA,
    fields: &[
        Field::new("id", Kind::Integer).required(),
        Field::new("uuid", Kind::Text),
        Field::new("project_id", Kind::Text),
        Field::new("user_id", Kind::Text),
        Field::new("name", Kind::Text),
        Field::new("image_id", Kind::Text),
        Field::new("flavor_id", Kind::Text),
        Field::new("master_flavor_id", Kind::Text),
        Field::new("keypair_id", Kind::Text),
        Field::new("dns_nameserver", Kind::Text),
        Field::new("external_network_id", Kind::Text),
        Field::new("fixed_network", Kind::Text),
        Field::new("network_driver", Kind::Text),
        Field::new("apiserver_port", Kind::Integer),
        Field::new("docker_volume_size", Kind::Integer),
        Field::new("ssh_authorized_key", Kind::Text).until(BAY_MODEL_MITAKA),
        Field::new("cluster_distro", Kind::Text),
        Field::new("coe", Kind::Enum(COE)),
        Field::new("http_proxy", Kind::Text),
        Field::new("https_proxy", Kind::Text),
        Field::new("no_proxy", Kind::Text),
        Field::new("registry_enabled", Kind::Boolean).default(FALSE),
        Field::new("labels", Kind::TextDict),
        Field::new("tls_disabled", Kind::Boolean).default(FALSE),
        Field::new("public", Kind::Boolean).default(FALSE),
        Field::new("server_type", Kind::Text).since(BAY_MODEL_MITAKA),
        Field::new("volume_driver", Kind::Text).since(BAY_MODEL_MITAKA),
        Field::new("created_at", Kind::DateTime),
        Field::new("updated_at", Kind::DateTime),
    ],
};

static CERTIFICATE: ObjectDef = ObjectDef {
    name: "Certificate",
    latest: Version::new(1, 2),
    fields: &[
        Field::new("project_id", Kind::Text),
        Field::new("user_id", Kind::Text),
        Field::new("bay_uuid", Kind::Text).key("cluster_uuid").until(Version::new(1, 1)),
        Field::new("cluster_uuid", Kind::Text).since(Version::new(1, 1)),
        Field::new("ca_cert_type", Kind::Text).since(Version::new(1, 2)),
        Field::new("csr", Kind::Text),
        Field::new("pem", Kind::Text),
        Field::new("created_at", Kind::DateTime),
        Field::new("updated_at", Kind::DateTime),
    ],
};

/// The version of `X509KeyPair` in Liberty and Mitaka; earlier ones were never released.
static X509_KEY_PAIR: ObjectDef = ObjectDef {
    name: "X509KeyPair",
    latest: Version::new(1, 1),
    fields: &[
        Field::new("id", Kind::Integer).required(),
        Field::new("uuid", Kind::Uuid),
        Field::new("name", Kind::Text),
        Field::new("bay_uuid", Kind::Text),
        Field::new("ca_cert", Kind::Text),
        Field::new("certificate", Kind::Text),
        Field::new("private_key", Kind::Text),
        Field::new("project_id", Kind::Text),
        Field::new("user_id", Kind::Text),
        Field::new("created_at", Kind::DateTime),
        Field::new("updated_at", Kind::DateTime),
    ],
};

static MAGNUM_SERVICE: ObjectDef = ObjectDef {
    name: "MagnumService",
    latest: FIRST,
    fields: &[
        Field::new("id", Kind::Integer).required(),
        Field::new("host", Kind::Text),
        Field::new("binary", Kind::Text),
        Field::new("disabled", Kind::Boolean).required(),
        Field::new("disabled_reason", Kind::Text),
        Field::new("last_seen_up", Kind::DateTime),
        Field::new("forced_down", Kind::Boolean).required(),
        Field::new("report_count", Kind::Integer).required(),
        Field::new("created_at", Kind::DateTime),
        Field::new("updated_at", Kind::DateTime),
    ],
};

/// A lock of Liberty's conductors.
static BAY_LOCK: ObjectDef = ObjectDef {
    name: "BayLock",
    latest: FIRST,
    fields: &[
        Field::new("id", Kind::Integer).required(),
        Field::new("bay_uuid", Kind::Text),
        Field::new("conductor_id", Kind::Text),
        Field::new("created_at", Kind::DateTime),
        Field::new("updated_at", Kind::DateTime),
    ],
};

/// The states of an app.
const APP_STATUS: &[&str] = &[
    "CREATE_IN_PROGRESS",
    "CREATE_COMPLETE",
    "CREATE_FAILED",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE",
    "UPDATE_FAILED",
    "DELETE_IN_PROGRESS",
    "DELETE_COMPLETE",
    "DELETE_FAILED",
];

/// What runs on a bay: of this project, no release of Magnum has one.
static APP: ObjectDef = ObjectDef {
    name: "App",
    latest: FIRST,
    fields: &[
        Field::new("id", Kind::Integer).required(),
        Field::new("uuid", Kind::Uuid),
        Field::new("name", Kind::Text),
        Field::new("bay_uuid", Kind::Text),
        Field::new("project_id", Kind::Text),
        Field::new("user_id", Kind::Text),
        Field::new("manifest", Kind::Text),
        Field::new("manifest_url", Kind::Text),
        Field::new("framework_id", Kind::Text),
        Field::new("instances", Kind::Integer),
        Field::new("status", Kind::Enum(APP_STATUS)),
        Field::new("status_reason", Kind::Text),
        Field::new("version", Kind::Text),
        Field::new("deployment_id", Kind::Text),
        Field::new("tasks_staged", Kind::Integer),
        Field::new("tasks_running", Kind::Integer),
        Field::new("tasks_healthy", Kind::Integer),
        Field::new("tasks_unhealthy", Kind::Integer),
        Field::new("endpoints", Kind::TextList),
        Field::new("created_at", Kind::DateTime),
        Field::new("updated_at", Kind::DateTime),
    ],
};
