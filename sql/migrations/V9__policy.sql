-- How each subscription wants to be served. Null: as the instance's settings say.
-- A replica that does not know these columns leaves them as they are and follows the settings.

alter table subscriptions
-- Its owner's own name for it, usable in paths; never a UUID.
add column external_id text,
add column metadata jsonb not null default '{}',
-- Headers of its own and what authorises us at the target: their names to be seen, all of it
-- sealed like `secret`.
add column header_names text[] not null default '{}',
add column auth_type text,
add column sealed_headers bytea,
-- A name, or delays separated by commas; and how many attempts that makes.
add column retry_schedule text,
add column max_attempts smallint,
add column request_timeout_ms integer,
-- A lease outlasts an attempt by 15 s: what follows the answer is recorded in that time.
add column least_lease_seconds double precision generated always as (request_timeout_ms / 1000.0 + 15) stored,
-- Requests a second, and requests at a time, over all replicas.
add column rate_limit integer,
add column max_in_flight integer,
-- Whether events with an ordering key are delivered one after the other, and after how many
-- attempts one that fails makes room for the next.
add column is_ordered boolean not null default false,
add column skip_after_attempts integer,
add constraint subscriptions_request_timeout_range check (request_timeout_ms between 1000 and 60000),
add constraint subscriptions_attempts_counted
    check ((max_attempts is not null) = (retry_schedule is not null) and max_attempts > 0),
add constraint subscriptions_rate_limit_positive check (rate_limit > 0),
add constraint subscriptions_max_in_flight_positive check (max_in_flight > 0),
add constraint subscriptions_skip_after_positive check (skip_after_attempts > 0),
add constraint subscriptions_auth_known check (auth_type in ('basic', 'bearer')),
add constraint subscriptions_headers_sealed
    check ((sealed_headers is not null) = (auth_type is not null or cardinality(header_names) > 0));

create unique index subscriptions_external_id on subscriptions (tenant_id, external_id)
where external_id is not null and deleted_at is null;
