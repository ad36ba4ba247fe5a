-- api_keys/forget_sessions($1 most rows): portal sessions that have expired
with gone as (
    delete from api_keys as k
    where k.id = any(array(
        select x.id
        from api_keys as x
        where x.capabilities is not null
            and x.expires_at < now()
        order by x.expires_at
        limit $1
        for update skip locked
    ))
    returning 1
)
select count(*) as forgotten
from gone;
