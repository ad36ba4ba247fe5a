import type { Schemas } from '../../api/client'
import { STATUSES, statusWord } from '../../words'

/** How many deliveries have which status, as dots with numbers. */
export function Counts({ counts, more }: { counts: Schemas['DeliveryCounts']; more?: boolean }) {
  const some = STATUSES.filter((status) => counts[status] > 0)
  if (!some.length) return <span class="faint">none</span>
  return (
    <span class="counts">
      {some.map((status) => {
        const { tone, label } = statusWord(status, 0)
        return (
          <span key={status} class={`count-dot ${tone}`} title={`${counts[status]} ${label.toLowerCase()}`}>
            <span class="visually-hidden">{label} </span>
            {counts[status]}
          </span>
        )
      })}
      {more && <span class="faint">+</span>}
    </span>
  )
}
