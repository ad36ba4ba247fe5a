-- upkeep/advance_groups($1 subscription and $2 key to start after, $3 most groups, $4 most rows to release)
select g.looked_at, g.released, g.last_subscription, g.last_key
from upkeep_advance_groups_1($1, $2, $3, $4) as g;
