// One refused request: why, what to do, and what had been sent.
import type { ComponentChildren } from 'preact'
import { get, type Schemas } from '../../api/client'
import { useResource } from '../../api/resource'
import { isOperator, may } from '../../api/session'
import { href } from '../../route'
import { tenantName } from '../../shell/tenants'
import { Unfilled } from '../../ui/dialog'
import { Icon } from '../../ui/icons'
import { Json } from '../../ui/json'
import { exact, Id, Moment } from '../../ui/moment'
import { Bones, Failure } from '../../ui/states'
import { Code } from '../../ui/status'
import { acceptedAt } from '../deliveries/live'
import { Fact } from '../deliveries/view'
import { meaning } from './advice'

type Refusal = Schemas['RefusalAnswer']
/** The server keeps this much of a body. */
const KEPT_BYTES = 512

const UNKNOWN = { title: 'There is no such refused request', detail: 'Each tenant’s newest are kept, until their retention ends.', status: 404, code: 'refusal_not_found' }

export const linkToRefusal = (id: string) => href(`/refusals/${id}`)

/** No route reads one; the list finds it by the time in its id. */
async function find(id: string, signal: AbortSignal): Promise<Refusal | null> {
  const at = Date.parse(acceptedAt(id))
  if (Number.isNaN(at)) return null
  const [since, until] = [new Date(at).toISOString(), new Date(at + 1).toISOString()]
  let cursor: string | null | undefined
  do {
    const page = await get('/refusals', { query: { since, until, limit: 100, ...(cursor ? { cursor } : {}) }, signal })
    const row = page.data.find((one) => one.id === id)
    if (row) return row
    cursor = page.next_cursor
  } while (cursor)
  return null
}

export function RefusalView({ id, tools }: { id: string; tools?: ComponentChildren }) {
  const refusal = useResource(id, (signal) => find(id, signal))
  const row = refusal.data
  if (!row) {
    return (
      <Unfilled tools={tools}>
        {refusal.problem ? <Failure problem={refusal.problem} retry={refusal.reload} /> : refusal.loading ? <Bones lines={8} /> : <Failure problem={UNKNOWN} />}
      </Unfilled>
    )
  }
  const { label, advice } = meaning(row.code)
  const Heading = tools ? 'h2' : 'h1'
  return (
    <article class="delivery">
      <header class="sheet-head">
        <Code code={row.status} />
        <Heading>{label}</Heading>
        <span class="grow" />
        {tools}
      </header>
      <div class="why red">
        <Icon name="warn" />
        <div>
          <strong class="wrap">{row.detail}</strong>
          <p>{advice}</p>
          {row.code === 'unauthenticated' && row.key_id && may.value.admin && (
            <p>
              <a href={href('/keys', { tenant: null })}>To the keys</a>
            </p>
          )}
        </div>
      </div>
      <dl class="facts">
        <Fact name="Refused">
          <Moment at={row.at} />
        </Fact>
        <Fact name="At exactly" wide>
          {exact(row.at)}
        </Fact>
        <Fact name="Route">
          <span class="mono">{row.route}</span>
        </Fact>
        <Fact name="Code">
          <span class="mono">{row.code}</span>
        </Fact>
        <Fact name="Event type">{row.event_type ? <span class="mono">{row.event_type}</span> : <None />}</Fact>
        <Fact name="Subscription">{row.subscription ? <Subscription row={row} /> : <None />}</Fact>
        {isOperator.value && (
          <Fact name="Tenant">{row.tenant_id ? <Tenant id={row.tenant_id} /> : <span class="faint">none was named</span>}</Fact>
        )}
        <Fact name="Key">{row.key_id ? <Id id={row.key_id} /> : <span class="faint">none came with it</span>}</Fact>
        <Fact name="From address">{row.remote_address ? <span class="mono">{row.remote_address}</span> : <None />}</Fact>
        <Fact name="Idempotency key">{row.idempotency_key ? <Id id={row.idempotency_key} whole /> : <None />}</Fact>
        <Fact name="Request" wide>
          <Id id={row.request_id} whole />
        </Fact>
      </dl>
      <Beginning row={row} />
    </article>
  )
}

const None = () => <span class="faint">none</span>

/** Only an admin may open the page of a tenant. */
function Tenant({ id }: { id: string }) {
  return may.value.admin ? <a href={href(`/tenants/${id}`)}>{tenantName(id)}</a> : <>{tenantName(id)}</>
}

/** As the request named it: it need not exist. */
function Subscription({ row }: { row: Refusal }) {
  const name = <span class="mono wrap">{row.subscription}</span>
  return row.subscription_id && row.code !== 'subscription_not_found' ? <a href={href(`/subscriptions/${row.subscription_id}`, row.tenant_id && isOperator.value ? { tenant: row.tenant_id } : {})}>{name}</a> : name
}

function Beginning({ row }: { row: Refusal }) {
  if (row.beginning) return <Json label="What was sent" text={row.beginning} cut={new Blob([row.beginning]).size >= KEPT_BYTES - 3} />
  return (
    <p class="faint">
      {row.tenant_id === null
        ? 'Nothing of the request is kept, because it names no tenant.'
        : may.value.readPayloads
          ? 'Nothing of its body had arrived.'
          : 'This key does not show what was sent.'}
    </p>
  )
}
