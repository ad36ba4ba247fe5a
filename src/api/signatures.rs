//! `/subscriptions/generate-signature`: an example of a signed request. It stores nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::Api;
use super::access::{AllowedForAll, Manage};
use super::docs::Resource;
use super::form::{AnyJson, NullToo, form};
use super::payload::{Answer, Document};
use super::problem::Problem;
use crate::domain::secret::Secret;
use crate::domain::signature::{sign_hub, sign_v1};

/// A payload of 1 MiB, its secret, and white space.
const LIMIT: usize = 1_024 * 1_024 + 64 * 1_024;
const EXAMPLE_ID: &str = "msg_example";

pub(super) struct SignaturesApi(pub(super) Arc<Api>);

form! {
    /// What to sign, and the secret.
    pub(super) struct SignatureRequest {
        /// Any JSON value; its bytes are signed as they are.
        payload: NullToo<AnyJson>,
        /// The secret of a subscription.
        secret_key: Secret,
    }
}

/// Both forms of the signature, and a request that carries one.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct SignatureAnswer {
    /// `sha256=` and the hex HMAC-SHA256 of the payload's bytes.
    signature: String,
    /// Headers of both forms.
    headers: BTreeMap<String, String>,
    /// A request that ingest accepts.
    example_request: ExampleRequest,
}

/// A request that ingest accepts.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct ExampleRequest {
    /// `POST`
    method: String,
    /// The URL; insert the subscription's id.
    url: String,
    /// Its headers.
    headers: BTreeMap<String, String>,
    /// Its body: the bytes of the payload.
    body: String,
}

#[OpenApi(prefix_path = "/subscriptions", tag = "Resource::Signatures")]
impl SignaturesApi {
    /// Generate a signature
    ///
    /// For testing only: in production, use a Standard Webhooks library.
    #[oai(path = "/generate-signature", method = "post", operation_id = "generate_signature")]
    async fn generate(
        &self,
        _caller: AllowedForAll<Manage>,
        body: Document<SignatureRequest, LIMIT>,
    ) -> Result<Answer<SignatureAnswer>, Problem> {
        let SignatureRequest { payload, secret_key } = body.read(&self.0.settings.targets)?;
        let now = self.0.clock.now().unix_timestamp();
        Ok(Answer::Value(answer(&self.0.settings.public_url, &secret_key, &payload.0.0, now)))
    }
}

fn answer(public_url: &str, secret: &Secret, payload: &str, now_unix: i64) -> SignatureAnswer {
    let signature = sign_hub(secret, payload.as_bytes());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = BTreeMap::from([
        pair("X-Hub-Signature-256", &signature),
        pair("webhook-id", EXAMPLE_ID),
        pair("webhook-timestamp", &now_unix.to_string()),
        pair("webhook-signature", &sign_v1(secret, EXAMPLE_ID, now_unix, payload.as_bytes())),
    ]);
    let example_request = ExampleRequest {
        method: "POST".to_owned(),
        url: format!("{public_url}/ingest/{{subscription_id}}"),
        headers: BTreeMap::from([
            pair("Content-Type", "application/json"),
            pair("X-Event-Type", "user.created"),
            pair("X-Hub-Signature-256", &signature),
        ]),
        body: payload.to_owned(),
    };
    SignatureAnswer { signature, headers, example_request }
}
