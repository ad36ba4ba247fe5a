-- search/exact($1 tenant or null for all, $2 text, $3 the same as an id or null)
select s.kind, s.tenant_id, s.id, s.event_id, s.subscription_id, s.at, s.status, s.reason, s.title, s.target_url
from search_exact_1($1, $2, $3) as s;
