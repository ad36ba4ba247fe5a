// Settings of the replica that answers, those that somebody set first.
import { useState } from 'preact/hooks'
import { Empty } from '../../ui/states'
import { type Column, Table } from '../../ui/table'
import type { Operations } from './answer'

type Setting = Operations['settings'][number]

const COLUMNS: Column<Setting>[] = [
  { name: 'name', head: 'Setting', narrow: 'title', cell: (row) => <span class="mono">{row.name}</span> },
  {
    name: 'value',
    head: 'Value',
    kind: 'wide',
    narrow: 'under',
    cell: (row) =>
      row.value === '' ? (
        <span class="faint">not set</span>
      ) : (
        <span class="mono" title={row.value}>
          {row.value}
        </span>
      ),
  },
  { name: 'source', head: 'Source', narrow: 'status', cell: (row) => <span class={row.source === 'default' ? 'faint' : ''}>{row.source}</span> },
]

export function Settings({ settings }: { settings: Setting[] }) {
  const [all, setAll] = useState(false)
  const [text, setText] = useState('')
  const wanted = text.trim().toLowerCase()
  const set = settings.filter((one) => one.source !== 'default')
  const rows = wanted ? settings.filter((one) => `${one.name} ${one.value}`.toLowerCase().includes(wanted)) : all ? settings : set
  return (
    <section class="part">
      <h2>Settings</h2>
      <div class="filters">
        <div class="segments" role="group" aria-label="Which settings">
          <button type="button" aria-pressed={!all} onClick={() => setAll(false)}>
            Changed
          </button>
          <button type="button" aria-pressed={all} onClick={() => setAll(true)}>
            All
          </button>
        </div>
        <input class="find" type="search" aria-label="Find settings" placeholder="Find a setting" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </div>
      <Table
        label="Settings"
        columns={COLUMNS}
        rows={rows}
        rowKey={(row) => row.name}
        empty={wanted ? <Empty icon="search" title="No setting has this in its name or value" /> : <Empty icon="check" title="Every setting has its default" />}
      />
    </section>
  )
}
