// Filter chips. The address is where their values are; a chip changes it, and the list follows.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { go, here, query } from '../route'
import { Icon } from './icons'
import { Popover } from './popover'

export interface Filter {
  /** The parameter, of the address and of the API. */
  name: string
  label: string
  /** What may be chosen; without, a text is asked for. */
  choices?: { value: string; label: string }[]
  /** What is shown of a value that was asked for. */
  show?: (value: string) => ComponentChildren
  /** Texts to suggest. */
  suggest?: string[]
  hint?: string
  /** Only one value. */
  single?: boolean
}

const set = (filter: Filter, values: string[]) => go(here({ [filter.name]: values.length ? values : null, cursor: null, open: null }), 'replace')

export function Filters({ filters, children }: { filters: Filter[]; children?: ComponentChildren }) {
  const any = filters.some((filter) => query.value.has(filter.name))
  return (
    <div class="filters" role="group" aria-label="Filters">
      {children}
      {filters.map((filter) => (
        <Chip key={filter.name} filter={filter} />
      ))}
      {any && (
        <button type="button" class="text-button" onClick={() => clearFilters(filters)}>
          Clear
        </button>
      )}
    </div>
  )
}

export function clearFilters(filters: Filter[]): void {
  const none = Object.fromEntries(filters.map((filter) => [filter.name, null]))
  go(here({ ...none, cursor: null, range: null, since: null, until: null, open: null }))
}

function Chip({ filter }: { filter: Filter }) {
  const values = query.value.getAll(filter.name)
  const label = (value: string) => filter.choices?.find((choice) => choice.value === value)?.label ?? filter.show?.(value) ?? value
  const shown = values.length > 2 ? `${values.length} chosen` : values.map((value, index) => [index > 0 && ', ', label(value)])
  return (
    <span class={`chip${values.length ? ' is-set' : ''}`}>
      {values.length > 0 && (
        <button type="button" class="chip-clear" aria-label={`Remove the filter ${filter.label}`} onClick={() => set(filter, [])}>
          <Icon name="close" />
        </button>
      )}
      <Popover
        class="chip-button"
        label={
          values.length ? (
            <>
              {filter.label} <b>{shown}</b>
            </>
          ) : (
            <>
              <Icon name="plus" /> {filter.label}
            </>
          )
        }
      >
        {(close) => (filter.choices ? <Choices {...{ filter, values }} /> : <Text {...{ filter, values, close }} />)}
      </Popover>
    </span>
  )
}

function Choices({ filter, values }: { filter: Filter; values: string[] }) {
  const toggle = (value: string) => {
    if (filter.single) set(filter, values.includes(value) ? [] : [value])
    else set(filter, values.includes(value) ? values.filter((one) => one !== value) : [...values, value])
  }
  return (
    <fieldset class="choices">
      <legend>{filter.label}</legend>
      {filter.choices?.map((choice) => (
        <label key={choice.value}>
          <input type="checkbox" checked={values.includes(choice.value)} onChange={() => toggle(choice.value)} />
          {choice.label}
        </label>
      ))}
    </fieldset>
  )
}

function Text({ filter, values, close }: { filter: Filter; values: string[]; close: () => void }) {
  const [text, setText] = useState('')
  const add = (value: string) => {
    if (value) set(filter, filter.single ? [value] : [...new Set([...values, value])])
    close()
  }
  const suggestions = (filter.suggest ?? []).filter((one) => one.includes(text) && !values.includes(one)).slice(0, 8)
  return (
    <form class="chip-form" onSubmit={(event) => (event.preventDefault(), add(text.trim()))}>
      <label>
        {filter.label}
        <input value={text} onInput={(event) => setText(event.currentTarget.value)} spellcheck={false} autocomplete="off" />
      </label>
      {filter.hint && <p class="faint">{filter.hint}</p>}
      {suggestions.map((one) => (
        <button key={one} type="button" class="suggestion" onClick={() => add(one)}>
          {one}
        </button>
      ))}
      <button type="submit" class="button primary">
        Apply
      </button>
    </form>
  )
}
