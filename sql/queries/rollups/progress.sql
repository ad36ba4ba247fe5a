-- rollups/progress()
select
    p.folded_until,
    log_complete_before_1() as complete_before
from rollup_progress as p;
