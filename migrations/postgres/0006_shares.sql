-- Which project asked for an operation: projects take turns. Rows of older workers have none, and share one turn.

ALTER TABLE operation ADD COLUMN IF NOT EXISTS project_id VARCHAR(255);
CREATE INDEX IF NOT EXISTS ix_operation_state_project_id_run_at ON operation (state, project_id, run_at);

-- When each task of the whole pool is due again, and who did it last.
CREATE TABLE IF NOT EXISTS periodic (
    name VARCHAR(64) NOT NULL,
    next_ms BIGINT NOT NULL,
    owner VARCHAR(255) NOT NULL,
    PRIMARY KEY (name)
);
