//! `GET /attempts` finds requests that were made by every filter, newest first, for a tenant or for all.

use std::collections::HashSet;

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::stock::{Stock, data, field};

/// Attempts of two events to two subscriptions; the newest first: 404, delivered, 500, timeout.
async fn attempts() -> (Stock, [String; 2], String) {
    let stock = Stock::new().await;
    let (shop, depot) = (stock.subscription("shop", true).await, stock.subscription("depot", true).await);
    let (paid, created) =
        (stock.event("acme", "order.paid", 100).await, stock.event("acme", "order.created", 200).await);
    stock.attempt(&paid, &shop, "http_4xx").await;
    stock.attempt(&paid, &depot, "delivered").await;
    stock.attempt(&created, &shop, "http_5xx").await;
    stock.attempt(&created, &depot, "timeout").await;
    for (set, event, subscription) in [
        (
            "status_code = 404, id = uuid_v7(created_at + interval '1 ms'), trigger = 'manual', remote_address = '203.0.113.7'",
            &paid,
            &shop,
        ),
        ("id = uuid_v7(created_at + interval '1 ms')", &created, &shop),
        ("status_code = null", &created, &depot),
    ] {
        let update =
            format!("update attempts set {set} where event_id = '{event}' and subscription_id = '{subscription}'");
        assert_eq!(stock.client.execute(&update, &[]).await.unwrap(), 1);
    }
    (stock, [paid, created], depot)
}

