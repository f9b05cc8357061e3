//! The typed settings: one struct per section, each declared together with its rows of the option table.

mod bays;
mod core;
mod messaging;
mod openstack;

use std::collections::BTreeMap;

pub use self::{
    bays::{CertificateSettings, ClusterHeatSettings, DriverSettings, X509Settings},
    core::{ConductorSettings, DatabaseSettings, DefaultSettings, TelemetrySettings},
    messaging::{NotificationSettings, RabbitSettings},
    openstack::{
        CinderClientSettings, HeatClientSettings, KeystoneAuthSettings, KeystoneAuthtokenSettings,
        TrustSettings,
    },
};
use super::{faults::Fault, kind::FromItems, option::OptionDef};

/// Lists the sections once: the struct, how it is read, and the table.
macro_rules! sections {
    ($($field:ident: $ty:ident,)*) => {
        /// Every setting the worker reads. `Debug` shows no secret.
        #[derive(Debug, Clone)]
        pub struct Settings {
            $(pub $field: $ty,)*
        }

        impl Settings {
            pub(crate) fn read(from: &mut Reader<'_>) -> Self {
                Self { $($field: $ty::read(from),)* }
            }
        }

        /// The whole table, in the order in which it is shown: (section, about it, its options).
        pub(crate) const TABLE: &[(&str, &str, &[OptionDef])] =
            &[$(($ty::SECTION, $ty::ABOUT, $ty::OPTIONS),)*];
    };
}

sections! {
    default: DefaultSettings,
    conductor: ConductorSettings,
    telemetry: TelemetrySettings,
    database: DatabaseSettings,
    keystone_auth: KeystoneAuthSettings,
    keystone_authtoken: KeystoneAuthtokenSettings,
    trust: TrustSettings,
    heat_client: HeatClientSettings,
    cinder_client: CinderClientSettings,
    cluster_heat: ClusterHeatSettings,
    drivers: DriverSettings,
    certificates: CertificateSettings,
    x509: X509Settings,
    oslo_messaging_rabbit: RabbitSettings,
    oslo_messaging_notifications: NotificationSettings,
}

impl Default for Settings {
    /// What an empty configuration gives.
    fn default() -> Self {
        let mut reader = Reader::default_only();
        let settings = Self::read(&mut reader);
        debug_assert!(reader.faults.is_empty(), "a default is not what its option admits");
        settings
    }
}

/// What a source said about one option.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) origin: String,
    pub(crate) items: Vec<String>,
}

/// Hands out typed values and collects the faults of all of them.
pub(crate) struct Reader<'a> {
    given: Option<&'a BTreeMap<(String, String), Given>>,
    defaults: BTreeMap<(&'static str, &'static str), Vec<String>>,
    pub(crate) faults: Vec<Fault>,
}

pub(crate) fn options() -> impl Iterator<Item = &'static OptionDef> {
    TABLE.iter().flat_map(|(_, _, options)| options.iter())
}

pub(crate) fn find(section: &str, name: &str) -> Option<&'static OptionDef> {
    options().find(|option| option.section == section && option.name == name)
}

impl<'a> Reader<'a> {
    pub(crate) fn default_only() -> Self {
        Self { given: None, defaults: BTreeMap::new(), faults: Vec::new() }
    }

    pub(crate) fn new(given: &'a BTreeMap<(String, String), Given>) -> Self {
        Self { given: Some(given), ..Self::default_only() }
    }

    /// The value of an option; when what was given is wrong, notes the fault and goes on with the default,
    /// so that the remaining faults are found in the same run.
    pub(crate) fn take<T: FromItems>(&mut self, section: &'static str, name: &'static str) -> T {
        let option = find(section, name).expect("every field is declared together with its row");
        let given = self.given.and_then(|given| given.get(&(section.to_owned(), name.to_owned())));
        if let Some(given) = given.filter(|given| !given.items.is_empty()) {
            let wrong = given.items.iter().find(|item| !option.spec.kind.admits(item));
            let value = if wrong.is_none() { T::from_items(&given.items) } else { None };
            if let Some(value) = value {
                return value;
            }
            self.faults.push(wrong_value(option, given, wrong));
        }
        let default = self.defaults.get(&(section, name)).cloned();
        let items = default.unwrap_or_else(|| option.default_items());
        T::from_items(&items).expect("a test reads every default")
    }
}

fn wrong_value(option: &OptionDef, given: &Given, wrong: Option<&String>) -> Fault {
    let found = wrong.or(given.items.first()).filter(|_| !option.spec.secret);
    let found = found.map_or_else(|| "the value (not shown)".to_owned(), |found| format!("{found:?}"));
    let remedy = match option.spec.default {
        "" => "correct it or remove the line".to_owned(),
        default => format!("correct it, or remove the line to use {default}"),
    };
    Fault {
        origin: Some(given.origin.clone()),
        option: Some(option.label()),
        problem: format!("{found} is not {}", option.spec.kind.expectation()),
        remedy,
    }
}
