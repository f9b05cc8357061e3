//! What a bay and a bay model are, whichever release's object or table they came from.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;
use time::PrimitiveDateTime;
use uuid::Uuid;

use super::health::Health;

/// Free-form settings of a bay model, in the order of their names.
pub type Labels = BTreeMap<String, String>;

/// A Mesos cluster: one Heat stack of masters and agents.
///
/// In the database a bay is a `cluster` row and its two default node groups: what depends on the number of nodes
/// (`node_count`, `node_addresses`, `master_count`, `master_addresses`) is read from and written to those.
#[derive(Debug, Clone, Default)]
pub struct Bay {
    /// The row's number, 0 until stored.
    pub id: i64,
    pub uuid: Uuid,
    pub name: Option<String>,
    pub project_id: Option<String>,
    pub user_id: Option<String>,
    /// The bay model's uuid, as text: Magnum's column holds whatever the API sent.
    pub model_id: Option<String>,
    pub stack_id: Option<String>,
    pub status: Option<Status>,
    pub status_reason: Option<String>,
    pub api_address: Option<String>,
    pub discovery_url: Option<String>,
    /// Minutes; `None` and 0 both mean that the API gave no limit.
    pub create_timeout: Option<i64>,
    pub node_count: Option<i64>,
    pub master_count: Option<i64>,
    pub node_addresses: Vec<String>,
    pub master_addresses: Vec<String>,
    pub ca_cert_ref: Option<String>,
    pub magnum_cert_ref: Option<String>,
    pub trust_id: Option<String>,
    pub trustee_username: Option<String>,
    pub trustee_user_id: Option<String>,
    pub trustee_password: Option<SecretString>,
    pub keypair: Option<String>,
    pub labels: Labels,
    /// As it was last looked at; written by itself, beside everything else.
    pub health: Option<Health>,
    pub created_at: Option<PrimitiveDateTime>,
    pub updated_at: Option<PrimitiveDateTime>,
}

/// The template a bay is made from.
#[derive(Debug, Clone, Default)]
pub struct BayModel {
    /// The row's number, 0 until stored.
    pub id: i64,
    pub uuid: Uuid,
    pub name: Option<String>,
    pub project_id: Option<String>,
    pub user_id: Option<String>,
    pub image_id: Option<String>,
    pub flavor_id: Option<String>,
    pub master_flavor_id: Option<String>,
    pub keypair_id: Option<String>,
    pub dns_nameserver: Option<String>,
    pub external_network_id: Option<String>,
    pub fixed_network: Option<String>,
    pub fixed_subnet: Option<String>,
    pub network_driver: Option<String>,
    pub volume_driver: Option<String>,
    pub apiserver_port: Option<i64>,
    pub docker_volume_size: Option<i64>,
    pub docker_storage_driver: Option<String>,
    pub insecure_registry: Option<String>,
    pub cluster_distro: Option<String>,
    pub coe: Option<String>,
    pub server_type: Option<String>,
    pub http_proxy: Option<String>,
    pub https_proxy: Option<String>,
    pub no_proxy: Option<String>,
    pub registry_enabled: bool,
    pub tls_disabled: bool,
    pub public: bool,
    pub master_lb_enabled: bool,
    pub floating_ip_enabled: bool,
    pub hidden: bool,
    pub tags: Option<String>,
    pub labels: Labels,
    pub created_at: Option<PrimitiveDateTime>,
    pub updated_at: Option<PrimitiveDateTime>,
}

macro_rules! statuses {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// The state of a bay: Heat's stack states that Magnum knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Status { $($variant),+ }

        impl Status {
            /// Every status, in the order Magnum lists them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for Status {
            type Err = UnknownStatus;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownStatus(text.to_owned())) }
            }
        }
    };
}

statuses! {
    CreateInProgress = "CREATE_IN_PROGRESS",
    CreateFailed = "CREATE_FAILED",
    CreateComplete = "CREATE_COMPLETE",
    UpdateInProgress = "UPDATE_IN_PROGRESS",
    UpdateFailed = "UPDATE_FAILED",
    UpdateComplete = "UPDATE_COMPLETE",
    DeleteInProgress = "DELETE_IN_PROGRESS",
    DeleteFailed = "DELETE_FAILED",
    DeleteComplete = "DELETE_COMPLETE",
    ResumeComplete = "RESUME_COMPLETE",
    ResumeFailed = "RESUME_FAILED",
    RestoreComplete = "RESTORE_COMPLETE",
    RollbackInProgress = "ROLLBACK_IN_PROGRESS",
    RollbackFailed = "ROLLBACK_FAILED",
    RollbackComplete = "ROLLBACK_COMPLETE",
    SnapshotComplete = "SNAPSHOT_COMPLETE",
    CheckComplete = "CHECK_COMPLETE",
    AdoptComplete = "ADOPT_COMPLETE",
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Status {
    /// Whether a bay in this state may be updated, as Mitaka and later allow it.
    pub fn allows_update(self) -> bool {
        matches!(
            self,
            Self::CreateComplete
                | Self::UpdateComplete
                | Self::ResumeComplete
                | Self::RestoreComplete
                | Self::RollbackComplete
                | Self::SnapshotComplete
                | Self::CheckComplete
                | Self::AdoptComplete
        )
    }
}

/// A status that no release of Magnum has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a bay status")]
pub struct UnknownStatus(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back_from_its_text() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
        assert!("SUSPEND_COMPLETE".parse::<Status>().is_err());
    }
}
