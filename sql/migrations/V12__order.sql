-- Lines: the deliveries of one subscription with one ordering key, one after the other.

-- Places in lines. One for all of them: what counts is which of two numbers is smaller.
create sequence deliveries_position;

alter table deliveries
-- Place in the line of subscription and ordering key; both are null outside of lines.
add column position bigint,
add constraint deliveries_line_has_position check ((ordering_key is null) = (position is null)),
add constraint deliveries_ordered_is_in_line check (held_for is distinct from 'ordered' or ordering_key is not null);

drop index deliveries_ordered;

create index deliveries_ordered on deliveries (subscription_id, ordering_key, position)
where ordering_key is not null;
