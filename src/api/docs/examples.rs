//! Examples of the document.

use serde_json::{Value, json};

pub(super) fn example(schema: &str) -> Option<Value> {
    match schema {
        "SubscriptionForm" => Some(json!({
            "target_url": "https://example.com/hook",
            "event_types": ["order.created", "invoice.*"],
            "description": "orders",
        })),
        "ProducerForm" => Some(json!({
            "provider": "stripe",
            "secret": "whsec_4bQp9Zt7LmXc2VdRk8NwYsHf6JgTeUa1",
        })),
        "ChallengeAnswer" => Some(json!({ "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" })),
        "SubscriptionPatch" => Some(json!({ "is_active": false })),
        "AuditEntry" => Some(json!({
            "id": "0199c5f0-0000-7000-8000-000000000003",
            "at": "2026-11-28T12:00:00.482113Z",
            "tenant_id": "0199c5f0-0000-7000-8000-000000000004",
            "actor": "key",
            "key_id": "0199c5f0-0000-7000-8000-000000000002",
            "action": "subscription.updated",
            "object_kind": "subscription",
            "object_id": "0199c5f0-0000-7000-8000-000000000001",
            "before": { "rate_limit": null },
            "after": { "rate_limit": 50 },
            "request_id": "0199c5f0-0000-7000-8000-000000000005",
        })),
        "BatchForm" => Some(json!({
            "events": [
                { "event_type": "order.created", "payload": { "order": 7 }, "idempotency_key": "order-7" },
                { "event_type": "invoice.due", "payload": { "invoice": 12 } },
            ],
        })),
        "PublishAnswer" => Some(json!({
            "message": "event accepted",
            "webhook_id": "0199c5f0-0000-7000-8000-000000000001",
            "duplicate": false,
            "matched": 3,
        })),
        "Problem" => Some(json!({
            "type": "https://postrider.dev/problems/event-type-not-wanted",
            "title": "Event type not wanted",
            "status": 422,
            "detail": "the subscription's event_types do not name this event type",
            "code": "event_type_not_wanted",
            "request_id": "0199c5f0-0000-7000-8000-000000000001",
        })),
        "KeyForm" => Some(json!({ "name": "ci", "tenant": "acme", "scope": "publish" })),
        "TenantForm" => Some(json!({
            "name": "Acme",
            "external_id": "acme",
            "metadata": { "plan": "pro" },
            "limits": { "max_subscriptions": 1_000, "publish_per_second": 500 },
        })),
        "TenantPatch" => Some(json!({ "limits": { "publish_per_second": 50 } })),
        "ReplayForm" => Some(json!({
            "subscription_id": "0199c5f0-0000-7000-8000-000000000001",
            "statuses": ["failed", "expired"],
            "since": "2026-11-23T18:00:00Z",
            "rate": 50,
        })),
        "RotationForm" => Some(json!({ "overlap_seconds": 86_400 })),
        "SignatureRequest" => Some(json!({
            "payload": { "x": 1 },
            "secret_key": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        })),
        _ => None,
    }
}
