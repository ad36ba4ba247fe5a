-- outbox/refuse(ids, codes, sentences, events that they are duplicates of or null)
-- Ends rows that can never be published, and keeps them with their reasons. Returns how many.
create function outbox_refuse_1(refused uuid[], codes text[], details text[], duplicates uuid[])
returns bigint
language plpgsql
set search_path from current
set enable_seqscan = off
as $$
declare
    at constant timestamptz := now();
    ended bigint;
    mine constant uuid[] := array(
        select o.id
        from outbox as o
        where o.id = any(refused)
        order by o.id
        for update skip locked
    );
begin
    insert into unpublished (
        id, tenant_id, ended_at, code, detail, duplicate_of, event_type, payload, subscription_id, idempotency_key,
        ordering_key, deliver_at, expires_at
    )
    select
        o.id,
        o.tenant_id,
        at,
        r.code,
        r.detail,
        r.duplicate_of,
        o.event_type,
        case when r.duplicate_of is null then o.payload end,
        o.subscription_id,
        o.idempotency_key,
        o.ordering_key,
        o.deliver_at,
        o.expires_at
    from unnest(refused, codes, details, duplicates) as r (id, code, detail, duplicate_of)
    inner join outbox as o
        on o.id = r.id
    where o.id = any(mine);
    delete from outbox as o
    where o.id = any(mine);
    get diagnostics ended = row_count;
    return ended;
end
$$;
