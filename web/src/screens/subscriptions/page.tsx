// One subscription: how it goes, what it got, its settings, its secrets, and a way to try it.
import { type ComponentType } from 'preact'
import { useState } from 'preact/hooks'
import { get } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { chosen, may } from '../../api/session'
import { go, href, query } from '../../route'
import { Icon } from '../../ui/icons'
import { useWarning } from '../../ui/leave'
import { copy, Id, Moment } from '../../ui/moment'
import { Popover } from '../../ui/popover'
import { Bones, Failure } from '../../ui/states'
import { Pill } from '../../ui/status'
import { Tabs } from '../../ui/tabs'
import { useSubject } from '../../ui/title'
import { DeliveryList } from '../deliveries/list'
import { Fact } from '../deliveries/view'
import { OfTenant } from '../of_tenant'
import { type Action, ActionDialog } from './actions'
import { type Edits, isUnsaved } from './draft'
import { Types } from './list'
import { AskBeforeLeaving } from './leaving'
import { Made } from './made'
import { SubscriptionOverview } from './overview'
import { RecoverDialog } from './recover'
import { RotateDialog, Rotated, Secrets } from './secrets'
import { Settings } from './settings'
import { heldOf, nameOf, stateOf, type Subscription } from './state'
import { Testing } from './testing'

export interface PartProps {
  one: Subscription
  changed: () => void
}

export interface ViewProps extends PartProps {
  /** Null where nothing is typed. They outlive a look at another part. */
  edits: Edits | null
  edit: (change: (was: Edits | null) => Edits | null) => void
}

/** How it does changes with each attempt. What is typed in the settings stays: they are read once, when they are opened. */
const REFRESH_MS = 5_000

const PARTS = { overview: 'Overview', deliveries: 'Deliveries', settings: 'Settings', secrets: 'Secrets', testing: 'Testing' } as const
type Part = keyof typeof PARTS

const VIEWS: Record<Part, ComponentType<ViewProps>> = {
  overview: SubscriptionOverview,
  deliveries: ({ one }) => <DeliveryList subscription={one.id} />,
  settings: Settings,
  secrets: Secrets,
  testing: Testing,
}

export function SubscriptionPage({ params }: { params: Record<string, string> }) {
  const id = params.subscription ?? ''
  return (
    <OfTenant id={id} what="A subscription belongs to one tenant.">
      <Loaded id={id} />
      <Made id={id} />
      <Rotated id={id} />
    </OfTenant>
  )
}

function Loaded({ id }: { id: string }) {
  const found = useResource(`${chosen.value}/${id}`, (signal) => get('/subscriptions/{subscription_id}', { at: { subscription_id: id }, signal }))
  const [edits, edit] = useState<Edits | null>(null)
  // Somebody has deleted it since.
  const isGone = found.problem?.status === 404
  usePolling(found.data && !isGone ? REFRESH_MS : null, found)
  const isLost = !isGone && isUnsaved(edits)
  useWarning(isLost)
  useSubject(found.data && nameOf(found.data))
  if (found.problem && (isGone || !found.data)) return <Failure problem={found.problem} retry={found.reload} />
  if (!found.data) return <Bones lines={8} />
  const one = found.data
  const named = query.value.get('part') ?? 'overview'
  const part: Part = named in PARTS && (may.value.manage || named !== 'testing') ? (named as Part) : 'overview'
  const View = VIEWS[part]
  return (
    <article class="sheet wide-sheet">
      <a class="back" href={href('/subscriptions')}>
        <Icon name="left" /> Subscriptions
      </a>
      <Head one={one} changed={found.reload} />
      <Tabs
        tabs={(Object.keys(PARTS) as Part[]).filter((name) => name !== 'testing' || may.value.manage).map((name) => ({ name, label: PARTS[name] }))}
        current={part}
        link={(name) => href(`/subscriptions/${id}`, { part: name === 'overview' ? null : name })}
      />
      <View one={one} changed={found.reload} edits={edits} edit={edit} />
      {isLost && <AskBeforeLeaving />}
    </article>
  )
}

type Open = Action | 'recover' | 'rotate'

