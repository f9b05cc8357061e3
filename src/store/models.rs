//! Bay models: rows of Magnum's `cluster_template`.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::bay::BayModel;

use super::Store;
use super::columns::{Columns, columns};
use super::driver::{Read, Row, Transaction, params};
use super::error::Error;
use super::page::{Key, Page, Scope, Select, SortKeys};
use super::text::{labels_from_json, labels_to_json};

/// Whether public models of others are seen too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    OwnOnly,
    OrPublic,
}

const FROM: &str = "cluster_template t";
const COLUMNS: &str = "t.id, t.uuid, t.name, t.project_id, t.user_id, t.image_id, t.flavor_id, \
     t.master_flavor_id, t.keypair_id, t.dns_nameserver, t.external_network_id, t.fixed_network, \
     t.fixed_subnet, t.network_driver, t.volume_driver, t.apiserver_port, t.docker_volume_size, \
     t.docker_storage_driver, t.insecure_registry, t.cluster_distro, t.coe, t.server_type, t.http_proxy, \
     t.https_proxy, t.no_proxy, t.registry_enabled, t.tls_disabled, t.public, t.master_lb_enabled, \
     t.floating_ip_enabled, t.hidden, t.tags, t.labels, t.created_at, t.updated_at";
const SORT_KEYS: SortKeys = &[
    ("id", "t.id"),
    ("uuid", "t.uuid"),
    ("name", "t.name"),
    ("project_id", "t.project_id"),
    ("user_id", "t.user_id"),
    ("image_id", "t.image_id"),
    ("flavor_id", "t.flavor_id"),
    ("master_flavor_id", "t.master_flavor_id"),
    ("keypair_id", "t.keypair_id"),
    ("dns_nameserver", "t.dns_nameserver"),
    ("external_network_id", "t.external_network_id"),
    ("fixed_network", "t.fixed_network"),
    ("fixed_subnet", "t.fixed_subnet"),
    ("network_driver", "t.network_driver"),
    ("volume_driver", "t.volume_driver"),
    ("apiserver_port", "t.apiserver_port"),
    ("docker_volume_size", "t.docker_volume_size"),
    ("docker_storage_driver", "t.docker_storage_driver"),
    ("insecure_registry", "t.insecure_registry"),
    ("cluster_distro", "t.cluster_distro"),
    ("coe", "t.coe"),
    ("server_type", "t.server_type"),
    ("http_proxy", "t.http_proxy"),
    ("https_proxy", "t.https_proxy"),
    ("no_proxy", "t.no_proxy"),
    ("registry_enabled", "t.registry_enabled"),
    ("tls_disabled", "t.tls_disabled"),
    ("public", "t.public"),
    ("master_lb_enabled", "t.master_lb_enabled"),
    ("floating_ip_enabled", "t.floating_ip_enabled"),
    ("hidden", "t.hidden"),
    ("tags", "t.tags"),
    ("created_at", "t.created_at"),
    ("updated_at", "t.updated_at"),
];

impl Store {
    pub async fn model(&self, scope: &Scope, seen: Visibility, key: Key) -> Result<Option<BayModel>, Error> {
        find(&mut &*self, scope, seen, key).await
    }

    /// At most two: one is the answer, two are a conflict.
    pub async fn models_named(
        &self,
        scope: &Scope,
        seen: Visibility,
        name: &str,
    ) -> Result<Vec<BayModel>, Error> {
        let mut select = visible(scope, seen);
        select.and("t.name = {exact}", params![name]);
        read_all(select.page(&mut &*self, &Page { limit: Some(2), ..Page::default() }).await?)
    }

    pub async fn models(&self, scope: &Scope, seen: Visibility, page: &Page) -> Result<Vec<BayModel>, Error> {
        read_all(visible(scope, seen).page(&mut &*self, page).await?)
    }
}

impl Transaction {
    /// Reads a model and keeps it from being changed or deleted until the end.
    pub async fn model(
        &mut self,
        scope: &Scope,
        seen: Visibility,
        key: Key,
    ) -> Result<Option<BayModel>, Error> {
        match key {
            Key::Id(id) => self.lock("SELECT id FROM cluster_template WHERE id = ?", params![id]).await?,
            Key::Uuid(uuid) => {
                self.lock("SELECT id FROM cluster_template WHERE uuid = ?", params![uuid]).await?
            }
        }
        find(self, scope, seen, key).await
    }

    /// As [`Store::models_named`], inside this transaction.
    pub async fn models_named(
        &mut self,
        scope: &Scope,
        seen: Visibility,
        name: &str,
    ) -> Result<Vec<BayModel>, Error> {
        let mut select = visible(scope, seen);
        select.and("t.name = {exact}", params![name]);
        read_all(select.page(self, &Page { limit: Some(2), ..Page::default() }).await?)
    }

    /// Inserts a model and returns its number, or [`Error::Duplicate`], after which the transaction goes on.
    pub async fn insert_model(&mut self, model: &BayModel) -> Result<i64, Error> {
        self.insert_columns("cluster_template", columns(model)).await
    }

