// Which tenant an operator looks at.
import { signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import { asProblem, get, type Problem, type Schemas } from '../api/client'
import { chosen, may, onlyTenant } from '../api/session'
import { go, path, query } from '../route'
import { Field } from '../ui/field'
import { Icon } from '../ui/icons'
import { Popover } from '../ui/popover'

type Tenant = Schemas['Tenant']

/** Tenants that were seen, for their names. */
export const tenantsById = signal<ReadonlyMap<string, Tenant>>(new Map())

export const remember = (tenants: Tenant[]) =>
  (tenantsById.value = new Map([...tenantsById.value, ...tenants.flatMap((tenant) => [tenant.id, tenant.external_id ?? tenant.id].map((id) => [id, tenant] as const))]))

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export const tenantName = (id: string) => tenantsById.value.get(id)?.name ?? (UUID.test(id) ? id.slice(-8) : id)

/** Nobody looks at a tenant that was deleted. */
export const withoutTenant = (deleted: Tenant): { tenant?: null } => ([deleted.id, deleted.external_id].includes(query.value.get('tenant')) ? { tenant: null } : {})

function choose(id: string | null): void {
  // What is open and where a list stands belong to the tenant before; a page of one object does too, unless there was none.
  const parameters = new URLSearchParams(query.value)
  const to = chosen.value === '*' ? path.value : `/${path.value.split('/')[1] ?? ''}`
  for (const name of ['open', 'cursor', 'subscription_id']) parameters.delete(name)
  if (id) parameters.set('tenant', id)
  else parameters.delete('tenant')
  go(`#${to}?${parameters}`)
}

export function TenantSwitch() {
  const current = chosen.value ?? '*'
  useEffect(() => {
    if (may.value.admin) void get('/tenants', { query: { limit: 100 } }).then(({ data }) => remember(data), () => undefined)
  }, [])
  useEffect(() => {
    if (may.value.admin && current !== '*' && !tenantsById.value.has(current)) void get('/tenants/{tenant}', { at: { tenant: current } }).then((one) => remember([one]), () => undefined)
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
          <span class="tenant-name" dir="auto">
            {name}
          </span>
          <Icon name="down" />
        </>
      }
    >
      {(close) => <TenantChoice close={close} all />}
    </Popover>
  )
}

interface ChoiceProps {
  close?: () => void
  /** Offers all tenants too. */
  all?: boolean
}

/** Only admins may list tenants. Others have to name one. */
export function TenantChoice({ close = () => undefined, all = false }: ChoiceProps) {
  return may.value.admin ? <Choice close={close} all={all} /> : <Naming close={close} all={all} />
}

function Naming({ close, all }: Required<ChoiceProps>) {
  const [text, setText] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const wanted = text.trim()
  const pick = async (event: Event) => {
    event.preventDefault()
    try {
      // A key that may only publish is told by its first request.
      if (may.value.read) await get('/events', { query: { limit: 1 }, tenant: wanted })
      choose(wanted)
      close()
    } catch (error) {
      const { title, detail, ...rest } = asProblem(error)
      setProblem({ title, ...rest, errors: [{ pointer: '/tenant', code: rest.code, detail: detail ?? title }] })
    }
  }
  return (
    <form class="tenant-choice chip-form" onSubmit={(event) => void pick(event)}>
      <Field label="Tenant’s id or external id" pointer="/tenant" problem={problem} hint="Only keys with the scope admin can list tenants.">
        {(id, described) => (
          <input id={id} aria-describedby={described} class="mono" spellcheck={false} autocomplete="off" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        )}
      </Field>
      <button type="submit" class="button primary" disabled={!wanted}>
        Choose
      </button>
      {all && (
        <button type="button" class="suggestion" onClick={() => (choose(null), close())}>
          All tenants
        </button>
      )}
    </form>
  )
}

function Choice({ close, all }: Required<ChoiceProps>) {
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
      {all && !text && (
        <button type="button" class="suggestion" onClick={() => pick(onlyTenant.value ? '*' : null)}>
          All tenants
        </button>
      )}
      {found.map((tenant) => (
        <button key={tenant.id} type="button" class="suggestion" aria-current={chosen.value === tenant.id || undefined} onClick={() => pick(tenant.id)}>
          <bdi>{tenant.name}</bdi> <span class="faint">{tenant.external_id}</span>
        </button>
      ))}
    </div>
  )
}
