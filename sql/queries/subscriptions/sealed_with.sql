-- subscriptions/sealed_with(): per master key its subscriptions and a sealed value to try it on
-- Sealed values begin with format, length and id of the key.
with live as materialized (
    select
        s.tenant_id,
        s.id,
        sealed.content,
        sealed.is_headers,
        convert_from(substring(sealed.content from 3 for get_byte(sealed.content, 1)), 'UTF8') as key_id
    from subscriptions as s
    cross join lateral (
        select s.secret as content, false as is_headers
        union all
        select o.secret, false
        from unnest(s.older_secrets, s.older_until) as o (secret, until)
        where o.until > now()
        union all
        select s.sealed_headers, true
        where s.sealed_headers is not null
    ) as sealed
    where s.deleted_at is null
),
counted as (
    select l.key_id, count(distinct l.id) as subscriptions
    from live as l
    group by l.key_id
),
sample as (
    select distinct on (l.key_id) l.key_id, l.tenant_id, l.id, l.content, l.is_headers
    from live as l
    order by l.key_id, l.id
)
select c.key_id, c.subscriptions, s.tenant_id, s.id as subscription_id, s.content, s.is_headers
from counted as c
inner join sample as s
    on s.key_id = c.key_id
order by c.key_id;
