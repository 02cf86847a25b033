-- Which batch wrote a row: the table `batch` says by which declaration, and what else became of it.

ALTER TABLE user_logins ADD COLUMN batch_id bigint;
ALTER TABLE orders ADD COLUMN batch_id bigint;
