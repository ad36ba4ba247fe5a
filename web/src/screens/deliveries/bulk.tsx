// Retry or cancel everything that the filters select: first a plan, then the change, bound to that plan by its token.
import { useMemo, useState } from 'preact/hooks'
import { asProblem, post, type Problem, type Schemas } from '../../api/client'
import { useResource } from '../../api/resource'
import { isAll } from '../../api/session'
import { go, href } from '../../route'
import { CloseButton, Dialog } from '../../ui/dialog'
import { Field } from '../../ui/field'
import { number } from '../../ui/moment'
import { Bones, Empty, Failure } from '../../ui/states'
import { toast } from '../../ui/toast'
import { type Status, statusWord } from '../../words'
import { Split } from '../replays/plan'

type What = 'retry' | 'cancel'
type Only = Schemas['DeliverySelection']
type Plan = Schemas['ReplayPlan']

const POSSIBLE: Record<What, Status[]> = { retry: ['failed', 'expired', 'skipped', 'cancelled', 'succeeded'], cancel: ['pending', 'held', 'sending'] }
const USUAL: Record<What, Status[]> = { retry: ['failed', 'expired', 'skipped'], cancel: ['pending', 'held'] }

interface Props {
  filters: Record<string, string[]>
  time: { since?: string; until?: string }
  /** Some were cancelled: the list shows them as they were. */
  done: () => void
}

/** The statuses that can be retried or cancelled, of those that are chosen. */
function statusesFor(what: What, chosen: string[] | undefined): Status[] {
  return chosen?.length ? POSSIBLE[what].filter((status) => chosen.includes(status)) : USUAL[what]
}

export function BulkActions({ filters, time, done }: Props) {
  const [what, setWhat] = useState<What | null>(null)
  const button = (name: What, label: string) => {
    const none = statusesFor(name, filters.status).length === 0
    const why = isAll.value ? 'Choose a tenant first' : none ? `Nothing with this status can be ${name === 'retry' ? 'retried' : 'cancelled'}` : undefined
    return (
      <button type="button" class="button" disabled={Boolean(why)} title={why} onClick={() => setWhat(name)}>
        {label}
      </button>
    )
  }
  return (
    <>
      {button('retry', 'Retry all…')}
      {button('cancel', 'Cancel all…')}
      {what && <PlanDialog what={what} filters={filters} time={time} done={done} close={() => setWhat(null)} />}
    </>
  )
}

function PlanDialog({ what, filters, time, done, close }: Props & { what: What; close: () => void }) {
  // The plan and the change must select the same, so neither follows the filters once the dialog is open.
  const only = useMemo(() => ({ ...filters, ...time, status: statusesFor(what, filters.status) }) as Only, [])
  const plan = useResource<Plan>('plan', async (signal) => {
    const body = { only, dry_run: true }
    return (await (what === 'retry' ? post('/replays', { body: body as never, signal }) : post('/deliveries/cancel', { body, signal }))) as Plan
  })
  const title = what === 'retry' ? 'Retry deliveries' : 'Cancel deliveries'
  return (
    <Dialog label={title} close={close}>
      <header class="dialog-head">
        <h2>{title}</h2>
        <CloseButton close={close} />
      </header>
      <p class="faint">
        Selected: {only.status?.map((status) => statusWord(status, 0).label.toLowerCase()).join(', ')}
        {Object.keys(filters).some((name) => name !== 'status') || Object.keys(time).length ? ', with the filters of the list' : ', all of them'}.
      </p>
      {plan.problem && <Failure problem={plan.problem} retry={plan.reload} />}
      {!plan.data && !plan.problem && (
        <>
          <p class="faint">Counting…</p>
          <Bones lines={4} />
        </>
      )}
      {plan.data?.count === 0 && (
        <Empty icon="check" title="There is nothing to do">
          <p>No delivery is selected.</p>
        </Empty>
      )}
      {plan.data && plan.data.count > 0 && <Confirm what={what} only={only} plan={plan.data} done={done} close={close} />}
    </Dialog>
  )
}

function Confirm({ what, only, plan, done, close }: { what: What; only: Only; plan: Plan; done: () => void; close: () => void }) {
  const [rate, setRate] = useState('100')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem | null>(null)
  const begin = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    try {
      if (what === 'retry') {
        const replay = (await post('/replays', { body: { only, token: plan.token, rate: Number(rate) } as never })) as { id: string }
        go(href(`/replays/${replay.id}`))
      } else {
        // Where a later request fails, what the ones before cancelled stays so.
        toast(`${number(await cancelAll(only, plan.token).finally(done))} cancelled`)
        close()
      }
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  const seconds = Math.ceil(plan.count / Math.max(Number(rate) || 1, 1))
  return (
    <form onSubmit={(event) => void begin(event)}>
      <p class="big-number">
        {number(plan.count)} <span>{plan.count === 1 ? 'delivery' : 'deliveries'}</span>
      </p>
      <Split plan={plan} sends={what === 'retry'} />
      {what === 'retry' && (
        <Field label="At most a second" pointer="/rate" problem={problem} hint={`Takes about ${seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`}. New events go first.`}>
          {(id, described) => (
            <input id={id} aria-describedby={described} type="number" min="1" max="10000" required value={rate} onInput={(event) => setRate(event.currentTarget.value)} />
          )}
        </Field>
      )}
      {problem && !problem.errors?.some((error) => error.pointer === '/rate') && <Failure problem={problem} />}
      <footer class="dialog-foot">
        <button type="button" class="button" onClick={close}>
          Close
        </button>
        <button type="submit" class={`button ${what === 'retry' ? 'primary' : 'danger'}`} disabled={busy}>
          {what === 'retry' ? 'Retry' : 'Cancel'} {number(plan.count)}
        </button>
      </footer>
    </form>
  )
}

/** A request cancels for about a second and says whether some are left. */
async function cancelAll(only: Only, token: string): Promise<number> {
  let sum = 0
  for (;;) {
    const { cancelled, more } = (await post('/deliveries/cancel', { body: { only, token } })) as { cancelled: number; more: boolean }
    sum += cancelled
    if (!more || cancelled === 0) return sum
  }
}
