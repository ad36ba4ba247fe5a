-- What changed since a list of a tenant's subscriptions was read is found by a number, so
-- that nobody has to read the list anew, or refuse an event, because of it.
-- A replica that does not know this works as before: the version of the list still changes
-- whenever somebody else would get an event, and versions of the rows tell the rest.

alter table subscriptions
-- The version of the tenant's list when the row was last written in a way that changes who
-- gets an event: made, deleted, or given other event types.
add column listed_version bigint not null default 0;

create index subscriptions_listed on subscriptions (tenant_id, listed_version);

-- Raises the version of the list and writes it to the rows that made it so. The tenant's row
-- stays locked until the commit: who sees a version sees every row that has a smaller one.
create or replace function raise_subscriptions_version() returns trigger
language plpgsql as $$
declare
    written uuid[];
begin
    if tg_op = 'INSERT' then
        written := array(select n.id from new_rows as n);
    else
        written := array(
            select n.id
            from new_rows as n
            inner join old_rows as o
                on o.tenant_id = n.tenant_id
                and o.id = n.id
            where n.event_types <> o.event_types
                or (n.deleted_at is null) <> (o.deleted_at is null)
        );
    end if;
    -- The update below comes back here, and ends here.
    if cardinality(written) > 0 then
        with raised as (
            update tenants as t
            set subscriptions_version = later_version(t.subscriptions_version)
            where t.id in (select s.tenant_id from subscriptions as s where s.id = any(written))
            returning t.id, t.subscriptions_version
        )
        update subscriptions as s
        set listed_version = r.subscriptions_version
        from raised as r
        where s.tenant_id = r.id
            and s.id = any(written);
    end if;
    return null;
end
$$;
