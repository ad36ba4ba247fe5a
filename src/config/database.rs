//! Settings of PostgreSQL.

use super::declare::settings;
use super::rules::{boolean, number, optional, secret_url, text};
use super::{Private, SchemaName};

settings! {
    DatabaseConfig {}

    /// PostgreSQL to use, as a postgres:// URL
    url: Private = "DATABASE_URL", secret_url(),
        Default::Required("it names the PostgreSQL to use, as in postgres://user:password@host/database");

    /// The same database without a pooler, or through one in session mode, for LISTEN and migrations
    direct: Option<Private> = "DATABASE_DIRECT_URL", optional(secret_url()), Default::Unset("DATABASE_URL");

    /// How to encrypt where the URL has no sslmode; as libpq
    tls_mode: Option<String> = "PGSSLMODE", optional(text()), Default::Unset("prefer");

    /// File with the trusted CA certificates of PostgreSQL where the URL has no sslrootcert; or "system"
    tls_root_cert: Option<String> = "PGSSLROOTCERT", optional(text()), Default::Unset("none");

    /// File with the client certificate for PostgreSQL where the URL has no sslcert
    tls_cert: Option<String> = "PGSSLCERT", optional(text()), Default::Unset("none");

    /// File with the key of that certificate where the URL has no sslkey
    tls_key: Option<String> = "PGSSLKEY", optional(text()), Default::Unset("none");

    /// Whether to use prepared statements; false behind pgbouncer older than 1.21
    prepare: bool = "POSTRIDER_DB_PREPARE", boolean(), Default::Value("true");

    /// Schema of the tables, created if missing
    schema: SchemaName = "POSTRIDER_SCHEMA", text(), Default::Value("public");

    // One connection for each of the store's six pools.
    /// Most connections to PostgreSQL of this process
    pool_size: usize = "POSTRIDER_DB_POOL_SIZE", number(6..=10_000), Default::Value("12");

    /// Whether to migrate the schema at start; false only checks it
    migrate: bool = "POSTRIDER_MIGRATE", boolean(), Default::Value("true");
}
