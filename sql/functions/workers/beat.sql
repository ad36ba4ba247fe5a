-- workers/beat(worker, version of the program, most seconds of its leases; seconds of silence until it is lost)
create function workers_beat_1(
    worker uuid,
    program_version text,
    longest_lease_seconds double precision,
    lost_after_seconds double precision
)
returns table (id uuid, is_lost boolean)
language plpgsql
set search_path from current
as $$
#variable_conflict use_column
declare
    at constant timestamptz := now();
begin
    insert into workers as w (id, version, started_at, heartbeat_at, lease_seconds)
    values (worker, program_version, at, at, longest_lease_seconds)
    on conflict on constraint workers_pkey do update
    set heartbeat_at = excluded.heartbeat_at;
    -- A lost worker stays until a minute after its last lease, so that its leases are found.
    delete from workers as w
    where w.heartbeat_at < at - make_interval(secs => w.lease_seconds + 60);
    return query
    select w.id, w.heartbeat_at < at - make_interval(secs => lost_after_seconds)
    from workers as w
    order by w.id;
end
$$;
