-- tenants/write($1 new id, $2 external id, $3 name, $4 metadata, $5 subscriptions, $6 rate, $7 may replace, $8 actor)
-- Otherwise a used external id breaks tenants_external_id. Writes nothing if nothing changes.
select
    (w.written).id,
    (w.written).external_id,
    (w.written).name,
    (w.written).metadata::text as metadata,
    (w.written).max_subscriptions,
    (w.written).publish_per_second,
    (w.written).created_at,
    (w.written).updated_at,
    w.is_new
from tenants_write_1($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8::text::jsonb) as w
where (w.written).id is not null;
