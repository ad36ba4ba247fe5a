-- deliveries/held_until(of a subscription: is active, breaker, rate limit, most in flight; now)
-- Deliveries due up to this time count as held in the view all_deliveries; -infinity for none.
create function deliveries_held_until_1(
    is_active boolean,
    breaker text,
    rate_limit integer,
    max_in_flight integer,
    at timestamptz
)
returns timestamptz
language sql immutable parallel safe
return case
    when not is_active then 'infinity'::timestamptz
    when breaker is not null then at
    when rate_limit is not null or max_in_flight is not null then at - interval '1 second'
    else '-infinity'::timestamptz
end;
