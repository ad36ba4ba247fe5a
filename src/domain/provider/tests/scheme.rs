use super::*;
use crate::domain::provider::{PROVIDERS, Provider};

fn headers(pairs: &[(&str, &str)]) -> ProducerHeaders {
    ProducerHeaders::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))))
}

/// A request as its provider documents it.
struct Vector {
    provider: &'static str,
    secret: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    signed_at: i64,
}

const SLACK_BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                          channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
                          response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F\
                          96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

/// Of GitHub, Slack, Svix and Standard Webhooks as they publish them; of the others computed independently of this code.
const VECTORS: [Vector; 7] = [
    Vector {
        provider: "github",
        secret: "It's a Secret to Everybody",
        headers: &[("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")],
        body: "Hello, World!",
        signed_at: 0,
    },
    Vector {
        provider: "stripe",
        secret: "whsec_4bQp9Zt7LmXc2VdRk8NwYsHf6JgTeUa1",
        headers: &[(
            "stripe-signature",
            "t=1492774577,v1=9b1c23df9ade9a778bdb74e48201a11e3188fa01714af419fd16c488bb839f85,v0=6ffbb59b2300aae6",
        )],
        body: r#"{"id":"evt_1","type":"invoice.paid"}"#,
        signed_at: 1_492_774_577,
    },
    Vector {
        provider: "shopify",
        secret: "hush-this-is-shopify",
        headers: &[("x-shopify-hmac-sha256", "92tYG2SyRHvdnG7lxd0pXb4rKAYUimJELeaMej/3X+A=")],
        body: r#"{"id":820982911946154508}"#,
        signed_at: 0,
    },
    Vector {
        provider: "slack",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        headers: &[
            ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
            ("x-slack-request-timestamp", "1531420618"),
        ],
        body: SLACK_BODY,
        signed_at: 1_531_420_618,
    },
    Vector {
        provider: "svix",
        secret: "whsec_plJ3nmyCDGBKInavdOK15jsl",
        headers: &[
            ("svix-id", "msg_loFOjxBNrRLzqYUf"),
            ("svix-timestamp", "1731705121"),
            ("svix-signature", "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="),
        ],
        body: r#"{"event_type":"ping","data":{"success":true}}"#,
        signed_at: 1_731_705_121,
    },
    Vector {
        provider: "gitlab",
        secret: "a token of GitLab",
        headers: &[("x-gitlab-token", "a token of GitLab")],
        body: "{}",
        signed_at: 0,
    },
    Vector {
        provider: "standard",
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers: &[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body: r#"{"test": 2432232314}"#,
        signed_at: 1_614_265_330,
    },
];

fn verify(vector: &Vector, secret: &str, body: &str, now: i64) -> Result<(), InvalidSignature> {
    let row = Provider::named(vector.provider).unwrap();
    let secret = Secret::of_producer(secret).unwrap();
    row.scheme.unwrap().verify(&headers(vector.headers), [&secret], row.key, body.as_bytes(), now)
}

#[test]
fn every_row_that_signs_has_a_vector_that_verifies_and_nothing_beside_it_does() {
    let signing: Vec<&str> = PROVIDERS.iter().filter(|row| row.scheme.is_some()).map(|row| row.name).collect();
    assert_eq!(VECTORS.map(|vector| vector.provider).as_slice(), signing);
    for vector in &VECTORS {
        let (name, now) = (vector.provider, vector.signed_at);
        assert_eq!(verify(vector, vector.secret, vector.body, now), Ok(()), "{name}");
        assert_eq!(verify(vector, "another secret", vector.body, now), Err(InvalidSignature::Wrong), "{name}");
        if name != "gitlab" {
            assert_eq!(verify(vector, vector.secret, "{ }", now), Err(InvalidSignature::Wrong), "{name}");
        }
        if now > 0 {
            assert_eq!(verify(vector, vector.secret, vector.body, now + 300), Ok(()), "{name}");
            let stale = verify(vector, vector.secret, vector.body, now + 301);
            assert_eq!(stale, Err(InvalidSignature::Stale), "{name}");
        }
    }
}

#[test]
fn a_signature_costs_one_hmac_a_live_secret_however_many_a_request_lists() {
    let keys: Vec<Vec<u8>> = (0..5).map(|n| vec![n; 32]).collect();
    let (hex, base64) = ("00".repeat(MAC_BYTES), STANDARD.encode([0; MAC_BYTES]));
    let list = |entry: &str, separator: &str| vec![entry.to_owned(); MAX_ENTRIES].join(separator);
    for row in PROVIDERS.iter().filter(|row| row.scheme.is_some()) {
        let scheme = row.scheme.unwrap();
        let one = match scheme.encoding {
            Encoding::Hex => format!("{}{hex}", scheme.prefix),
            Encoding::Base64 | Encoding::SecretItself => format!("{}{base64}", scheme.prefix),
        };
        let most = match (row.name, scheme.separator) {
            ("stripe", _) => format!("t=1000,{}", vec![one.clone(); MAX_ENTRIES - 1].join(",")),
            (_, Some(separator)) => list(&one, &separator.to_string()),
            (_, None) => one.clone(),
        };
        let more = format!("{most}{}{one}", scheme.separator.unwrap_or(','));
        let asked = |text: &str| {
            let mut pairs = vec![(scheme.header, text)];
            pairs.extend(scheme.header_names().skip(1).map(|name| (name, "1000")));
            let mut computed = 0;
            let count = |_: &[u8], _: &[&[u8]]| {
                computed += 1;
                [1; MAC_BYTES]
            };
            let keys = keys.iter().map(Vec::as_slice);
            let result = scheme.verify_by(&headers(&pairs), keys, b"{}", 1_000, count);
            (result, computed)
        };
        let all = if scheme.encoding == Encoding::SecretItself { 0 } else { keys.len() };
        assert_eq!(asked(&most), (Err(InvalidSignature::Wrong), all), "{}", row.name);
        let (refused, computed) = asked(&more);
        assert!(refused.is_err() && computed <= all.min(usize::from(scheme.separator.is_none())), "{}", row.name);
        if scheme.separator.is_some() {
            assert_eq!(refused, Err(InvalidSignature::TooMany), "{}", row.name);
            assert_eq!(headers(&[(scheme.header, &more)]).check_lists(), Err(InvalidSignature::TooMany));
            assert_eq!(headers(&[(scheme.header, &most)]).check_lists(), Ok(()));
        }
    }
}

#[test]
fn a_described_signature_is_read_as_described() {
    let scheme = Scheme {
        header: "x-acme-signature",
        prefix: "hmac ",
        encoding: Encoding::Base64,
        separator: None,
        id: None,
        timestamp: None,
        signed: &[Part::Body],
    };
    let secret = Secret::of_producer("my own shared secret").unwrap();
    let verify = |text: &str| {
        scheme.verify(&headers(&[(scheme.header, text)]), [&secret], KeyForm::Text, b"<order id=\"7\"/>", 0)
    };
    assert_eq!(verify("hmac wNBZqFv1ANfBCDwh1ZXOAt1CAr57WfjIHt921/W7v9s="), Ok(()));
    for malformed in ["wNBZqFv1ANfBCDwh1ZXOAt1CAr57WfjIHt921/W7v9s=", "hmac ", "hmac c0d0"] {
        assert_eq!(verify(malformed), Err(InvalidSignature::Malformed), "{malformed}");
    }
}

#[test]
fn stripe_signs_one_time() {
    let scheme = Provider::named("stripe").unwrap().scheme.unwrap();
    let secret = Secret::of_producer(VECTORS[1].secret).unwrap();
    let mac = "v1=9b1c23df9ade9a778bdb74e48201a11e3188fa01714af419fd16c488bb839f85";
    let verify = |text: &str| {
        let headers = headers(&[("stripe-signature", text)]);
        scheme.verify(&headers, [&secret], KeyForm::Text, VECTORS[1].body.as_bytes(), 1_492_774_577)
    };
    assert_eq!(verify(&format!("t=1492774577, v1=00, {mac}")), Ok(()));
    for malformed in [mac.to_owned(), format!("t=1492774577,t=1,{mac}"), format!("t=now,{mac}"), String::new()] {
        assert_eq!(verify(&malformed), Err(InvalidSignature::Malformed), "{malformed}");
    }
    assert_eq!(verify("t=1492774577"), Err(InvalidSignature::Wrong));
}
