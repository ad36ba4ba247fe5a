//! Every statement by the name of its file under `sql/queries/`.

use super::connection::Query;

macro_rules! queries {
    ($($constant:ident = $name:literal),* $(,)?) => {
        $(pub(super) const $constant: Query =
            Query { name: $name, text: include_str!(concat!("../../sql/queries/", $name, ".sql")) };)*

        /// All of them, for the test that prepares each on a real server.
        #[cfg(test)]
        pub(super) const ALL: &[Query] = &[$($constant),*];
    };
}

queries! {
    PING = "database/ping",
    CLOCK = "database/clock",
    ENSURE_PARTITIONS = "partitions/ensure",
    ACCEPT = "events/accept",
    FIND_KEYS = "idempotency_keys/find",
    CLAIM = "deliveries/claim",
    RECORD = "deliveries/record",
    RELEASE = "deliveries/release",
    NOTIFY = "deliveries/notify",
    BACKLOG = "deliveries/backlog",
    RENEW_HOLDS = "holds/renew",
    DROP_HOLDS = "holds/drop",
    RELEASE_OWNERLESS = "upkeep/release_ownerless",
    SWEEP = "upkeep/sweep",
    DEAD_ROWS = "upkeep/dead_rows",
}
