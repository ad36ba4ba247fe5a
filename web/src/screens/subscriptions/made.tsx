// A subscription that was just made, with its secret. It lies over the page of the subscription until somebody has the secret.
import { kept } from '../../api/kept'
import { may } from '../../api/session'
import { Dialog } from '../../ui/dialog'
import { NewSecret, Taken, Verification } from './secret'
import { nameOf, type Subscription } from './state'

export const made = kept((one: Subscription) => one.id)

export function Made({ id }: { id: string }) {
  const one = made.of(id)
  if (!one || !may.value.manage) return null
  const close = () => made.forget(id)
  return (
    <Dialog kind="drawer" label="The secret of the new subscription" close={close} locked>
      <div class="sheet">
        <h2 class="wrap">{nameOf(one)} gets events from now on</h2>
        {one.notice && <p class="note blue">{one.notice}</p>}
        <NewSecret secret={one.secret_key} />
        <Verification secret={one.secret_key} />
        <Taken close={close} />
      </div>
    </Dialog>
  )
}
