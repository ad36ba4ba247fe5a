import { href } from '../../route'
import { Icon } from '../../ui/icons'
import { RefusalView } from './view'

export function RefusalPage({ params }: { params: Record<string, string> }) {
  return (
    <div class="sheet">
      <a class="back" href={href('/refusals')}>
        <Icon name="left" /> Refusals
      </a>
      <RefusalView id={params.refusal ?? ''} />
    </div>
  )
}
