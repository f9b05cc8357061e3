//! Bays: rows of Magnum's `cluster`, each with its two default node groups.

use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::bay::{Bay, Health, Status};

use super::Store;
use super::driver::{Param, Read, Row, Transaction, params};
use super::error::Error;
use super::page::{Key, Page, Scope, Select, SortKeys};
use super::text::{labels_from_json, labels_to_json, list_from_json, list_to_json, reason};
use super::vault::Vault;

/// Equality filters of a list; `status` is any of several.
#[derive(Debug, Clone, Default)]
pub struct BayFilter {
    pub model_id: Option<String>,
    pub name: Option<String>,
    pub node_count: Option<i64>,
    pub master_count: Option<i64>,
    pub stack_id: Option<String>,
    pub api_address: Option<String>,
    pub node_addresses: Option<Vec<String>>,
    pub project_id: Option<String>,
    pub user_id: Option<String>,
    /// Empty is any status.
    pub status: Vec<Status>,
}

const MASTERS: &str = "default-master";
const WORKERS: &str = "default-worker";

/// Cluster and name are unique together, so that the joins never multiply a row.
const FROM: &str = "cluster t \
     LEFT JOIN nodegroup masters ON masters.cluster_id = t.uuid AND masters.name = 'default-master' \
     LEFT JOIN nodegroup workers ON workers.cluster_id = t.uuid AND workers.name = 'default-worker'";
const COLUMNS: &str = "t.id, t.uuid, t.name, t.project_id, t.user_id, t.cluster_template_id, t.stack_id, \
     t.status, t.status_reason, t.api_address, t.discovery_url, t.create_timeout, t.ca_cert_ref, \
     t.magnum_cert_ref, t.trust_id, t.trustee_username, t.trustee_user_id, t.trustee_password, t.keypair, \
     t.labels, t.health_status, t.health_status_reason, t.created_at, t.updated_at, \
     workers.node_count AS node_count, workers.node_addresses AS node_addresses, \
     masters.node_count AS master_count, masters.node_addresses AS master_addresses";
/// Under the names of both eras.
const SORT_KEYS: SortKeys = &[
    ("id", "t.id"),
    ("uuid", "t.uuid"),
    ("name", "t.name"),
    ("project_id", "t.project_id"),
    ("user_id", "t.user_id"),
    ("baymodel_id", "t.cluster_template_id"),
    ("cluster_template_id", "t.cluster_template_id"),
    ("stack_id", "t.stack_id"),
    ("status", "t.status"),
    ("status_reason", "t.status_reason"),
    ("api_address", "t.api_address"),
    ("discovery_url", "t.discovery_url"),
    ("bay_create_timeout", "t.create_timeout"),
    ("create_timeout", "t.create_timeout"),
    ("node_count", "workers.node_count"),
    ("master_count", "masters.node_count"),
    ("ca_cert_ref", "t.ca_cert_ref"),
    ("magnum_cert_ref", "t.magnum_cert_ref"),
    ("trust_id", "t.trust_id"),
    ("trustee_username", "t.trustee_username"),
    ("trustee_user_id", "t.trustee_user_id"),
    ("keypair", "t.keypair"),
    ("created_at", "t.created_at"),
    ("updated_at", "t.updated_at"),
];

impl Store {
    pub async fn bay(&self, scope: &Scope, key: Key) -> Result<Option<Bay>, Error> {
        find(&mut &*self, scope, key).await
    }

    /// At most two: one is the answer, two are a conflict.
    pub async fn bays_named(&self, scope: &Scope, name: &str) -> Result<Vec<Bay>, Error> {
        let filter = BayFilter { name: Some(name.to_owned()), ..BayFilter::default() };
        self.bays(scope, &filter, &Page { limit: Some(2), ..Page::default() }).await
    }

    pub async fn bays(&self, scope: &Scope, filter: &BayFilter, page: &Page) -> Result<Vec<Bay>, Error> {
        let mut select = Select::new(COLUMNS, FROM, SORT_KEYS);
        select.within(scope, "");
        filter.apply(&mut select);
        let rows = select.page(&mut &*self, page).await?;
        rows.iter().map(|row| read(row, &self.vault)).collect()
    }
}

impl Store {
    /// Writes what was seen of a bay's health, and nothing else of it: an operation may be at work on the rest.
    pub async fn set_health(&self, bay: Uuid, health: &Health) -> Result<(), Error> {
        let reasons = serde_json::to_string(&health.reasons)
            .map_err(|error| Error::corrupt(format!("cluster.health_status_reason: {error}")))?;
        let sql = "UPDATE cluster SET health_status = ?, health_status_reason = ? WHERE uuid = ?";
        self.execute(sql, params![health.status.as_str(), reasons, bay]).await.map(drop)
    }
}

