-- Apps that run on bays, and which worker watches which bay's framework.

CREATE TABLE IF NOT EXISTS app (
    id SERIAL PRIMARY KEY,
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    bay_uuid VARCHAR(36) NOT NULL,
    project_id VARCHAR(255),
    user_id VARCHAR(255),
    manifest TEXT,
    manifest_url TEXT,
    framework_id TEXT,
    instances BIGINT,
    status VARCHAR(20),
    status_reason TEXT,
    version VARCHAR(64),
    deployment_id TEXT,
    tasks_staged BIGINT,
    tasks_running BIGINT,
    tasks_healthy BIGINT,
    tasks_unhealthy BIGINT,
    endpoints TEXT,
    CONSTRAINT uniq_app0uuid UNIQUE (uuid),
    CONSTRAINT uniq_app0bay_uuid0name UNIQUE (bay_uuid, name)
);
CREATE INDEX IF NOT EXISTS ix_app_project_id ON app (project_id);

CREATE TABLE IF NOT EXISTS bay_watch (
    bay_uuid VARCHAR(36) NOT NULL,
    owner VARCHAR(255) NOT NULL,
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (bay_uuid)
);
