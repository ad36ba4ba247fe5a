-- tenants/change($1 id, $2 external id, $3 name, $4 metadata, $5 subscriptions, $6 rate, $7 updated_at, $8 actor)
-- No row if another write or the deletion came first.
update tenants as t
set
    external_id = $2,
    name = $3,
    metadata = $4::text::jsonb,
    max_subscriptions = $5,
    publish_per_second = $6,
    updated_at = greatest(now(), t.updated_at + interval '1 microsecond'),
    changed_by = $8::text::jsonb
where t.id = $1
    and t.updated_at = $7
    and t.deleted_at is null
returning
    t.id,
    t.external_id,
    t.name,
    t.metadata::text as metadata,
    t.max_subscriptions,
    t.publish_per_second,
    t.created_at,
    t.updated_at;
