//! `GET /deliveries` finds deliveries by every filter, in one order that inserts do not disturb, for a tenant or for all.

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};

use crate::support::stock::{Stock, data, field};

/// `acme` with one delivery in each state.
async fn in_each_state() -> (Stock, String, String) {
    let stock = Stock::new().await;
    let (shop, depot) = (stock.subscription("shop", true).await, stock.subscription("depot", false).await);
    let fresh = stock.event("acme", "order.created", 10).await;
    stock.queued(&fresh, &shop).await;
    stock.queued(&fresh, &depot).await;
    let paid = stock.event("acme", "order.paid", 100).await;
    stock.attempt(&paid, &shop, "delivered").await;
    stock.attempt(&paid, &shop, "http_5xx").await;
    let failed = stock.event("acme", "order.created", 200).await;
    stock.ended(&failed, &shop, "failed", "exhausted").await;
    let expired = stock.event("acme", "order.created", 300).await;
    stock.ended(&expired, &depot, "expired", "lifetime").await;
    let sending = stock.event("acme", "order.created", 400).await;
    stock.queued(&sending, &shop).await;
    let lease = format!("update deliveries set lease = gen_random_uuid() where event_id = '{sending}'");
    stock.client.execute(&lease, &[]).await.unwrap();
    (stock, shop, depot)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_selects_and_a_repeated_one_means_any() {
    let (stock, shop, depot) = in_each_state().await;
    for (query, statuses) in [
        (String::new(), vec!["held", "pending", "succeeded", "failed", "expired", "sending"]),
        ("status=pending".to_owned(), vec!["pending"]),
        ("status=succeeded".to_owned(), vec!["succeeded"]),
        ("status=failed&status=held".to_owned(), vec!["held", "failed"]),
        ("status=expired&status=sending".to_owned(), vec!["expired", "sending"]),
        ("status=skipped".to_owned(), vec![]),
        ("reason=disabled&reason=exhausted".to_owned(), vec!["held", "failed"]),
        ("reason=disabled&status=failed".to_owned(), vec![]),
        ("subscription_id=shop".to_owned(), vec!["pending", "succeeded", "failed", "sending"]),
        (format!("subscription_id={depot}"), vec!["held", "expired"]),
        (
            format!("subscription_id=depot&subscription_id={shop}&status=expired&status=pending"),
            vec!["pending", "expired"],
        ),
        ("event_type=order.paid".to_owned(), vec!["succeeded"]),
        ("event_type=order.paid&event_type=order.none".to_owned(), vec!["succeeded"]),
        ("event_type=order.created&subscription_id=shop&status=succeeded".to_owned(), vec![]),
    ] {
        let page = stock.get(&format!("/deliveries?{query}")).await;
        assert_eq!(field(&data(&page), "status"), statuses, "{query}");
        assert_eq!((&page["next_cursor"], &page["examined_to"]), (&Value::Null, &Value::Null), "{query}");
    }
    let failed = data(&stock.get("/deliveries?status=failed").await).remove(0);
    let event = failed["webhook_id"].as_str().unwrap();
    let of_event = stock.get(&format!("/events/{event}/deliveries?status=held&status=failed")).await;
    assert_eq!(field(&data(&of_event), "status"), ["failed"]);
    assert_eq!((&failed["subscription_id"], &failed["external_id"]), (&json!(shop), &json!("shop")));
    assert_eq!(failed["target_url"], "https://hooks.example.com/in");
    assert_eq!((&failed["last_outcome"], &failed["last_status_code"]), (&json!("http_5xx"), &json!(500)));
    assert_eq!((&failed["attempts"], &failed["reason"]), (&json!(1), &json!("exhausted")));
    assert!(failed["last_attempt"].as_str() > failed["accepted_at"].as_str(), "{failed}");
    assert!(failed["tenant_id"].is_string() && failed["next_attempt_at"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn since_includes_its_moment_and_until_does_not() {
    let (stock, ..) = in_each_state().await;
    let accepted = field(&data(&stock.get("/deliveries?status=failed").await), "accepted_at").remove(0);
    let found = async |query: String| field(&data(&stock.get(&format!("/deliveries?{query}")).await), "status");
    assert_eq!(found(format!("since={accepted}")).await, ["held", "pending", "succeeded", "failed"]);
    assert_eq!(found(format!("until={accepted}")).await, ["expired", "sending"]);
    assert_eq!(found(format!("until={accepted}&status=expired&status=failed")).await, ["expired"]);
    assert_eq!(found(format!("since={accepted}&until={accepted}")).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_cannot_mean_is_refused_and_what_is_unknown_is_empty() {
    let (stock, ..) = in_each_state().await;
    for (query, pointer) in [
        ("status=done", "/query/status"),
        ("reason=none", "/query/reason"),
        ("subscription_id=a%20b", "/query/subscription_id"),
        ("event_type=", "/query/event_type"),
        ("since=yesterday", "/query/since"),
        ("since=2026-01-01T00:00:00Z&since=2026-01-01T00:00:00Z", "/query/since"),
        ("limit=101", "/query/limit"),
        ("cursor=AAAA", "/query/cursor"),
        ("colour=red", "/query/colour"),
    ] {
        let refused = stock.api.ask("GET", &format!("/deliveries?{query}")).send().await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"), "{query}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
    let unknown = stock.api.ask("GET", "/deliveries?subscription_id=nobody").send().await;
    assert_eq!(unknown.code(), "subscription_not_found");
    let missing = stock.get("/deliveries?subscription_id=0199c5f0-0000-7000-8000-000000000001").await;
    assert_eq!(missing["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_no_delivery_and_a_deleted_subscription_cancels_its_own() {
    let (stock, shop, _) = in_each_state().await;
    let tested = stock.event("acme", "order.tested", 50).await;
    stock.attempt(&tested, &shop, "delivered").await;
    let test = format!("update attempts set trigger = 'test' where event_id = '{tested}'");
    stock.client.execute(&test, &[]).await.unwrap();
    for query in ["event_type=order.tested", "event_type=order.tested&subscription_id=shop"] {
        assert_eq!(stock.get(&format!("/deliveries?{query}")).await["data"], json!([]), "{query}");
    }
    let operator = stock.api.operator(Scope::Admin).await;
    let all = stock.get_as(&operator, "*", "/deliveries?event_type=order.tested").await;
    assert_eq!(all.json()["data"], json!([]));

    // As between the deletion and the sweep that ends its rows.
    let delete = format!("update subscriptions set deleted_at = now() where id = '{shop}'");
    stock.client.execute(&delete, &[]).await.unwrap();
    let cancelled = data(&stock.get("/deliveries?status=cancelled").await);
    assert_eq!(field(&cancelled, "reason"), ["subscription_deleted"; 2]);
    let cancelled = stock.get_as(&operator, "*", "/deliveries?reason=subscription_deleted").await.json();
    assert_eq!(field(&data(&cancelled), "status"), ["cancelled"; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_where_they_ended_whatever_is_inserted_meanwhile() {
    let (stock, shop, depot) = in_each_state().await;
    for query in ["", "status=pending&status=held", "subscription_id=shop", "status=failed&status=expired"] {
        let (whole, pages) = stock.pages(&format!("/deliveries?{query}")).await;
        assert_eq!(pages, 1);
        let first = stock.get(&format!("/deliveries?limit=1&{query}")).await;
        let newer = stock.event("acme", "order.newer", 0).await;
        stock.queued(&newer, &shop).await;
        stock.ended(&newer, &depot, "failed", "gone").await;
        let (rest, pages) =
            stock.pages_after(&format!("/deliveries?limit=1&{query}"), first["next_cursor"].as_str()).await;
        assert_eq!([data(&first), rest].concat(), whole, "{query}");
        assert_eq!(pages, whole.len() - 1, "{query}: a page for each row");
        for table in ["deliveries", "undelivered", "attempts"] {
            stock.client.execute(&format!("delete from {table} where event_id = '{newer}'"), &[]).await.unwrap();
        }
    }
    let (whole, _) = stock.pages("/deliveries?limit=100").await;
    let keys: Vec<_> = field(&whole, "webhook_id").into_iter().zip(field(&whole, "subscription_id")).collect();
    assert!(keys.is_sorted_by(|one, other| one > other), "{keys:?}");
    let of_events = stock.get(&format!("/events/{}/deliveries", keys[0].0)).await;
    let other_list = of_events["next_cursor"].as_str().unwrap_or("CAAA");
    let refused = stock.api.ask("GET", &format!("/deliveries?cursor={other_list}")).send().await;
    assert_eq!(refused.json()["errors"][0]["code"], "invalid_cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_its_own_and_an_operator_all_of_them_by_a_star() {
    let (stock, shop, _) = in_each_state().await;
    let (other, operator) = (stock.api.key("other", Scope::Admin).await, stock.api.operator(Scope::Support).await);
    let form = json!({ "target_url": "https://other.example.com/", "external_id": "shop" });
    let theirs = stock.api.ask("POST", "/subscriptions/").key(&other).json(&form).send().await.json();
    let theirs = theirs["id"].as_str().unwrap();
    let event = stock.event("other", "order.created", 150).await;
    stock.ended(&event, theirs, "failed", "gone").await;
    let as_other =
        async |query: &str| stock.api.stranger("GET", &format!("/deliveries?{query}")).key(&other).send().await.json();
    for query in ["", "status=failed", "status=failed&status=succeeded", "subscription_id=shop"] {
        assert_eq!(field(&data(&as_other(query).await), "subscription_id"), [theirs], "{query}");
    }
    for query in [format!("subscription_id={shop}"), format!("subscription_id={shop}&status=failed")] {
        assert_eq!(as_other(&query).await["data"], json!([]), "{query}");
    }

    let all = async |query: &str| {
        let answer = stock.get_as(&operator, "*", &format!("/deliveries?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let (whole, failed) = (all("").await, all("status=failed").await);
    assert_eq!(data(&whole).len(), 7);
    assert_eq!(field(&data(&failed), "reason"), ["gone", "exhausted"]);
    assert_ne!(failed["data"][0]["tenant_id"], failed["data"][1]["tenant_id"]);
    let of_one = all(&format!("subscription_id={shop}")).await;
    assert_eq!(field(&data(&of_one), "status"), ["pending", "succeeded", "failed", "sending"]);
    let of_both = all(&format!("subscription_id={shop}&subscription_id={theirs}&status=failed")).await;
    assert_eq!(field(&data(&of_both), "reason"), ["gone", "exhausted"]);
    let first = all("limit=3").await;
    let rest = all(&format!("limit=100&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!([data(&first), data(&rest)].concat(), data(&whole));
    let refused = stock.get_as(&operator, "*", "/deliveries?subscription_id=shop").await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/query/subscription_id");
    assert_eq!(stock.get_as(&other, "*", "/deliveries").await.code(), "tenant_not_found");
    assert_eq!(stock.api.stranger("GET", "/deliveries").key(&operator).send().await.code(), "tenant_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rare_delivery_is_found_over_several_short_pages() {
    let (stock, shop, _) = in_each_state().await;
    let many = "
        insert into events (tenant_id, id, accepted_at, event_type, payload)
        select t.id, uuid_v7(now() - interval '30 seconds'), now() - interval '30 seconds', 'order.many', '{}'
        from tenants as t, generate_series(1, 10500)
        where t.external_id = 'acme'";
    stock.client.execute(many, &[]).await.unwrap();
    let first = stock.get("/deliveries?event_type=order.paid").await;
    assert_eq!(first["data"], json!([]));
    let paid = stock.get("/deliveries?status=succeeded&subscription_id=shop").await;
    assert!(first["examined_to"].as_str() > paid["data"][0]["accepted_at"].as_str(), "{first}");
    let (rows, pages) = stock.pages("/deliveries?event_type=order.paid").await;
    assert_eq!((field(&rows, "subscription_id"), pages > 1), (vec![shop], true));
}
