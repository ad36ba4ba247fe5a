-- Rotation: secrets that were replaced and live on for a while.
-- A replica that does not know these columns leaves them as they are and signs with the
-- current secret alone.

-- Newest first, each sealed like `secret`; older_until has the end of each. Those that have
-- ended go with the next rotation.
alter table subscriptions
add column older_secrets bytea[] not null default '{}',
add column older_until timestamptz[] not null default '{}',
add constraint subscriptions_older_paired check (cardinality(older_secrets) = cardinality(older_until)),
add constraint subscriptions_older_few check (cardinality(older_secrets) <= 4);
