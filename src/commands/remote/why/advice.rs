//! What to do about a reason, in the words of docs/retries.md and docs/debugging.md.

/// By the word with which a reason begins; `*` at the end stands for the rest of a word.
const ADVICE: &[(&str, &str)] = &[
    ("http_5xx", "the receiver failed: look for the event's id in its log"),
    ("http_4xx", "the receiver refuses it: compare URL, signature and authentication with what it expects"),
    ("http_3xx", "the target redirects, which is not followed: set target_url to where it leads"),
    ("http_*", "the receiver's answer is no success: only 2xx is"),
    ("timeout", "the receiver is too slow: let it answer first and work afterwards, or raise request_timeout"),
    ("connect_*", "nobody answers at the target: is the receiver running, and does its firewall let this host in?"),
    ("reset", "the receiver broke the connection: see its log and that of its proxy"),
    ("closed_early", "the receiver broke the connection: see its log and that of its proxy"),
    ("bad_response", "the receiver does not answer with HTTP: is target_url the right port?"),
    ("response_too_large", "the receiver's headers are too large"),
    ("tls_*", "the receiver's certificate is not accepted: renew it, or name its CA in POSTRIDER_CA_FILE"),
    ("dns_*", "the target's name leads nowhere: correct target_url or the name's DNS records"),
    (
        "blocked_address",
        "the target leads to an address that is not public: change target_url, or see POSTRIDER_ALLOW_TARGETS",
    ),
    ("unknown", "the worker was lost during the attempt; the delivery is taken over"),
    ("no_match", "no subscription wanted it: create or change one, then replay what it missed (docs/replays.md)"),
    ("not_published_yet", "a `serve` or `api` replica publishes it: see docs/publishing-from-sql.md if none does"),
    ("event_type", "its event_types do not match this type: change them, then replay (docs/replays.md)"),
    (
        "filter",
        "its filter excludes this payload: change it (postrider subscriptions update), then replay (docs/replays.md)",
    ),
    ("created_later", "it was created after the event: replay what it missed (docs/replays.md)"),
    ("not_matched_then", "its event_types match only now: replay what it missed (docs/replays.md)"),
    ("disabled", "enable the subscription: what is held is sent then"),
    ("ordered", "an earlier event with the same ordering key has not ended (docs/ordering.md)"),
    (
        "breaker_open",
        "the receiver failed too often: it is probed, and the rest follows when it answers (docs/pacing.md)",
    ),
    ("retry_after", "the receiver asked to wait (docs/pacing.md)"),
    ("recovering", "the receiver has just recovered: it gets more at a time with each success (docs/pacing.md)"),
    ("rate_limit", "the subscription's rate_limit is used up: it gets more events than that"),
    ("concurrency", "as many requests as its max_in_flight are unanswered: the receiver is slow"),
    ("expires_at", "it was not delivered before its expires_at"),
    ("exhausted", "all attempts failed: repair the receiver, then send it again (docs/replays.md)"),
    ("subscription_disabled", "enable the subscription, then publish again"),
    ("subscription_not_found", "the tenant has no such subscription: compare the id, and whose key it was"),
    ("event_type_*", "publish with a type that the subscription's event_types match, or change them"),
    ("filtered_out", "the subscription's filter excludes this payload"),
    ("body_too_large", "send less, or raise POSTRIDER_MAX_PAYLOAD_BYTES"),
    ("payload_invalid", "the payload must be a JSON object or array"),
    ("malformed_json", "the body is no JSON: it may have been cut off"),
    (
        "unauthenticated",
        "send a key that `postrider keys list` shows, or sign the exact bytes with the subscription's secret",
    ),
    ("signature_*", "sign the exact bytes with the subscription's secret, no older than 5 minutes"),
    ("scope_missing", "use a key with the scope that is needed"),
    ("tenant_*", "name the tenant in Postrider-Tenant by its id or external id"),
    ("idempotency_key_reused", "use another Idempotency-Key for another event"),
    ("rate_limited", "the tenant's publish_per_second was reached: publish again after Retry-After"),
    ("schema_mismatch", "the payload breaks the schema of its event type"),
    ("validation_failed", "correct the fields that are named"),
];

/// `None` for a reason that needs no answer, or that this version does not know.
pub(super) fn advice(reason: &str) -> Option<&'static str> {
    let word = reason.split([':', ' ', ';']).next().unwrap_or_default();
    let fits = |known: &str| known.strip_suffix('*').map_or(known == word, |start| word.starts_with(start));
    ADVICE.iter().find(|(known, _)| fits(known)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Outcome;

    #[test]
    fn every_outcome_but_success_has_advice() {
        for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Delivered) {
            assert!(advice(&format!("{outcome}: and so on")).is_some(), "{outcome}");
        }
        assert_eq!(advice("http_404: no such word"), advice("http_other"));
        assert_eq!((advice(""), advice("delivered"), advice("a new word")), (None, None, None));
    }
}
