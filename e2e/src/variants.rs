//! Which bays there are: one line for each kind that has to be seen to live.

use serde_json::{Map, Value, json};

use self::Trait::ExistingNetwork;

/// A kind of bay: what its model and its masters are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) distribution: &'static str,
    pub(crate) masters: i64,
    traits: &'static [Trait],
}

/// In what a bay model differs from the plainest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trait {
    /// The nodes are put into a network that is there already.
    ExistingNetwork,
}

const fn variant(distribution: &'static str, masters: i64, traits: &'static [Trait]) -> Variant {
    Variant { distribution, masters, traits }
}

pub(crate) const VARIANTS: &[Variant] = &[
    variant("ubuntu", 1, &[]),
    variant("ubuntu", 1, &[ExistingNetwork]),
    variant("ubuntu", 3, &[]),
    variant("ubuntu", 3, &[ExistingNetwork]),
];

impl Trait {
    fn name(self) -> &'static str {
        match self {
            Self::ExistingNetwork => "existing network",
        }
    }

    /// What the bay model says.
    fn fields(self) -> Value {
        match self {
            Self::ExistingNetwork => json!({ "fixed_network": "shared", "fixed_subnet": "shared-subnet" }),
        }
    }
}

impl Variant {
    pub(crate) fn name(&self) -> String {
        let masters =
            if self.masters == 1 { "1 master".to_owned() } else { format!("{} masters", self.masters) };
        let traits = self.traits.iter().map(|one| format!(", {}", one.name()));
        format!("{}, {masters}{}", self.distribution, traits.collect::<String>())
    }

    /// What its bay model has beside what every model has.
    pub(crate) fn model(&self) -> Map<String, Value> {
        let mut fields = Map::from_iter([("cluster_distro".to_owned(), json!(self.distribution))]);
        for one in self.traits {
            if let Value::Object(more) = one.fields() {
                fields.extend(more);
            }
        }
        fields
    }
}
