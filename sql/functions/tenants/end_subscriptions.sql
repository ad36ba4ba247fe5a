-- tenants/end_subscriptions(tenant, most subscriptions, version stamp, most deliveries to count, actor)
-- Soft-deletes subscriptions of a deleted tenant; counts cancelled deliveries up to the limit and one more.
create function tenants_end_subscriptions_1(
    tenant uuid,
    most_subscriptions bigint,
    stamp bigint,
    most_counted bigint,
    actor jsonb,
    out ended bigint,
    out cancelled bigint
)
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    ids uuid[];
begin
    -- The lock waits for subscriptions that were being created during the deletion.
    perform 1
    from tenants as t
    where t.id = tenant
        and t.deleted_at is not null
    for no key update;
    if not found then
        raise 'tenant % is not deleted', tenant;
    end if;
    ids := array(
        select s.id
        from subscriptions as s
        where s.tenant_id = tenant
            and s.deleted_at is null
        order by s.id
        limit most_subscriptions
    );
    update subscriptions as s
    set
        version = greatest(s.version + 1, stamp),
        updated_at = now(),
        deleted_at = now(),
        changed_by = actor
    where s.tenant_id = tenant
        and s.id = any(ids)
        and s.deleted_at is null;
    get diagnostics ended = row_count;
    select count(*)
    into cancelled
    from (
        select 1
        from unnest(ids) as i (id)
        cross join lateral (
            select 1
            from deliveries as d
            where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(i.id, 0)
                and d.subscription_id = i.id
                and d.next_attempt_at < 'infinity'
            union all
            select 1
            from deliveries as d
            where d.subscription_id = i.id
                and d.ordering_key is not null
                and d.next_attempt_at = 'infinity'
        ) as d
        limit most_counted + 1
    ) as c;
end
$$;
