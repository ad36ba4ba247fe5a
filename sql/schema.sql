CREATE FUNCTION public.ensure_partitions(from_day date, through_day date) RETURNS integer
    LANGUAGE plpgsql
    AS $$
declare
    parent text;
    day date;
    partition text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('postrider.partitions'));
    foreach parent in array array['events', 'attempts'] loop
        day := from_day;
        while day <= through_day loop
            partition := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            if to_regclass(partition) is null then
                execute format('create table %I (like %I including all)', partition, parent);
                execute format(
                    'alter table %I attach partition %I for values from (%L) to (%L)',
                    parent,
                    partition,
                    uuid_v7_floor(day::timestamp at time zone 'UTC'),
                    uuid_v7_floor((day + 1)::timestamp at time zone 'UTC')
                );
                made := made + 1;
            end if;
            day := day + 1;
        end loop;
    end loop;
    return made;
end
$$;
CREATE FUNCTION public.readable(bytes bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
begin
    return convert_from(bytes, 'UTF8');
exception when others then
    return encode(bytes, 'escape');
end
$$;
CREATE FUNCTION public.uuid_v7(at timestamp with time zone DEFAULT clock_timestamp()) RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    RETURN (((lpad(to_hex((floor((EXTRACT(epoch FROM at) * (1000)::numeric)))::bigint), 12, '0'::text) || '7'::text) || substr(replace((gen_random_uuid())::text, '-'::text, ''::text), 14, 19)))::uuid;
CREATE FUNCTION public.uuid_v7_floor(at timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((lpad(to_hex((floor((EXTRACT(epoch FROM at) * (1000)::numeric)))::bigint), 12, '0'::text) || repeat('0'::text, 20)))::uuid;
CREATE TABLE public.attempts (
    tenant_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_type text,
    attempt_number smallint NOT NULL,
    outcome text NOT NULL,
    status_code smallint,
    error_message text,
    response_body bytea,
    remote_address inet,
    duration_ms integer,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT attempts_body_length CHECK ((octet_length(response_body) <= 16384)),
    CONSTRAINT attempts_success_has_no_error CHECK (((outcome = 'delivered'::text) = (error_message IS NULL)))
)
PARTITION BY RANGE (id);
CREATE TABLE public.deliveries (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    lease uuid,
    attempts smallint DEFAULT 0 NOT NULL,
    free_attempts smallint DEFAULT 0 NOT NULL,
    held_for text,
    ordering_key text,
    CONSTRAINT deliveries_attempts_counted CHECK (((free_attempts >= 0) AND (free_attempts <= attempts))),
    CONSTRAINT deliveries_held_is_not_leased CHECK (((held_for IS NULL) OR (lease IS NULL))),
    CONSTRAINT deliveries_held_is_parked CHECK (((held_for IS NOT NULL) = (next_attempt_at = 'infinity'::timestamp with time zone)))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off);
CREATE TABLE public.subscriptions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    target_url text NOT NULL,
    secret bytea NOT NULL,
    event_types text[] DEFAULT '{}'::text[] NOT NULL,
    description text,
    is_active boolean DEFAULT true NOT NULL,
    disabled_reason text,
    verify_ingest boolean NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT subscriptions_active_has_no_reason CHECK (((disabled_reason IS NULL) OR (NOT is_active))),
    CONSTRAINT subscriptions_version_positive CHECK ((version > 0))
);
CREATE TABLE public.undelivered (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    status text NOT NULL,
    reason text NOT NULL,
    attempts smallint NOT NULL,
    ended_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT undelivered_status_known CHECK ((status = ANY (ARRAY['failed'::text, 'cancelled'::text, 'expired'::text, 'skipped'::text])))
);
CREATE VIEW public.all_deliveries AS
 SELECT d.tenant_id,
    d.event_id,
    d.subscription_id,
        CASE
            WHEN (s.deleted_at IS NOT NULL) THEN 'cancelled'::text
            WHEN ((NOT s.is_active) OR (d.held_for IS NOT NULL)) THEN 'held'::text
            WHEN ((d.lease IS NOT NULL) AND (d.next_attempt_at > now())) THEN 'sending'::text
            ELSE 'pending'::text
        END AS status,
        CASE
            WHEN (s.deleted_at IS NOT NULL) THEN 'subscription_deleted'::text
            WHEN (NOT s.is_active) THEN 'disabled'::text
            ELSE d.held_for
        END AS reason,
    (d.attempts)::integer AS attempts,
        CASE
            WHEN ((s.deleted_at IS NULL) AND s.is_active AND (d.lease IS NULL)) THEN NULLIF(d.next_attempt_at, 'infinity'::timestamp with time zone)
            ELSE NULL::timestamp with time zone
        END AS next_attempt_at
   FROM (public.deliveries d
     JOIN public.subscriptions s ON (((s.tenant_id = d.tenant_id) AND (s.id = d.subscription_id))))
UNION ALL
 SELECT u.tenant_id,
    u.event_id,
    u.subscription_id,
    u.status,
    u.reason,
    (u.attempts)::integer AS attempts,
    NULL::timestamp with time zone AS next_attempt_at
   FROM public.undelivered u
UNION ALL
 SELECT a.tenant_id,
    a.event_id,
    a.subscription_id,
    'succeeded'::text AS status,
    NULL::text AS reason,
    (max(a.attempt_number))::integer AS attempts,
    NULL::timestamp with time zone AS next_attempt_at
   FROM public.attempts a
  WHERE ((a.outcome = 'delivered'::text) AND (NOT (EXISTS ( SELECT 1
           FROM public.deliveries d
          WHERE ((d.tenant_id = a.tenant_id) AND (d.event_id = a.event_id) AND (d.subscription_id = a.subscription_id))))) AND (NOT (EXISTS ( SELECT 1
           FROM public.undelivered u
          WHERE ((u.tenant_id = a.tenant_id) AND (u.event_id = a.event_id) AND (u.subscription_id = a.subscription_id))))))
  GROUP BY a.tenant_id, a.event_id, a.subscription_id;
CREATE TABLE public.api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    scope text NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_hash_length CHECK ((octet_length(secret_hash) = 32)),
    CONSTRAINT api_keys_scope_known CHECK ((scope = ANY (ARRAY['admin'::text, 'publish'::text, 'read'::text])))
);
CREATE TABLE public.events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    event_type text,
    payload bytea NOT NULL,
    accepted_at timestamp with time zone DEFAULT now() NOT NULL
)
PARTITION BY RANGE (id);
CREATE VIEW public.delivery_logs AS
 SELECT a.id,
    a.subscription_id,
    a.event_id AS webhook_id,
    a.event_type,
    e.payload,
    (a.attempt_number)::integer AS attempt_number,
    (a.status_code)::integer AS status_code,
    public.readable(a.response_body) AS response_body,
    a.error_message,
    (a.outcome = 'delivered'::text) AS is_success,
    a.created_at
   FROM (public.attempts a
     LEFT JOIN public.events e ON (((e.tenant_id = a.tenant_id) AND (e.id = a.event_id))));
