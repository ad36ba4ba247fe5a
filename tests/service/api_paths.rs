//! Programs percent-encode what they put into a path or query; it means the same as written plainly.

use serde_json::{Value, json};

use crate::support::api::TestApi;

/// As a client that encodes every byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// As JavaScript's `encodeURIComponent`.
fn component(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()".contains(c);
    text.chars().map(|c| if plain(c) { c.to_string() } else { encoded(&c.to_string()) }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_external_id_is_the_same_as_a_plain_one() {
    let api = TestApi::start().await;
    let id = api.subscribe(json!({ "external_id": "crm:orders" })).await["id"].clone();
    for name in ["crm:orders", "crm%3Aorders", "crm%3aorders", "%63rm:orders", &component("crm:orders")] {
        let found = api.ask("GET", &format!("/subscriptions/{name}")).send().await;
        assert_eq!((found.status.as_u16(), &found.json()["id"]), (200, &id), "{name}");
        for slash in ["", "/"] {
            let accepted = api.ask("POST", &format!("/ingest/{name}{slash}")).body("{}").send().await;
            assert_eq!(accepted.status, 202, "{name}{slash}: {accepted:?}");
            let logs = api.ask("GET", &format!("/status/logs/{name}{slash}?limit=1")).send().await;
            assert_eq!(logs.status, 200, "{name}{slash}: {logs:?}");
        }
        let listed = api.ask("GET", &format!("/subscriptions/?external_id={name}")).send().await.json();
        assert_eq!(listed["data"][0]["id"], id, "{name}");
        let published = api.ask("POST", &format!("/events?subscription_id={name}")).body("{}").send().await;
        assert_eq!(published.status, 202, "{name}: {published:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_decodes_its_path() {
    let api = TestApi::start().await;
    let operator = api.operator(postrider::domain::api_key::Scope::Admin).await;
    let document: Value = serde_json::from_str(&postrider::api::openapi_document()).unwrap();
    let mut seen = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            for value in ["0199c5f0-0000-7000-8000-0000000000aa", "crm:nobody"] {
                let filled = |value: &str| {
                    let (before, after) = path.split_once('{')?;
                    Some(format!("{before}{value}{}", after.split_once('}')?.1))
                };
                let Some(plain) = filled(value) else { continue };
                let ask = async |path: &str| {
                    let ask = api.ask(&method.to_uppercase(), path).key(&operator);
                    let answer = ask.header("postrider-tenant", "acme").body("{}").send().await;
                    (answer.status.as_u16(), answer.json()["code"].clone(), answer.json()["errors"].clone())
                };
                // The first may create what the path names.
                ask(&plain).await;
                let expected = ask(&plain).await;
                assert_ne!(expected.1, "route_not_found", "{plain}");
                for other in [component(value), encoded(value)] {
                    assert_eq!(ask(&filled(&other).unwrap()).await, expected, "{method} {plain} as {other}");
                    seen += 1;
                }
                assert_eq!(ask(&format!("/{}", component_of_each(&plain))).await, expected, "{method} {plain}");
            }
        }
    }
    assert!(seen > 60, "only {seen} requests: have the paths changed?");
}

/// Every segment encoded, byte for byte; the slashes stay.
fn component_of_each(path: &str) -> String {
    path.trim_start_matches('/').split('/').map(encoded).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_slash_is_part_of_a_value_and_an_encoding_is_read_once() {
    let api = TestApi::start().await;
    api.subscribe(json!({ "external_id": "crm:orders" })).await;
    for value in ["crm%2Forders", "crm%253Aorders", "%00", "crm%3Aorders%0A", "%2e%2e", "%20", "a%2F", "%C3%A4", "%25"]
    {
        let answer = api.ask("GET", &format!("/subscriptions/{value}")).send().await;
        let field = answer.json()["errors"][0]["pointer"].clone();
        let seen = (answer.status.as_u16(), answer.code(), field);
        assert_eq!(seen, (422, "validation_failed".to_owned(), json!("/path/subscription_id")), "{value}");
    }
    // Neither is the same path with another number of segments.
    for path in ["/subscriptions%2Fcrm:orders", "/status%2flogs/crm:orders", "/ingest%2F%2Fcrm:orders"] {
        assert_eq!(api.ask("GET", path).send().await.code(), "route_not_found", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_encoding_is_named_wherever_it_is() {
    let api = TestApi::start().await;
    for broken in ["%", "%4", "%zz", "%u0041", "%ff", "%c3%28", "100%25%"] {
        for path in [format!("/subscriptions/{broken}"), format!("/ingest/{broken}/"), format!("/tenants?q={broken}")] {
            let answer = api.ask("GET", &path).send().await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "malformed_request"), "{path}");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("path or query"), "{path}: {detail}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_named_in_a_header_as_it_is_and_in_a_path_encoded_or_plain() {
    let api = TestApi::start().await;
    let operator = api.operator(postrider::domain::api_key::Scope::Admin).await;
    for path in ["/tenants/crm:acme", "/tenants/crm%3Aacme"] {
        let made = api.ask("PUT", path).key(&operator).json(&json!({ "name": "Acme" })).send().await;
        assert!(matches!(made.status.as_u16(), 200 | 201), "{path}: {made:?}");
        assert_eq!(made.json()["external_id"], "crm:acme", "{path}");
    }
    for (name, status) in [("crm:acme", 200), ("crm%3Aacme", 404), ("crm/acme", 404), ("", 404), ("\u{e4}", 404)] {
        let ask = api.ask("GET", "/subscriptions/").key(&operator).header("postrider-tenant", name);
        let answer = ask.send().await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert!(status == 200 || answer.code() == "tenant_not_found", "{name}: {answer:?}");
    }
}
