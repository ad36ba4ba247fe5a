// What can be done with a delivery: retry it, cancel it, or see to the subscription that holds it back.
import { useState } from 'preact/hooks'
import { asProblem, post } from '../../api/client'
import { may } from '../../api/session'
import { href } from '../../route'
import { Icon } from '../../ui/icons'
import { toast } from '../../ui/toast'
import { type Delivery, isEnded } from '../../words'
import { holdOf, readSubscription } from './holder'

const DELETED = 'its subscription was deleted'

interface Props {
  row: Delivery
  tenant?: string | undefined
  done: () => void
}

export function Actions({ row, tenant, done }: Props) {
  const [busy, setBusy] = useState(false)
  if (!may.value.retry) return null
  const options = { at: { webhook_id: row.webhook_id }, query: { subscription_id: row.subscription_id }, tenant }
  const attempt = async (act: () => Promise<void>) => {
    setBusy(true)
    try {
      await act()
      done()
    } catch (error) {
      const problem = asProblem(error)
      toast(problem.detail ?? problem.title, 'bad')
    }
    setBusy(false)
  }
  const retry = async () => {
    const { retried } = await post('/events/{webhook_id}/retry', options)
    // The retry was made, also if its subscription cannot be read now.
    const hold = await readSubscription(row, tenant).then(holdOf, (error) => (asProblem(error).status === 404 ? DELETED : null))
    if (hold === DELETED) toast(`Not sent: ${hold}`, 'bad')
    else if (hold) toast(`${retried ? 'Queued again, but held' : 'Not sent'}: ${hold}`, 'bad')
    else toast(retried ? 'Queued again' : 'It is due or being sent already')
  }
  const cancel = async () => {
    const { cancelled, sending } = await post('/events/{webhook_id}/cancel', options)
    toast(cancelled ? 'Cancelled' : sending ? 'It is being sent; cancelled if that fails' : 'It had ended already')
  }
  return (
    <>
      {!isEnded(row.status) && (
        <button type="button" class="button" disabled={busy} onClick={() => void attempt(cancel)}>
          Cancel
        </button>
      )}
      {row.status === 'held' ? (
        <Holder row={row} tenant={tenant} />
      ) : (
        <button type="button" class={`button${row.status === 'succeeded' ? '' : ' primary'}`} disabled={busy} onClick={() => void attempt(retry)}>
          <Icon name="replays" /> {row.status === 'succeeded' ? 'Send again' : 'Retry now'}
        </button>
      )}
    </>
  )
}

/** A retry changes nothing about what is held. */
function Holder({ row, tenant }: { row: Delivery; tenant?: string | undefined }) {
  if (row.reason === 'ordered') return null
  return (
    <a class="button primary" href={href(`/subscriptions/${row.subscription_id}`, tenant ? { tenant } : {})}>
      <Icon name="subscriptions" /> To the subscription
    </a>
  )
}
