-- attempts/read(tenant, attempt)
-- One attempt with its details. The id selects the partition, and its BRIN index a few pages of it; without the
-- settings, a plan without statistics would read the whole partition.
create function attempts_read_1(tenant uuid, attempt uuid)
returns table (
    tenant_id uuid,
    subscription_id uuid,
    id uuid,
    event_id uuid,
    event_type text,
    attempt_number integer,
    trigger text,
    outcome text,
    status_code smallint,
    error_message text,
    response_body bytea,
    remote_address text,
    duration_ms integer,
    created_at timestamptz,
    detail text
)
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_indexscan = off
set enable_indexonlyscan = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
#variable_conflict use_column
begin
    return query
    select
        a.tenant_id,
        a.subscription_id,
        a.id,
        a.event_id,
        a.event_type,
        a.attempt_number,
        a.trigger,
        a.outcome,
        a.status_code,
        a.error_message,
        a.response_body,
        host(a.remote_address),
        coalesce(a.duration_ms, 0),
        a.created_at,
        a.detail::text
    from attempts as a
    where a.id = attempt
        -- As text, so that the plan never walks the keys of a tenant.
        and a.tenant_id::text = tenant::text;
end
$$;
