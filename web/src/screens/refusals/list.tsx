// Requests to publish that were refused: what a producer sent, and why it was not taken.
import { useMemo } from 'preact/hooks'
import { get, type Schemas } from '../../api/client'
import { fill, useResource } from '../../api/resource'
import { isAll, isOperator } from '../../api/session'
import { here, query, undo } from '../../route'
import { tenantName } from '../../shell/tenants'
import { CloseButton, Dialog } from '../../ui/dialog'
import { clearFilters, type Filter, Filters } from '../../ui/filters'
import { Icon } from '../../ui/icons'
import { RefreshButton } from '../../ui/live'
import { Id, Moment } from '../../ui/moment'
import { Pager } from '../../ui/pager'
import { Empty } from '../../ui/states'
import { Code } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { span, TimeRange } from '../../ui/time_range'
import { CODES, meaning } from './advice'
import { linkToRefusal, RefusalView } from './view'

type Refusal = Schemas['RefusalAnswer']
const LIMIT = 50

const FILTERS: Filter[] = [{ name: 'code', label: 'Code', choices: CODES.map((value) => ({ value, label: meaning(value).label })) }]

const columns = (all: boolean): Column<Refusal>[] => [
  { name: 'code', head: 'Why', narrow: 'title', cell: (row) => <span title={row.code}>{meaning(row.code).label}</span> },
  { name: 'status', head: 'Status', narrow: 'status', cell: (row) => <Code code={row.status} /> },
  { name: 'detail', head: 'Detail', kind: 'wide', narrow: 'under', cell: (row) => <span title={row.detail}>{row.detail}</span> },
  { name: 'route', head: 'Route', cell: (row) => <span class="mono">{row.route}</span> },
  { name: 'subscription', head: 'Subscription', cell: (row) => <Short text={row.subscription} /> },
  ...(all ? [{ name: 'tenant', head: 'Tenant', cell: (row: Refusal) => (row.tenant_id ? tenantName(row.tenant_id) : <span class="faint">none</span>) }] : []),
  { name: 'key', head: 'Key', cell: (row) => (row.key_id ? <Id id={row.key_id} /> : <span class="faint">none</span>) },
  { name: 'address', head: 'From', cell: (row) => <span class="mono">{row.remote_address ?? ''}</span> },
  { name: 'at', head: 'When', narrow: 'side', cell: (row) => <Moment at={row.at} /> },
]

/** What somebody wrote into a request may be long; an id is told apart by its end. */
function Short({ text }: { text: string | null }) {
  if (!text) return null
  const shown = text.length <= 20 ? text : `…${text.slice(-12)}`
  return (
    <span class="mono" title={text}>
      {shown}
    </span>
  )
}

export function RefusalsScreen() {
  const code = query.value.getAll('code')
  const time = span(null)
  const cursor = query.value.get('cursor') ?? undefined
  const page = useResource(
    JSON.stringify([code, time, cursor]),
    (signal) => fill<Refusal>(LIMIT, (cursor) => get('/refusals', { query: { code, ...time, limit: LIMIT, ...(cursor ? { cursor } : {}) }, signal }), cursor),
    true,
  )
  const open = query.value.get('open')
  const shown = useMemo(() => columns(isAll.value), [isAll.value])
  const filtered = code.length > 0 || Object.keys(time).length > 0
  return (
    <>
      <header class="page-head">
        <h1>Refusals</h1>
        <span class="grow" />
        <RefreshButton refresh={page.reload} />
      </header>
      <Filters filters={FILTERS}>
        <TimeRange otherwise={null} any />
      </Filters>
      <Table
        label="Refused requests"
        columns={shown}
        rows={page.data?.data ?? null}
        rowKey={(row) => row.id}
        link={(row) => here({ open: row.id })}
        open={open}
        problem={page.problem}
        retry={page.reload}
        loading={page.loading}
        empty={
          filtered ? (
            <Empty icon="search" title="No refused request matches these filters">
              <button type="button" class="button" onClick={() => clearFilters(FILTERS)}>
                Clear filters
              </button>
            </Empty>
          ) : (
            <Empty icon="check" title="No request was refused">
              <p>A request to publish that is answered with 4xx is listed here until its retention ends.</p>
              {isOperator.value && !isAll.value && <p>One without a valid key belongs to no tenant: see all tenants.</p>}
            </Empty>
          )
        }
      />
      <Pager next={page.data?.next_cursor} examinedTo={page.data?.examined_to} found={page.data?.data.length ?? 0} loading={page.loading} />
      {open && <Drawer id={open} />}
    </>
  )
}

function Drawer({ id }: { id: string }) {
  const close = () => undo(here({ open: null }))
  return (
    <Dialog key={id} kind="drawer" label="Refused request" close={close}>
      <RefusalView
        id={id}
        tools={
          <>
            <a class="icon-button" href={linkToRefusal(id)} aria-label="Open as a page" title="Open as a page">
              <Icon name="expand" />
            </a>
            <CloseButton close={close} />
          </>
        }
      />
    </Dialog>
  )
}
