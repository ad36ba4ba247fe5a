-- log/tail($1 since, $2 until, $3 most rows of each kind)
-- At least one row, with the mark; the next read has to begin there.
select
    m.mark,
    m.now,
    t.kind,
    t.at,
    t.tenant_id,
    t.id,
    t.event_id,
    t.subscription_id,
    t.event_type,
    t.word,
    t.reason,
    t.number,
    t.status_code,
    t.error_message,
    t.duration_ms,
    t.began_at,
    t.trigger
from (select log_complete_before_1() as mark, now() as now) as m
left join log_tail_1($1, $2, $3) as t on true
order by t.at;
