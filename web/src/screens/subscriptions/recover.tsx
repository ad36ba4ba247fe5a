// Sends again what a subscription lost since a time, after a look at how much that is.
import { useState } from 'preact/hooks'
import { asProblem, post, type Problem, type Schemas } from '../../api/client'
import { useResource } from '../../api/resource'
import { go, href } from '../../route'
import { CloseButton, Dialog } from '../../ui/dialog'
import { Field } from '../../ui/field'
import { number } from '../../ui/moment'
import { Bones, Failure } from '../../ui/states'
import { toast } from '../../ui/toast'
import { heldOf, noun, type Subscription } from './state'

type Form = Schemas['ReplayForm']

const HOUR = 3_600_000
const SINCE: [hours: number, label: string][] = [
  [1, 'The last hour'],
  [24, 'The last 24 hours'],
  [24 * 7, 'The last 7 days'],
  [0, 'All that is stored'],
]
const WHAT = {
  failed: 'What failed, expired or was skipped',
  missed: 'Also what it never got: events that it wants now',
} as const

function selection(one: Subscription, since: string | null, what: keyof typeof WHAT): Form {
  const only = { subscription_id: [one.id], ...(since ? { since } : {}), ...(what === 'failed' ? { status: ['failed', 'expired', 'skipped'] } : {}) }
  return { only, to: what === 'failed' ? 'original' : 'matching' } as Form
}

export function RecoverDialog({ one, close }: { one: Subscription; close: () => void }) {
  const [hours, setHours] = useState(24)
  const [from, setFrom] = useState('')
  const [what, setWhat] = useState<keyof typeof WHAT>('failed')
  const [rate, setRate] = useState('100')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const [opened] = useState(Date.now)
  const since = from ? `${from}:00Z` : hours ? new Date(opened - hours * HOUR).toISOString() : null
  const form = selection(one, since, what)
  const plan = useResource(JSON.stringify(form), async (signal) => (await post('/replays', { body: { ...form, dry_run: true }, signal })) as Schemas['ReplayPlan'])
  const begin = async (event: Event) => {
    event.preventDefault()
    if (!plan.data) return
    setBusy(true)
    setProblem(null)
    try {
      const replay = (await post('/replays', { body: { ...form, token: plan.data.token, rate: Number(rate) } })) as { id: string }
      // The reader may be asked, and stay.
      close()
      toast(`${number(plan.data.count)} queued again`)
      go(href(`/replays/${replay.id}`))
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  const count = plan.data?.count
  return (
    <Dialog label="Recover deliveries" close={close}>
      <header class="dialog-head">
        <h2>Recover deliveries</h2>
        <CloseButton close={close} />
      </header>
      <form onSubmit={(event) => void begin(event)}>
        <fieldset class="radios column">
          <legend class="visually-hidden">What is sent again</legend>
          {(Object.keys(WHAT) as (keyof typeof WHAT)[]).map((name) => (
            <label key={name}>
              <input type="radio" name="what" checked={what === name} onChange={() => setWhat(name)} /> {WHAT[name]}
            </label>
          ))}
        </fieldset>
        <div class="form-row">
          <Field label="Events accepted in">
            {(id) => (
              <select id={id} value={from ? 'own' : String(hours)} onChange={(event) => (setFrom(event.currentTarget.value === 'own' ? new Date(opened - 24 * HOUR).toISOString().slice(0, 16) : ''), setHours(Number(event.currentTarget.value) || 0))}>
                {SINCE.map(([value, label]) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
                <option value="own">Since a time…</option>
              </select>
            )}
          </Field>
          {from && (
            <Field label="Since (UTC)" pointer="/only/since" problem={plan.problem}>
              {(id, described) => <input id={id} aria-describedby={described} type="datetime-local" value={from} onInput={(event) => event.currentTarget.value && setFrom(event.currentTarget.value)} />}
            </Field>
          )}
          <Field label="At most a second" pointer="/rate" problem={problem}>
            {(id, described) => <input id={id} aria-describedby={described} type="number" min="1" max="10000" required value={rate} onInput={(event) => setRate(event.currentTarget.value)} />}
          </Field>
        </div>
        <div class="plan-line" aria-live="polite">
          {plan.problem ? <Failure problem={plan.problem} retry={plan.reload} /> : plan.data ? <Count count={plan.data.count} /> : <Bones lines={2} />}
        </div>
        <Held one={one} />
        {problem && !problem.errors?.some(({ pointer }) => pointer === '/rate') && <Failure problem={problem} />}
        <footer class="dialog-foot">
          <button type="button" class="button" onClick={close}>
            Close
          </button>
          <button type="submit" class="button primary" disabled={busy || !count}>
            {count ? `Send ${number(count)} again` : 'Send again'}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}

/** What is held is sent without a replay. */
function Held({ one }: { one: Subscription }) {
  const { held } = one.health
  if (one.is_active && !held) return null
  return (
    <p class="note amber">
      {held > 0 && `${heldOf(one)} ${noun(held, 'delivery is', 'deliveries are')} held besides. `}
      {held > 0 && one.is_active && `${noun(held, 'It is', 'They are')} sent by ${noun(held, 'itself', 'themselves')} when the receiver takes them.`}
      {!one.is_active && (held > 0 ? 'To send all of it, resume the subscription.' : 'It gets nothing until it is resumed: what is sent again is held.')}
    </p>
  )
}

function Count({ count }: { count: number }) {
  return (
    <p class="big-number">
      {number(count)} <span>{noun(count, 'delivery', 'deliveries')} to send again</span>
    </p>
  )
}
