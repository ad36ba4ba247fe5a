-- holds/drop($1 subscriptions, $2 reason, $3 owner)
-- Ends the owner's holds of these subscriptions; what is parked is then nobody's, and
-- upkeep releases it.
delete from holds as h
where h.subscription_id = any($1::uuid[])
    and h.reason = $2::text
    and h.owner = $3::uuid;
