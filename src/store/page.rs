//! What every list has in common: whose rows, which of them, in which order, from where, how many.

use std::fmt;

use uuid::Uuid;

use super::driver::{Param, Read, Row};
use super::error::Error;

/// Whose rows a caller sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// An administrator who asked for all tenants.
    All,
    Project(String),
    /// A caller without a project sees what the user made.
    User(String),
}

/// How a single row is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Id(i64),
    Uuid(Uuid),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

impl Key {
    fn condition(self) -> (&'static str, Param) {
        match self {
            Self::Id(id) => ("t.id = ?", Param::from(id)),
            Self::Uuid(uuid) => ("t.uuid = ?", Param::from(uuid)),
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub limit: Option<u32>,
    /// The row after which to start.
    pub marker: Option<Key>,
    /// A field's name; the row's number decides between equals and is the default.
    pub sort_key: Option<String>,
    pub descending: bool,
}

/// Names that a list may be sorted by and the columns that they stand for.
pub(super) type SortKeys = &'static [(&'static str, &'static str)];

/// A `SELECT` in the making. All text in it comes from literals of this program.
pub(super) struct Select {
    columns: &'static str,
    /// The tables; the first one has the alias `t`.
    from: &'static str,
    keys: SortKeys,
    tenancy: Option<(String, Param)>,
    conditions: Vec<String>,
    params: Vec<Param>,
}

impl Select {
    pub(super) fn new(columns: &'static str, from: &'static str, keys: SortKeys) -> Self {
        Self { columns, from, keys, tenancy: None, conditions: Vec::new(), params: Vec::new() }
    }

    pub(super) fn and(&mut self, condition: impl Into<String>, params: Vec<Param>) {
        self.conditions.push(condition.into());
        self.params.extend(params);
    }

    /// Adds the tenancy rule; `or` is what else a caller may see.
    pub(super) fn within(&mut self, scope: &Scope, or: &str) {
        let (column, id) = match scope {
            Scope::All => return,
            Scope::Project(id) => ("t.project_id", id),
            Scope::User(id) => ("t.user_id", id),
        };
        self.tenancy = Some((format!("({column} = {{exact}}{or})"), Param::from(id)));
    }

    pub(super) fn key(&mut self, key: Key) {
        let (condition, param) = key.condition();
        self.and(condition, vec![param]);
    }

    pub(super) async fn all(self, db: &mut impl Read) -> Result<Vec<Row>, Error> {
        let sql = format!("SELECT {} FROM {}{} ORDER BY t.id", self.columns, self.from, self.filter());
        db.rows(&sql, self.into_params()).await
    }

    /// Fetches one page. `NULL` comes before every value on all databases.
    pub(super) async fn page(mut self, db: &mut impl Read, page: &Page) -> Result<Vec<Row>, Error> {
        let name = page.sort_key.as_deref().unwrap_or("id");
        let column = self.keys.iter().find(|(key, _)| *key == name).map(|(_, column)| *column);
        let column = column.ok_or_else(|| Error::SortKey(name.to_owned()))?;
        let (order, beyond) = if page.descending { ("DESC", "<") } else { ("ASC", ">") };
        let mut marker = None;
        let mut join = String::new();
        if let Some(key) = page.marker {
            self.require(db, key).await?;
            let (condition, param) = key.condition();
            marker = Some(param);
            join = format!(
                " CROSS JOIN (SELECT {column} AS sort_value, t.id AS id FROM {} WHERE {condition}) m",
                self.from
            );
            self.conditions.push(after_marker(column, beyond, page.descending));
        }
        let mut sql = format!(
            "SELECT {} FROM {}{join}{} ORDER BY CASE WHEN {column} IS NULL THEN 0 ELSE 1 END {order}, \
             {column} {order}, t.id {order}",
            self.columns,
            self.from,
            self.filter()
        );
        if let Some(limit) = page.limit {
            sql.push_str(" LIMIT ?");
            self.params.push(Param::from(limit));
        }
        // The marker's parameter stands in the FROM clause, before all others.
        let params = marker.into_iter().chain(self.into_params()).collect();
        db.rows(&sql, params).await
    }

    /// A marker that the caller may not see is as unknown as one that does not exist. It need not pass the
    /// filters: its status may have changed since the last page.
    async fn require(&self, db: &mut impl Read, marker: Key) -> Result<(), Error> {
        let mut only = Self::new("t.id", self.from, self.keys);
        only.tenancy.clone_from(&self.tenancy);
        only.key(marker);
        only.all(db).await?.pop().map(drop).ok_or(Error::Marker(marker))
    }

    fn filter(&self) -> String {
        let tenancy = self.tenancy.iter().map(|(condition, _)| condition.as_str());
        let all: Vec<&str> = tenancy.chain(self.conditions.iter().map(String::as_str)).collect();
        if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
    }

    fn into_params(self) -> Vec<Param> {
        self.tenancy.map(|(_, param)| param).into_iter().chain(self.params).collect()
    }
}

fn after_marker(column: &str, beyond: &str, descending: bool) -> String {
    let (null, value) = if descending { (column, "m.sort_value") } else { ("m.sort_value", column) };
    format!(
        "({column} {beyond} m.sort_value OR ({null} IS NULL AND {value} IS NOT NULL) \
         OR (({column} = m.sort_value OR ({null} IS NULL AND {value} IS NULL)) AND t.id {beyond} m.id))"
    )
}
