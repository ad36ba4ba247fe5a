import { href } from '../../route'
import { Icon } from '../../ui/icons'
import { DeliveryView } from './view'

export function DeliveryPage({ params }: { params: Record<string, string> }) {
  return (
    <div class="sheet">
      <a class="back" href={href('/deliveries')}>
        <Icon name="left" /> Deliveries
      </a>
      <DeliveryView webhook={params.webhook ?? ''} subscription={params.subscription ?? ''} />
    </div>
  )
}
