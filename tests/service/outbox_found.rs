//! An event that was published from SQL and waits in the outbox is as visible as any other.

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};

use crate::support::api::Answer;
use crate::support::stock::{Stock, data, field};

/// Calls `publish` for `acme` with these arguments; the id.
async fn publish(stock: &Stock, arguments: &str) -> String {
    let call = format!("select postrider.publish({arguments}, tenant => 'acme')::text");
    stock.client.query_one(&call, &[]).await.unwrap().get(0)
}

/// Ends a row as the publishing process does: refused, or as the duplicate of an event.
async fn end(stock: &Stock, id: &str, duplicate_of: Option<&str>) {
    let (code, first) = match duplicate_of {
        Some(first) => ("duplicate", format!("'{first}'")),
        None => ("body_too_large", "null".to_owned()),
    };
    let call =
        format!("select outbox_refuse_1(array['{id}'::uuid], array['{code}'], array['9 bytes'], array[{first}::uuid])");
    assert_eq!(stock.client.query_one(&call, &[]).await.unwrap().get::<_, i64>(0), 1);
}

/// Two that wait and an older event, newest first.
async fn two_and_one() -> (Stock, [String; 3]) {
    let stock = Stock::new().await;
    stock.subscription("shop", true).await;
    let event = stock.event("acme", "is.event", 10).await;
    let keyed = "'is.keyed', '{\"order\": 4711}', idempotency_key => 'k-1', ordering_key => 'o-1', \
                 expires_at => '2100-01-01T00:00:00Z'";
    let keyed = publish(&stock, keyed).await;
    let later = "'is.later', '[7]', subscription_id => 'shop', deliver_at => '2100-01-01T00:00:00Z'";
    let later = publish(&stock, later).await;
    (stock, [later, keyed, event])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_in_the_list_of_events_by_every_filter() {
    let (stock, ids) = two_and_one().await;
    let [later, keyed, event] = ids.each_ref().map(String::as_str);
    for (query, found) in [
        ("", vec![later, keyed, event]),
        ("status=pending", vec![later, keyed]),
        ("status=failed&status=pending", vec![later, keyed]),
        ("status=succeeded", vec![event]),
        ("status=failed&status=no_match", vec![]),
        ("event_type=is.keyed&event_type=is.event", vec![keyed, event]),
        ("idempotency_key=k-1", vec![keyed]),
        ("ordering_key=o-1&ordering_key=o-2", vec![keyed]),
        ("ordering_key=o-2", vec![]),
        ("subscription_id=shop", vec![later]),
        ("payload=4711", vec![keyed]),
        ("since=2100-01-01T00:00:00Z", vec![]),
        ("since=2020-01-01T00:00:00Z", vec![later, keyed, event]),
        ("until=2020-01-01T00:00:00Z", vec![]),
        ("until=2100-01-01T00:00:00Z&status=pending", vec![later, keyed]),
    ] {
        let page = stock.get(&format!("/events?{query}")).await;
        assert_eq!(field(&data(&page), "webhook_id"), found, "{query}");
        assert_eq!((&page["next_cursor"], &page["examined_to"]), (&Value::Null, &Value::Null), "{query}");
    }
    let (rows, pages) = stock.pages("/events?limit=1").await;
    assert_eq!((field(&rows, "webhook_id"), pages), (ids.to_vec(), 3));
    let operator = stock.api.operator(Scope::Read).await;
    let all = stock.get_as(&operator, "*", "/events").await.json();
    assert_eq!(data(&all), rows, "of all tenants");
    stock.api.key("globex", Scope::Admin).await;
    assert!(data(&stock.get_as(&operator, "globex", "/events").await.json()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_published_between_two_pages_is_told_once() {
    let (stock, [later, keyed, event]) = two_and_one().await;
    let first = stock.get("/events?limit=1").await;
    assert_eq!(field(&data(&first), "webhook_id"), [&*later]);
    let publishing = "
        with gone as (delete from outbox as o where o.event_type = 'is.keyed' returning *)
        insert into events (tenant_id, id, event_type, payload, fan_out)
        select g.tenant_id, g.id, g.event_type, g.payload, true from gone as g";
    assert_eq!(stock.client.execute(publishing, &[]).await.unwrap(), 1);
    let (rest, _) = stock.pages_after("/events?limit=1", first["next_cursor"].as_str()).await;
    assert_eq!(field(&rest, "webhook_id"), [keyed, event]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_of_one_tenant_hide_nothing_of_another() {
    let (stock, ids) = two_and_one().await;
    stock.api.key("globex", Scope::Admin).await;
    let many = "
        insert into outbox (id, tenant_id, event_type, payload)
        select uuid_v7(now() + make_interval(secs => 1 + n / 1000.0)), t.id, 'of.globex', '{}'
        from generate_series(1, 10001) as n, tenants as t
        where t.external_id = 'globex'";
    stock.client.execute(many, &[]).await.unwrap();
    let page = stock.get("/events").await;
    assert_eq!((field(&data(&page), "webhook_id"), &page["examined_to"]), (ids.to_vec(), &Value::Null));
    assert_eq!(field(&data(&stock.get("/search?q=4711").await), "id"), [&*ids[1]]);
    // Over all tenants a page looks at a part, and says so.
    let operator = stock.api.operator(Scope::Read).await;
    let cut = stock.get_as(&operator, "*", "/events?event_type=is.keyed").await.json();
    assert!(data(&cut).is_empty() && cut["examined_to"].is_string(), "{cut}");
    let next = format!("/events?event_type=is.keyed&cursor={}", cut["next_cursor"].as_str().unwrap());
    assert_eq!(field(&data(&stock.get_as(&operator, "*", &next).await.json()), "webhook_id"), [&*ids[1]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_page_shows_its_keys_and_times_its_payload_and_no_attempts() {
    let (stock, [later, keyed, _]) = two_and_one().await;
    let told = stock.get(&format!("/events/{keyed}")).await;
    for (name, value) in [
        ("status", json!("pending")),
        ("event_type", json!("is.keyed")),
        ("idempotency_key", json!("k-1")),
        ("ordering_key", json!("o-1")),
        ("deliver_at", Value::Null),
        ("expires_at", json!("2100-01-01T00:00:00.000000Z")),
        ("fan_out", json!(true)),
        ("payload_bytes", json!(15)),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    let told = stock.get(&format!("/events/{later}")).await;
    assert_eq!((&told["deliver_at"], &told["fan_out"]), (&json!("2100-01-01T00:00:00.000000Z"), &json!(false)));
    let payload = stock.api.ask("GET", &format!("/events/{keyed}/payload")).send().await;
    assert_eq!(
        (payload.text.as_str(), &payload.headers["content-type"]),
        (r#"{"order": 4711}"#, &"application/json".parse().unwrap())
    );
    for list in ["attempts", "deliveries"] {
        assert!(data(&stock.get(&format!("/events/{keyed}/{list}")).await).is_empty(), "{list}");
    }
    let globex = stock.api.key("globex", Scope::Admin).await;
    for of in ["", "/payload", "/attempts", "/deliveries"] {
        let answer = stock.api.stranger("GET", &format!("/events/{keyed}{of}")).key(&globex).send().await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "webhook_not_found".to_owned()), "{of}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_shows_its_payload_and_a_duplicate_leads_to_its_event() {
    let stock = Stock::new().await;
    let shop = stock.subscription("shop", true).await;
    let first = stock.event("acme", "a", 10).await;
    stock.ended(&first, &shop, "failed", "exhausted").await;
    let refused = publish(&stock, "'a', '{\"n\": 1}'").await;
    let duplicate = publish(&stock, "'a', '{\"n\": 2}', idempotency_key => 'k'").await;
    end(&stock, &refused, None).await;
    end(&stock, &duplicate, Some(&first)).await;
    let told = stock.get(&format!("/events/{refused}")).await;
    assert_eq!((&told["status"], &told["error_message"]), (&json!("refused"), &json!("body_too_large: 9 bytes")));
    let payload = async |id: &str| stock.api.ask("GET", &format!("/events/{id}/payload")).send().await.text;
    assert_eq!(payload(&refused).await, r#"{"n": 1}"#);
    assert_eq!(payload(&duplicate).await, r#"{"type": "a"}"#);
    assert!(data(&stock.get(&format!("/events/{refused}/attempts")).await).is_empty());
    let attempts = stock.get(&format!("/events/{duplicate}/attempts")).await;
    assert_eq!(field(&data(&attempts), "webhook_id"), [&*first]);
    assert_eq!(field(&data(&stock.get("/events").await), "webhook_id"), [&*first], "neither is an event");
    assert_eq!(field(&data(&stock.get(&format!("/search?q={duplicate}")).await), "id")[0], first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_or_was_refused_cannot_be_retried_or_cancelled() {
    let stock = Stock::new().await;
    let shop = stock.subscription("shop", true).await;
    let first = stock.event("acme", "a", 10).await;
    stock.ended(&first, &shop, "failed", "exhausted").await;
    let waiting = publish(&stock, "'a', '{}'").await;
    let refused = publish(&stock, "'a', '{}'").await;
    end(&stock, &refused, None).await;
    for id in [&waiting, &refused] {
        for change in ["retry", "cancel"] {
            let answer = stock.api.ask("POST", &format!("/events/{id}/{change}")).send().await;
            assert_eq!((answer.status.as_u16(), answer.code()), (409, "not_published".to_owned()), "{change}");
        }
    }
    let kept = "select (select count(*) from outbox), (select count(*) from unpublished)";
    let kept = stock.client.query_one(kept, &[]).await.unwrap();
    assert_eq!((kept.get::<_, i64>(0), kept.get::<_, i64>(1)), (1, 1));
    let duplicate = publish(&stock, "'a', '{}'").await;
    end(&stock, &duplicate, Some(&first)).await;
    let retried = stock.api.ask("POST", &format!("/events/{duplicate}/retry")).send().await.json();
    assert_eq!((&retried["webhook_id"], &retried["retried"]), (&json!(first), &json!(1)));
}

/// Kind, id and reason of each row.
fn rows(answer: &Answer) -> Vec<[String; 3]> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    data(&answer.json()).iter().map(|row| ["kind", "id", "reason"].map(|name| text(row, name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_waits_by_id_key_and_payload() {
    let (stock, [_, keyed, _]) = two_and_one().await;
    let refused = publish(&stock, "'a', '{}', ordering_key => 'o-9'").await;
    end(&stock, &refused, None).await;
    let operator = stock.api.operator(Scope::Read).await;
    let globex = stock.api.key("globex", Scope::Admin).await;
    let support = stock.api.key("acme", Scope::Support).await;
    let waits = vec![["event", &*keyed, "not_published_yet"].map(str::to_owned)];
    let ended = vec![["refusal", &*refused, "body_too_large: 9 bytes"].map(str::to_owned)];
    for (text, expected) in
        [(&*keyed, &waits), ("k-1", &waits), ("o-1", &waits), ("4711", &waits), (&*refused, &ended), ("o-9", &ended)]
    {
        let path = format!("/search?q={text}");
        assert_eq!(&rows(&stock.get_as(&stock.api.admin, "acme", &path).await), expected, "{text}");
        assert_eq!(&rows(&stock.get_as(&operator, "*", &path).await), expected, "{text} of all tenants");
        assert!(rows(&stock.api.stranger("GET", &path).key(&globex).send().await).is_empty(), "{text}");
        let hidden = if text == "4711" { &vec![] } else { expected };
        assert_eq!(&rows(&stock.get_as(&support, "acme", &path).await), hidden, "{text} for support");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_search_have_up_to_limit_rows_and_tell_everything_once() {
    let stock = Stock::new().await;
    stock.api.key("globex", Scope::Admin).await;
    // Events of seconds and milliseconds, among them two batches, and rows that wait between them.
    for (table, fields, from, rest) in [
        ("events", "accepted_at", "now() - make_interval(secs => n)", ""),
        ("events", "accepted_at", "now() - make_interval(secs => 20 + n / 1000.0)", ""),
        ("events", "accepted_at", "date_trunc('second', now()) - interval '40 s'", "and n <= 7"),
        ("outbox", "event_type", "now() - make_interval(secs => n + 0.5)", "and n > 2"),
    ] {
        let value = if table == "events" { "w.at" } else { "null" };
        let many = format!(
            "insert into {table} (tenant_id, id, {fields}, payload)
             select t.id, uuid_v7(w.at), {value}, convert_to('\"needle\"', 'UTF8')
             from generate_series(1, 25) as n cross join lateral (select {from} as at) as w cross join tenants as t
             where t.external_id in ('acme', 'globex') {rest}"
        );
        stock.client.execute(&many, &[]).await.unwrap();
    }
    let operator = stock.api.operator(Scope::Read).await;
    let expected = "select id::text from (select id, tenant_id from events union all select id, tenant_id from outbox) as e
                    where $1 or tenant_id = (select t.id from tenants as t where t.external_id = 'acme') order by id desc";
    for (tenant, is_all, limits) in [("acme", false, [3, 100]), ("*", true, [3, 20])] {
        let every = stock.client.query(expected, &[&is_all]).await.unwrap();
        let every: Vec<String> = every.iter().map(|row| row.get(0)).collect();
        assert_eq!(every.len(), if is_all { 160 } else { 80 });
        for limit in limits {
            let (mut told, mut cursor) = (Vec::new(), String::new());
            for asked in 0.. {
                assert!(asked < 300, "it never ends");
                let path = format!("/search?q=needle&limit={limit}{cursor}");
                let page = stock.get_as(&operator, tenant, &path).await;
                let on_page = rows(&page);
                // Of all tenants, what was accepted in one millisecond is on one page.
                let most = if is_all { limit + 13 } else { limit };
                assert!(on_page.len() <= most, "{tenant} {limit}: {}", on_page.len());
                told.extend(on_page.into_iter().map(|[_, id, _]| id));
                let Some(next) = page.json()["next_cursor"].as_str().map(str::to_owned) else { break };
                cursor = format!("&cursor={next}");
            }
            told.sort_unstable_by(|one, other| other.cmp(one));
            assert_eq!(told, every, "{tenant} {limit}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_says_that_rows_are_missing_if_a_page_has_no_room_for_them() {
    let stock = Stock::new().await;
    let event = stock.event("acme", "a.b", 10).await;
    for name in ["one", "two", "three"] {
        let subscription = stock.subscription(name, true).await;
        stock.queued(&event, &subscription).await;
    }
    for (query, rows, is_missing) in [
        (format!("{event}&limit=2"), 2, true),
        (format!("{event}&limit=4"), 4, false),
        ("a.b&limit=3".to_owned(), 3, true),
        ("a.b".to_owned(), 4, false),
    ] {
        let page = stock.get(&format!("/search?q={query}")).await;
        assert_eq!((data(&page).len(), &page["rows_missing"]), (rows, &json!(is_missing)), "{query}");
    }
}
