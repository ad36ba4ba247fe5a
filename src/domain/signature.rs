//! Makes and verifies signatures: Standard Webhooks 1.0.0 (`v1`, signs `id.timestamp.body`) and the hub form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::secret::Secret;

/// Largest difference of a signed timestamp from now.
pub(crate) const TOLERANCE_SECONDS: i64 = 300;

const HUB_PREFIX: &str = "sha256=";
const V1: &str = "v1";
const MAC_BYTES: usize = 32;

/// Why a signature is rejected. Messages never show the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    #[error("a signature is required: X-Hub-Signature-256, or webhook-id, webhook-timestamp and webhook-signature")]
    Missing,
    #[error("the signature is malformed")]
    Malformed,
    #[error("the signature's timestamp is more than {TOLERANCE_SECONDS} seconds from now")]
    Stale,
    #[error("the signature does not fit the body and the secret")]
    Wrong,
}

#[derive(Debug, Clone, Default)]
pub struct SignatureHeaders {
    pub hub: Option<String>,
    pub id: Option<String>,
    pub timestamp: Option<String>,
    pub signature: Option<String>,
}

impl SignatureHeaders {
    /// Tries each secret. If both forms are present, the hub form decides.
    pub(crate) fn verify<'s>(
        &self,
        secrets: impl IntoIterator<Item = &'s Secret>,
        body: &[u8],
        now_unix: i64,
    ) -> Result<(), InvalidSignature> {
        let mut result = Err(InvalidSignature::Wrong);
        for secret in secrets {
            result = self.verify_with(secret, body, now_unix);
            // Another secret can only help against a wrong signature.
            if result != Err(InvalidSignature::Wrong) {
                break;
            }
        }
        result
    }

    fn verify_with(&self, secret: &Secret, body: &[u8], now_unix: i64) -> Result<(), InvalidSignature> {
        match (self.hub.as_deref(), self.id.as_deref(), self.timestamp.as_deref(), self.signature.as_deref()) {
            (Some(hub), ..) => verify_hub(secret, hub, body),
            (None, _, _, None) => Err(InvalidSignature::Missing),
            (None, Some(id), Some(timestamp), Some(signature)) => {
                verify_standard(secret, [id, timestamp, signature], body, now_unix)
            }
            _ => Err(InvalidSignature::Malformed),
        }
    }
}

pub fn sign_v1(secret: &Secret, id: &str, timestamp_unix: i64, body: &[u8]) -> String {
    let mac = standard_mac(secret, id, &timestamp_unix.to_string(), body);
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
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.key()), body);
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().expect("a nibble is below 16");
    let hex = mac.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    HUB_PREFIX.chars().chain(hex).collect()
}

fn verify_hub(secret: &Secret, header: &str, body: &[u8]) -> Result<(), InvalidSignature> {
    let hex = header.strip_prefix(HUB_PREFIX).ok_or(InvalidSignature::Malformed)?;
    let mac = decode_hex(hex).ok_or(InvalidSignature::Malformed)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.key());
    hmac::verify(&key, body, &mac).map_err(|_| InvalidSignature::Wrong)
}

fn verify_standard(secret: &Secret, headers: [&str; 3], body: &[u8], now_unix: i64) -> Result<(), InvalidSignature> {
    let [id, timestamp, signatures] = headers;
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    // A dot in the id would shift the signed fields.
    if id.is_empty() || id.contains('.') || !digits {
        return Err(InvalidSignature::Malformed);
    }
    let signed_at: i64 = timestamp.parse().map_err(|_| InvalidSignature::Malformed)?;
    if now_unix.abs_diff(signed_at) > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(InvalidSignature::Stale);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.key());
    let content = signed_content(id, timestamp, body);
    let fits = |item: &str| {
        let mac = item
            .split_once(',')
            .filter(|(version, _)| *version == V1)
            .and_then(|(_, encoded)| STANDARD.decode(encoded).ok());
        mac.is_some_and(|mac| hmac::verify(&key, &content, &mac).is_ok())
    };
    if signatures.split(' ').any(fits) { Ok(()) } else { Err(InvalidSignature::Wrong) }
}

fn standard_mac(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.key()));
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        context.update(part);
    }
    context.sign()
}

fn signed_content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