    /// Writes the named fields of a model and no others; false when it is gone.
    pub async fn update_model(&mut self, model: &BayModel, fields: &BTreeSet<String>) -> Result<bool, Error> {
        let columns = columns(model).only(|name| fields.contains(name));
        self.update_columns("cluster_template", model.id, columns).await
    }

    /// Deletes a model; false when there is none.
    pub async fn delete_model(&mut self, id: i64) -> Result<bool, Error> {
        Ok(self.execute("DELETE FROM cluster_template WHERE id = ?", params![id]).await? > 0)
    }

    /// Whether any bay, of whatever tenant, was made from this model.
    pub async fn model_in_use(&mut self, model: Uuid) -> Result<bool, Error> {
        let sql = "SELECT id FROM cluster WHERE cluster_template_id = ? LIMIT 1";
        Ok(self.row(sql, params![model]).await?.is_some())
    }
}

fn columns(model: &BayModel) -> Columns {
    columns! {
        "uuid": model.uuid,
        "name": &model.name,
        "project_id": &model.project_id,
        "user_id": &model.user_id,
        "image_id": &model.image_id,
        "flavor_id": &model.flavor_id,
        "master_flavor_id": &model.master_flavor_id,
        "keypair_id": &model.keypair_id,
        "dns_nameserver": &model.dns_nameserver,
        "external_network_id": &model.external_network_id,
        "fixed_network": &model.fixed_network,
        "fixed_subnet": &model.fixed_subnet,
        "network_driver": &model.network_driver,
        "volume_driver": &model.volume_driver,
        "apiserver_port": model.apiserver_port,
        "docker_volume_size": model.docker_volume_size,
        "docker_storage_driver": &model.docker_storage_driver,
        "insecure_registry": &model.insecure_registry,
        "cluster_distro": &model.cluster_distro,
        "coe": &model.coe,
        "server_type": &model.server_type,
        "http_proxy": &model.http_proxy,
        "https_proxy": &model.https_proxy,
        "no_proxy": &model.no_proxy,
        "registry_enabled": model.registry_enabled,
        "tls_disabled": model.tls_disabled,
        "public": model.public,
        "master_lb_enabled": model.master_lb_enabled,
        "floating_ip_enabled": model.floating_ip_enabled,
        "hidden": model.hidden,
        "tags": &model.tags,
        "labels": labels_to_json(&model.labels),
    }
}

async fn find(
    db: &mut impl Read,
    scope: &Scope,
    seen: Visibility,
    key: Key,
) -> Result<Option<BayModel>, Error> {
    let mut select = visible(scope, seen);
    select.key(key);
    select.all(db).await?.first().map(read).transpose()
}

fn visible(scope: &Scope, seen: Visibility) -> Select {
    let mut select = Select::new(COLUMNS, FROM, SORT_KEYS);
    select.within(
        scope,
        match seen {
            Visibility::OwnOnly => "",
            Visibility::OrPublic => " OR t.public = TRUE",
        },
    );
    select
}

fn read_all(rows: Vec<Row>) -> Result<Vec<BayModel>, Error> {
    rows.iter().map(read).collect()
}

/// Flags are `NULL` in rows that were written before their column existed: they mean the column's default.
fn read(row: &Row) -> Result<BayModel, Error> {
    Ok(BayModel {
        id: row.int("id")?,
        uuid: row.uuid("uuid")?,
        name: row.text("name")?,
        project_id: row.text("project_id")?,
        user_id: row.text("user_id")?,
        image_id: row.text("image_id")?,
        flavor_id: row.text("flavor_id")?,
        master_flavor_id: row.text("master_flavor_id")?,
        keypair_id: row.text("keypair_id")?,
        dns_nameserver: row.text("dns_nameserver")?,
        external_network_id: row.text("external_network_id")?,
        fixed_network: row.text("fixed_network")?,
        fixed_subnet: row.text("fixed_subnet")?,
        network_driver: row.text("network_driver")?,
        volume_driver: row.text("volume_driver")?,
        apiserver_port: row.int_opt("apiserver_port")?,
        docker_volume_size: row.int_opt("docker_volume_size")?,
        docker_storage_driver: row.text("docker_storage_driver")?,
        insecure_registry: row.text("insecure_registry")?,
        cluster_distro: row.text("cluster_distro")?,
        coe: row.text("coe")?,
        server_type: row.text("server_type")?,
        http_proxy: row.text("http_proxy")?,
        https_proxy: row.text("https_proxy")?,
        no_proxy: row.text("no_proxy")?,
        registry_enabled: row.flag_opt("registry_enabled")?.unwrap_or(false),
        tls_disabled: row.flag_opt("tls_disabled")?.unwrap_or(false),
        public: row.flag_opt("public")?.unwrap_or(false),
        master_lb_enabled: row.flag_opt("master_lb_enabled")?.unwrap_or(false),
        floating_ip_enabled: row.flag_opt("floating_ip_enabled")?.unwrap_or(true),
        hidden: row.flag_opt("hidden")?.unwrap_or(false),
        tags: row.text("tags")?,
        labels: labels_from_json(row.text("labels")?, "cluster_template.labels")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
