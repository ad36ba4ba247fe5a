-- deliveries/held_until(of a subscription: whether it is active, its breaker, its rate limit, its limit of
--   requests in flight; now)
-- Up to which due time unleased deliveries of a subscription count as held, as the view all_deliveries shows it;
-- -infinity where none does.
create function deliveries_held_until_1(
    is_active boolean,
    breaker text,
    rate_limit integer,
    max_in_flight integer,
    at timestamptz
)
returns timestamptz
language sql immutable parallel safe
set search_path from current
return case
    when not is_active then 'infinity'::timestamptz
    when breaker is not null then at
    when rate_limit is not null or max_in_flight is not null then at - interval '1 second'
    else '-infinity'::timestamptz
end;
