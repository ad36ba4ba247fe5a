-- events/raise(tenant, subscription that it is about, type, further fields of its data)
-- Publishes a system event to up to 100 other subscriptions that name its type in full. Returns whether there are
-- any.
create function events_raise_1(tenant uuid, subject uuid, kind text, details jsonb)
returns boolean
language plpgsql
set search_path from current
as $$
declare
    at constant timestamptz := now();
    raised constant uuid := uuid_v7();
    recipients constant uuid[] := array(
        select s.id
        from subscriptions as s
        where s.tenant_id = tenant
            and s.id <> subject
            and s.event_types && system_event_types()
            and kind = any(s.event_types)
            and s.deleted_at is null
        order by s.id
        limit 100
    );
    payload bytea;
begin
    if cardinality(recipients) = 0 then
        return false;
    end if;
    payload := convert_to(
        jsonb_build_object(
            'type', kind,
            'timestamp', rfc3339(at),
            'data', jsonb_build_object('subscription_id', subject, 'external_id', (
                select s.external_id
                from subscriptions as s
                where s.tenant_id = tenant
                    and s.id = subject
            )) || details
        )::text,
        'UTF8'
    );
    insert into events (tenant_id, id, event_type, payload, accepted_at, fan_out, about)
    values (tenant, raised, kind, payload, at, true, subject);
    perform deliveries_enqueue_1(
        array[tenant],
        array[raised],
        array[octet_length(payload)],
        array[null]::text[],
        array[null]::timestamptz[],
        array[null]::timestamptz[],
        array_fill(1, array[cardinality(recipients)]),
        recipients,
        array[]::double precision[],
        array[]::boolean[],
        null,
        null,
        null
    );
    return true;
end
$$;
