//! Makes signatures: Standard Webhooks 1.0.0 (`v1`, signs `id.timestamp.body`) and the hub form.
//! `provider` verifies them, and those of other producers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::secret::Secret;

/// Largest difference of a signed timestamp from now.
pub(crate) const TOLERANCE_SECONDS: i64 = 300;
pub(crate) const MAC_BYTES: usize = 32;

const HUB_PREFIX: &str = "sha256=";
const V1: &str = "v1";

/// Why a signature is rejected. Messages never show the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    #[error(
        "a signature is required: the header of the subscription's ingest, or without that X-Hub-Signature-256, or \
         webhook-id, webhook-timestamp and webhook-signature, or that of another provider"
    )]
    Missing,
    #[error("the request has signatures of two kinds")]
    Ambiguous,
    #[error("the header lists more than {} signatures", super::provider::MAX_ENTRIES)]
    TooMany,
    #[error("the signature is malformed")]
    Malformed,
    #[error("the signature's timestamp is more than {TOLERANCE_SECONDS} seconds from now")]
    Stale,
    #[error("the signature does not fit the body and the secret")]
    Wrong,
}

pub fn sign_v1(secret: &Secret, id: &str, timestamp_unix: i64, body: &[u8]) -> String {
    let timestamp = timestamp_unix.to_string();
    let mac = mac(secret.key(), &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    format!("{V1},{}", STANDARD.encode(mac))
}

pub fn sign_v1_all<'s>(
    secrets: impl IntoIterator<Item = &'s Secret>,
    id: &str,
    timestamp_unix: i64,
    body: &[u8],
) -> String {
    let items: Vec<String> = secrets.into_iter().map(|secret| sign_v1(secret, id, timestamp_unix, body)).collect();
    items.join(" ")
}

/// `X-Hub-Signature-256`: `sha256=` and the hex MAC of the body.
pub fn sign_hub(secret: &Secret, body: &[u8]) -> String {
    format!("{HUB_PREFIX}{}", hex(&mac(secret.key(), &[body])))
}

