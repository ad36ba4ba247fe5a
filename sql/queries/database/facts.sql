-- database/facts()
select
    current_setting('server_version_num')::integer as version_number,
    current_setting('server_version') as version,
    current_setting('fsync')::boolean as fsync,
    current_setting('full_page_writes')::boolean as full_page_writes,
    current_setting('synchronous_commit') as synchronous_commit,
    coalesce(current_setting('postrider.session', true), '') = '1' as has_options,
    current_setting('lock_timeout') as lock_timeout,
    current_setting('statement_timeout') as statement_timeout,
    current_setting('search_path') as search_path,
    current_setting('autovacuum')::boolean as autovacuum,
    current_setting('max_connections')::integer as max_connections,
    (select sum(b.numbackends)::bigint from pg_stat_database as b) as connections,
    quote_ident(current_user) as role,
    pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_others,
    pg_is_in_recovery() as is_replica,
    pg_encoding_to_char(d.encoding) as encoding
from pg_database as d
where d.datname = current_database();
