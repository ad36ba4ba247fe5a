//! `GET /events` finds events by every filter, newest first, for a tenant or for all; and what was published can be read
//! byte for byte.

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};

use crate::support::stock::{Stock, data, field};

/// `acme` with an event in each state; types say which.
async fn in_each_state() -> (Stock, String, String) {
    let stock = Stock::new().await;
    let (shop, depot) = (stock.subscription("shop", true).await, stock.subscription("depot", true).await);
    let pending = stock.event("acme", "is.pending", 10).await;
    stock.queued(&pending, &shop).await;
    stock.ended(&pending, &depot, "failed", "gone").await;
    let succeeded = stock.event("acme", "is.succeeded", 20).await;
    stock.attempt(&succeeded, &shop, "delivered").await;
    let failed = stock.event("acme", "is.failed", 30).await;
    stock.ended(&failed, &shop, "failed", "exhausted").await;
    stock.attempt(&failed, &depot, "delivered").await;
    let unmatched = stock.event("acme", "is.no_match", 40).await;
    for statement in [
        format!("update events set is_unmatched = true where id = '{unmatched}'"),
        format!(
            "update events set ordering_key = 'cart-7', expires_at = now() + interval '1 day' where id = '{failed}'"
        ),
        format!(
            "insert into idempotency_keys (tenant_id, key, event_id, fingerprint)
             select e.tenant_id, 'order-4711', e.id, decode(repeat('00', 32), 'hex') from events as e
             where e.id = '{succeeded}'"
        ),
    ] {
        stock.client.execute(&statement, &[]).await.unwrap();
    }
    (stock, shop, depot)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_events_selects_and_a_repeated_one_means_any() {
    let (stock, shop, depot) = in_each_state().await;
    let all = ["is.pending", "is.succeeded", "is.failed", "is.no_match"];
    for (query, found) in [
        (String::new(), all.to_vec()),
        ("status=pending".to_owned(), vec!["is.pending"]),
        ("status=succeeded".to_owned(), vec!["is.succeeded"]),
        ("status=failed".to_owned(), vec!["is.failed"]),
        ("status=no_match".to_owned(), vec!["is.no_match"]),
        ("status=failed&status=pending".to_owned(), vec!["is.pending", "is.failed"]),
        ("status=no_match&status=succeeded".to_owned(), vec!["is.succeeded", "is.no_match"]),
        ("event_type=is.failed&event_type=is.pending".to_owned(), vec!["is.pending", "is.failed"]),
        ("event_type=is.failed&status=pending".to_owned(), vec![]),
        ("subscription_id=shop".to_owned(), vec!["is.pending", "is.succeeded", "is.failed"]),
        (format!("subscription_id={depot}"), vec!["is.pending", "is.failed"]),
        (format!("subscription_id={depot}&status=failed"), vec!["is.failed"]),
        (format!("subscription_id={depot}&subscription_id={shop}&status=succeeded"), vec!["is.succeeded"]),
        ("idempotency_key=order-4711".to_owned(), vec!["is.succeeded"]),
        ("idempotency_key=order-1&idempotency_key=order-4711".to_owned(), vec!["is.succeeded"]),
        ("idempotency_key=order-4711&status=failed".to_owned(), vec![]),
        ("ordering_key=cart-7".to_owned(), vec!["is.failed"]),
        ("payload=is.suc".to_owned(), vec!["is.succeeded"]),
        ("payload=%22is.&status=failed".to_owned(), vec!["is.failed"]),
        ("payload=nothing".to_owned(), vec![]),
    ] {
        let page = stock.get(&format!("/events?{query}")).await;
        assert_eq!(field(&data(&page), "event_type"), found, "{query}");
        assert_eq!((&page["next_cursor"], &page["examined_to"]), (&Value::Null, &Value::Null), "{query}");
        for row in data(&page) {
            let status = format!("is.{}", row["status"].as_str().unwrap());
            assert_eq!(row["event_type"], json!(status), "{query}");
        }
    }
    let moment = field(&data(&stock.get("/events?status=failed").await), "accepted_at").remove(0);
    for (query, found) in [("since", &all[..3]), ("until", &all[3..])] {
        let page = stock.get(&format!("/events?{query}={moment}")).await;
        assert_eq!(field(&data(&page), "event_type"), found, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_shown_with_its_keys_its_times_and_its_counts_in_both_places() {
    let (stock, ..) = in_each_state().await;
    let failed = data(&stock.get("/events?status=failed").await).remove(0);
    assert_eq!((&failed["counts"]["failed"], &failed["counts"]["succeeded"]), (&json!(1), &json!(1)));
    assert_eq!((&failed["ordering_key"], &failed["fan_out"]), (&json!("cart-7"), &json!(true)));
    assert_eq!((&failed["deliver_at"], &failed["counts_more"]), (&Value::Null, &json!(false)));
    assert!(failed["expires_at"].as_str() > failed["accepted_at"].as_str());
    assert_eq!(failed["payload_bytes"], json!(r#"{"type": "is.failed"}"#.len()));
    let keyed = data(&stock.get("/events?idempotency_key=order-4711").await).remove(0);
    assert_eq!(keyed["idempotency_key"], "order-4711");
    for row in data(&stock.get("/events").await) {
        let alone = stock.get(&format!("/events/{}", row["webhook_id"].as_str().unwrap())).await;
        for (name, value) in row.as_object().unwrap() {
            assert_eq!(&alone[name], value, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_of_a_large_event_are_cut_in_the_list_and_say_so() {
    let (stock, ..) = in_each_state().await;
    let many = "
        with made as (
            insert into subscriptions (tenant_id, id, target_url, secret, verify_ingest)
            select t.id, gen_random_uuid(), 'https://x.example', '', false
            from tenants as t, generate_series(1, 600) where t.external_id = 'acme'
            returning tenant_id, id
        )
        insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
        select m.tenant_id, e.id, m.id, now() + interval '1 hour', 2
        from made as m, events as e where e.event_type = 'is.no_match'";
    stock.client.execute(many, &[]).await.unwrap();
    let row = data(&stock.get("/events?event_type=is.no_match").await).remove(0);
    assert_eq!((&row["counts"]["pending"], &row["counts_more"]), (&json!(500), &json!(true)));
    assert_eq!(row["status"], "pending", "a replay has given it deliveries");
    let alone = stock.get(&format!("/events/{}", row["webhook_id"].as_str().unwrap())).await;
    assert_eq!((&alone["counts"]["pending"], &alone["counts_more"]), (&json!(600), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_events_go_on_where_they_ended_whatever_is_inserted_meanwhile() {
    let (stock, shop, _) = in_each_state().await;
    for query in
        ["", "status=failed&status=pending", "status=no_match&status=failed", "subscription_id=shop", "payload=is."]
    {
        let (whole, _) = stock.pages(&format!("/events?{query}")).await;
        let first = stock.get(&format!("/events?limit=1&{query}")).await;
        let newer = stock.event("acme", "is.failed", 0).await;
        stock.ended(&newer, &shop, "failed", "gone").await;
        let (rest, pages) = stock.pages_after(&format!("/events?limit=1&{query}"), first["next_cursor"].as_str()).await;
        assert_eq!([data(&first), rest].concat(), whole, "{query}");
        assert_eq!(pages, whole.len() - 1, "{query}: a page for each row");
        for table in ["undelivered", "attempts"] {
            stock.client.execute(&format!("delete from {table} where event_id = '{newer}'"), &[]).await.unwrap();
        }
        stock.client.execute(&format!("delete from events where id = '{newer}'"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_others_are_seen_by_operators_alone() {
    let (stock, shop, _) = in_each_state().await;
    let (other, operator) = (stock.api.key("other", Scope::Admin).await, stock.api.operator(Scope::Read).await);
    let theirs = stock.event("other", "is.theirs", 25).await;
    let unmatched = format!("update events set is_unmatched = true where id = '{theirs}'");
    stock.client.execute(&unmatched, &[]).await.unwrap();
    let as_other = async |query: &str| {
        let answer = stock.api.stranger("GET", &format!("/events?{query}")).key(&other).send().await;
        field(&data(&answer.json()), "event_type")
    };
    assert_eq!(as_other("").await, ["is.theirs"]);
    let of_acme = format!("subscription_id={shop}");
    for query in ["idempotency_key=order-4711", "ordering_key=cart-7", "payload=is.failed", "status=failed", &of_acme] {
        assert_eq!(as_other(query).await, [""; 0], "{query}");
    }
    let all = async |query: &str| {
        let answer = stock.get_as(&operator, "*", &format!("/events?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let everything = ["is.pending", "is.succeeded", "is.theirs", "is.failed", "is.no_match"];
    assert_eq!(field(&data(&all("").await), "event_type"), everything);
    assert_eq!(field(&data(&all("status=no_match").await), "event_type"), ["is.theirs", "is.no_match"]);
    assert_eq!(field(&data(&all("status=failed").await), "event_type"), ["is.failed"]);
    assert_eq!(field(&data(&all("idempotency_key=order-4711").await), "event_type"), ["is.succeeded"]);
    assert_eq!(field(&data(&all(&of_acme).await), "event_type"), ["is.pending", "is.succeeded", "is.failed"]);
    let first = all("limit=2").await;
    let rest = all(&format!("cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!(field(&[data(&first), data(&rest)].concat(), "event_type"), everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_read_byte_for_byte_and_never_shown_by_a_browser() {
    let stock = Stock::new().await;
    let body = "{ \"price\":  1.10,\n \"name\": \"\u{fc}\" }";
    let made = stock.api.ask("POST", "/events").body(body).send().await.json();
    let path = format!("/events/{}/payload", made["webhook_id"].as_str().unwrap());
    let read = stock.api.ask("GET", &path).send().await;
    assert_eq!((read.status.as_u16(), read.text.as_str()), (200, body));
    assert_eq!(read.headers["content-type"], "application/json");
    let html = "update events set content_type = 'text/html', payload = '<script>alert(1)</script>'";
    stock.client.execute(html, &[]).await.unwrap();
    let read = stock.api.ask("GET", &path).send().await;
    assert_eq!(
        (read.headers["content-type"].to_str().unwrap(), read.text.as_str()),
        ("text/html", "<script>alert(1)</script>")
    );
    assert!(read.headers["content-disposition"].to_str().unwrap().starts_with("attachment; "));
    assert_eq!(read.headers["content-security-policy"], "default-src 'none'; sandbox");
    assert_eq!(
        (read.headers["x-content-type-options"].as_bytes(), read.headers["cache-control"].as_bytes()),
        (&b"nosniff"[..], &b"no-store"[..])
    );
    let other = stock.api.key("other", Scope::Admin).await;
    assert_eq!(stock.api.ask("GET", &path).key(&other).send().await.code(), "webhook_not_found");
    let support = stock.api.key("acme", Scope::Support).await;
    assert_eq!(stock.api.ask("GET", &path).key(&support).send().await.code(), "scope_missing");
    assert_eq!(stock.api.ask("GET", "/events?payload=1.10").key(&support).send().await.code(), "scope_missing");
    assert_eq!(stock.api.ask("GET", "/events").key(&support).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_whose_time_is_over_says_how_far_it_came() {
    let (stock, ..) = in_each_state().await;
    let step = "
        select s.examined_event::text, e.event_type
        from events_search_1((select t.id from tenants as t where t.external_id = 'acme'), null, null, null, null, null,
            null, null, 'is.no_match', $1::text::uuid, 10, 1000, 0) as s
        left join events as e on e.id = s.event_id";
    let (mut before, mut steps, mut found) = ("ffffffff-ffff-ffff-ffff-ffffffffffff".to_owned(), 0, Vec::new());
    loop {
        let rows = stock.client.query(step, &[&before]).await.unwrap();
        found.extend(rows.iter().filter_map(|row| row.get::<_, Option<String>>(1)));
        steps += 1;
        match rows.iter().find_map(|row| row.get::<_, Option<String>>(0)) {
            Some(examined) => before = examined,
            None => break,
        }
    }
    // A row at a time, and a step in which there is none.
    assert_eq!((found, steps), (vec!["is.no_match".to_owned()], 5));
}
