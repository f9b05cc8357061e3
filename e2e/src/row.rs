//! What no object of Mitaka's can say of a bay model: written into its row, as the API of a later release does that
//! reads and writes the database itself.

use anyhow::ensure;
use sqlx::MySqlPool;

/// The columns that later releases have added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) fixed_subnet: Option<&'static str>,
    pub(crate) master_lb_enabled: bool,
    pub(crate) floating_ip_enabled: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Rows(MySqlPool);

impl Rows {
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        Ok(Self(MySqlPool::connect(url).await?))
    }

    pub(crate) async fn fill(&self, model: &str, columns: Columns) -> anyhow::Result<()> {
        let statement = "UPDATE cluster_template SET fixed_subnet = ?, master_lb_enabled = ?, floating_ip_enabled = ? \
                         WHERE uuid = ?";
        let done = sqlx::query(statement)
            .bind(columns.fixed_subnet)
            .bind(columns.master_lb_enabled)
            .bind(columns.floating_ip_enabled)
            .bind(model)
            .execute(&self.0)
            .await?;
        ensure!(done.rows_affected() == 1, "{} rows of the bay model were changed", done.rows_affected());
        Ok(())
    }
}
