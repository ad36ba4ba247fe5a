-- upkeep/forget_subscriptions($1 seconds since they were deleted)
select forget_subscriptions(now() - make_interval(secs => $1::double precision)) as forgotten;
