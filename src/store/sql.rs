//! All statements and functions, named by their files.

use super::connection::Query;

macro_rules! queries {
    ($($constant:ident = $name:literal),* $(,)?) => {
        $(pub(super) const $constant: Query =
            Query { name: $name, text: include_str!(concat!("../../sql/queries/", $name, ".sql")) };)*
    };
}

macro_rules! functions {
    ($($name:literal),* $(,)?) => {
        /// Created when missing, never replaced.
        pub(super) const FUNCTIONS: &[&str] =
            &[$(include_str!(concat!("../../sql/functions/", $name, ".sql"))),*];
    };
}

queries! {
    PING = "database/ping",
    CLOCK = "database/clock",
    FACTS = "database/facts",
    OLD_SNAPSHOTS = "database/old_snapshots",
    ENSURE_PARTITIONS = "partitions/ensure",
    PARTITIONS_AHEAD = "partitions/ahead",
    PAST_PARTITIONS = "partitions/past",
    RETIRE_PARTITION = "partitions/retire",
    ACCEPT = "events/accept",
    READ_EVENT = "events/read",
    LIST_DELIVERIES = "events/deliveries",
    NOT_DELIVERED = "events/not_delivered",
    FIND_KEYS = "idempotency_keys/find",
    FIND = "deliveries/find",
    FIND_ALL = "deliveries/find_all",
    TAKE = "deliveries/take",
    RECORD = "deliveries/record",
    ADVANCE = "deliveries/advance",
    NOTIFY = "deliveries/notify",
    RETRY = "deliveries/retry",
    CANCEL = "deliveries/cancel",
    CANCEL_HELD = "deliveries/cancel_held",
    EXPIRE = "deliveries/expire",
    ESTIMATE = "deliveries/estimate",
    QUEUE_SIZE = "deliveries/size",
    KEEP_OWNED = "owners/keep",
    DROP_OWNED = "owners/drop",
    BEAT = "workers/beat",
    LEAVE = "workers/leave",
    RECORD_HEALTH = "health/record",
    CHANGE_BREAKERS = "health/change",
    CLOSE_BREAKERS = "health/close",
    READ_HEALTH = "health/read",
    COUNT_BREAKERS = "health/count",
    CREATE_REPLAY = "replays/create",
    LIST_REPLAYS = "replays/list",
    CANCEL_REPLAY = "replays/cancel",
    RUNNING_REPLAYS = "replays/running",
    STEP_REPLAY = "replays/step",
    FORGET_REPLAYS = "replays/forget",
    ADVANCE_GROUPS = "upkeep/advance_groups",
    DISABLE_FAILING = "upkeep/disable_failing",
    REPORT = "upkeep/report",
    FORGET_STALE = "upkeep/forget_stale",
    FORGET_ORPHANS = "upkeep/forget_orphans",
    FORGET_SUBSCRIPTIONS = "upkeep/forget_subscriptions",
    DEAD_ROWS = "upkeep/dead_rows",
    CREATE_SUBSCRIPTION = "subscriptions/create",
    READ_SUBSCRIPTIONS = "subscriptions/read",
    RESOLVE_SUBSCRIPTION = "subscriptions/resolve",
    FIND_SUBSCRIPTION = "subscriptions/find",
    LIST_SUBSCRIPTIONS = "subscriptions/list",
    ALL_SUBSCRIPTIONS = "subscriptions/all",
    CHANGED_SUBSCRIPTIONS = "subscriptions/changed",
    REPLACE_SUBSCRIPTION = "subscriptions/replace",
    ROTATE_SECRET = "subscriptions/rotate",
    DELETE_SUBSCRIPTION = "subscriptions/delete",
    SEALED_WITH = "subscriptions/sealed_with",
    NEWEST_TARGETS = "subscriptions/targets",
    KNOWN_SUBSCRIPTION = "subscriptions/known",
    FIND_TENANTS = "tenants/find",
    TENANT_CHANGES = "tenants/changes",
    LIST_TENANTS = "tenants/list",
    WRITE_TENANT = "tenants/write",
    CHANGE_TENANT = "tenants/change",
    DELETE_TENANT = "tenants/delete",
    END_SUBSCRIPTIONS = "tenants/end_subscriptions",
    TENANTS_TO_END = "tenants/to_end",
    CREATE_API_KEY = "api_keys/create",
    FIND_API_KEYS = "api_keys/find",
    LIST_API_KEYS = "api_keys/list",
    REVOKE_API_KEY = "api_keys/revoke",
    TOUCH_API_KEYS = "api_keys/touch",
    READ_STATUS = "status/read",
    LIST_ATTEMPTS = "attempts/list",
}

functions! {
    "api_keys/create",
    "attempts/log_lost",
    "deliveries/cancel",
    "deliveries/cancel_held",
    "deliveries/end",
    "deliveries/enqueue",
    "deliveries/expire",
    "deliveries/held_until",
    "deliveries/record",
    "deliveries/requeue",
    "deliveries/retry",
    "deliveries/take",
    "events/accept",
    "events/raise",
    "health/record",
    "idempotency_keys/claim",
    "owners/keep",
    "replays/step",
    "tenants/delete",
    "tenants/end_subscriptions",
    "tenants/write",
    "upkeep/advance_groups",
    "upkeep/report",
    "workers/beat",
}
