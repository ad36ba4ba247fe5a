// The live toggle of lists.
import { live, streamState } from '../api/stream'

const WORDS = { off: 'Live', connecting: 'Connecting', live: 'Live', waiting: 'Reconnecting' } as const

export function LiveToggle() {
  return (
    <button type="button" class={`live is-${live.value ? streamState.value : 'off'}`} aria-pressed={live.value} onClick={() => (live.value = !live.value)}>
      <span class="live-dot" aria-hidden="true" />
      {live.value ? WORDS[streamState.value] : 'Live'}
    </button>
  )
}

/** What came while the reader was further down in the list. */
export function Waiting({ count, show }: { count: number; show: () => void }) {
  if (!count) return null
  return (
    <button type="button" class="waiting" onClick={show}>
      {count} new · show
    </button>
  )
}
