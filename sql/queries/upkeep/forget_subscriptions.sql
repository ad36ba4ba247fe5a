-- upkeep/forget_subscriptions($1 how long ago they were deleted, in seconds)
-- Deletes subscriptions for good that were deleted so long ago and of which nothing is left. Returns how many.
select forget_subscriptions(now() - make_interval(secs => $1::double precision)) as forgotten;
