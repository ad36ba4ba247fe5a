-- api_keys/touch($1 key ids, $2 when each was last used)
-- Never moves a time back, because replicas write in any order.
update api_keys as k
set last_used_at = greatest(k.last_used_at, used.at)
from unnest($1::uuid[], $2::timestamptz[]) as used (id, at)
where k.id = used.id
    and (k.last_used_at is null or k.last_used_at < used.at);
