-- event_types/count($1 tenant, $2 name): how many others there are, and how many of them are validated
select
    count(*) as names,
    count(*) filter (where e.is_validated) as validated
from event_types as e
where e.tenant_id = $1
    and e.name <> $2;
