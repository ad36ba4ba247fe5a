-- Announcements, mended.

-- The types of announcements. Who asks for one is found by the index below, which has to be
-- made anew when a type is added.
create function announcement_types() returns text[]
language sql immutable parallel safe
return array[
    'subscription.failing', 'subscription.disabled', 'subscription.recovered', 'delivery.failed', 'replay.finished'
];

create index subscriptions_asking on subscriptions (tenant_id, id)
where event_types && announcement_types();

-- Publishes an event about a subscription to the tenant's others that name its type in full, 100
-- at most: patterns ask for what producers publish. Returns whether anybody asks for it: an
-- event that nobody asks for is not written.
create or replace function raise_event(tenant uuid, subject uuid, kind text, details jsonb) returns boolean
language plpgsql as $$
declare
    raised uuid := uuid_v7();
    who text;
begin
    if not exists (
        select 1
        from subscriptions as s
        where s.tenant_id = tenant
            and s.id <> subject
            and s.event_types && announcement_types()
            and kind = any(s.event_types)
            and s.deleted_at is null
    ) then
        return false;
    end if;
    select s.external_id into who
    from subscriptions as s
    where s.tenant_id = tenant
        and s.id = subject;
    insert into events (tenant_id, id, event_type, payload, fan_out, about)
    values (
        tenant,
        raised,
        kind,
        convert_to(
            jsonb_build_object(
                'type', kind,
                'timestamp', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'data', jsonb_build_object('subscription_id', subject, 'external_id', who) || details
            )::text,
            'UTF8'
        ),
        true,
        subject
    );
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, held_for)
    select
        tenant,
        raised,
        s.id,
        case when s.is_active and not s.is_paced then now() else 'infinity' end,
        case when not s.is_active then 'disabled' when s.is_paced then 'paced' end
    from subscriptions as s
    where s.tenant_id = tenant
        and s.id <> subject
        and s.event_types && announcement_types()
        and kind = any(s.event_types)
        and s.deleted_at is null
    order by s.id
    limit 100;
    return true;
end
$$;
