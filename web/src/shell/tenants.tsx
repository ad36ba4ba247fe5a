// Which tenant an operator looks at.
import { signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import { asProblem, get, type Schemas } from '../api/client'
import { chosen, onlyTenant } from '../api/session'
import { go, path, query } from '../route'
import { Icon } from '../ui/icons'
import { Popover } from '../ui/popover'

type Tenant = Schemas['Tenant']

/** Tenants that were seen, for their names. */
export const known = signal<ReadonlyMap<string, Tenant>>(new Map())

export const remember = (tenants: Tenant[]) =>
  (known.value = new Map([...known.value, ...tenants.flatMap((tenant) => [tenant.id, tenant.external_id ?? tenant.id].map((id) => [id, tenant] as const))]))

export const tenantName = (id: string) => known.value.get(id)?.name ?? id.slice(-8)

function choose(id: string | null): void {
  // What is open and where a list stands belong to the tenant before; a page of one object does too.
  const parameters = new URLSearchParams(query.value)
  for (const name of ['open', 'cursor', 'subscription_id']) parameters.delete(name)
  if (id) parameters.set('tenant', id)
  else parameters.delete('tenant')
  go(`#/${path.value.split('/')[1] ?? ''}?${parameters}`)
}

export function TenantSwitch() {
  const current = chosen.value ?? '*'
  useEffect(() => {
    void get('/tenants', { query: { limit: 100 } }).then(({ data }) => remember(data), () => undefined)
  }, [])
  useEffect(() => {
    if (current !== '*' && !known.value.has(current)) void get('/tenants/{tenant}', { at: { tenant: current } }).then((one) => remember([one]), () => undefined)
  }, [current])
  const name = current === '*' ? 'All tenants' : tenantName(current)
  return (
    <Popover
      class="tenant-button"
      label={
        <>
          <span class="tenant-mark" aria-hidden="true">
            {current === '*' ? '∗' : name.slice(0, 1).toUpperCase()}
          </span>
          <span class="visually-hidden">Tenant </span>
          <span class="tenant-name">{name}</span>
          <Icon name="down" />
        </>
      }
    >
      {(close) => <Choice close={close} />}
    </Popover>
  )
}

function Choice({ close }: { close: () => void }) {
  const [text, setText] = useState('')
  const [found, setFound] = useState<Tenant[]>([])
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => {
    const leaving = new AbortController()
    const timer = setTimeout(
      () => {
        get('/tenants', { query: { limit: 20, ...(text ? { q: text } : {}) }, signal: leaving.signal }).then(
          ({ data }) => (remember(data), setFound(data), setProblem(null)),
          (error: unknown) => leaving.signal.aborted || setProblem(asProblem(error).title),
        )
      },
      text ? 150 : 0,
    )
    return () => (clearTimeout(timer), leaving.abort())
  }, [text])
  const pick = (id: string | null) => (choose(id), close())
  return (
    <div class="tenant-choice">
      <input type="search" aria-label="Find a tenant" placeholder="Find a tenant" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      {problem && <p class="field-error">{problem}</p>}
      {!text && (
        <button type="button" class="suggestion" onClick={() => pick(onlyTenant.value ? '*' : null)}>
          All tenants
        </button>
      )}
      {found.map((tenant) => (
        <button key={tenant.id} type="button" class="suggestion" aria-current={chosen.value === tenant.id || undefined} onClick={() => pick(tenant.id)}>
          {tenant.name} <span class="faint">{tenant.external_id}</span>
        </button>
      ))}
    </div>
  )
}
