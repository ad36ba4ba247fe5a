// A new replay: first what, then a plan with its numbers, then the change, bound to that plan by its token.
import { useState } from 'preact/hooks'
import { asProblem, post, type Problem, type Schemas } from '../../api/client'
import { go, href, query } from '../../route'
import { CloseButton, Dialog } from '../../ui/dialog'
import { Field, FormFailure } from '../../ui/field'
import { number } from '../../ui/moment'
import { Empty, Failure } from '../../ui/states'
import { type Reason, REASONS, type Status, statusWord } from '../../words'
import { Split } from './plan'
import type { Only } from './selected'

type Plan = Schemas['ReplayPlan']
type To = 'original' | 'matching'

const ENDED: Status[] = ['failed', 'expired', 'skipped', 'cancelled', 'succeeded']
const USUAL: Status[] = ['failed', 'expired', 'skipped']
/** Those with which a delivery ends. */
const REASONS_OF_END: Reason[] = ['exhausted', 'gone', 'aborted_by_receiver', 'blocked_address', 'skip_after_attempts', 'requested', 'expires_at', 'lifetime']

/** Fields that show what is wrong with them. Of the selection as a whole, as that it is too large, the form says it. */
const FIELDS = ['/only/event_type', '/only/subscription_id', '/only/since', '/only/until']

interface Wanted {
  to: To
  status: Status[]
  reason: Reason[]
  types: string
  subscriptions: string
  since: string
  until: string
}

const words = (text: string) => text.split(/[\s,]+/).filter(Boolean)
const moment = (text: string) => (text ? { at: `${text}:00Z` } : null)

function selection(wanted: Wanted): Only {
  const [types, subscriptions, since, until] = [words(wanted.types), words(wanted.subscriptions), moment(wanted.since), moment(wanted.until)]
  return {
    ...(wanted.status.length ? { status: wanted.status } : {}),
    ...(wanted.reason.length ? { reason: wanted.reason } : {}),
    ...(types.length ? { event_type: types } : {}),
    ...(subscriptions.length ? { subscription_id: subscriptions } : {}),
    ...(since ? { since: since.at } : {}),
    ...(until ? { until: until.at } : {}),
  } as Only
}

export function NewReplay({ close, begun }: { close: () => void; begun: () => void }) {
  const [wanted, setWanted] = useState<Wanted>(() => ({
    to: 'original',
    status: USUAL,
    reason: [],
    types: query.value.getAll('event_type').join(' '),
    subscriptions: query.value.getAll('subscription_id').join(' '),
    since: '',
    until: '',
  }))
  const [planned, setPlanned] = useState<{ only: Only; plan: Plan } | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const count = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    const only = selection(wanted)
    try {
      const plan = (await post('/replays', { body: { only, to: wanted.to, dry_run: true } as never })) as unknown as Plan
      setPlanned({ only, plan })
    } catch (error) {
      setProblem(asProblem(error))
    }
    setBusy(false)
  }
  return (
    <Dialog label="New replay" close={close}>
      <header class="dialog-head">
        <h2>{planned ? 'Begin this replay?' : 'New replay'}</h2>
        <CloseButton close={close} />
      </header>
      {planned ? (
        <Confirm {...planned} to={wanted.to} back={() => setPlanned(null)} begun={begun} />
      ) : (
        <form onSubmit={(event) => void count(event)}>
          <Form {...{ wanted, setWanted, problem }} />
          <FormFailure problem={problem} fields={FIELDS} done="counted" />
          <footer class="dialog-foot">
            <button type="button" class="button" onClick={close}>
              Close
            </button>
            <button type="submit" class="button primary" disabled={busy}>
              {busy ? 'Counting…' : 'Count'}
            </button>
          </footer>
        </form>
      )}
    </Dialog>
  )
}

interface FormProps {
  wanted: Wanted
  setWanted: (wanted: Wanted) => void
  problem: Problem | null
}

