//! Events with deliveries in every state, written as rows, for what only reads.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::api::{Answer, TestApi};

/// An API over such rows.
pub(crate) struct Stock {
    pub(crate) api: TestApi,
    pub(crate) client: Client,
}

impl Stock {
    pub(crate) async fn new() -> Self {
        let api = TestApi::start().await;
        let client = api.database.client().await;
        Self { api, client }
    }

    /// A subscription of `acme`; its id.
    pub(crate) async fn subscription(&self, external_id: &str, is_active: bool) -> String {
        let made = self.api.subscribe(json!({ "external_id": external_id, "is_active": is_active })).await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// An event of this tenant, accepted some seconds ago; its id.
    pub(crate) async fn event(&self, tenant: &str, event_type: &str, seconds_ago: i32) -> String {
        let insert = "
            insert into events (tenant_id, id, accepted_at, event_type, payload, fan_out)
            select t.id, uuid_v7(now() - make_interval(secs => $3::integer)), now() - make_interval(secs => $3::integer),
                $2, convert_to('{\"type\": \"' || $2 || '\"}', 'UTF8'), true
            from tenants as t where t.external_id = $1
            returning id::text";
        self.client.query_one(insert, &[&tenant, &event_type, &seconds_ago]).await.unwrap().get(0)
    }

    /// Runs a statement about an event and a subscription.
    async fn write(&self, statement: &str, event: &str, subscription: &str) {
        let statement = statement.replace("EVENT", event).replace("SUBSCRIPTION", subscription);
        assert!(self.client.execute(&statement, &[]).await.unwrap() > 0, "{statement}");
    }

    /// A delivery in the queue, due in an hour.
    pub(crate) async fn queued(&self, event: &str, subscription: &str) {
        let statement = "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
            select e.tenant_id, e.id, 'SUBSCRIPTION', now() + interval '1 hour', 2 from events as e where e.id = 'EVENT'";
        self.write(statement, event, subscription).await;
    }

    /// A delivery that ended so after an attempt that the receiver answered with 500.
    pub(crate) async fn ended(&self, event: &str, subscription: &str, status: &str, reason: &str) {
        let statement = format!(
            "insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
             select e.tenant_id, e.id, 'SUBSCRIPTION', '{status}', '{reason}', 1 from events as e where e.id = 'EVENT'"
        );
        self.write(&statement, event, subscription).await;
        self.attempt(event, subscription, "http_5xx").await;
    }

    /// An attempt a second after the event.
    pub(crate) async fn attempt(&self, event: &str, subscription: &str, outcome: &str) {
        let (code, error) = if outcome == "delivered" { ("200", "null") } else { ("500", "'no'") };
        let statement = format!(
            "insert into attempts (tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome,
                 status_code, error_message, duration_ms, created_at, response_body)
             select e.tenant_id, 'SUBSCRIPTION', uuid_v7(e.accepted_at + interval '1 second'), e.id, e.event_type, 1,
                 '{outcome}', {code}, {error}, 12, e.accepted_at + interval '1 second', 'secret'
             from events as e where e.id = 'EVENT'"
        );
        self.write(&statement, event, subscription).await;
    }

    /// An answer with status 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.api.ask("GET", path).send().await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// What another key, perhaps an operator's, gets for this tenant.
    pub(crate) async fn get_as(&self, key: &str, tenant: &str, path: &str) -> Answer {
        self.api.stranger("GET", path).key(key).header("postrider-tenant", tenant).send().await
    }

    /// All pages of a list, and how many there were.
    pub(crate) async fn pages(&self, path: &str) -> (Vec<Value>, usize) {
        self.pages_after(path, None).await
    }

    /// The same from this cursor on.
    pub(crate) async fn pages_after(&self, path: &str, cursor: Option<&str>) -> (Vec<Value>, usize) {
        let (mut rows, mut pages, mut cursor) = (Vec::new(), 0, cursor.map(str::to_owned));
        loop {
            let next = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = self.get(&format!("{path}{next}")).await;
            rows.extend(page["data"].as_array().unwrap().clone());
            pages += 1;
            assert!(pages < 500, "{path} never ends");
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return (rows, pages),
            }
        }
    }
}

/// One field of each row.
pub(crate) fn field(rows: &[Value], name: &str) -> Vec<String> {
    rows.iter().map(|row| row[name].as_str().unwrap_or("null").to_owned()).collect()
}

/// The rows of a page.
pub(crate) fn data(page: &Value) -> Vec<Value> {
    page["data"].as_array().unwrap().clone()
}
