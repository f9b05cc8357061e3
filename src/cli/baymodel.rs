//! `baymodel create|list|show|delete`.

use clap::{Args, Subcommand};
use mesos_conductor_proto::context::RequestContext;
use serde_json::{Map, Value, json};

use super::{
    Global,
    conductor::{self, Conductor},
    error::Error,
    identity::Identity,
    object::{self, Class, Page},
    output::Output,
};

const COLUMNS: &[&str] = &["uuid", "name", "coe", "image_id", "flavor_id", "public"];
const FIELDS: &[&str] = &[
    "uuid",
    "name",
    "coe",
    "image_id",
    "flavor_id",
    "master_flavor_id",
    "keypair_id",
    "external_network_id",
    "fixed_network",
    "network_driver",
    "volume_driver",
    "dns_nameserver",
    "docker_volume_size",
    "cluster_distro",
    "server_type",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "labels",
    "tls_disabled",
    "public",
    "project_id",
    "user_id",
    "created_at",
    "updated_at",
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Creates a bay model
    Create(Box<Create>),
    /// Lists your bay models and the public ones
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        identity: Identity,
    },
    /// Shows a bay model
    Show {
        /// Its uuid or name
        model: String,
        #[command(flatten)]
        identity: Identity,
    },
    /// Deletes a bay model that no bay uses
    Delete {
        /// Its uuid or name
        model: String,
        #[command(flatten)]
        identity: Identity,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// The image of the nodes, with Mesos, Marathon and Docker in it
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// The flavor of the nodes
    #[arg(long, value_name = "FLAVOR")]
    flavor: String,
    /// The flavor of the masters [default: that of the nodes]
    #[arg(long, value_name = "FLAVOR")]
    master_flavor: Option<String>,
    /// The key pair for logging in to the nodes
    #[arg(long, value_name = "NAME")]
    keypair: Option<String>,
    /// The network through which the bay is reached
    #[arg(long, value_name = "NETWORK")]
    external_network: String,
    /// The private network [default: a new one]
    #[arg(long, value_name = "NETWORK")]
    fixed_network: Option<String>,
    /// The name server of the private network
    #[arg(long, value_name = "ADDRESS", default_value = "8.8.8.8")]
    dns_nameserver: String,
    /// The network driver of the containers
    #[arg(long, value_name = "DRIVER", default_value = "docker")]
    network_driver: String,
    /// The volume driver of the containers
    #[arg(long, value_name = "DRIVER")]
    volume_driver: Option<String>,
    /// Gigabytes for the containers of each node
    #[arg(long, value_name = "GB")]
    docker_volume_size: Option<i64>,
    /// The distribution in the image
    #[arg(long, value_name = "NAME", default_value = "ubuntu")]
    cluster_distro: String,
    /// Whether nodes are virtual or bare metal
    #[arg(long, value_name = "TYPE", default_value = "vm")]
    server_type: String,
    /// A proxy for http
    #[arg(long, value_name = "URL")]
    http_proxy: Option<String>,
    /// A proxy for https
    #[arg(long, value_name = "URL")]
    https_proxy: Option<String>,
    /// Where no proxy is used
    #[arg(long, value_name = "HOSTS")]
    no_proxy: Option<String>,
    /// A label, such as `mesos_slave_isolation=docker/runtime`; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,
    /// Every project may use it
    #[arg(long)]
    public: bool,
    /// Bays of this model do without TLS
    #[arg(long)]
    tls_disabled: bool,
    #[command(flatten)]
    identity: Identity,
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a label is written NAME=VALUE")?;
    if name.is_empty() {
        Err("the label has no name".to_owned())
    } else {
        Ok((name.to_owned(), value.to_owned()))
    }
}

impl Command {
    pub(super) async fn run(self, global: &Global, output: &mut Output) -> Result<(), Error> {
        let identity = match &self {
            Self::Create(create) => &create.identity,
            Self::List { identity, .. } | Self::Show { identity, .. } | Self::Delete { identity, .. } => {
                identity
            }
        };
        let context = identity.owner_context().await?;
        let conductor = conductor::connect(global, context.clone()).await?;
        let outcome = self.run_on(&conductor, &context, output).await;
        conductor.close().await;
        outcome
    }

    pub(super) async fn run_on(
        self,
        conductor: &dyn Conductor,
        context: &RequestContext,
        output: &mut Output,
    ) -> Result<(), Error> {
        match self {
            Self::Create(create) => {
                let model = object::new(Class::BayModel, create.fields(context))?;
                let model = object::act(conductor, model, "create").await?;
                Ok(output.record(&object::fields(&model), FIELDS)?)
            }
            Self::List { page, .. } => {
                let models = object::list(conductor, Class::BayModel, &page).await?;
                let rows: Vec<_> = models.iter().map(object::fields).collect();
                Ok(output.rows(&rows, COLUMNS)?)
            }
            Self::Show { model, .. } => {
                let model = object::get(conductor, Class::BayModel, &model).await?;
                Ok(output.record(&object::fields(&model), FIELDS)?)
            }
            Self::Delete { model, .. } => {
                let found = object::get(conductor, Class::BayModel, &model).await?;
                object::act(conductor, found, "destroy").await?;
                output.note(&format!("bay model {model} is deleted"));
                Ok(())
            }
        }
    }
}

impl Create {
    fn fields(&self, context: &RequestContext) -> Vec<(&'static str, Value)> {
        let labels: Map<_, _> =
            self.labels.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        vec![
            ("name", json!(self.name)),
            ("coe", json!("mesos")),
            ("image_id", json!(self.image)),
            ("flavor_id", json!(self.flavor)),
            ("master_flavor_id", json!(self.master_flavor)),
            ("keypair_id", json!(self.keypair)),
            ("external_network_id", json!(self.external_network)),
            ("fixed_network", json!(self.fixed_network)),
            ("dns_nameserver", json!(self.dns_nameserver)),
            ("network_driver", json!(self.network_driver)),
            ("volume_driver", json!(self.volume_driver)),
            ("docker_volume_size", json!(self.docker_volume_size)),
            ("cluster_distro", json!(self.cluster_distro)),
            ("server_type", json!(self.server_type)),
            ("http_proxy", json!(self.http_proxy)),
            ("https_proxy", json!(self.https_proxy)),
            ("no_proxy", json!(self.no_proxy)),
            ("labels", Value::Object(labels)),
            ("public", json!(self.public)),
            ("tls_disabled", json!(self.tls_disabled)),
            ("registry_enabled", json!(false)),
            ("project_id", json!(context.project_id())),
            ("user_id", json!(context.user_id())),
        ]
    }
}
