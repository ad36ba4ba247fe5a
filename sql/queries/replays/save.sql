-- replays/save($1 tenant, $2 token, $3 filters, $4 to the subscriptions that match now, $5 event below which, $6 count)
-- What a dry run has counted.
insert into replay_plans (tenant_id, id, selection, is_to_matching, below_id, total)
values ($1, $2, $3::text::jsonb, $4, $5, $6);
