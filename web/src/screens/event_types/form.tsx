// Describes an event type. What the server finds wrong in a schema is said below it, with its place.
import { useState } from 'preact/hooks'
import { asProblem, type Problem, put, type Schemas } from '../../api/client'
import { Field, FormFailure } from '../../ui/field'
import type { EventType } from '../subscriptions/catalogue'
import { fieldProblem, parseObject } from '../subscriptions/draft'
import { Check } from '../subscriptions/form_parts'

const json = (value: unknown) => (value === null || value === undefined ? '' : JSON.stringify(value, null, 2))
const SCHEMA = '{\n  "type": "object",\n  "required": ["id"],\n  "properties": {"id": {"type": "integer"}}\n}'

interface Props {
  one: EventType | null
  done: (saved: EventType) => void
  cancel: string
}

export function EventTypeForm({ one, done, cancel }: Props) {
  const [name, setName] = useState(one?.name ?? '')
  const [description, setDescription] = useState(one?.description ?? '')
  const [schema, setSchema] = useState(json(one?.schema))
  const [example, setExample] = useState(json(one?.example))
  const [deprecated, setDeprecated] = useState(one?.deprecated ?? false)
  const [validate, setValidate] = useState(one?.validate ?? false)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const save = async (event: Event) => {
    event.preventDefault()
    const [rules, shown] = [parseObject(schema, '/schema'), parseObject(example, '/example')]
    if ('problem' in rules) return setProblem(rules.problem)
    if ('problem' in shown) return setProblem(shown.problem)
    if (validate && !rules.value) return setProblem(fieldProblem('/schema', 'is needed to check payloads'))
    setBusy(true)
    setProblem(null)
    try {
      const body = { description: description.trim() || null, schema: rules.value, example: shown.value, deprecated, validate } as Schemas['EventTypeForm']
      done(await put('/event-types/{name}', { at: { name: name.trim() }, body }))
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  return (
    <form class="form" onSubmit={(event) => void save(event)}>
      {!one && (
        <Field label="Name" pointer="/path/name" problem={problem} hint="Parts with dots between them, as in order.paid. It cannot be changed later.">
          {(id, described) => (
            <input id={id} aria-describedby={described} class="mono" required autocomplete="off" spellcheck={false} placeholder="order.paid" value={name} onInput={(event) => setName(event.currentTarget.value)} />
          )}
        </Field>
      )}
      <Field label="Description" pointer="/description" problem={problem}>
        {(id, described) => <input id={id} aria-describedby={described} maxLength={500} value={description} onInput={(event) => setDescription(event.currentTarget.value)} />}
      </Field>
      <Field label="Schema" pointer="/schema" problem={problem} hint="A JSON Schema of the payload. Optional.">
        {(id, described) => (
          <textarea id={id} aria-describedby={described} class="mono" rows={12} spellcheck={false} placeholder={SCHEMA} value={schema} onInput={(event) => setSchema(event.currentTarget.value)} />
        )}
      </Field>
      <Check label="Check payloads" hint="An event whose payload breaks the schema is refused." on={validate} change={setValidate} />
      <Field label="Example" pointer="/example" problem={problem} hint="A payload, for documentation and test events. It is not checked.">
        {(id, described) => (
          <textarea id={id} aria-describedby={described} class="mono" rows={8} spellcheck={false} placeholder={'{"id": 7}'} value={example} onInput={(event) => setExample(event.currentTarget.value)} />
        )}
      </Field>
      <Check label="Deprecated" hint="Nobody should begin to use it. It is still accepted and delivered." on={deprecated} change={setDeprecated} />
      <FormFailure problem={problem} fields={['/path/name', '/description', '/schema', '/example']} />
      <footer class="form-foot">
        <a class="button" href={cancel}>
          Cancel
        </a>
        <button type="submit" class="button primary" disabled={busy}>
          {one ? 'Save' : 'Create'}
        </button>
      </footer>
    </form>
  )
}
