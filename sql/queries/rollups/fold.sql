-- rollups/fold($1 most attempts or events of a step)
select f.reached, f.attempts, f.events, f.more
from rollups_fold_1($1) as f;
