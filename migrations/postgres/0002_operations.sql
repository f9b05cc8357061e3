-- What Magnum has no place for: durable operations, the outbox, and what was seen of each message.
-- Times are milliseconds of the database's clock.

CREATE TABLE IF NOT EXISTS operation (
    uuid VARCHAR(36) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    subject_uuid VARCHAR(36) NOT NULL,
    state VARCHAR(16) NOT NULL,
    step VARCHAR(64) NOT NULL,
    attempts INTEGER NOT NULL,
    superseded BOOLEAN NOT NULL,
    request_id TEXT,
    progress TEXT,
    token TEXT,
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
    CONSTRAINT uniq_operation0after_operation UNIQUE (after_operation)
);
CREATE INDEX IF NOT EXISTS ix_operation_state_run_at ON operation (state, run_at);
CREATE INDEX IF NOT EXISTS ix_operation_finished_ms ON operation (finished_ms);
CREATE INDEX IF NOT EXISTS ix_operation_subject_uuid ON operation (subject_uuid);

CREATE TABLE IF NOT EXISTS active_operation (
    subject_uuid VARCHAR(36) NOT NULL,
    operation_uuid VARCHAR(36) NOT NULL,
    PRIMARY KEY (subject_uuid),
    CONSTRAINT uniq_active_operation0operation_uuid UNIQUE (operation_uuid)
);

CREATE TABLE IF NOT EXISTS caller (
    id BIGSERIAL PRIMARY KEY,
    operation_uuid VARCHAR(36) NOT NULL,
    reply_to TEXT NOT NULL,
    message_key VARCHAR(128),
    beat_at BIGINT
);
CREATE INDEX IF NOT EXISTS ix_caller_operation_uuid ON caller (operation_uuid);
CREATE INDEX IF NOT EXISTS ix_caller_beat_at ON caller (beat_at);

CREATE TABLE IF NOT EXISTS message (
    message_key VARCHAR(128) NOT NULL,
    operation_uuid VARCHAR(36),
    reply TEXT,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (message_key)
);
CREATE INDEX IF NOT EXISTS ix_message_created_ms ON message (created_ms);

CREATE TABLE IF NOT EXISTS outbox (
    id BIGSERIAL PRIMARY KEY,
    purpose VARCHAR(16) NOT NULL,
    routing_key VARCHAR(255) NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    claimed_by VARCHAR(255),
    claimed_until BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_outbox_routing_key_id ON outbox (routing_key, id);

CREATE TABLE IF NOT EXISTS delivery_attempt (
    body_hash VARCHAR(64) NOT NULL,
    attempts INTEGER NOT NULL,
    last_ms BIGINT NOT NULL,
    PRIMARY KEY (body_hash)
);
CREATE INDEX IF NOT EXISTS ix_delivery_attempt_last_ms ON delivery_attempt (last_ms);