CREATE TABLE public.holds (
    tenant_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    reason text NOT NULL,
    ordering_key text DEFAULT ''::text NOT NULL,
    owner uuid NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT holds_until_finite CHECK ((until < 'infinity'::timestamp with time zone))
);
CREATE TABLE public.idempotency_keys (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    CONSTRAINT idempotency_keys_fingerprint_length CHECK ((octet_length(fingerprint) = 32))
);
CREATE VIEW public.parked_subscriptions AS
 WITH RECURSIVE parked AS (
        ( SELECT d.subscription_id,
            d.held_for
           FROM public.deliveries d
          WHERE (d.next_attempt_at = 'infinity'::timestamp with time zone)
          ORDER BY d.subscription_id, d.held_for
         LIMIT 1)
        UNION ALL
         SELECT next.subscription_id,
            next.held_for
           FROM (parked p
             CROSS JOIN LATERAL ( SELECT d.subscription_id,
                    d.held_for
                   FROM public.deliveries d
                  WHERE ((d.next_attempt_at = 'infinity'::timestamp with time zone) AND (ROW(d.subscription_id, d.held_for) > ROW(p.subscription_id, p.held_for)))
                  ORDER BY d.subscription_id, d.held_for
                 LIMIT 1) next)
        )
 SELECT parked.subscription_id,
    parked.held_for
   FROM parked;
CREATE TABLE public.tenants (
    id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenants_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 100)))
);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (subscription_id, id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (tenant_id, event_id, subscription_id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT holds_pkey PRIMARY KEY (subscription_id, reason, ordering_key, owner);
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_id_unique UNIQUE (id);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_name_unique UNIQUE (name);
ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.undelivered
    ADD CONSTRAINT undelivered_pkey PRIMARY KEY (tenant_id, event_id, subscription_id);
CREATE INDEX api_keys_tenant ON public.api_keys USING btree (tenant_id, id);
CREATE INDEX attempts_event ON ONLY public.attempts USING btree (event_id, subscription_id);
CREATE INDEX deliveries_due ON public.deliveries USING btree (next_attempt_at) WHERE (next_attempt_at < 'infinity'::timestamp with time zone);
CREATE INDEX deliveries_held ON public.deliveries USING btree (subscription_id, held_for, event_id) WHERE (next_attempt_at = 'infinity'::timestamp with time zone);
CREATE INDEX deliveries_ordered ON public.deliveries USING btree (subscription_id, ordering_key, event_id) WHERE (ordering_key IS NOT NULL);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
