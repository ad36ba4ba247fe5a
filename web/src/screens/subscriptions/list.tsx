// Who gets which events, and how well that goes.
import { useMemo, useState } from 'preact/hooks'
import { get } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { chosen, isAll, may } from '../../api/session'
import { href, query } from '../../route'
import { clearFilters, type Filter, Filters } from '../../ui/filters'
import { Icon } from '../../ui/icons'
import { copy, Moment } from '../../ui/moment'
import { Pager } from '../../ui/pager'
import { Popover } from '../../ui/popover'
import { Empty } from '../../ui/states'
import { Pill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { withoutScheme } from '../../words'
import { ChooseTenant } from '../events/publish'
import { percent } from '../overview/tiles'
import { type Action, ActionDialog } from './actions'
import { Hours } from './hours'
import { nameOf, stateOf, type Subscription } from './state'
import { loadTraffic, successRate, trafficOf, type TrafficTable } from './traffic'

type ListedState = Subscription['health']['state'] | 'disabled'

const LIMIT = 50
const REFRESH_MS = 30_000
const TYPES_SHOWN = 3

const STATES = [
  { value: 'healthy', label: 'Active' },
  { value: 'failing', label: 'Failing' },
  { value: 'open', label: 'Breaker open' },
  { value: 'throttled', label: 'Asked to wait' },
  { value: 'recovering', label: 'Recovering' },
  { value: 'disabled', label: 'Paused or disabled' },
] satisfies { value: ListedState; label: string }[]

const FILTERS: Filter[] = [
  { name: 'q', label: 'Name or URL', single: true, hint: 'A part of its URL, external id or description' },
  { name: 'state', label: 'State', choices: STATES },
]

export function Types({ types }: { types: string[] }) {
  if (!types.length) return <span class="faint">all</span>
  return (
    <span class="types" title={types.join(', ')}>
      {types.slice(0, TYPES_SHOWN).map((type) => (
        <code key={type}>{type}</code>
      ))}
      {types.length > TYPES_SHOWN && <span class="faint">+{types.length - TYPES_SHOWN}</span>}
    </span>
  )
}

function StateCell({ of }: { of: Subscription }) {
  const { label, tone, why, since } = stateOf(of)
  return (
    <span class="state-cell">
      <Pill tone={tone}>{label}</Pill>
      {(why ?? since) && (
        <span class="faint ellipsis" title={why ?? undefined}>
          {label === 'Paused' ? '' : why}
          {since && (
            <>
              {label === 'Paused' ? 'since ' : ' · '}
              <Moment at={since} />
            </>
          )}
        </span>
      )}
    </span>
  )
}

function Rate({ of, traffic }: { of: string; traffic: TrafficTable | null }) {
  const rate = successRate(traffic && trafficOf(traffic, of))
  return <span class={rate !== null && rate < 0.95 ? 'bad-number' : rate === null ? 'faint' : ''}>{percent(rate)}</span>
}

const columns = (traffic: TrafficTable | null, act: (what: Action, of: Subscription) => void): Column<Subscription>[] => [
  {
    name: 'name',
    head: 'Subscription',
    kind: 'wide',
    narrow: 'title',
    cell: (row) => (
      <>
        {nameOf(row)} {row.description && <span class="faint description">{row.description}</span>}
      </>
    ),
  },
  { name: 'state', head: 'Status', narrow: 'under', cell: (row) => <StateCell of={row} /> },
  {
    name: 'target',
    head: 'Target',
    kind: 'wide',
    narrow: 'under',
    cell: (row) => (
      <span class="with-copy">
        <span class="mono ellipsis" title={row.target_url}>
          {withoutScheme(row.target_url)}
        </span>
        <button type="button" class="icon-button small" aria-label="Copy the target" title="Copy the target" onClick={() => void copy(row.target_url)}>
          <Icon name="copy" />
        </button>
      </span>
    ),
  },
  { name: 'types', head: 'Event types', cell: (row) => <Types types={row.event_types} /> },
  { name: 'hours', head: '24 hours', cell: (row) => (traffic ? <Hours traffic={trafficOf(traffic, row.id)} hours={traffic.hours} /> : <span class="hours bone" />) },
  { name: 'rate', head: 'Success', kind: 'number', narrow: 'side', cell: (row) => <Rate of={row.id} traffic={traffic} /> },
  {
    name: 'actions',
    head: <span class="visually-hidden">Actions</span>,
    narrow: 'status',
    cell: (row) => <RowActions of={row} act={act} />,
  },
]

function RowActions({ of, act }: { of: Subscription; act: (what: Action, of: Subscription) => void }) {
  const link = (part: string) => href(`/subscriptions/${of.id}`, { part })
  return (
    <span onClick={(event) => event.stopPropagation()}>
      <Popover class="icon-button small" label={<Icon name="more" />} name={`Actions of ${nameOf(of)}`} title="Actions">
        {(close) => (
          <div class="menu-list" onClick={close}>
            <a href={link('deliveries')}>
              <Icon name="deliveries" /> Deliveries
            </a>
            {may.value.manage && (
              <>
                <a href={link('testing')}>
                  <Icon name="send" /> Send a test event
                </a>
                <a href={link('settings')}>
                  <Icon name="edit" /> Edit
                </a>
                <button type="button" onClick={() => act(of.is_active ? 'pause' : 'resume', of)}>
                  <Icon name={of.is_active ? 'pause' : 'play'} /> {of.is_active ? 'Pause' : 'Resume'}
                </button>
                <button type="button" class="bad" onClick={() => act('delete', of)}>
                  <Icon name="trash" /> Delete
                </button>
              </>
            )}
          </div>
        )}
      </Popover>
    </span>
  )
}

export function SubscriptionsScreen() {
  if (isAll.value) return <ChooseTenant what="A subscription belongs to one tenant." />
  return <List />
}

function List() {
  const [q, cursor] = [query.value.get('q'), query.value.get('cursor')]
  const state = query.value.getAll('state') as ListedState[]
  const asked = { limit: LIMIT, ...(q ? { q } : {}), ...(state.length ? { state } : {}), ...(cursor ? { cursor } : {}) }
  const page = useResource(JSON.stringify([chosen.value, asked]), (signal) => get('/subscriptions/', { query: asked, signal }), true)
  const traffic = useResource(`${chosen.value}`, (signal) => loadTraffic('subscription', signal), true)
  usePolling(REFRESH_MS, page, traffic)
  const [acting, setActing] = useState<{ what: Action; of: Subscription } | null>(null)
  const shown = useMemo(() => columns(traffic.data, (what, of) => setActing({ what, of })), [traffic.data])
  const add = may.value.manage && (
    <a class="button primary" href={href('/subscriptions/~new')}>
      <Icon name="plus" /> New subscription
    </a>
  )
  return (
    <>
      <header class="page-head">
        <h1>Subscriptions</h1>
        <span class="grow" />
        {add}
      </header>
      <Filters filters={FILTERS} />
      <Table
        label="Subscriptions"
        columns={shown}
        rows={page.data?.data ?? null}
        rowKey={(row) => row.id}
        link={(row) => href(`/subscriptions/${row.id}`)}
        problem={page.problem}
        retry={page.reload}
        loading={page.loading}
        empty={
          q || state.length > 0 ? (
            <Empty icon="search" title="No subscription fits these filters">
              <button type="button" class="button" onClick={() => clearFilters(FILTERS)}>
                Clear filters
              </button>
            </Empty>
          ) : (
            <Empty icon="subscriptions" title="Nobody gets events yet">
              <p>A subscription says where events go, and which ones.</p>
              {add}
            </Empty>
          )
        }
      />
      <Pager next={page.data?.next_cursor} found={page.data?.data.length ?? 0} loading={page.loading} />
      {acting && <ActionDialog what={acting.what} of={acting.of} close={() => setActing(null)} done={page.reload} />}
    </>
  )
}