const ALL: [&str; 4] = ["http_4xx", "delivered", "http_5xx", "timeout"];

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_attempts_selects_and_a_repeated_one_means_any() {
    let (stock, [paid, created], depot) = attempts().await;
    for (query, found) in [
        (String::new(), ALL.to_vec()),
        ("outcome=http_4xx&outcome=delivered".to_owned(), ALL[..2].to_vec()),
        ("status_code=404".to_owned(), vec!["http_4xx"]),
        ("status_code=4xx&status_code=500".to_owned(), vec!["http_4xx", "http_5xx"]),
        ("status_code=5xx".to_owned(), vec!["http_5xx"]),
        ("status=succeeded".to_owned(), vec!["delivered"]),
        ("status=failed".to_owned(), vec!["http_4xx", "http_5xx", "timeout"]),
        ("status=failed&status=succeeded".to_owned(), ALL.to_vec()),
        ("subscription_id=shop".to_owned(), vec!["http_4xx", "http_5xx"]),
        (format!("subscription_id=shop&subscription_id={depot}"), ALL.to_vec()),
        ("event_type=order.created".to_owned(), ALL[2..].to_vec()),
        (format!("webhook_id={paid}"), ALL[..2].to_vec()),
        (format!("webhook_id={paid}&webhook_id={created}&status=failed"), vec!["http_4xx", "http_5xx", "timeout"]),
        (format!("webhook_id={created}&subscription_id=shop"), vec!["http_5xx"]),
    ] {
        let page = stock.get(&format!("/attempts?{query}")).await;
        assert_eq!(field(&data(&page), "outcome"), found, "{query}");
        assert_eq!((&page["next_cursor"], &page["examined_to"]), (&Value::Null, &Value::Null), "{query}");
    }
    let first = data(&stock.get("/attempts").await).remove(0);
    assert_eq!((&first["trigger"], &first["remote_address"]), (&json!("manual"), &json!("203.0.113.7")));
    assert_eq!((&first["webhook_id"], &first["response_body"]), (&json!(paid), &json!("secret")));
    let moment = field(&data(&stock.get("/attempts?outcome=delivered").await), "created_at").remove(0);
    for (query, found) in [("since", &ALL[..2]), ("until", &ALL[2..])] {
        let page = stock.get(&format!("/attempts?{query}={moment}")).await;
        assert_eq!(field(&data(&page), "outcome"), found, "{query}");
    }
    for query in ["status_code=6xx", "status_code=40", "outcome=good", "status=pending", "webhook_id=1", "since=now"] {
        let refused = stock.api.ask("GET", &format!("/attempts?{query}")).send().await;
        assert_eq!(refused.code(), "validation_failed", "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn since_and_until_count_in_microseconds_as_the_rows_do() {
    let stock = Stock::new().await;
    let shop = stock.subscription("shop", true).await;
    for outcome in ["http_4xx", "http_5xx", "timeout"] {
        stock.attempt(&stock.event("acme", "order.paid", 100).await, &shop, outcome).await;
    }
    let set = "update attempts as a set id = uuid_v7_ordered(t.at), created_at = t.at
               from (values ('http_4xx', '00.000100Z'), ('http_5xx', '00.000101Z'), ('timeout', '00.001Z'))
                   as v (outcome, seconds)
               cross join lateral (
                   select to_char(now() - interval '1 hour', 'YYYY-MM-DD\"T\"HH24:00:') || v.seconds as text
               ) as w
               cross join lateral (select w.text::timestamptz as at) as t
               where a.outcome = v.outcome";
    stock.client.batch_execute(&format!("set timezone = 'UTC'; {set}")).await.unwrap();
    let hour = field(&data(&stock.get("/attempts?outcome=timeout").await), "created_at").remove(0);
    let at = |micros: &str| hour.replace("001000Z", micros);
    for list in ["/attempts", "/status/logs/shop"] {
        for (since, until, found) in [
            ("000100Z", "000101Z", vec!["http_4xx"]),
            ("000101Z", "000102Z", vec!["http_5xx"]),
            ("000100Z", "001001Z", vec!["timeout", "http_5xx", "http_4xx"]),
            ("000102Z", "001000Z", vec![]),
            ("000101Z", "001000Z", vec!["http_5xx"]),
        ] {
            let page = stock.get(&format!("{list}?since={}&until={}", at(since), at(until))).await;
            assert_eq!(field(&data(&page), "outcome"), found, "{list} {since} {until}");
        }
    }
    let one = stock.get(&format!("/attempts?limit=1&until={}", at("000101Z"))).await;
    let (rows, _) = stock.pages(&format!("/attempts?limit=1&until={}", at("000101Z"))).await;
    assert_eq!(field(&rows, "outcome"), ["http_4xx"], "a row beside the range does not end the list: {one}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_attempts_of_an_event_are_listed_for_all_its_subscriptions() {
    let (stock, [paid, _], _) = attempts().await;
    let (rows, pages) = stock.pages(&format!("/events/{paid}/attempts?limit=1")).await;
    assert_eq!((field(&rows, "outcome"), pages), (ALL[..2].iter().map(ToString::to_string).collect(), 2));
    let quiet = stock.event("acme", "order.quiet", 1).await;
    assert_eq!(stock.get(&format!("/events/{quiet}/attempts")).await["data"], json!([]));
    let other = stock.api.key("other", Scope::Read).await;
    for (path, key) in [
        (format!("/events/{paid}/attempts"), &other),
        ("/events/0199c5f0-0000-7000-8000-000000000001/attempts".to_owned(), &stock.api.admin),
    ] {
        assert_eq!(stock.api.ask("GET", &path).key(key).send().await.code(), "webhook_not_found");
    }
    let support = stock.api.key("acme", Scope::Support).await;
    let rows = stock.api.ask("GET", &format!("/events/{paid}/attempts")).key(&support).send().await.json();
    assert_eq!(rows["data"][0]["response_body"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_attempts_go_on_where_they_ended_whatever_is_inserted_meanwhile() {
    let (stock, [_, created], depot) = attempts().await;
    for query in ["", "subscription_id=shop", "status=failed", "subscription_id=shop&subscription_id=depot"] {
        let (whole, _) = stock.pages(&format!("/attempts?{query}")).await;
        let first = stock.get(&format!("/attempts?limit=1&{query}")).await;
        let newer = stock.event("acme", "order.newer", 0).await;
        stock.attempt(&newer, &depot, "http_5xx").await;
        let (rest, pages) =
            stock.pages_after(&format!("/attempts?limit=1&{query}"), first["next_cursor"].as_str()).await;
        assert_eq!([data(&first), rest].concat(), whole, "{query}");
        assert_eq!(pages, whole.len() - 1, "{query}: a page for each row");
        stock.client.execute(&format!("delete from attempts where event_id = '{newer}'"), &[]).await.unwrap();
    }
    // Also of a subscription that is deleted.
    let deleted = format!("update subscriptions set deleted_at = now() where id = '{depot}'");
    stock.client.execute(&deleted, &[]).await.unwrap();
    assert_eq!(field(&data(&stock.get("/attempts").await), "outcome"), ALL);
    assert_eq!(field(&data(&stock.get(&format!("/attempts?webhook_id={created}")).await), "outcome"), ALL[2..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_others_are_seen_by_operators_alone() {
    let (stock, [paid, _], depot) = attempts().await;
    let (other, operator) = (stock.api.key("other", Scope::Admin).await, stock.api.operator(Scope::Support).await);
    let form = json!({ "target_url": "https://other.example.com/", "external_id": "shop" });
    let theirs = stock.api.ask("POST", "/subscriptions/").key(&other).json(&form).send().await.json();
    let event = stock.event("other", "order.theirs", 150).await;
    stock.attempt(&event, theirs["id"].as_str().unwrap(), "dns_failed").await;
    for query in ["", "subscription_id=shop", "status=failed"] {
        let rows = stock.api.stranger("GET", &format!("/attempts?{query}")).key(&other).send().await.json();
        assert_eq!(field(&data(&rows), "outcome"), ["dns_failed"], "{query}");
    }
    for query in [format!("webhook_id={paid}"), format!("subscription_id={depot}")] {
        let rows = stock.api.stranger("GET", &format!("/attempts?{query}")).key(&other).send().await.json();
        assert_eq!(rows["data"], json!([]), "{query}");
    }
    let all = async |query: &str| {
        let answer = stock.get_as(&operator, "*", &format!("/attempts?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let everything = ["http_4xx", "delivered", "dns_failed", "http_5xx", "timeout"];
    let whole = all("").await;
    assert_eq!(field(&data(&whole), "outcome"), everything);
    assert_eq!(whole["data"][0]["response_body"], Value::Null, "the scope support sees no bodies");
    assert_ne!(whole["data"][1]["tenant_id"], whole["data"][2]["tenant_id"]);
    let first = all("limit=3").await;
    let rest = all(&format!("cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!(field(&[data(&first), data(&rest)].concat(), "outcome"), everything);
    let of_both = format!("subscription_id={depot}&subscription_id={}", theirs["id"].as_str().unwrap());
    assert_eq!(field(&data(&all(&of_both).await), "outcome"), ["delivered", "dns_failed", "timeout"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rare_failure_is_found_in_a_long_log_over_short_pages() {
    let (stock, _, depot) = attempts().await;
    let many = format!(
        "insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, created_at)
         select s.tenant_id, s.id, uuid_v7(now() - interval '30 seconds'), uuid_v7(), 1, 'delivered', now()
         from subscriptions as s, generate_series(1, 10500)
         where s.id = '{depot}'"
    );
    stock.client.execute(&many, &[]).await.unwrap();
    for path in ["/status/logs/depot?status=failed", "/attempts?subscription_id=depot&status=failed"] {
        let first = stock.get(path).await;
        assert_eq!((&first["data"], first["examined_to"].is_string()), (&json!([]), true), "{path}");
        let (rows, pages) = stock.pages(path).await;
        assert_eq!((field(&rows, "outcome"), pages > 1), (vec!["timeout".to_owned()], true), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_one_millisecond_are_all_found_however_many_they_are() {
    let (stock, _, _) = attempts().await;
    let before: i64 = stock.client.query_one("select count(*) from attempts", &[]).await.unwrap().get(0);
    let add = "
        insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, error_message, created_at)
        select s.tenant_id, s.id, uuid_v7(t.at), uuid_v7(t.at), 1, 'unknown', 'unknown', t.at
        from (select x.tenant_id, x.id from subscriptions as x limit 1) as s,
            (select date_trunc('milliseconds', now()) - interval '1 minute' as at) as t,
            generate_series(1, 9000)";
    stock.client.execute(add, &[]).await.unwrap();
    let page = "
        select f.is_found, f.id
        from attempts_search_1(
            null, null, null, null, null, null, null, null, uuid_v7_floor('epoch'), $1::uuid, 100000, 5000, 60000
        ) as f";
    let (mut found, mut below) = (HashSet::new(), Uuid::max());
    loop {
        let rows = stock.client.query(page, &[&below]).await.unwrap();
        found.extend(rows.iter().filter(|row| row.get(0)).map(|row| row.get::<_, Uuid>(1)));
        match rows.last().filter(|row| !row.get::<_, bool>(0)) {
            Some(cut) => below = cut.get(1),
            None => break,
        }
    }
    assert_eq!(found.len() as i64, before + 9_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_over_all_tenants_crosses_an_idle_time_whatever_its_limit() {
    let (stock, _, _) = attempts().await;
    let earlier =
        "update attempts set id = uuid_v7(now() - interval '5 hours'), created_at = now() - interval '5 hours'";
    stock.client.execute(earlier, &[]).await.unwrap();
    let found = "
        select count(*)
        from attempts_search_1(
            null, null, null, null, null, null, null, null, uuid_v7_floor('epoch'), uuid_v7(), 51, 10000, 0
        ) as f
        where f.is_found";
    let found: i64 = stock.client.query_one(found, &[]).await.unwrap().get(0);
    assert!(found > 0);
}
