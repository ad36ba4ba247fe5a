import { href } from '../../route'
import { Icon } from '../../ui/icons'
import { ReplayView } from './view'

export function ReplayPage({ params }: { params: Record<string, string> }) {
  return (
    <div class="sheet">
      <a class="back" href={href('/replays')}>
        <Icon name="left" /> Replays
      </a>
      <ReplayView id={params.replay ?? ''} />
    </div>
  )
}
