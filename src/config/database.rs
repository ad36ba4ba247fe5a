//! Settings of PostgreSQL.

use super::declare::settings;
use super::rules::{boolean, number, optional, secret_url, text};
use super::{Private, SchemaName};

settings! {
    DatabaseConfig {}

    /// PostgreSQL to use, as a postgres:// URL
    url: Private = "DATABASE_URL", secret_url(),
        Default::Required("it names the PostgreSQL to use, as in postgres://user:password@host/database");

    /// The same database without a pooler, for LISTEN and migrations
    direct: Option<Private> = "DATABASE_DIRECT_URL", optional(secret_url()), Default::Unset("DATABASE_URL");

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

impl DatabaseConfig {
    /// For LISTEN and migrations; behind a pooler LISTEN needs a direct one.
    pub fn direct_url(&self) -> &Private {
        self.direct.as_ref().unwrap_or(&self.url)
    }
}
