// How a list is kept current: live, or when somebody asks for it.
import { live, streamProblem, streamState } from '../api/stream'
import { Icon } from './icons'

const WORDS = { off: 'Live', connecting: 'Connecting', live: 'Live', waiting: 'Reconnecting' } as const

export function RefreshButton({ refresh }: { refresh: () => void }) {
  return (
    <button type="button" class="button" onClick={refresh}>
      <Icon name="replays" /> Refresh
    </button>
  )
}

export function LiveToggle({ refresh }: { refresh: () => void }) {
  return (
    <>
      {!live.value && <RefreshButton refresh={refresh} />}
      {streamProblem.value && (
        <span class="live-problem" role="status">
          {streamProblem.value}
        </span>
      )}
      <button type="button" class={`live is-${live.value ? streamState.value : 'off'}`} aria-pressed={live.value} onClick={() => (live.value = !live.value)}>
        <span class="live-dot" aria-hidden="true" />
        {live.value ? WORDS[streamState.value] : 'Live'}
      </button>
    </>
  )
}

/** How far down a reader may be and still see a list change. */
const NEAR_TOP_PX = 80
export const isNearTop = () => window.scrollY < NEAR_TOP_PX

interface WaitingProps {
  count: number
  /** There is more than was counted. */
  more: boolean
  /** What came was not compared with all filters. */
  unfiltered?: boolean
  show: () => void
}

/** What came while the reader was further down in the list. */
export function Waiting({ count, more, unfiltered = false, show }: WaitingProps) {
  if (!count && !more) return null
  const words = count ? `${count}${more ? '+' : ''} new` : 'The list has changed'
  return (
    <button type="button" class="waiting" onClick={show}>
      {words}
      {unfiltered && count > 0 && ', not yet filtered'} · show
    </button>
  )
}
