//! How certificates are made and where they are kept, from `[certificates]` and `[x509]`.

use anyhow::Context as _;

use crate::certificate::keep::barbican::Barbican;
use crate::certificate::keep::database::Database;
use crate::certificate::keep::local::Local;
use crate::certificate::keep::{Kind, Stores};
use crate::certificate::{Forge, Rules};
use crate::config::Settings;
use crate::openstack::OpenStack;
use crate::store::Store;

/// All stores there are, of which the configuration chooses the one for new certificates.
pub fn stores(settings: &Settings, store: &Store, cloud: &OpenStack) -> Stores {
    Stores {
        kind: match settings.certificates.cert_manager_type.as_str() {
            "local" => Kind::Local,
            "x509keypair" => Kind::Database,
            _ => Kind::Barbican,
        },
        barbican: Barbican(cloud.barbican.clone()),
        database: Database(store.clone()),
        local: Local::new(&settings.certificates.storage_path),
    }
}

/// What makes keys and certificates.
pub fn forge(settings: &Settings) -> anyhow::Result<Forge> {
    let x509 = &settings.x509;
    let extensions = x509.allowed_extensions.iter().map(|name| name.parse()).collect::<Result<_, _>>();
    let usages = x509.allowed_key_usage.iter().map(|name| name.parse()).collect::<Result<_, _>>();
    let rules = Rules {
        allow_ca: x509.allow_ca,
        extensions: extensions.context("[x509] allowed_extensions")?,
        usages: usages.context("[x509] allowed_key_usage")?,
        valid_for: x509.term_of_validity,
    };
    Ok(Forge::new(rules, usize::try_from(x509.rsa_key_size)?))
}
