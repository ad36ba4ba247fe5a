-- deliveries/end(one element each: tenants, events, subscriptions, statuses, reasons, attempts made)
create function deliveries_end_1(
    tenant_ids uuid[],
    event_ids uuid[],
    subscription_ids uuid[],
    statuses text[],
    reasons text[],
    attempts_made integer[]
)
returns void
language plpgsql
set search_path from current
as $$
declare
    at constant timestamptz := now();
begin
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts, ended_at)
    select b.tenant_id, b.event_id, b.subscription_id, b.status, b.reason, b.attempts, at
    from unnest(tenant_ids, event_ids, subscription_ids, statuses, reasons, attempts_made)
        as b (tenant_id, event_id, subscription_id, status, reason, attempts)
    order by b.event_id, b.subscription_id
    on conflict on constraint undelivered_pkey do update
    set
        status = excluded.status,
        reason = excluded.reason,
        attempts = excluded.attempts,
        ended_at = excluded.ended_at;
end
$$;
