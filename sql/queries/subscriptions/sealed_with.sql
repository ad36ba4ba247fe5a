-- subscriptions/sealed_with(): per master key its subscriptions and a sealed value to try it on
-- Sealed values begin with format, length and id of the key.
with live as materialized (
    select
        s.tenant_id,
        s.id,
        sealed.content,
        sealed.kind,
        convert_from(substring(sealed.content from 3 for get_byte(sealed.content, 1)), 'UTF8') as key_id
    from subscriptions as s
    cross join lateral (
        select s.secret as content, 'secret' as kind
        union all
        select o.secret, 'secret'
        from unnest(s.older_secrets, s.older_until) as o (secret, until)
        where o.until > now()
        union all
        select s.sealed_headers, 'headers'
        where s.sealed_headers is not null
        union all
        select s.ingest_secret, 'ingest'
        where s.ingest_secret is not null
    ) as sealed
    where s.deleted_at is null
),
counted as (
    select l.key_id, count(distinct l.id) as subscriptions
    from live as l
    group by l.key_id
),
sample as (
    select distinct on (l.key_id) l.key_id, l.tenant_id, l.id, l.content, l.kind
    from live as l
    order by l.key_id, l.id
)
select c.key_id, c.subscriptions, s.tenant_id, s.id as subscription_id, s.content, s.kind
from counted as c
inner join sample as s
    on s.key_id = c.key_id
order by c.key_id;
