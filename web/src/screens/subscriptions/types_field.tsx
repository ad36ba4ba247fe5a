// Which event types: all, or names and wildcards from the catalogue.
import { useId } from 'preact/hooks'
import type { Problem } from '../../api/client'
import type { Resource } from '../../api/resource'
import { errorsAt } from '../../ui/field'
import { Icon } from '../../ui/icons'
import { Bones } from '../../ui/states'
import { covers, groups, type Known } from './catalogue'

interface Props {
  all: boolean
  chosen: string[]
  typed: string
  change: (part: { all?: boolean; event_types?: string[]; typed_type?: string }) => void
  catalogue: Resource<Known[]>
  problem: Problem | null
}

export function TypesField({ all, chosen, typed, change, catalogue, problem }: Props) {
  const name = useId()
  return (
    <fieldset class="field">
      <legend>Event types</legend>
      <div class="radios">
        <label>
          <input type="radio" name={name} checked={all} onChange={() => change({ all: true })} /> All, also those to come
        </label>
        <label>
          <input type="radio" name={name} checked={!all} onChange={() => change({ all: false })} /> Only these
        </label>
      </div>
      {!all && <Chooser chosen={chosen} change={(event_types) => change({ event_types })} text={typed} setText={(typed_type) => change({ typed_type })} catalogue={catalogue} />}
      {errorsAt(problem, '/event_types').map(({ pointer, detail }) => (
        <p key={pointer + detail} class="field-error">
          {chosen[Number(pointer.split('/')[2])] ?? ''} {detail}
        </p>
      ))}
    </fieldset>
  )
}

interface ChooserProps {
  chosen: string[]
  change: (types: string[]) => void
  text: string
  setText: (text: string) => void
  catalogue: Resource<Known[]>
}

function Chooser({ chosen, change, text, setText, catalogue }: ChooserProps) {
  const wanted = text.trim()
  const add = (type: string) => {
    if (type && !chosen.includes(type)) change([...chosen, type])
    setText('')
  }
  const toggle = (type: string) => {
    setText('')
    change(chosen.includes(type) ? chosen.filter((one) => one !== type) : [...chosen, type])
  }
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' && event.key !== ',') return
    event.preventDefault()
    add(wanted)
  }
  const shown = groups((catalogue.data ?? []).filter(({ name }) => name.includes(wanted.replace(/\*$/, ''))))
  return (
    <div class="chooser">
      {chosen.length > 0 && (
        <ul class="tags" aria-label="Chosen event types">
          {chosen.map((type) => (
            <li key={type}>
              <code>{type}</code>
              <button type="button" class="chip-clear" aria-label={`Remove ${type}`} onClick={() => toggle(type)}>
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      )}
      <div class="chooser-add">
        <input
          class="mono"
          aria-label="Find or add an event type"
          placeholder="Find, or add a name or order.*"
          spellcheck={false}
          autocomplete="off"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={onKey}
        />
      </div>
      {catalogue.loading && !catalogue.data ? (
        <Bones lines={3} />
      ) : (
        <ul class="chooser-list" aria-label="Known event types">
          {shown.map(({ wildcard, types }) => (
            <li key={wildcard}>
              {wildcard && types.length > 1 && (
                <Choice name={wildcard} note={`all ${types.length}, and new ones`} on={covers(chosen, wildcard)} fixed={!chosen.includes(wildcard) && covers(chosen, wildcard)} toggle={toggle} />
              )}
              <ul class={wildcard && types.length > 1 ? 'inner' : ''}>
                {types.map((type) => (
                  <li key={type.name}>
                    <Choice
                      name={type.name}
                      note={type.deprecated ? 'deprecated' : (type.description ?? '')}
                      on={covers(chosen, type.name)}
                      fixed={!chosen.includes(type.name) && covers(chosen, type.name)}
                      toggle={toggle}
                    />
                  </li>
                ))}
              </ul>
            </li>
          ))}
          {!shown.length && <li class="faint none">{wanted ? `Enter adds ${wanted}` : 'No event types are known yet. Type one, or a wildcard such as order.*'}</li>}
        </ul>
      )}
    </div>
  )
}

/** `fixed`: a wildcard has it already. */
function Choice({ name, note, on, fixed, toggle }: { name: string; note: string; on: boolean; fixed: boolean; toggle: (name: string) => void }) {
  return (
    <label>
      <input type="checkbox" checked={on} disabled={fixed} onChange={() => toggle(name)} />
      <code>{name}</code>
      <span class="faint ellipsis">{note}</span>
    </label>
  )
}
