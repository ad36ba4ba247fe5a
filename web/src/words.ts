// What the API's words mean to somebody who asks why a webhook did not arrive, and what to do next.
import type { Schemas } from './api/client'

export type Delivery = Schemas['FoundDeliveryAnswer']
export type Status = Delivery['status']
export type Reason = NonNullable<Delivery['reason']>
type Outcome = NonNullable<Delivery['last_outcome']>
export type Tone = 'grey' | 'blue' | 'green' | 'amber' | 'red' | 'purple' | 'plain'

export const STATUSES: Status[] = ['pending', 'sending', 'held', 'succeeded', 'failed', 'cancelled', 'expired', 'skipped']

export const REASONS: Record<Reason, { label: string; advice: string }> = {
  disabled: { label: 'Subscription disabled', advice: 'Resume the subscription: what is held is sent then.' },
  ordered: { label: 'Waits for an earlier event', advice: 'An earlier event with the same ordering key has not ended. It is sent after that one.' },
  breaker_open: { label: 'Breaker open', advice: 'The receiver failed many times in a row. One delivery at a time tries it again; the rest follows when one succeeds.' },
  retry_after: { label: 'Receiver asked to wait', advice: 'The receiver answered 429 or 503 with Retry-After. It is sent when that time is over.' },
  recovering: { label: 'Receiver recovers', advice: 'The receiver works again. What waits is sent a few at a time.' },
  rate_limit: { label: 'Rate limit', advice: 'The subscription gets more events than its rate_limit allows. It is sent when its turn comes.' },
  concurrency: { label: 'Concurrency limit', advice: 'As many requests run as max_in_flight allows, usually because the receiver is slow.' },
  exhausted: { label: 'No retries left', advice: 'Repair the receiver, then retry.' },
  gone: { label: 'Receiver is gone (410)', advice: 'The receiver answered 410 Gone, so the subscription was disabled. Correct its address, resume it, then retry.' },
  aborted_by_receiver: { label: 'Receiver wants no retry', advice: 'The receiver asked not to be sent this event again. Retry if that was a mistake.' },
  blocked_address: { label: 'Address not allowed', advice: 'The target is an address that must not be called, as in a private network. Correct the target, or have the network allowed.' },
  skip_after_attempts: { label: 'Skipped after failures', advice: 'It failed too often and held up later events with its ordering key. Repair the receiver, then retry.' },
  requested: { label: 'Cancelled on request', advice: 'Somebody cancelled it. Retry sends it after all.' },
  subscription_deleted: { label: 'Subscription deleted', advice: 'Its subscription is deleted, so it cannot be sent.' },
  expires_at: { label: 'Expired', advice: 'It was not delivered before the expires_at of its event. Retry sends it after all.' },
  lifetime: { label: 'Too old', advice: 'It was not delivered within the lifetime of a delivery. Retry sends it after all.' },
}

