use super::*;
use crate::domain::provider::{PROVIDERS, cloud_event};
use uuid::Uuid;

fn headers(pairs: &[(&str, &str)]) -> ProducerHeaders {
    ProducerHeaders::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))))
}

fn subscription(number: u128) -> SubscriptionId {
    Uuid::from_u128(number).into()
}

/// Event type and end of the idempotency key.
fn told(name: &str, pairs: &[(&str, &str)], content_type: &str, body: &str) -> (Option<String>, Option<String>) {
    let row = Provider::named(name).unwrap();
    let (headers, content_type) = (headers(pairs), content_type.parse().unwrap());
    let arrival = Arrival::new(&headers, &content_type, body.as_bytes());
    let key = arrival.idempotency_key(row, subscription(1));
    let begins = format!("{name} {} ", subscription(1));
    let id = key.map(|key| key.as_str().strip_prefix(&begins).unwrap().to_owned());
    (arrival.event_type(row).unwrap().map(|name| name.to_string()), id)
}

fn pair(event_type: &str, id: &str) -> (Option<String>, Option<String>) {
    (Some(event_type.to_owned()), Some(id.to_owned()))
}

const JSON: &str = "application/json; charset=utf-8";

#[test]
fn each_provider_says_type_and_id_in_its_own_place() {
    let github = [("x-github-event", "pull_request"), ("x-github-delivery", "72d3162e-cc78")];
    let body = r#"{"action":"opened","number":7}"#;
    assert_eq!(told("github", &github, JSON, body), pair("pull_request.opened", "72d3162e-cc78"));
    assert_eq!(told("github", &github, JSON, r#"{"ref":"x"}"#), pair("pull_request", "72d3162e-cc78"));
    let form = "payload=%7B%22action%22%3A%22closed%22%7D";
    assert_eq!(told("github", &github, FORM, form), pair("pull_request.closed", "72d3162e-cc78"));
    let stripe = r#"{"id":"evt_1","object":"event","type":"invoice.paid"}"#;
    assert_eq!(told("stripe", &[], JSON, stripe), pair("invoice.paid", "evt_1"));
    let shopify = [("x-shopify-topic", "orders/create"), ("x-shopify-webhook-id", "b54557e4")];
    assert_eq!(told("shopify", &shopify, JSON, "{}"), pair("orders.create", "b54557e4"));
    let slack = r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}"#;
    assert_eq!(told("slack", &[], JSON, slack), pair("app_mention", "Ev1"));
    let block = "payload=%7B%22type%22%3A%22block_actions%22%7D";
    assert_eq!(told("slack", &[], FORM, block), (Some("block_actions".to_owned()), None));
    let svix = [("svix-id", "msg_1")];
    assert_eq!(told("svix", &svix, JSON, r#"{"type":"user.created"}"#), pair("user.created", "msg_1"));
    let gitlab = [("x-gitlab-event", "Push Hook"), ("x-gitlab-event-uuid", "u"), ("idempotency-key", "k-1")];
    assert_eq!(told("gitlab", &gitlab, JSON, "{}"), pair("push_hook", "k-1"));
    assert_eq!(told("standard", &[("webhook-id", "m")], JSON, r#"{"type":"a.b"}"#), pair("a.b", "m"));
    assert_eq!(told("hmac", &github, JSON, stripe), (None, None));
}

#[test]
fn a_cloud_event_is_known_by_its_form_and_its_id_counts_within_its_source() {
    let binary = [("ce-specversion", "1.0"), ("ce-type", "com.github.pull_request.opened"), ("ce-id", "1")];
    assert_eq!(cloud_event(&headers(&binary), "application/json").unwrap().name, "cloudevents");
    assert_eq!(cloud_event(&headers(&[]), "application/cloudevents+json").unwrap().name, "cloudevents");
    assert_eq!(cloud_event(&headers(&[]), "application/json"), None);
    assert_eq!(told("cloudevents", &binary, JSON, "{}"), pair("com.github.pull_request.opened", "1"));
    let of = |source: &str| {
        let body = format!(r#"{{"specversion":"1.0","type":"a.b","id":"1","source":"{source}"}}"#);
        told("cloudevents", &[], "application/cloudevents+json", &body)
    };
    assert_eq!(of("/x"), of("/x"));
    assert_ne!(of("/x").1, of("/y").1);
}

#[test]
fn webhooks_of_gitlab_that_cause_each_other_are_not_the_same_event() {
    let uuid = [("x-gitlab-event-uuid", "13792a34")];
    assert_eq!(told("gitlab", &uuid, JSON, "{}"), told("gitlab", &uuid, JSON, "{}"));
    assert_ne!(told("gitlab", &uuid, JSON, "{}").1, told("gitlab", &uuid, JSON, "{ }").1);
}

#[test]
fn a_key_belongs_to_its_subscription_and_no_request_can_write_it() {
    let (id, row) = (headers(&[("svix-id", "m1")]), Provider::named("svix").unwrap());
    let json = ContentType::default();
    let arrival = Arrival::new(&id, &json, b"{}");
    let [one, two] = [1, 2].map(|number| arrival.idempotency_key(row, subscription(number)).unwrap());
    assert_ne!(one, two);
    assert!(one.as_str().parse::<IdempotencyKey>().is_err(), "{one:?}");
    for odd in ["a b", "é", &"x".repeat(10_000)] {
        let headers = headers(&[("svix-id", odd)]);
        let key = Arrival::new(&headers, &json, b"{}").idempotency_key(row, subscription(1)).unwrap();
        assert!(key.as_str().len() < 128 && key.as_str().is_ascii(), "{key:?}");
    }
}

#[test]
fn a_name_becomes_an_event_type_or_is_refused() {
    for (name, event_type) in [
        ("orders/create", "orders.create"),
        ("Push Hook", "push_hook"),
        ("Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobCreated"),
        ("urn:a:b", "urn.a.b"),
        ("/a//b/", "a.b"),
        ("straße", "stra_e"),
        ("..", ""),
    ] {
        assert_eq!(event_type_name(name), event_type, "{name}");
        assert!(event_type.is_empty() || event_type.parse::<EventType>().is_ok(), "{event_type}");
    }
    let long = headers(&[("x-github-event", &"x".repeat(129))]);
    let arrival = Arrival::new(&long, &ContentType::default(), b"{}");
    assert_eq!(arrival.event_type(Provider::named("github").unwrap()), Err(InvalidEventType::TooLong));
}

#[test]
fn what_is_not_a_text_says_nothing() {
    for body in [
        r#"{"id":1,"type":2}"#,
        r#"{"id":null,"type":null}"#,
        r#"{"id":"a","id":"b","type":"c"}"#,
        r#"["a","b"]"#,
        r#"{"id":"","type":""}"#,
        "<xml/>",
        "",
    ] {
        assert_eq!(told("stripe", &[], JSON, body), (None, None), "{body}");
    }
}

#[test]
fn only_slack_gets_its_challenge_back() {
    let challenge = |name: &str, body: &str| {
        let none = headers(&[]);
        let json = ContentType::default();
        Arrival::new(&none, &json, body.as_bytes()).challenge(Provider::named(name).unwrap())
    };
    let body = r#"{"type":"url_verification","token":"x","challenge":"3eZbrw1a"}"#;
    assert_eq!(challenge("slack", body).as_deref(), Some("3eZbrw1a"));
    assert_eq!(challenge("stripe", body), None);
    assert_eq!(challenge("slack", r#"{"type":"message","challenge":"x"}"#), None);
    let long = format!(r#"{{"type":"url_verification","challenge":"{}"}}"#, "x".repeat(MAX_CHALLENGE_BYTES + 1));
    assert_eq!(challenge("slack", &long), None);
}

#[test]
fn the_page_names_every_provider_and_header() {
    let page = include_str!("../../../../docs/receiving-from.md").to_lowercase();
    for row in &PROVIDERS {
        assert!(page.contains(&format!("`{}`", row.name)), "docs/receiving-from.md does not name {}", row.name);
        for header in row.header_names().filter(|header| *header != "ce-source") {
            assert!(page.contains(&format!("`{header}`")), "docs/receiving-from.md does not name {header}");
        }
    }
}

#[test]
fn every_member_that_the_table_names_is_read() {
    let all = r#"{"type":1,"id":1,"action":1,"event":1,"event_id":1,"source":1}"#;
    let members = Members::of(all.as_bytes());
    for row in &PROVIDERS {
        for source in [row.event_type, row.action, row.id, row.id_scope].into_iter().flatten() {
            if let Source::Member(path) = source {
                assert!(path.iter().all(|name| members.get(name).is_some()), "{}: {path:?}", row.name);
            }
        }
    }
}