function Head({ one, changed }: PartProps) {
  const [open, setOpen] = useState<Open | null>(null)
  const close = () => setOpen(null)
  const { label, tone } = stateOf(one)
  // What was typed about a subscription that is deleted is lost anyway, and no way back leads to it.
  const done = (what: Action) => (what === 'delete' ? go(href('/subscriptions'), 'replace') : changed())
  return (
    <>
      <header class="sheet-head">
        <Pill tone={tone}>{label}</Pill>
        <h1 class="wrap">{nameOf(one)}</h1>
        <span class="grow" />
        {may.value.manage && (
          <>
            <a class="button" href={href(`/subscriptions/${one.id}`, { part: 'testing' })}>
              <Icon name="send" /> Send a test event
            </a>
            <button type="button" class="button" onClick={() => setOpen('recover')}>
              <Icon name="replays" /> Recover…
            </button>
            <button type="button" class={`button${one.is_active ? '' : ' primary'}`} onClick={() => setOpen(one.is_active ? 'pause' : 'resume')}>
              <Icon name={one.is_active ? 'pause' : 'play'} /> {one.is_active ? 'Pause' : 'Resume'}
            </button>
            <Popover class="button only-icon" label={<Icon name="more" />} name="More actions" title="More actions">
              {(shut) => (
                <div class="menu-list" onClick={shut}>
                  <button type="button" onClick={() => setOpen('rotate')}>
                    <Icon name="rotate" /> Rotate the secret
                  </button>
                  {one.health.held > 0 && (
                    <button type="button" onClick={() => setOpen('cancel')}>
                      <Icon name="close" /> Cancel what is held
                    </button>
                  )}
                  <button type="button" class="bad" onClick={() => setOpen('delete')}>
                    <Icon name="trash" /> Delete
                  </button>
                </div>
              )}
            </Popover>
          </>
        )}
      </header>
      {one.description && <p class="wrap description-line">{one.description}</p>}
      <WhyNot one={one} />
      <Facts one={one} />
      {open === 'recover' && <RecoverDialog one={one} close={close} />}
      {open === 'rotate' && <RotateDialog one={one} changed={changed} close={close} />}
      {open && open !== 'recover' && open !== 'rotate' && <ActionDialog what={open} of={one} close={close} done={done} />}
    </>
  )
}

/** Why it gets nothing, or less, and what ends that. */
function WhyNot({ one }: { one: Subscription }) {
  const { label, tone, why, since } = stateOf(one)
  if (tone === 'green') return null
  const { held, next_probe_at } = one.health
  return (
    <div class={`why ${tone}`}>
      <Icon name={label === 'Paused' || label === 'Active' ? 'info' : 'warn'} />
      <div>
        <strong>
          {label}
          {why && `: ${label === 'Paused' ? why.slice(0, 1).toLowerCase() + why.slice(1) : why}`}
        </strong>
        <p>
          {since && (
            <>
              Since <Moment at={since} />.{' '}
            </>
          )}
          {held > 0 && `${heldOf(one)} held. `}
          {!one.is_active && 'Resume it, and what is held is sent.'}
          {label === 'Active' && 'What waits is sent a few at a time. '}
          {one.is_active && next_probe_at && (
            <>
              It is tried again <Moment at={next_probe_at} />.{' '}
            </>
          )}
          {one.is_active && <a href={href(`/subscriptions/${one.id}`, { part: 'deliveries', status: ['pending', 'held', 'failed'] })}>What did not arrive</a>}
        </p>
      </div>
    </div>
  )
}

function Facts({ one }: { one: Subscription }) {
  return (
    <dl class="facts tight">
      <Fact name="Target" wide>
        <span class="with-copy">
          <span class="mono wrap">{one.target_url}</span>
          <button type="button" class="icon-button small" aria-label="Copy the target" title="Copy the target" onClick={() => void copy(one.target_url)}>
            <Icon name="copy" />
          </button>
        </span>
      </Fact>
      <Fact name="Event types">
        <Types types={one.event_types} />
      </Fact>
      <Fact name="Filter">{one.filter ? <code class="filter-line" title={JSON.stringify(one.filter)}>{JSON.stringify(one.filter)}</code> : <span class="faint">none</span>}</Fact>
      <Fact name="Created">
        <Moment at={one.created_at} />
      </Fact>
      <Fact name="Id">
        <Id id={one.id} />
      </Fact>
    </dl>
  )
}