function Form({ wanted, setWanted, problem }: FormProps) {
  const set = (change: Partial<Wanted>) => setWanted({ ...wanted, ...change })
  const matching = wanted.to === 'matching'
  return (
    <>
      <fieldset class="options">
        <legend>Send to</legend>
        <label class="option">
          <input type="radio" name="to" checked={!matching} onChange={() => set({ to: 'original', status: USUAL })} />
          <span>
            <b>The same subscriptions</b>
            <span class="faint">Repeats the deliveries that are selected.</span>
          </span>
        </label>
        <label class="option">
          <input type="radio" name="to" checked={matching} onChange={() => set({ to: 'matching', status: [], reason: [] })} />
          <span>
            <b>All subscriptions that match now</b>
            <span class="faint">Sends the events to subscriptions that want them now and have not got them, such as new ones.</span>
          </span>
        </label>
      </fieldset>
      <Checks label={matching ? 'Events with deliveries that are' : 'Deliveries that are'} of={ENDED} chosen={wanted.status} set={(status) => set({ status })} name={(one) => statusWord(one, 0).label} />
      <p class="faint form-note">
        {wanted.status.length ? '' : matching ? 'All events, also those that nobody got.' : 'None chosen: those that failed, expired or were skipped.'}
      </p>
      <Field label="Event types" pointer="/only/event_type" problem={problem} hint="All, if empty. Several with spaces between.">
        {(id, described) => <input id={id} aria-describedby={described} class="mono" spellcheck={false} placeholder="order.created" value={wanted.types} onInput={(event) => set({ types: event.currentTarget.value })} />}
      </Field>
      <Field label="Subscriptions" pointer="/only/subscription_id" problem={problem} hint="All, if empty. Ids or external ids, with spaces between.">
        {(id, described) => (
          <input id={id} aria-describedby={described} class="mono" spellcheck={false} value={wanted.subscriptions} onInput={(event) => set({ subscriptions: event.currentTarget.value })} />
        )}
      </Field>
      <div class="field-pair">
        <Field label="Accepted from (UTC)" pointer="/only/since" problem={problem}>
          {(id, described) => <input id={id} aria-describedby={described} type="datetime-local" value={wanted.since} onInput={(event) => set({ since: event.currentTarget.value })} />}
        </Field>
        <Field label="Until (UTC)" pointer="/only/until" problem={problem}>
          {(id, described) => <input id={id} aria-describedby={described} type="datetime-local" value={wanted.until} onInput={(event) => set({ until: event.currentTarget.value })} />}
        </Field>
      </div>
      {!matching && (
        <details class="sample" open={wanted.reason.length > 0}>
          <summary>Only those that ended for a reason</summary>
          <Checks label="Reasons" of={REASONS_OF_END} chosen={wanted.reason} set={(reason) => set({ reason })} name={(one) => REASONS[one].label} />
        </details>
      )}
    </>
  )
}

interface ChecksProps<T extends string> {
  label: string
  of: T[]
  chosen: T[]
  set: (chosen: T[]) => void
  name: (one: T) => string
}

function Checks<T extends string>({ label, of, chosen, set, name }: ChecksProps<T>) {
  return (
    <fieldset class="checks">
      <legend>{label}</legend>
      {of.map((one) => (
        <label key={one}>
          <input type="checkbox" checked={chosen.includes(one)} onChange={() => set(chosen.includes(one) ? chosen.filter((other) => other !== one) : [...chosen, one])} />
          {name(one)}
        </label>
      ))}
    </fieldset>
  )
}

interface ConfirmProps {
  only: Only
  plan: Plan
  to: To
  back: () => void
  begun: () => void
}

function Confirm({ only, plan, to, back, begun }: ConfirmProps) {
  const [rate, setRate] = useState('100')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const begin = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    try {
      const replay = (await post('/replays', { body: { only, to, token: plan.token, rate: Number(rate) } as never })) as { id: string }
      go(href('/replays', { open: replay.id }), 'replace')
      begun()
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  if (plan.count === 0) {
    return (
      <>
        <Empty icon="check" title="There is nothing to send">
          <p>{to === 'matching' ? 'Every matching subscription has these events, or none matches.' : 'No delivery is selected.'}</p>
        </Empty>
        <footer class="dialog-foot">
          <button type="button" class="button" onClick={back}>
            Back
          </button>
        </footer>
      </>
    )
  }
  const seconds = Math.ceil(plan.count / Math.max(Number(rate) || 1, 1))
  return (
    <form onSubmit={(event) => void begin(event)}>
      <p class="big-number">
        {number(plan.count)} <span>{plan.count === 1 ? 'delivery' : 'deliveries'}</span>
      </p>
      <Split plan={plan} />
      <Field label="At most a second" pointer="/rate" problem={problem} hint={`Takes about ${seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`}. New events go first.`}>
        {(id, described) => <input id={id} aria-describedby={described} type="number" min="1" max="10000" required value={rate} onInput={(event) => setRate(event.currentTarget.value)} />}
      </Field>
      {problem && !problem.errors?.some((error) => error.pointer === '/rate') && <Failure problem={problem} />}
      <footer class="dialog-foot">
        <button type="button" class="button" onClick={back}>
          Back
        </button>
        <button type="submit" class="button primary" disabled={busy}>
          Send {number(plan.count)} again
        </button>
      </footer>
    </form>
  )
}
