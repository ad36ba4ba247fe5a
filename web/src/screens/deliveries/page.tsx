import { href } from '../../route'
import { Icon } from '../../ui/icons'
import { OfTenant } from '../of_tenant'
import { DeliveryView } from './view'

export function DeliveryPage({ params }: { params: Record<string, string> }) {
  return (
    <div class="sheet">
      <a class="back" href={href('/deliveries')}>
        <Icon name="left" /> Deliveries
      </a>
      <OfTenant id={params.webhook ?? ''} what="A delivery belongs to one tenant.">
        <DeliveryView webhook={params.webhook ?? ''} subscription={params.subscription ?? ''} />
      </OfTenant>
    </div>
  )
}
