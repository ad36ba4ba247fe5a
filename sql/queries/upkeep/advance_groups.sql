-- upkeep/advance_groups($1 subscription and $2 ordering key of the group after which to begin, $3 most groups,
--   $4 most rows of a group that is dissolved)
-- Makes the heads of ordering groups due; sql/functions/upkeep/advance_groups.sql says how.
select g.looked_at, g.released, g.last_subscription, g.last_key
from upkeep_advance_groups_1($1, $2, $3, $4) as g;
