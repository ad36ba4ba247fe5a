import { here, href, query, undo } from '../../route'
import { CloseButton, Dialog } from '../../ui/dialog'
import { Icon } from '../../ui/icons'
import type { Delivery } from '../../words'
import { DeliveryView } from './view'

interface Props {
  /** Event, subscription and, where all tenants are shown, tenant. */
  open: string
  /** Each time the delivery was read. */
  seen: (row: Delivery) => void
}

export function DeliveryDrawer({ open, seen }: Props) {
  const [webhook = '', subscription = '', tenant] = open.split('/')
  const close = () => undo(here({ open: null, attempt: null, tab: null }))
  const page = href(`/deliveries/${webhook}/${subscription}`, { ...(tenant ? { tenant } : {}), attempt: query.value.get('attempt') })
  return (
    <Dialog key={open} kind="drawer" label="Delivery" close={close}>
      <DeliveryView
        {...{ webhook, subscription, tenant, seen }}
        tools={
          <>
            <a class="icon-button" href={page} aria-label="Open as a page" title="Open as a page">
              <Icon name="expand" />
            </a>
            <CloseButton close={close} />
          </>
        }
      />
    </Dialog>
  )
}
