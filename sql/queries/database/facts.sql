-- database/facts()
-- What the server is and how it is set, as this connection sees it.
select
    current_setting('server_version_num')::integer as version_number,
    current_setting('server_version') as version,
    current_setting('fsync')::boolean as fsync,
    current_setting('full_page_writes')::boolean as full_page_writes,
    current_setting('synchronous_commit') as synchronous_commit,
    current_setting('autovacuum')::boolean as autovacuum,
    current_setting('max_connections')::integer as max_connections,
    (select count(*) from pg_stat_activity as a where a.backend_type = 'client backend') as connections,
    pg_is_in_recovery() as is_replica,
    pg_encoding_to_char(d.encoding) as encoding
from pg_database as d
where d.datname = current_database();
