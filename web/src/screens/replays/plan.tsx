// A plan by subscription, and what of it would not arrive now.
import { asProblem, get, type Schemas } from '../../api/client'
import { useResource } from '../../api/resource'
import { href } from '../../route'
import { Icon } from '../../ui/icons'
import { number } from '../../ui/moment'
import { holdOf } from '../deliveries/holder'
import { nameOf, noun, type Subscription } from '../subscriptions/state'

type Plan = Schemas['ReplayPlan']
/** `unread`: it could not be asked for now. */
type Known = ReadonlyMap<string, Subscription | 'deleted' | 'unread'>

const MOST_SHOWN = 6
const shownOf = (plan: Plan) => plan.by_subscription.slice(0, MOST_SHOWN)

/** Of those that are shown. */
async function receivers(plan: Plan, signal: AbortSignal): Promise<Known> {
  const known = new Map<string, Subscription | 'deleted' | 'unread'>()
  // One after the other: the server answers few requests of one caller at a time, and refuses those that wait for long.
  for (const { subscription_id } of shownOf(plan)) {
    const one = await get('/subscriptions/{subscription_id}', { at: { subscription_id }, signal }).catch((error: unknown) => {
      signal.throwIfAborted()
      return asProblem(error).status === 404 ? 'deleted' : 'unread'
    })
    known.set(subscription_id, one)
  }
  return known
}

function Label({ id, one }: { id: string; one: ReturnType<Known['get']> }) {
  if (typeof one === 'object') return <span class="ellipsis">{nameOf(one)}</span>
  return (
    <span class="ellipsis faint">
      <span class="mono">{id.slice(-12)}</span>
      {one === 'deleted' && ', deleted'}
      {one === 'unread' && ', state could not be read'}
    </span>
  )
}

/** Why deliveries to it do not arrive now; null where nothing is known against it. */
function doubt(one: Subscription): string | null {
  const hold = holdOf(one)
  if (hold) return `held: ${hold}`
  const { state, failures } = one.health
  return state === 'failing' || state === 'open' ? `likely to fail: ${number(failures)} failed ${noun(failures, 'attempt')} since its last success` : null
}

function Warning({ plan, known }: { plan: Plan; known: Known }) {
  const doubts = plan.by_subscription.flatMap(({ subscription_id, count }) => {
    const one = known.get(subscription_id)
    if (typeof one !== 'object') return []
    const why = doubt(one)
    return why ? [{ one, count, why }] : []
  })
  if (!doubts.length) return null
  return (
    <div class="why amber">
      <Icon name="warn" />
      <div>
        <strong>Not all of it arrives now</strong>
        {doubts.map(({ one, count, why }) => (
          <p key={one.id} class="wrap">
            <b>{nameOf(one)}</b>: {number(count)} {why}.
          </p>
        ))}
      </div>
    </div>
  )
}

/** `sends`: what is planned is sent, not cancelled. */
export function Split({ plan, sends = true }: { plan: Plan; sends?: boolean }) {
  const known = useResource(plan.token, (signal) => receivers(plan, signal))
  const shown = shownOf(plan)
  const rest = plan.count - shown.reduce((sum, one) => sum + one.count, 0)
  return (
    <>
      <ul class="split">
        {shown.map((one) => (
          <li key={one.subscription_id}>
            <Label id={one.subscription_id} one={known.data?.get(one.subscription_id)} />
            <span class="meter" aria-hidden="true">
              <span style={{ width: `${(one.count / plan.count) * 100}%` }} />
            </span>
            <b>{number(one.count)}</b>
          </li>
        ))}
        {rest > 0 && (
          <li>
            <span class="faint">
              to {number(plan.by_subscription.length - shown.length)} others{sends && ', not checked'}
            </span>
            <span />
            <b>{number(rest)}</b>
          </li>
        )}
      </ul>
      {sends && known.data && <Warning plan={plan} known={known.data} />}
      <details class="sample">
        <summary>The newest of them</summary>
        <ul>
          {plan.sample.map((one) => (
            <li key={one.webhook_id + one.subscription_id}>
              <a class="mono" href={href(`/deliveries/${one.webhook_id}/${one.subscription_id}`)} target="_blank" rel="noreferrer">
                {one.webhook_id} <Icon name="expand" />
              </a>
            </li>
          ))}
        </ul>
      </details>
    </>
  )
}