impl BayFilter {
    fn apply(&self, select: &mut Select) {
        let texts = [
            ("t.cluster_template_id = ?", &self.model_id),
            ("t.name = {exact}", &self.name),
            ("t.stack_id = ?", &self.stack_id),
            ("t.api_address = ?", &self.api_address),
            ("t.project_id = {exact}", &self.project_id),
            ("t.user_id = {exact}", &self.user_id),
        ];
        for (condition, value) in texts {
            if value.is_some() {
                select.and(condition, params![value]);
            }
        }
        for (condition, value) in
            [("workers.node_count = ?", self.node_count), ("masters.node_count = ?", self.master_count)]
        {
            if value.is_some() {
                select.and(condition, params![value]);
            }
        }
        if let Some(addresses) = &self.node_addresses {
            select.and("workers.node_addresses = ?", params![list_to_json(addresses)]);
        }
        if !self.status.is_empty() {
            let any = vec!["?"; self.status.len()].join(", ");
            let params = self.status.iter().map(|status| Param::from(status.as_str())).collect();
            select.and(format!("t.status IN ({any})"), params);
        }
    }
}

impl Transaction {
    /// Reads a bay and keeps it, and the operation that is active on it, from being changed until the end.
    pub async fn bay(&mut self, scope: &Scope, key: Key) -> Result<Option<Bay>, Error> {
        let Some(bay) = find(self, scope, key).await? else { return Ok(None) };
        self.lock_behind_operation(bay.uuid, "SELECT id FROM cluster WHERE uuid = ?").await?;
        find(self, scope, key).await
    }

    /// Inserts a bay with its node groups and returns its number, or [`Error::Duplicate`], after which the
    /// transaction goes on. What the bay does not say of its nodes is the model's.
    pub async fn insert_bay(&mut self, bay: &Bay) -> Result<i64, Error> {
        let sql = "INSERT INTO cluster (uuid, name, project_id, user_id, cluster_template_id, stack_id, \
             status, status_reason, api_address, discovery_url, create_timeout, ca_cert_ref, \
             magnum_cert_ref, trust_id, trustee_username, trustee_user_id, trustee_password, keypair, \
             labels, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {now}) \
             {or_nothing} {returning_id}";
        let mut params = params![bay.uuid, &bay.name, &bay.project_id, &bay.user_id, &bay.model_id];
        params.extend(mutable(bay, self.vault()));
        params.extend(params![&bay.keypair, labels_to_json(&bay.labels)]);
        let id = self.insert_row(sql, params).await?.ok_or(Error::Duplicate)?;
        for group in groups(bay) {
            self.insert_group(bay, &group).await?;
        }
        Ok(id)
    }

    /// Writes what may change of a bay: status, stack, addresses, counts, trust, certificates. False when it
    /// is gone.
    pub async fn update_bay(&mut self, bay: &Bay) -> Result<bool, Error> {
        let sql = "UPDATE cluster SET stack_id = ?, status = ?, status_reason = ?, api_address = ?, \
             discovery_url = ?, create_timeout = ?, ca_cert_ref = ?, magnum_cert_ref = ?, trust_id = ?, \
             trustee_username = ?, trustee_user_id = ?, trustee_password = ?, updated_at = {now} \
             WHERE uuid = ?";
        let mut params = mutable(bay, self.vault());
        params.push(Param::from(bay.uuid));
        if self.execute(sql, params).await? == 0 {
            return Ok(false);
        }
        for group in groups(bay) {
            self.update_group(bay, &group).await?;
        }
        Ok(true)
    }

    /// Gives a bay another name; false when it is gone.
    pub async fn rename_bay(&mut self, bay: Uuid, name: Option<&str>) -> Result<bool, Error> {
        let sql = "UPDATE cluster SET name = ?, updated_at = {now} WHERE uuid = ?";
        Ok(self.execute(sql, params![name, bay]).await? > 0)
    }

    /// Deletes a bay, all its node groups, its secrets and the records of its apps; false when there is none.
    pub async fn delete_bay(&mut self, bay: Uuid) -> Result<bool, Error> {
        self.delete_apps_of(bay).await?;
        self.delete_bay_secrets(bay).await?;
        self.execute("DELETE FROM nodegroup WHERE cluster_id = ?", params![bay]).await?;
        Ok(self.execute("DELETE FROM cluster WHERE uuid = ?", params![bay]).await? > 0)
    }

    async fn insert_group(&mut self, bay: &Bay, group: &Group<'_>) -> Result<(), Error> {
        let template = "SELECT image_id, flavor_id, master_flavor_id, docker_volume_size \
             FROM cluster_template WHERE uuid = ?";
        let model = self.row(template, params![&bay.model_id]).await?;
        let of_model = |column| model.as_ref().map(|row| row.text(column)).transpose();
        let (flavor, image) = (of_model(group.flavor_column)?.flatten(), of_model("image_id")?.flatten());
        let volume = model.as_ref().map(|row| row.int_opt("docker_volume_size")).transpose()?.flatten();
        let least = bay.labels.get("min_node_count").and_then(|least| least.parse().ok()).unwrap_or(0_i64);
        let sql = "INSERT INTO nodegroup (uuid, name, cluster_id, project_id, role, is_default, \
             min_node_count, labels, flavor_id, image_id, docker_volume_size, node_count, node_addresses, \
             stack_id, status, status_reason, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
             ?, ?, {now})";
        let mut params = params![
            Uuid::new_v4(),
            group.name,
            bay.uuid,
            bay.project_id.as_deref().unwrap_or_default(),
            group.role,
            true,
            least,
            labels_to_json(&bay.labels),
            flavor,
            image,
            volume,
        ];
        params.extend(group.mutable(bay));
        self.execute(sql, params).await.map(drop)
    }

    /// A bay that was taken over from an older release may have no node groups yet.
    async fn update_group(&mut self, bay: &Bay, group: &Group<'_>) -> Result<(), Error> {
        let sql = "UPDATE nodegroup SET node_count = ?, node_addresses = ?, stack_id = ?, status = ?, \
             status_reason = ?, updated_at = {now} WHERE cluster_id = ? AND name = ?";
        let mut params = group.mutable(bay);
        params.extend(params![bay.uuid, group.name]);
        if self.execute(sql, params).await? == 0 {
            self.insert_group(bay, group).await?;
        }
        Ok(())
    }
}

