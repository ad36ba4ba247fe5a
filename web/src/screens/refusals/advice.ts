// What the codes of refused requests mean to who sent them, and what to do.
interface Meaning {
  label: string
  advice: string
}

const KNOWN: Record<string, Meaning> = {
  malformed_json: { label: 'Malformed JSON', advice: 'Send what a JSON library writes, in UTF-8. An empty body is not JSON either.' },
  malformed_request: { label: 'Malformed request', advice: 'The request can be read in more than one way. Look for a header or an address that is put together by hand.' },
  signature_missing: { label: 'Signature missing', advice: 'This subscription takes only signed requests. Sign the body with its secret, or set verify_ingest to false.' },
  tenant_required: { label: 'Tenant required', advice: 'An operator key belongs to no tenant. Name one in the header Postrider-Tenant.' },
  signature_invalid: { label: 'Signature not accepted', advice: 'Sign exactly the bytes that are sent, with the current secret, and check the clock of the sender.' },
  unauthenticated: { label: 'Not authenticated', advice: 'Compare the key’s id with the list of keys: it may be revoked, expired, misspelt, or of another server.' },
  scope_missing: { label: 'Not allowed with this key', advice: 'Publishing needs a key with the scope publish or admin.' },
  subscription_not_found: { label: 'No such subscription', advice: 'It was deleted, its name is misspelt, or it belongs to another tenant.' },
  tenant_not_found: { label: 'No such tenant', advice: 'It was deleted, or its name in Postrider-Tenant is misspelt.' },
  route_not_found: { label: 'No such route', advice: 'Compare the path with the API reference.' },
  method_not_allowed: { label: 'Method not allowed', advice: 'Events are published with POST.' },
  request_timeout: { label: 'Request too slow', advice: 'The body did not arrive in time. Look for a slow network, or a Content-Length that is longer than the body.' },
  idempotency_key_reused: { label: 'Idempotency key reused', advice: 'The same key came before with another body or type. Give each event a key of its own.' },
  limit_reached: { label: 'Limit reached', advice: 'Raise the limit of the tenant, or remove what is not needed.' },
  subscription_disabled: { label: 'Subscription disabled', advice: 'Resume the subscription, then publish again.' },
  body_too_large: { label: 'Body too large', advice: 'Send the address of a large object instead of the object, or raise POSTRIDER_MAX_PAYLOAD_BYTES.' },
  unsupported_media_type: { label: 'Unsupported media type', advice: 'Send Content-Type: application/json, without compression.' },
  event_type_missing: { label: 'Event type missing', advice: 'Name the type in the header X-Event-Type, or in the body’s field type.' },
  event_type_not_wanted: { label: 'Event type not wanted', advice: 'Add the type to the subscription’s event_types, or publish with POST /events, which finds who wants it.' },
  filtered_out: { label: 'Filtered out', advice: 'The payload does not meet the subscription’s filter. Try the filter on the subscription’s page.' },
  payload_invalid: { label: 'Not a payload', advice: 'What was sent is not what this route takes. The detail names the rule.' },
  schema_mismatch: { label: 'Schema mismatch', advice: 'The payload does not fit the schema of its event type. Correct the producer, or the schema in the catalogue.' },
  too_many_hops: { label: 'Too many hops', advice: 'Two services publish each other’s events in a circle. Break it at one of them.' },
  too_many_recipients: { label: 'Too many recipients', advice: 'More subscriptions want this event than one event may have. Make their event types or filters narrower.' },
  validation_failed: { label: 'Validation failed', advice: 'The detail names the field and the rule that it breaks.' },
  rate_limited: { label: 'Too many events', advice: 'Repeat after Retry-After with the same idempotency key, or raise the tenant’s publish_per_second.' },
  too_many_requests: { label: 'Too many requests', advice: 'Repeat after Retry-After. Send batches, or fewer requests at a time.' },
  headers_too_large: { label: 'Headers too large', advice: 'Look for a header that grows, such as a cookie or a trace.' },
}

export const CODES = Object.keys(KNOWN)

/** A code that is newer than this list is shown as it is. */
export const meaning = (code: string): Meaning => KNOWN[code] ?? { label: code.replace(/_/g, ' '), advice: 'The detail says what is wrong with this request.' }
