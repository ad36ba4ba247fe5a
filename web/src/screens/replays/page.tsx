// The progress of one replay.
import { useEffect, useState } from 'preact/hooks'
import { asProblem, get, post } from '../../api/client'
import { useResource } from '../../api/resource'
import { may } from '../../api/session'
import { href } from '../../route'
import { Icon } from '../../ui/icons'
import { Id, Moment, number } from '../../ui/moment'
import { Bones, Failure } from '../../ui/states'
import { Pill } from '../../ui/status'
import { toast } from '../../ui/toast'
import { Fact } from '../deliveries/view'

const REFRESH_MS = 1_000
const TONES = { running: 'blue', finished: 'green', cancelled: 'plain' } as const
const LABELS = { running: 'Running', finished: 'Finished', cancelled: 'Cancelled' } as const

export function ReplayPage({ params }: { params: Record<string, string> }) {
  const id = params.replay ?? ''
  const replay = useResource(id, (signal) => get('/replays/{replay_id}', { at: { replay_id: id }, signal }))
  const [busy, setBusy] = useState(false)
  const running = replay.data?.status === 'running'
  useEffect(() => {
    if (!running) return
    const timer = setInterval(() => document.hidden || replay.reload(), REFRESH_MS)
    return () => clearInterval(timer)
  }, [running])
  const cancel = async () => {
    setBusy(true)
    try {
      await post('/replays/{replay_id}/cancel', { at: { replay_id: id } })
      replay.reload()
    } catch (error) {
      toast(asProblem(error).title, 'bad')
    }
    setBusy(false)
  }
  if (replay.problem && !replay.data) return <Failure problem={replay.problem} retry={replay.reload} />
  if (!replay.data) return <Bones lines={6} />
  const { status, replayed, total, rate, created_at, ended_at } = replay.data
  const share = total ? Math.min(replayed / total, 1) : status === 'finished' ? 1 : 0
  return (
    <article class="sheet">
      <a class="back" href={href('/deliveries')}>
        <Icon name="left" /> Deliveries
      </a>
      <header class="sheet-head">
        <Pill tone={TONES[status]}>{LABELS[status]}</Pill>
        <h1>Replay</h1>
        <span class="grow" />
        {running && may.value.manage && (
          <button type="button" class="button" disabled={busy} onClick={() => void cancel()}>
            Stop
          </button>
        )}
      </header>
      <p class="big-number">
        {number(replayed)} <span>{total === null || total === undefined ? 'sent again' : `of ${number(total)} sent again`}</span>
      </p>
      <progress class="progress" max={1} value={share} aria-label="Progress" />
      <dl class="facts">
        <Fact name="Replay">
          <Id id={id} />
        </Fact>
        <Fact name="Rate">{number(rate)} a second</Fact>
        <Fact name="Begun">
          <Moment at={created_at} />
        </Fact>
        <Fact name="Ended">
          <Moment at={ended_at} none="not yet" />
        </Fact>
      </dl>
      {status === 'finished' && <p class="faint">Everything is in the queue. The status of each delivery shows its result.</p>}
    </article>
  )
}