/// The only place that computes an HMAC of a signature.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; MAC_BYTES] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; MAC_BYTES];
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("a nibble is below 16");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::provider::ProducerHeaders;
    use proptest::prelude::*;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    const V1_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const V1_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const DERIVED: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const DERIVED_ID: &str = "0190c5f0-0000-7000-8000-000000000001";

    /// From the tests of the Standard Webhooks libraries.
    #[test]
    fn the_published_vectors_are_reproduced() {
        let cases: [(&str, &str, i64, &[u8], &str); 2] = [
            (
                V1_SECRET,
                V1_ID,
                1_614_265_330,
                br#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                br#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ];
        for (key, id, timestamp, body, expected) in cases {
            assert_eq!(sign_v1(&secret(key), id, timestamp, body), expected);
        }
        for (length, expected) in [
            (1_048_576, "v1,txpEUxqWZJ5nteTnymUVa+7C4NHpBeXJ6CsBAW0c3/A="),
            (262_144, "v1,Mw4Pe2WgApuT7NSqnSq0PQPV9gbLdggCl9B865x5Xh0="),
            (262_143, "v1,NTItnqyWMoFhk2Bbe5V/BMdcFRWgcSQaTgqLHX7FC7c="),
        ] {
            assert_eq!(sign_v1(&secret(V1_SECRET), V1_ID, 1_614_265_330, &vec![b'a'; length]), expected);
        }
    }

    /// Computed independently of this code.
    #[test]
    fn odd_bytes_are_signed_as_they_are() {
        let cases: [(&[u8], &str); 5] = [
            (b"{}", "v1,BCphcTRqN8CvfaqD6yP6XqPqzdNeFxmFR2meOWczfuc="),
            (b" {\n \"b\" : 1,\t\"a\":2 }\r\n", "v1,AcjZ0Rg0KtFUn1DiLaCQHPteK8a6pwt3wpYZrMoXXRU="),
            ("{\"a\":\"é日😀\"}".as_bytes(), "v1,pNL0KaKX5OFN10e3W7Rz2Rt0mEVs+p19S0E+n6LDR74="),
            (br#"{"a":"\u0000","b":"\ud800"}"#, "v1,S46Za/Qze2hvb2wVUD8T9herM4QYwv32+rUdWv652pQ="),
            (br#"{"n":[12345678901234567890123,1e400,-0,1.10]}"#, "v1,jnHMyAaN2xjD7CGZDMoQxP7uMm6GGh7lRiL3eiSri2Y="),
        ];
        for (body, expected) in cases {
            assert_eq!(sign_v1(&secret(DERIVED), DERIVED_ID, 1_700_000_000, body), expected);
        }
    }

    #[test]
    fn an_independent_library_accepts_our_signature() {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let secrets = [Secret::from_random([5; 32]), secret(V1_SECRET)];
        let header = sign_v1_all(&secrets, DERIVED_ID, now, b"{\"x\":1}");
        let mut headers = http_headers(&[
            ("webhook-id", DERIVED_ID),
            ("webhook-timestamp", &now.to_string()),
            ("webhook-signature", &header),
        ]);
        for each in &secrets {
            let stranger = standardwebhooks::Webhook::new(each.reveal()).unwrap();
            assert!(stranger.verify(b"{\"x\":1}", &headers).is_ok());
            assert!(stranger.verify(b"{\"x\":2}", &headers).is_err());
        }
        headers.insert("webhook-id", "other".parse().unwrap());
        assert!(standardwebhooks::Webhook::new(V1_SECRET).unwrap().verify(b"{\"x\":1}", &headers).is_err());
    }

    fn http_headers(pairs: &[(&'static str, &str)]) -> hyper::HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    /// As `/ingest` and `postrider listen` verify.
    fn verify(
        headers: &[(&str, &str)],
        secrets: &[&Secret],
        body: &[u8],
        now_unix: i64,
    ) -> Result<(), InvalidSignature> {
        let headers =
            ProducerHeaders::new(headers.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))));
        let (provider, scheme) = headers.signed_as().next().ok_or(InvalidSignature::Missing)?;
        scheme.verify(&headers, secrets.iter().copied(), provider.own_key, body, now_unix)
    }

    fn standard<'a>(id: &'a str, timestamp: &'a str, signature: &'a str) -> [(&'static str, &'a str); 3] {
        [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)]
    }

    fn hub_form(signature: &str) -> [(&'static str, &str); 1] {
        [("x-hub-signature-256", signature)]
    }

    #[test]
    fn what_must_not_verify_does_not() {
        let (key, body, now) = (secret(V1_SECRET), br#"{"test": 2432232314}"#, 1_614_265_330);
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let check = |id: &str, timestamp: &str, signature: &str, now| {
            verify(&standard(id, timestamp, signature), &[&key], body, now)
        };
        let stamp = now.to_string();
        assert_eq!(check(V1_ID, &stamp, good, now), Ok(()));
        assert_eq!(check(V1_ID, &stamp, &format!("v1a,x v1,AAAA {good}"), now + 300), Ok(()));
        assert_eq!(check(V1_ID, &stamp, good, now + 301), Err(InvalidSignature::Stale));
        assert_eq!(check(V1_ID, &stamp, good, now - 301), Err(InvalidSignature::Stale));
        for wrong in [
            "v1,",
            "v1",
            "",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=",
            "v1,tFtCZ5RDCPxzWQRWXWPgrCgE2frDBe9gjpbWQxnVfsQ=",
        ] {
            assert_eq!(check(V1_ID, &stamp, wrong, now), Err(InvalidSignature::Wrong), "{wrong}");
        }
        for malformed in ["-1614265330", "1614265330.0", "now", "", "+1614265330"] {
            assert_eq!(check(V1_ID, malformed, good, now), Err(InvalidSignature::Malformed), "{malformed}");
        }
        let [_, timestamp, signature] = standard(V1_ID, &stamp, good);
        assert_eq!(verify(&[timestamp, signature], &[&key], body, now), Err(InvalidSignature::Malformed));
        assert_eq!(check("a.1614265330", &stamp, good, now), Err(InvalidSignature::Malformed));
    }

    #[test]
    fn any_of_the_secrets_will_do_and_none_is_not_enough() {
        let (old, new, other) = (secret(V1_SECRET), secret(DERIVED), secret("another secret"));
        for made_with in [&old, &new] {
            let (v1, hub) = (sign_v1(made_with, "id", 1_000, b"{}"), sign_hub(made_with, b"{}"));
            let (v1, hub) = (standard("id", "1000", &v1), hub_form(&hub));
            for headers in [v1.as_slice(), hub.as_slice()] {
                assert_eq!(verify(headers, &[&new, &old], b"{}", 1_000), Ok(()));
                assert_eq!(verify(headers, &[&other], b"{}", 1_000), Err(InvalidSignature::Wrong));
                assert_eq!(verify(headers, &[], b"{}", 1_000), Err(InvalidSignature::Wrong));
            }
        }
        let v1 = sign_v1(&old, "id", 1_000, b"{}");
        let stale = verify(&standard("id", "1000", &v1), &[&new, &old], b"{}", 1_301);
        assert_eq!(stale, Err(InvalidSignature::Stale));
    }

    #[test]
    fn the_hub_form_is_whole_or_refused() {
        let key = secret("it's a secret");
        let good = sign_hub(&key, b"{}");
        let check = |header: &str| verify(&hub_form(header), &[&key], b"{}", 0);
        assert_eq!(check(&good), Ok(()));
        assert_eq!(check(&format!("sha256={}", good.trim_start_matches("sha256=").to_uppercase())), Ok(()));
        for malformed in [
            "",
            "sha256=",
            "sha1=0000000000000000000000000000000000000000",
            &good[..good.len() - 2],
            &format!("{good}00"),
            &format!("{good},{good}"),
            &"sha256=zz".repeat(8),
        ] {
            assert_eq!(check(malformed), Err(InvalidSignature::Malformed), "{malformed}");
        }
        assert_eq!(verify(&[("webhook-id", "x")], &[&key], b"{}", 0), Err(InvalidSignature::Missing));
    }

    proptest! {
        #[test]
        fn no_proper_prefix_of_a_signature_verifies(body in proptest::collection::vec(any::<u8>(), 0..64), cut in 0_usize..47) {
            let key = secret(V1_SECRET);
            let good = sign_v1(&key, "id", 1_000, &body);
            prop_assert_eq!(verify(&standard("id", "1000", &good), &[&key], &body, 1_000), Ok(()));
            let short = verify(&standard("id", "1000", &good[..cut]), &[&key], &body, 1_000);
            prop_assert_eq!(short, Err(InvalidSignature::Wrong));
        }

        #[test]
        fn any_other_body_is_refused(body in proptest::collection::vec(any::<u8>(), 1..64), at in 0_usize..64) {
            let key = secret(V1_SECRET);
            let hub = sign_hub(&key, &body);
            let mut other = body.clone();
            let at = at % other.len();
            other[at] ^= 1;
            prop_assert_eq!(verify(&hub_form(&hub), &[&key], &other, 0), Err(InvalidSignature::Wrong));
        }
    }
}
