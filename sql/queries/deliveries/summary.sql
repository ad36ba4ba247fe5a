-- deliveries/summary($1 tenant or null for all, $2 most to count, $3 most to examine)
select
    s.pending,
    s.held,
    s.failing,
    s.oldest_due_seconds,
    s.is_cut
from deliveries_summary_1($1, $2, $3) as s;
