// Replays, with those that run moving.
import { useMemo } from 'preact/hooks'
import { get } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { isAll, may } from '../../api/session'
import { here, href, query, undo } from '../../route'
import { CloseButton, Dialog } from '../../ui/dialog'
import { clearFilters, type Filter, Filters } from '../../ui/filters'
import { Icon } from '../../ui/icons'
import { Moment, number } from '../../ui/moment'
import { Pager } from '../../ui/pager'
import { Empty } from '../../ui/states'
import { Pill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import { ChooseTenant } from '../events/publish'
import { showSubscription } from '../subscriptions/name'
import { cancelReplay } from './cancel'
import { NewReplay } from './new'
import { inWords, Receivers, type Replay, share, STATES, totalOf } from './selected'
import { ReplayView } from './view'
import { actorWords, useBeginners } from './who'

const LIMIT = 50
const REFRESH_MS = 1_000
const FILTERS: Filter[] = [{ name: 'subscription_id', label: 'Subscription', show: showSubscription, single: true, hint: 'Its id or external id' }]

export function Progress({ replay }: { replay: Replay }) {
  const part = share(replay)
  const total = totalOf(replay)
  return (
    <span class="replay-progress">
      <span class={`meter${replay.status === 'cancelled' ? ' is-off' : ''}`} aria-hidden="true">
        <span style={{ width: `${(part ?? 0) * 100}%` }} />
      </span>
      {number(replay.replayed)}
      {total !== null && <span class="faint"> of {number(total)}</span>}
    </span>
  )
}

const columns = (who: ReturnType<typeof useBeginners>, cancel: ((id: string) => void) | null): Column<Replay>[] => [
  { name: 'what', head: 'What', kind: 'wide', narrow: 'title', cell: (row) => inWords(row) },
  { name: 'status', head: 'Status', narrow: 'status', cell: (row) => <Pill tone={STATES[row.status].tone}>{STATES[row.status].label}</Pill> },
  { name: 'progress', head: 'Queued again', narrow: 'under', cell: (row) => <Progress replay={row} /> },
  { name: 'to', head: 'To', kind: 'wide', cell: (row) => <Receivers replay={row} /> },
  { name: 'rate', head: 'At most', cell: (row) => <span class="faint">{number(row.rate)} a second</span> },
  ...(may.value.admin
    ? [
        {
          name: 'who',
          head: 'Begun by',
          cell: (row: Replay) => {
            const entry = who.get(row.id)
            return entry ? <span title={entry.key_id ?? undefined}>{actorWords(entry)}</span> : <span class="faint">–</span>
          },
        },
      ]
    : []),
  { name: 'begun', head: 'Begun', narrow: 'side', cell: (row) => <Moment at={row.created_at} /> },
  ...(cancel
    ? [
        {
          name: 'act',
          head: <span class="visually-hidden">Actions</span>,
          narrow: 'under' as const,
          cell: (row: Replay) =>
            row.status === 'running' && (
              <button type="button" class="text-button" onClick={() => cancel(row.id)}>
                Cancel
              </button>
            ),
        },
      ]
    : []),
]

export function ReplaysScreen() {
  if (isAll.value) {
    return (
      <>
        <header class="page-head">
          <h1>Replays</h1>
        </header>
        <ChooseTenant what="A replay belongs to one tenant." />
      </>
    )
  }
  return <Replays />
}

function Replays() {
  const subscription = query.value.get('subscription_id')
  const cursor = query.value.get('cursor')
  const asked = { limit: LIMIT, ...(subscription ? { subscription_id: [subscription] } : {}), ...(cursor ? { cursor } : {}) }
  const page = useResource(JSON.stringify(asked), (signal) => get('/replays', { query: asked, signal }), true)
  const rows = page.data?.data ?? null
  usePolling(rows?.some((row) => row.status === 'running') ? REFRESH_MS : null, page)
  const who = useBeginners({ newest: rows?.[0]?.id })
  const cancel = async (id: string) => {
    await cancelReplay(id)
    page.reload()
  }
  const shown = useMemo(() => columns(who, may.value.manage ? (id) => void cancel(id) : null), [who, may.value.manage])
  const open = query.value.get('open')
  return (
    <>
      <header class="page-head">
        <h1>Replays</h1>
        <span class="grow" />
        {may.value.manage && (
          <a class="button primary" href={here({ new: '1', open: null })}>
            <Icon name="replays" /> New replay
          </a>
        )}
      </header>
      <Filters filters={FILTERS} />
      <Table
        label="Replays"
        columns={shown}
        rows={rows}
        rowKey={(row) => row.id}
        link={(row) => here({ open: row.id })}
        open={open}
        problem={page.problem}
        retry={page.reload}
        loading={page.loading}
        empty={
          subscription ? (
            <Empty icon="search" title="No replay of this subscription">
              <p>Replays that send to all that is selected are not listed under one subscription.</p>
              <button type="button" class="button" onClick={() => clearFilters(FILTERS)}>
                Clear filters
              </button>
            </Empty>
          ) : (
            <Empty icon="replays" title="Nothing has been replayed yet">
              <p>A replay sends again what failed, at a speed of your choice. Replays are kept for 30 days.</p>
              {may.value.manage && (
                <a class="button" href={here({ new: '1' })}>
                  New replay
                </a>
              )}
            </Empty>
          )
        }
      />
      <Pager next={page.data?.next_cursor} found={rows?.length ?? 0} loading={page.loading} />
      {open && <Drawer id={open} changed={page.reload} />}
      {query.value.has('new') && may.value.manage && <NewReplay close={() => undo(here({ new: null }))} begun={page.reload} />}
    </>
  )
}

function Drawer({ id, changed }: { id: string; changed: () => void }) {
  const close = () => undo(here({ open: null }))
  return (
    <Dialog key={id} kind="drawer" label="Replay" close={close}>
      <ReplayView
        id={id}
        changed={changed}
        tools={
          <>
            <a class="icon-button" href={href(`/replays/${id}`)} aria-label="Open as a page" title="Open as a page">
              <Icon name="expand" />
            </a>
            <CloseButton close={close} />
          </>
        }
      />
    </Dialog>
  )
}
