-- Which project asked for an operation: projects take turns. Rows of older workers have none, and share one turn.
-- SQLite undoes a migration that was cut off, so that this one never meets the column.

ALTER TABLE operation ADD COLUMN project_id VARCHAR(255);
CREATE INDEX IF NOT EXISTS ix_operation_state_project_id_run_at ON operation (state, project_id, run_at);

-- When each task of the whole pool is due again, and who did it last.
CREATE TABLE IF NOT EXISTS periodic (
    name VARCHAR(64) NOT NULL,
    next_ms INTEGER NOT NULL,
    owner VARCHAR(255) NOT NULL,
    PRIMARY KEY (name)
);
