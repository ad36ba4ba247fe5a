// What can be done with a subscription: pause, resume, cancel what is held, delete. Each asks first.
import { patch, post, remove } from '../../api/client'
import { Confirm } from '../../ui/confirm'
import { number } from '../../ui/moment'
import { toast } from '../../ui/toast'
import { heldOf, nameOf, noun, type Subscription } from './state'

export type Action = 'pause' | 'resume' | 'cancel' | 'delete'

interface Props {
  what: Action
  of: Subscription
  close: () => void
  done: (what: Action) => void
}

export function ActionDialog({ what, of, close, done }: Props) {
  const at = { subscription_id: of.id }
  const name = <strong class="wrap">{nameOf(of)}</strong>
  const held = heldOf(of)
  const activate = async (is_active: boolean) => {
    await patch('/subscriptions/{subscription_id}', { at, body: { is_active } })
    toast(is_active ? 'Resumed' : 'Paused')
    done(what)
  }
  if (what === 'pause') {
    return (
      <Confirm title="Pause the subscription" verb="Pause" act={() => activate(false)} close={close}>
        <p>{name} gets nothing more. New deliveries are held, and sent when it is resumed.</p>
      </Confirm>
    )
  }
  if (what === 'resume') {
    return (
      <Confirm title="Resume the subscription" verb="Resume" act={() => activate(true)} close={close}>
        <p>
          {name} gets events again{of.health.held > 0 ? `, first the ${held} ${noun(of.health.held, 'delivery', 'deliveries')} that ${noun(of.health.held, 'is', 'are')} held` : ''}.
        </p>
      </Confirm>
    )
  }
  if (what === 'cancel') {
    return (
      <Confirm title="Cancel what is held" verb="Cancel them" danger act={() => cancelHeld(of.id).then((sum) => (toast(`${number(sum)} cancelled`), done(what)))} close={close}>
        <p>
          {held} held {noun(of.health.held, 'delivery', 'deliveries')} to {name} {noun(of.health.held, 'ends', 'end')} as cancelled and {noun(of.health.held, 'is', 'are')} not sent. New ones come as before.
        </p>
      </Confirm>
    )
  }
  const end = async () => {
    const { cancelled_deliveries: cancelled, cancelled_deliveries_more: more } = await remove('/subscriptions/{subscription_id}', { at })
    toast(cancelled ? `Deleted; ${number(cancelled)}${more ? '+' : ''} ${noun(cancelled, 'delivery', 'deliveries')} cancelled` : 'Deleted')
    done(what)
  }
  return (
    <Confirm title="Delete the subscription" verb="Delete" danger act={end} close={close}>
      <p>{name} gets nothing more, and what waits for it is cancelled. This cannot be undone.</p>
      <p class="faint">Its deliveries and attempts stay in the lists as long as they are kept. To stop for a while only, pause it.</p>
    </Confirm>
  )
}

/** A request cancels for about a second and says whether some are left. */
async function cancelHeld(id: string): Promise<number> {
  let sum = 0
  for (;;) {
    const { cancelled, more } = await post('/subscriptions/{subscription_id}/cancel-held', { at: { subscription_id: id } })
    sum += cancelled
    if (!more || cancelled === 0) return sum
  }
}