export const OUTCOMES: Record<Outcome, { label: string; advice: string }> = {
  delivered: { label: 'Delivered', advice: '' },
  http_1xx: { label: 'Informational answer', advice: 'The receiver must end with a 2xx.' },
  http_3xx: { label: 'Redirect', advice: 'Redirects are not followed. Set the target to the address in Location.' },
  http_4xx: { label: 'Rejected (4xx)', advice: 'The receiver rejected the request. Its body usually says why; 401 and 403 are often a wrong secret.' },
  http_5xx: { label: 'Receiver error (5xx)', advice: 'The receiver failed. Look for the event’s id in its log.' },
  http_other: { label: 'Unknown answer', advice: 'The receiver answered with a code outside 100 to 599.' },
  timeout: { label: 'Timeout', advice: 'The receiver did not answer in time. Let it answer first and work afterwards, or raise the time limit.' },
  connect_timeout: { label: 'Connection timeout', advice: 'Nothing answered at the address. A firewall often drops packets silently.' },
  connect_refused: { label: 'Connection refused', advice: 'Nothing listens at this address and port. Is the receiver running?' },
  connect_unreachable: { label: 'Network unreachable', advice: 'There is no route to the address.' },
  reset: { label: 'Connection reset', advice: 'The receiver closed the connection before it answered.' },
  closed_early: { label: 'Closed early', advice: 'The connection ended in the middle of the answer.' },
  bad_response: { label: 'Not valid HTTP', advice: 'What came back is not an HTTP response. Is the port right?' },
  response_too_large: { label: 'Response too large', advice: 'The head of the response is too large.' },
  tls_untrusted: { label: 'TLS: not trusted', advice: 'The certificate is signed by an authority that is not trusted here, or an intermediate certificate is missing.' },
  tls_expired: { label: 'TLS: certificate expired', advice: 'Renew the receiver’s certificate.' },
  tls_name: { label: 'TLS: wrong name', advice: 'The certificate is for another name than the target’s.' },
  tls_invalid: { label: 'TLS: certificate invalid', advice: 'The certificate is damaged or not allowed for this use.' },
  tls_version: { label: 'TLS: version', advice: 'The receiver speaks neither TLS 1.2 nor 1.3.' },
  tls_protocol: { label: 'TLS: protocol error', advice: 'The handshake failed. Does the port speak TLS at all?' },
  tls_alert: { label: 'TLS: refused', advice: 'The receiver ended the handshake with an alert.' },
  dns_failed: { label: 'DNS: lookup failed', advice: 'The name could not be resolved. Is it written correctly?' },
  dns_no_address: { label: 'DNS: no address', advice: 'The name exists but has no address.' },
  dns_timeout: { label: 'DNS: timeout', advice: 'The name server did not answer in time.' },
  blocked_address: { label: 'Address not allowed', advice: 'The name leads to an address that must not be called, as in a private network.' },
  unknown: { label: 'Unknown', advice: 'The attempt was cut off before its result was recorded. The receiver may have got it.' },
}

export const TRIGGERS: Record<Schemas['AttemptRow']['trigger'], string> = {
  fresh: 'First attempt',
  schedule: 'Retry by schedule',
  retry_after: 'Retry-After',
  probe: 'Probe',
  manual: 'Retried by hand',
  replay: 'Replay',
  test: 'Test event',
}

export const NOT_DELIVERED: Record<Schemas['NotDeliveredAnswer']['reason'], { label: string; advice: string }> = {
  event_type: { label: 'Event type not wanted', advice: 'Its event types do not match this one.' },
  filter: { label: 'Excluded by filter', advice: 'The payload does not meet its filter.' },
  created_later: { label: 'Created later', advice: 'The subscription did not exist yet when the event was accepted.' },
  addressed_to_another: { label: 'Addressed to another', advice: 'The event was published to one subscription only.' },
  system_event_not_asked_for: { label: 'System event', advice: 'System events go only to subscriptions that name their type.' },
  not_matched_then: { label: 'Did not match then', advice: 'It matches now, but did not when the event was accepted.' },
}

/** A pending delivery that has failed before is being retried. */
export function statusWord(status: Status, attempts: number): { label: string; tone: Tone } {
  switch (status) {
    case 'pending':
      return attempts > 0 ? { label: 'Retrying', tone: 'amber' } : { label: 'Pending', tone: 'grey' }
    case 'sending':
      return { label: 'Sending', tone: 'blue' }
    case 'held':
      return { label: 'Held', tone: 'purple' }
    case 'succeeded':
      return { label: 'Succeeded', tone: 'green' }
    case 'failed':
      return { label: 'Failed', tone: 'red' }
    case 'expired':
      return { label: 'Expired', tone: 'red' }
    case 'cancelled':
      return { label: 'Cancelled', tone: 'plain' }
    case 'skipped':
      return { label: 'Skipped', tone: 'plain' }
  }
}

export const EVENT_STATUSES: Record<Schemas['FoundEventAnswer']['status'] | 'refused', { label: string; tone: Tone }> = {
  pending: { label: 'In progress', tone: 'blue' },
  succeeded: { label: 'Succeeded', tone: 'green' },
  failed: { label: 'Failed', tone: 'red' },
  no_match: { label: 'No match', tone: 'plain' },
  refused: { label: 'Refused', tone: 'red' },
}

/** How a subscription is called: by its external id, else by its address. */
export function subscriptionName(one: { external_id?: string | null; target_url?: string | null; subscription_id: string }): string {
  return one.external_id ?? (one.target_url ? withoutScheme(one.target_url) : one.subscription_id)
}

export const withoutScheme = (url: string) => url.replace(/^https?:\/\//, '').replace(/\/$/, '')
export const isEnded = (status: Status) => status !== 'pending' && status !== 'sending' && status !== 'held'
