-- What Magnum has no place for: durable operations, the outbox, and what was seen of each message.
-- Times are milliseconds of the database's clock.
-- MySQL commits each statement by itself: every one must bear being run twice.

CREATE TABLE IF NOT EXISTS operation (
    uuid VARCHAR(36) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    subject_uuid VARCHAR(36) NOT NULL,
    state VARCHAR(16) NOT NULL,
    step VARCHAR(64) NOT NULL,
    attempts INT NOT NULL,
    superseded TINYINT(1) NOT NULL,
    request_id TEXT,
    progress LONGTEXT,
    token LONGTEXT,
    reason TEXT,
    run_at BIGINT NOT NULL,
    lease_owner VARCHAR(255),
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    after_operation VARCHAR(36),
    deadline_ms BIGINT,
    created_ms BIGINT NOT NULL,
    finished_ms BIGINT,
    PRIMARY KEY (uuid),
    CONSTRAINT uniq_operation0after_operation UNIQUE (after_operation),
    INDEX ix_operation_state_run_at (state, run_at),
    INDEX ix_operation_finished_ms (finished_ms),
    INDEX ix_operation_subject_uuid (subject_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS active_operation (
    subject_uuid VARCHAR(36) NOT NULL,
    operation_uuid VARCHAR(36) NOT NULL,
    PRIMARY KEY (subject_uuid),
    CONSTRAINT uniq_active_operation0operation_uuid UNIQUE (operation_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS caller (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    operation_uuid VARCHAR(36) NOT NULL,
    reply_to LONGTEXT NOT NULL,
    message_key VARCHAR(128),
    beat_at BIGINT,
    INDEX ix_caller_operation_uuid (operation_uuid),
    INDEX ix_caller_beat_at (beat_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS message (
    message_key VARCHAR(128) NOT NULL,
    operation_uuid VARCHAR(36),
    reply LONGTEXT,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (message_key),
    INDEX ix_message_created_ms (created_ms)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS outbox (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    purpose VARCHAR(16) NOT NULL,
    routing_key VARCHAR(255) NOT NULL,
    message LONGTEXT NOT NULL,
    attempts INT NOT NULL,
    claimed_by VARCHAR(255),
    claimed_until BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    INDEX ix_outbox_routing_key_id (routing_key, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS delivery_attempt (
    body_hash VARCHAR(64) NOT NULL,
    attempts INT NOT NULL,
    last_ms BIGINT NOT NULL,
    PRIMARY KEY (body_hash),
    INDEX ix_delivery_attempt_last_ms (last_ms)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
