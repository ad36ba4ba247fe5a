// API keys: what each may do, when it was last used, and how to end it.
import { useMemo, useState } from 'preact/hooks'
import { get, remove, type Schemas } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { chosen, isAll, isOperator } from '../../api/session'
import { here, query, undo } from '../../route'
import { tenantName } from '../../shell/tenants'
import { Confirm } from '../../ui/confirm'
import { Icon } from '../../ui/icons'
import { Id, Moment } from '../../ui/moment'
import { Pager } from '../../ui/pager'
import { Empty } from '../../ui/states'
import { Pill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { toast } from '../../ui/toast'
import type { Tone } from '../../words'
import { isKeyShown, NewKey } from './new'

export type Key = Schemas['Key']
const REFRESH_MS = 30_000
const LIMIT = 50

export const SCOPES: Record<Key['scope'], { label: string; allows: string }> = {
  admin: { label: 'Admin', allows: 'Everything, keys included' },
  publish: { label: 'Publish', allows: 'Publishing events, and sending them again' },
  read: { label: 'Read', allows: 'Looking at everything' },
  support: { label: 'Support', allows: 'Looking at everything but payloads and bodies' },
}

function state(key: Key): { label: string; tone: Tone } {
  if (key.revoked_at) return { label: 'Revoked', tone: 'plain' }
  if (key.expires_at && Date.parse(key.expires_at) <= Date.now()) return { label: 'Expired', tone: 'plain' }
  return { label: 'Active', tone: 'green' }
}

const columns = (revoke: (key: Key) => void): Column<Key>[] => [
  { name: 'name', head: 'Name', kind: 'wide', narrow: 'title', cell: (row) => (row.name ? <b class="row-name">{row.name}</b> : <span class="faint">no name</span>) },
  {
    name: 'state',
    head: 'State',
    narrow: 'status',
    cell: (row) => {
      const { label, tone } = state(row)
      return <Pill tone={tone}>{label}</Pill>
    },
  },
  { name: 'scope', head: 'Scope', narrow: 'under', cell: (row) => <span title={SCOPES[row.scope].allows}>{SCOPES[row.scope].label}</span> },
  ...(isOperator.value
    ? [{ name: 'tenant', head: 'Opens', kind: 'wide' as const, narrow: 'under' as const, cell: (row: Key) => (row.tenant_id ? tenantName(row.tenant_id) : <b class="row-name">All tenants</b>) }]
    : []),
  { name: 'id', head: 'Id', cell: (row) => <Id id={row.id} /> },
  { name: 'used', head: 'Last used', cell: (row) => <Moment at={row.last_used_at} none="never" /> },
  { name: 'expires', head: 'Expires', cell: (row) => <Moment at={row.expires_at} none="never" /> },
  { name: 'created', head: 'Created', narrow: 'side', cell: (row) => <Moment at={row.created_at} /> },
  {
    name: 'act',
    head: <span class="visually-hidden">Actions</span>,
    narrow: 'under',
    cell: (row) =>
      state(row).label === 'Active' && (
        <button type="button" class="text-button danger" aria-label={`Revoke the key ${row.name ?? row.id}`} onClick={() => revoke(row)}>
          Revoke
        </button>
      ),
  },
]

export function KeysScreen() {
  const cursor = query.value.get('cursor')
  const tenant = chosen.value && !isAll.value ? chosen.value : null
  const filters = { limit: LIMIT, ...(tenant ? { tenant } : {}), ...(cursor ? { cursor } : {}) }
  const page = useResource(JSON.stringify(filters), (signal) => get('/keys', { query: filters, signal }), true)
  // When a key was used last moves on.
  usePolling(REFRESH_MS, page)
  const [revoking, setRevoking] = useState<Key | null>(null)
  const shown = useMemo(() => columns(setRevoking), [isOperator.value])
  const rows = page.data?.data ?? null
  return (
    <>
      <header class="page-head">
        <h1>Keys</h1>
        <span class="grow" />
        <a class="button primary" href={here({ new: '1' })}>
          <Icon name="plus" /> New key
        </a>
      </header>
      {tenant && isOperator.value && <p class="faint">Keys of this tenant. Keys for all tenants are shown where all tenants are chosen.</p>}
      <Table
        label="Keys"
        columns={shown}
        rows={rows}
        rowKey={(row) => row.id}
        problem={page.problem}
        retry={page.reload}
        loading={page.loading}
        empty={
          <Empty icon="keys" title="There is no key yet">
            <p>A program that publishes needs one with the scope publish.</p>
            <a class="button" href={here({ new: '1' })}>
              New key
            </a>
          </Empty>
        }
      />
      <Pager next={page.data?.next_cursor} found={rows?.length ?? 0} loading={page.loading} />
      {revoking && <Revoke one={revoking} close={() => setRevoking(null)} done={page.reload} />}
      {(query.value.has('new') || isKeyShown()) && <NewKey close={closeNew} created={page.reload} />}
    </>
  )
}

/** The key that was made may still be shown after a way back. */
const closeNew = () => query.value.has('new') && undo(here({ new: null }))

function Revoke({ one, close, done }: { one: Key; close: () => void; done: () => void }) {
  const act = async () => {
    await remove('/keys/{key_id}', { at: { key_id: one.id } })
    toast('Revoked')
    close()
    done()
  }
  return (
    <Confirm title="Revoke this key?" danger verb="Revoke" close={close} act={act}>
      <p class="wrap">
        <b>{one.name ?? one.id}</b> stops working on every replica within a second. This cannot be undone.
      </p>
      <p class="faint">
        Last used: <Moment at={one.last_used_at} none="never" />.
      </p>
    </Confirm>
  )
}
