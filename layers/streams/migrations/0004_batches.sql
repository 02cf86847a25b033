-- Which batch wrote a row: the table `batch` says by which declaration, and what else became of its records.

ALTER TABLE IF EXISTS user_logins ADD COLUMN batch_id bigint;
ALTER TABLE IF EXISTS orders ADD COLUMN batch_id bigint;
