-- Publishes every order that is paid, whoever pays it.
create function publish_paid_order() returns trigger
language plpgsql
as $$
begin
    perform postrider.publish(
        'order.paid',
        jsonb_build_object('order', new.id, 'paid_at', new.paid_at),
        idempotency_key => 'order-' || new.id || '-paid',
        ordering_key => 'order-' || new.id
    );
    return null;
end
$$;

create trigger orders_paid
after update on orders
for each row
when (old.paid_at is null and new.paid_at is not null)
execute function publish_paid_order();
