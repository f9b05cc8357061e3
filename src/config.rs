//! Configuration: one table of options, several places to set them, one list of everything that is wrong.
//!
//! Options are called as in magnum.conf, so that an existing file can be passed as it is. The table behind
//! [`Settings`] is the single source: parsing, faults, `config show`, the commented default file and the
//! warnings about unknown options all come from it.

mod effective;
mod faults;
mod foreign;
mod ini;
mod interpolate;
pub mod key;
mod kind;
mod option;
mod service;
mod settings;
mod show;
mod sources;
mod validate;

pub use effective::Effective;
pub use faults::{ConfigFaults, Fault, Warning};
pub use kind::{
    Compression, FailoverStrategy, LogFormat, LoginMethod, MetricsEvent, NotificationDriver, OnDeadline,
    Undrained,
};
pub use service::ServiceUser;
pub use settings::{
    BarbicanClientSettings, CertificatesSettings, ClusterHeatSettings, ConductorSettings, DatabaseSettings,
    DefaultSettings, DriversSettings, HeatClientSettings, HeatNotificationSettings, KeystoneAuthSettings,
    KeystoneAuthtokenSettings, MarathonSettings, MesosSettings, MonitorSettings, NotificationSettings,
    RabbitSettings, Settings, TelemetrySettings, TrustSettings, X509Settings,
};
pub use show::{default_file, show, show_json};
pub use sources::Sources;

/// A configuration without faults.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub settings: Settings,
    pub warnings: Vec<Warning>,
    /// Every option as it finally is, for showing.
    pub effective: Effective,
}

/// Reads everything and checks what a worker needs. Either every fault there is, or none.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigFaults> {
    let (loaded, mut faults) = gather(sources);
    faults.extend(validate::validate(&loaded.settings, &loaded.effective));
    if faults.is_empty() { Ok(loaded) } else { Err(ConfigFaults(faults)) }
}

/// Reads everything for a client of the conductor, which needs the broker but no database, key or trust.
pub fn read(sources: &Sources) -> Result<Loaded, ConfigFaults> {
    let (loaded, faults) = gather(sources);
    if faults.is_empty() { Ok(loaded) } else { Err(ConfigFaults(faults)) }
}

fn gather(sources: &Sources) -> (Loaded, Vec<Fault>) {
    let mut gathered = sources::gather(sources);
    let effective = Effective::resolve(&mut gathered);
    let mut reader = settings::Reader::new(&effective);
    let settings = Settings::read(&mut reader);
    let mut faults = gathered.faults;
    faults.append(&mut reader.faults);
    (Loaded { settings, warnings: gathered.warnings, effective }, faults)
}

#[cfg(test)]
mod tests;
