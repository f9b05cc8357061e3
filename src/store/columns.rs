//! A row as columns with their values: inserting and changing a row of one table share one list.

use super::driver::{Param, Transaction};
use super::error::Error;

/// Columns, by names that are literals of this program, each with its value.
pub(super) struct Columns(Vec<(&'static str, Param)>);

/// Lists columns and values.
macro_rules! columns {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::store::columns::Columns::new(vec![
            $(($name, $crate::store::driver::Param::from($value))),*
        ])
    };
}
pub(super) use columns;

impl Columns {
    pub(super) fn new(columns: Vec<(&'static str, Param)>) -> Self {
        Self(columns)
    }

    /// Only the columns of these names.
    pub(super) fn only(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|(name, _)| wanted(name));
        self
    }
}

impl Transaction {
    /// Inserts a row and returns its number, or [`Error::Duplicate`], after which the transaction goes on.
    pub(super) async fn insert_columns(
        &mut self,
        table: &'static str,
        columns: Columns,
    ) -> Result<i64, Error> {
        let (names, params): (Vec<_>, Vec<_>) = columns.0.into_iter().unzip();
        let (names, marks) = (names.join(", "), vec!["?, "; params.len()].concat());
        let sql = format!(
            "INSERT INTO {table} ({names}, created_at) VALUES ({marks}{{now}}) {{or_nothing}} {{returning_id}}"
        );
        self.insert_row(&sql, params).await?.ok_or(Error::Duplicate)
    }

    /// Writes these columns of a row and no others; false when it is gone.
    pub(super) async fn update_columns(
        &mut self,
        table: &'static str,
        id: i64,
        columns: Columns,
    ) -> Result<bool, Error> {
        let (names, mut params): (Vec<_>, Vec<_>) = columns.0.into_iter().unzip();
        let sets: String = names.iter().map(|name| format!("{name} = ?, ")).collect();
        let sql = format!("UPDATE {table} SET {sets}updated_at = {{now}} WHERE id = ?");
        params.push(Param::from(id));
        Ok(self.execute(&sql, params).await? > 0)
    }
}
