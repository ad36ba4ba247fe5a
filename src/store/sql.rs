//! Every statement by the name of its file under `sql/queries/`.

use super::connection::Query;

macro_rules! queries {
    ($($constant:ident = $name:literal),* $(,)?) => {
        $(pub(super) const $constant: Query =
            Query { name: $name, text: include_str!(concat!("../../sql/queries/", $name, ".sql")) };)*

    };
}

queries! {
    PING = "database/ping",
    CLOCK = "database/clock",
    FACTS = "database/facts",
    OLD_SNAPSHOTS = "database/old_snapshots",
    ENSURE_PARTITIONS = "partitions/ensure",
    PARTITIONS_AHEAD = "partitions/ahead",
    ACCEPT = "events/accept",
    READ_EVENT = "events/read",
    LIST_DELIVERIES = "events/deliveries",
    NOT_DELIVERED = "events/not_delivered",
    FIND_KEYS = "idempotency_keys/find",
    CLAIM = "deliveries/claim",
    RECORD = "deliveries/record",
    RELEASE = "deliveries/release",
    ADVANCE = "deliveries/advance",
    DRAW = "deliveries/draw",
    NOTIFY = "deliveries/notify",
    BACKLOG = "deliveries/backlog",
    QUEUE_SIZE = "deliveries/size",
    RENEW_HOLDS = "holds/renew",
    DROP_HOLDS = "holds/drop",
    TAKE_PACES = "paces/take",
    DROP_PACES = "paces/drop",
    NOTE_HEALTH = "health/note",
    TURN_BREAKER = "health/turn",
    CLOSE_BREAKER = "health/close",
    READ_HEALTH = "health/read",
    COUNT_BREAKERS = "health/count",
    RELEASE_OWNERLESS = "upkeep/release_ownerless",
    ADVANCE_LINES = "upkeep/advance_lines",
    EXPIRE_PARKED = "upkeep/expire_parked",
    DISABLE_FAILING = "upkeep/disable_failing",
    ANNOUNCE = "upkeep/announce",
    RETAIN = "upkeep/retain",
    DEAD_ROWS = "upkeep/dead_rows",
    CREATE_SUBSCRIPTION = "subscriptions/create",
    READ_SUBSCRIPTION = "subscriptions/read",
    RESOLVE_SUBSCRIPTION = "subscriptions/resolve",
    FIND_SUBSCRIPTION = "subscriptions/find",
    LIST_SUBSCRIPTIONS = "subscriptions/list",
    ALL_SUBSCRIPTIONS = "subscriptions/all",
    REPLACE_SUBSCRIPTION = "subscriptions/replace",
    ROTATE_SECRET = "subscriptions/rotate",
    DELETE_SUBSCRIPTION = "subscriptions/delete",
    SEALED_WITH = "subscriptions/sealed_with",
    NEWEST_TARGETS = "subscriptions/targets",
    KNOWN_SUBSCRIPTION = "subscriptions/known",
    CREATE_API_KEY = "api_keys/create",
    FIND_API_KEY = "api_keys/find",
    LIST_API_KEYS = "api_keys/list",
    REVOKE_API_KEY = "api_keys/revoke",
    TOUCH_API_KEYS = "api_keys/touch",
    READ_STATUS = "status/read",
    LIST_ATTEMPTS = "attempts/list",
}
