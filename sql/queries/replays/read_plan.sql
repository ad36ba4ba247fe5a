-- replays/read_plan($1 tenant, $2 token)
select p.selection::text as selection, p.is_to_matching, p.below_id, p.total
from replay_plans as p
where p.tenant_id = $1
    and p.id = $2
    and p.id >= uuid_v7_floor(now() - interval '1 day');
