-- publish_buckets/take(tenant, events per second, how many to take)
-- The bucket holds one second's worth and starts full. Returns as many as there are, or the seconds until all are
-- there.
create function publish_buckets_take_1(
    tenant uuid,
    per_second double precision,
    wanted integer,
    out granted integer,
    out wait_seconds double precision
)
language plpgsql
set search_path from current
as $$
declare
    at constant timestamptz := now();
    available double precision;
begin
    insert into publish_buckets as b (tenant_id, tokens, filled_at)
    values (tenant, per_second, at)
    on conflict on constraint publish_buckets_pkey do update
    set
        tokens = least(
            per_second,
            b.tokens + per_second * greatest(extract(epoch from at - b.filled_at)::double precision, 0)
        ),
        filled_at = greatest(at, b.filled_at)
    returning b.tokens
    into available;
    granted := least(floor(available), wanted);
    wait_seconds := case when granted = 0 then (wanted - available) / per_second else 0 end;
    update publish_buckets
    set tokens = available - granted
    where tenant_id = tenant
        and granted > 0;
end
$$;
