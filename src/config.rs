//! Configuration: one table of options, several places to set them, one list of everything that is wrong.
//!
//! Options are called as in magnum.conf, so that an existing file can be passed as it is. The table behind
//! [`Settings`] is the single source: parsing, faults, `config show`, the commented default file and the
//! warnings about unknown options all come from it.

mod faults;
mod kind;
mod option;
mod settings;

pub use faults::{ConfigFaults, Fault};
pub use kind::{CertManager, Compression, FailoverStrategy, LogFormat, LoginMethod, NotificationDriver};
pub use settings::{
    CertificateSettings, CinderClientSettings, ClusterHeatSettings, ConductorSettings, DatabaseSettings,
    DefaultSettings, DriverSettings, HeatClientSettings, KeystoneAuthSettings, KeystoneAuthtokenSettings,
    NotificationSettings, RabbitSettings, Settings, TelemetrySettings, TrustSettings, X509Settings,
};
