// Days of events and attempts, with their sizes and when each is dropped.
import { useState } from 'preact/hooks'
import { bytes, Moment, number } from '../../ui/moment'
import { Empty } from '../../ui/states'
import { type Column, Table } from '../../ui/table'
import { type Day, days, type Partition } from './answer'

const SHOWN = 10

const largest = (all: Day[]) => Math.max(1, ...all.flatMap((day) => [day.events?.bytes ?? 0, day.attempts?.bytes ?? 0]))

function Size({ name, one, most }: { name: string; one: Partition | undefined; most: number }) {
  if (!one) return <span class="faint">–</span>
  return (
    <span class="size" title={one.name}>
      <span class="only-narrow">{name}</span>
      <span class="meter" aria-hidden="true">
        <span style={{ width: `${(one.bytes / most) * 100}%` }} />
      </span>
      {bytes(one.bytes)}
    </span>
  )
}

const columns = (most: number): Column<Day>[] => [
  { name: 'day', head: 'Day (UTC)', narrow: 'title', cell: (row) => row.since.slice(0, 10) },
  { name: 'events', head: 'Events', kind: 'wide', narrow: 'under', cell: (row) => <Size name="Events" one={row.events} most={most} /> },
  { name: 'drop-events', head: 'Dropped', cell: (row) => <Moment at={row.events?.drops_at} /> },
  { name: 'attempts', head: 'Attempts', kind: 'wide', narrow: 'under', cell: (row) => <Size name="Attempts" one={row.attempts} most={most} /> },
  { name: 'drop-attempts', head: 'Dropped', narrow: 'side', cell: (row) => <Moment at={row.attempts?.drops_at ?? row.events?.drops_at} /> },
]

export function Partitions({ partitions, more }: { partitions: Partition[]; more: boolean }) {
  const [all, setAll] = useState(false)
  const now = new Date().toISOString()
  const known = days(partitions)
  // Days to come are made ahead, and empty.
  const rows = known.filter((day) => day.since <= now)
  const ahead = known.length - rows.length
  const sum = partitions.reduce((sum, one) => sum + one.bytes, 0)
  return (
    <section class="part">
      <h2>
        Partitions{' '}
        <span class="faint">
          · {number(partitions.length)}
          {more && '+'}, {bytes(sum)}
        </span>
      </h2>
      <Table
        label="Partitions"
        columns={columns(largest(rows))}
        rows={all ? rows : rows.slice(0, SHOWN)}
        rowKey={(row) => row.since}
        empty={<Empty icon="operations" title="There is no partition" />}
      />
      {ahead > 0 && (
        <p class="faint">
          {ahead === 1 ? '1 day is' : `${ahead} days are`} made ahead, until {known[0]?.since.slice(0, 10)}.
        </p>
      )}
      {rows.length > SHOWN && (
        <button type="button" class="text-button" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${number(rows.length)} days`}
        </button>
      )}
    </section>
  )
}