/// One of the two default node groups, as far as a bay tells.
struct Group<'a> {
    name: &'static str,
    role: &'static str,
    flavor_column: &'static str,
    count: Option<i64>,
    addresses: &'a [String],
}

impl Group<'_> {
    fn mutable(&self, bay: &Bay) -> Vec<Param> {
        params![
            self.count,
            list_to_json(self.addresses),
            &bay.stack_id,
            bay.status.map(Status::as_str),
            bay.status_reason.as_deref().map(reason),
        ]
    }
}

fn groups(bay: &Bay) -> [Group<'_>; 2] {
    [
        Group {
            name: MASTERS,
            role: "master",
            flavor_column: "master_flavor_id",
            count: bay.master_count,
            addresses: &bay.master_addresses,
        },
        Group {
            name: WORKERS,
            role: "worker",
            flavor_column: "flavor_id",
            count: bay.node_count,
            addresses: &bay.node_addresses,
        },
    ]
}

/// The parameters that insert and update have in common, in the order of both statements.
fn mutable(bay: &Bay, vault: &Vault) -> Vec<Param> {
    let password = bay.trustee_password.as_ref();
    let password =
        password.map(|secret| vault.seal(&password_of(bay.uuid), secret.expose_secret().as_bytes()));
    params![
        &bay.stack_id,
        bay.status.map(Status::as_str),
        bay.status_reason.as_deref().map(reason),
        &bay.api_address,
        &bay.discovery_url,
        bay.create_timeout,
        &bay.ca_cert_ref,
        &bay.magnum_cert_ref,
        &bay.trust_id,
        &bay.trustee_username,
        &bay.trustee_user_id,
        password,
    ]
}

fn password_of(bay: Uuid) -> String {
    format!("cluster.trustee_password:{bay}")
}

async fn find<R: Read>(db: &mut R, scope: &Scope, key: Key) -> Result<Option<Bay>, Error> {
    let mut select = Select::new(COLUMNS, FROM, SORT_KEYS);
    select.within(scope, "");
    select.key(key);
    let rows = select.all(db).await?;
    rows.first().map(|row| read(row, db.vault())).transpose()
}

fn read(row: &Row, vault: &Vault) -> Result<Bay, Error> {
    let uuid = row.uuid("uuid")?;
    let status = row.text("status")?.map(|status| status.parse::<Status>()).transpose();
    let password = row.text("trustee_password")?;
    Ok(Bay {
        id: row.int("id")?,
        uuid,
        name: row.text("name")?,
        project_id: row.text("project_id")?,
        user_id: row.text("user_id")?,
        model_id: row.text("cluster_template_id")?,
        stack_id: row.text("stack_id")?,
        status: status.map_err(|error| Error::corrupt(error.to_string()))?,
        status_reason: row.text("status_reason")?,
        api_address: row.text("api_address")?,
        discovery_url: row.text("discovery_url")?,
        create_timeout: row.int_opt("create_timeout")?,
        node_count: row.int_opt("node_count")?,
        master_count: row.int_opt("master_count")?,
        node_addresses: list_from_json(row.text("node_addresses")?, "nodegroup.node_addresses")?,
        master_addresses: list_from_json(row.text("master_addresses")?, "nodegroup.node_addresses")?,
        ca_cert_ref: row.text("ca_cert_ref")?,
        magnum_cert_ref: row.text("magnum_cert_ref")?,
        trust_id: row.text("trust_id")?,
        trustee_username: row.text("trustee_username")?,
        trustee_user_id: row.text("trustee_user_id")?,
        trustee_password: password.map(|stored| vault.reveal(&password_of(uuid), stored)).transpose()?,
        keypair: row.text("keypair")?,
        labels: labels_from_json(row.text("labels")?, "cluster.labels")?,
        health: health(row)?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// Whoever else writes these columns may write them otherwise: what cannot be read is not known.
fn health(row: &Row) -> Result<Option<Health>, Error> {
    let status = row.text("health_status")?.and_then(|status| status.parse().ok());
    let reasons = row.text("health_status_reason")?.and_then(|text| serde_json::from_str(&text).ok());
    Ok(status.map(|status| Health { status, reasons: reasons.unwrap_or_default() }))
}
