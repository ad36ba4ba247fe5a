// Tenants: found by name or external id, created, and opened beside the list.
import { useEffect, useState } from 'preact/hooks'
import { get, type Schemas } from '../../api/client'
import { fill, useResource } from '../../api/resource'
import { go, here, href, query, undo } from '../../route'
import { remember, withoutTenant } from '../../shell/tenants'
import { CloseButton, Dialog } from '../../ui/dialog'
import { Icon } from '../../ui/icons'
import { Id, Moment, number } from '../../ui/moment'
import { Pager } from '../../ui/pager'
import { Empty } from '../../ui/states'
import { type Column, Table } from '../../ui/table'
import { TenantForm } from './form'
import { TenantView } from './view'

export type Tenant = Schemas['Tenant']
const LIMIT = 50

const limit = (value: number | null | undefined) => (value === null || value === undefined ? <span class="faint">default</span> : number(value))

const COLUMNS: Column<Tenant>[] = [
  { name: 'name', head: 'Name', kind: 'wide', narrow: 'title', cell: (row) => row.name },
  { name: 'external', head: 'External id', kind: 'wide', narrow: 'under', cell: (row) => <span class="mono">{row.external_id ?? ''}</span> },
  { name: 'id', head: 'Id', cell: (row) => <Id id={row.id} /> },
  { name: 'subscriptions', head: 'Most subscriptions', kind: 'number', cell: (row) => limit(row.limits.max_subscriptions) },
  { name: 'events', head: 'Most events a second', kind: 'number', cell: (row) => limit(row.limits.publish_per_second) },
  { name: 'created', head: 'Created', narrow: 'side', cell: (row) => <Moment at={row.created_at} /> },
]

export function TenantsScreen() {
  const q = query.value.get('q') ?? ''
  const cursor = query.value.get('cursor') ?? undefined
  const page = useResource(
    JSON.stringify([q, cursor]),
    (signal) => fill<Tenant>(LIMIT, (cursor) => get('/tenants', { query: { limit: LIMIT, ...(q ? { q } : {}), ...(cursor ? { cursor } : {}) }, signal }), cursor),
    true,
  )
  const open = query.value.get('open')
  const rows = page.data?.data ?? null
  // Other screens name them.
  useEffect(() => {
    if (rows) remember(rows)
  }, [rows])
  return (
    <>
      <header class="page-head">
        <h1>Tenants</h1>
        <span class="grow" />
        <a class="button primary" href={here({ new: '1', open: null })}>
          <Icon name="plus" /> New tenant
        </a>
      </header>
      <Find q={q} />
      <Table
        label="Tenants"
        columns={COLUMNS}
        rows={rows}
        rowKey={(row) => row.id}
        link={(row) => here({ open: row.id })}
        open={open}
        problem={page.problem}
        retry={page.reload}
        loading={page.loading}
        empty={
          q ? (
            <Empty icon="search" title="No tenant has this in its name or external id">
              <button type="button" class="button" onClick={() => go(here({ q: null, cursor: null }))}>
                Clear the search
              </button>
            </Empty>
          ) : (
            <Empty icon="tenants" title="There is no tenant yet">
              <p>Create one for each customer: none sees another’s events.</p>
            </Empty>
          )
        }
      />
      <Pager next={page.data?.next_cursor} found={rows?.length ?? 0} loading={page.loading} />
      {open && <Drawer id={open} changed={page.reload} />}
      {query.value.has('new') && (
        <TenantForm
          close={() => undo(here({ new: null }))}
          done={(tenant) => {
            go(here({ new: null, open: tenant.id }), 'replace')
            page.reload()
          }}
        />
      )}
    </>
  )
}

function Find({ q }: { q: string }) {
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  useEffect(() => {
    const wanted = text.trim()
    if (wanted === q) return
    const timer = setTimeout(() => go(here({ q: wanted || null, cursor: null, open: null }), 'replace'), 250)
    return () => clearTimeout(timer)
  }, [text])
  return (
    <div class="filters">
      <input
        class="find"
        type="search"
        aria-label="Find tenants by name or external id"
        placeholder="Name or external id"
        maxLength={255}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </div>
  )
}

function Drawer({ id, changed }: { id: string; changed: () => void }) {
  const close = () => undo(here({ open: null }))
  return (
    <Dialog key={id} kind="drawer" label="Tenant" close={close}>
      <TenantView
        id={id}
        changed={changed}
        deleted={(tenant) => (go(here({ open: null, ...withoutTenant(tenant) }), 'replace'), changed())}
        tools={
          <>
            <a class="icon-button" href={href(`/tenants/${id}`)} aria-label="Open as a page" title="Open as a page">
              <Icon name="expand" />
            </a>
            <CloseButton close={close} />
          </>
        }
      />
    </Dialog>
  )
}
