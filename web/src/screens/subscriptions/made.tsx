// A subscription that was just made, with its secret. It lies over the page of the subscription until somebody has the secret.
import { signal } from '@preact/signals'
import { isPortal, key, may, me } from '../../api/session'
import { Dialog } from '../../ui/dialog'
import { NewSecret, Verification } from './secret'
import { nameOf, type Subscription } from './state'

/** Kept here, so that it is still there after a way back and forth; for nobody else who signs in. */
const made = signal<{ one: Subscription; by: string | null } | null>(null)

/** The key; of a portal the tenant, because the page around it renews the session with a new token. */
const reader = () => (isPortal.value ? `portal of ${me.value?.tenant_id}` : key.value)

export const showMade = (one: Subscription) => (made.value = { one, by: reader() })

export function Made({ id }: { id: string }) {
  const shown = made.value
  if (shown?.one.id !== id || shown.by !== reader() || !may.value.manage) return null
  const { one } = shown
  const close = () => (made.value = null)
  return (
    <Dialog kind="drawer" label="The secret of the new subscription" close={close} locked>
      <div class="sheet">
        <h2 class="wrap">{nameOf(one)} gets events from now on</h2>
        {one.notice && <p class="note blue">{one.notice}</p>}
        <NewSecret secret={one.secret_key} />
        <Verification secret={one.secret_key} />
        <footer class="dialog-foot">
          <button type="button" class="button primary" onClick={close}>
            I have it
          </button>
        </footer>
      </div>
    </Dialog>
  )
}
