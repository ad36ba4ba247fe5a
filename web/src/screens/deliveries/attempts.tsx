// The attempts of a delivery as a timeline; one is open at a time.
import { get, type Schemas } from '../../api/client'
import { useResource } from '../../api/resource'
import { isPortal } from '../../api/session'
import { go, here, query } from '../../route'
import { Icon } from '../../ui/icons'
import { Fields, Json } from '../../ui/json'
import { copy, Id, milliseconds, Moment } from '../../ui/moment'
import { Bones, Empty, Failure } from '../../ui/states'
import { Code } from '../../ui/status'
import { type Delivery, OUTCOMES, TRIGGERS } from '../../words'
import { readPayload } from '../events/payload'
import { curl } from './curl'

type Row = Schemas['AttemptRow']
type Full = Schemas['Attempt']

interface Props {
  row: Delivery
  tenant?: string | undefined
}

/** Asked for after the row, and again when that has changed, so that they have each attempt that the row counts. */
export function Attempts({ row, tenant }: Props) {
  const { webhook_id: webhook, subscription_id: subscription, status, attempts, last_attempt } = row
  const list = useResource(
    JSON.stringify([webhook, subscription, status, attempts, last_attempt]),
    (signal) => get('/attempts', { query: { webhook_id: [webhook], subscription_id: [subscription], limit: 100 }, tenant, signal }),
    true,
  )
  if (list.problem && !list.data) return <Failure problem={list.problem} retry={list.reload} />
  if (!list.data) return <Bones lines={4} />
  const rows = list.data.data
  if (!rows.length) {
    return (
      <Empty icon="deliveries" title="No attempt yet">
        <p>The first request is listed here when it has been made.</p>
      </Empty>
    )
  }
  const chosen = query.value.get('attempt') ?? rows[0]?.id
  const slowest = Math.max(...rows.map((row) => row.duration_ms), 1)
  return (
    <>
      <ol class="timeline">
        {rows.map((row) => (
          <Attempt key={row.id} row={row} isOpen={row.id === chosen} {...{ slowest, webhook, tenant }} />
        ))}
      </ol>
      {list.data.next_cursor && <p class="faint">{isPortal.value ? 'Older attempts are not shown.' : `Older attempts are in the log: GET /events/${webhook}/attempts.`}</p>}
    </>
  )
}

interface AttemptProps {
  row: Row
  isOpen: boolean
  slowest: number
  webhook: string
  tenant?: string | undefined
}

function Attempt({ row, isOpen, slowest, webhook, tenant }: AttemptProps) {
  return (
    <li class={`attempt ${row.is_success ? 'good' : 'bad'}${isOpen ? ' is-open' : ''}`}>
      <button
        type="button"
        class="attempt-head"
        data-row
        aria-expanded={isOpen}
        onClick={() => go(here({ attempt: isOpen ? 'none' : row.id }), 'replace')}
      >
        <span class="attempt-number">#{row.attempt_number}</span>
        <span class="attempt-outcome">
          <Code code={row.status_code} /> {OUTCOMES[row.outcome].label}
        </span>
        <span class="attempt-trigger faint">{TRIGGERS[row.trigger]}</span>
        <span class="attempt-duration" title={`${row.duration_ms} ms`}>
          <span class="meter" aria-hidden="true">
            <span style={{ width: `${Math.max((row.duration_ms / slowest) * 100, 3)}%` }} />
          </span>
          {milliseconds(row.duration_ms)}
        </span>
        <Moment at={row.created_at} />
      </button>
      {isOpen && <Detail id={row.id} webhook={webhook} tenant={tenant} />}
    </li>
  )
}

function Detail({ id, webhook, tenant }: { id: string; webhook: string; tenant?: string | undefined }) {
  const attempt = useResource(`${id}/${tenant}`, (signal) => get('/attempts/{attempt_id}', { at: { attempt_id: id }, tenant, signal }))
  if (attempt.problem) return <Failure problem={attempt.problem} retry={attempt.reload} />
  if (!attempt.data) return <Bones lines={5} />
  const payload = async () => (await readPayload(webhook, tenant).catch(() => null))?.text ?? null
  return <FullAttempt full={attempt.data} payload={payload} />
}

/** All that is known of an attempt. */
export function FullAttempt({ full, payload }: { full: Full; payload: () => Promise<string | null> }) {
  const copyCurl = async () => copy(curl(full, await payload()), 'curl command copied; its signature is masked')
  return (
    <div class="attempt-detail">
      {full.error_message && <p class="mono wrap attempt-error">{full.error_message}</p>}
      <Timing timing={full.timing} />
      <dl class="facts small">
        {full.request.url && (
          <div class="whole">
            <dt>Request</dt>
            <dd class="mono wrap">POST {full.request.url}</dd>
          </div>
        )}
        <div>
          <dt>Remote address</dt>
          <dd class="mono">{full.remote_address ?? '–'}</dd>
        </div>
        <div>
          <dt>Worker</dt>
          <dd>{full.worker ? <Id id={full.worker} /> : '–'}</dd>
        </div>
        <div>
          <dt>Attempt</dt>
          <dd>
            <Id id={full.id} />
          </dd>
        </div>
      </dl>
      {full.request.url ? (
        <button type="button" class="button" onClick={() => void copyCurl()}>
          <Icon name="copy" /> Copy as curl
        </button>
      ) : (
        <p class="faint">
          Headers and timing of this attempt were not kept.
          {!isPortal.value && (
            <>
              {' '}
              <code>POSTRIDER_ATTEMPT_DETAIL=all</code> keeps them for successful attempts too.
            </>
          )}
        </p>
      )}
      {full.response.body !== null && full.response.body !== undefined && full.response.body !== '' && (
        <Json label="Response body" text={full.response.body} cut={full.response.body_truncated} />
      )}
      <Fields label={full.response.headers_truncated ? 'Response headers (the first 2 KiB)' : 'Response headers'} fields={full.response.headers as Record<string, unknown> | null} />
      <Fields label="Request headers" fields={full.request.headers as Record<string, unknown> | null} />
    </div>
  )
}

const PARTS = [
  ['dns_ms', 'DNS'],
  ['connect_ms', 'Connect'],
  ['tls_ms', 'TLS'],
  ['first_byte_ms', 'First byte'],
] as const

function Timing({ timing }: { timing: Full['timing'] }) {
  const total = timing.total_ms
  if (total === null || total === undefined) return null
  const parts = PARTS.map(([name, label]) => ({ name, label, ms: timing[name] ?? null }))
  const known = parts.reduce((sum, part) => sum + (part.ms ?? 0), 0)
  const all = [...parts, { name: 'rest_ms', label: 'Rest', ms: Math.max(total - known, 0) }]
  const share = (ms: number | null) => `${((ms ?? 0) / Math.max(total, known, 0.001)) * 100}%`
  return (
    <div class="timing">
      <div class="timing-bar" aria-hidden="true">
        {all.map((part) => (
          <span key={part.name} class={part.name} style={{ width: share(part.ms) }} />
        ))}
      </div>
      <dl>
        {all.map((part) => (
          <div key={part.name}>
            <dt>
              <span class={`swatch ${part.name}`} aria-hidden="true" /> {part.label}
            </dt>
            <dd>{part.ms === null ? '–' : milliseconds(part.ms)}</dd>
          </div>
        ))}
        <div>
          <dt>Total</dt>
          <dd>
            <b>{milliseconds(total)}</b>
          </dd>
        </div>
      </dl>
    </div>
  )
}
