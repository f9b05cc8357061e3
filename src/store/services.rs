//! The processes of Magnum and when they were last seen: rows of its `magnum_service`. They belong to no tenant.

use std::collections::BTreeSet;

use time::PrimitiveDateTime;

use super::Store;
use super::columns::{Columns, columns};
use super::driver::{Read, Row, Transaction, params};
use super::error::Error;
use super::page::{Key, Page, Select, SortKeys};

/// A process that reports.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// The row's number, 0 until stored.
    pub id: i64,
    pub host: Option<String>,
    pub binary: Option<String>,
    pub disabled: bool,
    pub disabled_reason: Option<String>,
    pub last_seen_up: Option<PrimitiveDateTime>,
    pub forced_down: bool,
    /// How often it has reported.
    pub report_count: i64,
    pub created_at: Option<PrimitiveDateTime>,
    pub updated_at: Option<PrimitiveDateTime>,
}

const FROM: &str = "magnum_service t";
const COLUMNS: &str = "t.id, t.host, t.{binary}, t.disabled, t.disabled_reason, t.last_seen_up, t.forced_down, \
     t.report_count, t.created_at, t.updated_at";
const SORT_KEYS: SortKeys = &[
    ("id", "t.id"),
    ("host", "t.host"),
    ("binary", "t.{binary}"),
    ("disabled", "t.disabled"),
    ("disabled_reason", "t.disabled_reason"),
    ("last_seen_up", "t.last_seen_up"),
    ("forced_down", "t.forced_down"),
    ("report_count", "t.report_count"),
    ("created_at", "t.created_at"),
    ("updated_at", "t.updated_at"),
];

/// The count begins again after this many reports: a client may set it, and the column ends at 2^31.
pub const MOST_REPORTS: i64 = 1 << 30;

impl Store {
    pub async fn service(&self, id: i64) -> Result<Option<Service>, Error> {
        find(&mut &*self, id).await
    }

    pub async fn service_on(&self, host: &str, binary: &str) -> Result<Option<Service>, Error> {
        let mut select = Select::new(COLUMNS, FROM, SORT_KEYS);
        // As the table compares, which is how its unique key does too.
        select.and("t.host = ? AND t.{binary} = ?", params![host, binary]);
        select.all(&mut &*self).await?.first().map(read).transpose()
    }

    pub async fn services(&self, page: &Page) -> Result<Vec<Service>, Error> {
        let rows = Select::new(COLUMNS, FROM, SORT_KEYS).page(&mut &*self, page).await?;
        rows.iter().map(read).collect()
    }

    /// Notes that a process is up: one row per host and program, however often it starts.
    pub async fn report_up(&self, host: &str, binary: &str) -> Result<(), Error> {
        self.retrying(|| self.report(host, binary)).await
    }

    async fn report(&self, host: &str, binary: &str) -> Result<(), Error> {
        let again = "UPDATE magnum_service SET report_count = CASE WHEN report_count < ? THEN report_count + 1 ELSE 1 END, last_seen_up = {now}, \
             updated_at = {now} WHERE host = ? AND {binary} = ?";
        let first = "INSERT INTO magnum_service (host, {binary}, disabled, forced_down, report_count, \
             last_seen_up, created_at) VALUES (?, ?, FALSE, FALSE, 1, {now}, {now}) {or_nothing}";
        let mut tx = self.begin().await?;
        if tx.execute(again, params![MOST_REPORTS, host, binary]).await? == 0
            && !tx.insert_new(first, params![host, binary]).await?
        {
            // Another process of this host came first.
            tx.execute(again, params![MOST_REPORTS, host, binary]).await?;
        }
        tx.commit().await
    }
}

impl Transaction {
    /// Reads a service and keeps it from being changed or deleted until the end.
    pub async fn service(&mut self, id: i64) -> Result<Option<Service>, Error> {
        self.lock("SELECT id FROM magnum_service WHERE id = ?", params![id]).await?;
        find(self, id).await
    }

    /// Inserts a service and returns its number, or [`Error::Duplicate`], after which the transaction goes on.
    pub async fn insert_service(&mut self, service: &Service) -> Result<i64, Error> {
        self.insert_columns("magnum_service", columns(service)).await
    }

    /// Writes the named fields of a service and no others; false when it is gone.
    pub async fn update_service(
        &mut self,
        service: &Service,
        fields: &BTreeSet<String>,
    ) -> Result<bool, Error> {
        let columns = columns(service).only(|name| fields.contains(name.trim_matches(['{', '}'])));
        self.update_columns("magnum_service", service.id, columns).await
    }

    /// Counts one more report of a service: it is up now. False when it is gone.
    pub async fn report_service(&mut self, id: i64, report_count: i64) -> Result<bool, Error> {
        let sql = "UPDATE magnum_service SET report_count = ?, last_seen_up = {now}, updated_at = {now} WHERE id = ?";
        Ok(self.execute(sql, params![report_count, id]).await? > 0)
    }

    /// Deletes a service; false when there is none.
    pub async fn delete_service(&mut self, id: i64) -> Result<bool, Error> {
        Ok(self.execute("DELETE FROM magnum_service WHERE id = ?", params![id]).await? > 0)
    }
}

fn columns(service: &Service) -> Columns {
    columns! {
        "host": &service.host,
        "{binary}": &service.binary,
        "disabled": service.disabled,
        "disabled_reason": &service.disabled_reason,
        "last_seen_up": service.last_seen_up,
        "forced_down": service.forced_down,
        "report_count": service.report_count,
    }
}

async fn find(db: &mut impl Read, id: i64) -> Result<Option<Service>, Error> {
    let mut select = Select::new(COLUMNS, FROM, SORT_KEYS);
    select.key(Key::Id(id));
    select.all(db).await?.first().map(read).transpose()
}

/// Flags are `NULL` in rows that Magnum wrote without them: they mean no.
fn read(row: &Row) -> Result<Service, Error> {
    Ok(Service {
        id: row.int("id")?,
        host: row.text("host")?,
        binary: row.text("binary")?,
        disabled: row.flag_opt("disabled")?.unwrap_or(false),
        disabled_reason: row.text("disabled_reason")?,
        last_seen_up: row.time("last_seen_up")?,
        forced_down: row.flag_opt("forced_down")?.unwrap_or(false),
        report_count: row.int("report_count")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
