// A number with its name, and if wished its shape over time.
import type { ComponentChildren } from 'preact'
import { Sparkline } from './chart'

interface Props {
  name: string
  value: ComponentChildren
  note?: ComponentChildren
  values?: (number | null)[]
  tone?: 'bad' | 'good' | undefined
  link?: string | undefined
}

export function Tile({ name, value, note, values, tone, link }: Props) {
  const content = (
    <>
      <span class="tile-name">{name}</span>
      <span class={`tile-value ${tone ?? ''}`}>{value}</span>
      <span class="tile-note" title={typeof note === 'string' ? note : undefined}>
        {note}
      </span>
      {values && <Sparkline values={values} />}
    </>
  )
  return link ? (
    <a class="tile" href={link}>
      {content}
    </a>
  ) : (
    <div class="tile">{content}</div>
  )
}
