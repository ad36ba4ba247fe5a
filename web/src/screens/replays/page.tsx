import { href } from '../../route'
import { Icon } from '../../ui/icons'
import { OfTenant } from '../of_tenant'
import { ReplayView } from './view'

export function ReplayPage({ params }: { params: Record<string, string> }) {
  return (
    <div class="sheet">
      <a class="back" href={href('/replays')}>
        <Icon name="left" /> Replays
      </a>
      <OfTenant id={params.replay ?? ''} what="A replay belongs to one tenant.">
        <ReplayView id={params.replay ?? ''} />
      </OfTenant>
    </div>
  )
}
