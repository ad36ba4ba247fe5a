-- tenants/write(new id, external id or null, name, metadata, most subscriptions or null, events per second or null,
-- whether to replace a live tenant with this external id, actor)
-- Returns the row: the calling statement does not see what the function wrote.
create function tenants_write_1(
    new_id uuid,
    wanted_external_id text,
    wanted_name text,
    wanted_metadata jsonb,
    wanted_max_subscriptions integer,
    wanted_publish_per_second integer,
    may_replace boolean,
    actor jsonb,
    out written tenants,
    out is_new boolean
)
language plpgsql
set search_path from current
as $$
declare
    found_id uuid;
begin
    is_new := not may_replace;
    if may_replace then
        -- If the insert waits for another one, the second round finds its row.
        for round in 1..2 loop
            select t.id
            into found_id
            from tenants as t
            where t.external_id = wanted_external_id
                and t.deleted_at is null
            for no key update;
            exit when found;
            insert into tenants (id, external_id, name, metadata, max_subscriptions, publish_per_second, changed_by)
            values (
                new_id, wanted_external_id, wanted_name, wanted_metadata, wanted_max_subscriptions,
                wanted_publish_per_second, actor
            )
            on conflict (external_id) where deleted_at is null do nothing;
            is_new := found;
            exit when found;
        end loop;
    end if;
    if found_id is not null then
        update tenants as t
        set
            name = wanted_name,
            metadata = wanted_metadata,
            max_subscriptions = wanted_max_subscriptions,
            publish_per_second = wanted_publish_per_second,
            updated_at = greatest(now(), t.updated_at + interval '1 microsecond'),
            changed_by = actor
        where t.id = found_id
            and (
                t.name <> wanted_name
                or t.metadata <> wanted_metadata
                or t.max_subscriptions is distinct from wanted_max_subscriptions
                or t.publish_per_second is distinct from wanted_publish_per_second
            );
    elsif not may_replace then
        insert into tenants (id, external_id, name, metadata, max_subscriptions, publish_per_second, changed_by)
        values (
            new_id, wanted_external_id, wanted_name, wanted_metadata, wanted_max_subscriptions,
            wanted_publish_per_second, actor
        );
    end if;
    written := (
        select t
        from tenants as t
        where t.id = coalesce(found_id, new_id)
    );
end
$$;
