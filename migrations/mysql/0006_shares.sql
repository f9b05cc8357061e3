-- Which project asked for an operation: projects take turns. Rows of older workers have none, and share one turn.
-- MySQL commits each statement by itself: every one must bear being run twice, and MySQL knows no
-- ADD COLUMN IF NOT EXISTS (MariaDB does). Column and index come in one statement, so both are there or neither.

SET @shares = IF(
    EXISTS(
        SELECT 1 FROM information_schema.columns
        WHERE table_schema = DATABASE() AND table_name = 'operation' AND column_name = 'project_id'
    ),
    'DO 0',
    'ALTER TABLE operation ADD COLUMN project_id VARCHAR(255), ADD INDEX ix_operation_state_project_id_run_at (state, project_id, run_at)'
);
PREPARE shares FROM @shares;
EXECUTE shares;
DEALLOCATE PREPARE shares;

-- When each task of the whole pool is due again, and who did it last.
CREATE TABLE IF NOT EXISTS periodic (
    name VARCHAR(64) NOT NULL,
    next_ms BIGINT NOT NULL,
    owner VARCHAR(255) NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