fn decode_hex(hex: &str) -> Option<[u8; MAC_BYTES]> {
    let mut bytes = [0; MAC_BYTES];
    if hex.len() != 2 * MAC_BYTES || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn standard(id: &str, timestamp: &str, signature: &str) -> SignatureHeaders {
        let [id, timestamp, signature] = [id, timestamp, signature].map(|text| Some(text.to_owned()));
        SignatureHeaders { id, timestamp, signature, hub: None }
    }

    #[test]
    fn what_must_not_verify_does_not() {
        let (key, body, now) = (secret(V1_SECRET), br#"{"test": 2432232314}"#, 1_614_265_330);
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let verify = |id: &str, timestamp: &str, signature: &str, now| {
            standard(id, timestamp, signature).verify([&key], body, now)
        };
        let stamp = now.to_string();
        assert_eq!(verify(V1_ID, &stamp, good, now), Ok(()));
        assert_eq!(verify(V1_ID, &stamp, &format!("v1a,x v1,AAAA {good}"), now + 300), Ok(()));
        assert_eq!(verify(V1_ID, &stamp, good, now + 301), Err(InvalidSignature::Stale));
        assert_eq!(verify(V1_ID, &stamp, good, now - 301), Err(InvalidSignature::Stale));
        for wrong in [
            "v1,",
            "v1",
            "",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=",
            "v1,tFtCZ5RDCPxzWQRWXWPgrCgE2frDBe9gjpbWQxnVfsQ=",
        ] {
            assert_eq!(verify(V1_ID, &stamp, wrong, now), Err(InvalidSignature::Wrong), "{wrong}");
        }
        for malformed in ["-1614265330", "1614265330.0", "now", "", "+1614265330"] {
            assert_eq!(verify(V1_ID, malformed, good, now), Err(InvalidSignature::Malformed), "{malformed}");
        }
        let without_id =
            SignatureHeaders { timestamp: Some(stamp.clone()), signature: Some(good.to_owned()), ..Default::default() };
        assert_eq!(without_id.verify([&key], body, now), Err(InvalidSignature::Malformed));
        assert_eq!(verify("a.1614265330", &stamp, good, now), Err(InvalidSignature::Malformed));
    }

    #[test]
    fn any_of_the_secrets_will_do_and_none_is_not_enough() {
        let (old, new, other) = (secret(V1_SECRET), secret(DERIVED), secret("another secret"));
        let stamp = "1000";
        for made_with in [&old, &new] {
            let (v1, hub) = (sign_v1(made_with, "id", 1_000, b"{}"), sign_hub(made_with, b"{}"));
            for headers in
                [standard("id", stamp, &v1), SignatureHeaders { hub: Some(hub.clone()), ..SignatureHeaders::default() }]
            {
                assert_eq!(headers.verify([&new, &old], b"{}", 1_000), Ok(()));
                assert_eq!(headers.verify([&other], b"{}", 1_000), Err(InvalidSignature::Wrong));
                assert_eq!(headers.verify([], b"{}", 1_000), Err(InvalidSignature::Wrong));
            }
        }
        let v1 = sign_v1(&old, "id", 1_000, b"{}");
        assert_eq!(standard("id", stamp, &v1).verify([&new, &old], b"{}", 1_301), Err(InvalidSignature::Stale));
    }

    #[test]
    fn the_hub_form_is_whole_or_refused() {
        let key = secret("it's a secret");
        let good = sign_hub(&key, b"{}");
        let verify = |header: &str| {
            SignatureHeaders { hub: Some(header.to_owned()), ..Default::default() }.verify([&key], b"{}", 0)
        };
        assert_eq!(verify(&good), Ok(()));
        assert_eq!(verify(&format!("sha256={}", good.trim_start_matches("sha256=").to_uppercase())), Ok(()));
        for malformed in [
            "",
            "sha256=",
            "sha1=0000000000000000000000000000000000000000",
            &good[..good.len() - 2],
            &format!("{good}00"),
            &"sha256=zz".repeat(8),
        ] {
            assert_eq!(verify(malformed), Err(InvalidSignature::Malformed), "{malformed}");
        }
        assert_eq!(SignatureHeaders::default().verify([&key], b"{}", 0), Err(InvalidSignature::Missing));
    }

    proptest! {
        #[test]
        fn no_proper_prefix_of_a_signature_verifies(body in proptest::collection::vec(any::<u8>(), 0..64), cut in 0_usize..47) {
            let key = secret(V1_SECRET);
            let good = sign_v1(&key, "id", 1_000, &body);
            prop_assert_eq!(standard("id", "1000", &good).verify([&key], &body, 1_000), Ok(()));
            prop_assert_eq!(standard("id", "1000", &good[..cut]).verify([&key], &body, 1_000), Err(InvalidSignature::Wrong));
        }

        #[test]
        fn any_other_body_is_refused(body in proptest::collection::vec(any::<u8>(), 1..64), at in 0_usize..64) {
            let key = secret(V1_SECRET);
            let hub = sign_hub(&key, &body);
            let mut other = body.clone();
            let at = at % other.len();
            other[at] ^= 1;
            let headers = SignatureHeaders { hub: Some(hub.clone()), ..Default::default() };
            prop_assert_eq!(headers.verify([&key], &other, 0), Err(InvalidSignature::Wrong));
        }
    }
}
