-- replicas/beat(replica, its role, version of the program, most seconds of its leases, deliveries in its memory; seconds
-- of silence until it is lost)
-- Returns those that deliver.
create function replicas_beat_1(
    replica uuid,
    replica_role text,
    program_version text,
    longest_lease_seconds double precision,
    in_memory integer,
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
    insert into replicas as r (id, role, version, started_at, heartbeat_at, lease_seconds, backlog)
    values (replica, replica_role, program_version, at, at, longest_lease_seconds, in_memory)
    on conflict on constraint replicas_pkey do update
    set
        heartbeat_at = excluded.heartbeat_at,
        backlog = excluded.backlog;
    -- A lost one stays until a minute after its last lease, so that its leases are found.
    delete from replicas as r
    where r.heartbeat_at < at - make_interval(secs => r.lease_seconds + 60);
    return query
    select r.id, r.heartbeat_at < at - make_interval(secs => lost_after_seconds)
    from replicas as r
    where r.role <> 'api'
    order by r.id;
end
$$;
