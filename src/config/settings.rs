//! The typed settings: one struct per section, each declared together with its rows of the option table.

mod bays;
mod certificates;
mod core;
mod framework;
mod messaging;
mod monitor;
mod openstack;

pub use self::{
    bays::{ClusterHeatSettings, DriversSettings},
    certificates::{BarbicanClientSettings, CertificatesSettings, X509Settings},
    core::{ConductorSettings, DatabaseSettings, DefaultSettings, TelemetrySettings},
    framework::{MarathonSettings, MesosSettings},
    messaging::{NotificationSettings, RabbitSettings},
    monitor::MonitorSettings,
    openstack::{
        HeatClientSettings, HeatNotificationSettings, KeystoneAuthSettings, KeystoneAuthtokenSettings,
        TrustSettings,
    },
};
use super::{
    ConfigFaults, Sources, Warning,
    effective::{Effective, Entry},
    faults::Fault,
    kind::FromItems,
    option::OptionDef,
    sources,
};

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
    heat_notifications: HeatNotificationSettings,
    cluster_heat: ClusterHeatSettings,
    drivers: DriversSettings,
    certificates: CertificatesSettings,
    x509: X509Settings,
    barbican_client: BarbicanClientSettings,
    marathon: MarathonSettings,
    mesos: MesosSettings,
    monitor: MonitorSettings,
    oslo_messaging_rabbit: RabbitSettings,
    oslo_messaging_notifications: NotificationSettings,
}

impl Default for Settings {
    /// What an empty configuration gives.
    fn default() -> Self {
        super::read(&Sources::default()).expect("a test reads every default").settings
    }
}

impl Settings {
    /// Reads and checks everything a worker needs. Either every fault there is, or none.
    pub fn load(sources: &Sources) -> Result<(Self, Vec<Warning>), ConfigFaults> {
        super::load(sources).map(|loaded| (loaded.settings, loaded.warnings))
    }

    /// The name of this machine: as configured, else as the kernel knows it.
    pub fn host_name(&self) -> String {
        let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = self.default.host.clone().or_else(kernel).or_else(|| std::env::var("HOSTNAME").ok());
        host.map(|host| host.trim().to_owned())
            .filter(|host| !host.is_empty())
            .unwrap_or_else(|| "localhost".to_owned())
    }
}

pub(crate) fn options() -> impl Iterator<Item = &'static OptionDef> {
    TABLE.iter().flat_map(|(_, _, options)| options.iter())
}

pub(crate) fn find(section: &str, name: &str) -> Option<&'static OptionDef> {
    options().find(|option| option.section == section && option.name == name)
}

/// Finds an option by its current name or an older one, and says whether it was an older one.
pub(crate) fn lookup(section: &str, name: &str) -> Option<(&'static OptionDef, bool)> {
    find(section, name).map(|option| (option, false)).or_else(|| {
        options().find(|option| sources::is_alias(option, section, name)).map(|option| (option, true))
    })
}

/// Hands out typed values and collects the faults of all of them.
pub(crate) struct Reader<'a> {
    effective: &'a Effective,
    pub(crate) faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(effective: &'a Effective) -> Self {
        Self { effective, faults: Vec::new() }
    }

    /// The value of an option. When what was given is wrong, the fault is noted and the default taken, so
    /// that the remaining faults are found in the same run.
    pub(crate) fn take<T: FromItems>(&mut self, section: &'static str, name: &'static str) -> T {
        let entry = self.effective.entry(section, name);
        match typed(entry) {
            Ok(value) => value,
            Err(fault) => {
                self.faults.push(fault);
                T::from_items(&entry.option.default_items()).expect("a test reads every default")
            }
        }
    }
}

fn typed<T: FromItems>(entry: &Entry) -> Result<T, Fault> {
    let kind = &entry.option.spec.kind;
    if entry.items.len() > 1 && !kind.is_list() && !kind.is_multi() {
        return Err(wrong_value(entry, "a list"));
    }
    if let Some(wrong) = entry.items.iter().find(|item| !kind.admits(item)) {
        return Err(wrong_value(entry, &format!("{wrong:?}")));
    }
    T::from_items(&entry.items).ok_or_else(|| wrong_value(entry, "the value"))
}

fn wrong_value(entry: &Entry, found: &str) -> Fault {
    let option = entry.option;
    let found = if option.spec.secret { "the value (not shown)" } else { found };
    let remedy = match option.spec.default {
        "" => "correct it or remove it".to_owned(),
        default => format!("correct it, or remove it to use {default}"),
    };
    Fault {
        origin: entry.origin.clone(),
        option: Some(option.label()),
        problem: format!("{found} is not {}", option.spec.kind.expectation()),
        remedy,
    }
}
