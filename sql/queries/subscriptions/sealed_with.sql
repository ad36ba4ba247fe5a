-- subscriptions/sealed_with()
-- How many subscriptions have live secrets, the current one or older ones, sealed with which
-- master key. The id of the key stands at the front of what is sealed, after its format and
-- its length.
select
    convert_from(substring(live.secret from 3 for get_byte(live.secret, 1)), 'UTF8') as key_id,
    count(distinct s.id) as subscriptions
from subscriptions as s
cross join lateral (
    select s.secret
    union all
    select o.secret
    from unnest(s.older_secrets, s.older_until) as o (secret, until)
    where o.until > now()
) as live
where s.deleted_at is null
group by key_id
order by key_id;
