-- outbox/lead(process, lease in seconds, its most bytes of a payload, its lifetime of a delivery in seconds)
-- Takes or prolongs the lease. Returns whether the process has it, and for how many seconds its holder does. Writes
-- only when less than half of it is left.
create function outbox_lead_1(
    process uuid,
    seconds double precision,
    payload_bytes integer,
    lifetime double precision,
    out is_mine boolean,
    out seconds_left double precision
)
language plpgsql
set search_path from current
as $$
begin
    select l.holder = process and l.ends_at > now(), extract(epoch from l.ends_at - now())
    into is_mine, seconds_left
    from outbox_lease as l
    where isfinite(l.ends_at);
    if seconds_left > 0 and (not is_mine or seconds_left > seconds / 2) then
        return;
    end if;
    update outbox_lease as l
    set
        holder = process,
        ends_at = now() + make_interval(secs => seconds),
        max_payload_bytes = payload_bytes,
        delivery_lifetime = make_interval(secs => lifetime)
    where l.holder is not distinct from process
        or l.ends_at <= now();
    is_mine := found;
    seconds_left := seconds;
end
$$;
