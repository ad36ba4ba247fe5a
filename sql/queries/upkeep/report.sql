-- upkeep/report($1 times of failing after which a warning is due, in seconds, $2 least time between two reports
--   of failed deliveries, in seconds)
-- Raises system events about what changed; sql/functions/upkeep/report.sql says which.
select r.checked, r.raised
from upkeep_report_1($1, $2) as r;
