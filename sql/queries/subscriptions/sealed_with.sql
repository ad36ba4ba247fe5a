-- subscriptions/sealed_with()
-- How many subscriptions are sealed with which master key. The id of the key stands at
-- the front of what is sealed, after its format and its length.
select
    convert_from(substring(s.secret from 3 for get_byte(s.secret, 1)), 'UTF8') as key_id,
    count(*) as subscriptions
from subscriptions as s
where s.deleted_at is null
group by key_id
order by key_id;
