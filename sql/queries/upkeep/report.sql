-- upkeep/report($1 seconds of failing after which to warn, $2 least seconds between two reports)
select r.checked, r.raised
from upkeep_report_1($1, $2) as r;
