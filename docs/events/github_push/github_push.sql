-- The table of the stream `github_push`.

CREATE TABLE github_pushes (
    ref                    varchar(1000) NOT NULL,
    before                 varchar(64)   NOT NULL,
    after                  varchar(64)   NOT NULL,
    base_ref               varchar(1000),
    created                boolean       NOT NULL,
    deleted                boolean       NOT NULL,
    forced                 boolean       NOT NULL,
    sender_login           varchar(256)  NOT NULL,
    sender_type            varchar(32)   NOT NULL,
    pusher_email           varchar(256),
    repository_id          bigint        NOT NULL,
    repository_name        varchar(100)  NOT NULL,
    repository_description text,
    repository_private     boolean       NOT NULL,
    repository_language    varchar(64),
    repository_pushed_at   timestamptz   NOT NULL,
    repository_owner_login varchar(256),
    repository_owner_type  varchar(32)   NOT NULL,
    commits                jsonb         NOT NULL,
    sent_at                timestamptz   NOT NULL,
    message_id             uuid          PRIMARY KEY
);

CREATE INDEX ON github_pushes (sender_login);
CREATE INDEX ON github_pushes (pusher_email);
CREATE INDEX ON github_pushes (repository_owner_login);
CREATE INDEX ON github_pushes USING gin (commits jsonb_path_ops);
