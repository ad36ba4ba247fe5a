-- Publishing: one event to all subscriptions of its tenant that want it.
-- A replica that does not know this keeps working: it addresses every event, and ends what it
-- claims by the lifetime alone.

-- True for an event published to all who want it; null for one addressed to a subscription.
alter table events
add column fan_out boolean;

-- When the delivery ends undelivered; null: when its event is older than the lifetime.
alter table deliveries
add column expires_at timestamptz;

-- What is due is ended by the claim; what is parked is found by this.
create index deliveries_expiring on deliveries (expires_at)
where expires_at is not null and next_attempt_at = 'infinity';

-- Changes with every write of a subscription of the tenant: a list of them made elsewhere is
-- current while this is equal.
alter table tenants
add column subscriptions_version bigint not null default 1,
add constraint tenants_subscriptions_version_positive check (subscriptions_version > 0);

create function raise_subscriptions_version() returns trigger
language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        update tenants as t
        set subscriptions_version = later_version(t.subscriptions_version)
        where t.id in (select n.tenant_id from new_rows as n);
    else
        update tenants as t
        set subscriptions_version = later_version(t.subscriptions_version)
        where t.id in (
            select n.tenant_id
            from new_rows as n
            inner join old_rows as o
                on o.tenant_id = n.tenant_id
                and o.id = n.id
            where n.version <> o.version
        );
    end if;
    return null;
end
$$;

create trigger subscriptions_written
after insert on subscriptions
referencing new table as new_rows
for each statement
execute function raise_subscriptions_version();

create trigger subscriptions_changed
after update on subscriptions
referencing old table as old_rows new table as new_rows
for each statement
execute function raise_subscriptions_version();
